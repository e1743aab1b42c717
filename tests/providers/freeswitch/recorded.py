"""FreeSWITCH's end of the event socket, played from what a real one said: it waits for commands and answers as then.

Ids that we choose stand for those of the recording. A command that was not recorded is agreed to, and prompts that were
not are over when they are broken off.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

TRACE = Path(__file__).parent / "esl_trace.jsonl"
#: Where ids of ours stand in a command.
_IDS = (
    r"^sendmsg (\S+)",
    r"Event-UUID: (\S+)",
    r"Job-UUID: (\S+)",
    r"origination_uuid=([^,}]+)",
    r"^api uuid_\w+ (\S+)",
    r"^api uuid_bridge \S+ (\S+)",
    r"^api uuid_record \S+ start (\S+)",
)


def entries() -> list[dict[str, Any]]:
    """The recording, without what each side may do in its own order."""
    rows = [json.loads(line) for line in TRACE.read_text().splitlines()]
    kept: list[dict[str, Any]] = []
    skip = False
    for row in rows:
        if row["k"] == "cmd" and "setvar" in row["c"]:
            skip = True
        elif row["k"] == "reply" and skip:
            skip = False
        else:
            kept.append(row)
    return kept


class Recorded:
    """One FreeSWITCH that has lived through one call before."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.commands: list[str] = []
        self.played = asyncio.Event()
        self.hold_back = asyncio.Event()
        self.hold_back.set()
        self.port = 0
        self.connections = 0
        self._ids: dict[str, str] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: list[str] = []
        self._came = asyncio.Event()
        self._open: dict[str, list[str]] = {}
        self._next = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: commands are taken while the recording is played."""
        self.connections += 1
        self._writer = writer
        writer.write(b"Content-Type: auth/request\n\n")
        playing = asyncio.create_task(self._play())
        try:
            while True:
                command = (await reader.readuntil(b"\n\n")).decode().strip("\n")
                self.commands.append(command)
                if not self._is(self._next, command):
                    self._agree(command)
                    continue
                self._waiting.append(command)
                self._came.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing
            writer.close()

    async def drop(self) -> None:
        """The connection is gone."""
        assert self._writer is not None
        self._writer.transport.abort()

    async def _play(self) -> None:
        for row in self.rows:
            await self.hold_back.wait()
            if row["k"] == "cmd":
                self._next = row["c"]
                while not self._waiting:
                    self._came.clear()
                    await self._came.wait()
                self._learn(row["c"], self._waiting.pop(0))
                self._next = ""
            elif row["k"] == "reply":
                self._reply(row["h"], self._translated(row["b"]))
            else:
                self._event(row["e"])
                await asyncio.sleep(0)
        self.played.set()

    def _is(self, recorded: str, command: str) -> bool:
        if not recorded:
            return False
        first = recorded.split("\n")[0].split(" ")
        ours = command.split("\n")[0].split(" ")
        words = 2 if first[0] in ("api", "bgapi") else 1
        known = self._ids.get(first[2] if len(first) > 2 and first[0] == "api" else first[1], "")
        at = ours[2] if ours[0] == "api" and len(ours) > 2 else ours[1] if len(ours) > 1 else ""
        app = re.search("execute-app-name: (.*)", recorded)
        same_app = app is None or f"execute-app-name: {app[1]}" in command
        return first[:words] == ours[:words] and same_app and (not known or known == at)

    def _learn(self, recorded: str, command: str) -> None:
        for pattern in _IDS:
            theirs, ours = re.search(pattern, recorded), re.search(pattern, command)
            if theirs and ours:
                self._ids[theirs[1]] = ours[1]

    def _translated(self, text: str) -> str:
        for theirs, ours in self._ids.items():
            text = text.replace(theirs, ours)
        return text

    def _agree(self, command: str) -> None:
        channel = command.split("\n")[0].split(" ")
        if command.startswith("sendmsg") and (mark := re.search("Event-UUID: (.*)", command)):
            self._open.setdefault(channel[1], []).append(mark[1])
        if command.startswith("api"):
            self._reply({"Content-Type": "api/response"}, "+OK\n")
        else:
            self._reply({"Content-Type": "command/reply", "Reply-Text": "+OK"}, "")
        if command.startswith("api uuid_break"):
            for mark_ in self._open.pop(channel[2], []):
                self._event(
                    {"Event-Name": "CHANNEL_EXECUTE_COMPLETE", "Unique-ID": channel[2], "Application-UUID": mark_}
                )

    def _reply(self, headers: dict[str, str], body: str) -> None:
        lines = [f"{name}: {value}" for name, value in headers.items() if name != "Content-Length"]
        if body:
            lines.append(f"Content-Length: {len(body.encode())}")
        self.write("\n".join(lines) + "\n\n" + body)

    def _event(self, event: dict[str, str]) -> None:
        body = self._translated(json.dumps(event))
        self.write(f"Content-Length: {len(body.encode())}\nContent-Type: text/event-json\n\n{body}")

    def write(self, text: str) -> None:
        """Say something."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(text.encode())


@asynccontextmanager
async def recorded(rows: list[dict[str, Any]] | None = None) -> AsyncIterator[Recorded]:
    """A FreeSWITCH on loopback."""
    made = Recorded(entries() if rows is None else rows)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        if made._writer is not None:
            made._writer.close()
        await server.wait_closed()
