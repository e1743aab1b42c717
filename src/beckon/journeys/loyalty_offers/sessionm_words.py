"""SessionM's words: its two shapes of errors, its ids that look like UUIDs, its instants. Pure.

Its clients take ids for UUIDs, some with typed parsers, so ours are written as version 8 (RFC 9562: free use), which
can be read back; a definition's name becomes the one that its digest gives.
"""

import uuid
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from beckon.core.errors import BeckonError, Refused, Unavailable

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_ID_LETTERS = 20

#: our code → the core API's, where the dots alone would not do
_CORE = {
    "member.unknown": "user_not_found",
    "member.forgotten": "user_not_found",
    "member.suspended": "not_available",
    "member.email": "email_not_unique",
    "member.external": "external_id_not_unique",
    "auth.missing": "access_denied",
    "auth.unknown": "access_denied",
    "key.scope": "access_denied",
    "loyalty.api_key": "invalid_api_key",
    "pass.forged": "invalid_auth_token",
    "pass.expired": "invalid_auth_token",
    "campaign.unknown": "not_found",
    "http.not_found": "not_found",
    "profile.age": "age_restricted",
}
#: our field → the vendor's
_FIELDS = {"member": "user_id", "offer": "offer_id", "points": "amount", "expires": "expiration_date"}
_NOT_FOUND = frozenset({"member.unknown", "member.forgotten", "offer.unknown", "campaign.unknown", "http.not_found"})
_WHO = frozenset({"auth.missing", "auth.unknown", "loyalty.api_key", "pass.forged", "pass.expired"})


def status_of(error: BeckonError, *, core: bool) -> int:
    """HTTP status: the core API answers 200 with ``"status": "error"``, but 401 and 404; the others say 400, too."""
    if isinstance(error, Unavailable):
        return 503
    if error.code in _WHO:
        return 401
    if error.code == "key.scope":
        return 403
    if error.code in _NOT_FOUND:
        return 404
    if error.code == "http.method":
        return 405
    if error.code in ("request.too_large", "request.slow"):
        return 413 if error.code == "request.too_large" else 408
    if error.code in ("request.json", "request.malformed"):
        return 400
    return 200 if core else 400


def core_error(error: BeckonError) -> dict[str, Any]:
    """``{"status", "errors": {"code", "message"}}``"""
    errors: dict[str, Any] = {"code": _code(error), "message": _sentence(error.why)}
    if error.field:
        errors["field"] = _FIELDS.get(error.field, error.field)
    return {"status": "error", "errors": errors}


def domain_error(error: BeckonError) -> dict[str, Any]:
    """``{"status", "errors": {"code", "type", "message", "raw_message"}}``"""
    if error.code in _WHO or error.code == "key.scope":
        kind = "authorization"
    elif error.code in _NOT_FOUND:
        kind = "not_found"
    elif isinstance(error, Unavailable):
        kind = "unavailable"
    elif error.code.split(".", 1)[0] in ("request", "money", "profile"):
        kind = "validation"
    else:
        kind = "business_rule"
    errors: dict[str, Any] = {
        "code": _code(error),
        "type": kind,
        "message": _sentence(error.why),
        "raw_message": f"{error.code}: {error.why}",
    }
    if error.field:
        errors["field"] = _FIELDS.get(error.field, error.field)
    return {"status": "error", "errors": errors}


def _code(error: BeckonError) -> str:
    return _CORE.get(error.code) or error.code.replace(".", "_")


def _sentence(why: str) -> str:
    return why[:1].upper() + why[1:].rstrip(".") + "."


def as_uuid(id_: str) -> str:
    """One of our ids as a UUID of version 8: ``mem_…`` → ``0192…-….``"""
    number = 0
    for letter in id_.partition("_")[2]:
        number = number << 5 | _VALUES[letter]
    # 100 bits into the 122 that a version 8 has free: 48, 12, 40.
    value = (number >> 52) << 80 | 0x8 << 76 | (number >> 40 & 0xFFF) << 64 | 0b10 << 62 | (number & (1 << 40) - 1)
    return str(uuid.UUID(int=value))


def from_uuid(prefix: str, text: str, field: str = "user_id") -> str:
    """Our id of what a client sends back: a UUID of ours, or the id itself; what is neither means nobody."""
    if text.startswith(f"{prefix}_"):
        return text
    try:
        value = uuid.UUID(text[:64]).int
    except ValueError:
        return ""
    number = (value >> 80) << 52 | (value >> 64 & 0xFFF) << 40 | (value & (1 << 40) - 1)
    letters = [_ALPHABET[number >> shift & 31] for shift in range(5 * (_ID_LETTERS - 1), -1, -5)]
    return f"{prefix}_{''.join(letters)}"


@lru_cache(maxsize=4_096)
def name_uuid(kind: str, name: str) -> str:
    """The UUID of a definition: the same for the same name."""
    return str(uuid.UUID(bytes=blake2b(f"{kind}\x1f{name}".encode(), digest_size=16).digest(), version=5))


def named(kind: str, text: str, names: Any) -> str:
    """The name that a client means, by UUID or by the name itself; what is neither stays as it is."""
    if text in names:
        return text
    for name in names:
        if name_uuid(kind, name) == text:
            return str(name)
    return text


def instant(text: Any, field: str) -> int:
    """An instant as tills write it: RFC 3339, with a blank for the T, without an offset (then it is UTC)."""
    if text is None or text == "":
        return 0
    try:
        moment = datetime.fromisoformat(str(text)[:40].strip())
    except ValueError:
        raise Refused(
            "request.instant", f"{field} is no instant; write it like 2026-11-20T13:22:56Z", field=field
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        at_ms = int(moment.timestamp() * 1000)
    except (OverflowError, ValueError):
        at_ms = -1
    if not 0 < at_ms < 1 << 43:
        raise Refused("request.instant", f"{field} is too far off", field=field)
    return at_ms


def shown(at_ms: int) -> str | None:
    """An instant as its answers have it; None: never."""
    if not at_ms:
        return None
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(at_ms: int) -> str:
    """``2026-11-26 23:10:05`` in UTC, as the core API writes instants."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
