"""YAML 1.2 as flows and templates use it: plain values with their lines, no tags, no surprises, limits on everything.

Reads the event stream of ``ruamel.yaml`` rather than its objects: so ``on`` is a word and not true, a date is a text,
no tag makes an object, depth is counted before anything recurses, and an alias bomb is counted where it would burst.
"""

import re
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

#: The longest file, in characters.
TEXT_CHARS_MAX = 131_072
#: How deep a file may nest.
DEPTH_MAX = 32
#: How many values a file may hold, aliases written out.
VALUES_MAX = 20_000

_SURROGATE = re.compile("[\ud800-\udfff]")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?\d{1,40}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.\d{1,40}|\d{1,40}(?:\.\d{0,40})?)(?:[eE][-+]?\d{1,3})?", re.ASCII)


class YamlProblem(Exception):
    """The text is no YAML that we read; ``line`` counts from 1."""

    def __init__(self, code: str, why: str, line: int) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.line = line


class Located(msgspec.Struct):
    """A YAML document: its plain value, and the line of each path (``steps.1.on_timeout.0.send``)."""

    value: Any
    lines: dict[str, int]


class _Open(msgspec.Struct):
    """A mapping or list whose end has not come yet."""

    value: Any
    path: str
    anchor: str | None
    key: str | None = None
    key_line: int = 0
    #: values inside, aliases written out.
    count: int = 1


def read_yaml(text: str) -> Located:
    """Read one YAML document. Raises ``YamlProblem`` with the line."""
    if len(text) > TEXT_CHARS_MAX:
        raise YamlProblem("yaml.too_long", f"The file is longer than {TEXT_CHARS_MAX // 1024} KiB.", 1)
    reader = _Reader()
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            reader.take(event)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        why = f"This is no YAML: {str(problem.problem or problem.context)[:160]}."
        raise YamlProblem("yaml.syntax", why, mark.line + 1 if mark else 1) from None
    except YAMLError as problem:
        line = text.count("\n", 0, getattr(problem, "position", 0)) + 1
        raise YamlProblem("yaml.syntax", "This is no YAML: it holds a character that YAML forbids.", line) from None
    except RecursionError:
        raise YamlProblem("yaml.too_deep", f"The file nests deeper than {DEPTH_MAX} levels.", 1) from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, AssertionError) as problem:
        # The scanner trips over some texts with errors of its own: they are wrong all the same.
        raise YamlProblem("yaml.syntax", f"This is no YAML ({type(problem).__name__}).", 1) from None
    return Located(reader.root, reader.lines)


class _Reader:
    """Builds plain values from YAML's events, without recursion."""

    def __init__(self) -> None:
        self.root: Any = None
        self.lines: dict[str, int] = {"": 1}
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._documents = 0
        self._count = 0

    def take(self, event: Any) -> None:
        """Take the next event of the stream."""
        line = event.start_mark.line + 1
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise YamlProblem("yaml.documents", "The file holds more than one document.", line)
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            done = self._stack.pop()
            if done.anchor:
                self._anchors[done.anchor] = (done.value, done.count)
            if self._stack:
                self._stack[-1].count += done.count
        elif isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            self._forbid_tag(event, line)
            if len(self._stack) >= DEPTH_MAX:
                raise YamlProblem("yaml.too_deep", f"The file nests deeper than {DEPTH_MAX} levels.", line)
            value: Any = {} if isinstance(event, MappingStartEvent) else []
            if self._stack and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None:
                raise YamlProblem("yaml.key", "A key is a word, not a list or an object.", line)
            path = self._place(value, line)
            self._stack.append(_Open(value, path, event.anchor))
        elif isinstance(event, ScalarEvent):
            self._forbid_tag(event, line)
            self._scalar(event, line)
        elif isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise YamlProblem("yaml.alias", f"*{str(event.anchor)[:40]} stands for nothing yet.", line)
            shared, count = self._anchors[event.anchor]
            self._spend(count, line)
            if self._stack:
                self._stack[-1].count += count
            self._place(shared, line)

    def _scalar(self, event: Any, line: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            key = _whole(str(event.value), line)
            if key == "<<":
                raise YamlProblem("yaml.key", "Merge keys (<<) are not read; write the keys out.", line)
            if key in top.value:
                raise YamlProblem("yaml.twice", f"The key {key[:60]!r} stands here twice.", line)
            top.key, top.key_line = key, line
            return
        text = _whole(str(event.value), line)
        value = plain_scalar(text) if event.implicit[0] and event.style is None else text
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        if top is not None:
            top.count += 1
        self._place(value, line)

    def _place(self, value: Any, line: int) -> str:
        self._spend(1, line)
        if not self._stack:
            self.root = value
            return ""
        top = self._stack[-1]
        if isinstance(top.value, dict):
            if top.key is None:
                raise YamlProblem("yaml.key", "A key is a word, not an alias.", line)
            top.value[top.key] = value
            word, top.key = top.key, None
            line = top.key_line
        else:
            word = str(len(top.value))
            top.value.append(value)
        path = f"{top.path}.{word}" if top.path else word
        self.lines[path] = line
        return path

    def _spend(self, count: int, line: int) -> None:
        self._count += count
        if self._count > VALUES_MAX:
            raise YamlProblem("yaml.too_large", f"The file holds more than {VALUES_MAX} values.", line)

    @staticmethod
    def _forbid_tag(event: Any, line: int) -> None:
        if event.tag is not None:
            raise YamlProblem("yaml.tag", f"Tags like {str(event.tag)[:40]} are not read.", line)


def _whole(text: str, line: int) -> str:
    """Text with the halves of a pair of surrogates, as JSON writes them, made one character."""
    if not _SURROGATE.search(text):
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise YamlProblem("yaml.syntax", "The text holds half a character.", line) from None


def plain_scalar(text: str) -> Any:
    """A word without quotes as YAML 1.2 reads it: null, true, a number, or itself."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text[:1] in "+-.0123456789":
        if _INT.fullmatch(text):
            return int(text) if not (len(text) > 1 and text[0] == "0") else text
        if _FLOAT.fullmatch(text):
            number = float(text)
            return number if abs(number) < 1e300 else text
    return text
