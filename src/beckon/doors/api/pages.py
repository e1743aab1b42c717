"""The API's documents: ``/openapi.json``, and as plain pages ``/docs/api`` and ``/docs/errors``. Open to everybody."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from beckon.doors.api.markdown import html
from beckon.doors.api.openapi import document
from beckon.web.operations import Operation
from beckon.web.pages import page

#: What every code means, and what to do: also ``docs/errors.md``.
ERRORS = Path(__file__).parent / "errors.md"
_CACHE = "public, max-age=300"


def routes(described: tuple[Operation, ...] = ()) -> list[BaseRoute]:
    """The documents' routes. ``described``: what journeys add to the API."""
    documents = _Documents(described)
    return [
        Route("/openapi.json", documents.openapi, methods=["GET"]),
        Route("/docs/api", documents.api, methods=["GET"]),
        Route("/docs/errors", errors, methods=["GET"]),
    ]


class _Documents:
    """The API's document and its page, made when they are first asked for."""

    def __init__(self, described: tuple[Operation, ...]) -> None:
        self._described = described

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        encoded = _encoded(self._described)
        return Response(encoded, media_type="application/json", headers={"Cache-Control": _CACHE})

    async def api(self, request: Request) -> Response:
        """The API as a page, made from its document."""
        whole = document(self._described)
        return page(
            request,
            "api/operations.html",
            cache=_CACHE,
            title="API",
            about=html(whole["info"]["description"], level=2),
            version=whole["info"]["version"],
            tags=[tag["name"] for tag in whole["tags"]],
            operations=_operations(self._described),
        )


async def errors(request: Request) -> Response:
    """What every error's code means, and what to do about it."""
    return page(request, "api/errors.html", cache=_CACHE, title="Errors", text=_errors())


@lru_cache(maxsize=1)
def _encoded(described: tuple[Operation, ...]) -> bytes:
    return msgspec.json.encode(document(described))


@lru_cache(maxsize=1)
def _errors() -> Markup:
    return html(ERRORS.read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _operations(described: tuple[Operation, ...]) -> list[dict[str, Any]]:
    """Every operation in the words of the page."""
    shown = []
    for path, methods in document(described)["paths"].items():
        for method, operation in methods.items():
            shown.append(
                {
                    "id": operation["operationId"],
                    "tag": operation["tags"][0],
                    "method": method.upper(),
                    "path": path,
                    "summary": operation["summary"],
                    "words": html(operation["description"], level=4),
                    "parameters": [_parameter(one) for one in operation.get("parameters", [])],
                    "body": _body(operation),
                    "answers": [(status, _name(answer)) for status, answer in operation["responses"].items()],
                }
            )
    return shown


def _parameter(given: dict[str, Any]) -> dict[str, Any]:
    """A parameter in the words of the page."""
    schema = given["schema"]
    words = {"integer": "a whole number", "boolean": "true or false"}.get(str(schema.get("type")), "")
    if "enum" in schema:
        words = f"one of {', '.join(word for word in schema['enum'] if word)}"
    elif "maximum" in schema and schema["maximum"] < 10**6:
        words += f", at most {schema['maximum']}"
    said = [part for part in (given.get("description", ""), words) if part]
    return {
        "name": given["name"],
        "in": given["in"],
        "required": given.get("required", False),
        "words": "; ".join(said),
    }


def _body(operation: dict[str, Any]) -> list[tuple[str, str]]:
    """The media types that a request may have, each with the name of its schema."""
    content = operation.get("requestBody", {}).get("content", {})
    return [(media, _schema_name(given["schema"])) for media, given in content.items()]


def _name(answer: dict[str, Any]) -> str:
    for given in answer.get("content", {}).values():
        return _schema_name(given["schema"])
    return ""


def _schema_name(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_schema_name(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"a list of {_schema_name(schema['items'])}"
    return str(schema.get("type", "a document"))
