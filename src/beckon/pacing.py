"""Pacing: big work waits here for its moment, and the wheel gives it one when nobody else waits.

Big work is a journey's timers of the kinds that it calls big, and what a door does piece by piece (an import). The next
piece goes only when every event so far is turned, none is being written, and ``Pace`` says so: so a fresh event never
has more in front of it than one piece and what followed from that. What a piece says (``Event.big``) is turned in the
journal's order like anything else: the order of each contact's events is what it always was. Nothing is kept here but
who waits: a round's next piece is a timer's row.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from beckon.core.clock import Clock, steady_s
from beckon.core.errors import Unavailable
from beckon.core.event import Event
from beckon.core.pace import Pace
from beckon.store.changes import Row
from beckon.store.database import Database

#: How soon to look again when an event is just being written, in seconds: its commit wakes the wheel before that.
_LOOK_AGAIN_S = 0.01
#: Pieces that wait at the doors.
_WAITING_MAX = 1_000
#: The kind of timer of a run that is one of a great many.
BIG_RUN = "run.big"
#: The kind of work that handing over is.
_MESSAGES = "messages"


class Pacer:
    """Gives big work its moments. ``kinds``: of timers that are big work; ``wake``: the wheel looks again."""

    def __init__(
        self, database: Database, clock: Clock, pace: Pace, kinds: frozenset[str], wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self.pace = pace
        self.kinds = kinds
        self._wake = wake
        #: somebody's event is being written.
        self.busy: Callable[[], bool] = lambda: False
        #: events are accepted and not yet turned.
        self.behind: Callable[[], bool] = lambda: False
        #: the carrier looks again: its messages waited for those events.
        self.on_rest: Callable[[], None] = lambda: None
        #: when a timer of big work is due next; None: there is none.
        self._due_ms: int | None = None
        self._doors: deque[asyncio.Future[None]] = deque()
        #: a door has its moment.
        self._out = False
        self._doors_first = False
        #: since when there is something to do and no moment for it; None: there is not
        self._since_s: float | None = None
        #: the newest piece: its kind, and how many it had
        self._newest = ("", 1)
        #: since when messages of big work wait; None: they don't
        self._messages_since_s: float | None = None
        self._closed = False

    @property
    def waits(self) -> bool:
        """Whether big work waits for its moment, or has it."""
        return self._due or bool(self._doors) or self._out

    @property
    def _due(self) -> bool:
        return self._due_ms is not None and self._due_ms <= self._clock.now_ms()

    # At the doors.

    @asynccontextmanager
    async def piece(self, kind: str) -> AsyncIterator[int]:
        """Wait for a moment; gives how many rows may be asked for in it. Raises ``Unavailable`` when we close."""
        if self._closed or len(self._doors) >= _WAITING_MAX:
            raise Unavailable("line.busy", "too much big work waits; try again", retry_after_s=1)
        moment: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._doors.append(moment)
        self._wake()
        try:
            await moment
            self._newest = kind, self.pace.size(steady_s(), kind)
            yield self._newest[1]
        finally:
            if moment in self._doors:
                self._doors.remove(moment)
            elif moment.done():
                self._out = False
            self._wake()

    def close(self) -> None:
        """Nobody has a moment any more."""
        self._closed = True
        for moment in self._doors:
            if not moment.done():
                moment.set_exception(Unavailable("line.closing", "the server stops; try again", retry_after_s=5))
        self._doors.clear()

    # In the carrier.

    def messages(self, room: int) -> int:
        """How many messages of big work may be begun now, ``room`` at most."""
        if room <= 0:
            return 0
        now_s = steady_s()
        if self._messages_since_s is None:
            self._messages_since_s = now_s
        may = not self.busy() and not self.behind() and not self.pace.pause_s(now_s)
        if not may and not self.pace.overdue(now_s, self._messages_since_s):
            return 0
        self._messages_since_s = None
        return min(room, self.pace.size(now_s, _MESSAGES))

    def handed_over(self, big: int, of: int, began_s: float) -> None:
        """So many messages of big work, of so many in all, were begun."""
        if big:
            now_s = steady_s()
            self.pace.spent(now_s, (now_s - began_s) * big / of, _MESSAGES, big)

    @property
    def messages_wait_ms(self) -> int:
        """When to look again whether messages of big work may be begun; ``on_rest`` says so earlier."""
        return int(self.pace.pause_s(steady_s()) * 1000) + 1

    # In the wheel.

    async def open(self) -> None:
        """Find when big work is due next."""
        rows = await self._database.fetch("SELECT min(due_ms) FROM big_timers")
        self._due_ms = None if rows[0][0] is None else int(rows[0][0])

    def is_due(self, due_ms: int) -> None:
        """A timer of big work was set; 0: none was."""
        if due_ms and (self._due_ms is None or due_ms < self._due_ms):
            self._due_ms = due_ms

    async def next_piece(self, due_ms: int, *, alone: bool) -> list[Row]:
        """The timers whose piece may go with this turn, if one may. ``alone``: every event so far is turned.

        A door may have the moment instead: it says its piece as an event.
        """
        if alone and self._messages_since_s is not None:
            self.on_rest()
        if not (self._due or self._doors) or self._out:
            return []
        now_s = steady_s()
        if self._since_s is None:
            self._since_s = now_s
        may = alone and not self.busy() and not self.pace.pause_s(now_s)
        if not may and not self.pace.overdue(now_s, self._since_s):
            return []
        self._since_s = None
        if self._doors and (self._doors_first or not self._due):
            self._doors_first = False
            moment = self._doors.popleft()
            if not moment.done():
                self._out = True
                moment.set_result(None)
            return []
        self._doors_first = True
        sql = "SELECT due_ms, kind, subject FROM big_timers WHERE due_ms <= ? ORDER BY due_ms LIMIT ?"
        [rows] = await self._database.look_up(((sql, (due_ms, self.pace.size(now_s, BIG_RUN))),))
        if not rows:
            await self.open()
            return []
        kind = str(rows[0][1])
        if kind == BIG_RUN:  # each has its own: those that wait for the same morning are a piece together
            found = [row for row in rows if row[1] == kind]
            self._newest = kind, len(found)
            return found
        self._newest = kind, self.pace.size(now_s, kind)
        return rows[:1]

    @property
    def size(self) -> int:
        """How many members the newest piece may have."""
        return self._newest[1]

    def turned(self, events: Sequence[Event], timers: Sequence[Row], now_ms: int, began_s: float) -> None:
        """A turn is done: what it says of how long others wait, and of what big work costs."""
        now_s = steady_s()
        others = [event.accepted_ms for event in events if not event.big]
        self.pace.turned(now_s - began_s, big=not others)
        piece = any(kind in self.kinds for _, kind, _ in timers)
        if others:
            if piece or len(others) < len(events):
                self.pace.went_along(now_s, *self._newest, what="" if piece else "told")
            self.pace.heard(now_s, now_ms - others[0])
        elif piece:
            self.pace.spent(now_s, now_s - began_s, *self._newest)
        elif events:
            self.pace.spent(now_s, now_s - began_s, *self._newest, what="told")

    def wait_s(self, timeout_s: float | None) -> float | None:
        """How long the wheel may sleep: no longer than until big work may have its moment."""
        if self._out:
            return timeout_s
        if not self._due and not self._doors:
            if self._due_ms is None:
                return timeout_s
            due_s = (self._due_ms - self._clock.now_ms()) / 1000
            return max(0.0, due_s if timeout_s is None else min(timeout_s, due_s))
        left_s = max(_LOOK_AGAIN_S if self.busy() else 0.0005, self.pace.pause_s(steady_s()))
        return left_s if timeout_s is None else min(timeout_s, left_s)
