"""Reading a request's body, within a limit of size and of time."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from typing import Any

from beckon.core.errors import Refused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

#: How long a body may take, from its first byte to its last, in seconds.
WHOLE_S = 60.0


async def read_body(receive: Receive, size_bytes_max: int) -> bytes:
    """A request's whole body. Raises ``Refused`` past a limit, or when the client went away."""
    # Most bodies are here already: one step finds that out, and no timer is set for them.
    steps = receive().__await__()
    try:
        awaited = next(steps)
    except StopIteration as done:
        message: Message = done.value
        if not message.get("more_body", False):
            return _taken([], 0, message, size_bytes_max)[0]
        begun = None
    else:
        begun = _Begun(awaited, steps)
    try:
        async with asyncio.timeout(WHOLE_S):
            if begun is not None:
                message = await begun
            chunks, size = _taken([], 0, message, size_bytes_max), 0
            while message.get("more_body", False):
                size += len(chunks[-1])
                message = await receive()
                _taken(chunks, size, message, size_bytes_max)
    except TimeoutError as error:
        raise Refused("request.slow", f"a request's body has {WHOLE_S:g} seconds to come") from error
    return b"".join(chunks)


def _taken(chunks: list[bytes], size: int, message: Message, size_bytes_max: int) -> list[bytes]:
    """The pieces with the one that this message brings."""
    if message["type"] == "http.disconnect":
        raise Refused("request.malformed", "the request ended before its body")
    piece: bytes = message.get("body", b"")
    if size + len(piece) > size_bytes_max:
        raise Refused("request.too_large", f"a request's body has {size_bytes_max} bytes at most")
    chunks.append(piece)
    return chunks


class _Begun:
    """An awaitable whose first step was taken before: it gives again what that step waits for, then goes on."""

    def __init__(self, awaited: Any, steps: Generator[Any, Any, Message]) -> None:
        self._awaited = awaited
        self._steps = steps

    def __await__(self) -> "Generator[Any, Any, Message]":
        return self

    def __iter__(self) -> "_Begun":
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        if self._awaited is not None:
            awaited, self._awaited = self._awaited, None
            return awaited
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        return self._steps.throw(*error)

    def close(self) -> None:
        self._steps.close()
