"""The queue of commands that leave the process: one at a time in each lane, a bounded number in hand.

A lane is a contact (messages stay in order) or a run. The table is the truth; memory holds a window of what is ready:
while the window overflows, what is ready stays in the table and is read when there is room. A row is marked
``in_flight`` in a transaction before its command is carried out, so that after a crash it is known which ones may have
been handed over already.

What big work led to (``Command.big``: a campaign's messages) waits behind everything else: it has a smaller window of
its own, and is taken and read from the table only where nothing else is. The order of a lane stays: what is for a
contact for whom big work has left something takes that along, to the front.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence

import msgspec

from beckon.core.command import Call, Http, Send
from beckon.store.changes import Changes, Row
from beckon.store.database import Database, within
from beckon.store.tables import OUTBOX

log = logging.getLogger("beckon.outbox")

#: Ready commands held in memory; past that they wait in the table.
WINDOW_MAX = 10_000
#: Of big work, for each of those: one of so many.
_BIG_OF = 5
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

    @property
    def big(self) -> bool:
        """Whether it is one of a great many: others go first."""
        return self.command.big

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
            int(self.command.big),
        )


def item_from(row: Row) -> Item:
    """An item from a row of the outbox."""
    number, id_, workspace, lane, _, state, due_ms, attempt, body = row[:9]
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
        self._big_window_max = max(1, window_max // _BIG_OF)
        self._poll_rows = poll_rows
        self._lanes: dict[str, deque[Item]] = {}
        self._ready: deque[str] = deque()
        #: lanes in which there is nothing but big work
        self._big_ready: OrderedDict[str, None] = OrderedDict()
        self._known: set[int] = set()
        #: of these, big work
        self._big: set[int] = set()
        #: lanes whose head waits in the table for its next try.
        self._blocked: dict[str, int] = {}
        #: when a row of the table becomes ready next, so that nobody polls in vain; None: none that is known.
        self._due_ms: int | None = None
        #: numbers whose items are out of ``take`` and not yet done.
        self._taken: set[int] = set()
        #: numbers whose rows are being removed: a table read before that may still show them.
        self._withdrawn: dict[int, None] = {}
        #: the table holds ready rows that memory does not; of big work
        self._overflowing = True
        self._big_overflowing = True
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
                ("SELECT min(due_ms) FROM outbox WHERE state = 'retrying'", ()),
                ("SELECT min(due_ms) FROM outbox WHERE state = 'scheduled' AND big = 0", ()),
                ("SELECT min(due_ms) FROM outbox WHERE state = 'scheduled' AND big = 1", ()),
                ("SELECT value FROM marks WHERE name = 'outbox'", ()),
            )
        )
        # Never one again that a row had before: outcomes are told apart by it.
        noted = int(rows[6][0][0] or 0) if rows[6] else 0
        self._next_number = max(int(rows[0][0][0] or 0), noted) + 1
        self._blocked = {str(lane): int(number or 0) for lane, number in rows[2]}
        for found in rows[3:6]:
            self._is_due(found[0][0])
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
        return bool(self._ready or self._big_ready) or self._overflowing or self._big_overflowing

    @property
    def big_waits(self) -> bool:
        """Whether some of big work could be taken."""
        return bool(self._big_ready)

    @property
    def big_in_hand(self) -> int:
        """How much of big work is taken and not yet done."""
        return len(self._taken & self._big)

    @property
    def next_due_ms(self) -> int | None:
        """When the table is worth a look again; None: nothing waits there for a time."""
        return self._due_ms

    def offer(self, items: Sequence[Item]) -> None:
        """Say that these rows are in the table now, after ``look_behind``."""
        #: lanes whose big work must not be left in the table: something that goes to the front comes after it
        front = {item.lane for item in items if not item.big} if any(item.big for item in items) else ()
        for item in items:
            if item.state == "scheduled":
                self._is_due(item.due_ms)
            elif self._full(item) and not (item.lane in front and not self._overflowing):
                self._overflow(big=item.big)
            else:
                self._hold(item)

    async def look_behind(self, items: Iterable[Item]) -> None:
        """Find what big work has left in the table for whom these new items are: it keeps its place before them."""
        if self._big_overflowing:
            await self._behind({item.lane: item.number for item in items if not item.big})

    def admit(self, item: Item) -> bool:
        """Take a new item whose row is about to be written as in flight, after ``look_behind``.

        False: its lane is busy, or memory is full.
        """
        if self._full(item) or item.lane in self._lanes or item.lane in self._blocked:
            return False
        self._know(item)
        self._taken.add(item.number)
        self._lanes[item.lane] = deque((item,))
        return True

    def dismiss(self, item: Item) -> None:
        """An admitted item's row was not written as in flight after all."""
        self._forget(item.number)
        self._drop(item)

    def take(self, limit: int, big: int | None = None) -> list[Item]:
        """Up to ``limit`` items, each the head of its lane; the lane is busy until ``done``, ``later`` or ``back``.

        ``big``: of these, how many lanes at most that hold nothing but big work; None: any number.
        """
        taken: list[Item] = []
        while self._ready and len(taken) < limit:
            taken.append(self._head(self._ready.popleft()))
        most = limit if big is None else min(limit, len(taken) + max(0, big))
        while self._big_ready and len(taken) < most:
            taken.append(self._head(self._big_ready.popitem(last=False)[0]))
        return taken

    def _head(self, lane: str) -> Item:
        item = self._lanes[lane][0]
        self._taken.add(item.number)
        return item

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
            self._overflow(big=True)
        if number in self._known:
            self._forget(number)
            waiting = self._lanes[lane]
            for item in waiting:
                if item.number == number:
                    waiting.remove(item)
                    break
            if not waiting:
                del self._lanes[lane]
                if lane in self._big_ready:
                    del self._big_ready[lane]
                else:
                    self._ready.remove(lane)
        return True

    def restore(self, numbers: Iterable[int]) -> None:
        """These rows were withdrawn, but their removal failed: they are in the table still."""
        for number in numbers:
            self._withdrawn.pop(number, None)
        self.distrust()

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
        self._overflow(big=True)

    def back(self, item: Item) -> None:
        """Put an item that was taken, but can't be carried out yet, back at the head of its lane."""
        self._taken.discard(item.number)
        self._rouse(item.lane)

    def done(self, item: Item) -> None:
        """The item's row is gone from the table (or dead): its lane moves on."""
        self._forget(item.number)
        if self._blocked.get(item.lane) == item.number:
            del self._blocked[item.lane]
        self._drop(item)

    def later(self, item: Item) -> None:
        """The item's row waits in the table for its next try; its lane waits with it."""
        self._taken.discard(item.number)
        for waiting in self._lanes.pop(item.lane, ()):
            self._forget(waiting.number)
            if waiting is not item:
                self._overflow(big=waiting.big)  # it is read again when the retry's time has come
        if item.state == "retrying":
            self._blocked[item.lane] = item.number
        self._is_due(item.due_ms)

    def wants_poll(self, now_ms: int) -> bool:
        """Whether the table holds something that memory does not."""
        others = len(self._known) - len(self._big)
        if self._due_ms is not None and self._due_ms <= now_ms and others < self._window_max:
            return True
        if self._overflowing:
            return others <= self._window_low
        return self._big_overflowing and len(self._big) <= self._big_window_max // 5

    async def poll(self, now_ms: int) -> None:
        """Read what is ready or due from the table, in order; what waits behind another's next try stays there.

        Big work is read where nothing else is left in the table, and there is room for it.
        """
        if self._due_ms is not None and self._due_ms <= now_ms:
            self._due_ms = None
            self._big_overflowing = True
        with_big = not self._overflowing and self._big_overflowing and len(self._big) < self._big_window_max
        ignored = self._ignored
        # What is in memory now may be carried out, and its row removed, while the table is read: such a row is stale.
        before = set(self._known)
        limit = self._poll_rows + len(before)
        limits = (limit - len(self._big), self._poll_rows + len(self._big))
        asked = [
            (
                f"SELECT {_COLUMNS} FROM outbox o WHERE state = 'retrying' AND due_ms <= ?"
                f" AND {_UNHINDERED} ORDER BY due_ms LIMIT ?",
                (now_ms, now_ms, limit),
            ),
            ("SELECT min(due_ms) FROM outbox WHERE state = 'retrying' AND due_ms > ?", (now_ms,)),
        ]
        for big in (0, 1):
            scheduled = f"outbox o WHERE state = 'scheduled' AND big = {big}"
            asked.append((f"SELECT min(due_ms) FROM {scheduled} AND due_ms > ?", (now_ms,)))
            if big <= with_big:
                asked += [
                    (
                        f"SELECT {_COLUMNS} FROM {scheduled} AND due_ms <= ? AND {_UNHINDERED} ORDER BY due_ms LIMIT ?",
                        (now_ms, now_ms, limits[big]),
                    ),
                    (
                        f"SELECT {_COLUMNS} FROM outbox o WHERE state = 'ready' AND big = {big}"
                        f" AND {_UNHINDERED} ORDER BY number LIMIT ?",
                        (now_ms, limits[big]),
                    ),
                ]
        again, again_due, next_due, due, ready, *of_big = await self._database.fetch_all(asked)
        self._overflowing = len(ready) == limits[0] or self._ignored != ignored
        found = _readable([row for row in ready if row[0] not in before])
        if found and self._big_overflowing:
            await self._behind({item.lane: item.number for item in found})
        big_due, big_ready = of_big[1:] if with_big else ([], [])
        # Retries come first: each opens its lane for those behind it.
        for rows in (again, due):
            for item in _readable([row for row in rows if row[0] not in before]):
                self._hold(item)
        for item in found:
            self._hold(item)
        for item in _readable([row for row in (*big_due, *big_ready) if row[0] not in before]):
            self._hold(item)
        if with_big:
            self._big_overflowing = limits[1] in (len(big_due), len(big_ready)) or self._ignored != ignored
        if len(again) == limit or len(due) == limits[0]:
            self._is_due(now_ms)
        for rows in (again_due, next_due, of_big[0]):
            self._is_due(rows[0][0])

    async def _behind(self, lanes: dict[str, int]) -> None:
        """Hold what big work has in the table, ready, for these lanes and before these numbers."""
        before = set(self._known)
        sql = f"SELECT {_COLUMNS} FROM outbox o WHERE state = 'ready' AND big = 1 AND lane IN ({{keys}})"
        found = [row for rows in await self._database.look_up(within(sql, list(lanes))) for row in rows]
        for item in sorted(_readable([row for row in found if row[0] not in before]), key=lambda item: item.number):
            if item.number < lanes[item.lane]:
                self._hold(item)

    def _is_due(self, due_ms: object) -> None:
        """A row of the table becomes ready then; None: there is none."""
        if isinstance(due_ms, int) and (self._due_ms is None or due_ms < self._due_ms):
            self._due_ms = due_ms

    def _full(self, item: Item) -> bool:
        """Whether memory has no room for a new item, or the table holds others like it that go before."""
        if not item.big:
            return self._overflowing or len(self._known) - len(self._big) >= self._window_max
        return self._overflowing or self._big_overflowing or len(self._big) >= self._big_window_max

    def _overflow(self, *, big: bool = False) -> None:
        if big:
            self._big_overflowing = True
        else:
            self._overflowing = True
        self._ignored += 1

    def _know(self, item: Item) -> None:
        self._known.add(item.number)
        if item.big:
            self._big.add(item.number)

    def _forget(self, number: int) -> None:
        self._known.discard(number)
        self._big.discard(number)
        self._taken.discard(number)

    def _hold(self, item: Item) -> None:
        if item.number in self._known or item.number in self._withdrawn:
            return
        lane = self._lanes.get(item.lane)
        if lane is None:
            if self._blocked.get(item.lane, item.number) != item.number:
                return  # read again when the retry before it has come
            self._lanes[item.lane] = deque((item,))
            self._rouse(item.lane)
        else:
            lane.append(item)
            if not item.big and item.lane in self._big_ready:
                del self._big_ready[item.lane]
                self._ready.append(item.lane)
        self._know(item)

    def _rouse(self, lane: str) -> None:
        """The head of this lane may be taken: at the front, unless all of it is big work."""
        if all(item.big for item in self._lanes[lane]):
            self._big_ready[lane] = None
        else:
            self._ready.append(lane)

    def _drop(self, item: Item) -> None:
        """Its lane moves on without it."""
        lane = self._lanes.get(item.lane)
        if lane is not None and lane[0].number == item.number:
            lane.popleft()
            if lane:
                self._rouse(item.lane)
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
