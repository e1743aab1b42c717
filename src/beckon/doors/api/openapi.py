"""OpenAPI: the API's document, made from the tables of operations, the core's and the journeys'. ``beckon openapi``
prints it.

Committed as ``docs/openapi.json``; a test holds the file to this module.
"""

import re
from functools import lru_cache
from typing import Any

import msgspec

from beckon import __version__
from beckon.doors.api import openapi_events
from beckon.doors.api.definitions import TEXT_MAX
from beckon.doors.api.parts import CSV_MEDIA, PATH_PATTERNS, Operation
from beckon.doors.api.records import LINES_MAX
from beckon.doors.api.table import OPERATIONS, POST_EVENTS
from beckon.inbox.entries import BODIES

Schema = dict[str, Any]

_REF = "#/components/schemas/{name}"
_TITLES = {
    400: "The request can't be read",
    401: "No API key, or one that is not known",
    403: "The API key lacks the scope",
    404: "There is no such thing in this workspace",
    408: "The body came too slowly",
    409: "It conflicts with what is there",
    410: "It is over, or was forgotten",
    413: "The body is too large",
    415: "Not this kind of content",
    422: "The content doesn't fit",
    429: "Too many tries",
    503: "Not just now; Retry-After says when",
}
_PROBLEM: Schema = {
    "title": "Problem",
    "description": "Problem details (RFC 9457). `code` is stable: /docs/errors has a paragraph for each.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "kind"],
    "properties": {
        "type": {"type": "string", "description": "Where the code is explained."},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What is wrong, in a sentence."},
        "code": {"type": "string", "pattern": r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$"},
        "kind": {"enum": ["refused", "unavailable", "unsupported", "misconfigured"]},
        "field": {"type": "string", "description": "The path of the field that is to blame."},
        "problems": {
            "type": "array",
            "description": "Of a definition: everything that is wrong with it.",
            "items": {"$ref": "#/components/schemas/Problem"},
        },
    },
}
_ABOUT = """\
Events come in, messages go out, and what becomes of them is an event again.

**Keys.** Every call wants an API key of a workspace: `Authorization: Bearer bk_…` (or `X-API-Key`). A key may do what
its scopes say: `events`, `read`, `write`, `forget`, `definitions`. It sees its own workspace and nothing else.

**Lists** come in pages: `limit` says how many, `next` of a page asks for the one after it, as `after`.

**Writes** are events too: they are durable before they are answered, and the answer shows what came of them. With an
`Idempotency-Key` a POST that is sent twice is done once.

**Errors** are problem details (RFC 9457) with a stable `code`, a sentence, and the `field` that is to blame.
"""


@lru_cache(maxsize=1)
def document(described: tuple[Operation, ...] = ()) -> Schema:
    """The OpenAPI 3.1 document. ``described``: what journeys add to the API."""
    operations = (*OPERATIONS, *described)
    schemas = _schemas(operations)
    paths: dict[str, Schema] = {}
    for operation in operations:
        path = paths.setdefault(operation.path, {})
        if operation is POST_EVENTS:
            path["post"] = _with_problems(operation, openapi_events.operation(operation))
        else:
            path[operation.method.lower()] = _with_problems(operation, _operation(operation))
    whole: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "Beckon",
            "version": __version__,
            "summary": "Brings a business's systems and its customers together.",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name} for name in dict.fromkeys(one.tag for one in operations)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: bk_…"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}],
    }
    renamed: Schema = msgspec.json.decode(_rename(msgspec.json.encode(whole).decode()))
    return renamed


def document_text(described: tuple[Operation, ...] = ()) -> str:
    """The document as it is committed: indented, and ended by a line feed."""
    return msgspec.json.format(msgspec.json.encode(document(described)), indent=1).decode() + "\n"


def _operation(operation: Operation) -> Schema:
    success: Schema = {"description": "Done."}
    if operation.media == "application/json":
        success["content"] = {"application/json": {"schema": _schema(operation.answer)}}
    elif operation.media == "application/schema+json":
        success["content"] = {operation.media: {"schema": {"type": "object"}}}
    else:
        success["content"] = {operation.media: {"schema": {"type": "string"}}}
    responses: Schema = {str(operation.status): success}
    if operation.status_too:
        responses[str(operation.status_too)] = {**success, "description": "Done; it is new."}
    said: Schema = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"{operation.words}\n\nScope: `{operation.scope}`.".strip(),
        "parameters": [*_path_parameters(operation), *_query_parameters(operation), *_headers(operation)],
        "responses": responses,
    }
    if operation.body is not None:
        said["requestBody"] = {"required": not operation.body_optional, "content": _content(operation)}
    return {name: value for name, value in said.items() if value != []}


def _content(operation: Operation) -> Schema:
    if operation.body_media is CSV_MEDIA:
        # As CSV it is rows, and not a text; as plain text it is one.
        rows = {"description": f"At most {LINES_MAX} lines."}
        text = {**rows, "type": "string", "minLength": 1}
        return {media: {"schema": text if media == "text/plain" else rows} for media in CSV_MEDIA}
    if operation.body is str:
        # A YAML document is what it says, not a text; as plain text it is one.
        text = {"type": "string", "minLength": 1, "maxLength": TEXT_MAX}
        document = {"description": f"At most {TEXT_MAX} characters."}
        return {
            "application/yaml": {"schema": document},
            "application/json": {"schema": document},
            "text/plain": {"schema": text},
        }
    return {"application/json": {"schema": _schema(operation.body)}}


def _path_parameters(operation: Operation) -> list[Schema]:
    names = re.findall(r"\{([a-z]+)\}", operation.path)
    patterns = {**PATH_PATTERNS, **dict(operation.patterns)}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^({patterns[name]})$"},
        }
        for name in names
    ]


def _query_parameters(operation: Operation) -> list[Schema]:
    if operation.query is None:
        return []
    (ref,), components = msgspec.json.schema_components([operation.query], ref_template=_REF)
    form = components[ref["$ref"].rpartition("/")[2]]
    parameters = []
    for name, schema in form["properties"].items():
        schema = dict(schema)
        parameter: Schema = {"name": name, "in": "query"}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        parameters.append({**parameter, "schema": schema})
    return parameters


def _headers(operation: Operation) -> list[Schema]:
    keyed = operation.once or (operation.method == "POST" and operation.scope in ("write", "forget"))
    return [openapi_events.IDEMPOTENCY_KEY] if keyed else []


def _with_problems(operation: Operation, said: Schema) -> Schema:
    statuses = {400, 401, 403, 422, 503, *operation.refusals}
    if "{" in operation.path:
        statuses.add(404)
    if "{contact}" in operation.path:
        statuses.add(410)
    if operation.method != "GET":
        statuses |= {408, 413, 415}
    for status in sorted(statuses):
        response: Schema = {
            "description": _TITLES[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        if status == 503:
            response["headers"] = {"Retry-After": {"schema": {"type": "string", "pattern": "^[0-9]+$"}}}
        said["responses"].setdefault(str(status), response)
    return said


def _schema(type_: Any) -> Schema:
    (schema,), _ = msgspec.json.schema_components([type_], ref_template=_REF)
    return schema


def _schemas(operations: tuple[Operation, ...]) -> dict[str, Schema]:
    types = [operation.answer for operation in operations if operation.act and operation.media == "application/json"]
    types += [operation.body for operation in operations if operation.body not in (None, str)]
    _, components = msgspec.json.schema_components([*types, *BODIES.values()], ref_template=_REF)
    return {**components, **openapi_events.SCHEMAS, "ProblemDetails": _PROBLEM}


#: A class's name here → the word that the document has for it.
_BODY_NAMES = "|".join(body.__name__ for body in BODIES.values())
_RENAMED = (
    (re.compile(r'"#/components/schemas/Page_(\w+?)(?:Shown)?_"'), r'"#/components/schemas/\1Page"'),
    (re.compile(r'"Page_(\w+?)(?:Shown)?_":'), r'"\1Page":'),
    (re.compile(r'"Page\[(\w+?)(?:Shown)?\]"'), r'"\1Page"'),
    (re.compile(rf'"#/components/schemas/({_BODY_NAMES})"'), r'"#/components/schemas/\1Body"'),
    (re.compile(rf'"({_BODY_NAMES})":\{{"title"'), r'"\1Body":{"title"'),
    (re.compile(r'"#/components/schemas/(\w+)Shown"'), r'"#/components/schemas/\1"'),
    (re.compile(r'"(\w+)Shown"'), r'"\1"'),
)


def _rename(text: str) -> str:
    for pattern, word in _RENAMED:
        text = pattern.sub(word, text)
    return text
