"""People: whom an event is about, and what it says of them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from beckon.batch import Batch, address_key
from beckon.core.contact import Contact
from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.core.ids import fresh
from beckon.effects.talking import add
from beckon.flows.definition import contact_reference
from beckon.flows.matching import keys_of
from beckon.inbox.entries import entry_for_status
from beckon.messaging.consent import apply_keyword, grant, keyword, refused_before
from beckon.messaging.contacts import Reference, break_address, inbound, merge, read_reference
from beckon.workspaces import Library, Workspaces

#: Runs that are looked at for one whose contact an event may mean.
_EXPECTING_MAX = 100


class People:
    """Finds contacts, makes new ones, and keeps what is said of them."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    def reference(self, event: Event, fields: dict[str, Any]) -> Reference | None:
        """Whom an event names; None: nobody, or nobody that can be read."""
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

    async def load_expecting(self, batch: Batch, events: Sequence[Event], references: dict[int, Reference]) -> None:
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
            await batch.load(runs={run_id for key in waits for run_id in sorted(batch.waits[key])[:_EXPECTING_MAX]})
            await batch.load(contacts={run.contact for run in batch.runs.values() if run.contact})

    def _expecting(self, batch: Batch, event: Event) -> Contact | None:
        """The contact of the run that waits for this event, where its addresses lead to nobody."""
        for key in batch.keys_of.get(event.position, ()):
            for run_id in sorted(batch.waits.get(key, ()))[:_EXPECTING_MAX]:
                run = batch.runs.get(run_id)
                if run is not None and run.workspace == event.workspace and run.contact in batch.contacts:
                    return batch.contacts[run.contact]
        return None

    async def load_tombs(self, batch: Batch, wanted: dict[str, list[tuple[str, str]]]) -> None:
        """What is left of those who were forgotten, under addresses (workspace → pairs) that nobody has now."""
        asked: dict[tuple[str, str], str] = {}
        for workspace, pairs in wanted.items():
            library = self._workspaces.get(workspace)
            if library is None or not library.tombs:
                continue
            for channel, external_id in pairs:
                key = address_key(workspace, channel, external_id)
                if key not in batch.addresses and key not in batch.tombs:
                    asked[workspace, library.digest("address", channel, external_id)] = key
        if asked:
            found = await batch.buried(asked)
            batch.tombs.update({asked[words]: tomb for words, tomb in found.items()})
            # A customer's number may come back: whoever says so late means the one who is gone.
            await batch.load(contacts={tomb.subject for tomb in found.values()})

    def note(self, batch: Batch, event: Event, fields: dict[str, Any]) -> None:
        """Of an event on which nobody acts, only whom it names: the journal keeps it all the same."""
        library = self._workspaces.get(event.workspace)
        reference = self.reference(event, fields) if library is not None else None
        if library is None or reference is None:
            return
        if reference.id:
            batch.mention(reference.id, event)
        for address in reference.addresses:
            batch.note(library.digest("address", address.channel, address.external_id), event)

    def settle(self, batch: Batch, event: Event, reference: Reference | None) -> None:
        """Whom the event is about; a new contact where nobody has these addresses yet."""
        delivery = batch.deliveries.get(batch.delivery_of.get(event.position, ""))
        if delivery is not None and delivery.workspace == event.workspace:
            batch.contact_of[event.position] = delivery.contact
        elif reference is not None:
            contact = self._left(batch, event, reference)
            if contact is None:
                contact = self.found_or_new(batch, event.workspace, reference, self._expecting(batch, event))
            if contact is not None:
                batch.contact_of[event.position] = contact.id
                batch.said[contact.id] = event.data.get("contact") if type(event.data) is dict else None

    def _left(self, batch: Batch, event: Event, reference: Reference) -> Contact | None:
        """Who was forgotten, and is meant by what happened before that and is only told now."""
        found: Contact | None = None
        for address in reference.addresses:
            key = address_key(event.workspace, address.channel, address.external_id)
            tomb = batch.tombs.get(key)
            if reference.id or key in batch.addresses:
                return None
            if tomb is not None and event.time_ms < tomb.at_ms:
                found = found or batch.contacts.get(tomb.subject)
        return found

    def found_or_new(
        self, batch: Batch, workspace: str, reference: Reference, else_: Contact | None = None
    ) -> Contact | None:
        """The contact whom a reference means, with what it says merged; ``else_`` or a new one where there is none."""
        found: Contact | None = None
        if reference.id:
            found = batch.contacts.get(reference.id)
            if found is None or found.workspace != workspace:
                return None
            if found.forgotten_ms:
                return found  # what is said of them is not kept
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
        for address in reference.addresses if batch.tombs else ():
            tomb = batch.tombs.get(address_key(workspace, address.channel, address.external_id))
            if tomb is not None and tomb.refused and address not in found.addresses:
                merged = refused_before(merged, tomb.refused, tomb.at_ms)
        if merged is not found or found.id not in batch.contacts:
            batch.put_contact(merged)
        return merged

    def received(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """The contact wrote: that opens the session window, and may be a STOP."""
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
            add(
                batch,
                contact,
                entry_for_status(
                    event.workspace, contact.id, f"{said} messages on {channel}", author="contact", at_ms=batch.now_ms
                ),
            )

    def contact_changed(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """What the reference says is merged already; beside it stand the contact's own order of channels, and
        ``{channel, external_id, why}`` of an address that works no longer, or (``why`` empty) works again."""
        if contact is None:
            return
        order, broken = fields.get("channel_order"), fields.get("broken")
        if type(order) is list:
            contact = msgspec.structs.replace(contact, channel_order=tuple(map(str, order)))
            batch.put_contact(contact)
        if type(broken) is dict:
            channel, external_id, why = [str(broken.get(name, "")) for name in ("channel", "external_id", "why")]
            batch.put_contact(break_address(contact, channel, external_id, why))
            # A device shows the messages of whoever said it last: two people may share one.
            before = None if why else batch.claim_address(contact, channel, external_id)
            if before is not None:
                batch.put_contact(break_address(before, channel, external_id, "somebody else uses this device now"))

    def consented(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """The contact allowed or forbade something."""
        if contact is not None:
            batch.put_contact(grant(contact, fields, event.time_ms))

    def said_yes(self, batch: Batch, event: Event, said: dict[str, Any], contact: Contact) -> None:
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
