"""Effects: what an event changes, room by room, within one turn of the wheel.

``load`` finds whom the turn's events are about and fetches every row that they touch, a few queries for the whole
batch. ``take`` and ``fire`` then touch memory only. ``follow`` asks for what became known on the way: results that came
before their wait, and contacts whom a step named.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from beckon.batch import Batch, Memory, address_key
from beckon.core import command as commands
from beckon.core.contact import Contact
from beckon.core.delivery import FINAL, Attempt, Choice, Delivery
from beckon.core.errors import BeckonError, Refused
from beckon.core.event import Event
from beckon.core.ids import derived, fresh
from beckon.core.message import Button, Rendered
from beckon.flows.advance import DEPTH_MAX, Advance, Matched, Outcome, Started, TimedOut, advance, begin
from beckon.flows.definition import Flow, contact_reference
from beckon.flows.matching import keys_of
from beckon.flows.run import FINAL as RUN_FINAL
from beckon.flows.run import Failure, Run, Taken, Wait
from beckon.inbox import conversation as talks
from beckon.inbox.entries import entries_for, entry_for_notice, entry_for_post, entry_for_status, message_entry
from beckon.intake.journal import event_from
from beckon.messaging.consent import apply_keyword, grant, keyword
from beckon.messaging.contacts import Reference, inbound, merge, read_reference
from beckon.messaging.deliveries import after_attempt, after_receipt
from beckon.outbox.queue import Item, Queue
from beckon.store.database import Database, joined, within
from beckon.store.tables import APPROVALS, DEFINITIONS, EARLY
from beckon.workspaces import OWN_TYPES, Library, Workspaces

#: Runs that one event may start or wake.
RUNS_AN_EVENT_MAX = 1_000
#: Receipts that came before the outcome that they belong to.
_ORPHANS_MAX = 10_000

_SOURCE = "beckon/flows"


class Effects:
    """The rooms' part of a turn."""

    def __init__(self, workspaces: Workspaces, queue: Queue, memory: Memory) -> None:
        self._workspaces = workspaces
        self._queue = queue
        self._memory = memory
        #: receipts that overtook our own outcome, by workspace, provider and the provider's id; the oldest first
        self._orphans: dict[str, list[Event]] = {}
        self.orphans_max = _ORPHANS_MAX
        self._acts: dict[str, Callable[[Batch, Library, Event, dict[str, Any], Contact | None], None]] = {
            "message.received": self._received,
            "message.sent": self._sent,
            "message.delivered": self._receipt,
            "message.read": self._receipt,
            "message.failed": self._failed,
            "message.retrying": self._attempted,
            "message.doubtful": self._doubted,
            "message.undeliverable": self._undeliverable,
            "message.not_forwarded": self._not_forwarded,
            "delivery.resend_asked": self._resend,
            "agent.replied": self._replied,
            "message.asked": self._asked,
            "run.stop_asked": self._stop_asked,
            "contact.changed": self._contact_changed,
            "consent.changed": self._consented,
            "template.status": self._template_status,
            "definition.uploaded": self._uploaded,
        }

    async def open(self, database: Database) -> None:
        """Read back the receipts that still wait for their outcome."""
        rows = await database.fetch(
            "SELECT e.match_key, j.position, j.workspace, j.source, j.id, j.type, j.subject, j.time_ms,"
            " j.accepted_ms, j.depth, j.data FROM early e JOIN journal j ON j.position = e.position"
            " WHERE e.match_key >= 'receipt:' AND e.match_key < 'receipt;' ORDER BY e.position LIMIT ?",
            (self.orphans_max,),
        )
        self._orphans.clear()
        for row in rows:
            self._orphans.setdefault(str(row[0]), []).append(event_from(row[1:]))

    def remember(self, batch: Batch) -> None:
        """After the commit: which receipts wait now."""
        for key in batch.adopted:
            self._orphans.pop(key, None)
        for key, events in batch.orphans.items():
            self._orphans.setdefault(key, []).extend(events)

    # Loading.

    async def load(self, batch: Batch, events: Sequence[Event], timers: Sequence[tuple[Any, ...]]) -> None:
        """Fetch what these events and timers touch, and settle whom each is about."""

        references: dict[int, Reference] = {}
        addresses: dict[str, list[tuple[str, str]]] = {}
        deliveries: set[str] = set()
        runs: set[str] = set()
        contacts: set[str] = set()
        receipts: list[tuple[str, str, str]] = []
        for event in events:
            if not self._concerns(event):
                continue
            fields = event.data if type(event.data) is dict else {}
            if "delivery" in fields and type(fields["delivery"]) is str:
                batch.delivery_of[event.position] = fields["delivery"]
                deliveries.add(fields["delivery"])
            elif "provider_id" in fields and event.type in _RECEIPTS:
                receipts.append((event.workspace, str(fields.get("provider")), str(fields["provider_id"])))
            if type(fields.get("run")) is str and ("command" in fields or event.type == "run.stop_asked"):
                runs.add(fields["run"])
            reference = self._reference(event, fields)
            if reference is not None:
                references[event.position] = reference
                if reference.id:
                    contacts.add(reference.id)
                elif reference.addresses:
                    addresses.setdefault(event.workspace, []).extend(
                        [(address.channel, address.external_id) for address in reference.addresses]
                    )
        for _, kind, subject in timers:
            (runs if kind == "run" else deliveries).add(subject)
        await batch.load_addresses(addresses)
        if receipts:
            await self._load_receipts(batch, events, receipts, deliveries)
        for event in events:
            reference = references.get(event.position)
            if reference is not None and not reference.id:
                for address in reference.addresses:
                    key = address_key(event.workspace, address.channel, address.external_id)
                    if key in batch.addresses:
                        contacts.add(batch.addresses[key])
        await batch.load(contacts=contacts, deliveries=deliveries, runs=runs)
        await batch.load(
            contacts={delivery.contact for delivery in batch.deliveries.values()}
            | {run.contact for run in batch.runs.values() if run.contact}
        )
        await self._load_expecting(batch, events, references)
        for event in events:
            self._settle_contact(batch, event, references.get(event.position))
        await self._load_runs(batch, events)

    async def _load_expecting(self, batch: Batch, events: Sequence[Event], references: dict[int, Reference]) -> None:
        """The runs that wait for what an event says of somebody whom nobody knows by these addresses.

        Who checks in may give another number than the workshop had: it is the visit that says who it is.
        """
        waits: set[str] = set()
        for event in events:
            reference, library = references.get(event.position), self._workspaces.get(event.workspace)
            if reference is None or reference.id or library is None or event.type not in library.shapes:
                continue
            if not any(
                address_key(event.workspace, address.channel, address.external_id) in batch.addresses
                for address in reference.addresses
            ):
                batch.keys_of[event.position] = keys_of(library.shapes[event.type], event, "")
                waits.update(batch.keys_of[event.position])
        if waits:
            await batch.load(waits=waits)
            await batch.load(runs={run_id for key in waits for run_id in batch.waits[key]})
            await batch.load(contacts={run.contact for run in batch.runs.values() if run.contact})

    def _expecting(self, batch: Batch, event: Event) -> Contact | None:
        """The contact of the run that waits for this event, where its addresses lead to nobody."""
        for key in batch.keys_of.get(event.position, ()):
            for run_id in sorted(batch.waits.get(key, ())):
                run = batch.runs.get(run_id)
                if run is not None and run.workspace == event.workspace and run.contact in batch.contacts:
                    return batch.contacts[run.contact]
        return None

    def _concerns(self, event: Event) -> bool:
        """Whether anything here acts on an event of this type; the journal keeps the others all the same."""
        library = self._workspaces.get(event.workspace)
        if library is None:
            return False
        type_ = event.type
        return (
            type_ in self._acts
            or type_ in library.shapes
            or bool(library.flows_on(type_))
            or type_.startswith(OWN_TYPES)
        )

    def _reference(self, event: Event, fields: dict[str, Any]) -> Reference | None:
        if event.about is not None:
            return event.about  # type: ignore[no-any-return]  # the door has read it
        library = self._workspaces.get(event.workspace)
        if library is None:
            return None
        try:
            if event.type == "message.received":
                return inbound(fields, region=library.settings.region)
            if fields.get("contact"):
                return read_reference(fields["contact"], region=library.settings.region)
            if event.subject is not None and event.subject.startswith("con_"):
                return read_reference(event.subject, region=library.settings.region)
            for flow in library.flows_on(event.type):
                meant = contact_reference(flow, event, event.accepted_ms)  # a flow may say where its contact stands
                if meant is not None:
                    return read_reference(meant, region=library.settings.region)
        except Refused:
            return None  # the door said so where it could; a flow that needs the contact fails with its reason
        return None

    async def _load_receipts(
        self, batch: Batch, events: Sequence[Event], receipts: list[tuple[str, str, str]], deliveries: set[str]
    ) -> None:
        found: dict[tuple[str, str, str], str] = {}
        columns = ("workspace", "provider", "provider_id")
        queries = joined("provider_ids", "workspace, provider, provider_id, delivery", columns, receipts)
        for rows in await batch.database.look_up(queries):
            for workspace, provider, provider_id, delivery in rows:
                found[str(workspace), str(provider), str(provider_id)] = str(delivery)
        for event in events:
            if event.type in _RECEIPTS and event.position not in batch.delivery_of:
                fields = event.data if type(event.data) is dict else {}
                key = (event.workspace, str(fields.get("provider")), str(fields.get("provider_id")))
                # A hand-over whose answer never came is known to us by our own reference only.
                delivery_id = found.get(key) or fields.get("reference")
                if type(delivery_id) is str:
                    batch.delivery_of[event.position] = delivery_id
                    deliveries.add(delivery_id)

    def _settle_contact(self, batch: Batch, event: Event, reference: Reference | None) -> None:
        """Whom the event is about; a new contact where nobody has these addresses yet."""
        delivery = batch.deliveries.get(batch.delivery_of.get(event.position, ""))
        if delivery is not None and delivery.workspace == event.workspace:
            batch.contact_of[event.position] = delivery.contact
        elif reference is not None:
            contact = self._found_or_new(batch, event.workspace, reference, self._expecting(batch, event))
            if contact is not None:
                batch.contact_of[event.position] = contact.id
                batch.said[contact.id] = event.data.get("contact") if type(event.data) is dict else None

    def _found_or_new(
        self, batch: Batch, workspace: str, reference: Reference, else_: Contact | None = None
    ) -> Contact | None:
        found: Contact | None = None
        if reference.id:
            found = batch.contacts.get(reference.id)
            if found is None or found.workspace != workspace:
                return None
        else:
            for address in reference.addresses:
                id_ = batch.addresses.get(address_key(workspace, address.channel, address.external_id))
                found = batch.contacts.get(id_) if id_ is not None else None
                if found is not None:
                    break
        if found is None:
            if not reference.addresses:
                return None
            found = else_ or Contact(id=fresh("con"), workspace=workspace)
        merged = merge(found, reference, batch.now_ms)
        if merged is not found or found.id not in batch.contacts:
            batch.put_contact(merged)
        return merged

    async def _load_runs(self, batch: Batch, events: Sequence[Event]) -> None:
        """The runs that these events may wake, and those that their new runs would repeat."""
        waits: set[str] = set()

        runs: set[str] = set()
        for event in events:
            library = self._workspaces.get(event.workspace)
            if library is None:
                continue
            contact_id = batch.contact_of.get(event.position, "")
            shapes = library.shapes.get(event.type)
            if shapes:
                keys = keys_of(shapes, event, contact_id)
                batch.keys_of[event.position] = keys
                waits.update(keys)
            for flow in library.flows_on(event.type):
                run = self._begun(batch, library, flow, event, contact_id)
                if run is not None:
                    batch.starting.setdefault(event.position, []).append((flow, run))
                    runs.add(run.id)
        if waits:
            await batch.load(waits=waits)
            for key in waits:
                waiting = batch.waits[key]
                runs |= waiting if len(waiting) <= RUNS_AN_EVENT_MAX else set(sorted(waiting)[:RUNS_AN_EVENT_MAX])
        if runs:
            await batch.load(runs=runs)
            await batch.load(contacts={batch.runs[id_].contact for id_ in runs if id_ in batch.runs})
        for run in batch.runs.values():
            library = self._workspaces.get(run.workspace)
            if library is not None and run.status not in RUN_FINAL:
                await library.keep(run.flow, run.version, batch.database)

    def _begun(self, batch: Batch, library: Library, flow: Flow, event: Event, contact_id: str) -> Run | None:
        try:
            return begin(flow, event, batch.contacts.get(contact_id), batch.now_ms, zone=library.settings.time_zone)
        except BeckonError as error:
            contact = batch.contacts.get(contact_id)
            if contact is not None:
                self._say(batch, contact, f"The flow {flow.name} did not start: {error.why}", flow.name)
            return None

    # Taking one event.

    def take(self, batch: Batch, event: Event) -> None:
        """All that one event changes."""
        library = self._workspaces.get(event.workspace)
        if library is None:
            return
        contact = batch.contacts.get(batch.contact_of.get(event.position, ""))
        fields = event.data if type(event.data) is dict else {}
        act = self._acts.get(event.type)
        if act is not None:
            act(batch, library, event, fields, contact)
        if contact is not None:
            if act is None and type(fields.get("consent")) is dict:
                self._said_yes(batch, event, fields["consent"], contact)
            self._enter(batch, event, batch.contacts[contact.id])
        if "command" in fields and type(fields.get("run")) is str and event.type in _OUTCOMES:
            run = batch.runs.get(fields["run"])
            if run is not None and run.workspace == event.workspace:
                self._advance(batch, library, run, Outcome(event))
        keys = batch.keys_of.get(event.position, ())
        self._wake(batch, library, event, [run_id for key in keys for run_id in sorted(batch.waits.get(key, ()))])
        for flow, run in batch.starting.get(event.position, ()):
            if run.id not in batch.runs:
                self._advance(batch, library, run, Started(), flow=flow)
        for key in keys:
            batch.seen_early(key, event)
        batch.topics.add((event.workspace, "events"))

    def _wake(self, batch: Batch, library: Library, event: Event, waiting: list[str]) -> None:
        for run_id in waiting[:RUNS_AN_EVENT_MAX]:
            run = batch.runs.get(run_id)
            if run is not None:
                self._advance(batch, library, run, Matched(event))
        if len(waiting) > RUNS_AN_EVENT_MAX:
            why = f"{len(waiting)} runs wait for this event, and {RUNS_AN_EVENT_MAX} are the most that one may wake"
            fields = {"position": event.position, "type": event.type, "code": "event.too_many_runs", "why": why}
            batch.emitted.append(
                Event(
                    workspace=event.workspace, source="beckon/worker", id=f"crowd-{event.position}",
                    type="event.failed", time_ms=batch.now_ms, data=fields,
                )
            )  # fmt: skip

    def fire(self, batch: Batch, due_ms: int, kind: str, subject: str) -> None:
        """A timer is due."""
        if kind == "run":
            run = batch.runs.get(subject)
            if run is None or run.status in RUN_FINAL:
                return
            library = self._workspaces.get(run.workspace)
            if library is not None:
                self._advance(batch, library, run, TimedOut())
            return
        delivery = batch.deliveries.get(subject)
        if delivery is None or delivery.fallback_due_ms != due_ms:
            return
        library = self._workspaces.get(delivery.workspace)
        if library is not None and delivery.state == "sent":
            delivery.fallback_due_ms = 0
            self._requeue(batch, delivery)

    def _enter(self, batch: Batch, event: Event, contact: Contact) -> None:
        delivery = batch.deliveries.get(batch.delivery_of.get(event.position, ""))
        entries = entries_for(event, contact.id, delivery)
        if not entries and event.type not in talks.ACTS:
            return
        for entry in entries:
            batch.put_entry(entry, contact)
        batch.put_conversation(talks.apply(batch.conversation(contact), event, entries))
        batch.topics.add((contact.workspace, "conversations"))
        batch.topics.add((contact.workspace, f"conversation:{contact.id}"))

    def _add(self, batch: Batch, contact: Contact, entry: Any) -> None:
        batch.put_entry(entry, contact)
        batch.put_conversation(talks.add(batch.conversation(contact), (entry,)))

    def _say(self, batch: Batch, contact: Contact, text: str, flow: str) -> None:
        entry = entry_for_post(
            commands.Post(id="", workspace=contact.workspace, kind="error", body=text),
            contact=contact.id,
            author=f"flow:{flow}",
            at_ms=batch.now_ms,
        )
        self._add(batch, contact, entry)

    # Runs.

    def _advance(self, batch: Batch, library: Library, run: Run, stimulus: Any, *, flow: Flow | None = None) -> None:
        if flow is None:
            flow = library.flow(run.flow, run.version)
        if run.status in RUN_FINAL:
            return
        if flow is None:
            self._strand(batch, run)
            return
        before = run.waiting
        contact = batch.contacts.get(run.contact)
        result: Advance = advance(flow, run, stimulus, batch.now_ms, contact, zone=library.settings.time_zone)
        if not result.taken:
            return
        run = result.run
        batch.put_run(run)
        for command in result.commands:
            self._perform(batch, library, run, contact, command)
        if before is not run.waiting:
            self._rewire(batch, run, before, started=type(stimulus) is Started)

    def _strand(self, batch: Batch, run: Run) -> None:
        """End a run whose version of the flow can't be read any more: it can't go on, and must not sleep for ever."""
        before, run.waiting = run.waiting, ()
        run.error = Failure("flow.version", f"Version {run.version} of the flow can't be read any more.", run.pointer)
        run.become("failed", batch.now_ms)
        run.history = (*run.history, Taken(run.pointer, batch.now_ms, "failed", run.error.why))
        batch.put_run(run)
        self._rewire(batch, run, before, started=False)
        contact = batch.contacts.get(run.contact)
        if contact is not None:
            self._say(batch, contact, run.error.why, run.flow)

    def _rewire(self, batch: Batch, run: Run, before: tuple[Wait, ...], *, started: bool) -> None:
        """Move the run's waits and timers from what it waited for to what it waits for."""
        old = {awaited.key for wait in before for awaited in wait.keys}
        new = {awaited.key for wait in run.waiting for awaited in wait.keys}
        for key in old - new:
            batch.unwait(run.id, key)
        for key in new - old:
            batch.wait(run.id, key)
        old_due = {wait.deadline_ms for wait in before if wait.deadline_ms}
        new_due = {wait.deadline_ms for wait in run.waiting if wait.deadline_ms}
        for due_ms in old_due - new_due:
            batch.clear_timer(due_ms, "run", run.id)
        for due_ms in new_due - old_due:
            batch.set_timer(due_ms, "run", run.id)
        if new and not started:
            # Only what came after the run began can count, and that is in the table or in this very turn.
            batch.asked_early.append(run.id)

    async def follow(self, batch: Batch) -> None:
        """Results that came before their wait, and contacts whom a step named, until nothing is left."""
        # Each round takes a run at least one step further, and a flow's limits say how many it may take.
        while batch.asked_early or batch.unresolved:
            if batch.asked_early:
                await self._ask_early(batch)
            if batch.unresolved:
                await self._resolve(batch)

    async def _ask_early(self, batch: Batch) -> None:
        asked, batch.asked_early = batch.asked_early, []
        keys: dict[str, set[str]] = {}
        for run_id in asked:
            for wait in batch.runs[run_id].waiting:
                for awaited in wait.keys:
                    keys.setdefault(awaited.key, set()).add(run_id)
        if not keys:
            return
        found: dict[str, list[tuple[int, str]]] = {}
        positions: set[int] = set()
        for rows in await batch.database.look_up(
            within(
                "SELECT match_key, position FROM early WHERE position > ? AND match_key IN ({keys})",
                list(keys),
                (min(batch.runs[run_id].position for run_id in asked),),
            )
        ):
            for key, position in rows:
                for run_id in keys[str(key)]:
                    run = batch.runs[run_id]
                    at = int(position or 0)
                    if at > run.position and at not in run.consumed:
                        found.setdefault(run_id, []).append((at, str(key)))
                        positions.add(at)
        events: dict[int, Event] = {}
        for key, run_ids in keys.items():
            for event in batch.early.get(key, ()):
                for run_id in run_ids:
                    run = batch.runs[run_id]
                    if event.position > run.position and event.position not in run.consumed:
                        found.setdefault(run_id, []).append((event.position, key))
                        events[event.position] = event
        missing = [position for position in positions if position not in events]
        if missing:
            for rows in await batch.database.look_up(
                within(
                    "SELECT position, workspace, source, id, type, subject, time_ms, accepted_ms, depth, data"
                    " FROM journal WHERE position IN ({keys})",
                    missing,
                )
            ):
                for row in rows:
                    event = event_from(row)
                    events[event.position] = event
        for run_id, candidates in found.items():
            run = batch.runs[run_id]
            library = self._workspaces.get(run.workspace)
            if library is None:
                continue
            for position, _ in sorted(set(candidates)):
                if position in events:
                    waited = run.waiting
                    self._advance(batch, library, run, Matched(events[position]))
                    if batch.runs[run_id].waiting is not waited:
                        break

    # Commands.

    def _perform(
        self, batch: Batch, library: Library, run: Run, contact: Contact | None, command: commands.AnyCommand
    ) -> None:
        author = f"flow:{run.flow}"
        if isinstance(command, commands.Send):
            self._address(batch, library, contact, command, author)
        elif isinstance(command, commands.Call | commands.Http):
            number = self._queue.number()
            batch.queue(
                Item(
                    number=number, id=command.id, workspace=run.workspace, lane=run.id, state="ready", due_ms=0,
                    attempt=0, command=command,
                )
            )  # fmt: skip
        elif isinstance(command, commands.Emit):
            if run.depth < DEPTH_MAX:
                batch.emitted.append(
                    Event(
                        workspace=run.workspace,
                        source=_SOURCE,
                        id=command.id,
                        type=command.type,
                        time_ms=batch.now_ms,
                        data=command.data,
                        subject=run.contact or None,
                        depth=run.depth + 1,
                    )
                )
            elif contact is not None:
                self._say(
                    batch, contact, f"{command.type} was not emitted: flows led to flows {DEPTH_MAX} times", run.flow
                )
        elif contact is None:
            return
        elif isinstance(command, commands.Post):
            self._add(batch, contact, entry_for_post(command, contact=contact.id, author=author, at_ms=batch.now_ms))
        elif isinstance(command, commands.Notify):
            talk = batch.conversation(contact)
            batch.put_conversation(talks.assign(talk, inbox=command.inbox, agent=talk.agent))
            self._add(batch, contact, entry_for_notice(command, contact=contact.id, author=author, at_ms=batch.now_ms))
            batch.topics.add((contact.workspace, f"inbox:{command.inbox}"))
        elif isinstance(command, commands.Assign):
            batch.put_conversation(talks.assign(batch.conversation(contact), inbox=command.inbox, agent=command.agent))

    def _address(
        self, batch: Batch, library: Library, contact: Contact | None, command: commands.Send, author: str
    ) -> None:
        """Find to whom a message goes: the run's contact, or whom the step names."""
        if command.to is None or (contact is not None and command.to == contact.id):
            if contact is not None:
                self._send(batch, contact, command, author)
            return
        if contact is not None and command.to == batch.said.get(contact.id):
            self._send(batch, contact, command, author)  # whom the event named, and that is this contact
            return
        try:
            reference = read_reference(command.to, region=library.settings.region, field="to")
        except Refused as error:
            self._unaddressed(batch, contact, command, author, error.why)
            return
        if contact is not None and not reference.id:
            held = {(address.channel, address.external_id) for address in contact.addresses}
            if any((address.channel, address.external_id) in held for address in reference.addresses):
                self._send(batch, contact, command, author)
                return
        batch.unresolved.append((command, reference, author, contact))

    async def _resolve(self, batch: Batch) -> None:
        unresolved, batch.unresolved = batch.unresolved, []
        wanted: dict[str, list[tuple[str, str]]] = {}
        ids: set[str] = set()
        for command, reference, _, _ in unresolved:
            if reference.id:
                ids.add(reference.id)
            wanted.setdefault(command.workspace, []).extend(
                [(address.channel, address.external_id) for address in reference.addresses]
            )
        await batch.load_addresses(wanted)
        for workspace, pairs in wanted.items():
            for channel, external_id in pairs:
                found = batch.addresses.get(address_key(workspace, channel, external_id))
                if found is not None:
                    ids.add(found)
        await batch.load(contacts=ids)
        for command, reference, author, contact in unresolved:
            reader = self._found_or_new(batch, command.workspace, reference)
            if reader is not None:
                self._send(batch, reader, command, author)
            else:
                self._unaddressed(batch, contact, command, author, "nobody is known by that id")

    def _unaddressed(
        self, batch: Batch, contact: Contact | None, command: commands.Send, author: str, why: str
    ) -> None:
        """A message has no reader: the team is told, and the run if it waits for an outcome."""
        if contact is not None:
            self._say(batch, contact, f"A message has no reader: {why}", author.partition(":")[2])
        if command.awaited:
            fields = {"run": command.run, "command": command.id, "code": "message.reader", "why": why}
            batch.emitted.append(
                Event(
                    workspace=command.workspace, source=_SOURCE, id=command.id, type="message.undeliverable",
                    time_ms=batch.now_ms, data=fields,
                )
            )  # fmt: skip

    def _send(self, batch: Batch, contact: Contact, command: commands.Send, author: str) -> Delivery:
        # Whom it goes to is settled: the row need not repeat what the step said of them.
        command = msgspec.structs.replace(command, to=None)
        delivery = Delivery(
            id=derived("dlv", command.id),
            workspace=contact.workspace,
            contact=contact.id,
            run=command.run,
            template=command.template,
            purpose=command.purpose,
            created_ms=batch.now_ms,
            changed_ms=batch.now_ms,
            text=command.text,
            author=author,
            command=command,
        )
        if command.not_before_ms > batch.now_ms:
            delivery.state = "scheduled"
        self._queue_delivery(batch, delivery, command, max(command.not_before_ms, 0))
        return delivery

    def _queue_delivery(self, batch: Batch, delivery: Delivery, command: commands.Send, due_ms: int) -> None:
        scheduled = due_ms > batch.now_ms
        delivery.queued_number = self._queue.number()
        batch.queue(
            Item(
                number=delivery.queued_number,
                id=delivery.id,
                workspace=delivery.workspace,
                lane=delivery.contact,
                state="scheduled" if scheduled else "ready",
                due_ms=due_ms if scheduled else 0,
                attempt=0,
                command=command,
            )
        )
        batch.put_delivery(delivery)

    def _requeue(self, batch: Batch, delivery: Delivery) -> None:
        """Ask for the same message again; which channels are left is ``choose``'s to say."""
        command = delivery.command
        if not isinstance(command, commands.Send):
            command = msgspec.convert(command, commands.Send)
        delivery.changed_ms = batch.now_ms
        if delivery.queued_number:
            batch.put_delivery(delivery)  # it is on its way out already: never two at once
        else:
            self._queue_delivery(batch, delivery, command, 0)

    # What our own types of event do.

    def _received(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        if contact is None:
            return
        channel = str(fields.get("channel"))
        contact = msgspec.structs.replace(
            contact,
            last_inbound_ms={
                **contact.last_inbound_ms,
                channel: max(event.time_ms, contact.last_inbound_ms.get(channel, 0)),
            },
        )
        text = fields.get("text")
        word = keyword(text) if type(text) is str else None
        if word is not None:
            contact = apply_keyword(contact, channel, word, event.time_ms, str(fields.get("provider_id", event.id)))
        batch.put_contact(contact)
        if word is not None:
            said = "stopped" if word == "stop" else "allowed again"
            self._add(
                batch,
                contact,
                entry_for_status(
                    event.workspace, contact.id, f"{said} messages on {channel}", author="contact", at_ms=batch.now_ms
                ),
            )

    def _delivery(self, batch: Batch, event: Event) -> Delivery | None:
        delivery = batch.deliveries.get(batch.delivery_of.get(event.position, ""))
        return delivery if delivery is not None and delivery.workspace == event.workspace else None

    def _sent(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        if event.source != "beckon/outbox":
            self._receipt(batch, library, event, fields, contact)
            return
        delivery = self._delivery(batch, event)
        if delivery is None or contact is None:
            return
        delivery = self._recorded(batch, event, delivery, fields, contact, "sent")
        orphans = self._adopted(batch, event)
        command = delivery.command
        fallback_ms = (
            command.fallback_after_ms
            if isinstance(command, commands.Send)
            else int((command or {}).get("fallback_after_ms", 0))
        )
        if fallback_ms and delivery.state == "sent":
            delivery.fallback_due_ms = event.accepted_ms + fallback_ms
            batch.set_timer(delivery.fallback_due_ms, "delivery", delivery.id)
        for orphan in orphans:
            batch.delivery_of[orphan.position] = delivery.id
            self._receipt(batch, library, orphan, orphan.data, contact)

    def _attempted(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        delivery = self._delivery(batch, event)
        if delivery is not None and contact is not None:
            self._recorded(batch, event, delivery, fields, contact, str(fields.get("kind", "unavailable")))

    def _failed(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        if event.source != "beckon/outbox":
            self._receipt(batch, library, event, fields, contact)
            return
        delivery = self._delivery(batch, event)
        if delivery is not None and contact is not None:
            delivery = self._recorded(batch, event, delivery, fields, contact, str(fields.get("kind", "refused")))
            self._requeue(batch, delivery)

    def _recorded(
        self, batch: Batch, event: Event, delivery: Delivery, fields: dict[str, Any], contact: Contact, outcome: str
    ) -> Delivery:
        """Note an attempt on its delivery, and put the message into the conversation when it is seen first."""
        choice = msgspec.convert(fields["choice"], Choice) if fields.get("choice") else delivery.choice
        attempt = Attempt(
            number=int(fields.get("attempt", 1)),
            channel=str(fields.get("channel", "")),
            provider=str(fields.get("provider", "")),
            at_ms=event.accepted_ms,
            outcome=outcome,
            code=str(fields.get("code", "")),
            why=str(fields.get("why", "")),
            provider_id=str(fields.get("provider_id", "")),
        )
        delivery = after_attempt(delivery, attempt, choice=choice, retrying=event.type == "message.retrying")
        # A time-out leaves it unknown whether the provider has it, as a crash does.
        delivery.doubtful = delivery.doubtful or fields.get("doubtful") is True
        delivery.text = str(fields.get("text") or delivery.text)
        if event.type != "message.retrying":
            delivery.queued_number = 0
        if not delivery.entered:
            delivery.entered = True
            self._add(
                batch,
                contact,
                message_entry(
                    delivery,
                    author=delivery.author,
                    at_ms=event.accepted_ms,
                    rendered=_as_said(delivery.text, fields) if "buttons" in fields else None,
                    text=delivery.text,
                ),
            )
        batch.put_delivery(delivery)
        return delivery

    def _receipt(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        delivery = self._delivery(batch, event)
        state = event.type.partition(".")[2]
        if delivery is None or (state == "failed" and _is_early(delivery, fields)):
            self._orphaned(batch, event, fields)
            return
        delivery, changed, _ = after_receipt(
            delivery,
            state,
            event.time_ms,
            provider_id=str(fields.get("provider_id", "")),
            code=str(fields.get("code", "")),
            why=str(fields.get("why", "")),
        )
        batch.put_delivery(delivery)
        batch.topics.add((delivery.workspace, f"conversation:{delivery.contact}"))
        if not changed:
            return
        if state == "sent":
            return
        if delivery.fallback_due_ms:
            batch.clear_timer(delivery.fallback_due_ms, "delivery", delivery.id)
            delivery.fallback_due_ms = 0
        if state == "failed":
            self._requeue(batch, delivery)
        else:
            self._stop_fallback(batch, delivery)

    def _stop_fallback(self, batch: Batch, delivery: Delivery) -> None:
        number = delivery.queued_number
        if number and self._queue.withdraw(number, delivery.contact):
            # A fallback that has not left yet: the late receipt says that it is not needed.
            batch.outbox.pop(delivery.id, None)
            batch.withdrawn.append(number)
            delivery.queued_number = 0

    def _orphaned(self, batch: Batch, event: Event, fields: dict[str, Any]) -> None:
        """A receipt that overtook our own outcome waits for it; of too many, the oldest is nobody's."""
        if "provider_id" not in fields:
            return
        if len(self._orphans) - len(batch.adopted) + len(batch.orphans) >= self.orphans_max:
            oldest = next((key for key in self._orphans if key not in batch.adopted), None)
            if oldest is None:
                return
            self._forget_orphans(batch, oldest)
        key = _orphan_key(event)
        batch.orphans.setdefault(key, []).append(event)
        batch.changes.insert_new(EARLY, (key, event.position))

    def _adopted(self, batch: Batch, event: Event) -> list[Event]:
        """The receipts that waited for this outcome."""
        key = _orphan_key(event)
        waited = [] if key in batch.adopted else list(self._orphans.get(key, ()))
        if waited:
            self._forget_orphans(batch, key)
        for orphan in batch.orphans.get(key, ()):
            batch.changes.delete(EARLY, (key, orphan.position))
        return waited + batch.orphans.pop(key, [])

    def _forget_orphans(self, batch: Batch, key: str) -> None:
        batch.adopted[key] = None
        for orphan in self._orphans[key]:
            batch.changes.delete(EARLY, (key, orphan.position))

    def _doubted(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        delivery = self._delivery(batch, event)
        if delivery is None or delivery.state in FINAL or contact is None:
            return
        delivery = after_attempt(
            delivery,
            Attempt(
                number=int(fields.get("attempt", 1)), channel=str(fields.get("channel", "")), provider="",
                at_ms=event.accepted_ms, outcome="doubtful", code="outbox.doubtful", why=str(fields.get("why", "")),
            ),
            choice=delivery.choice,
        )  # fmt: skip
        if fields.get("held") is True:
            delivery.queued_number = 0  # its row is gone: a person decides
        batch.put_delivery(delivery)

    def _undeliverable(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        delivery = self._delivery(batch, event)
        if delivery is None:
            return
        delivery.choice = msgspec.convert(fields["choice"], Choice) if fields.get("choice") else delivery.choice
        delivery.text = str(fields.get("text") or delivery.text)
        delivery.queued_number = 0
        delivery.changed_ms = event.accepted_ms
        if delivery.state not in ("delivered", "read", "sent"):
            delivery.state = "undeliverable"
        batch.put_delivery(delivery)

    def _not_forwarded(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """A fallback found no further channel: what was sent before stays on its way."""
        delivery = self._delivery(batch, event)
        if delivery is not None:
            delivery.queued_number = 0
            batch.put_delivery(delivery)

    def _resend(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        delivery = self._delivery(batch, event)
        if delivery is None or contact is None or delivery.queued_number:
            return
        if delivery.state in ("delivered", "read"):
            return
        if delivery.doubtful and fields.get("accept_duplicate") is not True:
            return
        delivery.fresh_from = len(delivery.attempts)
        delivery.state = "queued" if delivery.state in ("undeliverable", "cancelled") else delivery.state
        self._requeue(batch, delivery)

    def _replied(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        if contact is not None and type(fields.get("text")) is str and fields["text"].strip():
            command = commands.Send(
                id=derived("cmd", event.workspace, event.source, event.id),
                workspace=event.workspace,
                contact=contact.id,
                text=fields["text"],
                via=tuple(fields.get("via") or ("best",)),
            )
            self._send(batch, contact, command, f"agent:{fields.get('agent') or fields.get('by', '')}")

    def _asked(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """A message that somebody asked for by the API, without a flow."""
        if contact is None:
            return
        command = commands.Send(
            id=derived("cmd", event.workspace, event.source, event.id),
            workspace=event.workspace,
            contact=contact.id,
            template=str(fields.get("template", "")),
            text=str(fields.get("text", "")),
            variables=fields.get("variables") or {},
            via=tuple(fields.get("via") or ("best",)),
            purpose=str(fields.get("purpose", "transactional")),
            locale=str(fields.get("locale", "")),
        )
        self._send(batch, contact, command, f"agent:{fields.get('by', '')}")

    def _stop_asked(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """A person ends a run where it stands; what it has asked for already goes its way."""
        run = batch.runs.get(str(fields.get("run")))
        if run is None or run.workspace != event.workspace or run.status in RUN_FINAL:
            return
        before, run.waiting = run.waiting, ()
        run.become("stopped", batch.now_ms)
        run.ended = str(fields.get("reason") or "stopped by hand")
        run.history = (*run.history, Taken(run.pointer, batch.now_ms, "stopped", run.ended))
        batch.put_run(run)
        self._rewire(batch, run, before, started=False)

    def _contact_changed(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """What the reference says is merged already; the contact's own order of channels stands beside it."""
        order = fields.get("channel_order")
        if contact is not None and type(order) is list:
            batch.put_contact(msgspec.structs.replace(contact, channel_order=tuple(map(str, order))))

    def _consented(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        if contact is not None:
            batch.put_contact(grant(contact, fields, event.time_ms))

    def _said_yes(self, batch: Batch, event: Event, said: dict[str, Any], contact: Contact) -> None:
        """What a form's boxes allowed or forbade: ``data.consent.marketing {granted, text}``, its text the proof."""
        marketing = said.get("marketing")
        if type(marketing) is dict and type(marketing.get("granted")) is bool:
            words = str(marketing.get("text", ""))[:200]
            proof = f"{event.type} {event.id}: “{words}”" if words else f"{event.type} {event.id}"
            batch.put_contact(
                grant(
                    contact,
                    {"purpose": "marketing", "channel": "*", "granted": marketing["granted"], "proof": proof[:300]},
                    event.time_ms,
                )
            )

    def _template_status(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        row = (
            event.workspace, str(fields.get("provider")), str(fields.get("template")), str(fields.get("language")),
            str(fields.get("state")), event.time_ms,
        )  # fmt: skip
        batch.changes.upsert(APPROVALS, row)
        library.approvals[row[1], row[2], row[3]] = row[4]

    def _uploaded(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        kind, name, version, text = (str(fields.get(key, "")) for key in ("kind", "name", "version", "text"))
        batch.changes.execute(
            "UPDATE definitions SET current = 0 WHERE workspace = ? AND kind = ? AND name = ?",
            (event.workspace, kind, name),
        )
        before = batch.uploaded.get((event.workspace, kind, name))
        if before is not None and before[3] != version:
            # Uploaded in this very turn: the statement above does not find it.
            batch.changes.upsert(DEFINITIONS, (*before[:6], 0, before[7]))
        row = (event.workspace, kind, name, version, text, "api", 1, event.accepted_ms)
        batch.changes.upsert(DEFINITIONS, row)
        batch.uploaded[event.workspace, kind, name] = row
        library.take(kind, name, text)


_RECEIPTS = frozenset({"message.sent", "message.delivered", "message.read", "message.failed"})
_OUTCOMES = frozenset(
    {"message.sent", "message.undeliverable", "http.completed", "http.failed", "call.completed", "call.failed"}
)


def _as_said(text: str, fields: dict[str, Any]) -> Rendered:
    """The message as its outcome tells it, for the conversation."""
    return Rendered(text=text, buttons=msgspec.convert(fields["buttons"], tuple[Button, ...]))


def _orphan_key(event: Event) -> str:
    return f"receipt:{event.workspace}:{event.data.get('provider')}:{event.data.get('provider_id')}"


def _is_early(delivery: Delivery, fields: dict[str, Any]) -> bool:
    """Whether a receipt is about a hand-over whose own outcome is still to come."""
    about = fields.get("provider_id")
    return bool(delivery.queued_number) and all(attempt.provider_id != about for attempt in delivery.attempts)
