"""Which waits an event may end, found by key: the cost of an event does not grow with the number of sleepers.

A wait compares some values of an event with values of its own: ``match: {visit: "V-17"}``. The event's type, the names
and the values make a digest, the *key*, under which the wait is stored. When an event comes, its keys are computed for
each *shape* (type and names) that some flow of the workspace uses: a handful of look-ups, however many runs sleep.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from beckon.core.event import Event

#: The name that stands for the contact an event is about. Other envelope names: ``@subject``, ``@source``, ``@id``.
CONTACT = "@contact"

#: A longer value is no key: nobody waits for it.
VALUE_CHARS_MAX = 1_000

_encode = msgspec.json.Encoder().encode


class Shape(msgspec.Struct, frozen=True, order=True):
    """A type of event and the names whose values a wait compares. Names are paths in ``data``, in order of alphabet."""

    event_type: str
    names: tuple[str, ...]


def canonical(value: Any) -> str | None:
    """A value as the text that is compared: ``1``, ``1.0`` and ``"1"`` are one; None, lists and objects are no key."""
    if type(value) is str:
        return value if 0 < len(value) <= VALUE_CHARS_MAX else None
    if value is None:
        return None
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value) if -(10**40) < value < 10**40 else None
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**63 else repr(value)
    if isinstance(value, Mapping) and type(value.get("id")) is str:
        return canonical(value["id"])  # an object is known by its id
    return None


def value_at(event: Event, contact: str, name: str) -> str | None:
    """What an event says under a name, as the text that is compared; None: nothing that could be."""
    if name == CONTACT:
        return contact or None
    if name[:1] == "@":
        return canonical({"@subject": event.subject, "@source": event.source, "@id": event.id}.get(name))
    found: Any = event.data
    for part in name.split("."):
        if type(found) is not dict or part not in found:
            return None
        found = found[part]
    return canonical(found)


def wait_key(workspace: str, event_type: str, values: Iterable[tuple[str, str]]) -> str:
    """The key of a wait: a digest over the workspace, the event's type, and each (name, value) in order of name."""
    return _digest([workspace, event_type, sorted(values)])


def key_of(shape: Shape, event: Event, contact: str) -> str | None:
    """The key that an event has under one shape; None: it lacks a value."""
    values = []
    for name in shape.names:
        value = value_at(event, contact, name)
        if value is None:
            return None
        values.append((name, value))
    return _digest([event.workspace, event.type, values])


def keys_of(shapes: Iterable[Shape], event: Event, contact: str) -> list[str]:
    """All keys under which this event may be awaited, given the shapes in use; shapes of other types don't count."""
    keys = []
    for shape in shapes:
        if shape.event_type == event.type:
            key = key_of(shape, event, contact)
            if key is not None:
                keys.append(key)
    return keys


def _digest(words: list[Any]) -> str:
    try:
        text = _encode(words)
    except (UnicodeEncodeError, ValueError):  # a lone surrogate: such text can't come through a door
        text = repr(words).encode("ascii", "backslashreplace")
    return blake2b(text, digest_size=12).hexdigest()
