"""Acts: what the API does is said as events, like everything; once for each Idempotency-Key."""

import asyncio
from typing import Any

import msgspec

from beckon.core.clock import iso
from beckon.core.contact import Contact
from beckon.core.delivery import Delivery
from beckon.core.errors import Refused, Unavailable
from beckon.core.event import Event
from beckon.core.ids import derived, fresh
from beckon.doors.api import lists
from beckon.doors.api.parts import Ask
from beckon.intake.accept import Accepted

SOURCE = "beckon/api"


async def say(ask: Ask[Any, Any], type_: str, subject: str | None, fields: dict[str, Any]) -> Event:
    """Say an event and wait until it is turned; the event as it was accepted, now or, repeated, the first time.

    Raises ``Refused`` where the Idempotency-Key came before with other words, ``Unavailable`` where the wheel is late.
    """
    event = Event(
        workspace=ask.workspace,
        source=SOURCE,
        id=_id(ask) if ask.once else fresh("api"),
        type=type_,
        time_ms=ask.parts.clock.now_ms(),
        subject=subject,
        data={**fields, "by": f"api/{ask.key.label}"},
    )
    try:
        accepted: Accepted = (await asyncio.wait_for(ask.parts.settle([event]), ask.parts.settle_s))[0]
    except TimeoutError as error:
        raise Unavailable(
            "api.slow",
            "it was asked for, but not done in time; ask again with the same Idempotency-Key",
            retry_after_s=5,
        ) from error
    if not accepted.duplicate:
        return event
    before = await lists.event(ask.parts.reader, ask.workspace, accepted.position)
    if before is None or msgspec.to_builtins(before.data) != msgspec.to_builtins(event.data):
        raise Refused("idempotency.mismatch", "this Idempotency-Key came before with another body: use a new key")
    return before


async def repeated(ask: Ask[Any, Any]) -> bool:
    """Whether this very request, by its Idempotency-Key, was done before: then its conditions held."""
    if not ask.once:
        return False
    rows = await ask.parts.reader.fetch(
        "SELECT position FROM journal WHERE workspace = ? AND source = ? AND id = ?", (ask.workspace, SOURCE, _id(ask))
    )
    return bool(rows)


def delivery_of(event: Event) -> str:
    """The id of the delivery to which an event that asks for a message leads (``effects`` derives the same)."""
    return derived("dlv", derived("cmd", event.workspace, event.source, event.id))


async def known_contact(ask: Ask[Any, Any]) -> Contact:
    """The contact whom the path names. Raises ``Refused`` (404; 410 where they were forgotten)."""
    found = await contact_or_gone(ask)
    if found.forgotten_ms:
        raise Refused("contact.gone", f"this contact was forgotten on {iso(found.forgotten_ms)[:10]}")
    return found


async def contact_or_gone(ask: Ask[Any, Any]) -> Contact:
    """The contact whom the path names, or what is left of one who was forgotten. Raises ``Refused`` (404)."""
    found = await lists.contact(ask.parts.reader, ask.workspace, ask.path["contact"])
    if found is None:
        raise Refused("contact.not_found", "there is no such contact")
    return found


async def known_delivery(ask: Ask[Any, Any], id: str) -> Delivery:
    """A delivery of this workspace. Raises ``Refused`` (404)."""
    found = await lists.delivery(ask.parts.reader, ask.workspace, id)
    if found is None:
        raise Refused("delivery.not_found", "there is no such delivery")
    return found


def _id(ask: Ask[Any, Any]) -> str:
    return derived("api", ask.workspace, ask.operation, *ask.path.values(), ask.once)
