"""``/push/{code}``: a device is added to the contact behind a signed link, so that notifications reach it, or removed.

A browser says its ``PushSubscription``, an app of yours ``{"fcm": "<registration token>"}``. The page switches it on
and off; its worker shows what is pushed. Both stand under ``/push/``: that is all that the worker sees of this site.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from beckon.core.clock import Clock
from beckon.core.errors import Refused
from beckon.doors.customer.book import Facts, LinkBook
from beckon.messaging.contacts import read_reference
from beckon.messaging.devices import subscription_of
from beckon.web.bodies import read_body
from beckon.web.links import Link
from beckon.web.pages import page
from beckon.web.static import assets

_BODY_BYTES_MAX = 8_192
_PRIVATE = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}


async def worker(request: Request) -> Response:
    """The service worker: always under one address, always the newest."""
    body = assets().files["customer/worker.js"].body
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(body, media_type="text/javascript; charset=utf-8", headers=headers)


def switch(
    request: Request, link: Link, public_key: str, facts: Facts, locale: str, say: Callable[[str], str]
) -> Response:
    """The page on which a person switches notifications on this device on and off."""
    return page(
        request,
        "customer/push.html",
        locale=locale,
        say=say,
        code=link.code,
        key=public_key,
        business=facts.business,
        headers=_PRIVATE,
    )


def manifest(link: Link, facts: Facts, locale: str) -> Response:
    """What a phone needs to put the page on its home screen, which an iPhone wants before it shows notifications."""
    said = {
        "id": "/push/",
        "name": facts.business or "Beckon",
        "lang": locale,
        "start_url": f"/push/{link.code}",
        "scope": "/push/",
        "display": "standalone",
        "icons": [{"src": assets().url("web/img/mark.svg"), "sizes": "any", "type": "image/svg+xml"}],
    }
    return JSONResponse(said, media_type="application/manifest+json", headers={"Cache-Control": "no-store", **_PRIVATE})


async def changed(book: LinkBook, link: Link, request: Request, clock: Clock) -> Response:
    """Add the device that the body names (POST), or remove it (DELETE). Raises ``Refused``."""
    channel, address = _device(await _read(request))
    if request.method == "DELETE":
        await book.device(link, channel, address, "switched off on the device", clock.now_ms())
        return Response(status_code=204)
    if link.expired(clock.now_ms()):
        raise Refused("push.expired", "This link has expired: take a newer one.")
    if not book.takes(link, channel, address):
        raise Refused("push.service", "This business sends no notifications to such a device.", field=channel)
    await book.device(link, channel, address, "", clock.now_ms())
    return Response(status_code=204)


async def _read(request: Request) -> dict[str, Any]:
    # A form of another site can't send this kind of body.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused("request.media_type", "Send application/json.")
    body = await read_body(request.receive, _BODY_BYTES_MAX)
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refused("request.json", "The body is no JSON object in UTF-8.") from None


def _device(said: dict[str, Any]) -> tuple[str, str]:
    """The channel and the address of the device."""
    if "fcm" in said:
        [found] = read_reference({"fcm": said["fcm"] or 0}, field="device").addresses
        return found.channel, found.external_id
    return "web_push", subscription_of(said).address
