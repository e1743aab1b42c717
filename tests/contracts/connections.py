"""``Connections`` for tests: in-process apps by host, over httpx; everything else can't be reached."""

import asyncio
from collections.abc import Mapping

import httpx
from starlette.types import ASGIApp

from beckon.core.errors import Unavailable
from beckon.messaging.channel import Reply


class AppConnections:
    """Reaches the apps in ``apps``, by host."""

    def __init__(self, apps: dict[str, ASGIApp] | None = None) -> None:
        self.apps = dict(apps or {})

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> Reply:
        host = httpx.URL(url).host
        if host not in self.apps:
            raise Unavailable("http.unreachable", f"{host} can't be reached")
        transport = httpx.ASGITransport(app=self.apps[host])
        async with httpx.AsyncClient(transport=transport) as client:
            try:
                async with asyncio.timeout(timeout_s):
                    answer = await client.request(method, url, headers=headers, content=body)
            except TimeoutError:
                raise Unavailable("http.timeout", "no answer in time", doubtful=True) from None
        return Reply(
            answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content
        )


class AnsweringConnections:
    """Always gives the same answer."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> Reply:
        return self.reply
