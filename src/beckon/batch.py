"""Batch: what one turn of the wheel has loaded, what it changes, and what it leaves to be told afterwards.

An identity map over the rows of a turn, with a bounded cache of the newest ones: the wheel is the only writer of these
rows, so what it wrote last is what is there.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from beckon.core.command import Find, Send
from beckon.core.contact import Contact
from beckon.core.delivery import Delivery
from beckon.core.event import Event, Json
from beckon.core.recent import Recent
from beckon.flows.definition import Flow
from beckon.flows.run import Run
from beckon.inbox import conversation as talks
from beckon.inbox.conversation import Conversation
from beckon.inbox.entries import Entry
from beckon.messaging.contacts import Reference
from beckon.outbox.queue import Item
from beckon.store.changes import Changes, Row
from beckon.store.database import Database, Query, joined, within
from beckon.store.tables import (
    ADDRESSES,
    BIG_TIMERS,
    CONTACTS,
    CONVERSATIONS,
    DELIVERIES,
    EARLY,
    ENTRIES,
    MENTIONS,
    NOTED,
    OUTBOX,
    RUNS,
    TIMERS,
    TOMBSTONES,
    WAITS,
)
from beckon.workspaces import Library, Workspaces

#: The subject of the timer ``forgetting`` that means nobody: the store's log alone.
FILE = "file"
_MINUTE_MS = 60_000
#: Addresses that stay at hand between turns.
_ADDRESSES_MAX = 64_000

_encode = msgspec.json.Encoder().encode
_contact = msgspec.json.Decoder(Contact).decode
_delivery = msgspec.json.Decoder(Delivery).decode
_run = msgspec.json.Decoder(Run).decode
_refused = msgspec.json.Decoder(tuple[tuple[str, str, int], ...]).decode

T = TypeVar("T")


class Tomb(msgspec.Struct, frozen=True):
    """What is left of somebody who was forgotten, under one address: an id, when, and what must not be sent there."""

    subject: str
    at_ms: int
    refused: tuple[tuple[str, str, int], ...] = ()


class Memory:
    """The recent rows of all kinds; forgotten whole when a commit fails."""

    def __init__(self) -> None:
        self.contacts: Recent[Contact] = Recent()
        self.deliveries: Recent[Delivery] = Recent()
        self.runs: Recent[Run] = Recent()
        self.conversations: Recent[Conversation] = Recent()
        #: (workspace, channel, external id) joined by the unit separator → contact id
        self.addresses: Recent[str] = Recent(_ADDRESSES_MAX)

    def forget(self) -> None:
        """Believe the table again."""
        for recent in (self.contacts, self.deliveries, self.runs, self.conversations, self.addresses):
            recent.clear()


def address_key(workspace: str, channel: str, external_id: str) -> str:
    """The key of an address in memory."""
    return f"{workspace}\x1f{channel}\x1f{external_id}"


class Batch:
    """One turn's rows. ``load_…`` ask the table once for all that is missing; the rest touches memory only."""

    def __init__(
        self, database: Database, memory: Memory, now_ms: int, first_entry: int, workspaces: Workspaces | None = None
    ) -> None:
        self.database = database
        self.workspaces = workspaces or Workspaces()
        self.memory = memory
        self.now_ms = now_ms
        self.changes = Changes()
        self.contacts: dict[str, Contact] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.runs: dict[str, Run] = {}
        self.conversations: dict[str, Conversation] = {}
        self.addresses: dict[str, str] = {}
        #: match key → ids of the runs that wait for it
        self.waits: dict[str, set[str]] = {}
        #: match key → this turn's events that may be asked for
        self.early: dict[str, list[Event]] = {}
        self.changed_contacts: set[str] = set()
        self.changed_deliveries: set[str] = set()
        self.changed_runs: set[str] = set()
        self.changed_conversations: set[str] = set()
        self.outbox: dict[str, Item] = {}
        self.withdrawn: list[int] = []
        self.emitted: list[Event] = []
        #: by the event's position: whom it is about, which delivery it names, under which keys it may be awaited,
        #: which runs it may begin
        self.contact_of: dict[int, str] = {}
        self.delivery_of: dict[int, str] = {}
        self.keys_of: dict[int, list[str]] = {}
        self.starting: dict[int, list[tuple[Flow, Run]]] = {}
        #: contact id → how this turn's newest event named them
        self.said: dict[str, object] = {}
        #: runs whose new waits may have been answered already
        self.asked_early: list[str] = []
        #: receipts of this turn that wait for their outcome, and the keys under which nothing waits any longer
        self.orphans: dict[str, list[Event]] = {}
        self.adopted: dict[str, None] = {}
        #: (workspace, kind, name) → the row of a definition that this turn took
        self.uploaded: dict[tuple[str, str, str], Row] = {}
        #: messages to somebody whom a step named
        self.unresolved: list[tuple[Send, Reference, str, Contact | None]] = []
        #: the earliest timer that was set; 0: none
        self.timers_due = 0
        #: (workspace, topic) to tell the live pages about
        self.topics: set[tuple[str, str]] = set()
        #: (workspace, collection, key) → a record, as this turn knows it; None: there is none
        self.records: dict[tuple[str, str, str], dict[str, Any] | None] = {}
        #: contacts who are to be forgotten from this turn on, as they were; and those of whom the next piece goes
        self.leaving: dict[str, tuple[Event, Contact]] = {}
        self.forgetting: list[str] = []
        #: the key of an address in memory → what is left of somebody forgotten who had it
        self.tombs: dict[str, Tomb] = {}
        #: (run, what it looks up), not found yet
        self.finding: list[tuple[str, Find]] = []
        #: journey's name → what its part has loaded
        self.rooms: dict[str, Any] = {}
        #: the event's position → what whoever asked with it is told
        self.answers: dict[int, Json] = {}
        self.next_entry = first_entry
        #: how many members or rows this turn's piece of big work may have
        self.piece = 0
        #: the kinds of timers that are big work, and the earliest of those that were set; 0: none
        self.big_kinds: frozenset[str] = frozenset()
        self.big_due = 0

    # Loading: each asks for what is neither in this turn nor in memory.

    async def load_addresses(self, wanted: dict[str, list[tuple[str, str]]]) -> None:
        """``wanted``: workspace → (channel, external id)s."""
        missing: list[tuple[str, str, str]] = []
        for workspace, pairs in wanted.items():
            for channel, external_id in pairs:
                key = address_key(workspace, channel, external_id)
                if key not in self.addresses:
                    known = self.memory.addresses.get(key)
                    if known is not None:
                        self.addresses[key] = known
                    else:
                        missing.append((workspace, channel, external_id))
        if not missing:
            return
        columns = ("workspace", "channel", "external_id")
        queries = joined("addresses", "workspace, channel, external_id, contact", columns, missing)
        for rows in await self.database.look_up(queries):
            for workspace_, channel_, external_id_, contact in rows:
                self.addresses[address_key(str(workspace_), str(channel_), str(external_id_))] = str(contact)

    async def load(
        self,
        *,
        contacts: set[str] = frozenset(),  # type: ignore[assignment]
        deliveries: set[str] = frozenset(),  # type: ignore[assignment]
        runs: set[str] = frozenset(),  # type: ignore[assignment]
        waits: set[str] = frozenset(),  # type: ignore[assignment]
    ) -> None:
        """Load rows by their keys, all kinds in one go."""
        contact_ids = self._missing(contacts, self.contacts, self.memory.contacts)
        talk_ids = self._missing(contacts, self.conversations, self.memory.conversations)
        delivery_ids = self._missing(deliveries, self.deliveries, self.memory.deliveries)
        run_ids = self._missing(runs, self.runs, self.memory.runs)
        wait_keys = [key for key in waits if key not in self.waits]
        queries: list[Query] = []
        plan: list[str] = []
        for name, sql, keys in (
            ("contact", "SELECT body FROM contacts WHERE id IN ({keys})", contact_ids),
            (
                "talk",
                "SELECT contact, workspace, state, inbox, agent, unread, preview, changed_ms"
                " FROM conversations WHERE contact IN ({keys})",
                talk_ids,
            ),
            ("delivery", "SELECT body FROM deliveries WHERE id IN ({keys})", delivery_ids),
            ("run", "SELECT body FROM runs WHERE id IN ({keys})", run_ids),
            ("wait", "SELECT match_key, run FROM waits WHERE match_key IN ({keys})", wait_keys),
        ):
            if keys:
                asked = within(sql, keys)
                queries += asked
                plan += [name] * len(asked)
        for key in wait_keys:
            self.waits[key] = set()
        if not queries:
            return
        for name, rows in zip(plan, await self.database.look_up(queries), strict=True):
            self._take(name, rows)

    def _take(self, name: str, rows: list[Row]) -> None:
        for row in rows:
            if name == "contact":
                contact = _contact(str(row[0]))
                self.contacts[contact.id] = contact
            elif name == "talk":
                self.conversations[str(row[0])] = msgspec.convert(
                    dict(zip(CONVERSATIONS.columns, row, strict=True)), Conversation
                )
            elif name == "delivery":
                delivery = _delivery(str(row[0]))
                self.deliveries[delivery.id] = delivery
            elif name == "run":
                run = _run(str(row[0]))
                self.runs[run.id] = run
            else:
                self.waits[str(row[0])].add(str(row[1]))

    @staticmethod
    def _missing(wanted: "set[str]", here: "dict[str, T]", recent: "Recent[T]") -> list[str]:
        missing = []
        for key in wanted:
            if key and key not in here:
                known = recent.get(key)
                if known is not None:
                    here[key] = known
                else:
                    missing.append(key)
        return missing

    def contact(self, event: Event) -> Contact | None:
        """Whom an event is about; None: nobody that is known."""
        return self.contacts.get(self.contact_of.get(event.position, ""))

    # Changing.

    def answer(self, event: Event, value: Json) -> None:
        """What whoever asked with this event is told, once the turn is durable."""
        self.answers[event.position] = value

    def post(self, entry: Entry, contact: Contact) -> None:
        """Append an entry, and bring its conversation up to date."""
        if contact.forgotten_ms:
            return
        self.put_entry(entry, contact)
        self.put_conversation(talks.add(self.conversation(contact), (entry,)))

    def put_contact(self, contact: Contact) -> None:
        """Keep a new or changed contact, and the addresses that it has now."""
        before = self.contacts.get(contact.id)
        self.contacts[contact.id] = contact
        self.changed_contacts.add(contact.id)
        if before is None or before.addresses != contact.addresses:
            for address in contact.addresses:
                key = address_key(contact.workspace, address.channel, address.external_id)
                if key not in self.addresses:
                    self.addresses[key] = contact.id
                    self.changes.insert_new(
                        ADDRESSES, (contact.workspace, address.channel, address.external_id, contact.id)
                    )

    def claim_address(self, contact: Contact, channel: str, external_id: str) -> Contact | None:
        """The address leads to this contact from now on; gives the one to whom it led before."""
        key = address_key(contact.workspace, channel, external_id)
        before = self.addresses.get(key)
        if before is None or before == contact.id:
            return None
        self.addresses[key] = contact.id
        self.changes.upsert(ADDRESSES, (contact.workspace, channel, external_id, contact.id))
        return self.contacts.get(before)

    def mention(self, who: str, event: Event) -> None:
        """The journal speaks of somebody here: it is found when they are to be forgotten."""
        self.changes.insert_new(MENTIONS, (who, event.position))

    def note(self, who: str, event: Event) -> None:
        """An event on which nobody acts names an address, whose digest this is."""
        self.changes.insert_new(NOTED, (event.position, who))

    def redact(self, positions: Iterable[int], contact: str, why: str = "") -> None:
        """What these events say goes; that they came, from whom and of which type, stays."""
        said = {"forgotten": True, "why": why} if why else {"forgotten": True}
        for sql, keys in within(
            "UPDATE journal SET data = ?, subject = ? WHERE position IN ({keys})",
            list(positions),
            (_encode(said).decode(), contact),
        ):
            self.changes.execute(sql, tuple(keys))

    def scrub_later(self) -> None:
        """What this turn took away lingers in the store's log: it is emptied when the next minute begins."""
        self.set_timer((self.now_ms // _MINUTE_MS + 1) * _MINUTE_MS, "forgetting", FILE)

    def bury(
        self, library: Library, subject: str, words: tuple[str, ...], refused: tuple[tuple[str, str, int], ...] = ()
    ) -> None:
        """Keep by its digest that these words were somebody's who was forgotten, and what must not be sent there."""
        row = (library.workspace, library.digest(*words), subject, self.now_ms, _encode(refused).decode())
        self.changes.upsert(TOMBSTONES, row)
        library.tombs = True

    async def buried(self, digests: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Tomb]:
        """What is left under these (workspace, digest)s."""
        found: dict[tuple[str, str], Tomb] = {}
        queries = joined(
            "tombstones", "workspace, digest, subject, at_ms, refused", ("workspace", "digest"), list(digests)
        )
        for rows in await self.database.look_up(queries):
            for workspace, digest, subject, at_ms, refused in rows:
                found[str(workspace), str(digest)] = Tomb(str(subject), int(at_ms or 0), _refused(str(refused)))
        return found

    async def erase_mentions(self, who: str, subject: str, most: int) -> int:
        """Take away what the journal, and the answers to it, say of somebody; how many events that were.

        ``subject``: whose these events are from now on, an id that leads to nothing personal.
        """
        rows = await self.database.fetch(
            "SELECT position FROM mentions WHERE who = ? ORDER BY position LIMIT ?", (who, most)
        )
        for (position,) in rows:
            self.changes.delete(MENTIONS, (who, position))
        return self._erase([int(row[0] or 0) for row in rows], subject)

    async def erase_notes(self, who: str, subject: str, most: int) -> int:
        """The same for events on which nobody acted, by the digest of an address: the table is walked, in a thread."""
        rows = await self.database.fetch(
            "SELECT position FROM noted WHERE who = ? ORDER BY position LIMIT ?", (who, most)
        )
        for (position,) in rows:
            self.changes.delete(NOTED, (position, who))
        return self._erase([int(row[0] or 0) for row in rows], subject)

    def _erase(self, positions: Sequence[int], subject: str) -> int:
        self.redact(positions, subject)
        # An answer that is there and empty: whoever asks the same again need not wait for one.
        for sql, values in within("UPDATE answers SET answer = '{}' WHERE position IN ({keys})", positions):
            self.changes.execute(sql, tuple(values))
        return len(positions)

    def drop_conversation(self, contact: str) -> None:
        """There is no conversation any more."""
        self.conversations.pop(contact, None)
        self.changed_conversations.discard(contact)
        self.memory.conversations.drop(contact)
        self.changes.delete(CONVERSATIONS, (contact,))

    def put_delivery(self, delivery: Delivery) -> None:
        """Keep a new or changed delivery."""
        self.deliveries[delivery.id] = delivery
        self.changed_deliveries.add(delivery.id)
        self.topics.add((delivery.workspace, "deliveries"))

    def put_run(self, run: Run) -> None:
        """Keep a new or changed run."""
        self.runs[run.id] = run
        self.changed_runs.add(run.id)
        self.topics.add((run.workspace, "runs"))

    def conversation(self, contact: Contact) -> Conversation:
        """The contact's one conversation; a new one where there was none."""
        found = self.conversations.get(contact.id)
        if found is None:
            found = Conversation(contact=contact.id, workspace=contact.workspace)
            self.conversations[contact.id] = found
        return found

    def put_conversation(self, conversation: Conversation) -> None:
        """Keep a changed conversation."""
        self.conversations[conversation.contact] = conversation
        self.changed_conversations.add(conversation.contact)

    def put_entry(self, entry: Entry, contact: Contact) -> None:
        """Append an entry to a contact's conversation; nobody has one with who was forgotten."""
        if contact.forgotten_ms:
            return
        self.changes.insert(
            ENTRIES,
            (
                self.next_entry,
                contact.workspace,
                contact.id,
                entry.at_ms,
                entry.kind,
                entry.author,
                entry.delivery,
                entry.body,
            ),
        )
        self.next_entry += 1
        self.topics.add((contact.workspace, "conversations"))
        self.topics.add((contact.workspace, f"conversation:{contact.id}"))

    def wait(self, run_id: str, key: str) -> None:
        """A run waits for this key from now on."""
        self.waits.setdefault(key, set()).add(run_id)
        self.changes.insert_new(WAITS, (key, run_id))

    def unwait(self, run_id: str, key: str) -> None:
        """A run waits for this key no longer."""
        self.waits.setdefault(key, set()).discard(run_id)
        self.changes.delete(WAITS, (key, run_id))

    def set_timer(self, due_ms: int, kind: str, subject: str) -> None:
        """Wake ``subject`` at ``due_ms``."""
        if kind in self.big_kinds:
            self.big_due = min(self.big_due or due_ms, due_ms)
            self.changes.upsert(BIG_TIMERS, (due_ms, kind, subject))
            return
        if not self.timers_due or due_ms < self.timers_due:
            self.timers_due = due_ms
        self.changes.upsert(TIMERS, (due_ms, kind, subject))

    def clear_timer(self, due_ms: int, kind: str, subject: str) -> None:
        """Don't wake it."""
        self.changes.delete(BIG_TIMERS if kind in self.big_kinds else TIMERS, (due_ms, kind, subject))

    def seen_early(self, key: str, event: Event) -> None:
        """A wait that starts later may ask for this event."""
        self.early.setdefault(key, []).append(event)
        self.changes.insert_new(EARLY, (key, event.position))

    def queue(self, item: Item) -> None:
        """Put a command into the outbox."""
        self.outbox[item.id] = item

    # Writing.

    def written(self) -> Changes:
        """All that this turn wants written."""
        changes = self.changes
        for id_ in self.changed_contacts:
            contact = self.contacts[id_]
            changes.upsert(CONTACTS, (id_, contact.workspace, contact.name, self.now_ms, _encode(contact).decode()))
        for id_ in self.changed_deliveries:
            delivery = self.deliveries[id_]
            choice = delivery.choice
            changes.upsert(
                DELIVERIES,
                (
                    id_,
                    delivery.workspace,
                    delivery.contact,
                    delivery.state,
                    choice.channel if choice else "",
                    choice.provider if choice else "",
                    delivery.created_ms,
                    delivery.changed_ms,
                    _encode(delivery).decode(),
                ),
            )
        for id_ in self.changed_runs:
            run = self.runs[id_]
            changes.upsert(
                RUNS,
                (
                    id_,
                    run.workspace,
                    run.flow,
                    run.version,
                    run.key,
                    run.contact,
                    run.status,
                    run.created_ms,
                    run.changed_ms,
                    _encode(run).decode(),
                ),
            )
        for id_ in self.changed_conversations:
            talk = self.conversations[id_]
            changes.upsert(
                CONVERSATIONS,
                (id_, talk.workspace, talk.state, talk.inbox, talk.agent, talk.unread, talk.preview, talk.changed_ms),
            )
        for item in self.outbox.values():
            changes.upsert(OUTBOX, item.row())
        for number in self.withdrawn:
            changes.delete(OUTBOX, (number,))
        return changes

    def remember(self) -> None:
        """After the commit: keep this turn's rows at hand."""
        memory = self.memory
        for id_ in self.changed_contacts:
            memory.contacts.put(id_, self.contacts[id_])
        for id_ in self.changed_deliveries:
            memory.deliveries.put(id_, self.deliveries[id_])
        for id_ in self.changed_runs:
            memory.runs.put(id_, self.runs[id_])  # those that ended too: a repeated event looks for them
        for id_ in self.changed_conversations:
            memory.conversations.put(id_, self.conversations[id_])
        for key, contact_id in self.addresses.items():
            memory.addresses.put(key, contact_id)
