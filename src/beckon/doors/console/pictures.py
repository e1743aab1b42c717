"""Pictures: the diagrams' style sheet, since no page may carry one of its own."""

from starlette.requests import Request
from starlette.responses import Response

from beckon.flows.diagram import STYLE


async def drawing_css(request: Request) -> Response:
    """The diagrams' style sheet."""
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})
