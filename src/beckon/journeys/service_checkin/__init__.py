"""The service visit: check-in, personal video, status and payment. See README.md."""

from pathlib import Path

from beckon.journeys.journey import Journey, read_event_types
from beckon.journeys.service_checkin.rules import CARDS

_FOLDER = Path(__file__).parent

JOURNEY = Journey(
    name="service_checkin",
    title="Service check-in",
    folder=_FOLDER,
    event_types=read_event_types(_FOLDER),
    cards=CARDS,
)
