"""Every route of the team's pages for loyalty."""

from starlette.routing import BaseRoute

from beckon.journeys.loyalty_offers.team import campaigns, members
from beckon.journeys.loyalty_offers.team.doors import Team, routed
from beckon.journeys.part import JourneyParts


def routes(parts: JourneyParts) -> list[BaseRoute]:
    """For signed-in people only; what is posted carries the session's token."""
    one, campaign = "/console/members/{member}", "/console/campaigns/{name}"
    return routed(
        Team(parts),
        {
            "/console/members": members.show_list,
            one: members.show,
            "/console/campaigns": campaigns.show_list,
            campaign: campaigns.show,
        },
        {
            f"{one}/points": members.adjust_points,
            f"{one}/offers": members.issue,
            f"{one}/act": members.act_on_offer,
            f"{one}/forget": members.forget,
            f"{campaign}/start": campaigns.start,
            f"{campaign}/stop": campaigns.stop,
        },
    )
