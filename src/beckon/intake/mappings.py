"""Mappings: a partner's native JSON becomes our event, without code: JSONata or Liquid in a YAML file.

.. code-block:: yaml

    mapping: tjekvik            # POST /v1/events?mapping=tjekvik
    source: https://tjekvik.example
    language: jsonata           # or liquid
    event: |                    # gives {type, id?, time?, subject?, data}
      { "type": "checkin.start", "id": id, "data": { "visit": visit.ref } }
"""

import sys
from typing import Any

import msgspec
import re2

from beckon.core.errors import Misconfigured, Refused
from beckon.core.liquid_text import Text, compile_text
from beckon.core.yaml_text import YamlProblem, read_yaml

# The library raises the interpreter's limit for everybody when it is imported; hostile nesting counts on the usual one.
_limit = sys.getrecursionlimit()
import jsonata  # noqa: E402

sys.setrecursionlimit(_limit)

#: One mapping may take so long, in milliseconds, and recurse so deep.
_TIME_MS_MAX = 200
_DEPTH_MAX = 100
#: One regular expression, compiled.
_PATTERN_SIZE_BYTES_MAX = 1_048_576


class Mapped(msgspec.Struct, forbid_unknown_fields=True):
    """What a mapping gives."""

    type: str
    data: Any = None
    id: str | None = None
    time: str | None = None
    subject: str | None = None


class Mapping:
    """One source's mapping, compiled."""

    def __init__(self, name: str, source: str, language: str, text: str) -> None:
        self.name = name
        self.source = source
        self.language = language
        self._liquid: Text | None = None
        self._text = text
        try:
            if language == "liquid":
                self._liquid = compile_text(text)
            elif language == "jsonata":
                jsonata.Jsonata(text, _pattern)
            else:
                raise Misconfigured(
                    "mapping.language",
                    f"{language!r} is no mapping language: write jsonata or liquid",
                    field="language",
                )
        except (jsonata.JException, Refused) as error:
            raise Misconfigured(
                "mapping.expression", f"the mapping {name} can't be read: {error}", field="event"
            ) from error

    def apply(self, native: Any) -> Mapped:
        """Turn native JSON into our event. Raises ``Refused`` when the result is none."""
        try:
            if self._liquid is not None:
                result = msgspec.json.decode(self._liquid.render({"body": native}))
            else:
                # A fresh one for each use: the expression keeps state while it runs.
                expression = jsonata.Jsonata(self._text, _pattern)
                expression.set_validate_input(False)
                frame = expression.create_frame()
                frame.set_runtime_bounds(_TIME_MS_MAX, _DEPTH_MAX)
                result = expression.evaluate(native, frame)
            return msgspec.convert(result, Mapped)
        except msgspec.ValidationError as error:
            raise Refused("mapping.result", f"the mapping {self.name} gives no event: {error}") from error
        except msgspec.DecodeError as error:
            raise Refused("mapping.result", f"the mapping {self.name} gives no JSON: {error}") from error
        except (jsonata.JException, RecursionError) as error:
            raise Refused("mapping.failed", f"the mapping {self.name} fails on this body: {error}") from error


def _pattern(pattern: str, flags: Any) -> Any:
    """A regular expression by RE2: its time grows with the text, whatever the pattern, and it can't hang."""
    options = re2.Options()
    options.case_sensitive = not flags.case_insensitive
    options.log_errors = False
    options.max_mem = _PATTERN_SIZE_BYTES_MAX
    try:
        return re2.compile(f"(?m){pattern}" if flags.multiline else pattern, options)
    except re2.error as error:
        raise Refused("mapping.pattern", f"the regular expression /{pattern[:80]}/ is none: {error}") from error


def parse_mapping(text: str, *, file: str = "") -> Mapping:
    """Read a mapping's YAML. Raises ``Misconfigured``."""
    try:
        fields = read_yaml(text).value
    except YamlProblem as error:
        raise Misconfigured("mapping.yaml", f"{file}, line {error.line}: {error.why}") from error
    if not isinstance(fields, dict) or set(fields) - {"mapping", "source", "language", "event"}:
        raise Misconfigured("mapping.form", f"{file}: a mapping has the keys mapping, source, language, event")
    try:
        name, source, event = (str(fields[key]) for key in ("mapping", "source", "event"))
    except KeyError as error:
        raise Misconfigured("mapping.form", f"{file}: {error} is missing") from error
    return Mapping(name, source, str(fields.get("language", "jsonata")), event)
