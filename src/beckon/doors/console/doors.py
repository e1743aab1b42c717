"""Signing in and out, and the page's live stream."""

from starlette.requests import Request
from starlette.responses import Response

from beckon.core.errors import BeckonError
from beckon.doors.console.gate import HOME, Endpoint, Visit, own_path, to
from beckon.doors.console.parts import ConsoleParts
from beckon.web.live import TOPICS_MAX, stream
from beckon.web.pages import page
from beckon.web.problems import status_of
from beckon.web.sessions import require_same_origin

#: What a page of the console may ask to be told about, by the topic's first word.
_TOPICS = frozenset({"conversations", "conversation", "runs", "deliveries", "events", "journey"})


def sign_in(parts: ConsoleParts) -> Endpoint:
    """The sign-in page and its form."""

    async def endpoint(request: Request) -> Response:
        back = own_path(request.query_params.get("next", HOME)[:300])
        if request.method != "POST":
            if await parts.sessions.find(request) is not None:
                return to(request, back)
            return _page(parts, request, back)
        form = await request.form(max_fields=10, max_files=0)
        email, password, asked = (str(form.get(name) or "")[:300] for name in ("email", "password", "next"))
        try:
            require_same_origin(request)
            token, _ = await parts.sessions.sign_in(request, email, password)
        except BeckonError as error:
            return _page(parts, request, own_path(asked), email=email, why=error.why, status=status_of(error))
        response = to(request, own_path(asked))
        parts.sessions.put_cookie(request, response, token)
        return response

    return endpoint


def _page(
    parts: ConsoleParts, request: Request, back: str, *, email: str = "", why: str = "", status: int = 200
) -> Response:
    return page(
        request, "console/sign_in.html", status=status, title="Sign in", back=back, email=email, why=why,
        hints=dict(parts.hints), now_ms=parts.clock.now_ms(),
    )  # fmt: skip


async def sign_out(visit: Visit) -> Response:
    """The session ends."""
    response = to(visit.request, "/console/sign-in")
    await visit.parts.sessions.sign_out(visit.request, response)
    return response


async def live(visit: Visit) -> Response:
    """What changes in this workspace, for the topics of one page."""
    asked = visit.request.query_params.getlist("topic")[:TOPICS_MAX]
    topics = [topic[:120] for topic in asked if topic.partition(":")[0] in _TOPICS]
    return stream(visit.request, visit.parts.hub, visit.workspace, topics)
