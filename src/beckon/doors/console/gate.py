"""The gate: every page of the console goes through it. Who asks, for which workspace, and did our own form send it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from beckon.core import ids
from beckon.core.errors import BeckonError, Refused
from beckon.core.event import Event
from beckon.doors.console import reading, words
from beckon.doors.console.parts import ConsoleParts, Library
from beckon.inbox.acts import Actor
from beckon.web.pages import page
from beckon.web.problems import status_of
from beckon.web.sessions import Session, require_csrf

SIGN_IN = "/console/sign-in"
HOME = "/console/conversations"
_FORM_TEXT_MAX = 20_000
_ONCE_MAX = 64


class Visit:
    """One request of a signed-in person."""

    def __init__(self, parts: ConsoleParts, request: Request, session: Session) -> None:
        self.parts = parts
        self.request = request
        self.session = session
        self.workspace = session.person.workspace
        self.reader = parts.reader
        self.now_ms = parts.clock.now_ms()
        self.library: Library = parts.library(self.workspace)
        # Before anything is read: what changes from now on, the page's stream tells it.
        self._seen = parts.hub.mark(self.workspace)

    @property
    def by_htmx(self) -> bool:
        """Whether a script of the page asks, not the browser itself."""
        return self.request.headers.get("hx-request") == "true"

    def query(self, name: str, most: int = 200) -> str:
        """A query parameter, at most ``most`` characters of it."""
        return _printable(self.request.query_params.get(name, ""))[:most].strip()

    def path(self, name: str) -> str:
        """A part of the address."""
        return _printable(str(self.request.path_params[name]))[:120]

    async def field(self, name: str) -> str:
        """A field of the form that was sent. Raises ``Refused`` for one that is too long."""
        form = await self.request.form(max_fields=200, max_files=0)
        value = form.get(name)
        text = value.replace("\x00", "") if isinstance(value, str) else ""
        if len(text) > _FORM_TEXT_MAX:
            raise Refused("form.too_large", f"A field holds at most {_FORM_TEXT_MAX} characters.", field=name)
        return text

    async def actor(self) -> Actor:
        """Who acts, with the form's token, so that a form that was sent twice acts once."""
        once = (await self.field("once"))[:_ONCE_MAX] or ids.fresh("once")
        return Actor(self.workspace, self.session.person.id, now_ms=self.now_ms, once=once)

    async def say(self, event: Event) -> None:
        """Hand an event in; it is durable when this returns."""
        await self.parts.accept(event)

    async def show(
        self, name: str, /, *, topics: tuple[str, ...] = (), http_status: int = 200, **context: Any
    ) -> Response:
        """A page (or a region of it) with what all of them carry. ``topics``: what makes it look again.

        A journey's own template is named with its area: ``loyalty_offers/members.html``.
        """
        unread = await reading.unread(self.reader, self.workspace)
        return page(
            self.request,
            name if "/" in name else f"console/{name}",
            status=http_status,
            now_ms=self.now_ms,
            time_zone=self.library.time_zone,
            person=self.session.person,
            csrf=self.session.csrf,
            once=ids.fresh("once"),
            workspace_name=self.library.name,
            unread_total=unread,
            topics=topics,
            live_at=self._seen,
            live_url="/console/live?" + "&".join(f"topic={quote(topic)}" for topic in topics) if topics else "",
            here=self.here,
            channel_word=words.channel_word,
            rail=self.parts.rail,
            elsewhere=("/console/flows", "/console/templates", *(path for path, _, _ in self.parts.rail)),
            until=self._until,
            **context,
        )

    def _until(self, at_ms: int) -> str:
        return words.until(at_ms, self.now_ms, self.library.time_zone)

    @property
    def here(self) -> str:
        """The page's own address with its query: what a live region asks again."""
        url = self.request.url
        if self.request.method == "POST":  # a form's page is the one above it
            return url.path.rpartition("/")[0]
        return f"{url.path}?{url.query}" if url.query else url.path

    async def missing(self, what: str) -> Response:
        """The page for what isn't there, or belongs to another workspace: the two look the same."""
        return await self.show("missing.html", http_status=404, title="Not found", what=what)


View = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def signed(parts: ConsoleParts, view: View) -> Endpoint:
    """A view for signed-in people only; what it posts carries the session's CSRF token."""

    async def endpoint(request: Request) -> Response:
        session = await parts.sessions.find(request)
        if session is None:
            return _to_sign_in(request)
        visit = Visit(parts, request, session)
        try:
            if request.method not in ("GET", "HEAD"):
                await require_csrf(request, session)
            return await view(visit)
        except BeckonError as error:
            return await _refused(visit, error)

    return endpoint


async def gather(*asked: Awaitable[Any]) -> list[Any]:
    """Ask several questions at once."""
    return list(await asyncio.gather(*asked))


def to(request: Request, url: str) -> Response:
    """Go on to another page after a form."""
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})


def own_path(url: str) -> str:
    """``url`` where it is a path of the console, else the console's first page: no link leads out of it."""
    if url.startswith("/console/") and "\\" not in url and "//" not in url and url.isprintable():
        return url
    return HOME


def _printable(text: str) -> str:
    # No database takes every character, and no name of ours has those.
    return "".join(filter(str.isprintable, text))


def _to_sign_in(request: Request) -> Response:
    back = request.url.path if request.method in ("GET", "HEAD") else HOME
    url = f"{SIGN_IN}?next={quote(own_path(back))}"
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": url, "Cache-Control": "no-store"})
    return to(request, url)


async def _refused(visit: Visit, error: BeckonError) -> Response:
    template = "alert.html" if visit.by_htmx else "refused.html"
    return await visit.show(
        template, http_status=status_of(error), title="That didn't work", error=error, code=error.code, why=error.why
    )


class Flash(msgspec.Struct, frozen=True):
    """What a page says about what was just done."""

    tone: str
    text: str
