"""Maintenance: forgets what has served its time, a page of each table at a time, so that nothing grows for ever.

Business stays: events, runs, deliveries, conversations. What goes are the aids that are of no use any more: results
that no wait asked for, answers kept for repeated requests, sessions, links that are over, providers' ids of old
messages. The tables are walked in the order of their keys, so that no index is needed for it on the way of an event.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import Unavailable
from beckon.settings import ServerSettings
from beckon.store.changes import Changes, Row, Value
from beckon.store.database import Database
from beckon.store.tables import ANSWERS, EARLY, IDEMPOTENCY, LINKS, PROVIDER_IDS, SESSIONS, Table

log = logging.getLogger("beckon.maintenance")

#: Rows of one table that are looked at in one round.
PAGE_ROWS = 500
#: The wait before the next round where there is much to forget, in seconds.
_BUSY_S = 1.0
_DAY_MS = 86_400_000


class Sweep(msgspec.Struct):
    """One table's walk: what is read, how long a row is kept after its instant, and how far the walk is."""

    table: Table
    #: the key's columns and the row's instant, in the order of the key, after a key, a page long.
    sql: str
    keep_ms: int
    first: Row
    after: Row


class Maintenance:
    """Looks at a page of each table now and then."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        settings: ServerSettings,
        *,
        page_rows: int = PAGE_ROWS,
        pause_s: float | None = None,
        tidy: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._pause_s: float = settings.maintenance_s if pause_s is None else pause_s
        self._page_rows = page_rows
        #: what the journeys forget: recordings, with their files.
        self._tidy = tidy
        self._closing = asyncio.Event()
        self._sweeps = (
            _sweep(
                EARLY, settings.early_days, "j.accepted_ms", "LEFT JOIN journal j ON j.position = t.position", ("", -1)
            ),
            _sweep(IDEMPOTENCY, settings.idempotency_days, "t.created_ms"),
            _sweep(ANSWERS, settings.idempotency_days, "t.created_ms", first=(0,)),
            _sweep(SESSIONS, 0, "t.expires_ms"),
            _sweep(LINKS, settings.links_days, "t.expires_ms"),
            _sweep(PROVIDER_IDS, settings.receipts_days, "d.created_ms", "LEFT JOIN deliveries d ON d.id = t.delivery"),
        )

    async def run(self) -> None:
        """Round after round, until closed."""
        pause_s = self._pause_s
        while pause_s and not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause_s)
                return
            try:
                pause_s = _BUSY_S if await self.round() else self._pause_s
            except Unavailable as error:
                log.warning("the store is unavailable, maintenance waits: %s", error)
            except Exception:
                log.exception("a round of maintenance failed")
                pause_s = self._pause_s

    def close(self) -> None:
        """Begin no further round."""
        self._closing.set()

    async def round(self) -> bool:
        """Forget what is over in one page of each table; whether there was much of it."""
        now = self._clock.now_ms()
        pages = await self._database.fetch_all([(sweep.sql, (*sweep.after, self._page_rows)) for sweep in self._sweeps])
        changes = Changes()
        much = False
        for sweep, rows in zip(self._sweeps, pages, strict=True):
            width = sweep.table.key_columns
            over = [row[:width] for row in rows if int(row[width] or 0) + sweep.keep_ms <= now]
            for key in over:
                changes.delete(sweep.table, key)
            much = much or len(over) * 2 > self._page_rows
            sweep.after = rows[-1][:width] if len(rows) == self._page_rows else sweep.first
        if changes:
            await self._database.commit(changes)
        return (await self._tidy() if self._tidy is not None else False) or much


def _sweep(table: Table, keep_days: int, instant: str, join: str = "", first: tuple[Value, ...] = ()) -> Sweep:
    names = table.columns[: table.key_columns]
    key = ", ".join(f"t.{name}" for name in names)
    start = first or ("",) * len(names)
    sql = (
        f"SELECT {key}, {instant} FROM {table.name} t {join}"
        f" WHERE ({key}) > ({', '.join('?' * len(names))}) ORDER BY {key} LIMIT ?"
    )
    return Sweep(table, sql, keep_days * _DAY_MS, start, start)
