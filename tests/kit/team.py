"""Somebody of the team, signed in, over an open server: for tests of pages."""

import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import uvicorn

from beckon.app import Beckon
from beckon.starting import new_person
from beckon.web.sessions import COOKIE, Person, csrf_of


class Desk:
    """One person's browser without a browser."""

    def __init__(self, client: httpx.AsyncClient, person: Person, csrf: str, token: str) -> None:
        self.client = client
        self.person = person
        self.csrf = csrf
        self.token = token
        self._sent = 0

    async def get(self, path: str, **more: Any) -> httpx.Response:
        """A page."""
        return await self.client.get(path, **more)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """A form, with the page's token."""
        self._sent += 1
        given = {"csrf": self.csrf, "once": f"{self.person.id}-{self._sent}", **fields}
        return await self.client.post(path, data=given, headers={"Origin": "http://beckon"})


@asynccontextmanager
async def at_desk(beckon: Beckon, role: str = "owner", name: str = "Anouk") -> AsyncIterator[Desk]:
    """Somebody of this role, signed in."""
    person = await new_person(
        beckon.database, "main", f"{name}.{role}@garage.example".lower(), "a long password", role=role, name=name
    )
    token = await beckon.sessions.open_for(person)
    transport = httpx.ASGITransport(beckon.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://beckon", cookies={COOKIE: token}) as client:
        yield Desk(client, person, csrf_of(token), token)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@asynccontextmanager
async def served(beckon: Beckon) -> AsyncIterator[str]:
    """The open server on a port of its own; its address."""
    import asyncio
    import socket

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    config = uvicorn.Config(
        beckon.app, lifespan="off", log_level="error", timeout_graceful_shutdown=1, interface="asgi3"
    )
    server = _Server(config)
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        beckon.hub.close()
        server.should_exit = True
        await running
        listening.close()


def two_voices(seconds: float = 3.0) -> bytes:
    """A stereo recording: one voice on the left in its first half, another on the right in its second."""
    count = int(seconds * 8_000)
    at = np.arange(count) / 8_000
    samples = np.zeros((count, 2), "<i2")
    samples[: count // 2, 0] = 16_000 * np.sin(2 * np.pi * 440 * at[: count // 2])
    samples[count // 2 :, 1] = 8_000 * np.sin(2 * np.pi * 880 * at[count // 2 :])
    written = BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(samples.tobytes())
    return written.getvalue()
