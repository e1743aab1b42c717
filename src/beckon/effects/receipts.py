"""Receipts: what became of a message, as our own outcomes and the providers' webhooks tell it, in any order."""

from collections.abc import Sequence
from typing import Any

import msgspec

from beckon.batch import Batch
from beckon.core.command import Send
from beckon.core.contact import Contact
from beckon.core.delivery import FINAL, Attempt, Choice, Delivery
from beckon.core.event import Event
from beckon.core.message import Button, Rendered
from beckon.effects.sending import Sending, delivery_of
from beckon.effects.talking import add
from beckon.inbox.entries import message_entry
from beckon.intake.journal import event_from
from beckon.messaging.contacts import break_address
from beckon.messaging.deliveries import after_attempt, after_receipt
from beckon.store.database import Database, joined
from beckon.store.tables import EARLY
from beckon.workspaces import Library

TYPES = frozenset({"message.sent", "message.delivered", "message.read", "message.failed"})
#: Receipts that came before the outcome that they belong to.
_ORPHANS_MAX = 10_000


class Receipts:
    """Notes attempts and receipts on deliveries; a receipt that overtook its outcome waits for it here."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        #: receipts that overtook our own outcome, by workspace, provider and the provider's id; the oldest first
        self._orphans: dict[str, list[Event]] = {}
        self.orphans_max = _ORPHANS_MAX

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

    async def load(
        self, batch: Batch, events: Sequence[Event], receipts: list[tuple[str, str, str]], deliveries: set[str]
    ) -> None:
        """Find the deliveries that these (workspace, provider, provider's id) are about."""
        found: dict[tuple[str, str, str], str] = {}
        columns = ("workspace", "provider", "provider_id")
        queries = joined("provider_ids", "workspace, provider, provider_id, delivery", columns, receipts)
        for rows in await batch.database.look_up(queries):
            for workspace, provider, provider_id, delivery in rows:
                found[str(workspace), str(provider), str(provider_id)] = str(delivery)
        await self._load_sealed(batch, [key for key in receipts if key not in found], found)
        for event in events:
            if event.type in TYPES and event.position not in batch.delivery_of:
                fields = event.data if type(event.data) is dict else {}
                key = (event.workspace, str(fields.get("provider")), str(fields.get("provider_id")))
                # A hand-over whose answer never came is known to us by our own reference only.
                delivery_id = found.get(key) or fields.get("reference")
                if type(delivery_id) is str:
                    batch.delivery_of[event.position] = delivery_id
                    deliveries.add(delivery_id)

    async def _load_sealed(
        self, batch: Batch, receipts: list[tuple[str, str, str]], found: dict[tuple[str, str, str], str]
    ) -> None:
        """The deliveries of those who were forgotten: what a provider called them is kept as a digest."""
        digests: dict[tuple[str, str, str], tuple[str, str, str]] = {}
        for workspace, provider, provider_id in receipts:
            library = batch.workspaces.get(workspace)
            if library is not None and library.tombs:
                sealed = (workspace, provider, library.digest("provider", provider, provider_id))
                digests[sealed] = (workspace, provider, provider_id)
        if not digests:
            return
        columns = ("workspace", "provider", "provider_id")
        queries = joined("provider_ids", "workspace, provider, provider_id, delivery", columns, list(digests))
        for rows in await batch.database.look_up(queries):
            for workspace_, provider_, digest, delivery in rows:
                found[digests[str(workspace_), str(provider_), str(digest)]] = str(delivery)

    def sent(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """Our own hand-over worked, or a provider says so."""
        if event.source != "beckon/outbox":
            self.receipt(batch, library, event, fields, contact)
            return
        delivery = delivery_of(batch, event)
        if delivery is None or contact is None:
            return
        contact = _without(contact, fields)
        if fields.get("devices_gone"):
            batch.put_contact(contact)
        delivery = self._recorded(batch, event, delivery, fields, contact, "sent")
        orphans = self._adopted(batch, event)
        command = delivery.command
        fallback_ms = (
            command.fallback_after_ms if isinstance(command, Send) else int((command or {}).get("fallback_after_ms", 0))
        )
        if fallback_ms and delivery.state == "sent":
            delivery.fallback_due_ms = event.accepted_ms + fallback_ms
            batch.set_timer(delivery.fallback_due_ms, "delivery", delivery.id)
        for orphan in orphans:
            batch.delivery_of[orphan.position] = delivery.id
            self.receipt(batch, library, orphan, orphan.data, contact)

    def fire(self, batch: Batch, delivery: Delivery, due_ms: int) -> None:
        """No receipt came in time: the next channel."""
        if delivery.fallback_due_ms == due_ms and delivery.state == "sent":
            delivery.fallback_due_ms = 0
            self._sending.requeue(batch, delivery)

    def attempted(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """A try failed, and the same channel is tried again."""
        delivery = delivery_of(batch, event)
        if delivery is not None and contact is not None:
            self._recorded(batch, event, delivery, fields, contact, str(fields.get("kind", "unavailable")))

    def failed(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """Our own hand-over came to nothing, or a provider says so: the next channel."""
        if event.source != "beckon/outbox":
            self.receipt(batch, library, event, fields, contact)
            return
        delivery = delivery_of(batch, event)
        if delivery is not None and contact is not None:
            gone = fields.get("gone")
            if type(gone) is str:
                # Before the message is asked for again: it must not meet the same address a second time.
                contact = break_address(contact, str(fields.get("channel")), gone, str(fields.get("why", "")))
                batch.put_contact(contact)
            outcome = "gone" if gone else str(fields.get("kind", "refused"))
            delivery = self._recorded(batch, event, delivery, fields, contact, outcome)
            self._sending.requeue(batch, delivery)

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
            add(
                batch,
                contact,
                message_entry(
                    delivery,
                    author=delivery.author,
                    at_ms=event.accepted_ms,
                    rendered=_as_said(delivery.text, fields) if fields.keys() & {"buttons", "subject"} else None,
                    text=delivery.text,
                ),
            )
        batch.put_delivery(delivery)
        return delivery

    def receipt(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """A provider's word on a message."""
        delivery = delivery_of(batch, event)
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
            self._sending.requeue(batch, delivery)
        else:
            self._sending.withdraw(batch, delivery)

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

    def doubted(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """A crash left it unknown whether a provider has it."""
        delivery = delivery_of(batch, event)
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

    def undeliverable(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """No channel is left."""
        delivery = delivery_of(batch, event)
        if delivery is None:
            return
        delivery.choice = msgspec.convert(fields["choice"], Choice) if fields.get("choice") else delivery.choice
        delivery.text = str(fields.get("text") or delivery.text)
        delivery.queued_number = 0
        delivery.changed_ms = event.accepted_ms
        if delivery.state not in ("delivered", "read", "sent"):
            delivery.state = "undeliverable"
        batch.put_delivery(delivery)

    def not_forwarded(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """A fallback found no further channel: what was sent before stays on its way."""
        delivery = delivery_of(batch, event)
        if delivery is not None:
            delivery.queued_number = 0
            batch.put_delivery(delivery)


def _as_said(text: str, fields: dict[str, Any]) -> Rendered:
    """The message as its outcome tells it, for the conversation."""
    return Rendered(
        text=text,
        subject=str(fields.get("subject", "")),
        buttons=msgspec.convert(fields.get("buttons", ()), tuple[Button, ...]),
    )


def _without(contact: Contact, fields: dict[str, Any]) -> Contact:
    """The contact, with the devices marked that turned out to be gone while another took the message."""
    gone = fields.get("devices_gone")
    for one in gone if type(gone) is list else ():
        contact = break_address(contact, str(fields.get("channel")), str(one["to"]), str(one["why"]))
    return contact


def _orphan_key(event: Event) -> str:
    return f"receipt:{event.workspace}:{event.data.get('provider')}:{event.data.get('provider_id')}"


def _is_early(delivery: Delivery, fields: dict[str, Any]) -> bool:
    """Whether a receipt is about a hand-over whose own outcome is still to come."""
    about = fields.get("provider_id")
    return bool(delivery.queued_number) and all(attempt.provider_id != about for attempt in delivery.attempts)
