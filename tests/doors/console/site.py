"""The console over the story, as an application: for the tests, and to look at by hand.

``python -m tests.doors.console.site 8123`` serves it; every act is kept in a list and changes nothing.
"""

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette

from beckon.core.blocks import ANY_ROOM
from beckon.core.event import Event
from beckon.core.message import Button, Rendered
from beckon.doors.console import ConsoleParts, FlowProblem, Template, TemplatePreview, routes
from beckon.flows.definition import parse_flow
from beckon.flows.diagram import draw
from beckon.flows.run import Failure, Taken
from beckon.inbox.cards import Card, Field
from beckon.inbox.reading import Reader
from beckon.store.database import Database
from beckon.web import static
from beckon.web.live import Hub
from beckon.web.sessions import Sessions
from tests.doors.console import story

CARD = Card(
    title="Check-in",
    needs=frozenset({"visit", "mileage"}),
    fields=(
        Field("mileage", "Mileage", unit="km"),
        Field("wishes", "Wishes"),
        Field("key_drop", "Key", words={"keybox": "In the key box", "desk": "At the desk"}),
        Field("consent", "Consent to the work"),
    ),
    quiet=frozenset({"visit"}),
)


class Shelf:
    """A library of the story's definitions."""

    name = "Garage Peeters"
    time_zone = "Europe/Brussels"
    inboxes: Mapping[str, str] = {"service-advisors": "Service advisors", "parts": "Parts desk"}
    channel_order: Sequence[str] = ("oem_app", "whatsapp", "sms", "email")

    def drawing(
        self,
        flow: str,
        version: str,
        taken: Sequence[Taken] = (),
        current: str = "",
        *,
        ended: bool = False,
        failed: Failure | None = None,
        room: float = ANY_ROOM,
    ) -> str | None:
        found = {known.version: known for known in map(parse_flow, story.FLOWS)}.get(version)
        if found is None:
            return None
        return draw(found, taken=taken, current=current or None, ended=ended, failed=failed, room=room)

    def problems(self, flow: str) -> Sequence[FlowProblem]:
        if flow == "service-status":
            return (
                FlowProblem(
                    "warning",
                    "template.unknown",
                    "The template approval_request is not defined.",
                    "steps.0.choose.1.then.0",
                ),
            )
        return ()

    def starts_on(self, flow: str) -> Sequence[str]:
        return {"service-checkin-invite": ("checkin.start",)}.get(flow, ("service.status",))

    def templates(self) -> Sequence[Template]:
        return (
            Template(
                "checkin_invite",
                "transactional",
                ("en", "fr", "nl-BE"),
                ("slug",),
                "Hello Anna, your visit is on Monday. Check in online now.",
            ),
            Template("checkin_confirmation", "transactional", ("en",), (), "Thank you! See you on Monday."),
            Template("car_ready", "transactional", ("en", "de"), (), "Your car is ready."),
        )

    def previews(self, template: str, locale: str) -> Sequence[TemplatePreview]:
        text = "Hello Anna, your visit is on Monday 23 November at 8:30.\nCheck in now and skip the queue."
        link = Button("link", "Start check-in", "https://go.garage.example/go/8Fh2kQ")
        return (
            TemplatePreview("oem_app", locale, Rendered(text=text, buttons=(link,))),
            TemplatePreview("whatsapp", locale, Rendered(text=text, buttons=(link,))),
            TemplatePreview("sms", locale, Rendered(text=f"{text} {link.value}")),
            TemplatePreview("email", locale, Rendered(subject="Your visit on Monday", text=text, buttons=(link,))),
        )


class Site:
    """The application, and what was handed in through its forms."""

    def __init__(self, database: Database, reader: Reader | None = None) -> None:
        self.accepted: list[Event] = []
        self.hub = Hub()
        self.clock = story.clock()
        parts = ConsoleParts(
            reader=reader or database,
            accept=self._accept,
            sessions=Sessions(database, self.clock),
            hub=self.hub,
            clock=self.clock,
            library=lambda workspace: Shelf(),
            cards=(CARD,),
        )
        self.app = Starlette(routes=[*routes(parts), *static.routes()])
        self.app.state.clock = self.clock

    async def _accept(self, event: Event) -> None:
        self.accepted.append(event)


@asynccontextmanager
async def served(site: Site, port: int = 0) -> AsyncIterator[str]:
    """The site on a port of its own (or the given one); gives its address."""
    server = uvicorn.Server(uvicorn.Config(site.app, port=port, log_level="warning", lifespan="off"))
    listening = socket.create_server(("127.0.0.1", port))
    turning = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        site.hub.close()
        server.should_exit = True
        await turning


async def _serve(port: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = await story.open_story(f"sqlite:///{folder}/story.db")
        async with served(Site(database), port):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
