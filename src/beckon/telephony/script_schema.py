"""Schema: call scripts as JSON Schema 2020-12, for editors; made from the step table that the parser reads by.

Committed as ``docs/call.schema.json``; a test holds the file to this module. At the top of a script, editors
understand ``# yaml-language-server: $schema=…/call.schema.json``.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from beckon.telephony.script import LIMITS
from beckon.telephony.script_forms import ANYWHERE, CONNECTING, SCRIPT, STEPS, Field, Form
from beckon.telephony.script_reading import NUMBERS_MAX, PROMPTS_MAX, STEPS_MAX, WAYS_MAX

Schema = dict[str, Any]

_DURATION = r"^\s*(?:(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h) ?)+|PT.+)\s*$"
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}


def script_schema() -> Schema:
    """The schema of one call script."""
    prompts: Schema = {"$ref": "#/$defs/prompt"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Beckon call script",
        "description": "What happens in a call. See docs/calls.md.",
        **_object(SCRIPT),
        "$defs": {
            "steps": {"type": "array", "maxItems": STEPS_MAX, "items": {"$ref": "#/$defs/step"}},
            "step": {
                "type": "object",
                "description": "One thing to do.",
                "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in STEPS],
            },
            **{kind: _step(kind, form) for kind, form in STEPS.items()},
            "text": {**_SCALAR, "description": "Text; Liquid in {{ … }}."},
            "key": {"type": ["string", "integer"], "pattern": "^[0-9*#A-D]$", "minimum": 0, "maximum": 9},
            "duration": {"type": "string", "pattern": _DURATION, "description": "700ms, 5s, 2m."},
            "prompt": {
                "anyOf": [
                    {"$ref": "#/$defs/text"},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["file"],
                        "properties": {"file": {"type": "string"}},
                    },
                    {
                        "type": "object",
                        "minProperties": 1,
                        "propertyNames": {"pattern": "^[A-Za-z0-9-]{2,20}$", "not": {"const": "file"}},
                        "additionalProperties": {"$ref": "#/$defs/text"},
                    },
                ]
            },
            "prompts": {
                "anyOf": [prompts, {"type": "array", "items": prompts, "minItems": 1, "maxItems": PROMPTS_MAX}]
            },
            "ways": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": WAYS_MAX,
                "additionalProperties": {"$ref": "#/$defs/steps"},
            },
        },
    }


def script_schema_text() -> str:
    """The schema as it is committed: indented, and ended by a line feed."""
    return msgspec.json.format(msgspec.json.encode(script_schema()), indent=2).decode() + "\n"


def _step(kind: str, form: Form) -> Schema:
    own = _field(form.main)
    if form.main.empty:
        own = {"anyOf": [own, {"type": "null"}]}
    schema = _object({**form.fields, **ANYWHERE})
    schema["properties"] = {kind: {"description": form.doc, **own}, **schema["properties"]}
    schema["required"] = [kind, *schema.get("required", [])]
    schema["description"] = form.doc
    return schema


def _object(fields: dict[str, Field]) -> Schema:
    properties = {}
    for name, field in fields.items():
        own = _field(field)
        if field.empty:
            own = {"anyOf": [own, {"enum": [None, ""]}]}
        properties[name] = {**own, "description": field.doc}
    schema: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    required = [name for name, field in fields.items() if field.required]
    if required:
        schema["required"] = required
    return schema


def _field(field: Field) -> Schema:
    return _KINDS[field.kind](field)


def _refers(name: str) -> Callable[[Field], Schema]:
    return lambda _field: {"$ref": f"#/$defs/{name}"}


def _several(one: Schema, most: int) -> Schema:
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": most}]}


_WORD: Schema = {"type": "string", "pattern": r"^[a-z_][a-z0-9_]*$", "maxLength": 60}
_NAME: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_./-]*$", "maxLength": 100}

_KINDS: dict[str, Callable[[Field], Schema]] = {
    "prompt": _refers("prompts"),
    "file": lambda field: _several({"type": "string", "maxLength": 100}, PROMPTS_MAX),
    "text": _refers("text"),
    "texts": lambda field: _several({"$ref": "#/$defs/text"}, NUMBERS_MAX),
    "word": lambda field: dict(_WORD),
    "name": lambda field: dict(_NAME),
    "names": lambda field: _several(dict(_NAME), WAYS_MAX),
    "label": lambda field: dict(_SCALAR),
    "flag": lambda field: {"type": "boolean"},
    "count": lambda field: {"type": "integer", "minimum": field.least, "maximum": field.most},
    "duration": _refers("duration"),
    "key": _refers("key"),
    "one_of": lambda field: {"enum": list(field.words)},
    "ticks": lambda field: _several({"enum": list(field.words)}, len(field.words)),
    "steps": _refers("steps"),
    "ways": _refers("ways"),
    "week": lambda field: {"type": "string"},
    "connecting": lambda field: _object(CONNECTING),
    "limits": lambda field: {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "transitions": {"type": "integer", "minimum": 1, "maximum": LIMITS["transitions"][1]},
            "duration": {"$ref": "#/$defs/duration"},
        },
    },
}
