"""SessionM: the vendor's API over our members, points and offers: its routes, who may call them, what they answer.

HTTP Basic: the secret is a key of ours (``bk_…``); the name before it, and a path's ``:api_key``, is that key's label
or the workspace's id. Shapes and routes: README.md says which are documented by the vendor and which we chose.
"""

import binascii
import logging
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from beckon.core.errors import BeckonError, Misconfigured, Refused
from beckon.journeys.loyalty_offers.asking import Asking
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.reading import Reading
from beckon.journeys.loyalty_offers.rules import Rules
from beckon.journeys.loyalty_offers.sessionm_words import core_error, domain_error, from_uuid, status_of
from beckon.journeys.part import Allowed, JourneyParts
from beckon.web.bodies import read_body

log = logging.getLogger("beckon.loyalty")

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_encode = msgspec.json.Encoder().encode
_CREDENTIALS_MAX = 1_000
#: Another system's id whose type is not said.
ANY = "*"

T = TypeVar("T")


class Vendor:
    """What the dialect's routes share."""

    def __init__(self, parts: JourneyParts) -> None:
        self.parts = parts
        self.asking = Asking(parts)
        self.reading = Reading.of(parts)
        #: Authorization header → (name, our own header): decoding is the same each time
        self._known: dict[str, tuple[str, str]] = {}

    def rules(self, workspace: str) -> Rules:
        """The workspace's definitions."""
        return self.reading.rules(workspace)

    def region(self, workspace: str) -> str:
        """For phone numbers without a country."""
        library = self.parts.workspaces.get(workspace)
        return library.settings.region if library is not None else ""

    async def who(self, authorization: str, scope: str, api_key: str = "") -> Allowed:
        """Who calls. Raises ``Refused``: no good key, another one's name, or not this."""
        known = self._known.get(authorization)
        if known is None:
            known = _credentials(authorization)
        allowed = await self.parts.allow(known[1], scope)
        names = (allowed.label, allowed.workspace)
        if known[0] not in names or (api_key and api_key not in names):
            raise Refused("loyalty.api_key", "the API key is not the name of these credentials", field="api_key")
        if self.parts.workspaces.get(allowed.workspace) is None:
            raise Misconfigured("workspace.missing", f"the workspace {allowed.workspace!r} is not served here")
        if len(self._known) >= _CREDENTIALS_MAX:
            self._known.clear()
        self._known[authorization] = known
        return allowed

    async def member(self, workspace: str, user_id: Any, *, external_type: str = "") -> Member:
        """A member by the vendor's id, or by another system's: of a type, or of ``ANY``. Raises ``Refused``."""
        text = user_id if isinstance(user_id, str) else str(user_id or "")
        if external_type == ANY:
            text = await self.reading.find_external(workspace, text[:200])
            member = await self.reading.member(workspace, text)
        elif external_type:
            member = await self.reading.find(workspace, f"external:{external_type}", text[:200])
        else:
            member = await self.reading.member(workspace, from_uuid("mem", text))
        if member is None or member.state == "forgotten":
            raise Refused("member.unknown", "there is no such user", field="user_id")
        return member


def _credentials(authorization: str) -> tuple[str, str]:
    word, _, encoded = authorization.partition(" ")
    if word.lower() != "basic" or not encoded or len(encoded) > 1_000:
        raise Refused("auth.missing", "send the API key and its secret as HTTP Basic")
    try:
        name, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("auth.missing", "the credentials are no HTTP Basic") from None
    if not secret or any(sign in secret for sign in " \r\n"):
        raise Refused("auth.missing", "the credentials have no secret")
    return name, f"Bearer {secret}"


def read(body: bytes, shape: type[T]) -> T:
    """A request's body. Raises ``Refused`` naming the field that does not fit."""
    if b"\\u0000" in body:
        raise Refused("request.characters", "a text has a NUL character in it")
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except msgspec.ValidationError as error:
        why, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".") or None
        if field is None and "missing required field" in why:
            field = why.rpartition("`")[0].rpartition("`")[2] or None
        raise Refused("request.fields", why[:200], field=field) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("request.json", "the body is no JSON") from error
    except RecursionError as error:
        raise Refused("request.nesting", "the body nests too deep") from error


class Call(msgspec.Struct, frozen=True):
    """One request of the dialect, allowed."""

    vendor: Vendor
    request: Request
    workspace: str
    label: str
    body: bytes

    def read(self, shape: type[T]) -> T:
        """The body."""
        return read(self.body, shape)

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        """A parameter of the query."""
        return self.request.query_params.get(name, "")[:400]

    async def ask(self, type_: str, given: Any, *, id: str = "", subject: str | None = None) -> dict[str, Any]:
        """What the turn answers."""
        return await self.vendor.asking.ask(self.workspace, type_, given, source=self.label, id=id, subject=subject)


View = Callable[[Call], Awaitable[Mapping[str, Any]]]


def endpoint(vendor: Vendor, view: View, scope: str, *, core: bool) -> Callable[[Request], Awaitable[Response]]:
    """A view as a route's endpoint: who calls, what is answered, and what in which shape where it goes wrong."""

    async def answer(request: Request) -> Response:
        try:
            allowed = await vendor.who(
                request.headers.get("authorization", ""), scope, str(request.path_params.get("api_key", ""))
            )
            body = (
                b"" if request.method == "GET" else await read_body(request.receive, vendor.parts.body_size_bytes_max)
            )
            said = await view(Call(vendor, request, allowed.workspace, allowed.label, body))
            return Response(_encode(said), media_type="application/json", headers=_HEADERS)
        except BeckonError as error:
            return refusal(error, core=core)
        except Exception:
            log.exception("%s failed", request.url.path[:200])
            return _fault(core=core)

    return answer


def nothing(*, core: bool, allow: str = "") -> Callable[[Request], Awaitable[Response]]:
    """Where the dialect has nothing, or nothing by this method: its clients read errors in its shape only."""

    async def answer(request: Request) -> Response:
        path, method = request.url.path[:200], request.method[:20]
        if allow:
            return refusal(Refused("http.method", f"{path} is asked by {allow}, not {method}"), core=core, allow=allow)
        return refusal(Refused("http.not_found", f"there is nothing at {path}"), core=core)

    return answer


def refusal(error: BeckonError, *, core: bool, allow: str = "") -> Response:
    """An error in the dialect's shape."""
    headers = {**_HEADERS, "Allow": allow} if allow else dict(_HEADERS)
    status = status_of(error, core=core)
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="loyalty"'
    said = core_error(error) if core else domain_error(error)
    return Response(_encode(said), status, media_type="application/json", headers=headers)


def _fault(*, core: bool) -> Response:
    said: dict[str, Any] = {"code": "internal_server_error", "message": "Our side has a fault; it is logged."}
    if not core:
        said |= {"type": "unavailable", "raw_message": ""}
    return Response(_encode({"status": "error", "errors": said}), 500, media_type="application/json", headers=_HEADERS)


class Straight:
    """A route that most goes through, as raw ASGI: (who calls, body) → what is answered, as bytes."""

    def __init__(self, vendor: Vendor, scope: str, act: Callable[[Vendor, Allowed, bytes], Awaitable[bytes]]) -> None:
        self._vendor = vendor
        self._scope = scope
        self._act = act

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] != "POST":
                error = Refused("http.method", "this is asked by POST")
                await refusal(error, core=False, allow="POST")(scope, receive, send)
                return
            authorization = ""
            for name, value in scope["headers"]:
                if name == b"authorization":
                    authorization = value.decode("latin-1")
                    break
            allowed = await self._vendor.who(authorization, self._scope)
            body = await read_body(receive, self._vendor.parts.body_size_bytes_max)
            said = await self._act(self._vendor, allowed, body)
        except BeckonError as error:
            await refusal(error, core=False)(scope, receive, send)
            return
        except Exception:
            log.exception("%s failed", scope["path"][:200])
            await _fault(core=False)(scope, receive, send)
            return
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"cache-control", b"no-store"),
                    (b"content-length", str(len(said)).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": said})
