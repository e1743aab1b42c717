"""Filters for templates: instants in a time zone, relative times, phone numbers, JSON that can be read."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import phonenumbers
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from beckon.core.clock import iso

_JSON_CHARACTERS_MAX = 60_000
_TOKENS = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)'
    r"|(?P<word>\b(?:true|false|null)\b)"
)

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@lru_cache(maxsize=512)
def zone(name: str) -> tzinfo:
    """The time zone of this IANA name; UTC for an unknown one, since a page must show something."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def moment(at_ms: int, time_zone: str) -> datetime:
    """The instant on the clocks of that zone."""
    return datetime.fromtimestamp(at_ms / 1000, tz=zone(time_zone))


@pass_context
def instant(context: Context, at_ms: int, form: str = "%-d %b %Y, %H:%M") -> Markup:
    """``20 Nov 2026, 14:22`` in the page's time zone, as a ``<time>`` element."""
    shown = moment(at_ms, str(context.get("time_zone", "UTC")))
    return Markup('<time datetime="{}">{}</time>').format(iso(at_ms), shown.strftime(form))


@pass_context
def clock_time(context: Context, at_ms: int) -> Markup:
    """``14:22``, with the whole instant as its title; with the day, where it isn't today."""
    name = str(context.get("time_zone", "UTC"))
    shown, today = moment(at_ms, name), moment(int(context.get("now_ms") or at_ms), name)
    form = "%H:%M" if shown.date() == today.date() else "%-d %b, %H:%M"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        iso(at_ms), shown.strftime("%A, %-d %B %Y, %H:%M:%S %Z"), shown.strftime(form)
    )


@pass_context
def ago(context: Context, at_ms: int) -> Markup:
    """``3 min ago``, ``in 2 h``, with the whole instant as its title."""
    now_ms = int(context.get("now_ms") or at_ms)
    shown = moment(at_ms, str(context.get("time_zone", "UTC")))
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
        iso(at_ms), shown.strftime("%A, %-d %B %Y, %H:%M:%S %Z"), relative(at_ms, now_ms)
    )


def relative(at_ms: int, now_ms: int) -> str:
    """The distance between two instants in a few words."""
    away = abs(now_ms - at_ms)
    if away < 10 * SECOND:
        return "now"
    words = duration(away)
    return f"{words} ago" if at_ms < now_ms else f"in {words}"


def duration(length_ms: int) -> str:
    """``45 s``, ``3 min``, ``2 h``, ``5 days``: one unit, rounded down."""
    units = ((DAY, "day", "days"), (HOUR, "h", "h"), (MINUTE, "min", "min"), (SECOND, "s", "s"))
    for size, one, many in units:
        if length_ms >= size:
            count = length_ms // size
            return f"{count} {one if count == 1 else many}"
    return f"{length_ms} ms"


def phone(number: str) -> str:
    """``+32 470 12 34 56``; what is no number comes back as it is."""
    try:
        parsed = phonenumbers.parse(number if number.startswith("+") else f"+{number}", None)
    except phonenumbers.NumberParseException:
        return number
    if not phonenumbers.is_possible_number(parsed):
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def json_pretty(value: Any) -> Markup:
    """JSON on several lines, its parts marked for colours (``json-key``, ``json-string`` …), all of it
    escaped."""
    text = json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False)
    if len(text) > _JSON_CHARACTERS_MAX:
        text = text[:_JSON_CHARACTERS_MAX] + "\n… (cut)"
    out: list[str] = []
    done = 0
    for hit in _TOKENS.finditer(text):
        out.append(str(escape(text[done : hit.start()])))
        out.append(f'<span class="json-{hit.lastgroup}">{escape(hit[0])}</span>')
        done = hit.end()
    out.append(str(escape(text[done:])))
    return Markup("".join(out))  # noqa: S704 -- every part was escaped above


def initials(name: str) -> str:
    """``AJ`` for Anna Janssens: what an avatar shows."""
    words = [word for word in re.split(r"[\s\-]+", name.strip()) if word[:1].isalnum()]
    if not words:
        return "?"
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


def hue(text: str) -> int:
    """A number from 0 to 7 that the same text always gets: which tint an avatar has."""
    return sum(text.encode()[:64]) % 8


def lines(text: str) -> Markup:
    """Text with its line breaks kept, escaped, and web addresses made into links that can't reach back."""
    out = re.sub(
        r"(https?://[^\s<>&\"']+(?:&amp;[^\s<>&\"']+)*)",
        r'<a href="\1" rel="noopener noreferrer nofollow" target="_blank">\1</a>',
        str(escape(text)),
    )
    return Markup(out.replace("\n", "<br>"))  # noqa: S704 -- escaped above


def address(value: str, channel: str) -> str:
    """An address as people read it: a phone number in groups, a device by whose service it is."""
    if channel in ("sms", "whatsapp"):
        return phone(value)
    if channel == "web_push":
        return f"browser at {urlsplit(value).hostname or value[:40]}"
    return f"app {value[:8]}…" if channel == "fcm" else value


FILTERS: dict[str, Callable[..., Any]] = {
    "instant": instant,
    "clock_time": clock_time,
    "ago": ago,
    "duration": duration,
    "phone": phone,
    "address": address,
    "json_pretty": json_pretty,
    "initials": initials,
    "hue": hue,
    "lines": lines,
    "iso": iso,
}
