"""Screens: what the check-in app shows, in the customer's language."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from beckon.core.clock import iso
from beckon.sandbox.wvp import answers
from beckon.sandbox.wvp.answers import Fault, Rules
from beckon.sandbox.wvp.visits import Visit
from beckon.web.filters import moment
from beckon.web.filters import phone as phone_shown
from beckon.web.locales import ENDONYMS, choose_locale, read_catalogue
from beckon.web.pages import page

if TYPE_CHECKING:
    from beckon.sandbox.wvp.app import Config

WORDS = read_catalogue(Path(__file__).parent / "locales")

#: What stands between thousands.
_GROUPING = {"en": ",", "fr": "\u202f", "de": ".", "nl-BE": ".", "it": ".", "es": ".", "sv": "\u00a0", "no": "\u00a0"}
_KEY_ICONS = {"counter": "building", "box": "key", "home": "home"}


class Speech:
    """The texts and forms of one language, as the templates use them."""

    def __init__(self, locale: str, business: str) -> None:
        self.locale = locale
        self._business = business

    def __call__(self, key: str, **values: object) -> str:
        return WORDS.text(self.locale, key, business=self._business, **values)

    def number(self, number: int) -> str:
        """``45,300`` as this language writes it."""
        return f"{number:,}".replace(",", _GROUPING.get(self.locale, "\u202f"))

    def distance(self, number: int, unit: str) -> str:
        """``45.300 km``."""
        return f"{self.number(number)}\u00a0{self('unit.' + unit)}"

    def when(self, at_ms: int, time_zone: str) -> str:
        """``Monday 23 November, 08:30``, on the workshop's clocks."""
        shown = moment(at_ms, time_zone)
        return self(
            "date.form",
            weekday=WORDS.texts(self.locale, "date.weekdays")[shown.weekday()],
            day=str(shown.day),
            month=WORDS.texts(self.locale, "date.months")[shown.month - 1],
            time=f"{shown:%H:%M}",
        )

    def fault(self, fault: Fault) -> str:
        """What is wrong, said."""
        values = {
            name: self.number(int(value)) if name in ("number", "last") else value
            for name, value in fault.values.items()
        }
        return self(fault.key, **values)


def locale_of(request: Request, visit: Visit | None) -> str:
    """The language: taken by the customer, else the business's word on them, else the browser's."""
    wanted = (visit.locale, visit.customer.locale) if visit else (request.query_params.get("lang"),)
    return choose_locale(*wanted, accept_language=request.headers.get("accept-language", ""))


def rules(visit: Visit, region: str) -> Rules:
    """What the checks need to know of this visit."""
    return Rules(region, visit.mileage_unit, visit.vehicle.mileage)


def filled(visit: Visit) -> dict[str, str]:
    """The form as it stands: what was typed, over what the business knew."""
    known = {
        "name": visit.customer.name,
        "phone": phone_shown(visit.customer.phone) if visit.customer.phone else "",
        "email": visit.customer.email,
        "unit": visit.mileage_unit,
    }
    empty = {name: "" for names in answers.FIELDS.values() for name in names}
    return {**empty, **known, **visit.typed}


def welcome(request: Request, config: "Config", visit: Visit) -> Response:
    """The first page: who, what, when, and the way in."""
    begun = next((one for one in answers.STEPS if one not in visit.sent), "review") if visit.sent else "contact"
    first_name = visit.customer.name.split(" ")[0]
    return _page(request, "welcome", config, visit, begun=begun, first_name=first_name)


def step(request: Request, config: "Config", visit: Visit, name: str, *, show_faults: bool) -> Response:
    """One step's form."""
    fields = filled(visit)
    faults = answers.check(name, fields, rules(visit, config.region)).faults if show_faults else {}
    return _page(
        request,
        name,
        config,
        visit,
        step=name,
        fields=fields,
        faults=faults,
        returning="return" in request.query_params,
        summary=_summary(visit, config, fields) if name == "review" else {},
    )


def done(request: Request, config: "Config", visit: Visit) -> Response:
    """The last page."""
    return _page(request, "done", config, visit, result=visit.result)


def closed(request: Request, config: "Config", visit: Visit) -> Response:
    """The visit is over."""
    return _page(request, "closed", config, visit, status=410, title_key="gone.title", text_key="gone.text")


def unknown(request: Request, config: "Config", visit: Visit | None) -> Response:
    """There is no such page."""
    return _page(request, "closed", config, visit, status=404, title_key="unknown.title", text_key="unknown.text")


def result(visit: Visit, config: "Config", now_ms: int) -> dict[str, Any]:
    """The ``data`` of ``checkin.finished``."""
    fields = filled(visit)
    locale = visit.locale or choose_locale(visit.customer.locale)
    customer = Speech(locale, config.business_name)
    team = Speech(choose_locale(config.business_locale), config.business_name)
    known = rules(visit, config.region)
    parts = {name: answers.check(name, fields, known).values for name in answers.STEPS}
    key = dict(parts["key"])
    if key["kind"] == "box":
        key["code"] = visit.box_code
    return {
        "visit": visit.visit,
        "contact": {**parts["contact"], "locale": locale},
        **parts["mileage"],
        "wishes": [team(f"wish.{one}") for one in parts["wishes"]["wishes"]],
        "note": parts["wishes"]["note"],
        "key_drop": key,
        # The proof: the words that the customer saw, in their language, and when.
        "consent": {
            name: {"granted": given, "text": customer(f"consent.{name}"), "locale": locale, "at": iso(now_ms)}
            for name, given in parts["consent"].items()
        },
        "finished_at": iso(now_ms),
    }


def calendar(visit: Visit, config: "Config", locale: str) -> str:
    """The appointment as an iCalendar event of an hour."""
    assert visit.appointment is not None
    say = Speech(locale, config.business_name)
    begins = moment(visit.appointment_ms, "UTC")
    place = ", ".join(filter(None, (visit.appointment.place, visit.appointment.street, visit.appointment.city)))
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Beckon//Check-in//EN",
        "BEGIN:VEVENT",
        f"UID:{visit.visit}@{config.source}",
        f"DTSTAMP:{moment(visit.created_ms, 'UTC'):%Y%m%dT%H%M%SZ}",
        f"DTSTART:{begins:%Y%m%dT%H%M%SZ}",
        f"DTEND:{begins + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        f"SUMMARY:{_escaped(say('done.calendar_title'))}",
        f"LOCATION:{_escaped(place)}",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "\r\n".join(folded for line in lines for folded in _folded(line)) + "\r\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n").replace("\r", "")


def _folded(line: str) -> list[str]:
    """iCalendar lines have 75 octets at most; 37 characters never have more."""
    if len(line.encode()) <= 75:
        return [line]
    return [(" " if start else "") + line[start : start + 36] for start in range(0, len(line), 36)]


def _summary(visit: Visit, config: "Config", fields: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What the review shows: the values of each step as they will be sent."""
    known = rules(visit, config.region)
    shown: dict[str, dict[str, Any]] = {}
    for name in answers.STEPS:
        checked = answers.check(name, fields, known)
        shown[name] = {"values": checked.values, "wrong": bool(checked.faults)}
    return shown


def _page(
    request: Request, name: str, config: "Config", visit: Visit | None, *, status: int = 200, **context: Any
) -> Response:
    locale = locale_of(request, visit)
    base = request.scope.get("root_path", "")
    return page(
        request,
        f"wvp/{name}.html",
        status=status,
        frame_ancestors=config.frame_ancestors,
        # The customer's own answers: in their browser only, and asked for again after "back".
        cache="private, no-cache",
        locale=locale,
        say=Speech(locale, config.business_name),
        visit=visit,
        business=config.business_name,
        business_phone=(visit.appointment.phone if visit and visit.appointment else "") or config.business_phone,
        home=f"{base}/{visit.slug}" if visit else base,
        steps=answers.STEPS,
        wishes=answers.WISHES,
        key_icons=_KEY_ICONS,
        languages=ENDONYMS,
        **context,
    )
