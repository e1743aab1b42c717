"""Reading a request's body, within a limit of size and of time."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from beckon.core.errors import Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: How long the next piece of a body may take.
_PIECE_S = 30


async def read_body(receive: Receive, size_bytes_max: int) -> bytes:
    """A request's whole body. Raises ``Refused`` past the limit, or when the client went away."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Refused("request.malformed", "the request ended before its body")
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > size_bytes_max:
            raise Refused("request.too_large", f"a request's body has {size_bytes_max} bytes at most")
        return body
    chunks, size = [body], len(body)
    while True:
        message = await asyncio.wait_for(receive(), _PIECE_S)
        if message["type"] == "http.disconnect":
            raise Refused("request.malformed", "the request ended before its body")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > size_bytes_max:
            raise Refused("request.too_large", f"a request's body has {size_bytes_max} bytes at most")
        if not message.get("more_body", False):
            return b"".join(chunks)
