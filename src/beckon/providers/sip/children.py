"""A process of the switch's, and the socket pair to it. When it goes, the switch is told; when we go, it goes."""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from beckon.providers.sip.wire import Frames, Value, frame

_log = logging.getLogger(__name__)
Reported = TypeVar("Reported")

#: How long a process may take to end by itself.
_END_S = 10.0
_LAST_WORDS_MAX = 2_000


class Child(asyncio.Protocol, Generic[Reported]):
    """One running process."""

    def __init__(
        self, decode: Callable[[bytes], Reported], hears: Callable[[Reported], None], gone: Callable[[], None]
    ):
        self._decode = decode
        self._hears = hears
        self._gone = gone
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._closing = False
        self.last_words = ""

    async def start(self, module: str, arguments: Sequence[str]) -> None:
        """Start ``python -m module SOCKET arguments``."""
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                str(theirs.fileno()),
                *arguments,
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid if self._process is not None else 0

    def say(self, value: Value) -> None:
        """Say something; to a process that is gone it is lost."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(value))

    async def close(self) -> None:
        """Wait until it has ended; kill it when it doesn't."""
        self._closing = True
        process = self._process
        if process is None:
            return
        try:
            await asyncio.wait_for(self._wait(process), _END_S)
        except TimeoutError:
            process.kill()
            await self._wait(process)
        if self._transport is not None:
            self._transport.close()

    async def wait(self) -> None:
        """Until the process is gone; what it said last is in ``last_words``."""
        if self._process is not None:
            await self._wait(self._process)

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is not None:
            while line := await process.stderr.readline():
                self.last_words = line.decode(errors="replace").strip()[:_LAST_WORDS_MAX]
                _log.warning("%s", self.last_words)
        await process.wait()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        for written in self._frames.feed(data):
            self._hears(self._decode(written))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self._gone()
