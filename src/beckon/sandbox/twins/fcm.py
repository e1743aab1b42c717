"""Firebase and an app on a phone, pretended: the account's signature is verified, a token given, a message shown."""

import base64
import binascii
from functools import cache
from typing import Any, ClassVar
from urllib.parse import parse_qs

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from beckon.core.ids import derived
from beckon.sandbox.twins.party import Party, Shown, ShownButton, ShownMedia

PROJECT = "garage-vermeulen"
_EMAIL = f"beckon@{PROJECT}.iam.gserviceaccount.com"
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_CONTENT_BYTES_MAX = 4_096
_TOKEN_S = 3_600
_SKEW_S = 300
_TOKENS_MAX = 1_000
_KNOWN_TAGS_MAX = 10_000


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    """Google refuses names that it doesn't know."""


class _Notification(_Strict):
    title: str = ""
    body: str = ""
    image: str = ""


class _AndroidNotification(_Strict):
    tag: str = ""


class _Android(_Strict):
    priority: str = "NORMAL"
    ttl: str = ""
    collapse_key: str = ""
    notification: _AndroidNotification = msgspec.field(default_factory=_AndroidNotification)


class _Apns(_Strict):
    headers: dict[str, str] = {}
    payload: dict[str, Any] = {}


class _Message(_Strict):
    token: str
    notification: _Notification
    data: dict[str, str] = {}
    android: _Android = msgspec.field(default_factory=_Android)
    apns: _Apns = msgspec.field(default_factory=_Apns)


class _Asked(_Strict):
    message: _Message


class _Problem(Exception):
    def __init__(self, code: str, field: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.field = field


class Twin(Party):
    """One Firebase project and the phones that have its app."""

    provider = "fcm"
    mount = "/fcm"
    errors: ClassVar[dict[str, tuple[int, str]]] = {
        "UNREGISTERED": (404, "NOT_FOUND"),
        "INVALID_ARGUMENT": (400, "INVALID_ARGUMENT"),
        "SENDER_ID_MISMATCH": (403, "PERMISSION_DENIED"),
        "QUOTA_EXCEEDED": (429, "RESOURCE_EXHAUSTED"),
        "UNAVAILABLE": (503, "UNAVAILABLE"),
        "INTERNAL": (500, "INTERNAL"),
        "THIRD_PARTY_AUTH_ERROR": (401, "UNAUTHENTICATED"),
        "UNAUTHENTICATED": (401, "UNAUTHENTICATED"),
        "PERMISSION_DENIED": (403, "PERMISSION_DENIED"),
    }

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.app = Starlette(
            routes=[
                Route("/token", self._token, methods=["POST"]),
                Route("/v1/projects/{project}/messages:send", self._send, methods=["POST"]),
            ]
        )
        #: a token that was given → until when it is good, in seconds
        self._tokens: dict[str, int] = {}
        #: how many tokens were asked for
        self.tokens_given = 0
        #: (phone, tag) → the notification
        self._tags: dict[tuple[str, str], str] = {}

    def settings(self, base_url: str) -> dict[str, object]:
        """The settings that point the real provider here."""
        pem = _key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        file = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": derived("key", self.key("account")),
            "private_key": pem,
            "client_email": _EMAIL,
            "token_uri": f"{base_url}{self.mount}/token",
        }
        return {"service_account": msgspec.json.encode(file).decode(), "base_url": base_url + self.mount}

    def receipt(self, message: Shown, state: str, after_ms: int, code: str = "") -> None:
        """Nothing is said to us: what the person sees changes all the same."""
        self.changed(message, state)

    def expire_tokens(self) -> None:
        """Take back every token before its time."""
        self._tokens.clear()

    # Google's sign-in.

    async def _token(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode("latin-1"))
        grant, signed = [form.get(name, [""])[0] for name in ("grant_type", "assertion")]
        if grant != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        now_s = self.clock.now_ms() // 1000
        wrong = self._wrong(signed, str(request.url), now_s)
        if wrong:
            return JSONResponse({"error": "invalid_grant", "error_description": wrong}, 400)
        self.tokens_given += 1
        token = derived("ya29", self.key("token"), str(self.tokens_given))
        self._tokens[token] = now_s + _TOKEN_S
        if len(self._tokens) > _TOKENS_MAX:
            self._tokens.pop(next(iter(self._tokens)))
        return JSONResponse({"access_token": token, "expires_in": _TOKEN_S, "token_type": "Bearer"})

    def _wrong(self, signed: str, url: str, now_s: int) -> str:
        """What is wrong with what was signed; nothing: all is well."""
        head, _, proof = signed.rpartition(".")
        try:
            _key().public_key().verify(_read(proof), head.encode(), padding.PKCS1v15(), SHA256())
            header, claims = [msgspec.json.decode(_read(part)) for part in head.split(".")]
        except (InvalidSignature, ValueError, binascii.Error):
            return "Invalid JWT Signature."
        if header.get("alg") != "RS256" or header.get("kid") != derived("key", self.key("account")):
            return "Invalid JWT Signature."
        if claims.get("iss") != _EMAIL:
            return "Invalid grant: account not found"
        if claims.get("aud") != url or claims.get("scope") != _SCOPE:
            return "Invalid JWT: audience or scope"
        issued, ends = claims.get("iat", 0), claims.get("exp", 0)
        if not (issued <= now_s + _SKEW_S and now_s - _SKEW_S <= ends <= issued + 3_600):
            return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        return ""

    # The API.

    async def _send(self, request: Request) -> Response:
        body = await request.body()
        try:
            message = self._taken(request, body)
        except _Problem as problem:
            return self._said(problem)
        await self.slow()
        return JSONResponse({"name": f"projects/{PROJECT}/messages/{message.id}"})

    def _said(self, problem: _Problem) -> Response:
        status, word = self.errors[problem.code]
        details: list[dict[str, Any]] = []
        if problem.code != word:
            kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
            details.append({"@type": kind, "errorCode": problem.code})
        if problem.field:
            broken = [{"field": problem.field, "description": "Invalid value"}]
            details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": broken})
        error = {"code": status, "message": f"{problem.code}: see details", "status": word, "details": details}
        headers = {"Retry-After": str(self.faults.retry_after_s)} if status in (429, 503) else None
        return JSONResponse({"error": error}, status, headers=headers)

    def _taken(self, request: Request, body: bytes) -> Shown:
        if self.faults.down:
            raise _Problem("UNAVAILABLE")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._tokens.get(token, 0) <= self.clock.now_ms() // 1000:
            raise _Problem("UNAUTHENTICATED")
        if request.path_params["project"] != PROJECT:
            raise _Problem("PERMISSION_DENIED")
        if self.faults.rate_limited:
            raise _Problem("QUOTA_EXCEEDED")
        if self.faults.answer_code:
            raise _Problem(self.faults.answer_code)
        try:
            message = msgspec.json.decode(body, type=_Asked).message
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise _Problem("INVALID_ARGUMENT", "message") from None
        if self.faults.number_invalid:
            raise _Problem("UNREGISTERED")
        if ":" not in message.token:
            raise _Problem("INVALID_ARGUMENT", "message.token")
        reserved = [key for key in message.data if key in ("from", "message_type") or key.startswith(("google", "gcm"))]
        size = len(msgspec.json.encode([message.notification, message.data]))
        if reserved or size > _CONTENT_BYTES_MAX or message.android.priority not in ("NORMAL", "HIGH"):
            raise _Problem("INVALID_ARGUMENT", "message.data")
        return self._shown(message)

    def _shown(self, message: _Message) -> Shown:
        data, tag = message.data, message.android.notification.tag
        known = self._tags.get((message.token, tag)) if tag else None
        if known in self._by_id:
            return self.find(known)  # a notification of the same tag takes the place of the first
        notification, url = message.notification, data.get("url", "")
        shown = Shown(
            id=derived("0", self.key("message"), message.token, tag),
            person=message.token,
            at_ms=self.clock.now_ms(),
            text=notification.body,
            subject=notification.title,
            buttons=(ShownButton("link", data.get("action", ""), url),) if url else (),
            media=(ShownMedia("image", notification.image),) if notification.image else (),
            reference=data.get("delivery", ""),
            raw=msgspec.to_builtins(message),
        )
        self.show(shown)
        self._tags[message.token, tag] = shown.id
        if len(self._tags) > _KNOWN_TAGS_MAX:
            self._tags.pop(next(iter(self._tags)))
        self.changed(shown, "delivered")
        return shown


def token_of(phone: str) -> str:
    """The registration token of the app on a phone."""
    return f"{derived('app', phone)}:APA91b{derived('phone', phone) * 4}"


@cache
def _key() -> rsa.RSAPrivateKey:
    """The service account's key: one for each process, since making one takes a while."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def _read(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
