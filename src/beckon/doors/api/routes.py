"""Routes: every path of the API, and its documents."""

import re
from collections.abc import Iterable, Sequence

from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from beckon.core.errors import Misconfigured, Refused
from beckon.doors.api import pages
from beckon.doors.api.door import Door
from beckon.doors.api.parts import PATH_PATTERNS, ApiParts, Operation
from beckon.doors.api.table import OPERATIONS
from beckon.web.problems import problem

_NAME = re.compile(r"\{([a-z]+)\}")


def routes(parts: ApiParts, served: Sequence[Operation] = (), described: tuple[Operation, ...] = ()) -> list[BaseRoute]:
    """All routes of the API. ``served``: the journeys' operations; ``described``: the same as their tables have them.

    Raises ``Misconfigured`` where two of them call different things by one name.
    """
    for operation in served:
        for name, pattern in operation.patterns:
            _called(name, pattern)
    every = (*OPERATIONS, *served)
    return [
        # Fixed words before names: /v1/flows/check is no flow.
        *(Route(_typed(path), Door(operations, parts)) for path, operations in _by_path(every)),
        Route("/v1", _Nothing()),
        Route("/v1/{path:path}", _Nothing()),
        *pages.routes(described),
    ]


class _Named(Convertor[str]):
    """A part of a path that looks as ``PATH_PATTERNS`` says."""

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


_PATTERNS: dict[str, str] = {}


def _called(name: str, pattern: str) -> None:
    """From now on paths may hold this name. Raises ``Misconfigured`` where it has another pattern."""
    if _PATTERNS.setdefault(name, pattern) != pattern:
        raise Misconfigured("journey.path", f"two operations of the API mean different things by {{{name}}}")
    # Starlette takes the pattern from the class.
    register_url_convertor(f"beckon_{name}", type(f"_{name}", (_Named,), {"regex": f"(?:{pattern})"})())


for _name, _pattern in PATH_PATTERNS.items():
    _called(_name, _pattern)


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
