"""Deliveries: trouble first, each with its attempts, receipts and reasons, and an honest way to send again."""

from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from beckon.core.errors import Refused
from beckon.doors.console import reading, words
from beckon.doors.console.gate import Flash, Visit, gather, to
from beckon.inbox import acts
from beckon.inbox.reading import LOOK_MAX, contact_names

#: What the list can be narrowed to, in the order of its tabs.
VIEWS: dict[str, tuple[str, tuple[str, ...]]] = {
    "trouble": ("Needs a look", reading.TROUBLE),
    "under-way": ("On its way", reading.UNDER_WAY),
    "arrived": ("Arrived", ("delivered", "read")),
    "cancelled": ("Cancelled", ("cancelled",)),
    "all": ("All", ()),
}


class Tab(msgspec.Struct, frozen=True):
    """One way to narrow the list, and how many there are."""

    name: str
    label: str
    count: int
    chosen: bool


async def show_list(visit: Visit) -> Response:
    """Deliveries; those that need a look first, where there are any."""
    counts = await reading.delivery_states(visit.reader, visit.workspace)
    tabs = {
        name: sum(counts.values() if not states else (counts.get(one, 0) for one in states))
        for name, (_, states) in VIEWS.items()
    }
    view = visit.query("view", 20)
    if view not in VIEWS:
        view = "trouble" if tabs["trouble"] else "all"
    channel = visit.query("channel", 40)
    listed = await reading.deliveries(
        visit.reader,
        visit.workspace,
        states=VIEWS[view][1],
        channel=channel,
        after=visit.query("after", 120),
    )
    names = await contact_names(visit.reader, visit.workspace, (one.delivery.contact for one in listed.items))
    kept = {name: value for name, value in (("view", view), ("channel", channel)) if value}
    return await visit.show(
        "deliveries.html",
        title="Deliveries",
        topics=("deliveries",),
        listed=listed,
        names=names,
        view=view,
        channel=channel,
        channels=tuple(visit.library.channel_order),
        tabs=[Tab(name, VIEWS[name][0], tabs[name], name == view) for name in VIEWS],
        look_max=LOOK_MAX,
        state_of=words.delivery_state,
        reason_of=words.reason,
        counted=sum(counts.values()),
        more="/console/deliveries?" + urlencode({**kept, "after": listed.next}) if listed.next else "",
    )


async def show(visit: Visit) -> Response:
    """One delivery."""
    return await _page(visit)


async def resend(visit: Visit) -> Response:
    """A person asks for it to be sent again. A doubtful one only with the word that a double is accepted."""
    found = await reading.delivery(visit.reader, visit.workspace, _id(visit))
    if found is None:
        return await visit.missing("delivery")
    offer = words.resend(found)
    accepted = await visit.field("accept_duplicate") == "yes"
    if not offer.possible:
        raise Refused("delivery.state", offer.says)
    if offer.warning and not accepted:
        raise Refused("delivery.may_be_twice", offer.warning, field="accept_duplicate")
    event = acts.resend_asked(await visit.actor(), found.contact, found.id, accept_duplicate=accepted)
    await visit.say(event)
    return to(visit.request, f"/console/deliveries/{found.id}?asked=1")


async def _page(visit: Visit) -> Response:
    found = await reading.delivery(visit.reader, visit.workspace, _id(visit))
    if found is None:
        return await visit.missing("delivery")
    (names,) = await gather(contact_names(visit.reader, visit.workspace, (found.contact,)))
    asked = visit.query("asked", 1) == "1" and found.state in ("undeliverable", "doubtful", "failed", "cancelled")
    return await visit.show(
        "delivery.html",
        title="Delivery",
        topics=("deliveries",),
        delivery=found,
        state=words.delivery_state(found),
        contact_name=names.get(found.contact, ""),
        offer=words.resend(found),
        outcome_tone=words.OUTCOME_TONE,
        flash=Flash("info", "Sending it again was asked for. This page shows what becomes of it.") if asked else None,
    )


def _id(visit: Visit) -> str:
    return visit.path("delivery")
