"""Panel: a member's box beside their conversation: level, points, open offers, last purchases, what expires next."""

from collections.abc import Sequence

from markupsafe import Markup

from beckon.inbox.panels import Panel
from beckon.inbox.reading import Reader
from beckon.journeys.loyalty_offers.page.speech import Speech
from beckon.journeys.loyalty_offers.reading import Reading
from beckon.journeys.loyalty_offers.team import lists
from beckon.journeys.part import JourneyParts
from beckon.web.pages import render

OFFERS, SALES = 5, 3


class MemberPanel:
    """Loyalty beside a thread."""

    title = "Loyalty"

    def __init__(self, parts: JourneyParts) -> None:
        self._parts = parts
        self._reading = Reading.of(parts)

    async def show(self, reader: Reader, workspace: str, contact: str) -> Markup | None:
        """The box's inside; None: the contact is no member."""
        member = await self._reading.find(workspace, "contact", contact)
        library = self._parts.workspaces.get(workspace)
        if member is None or member.state == "forgotten" or library is None:
            return None
        now_ms, zone = self._parts.clock.now_ms(), library.settings.time_zone
        wallet = await self._reading.wallet(member)
        rules = self._reading.rules(workspace)
        text = render(
            "loyalty_offers/panel.html",
            member=member,
            balance=self._reading.balance(member),
            wallet=wallet[:OFFERS],
            left_out=max(0, len(wallet) - OFFERS),
            sales=await lists.sales(self._parts.reader, workspace, member.recent[:SALES]),
            say=Speech("en", zone, now_ms),
            currency=rules.currency,
            decimals=rules.decimals,
            now_ms=now_ms,
            time_zone=zone,
        )
        return Markup(text)  # noqa: S704 -- our own template, which escapes


def panels(parts: JourneyParts) -> Sequence[Panel]:
    """What loyalty adds beside a conversation."""
    return (MemberPanel(parts),)
