"""Accept: the one way in. Events become durable, once each, before anybody is told so.

What arrives while a transaction is under way shares the next one, so the cost of a sync to disk is shared by all
requests that wait for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import Refused, Unavailable
from beckon.core.event import Event
from beckon.intake.journal import TableJournal
from beckon.store.changes import Changes
from beckon.store.database import Database
from beckon.store.tables import JOURNAL

#: Events that may wait for their commit; past that the door answers 503 and the source tries again.
_WAITING_MAX = 20_000
#: Events in one transaction.
_BATCH_MAX = 2_000

_encode = msgspec.json.Encoder().encode


def written(data: Any) -> str:
    """An event's data as the journal keeps it. Raises ``Refused`` for what JSON can't say, or we don't keep."""
    try:
        return _encode(data).decode()
    except UnicodeEncodeError as error:
        raise Refused("event.characters", "a text has half a surrogate pair in it", field="data") from error
    except (OverflowError, ValueError) as error:
        raise Refused("event.number", "a number is longer than can be written", field="data") from error
    except RecursionError as error:
        raise Refused("event.nesting", "the data nests too deep", field="data") from error


class Accepted(msgspec.Struct, frozen=True):
    """The journal has this event. ``duplicate``: it had it before, at this position."""

    id: str
    position: int
    duplicate: bool


class _Asked:
    __slots__ = ("alongside", "events", "future", "texts")

    def __init__(
        self,
        events: Sequence[Event],
        texts: list[str],
        alongside: Changes | None,
        future: "asyncio.Future[list[Accepted]]",
    ) -> None:
        self.events = events
        self.texts = texts
        self.alongside = alongside
        self.future = future


class Intake:
    """Takes events from every door. ``on_accepted`` is called after each commit: the wheel wakes."""

    def __init__(
        self, database: Database, journal: TableJournal, clock: Clock, on_accepted: Callable[[], None]
    ) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._on_accepted = on_accepted
        self._asked: list[_Asked] = []
        self._waiting = 0
        #: what others said, and not big work or we ourselves, that is not durable yet.
        self._of_others = 0
        self._flushing: asyncio.Task[None] | None = None

    def accept(
        self, events: Sequence[Event], *, alongside: Changes | None = None, ours: bool = False
    ) -> "asyncio.Future[list[Accepted]]":
        """Append events durably; the future gives one answer for each, in order.

        ``alongside`` is written in the same transaction: the outbox removes a command with its outcome's event.
        ``ours``: what the line itself says is never too much, or a crowd at the doors would stop it.
        Raises ``Unavailable`` when too much waits, or when the store can't write; ``Refused`` for what JSON can't say,
        before anybody else's events share a transaction with it.
        """
        if self._waiting + len(events) > _WAITING_MAX and not ours:
            raise Unavailable("intake.busy", "too many events wait for the disk; try again", retry_after_s=1)
        texts = [written(event.data) for event in events]
        future: asyncio.Future[list[Accepted]] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(events, texts, alongside, future))
        self._waiting += len(events)
        if not ours and not (events and events[0].big):
            self._of_others += 1
            future.add_done_callback(self._answered)
        if self._flushing is None:
            self._flushing = asyncio.ensure_future(self._flush())
        return future

    @property
    def busy(self) -> bool:
        """Whether something is being written that people or partners said."""
        return self._of_others > 0

    def _answered(self, _: "asyncio.Future[list[Accepted]]") -> None:
        self._of_others -= 1

    async def close(self) -> None:
        """Wait until all that was asked is answered."""
        while self._flushing is not None:
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        await asyncio.sleep(0)
        try:
            while self._asked:
                await self._append_or_say(self._take())
        finally:
            self._flushing = None

    async def _append_or_say(self, taken: list[_Asked]) -> None:
        try:
            await self._append(taken)
        except Exception as error:
            if len(taken) > 1 and not isinstance(error, Unavailable):
                # One that can't be stored must not sink its neighbours: each on its own.
                for asked in taken:
                    await self._append_or_say([asked])
                return
            for asked in taken:
                if not asked.future.done():
                    asked.future.set_exception(error)

    def _take(self) -> list[_Asked]:
        count = 0
        for index, asked in enumerate(self._asked):
            count += len(asked.events)
            if count >= _BATCH_MAX:
                taken, self._asked = self._asked[: index + 1], self._asked[index + 1 :]
                break
        else:
            taken, self._asked = self._asked, []
        self._waiting -= sum(len(asked.events) for asked in taken)
        return taken

    async def _append(self, taken: list[_Asked]) -> None:
        now = self._clock.now_ms()
        total = sum(len(asked.events) for asked in taken)
        position = self._journal.reserve(total)
        up_to = position + total - 1
        stored: list[Event] = []
        changes = Changes()
        for asked in taken:
            if asked.alongside is not None:
                changes.merge(asked.alongside)
            for event, text in zip(asked.events, asked.texts, strict=True):
                event = Event(
                    workspace=event.workspace,
                    source=event.source,
                    id=event.id,
                    type=event.type,
                    time_ms=event.time_ms or now,
                    data=event.data,
                    subject=event.subject,
                    position=position,
                    accepted_ms=now,
                    depth=event.depth,
                    about=event.about,
                    big=event.big,
                )
                position += 1
                stored.append(event)
                changes.insert_counted(
                    JOURNAL,
                    (
                        event.position,
                        event.workspace,
                        event.source,
                        event.id,
                        event.type,
                        event.subject,
                        event.time_ms,
                        now,
                        event.depth,
                        text,
                    ),
                )
        try:
            new = await self._database.commit(changes)
        except BaseException:
            # A commit that nobody confirmed may have been one all the same.
            self._journal.doubted(up_to)
            raise
        if new == total:
            self._journal.appended(stored, up_to)
            index = 0
            for asked in taken:
                answers = []
                for event in asked.events:
                    answers.append(Accepted(event.id, stored[index].position, False))
                    index += 1
                if not asked.future.done():
                    asked.future.set_result(answers)
            self._on_accepted()
            return
        try:
            await self._tell_apart(taken, stored, up_to)
        finally:
            self._on_accepted()

    async def _tell_apart(self, taken: list[_Asked], stored: list[Event], up_to: int) -> None:
        """Some were there before: find which, and at which position. The rare way, so it may ask one by one."""
        try:
            rows = await self._database.fetch(
                "SELECT position FROM journal WHERE position >= ? AND position <= ?", (stored[0].position, up_to)
            )
        except BaseException:
            # They are durable, whoever they are: the wheel finds them in the table.
            self._journal.doubted(up_to)
            self._journal.appended((), up_to)
            raise
        present = {row[0] for row in rows}
        self._journal.appended([event for event in stored if event.position in present], up_to)
        absent = [event for event in stored if event.position not in present]
        found = await self._database.fetch_all(
            [
                (
                    "SELECT position FROM journal WHERE workspace = ? AND source = ? AND id = ?",
                    (event.workspace, event.source, event.id),
                )
                for event in absent
            ]
        )
        first = {event.position: int(rows[0][0] or 0) for event, rows in zip(absent, found, strict=True)}
        index = 0
        for asked in taken:
            answers = []
            for event in asked.events:
                position = stored[index].position
                answers.append(Accepted(event.id, first.get(position, position), position in first))
                index += 1
            if not asked.future.done():
                asked.future.set_result(answers)
