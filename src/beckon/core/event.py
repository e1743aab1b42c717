"""Event: something that happened, said by a source. The only way in."""

from typing import Any

import msgspec

#: JSON as Python holds it: what an event's ``data`` may be.
Json = dict[str, Any] | list[Any] | str | int | float | bool | None


class Event(msgspec.Struct, kw_only=True, frozen=True):
    """One event, after its door has parsed it and before (position 0) or after the journal has taken it."""

    workspace: str
    #: who says it: ``https://dms.example/visits`` or a word of ours such as ``beckon/outbox``.
    source: str
    #: unique within the source: (source, id) is seen once, however often it is sent.
    id: str
    #: ``object.action`` in lower case: ``checkin.start``, ``message.delivered``.
    type: str
    #: when it happened, by the source's clock.
    time_ms: int
    data: Any = None
    #: what it is about, in the source's words; ours put a contact's id (``con_…``) here.
    subject: str | None = None
    #: the journal's position: grows by one or more, never reused; 0 until accepted.
    position: int = 0
    #: when it was accepted, by our clock.
    accepted_ms: int = 0
    #: how many events led to this one through ``emit``: bounded, so that flows can't chase each other for ever.
    depth: int = 0
    #: whom it is about, as its door has read it already; in memory only, never stored.
    about: Any = None
    #: one of a great many that big work says (a campaign, an import): what follows from it lets others go first. In
    #: memory only: a server that is killed forgets it of one piece's events.
    big: bool = False
