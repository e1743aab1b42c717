"""Asked: a PBX's question, and a call that is over, as events of the line."""

from typing import Any

import msgspec

from beckon.core.clock import iso
from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.core.ids import fresh
from beckon.journeys.call_processing.dialect import Asked, international
from beckon.messaging.contacts import read_reference
from beckon.telephony.call import Call, CallRecord
from beckon.workspaces import Library


def asked_event(library: Library, asked: Asked, dialect: str, now_ms: int) -> Event:
    """``call.asked``: what a flow answers."""
    fields = {**msgspec.structs.asdict(asked), "dialect": dialect, "asked_at": iso(now_ms)}
    fields |= _contact(library, asked.caller if asked.direction == "in" else asked.called)
    return Event(
        workspace=library.workspace,
        source=f"calls/{dialect}",
        # Each question is one of its own: a caller may type the same twice.
        id=fresh("ask"),
        type="call.asked",
        time_ms=now_ms,
        data=fields,
    )


def started_event(library: Library, call: Call, delivery: str = "") -> Event:
    """``call.started``: it rings. ``delivery``: the message that it carries, which says whom it is about."""
    fields: dict[str, Any] = {
        "id": call.id, "workspace": call.workspace, "script": call.script, "version": call.version,
        "direction": call.direction, "caller": call.caller, "called": call.called, "session": call.session,
        "started_ms": call.started_ms,
    }  # fmt: skip
    # A number that is called with a message says nothing new of its owner: not that it is on WhatsApp, say.
    about = {"delivery": delivery} if delivery else _contact(library, _other(call.direction, call.caller, call.called))
    fields |= about
    return Event(
        workspace=call.workspace,
        source="beckon/calls",
        id=f"{call.id}-started",
        type="call.started",
        time_ms=call.started_ms,
        data=fields,
    )


def finished_event(library: Library, record: CallRecord, delivery: str = "") -> Event:
    """``call.finished``: the whole record, with each decision and its reason."""
    fields: dict[str, Any] = msgspec.to_builtins(record)
    if delivery:
        fields["delivery"] = delivery
    elif not record.contact:
        fields |= _contact(library, _other(record.direction, record.caller, record.called))
    return Event(
        workspace=record.workspace,
        source="beckon/calls",
        id=record.id,
        type="call.finished",
        time_ms=record.ended_ms,
        data=fields,
        subject=record.contact or None,
    )


def _other(direction: str, caller: str, called: str) -> str:
    return caller if direction == "in" else called


def _contact(library: Library, number: str) -> dict[str, Any]:
    """Whom a number stands for; nothing for one that is withheld, an extension or a name."""
    try:
        read_reference({"phone": international(number)}, region=library.settings.region)
    except Refused:
        return {}
    return {"contact": {"phone": international(number)}}
