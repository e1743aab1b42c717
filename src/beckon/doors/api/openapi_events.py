"""``POST /v1/events`` in the OpenAPI document: all the forms in which an event may come."""

from typing import Any

from beckon.doors.api.parts import Operation

Schema = dict[str, Any]

IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same request does it once, however often it is sent.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}

_TEXT = r"^[^\u0000-\u001f\u007f]+$"
_ATTRIBUTES: Schema = {
    "type": {
        "type": "string",
        "description": "What happened, as words with dots: `checkin.start`. The workspace must know it: by a schema, "
        "or because a flow begins with it or waits for it.",
        "pattern": r"^[a-z][a-z0-9_]*([.-][a-z0-9_]+)*$",
        "maxLength": 128,
    },
    "source": {
        "type": "string",
        "description": "Who says it. (source, id) is taken once. `beckon/…` and `providers/…` are ours.",
        "pattern": _TEXT,
        "maxLength": 512,
    },
    "id": {"type": "string", "description": "The source's own id.", "pattern": _TEXT, "maxLength": 256},
    "subject": {"type": ["string", "null"], "pattern": _TEXT, "maxLength": 512},
    "time": {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "When it happened, by the source's clock.",
    },
    "data": {
        "description": "JSON that fits the type's schema. `data.contact` says whom it is about: an id `con_…`, a phone "
        "number, a mail address, or an object with phone, email, whatsapp, oem_app, name, locale, time_zone."
    },
    "datacontenttype": {"type": ["string", "null"]},
}

SCHEMAS: dict[str, Schema] = {
    "CloudEvent": {
        "title": "CloudEvent",
        "description": "A CloudEvent 1.0 in its structured form; extension attributes are let be.",
        "type": "object",
        "required": ["specversion", "type", "source", "id"],
        "properties": {"specversion": {"const": "1.0"}, **_ATTRIBUTES},
    },
    "BareEvent": {
        "title": "BareEvent",
        "description": "An event in its shortest form. Without an id every sending is an event of its own.",
        "type": "object",
        "required": ["type"],
        "properties": {
            "specversion": {"const": "1.0"},
            **{
                name: {**schema, "type": ["string", "null"]}
                if schema.get("type") == "string" and name != "type"
                else schema
                for name, schema in _ATTRIBUTES.items()
            },
            "dataschema": {"type": ["string", "null"]},
        },
        "additionalProperties": False,
    },
    "Accepted": {
        "title": "Accepted",
        "description": "The event is durable. `duplicate`: it was here before, at this position.",
        "type": "object",
        "required": ["id", "position"],
        "properties": {
            "id": {"type": "string"},
            "position": {"type": "integer", "minimum": 0},
            "duplicate": {"const": True},
        },
        "additionalProperties": False,
    },
    "BatchAccepted": {
        "title": "BatchAccepted",
        "description": "One answer for each event, in order: accepted, or why not.",
        "type": "object",
        "required": ["accepted", "refused", "events"],
        "properties": {
            "accepted": {"type": "integer", "minimum": 0},
            "refused": {"type": "integer", "minimum": 0},
            "events": {
                "type": "array",
                "items": {
                    "anyOf": [
                        {
                            "type": "object",
                            "required": ["status", "id", "position"],
                            "properties": {
                                "status": {"const": 202},
                                "id": {"type": "string"},
                                "position": {"type": "integer", "minimum": 0},
                                "duplicate": {"const": True},
                            },
                        },
                        {"$ref": "#/components/schemas/ProblemDetails"},
                    ]
                },
            },
        },
        "additionalProperties": False,
    },
}

_WORDS = """\
202 comes after a durable commit. An event that was here before is answered with `duplicate`.

Four forms: a bare `{type, data}`; a CloudEvent 1.0, structured (`application/cloudevents+json`), batched
(`application/cloudevents-batch+json`, or an array as `application/json`) or binary (the attributes as headers
`ce-type`, `ce-source`, `ce-id`, `ce-specversion`, the body is `data`); and, with `?mapping=NAME`, a partner's native
JSON, which the workspace's mapping of that name turns into an event.

A batch answers for each event: 202 where all were accepted, 207 where some were not. Schemas and types are the
workspace's: `GET /v1/definitions?kind=schema`.

Scope: `events`.
"""


def operation(row: Operation) -> Schema:
    """The operation's description."""
    one: Schema = {"$ref": "#/components/schemas/CloudEvent"}
    bare: Schema = {"$ref": "#/components/schemas/BareEvent"}
    either: Schema = {"anyOf": [bare, one]}
    example = {
        "type": "checkin.start",
        "source": "https://dms.example/visits",
        "id": "visit-4711",
        "data": {
            "visit": "4711",
            "slug": "8Fh2kQ",
            "contact": {"name": "Amélie Dubois", "phone": "0470 12 34 56", "locale": "fr-BE"},
        },
    }
    return {
        "operationId": row.name,
        "tags": [row.tag],
        "summary": row.summary,
        "description": _WORDS,
        "parameters": [
            {
                "name": "mapping",
                "in": "query",
                "description": "The mapping that turns the body into an event.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"},
            },
            IDEMPOTENCY_KEY,
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [bare, one, {"type": "array", "items": either, "minItems": 1, "maxItems": 1000}]
                    },
                    "example": example,
                },
                "application/cloudevents+json": {"schema": one, "example": {"specversion": "1.0", **example}},
                "application/cloudevents-batch+json": {
                    "schema": {"type": "array", "items": one, "minItems": 1, "maxItems": 1000}
                },
            },
        },
        "responses": {
            "202": {
                "description": "Durable; of a batch: all of them.",
                "content": {
                    "application/json": {
                        "schema": {
                            "anyOf": [
                                {"$ref": "#/components/schemas/Accepted"},
                                {"$ref": "#/components/schemas/BatchAccepted"},
                            ]
                        }
                    }
                },
            },
            "207": {
                "description": "Of a batch: some were refused.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/BatchAccepted"}}},
            },
        },
    }
