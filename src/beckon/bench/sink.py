"""The sink: a process of its own that takes messages as WhatsApp's Cloud API would, and notes when they came.

``GET /count`` gives how many came, how many came twice, and when the last one did; ``GET /latencies`` the times from
``%T`` in the event to here, in microseconds, since the last time it was asked; ``GET /numbers`` how often each came.
"""

import asyncio
import json
import re
import sys
import time

import httptools
import uvloop

_SENT_AT = re.compile(rb"@(\d+)@(\d+)@")
_REPLY = (
    b'{"messaging_product":"whatsapp","contacts":[{"input":"%b","wa_id":"%b"}],'
    b'"messages":[{"id":"wamid.%b","message_status":"accepted"}]}'
)


class Seen:
    """What came so far."""

    def __init__(self) -> None:
        self.count = 0
        self.numbers: dict[bytes, int] = {}
        self.last_ns = 0
        self.latencies_us: list[int] = []


class Taking(asyncio.Protocol):
    """One connection."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url, self._body = url, b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        seen = self._seen
        if self._url == b"/count":
            twice = sum(1 for times in seen.numbers.values() if times > 1)
            self._answer(
                json.dumps(
                    {"count": len(seen.numbers), "twice": twice, "last_ns": seen.last_ns, "all": seen.count}
                ).encode()
            )
            return
        if self._url == b"/numbers":
            self._answer(json.dumps({number.decode(): times for number, times in seen.numbers.items()}).encode())
            return
        if self._url == b"/latencies":
            self._answer(json.dumps(seen.latencies_us).encode())
            seen.latencies_us = []
            return
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        found = _SENT_AT.search(self._body)
        seen.count += 1
        seen.last_ns = now
        number = b"?"
        if found is not None:
            number = found.group(1)
            seen.numbers[number] = seen.numbers.get(number, 0) + 1
            seen.latencies_us.append((now - int(found.group(2))) // 1000)
        self._answer(_REPLY % (b"0", b"0", b"%d.%b" % (seen.count, number)))

    def _answer(self, body: bytes) -> None:
        self._transport.write(  # type: ignore[attr-defined]
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )


async def serve(port: int) -> None:
    """Take messages until the process is ended."""
    seen = Seen()
    server = await asyncio.get_running_loop().create_server(lambda: Taking(seen), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
