"""``/go/{code}`` hands a customer over to the page behind a link; ``/stop/{code}`` ends messages; ``/push/{code}``
shows them on this device.

A code that we didn't sign is refused by arithmetic. The address comes from the link's row alone, so that
nobody can make us send a customer anywhere else. Previews and scanners are let through, but are no clicks.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError, Refused
from beckon.doors.customer import push
from beckon.doors.customer.acts import safe_url
from beckon.doors.customer.book import Facts, LinkBook
from beckon.web.bodies import read_body
from beckon.web.links import Link, code_is_ours
from beckon.web.locales import ENDONYMS, choose_locale, read_catalogue
from beckon.web.pages import page
from beckon.web.previews import is_preview

WORDS = read_catalogue(Path(__file__).parent / "locales")
_FORM_BYTES_MAX = 4_096
_log = logging.getLogger(__name__)


class CustomerDoor(msgspec.Struct, frozen=True, kw_only=True):
    """What the doors are handed."""

    book: LinkBook
    #: that the codes were signed with.
    key: bytes
    clock: Clock


def routes(door: CustomerDoor) -> list[BaseRoute]:
    """The customer's routes."""

    def route(path: str, view: Callable[[CustomerDoor, Request], Awaitable[Response]], *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return await view(door, request)

        return Route(path, endpoint, methods=list(methods))

    return [
        route("/go/{code}", go, "GET"),
        route("/stop/{code}", ask_stop, "GET"),
        route("/stop/{code}", take_stop, "POST"),
        Route("/push/worker.js", push.worker, methods=["GET"]),
        route("/push/{code}", ask_push, "GET"),
        route("/push/{code}", take_push, "POST", "DELETE"),
        route("/push/{code}/app.webmanifest", push_manifest, "GET"),
    ]


async def go(door: CustomerDoor, request: Request) -> Response:
    """Open a link: count the click, go to its page."""
    link = await _find(door, request)
    if link is None:
        return _page(request, "unknown", Facts(), status=404)
    url = safe_url(link.url)
    if url is None:
        return _page(request, "unknown", await door.book.facts(link), status=404)
    now_ms = door.clock.now_ms()
    if link.expired(now_ms):
        return _page(request, "gone", await door.book.facts(link), status=410)
    if not is_preview(request.method, request.headers):
        try:
            await door.book.clicked(link, now_ms)
        except BeckonError as error:
            # The customer comes first: a click that can't be counted still opens the page.
            _log.warning("a click on %s wasn't counted: %s", link.code, error)
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
    return RedirectResponse(url, status_code=302, headers=headers)


async def ask_stop(door: CustomerDoor, request: Request) -> Response:
    """Ask what to stop. A look at the page, by a person or a scanner, stops nothing; an old link still
    does."""
    link = await _find(door, request)
    if link is None:
        return _page(request, "unknown", Facts(), status=404)
    return _page(request, "stop", await door.book.facts(link), code=link.code)


async def take_stop(door: CustomerDoor, request: Request) -> Response:
    """Stop. A mail program's one click (RFC 8058) says ``List-Unsubscribe=One-Click``; the page's buttons
    say what."""
    link = await _find(door, request)
    if link is None:
        return _page(request, "unknown", Facts(), status=404)
    form = await _form(request)
    facts = await door.book.facts(link)
    channel = facts.channel or "*"
    if form.get("List-Unsubscribe") == "One-Click":
        purpose = "marketing" if facts.purpose == "marketing" else "*"
        await door.book.stopped(link, purpose, channel, "one-click unsubscribe", door.clock.now_ms())
        return Response(status_code=204)
    if form.get("stop") == "offers":
        await door.book.stopped(link, "marketing", "*", "unsubscribe page, offers", door.clock.now_ms())
    elif form.get("stop") == "channel":
        await door.book.stopped(link, "*", channel, "unsubscribe page, all messages", door.clock.now_ms())
    else:
        raise Refused("stop.malformed", "The form says stop=offers or stop=channel.", field="stop")
    return _page(request, "stopped", facts)


async def ask_push(door: CustomerDoor, request: Request) -> Response:
    """Ask whether messages shall be shown on this device."""
    link = await _find(door, request)
    key = door.book.push_key(link) if link is not None else ""
    if link is None or not key:
        return _page(request, "unknown", Facts(), status=404)
    facts = await door.book.facts(link)
    if link.expired(door.clock.now_ms()):
        return _page(request, "gone", facts, status=410)
    locale, say = _words(request, facts)
    return push.switch(request, link, key, facts, locale, say)


async def push_manifest(door: CustomerDoor, request: Request) -> Response:
    """What a home screen wants to know of the page."""
    link = await _find(door, request)
    if link is None:
        raise HTTPException(404)
    facts = await door.book.facts(link)
    return push.manifest(link, facts, _words(request, facts)[0])


async def take_push(door: CustomerDoor, request: Request) -> Response:
    """Add a device to the contact, or remove it."""
    link = await _find(door, request)
    if link is None:
        raise Refused("push.unknown", "This link is not one of ours.")
    return await push.changed(door.book, link, request, door.clock)


async def _form(request: Request) -> Mapping[str, object]:
    """The form's fields, from a body that was read no further than its limit; RFC 8058 allows both kinds of forms."""
    body = await read_body(request.receive, _FORM_BYTES_MAX)

    async def again() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        return await Request(request.scope, again).form(max_files=0, max_fields=10)
    except HTTPException as error:
        raise Refused("form.malformed", f"The form can't be read: {error.detail}") from None


async def _find(door: CustomerDoor, request: Request) -> Link | None:
    code = request.path_params["code"]
    return await door.book.find_link(code) if code_is_ours(code, door.key) else None


def _page(request: Request, name: str, facts: Facts, *, status: int = 200, code: str = "") -> Response:
    locale, say = _words(request, facts)
    return page(
        request,
        "customer/stop.html" if name == "stop" else "customer/notice.html",
        status=status,
        locale=locale,
        say=say,
        screen=name,
        code=code,
        languages=ENDONYMS,
        headers={"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"},
    )


def _words(request: Request, facts: Facts) -> tuple[str, Callable[[str], str]]:
    """The reader's language, and how things are said in it."""
    locale = choose_locale(
        request.query_params.get("lang"),
        facts.locale,
        accept_language=request.headers.get("accept-language", ""),
    )
    business = facts.business or WORDS.text(locale, "business")
    channel = f"channel.{facts.channel}"

    def say(key: str) -> str:
        where = WORDS.text(locale, channel if WORDS.has(channel) else "channel.any")
        text = WORDS.text(locale, key, business=business, channel=where)
        return text[:1].upper() + text[1:]

    return locale, say
