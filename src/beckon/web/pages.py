"""Pages: templates on the server, found by scanning, and the headers that every page carries.

A template's name begins with its area: ``web/page.html``, ``console/inbox.html``, ``wvp/mileage.html``.
Everything is escaped, an unknown name in a template is an error, and no page may run a script or a style that
isn't a file of ours.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import PrefixLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import Response

from beckon.core.clock import Clock, SystemClock
from beckon.web import filters
from beckon.web.static import assets, folders

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
}

_SYSTEM_CLOCK = SystemClock()


def template_folders() -> dict[str, Path]:
    """The template folders by area: ``templates`` everywhere, ``templates_html`` in the journeys, whose
    ``templates`` are messages."""
    found = {area: folder for area, folder in folders("templates").items() if folder.parent.parent.name != "journeys"}
    for area, folder in folders("templates_html").items():
        if area in found:
            raise ValueError(f"two areas are named {area!r}: {found[area]} and {folder}")
        found[area] = folder
    return found


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """The one template environment."""
    env = jinja2.Environment(
        loader=PrefixLoader({area: jinja2.FileSystemLoader(path) for area, path in template_folders().items()}),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.do"],
    )
    env.globals.update(asset=assets().url, has_asset=assets().__contains__)
    env.filters.update(filters.FILTERS)
    return env


def render(name: str, **context: Any) -> str:
    """A template as text, for fragments that go elsewhere than into a page of their own."""
    return environment().get_template(name).render(_defaults(context))


def page(
    request: Request,
    name: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    frame_ancestors: str = "'none'",
    frame_src: str = "'none'",
    cache: str = "no-store",
    **context: Any,
) -> Response:
    """Answer with a template.

    The context always has ``request``, ``path``, ``now_ms`` (by ``app.state.clock``, where the app has one),
    ``locale`` and ``time_zone``; the filters for instants read the last three. ``frame_ancestors`` says who
    may show the page in a frame (``'self'``, an origin), ``frame_src`` what it may show in one.
    """
    if "now_ms" not in context:
        clock: Clock = getattr(request.app.state, "clock", None) or _SYSTEM_CLOCK
        context["now_ms"] = clock.now_ms()
    context.setdefault("request", request)
    context.setdefault("path", request.url.path)
    body = environment().get_template(name).render(_defaults(context))
    sent = security_headers(secure=request.url.scheme == "https", ancestors=frame_ancestors, frames=frame_src)
    sent["Cache-Control"] = cache
    sent["Content-Language"] = str(context.get("locale", "en"))
    sent.update(headers or {})
    return Response(body, status_code=status, headers=sent, media_type="text/html")


def security_headers(*, secure: bool, ancestors: str = "'none'", frames: str = "'none'") -> dict[str, str]:
    """The headers that keep a page to itself."""
    policy = {**_POLICY, "frame-ancestors": ancestors, "frame-src": frames}
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "geolocation=(), microphone=(), camera=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if ancestors == "'none'":
        headers["X-Frame-Options"] = "DENY"
    elif ancestors == "'self'":
        headers["X-Frame-Options"] = "SAMEORIGIN"
    if secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


def _defaults(context: dict[str, Any]) -> dict[str, Any]:
    return {"locale": "en", "time_zone": "UTC", **context}
