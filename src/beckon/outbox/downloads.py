"""Downloads: one large file over HTTP into a file, piece by piece. Blocks: call it in a thread."""

import http.client
import os
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from beckon.core.errors import Refused, Unavailable

_TIMEOUT_S = 20.0
_PIECE_BYTES = 262_144
#: Whoever keeps files elsewhere sends us there once or twice.
_REDIRECTS_MAX = 3


def download(url: str, authorization: str, into: Path, size_bytes_max: int) -> None:
    """Fetch a URL into a file, which is there whole or not at all. Raises ``Refused`` or ``Unavailable``.

    A redirect to another host is followed without the authorization.
    """
    host = urlsplit(url).netloc
    for _ in range(_REDIRECTS_MAX + 1):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused("http.url", "a URL starts with http:// or https:// and names a host")
        headers = {"Authorization": authorization} if parts.netloc == host else {}
        try:
            onward = _fetched(parts.scheme, parts.netloc, _target(url), headers, into, size_bytes_max)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("http.unreachable", f"{parts.hostname} can't be read: {type(error).__name__}") from error
        if not onward:
            return
        url = urljoin(url, onward)
    raise Refused("http.redirects", "the file is always somewhere else")


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _fetched(scheme: str, netloc: str, target: str, headers: dict[str, str], into: Path, size_bytes_max: int) -> str:
    """One exchange: where else the file is, or nothing when it is there."""
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(netloc, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308):
            return answer.getheader("Location") or "/"
        if answer.status != 200:
            raise Unavailable("http.status", f"the file is answered with {answer.status}")
        _keep(answer, into, size_bytes_max)
        return ""
    finally:
        connection.close()


def _keep(answer: http.client.HTTPResponse, into: Path, size_bytes_max: int) -> None:
    part = into.with_suffix(into.suffix + ".part")
    size = 0
    try:
        with part.open("wb") as file:
            while piece := answer.read(_PIECE_BYTES):
                size += len(piece)
                if size > size_bytes_max:
                    raise Refused("http.reply_too_large", f"the file is larger than {size_bytes_max} bytes")
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.replace(into)
    finally:
        part.unlink(missing_ok=True)
