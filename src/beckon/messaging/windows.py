"""Session windows: how long after a contact's last message free text is allowed, and how we say how long ago that was.

Pure. WhatsApp lets a business write freely for 24 hours after the customer's last message, and only approved templates
after that. The hours are the channel's (``Capabilities.session_window_s``); 0 means that there is no window.
"""

from beckon.core.contact import Contact

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000


def is_open(contact: Contact, channel: str, window_s: int, now_ms: int) -> bool:
    """Whether free text is allowed to this contact on this channel now."""
    return not window_s or now_ms < closes_ms(contact, channel, window_s)


def closes_ms(contact: Contact, channel: str, window_s: int) -> int:
    """When the window closes, or closed; 0 for a contact who never wrote there."""
    last = contact.last_inbound_ms.get(channel)
    return last + window_s * 1000 if last is not None else 0


def ago(at_ms: int, now_ms: int) -> str:
    """How long ago, in words for the team: ``12 min ago``, ``26 h ago``, ``3 days ago``."""
    passed = max(0, now_ms - at_ms)
    if passed < _MINUTE_MS:
        return "just now"
    if passed < _HOUR_MS:
        return f"{passed // _MINUTE_MS} min ago"
    # Hours up to two days: "26 h ago" says why a window of 24 hours is closed, "yesterday" doesn't.
    if passed < 2 * _DAY_MS:
        return f"{passed // _HOUR_MS} h ago"
    return f"{passed // _DAY_MS} days ago"


def last_message(contact: Contact, channel: str, now_ms: int) -> str:
    """The contact's last message on a channel, in words: ``last message from the customer 26 h ago``."""
    last = contact.last_inbound_ms.get(channel)
    if last is None:
        return "the customer has not written here yet"
    return f"last message from the customer {ago(last, now_ms)}"
