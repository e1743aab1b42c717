"""Loyalty: members, points, offers in a wallet, campaigns, and the messages around them. See README.md."""

from pathlib import Path

from beckon.journeys.journey import Journey, Rail, read_event_types
from beckon.journeys.loyalty_offers import acts
from beckon.journeys.loyalty_offers.api import desk
from beckon.journeys.loyalty_offers.api_table import OPERATIONS
from beckon.journeys.loyalty_offers.definitions import parse_campaign, parse_offer, parse_programme
from beckon.journeys.loyalty_offers.page import doors as page
from beckon.journeys.loyalty_offers.part import LoyaltyPart
from beckon.journeys.loyalty_offers.sessionm_routes import routes as sessionm_routes
from beckon.journeys.loyalty_offers.team import routes as team
from beckon.journeys.loyalty_offers.team.panel import panels
from beckon.journeys.loyalty_offers.told import OWN_TYPES
from beckon.workspaces import DefinitionKind

_FOLDER = Path(__file__).parent

JOURNEY = Journey(
    name="loyalty_offers",
    title="Loyalty and offers",
    folder=_FOLDER,
    event_types=read_event_types(_FOLDER),
    own_types=OWN_TYPES,
    part=LoyaltyPart,
    panels=panels,
    rail=(Rail("/console/members", "star", "Members"), Rail("/console/campaigns", "gift", "Campaigns")),
    routes=lambda parts: [
        *sessionm_routes(parts),
        *page.routes(parts),
        *team.routes(parts),
    ],
    operations=OPERATIONS,
    desk=desk,
    acts=acts.acts,
    act_names=acts.NAMES,
    kinds=(
        DefinitionKind("programme", "programme/*.yaml", parse_programme),
        DefinitionKind("offer", "offers/*.yaml", parse_offer),
        DefinitionKind("campaign", "campaigns/*.yaml", parse_campaign),
    ),
)
