"""Identifiers: the only module that may make random ones.

``fresh`` gives time-ordered random ids (good for B-trees); ``derived`` gives the same id for the same words, which is
how a replayed event finds the run, the command or the delivery that it made the first time.
"""

import os
import secrets
import threading
import time
from hashlib import blake2b

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]

#: The system's random bytes are asked for so many at a time: each call gives the interpreter's lock away, and to get
#: it back from a busy store costs more than all else that an id needs.
_POOL_BYTES = 8_192


class _Pool(threading.local):
    """Random bytes of one thread, each given out once."""

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def take(self, size_bytes: int) -> bytes:
        at = self._at
        self._at = end = at + size_bytes
        if end > len(self._bytes):
            self._bytes = os.urandom(max(_POOL_BYTES, size_bytes))
            at, self._at = 0, size_bytes
        return self._bytes[at : at + size_bytes]

    def empty(self) -> None:
        self._bytes = b""
        self._at = 0


_pool = _Pool()
# A forked child must not give out its parent's bytes.
os.register_at_fork(after_in_child=_pool.empty)


def fresh(prefix: str) -> str:
    """A new id: ``{prefix}_`` + 20 characters, the first 9 of them time (milliseconds), the rest random (55 bits)."""
    number = ((time.time_ns() // 1_000_000) << 55) | (int.from_bytes(_pool.take(7)) >> 1)
    pairs = _PAIRS
    out = []
    for shift in range(90, -1, -10):
        out.append(pairs[(number >> shift) & 1023])
    return f"{prefix}_{''.join(out)}"


def derived(prefix: str, *words: str) -> str:
    """The id that these words always get: ``{prefix}_`` + 24 hex digits (96 bits of BLAKE2b)."""
    digest = blake2b("\x1f".join(words).encode(), digest_size=12)
    return f"{prefix}_{digest.hexdigest()}"


def chance(size_bytes: int) -> bytes:
    """Random bytes, for what is written in an alphabet of its own."""
    return _pool.take(size_bytes)


def secret(size_bytes: int = 24) -> str:
    """A secret for keys, links and cookies, safe in a URL."""
    return secrets.token_urlsafe(size_bytes)
