"""``/v1/events``: the journal, for those who follow it. (``POST /v1/events`` is ``events``.)"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from beckon.core.errors import Refused
from beckon.doors.api import lists
from beckon.doors.api.paging import Limit, NumberKey
from beckon.doors.api.parts import Ask, Operation, Page
from beckon.doors.api.shapes import EventShown, show_event

Word = Annotated[str, Meta(max_length=512)]


class EventsQuery(msgspec.Struct, frozen=True):
    """Which events: those after a position, oldest first; or, newest first, those before it."""

    order: Literal["oldest_first", "newest_first"] = "oldest_first"
    type: Word = ""
    source: Word = ""
    subject: Word = ""
    after: NumberKey = 0
    limit: Limit = 50


async def list_events(ask: Ask[EventsQuery, None]) -> Page[EventShown]:
    """The journal as a feed."""
    query = ask.query
    wanted = {"type": query.type, "source": query.source, "subject": query.subject}
    page = await lists.events(
        ask.parts.reader,
        ask.workspace,
        equal={column: value for column, value in wanted.items() if value},
        after=query.after,
        limit=query.limit,
        newest_first=query.order == "newest_first",
    )
    return Page([show_event(one) for one in page.items], page.next)


async def read_event(ask: Ask[None, None]) -> EventShown:
    """One event."""
    found = await lists.event(ask.parts.reader, ask.workspace, int(ask.path["position"]))
    if found is None:
        raise Refused("event.not_found", "there is no such event")
    return show_event(found)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/events",
        name="list_events",
        tag="Events",
        summary="Follow the journal",
        words="Oldest first, `next` is always there: ask again with it and get what came since.",
        scope="read",
        act=list_events,
        query=EventsQuery,
        answer=Page[EventShown],
    ),
    Operation(
        method="GET",
        path="/v1/events/{position}",
        name="read_event",
        tag="Events",
        summary="One event of the journal",
        scope="read",
        act=read_event,
        answer=EventShown,
    ),
)
