"""The event socket's wire: blocks of headers, bodies by length, events as JSON. Pure."""

from typing import Any
from urllib.parse import unquote

import msgspec

from beckon.core.errors import Refused

#: The longest block that is read, headers and body.
BLOCK_BYTES_MAX = 1_048_576
_HEADERS_MAX = 200


class Block(msgspec.Struct, frozen=True):
    """What FreeSWITCH says at once: headers by name in lower case, and a body."""

    headers: dict[str, str]
    body: bytes = b""

    @property
    def kind(self) -> str:
        """``auth/request``, ``command/reply``, ``api/response``, ``text/event-json`` …"""
        return self.headers.get("content-type", "")

    @property
    def reply(self) -> str:
        """The answer to a command: the reply's text, or the API's body."""
        return self.headers.get("reply-text", "") or self.body.decode("utf-8", "replace").strip()

    def event(self) -> dict[str, str]:
        """An event's fields. Raises ``Refused`` where it is none."""
        try:
            read: Any = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused("freeswitch.event", f"an event is no JSON: {error}") from error
        if not isinstance(read, dict):
            raise Refused("freeswitch.event", "an event is no object")
        return {str(name): str(value) for name, value in read.items()}


class Blocks:
    """Cuts a stream of bytes into blocks."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, received: bytes) -> list[Block]:
        """The blocks that are whole now. Raises ``Refused`` for what is none."""
        self._bytes += received
        found = []
        while True:
            block = self._next()
            if block is None:
                break
            found.append(block)
        if len(self._bytes) > BLOCK_BYTES_MAX:
            raise Refused("freeswitch.wire", f"a block is longer than {BLOCK_BYTES_MAX} bytes")
        return found

    def _next(self) -> Block | None:
        while self._bytes.startswith(b"\n"):
            del self._bytes[:1]
        end = self._bytes.find(b"\n\n")
        if end < 0:
            return None
        headers = _headers(bytes(self._bytes[:end]))
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > BLOCK_BYTES_MAX:
            raise Refused("freeswitch.wire", "a block's length is no number, or too large")
        start = end + 2
        if len(self._bytes) < start + int(length):
            return None
        body = bytes(self._bytes[start : start + int(length)])
        del self._bytes[: start + int(length)]
        return Block(headers, body)


def _headers(text: bytes) -> dict[str, str]:
    lines = text.decode("utf-8", "replace").split("\n")
    if len(lines) > _HEADERS_MAX:
        raise Refused("freeswitch.wire", f"a block has more than {_HEADERS_MAX} headers")
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): unquote(value.strip()) for name, colon, value in pairs if colon}


def written(command: str) -> bytes:
    """A command as it goes over the wire. Raises ``Refused`` where it would be two."""
    if "\n\n" in command or "\r" in command or "\0" in command:
        raise Refused("freeswitch.command", "a command holds an empty line")
    return f"{command}\n\n".encode()
