"""PostgreSQL by asyncpg: one writing connection, a small pool of reading ones."""

from collections.abc import Sequence
from functools import lru_cache

import asyncpg

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable
from beckon.store.changes import Changes, Row
from beckon.store.database import Query

_READERS = 4
#: Any number, always the same: the advisory lock that one server holds on its database.
_LINE_LOCK = 0x6265636B6F6E
#: What asyncpg raises when the server says no, is away, or has cut a connection in the middle of something.
_FAILURES = (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class PostgresEngine:
    """A database on a server. ``exclusive`` holds an advisory lock, so that two servers can't turn one line."""

    def __init__(self, url: str, *, exclusive: bool = False) -> None:
        self.url = url
        self.exclusive = exclusive
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._writer: asyncpg.Connection[asyncpg.Record] | None = None

    async def open(self) -> None:
        try:
            self._writer = await self._connect()
            self._pool = await asyncpg.create_pool(
                self.url, min_size=1, max_size=_READERS, statement_cache_size=512, command_timeout=60
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            if self._writer is not None:
                await self._writer.close()
            raise Misconfigured("store.unreachable", f"PostgreSQL can't be reached: {error}") from error

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        writer = await asyncpg.connect(self.url, statement_cache_size=512, command_timeout=60)
        if self.exclusive and not await writer.fetchval("SELECT pg_try_advisory_lock($1)", _LINE_LOCK):
            await writer.close()
            raise Misconfigured("store.in_use", "another server has this database open: one server turns one line")
        return writer

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.close()
        if self._pool is not None:
            await self._pool.close()

    async def fetch(self, queries: Sequence[Query]) -> list[list[Row]]:
        if self._pool is None:
            raise Unavailable("store.unavailable", "the database is not open", retry_after_s=1)
        try:
            async with self._pool.acquire() as connection:
                return [
                    [tuple(row.values()) for row in await connection.fetch(numbered(sql), *parameters)]
                    for sql, parameters in queries
                ]
        except _FAILURES as error:
            raise _named(error) from error

    async def look_up(self, queries: Sequence[Query]) -> list[list[Row]]:
        return await self.fetch(queries)

    async def write(self, batch: Sequence[Changes]) -> list[int]:
        try:
            return await self._write(batch)
        except Refused as error:
            if error.code != "store.value":
                raise
            # A zero byte, which JSON and SQLite can hold and PostgreSQL can't, gives way to the sign for such letters.
            return await self._write(batch, zeros="\ufffd")

    async def _write(self, batch: Sequence[Changes], *, zeros: str = "") -> list[int]:
        if self._writer is None or self._writer.is_closed():
            try:
                self._writer = await self._connect()
            except Misconfigured as error:
                # Our own lost connection may still hold the lock, and may still be committing: wait for its end.
                raise Unavailable("store.unavailable", error.why, retry_after_s=1) from error
            except _FAILURES as error:
                raise _named(error) from error
        writer = self._writer
        counts = []
        try:
            async with writer.transaction():
                for changes in batch:
                    count = 0
                    for sql, parameters, counted in changes.statements():
                        if zeros:
                            parameters = [
                                one.replace("\0", zeros) if isinstance(one, str) else one for one in parameters
                            ]
                        status = await writer.execute(numbered(sql), *parameters)
                        if counted:
                            count += int(status.rsplit(" ", 1)[1])
                    counts.append(count)
        except _FAILURES as error:
            named = _named(error)
            if named.code == "store.unavailable":
                # Nobody knows in which state it is: the next write makes a new one.
                writer.terminate()
            raise named from error
        return counts

    async def scrub(self) -> bool:
        return True  # what was removed leaves with the server's own vacuum and the recycling of its log

    async def script(self, sql: str) -> None:
        if self._writer is None:
            raise Misconfigured("store.unreachable", "the database is not open")
        try:
            async with self._writer.transaction():
                await self._writer.execute(sql)
        except asyncpg.PostgresError as error:
            raise Misconfigured("store.migration", f"a migration failed: {error}") from error


@lru_cache(maxsize=4096)
def numbered(sql: str) -> str:
    """Turn ``?`` placeholders into ``$1``, ``$2`` …: our SQL has no question mark elsewhere."""
    parts = sql.split("?")
    return parts[0] + "".join(f"${number}{part}" for number, part in enumerate(parts[1:], 1))


def _named(error: Exception) -> BeckonError:
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return Refused("store.conflict", f"the row is there already: {error}")
    if isinstance(error, (asyncpg.DataError, ValueError)):
        # A zero byte, half of a surrogate pair, too large a number (asyncpg's own DataError is a ValueError).
        return Refused("store.value", f"a value can't be stored: {type(error).__name__}")
    if isinstance(error, asyncpg.DiskFullError):
        return Unavailable("store.full", "the disk is full: nothing was written", retry_after_s=30)
    return Unavailable("store.unavailable", f"PostgreSQL: {str(error) or type(error).__name__}", retry_after_s=1)
