"""Chart: what came of a campaign day by day, as an SVG of bars that the page's sheet colours. Pure.

Who can't see it has its title and a sentence; the page has the same numbers as a table beneath.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec
from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 12, 28
_EPOCH = date(1970, 1, 1)
#: Days that are drawn at most; labels beneath them at most.
DAYS_MAX = 92
_LABELS = 7
_STEPS = (1, 2, 5)


class Series(msgspec.Struct, frozen=True):
    """One kind of bar: its name for the sheet (``issued``), its word, and a number for each day."""

    name: str
    word: str
    values: tuple[int, ...]


def day_of(number: int) -> date:
    """The day, from days since 1970."""
    return _EPOCH + timedelta(days=number)


def bars(title: str, first_day: int, series: Sequence[Series]) -> Markup:
    """Bars side by side for each day, from ``first_day`` (days since 1970) on."""
    days = max((len(one.values) for one in series), default=0)
    highest = max((value for one in series for value in one.values), default=0)
    top = nice(highest)
    inner, across = _HEIGHT - _TOP - _BOTTOM, _WIDTH - _LEFT - _RIGHT
    out = [
        f'<svg class="bars" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="bars-title bars-desc">',
        f'<title id="bars-title">{escape(title)}</title>',
        f'<desc id="bars-desc">{escape(_sentence(first_day, series))}</desc>',
    ]
    for line in sorted({0, top // 2 if top > 1 else top, top}):
        y = _TOP + inner - round(inner * line / top)
        out.append(f'<line class="bars-line" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        out.append(f'<text class="bars-number" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{line:,}</text>')
    if days:
        slot = across / days
        width = max(1.0, min(18.0, slot * 0.8 / max(1, len(series))))
        for place in range(days):
            begin = _LEFT + slot * place + (slot - width * len(series)) / 2
            for index, one in enumerate(series):
                value = one.values[place] if place < len(one.values) else 0
                if value <= 0:
                    continue
                high = max(1.0, inner * value / top)
                out.append(
                    f'<rect class="bars-{one.name}" x="{begin + width * index:.1f}" y="{_TOP + inner - high:.1f}"'
                    f' width="{max(0.8, width - 1):.1f}" height="{high:.1f}" rx="1.5">'
                    f"<title>{day_of(first_day + place):%-d %b}: {value:,} {escape(one.word)}</title></rect>"
                )
        out += _labels(first_day, days, slot)
    out.append("</svg>")
    return Markup("".join(out))  # noqa: S704 -- every text was escaped above


def nice(highest: int) -> int:
    """A round number that is at least so high: 1, 2, 5, 10, 20, 50 …"""
    scale = 1
    while True:
        for step in _STEPS:
            if step * scale >= highest:
                return step * scale
        scale *= 10


def _labels(first_day: int, days: int, slot: float) -> list[str]:
    every = -(-days // _LABELS)
    return [
        f'<text class="bars-day" x="{_LEFT + slot * (place + 0.5):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{day_of(first_day + place):%-d %b}</text>"
        for place in range(0, days, every)
    ]


def _sentence(first_day: int, series: Sequence[Series]) -> str:
    days = max((len(one.values) for one in series), default=0)
    if not days:
        return "Nothing yet."
    span = f"{day_of(first_day):%-d %B %Y} to {day_of(first_day + days - 1):%-d %B %Y}"
    parts = [f"{sum(one.values):,} {one.word}" for one in series]
    return f"{span}: {', '.join(parts)}. The table beneath has each day."
