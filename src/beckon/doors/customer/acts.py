"""Acts: what a customer does at these doors, as events. Pure."""

from urllib.parse import urlsplit

from beckon.core.clock import iso
from beckon.core.event import Event
from beckon.core.ids import derived
from beckon.web.links import Link

SOURCE = "beckon/links"

#: A second tap within this time is the same click.
SAME_CLICK_MS = 10_000
_URL_MAX = 4_096


def clicked(link: Link, now_ms: int) -> Event:
    """The customer opened a link."""
    return Event(
        workspace=link.workspace,
        source=SOURCE,
        id=derived("clk", link.code, str(now_ms // SAME_CLICK_MS)),
        type="link.clicked",
        time_ms=now_ms,
        subject=link.contact,
        data={"link": link.code, "contact": link.contact, "delivery": link.delivery, "url": link.url},
    )


def stopped(link: Link, purpose: str, channel: str, how: str, now_ms: int) -> Event:
    """The customer wants no more messages for this purpose on this channel. ``how`` goes into the proof."""
    return Event(
        workspace=link.workspace,
        source=SOURCE,
        # The same wish again is the same event, also when a mail program sends it twice.
        id=derived("stop", link.code, purpose, channel),
        type="consent.changed",
        time_ms=now_ms,
        subject=link.contact,
        data={
            "contact": link.contact,
            "delivery": link.delivery,
            "purpose": purpose,
            "channel": channel,
            "granted": False,
            "proof": f"{how}, link {link.code}, {iso(now_ms)}",
        },
    )


def device_changed(link: Link, channel: str, address: str, why: str, now_ms: int) -> Event:
    """A device is the contact's from now on, or (``why`` says it) is so no more."""
    contact = {"id": link.contact} if why else {"id": link.contact, channel: address}
    return Event(
        workspace=link.workspace,
        source=SOURCE,
        # Said again at every visit, since it may have changed meanwhile; a second tap is no second event.
        id=derived("dev", link.code, channel, address, why, str(now_ms // SAME_CLICK_MS)),
        type="contact.changed",
        time_ms=now_ms,
        subject=link.contact,
        data={
            "contact": contact,
            "broken": {"channel": channel, "external_id": address, "why": why},
        },
    )


def safe_url(url: str) -> str | None:
    """The address to send a browser to, or None for one that isn't plain http(s): ``javascript:``, a bare
    path …"""
    if not 0 < len(url) <= _URL_MAX or any(ord(letter) < 33 or letter == "\\" for letter in url):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return url if parts.scheme.lower() in ("http", "https") and host else None
