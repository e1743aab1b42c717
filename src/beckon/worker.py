"""THE WHEEL: turns events into commands and commands into outcomes.

One turn: take the next events of the journal in order, and the timers that are due → find whom they are about, which
runs they wake and which flows they start → advance → write history, runs, waits, timers, deliveries, conversations and
outbox in one transaction, with the position up to which all is done. A crash between two turns loses nothing and
repeats nothing; commands that leave the process are carried out afterwards by ``carrier``, and their outcomes come back
as events.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from beckon.batch import Batch, Memory
from beckon.carrier import Carrier, Ready
from beckon.core.clock import Clock, steady_s
from beckon.core.errors import BeckonError, Unavailable
from beckon.core.event import Event, Json
from beckon.core.pace import Pace
from beckon.core.recent import Recent
from beckon.effects import Effects
from beckon.intake.accept import Accepted, Intake
from beckon.intake.journal import TableJournal
from beckon.journeys.part import Part
from beckon.outbox.queue import Item, Queue
from beckon.pacing import BIG_RUN, Pacer
from beckon.store.changes import Changes, Row
from beckon.store.database import Database
from beckon.store.tables import ANSWERS, BIG_TIMERS, MARKS, TIMERS
from beckon.workspaces import Workspaces

log = logging.getLogger("beckon.worker")

_encode = msgspec.json.Encoder().encode

#: Timers fired in one turn.
_TIMERS_MAX = 500
#: How long the wheel waits after the store failed it.
_STORE_PAUSE_S = 0.5
#: How long a piece of a forgetting that failed waits for its next try.
_AGAIN_MS = 60_000


class Wheel:
    """Turns the journal. One for each database."""

    def __init__(
        self,
        *,
        database: Database,
        journal: TableJournal,
        clock: Clock,
        workspaces: Workspaces,
        queue: Queue,
        on_queued: Callable[[], None],
        on_topics: Callable[[set[tuple[str, str]], int], None],
        turn_events_max: int = 500,
        parts: Sequence[Part] = (),
        pace: Pace | None = None,
    ) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._workspaces = workspaces
        self._queue = queue
        self._on_queued = on_queued
        self._on_topics = on_topics
        self._events_max = turn_events_max
        self.memory = Memory()
        self._effects = Effects(workspaces, queue, parts)
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        big = frozenset({BIG_RUN}.union(*[part.big_timers for part in parts]))
        #: big work waits in it for its moment.
        self.pacer = Pacer(database, clock, pace or Pace(), big, self._wake.set)
        self._next_entry = 1
        self._next_timer_ms: int | None = None
        self._settling: list[tuple[int, asyncio.Future[None]]] = []
        #: the event's position → what its turn answered; the newest ones
        self._answers: Recent[Json] = Recent()
        self._asking: dict[int, asyncio.Future[Json]] = {}
        self.intake: Intake | None = None
        self.carrier: Carrier | None = None
        #: all events up to this position are done.
        self.position = 0
        #: turns so far, for the benchmarks.
        self.turns = 0

    async def open(self) -> None:
        """Find where the last process stopped."""
        rows = await self._database.fetch_all(
            (
                ("SELECT value FROM marks WHERE name = 'wheel'", ()),
                ("SELECT max(number) FROM entries", ()),
                ("SELECT min(due_ms) FROM timers", ()),
            )
        )
        self.position = int(rows[0][0][0] or 0) if rows[0] else 0
        self._next_entry = int(rows[1][0][0] or 0) + 1
        due = rows[2][0][0]
        self._next_timer_ms = None if due is None else int(due)
        await self.pacer.open()
        await self._effects.open(self._database)

    def wake(self) -> None:
        """There is something to do: events were accepted, or the clock was dragged."""
        self._wake.set()

    async def run(self) -> None:
        """Turn until cancelled, or closed."""
        while not self._closing.is_set():
            self._wake.clear()
            try:
                while not self._closing.is_set() and await self.turn():
                    pass
            except Exception as error:
                await self._start_over(error)
            timeout = None
            if self._next_timer_ms is not None:
                # A dragged clock wakes the wheel by ``wake``; a minute at most guards against a clock that jumps.
                timeout = min(60.0, max(0.0, (self._next_timer_ms - self._clock.now_ms()) / 1000))
            timeout = self.pacer.wait_s(timeout)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout)

    def close(self) -> None:
        """Begin no further turn: ``run`` ends with the one that is under way."""
        self._closing.set()
        self.pacer.close()
        self._wake.set()

    async def _start_over(self, error: Exception) -> None:
        """The store failed us, in the middle of a turn perhaps: wait until it answers, and believe it alone.

        A commit that nobody confirmed may have been one all the same: the table says how far we are.
        """
        if isinstance(error, Unavailable):
            log.warning("the store is unavailable, the wheel waits: %s", error)
        else:
            log.error("the wheel starts over after a defect", exc_info=error)
        while not self._closing.is_set():
            await asyncio.sleep(_STORE_PAUSE_S)
            try:
                # A write first: when it is through, so is whatever the store was still busy with.
                await self._database.commit(self._queue.abandoned())
                self._queue.distrust()
                await self.open()
            except Exception as again:
                log.warning("the store is unavailable, the wheel waits: %s", again)
            else:
                self._on_queued()
                self._wake.set()
                return

    async def settled(self, position: int) -> None:
        """Return when the wheel has turned all up to this position."""
        if self.position >= position:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settling.append((position, future))
        self._wake.set()
        await future

    async def answer(self, position: int, timeout_s: float, *, again: bool = False) -> Json:
        """What was answered to the event at this position; None: nothing in time, or nothing that is still known.

        ``again``: it was there before, so its answer may be an old one: the table knows it longer than memory does.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self.settled(position)
                known = self._answers.get(str(position))
                if known is None and again:
                    rows = await self._database.fetch("SELECT answer FROM answers WHERE position = ?", (position,))
                    known = msgspec.json.decode(str(rows[0][0])) if rows else None
                if known is not None:
                    return known
                # A flow may answer later than the event's own turn: when what it called has come back.
                asking = self._asking.setdefault(position, asyncio.get_running_loop().create_future())
                return await asyncio.shield(asking)
        except TimeoutError:
            return None
        finally:
            self._asking.pop(position, None)
            if not again:
                # Whoever asked has it; who asks again finds it in the table. An import's answers are large.
                self._answers.drop(str(position))

    @property
    def quiet(self) -> bool:
        """Nothing to turn: every event is done, no timer is due, and no big work waits."""
        due_ms = self._next_timer_ms
        done = self.position >= self._journal.position and not self.pacer.waits
        return done and (due_ms is None or due_ms > self._clock.now_ms())

    async def turn(self) -> bool:
        """One turn; whether there may be more to do at once."""
        end = self._journal.position
        began_s = steady_s()
        events = await self._journal.read(self.position, self._events_max)
        now = self._clock.now_ms()
        timers: list[Row] = []
        # However far behind we are, what came before a deadline counts: its timer waits until all that is turned.
        whole = len(events) < self._events_max
        for number, event in enumerate(events, 1):
            if event.type == "contact.forget_asked" and number < len(events):
                # Who writes next from the same address is somebody new: what follows is found out about afterwards.
                events, whole = events[:number], False
                break
        due = now if whole else min(now, events[-1].accepted_ms)
        if self._next_timer_ms is not None and self._next_timer_ms <= due:
            timers = await self._database.fetch(
                "SELECT due_ms, kind, subject FROM timers WHERE due_ms <= ? ORDER BY due_ms LIMIT ?",
                (due, _TIMERS_MAX),
            )
            if not timers:
                await self._look_for_timers()
        alone = not events and not timers
        if alone:
            # Positions that were never used (duplicates) are done as well; what came while we looked is not.
            self._reached(end)
        timers += await self.pacer.next_piece(due, alone=alone and self.position >= self._journal.position)
        if not events and not timers:
            return False
        error = await self._turn(events, timers, now)
        if error is not None:
            await self._one_by_one(events, timers, now, error)
        self.turns += 1
        self.pacer.turned(events, timers, self._clock.now_ms(), began_s)
        return True

    async def _turn(self, events: Sequence[Event], timers: Sequence[Row], now: int) -> Exception | None:
        """Turn all this in one transaction; gives the defect that kept it from being written, where there was one."""
        up_to = events[-1].position if events else self.position
        try:
            batch, admitted = await self._write(events, timers, now, up_to)
        except Unavailable:
            raise
        except Exception as error:
            return error
        self._tell(batch, admitted, up_to)
        if timers:
            await self._look_for_timers()
        return None

    async def _write(
        self, events: Sequence[Event], timers: Sequence[Row], now: int, up_to: int
    ) -> tuple[Batch, list[Ready]]:
        """What the turn changed, once it is durable, and the messages that may leave with it."""
        batch = Batch(self._database, self.memory, now, self._next_entry, self._workspaces)
        batch.piece, batch.big_kinds = self.pacer.size, self.pacer.kinds
        for due_ms, kind, subject in timers:
            batch.clear_timer(int(due_ms or 0), str(kind), str(subject))  # before it may be set anew
        admitted: list[Ready] = []
        try:
            await self._effects.load(batch, events, timers)
            for event in events:
                self._effects.take(batch, event)
            for due_ms, kind, subject in timers:
                self._effects.fire(batch, int(due_ms or 0), str(kind), str(subject))
            await self._effects.follow(batch)
            if batch.outbox:
                await self._queue.look_behind(batch.outbox.values())
            if self.carrier is not None and batch.outbox:
                admitted = self.carrier.admit(batch.outbox.values(), batch.contacts, batch.deliveries, batch.changes)
            self._effects.write(batch)
            changes = batch.written()
            for position, value in batch.answers.items():
                changes.upsert(ANSWERS, (position, _encode(value).decode(), now))
            changes.upsert(MARKS, ("wheel", up_to))
            if batch.outbox:
                changes.upsert(MARKS, ("outbox", self._queue.last_number))
            await self._commit(batch, changes)
        except BaseException:
            if self.carrier is not None:
                self.carrier.release(admitted)
            # What was changed in memory is not what the table says.
            self.memory.forget()
            self._effects.forget()
            if batch.withdrawn:
                self._queue.restore(batch.withdrawn)
                self._on_queued()
            raise
        return batch, admitted

    async def _commit(self, batch: Batch, changes: Changes) -> None:
        if not batch.emitted:
            await self._database.commit(changes)
            return
        # Events that flows said become durable with the turn that said them.
        assert self.intake is not None
        await self.intake.accept(batch.emitted, alongside=changes, ours=True)

    def _tell(self, batch: Batch, admitted: Sequence[Ready], up_to: int) -> None:
        """The turn is durable, whatever comes now: messages leave, and whoever waits for it goes on."""
        if self.carrier is not None:
            self.carrier.launch(admitted)
        self._next_entry = batch.next_entry
        batch.remember()
        self._effects.remember(batch)
        self.pacer.is_due(batch.big_due)
        if batch.timers_due and (self._next_timer_ms is None or batch.timers_due < self._next_timer_ms):
            self._next_timer_ms = batch.timers_due
        leaving = {ready.item.number for ready in admitted}
        items: list[Item] = [item for item in batch.outbox.values() if item.number not in leaving]
        self._queue.offer(items)
        if items or batch.withdrawn:  # what was withdrawn may have stood in the way of others
            self._on_queued()
        for position, value in batch.answers.items():
            self._answers.put(str(position), value)
            asking = self._asking.get(position)
            if asking is not None and not asking.done():
                asking.set_result(value)
        self._reached(up_to)
        self._on_topics(batch.topics, up_to)

    async def _one_by_one(self, events: Sequence[Event], timers: Sequence[Row], now: int, error: Exception) -> None:
        """Something in this turn is beyond us: find it, pass over it, say so; all else goes its way."""
        if len(events) + len(timers) == 1:
            await self._pass_over(events, timers, error)
            return
        for one in [*(([event], []) for event in events), *(([], [timer]) for timer in timers)]:
            defect = await self._turn(*one, now)
            if defect is not None:
                await self._pass_over(*one, defect)

    async def _pass_over(self, events: Sequence[Event], timers: Sequence[Row], error: Exception) -> None:
        log.error("passed over %s: %s", events[0].type if events else "a timer", type(error).__name__, exc_info=error)
        changes = Changes()
        said: list[Event] = []
        for event in events:
            changes.upsert(MARKS, ("wheel", event.position))
            noted = Batch(self._database, self.memory, self._clock.now_ms(), self._next_entry, self._workspaces)
            self._effects.note(noted, event)
            changes.merge(noted.changes)
            if event.type != "event.failed":
                fields = {"position": event.position, "type": event.type}
                said.append(_failed(event.workspace, str(event.position), fields, error))
        for due_ms, kind, subject in timers:
            changes.delete(BIG_TIMERS if kind in self.pacer.kinds else TIMERS, (due_ms, kind, subject))
            if kind == "forgetting":  # it must not be left halfway, whatever stands in its way now
                changes.upsert(TIMERS, (self._clock.now_ms() + _AGAIN_MS, kind, subject))
            table = {"delivery": "deliveries", "forgetting": "contacts"}.get(str(kind), "runs")
            for (workspace,) in await self._database.fetch(f"SELECT workspace FROM {table} WHERE id = ?", (subject,)):
                name = str(kind).partition(".")[0]
                said.append(_failed(str(workspace), f"{subject}-{due_ms}", {name: subject}, error))
        assert self.intake is not None
        await self.intake.accept(said, alongside=changes, ours=True)
        if events:
            self._reached(events[-1].position)

    def _reached(self, position: int) -> None:
        if position > self.position:
            self.position = position
        if self._settling:
            waiting, self._settling = self._settling, []
            for wanted, future in waiting:
                if wanted > self.position:
                    self._settling.append((wanted, future))
                elif not future.done():
                    future.set_result(None)

    async def _look_for_timers(self) -> None:
        rows = await self._database.fetch("SELECT min(due_ms) FROM timers")
        self._next_timer_ms = None if rows[0][0] is None else int(rows[0][0])


def _failed(workspace: str, mark: str, fields: dict[str, object], error: Exception) -> Event:
    """What the wheel says of something that it passed over."""
    code = error.code if isinstance(error, BeckonError) else "worker.defect"
    why = f"{type(error).__name__}: the wheel could not turn this; see the log"
    return Event(
        workspace=workspace, source="beckon/worker", id=f"failed-{mark}", type="event.failed", time_ms=0,
        data={**fields, "code": code, "why": why},
    )  # fmt: skip


async def settle(wheel: Wheel, intake: Intake, events: Sequence[Event]) -> list[Accepted]:
    """Accept, and wait until the wheel has turned: for doors that must answer from the result."""
    answers = await intake.accept(events)
    await wheel.settled(max(answer.position for answer in answers))
    return answers


async def ask(wheel: Wheel, intake: Intake, event: Event, timeout_s: float) -> Json:
    """Accept, and wait for what is answered; None: nobody answered in time. It is durable all the same."""
    [accepted] = await intake.accept([event])
    return await wheel.answer(accepted.position, timeout_s, again=accepted.duplicate)
