"""The journal: every event, in the order in which it was accepted. It is the queue that the wheel turns through."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec

from beckon.core.event import Event
from beckon.store.changes import Row
from beckon.store.database import Database

#: Events kept in memory between accept and the wheel; past that the wheel reads them from the table.
_TAIL_MAX = 20_000
_COLUMNS = "position, workspace, source, id, type, subject, time_ms, accepted_ms, depth, data"


class Journal(Protocol):
    """What the wheel needs of a journal; a replicated log can stand in its place."""

    async def read(self, after: int, limit: int) -> list[Event]:
        """The next events after a position, in order."""
        ...


class TableJournal:
    """The journal in the database's table, with its newest events at hand."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tail: deque[Event] = deque()
        #: all events up to this position are in the table; those in the tail are contiguous up to it.
        self.position = 0
        #: events at or before this position are not in the tail.
        self._tail_after = 0
        self._next = 1

    async def open(self) -> None:
        """Find the end of the table."""
        rows = await self._database.fetch("SELECT max(position) FROM journal")
        self.position = int(rows[0][0] or 0)
        self._tail_after = self.position
        self._next = self.position + 1

    def reserve(self, count: int) -> int:
        """The first of ``count`` positions that are now taken, used or not."""
        first = self._next
        self._next += count
        return first

    def appended(self, events: Sequence[Event], up_to: int) -> None:
        """Say that these events are durable, and that nothing else is coming up to position ``up_to``."""
        if len(self._tail) + len(events) > _TAIL_MAX:
            self._tail.clear()
            self._tail_after = up_to
        else:
            self._tail.extend(events)
        self.position = up_to

    def doubted(self, up_to: int) -> None:
        """Say that nobody knows which events up to this position are durable: the next append has the table read."""
        self._tail.clear()
        self._tail_after = up_to

    async def read(self, after: int, limit: int) -> list[Event]:
        if after >= self.position:
            return []
        tail = self._tail
        if after >= self._tail_after:
            while tail and tail[0].position <= after:
                tail.popleft()
            # What is read stays until the wheel asks for what follows: a turn that failed asks again.
            return [tail[index] for index in range(min(limit, len(tail)))]
        rows = await self._database.fetch(
            f"SELECT {_COLUMNS} FROM journal WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
            (after, self.position, limit),
        )
        return [event_from(row) for row in rows]


def event_from(row: Row) -> Event:
    """An event from a row of the journal, columns in the table's order."""
    position, workspace, source, id_, type_, subject, time_ms, accepted_ms, depth, text = row
    return msgspec.convert(
        {
            "position": position,
            "workspace": workspace,
            "source": source,
            "id": id_,
            "type": type_,
            "subject": subject,
            "time_ms": time_ms,
            "accepted_ms": accepted_ms,
            "depth": depth,
            "data": msgspec.json.decode(str(text)),
        },
        Event,
    )
