"""Forms: requests become values: bodies, queries, cursors; and what does not fit is said with its field."""

import re
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast, get_origin
from urllib.parse import parse_qsl

import msgspec

from beckon.core.errors import Refused

T = TypeVar("T")

#: Fields of one query.
_FIELDS_MAX = 32

_PATH = re.compile(r" - at `\$\.?([^`]*)`")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]+)`")
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_NUL = b"\\u0000"


def misfit(error: msgspec.ValidationError, family: str) -> Refused:
    """What does not fit, with its field. ``family``: the first word of the code (``event``, ``request``)."""
    text = str(error)
    found_at = _PATH.search(text)
    at = found_at.group(1)[:80] if found_at is not None else ""
    for pattern, code, words in (
        (_MISSING, "field_missing", "the field {} is missing"),
        (_UNKNOWN, "field_unknown", "the field {} is not known here"),
    ):
        found = pattern.search(text)
        if found is not None:
            field = f"{at}.{found.group(1)[:80]}" if at else found.group(1)[:80]
            return Refused(f"{family}.{code}", words.format(field), field=field)
    return Refused(f"{family}.form", f"{at or 'the body'}: {_PATH.sub('', text)[:200]}", field=at or None)


def broken_json(error: Exception) -> Refused:
    """The body is no JSON."""
    return Refused("request.json", f"the body is no JSON in UTF-8: {str(error)[:200]}")


def has_nul(body: bytes) -> bool:
    """Whether a JSON text says NUL somewhere: PostgreSQL keeps no such text, and nobody means it."""
    at = body.find(_NUL)
    while at >= 0:
        # \\u0000 is a backslash and the letters after it; \u0000 and \\\u0000 hold a NUL.
        before = at
        while before > 0 and body[before - 1] == 0x5C:
            before -= 1
        if (at - before) % 2 == 0:
            return True
        at = body.find(_NUL, at + 1)
    return False


def read_json(body: bytes, form: type[T]) -> T:
    """A JSON body as a value of this form. Raises ``Refused``."""
    if has_nul(body):
        raise Refused("request.characters", "the body has a NUL character (\\u0000) in a text")
    try:
        value: T = _decoder(cast(Hashable, form)).decode(body)
        return value
    except msgspec.ValidationError as error:
        raise misfit(error, "request") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise broken_json(error) from error


def read_text(body: bytes) -> str:
    """A body as text. Raises ``Refused``."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("request.malformed", f"the body is not UTF-8 (byte {error.start})") from error
    if "\x00" in text:
        raise Refused("request.characters", "the body has a NUL character in it")
    return text.removeprefix("\ufeff")


def read_query(query: bytes, form: type[T]) -> T:
    """A query as a value of this form: each field once, none that is not known. Raises ``Refused``."""
    fields: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError as error:  # UnicodeDecodeError is one
        raise Refused("request.malformed", "the query can't be read") from error
    kinds = _kinds(cast(Hashable, form))
    for name, text in pairs:
        if name not in kinds:
            known = ", ".join(kinds) or "none"
            raise Refused(
                "request.query", f"this query parameter is not known here; there are: {known}", field=name[:80]
            )
        if name in fields:
            raise Refused("request.query", "this query parameter stands there twice", field=name)
        if "\x00" in text:
            raise Refused("request.characters", "the query has a NUL character in it", field=name)
        fields[name] = _typed(text, kinds[name])
    try:
        return msgspec.convert(fields, form)
    except msgspec.ValidationError as error:
        raise misfit(error, "request") from error


def key_of(headers: Mapping[str, str]) -> str:
    """The Idempotency-Key; empty where there is none. Raises ``Refused`` for one that can't be."""
    once = headers.get("idempotency-key")
    if once is None:
        return ""
    if not 0 < len(once) <= 255 or not once.isprintable():
        raise Refused(
            "idempotency.malformed", "an Idempotency-Key has 1 to 255 printable characters", field="Idempotency-Key"
        )
    return once


def media_of(headers: Mapping[str, str]) -> str:
    """The media type without its parameters; JSON where nothing is said. Raises ``Refused`` for another charset."""
    given = headers.get("content-type", "application/json")
    media, _, parameters = given.partition(";")
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset" and value.strip('"').lower() not in ("utf-8", "utf8", "us-ascii"):
            raise Refused("request.media_type", "texts are read in UTF-8 only")
    return media.strip().lower()


def _typed(text: str, kind: Any) -> Any:
    if kind is int:
        return int(text) if _INT.fullmatch(text) else text
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    return text


@lru_cache(maxsize=128)
def _decoder(form: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast(Any, form))


@lru_cache(maxsize=128)
def _kinds(form: Hashable) -> dict[str, Any]:
    """The bare type of each field of a query's form."""
    kinds = {}
    for field in msgspec.structs.fields(cast(Any, form)):
        kind = field.type
        if get_origin(kind) is Annotated:
            kind = kind.__origin__
        kinds[field.encode_name] = kind
    return kinds
