"""A process's end of the socket pair with the server: never waits, so that a slow server costs no audio."""

import socket
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from beckon.providers.sip.wire import Frames, Value, frame

Commanded = TypeVar("Commanded")

_PIECE_BYTES = 262_144
#: A server that has left this much unread is no server any more.
_UNSENT_BYTES_MAX = 16 * 1024 * 1024


class Link(Generic[Commanded]):
    """Commands in, reports out. Only the loop's thread writes; others hand over by ``from_thread``."""

    def __init__(
        self, opened: socket.socket, decode: Callable[[bytes], Commanded], wake: Callable[[], None] = lambda: None
    ) -> None:
        opened.setblocking(False)
        self._socket = opened
        self._frames = Frames()
        self._unsent = bytearray()
        self._handed: list[Value] = []
        self._decode = decode
        self._wake = wake
        self.gone = False

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def read(self) -> Iterator[Commanded]:
        """The commands that are there; ``gone`` when the server is."""
        try:
            piece = self._socket.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.gone = True
            return
        for written in self._frames.feed(piece):
            yield self._decode(written)

    def tell(self, report: Value) -> None:
        """Report."""
        self._unsent += frame(report)
        self.flush()

    def from_thread(self, report: Value) -> None:
        """Report, from another thread."""
        self._handed.append(report)
        self._wake()

    def flush(self) -> None:
        """Send what is left, as far as the socket takes it."""
        while self._handed:
            self._unsent += frame(self._handed.pop(0))
        if not self._unsent or self.gone:
            return
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            self.gone = len(self._unsent) > _UNSENT_BYTES_MAX
            return
        except OSError:
            self.gone = True
            return
        del self._unsent[:sent]

    @property
    def unsent(self) -> bool:
        """Whether something waits for the socket."""
        return bool(self._unsent)

    def drain(self) -> None:
        """Send everything, waiting a moment for the server."""
        self._socket.settimeout(2.0)
        while self._handed:
            self._unsent += frame(self._handed.pop(0))
        try:
            self._socket.sendall(self._unsent)
        except OSError:
            self.gone = True
