"""Composition: the only place that knows every part."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from beckon import __version__
from beckon.authoring import facts_of, strange_channels
from beckon.carrier import Carrier
from beckon.core.clock import Clock, SystemClock
from beckon.core.errors import BeckonError, Misconfigured
from beckon.core.event import Event, Json
from beckon.core.ids import secret
from beckon.core.measures import closest
from beckon.core.pace import Pace
from beckon.doors import console, customer, hooks
from beckon.doors.api import routes as api
from beckon.doors.api.events import EventsDoor, Scope, Send
from beckon.doors.api.keys import Keys
from beckon.doors.api.parts import ApiParts, Health
from beckon.doors.customer.book import StoredLinks
from beckon.intake.accept import Intake
from beckon.intake.journal import TableJournal
from beckon.journeys.journey import Journey, described, served
from beckon.journeys.journey import found as found_journeys
from beckon.journeys.part import Allowed, Beside, JourneyParts
from beckon.maintenance import Maintenance
from beckon.outbox.connections import PooledConnections
from beckon.outbox.queue import Queue
from beckon.providers.registry import found as found_providers
from beckon.providers.registry import found_switches
from beckon.settings import ServerSettings, misfit
from beckon.shelf import Shelf
from beckon.store.database import Database, open_database
from beckon.store.migrations import migrate
from beckon.store.postgres import PostgresEngine
from beckon.store.sqlite import SqliteEngine
from beckon.telephony.switch import Asking, Listener, Switch, SwitchOffer
from beckon.web import problems, static
from beckon.web.bodies import Receive
from beckon.web.live import Hub
from beckon.web.operations import Operation
from beckon.web.sessions import Sessions
from beckon.worker import Wheel, ask, settle
from beckon.workspaces import Library, Workspaces, open_workspace, read_settings

log = logging.getLogger("beckon.app")

#: The interpreter hands its lock over after this long: the store's thread and the loop share it fairly.
_SWITCH_S = 0.0005
#: A turn makes some ten thousand values that all go away with it: looking for cycles every 700 is wasted.
_COLLECT = (50_000, 20, 50)


class Beckon:
    """A server: everything opened, turning, and closed again. ``app`` is its ASGI application."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        clock: Clock | None = None,
        extra_routes: Sequence[BaseRoute] = (),
        exclusive: bool = True,
        journeys: Mapping[str, Journey] | None = None,
        switches: Mapping[str, SwitchOffer] | None = None,
    ) -> None:
        self.settings = settings
        #: what it is for: those that were found, unless others are given.
        self.journeys = found_journeys() if journeys is None else journeys
        #: who carries calls: those that were found, unless others are given.
        self._switches = switches
        #: what the journeys run beside the wheel.
        self.beside: list[Beside] = []
        self.clock: Clock = clock or SystemClock()
        self._extra_routes = list(extra_routes)
        self.folder = Path(settings.workspace)
        self.database: Database = open_database(settings.store_url)
        engine = self.database.engine
        if isinstance(engine, SqliteEngine | PostgresEngine):
            engine.exclusive = exclusive
        self.journal = TableJournal(self.database)
        self.queue = Queue(self.database)
        self.workspaces = Workspaces()
        self.hub = Hub()
        self.sessions = Sessions(self.database, self.clock)
        self.connections = PooledConnections()
        self.hooks: dict[tuple[str, str], hooks.Hook] = {}
        #: switches that ask for their instructions by webhooks
        self._asking: dict[tuple[str, str], Asking] = {}
        self.wheel = Wheel(
            database=self.database,
            journal=self.journal,
            clock=self.clock,
            workspaces=self.workspaces,
            queue=self.queue,
            on_queued=self._queued,
            on_topics=self._topics,
            turn_events_max=settings.turn_events_max,
            parts=[journey.part() for journey in self.journeys.values() if journey.part is not None],
            pace=Pace(
                piece_ms=settings.big_piece_ms, goal_ms=settings.big_goal_ms, share_percent=settings.big_share_percent
            ),
        )
        self.intake = Intake(self.database, self.journal, self.clock, self.wheel.wake)
        self.wheel.intake = self.intake
        pacer = self.wheel.pacer
        pacer.busy = lambda: self.intake.busy
        pacer.behind = lambda: self.wheel.position < self.journal.position
        pacer.on_rest = self._queued
        self.carrier: Carrier | None = None
        self.maintenance = Maintenance(self.database, self.clock, settings, tidy=self._tidy)
        self.keys = Keys(self.database, self.clock, settings.key_cache_s)
        self._link_key = b""
        self._running: list[asyncio.Task[None]] = []
        self._starlette: Starlette | None = None
        self._events: EventsDoor | None = None
        #: routes of journeys that are ASGI applications under a fixed path: found without looking through all routes
        self._straight: dict[str, ASGIApp] = {}

    # Opening and closing.

    async def open(self) -> None:
        """Connect, migrate, read the workspace, find where the last process stopped. Raises ``Misconfigured``."""
        try:
            await self._open()
        except BaseException:
            for one in self.beside:
                await one.close(self.settings.drain_s)
            await self.intake.close()
            await self.database.close()
            raise

    async def _open(self) -> None:
        sys.setswitchinterval(_SWITCH_S)
        gc.set_threshold(*_COLLECT)
        read_settings(self.folder)  # a folder that is none is said before anything is made in it
        await self.database.open()
        for name in await migrate(self.database):
            log.info("migrated: %s", name)
        await self.journal.open()
        self._link_key = link_key(self.settings, self.folder)
        library = await open_workspace(
            self.folder,
            database=self.database,
            clock=self.clock,
            event_types={
                type_: schema for journey in self.journeys.values() for type_, schema in journey.event_types.items()
            },
            own_types=tuple(type_ for journey in self.journeys.values() for type_ in journey.own_types),
            kinds=[kind for journey in self.journeys.values() for kind in journey.kinds],
        )
        library.digest_key = blake2b(self._link_key, person=b"forgotten", digest_size=32).digest()
        self._connect(library)
        self.workspaces.add(library)
        console_parts = self._console()
        journey_parts = self._for_journeys(console_parts)
        in_flight = await self.queue.open()
        await self.wheel.open()
        self.carrier = Carrier(
            database=self.database,
            clock=self.clock,
            workspaces=self.workspaces,
            queue=self.queue,
            memory=self.wheel.memory,
            intake=self.intake,
            acts={
                name: act
                for journey in self.journeys.values()
                if journey.acts is not None
                for name, act in journey.acts(journey_parts).items()
            },
            address=self.settings.address,
            link_key=self._link_key,
            in_flight_max=self.settings.in_flight_max,
            big_in_flight_max=self.settings.big_in_flight_max,
            pacer=self.wheel.pacer,
        )
        self.wheel.carrier = self.carrier
        await self.carrier.recover(in_flight)
        panels = [
            panel
            for journey in self.journeys.values()
            if journey.panels is not None
            for panel in journey.panels(journey_parts)
        ]
        self._starlette = self._doors(
            msgspec.structs.replace(console_parts, panels=tuple(panels)),
            [
                route
                for journey in self.journeys.values()
                if journey.routes is not None
                for route in journey.routes(journey_parts)
            ],
            served(self.journeys, journey_parts),
        )
        self.beside += [
            one
            for journey in self.journeys.values()
            if journey.beside is not None
            for one in journey.beside(journey_parts)
        ]
        for one in self.beside:
            await one.open()
        for why in strange_channels(library.settings, library.channels):
            log.warning("beckon.yaml: %s", why)
        gc.collect()
        gc.freeze()  # what is here now stays: the collector need not look at it again

    def start(self) -> None:
        """Turn and carry until ``close``."""
        assert self.carrier is not None
        parts = (self.wheel.run(), self.carrier.run(), self.maintenance.run())
        self._running = [asyncio.create_task(part) for part in parts]
        for task in self._running:
            task.add_done_callback(_ended)
        self.wheel.wake()

    async def close(self) -> None:
        """Finish what is in hand; what waits, waits in the store."""
        self.hub.close()
        for one in self.beside:
            await one.close(self.settings.drain_s)
        if self.carrier is not None:
            self.carrier.begin_nothing()
        self.wheel.close()
        self.maintenance.close()
        # The wheel first: a turn that is being written hands over the messages that it admitted, and the carrier
        # waits for them.
        if self._running:
            await asyncio.wait(self._running, timeout=self.settings.drain_s)
        if self.carrier is not None:
            await self.carrier.close(self.settings.drain_s)
        await self.intake.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        providers = found_providers()
        for library in self.workspaces.all():
            for channel in library.channels.values():
                provider = providers.get(channel.provider)
                if provider is not None and provider.close is not None:
                    await provider.close(channel)
            if isinstance(library.outside, PooledConnections):
                await library.outside.close()
        await self.connections.close()
        await self.database.close()

    def _queued(self) -> None:
        if self.carrier is not None:
            self.carrier.wake()

    def _topics(self, topics: set[tuple[str, str]], position: int) -> None:
        by_workspace: dict[str, list[str]] = {}
        for workspace, topic in topics:
            by_workspace.setdefault(workspace, []).append(topic)
        for workspace, names in by_workspace.items():
            self.hub.publish(workspace, names, position)

    async def _tidy(self) -> bool:
        return any([await one.tidy() for one in self.beside])

    def wake(self) -> None:
        """The clock was dragged: look at every timer again."""
        self.wheel.wake()
        if self.carrier is not None:
            self.carrier.wake()
        for one in self.beside:
            one.wake()

    async def settle(self, events: Sequence[Event]) -> list[Any]:
        """Accept, and wait until the wheel has turned."""
        return list(await settle(self.wheel, self.intake, events))

    def _connect(self, library: Library) -> None:
        """Open the workspace's accounts with its providers."""
        providers = found_providers()
        for name, fields in library.settings.providers.items():
            provider = providers.get(name)
            if provider is None:
                raise Misconfigured(
                    "provider.unknown",
                    f"beckon.yaml names the provider {name!r}; there are {', '.join(sorted(providers))}"
                    + closest(name, providers).rstrip("."),
                )
            try:
                given = msgspec.convert(fields, provider.settings)
            except msgspec.ValidationError as error:
                why = misfit(error, provider.settings, f"providers.{name}")
                raise Misconfigured("provider.settings", f"beckon.yaml: {why}") from error
            library.channels[provider.channel] = provider.open(given, self.connections)
            self.hooks[library.workspace, name] = hooks.Hook(provider, given)
        library.outside = PooledConnections(public_only=True, allowed=frozenset(library.settings.allowed_hosts))

    # The HTTP side.

    def _console(self) -> console.ConsoleParts:
        return console.ConsoleParts(
            reader=self.database,
            accept=self._accept_one,
            sessions=self.sessions,
            hub=self.hub,
            clock=self.clock,
            library=self._shelf,
            cards=tuple(card for journey in self.journeys.values() for card in journey.cards),
            bubbles={kind: name for journey in self.journeys.values() for kind, name in journey.bubbles.items()},
            rail=tuple((one.path, one.icon, one.word) for journey in self.journeys.values() for one in journey.rail),
        )

    def _for_journeys(self, console_parts: console.ConsoleParts) -> JourneyParts:
        return JourneyParts(
            reader=self.database,
            clock=self.clock,
            workspaces=self.workspaces,
            hub=self.hub,
            accept=self.intake.accept,
            settle=self.settle,
            ask=self._ask,
            piece=self.wheel.pacer.piece,
            switch=self._switch,
            allow=self._allow,
            signed=lambda view: console.signed(console_parts, view),
            address=self.settings.address,
            link_key=self._link_key,
            body_size_bytes_max=self.settings.body_size_bytes_max,
        )

    async def _ask(self, event: Event, timeout_s: float) -> Json:
        return await ask(self.wheel, self.intake, event, timeout_s)

    def _switch(
        self, workspace: str, name: str, fields: Mapping[str, object], folder: Path, listener: Listener
    ) -> Switch:
        offers = found_switches() if self._switches is None else self._switches
        offer = offers.get(name)
        if offer is None:
            raise Misconfigured(
                "switch.unknown",
                f"beckon.yaml names the switch {name!r}; there are {', '.join(sorted(offers)) or 'none'}",
                field="telephony.switch",
            )
        if "folder" in offer.settings.__struct_fields__:
            fields = {**fields, "folder": str(folder / str(fields.get("folder", "")))}
        if "hook_url" in offer.settings.__struct_fields__:
            fields = {"hook_url": f"{self.settings.address}/hooks/{workspace}/{name}", **fields}
        try:
            switch = offer.open(msgspec.convert(fields, offer.settings), self.clock, listener)
        except msgspec.ValidationError as error:
            why = misfit(error, offer.settings, f"telephony.switch.{name}")
            raise Misconfigured("switch.settings", f"beckon.yaml: {why}") from error
        if isinstance(switch, Asking):
            self._asking[workspace, name] = switch
        return switch

    async def _allow(self, authorization: str, scope: str) -> Allowed:
        key = await self.keys.check(authorization, scope)
        return Allowed(key.workspace, key.label)

    def _doors(
        self,
        console_parts: console.ConsoleParts,
        of_journeys: Sequence[BaseRoute],
        operations: Sequence[Operation],
    ) -> Starlette:
        self._events = EventsDoor(
            keys=self.keys,
            workspaces=self.workspaces,
            intake=self.intake,
            database=self.database,
            clock=self.clock,
            body_size_bytes_max=self.settings.body_size_bytes_max,
            batch_events_max=self.settings.batch_events_max,
        )
        self._straight = {
            route.path: route.app
            for route in of_journeys
            if isinstance(route, Route) and route.methods is None and "{" not in route.path
        }
        routes: list[BaseRoute] = [
            Route("/healthz", self._health, methods=["GET"]),
            Route("/", self._home, methods=["GET"]),
            *hooks.routes(self.hooks, self.intake, self.clock, self.settings.address, self._asking),
            *of_journeys,  # before the API: that one says of everything else under /v1 that there is nothing
            *api.routes(
                ApiParts(
                    reader=self.database,
                    settle=self.settle,
                    workspaces=self.workspaces,
                    keys=self.keys,
                    clock=self.clock,
                    facts=facts_of,
                    health=self._line,
                    body_size_bytes_max=self.settings.body_size_bytes_max,
                ),
                operations,
                described(self.journeys),
            ),
            *console.routes(console_parts),
            *customer.routes(
                customer.CustomerDoor(
                    book=StoredLinks(self.database, self.workspaces, self.intake.accept),
                    key=self._link_key,
                    clock=self.clock,
                )
            ),
            *static.routes(),
            *self._extra_routes,
        ]
        starlette = Starlette(
            routes=routes,
            exception_handlers={
                BeckonError: problems.on_error,
                HTTPException: problems.on_http_exception,
                Exception: problems.on_fault,
            },
        )
        starlette.state.clock = self.clock
        return starlette

    async def _accept_one(self, event: Event) -> object:
        """One event from a page, which shows what came of it."""
        return await self.settle([event])

    def _line(self, workspace: str) -> Health:
        """How the line stands, for the API."""
        library = self.workspaces.get(workspace)
        carrier = self.carrier
        paused: dict[str, str] = {}
        if library is not None and carrier is not None:
            for channel in library.channels.values():
                why = carrier.paused(workspace, channel.provider)
                if why:
                    paused[channel.provider] = why
        return Health(
            position=self.journal.position,
            turned=self.wheel.position,
            waiting=len(self.queue),
            paused=paused,
            version=__version__,
            store=self.database.dialect,
        )

    def _shelf(self, workspace: str) -> Shelf:
        library = self.workspaces.get(workspace)
        if library is None:
            raise Misconfigured("workspace.missing", f"the workspace {workspace!r} is not served here")
        return Shelf(library)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application: the hot paths first, all else by Starlette."""
        if scope["type"] == "http" and scope["path"] == "/v1/events" and scope["method"] == "POST":
            assert self._events is not None
            await self._events(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] in self._straight:
            await self._straight[scope["path"]](scope, receive, send)
            return
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        assert self._starlette is not None
        await self._starlette(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.open()
        except BeckonError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        self.start()
        name = self.workspaces.all()[0].settings.name
        log.info("%s at %s; the team signs in at %s/console/", name, self.settings.address, self.settings.address)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _health(self, request: Request) -> Response:
        lag = self.journal.position - self.wheel.position
        return Response(f'{{"ok":true,"behind":{lag},"waiting":{len(self.queue)}}}', media_type="application/json")

    async def _home(self, request: Request) -> Response:
        return RedirectResponse("/console/", 303)


@asynccontextmanager
async def running(settings: ServerSettings, *, clock: Clock | None = None) -> AsyncIterator[Beckon]:
    """An opened server without a socket: for tests and scenarios."""
    beckon = Beckon(settings, clock=clock)
    await beckon.open()
    beckon.start()
    try:
        yield beckon
    finally:
        await beckon.close()


def link_key(settings: ServerSettings, folder: Path) -> bytes:
    """The key that signs links: the setting, or one made once and kept beside the workspace."""
    if settings.secret_key:
        return settings.secret_key.encode()
    file = folder / ".secret"
    try:
        return file.read_bytes()
    except FileNotFoundError:
        key = secret(32).encode()
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(key)
        return key


def _ended(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("a part of the server ended", exc_info=task.exception())
