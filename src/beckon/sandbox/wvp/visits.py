"""Visits: what the business plans and what the customer answers, kept in memory and bounded."""

from collections import OrderedDict
from typing import Annotated, Any

import msgspec

from beckon.core import ids
from beckon.core.clock import from_iso
from beckon.core.errors import Refused
from beckon.web.links import code_is_ours, new_code

VISITS_MAX = 20_000
DAY_MS = 24 * 3600 * 1000
#: A check-in without an appointment stays open this long; with one, until half a day after it.
OPEN_MS = 14 * DAY_MS
GRACE_MS = DAY_MS // 2

Short = Annotated[str, msgspec.Meta(max_length=100)]
Line = Annotated[str, msgspec.Meta(max_length=200)]


class Customer(msgspec.Struct, kw_only=True, frozen=True):
    """Who brings the vehicle, as the business knows them."""

    name: Short = ""
    phone: Annotated[str, msgspec.Meta(max_length=40)] = ""
    email: Annotated[str, msgspec.Meta(max_length=254)] = ""
    locale: Annotated[str, msgspec.Meta(max_length=35)] = ""


class Vehicle(msgspec.Struct, kw_only=True, frozen=True):
    """What is brought."""

    make: Short = ""
    model: Short = ""
    plate: Annotated[str, msgspec.Meta(max_length=20)] = ""
    year: Annotated[int, msgspec.Meta(ge=0, le=2200)] = 0
    #: at the last visit; 0: not known.
    mileage: Annotated[int, msgspec.Meta(ge=0, le=2_000_000)] = 0


class Appointment(msgspec.Struct, kw_only=True, frozen=True):
    """When, where and what for. ``at`` is an RFC 3339 instant."""

    at: Annotated[str, msgspec.Meta(max_length=40)]
    time_zone: Annotated[str, msgspec.Meta(max_length=64)] = "Europe/Brussels"
    place: Short = ""
    street: Line = ""
    city: Line = ""
    phone: Annotated[str, msgspec.Meta(max_length=40)] = ""
    advisor: Short = ""
    work: Annotated[tuple[Line, ...], msgspec.Meta(max_length=20)] = ()


class Plan(msgspec.Struct, kw_only=True, frozen=True):
    """What the business says to plan a visit. ``contact`` may hold more than ``Customer``: it is passed on
    as it is."""

    visit: Annotated[str, msgspec.Meta(max_length=64)] = ""
    contact: Annotated[dict[str, Any], msgspec.Meta(max_length=40)] = {}
    vehicle: Vehicle = Vehicle()
    appointment: Appointment | None = None
    mileage_unit: Annotated[str, msgspec.Meta(pattern="^(km|mi)$")] = "km"
    #: say ``checkin.start`` at once.
    start: bool = False


class Visit(msgspec.Struct, kw_only=True):
    """One visit and its check-in so far."""

    visit: str
    slug: str
    #: as the business gave it, for ``checkin.start``.
    contact: dict[str, Any]
    customer: Customer
    vehicle: Vehicle
    appointment: Appointment | None
    mileage_unit: str
    created_ms: int
    expires_ms: int
    #: the code of the key box that is kept for this visit.
    box_code: str
    #: the language that the customer took; empty: not taken yet.
    locale: str = ""
    #: the form's fields as they were typed, and the steps that were sent.
    typed: dict[str, str] = {}
    #: by the step: when the browser wrote what is kept of it (its own clock); 0 without the page's script.
    written_ms: dict[str, int] = {}
    sent: set[str] = set()
    opened_ms: int = 0
    finished_ms: int = 0
    #: what was reported when it was finished.
    result: dict[str, Any] = {}

    @property
    def appointment_ms(self) -> int:
        """When the appointment is; 0 without one."""
        return from_iso(self.appointment.at) if self.appointment else 0

    def over(self, now_ms: int) -> bool:
        """Whether it is too late to check in."""
        return now_ms >= self.expires_ms


class VisitBook:
    """The visits by slug and by name; the oldest are forgotten when there are too many."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._by_slug: OrderedDict[str, Visit] = OrderedDict()
        self._slugs: dict[str, str] = {}

    def plan(self, plan: Plan, now_ms: int) -> Visit:
        """A new visit, or the one of this name as it stands. Raises ``Refused`` for an appointment without
        an instant."""
        name = plan.visit or ids.fresh("vis")
        known = self.named(name)
        if known is not None:
            return known
        expires_ms = now_ms + OPEN_MS
        if plan.appointment is not None:
            try:
                expires_ms = from_iso(plan.appointment.at) + GRACE_MS
            except ValueError as error:
                raise Refused("visit.appointment", f"The appointment: {error}.", field="appointment.at") from None
        visit = Visit(
            visit=name,
            slug=new_code(self._key),
            contact=plan.contact,
            customer=_customer(plan.contact),
            vehicle=plan.vehicle,
            appointment=plan.appointment,
            mileage_unit=plan.mileage_unit,
            created_ms=now_ms,
            expires_ms=expires_ms,
            box_code=_box_code(name),
            typed={},
            written_ms={},
            sent=set(),
            result={},
        )
        self._by_slug[visit.slug] = visit
        self._slugs[name] = visit.slug
        if len(self._by_slug) > VISITS_MAX:
            _, oldest = self._by_slug.popitem(last=False)
            del self._slugs[oldest.visit]
        return visit

    def at(self, slug: str) -> Visit | None:
        """The visit behind a slug; a guessed slug is refused without a look."""
        return self._by_slug.get(slug) if code_is_ours(slug, self._key) else None

    def named(self, name: str) -> Visit | None:
        """The visit of this name."""
        slug = self._slugs.get(name)
        return self._by_slug[slug] if slug else None


def _customer(contact: dict[str, Any]) -> Customer:
    """What the form is filled with; numbers that came as numbers are taken, too."""
    words = {name: str(contact[name]) for name in ("name", "phone", "email", "locale") if contact.get(name)}
    if "name" not in words:
        words["name"] = " ".join(str(contact[part]) for part in ("first_name", "last_name") if contact.get(part))
    try:
        return msgspec.convert(words, Customer)
    except msgspec.ValidationError as error:
        raise Refused("visit.contact", f"The contact doesn't fit: {error}", field="contact") from None


def _box_code(name: str) -> str:
    return f"{int(ids.derived('box', name)[4:], 16) % 10_000:04d}"
