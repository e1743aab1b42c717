"""Problem details (RFC 9457): how every HTTP door says that something went wrong.

The kind of an error (``core.errors``) and the last words of its code choose the status; the code itself, the
sentence and the field go into the body as they are.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.web.pages import page

MEDIA_TYPE = "application/problem+json"

#: Errors told apart within one answer.
ERRORS_MAX = 100

#: The last word of a refused request's code → status; every other refusal is 422. ``event.too_large`` → 413.
_STATUS_BY_WORD = {
    "malformed": 400,
    "json": 400,
    "unsigned": 401,
    "signed_out": 401,
    "unauthorized": 401,
    "key": 401,
    "signature": 401,
    "forged": 401,
    "replayed": 401,
    "forbidden": 403,
    "scope": 403,
    "csrf": 403,
    "unknown": 404,
    "not_found": 404,
    "method": 405,
    "slow": 408,
    "conflict": 409,
    "exists": 409,
    "reused": 409,
    "state": 409,
    "expired": 410,
    "gone": 410,
    "too_large": 413,
    "media_type": 415,
    "too_many": 429,
    "slow_down": 429,
}

#: Codes whose last word says too little or something else.
STATUS_BY_CODE = {
    "event.type.unknown": 422,
    "auth.missing": 401,
    "auth.unknown": 401,
    "auth.wrong": 401,
    "delivery.doubtful": 409,
    "contact.not_forgotten": 404,
}

_TITLES = {
    400: "The request can't be read",
    401: "Who is asking?",
    403: "Not allowed",
    404: "Not found",
    405: "Not this way",
    408: "Too slow",
    409: "It conflicts with what is there",
    410: "It is over",
    413: "Too large",
    415: "Not this kind of content",
    422: "The content doesn't fit",
    429: "Too many requests",
    500: "Our side has a fault",
    503: "Not just now",
}


def status_of(error: BeckonError) -> int:
    """The HTTP status for an error."""
    match error:
        case Unavailable():
            return 503
        case Misconfigured():
            return 500
        case Refused() | Unsupported():
            special = STATUS_BY_CODE.get(error.code)
            return special or _STATUS_BY_WORD.get(error.code.rsplit(".", 1)[-1], 422)
    return 500


def problem_body(error: BeckonError) -> dict[str, Any]:
    """The body for one error, also as one element of ``errors``."""
    status = status_of(error)
    body: dict[str, Any] = {
        "type": f"/docs/errors#{error.code}",
        "title": _TITLES.get(status, "It went wrong"),
        "status": status,
        "detail": error.why,
        "code": error.code,
        "kind": error.kind,
    }
    if error.field:
        body["field"] = error.field
    return body


def problem(error: BeckonError, *, errors: Sequence[BeckonError] = ()) -> Response:
    """The answer for one error; ``errors`` are the single ones of a batch or of a form."""
    body = problem_body(error)
    if errors:
        body["errors"] = [problem_body(one) for one in errors[:ERRORS_MAX]]
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s or 1)))
    elif body["status"] == 429:
        headers["Retry-After"] = str(max(1, math.ceil(getattr(error, "retry_after_s", None) or 60)))
    if body["status"] == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="beckon"'
    return answer(body, headers=headers)


def answer(body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> Response:
    """A problem body as a response."""
    return Response(msgspec.json.encode(body), status_code=int(body["status"]), headers=headers, media_type=MEDIA_TYPE)


async def on_error(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for the four kinds (register it for ``BeckonError``)."""
    if isinstance(error, BeckonError):
        return problem(error)
    return await on_fault(request, error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405 as problem details, and as a page for a person who came by an old or mistyped
    address (register it for ``HTTPException``)."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    words = {404: "not_found", 405: "method", 413: "too_large", 415: "media_type", 400: "malformed"}
    code = f"http.{words.get(status, str(status))}"
    detail = {
        404: f"There is nothing at {request.url.path[:200]}.",
        405: f"{request.method} isn't possible here; Allow says what is.",
    }.get(status, str(getattr(error, "detail", "")) or "It went wrong.")
    title = _TITLES.get(status, "It went wrong")
    if request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", ""):
        return page(
            request, "web/error.html", status=status, headers=headers, title=title, text=detail, code=code, href="/",
            link_text="To the first page",
        )  # fmt: skip
    body = {
        "type": f"/docs/errors#{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "kind": "refused" if status < 500 else "misconfigured",
    }
    return answer(body, headers={"Cache-Control": "no-store", **headers})


async def on_fault(request: Request, error: Exception) -> Response:
    """A defect of ours: said without its inside (register it for ``Exception``)."""
    return answer(
        {
            "type": "/docs/errors#internal.fault",
            "title": _TITLES[500],
            "status": 500,
            "detail": "Something broke on our side; nothing was accepted. The log has the details.",
            "code": "internal.fault",
            "kind": "misconfigured",
        },
        headers={"Cache-Control": "no-store"},
    )
