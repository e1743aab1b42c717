"""The queue of commands that leave the process: one at a time in each lane, a bounded number in hand.

A lane is a contact (messages stay in order) or a run. The table is the truth; memory holds a window of what is ready:
while the window overflows, what is ready stays in the table and is read when there is room. A row is marked
``in_flight`` in a transaction before its command is carried out, so that after a crash it is known which ones may have
been handed over already.
"""

import heapq
import logging
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from beckon.core.command import Call, Http, Send
from beckon.store.changes import Changes, Row
from beckon.store.database import Database, within
from beckon.store.tables import OUTBOX

log = logging.getLogger("beckon.outbox")

#: Ready commands held in memory; past that they wait in the table.
WINDOW_MAX = 10_000
#: Room at which the table is read again.
_WINDOW_LOW = 2_000
_POLL_ROWS = 2_000

External = Send | Call | Http

_COLUMNS = "number, id, workspace, lane, kind, state, due_ms, attempt, body"
#: No other command of the lane waits for its next try.
_UNHINDERED = (
    "NOT EXISTS (SELECT 1 FROM outbox b WHERE b.lane = o.lane AND b.state = 'retrying' AND b.due_ms > ?"
    " AND b.number <> o.number)"
)
_decode = msgspec.json.Decoder(External).decode
_encode = msgspec.json.Encoder().encode


class Item(msgspec.Struct, kw_only=True):
    """One command in the queue. ``id`` is the delivery's for a message, the command's otherwise."""

    number: int
    id: str
    workspace: str
    lane: str
    state: str
    due_ms: int
    #: how often it was tried before.
    attempt: int
    command: External

    def row(self) -> Row:
        """The item as a row of the outbox."""
        return (
            self.number,
            self.id,
            self.workspace,
            self.lane,
            self.command.__struct_config__.tag,
            self.state,
            self.due_ms,
            self.attempt,
            _encode(self.command).decode(),
        )


def item_from(row: Row) -> Item:
    """An item from a row of the outbox."""
    number, id_, workspace, lane, _, state, due_ms, attempt, body = row
    return Item(
        number=int(number or 0),
        id=str(id_),
        workspace=str(workspace),
        lane=str(lane),
        state=str(state),
        due_ms=int(due_ms or 0),
        attempt=int(attempt or 0),
        command=_decode(str(body)),
    )


def _readable(rows: Sequence[Row]) -> list[Item]:
    """The items of these rows. One that can't be read, by this version, stays where it is and holds up nobody."""
    items = []
    for row in rows:
        try:
            items.append(item_from(row))
        except msgspec.MsgspecError as error:
            log.error("row %s of the outbox can't be read: %s", row[0], error)
    return items


class Queue:
    """What is ready, lane by lane. Calls without ``await`` only touch memory."""

    def __init__(self, database: Database, *, window_max: int = WINDOW_MAX, poll_rows: int = _POLL_ROWS) -> None:
        self._database = database
        self._window_max = window_max
        self._window_low = min(_WINDOW_LOW, window_max // 5)
        self._poll_rows = poll_rows
        self._lanes: dict[str, deque[Item]] = {}
        self._ready: deque[str] = deque()
        self._known: set[int] = set()
        #: lanes whose head waits in the table for its next try.
        self._blocked: dict[str, int] = {}
        #: (due_ms) of rows that become ready later, so that nobody polls in vain.
        self._later: list[int] = []
        #: numbers whose items are out of ``take`` and not yet done.
        self._taken: set[int] = set()
        #: numbers whose rows are being removed: a table read before that may still show them.
        self._withdrawn: dict[int, None] = {}
        #: the table holds ready rows that memory does not.
        self._overflowing = True
        #: how often that was found, so that a look at the table under way doesn't deny it.
        self._ignored = 0
        self._next_number = 1

    async def open(self) -> list[Item]:
        """Look at the table; what was in flight when the process ended is returned, for the wheel to judge."""
        rows = await self._database.fetch_all(
            (
                ("SELECT max(number) FROM outbox", ()),
                (f"SELECT {_COLUMNS} FROM outbox WHERE state = 'in_flight' ORDER BY number", ()),
                ("SELECT lane, number FROM outbox WHERE state = 'retrying' LIMIT 100000", ()),
                ("SELECT min(due_ms) FROM outbox WHERE state IN ('scheduled', 'retrying')", ()),
                ("SELECT value FROM marks WHERE name = 'outbox'", ()),
            )
        )
        # Never one again that a row had before: outcomes are told apart by it.
        noted = int(rows[4][0][0] or 0) if rows[4] else 0
        self._next_number = max(int(rows[0][0][0] or 0), noted) + 1
        self._blocked = {str(lane): int(number or 0) for lane, number in rows[2]}
        if rows[3][0][0] is not None:
            self._later.append(int(rows[3][0][0]))
        return _readable(rows[1])

    def number(self) -> int:
        """The next number: rows are carried out in the order of their numbers. The mark ``outbox`` keeps the last."""
        number = self._next_number
        self._next_number += 1
        return number

    @property
    def last_number(self) -> int:
        """The highest number so far: written with the rows, for the next process."""
        return self._next_number - 1

    def __len__(self) -> int:
        return len(self._known)

    @property
    def has_work(self) -> bool:
        """Whether something could be taken, or read from the table, right now."""
        return bool(self._ready) or self._overflowing

    @property
    def next_due_ms(self) -> int | None:
        """When the table is worth a look again; None: nothing waits there for a time."""
        return self._later[0] if self._later else None

    def offer(self, items: Iterable[Item]) -> None:
        """Say that these rows are in the table now."""
        for item in items:
            if item.state == "scheduled":
                heapq.heappush(self._later, item.due_ms)
            elif self._overflowing or len(self._known) >= self._window_max:
                self._overflow()
            else:
                self._hold(item)

    def admit(self, item: Item) -> bool:
        """Take a new item whose row is about to be written as in flight; False: its lane is busy, or memory is full."""
        full = self._overflowing or len(self._known) >= self._window_max
        if full or item.lane in self._lanes or item.lane in self._blocked:
            return False
        self._known.add(item.number)
        self._taken.add(item.number)
        self._lanes[item.lane] = deque((item,))
        return True

    def dismiss(self, item: Item) -> None:
        """An admitted item's row was not written as in flight after all."""
        self._known.discard(item.number)
        self._taken.discard(item.number)
        self._drop(item)

    def take(self, limit: int) -> list[Item]:
        """Up to ``limit`` items, each the head of its lane; the lane is busy until ``done``, ``later`` or ``back``."""
        taken: list[Item] = []
        ready = self._ready
        while ready and len(taken) < limit:
            item = self._lanes[ready.popleft()][0]
            self._taken.add(item.number)
            taken.append(item)
        return taken

    def withdraw(self, number: int, lane: str) -> bool:
        """Forget a row that is being removed from the table; False: too late, it is being carried out."""
        if number in self._taken:
            return False
        if len(self._withdrawn) >= self._window_max:
            del self._withdrawn[next(iter(self._withdrawn))]
        self._withdrawn[number] = None
        if self._blocked.get(lane) == number:
            # It waited for its next try, and others behind it.
            del self._blocked[lane]
            self._overflow()
        if number in self._known:
            self._known.discard(number)
            waiting = self._lanes[lane]
            for item in waiting:
                if item.number == number:
                    waiting.remove(item)
                    break
            if not waiting:
                del self._lanes[lane]
                self._ready.remove(lane)
        return True

    def restore(self, numbers: Iterable[int]) -> None:
        """These rows were withdrawn, but their removal failed: they are in the table still."""
        for number in numbers:
            self._withdrawn.pop(number, None)
        self._overflow()

    def abandoned(self) -> Changes:
        """Make ready again what says that it is in flight and is not: a turn that seemed to fail wrote it."""
        changes = Changes()
        taken = sorted(self._taken)[: self._window_max]
        marks = ", ".join("?" * len(taken))
        changes.execute(
            f"UPDATE outbox SET state = 'ready' WHERE state = 'in_flight' AND number NOT IN ({marks or -1})",
            tuple(taken),
        )
        return changes

    def distrust(self) -> None:
        """A transaction failed: what memory believes may not be what the table says. Read it again."""
        self._overflow()

    def back(self, item: Item) -> None:
        """Put an item that was taken, but can't be carried out yet, back at the head of its lane."""
        self._taken.discard(item.number)
        self._ready.append(item.lane)

    def done(self, item: Item) -> None:
        """The item's row is gone from the table (or dead): its lane moves on."""
        self._known.discard(item.number)
        self._taken.discard(item.number)
        if self._blocked.get(item.lane) == item.number:
            del self._blocked[item.lane]
        self._drop(item)

    def later(self, item: Item) -> None:
        """The item's row waits in the table for its next try; its lane waits with it."""
        self._taken.discard(item.number)
        lane = self._lanes.pop(item.lane, None)
        for waiting in lane or ():
            self._known.discard(waiting.number)
        if lane is not None and len(lane) > 1:
            self._overflow()  # those behind it are read again when its time has come
        if item.state == "retrying":
            self._blocked[item.lane] = item.number
        heapq.heappush(self._later, item.due_ms)

    def wants_poll(self, now_ms: int) -> bool:
        """Whether the table holds something that memory does not."""
        if self._later and self._later[0] <= now_ms and len(self._known) < self._window_max:
            return True
        return self._overflowing and len(self._known) <= self._window_low

    async def poll(self, now_ms: int) -> None:
        """Read what is ready or due from the table, in order; what waits behind another's next try stays there."""
        while self._later and self._later[0] <= now_ms:
            heapq.heappop(self._later)
        ignored = self._ignored
        # What is in memory now may be carried out, and its row removed, while the table is read: such a row is stale.
        before = set(self._known)
        limit = self._poll_rows + len(before)
        due, ready, next_due = await self._database.fetch_all(
            (
                (
                    f"SELECT {_COLUMNS} FROM outbox o WHERE state IN ('scheduled', 'retrying') AND due_ms <= ?"
                    f" AND {_UNHINDERED} ORDER BY state, due_ms LIMIT ?",
                    (now_ms, now_ms, limit),
                ),
                (
                    f"SELECT {_COLUMNS} FROM outbox o WHERE state = 'ready' AND {_UNHINDERED} ORDER BY number LIMIT ?",
                    (now_ms, limit),
                ),
                ("SELECT min(due_ms) FROM outbox WHERE state IN ('scheduled', 'retrying') AND due_ms > ?", (now_ms,)),
            )
        )
        # Retries come first: each opens its lane for those behind it.
        for row in (*due, *ready):
            if row[0] not in before:
                for item in _readable([row]):
                    self._hold(item)
        self._overflowing = len(ready) == limit or self._ignored != ignored
        if len(due) == limit:
            heapq.heappush(self._later, now_ms)
        elif next_due[0][0] is not None and (not self._later or int(next_due[0][0]) < self._later[0]):
            heapq.heappush(self._later, int(next_due[0][0]))

    def _overflow(self) -> None:
        self._overflowing = True
        self._ignored += 1

    def _hold(self, item: Item) -> None:
        if item.number in self._known or item.number in self._withdrawn:
            return
        lane = self._lanes.get(item.lane)
        if lane is None:
            if self._blocked.get(item.lane, item.number) != item.number:
                return  # read again when the retry before it has come
            self._lanes[item.lane] = deque((item,))
            self._ready.append(item.lane)
        else:
            lane.append(item)
        self._known.add(item.number)

    def _drop(self, item: Item) -> None:
        """Its lane moves on without it."""
        lane = self._lanes.get(item.lane)
        if lane is not None and lane[0].number == item.number:
            lane.popleft()
            if lane:
                self._ready.append(item.lane)
            else:
                del self._lanes[item.lane]


def claim(items: Sequence[Item]) -> Changes:
    """Mark these rows as in flight."""
    changes = Changes()
    for sql, numbers in within(
        "UPDATE outbox SET state = 'in_flight' WHERE number IN ({keys})", [item.number for item in items]
    ):
        changes.execute(sql, tuple(numbers))
    for item in items:
        item.state = "in_flight"
    return changes


def removed(item: Item) -> Changes:
    """Take the row away: its command is done."""
    changes = Changes()
    changes.delete(OUTBOX, (item.number,))
    return changes


def retried(item: Item, due_ms: int) -> Changes:
    """Keep the row for another try."""
    changes = Changes()
    item.state, item.due_ms, item.attempt = "retrying", due_ms, item.attempt + 1
    changes.upsert(OUTBOX, item.row())
    return changes
