"""The service visit: a workshop's day, its customers' check-ins, videos and invoices."""

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from beckon.core.errors import Refused
from beckon.messaging.choose import LABELS
from beckon.sandbox.cast import Answer, Cast, pretty
from beckon.sandbox.page.scenes import Look, Region
from beckon.sandbox.page.scenes.day import STATUSES, Day, Planned
from beckon.sandbox.page.shown import APPS, Moment, steps
from beckon.sandbox.people import CHANNELS, PROVIDER_OF
from beckon.web import pages
from beckon.web.filters import moment

_TITLES = ("Event", "Best channel", "Notified", "Invitation", "Button", "Check-in", "Results", "Team told")
_ACTS = (
    ("checkin", "Start check-in", "send"),
    ("video", "Send service video", "bolt"),
    ("status", "Status: {status}", "tool"),
    ("payment", "Payment ready", "check-circle"),
)


class ServiceVisit:
    """The scene of the first journey."""

    def __init__(self, cast: Cast, time_zone: str) -> None:
        self._cast = cast
        self._zone = time_zone
        business = cast.wvp.config.business_name
        self.look = Look(
            name="visit",
            title="Service visit",
            icon="car",
            business=business,
            part=("Business system", business, "Business"),
            team="Service advisors",
            story="The check-in story, step by step",
            apps=tuple(APPS.values()),
            channels=(*CHANNELS, "web_push"),
            flow_titles={
                "service-checkin": "Check-in",
                "service-video": "Service video",
                "service-status": "Status",
                "payment-information": "Payment",
            },
            drags=(("+1 h", 1), ("+24 h", 24), ("+2 d", 48)),
            slider=(72, 1),
        )
        self.acts = {"event": self._event, "send": self._send}
        self.routes = (
            Route("/sandbox/video/{slug}", self._video, methods=["GET", "POST"]),
            Route("/sandbox/pay/{slug}", self._pay, methods=["GET", "POST"]),
        )
        self.day = Day(cast, time_zone)

    def opened(self) -> None:
        """A day that is over before anything was said of it is planned anew."""
        begun = any(planned.last is not None for planned in self.day.planned.values())
        if not begun and self.day.begins_ms <= self._cast.clock.now_ms():
            self.day.fresh()

    def fresh(self) -> None:
        """Plan the day anew."""
        self.day.fresh()

    def somebody(self, id_: str) -> Planned:
        """The visit of this id; the first one where there is none."""
        return self.day.planned.get(id_) or next(iter(self.day.planned.values()))

    def has(self, who: Planned, channel: str, on: bool) -> None:
        """The customer has a channel, or hasn't."""
        self.day.has(who, channel, on)

    async def regions(self, who: Planned, seen: Moment) -> dict[str, Region]:
        """The story and the day."""
        return {
            "story": ("story", {"story": story(self._cast, who, seen)}),
            "business": ("visits", visits(self.day, who, self._zone)),
        }

    # What a visitor does for the business.

    async def _event(self, who: Planned, fields: dict[str, Any]) -> dict[str, Any]:
        return _answer(await self.day.send(who, str(fields.get("event", ""))))

    async def _send(self, who: Planned, fields: dict[str, Any]) -> dict[str, Any]:
        try:
            event = msgspec.json.decode(str(fields.get("body", "")), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Refused("demo.event", f"This is no JSON: {error}", field="body") from None
        return _answer(await self._cast.post(event))

    # Two pages of the workshop's own that its messages lead to.

    async def _video(self, request: Request) -> Response:
        planned = self._behind(request)
        decided = ""
        if request.method == "POST":
            form = await request.form(max_fields=4, max_files=0)
            decided = "declined" if form.get("decision") == "declined" else "approved"
            await self.day.decide(planned, f"work.{decided}")
        else:
            await self.day.decide(planned, "video.viewed")
        return self._customers_page(request, "video", planned, decided)

    async def _pay(self, request: Request) -> Response:
        planned = self._behind(request)
        decided = ""
        if request.method == "POST":
            decided = "paid"
            await self.day.decide(planned, "payment.received")
        return self._customers_page(request, "pay", planned, decided)

    def _customers_page(self, request: Request, name: str, planned: Planned, decided: str) -> Response:
        return pages.page(
            request,
            f"page/{name}.html",
            frame_ancestors="'self'",
            time_zone=self._zone,
            planned=planned,
            business=self.look.business,
            decided=decided,
        )

    def _behind(self, request: Request) -> Planned:
        planned = self.day.at(request.path_params["slug"])
        if planned is None:
            raise HTTPException(404)
        return planned


def story(cast: Cast, planned: Planned, seen: Moment) -> list[dict[str, str]]:
    """The seed's eight steps with their states."""
    visit = planned.visit
    run = next((one for one in seen.runs if one.flow == "service-checkin"), None)
    first = next((one for one in seen.deliveries if run is not None and one.run == run.id), None)
    choice = first.choice if first is not None else None
    channel = choice.channel if choice is not None else ""
    phone = [
        one
        for app in PROVIDER_OF
        for one in cast.on_phone(planned.customer, app)
        if first and one.reference == first.id
    ]
    entries = seen.talk.entries if seen.talk is not None else ()
    kinds = {entry.kind for entry in entries if entry.author == "flow:service-checkin"}
    lost = first is not None and first.state == "undeliverable"
    planned.lost = lost
    done = [
        run is not None,
        bool(channel),
        bool(phone),
        any(one.state == "read" for one in phone),
        visit.opened_ms > 0,
        visit.finished_ms > 0,
        "results" in kinds,
        "results" in kinds and "notice" in kinds,
    ]
    details = (
        "checkin.start",
        LABELS.get(channel, channel) if channel else "no channel" if lost else "the first that can",
        "a push on the phone",
        "opened and read",
        "opens the check-in",
        "takes two minutes",
        "checkin.finished",
        "Service advisors",
    )
    return steps(_TITLES, details, done, 1 if lost else -1)


def visits(day: Day, chosen: Planned, time_zone: str) -> dict[str, Any]:
    """The business system's day."""
    listed = []
    for planned in day.planned.values():
        words, tone = _visit_state(planned)
        vehicle = planned.vehicle
        listed.append(
            {
                "id": planned.id,
                "time": planned.time,
                "name": planned.customer.name,
                "vehicle": f"{vehicle['make']} {vehicle['model']}",
                "plate": vehicle["plate"],
                "work": planned.work,
                "state": words,
                "tone": tone,
                "chosen": planned is chosen,
                "fresh": planned.last is None,
            }
        )
    status = STATUSES[chosen.status % len(STATUSES)][1]
    acts = [{"name": name, "label": words.format(status=status), "icon": icon} for name, words, icon in _ACTS]
    return {"visits": listed, "acts": acts, "visit_day": moment(day.begins_ms, time_zone).strftime("%A")}


def _visit_state(planned: Planned) -> tuple[str, str]:
    if planned.visit.finished_ms:
        return "Checked in", "good"
    if planned.visit.opened_ms:
        return "Checking in", "accent"
    if planned.lost:
        return "Not reached", "bad"
    return ("Invited", "accent") if planned.invited else ("Planned", "")


def _answer(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "body": answer.body, "sent": pretty(answer.sent)}
