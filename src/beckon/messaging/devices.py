"""Devices: how a browser's push subscription becomes an address, and is read from one again. Pure.

An address on ``web_push`` is the subscription's endpoint with its two keys as the fragment, so that all that is needed
to write to the device stands in one text: ``https://push.example/abc#p256dh.auth`` (RFC 8030, RFC 8291).
"""

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from beckon.core.errors import Refused

#: Characters of an endpoint; the longest that are known have some 500.
ENDPOINT_MAX = 1_024
ADDRESS_MAX = ENDPOINT_MAX + 111

#: 65 bytes of an uncompressed point, which begins with 4, and 16 bytes of a shared secret, as base64url writes them.
_KEYS = re.compile(r"(B[A-Za-z0-9_-]{86})\.([A-Za-z0-9_-]{22})", re.ASCII)
_ENDPOINT = re.compile(r"https?://[!-\"$-~]+", re.ASCII)


class Subscription(msgspec.Struct, frozen=True):
    """Where a browser is reached, and the keys that only it can read."""

    endpoint: str
    p256dh: str
    auth: str

    @property
    def address(self) -> str:
        """The subscription as an address."""
        return f"{self.endpoint}#{self.p256dh}.{self.auth}"

    @property
    def origin(self) -> str:
        """The push service: ``https://fcm.googleapis.com``."""
        return origin_of(self.endpoint)


def subscription_of(value: Any, field: str = "") -> Subscription:
    """A browser's ``PushSubscription`` as its ``toJSON`` writes it, or an address. Raises ``Refused``."""
    endpoint: Any
    p256dh: Any
    auth: Any
    if type(value) is str:
        endpoint, _, keys = value.partition("#")
        p256dh, _, auth = keys.partition(".")
    else:
        fields = value if isinstance(value, dict) else {}
        given = fields.get("keys")
        named = given if isinstance(given, dict) else {}
        endpoint, p256dh, auth = fields.get("endpoint"), named.get("p256dh"), named.get("auth")
    if type(endpoint) is not str or type(p256dh) is not str or type(auth) is not str:
        raise _refused("It has an endpoint, and keys with p256dh and auth.", field)
    found = Subscription(endpoint, p256dh.rstrip("="), auth.rstrip("="))
    if not 0 < len(endpoint) <= ENDPOINT_MAX or not _ENDPOINT.fullmatch(endpoint) or not origin_of(endpoint):
        raise _refused("Its endpoint is no web address.", field)
    if not _KEYS.fullmatch(f"{found.p256dh}.{found.auth}"):
        raise _refused("Its keys are not those of a browser.", field)
    return found


def origin_of(url: str) -> str:
    """The scheme, the host and the port of a URL, in lower case; nothing where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if not parts.hostname or "@" in parts.netloc:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")


def _refused(why: str, field: str) -> Refused:
    return Refused("push.subscription", f"This is no push subscription. {why}", field=field or None)
