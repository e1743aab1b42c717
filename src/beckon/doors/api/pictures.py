"""Pictures: a diagram as an answer that does nothing but be looked at."""

from starlette.responses import Response

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def picture(svg: str) -> Response:
    """An SVG as a response."""
    return Response(svg, media_type="image/svg+xml", headers=_HEADERS)
