"""A stage for the intake: an open journal over a database whose engine a test may hold up, break, or have lie."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from beckon.core.clock import VirtualClock
from beckon.core.errors import Unavailable
from beckon.core.event import Event
from beckon.intake.accept import Intake
from beckon.intake.journal import TableJournal
from beckon.store.changes import Changes, Row
from beckon.store.database import Database, Engine, Query
from tests.rooms.store.stage import opened

NOW_MS = 1_795_165_200_000


class Breakable:
    """An engine that does what the real one does, unless the test says otherwise."""

    def __init__(self, engine: Engine) -> None:
        self.real = engine
        #: cleared: writes wait.
        self.open_for_writes = asyncio.Event()
        self.open_for_writes.set()
        self.writes: list[int] = []
        #: how many writes still fail, having written nothing …
        self.failing = 0
        #: … and how many fail although all is written: nobody heard the answer.
        self.lying = 0
        self.reads_failing = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def fetch(self, queries: Sequence[Query]) -> list[list[Row]]:
        if self.reads_failing:
            self.reads_failing -= 1
            raise Unavailable("store.unavailable", "the test says so", retry_after_s=1)
        return await self.real.fetch(queries)

    async def look_up(self, queries: Sequence[Query]) -> list[list[Row]]:
        return await self.real.look_up(queries)

    async def write(self, batch: Sequence[Changes]) -> list[int]:
        await self.open_for_writes.wait()
        self.writes.append(len(batch))
        if self.failing:
            self.failing -= 1
            raise Unavailable("store.unavailable", "the test says so", retry_after_s=1)
        counts = await self.real.write(batch)
        if self.lying:
            self.lying -= 1
            raise Unavailable("store.unavailable", "the answer was lost", retry_after_s=1)
        return counts


class Door:
    """The intake, and what a test looks at beside it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.engine = Breakable(database.engine)
        database.engine = self.engine
        self.clock = VirtualClock(NOW_MS)
        self.journal = TableJournal(database)
        self.woken = 0
        self.intake = Intake(database, self.journal, self.clock, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def rows(self) -> list[tuple[int, str]]:
        """(position, id) of every event in the table."""
        rows = await self.database.fetch("SELECT position, id FROM journal ORDER BY position")
        return [(int(position or 0), str(id_)) for position, id_ in rows]

    async def read_all(self, limit: int = 7) -> list[str]:
        """The ids of every event, as the wheel reads them: a few at a time, each position once."""
        ids: list[str] = []
        after = 0
        while True:
            events = await self.journal.read(after, limit)
            if not events:
                return ids
            assert [event.position for event in events] == sorted({event.position for event in events})
            assert events[0].position > after
            after = events[-1].position
            ids += [event.id for event in events]


@asynccontextmanager
async def door(url: str) -> AsyncIterator[Door]:
    """An open intake over the database at this address."""
    async with opened(url) as database:
        made = Door(database)
        await made.journal.open()
        yield made
        await made.intake.close()


def event_of(id_: str, *, source: str = "test", workspace: str = "main", **more: Any) -> Event:
    """An event as a door hands it in."""
    words = {"type": "test.said", "time_ms": 0, "data": {"n": 1}, **more}
    return Event(workspace=workspace, source=source, id=id_, **words)
