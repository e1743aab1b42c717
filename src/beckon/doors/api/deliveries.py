"""``/v1/deliveries``: every message on its way, and the honest re-send."""

from typing import Annotated

import msgspec
from msgspec import Meta

from beckon.core.delivery import RESENDABLE, TRANSITIONS
from beckon.core.errors import Refused
from beckon.doors.api import lists
from beckon.doors.api.acts import known_delivery, repeated, say
from beckon.doors.api.paging import ContactWanted, Limit, PageKey
from beckon.doors.api.parts import Ask, Operation, Page
from beckon.doors.api.shapes import DeliveryShown, show_delivery

StateWanted = Annotated[str, Meta(extra_json_schema={"enum": ["", *sorted(TRANSITIONS)]})]


class DeliveriesQuery(msgspec.Struct, frozen=True):
    """Which deliveries; without anything, all."""

    state: StateWanted = ""
    channel: Annotated[str, Meta(max_length=64)] = ""
    contact: ContactWanted = ""
    after: PageKey = ""
    limit: Limit = 50


class Resending(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the person who asks for a re-send accepts."""

    #: the message may have arrived already: the contact may get it twice.
    accept_duplicate: bool = False


async def list_deliveries(ask: Ask[DeliveriesQuery, None]) -> Page[DeliveryShown]:
    """Deliveries, the newest first."""
    query = ask.query
    if query.state and query.state not in TRANSITIONS:
        raise Refused("request.form", f"a delivery's states are {', '.join(sorted(TRANSITIONS))}", field="state")
    wanted = {"state": query.state, "channel": query.channel, "contact": query.contact}
    page = await lists.deliveries(
        ask.parts.reader,
        ask.workspace,
        equal={column: value for column, value in wanted.items() if value},
        after=query.after,
        limit=query.limit,
    )
    return Page([show_delivery(one) for one in page.items], page.next)


async def read_delivery(ask: Ask[object, object]) -> DeliveryShown:
    """One delivery with its reasons."""
    return show_delivery(await known_delivery(ask, ask.path["delivery"]))


async def resend(ask: Ask[None, Resending | None]) -> DeliveryShown:
    """Ask for the same message again."""
    delivery = await known_delivery(ask, ask.path["delivery"])
    accepts = ask.body is not None and ask.body.accept_duplicate
    if not await repeated(ask):
        if delivery.queued_number or not (delivery.doubtful or delivery.state in RESENDABLE):
            raise Refused("delivery.state", f"a delivery that is {delivery.state} is not sent again")
        if (delivery.doubtful or delivery.state == "doubtful") and not accepts:
            raise Refused(
                "delivery.doubtful",
                "the message may have arrived already; accept_duplicate says that it may come twice",
                field="accept_duplicate",
            )
    fields = {"delivery": delivery.id, "contact": delivery.contact, "accept_duplicate": accepts}
    await say(ask, "delivery.resend_asked", delivery.contact, fields)
    return await read_delivery(ask)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/deliveries",
        name="list_deliveries",
        tag="Deliveries",
        summary="List deliveries, the newest first",
        scope="read",
        act=list_deliveries,
        query=DeliveriesQuery,
        answer=Page[DeliveryShown],
    ),
    Operation(
        method="GET",
        path="/v1/deliveries/{delivery}",
        name="read_delivery",
        tag="Deliveries",
        summary="One delivery: its choice with the reasons, its attempts, its receipts",
        scope="read",
        act=read_delivery,
        answer=DeliveryShown,
    ),
    Operation(
        method="POST",
        path="/v1/deliveries/{delivery}/resend",
        name="resend",
        tag="Deliveries",
        summary="Send a message again that did not arrive",
        words="What is under way or has arrived is not sent again (409). A doubtful one only with `accept_duplicate`.",
        scope="write",
        act=resend,
        body=Resending,
        body_optional=True,
        answer=DeliveryShown,
        status=202,
        refusals=(409,),
    ),
)
