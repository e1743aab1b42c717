"""Signed short links: ``/go/{code}``. A guessed code is refused by arithmetic, before any look-up.

A code is 10 characters of chance and 8 of a keyed digest over them (Crockford's base 32: 50 and 40 bits).
Whoever guesses must hit the digest first, which costs us one hash, and then a row that exists.
"""

import hashlib
import hmac
from functools import lru_cache

import msgspec

from beckon.core import ids
from beckon.store.tables import LINKS

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CHANCE = 10
_SIGNATURE = 8
CODE_LENGTH = _CHANCE + _SIGNATURE
_LETTERS = frozenset(_ALPHABET)
_PAIRS = [first + second for second in _ALPHABET for first in _ALPHABET]

COLUMNS = LINKS.columns


class Link(msgspec.Struct, frozen=True):
    """A row of ``links``: where a code leads, for whom, and until when."""

    code: str
    workspace: str
    contact: str
    delivery: str
    url: str
    expires_ms: int

    def row(self) -> tuple[str, str, str, str, str, int]:
        """The values in the order of the table's columns."""
        return (self.code, self.workspace, self.contact, self.delivery, self.url, self.expires_ms)

    def expired(self, now_ms: int) -> bool:
        """Whether the link's time is over."""
        return now_ms >= self.expires_ms


def new_code(key: bytes) -> str:
    """A fresh code, signed with ``key``."""
    chance = _letters(ids.chance(10), _CHANCE)
    return chance + _signature(chance, key)


def derived_code(key: bytes, *words: str) -> str:
    """The code that these words always get under this key: a retried rendering writes the same link."""
    digest = hmac.new(key, b"link\x1f" + "\x1f".join(words).encode(), hashlib.sha256).digest()
    chance = _letters(digest, _CHANCE)
    return chance + _signature(chance, key)


def code_is_ours(code: str, key: bytes) -> bool:
    """Whether ``code`` was signed with ``key``. Looks nothing up."""
    if len(code) != CODE_LENGTH or not _LETTERS.issuperset(code):
        return False
    return hmac.compare_digest(_signature(code[:_CHANCE], key), code[_CHANCE:])


def _signature(chance: str, key: bytes) -> str:
    # BLAKE2b takes a key itself (RFC 7693): one call, where HMAC makes three.
    return _letters(hashlib.blake2b(chance.encode(), digest_size=10, key=_folded(key)).digest(), _SIGNATURE)


@lru_cache(maxsize=16)
def _folded(key: bytes) -> bytes:
    """A key of any length as one that BLAKE2b takes."""
    return hashlib.blake2b(b"code\x1f" + key, digest_size=64).digest()


def _letters(digest: bytes, count: int) -> str:
    number = int.from_bytes(digest[:10], "big")
    pairs = _PAIRS
    # Two letters at a time; both counts are even.
    return "".join([pairs[(number >> shift) & 1023] for shift in range(0, 5 * count, 10)])
