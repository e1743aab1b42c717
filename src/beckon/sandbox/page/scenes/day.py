"""The workshop's day: the visits that the demo's business system has planned, and what it says about them."""

from typing import Any

import msgspec

from beckon.core.clock import iso
from beckon.sandbox.cast import Answer, Cast
from beckon.sandbox.people import CHANNELS, PUSH, Customer
from beckon.sandbox.wvp import Visit
from beckon.sandbox.wvp.app import start_data
from beckon.web.filters import moment
from beckon.web.static import assets

_DAY_MS = 24 * 3_600_000

#: The statuses of a visit that ``Update status`` goes through, each with its words on the button.
STATUSES = (
    ("repair.started", "in repair"),
    ("checkout.prepared", "ready"),
    ("checkout.finished", "handed back"),
)


class Planned(msgspec.Struct):
    """One line of the day: who comes with which car, what was said about it so far."""

    id: str
    time: str
    customer: Customer
    vehicle: dict[str, Any]
    work: str
    visit: Visit
    #: the last event about it and its answer.
    last: Answer | None = None
    #: the next of ``STATUSES``.
    status: int = 0
    #: how many videos were sent.
    videos: int = 0
    #: the check-in was started, and whether its invitation could go nowhere.
    invited: bool = False
    lost: bool = False


#: time, name, locale, what they have, vehicle, work.
_PLAN: tuple[tuple[str, str, str, tuple[str, ...], dict[str, Any], str], ...] = (
    ("08:30", "Anna Janssens", "en", CHANNELS,
     {"make": "BMW", "model": "320d Touring", "plate": "1-ABC-234", "year": 2022, "mileage": 41_250},
     "Yearly service, tyre change"),
    ("09:15", "Lotte Peeters", "nl-BE", ("whatsapp", "sms", "email"),
     {"make": "BMW", "model": "iX1 eDrive20", "plate": "2-DKL-081", "year": 2024, "mileage": 18_900},
     "Software update, air conditioning"),
    ("10:00", "Hugo Lambert", "fr", ("sms", "email"),
     {"make": "MINI", "model": "Cooper SE", "plate": "1-XPR-557", "year": 2021, "mileage": 52_300},
     "Brake pads in front"),
    ("11:30", "Greta Lindqvist", "sv", ("email",),
     {"make": "BMW", "model": "X3 xDrive30e", "plate": "2-BGT-419", "year": 2023, "mileage": 30_700},
     "Noise when steering"),
)  # fmt: skip


class Day:
    """The visits of one day. ``fresh`` begins anew with other customers of the same names."""

    def __init__(self, cast: Cast, time_zone: str) -> None:
        self._cast = cast
        self._zone = time_zone
        self._number = 0
        self.planned: dict[str, Planned] = {}
        self.begins_ms = 0
        self.fresh()

    def fresh(self) -> None:
        """Plan the day anew: three days from now."""
        self.planned.clear()
        today = moment(self._cast.clock.now_ms() + 3 * _DAY_MS, self._zone)
        midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
        self.begins_ms = int(midnight.timestamp() * 1000)
        for index, (time, name, locale, has, vehicle, work) in enumerate(_PLAN, start=1):
            hour, minute = map(int, time.split(":"))
            at_ms = int(midnight.replace(hour=hour, minute=minute).timestamp() * 1000)
            self._plan(f"v{index}", time, at_ms, Customer(name=name, number=0, has=has, locale=locale), vehicle, work)

    def has(self, planned: Planned, channel: str, on: bool) -> None:
        """The customer has a channel, or hasn't: from now on somebody new, who was never written to."""
        wanted = {*planned.customer.has, channel} if on else set(planned.customer.has) - {channel}
        customer = msgspec.structs.replace(
            planned.customer, has=tuple([one for one in (*CHANNELS, *PUSH) if one in wanted])
        )
        self._plan(planned.id, planned.time, planned.visit.appointment_ms, customer, planned.vehicle, planned.work)

    def _plan(self, id_: str, time: str, at_ms: int, customer: Customer, vehicle: dict[str, Any], work: str) -> None:
        self._number += 1
        customer = msgspec.structs.replace(customer, number=100 + self._number, origin=self._cast.origin)
        visit = self._cast.plan(
            customer,
            visit=f"WO-{2600 + self._number}",
            at_ms=at_ms,
            vehicle=vehicle,
            appointment={
                "place": self._cast.wvp.config.business_name,
                "street": "Stationsstraat 12",
                "city": "Leuven",
                "advisor": "Anouk Van Dijk",
                "work": [part.strip().capitalize() for part in work.split(",")],
            },
        )
        self.planned[id_] = Planned(id_, time, customer, vehicle, work, visit)

    async def send(self, planned: Planned, act: str) -> Answer:
        """The business system says one of its events."""
        type_, data = self._event(planned, act)
        planned.last = await self._cast.say(type_, data)
        planned.invited = planned.invited or act == "checkin"
        return planned.last

    def _event(self, planned: Planned, act: str) -> tuple[str, dict[str, Any]]:
        visit, address = planned.visit, self._cast.parts.address
        about = {"visit": visit.visit, "contact": planned.customer.contact()}
        if act == "checkin":
            return "checkin.start", start_data(visit)
        if act == "video":
            planned.videos += 1
            video = f"{address}/sandbox/video/{visit.slug}"
            still = address + assets().url("page/still.svg")
            named = f"{visit.visit}-{planned.videos}"
            return "video.processed", {**about, "video_id": named, "video": {"url": video, "thumbnail": still}}
        if act == "payment":
            invoice = f"F{visit.visit.removeprefix('WO-')}"
            pay = f"{address}/sandbox/pay/{visit.slug}"
            return "payment.ready", {**about, "amount": 412.5, "currency": "EUR", "invoice": invoice, "url": pay}
        type_ = STATUSES[planned.status % len(STATUSES)][0]
        planned.status += 1
        return type_, {**about, "vehicle": {key: planned.vehicle[key] for key in ("make", "model", "plate")}}

    def at(self, slug: str) -> Planned | None:
        """The visit behind a customer's address."""
        return next((one for one in self.planned.values() if one.visit.slug == slug), None)

    async def decide(self, planned: Planned, type_: str) -> None:
        """What the customer does on the workshop's own pages (watches, approves, pays) is said by it as an event."""
        about = {"visit": planned.visit.visit, "contact": planned.customer.contact()}
        now = iso(self._cast.clock.now_ms())
        work = [{"title": "Front brake pads and discs", "price": 389.0}]
        more: dict[str, dict[str, Any]] = {
            "video.viewed": {"video_id": f"{planned.visit.visit}-{planned.videos}", "viewed_at": now},
            "work.approved": {"items": work, "total": 389.0, "currency": "EUR"},
            "work.declined": {"items": work, "reason": "Not now"},
            "payment.received": {"amount": 412.5, "currency": "EUR", "paid_at": now},
        }
        await self._cast.say(type_, {**about, **more[type_]}, id_=f"{planned.visit.visit}:{planned.videos}:{type_}")
