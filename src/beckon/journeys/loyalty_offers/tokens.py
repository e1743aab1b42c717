"""Tokens: a member's own pass for an app or a page: who it is and until when, signed. Pure but for the key."""

import hashlib
import hmac
from functools import lru_cache

from beckon.core.errors import Refused

#: How long a pass holds where nobody says otherwise: a day.
HOLDS_MS = 86_400_000
_TOKEN_MAX = 300


def token_for(workspace: str, member: str, key: bytes, until_ms: int) -> str:
    """A pass: ``{workspace}.{member}.{until}.{signature}``."""
    words = f"{workspace}.{member}.{until_ms}"
    return f"{words}.{_signature(words, key)}"


def read_token(token: str, key: bytes, now_ms: int) -> tuple[str, str]:
    """(workspace, member) of a pass. Raises ``Refused``: forged, or over."""
    words, _, signature = token[:_TOKEN_MAX].rpartition(".")
    parts = words.rsplit(".", 2)
    if len(parts) != 3 or not hmac.compare_digest(
        _signature(words, key).encode(), signature.encode("utf-8", "replace")
    ):
        raise Refused("pass.forged", "this pass was not given here", field="auth_token")
    if not parts[2].isdigit() or int(parts[2]) <= now_ms:
        raise Refused("pass.expired", "the pass is over: ask for a new one", field="auth_token")
    return parts[0], parts[1]


def _signature(words: str, key: bytes) -> str:
    return hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=16, key=_folded(key)).hexdigest()


@lru_cache(maxsize=16)
def _folded(key: bytes) -> bytes:
    return hashlib.blake2b(b"loyalty pass\x1f" + key, digest_size=64).digest()
