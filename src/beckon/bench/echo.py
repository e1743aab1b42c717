"""The yardstick: a bare ASGI application that reads JSON and gives it back, on the same server as ours."""

from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Decode the body, encode it, send it."""
    if scope["type"] != "http":
        return
    message = await receive()
    body = _encode(_decode(message["body"]))
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})
