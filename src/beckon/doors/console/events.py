"""The event log: everything that happened, as it was accepted."""

from urllib.parse import urlencode

from starlette.responses import Response

from beckon.doors.console import reading
from beckon.doors.console.gate import Visit
from beckon.inbox.reading import whole


async def show_list(visit: Visit) -> Response:
    """The journal, the newest first."""
    type, source = visit.query("type", 120), visit.query("source", 200)
    listed = await reading.events(
        visit.reader, visit.workspace, type=type, source=source, after=visit.query("after", 20)
    )
    kept = {name: value for name, value in (("type", type), ("source", source)) if value}
    return await visit.show(
        "events.html",
        title="Events",
        topics=("events",),
        listed=listed,
        type=type,
        source=source,
        families=_FAMILIES,
        more="/console/events?" + urlencode({**kept, "after": listed.next}) if listed.next else "",
    )


async def show(visit: Visit) -> Response:
    """One event, as it is kept."""
    position = visit.path("position")
    found = await reading.event(visit.reader, visit.workspace, int(position)) if whole(position) else None
    if found is None:
        return await visit.missing("event")
    return await visit.show("event.html", title=found.type, event=found)


#: The families of events that the filter offers.
_FAMILIES = (
    ("", "All"),
    ("checkin.*", "Check-in"),
    ("message.*", "Messages"),
    ("link.*", "Links"),
    ("agent.*", "Team"),
    ("conversation.*", "Conversations"),
)
