"""Database: reads by SQL, writes by ``Changes``; concurrent commits share one transaction.

Two engines behind one class of calls: SQLite (``store.sqlite``) and PostgreSQL (``store.postgres``). Only ``accept``,
the wheel and the few settings that a person makes at the command line write.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from beckon.core.errors import Misconfigured, Unavailable
from beckon.store.changes import Changes, Row, Value

#: Keys in one ``IN (…)``.
_KEYS_MAX = 512
#: Rows in one join with given values.
_ROWS_MAX = 128

Query = tuple[str, Sequence[Value]]


class Engine(Protocol):
    """What a database must do for us."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def fetch(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Run several reads in one go."""
        ...

    async def look_up(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Run several reads by key, each of which is quick."""
        ...

    async def write(self, batch: Sequence[Changes]) -> list[int]:
        """Write all in one durable transaction; for each, how many ``insert_counted`` rows were new."""
        ...

    async def script(self, sql: str) -> None:
        """Run migration text."""
        ...

    async def scrub(self) -> bool:
        """Have nothing linger beside the tables of what was removed before; False: not now, somebody is reading."""
        ...


class Database:
    """One open database. ``commit`` groups what waits while a transaction is under way into the next one."""

    def __init__(self, engine: Engine, *, dialect: str) -> None:
        self.engine = engine
        self.dialect = dialect
        self._waiting: list[tuple[Changes, asyncio.Future[int]]] = []
        self._writing: asyncio.Task[None] | None = None
        #: transactions and the changes in them, for the benchmarks' "where the time goes".
        self.transactions = 0

    async def open(self) -> None:
        """Connect. Raises ``Misconfigured`` when that can't be."""
        await self.engine.open()

    async def close(self) -> None:
        """Finish what is under way and disconnect."""
        if self._writing is not None:
            await self._writing
        await self.engine.close()

    async def fetch(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """Read rows. Placeholders are ``?``."""
        return (await self.engine.fetch(((sql, parameters),)))[0]

    async def fetch_all(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Several reads for the price of one hop."""
        return await self.engine.fetch(queries)

    async def look_up(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Several reads by key, as the wheel does many: quick ones only, they may hold up the loop."""
        return await self.engine.look_up(queries)

    async def scrub(self) -> bool:
        """What was removed is not to linger in the store's log either; False: somebody is reading, ask again."""
        return await self.engine.scrub()

    def commit(self, changes: Changes) -> "asyncio.Future[int]":
        """Write durably; the future gives how many ``insert_counted`` rows were new, or raises the error."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((changes, future))
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write())
        return future

    async def _write(self) -> None:
        # One turn of the loop first: what is asked for in this turn shares the transaction.
        await asyncio.sleep(0)
        try:
            while self._waiting:
                taken, self._waiting = self._waiting, []
                await self._write_together(taken)
        finally:
            self._writing = None
            if self._waiting:  # asked for between the last look and here
                self._writing = asyncio.ensure_future(self._write())

    async def _write_together(self, taken: list[tuple[Changes, "asyncio.Future[int]"]]) -> None:
        self.transactions += 1
        try:
            counts = await self.engine.write([changes for changes, _ in taken])
        except Exception as error:
            if len(taken) == 1 or isinstance(error, Unavailable):
                # The store is away for all of them; a second try now could write twice what did get through.
                for _, future in taken:
                    _settle(future, error)
                return
            # One bad batch must not sink its neighbours: each on its own.
            for one in taken:
                await self._write_together([one])
            return
        for (_, future), count in zip(taken, counts, strict=True):
            if not future.done():
                future.set_result(count)


def _settle(future: "asyncio.Future[int]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def within(sql: str, keys: Sequence[Value], before: Sequence[Value] = ()) -> list[Query]:
    """Queries that read ``… IN ({keys})`` for any number of keys; ``before`` are the parameters ahead of them.

    The list is padded to a power of two by its last key, so that few distinct statements are ever prepared.
    """
    queries: list[Query] = []
    for start in range(0, len(keys), _KEYS_MAX):
        chunk = list(keys[start : start + _KEYS_MAX])
        size = 1 << (len(chunk) - 1).bit_length()
        chunk += [chunk[-1]] * (size - len(chunk))
        queries.append((sql.replace("{keys}", ",".join("?" * size)), [*before, *chunk]))
    return queries


def joined(table: str, select: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> list[Query]:
    """Queries that read ``select`` from the rows of ``table`` whose ``columns`` are one of ``rows``: by index, each.

    ``(a, b) IN (VALUES …)`` would say the same, and SQLite would read the whole table for it.
    """
    queries: list[Query] = []
    matches = " AND ".join(f"t.{column} = v.{column}" for column in columns)
    wanted = ", ".join(f"t.{column.strip()}" for column in select.split(","))
    for start in range(0, len(rows), _ROWS_MAX):
        chunk = list(rows[start : start + _ROWS_MAX])
        size = 1 << (len(chunk) - 1).bit_length()
        chunk += [chunk[-1]] * (size - len(chunk))
        marks = ", ".join([f"({', '.join('?' * len(columns))})"] * size)
        sql = f"WITH v({', '.join(columns)}) AS (VALUES {marks}) SELECT {wanted} FROM v JOIN {table} t ON {matches}"
        queries.append((sql, [value for row in chunk for value in row]))
    return queries


def open_database(url: str) -> Database:
    """The database at ``sqlite:///path`` or ``postgresql://…``; not yet connected."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        from beckon.store.sqlite import SqliteEngine

        # sqlite:///relative.db and sqlite:////absolute.db: three slashes, then the path
        return Database(SqliteEngine(rest.removeprefix("/") or "beckon.db"), dialect="sqlite")
    if scheme in ("postgresql", "postgres"):
        from beckon.store.postgres import PostgresEngine

        return Database(PostgresEngine(url), dialect="postgresql")
    raise Misconfigured(
        "store.url",
        f"BECKON_DATABASE_URL starts with {scheme!r}; write sqlite:///path/to/beckon.db or postgresql://…",
    )
