"""Records: rows of an integrator's own (courier cards, orders), in collections, found by key. Pure."""

import re
from typing import Any

import msgspec

from beckon.core.errors import Refused

#: What a collection may be called.
COLLECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
KEY_CHARS_MAX = 200
#: The longest record, as JSON.
BODY_CHARS_MAX = 16_384
#: Names in one record.
FIELDS_MAX = 100

_PHONE = re.compile(r"\+?[\d\s().\-/\u00a0]{6,40}")


class Record(msgspec.Struct, frozen=True):
    """One row of a collection."""

    key: str
    body: dict[str, Any]


def record_key(text: str) -> str:
    """A key as it is compared: ``+32 470 00 00 01``, ``0032470000001`` and ``32470000001`` are one."""
    key = " ".join(text.split())
    if _PHONE.fullmatch(key):
        digits = "".join(char for char in key if char.isascii() and char.isdigit())
        if key.startswith("+") or (key.startswith("00") and len(digits) > 9):
            return digits.removeprefix("00")
        return digits if len(digits) > 6 else key
    return key


def read_record(key: str, body: Any) -> Record:
    """A record, checked. Raises ``Refused``."""
    compared = record_key(key)
    if not 0 < len(compared) <= KEY_CHARS_MAX or any(char < " " or char == "\x7f" for char in compared):
        raise Refused("record.key", f"a key has 1 to {KEY_CHARS_MAX} characters", field="key")
    if not isinstance(body, dict) or len(body) > FIELDS_MAX:
        raise Refused("record.body", f"a record is an object of at most {FIELDS_MAX} fields")
    if len(msgspec.json.encode(body)) > BODY_CHARS_MAX:
        raise Refused("record.too_large", f"a record takes at most {BODY_CHARS_MAX // 1024} KiB as JSON")
    return Record(compared, body)
