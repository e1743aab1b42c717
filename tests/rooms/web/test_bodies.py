"""Bodies are read within limits of size and of time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from beckon.core.errors import Refused
from beckon.web import bodies
from beckon.web.bodies import Message, read_body


def receiving(*messages: Message | None) -> Callable[[], Awaitable[Message]]:
    """A client that sends these messages, each after a turn of the loop; None: it falls silent."""
    left = list(messages)

    async def receive() -> Message:
        await asyncio.sleep(0)
        message = left.pop(0)
        if message is None:
            await asyncio.get_running_loop().create_future()
        assert message is not None
        return message

    return receive


def at_once(message: Message) -> Callable[[], Awaitable[Message]]:
    """A client whose request is here already."""

    async def receive() -> Message:
        return message

    return receive


def piece(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_is_read_whole_however_it_comes() -> None:
    assert await read_body(at_once(piece(b"abc")), 3) == b"abc"
    assert await read_body(receiving(piece(b"abc")), 3) == b"abc"
    assert await read_body(receiving(piece(b"a", True), piece(b"", True), piece(b"bc")), 3) == b"abc"
    assert await read_body(receiving(piece(b"")), 3) == b""


@pytest.mark.parametrize(
    "receive",
    [
        at_once(piece(b"abcd")),
        receiving(piece(b"abcd")),
        receiving(piece(b"ab", True), piece(b"cd")),
        receiving(piece(b"ab", True), piece(b"cd", True)),
    ],
)
async def test_a_body_that_is_too_large_is_refused_as_soon_as_it_is(receive: bodies.Receive) -> None:
    with pytest.raises(Refused) as refused:
        await read_body(receive, 3)
    assert refused.value.code == "request.too_large"


async def test_a_client_that_leaves_is_no_fault() -> None:
    for messages in (({"type": "http.disconnect"},), (piece(b"a", True), {"type": "http.disconnect"})):
        with pytest.raises(Refused) as refused:
            await read_body(receiving(*messages), 3)
        assert refused.value.code == "request.malformed"


@pytest.mark.parametrize("messages", [(None,), (piece(b"a", True), None)])
async def test_a_body_that_never_ends_is_given_up(
    messages: tuple[Message | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "WHOLE_S", 0.01)
    with pytest.raises(Refused) as refused:
        await read_body(receiving(*messages), 3)
    assert refused.value.code == "request.slow"


async def test_a_cancelled_request_stays_cancelled() -> None:
    reading = asyncio.ensure_future(read_body(receiving(None), 3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
