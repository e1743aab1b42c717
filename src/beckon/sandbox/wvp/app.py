"""The check-in app: the business plans visits, the customer opens ``/{slug}`` and is led through six short
steps.

Everything works without JavaScript: each step is a form, each answer a redirect, so that back, forward and a
second tap do no harm. What was typed is kept with the visit, also when the customer only changes the
language.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from beckon.core.clock import Clock, iso
from beckon.core.errors import BeckonError, Refused
from beckon.core.exchange import Connections
from beckon.sandbox.wvp import answers, screens
from beckon.sandbox.wvp.reports import FIRST_DELAY_S, Reporter
from beckon.sandbox.wvp.visits import Plan, Visit, VisitBook
from beckon.web import problems, static
from beckon.web.bodies import read_body
from beckon.web.locales import choose_locale
from beckon.web.previews import is_preview

BODY_BYTES_MAX = 64 * 1024
FORM_BYTES_MAX = 16 * 1024
_FIELDS_MAX = 60


class Config(msgspec.Struct, kw_only=True):
    """What the provider is told: where Beckon listens, with which key, and who it is itself."""

    #: where events are posted: ``https://beckon.example/v1/events``.
    events_url: str
    api_key: str
    connections: Connections
    clock: Clock
    #: signs the slugs.
    key: bytes
    #: where customers open the app, for the ``url`` in answers: ``https://checkin.example``.
    public_url: str = ""
    #: the Bearer that ``POST /visits`` asks for; empty: nobody may.
    business_key: str = ""
    business_name: str = "Garage Vermeulen"
    #: the language of what the team reads (the wishes).
    business_locale: str = "en"
    #: shown where the app can't go on.
    business_phone: str = ""
    source: str = "sandbox/wvp"
    #: whose national numbers are understood: ISO 3166.
    region: str = "BE"
    #: who may show the app in a frame: the demo's phone.
    frame_ancestors: str = "'none'"
    first_retry_s: float = FIRST_DELAY_S


class Wvp:
    """The provider: its visits, and its reports to Beckon."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.visits = VisitBook(config.key)
        self.reporter = Reporter(
            config.connections,
            config.clock,
            lambda: config.events_url,
            lambda: config.api_key,
            config.source,
            config.first_retry_s,
        )

    def plan_visit(self, plan: Plan | None = None, **words: Any) -> Visit:
        """Plan a visit, from a ``Plan`` or its fields by name. The same ``visit`` twice is one visit.

        Raises ``Refused`` (``visit.fields``, ``visit.appointment``, ``visit.contact``).
        """
        if plan is None:
            plan = _read_plan(words)
        return self.visits.plan(plan, self.config.clock.now_ms())

    def start_checkin(self, visit: Visit) -> bool:
        """Say ``checkin.start``; False when that was said before."""
        data = start_data(visit)
        return self.reporter.say("checkin.start", visit.visit, data) is not None

    def url(self, visit: Visit) -> str:
        """Where the customer checks in."""
        return f"{self.config.public_url.rstrip('/')}/{visit.slug}"

    def opened(self, visit: Visit) -> None:
        """The customer opened the app, for the first time or again: the first is reported."""
        if not visit.opened_ms:
            visit.opened_ms = self.config.clock.now_ms()
            self.reporter.say(
                "checkin.opened",
                visit.visit,
                {
                    "visit": visit.visit,
                    "contact": visit.contact,
                    "locale": visit.locale,
                    "opened_at": iso(visit.opened_ms),
                },
            )

    def finish(self, visit: Visit) -> None:
        """Take the check-in as complete and report it. A second time changes nothing."""
        if visit.finished_ms:
            return
        now_ms = self.config.clock.now_ms()
        visit.result = screens.result(visit, self.config, now_ms)
        self.reporter.say("checkin.finished", visit.visit, visit.result)
        visit.finished_ms = now_ms

    async def close(self) -> None:
        """Stop reporting."""
        await self.reporter.close()


def start_data(visit: Visit) -> dict[str, Any]:
    """The ``data`` of ``checkin.start``: also for a business system that posts it by itself."""
    data: dict[str, Any] = {"visit": visit.visit, "slug": visit.slug, "contact": visit.contact}
    if visit.appointment is not None:
        data["appointment"] = msgspec.to_builtins(visit.appointment)
    data["vehicle"] = msgspec.to_builtins(visit.vehicle)
    return data


def create(config: Config) -> Starlette:
    """The provider as an app of its own; ``app.state.wvp`` is the ``Wvp`` behind it."""
    wvp = Wvp(config)

    def route(path: str, view: Callable[[Wvp, Request], Awaitable[Response]], *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return await view(wvp, request)

        return Route(path, endpoint, methods=list(methods), name=view.__name__)

    app = Starlette(
        routes=[
            *static.routes(),
            route("/visits", plan, "POST"),
            route("/{slug}", welcome, "GET"),
            route("/{slug}/done", done, "GET"),
            route("/{slug}/visit.ics", calendar, "GET"),
            route("/{slug}/{step}", show_step, "GET"),
            route("/{slug}/{step}", take_step, "POST"),
        ],
        exception_handlers={
            BeckonError: problems.on_error,
            HTTPException: _not_found_page(wvp),
        },
    )
    app.state.wvp = wvp
    app.state.clock = config.clock
    return app


async def plan(wvp: Wvp, request: Request) -> Response:
    """``POST /visits``: the business plans a visit, and may have its check-in started at once."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    wanted = wvp.config.business_key
    if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
        raise Refused("visit.key", "Planning a visit wants the business's key as a Bearer token.")
    words = _decode(await read_body(request.receive, BODY_BYTES_MAX))
    plan = _read_plan(words)
    visit = wvp.plan_visit(plan)
    started = wvp.start_checkin(visit) if plan.start else False
    return Response(
        msgspec.json.encode({"visit": visit.visit, "slug": visit.slug, "url": wvp.url(visit), "started": started}),
        status_code=201,
        media_type="application/json",
    )


async def welcome(wvp: Wvp, request: Request) -> Response:
    """``GET /{slug}``: what is planned, and the button to begin."""
    visit, closed = _find(wvp, request)
    if visit is None or closed is not None:
        return closed or _unknown(wvp, request)
    if visit.finished_ms:
        return _go(request, visit, "done")
    if not is_preview(request.method, request.headers):
        wvp.opened(visit)
    return screens.welcome(request, wvp.config, visit)


async def show_step(wvp: Wvp, request: Request) -> Response:
    """``GET /{slug}/{step}``: the step's form with what was typed; ``?check`` shows its faults."""
    visit, closed = _find(wvp, request)
    step = request.path_params["step"]
    if visit is None or closed is not None:
        return closed or _unknown(wvp, request)
    if step not in answers.STEPS:
        return _unknown(wvp, request, visit)
    if visit.finished_ms:
        return _go(request, visit, "done")
    if not is_preview(request.method, request.headers):
        wvp.opened(visit)
    return screens.step(request, wvp.config, visit, step, show_faults="check" in request.query_params)


async def take_step(wvp: Wvp, request: Request) -> Response:
    """``POST /{slug}/{step}``: keep what was typed, then go where the button says."""
    visit, closed = _find(wvp, request)
    step = request.path_params["step"]
    if visit is None or closed is not None:
        return closed or _unknown(wvp, request)
    if step not in answers.STEPS:
        return _unknown(wvp, request, visit)
    form = _form(request, await read_body(request.receive, FORM_BYTES_MAX))
    if visit.finished_ms:
        return _go(request, visit, "done")
    button = {name: form[name][0] for name in ("lang", "go") if name in form}
    written_ms = answers.written_ms(form)
    if button.get("go") == "keep" and written_ms < visit.written_ms.get(step, 0):
        return Response(status_code=204)  # overtaken by what was written later
    visit.written_ms[step] = written_ms
    visit.typed.update(answers.keep(step, form))
    if button.get("go") == "keep":  # the page's script, while somebody types
        return Response(status_code=204)
    returning = "&return=1" if "return" in form else ""
    if "lang" in button:
        visit.locale = choose_locale(button["lang"], default=visit.locale or "en")
        return _go(request, visit, f"{step}?lang={visit.locale}{returning}")
    if button.get("go") == "back":
        place = answers.STEPS.index(step)
        return _go(request, visit, answers.STEPS[place - 1] if place else "")
    if answers.check(step, visit.typed, screens.rules(visit, wvp.config.region)).faults:
        return _go(request, visit, f"{step}?check=1{returning}#wrong")
    visit.sent.add(step)
    if step == "review":
        return _send(wvp, request, visit)
    if returning:
        return _go(request, visit, "review")
    return _go(request, visit, answers.STEPS[answers.STEPS.index(step) + 1])


def _send(wvp: Wvp, request: Request, visit: Visit) -> Response:
    """Finish, or lead to the first step that isn't right yet."""
    for step in answers.STEPS:
        if answers.check(step, screens.filled(visit), screens.rules(visit, wvp.config.region)).faults:
            return _go(request, visit, f"{step}?check=1&return=1#wrong")
    wvp.finish(visit)
    return _go(request, visit, "done")


async def done(wvp: Wvp, request: Request) -> Response:
    """``GET /{slug}/done``: thanks, and what comes next."""
    visit, closed = _find(wvp, request, finished_too=True)
    if visit is None or closed is not None:
        return closed or _unknown(wvp, request)
    if not visit.finished_ms:
        return _go(request, visit, "")
    return screens.done(request, wvp.config, visit)


async def calendar(wvp: Wvp, request: Request) -> Response:
    """``GET /{slug}/visit.ics``: the appointment for the customer's calendar."""
    visit, closed = _find(wvp, request, finished_too=True)
    if visit is None or visit.appointment is None or closed is not None:
        return closed or _unknown(wvp, request)
    return Response(
        screens.calendar(visit, wvp.config, screens.locale_of(request, visit)),
        media_type="text/calendar",
        headers={"Content-Disposition": 'attachment; filename="visit.ics"', "Cache-Control": "no-store"},
    )


def _find(wvp: Wvp, request: Request, *, finished_too: bool = False) -> tuple[Visit | None, Response | None]:
    """The visit of this slug, and the page to show instead when it is over. Takes the language that was
    asked for."""
    visit = wvp.visits.at(request.path_params["slug"])
    if visit is None:
        return None, None
    wanted = request.query_params.get("lang")
    if wanted:
        visit.locale = choose_locale(wanted, visit.locale, visit.customer.locale)
    elif not visit.locale and not is_preview(request.method, request.headers):
        # What was shown first is what they keep, and what their consent is written in.
        visit.locale = screens.locale_of(request, visit)
    if visit.over(wvp.config.clock.now_ms()) and not visit.finished_ms and not finished_too:
        return visit, screens.closed(request, wvp.config, visit)
    return visit, None


def _go(request: Request, visit: Visit, where: str) -> Response:
    base = request.scope.get("root_path", "")
    target = f"{base}/{visit.slug}" + (f"/{where}" if where else "")
    return RedirectResponse(target, status_code=303, headers={"Cache-Control": "no-store"})


def _unknown(wvp: Wvp, request: Request, visit: Visit | None = None) -> Response:
    return screens.unknown(request, wvp.config, visit)


def _not_found_page(wvp: Wvp) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 404 and request.method in ("GET", "HEAD"):
            return screens.unknown(request, wvp.config, None)
        return await problems.on_http_exception(request, error)

    return answer


def _form(request: Request, body: bytes) -> dict[str, list[str]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused("form.media_type", "A step is sent as application/x-www-form-urlencoded.")
    try:
        text = body.decode("utf-8")
        return parse_qs(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError as error:  # bad UTF-8, or too many fields
        raise Refused("form.malformed", f"The form can't be read: {error}.") from None


def _decode(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Refused("visit.json", f"The body is no JSON object: {error}") from None


def _read_plan(words: dict[str, Any]) -> Plan:
    try:
        return msgspec.convert(words, Plan, str_keys=True)
    except msgspec.ValidationError as error:
        sentence, _, where = str(error).partition(" - at ")
        raise Refused("visit.fields", f"{sentence}.", field=where.strip("`").removeprefix("$.") or None) from None
