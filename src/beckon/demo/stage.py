"""The stage: the real server and everybody it talks to, composed in one process under one address.

Server and twins talk over real HTTP and SMTP on loopback: going live changes a URL and a key. The demo's page, the
scenarios and the story tests all stand on it.
"""

import asyncio
import logging
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from beckon.app import Beckon
from beckon.core.clock import DraggableClock, VirtualClock
from beckon.core.ids import secret
from beckon.outbox.connections import PooledConnections
from beckon.providers.sip.speech.speaker import Espeak
from beckon.sandbox.cast import Cast, Parts
from beckon.sandbox.page import Page
from beckon.sandbox.scenarios import Edit
from beckon.sandbox.store import STORE, Store
from beckon.sandbox.telephones import Speak, Telephones
from beckon.sandbox.twins import Twins
from beckon.sandbox.twins.whatsapp_cloud import Twin as WhatsAppTwin
from beckon.sandbox.twins.whatsapp_cloud import registrations
from beckon.sandbox.wvp import Config, create
from beckon.settings import ServerSettings
from beckon.starting import new_key, new_person, write_example
from beckon.web.sessions import COOKIE, Person, csrf_of

BUSINESS = "Garage Van Dijk"
OWNER = "anouk@garage.example"
PROVIDERS = "/sandbox/providers"
CHECK_IN = "/sandbox/check-in"
ASKED = "/sandbox/store"
#: The secret in the URL by which the store's system asks the line.
_PBX_SECRET = "the-sandbox-store-system"  # noqa: S105 - on loopback, for as long as the demo runs
#: Ports tried after the one that was asked for.
_PORTS_MAX = 20
#: A scenario's day begins on a Tuesday at ten in the morning, in Brussels.
_MORNING_MS = 1_789_459_200_000

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Stage(msgspec.Struct):
    """All of it, running."""

    address: str
    cast: Cast
    beckon: Beckon
    owner: Person


@asynccontextmanager
async def staged(
    folder: Path,
    *,
    clock: DraggableClock | VirtualClock | None = None,
    database_url: str = "",
    listening: socket.socket | None = None,
    edits: Sequence[Edit] = (),
    with_page: bool = False,
    by_itself: bool = False,
) -> AsyncIterator[Stage]:
    """Write an example workspace into ``folder`` and run everything until the block ends.

    ``listening``: where to serve; None: any free port of loopback. ``by_itself``: webhooks of the twins leave as they
    fall due; otherwise ``Cast.quiet`` posts them. Raises ``Misconfigured`` where the workspace is broken.
    """
    clock = clock or VirtualClock(_MORNING_MS)
    listening = listening or listen(0)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    connections = PooledConnections()
    telephones = Telephones(speaker() if with_page else None, instant=not with_page)
    store = Store(connections, f"{address}/calls/main/uis/{_PBX_SECRET}")
    beckon = Beckon(
        ServerSettings(
            database_url=database_url or f"sqlite:///{folder / 'beckon.db'}",
            workspace=str(folder),
            public_url=address,
            drain_s=2,
        ),
        clock=clock,
        switches={"pretended": telephones.offer},
    )

    def changed(provider: str, person: str) -> None:
        beckon.hub.nudge("main", "sandbox")

    telephones.on_change = lambda: changed("telephones", "")
    twins = Twins(
        connections=connections, clock=clock, webhook_url=f"{address}/hooks/main/{{provider}}", on_change=changed
    )
    async with AsyncExitStack() as ends:
        ends.callback(listening.close)
        ends.push_async_callback(connections.close)
        await twins.start()
        ends.push_async_callback(twins.stop)
        _write(folder, twins, address, (*edits, *([_LOCK_SCREEN] if with_page else [])))
        await beckon.open()
        ends.push_async_callback(beckon.close)
        stage, front = await _compose(beckon, twins, clock, address, connections, with_page, telephones, store)
        ends.push_async_callback(stage.cast.wvp.close)
        beckon.start()
        if by_itself:
            ends.push_async_callback(_cancelled, asyncio.create_task(twins.run()))
        server = _Server(_config(front))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await stage.cast.load_store()
        try:
            yield stage
        finally:
            # Live streams end first: the server waits for those who still listen.
            beckon.hub.close()
            server.should_exit = True
            await serving


#: The demo's phone has a lock screen too, last in the order: what the seed says of the others stays as it is.
_LOCK_SCREEN = Edit(
    file="beckon.yaml",
    replace="channels: [oem_app, whatsapp, sms, email]",
    by="channels: [oem_app, whatsapp, sms, email, web_push]",
)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _compose(
    beckon: Beckon,
    twins: Twins,
    clock: DraggableClock | VirtualClock,
    address: str,
    connections: PooledConnections,
    with_page: bool,
    telephones: Telephones,
    store: Store,
) -> "tuple[Stage, Front]":
    library = beckon.workspaces.all()[0]
    whatsapp = twins["whatsapp_cloud"]
    assert isinstance(whatsapp, WhatsAppTwin)
    for template in library.templates.values():
        for registered in registrations(template, address):
            whatsapp.register(registered)
    token = await new_key(beckon.database, library.workspace, "business system", "events read write definitions")
    owner = await new_person(beckon.database, library.workspace, OWNER, secret(12), role="owner", name="Anouk Van Dijk")
    wvp_app = create(
        Config(
            events_url=f"{address}/v1/events",
            api_key=token,
            connections=connections,
            clock=clock,
            key=secret(16).encode(),
            public_url=address + CHECK_IN,
            business_name=BUSINESS,
            business_phone="+32 2 555 01 00",
            frame_ancestors="'self'",
        )
    )

    def drag(forward_ms: int) -> None:
        clock.drag(forward_ms)
        beckon.wake()

    async def sign_in() -> tuple[str, str]:
        session = await beckon.sessions.open_for(owner)
        return f"{COOKIE}={session}", csrf_of(session)

    cast = Cast(
        Parts(
            address=address,
            mounted=PROVIDERS,
            api_key=token,
            workspace=library.workspace,
            clock=clock,
            drag=drag,
            reader=beckon.database,
            connections=connections,
            twins=twins,
            wvp=wvp_app.state.wvp,
            telephones=telephones,
            store=store,
            quiet=lambda: _quiet(beckon, cast),
            sign_in=sign_in,
        )
    )
    page = (
        Page(cast=cast, hub=beckon.hub, sessions=beckon.sessions, owner=owner, library=library) if with_page else None
    )
    front = Front(beckon, {PROVIDERS: twins.app, CHECK_IN: wvp_app, ASKED: store.app}, page)
    return Stage(address, cast, beckon, owner), front


async def _quiet(beckon: Beckon, cast: Cast) -> None:
    """Return when nothing moves: no event to turn, no timer due, nothing to hand over, no webhook to post."""
    calm = 0
    while calm < 3:
        moved = await cast.twins.settle()
        await cast.wvp.reporter.settled()
        await beckon.wheel.settled(beckon.journal.position)
        assert beckon.carrier is not None
        calls = all(getattr(one, "quiet", True) for one in beckon.beside)
        still = beckon.wheel.quiet and beckon.carrier.quiet and calls and cast.telephones.quiet
        calm = 0 if moved or not still else calm + 1
        await asyncio.sleep(0 if calm else 0.001)


def _write(folder: Path, twins: Twins, address: str, edits: Sequence[Edit]) -> None:
    """The example workspace, its providers' accounts at the twins; ``edits`` are a scenario's changes to it."""
    settings = twins.provider_settings(address + PROVIDERS)
    settings["smtp"]["from_name"] = BUSINESS
    write_example(
        folder,
        name=BUSINESS,
        providers=settings,
        checkin_url=address + CHECK_IN,
        offers_url=f"{address}/wallet/{{link}}",
        extra=_TELEPHONY.format(store=STORE, secret=_PBX_SECRET),
    )
    beckon_yaml, script = folder / "beckon.yaml", folder / "scripts" / "courier.yaml"
    host = address.partition("://")[2]
    beckon_yaml.write_text(beckon_yaml.read_text().replace("allowed_hosts: []", f"allowed_hosts: ['{host}']"))
    # Here the switch asks the store's system over a wire that can fail; it asks the line's flows in turn.
    asks = f"ask: {address}{ASKED}/calls"
    script.write_text(script.read_text(encoding="utf-8").replace("ask: flow", asks), encoding="utf-8")
    for edit in edits:
        edit.apply(folder)


_TELEPHONY = """
# Calls: a pretended switch, and the store's system that asks what to do with them.
telephony:
  switch: {{ pretended: {{}} }}
  numbers: {{ "{store}": courier }}
  caller_id: "{store}"
pbx:
  uis: {{ secret: {secret} }}
"""


def speaker() -> Speak | None:
    """espeak-ng, where it is installed."""
    if shutil.which("espeak-ng") is None:
        return None
    espeak = Espeak("espeak-ng", 155)

    async def speak(text: str, locale: str) -> bytes:
        return (await espeak.speak(text, locale, "")).wav

    return speak


class Front:
    """One address for all: the page and the parties under ``/sandbox``, everything else is the server's."""

    def __init__(self, beckon: Beckon, mounts: Mapping[str, Any], page: "Page | None") -> None:
        self._beckon = beckon
        self._mounts = mounts
        self._page = page

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        path = scope["path"]
        for prefix, app in self._mounts.items():
            if path.startswith(prefix + "/"):
                await app({**scope, "root_path": scope.get("root_path", "") + prefix}, receive, send)
                return
        if self._page is not None and (path == "/" or path.startswith("/sandbox")):
            await self._page.app(scope, receive, send)
            return
        await self._beckon.app(scope, receive, _framed(send) if self._page is not None else send)


def _framed(send: _Send) -> _Send:
    """The demo's page shows the console and the customer's pages in frames: it may, and nobody else."""

    async def framed(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                (name, value.replace(b"frame-ancestors 'none'", b"frame-ancestors 'self'"))
                for name, value in message["headers"]
                if name.lower() != b"x-frame-options"
            ]
        await send(message)

    return framed


class _Server(uvicorn.Server):
    """Leaves signals to whoever started it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _is_no_fault(record: logging.LogRecord) -> bool:
    """False for what the sandbox does on purpose: a party that hangs up in the middle of its answer."""
    return record.msg != "ASGI callable returned without completing response."


def _config(app: Any) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(_is_no_fault)
    return uvicorn.Config(
        app,
        http="httptools",
        interface="asgi3",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=2,
        proxy_headers=False,
    )


def listen(port: int) -> socket.socket:
    """A socket on this port of loopback, or the next free one; 0: any."""
    for wanted in range(port, port + _PORTS_MAX) if port else [0]:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", wanted))
        except OSError:
            listening.close()
            continue
        listening.listen(1024)
        listening.setblocking(False)
        return listening
    raise OSError(f"no port between {port} and {port + _PORTS_MAX - 1} is free")
