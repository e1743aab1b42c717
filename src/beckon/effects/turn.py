"""The effects of one turn: what its events and timers touch is loaded, each is taken, and what follows is followed."""

from collections.abc import Callable, Sequence
from typing import Any

from beckon.batch import Batch, address_key
from beckon.core.contact import Contact
from beckon.core.event import Event
from beckon.effects import definitions, receipts, records
from beckon.effects.forgetting import ABOUT, Forgetting
from beckon.effects.forgetting import TIMER as FORGETTING
from beckon.effects.people import People
from beckon.effects.receipts import Receipts
from beckon.effects.running import Running
from beckon.effects.sending import Sending
from beckon.effects.talking import enter
from beckon.flows.run import FINAL
from beckon.journeys.part import Part
from beckon.messaging.contacts import Reference
from beckon.outbox.queue import Queue
from beckon.pacing import BIG_RUN
from beckon.store.database import Database
from beckon.workspaces import Library, Workspaces

#: What an event of one of our own types does: (batch, library, event, its fields, whom it is about).
Act = Callable[[Batch, Library, Event, dict[str, Any], Contact | None], None]

#: The line's own timers; all others are a journey's.
_TIMERS = frozenset({"run", BIG_RUN, "delivery", FORGETTING})


class Effects:
    """The rooms' part of a turn."""

    def __init__(self, workspaces: Workspaces, queue: Queue, parts: Sequence[Part] = ()) -> None:
        self._workspaces = workspaces
        self._parts = parts
        self._part_of: dict[str, list[Part]] = {}
        self._part_fired = {kind: part for part in parts for kind in part.timers}
        for part in parts:
            for type_ in part.types:
                self._part_of.setdefault(type_, []).append(part)
        self._people = people = People(workspaces)
        self._sending = sending = Sending(queue, people, workspaces)
        self._running = running = Running(workspaces, queue, sending)
        self.receipts = Receipts(sending)
        self._forgetting = Forgetting(workspaces, queue, sending, running, parts)
        self._acts: dict[str, Act] = {
            "message.received": people.received,
            "message.sent": self.receipts.sent,
            "message.delivered": self.receipts.receipt,
            "message.read": self.receipts.receipt,
            "message.failed": self.receipts.failed,
            "message.retrying": self.receipts.attempted,
            "message.doubtful": self.receipts.doubted,
            "message.undeliverable": self.receipts.undeliverable,
            "message.not_forwarded": self.receipts.not_forwarded,
            "delivery.resend_asked": sending.resend,
            "agent.replied": sending.replied,
            "message.asked": sending.asked,
            "run.stop_asked": running.stop_asked,
            "contact.changed": people.contact_changed,
            "contact.forget_asked": self._forgetting.asked,
            "consent.changed": people.consented,
            "template.status": definitions.template_status,
            "definition.uploaded": definitions.uploaded,
            "record.put": records.put,
            "record.removed": records.remove,
        }

    async def open(self, database: Database) -> None:
        """Read back what waits from turn to turn."""
        for library in self._workspaces.all():
            rows = await database.fetch("SELECT 1 FROM tombstones WHERE workspace = ? LIMIT 1", (library.workspace,))
            library.tombs = bool(rows)
        await self.receipts.open(database)
        for part in self._parts:
            await part.open(database)

    async def load(self, batch: Batch, events: Sequence[Event], timers: Sequence[tuple[Any, ...]]) -> None:
        """Fetch what these events and timers touch, and settle whom each is about."""
        references: dict[int, Reference] = {}
        addresses: dict[str, list[tuple[str, str]]] = {}
        deliveries: set[str] = set()
        runs: set[str] = set()
        contacts: set[str] = set()
        told: list[tuple[str, str, str]] = []
        for event in events:
            fields = event.data if type(event.data) is dict else {}
            if not self._concerns(event):
                self._people.note(batch, event, fields)
                continue
            if "delivery" in fields and type(fields["delivery"]) is str:
                batch.delivery_of[event.position] = fields["delivery"]
                deliveries.add(fields["delivery"])
            elif "provider_id" in fields and event.type in receipts.TYPES:
                told.append((event.workspace, str(fields.get("provider")), str(fields["provider_id"])))
            if type(fields.get("run")) is str and ("command" in fields or event.type == "run.stop_asked"):
                runs.add(fields["run"])
            reference = self._people.reference(event, fields)
            if reference is not None:
                references[event.position] = reference
                if reference.id:
                    contacts.add(reference.id)
                if reference.addresses and (not reference.id or event.type == "contact.changed"):
                    addresses.setdefault(event.workspace, []).extend(
                        [(address.channel, address.external_id) for address in reference.addresses]
                    )
        for _, kind, subject in timers:
            if kind in _TIMERS:
                {"delivery": deliveries, FORGETTING: contacts}.get(kind, runs).add(subject)
        await batch.load_addresses(addresses)
        await self._people.load_tombs(batch, addresses)
        if told:
            await self.receipts.load(batch, events, told, deliveries)
        for event in events:
            reference = references.get(event.position)
            if reference is not None:
                for address in reference.addresses:
                    key = address_key(event.workspace, address.channel, address.external_id)
                    if key in batch.addresses:
                        contacts.add(batch.addresses[key])
        await batch.load(contacts=contacts, deliveries=deliveries, runs=runs)
        await batch.load(
            contacts={delivery.contact for delivery in batch.deliveries.values()}
            | {run.contact for run in batch.runs.values() if run.contact}
        )
        await self._people.load_expecting(batch, events, references)
        for event in events:
            self._people.settle(batch, event, references.get(event.position))
        await self._running.load(batch, events)
        for part in self._parts:
            about = [event for event in events if event.type in part.types]
            due = [timer for timer in timers if timer[1] in part.timers]
            if about or due:
                await part.load(batch, about, due)

    def take(self, batch: Batch, event: Event) -> None:
        """All that one event changes."""
        library = self._workspaces.get(event.workspace)
        if library is None:
            return
        contact = batch.contacts.get(batch.contact_of.get(event.position, ""))
        fields = event.data if type(event.data) is dict else {}
        if event.type not in ABOUT and self._is_late(batch, library, event, fields, contact):
            return
        act = self._acts.get(event.type)
        if act is not None:
            act(batch, library, event, fields, contact)
        if contact is not None:
            if act is None and type(fields.get("consent")) is dict:
                self._people.said_yes(batch, event, fields["consent"], contact)
            enter(batch, event, batch.contacts[contact.id])
        for part in self._part_of.get(event.type, ()):
            part.take(batch, library, event)
        self._running.take(batch, library, event, fields)
        batch.topics.add((event.workspace, "events"))

    def _is_late(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> bool:
        """Note whom the journal speaks of here; true: of somebody who was forgotten, and all is done that has to be."""
        run = batch.runs.get(fields["run"]) if "command" in fields and type(fields.get("run")) is str else None
        if contact is None and run is not None and run.workspace == event.workspace:
            contact = batch.contacts.get(run.contact)
        if contact is None:
            return False
        if not contact.forgotten_ms:
            batch.mention(contact.id, event)
            return False
        if run is not None and run.created_ms >= contact.forgotten_ms and run.status not in FINAL:
            return False  # begun by the forgetting itself
        self._forgetting.late(batch, library, event, fields, contact)
        for part in self._part_of.get(event.type, ()):
            part.take(batch, library, event)  # it sees that the contact was forgotten
        return True

    def fire(self, batch: Batch, due_ms: int, kind: str, subject: str) -> None:
        """A timer is due."""
        if kind in ("run", BIG_RUN):
            run = batch.runs.get(subject)
            if run is not None:
                self._running.fire(batch, run)
            return
        if kind == FORGETTING:
            batch.forgetting.append(subject)
            return
        if kind in self._part_fired:
            self._part_fired[kind].fire(batch, due_ms, kind, subject)
            return
        delivery = batch.deliveries.get(subject)
        if delivery is not None:
            self.receipts.fire(batch, delivery, due_ms)

    async def follow(self, batch: Batch) -> None:
        """Results that came before their wait, and contacts whom a step named, until nothing is left."""
        # Each round takes a run at least one step further, and a flow's limits say how many it may take.
        while batch.asked_early or batch.unresolved or batch.finding:
            if batch.finding:
                await self._running.find(batch)
            if batch.asked_early:
                await self._running.ask_early(batch)
            if batch.unresolved:
                await self._sending.resolve(batch)
        if batch.leaving:
            await self._forgetting.leave(batch)
        for contact_id in batch.forgetting:
            await self._forgetting.piece(batch, contact_id)

    def write(self, batch: Batch) -> None:
        """The rows that the journeys' parts changed."""
        for part in self._parts:
            if part.name in batch.rooms:
                part.write(batch)

    def remember(self, batch: Batch) -> None:
        """After the commit: what waits from turn to turn."""
        self.receipts.remember(batch)
        for part in self._parts:
            if part.name in batch.rooms:
                part.remember(batch)

    def note(self, batch: Batch, event: Event) -> None:
        """Of an event that could not be turned, whom it names: it is found when they are to be forgotten."""
        self._people.note(batch, event, event.data if type(event.data) is dict else {})

    def forget(self) -> None:
        """The turn was not written: believe the tables again."""
        for part in self._parts:
            part.forget()

    def _concerns(self, event: Event) -> bool:
        """Whether anything here acts on an event of this type; the journal keeps the others all the same."""
        library = self._workspaces.get(event.workspace)
        if library is None:
            return False
        type_ = event.type
        return (
            type_ in self._acts
            or type_ in self._part_of
            or type_ in library.shapes
            or bool(library.flows_on(type_))
            or type_.startswith(library.own_types)
        )
