"""Calls: a PBX asks step by step what to do; couriers reach customers whose numbers they don't learn. See README.md."""

from pathlib import Path

from beckon.journeys.call_processing import pages
from beckon.journeys.call_processing.dialect import Answering
from beckon.journeys.call_processing.door import routes
from beckon.journeys.call_processing.jambonz import JambonzAnswering
from beckon.journeys.call_processing.part import CallsPart
from beckon.journeys.call_processing.prototype import Prototype
from beckon.journeys.call_processing.switchboard import seats
from beckon.journeys.call_processing.twiml import TwimlAnswering
from beckon.journeys.call_processing.uis import UisAnswering, UisAsking
from beckon.journeys.journey import Journey, Rail, read_event_types
from beckon.telephony.answers import NAMES

_FOLDER = Path(__file__).parent

#: The dialects in which scripts ask.
DIALECTS = {dialect.name: dialect for dialect in (UisAsking(),)}
#: The dialects in which we answer.
ANSWERING: dict[str, Answering] = {
    dialect.name: dialect for dialect in (UisAnswering(), JambonzAnswering(), TwimlAnswering())
}

JOURNEY = Journey(
    name="call_processing",
    title="Interactive calls",
    folder=_FOLDER,
    event_types=read_event_types(_FOLDER),
    part=CallsPart,
    beside=lambda parts: seats(parts, DIALECTS),
    bubbles={"call": "call_processing/bubble.html"},
    answers={"call.asked": frozenset(NAMES)},
    routes=lambda parts: [*Prototype(parts, ANSWERING).routes(), *routes(parts, ANSWERING), *pages.routes(parts)],
    rail=(Rail("/console/calls", "call", "Calls"),),
)
