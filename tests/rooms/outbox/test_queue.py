"""The queue against a model: whatever happens in whatever order, nothing is lost, twice, or before its turn."""

import asyncio
import sqlite3
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from beckon.core.command import Send
from beckon.outbox.queue import Item, Queue, claim, item_from, removed, retried
from beckon.store.changes import Changes, Row
from beckon.store.database import Database, Query
from beckon.store.migrations import texts
from beckon.store.tables import MARKS, OUTBOX

T = TypeVar("T")

_COLUMNS = ", ".join(OUTBOX.columns)


class MemoryEngine:
    """The store's SQL on a database in memory. A read may be held up after, or before, it has seen the table."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.executescript("".join(sql for _, _, sql in texts("sqlite")))
        self.before_read: asyncio.Event | None = None
        self.after_read: asyncio.Event | None = None

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def fetch(self, queries: Sequence[Query]) -> list[list[Row]]:
        if self.before_read is not None:
            await self.before_read.wait()
        rows = [self.connection.execute(sql, parameters).fetchall() for sql, parameters in queries]
        if self.after_read is not None:
            await self.after_read.wait()
        return rows

    async def look_up(self, queries: Sequence[Query]) -> list[list[Row]]:
        return [self.connection.execute(sql, parameters).fetchall() for sql, parameters in queries]

    async def write(self, batch: Sequence[Changes]) -> list[int]:
        for changes in batch:
            self.write_now(changes)
        return [0] * len(batch)

    async def script(self, sql: str) -> None: ...

    def write_now(self, changes: Changes) -> None:
        """What the store would have made durable."""
        for sql, parameters, _ in changes.statements():
            self.connection.execute(sql, parameters)


def item_of(number: int, lane: str, state: str = "ready", due_ms: int = 0, *, big: bool = False) -> Item:
    """A message in this lane."""
    return Item(
        number=number, id=f"dlv_{number}", workspace="main", lane=lane, state=state, due_ms=due_ms, attempt=0,
        command=Send(id=f"cmd_{number}", workspace="main", big=big),
    )  # fmt: skip


class Stage:
    """A queue over a table in memory, and the clock that rules it."""

    def __init__(self, *, window_max: int, poll_rows: int) -> None:
        self.engine = MemoryEngine()
        self.database = Database(self.engine, dialect="sqlite")
        self.sizes = {"window_max": window_max, "poll_rows": poll_rows}
        self.now_ms = 1_000
        self.queue = self.fresh()

    def close(self) -> None:
        """The table is gone."""
        self.engine.connection.close()

    def fresh(self) -> Queue:
        """A queue of a process that has just begun."""
        return Queue(self.database, **self.sizes)

    def put(self, lane: str, *, in_ms: int = 0, big: bool = False) -> Item:
        """A new row in the table, of which the queue has not heard yet."""
        due_ms = self.now_ms + in_ms if in_ms else 0
        item = item_of(self.queue.number(), lane, "scheduled" if in_ms else "ready", due_ms, big=big)
        self.look_behind(item)
        self.write(item)
        return item

    def look_behind(self, item: Item) -> None:
        """As the wheel does before it writes a new item. Nothing here waits: one step is all of it."""
        with suppress(StopIteration):
            self.queue.look_behind([item]).send(None)

    def write(self, item: Item) -> None:
        """The item as a row, and its number as the last one, as the wheel's turn writes them."""
        changes = Changes()
        changes.upsert(OUTBOX, item.row())
        changes.upsert(MARKS, ("outbox", item.number))
        self.engine.write_now(changes)

    def add(self, lane: str, *, in_ms: int = 0, big: bool = False) -> Item:
        """A new row, and the queue knows."""
        item = self.put(lane, in_ms=in_ms, big=big)
        self.queue.offer([item])
        return item

    def rows(self) -> list[Item]:
        """What stands in the table, in order."""
        return [item_from(row) for row in self.engine.connection.execute(f"SELECT {_COLUMNS} FROM outbox ORDER BY 1")]

    async def pump(self, limit: int = 100) -> list[Item]:
        """What the carrier does first: look at the table if that is worth it, take, claim."""
        for _ in range(2):  # big work is read after everything else
            if self.queue.wants_poll(self.now_ms):
                await self.queue.poll(self.now_ms)
        taken = self.queue.take(limit)
        self.engine.write_now(claim(taken))
        return taken

    def finish(self, item: Item) -> None:
        """It is done: its row goes."""
        self.engine.write_now(removed(item))
        self.queue.done(item)

    def retry(self, item: Item, in_ms: int) -> None:
        """It failed, and is tried again later."""
        self.engine.write_now(retried(item, self.now_ms + in_ms))
        self.queue.later(item)

    async def drained(self) -> list[Item]:
        """All that can be had by pumping and waiting, in the order in which it came; nothing may stay."""
        order: list[Item] = []
        for _ in range(1_000):
            taken = await self.pump(2)
            for item in taken:
                order.append(item)
                self.finish(item)
            if not taken:
                if not self.rows():
                    return order
                self.now_ms += 500
        raise AssertionError(f"these never came: {[(item.number, item.lane, item.state) for item in self.rows()]}")


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A queue with room for all that a test needs."""
    with closing(Stage(window_max=1_000, poll_rows=100)) as made:
        yield made


@pytest.fixture
def tight() -> Iterator[Stage]:
    """A queue whose window overflows soon."""
    with closing(Stage(window_max=12, poll_rows=3)) as made:
        yield made


# Single cases, as they were found.


async def test_a_message_behind_a_retry_comes_when_the_retry_has(stage: Stage):
    await stage.pump()
    first = stage.add("ann")
    assert [item.number for item in await stage.pump()] == [first.number]
    stage.retry(first, 500)
    second = stage.add("ann")
    assert await stage.pump() == []
    stage.now_ms += 500
    assert [item.number for item in await stage.pump()] == [first.number]
    stage.finish(first)
    assert [item.number for item in await stage.pump()] == [second.number]


async def test_messages_behind_a_retry_keep_their_order(stage: Stage):
    await stage.pump()
    first, second = stage.add("ann"), stage.add("ann")
    taken = await stage.pump()
    stage.retry(taken[0], 500)
    await stage.pump()
    third = stage.add("ann")
    await stage.pump()
    assert [item.number for item in await stage.drained()] == [first.number, second.number, third.number]


async def test_a_withdrawn_retry_sets_its_lane_free(stage: Stage):
    await stage.pump()
    first, second = stage.add("ann"), stage.add("ann")
    await stage.pump()
    stage.retry(first, 60_000)
    assert stage.queue.withdraw(first.number, "ann")
    stage.engine.write_now(removed(first))
    assert [item.number for item in await stage.pump()] == [second.number]


async def test_rows_behind_retries_don_t_hide_the_rows_after_them(stage: Stage):
    stage.sizes["poll_rows"] = 10
    await stage.pump()
    for number in range(20):
        lane = f"lane {number}"
        stage.add(lane)
        [item] = await stage.pump(1)
        stage.retry(item, 60_000)
        stage.put(lane)
        stage.put(lane)
    stage.queue = stage.fresh()
    await stage.queue.open()
    free = stage.put("free")
    assert [item.number for item in await stage.pump()] == [free.number]


async def test_a_retry_that_comes_while_the_table_is_read_loses_nothing(stage: Stage):
    await stage.pump()
    stage.add("ann")
    stage.add("ann")
    [taken] = await stage.pump()
    stage.add("ben", in_ms=10)
    stage.now_ms += 10
    stage.engine.after_read = asyncio.Event()
    poll = asyncio.create_task(stage.queue.poll(stage.now_ms))
    await asyncio.sleep(0)
    stage.retry(taken, 10)
    stage.engine.after_read.set()
    await poll
    stage.engine.after_read = None
    assert len(await stage.drained()) == 3


async def test_a_withdrawal_that_was_not_written_is_taken_back(stage: Stage):
    await stage.pump()
    item = stage.add("ann")
    assert stage.queue.withdraw(item.number, "ann")
    assert await stage.pump() == []
    stage.queue.restore([item.number])
    assert [found.number for found in await stage.pump()] == [item.number]


async def test_an_admitted_item_that_is_dismissed_leaves_those_who_came_behind_it(stage: Stage):
    await stage.pump()
    first = item_of(stage.queue.number(), "ann")
    assert stage.queue.admit(first)
    second = stage.add("ann")
    assert await stage.pump() == []
    stage.queue.dismiss(first)
    assert [item.number for item in await stage.pump()] == [second.number]


async def test_a_number_never_comes_again(stage: Stage):
    await stage.queue.open()
    first = stage.add("ann")
    await stage.pump()
    stage.finish(first)
    stage.queue = stage.fresh()
    await stage.queue.open()
    assert stage.queue.number() > first.number


async def test_what_is_in_hand_can_not_be_withdrawn(stage: Stage):
    item = stage.add("ann")
    assert [found.number for found in await stage.pump()] == [item.number]
    assert not stage.queue.withdraw(item.number, "ann")


async def test_many_that_are_due_at_once_all_come(tight: Stage):
    for number in range(50):
        tight.add(f"lane {number % 7}", in_ms=100)
    tight.now_ms += 100
    assert len(await tight.drained()) == 50


async def test_big_work_comes_after_everything_else(tight: Stage):
    await tight.pump()
    for number in range(30):
        tight.add(f"big {number}", big=True)
    for number in range(30):
        tight.add(f"lane {number}")
    order = await tight.drained()
    assert [item.lane for item in order if not item.big] == [f"lane {number}" for number in range(30)]
    assert [item.lane for item in order if item.big] == [f"big {number}" for number in range(30)]
    assert not any(item.big for item in order[:30])


async def test_big_work_for_whom_something_else_comes_goes_with_it_and_before(tight: Stage):
    await tight.pump()
    for number in range(30):
        tight.add(f"lane {number % 15}", big=True)
    other = tight.add("lane 14")
    numbers = []
    for _ in range(3):
        [item] = await tight.pump(1)
        numbers.append(item.number)
        tight.finish(item)
    assert numbers == [15, 30, other.number], "the lane's own order, before all others of big work"


async def test_no_more_of_big_work_is_taken_than_asked_for(stage: Stage):
    await stage.pump()
    for number in range(10):
        stage.add(f"big {number}", big=True)
    stage.add("ann")
    taken = stage.queue.take(10, 2)
    assert [item.lane for item in taken] == ["ann", "big 0", "big 1"]
    assert stage.queue.big_in_hand == 2
    assert stage.queue.take(10, 0) == []


async def test_big_work_that_is_due_all_at_once_leaves_memory_as_it_was(tight: Stage):
    await tight.pump()
    for number in range(200):
        tight.add(f"big {number}", in_ms=100, big=True)
    tight.now_ms += 100
    ann = tight.add("ann")
    taken = await tight.pump()
    assert taken[0].number == ann.number
    assert len(tight.queue._big) <= 2 + 2 * 5
    for item in taken:
        tight.finish(item)
    assert len(await tight.drained()) == 201 - len(taken)


# The machine.

LANES = ("ann", "ben", "cem")


class Machine(RuleBasedStateMachine):
    """Everything that the wheel and the carrier may do to the queue, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stage = Stage(window_max=12, poll_rows=3)
        #: number → item, out of ``take`` (or admitted) and not yet done
        self.hand: dict[int, Item] = {}
        #: numbers that must not come again
        self.gone: set[int] = set()
        #: numbers that were scheduled: they join their lane when they are due
        self.scheduled: set[int] = set()
        #: numbers whose withdrawal failed: those behind them may have gone first
        self.restored: set[int] = set()
        #: written, but the queue has not heard of them yet
        self.unheard: list[Item] = []
        #: withdrawn, and the removal is not written yet
        self.withdrawn: list[Item] = []
        self.poll: asyncio.Task[None] | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        """However it went: what is left comes, each once."""
        try:
            self.finish_poll()
            self.hear()
            self.write_withdrawals()
            for item in list(self.hand.values()):
                self.done(item)
            for item in self.run(self.stage.drained()):
                self.check_taken(item, drained=True)
        finally:
            self.stage.close()
            self.loop.close()

    # What may happen.

    @initialize()
    def begin(self) -> None:
        self.run(self.stage.queue.open())
        self.pump(3)

    @rule(lane=st.sampled_from(LANES), big=st.booleans())
    def a_message_is_offered(self, lane: str, big: bool) -> None:
        self.hear()
        self.stage.add(lane, big=big)

    @rule(lane=st.sampled_from(LANES), in_ms=st.sampled_from((1, 1_000)), big=st.booleans())
    def a_message_for_later_is_offered(self, lane: str, in_ms: int, big: bool) -> None:
        self.hear()
        self.scheduled.add(self.stage.add(lane, in_ms=in_ms, big=big).number)

    @rule(lane=st.sampled_from(LANES), big=st.booleans())
    def a_message_is_written_and_offered_a_moment_later(self, lane: str, big: bool) -> None:
        self.unheard.append(self.stage.put(lane, big=big))

    @rule()
    def hear(self) -> None:
        self.stage.queue.offer([item for item in self.unheard if item.number not in self.gone])
        self.unheard.clear()

    @rule(lane=st.sampled_from(LANES), written=st.booleans(), big=st.booleans())
    def a_message_is_admitted_with_its_turn(self, lane: str, written: bool, big: bool) -> None:
        self.hear()
        item = item_of(self.stage.queue.number(), lane, big=big)
        self.stage.look_behind(item)
        if not self.stage.queue.admit(item):
            return
        if written:
            assert not [other for other in self.hand.values() if other.lane == lane]
            item.state = "in_flight"
            self.stage.write(item)
            self.hand[item.number] = item
        else:
            self.stage.queue.dismiss(item)

    @precondition(lambda self: self.poll is None)
    @rule(limit=st.integers(1, 3))
    def pump(self, limit: int) -> None:
        taken = self.run(self.stage.pump(limit))
        assert len(taken) <= limit
        for item in taken:
            self.check_taken(item)
            self.hand[item.number] = item

    @precondition(lambda self: self.poll is None)
    @rule(seen_before=st.booleans())
    def the_table_is_read_while_other_things_happen(self, seen_before: bool) -> None:
        engine, gate = self.stage.engine, asyncio.Event()
        if seen_before:
            engine.after_read = gate
        else:
            engine.before_read = gate
        self.poll = self.loop.create_task(self.stage.queue.poll(self.stage.now_ms))
        self.run(asyncio.sleep(0))

    @precondition(lambda self: self.poll is not None)
    @rule()
    def finish_poll(self) -> None:
        engine = self.stage.engine
        for gate in (engine.before_read, engine.after_read):
            if gate is not None:
                gate.set()
        if self.poll is not None:
            self.run(asyncio.wait_for(self.poll, 300))
        self.poll = engine.before_read = engine.after_read = None

    @precondition(lambda self: self.hand)
    @rule(data=st.data())
    def one_is_done(self, data: st.DataObject) -> None:
        self.done(self.hand[data.draw(st.sampled_from(sorted(self.hand)))])

    @precondition(lambda self: self.hand)
    @rule(data=st.data(), in_ms=st.sampled_from((1, 1_000)))
    def one_is_tried_again_later(self, data: st.DataObject, in_ms: int) -> None:
        item = self.hand.pop(data.draw(st.sampled_from(sorted(self.hand))))
        self.stage.retry(item, in_ms)

    @precondition(lambda self: self.hand)
    @rule(data=st.data())
    def one_could_not_be_claimed(self, data: st.DataObject) -> None:
        item = self.hand.pop(data.draw(st.sampled_from(sorted(self.hand))))
        self.put_back(item)

    @rule(data=st.data(), written=st.sampled_from(("now", "later", "never")))
    def one_is_withdrawn(self, data: st.DataObject, written: str) -> None:
        unheard = {item.number for item in self.unheard}
        rows = [row for row in self.stage.rows() if row.number not in unheard and row not in self.withdrawn]
        if not rows:
            return
        row = data.draw(st.sampled_from(rows))
        if not self.stage.queue.withdraw(row.number, row.lane):
            assert row.number in self.hand
            return
        assert row.number not in self.hand
        if written == "never":
            self.stage.queue.restore([row.number])
            self.restored.add(row.number)
            return
        self.gone.add(row.number)
        self.withdrawn.append(row)
        if written == "now":
            self.write_withdrawals()

    @rule()
    def write_withdrawals(self) -> None:
        for row in self.withdrawn:
            self.stage.engine.write_now(removed(row))
        self.withdrawn.clear()

    @rule(by_ms=st.sampled_from((1, 999, 5_000)))
    def time_passes(self, by_ms: int) -> None:
        self.stage.now_ms += by_ms

    @rule()
    def memory_is_distrusted(self) -> None:
        self.stage.queue.distrust()

    @rule()
    def the_process_is_killed_and_begins_again(self) -> None:
        self.finish_poll()
        self.unheard.clear()
        # What was withdrawn and not written is there again.
        self.gone -= {row.number for row in self.withdrawn}
        self.withdrawn.clear()
        self.stage.queue = self.stage.fresh()
        found = self.run(self.stage.queue.open())
        assert {item.number for item in found} == set(self.hand)
        changes = Changes()
        for item in found:  # as the carrier's ``recover`` does
            item.state, item.due_ms = "ready", 0
            changes.upsert(OUTBOX, item.row())
        self.stage.engine.write_now(changes)
        self.hand.clear()

    # What must hold.

    def check_taken(self, item: Item, *, drained: bool = False) -> None:
        assert item.number not in self.gone, "it came again"
        assert item.number not in self.hand, "it came while it was in hand"
        if drained:
            self.gone.add(item.number)
            return
        others = [other for other in self.hand.values() if other.lane == item.lane]
        assert not others, "two of a lane are in hand"
        free = self.gone | self.scheduled | self.restored
        lane = [row for row in self.stage.rows() if row.lane == item.lane and row.number not in self.gone]
        before = [row for row in lane if row.number < item.number and row.number not in free]
        assert item.number in self.scheduled or not before, f"{item.number} came before {before[0].number}"
        assert not [row for row in lane if row.state == "retrying"], "it came before the retry of another"

    @invariant()
    def as_many_are_known_as_the_window_holds(self) -> None:
        others = len(self.stage.queue) - len(self.stage.queue._big)
        assert others <= 12 + 2 * (3 + 12)
        # Beside its own window: what came before others' messages to the same three.
        assert len(self.stage.queue._big) <= 2 + 2 * (3 + 12) + 12

    def done(self, item: Item) -> None:
        del self.hand[item.number]
        self.gone.add(item.number)
        self.stage.finish(item)

    def put_back(self, item: Item) -> None:
        item.state = "ready"
        changes = Changes()
        changes.upsert(OUTBOX, item.row())
        self.stage.engine.write_now(changes)
        self.stage.queue.back(item)


TestTheQueue = Machine.TestCase
TestTheQueue.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("count", [1, 12, 13, 100])
async def test_a_window_that_overflows_keeps_the_order_of_each_lane(count: int, tight: Stage):
    await tight.pump()
    for number in range(count):
        tight.add(LANES[number % 3])
    order = await tight.drained()
    assert len(order) == count
    for lane in LANES:
        numbers = [item.number for item in order if item.lane == lane]
        assert numbers == sorted(numbers)
