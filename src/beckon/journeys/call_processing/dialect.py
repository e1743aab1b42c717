"""Dialect: how one vendor's PBX asks, and how it is answered; the vendors' words stay in their own files."""

import hmac
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec

from beckon.core.errors import Refused
from beckon.telephony.instructions import Instruction

#: Fields of one request, and the longest value.
FIELDS_MAX = 200
VALUE_CHARS_MAX = 4_000
#: How far a signature's time may be from ours.
SIGNED_WITHIN_S = 300


class PbxRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a PBX sent."""

    method: str
    #: as the PBX called it.
    url: str
    query: str = ""
    #: names in lower case.
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A PBX's question in our own words."""

    #: one call leg's record, and the call as a whole.
    call: str
    session: str
    #: E.164 as far as that can be seen.
    caller: str
    called: str
    #: what was typed; empty: nothing.
    digits: str = ""
    direction: str = "in"
    started: str = ""
    #: what became of the numbers that it was to connect: completed, busy, no_answer, failed; empty: none was.
    dialled: str = ""


class Door(msgspec.Struct, frozen=True):
    """Where the PBX reaches us: ``…/calls/workspace/dialect/secret``, without a slash at its end."""

    url: str


class Rendered(msgspec.Struct, frozen=True):
    """An answer as the PBX reads it."""

    body: bytes
    content_type: str
    status: int = 200


class Answering(Protocol):
    """A dialect in which we answer."""

    name: str

    def verify(self, request: PbxRequest, secret: str, now_s: int) -> None:
        """Raises ``Refused`` where the request is not signed with this secret."""
        ...

    def read(self, request: PbxRequest) -> Asked:
        """The question. Raises ``Refused`` where it is none."""
        ...

    def render(self, instructions: tuple[Instruction, ...], asked: Asked, door: Door) -> Rendered:
        """The answer. Raises ``Unsupported`` for what the PBX can't be told."""
        ...


def fields_of(request: PbxRequest) -> dict[str, Any]:
    """The fields of a request, from its query and its body: a form, or JSON; the body's win. Raises ``Refused``."""
    fields: dict[str, Any] = dict(_pairs(request.query))
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = request.body
    if not body.strip():
        return fields
    if media == "application/json" or (media != "application/x-www-form-urlencoded" and body.lstrip()[:1] == b"{"):
        try:
            read = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refused("call.request", "the body is no JSON") from None
        if not isinstance(read, dict) or len(read) > FIELDS_MAX:
            raise Refused("call.request", f"the body is no object of at most {FIELDS_MAX} fields")
        return fields | read
    try:
        return fields | dict(_pairs(body.decode("utf-8")))
    except UnicodeDecodeError:
        raise Refused("call.request", "the body is no UTF-8") from None


def text_of(fields: Mapping[str, Any], name: str, chars_max: int = 200) -> str:
    """A field as text; what is missing as nothing. Raises ``Refused`` for what is neither text nor number."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str | int):
        text = str(value).strip()
        if len(text) > chars_max:
            raise Refused("call.request", f"{name} is longer than {chars_max} characters", field=name)
        return text
    raise Refused("call.request", f"{name} is neither a text nor a number", field=name)


def international(number: str) -> str:
    """``74952345678`` → ``+74952345678``; an extension, a name or nothing stays as it is."""
    digits = number.strip()
    return f"+{digits}" if digits.isascii() and digits.isdigit() and len(digits) >= 8 else digits


def verify_timed(header: str, secret: str, signed: Callable[[bytes], bytes], now_s: int) -> None:
    """Check a header ``t=…,v1=…``: HMAC-SHA256 of what ``signed`` makes of the time. Raises ``Refused``."""
    parts = [part.partition("=") for part in header.split(",")[:20]]
    at = next((value for name, _equals, value in parts if name.strip() == "t"), "")
    given = [value.strip() for name, _equals, value in parts if name.strip() == "v1"]
    if not at.isascii() or not at.isdigit() or len(at) > 12 or not given:
        raise Refused("call.signature", "the request is not signed")
    wanted = hmac.new(secret.encode(), signed(at.encode()), "sha256").hexdigest()
    if not any(hmac.compare_digest(wanted, one.encode("ascii", "replace").decode()) for one in given):
        raise Refused("call.signature", "the signature is wrong")
    if abs(now_s - int(at)) > SIGNED_WITHIN_S:
        raise Refused("call.signature", f"the signature is older than {SIGNED_WITHIN_S} s")


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise Refused("call.request", f"more than {FIELDS_MAX} fields") from None
    return [(name[:200], value[:VALUE_CHARS_MAX]) for name, value in pairs]
