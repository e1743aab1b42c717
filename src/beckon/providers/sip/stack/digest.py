"""Digest authentication (RFC 7616 with MD5, which every phone speaks), as the side that asks.

A nonce is a time and its proof, so that nothing is kept for whoever only knocks; for who knew the password its count is
kept while the nonce lives, so that nothing works twice.
"""

import hmac
import re
from collections.abc import Callable
from enum import Enum
from hashlib import md5, sha256

from beckon.core.ids import chance

_NONCE_S = 300
_COUNTS_MAX = 10_000
_HEADER_CHARS_MAX = 2_000
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Proof(Enum):
    """What an Authorization header is worth."""

    RIGHT = "right"
    WRONG = "wrong"
    #: nothing, or something old: ask (again)
    MISSING = "missing"
    STALE = "stale"


class Digest:
    """Asks, and checks what is answered."""

    def __init__(self, realm: str, now_s: Callable[[], float]) -> None:
        self._realm = realm.replace('"', "").replace("\\", "")
        self._now_s = now_s
        self._secret = chance(32)
        self._counts: dict[str, tuple[int, float]] = {}

    def challenge(self, *, stale: bool = False) -> str:
        """The value of a WWW-Authenticate or Proxy-Authenticate header."""
        at = f"{int(self._now_s()):x}"
        nonce = f"{at}-{chance(6).hex()}"
        proof = self._proof(nonce)
        more = ", stale=true" if stale else ""
        return f'Digest realm="{self._realm}", nonce="{nonce}-{proof}", algorithm=MD5, qop="auth"{more}'

    def check(self, header: str, method: str, password_of: Callable[[str], str | None]) -> tuple[Proof, str]:
        """Weigh a header; the user name that it proves, or claims."""
        if not header or len(header) > _HEADER_CHARS_MAX or not header.lower().startswith("digest "):
            return Proof.MISSING, ""
        given = {
            match[1].lower(): match[2] if match[2] is not None else match[3]
            for match in _PARAMETER.finditer(header[7:])
        }
        user, nonce = given.get("username", ""), given.get("nonce", "")
        age_s = self._age_s(nonce)
        if age_s is None or given.get("realm") != self._realm:
            return Proof.MISSING, user
        if age_s > _NONCE_S:
            return Proof.STALE, user
        password = password_of(user)
        # Somebody unknown takes as long as a wrong password.
        expected = self._response(given, method, user, password if password is not None else self._secret.hex())
        right = hmac.compare_digest(expected.encode(), given.get("response", "").lower().encode("utf-8", "replace"))
        if not right or password is None:
            return Proof.WRONG, user
        return (Proof.RIGHT if self._first_time(nonce, given.get("nc", "")) else Proof.STALE), user

    def _response(self, given: dict[str, str], method: str, user: str, password: str) -> str:
        one = _hash(f"{user}:{self._realm}:{password}")
        two = _hash(f"{method}:{given.get('uri', '')}")
        if given.get("qop") != "auth":  # RFC 2069: some phones still
            return _hash(f"{one}:{given['nonce']}:{two}")
        return _hash(f"{one}:{given['nonce']}:{given.get('nc', '')}:{given.get('cnonce', '')}:auth:{two}")

    def _first_time(self, nonce: str, count: str) -> bool:
        number = int(count, 16) if re.fullmatch("[0-9a-fA-F]{1,8}", count) else 1
        now_s = self._now_s()
        if len(self._counts) >= _COUNTS_MAX:
            self._counts = {key: kept for key, kept in self._counts.items() if now_s - kept[1] < _NONCE_S}
        before = self._counts.get(nonce)
        if before is not None and number <= before[0]:
            return False
        self._counts[nonce] = (number, now_s)
        return True

    def _age_s(self, nonce: str) -> float | None:
        body, _, proof = nonce.rpartition("-")
        if not hmac.compare_digest(self._proof(body).encode(), proof.encode("utf-8", "replace")):
            return None
        return self._now_s() - int(body.partition("-")[0], 16)

    def _proof(self, nonce: str) -> str:
        return hmac.new(self._secret, nonce.encode("utf-8", "replace"), sha256).hexdigest()[:24]


def _hash(text: str) -> str:
    return md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
