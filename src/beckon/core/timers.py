"""When: durations, instants, the contact's time zone, business hours, quiet hours. Pure arithmetic on milliseconds."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from beckon.core.errors import Refused

MINUTE_MS = 60_000
DAY_MS = 86_400_000
#: The longest wait: 400 days.
DURATION_MAX_MS = 400 * DAY_MS

_UNIT_MS = {"ms": 1, "s": 1_000, "m": MINUTE_MS, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,3})?(?:ms|s|m|h|d|w) ?){1,6}", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_ISO_DURATION = re.compile(
    r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?", re.ASCII
)
_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)", re.ASCII)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def parse_duration(text: str) -> int:
    """Read ``10m``, ``24h``, ``2d``, ``1h30m`` or ISO 8601 (``PT10M``, ``P1DT2H``) as milliseconds."""
    stripped = text.strip()
    if _DURATION.fullmatch(stripped):
        total = sum(round(float(number) * _UNIT_MS[unit]) for number, unit in _PART.findall(stripped))
    elif stripped not in ("P", "PT") and not stripped.endswith("T") and (found := _ISO_DURATION.fullmatch(stripped)):
        units = (7 * DAY_MS, DAY_MS, 3_600_000, MINUTE_MS, 1_000)
        total = sum(int(number or 0) * unit for number, unit in zip(found.groups(), units, strict=True))
    else:
        raise Refused("flow.duration", f"{text[:40]!r} is no duration; write it like 10m, 24h, 2d or 1h30m.")
    if total > DURATION_MAX_MS:
        raise Refused("flow.duration", f"{text[:40]!r} is longer than 400 days.")
    return total


def say_duration(duration_ms: int) -> str:
    """A duration for people: ``24 h``, ``2 d 2 h``, ``10 min``."""
    if duration_ms < 1_000:
        return f"{duration_ms} ms"
    if DAY_MS <= duration_ms < 2 * DAY_MS and duration_ms % 3_600_000 == 0:
        return f"{duration_ms // 3_600_000} h"
    words = []
    rest = duration_ms // 1_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2])


@lru_cache(maxsize=1_000)
def zone_named(name: str) -> ZoneInfo | None:
    """The IANA time zone of this name; None: there is none."""
    if not name or len(name) > 60:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return None
    except KeyError:
        return None


def instant(value: Any, zone: tzinfo) -> int:
    """Read an instant: RFC 3339 text, a date or a local time without offset (in ``zone``), or epoch seconds or ms."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Refused("flow.instant", f"{_short(value)} is no instant; write it like 2026-11-20T13:22:56Z.")
    try:
        if not isinstance(value, str):
            if not 0 <= value < 10**14:
                raise ValueError
            return int(value) if value >= 10**11 else int(value * 1_000)
        moment = datetime.fromisoformat(value.strip()[:40])
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return int(moment.timestamp() * 1_000)
    except (ValueError, OverflowError, OSError):
        why = f"{_short(value)} is no instant; write it like 2026-11-20T13:22:56Z."
        raise Refused("flow.instant", why) from None


def clock_minutes(text: str) -> int | None:
    """Read ``09:00`` as minutes of the day (``24:00`` is the day's end); None: it is no time of day."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    minutes = int(found[1]) * 60 + int(found[2])
    return minutes if minutes <= 1_440 else None


def next_clock(at_ms: int, minutes: int, zone: tzinfo) -> int:
    """The next instant, not before ``at_ms``, at which clocks in ``zone`` show this minute of the day."""
    today = datetime.fromtimestamp(at_ms / 1_000, zone).date()
    for ahead in range(3):
        moment = _local_ms(today + timedelta(days=ahead), minutes, zone)
        if moment >= at_ms:
            return moment
    raise Refused("flow.instant", "There is no such time of day.")  # pragma: no cover - a zone can't skip three days


class Week(msgspec.Struct, frozen=True):
    """The open hours of each day from Monday: for each, (from, to) in minutes of the day, in order."""

    days: tuple[tuple[tuple[int, int], ...], ...]
    source: str = ""


def parse_week(text: str) -> Week:
    """Read ``09:00-18:00`` (every day), ``Mon-Fri 09:00-18:00`` or several with commas; over midnight is allowed."""
    days: list[list[tuple[int, int]]] = [[] for _ in range(7)]
    for part in text[:400].split(","):
        words = part.split()
        if len(words) not in (1, 2):
            raise _no_hours(text)
        chosen = _days(words[0], text) if len(words) == 2 else range(7)
        begin, dash, end = words[-1].partition("-")
        begin_min, end_min = clock_minutes(begin), clock_minutes(end)
        if not dash or begin_min is None or end_min is None or begin_min == end_min or begin_min == 1_440:
            raise _no_hours(text)
        for day in chosen:
            if begin_min < end_min:
                days[day].append((begin_min, end_min))
            else:
                days[day].append((begin_min, 1_440))
                if end_min:
                    days[(day + 1) % 7].append((0, end_min))
    return Week(tuple(_merged(spans) for spans in days), text.strip())


def outside(week: Week) -> Week:
    """The hours that ``week`` leaves free: from quiet hours to the hours in which one may speak."""
    free = []
    for spans in week.days:
        begin, left = 0, []
        for start, end in spans:
            if start > begin:
                left.append((begin, start))
            begin = end
        if begin < 1_440:
            left.append((begin, 1_440))
        free.append(tuple(left))
    if not any(free):
        raise Refused("flow.hours", f"{week.source!r} leaves no minute of the week free.")
    return Week(tuple(free), f"not {week.source}")


def is_open(at_ms: int, week: Week, zone: tzinfo) -> bool:
    """Whether clocks in ``zone`` show a time within the week's hours."""
    local = datetime.fromtimestamp(at_ms / 1_000, zone)
    minutes = local.hour * 60 + local.minute
    return any(start <= minutes < end for start, end in week.days[local.weekday()])


def next_open(at_ms: int, week: Week, zone: tzinfo) -> int:
    """The first instant, not before ``at_ms``, within the week's hours."""
    if is_open(at_ms, week, zone):
        return at_ms
    today = datetime.fromtimestamp(at_ms / 1_000, zone).date()
    for ahead in range(-1, 15):
        day = today + timedelta(days=ahead)
        for start, _end in week.days[day.weekday()]:
            moment = _local_ms(day, start, zone)
            if moment >= at_ms and is_open(moment, week, zone):
                return moment
    raise Refused("flow.hours", f"{week.source!r} has no open hours.")


def add_open(at_ms: int, duration_ms: int, week: Week, zone: tzinfo) -> int:
    """The instant after ``duration_ms`` of open time: four business hours from Friday 16:00 end on Monday."""
    moment, left = next_open(at_ms, week, zone), duration_ms
    for _ in range(4_000):
        end = _closes(moment, week, zone)
        if end - moment >= left:
            return moment + left
        left -= end - moment
        moment = next_open(end, week, zone)
    raise Refused("flow.duration", "The wait in business hours is longer than can be reckoned.")


def _closes(at_ms: int, week: Week, zone: tzinfo) -> int:
    """The end of the open span that holds ``at_ms``."""
    local = datetime.fromtimestamp(at_ms / 1_000, zone)
    minutes = local.hour * 60 + local.minute
    for start, end in week.days[local.weekday()]:
        if start <= minutes < end:
            return max(_local_ms(local.date(), end, zone), at_ms + 1)
    return at_ms + 1


def _local_ms(day: date, minutes: int, zone: tzinfo) -> int:
    # A local time that the clocks skip is taken with the offset before the change: an hour later on the wall.
    if minutes == 1_440:
        day, minutes = day + timedelta(days=1), 0
    moment = datetime.combine(day, time(minutes // 60, minutes % 60), zone)
    return int(moment.astimezone(UTC).timestamp() * 1_000)


def _days(word: str, text: str) -> list[int]:
    begin, dash, end = word.lower().partition("-")
    if begin[:3] not in _DAYS or (dash and end[:3] not in _DAYS):
        raise _no_hours(text)
    first = _DAYS.index(begin[:3])
    last = _DAYS.index(end[:3]) if dash else first
    return [(first + step) % 7 for step in range((last - first) % 7 + 1)]


def _merged(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _no_hours(text: str) -> Refused:
    return Refused("flow.hours", f"{text[:60]!r} is no span of hours; write it like Mon-Fri 09:00-18:00.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def zone_of(contact: Mapping[str, Any] | None, default: str) -> ZoneInfo:
    """The contact's time zone, or the default one, or UTC."""
    name = str(contact.get("time_zone") or "") if contact else ""
    return zone_named(name) or zone_named(default) or ZoneInfo("UTC")
