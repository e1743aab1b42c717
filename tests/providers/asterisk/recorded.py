"""Asterisk's end of ARI, played from what a real one said: REST is agreed to, events come after the commands of then.

Ids that we choose stand for those of the recording.
"""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

TRACE = Path(__file__).parent / "ari_trace.jsonl"
_AUTH = "Basic " + base64.b64encode(b"beckon:secret").decode()


def entries() -> list[dict[str, Any]]:
    """The recording: each command that we give as well, before what came of it."""
    rows: list[dict[str, Any]] = []
    for row in (json.loads(line) for line in TRACE.read_text().splitlines()):
        if row["k"] == "ev" and row["e"]["type"] in ("ChannelVarset", "ChannelConnectedLine"):
            continue
        if row["k"] == "rest":
            if kind_of(row["m"], row["p"]) in ("bridges", "snoop", "channels/record"):
                continue  # made in another order, or not at all
            if row["p"].endswith("/answer"):
                rows.insert(len(rows) - 1, row)  # its event had overtaken it
                continue
        rows.append(row)
    return rows


def kind_of(method: str, path: str) -> str:
    """What a command does, without its ids."""
    parts = path.strip("/").split("/")
    if method == "DELETE":
        return f"DELETE {parts[0]}"
    if parts[0] == "channels" and len(parts) <= 2:
        return "dial"
    if len(parts) <= 2:
        return parts[0]
    return parts[2] if parts[2] in ("answer", "play", "snoop", "addChannel", "ring") else f"{parts[0]}/{parts[2]}"


class Recorded:
    """One Asterisk that has lived through one call before."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.commands: list[tuple[str, str, dict[str, str]]] = []
        self.played = asyncio.Event()
        self.port = 0
        self.statuses: dict[str, int] = {}
        self._ids: dict[str, str] = {}
        self._came = asyncio.Event()
        self._unused: list[tuple[str, str, dict[str, str]]] = []
        self._sockets: list[WebSocket] = []

    async def events(self, websocket: WebSocket) -> None:
        if websocket.headers.get("authorization") != _AUTH:
            await websocket.close(1008)
            return
        await websocket.accept()
        self._sockets.append(websocket)
        playing = asyncio.create_task(self._play())
        try:
            while True:
                await websocket.receive_text()
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)

    async def rest(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/ari")
        if request.headers.get("authorization") != _AUTH:
            return Response(status_code=401)
        command = (request.method, path, dict(request.query_params))
        kind = kind_of(request.method, path)
        if kind in self.statuses:
            return Response(b"{}", self.statuses[kind])
        self.commands.append(command)
        self._unused.append(command)
        self._came.set()
        return Response(status_code=204)

    async def _play(self) -> None:
        for row in self.rows:
            if row["k"] == "ev":
                await self.say(json.loads(self._translated(json.dumps(row["e"]))))
                continue
            self._learn(row, await self._command(kind_of(row["m"], row["p"])))
        self.played.set()

    async def _command(self, kind: str) -> tuple[str, str, dict[str, str]]:
        while True:
            for command in self._unused:
                if kind_of(command[0], command[1]) == kind:
                    self._unused.remove(command)
                    return command
            self._came.clear()
            await self._came.wait()

    def _learn(self, row: dict[str, Any], command: tuple[str, str, dict[str, str]]) -> None:
        theirs, ours = row["p"].strip("/").split("/"), command[1].strip("/").split("/")
        if kind_of(row["m"], row["p"]) == "dial":
            self._ids[row["body"]["id"]] = ours[1]
        for one, other in zip(theirs[1::2], ours[1::2], strict=False):
            self._ids[one] = other
        if len(theirs) > 3:
            self._ids[theirs[3]] = ours[3]
        if "name" in row["q"]:
            self._ids[row["q"]["name"]] = command[2]["name"]

    def _translated(self, text: str) -> str:
        for theirs, ours in self._ids.items():
            text = text.replace(f'"{theirs}"', f'"{ours}"')
        return text

    async def say(self, event: Any) -> None:
        """Say something to whoever listens."""
        await self._sockets[-1].send_text(event if isinstance(event, str) else json.dumps(event))

    async def drop(self) -> None:
        """The WebSocket is gone."""
        await self._sockets[-1].close(1011)


@asynccontextmanager
async def recorded(rows: list[dict[str, Any]] | None = None) -> AsyncIterator[Recorded]:
    """An Asterisk on loopback."""
    made = Recorded(entries() if rows is None else rows)
    app = Starlette(
        routes=[
            WebSocketRoute("/ari/events", made.events),
            Route("/ari/{path:path}", made.rest, methods=["GET", "POST", "DELETE"]),
        ]
    )
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    made.port = bound.getsockname()[1]
    config = uvicorn.Config(
        app, log_level="error", lifespan="off", ws="websockets-sansio", timeout_graceful_shutdown=1, access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve(sockets=[bound]))
    try:
        for _ in range(30_000):
            if server.started:
                break
            await asyncio.sleep(0.01)
        yield made
    finally:
        server.should_exit = True
        await serving
        bound.close()
