"""Schema: the flow language as JSON Schema 2020-12, for editors; made from the step table that the parser reads by.

Committed as ``docs/flow.schema.json``; a test holds the file to this module. At the top of a flow, editors understand
``# yaml-language-server: $schema=…/flow.schema.json``.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from beckon.flows.forms import ANYWHERE, CHANNELS, ENTRIES, FLOW, HOURS, LIMITS, STEPS, WAIT, Field, Form
from beckon.flows.step_reading import NAMES_MAX, STEPS_MAX

Schema = dict[str, Any]

_DURATION = r"^\s*(?:(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w) ?)+|P(?:[0-9]+W)?(?:[0-9]+D)?(?:T.+)?)\s*$"
_TYPE = r"^[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*$"
_WORD = r"^[a-z_][a-z0-9_]*$"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def flow_schema() -> Schema:
    """The schema of one flow."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Beckon flow",
        "description": "What to do when an event comes: messages, waits, branches. See docs/flows.md.",
        **_object(FLOW),
        "$defs": {
            "steps": {"type": "array", "maxItems": STEPS_MAX, "items": {"$ref": "#/$defs/step"}},
            "step": {
                "type": "object",
                "description": "One thing to do.",
                "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in STEPS],
            },
            **{kind: _step(kind, form) for kind, form in STEPS.items()},
            "text": {"type": ["string", "number", "boolean"], "description": "Text; Liquid in {{ … }} and {% … %}."},
            "condition": {
                "type": ["string", "boolean"],
                "description": "A condition in CEL: event.data.mileage > 1000.",
            },
            "duration": {"type": "string", "pattern": _DURATION, "description": "10m, 24h, 2d, 1h30m or ISO 8601."},
            "type": {"type": "string", "pattern": _TYPE},
            "types": {
                "oneOf": [
                    {"$ref": "#/$defs/type"},
                    {"type": "array", "items": {"$ref": "#/$defs/type"}, "minItems": 1, "maxItems": 20},
                ]
            },
        },
    }


def flow_schema_text() -> str:
    """The schema as it is committed: indented, and ended by a line feed."""
    return msgspec.json.format(msgspec.json.encode(flow_schema()), indent=2).decode() + "\n"


def _step(kind: str, form: Form) -> Schema:
    main = form.fields[form.main]
    own = _field(main)
    if main.empty:
        own = {"anyOf": [own, {"type": "null"}]}
    if form.open:
        whole = _object({**form.fields}, optional=True)
        own = {"anyOf": [own, whole]}
    beside = {name: field for name, field in form.fields.items() if name != form.main or (main.empty and form.open)}
    schema = _object({**beside, **ANYWHERE}, optional=form.open)
    schema["properties"] = {kind: {"description": form.doc, **own}, **schema["properties"]}
    schema["required"] = [kind, *schema.get("required", [])]
    schema["description"] = form.doc
    return schema


def _object(fields: dict[str, Field], *, optional: bool = False) -> Schema:
    required = [name for name, field in fields.items() if field.required and not optional]
    schema: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {**_field(field), "description": field.doc} for name, field in fields.items()},
    }
    if required:
        schema["required"] = required
    return schema


def _field(field: Field) -> Schema:
    return _KINDS[field.kind](field)


def _named(pattern: str) -> Callable[[Field], Schema]:
    return lambda _field: {"type": "string", "pattern": pattern, "maxLength": 100}


def _refers(name: str) -> Callable[[Field], Schema]:
    return lambda _field: {"$ref": f"#/$defs/{name}"}


def _channels(_field: Field) -> Schema:
    one = {"type": "string", "pattern": _WORD, "examples": list(CHANNELS)}
    return {"oneOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": 8, "uniqueItems": True}]}


def _entry(_field: Field) -> Schema:
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {name: {} for name in ENTRIES},
    }


def _cases(_field: Field) -> Schema:
    way = {
        "type": "object",
        "additionalProperties": False,
        "required": ["when", "then"],
        "properties": {
            "when": {"$ref": "#/$defs/condition"},
            "then": {"$ref": "#/$defs/steps"},
            "name": {"type": "string"},
        },
    }
    return {"type": "array", "items": way, "minItems": 1, "maxItems": 50}


def _limits(_field: Field) -> Schema:
    numbers = {name: {"type": "integer", "minimum": 1, "maximum": most} for name, (_usual, most) in LIMITS.items()}
    return {"type": ["object", "null"], "additionalProperties": False, "properties": numbers}


_OBJECT: Schema = {
    "anyOf": [
        {"type": "object", "maxProperties": NAMES_MAX},
        {"type": "string", "pattern": r"^\s*\{\{", "description": "A native expression that gives an object."},
    ]
}
_MATCH: Schema = {
    "anyOf": [{"type": "object", "minProperties": 1, "maxProperties": 8}, {"$ref": "#/$defs/condition"}],
}

_KINDS: dict[str, Callable[[Field], Schema]] = {
    "text": _refers("text"),
    "condition": _refers("condition"),
    "duration": _refers("duration"),
    "steps": _refers("steps"),
    "type": _refers("type"),
    "types": _refers("types"),
    "value": lambda field: {},
    "object": lambda field: dict(_OBJECT),
    "match": lambda field: dict(_MATCH),
    "channels": _channels,
    "word": _named(_WORD),
    "name": _named(_NAME),
    "label": lambda field: {"type": ["string", "number", "boolean"]},
    "flag": lambda field: {"type": "boolean"},
    "count": lambda field: {"type": "integer", "minimum": 1, "maximum": field.most},
    "one_of": lambda field: {"enum": list(field.words)},
    "entry": _entry,
    "cases": _cases,
    "limits": _limits,
    "hours": lambda field: {"anyOf": [{"type": "string"}, {"minProperties": 1, **_object(HOURS)}]},
    "wait": lambda field: {"anyOf": [{"$ref": "#/$defs/duration"}, _object(WAIT)]},
}
