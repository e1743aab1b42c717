"""Routes: every path of the API, and its documents."""

import re
from collections.abc import Iterable

from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from beckon.core.errors import Refused
from beckon.doors.api import pages
from beckon.doors.api.door import Door
from beckon.doors.api.parts import PATH_PATTERNS, ApiParts, Operation
from beckon.doors.api.table import OPERATIONS
from beckon.web.problems import problem

_NAME = re.compile(r"\{([a-z]+)\}")


def routes(parts: ApiParts) -> list[BaseRoute]:
    """All routes of the API."""
    return [
        # Fixed words before names: /v1/flows/check is no flow.
        *(Route(_typed(path), Door(operations, parts)) for path, operations in _by_path(OPERATIONS)),
        Route("/v1", _Nothing()),
        Route("/v1/{path:path}", _Nothing()),
        *pages.routes(),
    ]


class _Named(Convertor[str]):
    """A part of a path that looks as ``PATH_PATTERNS`` says."""

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


for _name, _pattern in PATH_PATTERNS.items():
    # Starlette takes the pattern from the class.
    register_url_convertor(f"beckon_{_name}", type(f"_{_name}", (_Named,), {"regex": f"(?:{_pattern})"})())


def _typed(path: str) -> str:
    return _NAME.sub(lambda found: f"{{{found[1]}:beckon_{found[1]}}}", path)


def _by_path(operations: Iterable[Operation]) -> list[tuple[str, list[Operation]]]:
    found: dict[str, list[Operation]] = {}
    for operation in operations:
        found.setdefault(operation.path, []).append(operation)
    return sorted(found.items(), key=lambda pair: "{" in pair[0])


class _Nothing:
    """Where there is nothing, by whatever method."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = problem(Refused("http.not_found", f"there is nothing at {scope['path'][:200]}"))
        await refused(scope, receive, send)
