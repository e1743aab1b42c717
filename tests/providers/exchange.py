"""A vendor that asks by webhooks, pretended on loopback: it calls our hook as the real one does, follows the documents
that it is answered with, takes commands over REST, and has people at its phones.
"""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from beckon.core.clock import VirtualClock
from beckon.doors import hooks
from beckon.telephony.calls import Calls
from beckon.telephony.switch import Asking, Switch

Op = tuple[str, dict[str, Any]]


class Phone:
    """One call, as the vendor has it, and the person at its end."""

    def __init__(self, sid: str, number: str, other: str, *, inbound: bool) -> None:
        self.sid = sid
        self.number = number
        self.other = other
        self.inbound = inbound
        self.status = "ringing"
        self.status_url = ""
        #: everything that was heard, pressed towards it, or recorded, in order.
        self.heard: list[str] = []
        self.room = ""
        self.end = ""
        self.keys: list[str] = []
        self.pressed = asyncio.Event()
        self.following: asyncio.Task[None] | None = None


class Speaks(Protocol):
    """How one vendor writes and reads."""

    def webhook(self, phone: Phone, url: str, more: dict[str, Any], now_ms: int) -> tuple[bytes, dict[str, str]]:
        """A signed webhook."""
        ...

    def read(self, body: bytes) -> list[Op]:
        """A document; fails where the vendor would not accept it."""
        ...

    async def rest(self, exchange: "Exchange", request: Request) -> Response:
        """A command."""
        ...


class Exchange:
    """The vendor."""

    def __init__(self, speaks: Speaks, name: str) -> None:
        self.speaks = speaks
        self.name = name
        self.clock = VirtualClock()
        self.port = 0
        #: where webhooks go, where that is not our own door.
        self.hook = ""
        self.phones: dict[str, Phone] = {}
        #: number → answers, rings, busy, no-answer.
        self.fates: dict[str, str] = {}
        self.commands: list[tuple[str, str, Any]] = []
        #: kind of command → the status that it is answered with.
        self.statuses: dict[str, tuple[int, bytes]] = {}
        #: how the next changes of a live call are refused.
        self.refusals: list[tuple[int, bytes]] = []
        self.recordings: dict[str, bytes] = {}
        #: how long keys are waited for while something is heard, and between them.
        self.patience_s = 0.02
        #: how long they are waited for while nothing is.
        self.rest_s = 0.5
        self.switches: dict[tuple[str, str], Asking] = {}
        self.failures: list[BaseException] = []
        self._count = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(trust_env=False, timeout=300)

    @property
    def hook_url(self) -> str:
        return self.hook or f"http://127.0.0.1:{self.port}/hooks/main/{self.name}"

    # People -----------------------------------------------------------------------------------------------------------

    def call_in(self, caller: str, called: str) -> Phone:
        """Somebody calls a number of ours."""
        phone = self._phone(caller, called, inbound=True)
        self._follow(phone, self.hook_url)
        return phone

    def press(self, phone: Phone, keys: str) -> None:
        phone.keys += keys
        phone.pressed.set()

    async def hang_up_by(self, phone: Phone) -> None:
        """The person hangs up."""
        await self.finish(phone, "completed", "by the phone")

    def phone_of(self, number: str) -> Phone:
        return next(one for one in reversed(self.phones.values()) if one.number == number)

    # The vendor's side ------------------------------------------------------------------------------------------------

    def dial(self, number: str, caller_id: str, next_url: str, status_url: str) -> Phone:
        phone = self._phone(number, caller_id, inbound=False)
        phone.status_url = status_url
        self._soon(self._ring(phone, next_url))
        return phone

    async def _ring(self, phone: Phone, next_url: str) -> None:
        await self.tell(phone, phone.status_url)
        fate = self.fates.get(phone.number, "answers")
        if fate in ("busy", "no-answer"):
            await self.finish(phone, fate, fate)
        elif fate == "answers":
            phone.status = "in-progress"
            await self.tell(phone, phone.status_url)
            self._follow(phone, next_url)

    def change(self, phone: Phone, ops: list[Op] | str) -> None:
        """It follows another document from now on."""
        if phone.following is not None:
            phone.following.cancel()
        phone.room = ""
        self._follow(phone, ops)

    async def finish(self, phone: Phone, status: str, end: str) -> None:
        if phone.end:
            return
        phone.status, phone.end = status, end
        if phone.following is not None and phone.following is not asyncio.current_task():
            phone.following.cancel()
        phone.room = ""
        await self.tell(phone, phone.status_url or f"{self.hook_url}?what=status")

    async def tell(self, phone: Phone, url: str, **more: Any) -> bytes:
        body, headers = self.speaks.webhook(phone, url, more, self.clock.now_ms())
        answer = await self._client.post(url, content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.content

    async def fetch(self, url: str) -> httpx.Response:
        return await self._client.get(url)

    def _phone(self, number: str, other: str, *, inbound: bool) -> Phone:
        sid = f"CA{next(self._count):032x}"
        phone = self.phones[sid] = Phone(sid, number, other, inbound=inbound)
        return phone

    def _follow(self, phone: Phone, start: list[Op] | str) -> None:
        phone.following = self._soon(self._followed(phone, start))

    async def _followed(self, phone: Phone, start: list[Op] | str) -> None:
        ops = self.speaks.read(await self.tell(phone, start)) if isinstance(start, str) else start
        while ops and not phone.end:
            (what, how), *ops = ops
            if what not in ("pause", "reject", "redirect", "hangup"):
                phone.status = "in-progress"
            if what in ("say", "play", "digits", "record"):
                phone.heard.append(f"{what} {how['what']}")
                await asyncio.sleep(0)
            elif what == "pause":
                await asyncio.sleep(0.01)
            elif what == "redirect":
                ops = self.speaks.read(await self.tell(phone, how["url"]))
            elif what == "gather":
                ops = self.speaks.read(await self._gathered(phone, how))
            elif what == "conference":
                phone.room = how["what"]
                await asyncio.Event().wait()
            elif what in ("hangup", "reject"):
                await self.finish(phone, "completed" if what == "hangup" else "busy", f"{what} {how.get('what', '')}")
        if not phone.end:
            raise AssertionError("a call was left without instructions")

    async def _gathered(self, phone: Phone, how: dict[str, Any]) -> bytes:
        phone.heard += [f"{what} {inner['what']}" for what, inner in how["inside"] if what != "pause"]
        keys, until = "", ""
        patience_s = self.patience_s if how["inside"] else self.rest_s
        while len(keys) < how["max"] and not until:
            if not phone.keys:
                phone.pressed.clear()
                try:
                    async with asyncio.timeout(patience_s):
                        await phone.pressed.wait()
                except TimeoutError:
                    break
            key = phone.keys.pop(0)
            patience_s = 0.02
            if key == how["until"]:
                until = key
            else:
                keys += key
        return await self.tell(phone, how["url"], keys=keys, until=until)

    def _soon(self, doing: Any) -> asyncio.Task[None]:
        async def watched() -> None:
            try:
                await doing
            except Exception as error:
                self.failures.append(error)

        task = asyncio.create_task(watched())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _rest(self, request: Request) -> Response:
        return await self.speaks.rest(self, request)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()


class Heard:
    """A switch before its vendor, and everything that it told."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.events: list[Any] = []
        self.switch: Switch
        self.calls: Calls | None = None

    def listen(self, event: Any) -> None:
        self.events.append(event)
        if self.calls is not None:
            self.calls.listen(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, holds: Callable[[], object]) -> Any:
        for _ in range(30_000):
            if self.exchange.failures:
                raise self.exchange.failures[0]
            if held := holds():
                return held
            await asyncio.sleep(0.01)
        raise AssertionError([str(event) for event in self.events])


@asynccontextmanager
async def exchanging(speaks: Speaks, name: str) -> AsyncIterator[Exchange]:
    """The vendor's REST and our hook on loopback."""
    made = Exchange(speaks, name)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    made.port = bound.getsockname()[1]
    rest = Route("/api/{path:path}", made._rest, methods=["GET", "POST", "PUT"])
    door = hooks.routes({}, None, made.clock, f"http://127.0.0.1:{made.port}", made.switches)  # type: ignore[arg-type]
    config = uvicorn.Config(
        Starlette(routes=[rest, *door]),
        log_level="error",
        lifespan="off",
        timeout_graceful_shutdown=1,
        access_log=False,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve(sockets=[bound]))
    try:
        for _ in range(30_000):
            if server.started:
                break
            await asyncio.sleep(0.01)
        yield made
        assert not made.failures, made.failures
    finally:
        await made.close()
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        bound.close()


@asynccontextmanager
async def switched(exchange: Exchange, made: Callable[[Callable[[Any], None]], Switch]) -> AsyncIterator[Heard]:
    """Our switch, begun, before this vendor."""
    heard = Heard(exchange)
    heard.switch = made(heard.listen)
    assert isinstance(heard.switch, Asking)
    exchange.switches["main", exchange.name] = heard.switch
    await heard.switch.start()
    try:
        yield heard
    finally:
        await heard.switch.close()
