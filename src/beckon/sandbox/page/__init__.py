"""The demo's page: one page that shows a visitor all three parties at once, live, and lets them act for each.

It is served beside the real server and knows it only by its doors; what it shows of the line it reads as the console
does. The visitor is signed in as the workspace's first owner: the demo listens on this machine alone.
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
from beckon.sandbox.cast import Answer, Cast, pretty
from beckon.sandbox.page import shown
from beckon.sandbox.page.day import Day, Planned
from beckon.sandbox.people import CHANNELS
from beckon.web import pages, problems
from beckon.web.bodies import read_body
from beckon.web.live import Hub, stream
from beckon.web.sessions import Person, Session, Sessions, csrf_of, require_csrf
from beckon.workspaces import Library

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
    """The page's routes and what it remembers: the day, and which messages were looked at."""

    def __init__(self, *, cast: Cast, hub: Hub, sessions: Sessions, owner: Person, library: Library) -> None:
        self._cast = cast
        self._hub = hub
        self._sessions = sessions
        self._owner = owner
        self._library = library
        self._zone = library.settings.time_zone
        self.day = Day(cast, self._zone)
        self._seen: set[str] = set()
        self._well()
        self._acts = {
            "event": self._event,
            "send": self._send,
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
                Route("/sandbox/video/{slug}", self._video, methods=["GET", "POST"]),
                Route("/sandbox/pay/{slug}", self._pay, methods=["GET", "POST"]),
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
        self._hub.publish(workspace, ("sandbox",), self._hub.position(workspace))

    # What is shown.

    async def _page(self, request: Request) -> Response:
        address = self._cast.parts.address
        if request.headers.get("host", "") != address.partition("://")[2]:
            # One origin for the page and the links in messages; and no other site's name leads in here.
            return RedirectResponse(address + "/", 302)
        session = await self._sessions.find(request)
        token = "" if session is not None else await self._sessions.open_for(self._owner)
        chosen = next(iter(self.day.planned.values()))
        now_ms = self._cast.clock.now_ms()
        response = pages.page(
            request,
            "page/demo.html",
            frame_src="'self'",
            now_ms=now_ms,
            time_zone=self._zone,
            csrf=session.csrf if session is not None else csrf_of(token),
            business=self._cast.wvp.config.business_name,
            apps=shown.APPS,
            regions=await self._regions(chosen, ""),
        )
        if token:
            self._sessions.put_cookie(request, response, token)
        return response

    async def _regions(self, planned: Planned, run: str) -> dict[str, Any]:
        cast, now_ms = self._cast, self._cast.clock.now_ms()
        seen = await shown.look(cast, planned)
        context: dict[str, Any] = {"now_ms": now_ms, "time_zone": self._zone}

        def region(name: str, **more: Any) -> Any:
            return Markup(pages.render(f"page/{name}.html", **context, **more))  # noqa: S704 -- a template's, escaped

        regions = {
            "story": region("story", story=shown.story(cast, seen)),
            "visits": region("visits", **shown.visits(self.day, planned.id, seen, self._zone)),
            "reach": region("reach", **shown.reach(planned, bool(seen.contact))),
            "flow": region("flow", flow=shown.flow(self._library, seen, run, now_ms)),
            "choice": region("choice", **shown.choice(self._library, seen)),
            "faults": region("faults", providers=shown.faults(cast)),
        }
        for app in shown.APPS:
            channel = str(app["channel"])
            regions[f"app-{channel}"] = region(
                "app", channel=channel, shown=shown.app_messages(cast, planned, channel, self._zone)
            )
        return regions | {"contact": seen.contact}

    async def _state(self, request: Request) -> Response:
        await self._session(request)
        planned = self._planned(request.query_params.get("visit", ""))
        regions = await self._regions(planned, request.query_params.get("run", "")[:80])
        counts, news = shown.newest_unseen(self._cast, planned, self._seen)
        return JSONResponse(
            {
                "visit": planned.id,
                "name": planned.customer.name,
                "contact": regions.pop("contact"),
                "has": shown.apps_of(planned.customer.has),
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
        act = self._acts.get(request.path_params["act"])
        if act is None:
            raise HTTPException(404)
        try:
            fields = msgspec.json.decode(await read_body(request.receive, _BODY_BYTES_MAX), type=dict[str, Any])
        except msgspec.DecodeError:
            raise Refused("demo.json", "An act is a JSON object.") from None
        said = await act(fields)
        self.changed()
        return JSONResponse(said)

    async def _event(self, fields: dict[str, Any]) -> dict[str, Any]:
        planned = self._planned(fields.get("visit"))
        return _answer(await self.day.send(planned, str(fields.get("event", ""))))

    async def _send(self, fields: dict[str, Any]) -> dict[str, Any]:
        try:
            event = msgspec.json.decode(str(fields.get("body", "")), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Refused("demo.event", f"This is no JSON: {error}", field="body") from None
        return _answer(await self._cast.post(event))

    async def _has(self, fields: dict[str, Any]) -> dict[str, Any]:
        channel = str(fields.get("channel", ""))
        if channel in shown.CHANNELS_SHOWN:
            self.day.has(self._planned(fields.get("visit")), channel, fields.get("on") is True)
        return {}

    async def _write(self, fields: dict[str, Any]) -> dict[str, Any]:
        channel, text = str(fields.get("channel", "")), str(fields.get("text", "")).strip()[:_TEXT_MAX]
        if channel in CHANNELS and text:
            await self._cast.write(self._planned(fields.get("visit")).customer, channel, text)
        return {}

    async def _tap(self, fields: dict[str, Any]) -> dict[str, Any]:
        channel = str(fields.get("channel", ""))
        if channel not in shown.CHANNELS_SHOWN:
            return {}
        try:
            url = await self._cast.party(channel).receive_tap(
                str(fields.get("message", "")), int(fields.get("index", 0))
            )
        except (KeyError, IndexError, ValueError):
            raise HTTPException(404) from None
        return {"url": url}

    async def _read(self, fields: dict[str, Any]) -> dict[str, Any]:
        app = str(fields.get("channel", ""))
        for channel in shown.channels_of(app):
            customer = self._planned(fields.get("visit")).customer
            if len(self._seen) > _SEEN_MAX:
                self._seen.clear()
            self._seen.update([message.id for message in self._cast.on_phone(customer, channel)])
            await self._cast.read(customer, channel)
        return {}

    async def _drag(self, fields: dict[str, Any]) -> dict[str, Any]:
        forward_ms = fields.get("ms")
        if type(forward_ms) is int and 0 < forward_ms <= _DRAG_MS_MAX:
            self._cast.parts.drag(forward_ms)
        return {"now_ms": self._cast.clock.now_ms()}

    async def _fault(self, fields: dict[str, Any]) -> dict[str, Any]:
        names = [str(fields.get(name, "")) for name in ("provider", "field", "value")]
        if not shown.set_fault(self._cast, *names):
            raise Refused("demo.fault", "There is no such fault.", field="value")
        return {}

    async def _reset(self, fields: dict[str, Any]) -> dict[str, Any]:
        self._well()
        # Whoever was asked to wait has waited: the new day begins with nothing held back.
        self._cast.parts.drag(60_000)
        self.day.fresh()
        self._seen.clear()
        return {}

    # Two pages of the workshop's own that its messages lead to.

    async def _video(self, request: Request) -> Response:
        planned = self._behind(request)
        decided = ""
        if request.method == "POST":
            form = await request.form(max_fields=4, max_files=0)
            decided = "declined" if form.get("decision") == "declined" else "approved"
            await self.day.decide(planned, f"work.{decided}")
        else:
            await self.day.decide(planned, "video.viewed")
        return self._customers_page(request, "video", planned, decided)

    async def _pay(self, request: Request) -> Response:
        planned = self._behind(request)
        decided = ""
        if request.method == "POST":
            decided = "paid"
            await self.day.decide(planned, "payment.received")
        return self._customers_page(request, "pay", planned, decided)

    def _customers_page(self, request: Request, name: str, planned: Planned, decided: str) -> Response:
        return pages.page(
            request,
            f"page/{name}.html",
            frame_ancestors="'self'",
            time_zone=self._zone,
            planned=planned,
            business=self._cast.wvp.config.business_name,
            decided=decided,
        )

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

    def _planned(self, visit: object) -> Planned:
        return self.day.planned.get(str(visit)) or next(iter(self.day.planned.values()))

    def _behind(self, request: Request) -> Planned:
        planned = self.day.at(request.path_params["slug"])
        if planned is None:
            raise HTTPException(404)
        return planned


def _answer(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "body": answer.body, "sent": pretty(answer.sent)}
