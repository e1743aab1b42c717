"""What every provider's folder is made with: settings that hide their secrets, careful reading, plain ways of saying.

Pure, and the only module of this package that the folders may share.
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.event import Event
from beckon.core.message import Outbound, Rendered
from beckon.messaging.channel import Reply, WebhookRequest

#: One webhook's body; Meta sends up to 3 MB.
WEBHOOK_SIZE_BYTES_MAX = 4 * 1024 * 1024
#: Events read from one webhook.
EVENTS_MAX = 2_000
#: Characters of an inbound text, of a name, of an id.
TEXT_MAX = 65_536
NAME_MAX = 200
ID_MAX = 256
#: How long a signature of our own scheme is good for.
REPLAY_WINDOW_S = 300
#: How far a sender's clock may be ahead of ours before its time is not believed.
_AHEAD_MS_MAX = 300_000
#: A provider that asks for a longer pause than this is asked again after it all the same.
_RETRY_AFTER_S_MAX = 3_600.0

_PORTS = {"https": 443, "http": 80}

_DIGITS = re.compile(r"\+?\d(?:[\s().-]*\d){4,}")
_ADDRESSES = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,255}")


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's settings; what ``SECRETS`` names is never shown by ``repr``."""

    SECRETS: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._shown())})"

    def __rich_repr__(self) -> Any:
        yield from self._shown()

    def _shown(self) -> list[tuple[str, object]]:
        return [
            (name, "…" if name in self.SECRETS and value else value)
            for name in self.__struct_fields__
            for value in [getattr(self, name)]
        ]


def need(settings: ProviderSettings, provider: str, *names: str) -> None:
    """Raise ``Misconfigured`` for the first of these settings that is empty."""
    for name in names:
        if not getattr(settings, name):
            raise Misconfigured(
                f"{provider}.settings",
                f"the provider {provider} needs the setting {name}",
                field=f"providers.{provider}.{name}",
            )


def base_url(url: str) -> str:
    """A base URL without the slash at its end. Raises ``Misconfigured`` where it is none."""
    if not url.startswith(("https://", "http://")) or any(character <= " " for character in url):
        raise Misconfigured(
            "provider.base_url", "base_url starts with https:// (or http:// for the sandbox)", field="base_url"
        )
    return url.rstrip("/")


# Signatures.


def equal(given: str, expected: str) -> bool:
    """Whether two texts are equal, in a time that doesn't tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))


def hex_signature(secret: str, body: bytes) -> str:
    """HMAC-SHA256 in lower-case hexadecimal."""
    return hmac.new(secret.encode(), body, sha256).hexdigest()


def timed_signature(secret: str, body: bytes, at_ms: int) -> str:
    """Our own scheme: ``t=<seconds>,v1=<hex HMAC-SHA256 of "<seconds>." + body>``."""
    at_s = at_ms // 1000
    return f"t={at_s},v1={hex_signature(secret, b'%d.' % at_s + body)}"


def check_timed_signature(given: str, secret: str, body: bytes, now_ms: int, window_s: int) -> None:
    """Raise ``Refused`` unless the body was signed with this secret, not longer than ``window_s`` ago."""
    at, proofs = "", []
    for part in given[:1_000].split(","):
        key, _, value = part.strip().partition("=")
        if key == "t":
            at = value
        elif key == "v1":
            proofs.append(value)
    if not (at.isascii() and at.isdigit()) or len(at) > 12:
        raise forged()
    expected = hex_signature(secret, at.encode() + b"." + body)
    # Each is compared, so that a secret can be changed without a gap.
    if not sum([equal(proof, expected) for proof in proofs[:4]]):
        raise forged()
    if abs(now_ms - int(at) * 1000) > window_s * 1000:
        raise Refused("webhook.replayed", f"the webhook was signed more than {window_s} seconds ago")


def check_signature_of(request: WebhookRequest, secret: str, now_ms: int) -> None:
    """Check the ``X-Beckon-Signature`` of a webhook in our own scheme. Raises ``Refused``."""
    check_timed_signature(request.headers.get("x-beckon-signature", ""), secret, request.body, now_ms, REPLAY_WINDOW_S)


def check_form_signature(given: str, url: str, fields: list[tuple[str, str]], secret: str) -> None:
    """Raise ``Refused`` unless the form that was posted to this URL was signed with this secret."""
    # Each is compared: behind a proxy the URL is signed with its port or without it.
    if not sum([equal(given, form_signature(spelt, fields, secret)) for spelt in _spellings(url)]):
        raise forged()


def form_signature(url: str, fields: list[tuple[str, str]], secret: str) -> str:
    """A signed form, as Twilio and those like it sign one: HMAC-SHA1 over the URL and the sorted fields, base64."""
    signed = url + "".join([name + value for name, value in sorted(set(fields))])
    return b64encode(hmac.digest(secret.encode(), signed.encode("utf-8", "replace"), "sha1")).decode()


def _spellings(url: str) -> tuple[str, str]:
    """The URL without and with its port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url, url
    host = parts.netloc.rpartition("@")[2]
    bare = host.rpartition(":")[0] if port is not None else host
    ported = f"{bare}:{port or _PORTS.get(parts.scheme, 443)}"
    rest = url.partition("://")[2][len(parts.netloc) :]
    return f"{parts.scheme}://{bare}{rest}", f"{parts.scheme}://{ported}{rest}"


def forged() -> Refused:
    """The signature is missing or wrong."""
    return Refused("webhook.forged", "the webhook's signature is missing or wrong")


# Reading what others wrote.


def check_size(body: bytes, limit: int = WEBHOOK_SIZE_BYTES_MAX) -> None:
    """Raise ``Refused`` for a webhook that is too large."""
    if len(body) > limit:
        raise Refused("webhook.too_large", f"the webhook is larger than {limit} bytes")


def read_json(body: bytes) -> Any:
    """A webhook's JSON. Raises ``Refused``, whatever is wrong with it."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise Refused("webhook.not_json", "the webhook's body is no JSON") from None


def as_object(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if type(value) is dict else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value[:EVENTS_MAX] if type(value) is list else []


def as_text(value: Any, limit: int = TEXT_MAX) -> str:
    """The value as text if it is a text or a number, else nothing; cut at ``limit`` characters."""
    kind = type(value)
    if kind is str:
        return str(value[:limit])
    return str(value)[:limit] if kind is int or kind is float else ""


def as_id(value: Any) -> str:
    """An id, where a longer one than we keep becomes its digest."""
    text = as_text(value)
    return text if len(text) <= ID_MAX else sha256(text.encode("utf-8", "replace")).hexdigest()


def instant_ms(seconds: Any, now_ms: int) -> int:
    """A provider's time stamp in seconds; ours where it is missing, wrong, or ahead of us."""
    text = as_text(seconds, 20)
    if not (text.isascii() and text.isdigit()):
        return now_ms
    at_ms = int(text) * 1000
    return at_ms if 0 < at_ms <= now_ms + _AHEAD_MS_MAX else now_ms


# Events.


class Says:
    """Writes one account's events."""

    __slots__ = ("channel", "now_ms", "provider", "source", "workspace")

    def __init__(self, provider: str, channel: str, account: str, workspace: str, now_ms: int) -> None:
        self.provider = provider
        self.channel = channel
        self.source = f"providers/{provider}/{account}"
        self.workspace = workspace
        self.now_ms = now_ms

    def event(self, id_: str, type_: str, at_ms: int, fields: dict[str, Any]) -> Event:
        """An event of this account; empty fields are left out."""
        kept = {key: value for key, value in fields.items() if value not in ("", None, [], ())}
        return Event(workspace=self.workspace, source=self.source, id=id_, type=type_, time_ms=at_ms, data=kept)

    def received(self, provider_id: str, sender: str, text: str, at_ms: int, **more: Any) -> Event:
        """The contact wrote."""
        fields = {
            "channel": self.channel,
            "provider": self.provider,
            "from": sender,
            "provider_id": provider_id,
            **more,
        }
        event = self.event(provider_id, "message.received", at_ms, fields)
        event.data["text"] = text[:TEXT_MAX]
        return event

    def receipt(self, provider_id: str, state: str, at_ms: int, *, reference: str = "", **more: Any) -> Event:
        """A provider's word on a message of ours: sent, delivered, read, failed.

        ``reference``: our delivery's id where the provider gives it back. It finds the delivery of a hand-over whose
        answer never came.
        """
        fields = {"provider": self.provider, "provider_id": provider_id, "reference": reference, **more}
        return self.event(f"{provider_id}:{state}", f"message.{state}", at_ms, fields)

    def failure(self, provider_id: str, error: BeckonError, at_ms: int, *, reference: str = "") -> Event:
        """A message that was taken and then failed after all."""
        return self.receipt(
            provider_id, "failed", at_ms, reference=reference, code=error.code, why=error.why, kind=error.kind
        )


# Sending.


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The pause that an answer asks for, in seconds. A date is read against the answer's own ``date``."""
    given = headers.get("retry-after", "").strip()[:64]
    if given.isascii() and given.isdigit():
        return min(float(given), _RETRY_AFTER_S_MAX)
    if not given:
        return None
    try:
        pause = parsedate_to_datetime(given) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return min(max(pause.total_seconds(), 0.0), _RETRY_AFTER_S_MAX)


def unexplained(provider: str, reply: Reply) -> BeckonError:
    """The error for an answer whose body says nothing that we know."""
    status = reply.status
    if status == 429:
        return Unavailable(
            f"{provider}.rate", f"{provider} asks to slow down", retry_after_s=retry_after_s(reply.headers)
        )
    if status in (401, 403):
        return Misconfigured(f"{provider}.key", f"{provider} does not accept our key (HTTP {status})")
    if status == 503:
        return Unavailable(
            f"{provider}.down", f"{provider} is down (HTTP 503)", retry_after_s=retry_after_s(reply.headers)
        )
    if status >= 500:
        # Something in between may have answered after the message went through.
        return Unavailable(
            f"{provider}.http_{status}",
            f"{provider} answered HTTP {status}",
            retry_after_s=retry_after_s(reply.headers),
            doubtful=True,
        )
    if 300 <= status < 400 or status in (404, 405):
        return Misconfigured(f"{provider}.url", f"{provider} answered HTTP {status}: is base_url right?")
    return Refused(f"{provider}.http_{status}", f"{provider} refused the message (HTTP {status})")


def unreadable(provider: str) -> Unavailable:
    """A success without the id that belongs to it: it may have been taken."""
    return Unavailable(f"{provider}.bad_reply", f"{provider} answered without a message id", doubtful=True)


def scrubbed(text: str) -> str:
    """A provider's own words without numbers and addresses of people, short enough for a log."""
    text = _ADDRESSES.sub("…", _DIGITS.sub("…", text))
    return " ".join(text.split())[:200].rstrip(". ")


def text_with_links(rendered: Rendered) -> str:
    """The text, with the links and media under it that the text doesn't show already."""
    lines = [rendered.text.rstrip()]
    for media in rendered.media:
        if media.url not in rendered.text:
            lines.append(f"{media.caption}: {media.url}" if media.caption else media.url)
    for button in rendered.buttons:
        if button.kind == "link" and button.value not in rendered.text:
            lines.append(f"{button.text}: {button.value}" if button.text else button.value)
    return "\n".join([line for line in lines if line])


def unspeakable(provider: str) -> Unsupported:
    """A text with half a letter in it (a lone surrogate), which no wire can carry."""
    return Unsupported(f"{provider}.letters", "the message has characters that can't be written as UTF-8")


def extra(message: Outbound, name: str) -> str:
    """A free fact of the message, where it is a text."""
    value = message.extras.get(name, "")
    return value if type(value) is str else ""
