"""What is said to Firebase, who says it (a service account), and what the answers mean. Pure."""

import re
from typing import Any, ClassVar
from urllib.parse import urlencode

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.message import Handed, Outbound
from beckon.messaging.channel import Capabilities, Reply
from beckon.providers.provider import (
    ProviderSettings,
    as_list,
    as_object,
    as_text,
    retry_after_s,
    text_with_links,
    unexplained,
    unreadable,
)

NAME = "fcm"

TEXT_MAX = 1_000
TITLE_MAX = 120
#: Title, text and data together.
CONTENT_BYTES_MAX = 4_096
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: How long what we sign to get a token is good for: an hour is the most that Google takes.
SIGNED_S = 3_600

CAPABILITIES = Capabilities(
    text_max=TEXT_MAX,
    link_buttons=1,
    media=("image",),
    title=True,
    devices=True,
)

#: A registration token: the installation's id, a colon, and what Google knows it by.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,128}:[A-Za-z0-9_:%-]{16,880}", re.ASCII)
_PROJECT = re.compile(r"[a-z0-9.:-]{1,64}", re.ASCII)


class Settings(ProviderSettings, frozen=True, kw_only=True):
    """A Firebase project: see README.md."""

    SECRETS: ClassVar[tuple[str, ...]] = ("service_account",)

    #: the service account's key file, as its JSON text
    service_account: str
    base_url: str = "https://fcm.googleapis.com"
    #: how long Google keeps a message for a device that is off, in seconds
    ttl_s: int = 86_400
    #: in seconds
    timeout_s: float = 10.0


class Account(msgspec.Struct, frozen=True, eq=False):
    """A service account, ready to sign."""

    project_id: str
    client_email: str
    private_key_id: str
    token_uri: str
    key: RSAPrivateKey


class _KeyFile(msgspec.Struct):
    project_id: str
    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


def account_of(settings: Settings) -> Account:
    """The service account in its key file. Raises ``Misconfigured``."""
    try:
        file = msgspec.json.decode(settings.service_account.encode(), type=_KeyFile)
        key = load_pem_private_key(file.private_key.encode(), None)
    except (msgspec.MsgspecError, UnicodeError, ValueError, TypeError):
        raise _no_key_file() from None
    is_fine = isinstance(key, RSAPrivateKey) and _PROJECT.fullmatch(file.project_id)
    if not is_fine or not file.token_uri.startswith(("https://", "http://")):
        raise _no_key_file()
    assert isinstance(key, RSAPrivateKey)
    return Account(file.project_id, file.client_email, file.private_key_id, file.token_uri, key)


def _no_key_file() -> Misconfigured:
    why = "service_account is no key file of a service account: its whole JSON goes there"
    return Misconfigured(f"{NAME}.settings", why, field=f"providers.{NAME}.service_account")


# The token.


def token_request(account: Account, now_ms: int) -> tuple[str, dict[str, str], bytes]:
    """The URL, the headers and the body that ask for a token (RFC 7523)."""
    claims = {
        "iss": account.client_email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": now_ms // 1000,
        "exp": now_ms // 1000 + SIGNED_S,
    }
    named = {"kid": account.private_key_id} if account.private_key_id else None
    signed = jwt.encode(claims, account.key, algorithm="RS256", headers=named)
    form = urlencode({"grant_type": GRANT, "assertion": signed}).encode()
    return account.token_uri, {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "beckon"}, form


def read_token(reply: Reply) -> tuple[str, int]:
    """The token and how long it is good for, in seconds. Raises ``Misconfigured`` where Google gives none."""
    said = _read(reply)
    if 200 <= reply.status < 300:
        token, lasts_s = said.get("access_token"), said.get("expires_in")
        if type(token) is str and token.isascii() and token.isprintable() and 0 < len(token) <= 8_192:
            return token, lasts_s if type(lasts_s) is int and 0 < lasts_s <= 86_400 else SIGNED_S
        raise Unavailable(f"{NAME}.token", "Google answered without a token")
    word = _word(as_text(said.get("error"), 60))
    if word and reply.status < 500:
        raise Misconfigured(f"{NAME}.account", f"Google does not accept the service account: {word}")
    error = unexplained(NAME, reply)
    if isinstance(error, Unavailable):
        raise Unavailable(error.code, error.why, retry_after_s=error.retry_after_s)
    raise error


# Out.


def build(message: Outbound, settings: Settings) -> dict[str, Any]:
    """The request's JSON. Raises ``Refused`` for an address that is none, ``Unsupported`` for what can't be said."""
    if not _TOKEN.fullmatch(message.to):
        raise Refused(f"{NAME}.address", "the address is no registration token of an app", field="to")
    rendered = message.rendered
    links = [button for button in rendered.buttons if button.kind == "link"]
    images = [medium for medium in rendered.media if medium.kind == "image"]
    text = text_with_links(
        msgspec.structs.replace(
            rendered,
            buttons=tuple(links[1:]),
            media=tuple([medium for medium in rendered.media if medium not in images[:1]]),
        )
    )
    if not 0 < len(text) <= TEXT_MAX:
        raise Unsupported(f"{NAME}.too_long", f"a notification's text has 1 to {TEXT_MAX} characters")
    urgent = message.purpose != "marketing"
    notification: dict[str, Any] = {"title": rendered.subject[:TITLE_MAX], "body": text}
    if images:
        notification["image"] = images[0].url
    data = {"delivery": message.delivery_id}
    if links:
        data |= {"url": links[0].value, "action": links[0].text}
    if len(msgspec.json.encode([notification, data])) > CONTENT_BYTES_MAX:
        raise Unsupported(f"{NAME}.too_long", f"a notification has {CONTENT_BYTES_MAX} bytes at most")
    return {
        "message": {
            "token": message.to,
            "notification": notification,
            "data": data,
            # The delivery's name in each system's words: a second try takes the place of the first.
            "android": {
                "priority": "HIGH" if urgent else "NORMAL",
                "ttl": f"{settings.ttl_s}s",
                "collapse_key": message.delivery_id,
                "notification": {"tag": message.delivery_id},
            },
            "apns": {
                "headers": {
                    "apns-collapse-id": message.delivery_id[:64],
                    "apns-priority": "10" if urgent else "5",
                },
                "payload": {"aps": {"sound": "default", "thread-id": "beckon"}},
            },
        }
    }


def read_reply(reply: Reply) -> Handed:
    """Google's answer to a message. Raises the kind of error that its code means."""
    said = _read(reply)
    if 200 <= reply.status < 300:
        provider_id = as_text(said.get("name"), 500).rpartition("/")[2]
        if not provider_id:
            raise unreadable(NAME)
        return Handed(provider_id)
    error = as_object(said.get("error"))
    code, fields = _word(as_text(error.get("status"), 60)), set()
    for detail in map(as_object, as_list(error.get("details"))[:20]):
        code = _word(as_text(detail.get("errorCode"), 60)) or code
        fields |= {as_text(as_object(one).get("field"), 100) for one in as_list(detail.get("fieldViolations"))[:20]}
    if not code:
        raise unexplained(NAME, reply)
    raise failure(code, reply.status, pause_s=retry_after_s(reply.headers), about_token="message.token" in fields)


_MISCONFIGURED = {
    "SENDER_ID_MISMATCH": "the app belongs to another Firebase project",
    "THIRD_PARTY_AUTH_ERROR": "Apple's or the browser's certificate in the Firebase project is missing or wrong",
    "UNAUTHENTICATED": "Google does not accept our token",
    "PERMISSION_DENIED": "the service account may not send messages for this project",
    "NOT_FOUND": "there is no such Firebase project",
}
_UNAVAILABLE = {
    "QUOTA_EXCEEDED": "Google asks to slow down",
    "RESOURCE_EXHAUSTED": "Google asks to slow down",
    "UNAVAILABLE": "Google's service is overloaded",
    # Tried again, it takes the place of the first where that went through after all: nobody is told twice.
    "INTERNAL": "Google has an unknown problem",
}


def failure(code: str, status: int, *, pause_s: float | None = None, about_token: bool = False) -> BeckonError:
    """The error that a code of Google's means."""
    name = f"{NAME}.{code.lower()}"
    if code == "UNREGISTERED" or (code == "INVALID_ARGUMENT" and about_token):
        return Refused(name, f"the app was removed, or its token has ended ({code})", gone=True)
    if code in _UNAVAILABLE:
        return Unavailable(name, f"{_UNAVAILABLE[code]} ({code})", retry_after_s=pause_s)
    if code in _MISCONFIGURED:
        return Misconfigured(name, f"{_MISCONFIGURED[code]} ({code})")
    if status == 429 or status >= 500:
        return Unavailable(name, f"Google answered HTTP {status} with {code}", retry_after_s=pause_s)
    if status in (401, 403):
        return Misconfigured(name, f"Google answered HTTP {status} with {code}")
    return Refused(name, f"Google refused the message ({code})")


def _read(reply: Reply) -> dict[str, Any]:
    try:
        return as_object(msgspec.json.decode(reply.body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _word(text: str) -> str:
    """A code of Google's, and nothing else that may stand in its place."""
    return text if text and all(letter.isascii() and (letter.isalpha() or letter == "_") for letter in text) else ""
