"""Outcomes: what came of a command is accepted as an event, in the transaction in which its row goes away."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from beckon.core.clock import Clock
from beckon.core.command import Send
from beckon.core.errors import BeckonError, Refused, Unavailable
from beckon.core.event import Event
from beckon.intake.accept import Intake
from beckon.outbox.queue import Item, Queue, removed, retried
from beckon.store.changes import Changes
from beckon.store.tables import OUTBOX, PROVIDER_IDS

log = logging.getLogger("beckon.carrier")

SOURCE = "beckon/outbox"
_STORE_PAUSE_S = 0.5
#: Of an outcome that can't be kept whole, what says whose it is.
_IN_SHORT = frozenset({"delivery", "run", "command", "attempt", "channel", "provider"})


class Outcomes:
    """Takes outcomes in, those of one moment together.

    ``on_done`` is called when places are free and lanes may move on, ``on_later`` when a row waits for its next try.
    """

    def __init__(
        self, intake: Intake, clock: Clock, queue: Queue, on_done: Callable[[], None], on_later: Callable[[], None]
    ) -> None:
        self._intake = intake
        self._clock = clock
        self._queue = queue
        self._on_done = on_done
        self._on_later = on_later
        #: outcomes that are taken in together, with what happens to their rows
        self._outcomes: list[tuple[Item, Event]] = []
        self._ended = Changes()
        #: takes them in; None: there are none.
        self.taking: asyncio.Task[None] | None = None

    def say(self, item: Item, type_: str, fields: dict[str, Any]) -> None:
        """The command is done: its event goes in, its row goes away, with all others of this moment."""
        event = self.event(item, type_, fields, str(item.attempt + 1))
        self._outcomes.append((item, event))
        _end(self._ended, item, event)
        if self.taking is None:
            self.taking = asyncio.ensure_future(self._take_in())

    def event(self, item: Item, type_: str, fields: dict[str, Any], mark: str) -> Event:
        """An outcome as an event; ``mark`` tells the tries of one row apart."""
        return Event(
            workspace=item.workspace,
            source=SOURCE,
            id=f"{item.id}.{item.number}.{type_.partition('.')[2]}.{mark}",
            type=type_,
            time_ms=self._clock.now_ms(),
            data={"delivery": item.id, **fields} if isinstance(item.command, Send) else fields,
            subject=item.lane if item.lane.startswith("con_") else None,
            big=item.big,
        )

    async def retry(self, item: Item, at_ms: int, events: list[Event]) -> None:
        """The command is tried again at this instant; ``events`` say why. Raises what the store refuses of them."""
        await self.accept(events, retried(item, at_ms))
        self._queue.later(item)
        self._on_later()

    async def _take_in(self) -> None:
        await asyncio.sleep(0)
        try:
            while self._outcomes:
                outcomes, self._outcomes = self._outcomes, []
                changes, self._ended = self._ended, Changes()
                try:
                    await self.accept([event for _, event in outcomes], changes)
                except BeckonError:
                    # What can't be kept of one outcome must not cost the others theirs.
                    for item, event in outcomes:
                        await self._accept_in_short(item, event)
                for item, _ in outcomes:
                    self._queue.done(item)
                self._on_done()
        finally:
            self.taking = None

    async def _accept_in_short(self, item: Item, event: Event) -> None:
        """Take one outcome in; where what it says can't be kept, that it happened."""
        try:
            await self.accept([event], _end(Changes(), item, event))
        except BeckonError as error:
            log.error("what the outcome of %s says can't be kept: %s", item.id, error)
            fields = {key: value for key, value in event.data.items() if key in _IN_SHORT}
            fields |= {"code": error.code, "why": error.why}
            type_ = event.type.replace(".completed", ".failed")
            await self.accept([msgspec.structs.replace(event, type=type_, data=fields)], removed(item))

    async def accept(self, events: list[Event], changes: Changes) -> None:
        """Take the outcome in, however long the store needs: it must not be lost while the process lives."""
        while True:
            try:
                await self._intake.accept(events, alongside=changes, ours=True)
                return
            except Unavailable as error:
                log.warning("an outcome waits for the store: %s", error)
                await asyncio.sleep(_STORE_PAUSE_S)


def _end(changes: Changes, item: Item, event: Event) -> Changes:
    """The row goes away, and what the provider calls the message is kept, so that its receipts find it."""
    changes.delete(OUTBOX, (item.number,))
    if event.type == "message.sent" and event.data["provider_id"]:
        row = (item.workspace, event.data["provider"], event.data["provider_id"], item.id)
        changes.insert_new(PROVIDER_IDS, row)
    return changes


def defect(error: Exception, item: Item) -> Refused:
    """A failure that nobody foresaw: the command has an outcome all the same, and its run goes on."""
    log.error("a command failed in a way that it may not: %s", item.id, exc_info=error)
    return Refused("command.defect", f"it failed with {type(error).__name__}; see the log")
