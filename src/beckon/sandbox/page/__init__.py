"""The demo's page: one page that shows a visitor all parties of a story at once, live, and lets them act for each.

It is served beside the real server and knows it only by its doors; what it shows of the line it reads as the console
does. The visitor is signed in as the workspace's first owner: the demo listens on this machine alone. ``scenes`` are
the stories; what is here is the same for all of them.
"""

from typing import Any

import msgspec
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from beckon.core.errors import BeckonError, Refused
from beckon.sandbox.cast import Cast
from beckon.sandbox.page import shown
from beckon.sandbox.page.scenes import Scene, SceneMaker, Somebody
from beckon.sandbox.page.scenes.calls import Calls
from beckon.sandbox.page.scenes.loyalty import Loyalty
from beckon.sandbox.page.scenes.visit import ServiceVisit
from beckon.sandbox.people import PROVIDER_OF
from beckon.web import pages, problems
from beckon.web.bodies import read_body
from beckon.web.live import Hub, stream
from beckon.web.sessions import Person, Session, Sessions, csrf_of, require_csrf
from beckon.workspaces import Library

#: The stories that the page tells, in the order of the header.
SCENES: tuple[SceneMaker, ...] = (ServiceVisit, Loyalty, Calls)

_BODY_BYTES_MAX = 65_536
_TEXT_MAX = 1_000
_DRAG_MS_MAX = 31 * 24 * 3_600_000
_SEEN_MAX = 5_000
_RETRY_AFTER_S = 8
#: What a visitor may look at in the phone: messages' HTML, with its own styles and nothing else.
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'"
)


class Page:
    """The page's routes and what it remembers: the scenes, and which messages were looked at."""

    def __init__(self, *, cast: Cast, hub: Hub, sessions: Sessions, owner: Person, library: Library) -> None:
        self._cast = cast
        self._hub = hub
        self._sessions = sessions
        self._owner = owner
        self._library = library
        self._zone = library.settings.time_zone
        made = [make(cast, self._zone) for make in SCENES]
        self.scenes: dict[str, Scene] = {scene.look.name: scene for scene in made}
        self._seen: set[str] = set()
        self._well()
        self._acts = {
            "has": self._has,
            "write": self._write,
            "tap": self._tap,
            "read": self._read,
            "drag": self._drag,
            "fault": self._fault,
            "reset": self._reset,
        }
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/sandbox/state", self._state),
                Route("/sandbox/live", self._live),
                Route("/sandbox/mail/{message:path}", self._mail),
                Route("/sandbox/act/{act}", self._act, methods=["POST"]),
                *[route for scene in made for route in scene.routes],
            ],
            exception_handlers={
                BeckonError: problems.on_error,
                HTTPException: problems.on_http_exception,
                Exception: problems.on_fault,
            },
        )
        self.app.state.clock = cast.clock

    def changed(self) -> None:
        """Something that the journal doesn't know has changed: a phone, a fault, the clock."""
        workspace = self._cast.parts.workspace
        self._hub.nudge(workspace, "sandbox")

    # What is shown.

    async def _page(self, request: Request) -> Response:
        address = self._cast.parts.address
        if request.headers.get("host", "") != address.partition("://")[2]:
            # One origin for the page and the links in messages; and no other site's name leads in here.
            return RedirectResponse(address + "/", 302)
        session = await self._sessions.find(request)
        token = "" if session is not None else await self._sessions.open_for(self._owner)
        scene = self._scene(request.query_params.get("scene", ""))
        scene.opened()
        now_ms = self._cast.clock.now_ms()
        response = pages.page(
            request,
            "page/demo.html",
            frame_src="'self'",
            now_ms=now_ms,
            time_zone=self._zone,
            csrf=session.csrf if session is not None else csrf_of(token),
            looks=[one.look for one in self.scenes.values()],
            look=scene.look,
            regions=await self._regions(scene, scene.somebody(""), ""),
        )
        if token:
            self._sessions.put_cookie(request, response, token)
        return response

    async def _regions(self, scene: Scene, who: Somebody, run: str) -> dict[str, Any]:
        cast, now_ms, look = self._cast, self._cast.clock.now_ms(), scene.look
        customer = who.customer
        seen = await shown.look(cast, customer)
        context: dict[str, Any] = {"now_ms": now_ms, "time_zone": self._zone, "look": look}

        def region(name: str, **more: Any) -> Any:
            return Markup(pages.render(f"page/{name}.html", **context, **more))  # noqa: S704 -- a template's, escaped

        regions = {
            "reach": region("reach", **shown.reach(customer, look.channels, bool(seen.contact))),
            "flow": region("flow", flow=shown.flow(self._library, seen, look.flow_titles, run, now_ms)),
            "choice": region("choice", **shown.choice(self._library, seen)),
            "faults": region("faults", providers=shown.faults(cast, look.channels)),
        }
        for app in look.apps:
            if app.channel in PROVIDER_OF:
                messages = shown.app_messages(cast, customer, app.channel, self._zone)
                regions[f"app-{app.channel}"] = region("app", channel=app.channel, shown=messages)
        for name, (template, words) in (await scene.regions(who, seen)).items():
            regions[name] = region(template, **words)
        return regions | {"contact": seen.contact}

    async def _state(self, request: Request) -> Response:
        await self._session(request)
        query = request.query_params
        scene = self._scene(query.get("scene", ""))
        who = scene.somebody(query.get("who", ""))
        regions = await self._regions(scene, who, query.get("run", "")[:80])
        counts, news = shown.newest_unseen(self._cast, who.customer, scene.look.business, self._seen)
        return JSONResponse(
            {
                "who": who.id,
                "name": who.customer.name,
                "contact": regions.pop("contact"),
                "has": shown.apps_of(who.customer.has),
                "now_ms": self._cast.clock.now_ms(),
                "regions": regions,
                "unseen": counts,
                "news": news,
            },
            headers={"Cache-Control": "no-store"},
        )

    async def _live(self, request: Request) -> Response:
        await self._session(request)
        return stream(request, self._hub, self._cast.parts.workspace, ("*",))

    async def _mail(self, request: Request) -> Response:
        await self._session(request)
        try:
            message = self._cast.party("email").find(request.path_params["message"])
        except KeyError:
            raise HTTPException(404) from None
        headers = {"Content-Security-Policy": _MAIL_POLICY, "Cache-Control": "private, max-age=600"}
        return Response(message.html, media_type="text/html", headers=headers)

    # What a visitor does, for each of the parties.

    async def _act(self, request: Request) -> Response:
        session = await self._session(request)
        await require_csrf(request, session)
        try:
            fields = msgspec.json.decode(await read_body(request.receive, _BODY_BYTES_MAX), type=dict[str, Any])
        except msgspec.DecodeError:
            raise Refused("demo.json", "An act is a JSON object.") from None
        scene = self._scene(fields.get("scene"))
        act = request.path_params["act"]
        who = scene.somebody(str(fields.get("who", "")))
        if act in self._acts:
            said = await self._acts[act](scene, who, fields)
        elif act in scene.acts:
            said = await scene.acts[act](who, fields)
        else:
            raise HTTPException(404)
        self.changed()
        return JSONResponse(said)

    async def _has(self, scene: Scene, who: Somebody, fields: dict[str, Any]) -> dict[str, Any]:
        channel = str(fields.get("channel", ""))
        if channel in scene.look.channels:
            scene.has(who, channel, fields.get("on") is True)
        return {}

    async def _write(self, scene: Scene, who: Somebody, fields: dict[str, Any]) -> dict[str, Any]:
        channel, text = str(fields.get("channel", "")), str(fields.get("text", "")).strip()[:_TEXT_MAX]
        if any(app.channel == channel and app.prompt for app in scene.look.apps) and text:
            await self._cast.write(who.customer, channel, text)
        return {}

    async def _tap(self, scene: Scene, who: Somebody, fields: dict[str, Any]) -> dict[str, Any]:
        channel = str(fields.get("channel", ""))
        if channel not in PROVIDER_OF:
            return {}
        try:
            url = await self._cast.party(channel).receive_tap(
                str(fields.get("message", "")), int(fields.get("index", 0))
            )
        except (KeyError, IndexError, ValueError):
            raise HTTPException(404) from None
        return {"url": url}

    async def _read(self, scene: Scene, who: Somebody, fields: dict[str, Any]) -> dict[str, Any]:
        app = str(fields.get("channel", ""))
        for channel in shown.channels_of(app):
            if len(self._seen) > _SEEN_MAX:
                self._seen.clear()
            self._seen.update([message.id for message in self._cast.on_phone(who.customer, channel)])
            await self._cast.read(who.customer, channel)
        return {}

    async def _drag(self, scene: Scene, who: Somebody, fields: dict[str, Any]) -> dict[str, Any]:
        forward_ms = fields.get("ms")
        if type(forward_ms) is int and 0 < forward_ms <= _DRAG_MS_MAX:
            self._cast.parts.drag(forward_ms)
        return {"now_ms": self._cast.clock.now_ms()}

    async def _fault(self, scene: Scene, who: Somebody, fields: dict[str, Any]) -> dict[str, Any]:
        names = [str(fields.get(name, "")) for name in ("provider", "field", "value")]
        if not shown.set_fault(self._cast, *names):
            raise Refused("demo.fault", "There is no such fault.", field="value")
        return {}

    async def _reset(self, scene: Scene, who: Somebody, fields: dict[str, Any]) -> dict[str, Any]:
        self._well()
        # Whoever was asked to wait has waited: the new day begins with nothing held back.
        self._cast.parts.drag(60_000)
        scene.fresh()
        self._seen.clear()
        return {}

    # Odds and ends.

    def _well(self) -> None:
        for name in self._cast.twins.names():
            faults = self._cast.twins[name].faults
            faults.clear()
            # A visitor waits for real: a provider that wants to be left alone wants it shortly.
            faults.retry_after_s = _RETRY_AFTER_S

    async def _session(self, request: Request) -> Session:
        session = await self._sessions.find(request)
        if session is None:
            raise HTTPException(403, "Open the demo's page first.")
        return session

    def _scene(self, name: object) -> Scene:
        return self.scenes.get(str(name)) or next(iter(self.scenes.values()))
