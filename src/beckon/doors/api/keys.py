"""API keys: hashed, scoped, each of one workspace. Nothing is open by default."""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import Refused
from beckon.core.ids import secret
from beckon.store.database import Database

#: What a key may be allowed to do.
SCOPES = frozenset({"events", "read", "write", "forget", "definitions"})
_CACHED_MAX = 10_000


class Key(msgspec.Struct, frozen=True):
    """Who asks: the workspace, and what the key may do."""

    workspace: str
    label: str
    scopes: frozenset[str]


class Keys:
    """Looks keys up by their digest; believes a look-up for ``cache_s`` seconds."""

    def __init__(self, database: Database, clock: Clock, cache_s: int) -> None:
        self._database = database
        self._clock = clock
        self._cache_ms = cache_s * 1000
        self._known: dict[str, tuple[int, Key | None]] = {}

    async def check(self, authorization: str, scope: str) -> Key:
        """The key that this header carries. Raises ``Refused``: 401 without a good key, 403 without the scope."""
        key = self.cached(authorization)
        if key is None:
            key = await self._look_up(authorization)
        if scope not in key.scopes:
            raise Refused("key.scope", f"this API key may not do this: it lacks the scope {scope!r}")
        return key

    def cached(self, authorization: str) -> Key | None:
        """The key, if it was looked up a moment ago."""
        found = self._known.get(authorization)
        if found is not None and found[0] > self._clock.now_ms():
            return found[1]
        return None

    async def _look_up(self, authorization: str) -> Key:
        word, _, token = authorization.partition(" ")
        if word.lower() != "bearer" or not token or len(token) > 200:
            raise Refused("auth.missing", "send an API key: Authorization: Bearer bk_…")
        rows = await self._database.fetch(
            "SELECT workspace, label, scopes FROM api_keys WHERE digest = ? AND revoked_ms IS NULL", (digest(token),)
        )
        if not rows:
            # Not remembered: a stranger must not fill the memory, and a new key works at once.
            raise Refused("auth.unknown", "this API key is not known, or it was revoked")
        key = Key(str(rows[0][0]), str(rows[0][1]), frozenset(str(rows[0][2]).split()))
        if len(self._known) >= _CACHED_MAX:
            self._known.clear()
        self._known[authorization] = (self._clock.now_ms() + self._cache_ms, key)
        return key


def digest(token: str) -> str:
    """What is kept of a key. A key has 192 random bits, so one round of SHA-256 is enough."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def new_token() -> str:
    """A new key's text; shown once."""
    return f"bk_{secret(24)}"


def authorization_of(headers: Mapping[str, str]) -> str:
    """The Authorization header, or ``X-API-Key`` written as one."""
    given = headers.get("authorization", "")
    if not given and "x-api-key" in headers:
        given = f"Bearer {headers['x-api-key']}"
    return given
