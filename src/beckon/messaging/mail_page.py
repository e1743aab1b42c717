"""The page of a mail: one plain, responsive layout with the business's name and colour. Pure; everything is escaped.

Tables and inline styles, since that is what mail programs read; a dark scheme where they ask for one.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape

from beckon.core.message import Button, Media

#: The colour where the settings give none that is one.
COLOUR = "#1f5eff"

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")
_FONT = "-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_STYLE = (
    "@media (prefers-color-scheme:dark){.page{background:#15171c!important}.card{background:#20232a!important}"
    ".card p,.card li{color:#e8eaee!important}.small{color:#a3a9b5!important}}"
    "@media (max-width:600px){.card{padding:24px 20px!important}.tap{display:block!important;text-align:center}}"
)


def mail_page(
    *,
    body: str,
    buttons: Sequence[Button],
    media: Sequence[Media],
    subject: str,
    brand: str,
    colour: str,
    locale: str,
) -> str:
    """The whole HTML of a mail. ``body`` is HTML already; the rest is text."""
    head, foot = _frame(brand, colour, locale)
    pieces = [head.replace("\0", escape(subject)), body]
    for one in media:
        pieces.append(_picture(one, colour))
    links = [button for button in buttons if button.kind == "link"]
    for button in links:
        pieces.append(_tap(button, colour))
    replies = [escape(button.text) for button in buttons if button.kind == "reply"]
    if replies:
        pieces.append(_paragraph(" / ".join(replies)))
    pieces.append(foot)
    return "".join(pieces)


def as_html(text: str) -> str:
    """Plain words as paragraphs: a blank line parts them, a single one breaks the line."""
    parts = [part.strip() for part in text.split("\n\n")]
    return "".join([_paragraph(escape(part).replace("\n", "<br>")) for part in parts if part])


def readable_on(colour: str) -> str:
    """Black or white, whichever is read better on this colour."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#ffffff" if 1.05 / (light + 0.05) >= (light + 0.05) / 0.05 else "#111111"


@lru_cache(maxsize=256)
def _frame(brand: str, colour: str, locale: str) -> tuple[str, str]:
    paint = sane(colour)
    name = escape(brand)
    head = (
        f'<!doctype html><html lang="{escape(locale)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>\0</title><style>{_STYLE}</style></head>'
        '<body class="page" style="margin:0;padding:0;background:#f2f4f7">'
        '<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" '
        'style="background:#f2f4f7"><tr><td align="center" style="padding:24px 12px">'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:560px">'
        f'<tr><td style="background:{paint};color:{readable_on(paint)};border-radius:12px 12px 0 0;'
        f'padding:18px 32px;font:600 17px/1.4 {_FONT}">{name}</td></tr>'
        '<tr><td class="card" style="background:#ffffff;border-radius:0 0 12px 12px;padding:32px">'
    )
    foot = (
        f'</td></tr><tr><td class="small" align="center" style="padding:16px;color:#667085;font:13px/1.5 {_FONT}">'
        f"{name}</td></tr></table></td></tr></table></body></html>"
    )
    return head, foot


def sane(colour: str) -> str:
    """The colour if it is one."""
    return colour if _COLOUR.match(colour) else COLOUR


def _paragraph(inside: str) -> str:
    return f'<p style="margin:0 0 16px;color:#1d2430;font:16px/1.55 {_FONT}">{inside}</p>'


def _tap(button: Button, colour: str) -> str:
    paint = sane(colour)
    return (
        f'<p style="margin:24px 0 8px"><a class="tap" href="{escape(button.value)}" style="display:inline-block;'
        f"background:{paint};color:{readable_on(paint)};border-radius:8px;padding:13px 26px;"
        f'font:600 16px/1.3 {_FONT};text-decoration:none">{escape(button.text)}</a></p>'
    )


def _picture(one: Media, colour: str) -> str:
    caption = _paragraph(escape(one.caption)) if one.caption else ""
    if one.kind == "image":
        return (
            f'<p style="margin:0 0 16px"><img src="{escape(one.url)}" alt="{escape(one.caption)}" width="496" '
            f'style="display:block;width:100%;max-width:496px;height:auto;border-radius:8px"></p>{caption}'
        )
    name = escape(one.caption or one.url)
    return _paragraph(f'<a href="{escape(one.url)}" style="color:{sane(colour)}">{name}</a>')
