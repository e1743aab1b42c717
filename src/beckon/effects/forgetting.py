"""Forgetting: a person is forgotten, for good: at once to everybody who looks, then row by row, a piece in each turn.

``contact.forget_asked`` takes the name, the addresses and the conversation within its own turn: from then on nothing
reaches them, and whoever writes from one of their addresses is somebody new. What was written down of them goes
afterwards, in pieces: one turn, one commit, so many rows, found by index. Where it is stands in ``forgettings``, its
timer in ``timers``: a server that is killed goes on where it was. At the end ``contact.forgotten`` says so.

===========  =========================================================================================
``runs``     live ones end with the reason ``forgotten``; what any of them knew goes, its steps stay
``deliver.`` what waits is withdrawn; words, variables and providers' ids go, states and times stay
``entries``  go, whole
``links``    go, whole
``parts``    each journey's own rows (``Part.erase``)
``journal``  what each event about them said; that it came, from whom, of which type, stays
``file``     the store's log is emptied
===========  =========================================================================================

What comes late for somebody who was forgotten (an outcome, a receipt, a call that ends) is known, changes what must be
changed for the line's own sake, and loses its words in the same turn.
"""

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from beckon.batch import FILE, Batch, Tomb, address_key
from beckon.core.clock import iso
from beckon.core.contact import Contact
from beckon.core.delivery import Attempt, Choice, Delivery
from beckon.core.event import Event
from beckon.effects.running import Running
from beckon.effects.sending import Sending, delivery_of
from beckon.flows.run import FINAL, Failure, Run, Taken
from beckon.journeys.part import Part
from beckon.messaging.consent import refusals
from beckon.messaging.deliveries import after_attempt
from beckon.outbox.queue import Queue
from beckon.store.changes import Row
from beckon.store.database import within
from beckon.store.tables import (
    ADDRESSES,
    ENTRIES,
    FORGETTINGS,
    LINKS,
    PROVIDER_IDS,
)
from beckon.workspaces import Library, Workspaces

log = logging.getLogger("beckon.forgetting")

#: The line's timer for the next piece; its subject is the contact.
TIMER = "forgetting"
#: Who says that somebody was forgotten.
SOURCE = "beckon/contacts"
#: What a person's forgetting itself says: no personal word, and not forgotten with them.
ABOUT = frozenset({"contact.forget_asked", "contact.forgotten"})
#: The reason with which live runs end, and with which what comes late is let go.
REASON = "forgotten"
LATE = "it is about somebody who was forgotten"
#: Rows of one piece.
ROWS_MAX = 200
#: The wait before the next piece, and before the next try to empty the store's log, in milliseconds.
BREATH_MS = 1
SCRUB_AGAIN_MS = 500
#: Tries, after which a reader that never ends is no reason to wait any longer.
SCRUBS_MAX = 120

_OUTBOX = "beckon/outbox"
#: an outcome of ours → what its attempt came to
_OUTCOMES = {
    "message.sent": "sent",
    "message.failed": "refused",
    "message.retrying": "unavailable",
    "message.doubtful": "doubtful",
}
_encode = msgspec.json.Encoder().encode


class Forgetting:
    """Takes what is known of a person away."""

    def __init__(
        self,
        workspaces: Workspaces,
        queue: Queue,
        sending: Sending,
        running: Running,
        parts: Sequence[Part],
    ) -> None:
        self._workspaces = workspaces
        self._queue = queue
        self._sending = sending
        self._running = running
        self._parts = parts
        self._stages = {
            "runs": self._runs,
            "deliveries": self._deliveries,
            "entries": self._entries,
            "links": self._links,
            "parts": self._journeys,
            "journal": self._journal,
        }

    # The first turn ---------------------------------------------------------------------------------------------------

    def asked(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """From now on nobody has this name and these addresses."""
        if contact is None or contact.forgotten_ms:
            return  # forgotten once is forgotten
        batch.leaving[contact.id] = (event, contact)
        for address in contact.addresses:
            batch.addresses.pop(address_key(contact.workspace, address.channel, address.external_id), None)
        batch.memory.addresses.clear()
        batch.drop_conversation(contact.id)
        batch.contacts[contact.id] = Contact(id=contact.id, workspace=contact.workspace, forgotten_ms=batch.now_ms)
        batch.changed_contacts.add(contact.id)
        batch.topics.update({(contact.workspace, "conversations"), (contact.workspace, f"conversation:{contact.id}")})

    async def leave(self, batch: Batch) -> None:
        """What must be gone with the very turn in which it was asked: the addresses, and what they led to."""
        leaving, batch.leaving = batch.leaving, {}
        for contact_id, (event, contact) in leaving.items():
            library = self._workspaces.get(contact.workspace)
            if library is None:
                continue
            rows = await batch.database.fetch(
                "SELECT channel, external_id FROM addresses WHERE contact = ?", (contact_id,)
            )
            theirs = {(str(channel), str(external_id)) for channel, external_id in rows}
            known = theirs | {(address.channel, address.external_id) for address in contact.addresses}
            for channel, external_id in sorted(theirs):
                batch.changes.delete(ADDRESSES, (contact.workspace, channel, external_id))
                refused = refusals(contact, channel)
                batch.bury(library, contact_id, ("address", channel, external_id), refused)
                key = address_key(contact.workspace, channel, external_id)
                batch.addresses.pop(key, None)
                batch.tombs[key] = Tomb(contact_id, batch.now_ms, refused)
            who = [library.digest("address", channel, external_id) for channel, external_id in sorted(known)]
            row = (contact_id, contact.workspace, event.accepted_ms or batch.now_ms, 0, "runs", "", _text(who))
            batch.changes.upsert(FORGETTINGS, row)
            batch.set_timer(batch.now_ms + BREATH_MS, TIMER, contact_id)

    # What comes late --------------------------------------------------------------------------------------------------

    def late(self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact) -> None:
        """It is about somebody who was forgotten: nothing comes back, and what it says goes."""
        batch.redact([event.position], contact.id, LATE)
        batch.scrub_later()
        delivery = delivery_of(batch, event)
        if delivery is None or event.source != _OUTBOX:
            return
        provider, provider_id = str(fields.get("provider", "")), str(fields.get("provider_id", ""))
        if event.type in _OUTCOMES:
            attempt = Attempt(
                number=int(fields.get("attempt", 1)), channel=str(fields.get("channel", "")), provider=provider,
                at_ms=event.accepted_ms, outcome=_OUTCOMES[event.type], code=str(fields.get("code", "")),
            )  # fmt: skip
            delivery = after_attempt(delivery, attempt, choice=None, retrying=event.type == "message.retrying")
        elif delivery.state in ("queued", "retrying", "scheduled", "doubtful", "failed"):
            delivery.state = "cancelled" if delivery.state != "doubtful" else "undeliverable"
        if event.type in ("message.retrying", "message.doubtful"):
            self._sending.withdraw(batch, delivery)  # nobody is there any more to try it for
            if not delivery.queued_number and delivery.state == "retrying":
                delivery.state = "cancelled"
        else:
            delivery.queued_number = 0
        if provider_id:
            _seal(batch, library, provider, provider_id, delivery.id)
        batch.put_delivery(bare_delivery(delivery))

    # Piece by piece ---------------------------------------------------------------------------------------------------

    async def piece(self, batch: Batch, contact_id: str) -> None:
        """Take the next rows away; the turn's commit makes it so."""
        if contact_id == FILE:
            if not await batch.database.scrub():
                batch.scrub_later()
            return
        rows = await batch.database.fetch(
            "SELECT contact, workspace, asked_ms, done_ms, stage, after, who FROM forgettings WHERE contact = ?",
            (contact_id,),
        )
        if not rows or rows[0][3]:
            return
        at = _At(rows[0])
        contact = batch.contacts.get(contact_id)
        library = self._workspaces.get(at.workspace)
        if contact is None or library is None:
            return
        wait_ms: int | None = BREATH_MS
        if at.stage == "file":
            wait_ms = await self._scrub(batch, at)
        else:
            await self._remove(batch, library, contact, at)
        if wait_ms is None:
            at.done_ms, at.who = batch.now_ms, []
            batch.topics.add((at.workspace, f"conversation:{contact_id}"))
            fields = {"contact": contact_id, "asked": iso(at.asked_ms)}
            batch.emitted.append(
                Event(
                    workspace=at.workspace, source=SOURCE, id=f"{contact_id}.forgotten", type="contact.forgotten",
                    time_ms=batch.now_ms, data=fields, subject=contact_id,
                )
            )  # fmt: skip
        else:
            batch.set_timer(batch.now_ms + wait_ms, TIMER, contact_id)
        batch.changes.upsert(FORGETTINGS, at.row())

    async def _remove(self, batch: Batch, library: Library, contact: Contact, at: "_At") -> None:
        left = ROWS_MAX
        names = list(self._stages)
        while left > 0 and at.stage != "file":
            done = await self._stages[at.stage](batch, library, contact, at, left)
            if done >= left or (done and at.stage == "parts"):
                return  # there may be more of the same
            left -= done
            following = names.index(at.stage) + 1
            at.stage, at.after = names[following] if following < len(names) else "file", ""

    async def _scrub(self, batch: Batch, at: "_At") -> int | None:
        tries = int(at.after or 0) + 1
        if await batch.database.scrub():
            return None
        if tries >= SCRUBS_MAX:
            log.warning("the store's log could not be emptied: somebody reads without an end")
            return None
        at.after = str(tries)
        return SCRUB_AGAIN_MS

    async def _runs(self, batch: Batch, library: Library, contact: Contact, at: "_At", most: int) -> int:
        rows = await batch.database.fetch(
            "SELECT id FROM runs WHERE contact = ? AND id > ? ORDER BY id LIMIT ?", (contact.id, at.after, most)
        )
        ids = [str(row[0]) for row in rows]
        if not ids:
            return 0
        await batch.load(runs=set(ids))
        asked = within("SELECT number, lane FROM outbox WHERE lane IN ({keys}) AND kind <> 'send'", ids)
        for found in await batch.database.fetch_all(asked):
            for number, lane in found:
                if self._queue.withdraw(int(number or 0), str(lane)):
                    batch.withdrawn.append(int(number or 0))
        for id_ in ids:
            run = batch.runs[id_]
            if run.status not in FINAL:
                self._running.end(batch, run, REASON)
            batch.put_run(bare_run(batch.runs[id_]))
        at.after = ids[-1]
        return len(ids)

    async def _deliveries(self, batch: Batch, library: Library, contact: Contact, at: "_At", most: int) -> int:
        rows = await batch.database.fetch(
            "SELECT id FROM deliveries WHERE contact = ? AND id > ? ORDER BY id LIMIT ?", (contact.id, at.after, most)
        )
        ids = [str(row[0]) for row in rows]
        await batch.load(deliveries=set(ids))
        for id_ in ids:
            delivery = batch.deliveries[id_]
            self._sending.withdraw(batch, delivery)
            if not delivery.queued_number and delivery.state in ("queued", "scheduled", "retrying"):
                delivery.state = "cancelled"
            if delivery.fallback_due_ms:
                batch.clear_timer(delivery.fallback_due_ms, "delivery", delivery.id)
            for attempt in delivery.attempts:
                if attempt.provider_id:
                    _seal(batch, library, attempt.provider, attempt.provider_id, delivery.id)
            batch.put_delivery(bare_delivery(delivery))
        at.after = ids[-1] if ids else ""
        return len(ids)

    async def _entries(self, batch: Batch, library: Library, contact: Contact, at: "_At", most: int) -> int:
        rows = await batch.database.fetch(
            "SELECT number FROM entries WHERE contact = ? ORDER BY number LIMIT ?", (contact.id, most)
        )
        for row in rows:
            batch.changes.delete(ENTRIES, row)
        return len(rows)

    async def _links(self, batch: Batch, library: Library, contact: Contact, at: "_At", most: int) -> int:
        rows = await batch.database.fetch("SELECT code FROM links WHERE contact = ? LIMIT ?", (contact.id, most))
        for row in rows:
            batch.changes.delete(LINKS, row)
        return len(rows)

    async def _journeys(self, batch: Batch, library: Library, contact: Contact, at: "_At", most: int) -> int:
        done = 0
        for part in self._parts:
            if done < most:
                done += await part.erase(batch, library, contact, most - done)
        return done

    async def _journal(self, batch: Batch, library: Library, contact: Contact, at: "_At", most: int) -> int:
        done = await batch.erase_mentions(contact.id, contact.id, most)
        for who in at.who:
            if done < most:
                done += await batch.erase_notes(who, contact.id, most - done)
        return done


def bare_run(run: Run) -> Run:
    """What stays of a run: which flow, when, which steps were taken; not of what or to whom it spoke."""
    return Run(
        id=run.id,
        workspace=run.workspace,
        flow=run.flow,
        version=run.version,
        key="",
        contact=run.contact,
        status=run.status,
        position=run.position,
        created_ms=run.created_ms,
        changed_ms=run.changed_ms,
        depth=run.depth,
        steps_taken=run.steps_taken,
        history=tuple([Taken(one.step, one.at_ms, _step(one.what), branch=one.branch) for one in run.history]),
        error=Failure(run.error.code, "", run.error.step) if run.error is not None else None,
        ended=REASON if run.ended == REASON else "",
        answered=run.answered,
    )


def _step(what: str) -> str:
    """What a step did, in the flow's own words; an address that it asked may have had somebody's."""
    return "asked for something" if what.startswith("asked for ") else what


def bare_delivery(delivery: Delivery) -> Delivery:
    """What stays of a message: when, on which channel, by whom, what came of it; not its words, nor to where."""
    choice = delivery.choice
    return Delivery(
        id=delivery.id,
        workspace=delivery.workspace,
        contact=delivery.contact,
        run=delivery.run,
        template=delivery.template,
        purpose=delivery.purpose,
        state=delivery.state,
        doubtful=delivery.doubtful,
        choice=Choice(choice.channel, choice.provider, "") if choice is not None else None,
        attempts=tuple(
            [
                Attempt(one.number, one.channel, one.provider, one.at_ms, one.outcome, one.code)
                for one in delivery.attempts
            ]
        ),
        created_ms=delivery.created_ms,
        changed_ms=delivery.changed_ms,
        receipts=tuple([(state, at_ms, "") for state, at_ms, _ in delivery.receipts]),
        author=delivery.author,
        entered=True,
        queued_number=delivery.queued_number,
        fresh_from=delivery.fresh_from,
    )


def _seal(batch: Batch, library: Library, provider: str, provider_id: str, delivery: str) -> None:
    """A provider's id may hold a number: its digest finds the delivery of a late receipt as well."""
    batch.changes.delete(PROVIDER_IDS, (library.workspace, provider, provider_id))
    digest = library.digest("provider", provider, provider_id)
    batch.changes.upsert(PROVIDER_IDS, (library.workspace, provider, digest, delivery))


def _text(value: Any) -> str:
    return _encode(value).decode()


class _At:
    """How far a forgetting is: a row of ``forgettings``."""

    def __init__(self, row: Row) -> None:
        self.contact, self.workspace = str(row[0]), str(row[1])
        self.asked_ms, self.done_ms = int(row[2] or 0), int(row[3] or 0)
        self.stage, self.after = str(row[4]), str(row[5])
        self.who: list[str] = msgspec.json.decode(str(row[6]), type=list[str])

    def row(self) -> Row:
        return (
            self.contact, self.workspace, self.asked_ms, self.done_ms, self.stage, self.after, _text(self.who),
        )  # fmt: skip
