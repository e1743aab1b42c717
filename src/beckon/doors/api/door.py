"""Door: one path of the API: who asks, may they, what exactly, and the answer, also where something is wrong."""

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from beckon.core.errors import BeckonError, Misconfigured, Refused
from beckon.doors.api import forms
from beckon.doors.api.definitions import NotTaken
from beckon.doors.api.keys import authorization_of
from beckon.doors.api.parts import ApiParts, Ask, Operation
from beckon.doors.api.reading import too_deep
from beckon.web.bodies import read_body
from beckon.web.problems import answer, on_fault, problem, problem_body

log = logging.getLogger("beckon.api")

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_encode = msgspec.json.Encoder().encode


class Door:
    """An ASGI application for one path: its operations by method."""

    def __init__(self, operations: Sequence[Operation], parts: ApiParts) -> None:
        self._parts = parts
        self._by_method = {operation.method: operation for operation in operations}
        methods = set(self._by_method) | {"OPTIONS"} | ({"HEAD"} if "GET" in self._by_method else set())
        self._allow = ", ".join(sorted(methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except NotTaken as error:
            body = problem_body(error) | {"problems": msgspec.to_builtins(error.problems)}
            response = answer(body, headers=_HEADERS)
        except BeckonError as error:
            response = problem(error)
        except Exception as error:
            # Here, not in Starlette's outermost handler: that one answers and raises again.
            log.exception("%s %s failed", request.method, request.url.path[:200])
            response = await on_fault(request, error)
        if request.method == "HEAD":
            response.body = b""
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        method = request.method
        if method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": self._allow})
        operation = self._by_method.get("GET" if method == "HEAD" else method)
        if operation is None or operation.act is None:
            refused = problem(Refused("http.method", f"{method[:20]} isn't possible here; Allow says what is"))
            refused.headers["Allow"] = self._allow
            return refused
        ask = await self._read(request, operation)
        return _said(await operation.act(ask), operation)

    async def _read(self, request: Request, operation: Operation) -> Ask[Any, Any]:
        """The request as the operation wants it. Raises ``Refused``."""
        parts = self._parts
        key = await parts.keys.check(authorization_of(request.headers), operation.scope)
        library = parts.workspaces.get(key.workspace)
        if library is None:
            raise Misconfigured("workspace.missing", f"the key's workspace {key.workspace!r} is not served here")
        return Ask(
            parts=parts,
            key=key,
            library=library,
            operation=operation.name,
            path={name: str(value) for name, value in request.path_params.items()},
            query=forms.read_query(request.scope["query_string"], operation.query or _Nothing),
            body=await self._body(request, operation),
            once=forms.key_of(request.headers) if operation.method == "POST" or operation.once else "",
        )

    async def _body(self, request: Request, operation: Operation) -> Any:
        if operation.method == "GET":
            return None
        body = await read_body(request.receive, self._parts.body_size_bytes_max)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refused("request.media_type", "a compressed body is not read here")
        if operation.body is None:
            if body.strip() not in (b"", b"{}"):
                raise Refused("request.body", "there is nothing to say in a body here")
            return None
        if not body and operation.body_optional:
            return None
        media = forms.media_of(request.headers)
        if not body:
            raise Refused("request.body", "the body is missing")
        if operation.body is str:
            if media not in operation.body_media:
                wanted = ", ".join(operation.body_media)
                raise Refused("request.media_type", f"send text, one of {wanted}, not {media[:80]!r}")
            return forms.read_text(body)
        if media != "application/json":
            raise Refused("request.media_type", f"send application/json, not {media[:80]!r}")
        if too_deep(body):
            raise Refused("request.nesting", "the body nests deeper than 32 levels")
        return forms.read_json(body, operation.body)


class _Nothing(msgspec.Struct, frozen=True):
    """A query without parameters."""


def _said(said: Any, operation: Operation) -> Response:
    if isinstance(said, Response):
        return said
    status = operation.status
    if isinstance(said, tuple):
        status, said = said
    return Response(_encode(said), status, media_type=operation.media, headers=_HEADERS)
