"""Static files: found by scanning, served under an address that changes with their content, so kept for ever.

Every file of every ``static`` folder is known at the start: ``web/js/live.js``, ``console/js/run.js``. One
digest over all of them stands in the address (``/static/{digest}/web/js/live.js``), so that modules may
import each other by relative paths. ``web/all.css`` is made here: the components' files of
``web/static/css``, one after the other.
"""

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PACKAGE = Path(__file__).resolve().parent.parent

#: One file, as it is kept in memory.
_FILE_BYTES_MAX = 2_000_000

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
_SQUEEZED = frozenset({".css", ".js", ".svg", ".json", ".webmanifest", ".txt"})

#: Layers in the order in which later ones win; the components' files may then come in any order.
_LAYERS = b"@layer tokens, ground, layout, components, area, utilities;\n"


class Asset(msgspec.Struct, frozen=True):
    """One static file, ready to be sent."""

    content_type: str
    body: bytes
    #: the same, gzipped; empty where that saves nothing.
    squeezed: bytes = b""


class Assets:
    """All static files by name, and the digest over them."""

    def __init__(self, files: dict[str, Asset], digest: str) -> None:
        self.files = files
        self.digest = digest

    def url(self, name: str) -> str:
        """The address of a file: ``url("web/all.css")``. Raises ``KeyError`` for one that isn't there."""
        if name not in self.files:
            raise KeyError(f"no static file {name!r}: it would lie in src/beckon/*/static")
        return f"/static/{self.digest}/{name}"

    def __contains__(self, name: str) -> bool:
        return name in self.files


def folders(kind: str) -> dict[str, Path]:
    """The folders of this kind (``static``, ``templates``, …) by their area's name, found by scanning the
    package.

    ``web``, ``sandbox``, and every door, sandbox twin and journey that has one: ``console``, ``customer``,
    ``wvp``.
    """
    found: dict[str, Path] = {}
    homes = [PACKAGE / "web", PACKAGE / "sandbox"]
    for parent in ("doors", "sandbox", "journeys"):
        homes.extend(sorted(path for path in (PACKAGE / parent).glob("*") if path.is_dir()))
    for home in homes:
        folder = home / kind
        if folder.is_dir():
            if home.name in found:
                raise ValueError(f"two areas are named {home.name!r}: {found[home.name]} and {folder}")
            found[home.name] = folder
    return found


@lru_cache(maxsize=1)
def assets() -> Assets:
    """All static files, read once."""
    files: dict[str, Asset] = {}
    sheets: list[bytes] = []
    for area, folder in folders("static").items():
        for path in sorted(folder.rglob("*")):
            if path.suffix in _TYPES and path.is_file() and path.stat().st_size <= _FILE_BYTES_MAX:
                body = path.read_bytes()
                name = f"{area}/{path.relative_to(folder).as_posix()}"
                files[name] = _asset(path.suffix, body)
                if name.startswith("web/css/"):
                    sheets.append(body)
    files["web/all.css"] = _asset(".css", _LAYERS + b"\n".join(sheets))
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name].body).digest())
    return Assets(files, digest.hexdigest()[:12])


def _asset(suffix: str, body: bytes) -> Asset:
    squeezed = gzip.compress(body, 6, mtime=0) if suffix in _SQUEEZED else b""
    return Asset(_TYPES[suffix], body, squeezed if len(squeezed) < len(body) else b"")


async def _serve(request: Request) -> Response:
    known = assets()
    found = known.files.get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    # An address of an earlier start still gets today's file, but isn't kept.
    fresh = request.path_params["digest"] == known.digest
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if fresh else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }
    body = found.body
    if found.squeezed and "gzip" in request.headers.get("accept-encoding", ""):
        body = found.squeezed
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=found.content_type, headers=headers)


def routes() -> list[Route]:
    """What an app with pages adds to its routes."""
    return [Route("/static/{digest}/{name:path}", _serve, name="static")]
