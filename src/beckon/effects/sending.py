"""Sending: messages that a flow, an agent or the API asks for become deliveries, and deliveries wait in the outbox."""

from typing import Any

import msgspec

from beckon.batch import Batch, address_key
from beckon.core.command import Send
from beckon.core.contact import Contact
from beckon.core.delivery import Delivery
from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.core.ids import derived
from beckon.effects.people import People
from beckon.effects.talking import tell_team
from beckon.messaging.contacts import read_reference
from beckon.outbox.queue import Item, Queue
from beckon.workspaces import Library, Workspaces

#: Who says what flows say.
FLOWS = "beckon/flows"


class Sending:
    """Queues deliveries, and takes them out of the queue again."""

    def __init__(self, queue: Queue, people: People, workspaces: Workspaces) -> None:
        self._queue = queue
        self._people = people
        self._workspaces = workspaces

    def address(self, batch: Batch, library: Library, contact: Contact | None, command: Send, author: str) -> None:
        """Find to whom a message goes: the run's contact, or whom the step names."""
        if contact is not None and contact.forgotten_ms:
            contact = None
        if command.to is None or (contact is not None and command.to == contact.id):
            if contact is not None:
                self.send(batch, contact, command, author)
            return
        if contact is not None and command.to == batch.said.get(contact.id):
            self.send(batch, contact, command, author)  # whom the event named, and that is this contact
            return
        try:
            reference = read_reference(command.to, region=library.settings.region, field="to")
        except Refused as error:
            self._unaddressed(batch, contact, command, author, error.why)
            return
        if contact is not None and not reference.id:
            held = {(address.channel, address.external_id) for address in contact.addresses}
            if any((address.channel, address.external_id) in held for address in reference.addresses):
                self.send(batch, contact, command, author)
                return
        batch.unresolved.append((command, reference, author, contact))

    async def resolve(self, batch: Batch) -> None:
        """Find the readers whom steps named, and send."""
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
        await self._people.load_tombs(batch, wanted)
        for command, reference, author, contact in unresolved:
            reader = self._people.found_or_new(batch, command.workspace, reference)
            if reader is not None and reader.forgotten_ms:
                self._unaddressed(batch, contact, command, author, "that contact was forgotten")
            elif reader is not None:
                self.send(batch, reader, command, author)
            else:
                self._unaddressed(batch, contact, command, author, "nobody is known by that id")

    def _unaddressed(self, batch: Batch, contact: Contact | None, command: Send, author: str, why: str) -> None:
        """A message has no reader: the team is told, and the run if it waits for an outcome."""
        if contact is not None:
            tell_team(batch, contact, f"A message has no reader: {why}", author.partition(":")[2])
        if command.awaited:
            fields = {"run": command.run, "command": command.id, "code": "message.reader", "why": why}
            batch.emitted.append(
                Event(
                    workspace=command.workspace, source=FLOWS, id=command.id, type="message.undeliverable",
                    time_ms=batch.now_ms, data=fields,
                )
            )  # fmt: skip

    def send(self, batch: Batch, contact: Contact, command: Send, author: str) -> Delivery:
        """A new delivery, queued."""
        # Whom it goes to is settled: the row need not repeat what the step said of them.
        command = msgspec.structs.replace(command, to=None, purpose=self._purpose(command))
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
        self._put(batch, delivery, command, max(command.not_before_ms, 0))
        return delivery

    def _purpose(self, command: Send) -> str:
        """What the reader must have agreed to: an offer stays one, whatever the step that sends it says or forgets."""
        library = self._workspaces.get(command.workspace)
        template = library.template(command.template) if library is not None and command.template else None
        is_offer = template is not None and template.purpose == "marketing"
        return "marketing" if is_offer and command.purpose == "transactional" else command.purpose

    def _put(self, batch: Batch, delivery: Delivery, command: Send, due_ms: int) -> None:
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

    def requeue(self, batch: Batch, delivery: Delivery) -> None:
        """Ask for the same message again; which channels are left is ``choose``'s to say."""
        command = delivery.command
        if not isinstance(command, Send):
            command = msgspec.convert(command, Send)
        delivery.changed_ms = batch.now_ms
        if delivery.queued_number:
            batch.put_delivery(delivery)  # it is on its way out already: never two at once
        else:
            self._put(batch, delivery, command, 0)

    def withdraw(self, batch: Batch, delivery: Delivery) -> None:
        """Take back what has not left yet."""
        number = delivery.queued_number
        if number and self._queue.withdraw(number, delivery.contact):
            batch.outbox.pop(delivery.id, None)
            batch.withdrawn.append(number)
            delivery.queued_number = 0

    def call_off(self, batch: Batch, delivery: Delivery) -> None:
        """Cancel a message that waits for its hour; one that is being carried out goes on."""
        self.withdraw(batch, delivery)
        if not delivery.queued_number:
            delivery.state = "cancelled"
            delivery.changed_ms = batch.now_ms
            batch.put_delivery(delivery)

    def replied(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """An agent wrote to the contact."""
        if contact is not None and type(fields.get("text")) is str and fields["text"].strip():
            command = Send(
                id=derived("cmd", event.workspace, event.source, event.id),
                workspace=event.workspace,
                contact=contact.id,
                text=fields["text"],
                via=tuple(fields.get("via") or ("best",)),
            )
            self.send(batch, contact, command, f"agent:{fields.get('agent') or fields.get('by', '')}")

    def asked(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """A message that somebody asked for by the API, without a flow."""
        if contact is None:
            return
        command = Send(
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
        self.send(batch, contact, command, f"agent:{fields.get('by', '')}")

    def resend(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """A person asks for the same message again."""
        delivery = delivery_of(batch, event)
        if delivery is None or contact is None or delivery.queued_number:
            return
        if delivery.state in ("delivered", "read"):
            return
        if delivery.doubtful and fields.get("accept_duplicate") is not True:
            return
        delivery.fresh_from = len(delivery.attempts)
        delivery.state = "queued" if delivery.state in ("undeliverable", "cancelled") else delivery.state
        # Somebody waits for it now, whatever it was a part of.
        delivery.command = msgspec.structs.replace(msgspec.convert(delivery.command, Send), big=False)
        self.requeue(batch, delivery)


def delivery_of(batch: Batch, event: Event) -> Delivery | None:
    """The delivery that an event names, if it is of the same workspace."""
    delivery = batch.deliveries.get(batch.delivery_of.get(event.position, ""))
    return delivery if delivery is not None and delivery.workspace == event.workspace else None
