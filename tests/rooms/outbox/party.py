"""The other side of a connection: a server on loopback that answers exactly what a test wants, byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import msgspec


class Asked(msgspec.Struct):
    """One request as it came, and on which connection (from 1)."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Party:
    """What came, and how many were connected at once."""

    def __init__(self, answer: "Answer", tls: ssl.SSLContext | None) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self.open = 0
        self.open_max = 0
        self.port = 0
        self._answer = answer
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.open_max = max(self.open, self.open_max)
        number = self.connections
        try:
            while True:
                asked = await _read(reader, number)
                self.asked.append(asked)
                answer = await self._answer(asked, writer)
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


#: (request, the connection) → bytes to send; None: close without more.
Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[bytes | None]]


async def _read(reader: asyncio.StreamReader, number: int) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = {}
    for line in head[1:]:
        if line:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body, number)


@asynccontextmanager
async def party(answer: Answer | bytes, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Party]:
    """Stand the other side up; ``answer``: what it says to every request."""

    async def always(asked: Asked, writer: asyncio.StreamWriter) -> bytes:
        assert isinstance(answer, bytes)
        return answer

    made = Party(always if isinstance(answer, bytes) else answer, tls)
    connected: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(made._serve(reader, writer))
        connected.add(task)
        task.add_done_callback(connected.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=tls, backlog=1_000)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in connected:
            task.cancel()
        await asyncio.gather(*connected, return_exceptions=True)


def reply(body: bytes = b"{}", *, status: str = "200 OK", headers: str = "") -> bytes:
    """An ordinary answer."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def until(holds: Callable[[], object], seconds: float = 300) -> None:
    """Return as soon as this holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0)
