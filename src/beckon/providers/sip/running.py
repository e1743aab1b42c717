"""The switch's two processes: started, watched, and started again when one dies."""

import asyncio
import logging
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from beckon.core.errors import Misconfigured
from beckon.providers.sip import wire
from beckon.providers.sip.children import Child
from beckon.providers.sip.settings import SipSettings

_log = logging.getLogger(__name__)

Which = Literal["sip", "media"]

#: How long a process may take to be ready.
_READY_S = 30.0
_RESTART_FIRST_S, _RESTART_LAST_S = 0.1, 10.0


class Watcher(Protocol):
    """Who acts when a process dies."""

    def hear(self, said: wire.Report | wire.MediaReport) -> None:
        """A process says something."""
        ...

    def process_gone(self, which: Which, why: str) -> None:
        """It is gone, by itself or by kill -9."""
        ...

    async def process_cleared(self, which: Which, why: str) -> None:
        """What it had open is closed."""
        ...

    def process_back(self, which: Which) -> None:
        """Another one has taken its place."""
        ...


class Running:
    """Both processes."""

    def __init__(self, settings: SipSettings, watcher: Watcher) -> None:
        self._settings = settings
        self._watcher = watcher
        self._sip: Child[wire.Report] | None = None
        self._media: Child[wire.MediaReport] | None = None
        self._ready: dict[Which, asyncio.Event] = {"sip": asyncio.Event(), "media": asyncio.Event()}
        self._recovering: set[asyncio.Task[None]] = set()
        self._closing = False
        self.port = 0

    async def start(self) -> None:
        """Start both. Raises ``Misconfigured`` where one can't."""
        await self._start("media")
        await self._start("sip")

    async def close(self) -> None:
        """End both, and wait for their ends."""
        self._closing = True
        for task in list(self._recovering):
            task.cancel()
        children = [child for child in (self._sip, self._media) if child is not None]
        for child in children:
            child.say(wire.Quit())
        for child in children:
            await child.close()
        self._sip = self._media = None

    @property
    def closing(self) -> bool:
        """Whether the end has begun."""
        return self._closing

    @property
    def up(self) -> bool:
        """Whether both take commands."""
        return self._sip is not None and self._media is not None

    @property
    def hears(self) -> bool:
        """Whether the media process answers what it is told."""
        return self._media is not None and self._ready["media"].is_set()

    @property
    def pids(self) -> dict[str, int]:
        """The processes, for who measures or watches them."""
        return {name: child.pid for name, child in (("sip", self._sip), ("media", self._media)) if child is not None}

    def say(self, command: wire.Value) -> None:
        """Command the SIP process; one that is gone loses it."""
        if self._sip is not None:
            self._sip.say(command)

    def say_media(self, command: wire.Value) -> None:
        """Command the media process; one that is gone loses it."""
        if self._media is not None:
            self._media.say(command)

    async def _start(self, which: Which) -> None:
        given = self._settings
        self._ready[which].clear()
        child: Child[wire.Report] | Child[wire.MediaReport]
        if which == "media":
            child = self._media = Child(wire.read_media_report, self._hears(which), lambda: self._lost(which))
            ports = (str(given.rtp_first), str(given.rtp_last))
            await child.start("beckon.providers.sip.media", (given.host, *ports, str(given.silence_s)))
        else:
            child = self._sip = Child(wire.read_report, self._hears(which), lambda: self._lost(which))
            await child.start("beckon.providers.sip.stack", ())
            # A second one takes the port that phones know.
            child.say(wire.Configure(msgspec.structs.replace(given, port=self.port or given.port)))
        await self._until_ready(which, child)

    def _hears(self, which: Which) -> Callable[[wire.Report | wire.MediaReport], None]:
        def hear(said: wire.Report | wire.MediaReport) -> None:
            if isinstance(said, wire.Ready):
                self.port = said.port or self.port
                self._ready[which].set()
            else:
                self._watcher.hear(said)

        return hear

    async def _until_ready(self, which: Which, child: Child[wire.Report] | Child[wire.MediaReport]) -> None:
        ready = asyncio.ensure_future(self._ready[which].wait())
        ended = asyncio.ensure_future(child.wait())
        try:
            await asyncio.wait((ready, ended), timeout=_READY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            ready.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)
        if not self._ready[which].is_set():
            why = child.last_words or "it did not come up"
            raise Misconfigured("sip.start", f"the switch's {which} process can't start: {why}")

    def _lost(self, which: Which) -> None:
        if self._closing or not self._ready[which].is_set():
            return
        self._ready[which].clear()
        why = f"the switch's {which} process ended"
        _log.error("%s; starting it again", why)
        task = asyncio.get_running_loop().create_task(self._recover(which, why))
        self._recovering.add(task)
        task.add_done_callback(self._recovering.discard)

    async def _recover(self, which: Which, why: str) -> None:
        self._watcher.process_gone(which, why)
        child = self._media if which == "media" else self._sip
        if child is not None:
            await child.close()
        if which == "media":
            self._media = None
        else:
            self._sip = None
        await self._watcher.process_cleared(which, why)
        delay_s = _RESTART_FIRST_S
        while True:
            try:
                await self._start(which)
                break
            except Misconfigured as error:
                _log.error("%s", error)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _RESTART_LAST_S)
        self._watcher.process_back(which)
