"""Browsers and their push service, pretended: the pass is verified, the message unsealed with the device's own keys.

A device's keys come from the person's name alone, so that whoever knows the name knows the subscription:
``address_of(base_url, "ann")``. The service is RFC 8030's, the seal RFC 8291's, the pass RFC 8292's.
"""

import base64
import binascii
import hmac
from functools import lru_cache
from hashlib import sha256
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from beckon.core.ids import derived
from beckon.messaging.devices import Subscription
from beckon.sandbox.twins.party import Party, Shown, ShownButton, ShownMedia

_BODY_BYTES_MAX = 4_096
_PASS_S_MAX = 24 * 3_600
_KNOWN_TOPICS_MAX = 10_000
_CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class _Action(msgspec.Struct):
    action: str
    title: str
    url: str


class _Notification(msgspec.Struct):
    title: str
    body: str
    tag: str
    lang: str = ""
    url: str = ""
    image: str = ""
    actions: list[_Action] = []


class _Problem(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Twin(Party):
    """One push service and every browser that is subscribed to it."""

    provider = "web_push"
    mount = "/webpush"
    errors: ClassVar[dict[str, tuple[int, str]]] = {
        "400": (400, "The request is not one of RFC 8030."),
        "401": (401, "There is no pass."),
        "403": (403, "The pass is not of the key that the browser subscribed with."),
        "404": (404, "There is no such subscription."),
        "410": (410, "The subscription has ended."),
        "413": (413, "The message is too large."),
        "429": (429, "Too many messages."),
        "503": (503, "The service is overloaded."),
    }

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.app = Starlette(routes=[Route("/send/{device:path}", self._send, methods=["POST"])])
        #: (device, topic) → the message that waits or is shown under it
        self._topics: dict[tuple[str, str], str] = {}
        #: devices whose subscription has ended: the browser was removed, or its permission taken back
        self.ended: set[str] = set()

    @property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return _private(f"vapid {self.key('vapid')}")

    def settings(self, base_url: str) -> dict[str, object]:
        """The settings that point the real provider here."""
        number = self._key.private_numbers().private_value.to_bytes(32, "big")
        scheme, _, rest = base_url.partition("://")
        return {
            "vapid_private_key": _written(number),
            "subject": "mailto:operator@garage.example",
            "more_services": [f"{scheme}://{rest.partition('/')[0]}"],
        }

    def known_as(self, person: str) -> str:
        """A device goes by its name; an address has it at its end."""
        return unquote(person.partition("#")[0].rpartition("/")[2]) if "#" in person else person

    # What the person does: nobody answers a notification.

    def receipt(self, message: Shown, state: str, after_ms: int, code: str = "") -> None:
        """Nothing is said to us: what the person sees changes all the same."""
        self.changed(message, state)

    # The push service.

    async def _send(self, request: Request) -> Response:
        body = await request.body()
        try:
            message = self._taken(request, body)
        except _Problem as problem:
            slow_down = {"Retry-After": str(self.faults.retry_after_s)} if problem.status in (429, 503) else None
            return Response(self.errors[str(problem.status)][1], problem.status, headers=slow_down)
        await self.slow()
        return Response(status_code=201, headers={"Location": f"{request.base_url}message/{message.id}"})

    def _taken(self, request: Request, body: bytes) -> Shown:
        if self.faults.down or self.faults.rate_limited:
            raise _Problem(503 if self.faults.down else 429)
        self._check_pass(request)
        if self.faults.answer_code:
            raise _Problem(int(self.faults.answer_code))
        if self.faults.number_invalid:
            raise _Problem(410)
        headers, device = request.headers, request.path_params["device"]
        if device in self.ended:
            raise _Problem(410)
        if len(body) > _BODY_BYTES_MAX:
            raise _Problem(413)
        urgency, topic = headers.get("urgency", "normal"), headers.get("topic", "")
        if not headers.get("ttl", "").isdigit() or headers.get("content-encoding") != "aes128gcm":
            raise _Problem(400)
        if urgency not in ("very-low", "low", "normal", "high") or len(topic) > 32:
            raise _Problem(400)
        try:
            said = msgspec.json.decode(unseal(body, device), type=_Notification)
        except (ValueError, InvalidTag):
            # A browser throws away what it can't read; whoever plays here would rather know.
            raise _Problem(400) from None
        return self._shown(device, topic, said)

    def _shown(self, device: str, topic: str, said: _Notification) -> Shown:
        known = self._topics.get((device, said.tag or topic))
        if known in self._by_id:
            return self.find(known)  # a notification of the same tag takes the place of the first
        message = Shown(
            id=derived("psh", self.key("message"), device, str(self._number), said.tag),
            person=device,
            at_ms=self.clock.now_ms(),
            text=said.body,
            subject=said.title,
            buttons=tuple([ShownButton("link", action.title, action.url) for action in said.actions]),
            media=(ShownMedia("image", said.image),) if said.image else (),
            reference=said.tag,
            raw=msgspec.to_builtins(said),
        )
        self.show(message)
        self._topics[device, said.tag or topic] = message.id
        if len(self._topics) > _KNOWN_TOPICS_MAX:
            self._topics.pop(next(iter(self._topics)))
        self.changed(message, "delivered")
        return message

    def _check_pass(self, request: Request) -> None:
        """RFC 8292: signed by the key that the browser subscribed with, for this service, not for more than a day."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        parts = dict([part.strip().partition("=")[::2] for part in given.split(",")])
        if scheme != "vapid" or set(parts) != {"t", "k"}:
            raise _Problem(401)
        public = self._key.public_key()
        if parts["k"] != _written(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)):
            raise _Problem(403)
        signed, _, proof = parts["t"].rpartition(".")
        try:
            octets = _read(proof)
            numbers = int.from_bytes(octets[:32], "big"), int.from_bytes(octets[32:], "big")
            public.verify(encode_dss_signature(*numbers), signed.encode(), ec.ECDSA(SHA256()))
            header, claims = [msgspec.json.decode(_read(part)) for part in signed.split(".")]
        except (InvalidSignature, ValueError, binascii.Error):
            raise _Problem(403) from None
        left_s = claims.get("exp", 0) - self.clock.now_ms() // 1000
        origin = f"{request.url.scheme}://{request.url.netloc}"
        if header.get("alg") != "ES256" or claims.get("aud") != origin or not 0 < left_s <= _PASS_S_MAX:
            raise _Problem(403)
        if not str(claims.get("sub", "")).startswith(("mailto:", "https://")):
            raise _Problem(403)


def address_of(base_url: str, device: str) -> str:
    """The address of a device that has subscribed; ``base_url``: where the sandbox is mounted."""
    public = _private(f"device {device}").public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    endpoint = f"{base_url.rstrip('/')}{Twin.mount}/send/{quote(device, safe='')}"
    return Subscription(endpoint, _written(public), _written(_auth(device))).address


def unseal(body: bytes, device: str) -> bytes:
    """What a sealed body says, read as the device's browser reads it. Raises ``ValueError``, ``InvalidTag``."""
    if len(body) < 86 + 17 or body[20] != 65:
        raise ValueError("too short, or without a key")
    salt, sender, sealed = body[:16], body[21:86], body[86:]
    private = _private(f"device {device}")
    ours = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
    ikm = _stretched(_auth(device), shared, b"WebPush: info\x00" + ours + sender, 32)
    key = _stretched(salt, ikm, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _stretched(salt, ikm, b"Content-Encoding: nonce\x00", 12)
    padded = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\x00")
    if padded[-1:] != b"\x02":
        raise ValueError("not the last record")
    return padded[:-1]


def _stretched(salt: bytes, secret: bytes, words: bytes, size: int) -> bytes:
    """HKDF (RFC 5869) for no more than one digest."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, words + b"\x01", "sha256")[:size]


@lru_cache(maxsize=1_024)
def _private(words: str) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(sha256(words.encode()).digest(), "big") % (_CURVE_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def _auth(device: str) -> bytes:
    return sha256(f"auth {device}".encode()).digest()[:16]


def _read(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _written(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
