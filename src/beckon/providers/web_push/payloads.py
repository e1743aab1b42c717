"""What is said to a browser, sealed so that only it can read it, and what push services answer. Pure.

RFC 8030 is the POST, RFC 8291 the sealing, RFC 8292 (VAPID) the pass that says who we are. Chance and time are handed
in. The sealed text is JSON that our service worker shows (``doors/customer``'s ``worker.js``):

``{"title", "body", "tag", "lang", "url", "image", "actions": [{"action", "title", "url"}]}``
"""

import base64
import binascii
import hmac
from typing import Any, ClassVar

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from beckon.core.errors import Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.message import Handed, Outbound
from beckon.messaging.channel import Capabilities, Reply
from beckon.messaging.devices import Subscription, subscription_of
from beckon.providers.provider import ProviderSettings, retry_after_s, text_with_links, unexplained, unspeakable

NAME = "web_push"

TEXT_MAX = 1_000
TITLE_MAX = 120
#: Buttons that Chrome shows under a notification.
BUTTONS_MAX = 2
#: What fits beside the header and the seal into the 4,096 bytes that a push service takes (RFC 8291, 4).
PLAIN_BYTES_MAX = 3_993
RECORD_BYTES = 4_096
#: Base64url letters of a topic (RFC 8030, 5.4).
TOPIC_MAX = 32
#: How long a pass is good for; a push service takes 24 hours at most.
PASS_S = 12 * 60 * 60

CAPABILITIES = Capabilities(
    text_max=TEXT_MAX,
    link_buttons=BUTTONS_MAX,
    media=("image",),
    title=True,
    devices=True,
)

#: The push services of the browsers. An endpoint comes from whoever subscribes: we POST nowhere else.
SERVICES = (
    "https://fcm.googleapis.com",  # Chrome, Edge on Android, Opera, Samsung, Brave
    "https://*.push.services.mozilla.com",
    "https://*.push.apple.com",
    "https://*.notify.windows.com",
)


class Settings(ProviderSettings, frozen=True, kw_only=True):
    """Who sends: see README.md."""

    SECRETS: ClassVar[tuple[str, ...]] = ("vapid_private_key",)

    vapid_private_key: str
    #: whom a push service may write to about us: ``mailto:…`` or ``https://…``
    subject: str
    #: how long a push service keeps a message for a device that is off, in seconds
    ttl_s: int = 86_400
    #: further push services, as origins
    more_services: tuple[str, ...] = ()
    #: in seconds
    timeout_s: float = 10.0


# Whom.


def read_address(address: str, settings: Settings) -> Subscription:
    """The subscription in an address. Raises ``Refused`` for one that is none, or at a push service nobody knows."""
    try:
        found = subscription_of(address, "to")
    except Refused as error:
        raise Refused(f"{NAME}.address", error.why, field="to") from None
    if not is_known(found.origin, (*SERVICES, *settings.more_services)):
        raise Refused(f"{NAME}.service", "the subscription is at no push service that we know", field="to")
    return found


def is_known(origin: str, services: tuple[str, ...]) -> bool:
    """Whether an origin is one of these; ``https://*.push.example`` stands for all hosts below."""
    scheme, _, host = origin.partition("://")
    for service in services:
        wanted, _, pattern = service.partition("://")
        if scheme == wanted and (host == pattern or (pattern[:2] == "*." and host.endswith(pattern[1:]))):
            return True
    return False


# Who we are.


def private_key_of(settings: Settings) -> ec.EllipticCurvePrivateKey:
    """The VAPID key: 32 bytes as base64url writes them. Raises ``Misconfigured``."""
    text = settings.vapid_private_key.strip().rstrip("=")
    try:
        number = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if len(number) != 32:
            raise ValueError
        return ec.derive_private_key(int.from_bytes(number, "big"), ec.SECP256R1())
    except (ValueError, binascii.Error):
        why = "vapid_private_key is no VAPID key: make one with `beckon key vapid`"
        raise Misconfigured(f"{NAME}.settings", why, field=f"providers.{NAME}.vapid_private_key") from None


def public_key_of(key: ec.EllipticCurvePrivateKey) -> str:
    """The key that browsers subscribe with: ``applicationServerKey``."""
    return _written(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def signed_pass(key: ec.EllipticCurvePrivateKey, public_key: str, origin: str, subject: str, now_ms: int) -> str:
    """The ``Authorization`` for one push service (RFC 8292)."""
    claims = {"aud": origin, "exp": now_ms // 1000 + PASS_S, "sub": subject}
    return f"vapid t={jwt.encode(claims, key, algorithm='ES256')}, k={public_key}"


# What.


def build(message: Outbound) -> bytes:
    """The notification. Raises ``Unsupported`` for what can't be said."""
    rendered = message.rendered
    images = [medium for medium in rendered.media if medium.kind == "image"]
    links = [button for button in rendered.buttons if button.kind == "link"]
    shown = links[:BUTTONS_MAX]
    # Everything that has a place of its own is not written into the text again.
    text = text_with_links(
        msgspec.structs.replace(
            rendered,
            buttons=tuple(links[BUTTONS_MAX:]),
            media=tuple([medium for medium in rendered.media if medium not in images[:1]]),
        )
    )
    if not 0 < len(text) <= TEXT_MAX:
        raise Unsupported(f"{NAME}.too_long", f"a notification's text has 1 to {TEXT_MAX} characters")
    said: dict[str, Any] = {"title": rendered.subject[:TITLE_MAX], "body": text, "tag": message.delivery_id}
    said["lang"] = rendered.locale
    if shown:
        said["url"] = shown[0].value
        said["actions"] = [
            {"action": str(number), "title": button.text, "url": button.value} for number, button in enumerate(shown)
        ]
    if images:
        said["image"] = images[0].url
    try:
        plain = msgspec.json.encode(said)
    except UnicodeEncodeError:
        raise unspeakable(NAME) from None
    if len(plain) > PLAIN_BYTES_MAX:
        raise Unsupported(f"{NAME}.too_long", f"a notification has {PLAIN_BYTES_MAX} bytes at most")
    return plain


def seal(plain: bytes, subscription: Subscription, *, salt: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The body that only this browser can read: one record of ``aes128gcm`` (RFC 8188) under the secret that ``key``
    and the browser's share. Raises ``Refused`` where the browser's key is no point of the curve."""
    theirs, ours = (
        _read(subscription.p256dh),
        key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    )
    try:
        shared = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
    except ValueError:
        raise Refused(f"{NAME}.address", "the subscription's key is none", field="to", gone=True) from None
    secret = _derived(_read(subscription.auth), shared, b"WebPush: info\x00" + theirs + ours, 32)
    record_key = _derived(salt, secret, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derived(salt, secret, b"Content-Encoding: nonce\x00", 12)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(ours)]) + ours
    # The delimiter 2 says that this record is the last.
    return header + AESGCM(record_key).encrypt(nonce, plain + b"\x02", None)


def headers_of(message: Outbound, settings: Settings, signed: str) -> dict[str, str]:
    """The request's headers."""
    headers = {
        "Authorization": signed,
        "Content-Type": "application/octet-stream",
        "Content-Encoding": "aes128gcm",
        "TTL": str(settings.ttl_s),
        # A device that saves its battery is woken for what was asked for, not for an offer.
        "Urgency": "normal" if message.purpose == "marketing" else "high",
        "User-Agent": "beckon",
    }
    if len(message.delivery_id) <= TOPIC_MAX:
        # A second try takes the place of the first where that still waits for the device.
        headers["Topic"] = message.delivery_id
    return headers


def read_reply(reply: Reply, message: Outbound) -> Handed:
    """A push service's answer. Raises the kind of error that its status means."""
    status = reply.status
    if status in (200, 201, 202, 204):
        # Apple names no message; ours is then its name.
        place = reply.headers.get("location", "").rstrip("/").rpartition("/")[2]
        return Handed(place[:256] or message.delivery_id)
    if status in (404, 410):
        raise Refused(f"{NAME}.gone", "the subscription has ended: removed, or not allowed any more", gone=True)
    if status == 413:
        raise Unsupported(f"{NAME}.too_long", "the push service says that the message is too long")
    if status in (401, 403) or (status == 400 and b"Vapid" in reply.body[:1_000]):
        why = f"the push service does not accept our VAPID key for this subscription (HTTP {status})"
        raise Misconfigured(f"{NAME}.key", why)
    if status == 406:  # Windows: the quota of the channel
        raise Unavailable(
            f"{NAME}.rate", "the push service asks to slow down", retry_after_s=retry_after_s(reply.headers)
        )
    raise unexplained(NAME, reply)


def _derived(salt: bytes, secret: bytes, words: bytes, size: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869), for what one block of it gives."""
    return hmac.digest(hmac.digest(salt, secret, "sha256"), words + b"\x01", "sha256")[:size]


def _read(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _written(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
