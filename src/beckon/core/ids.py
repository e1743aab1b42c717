"""Identifiers: the only module that may make random ones.

``fresh`` gives time-ordered random ids (good for B-trees); ``derived`` gives the same id for the same words, which is
how a replayed event finds the run, the command or the delivery that it made the first time.
"""

import os
import secrets
import time
from hashlib import blake2b

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


def fresh(prefix: str) -> str:
    """A new id: ``{prefix}_`` + 20 characters, the first 9 of them time (milliseconds), the rest random (55 bits)."""
    number = ((time.time_ns() // 1_000_000) << 55) | (int.from_bytes(os.urandom(7)) >> 1)
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
    return os.urandom(size_bytes)


def secret(size_bytes: int = 24) -> str:
    """A secret for keys, links and cookies, safe in a URL."""
    return secrets.token_urlsafe(size_bytes)
