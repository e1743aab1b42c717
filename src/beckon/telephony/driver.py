"""``Driver``: what every driver of a switch does beside its wire: it tells the listener, and does errands."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError
from beckon.telephony.switch import Listener, SwitchEvent

log = logging.getLogger("beckon.calls")


class Driver:
    """What a driver begins with: the clock, the listener, and errands that nobody waits for."""

    def __init__(self, clock: Clock, listener: Listener) -> None:
        self._clock = clock
        self._listener = listener
        self._tasks: set[asyncio.Task[None]] = set()

    def _now(self) -> int:
        """The time, in milliseconds."""
        return self._clock.now_ms()

    def _say(self, event: SwitchEvent) -> None:
        """Tell the listener."""
        self._listener(event)

    def _soon(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do it beside what is being done. What the switch refuses is only written down: an event tells of its end."""
        task = asyncio.create_task(_quietly(doing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _later(self, pause_s: float, doing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do it after a pause."""

        async def then() -> None:
            await asyncio.sleep(pause_s)
            await doing()

        self._soon(then())

    async def _drop_tasks(self) -> None:
        """Give up whatever is being done beside."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _quietly(doing: Coroutine[Any, Any, None]) -> None:
    try:
        await doing
    except BeckonError as error:
        log.info("a command came to nothing: %s", error.code)
