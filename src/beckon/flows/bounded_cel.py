"""CEL within limits: checked when it is written, given only what it names, refused when it could grow.

The library converts what it is given as a whole, so a condition gets a cut-out of the scope that holds just the paths
it names: its cost depends on the expression, not on the size of the event. What can multiply is counted beforehand:
loops (``exists``, ``all``, ``filter``, ``map``), their nesting, and the ``+`` and ``matches`` inside them.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cel_expr_python import cel

from beckon.core.errors import Refused
from beckon.core.measures import closest, weigh

#: The longest condition, as written.
SOURCE_CHARS_MAX = 1_000
#: Loops in one condition, side by side or nested.
LOOPS_MAX = 4
#: What a condition may read; with a loop in it, a quarter of that.
READ_WEIGHT_MAX = 65_536
#: Estimated characters that a condition with loops may touch.
COST_MAX = 20_000_000

_LITERAL = re.compile(r"""[rb]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")""", re.DOTALL)
_PATH = re.compile(r"(?<![\w.])([A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)(\s*\()?")
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|filter|map)\s*\(")
_MAP = re.compile(r"\.\s*map\s*\(")
_PLACE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_UNDECLARED = re.compile(r"undeclared reference to '([^'.]+)")


class Condition:
    """One CEL expression that says yes or no."""

    __slots__ = ("_compiled", "_costly", "_loops", "_paths", "_timed", "paths", "source")

    def __init__(self, source: str, names: frozenset[str]) -> None:
        """Compile it against these names. Raises ``Refused`` when it is wrong, or could cost too much."""
        if len(source) > SOURCE_CHARS_MAX:
            why = f"The condition is longer than {SOURCE_CHARS_MAX} characters."
            raise Refused("flow.expression_too_costly", why)
        self.source = source
        bare = _LITERAL.sub("''", source)
        self._loops = len(_LOOP.findall(bare))
        self._costly = bare.count("+") + bare.count("matches")
        if self._loops > LOOPS_MAX:
            raise Refused("flow.expression_too_costly", f"The condition has more than {LOOPS_MAX} loops.")
        if "+" in bare and _MAP.search(bare):
            raise Refused("flow.expression_too_costly", "A condition may not use + together with map().")
        self._compiled = _compile(source, names)
        #: the paths that it reads, for the checker.
        self.paths = tuple(sorted(_paths_in(bare, names)))
        self._timed = any(path[0] == "now" for path in self.paths)
        self._paths = tuple(path for path in _shortest(self.paths) if path[0] != "now")

    def holds(self, scope: dict[str, Any], now_ms: int) -> bool:
        """Whether it holds. Raises ``Refused`` when it can't tell: a missing value, an answer that is not yes or no."""
        given = cut_out(scope, self._paths)
        self._afford(given)
        if self._timed:
            given["now"] = datetime.fromtimestamp(now_ms / 1_000, UTC)
        try:
            answer = self._compiled.eval(data=given)
            value = answer.value()
        except Exception as problem:
            raise self._refusal(str(problem)) from None
        if value is True or value is False:
            return bool(value)
        if answer.type() == cel.Type.ERROR:
            raise self._refusal(str(value))
        why = f"The condition {_start(self.source)} gives {_start(str(value))}, not yes or no."
        raise Refused("flow.not_yes_or_no", why)

    def _afford(self, given: dict[str, Any]) -> None:
        weight = weigh(given, READ_WEIGHT_MAX if not self._loops else READ_WEIGHT_MAX // 4)
        if self._loops and self._costly:
            turns = min(10_000, (weight // 4) ** min(self._loops, 2))
            if turns * self._costly * weight > COST_MAX:
                why = f"The condition {_start(self.source)} repeats + or matches over too much."
                raise Refused("flow.expression_too_costly", why)

    def _refusal(self, said: str) -> Refused:
        if "Key not found" in said or "No value with name" in said:
            name = re.search(r'"([^"]{1,80})"', said)
            known = f" {name[1]!r}" if name else ""
            why = f"The condition {_start(self.source)} reads{known}, which is missing; ask with has(…) first."
            return Refused("flow.missing_value", why)
        if "Iteration budget" in said:
            return Refused("flow.expression_too_costly", f"The condition {_start(self.source)} loops too often.")
        reason = said.split(":", 1)[-1].split(" [")[0].strip()[:120] or "no reason given"
        return Refused("flow.cel_failed", f"The condition {_start(self.source)} fails: {reason}.")


def cut_out(scope: dict[str, Any], paths: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    """The part of a scope that these paths reach; what is missing in the scope is missing in the part."""
    part: dict[str, Any] = {}
    for path in paths:
        try:
            found: Any = scope[path[0]]
        except KeyError:
            continue
        target, last = part, path[0]
        for name in path[1:]:
            if type(found) is not dict:
                break
            target = target.setdefault(last, {})
            if name not in found:
                last = ""
                break
            found, last = found[name], name
        if last:
            target[last] = found
    return part


def _compile(source: str, names: frozenset[str]) -> Any:
    if not source.strip():
        raise Refused("flow.cel_syntax", "The condition is empty.")
    try:
        compiled = _environment(names).compile(source)
    except Exception as problem:
        said = str(problem)
        found = _PLACE.search(said)
        what = found[3] if found else said.split("\n", 1)[0]
        place = f" at column {found[2]}" if found and found[2] != "-1" else ""
        what = what.replace(" (in container '')", "").strip().rstrip(".")
        if unknown := _UNDECLARED.search(what):
            why = f"The condition {_start(source)} names {unknown[1]!r}, which nothing here is called"
            raise Refused("flow.unknown_name", why + closest(unknown[1], names | {"now"})) from None
        why = f"The condition {_start(source)} is wrong{place}: {_in_words(what)}."
        raise Refused("flow.cel_syntax", why) from None
    if compiled.return_type().name() not in ("BOOL", "DYN"):
        name = compiled.return_type().name()
        kind = _KINDS.get(name.partition("<")[0].upper(), f"a {name.lower()}")
        raise Refused("flow.not_yes_or_no", f"The condition {_start(source)} gives {kind}, not yes or no.")
    return compiled


def _in_words(said: str) -> str:
    """The compiler's sentence, for people who don't write compilers."""
    for pattern, words in _SAID:
        found = pattern.match(said)
        if found:
            return words(found)[:200]
    return said[:200]


def _unfit(found: re.Match[str]) -> str:
    name = found[1].strip("_") if found[1].startswith(("_", "@")) else f"{found[1]}(…)"
    return f"{name} can't be used with {found[2].replace(', ', ' and ')}"


#: How other languages write it, and how CEL does.
_OPERATORS = {"'and'": "is written &&", "'or'": "is written ||", "'not'": "is written !", "'&'": "is written &&"}
#: What the compiler says → what one can do about it.
_SAID: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"found no matching overload for '([^']+)' applied to '\(([^)]*)\)'"), _unfit),
    (re.compile(r"Syntax error: .*'<EOF>'"), lambda found: "it ends too early, something is missing"),
    (
        re.compile(r"Syntax error: token recognition error at: '(= ?)"),
        lambda found: "one = compares nothing, write == instead",
    ),
    (re.compile(r"Syntax error: token recognition error at: (.+)"), lambda found: f"{found[1]} can't be read"),
    (
        re.compile(r"Syntax error: (?:mismatched|extraneous) input ('.+?') expecting"),
        lambda found: f"{found[1]} {_OPERATORS.get(found[1], 'does not belong here')}",
    ),
    (
        re.compile(r"Syntax error: missing (.+?) at ('.+?')"),
        lambda found: f"{found[1] if len(found[1]) < 20 else 'something'} is missing before {found[2]}",
    ),
)
_KINDS = {
    "INT": "a number", "UINT": "a number", "DOUBLE": "a number", "STRING": "a text", "BYTES": "bytes", "LIST": "a list",
    "MAP": "an object", "TIMESTAMP": "an instant", "DURATION": "a duration", "NULL": "nothing",
}  # fmt: skip


def _environment(names: frozenset[str]) -> Any:
    if names not in _environments:
        if len(_environments) > 500:
            _environments.clear()
        variables = {name: cel.Type.DYN for name in names if name != "now"}
        _environments[names] = cel.NewEnv(variables=variables | {"now": cel.Type.TIMESTAMP})
    return _environments[names]


_environments: dict[frozenset[str], Any] = {}


def _paths_in(bare: str, names: frozenset[str]) -> set[tuple[str, ...]]:
    paths = set()
    for found in _PATH.finditer(bare):
        path = tuple(part.strip() for part in found[1].split("."))
        if found[2]:
            path = path[:-1]  # the last word is a function that is called
        if path and path[0] in names | {"now"}:
            paths.add(path)
    return paths


def _shortest(paths: tuple[tuple[str, ...], ...]) -> list[tuple[str, ...]]:
    """Without the paths that another one already holds."""
    return [path for path in paths if not any(path[:end] in paths for end in range(1, len(path)))]


def _start(source: str) -> str:
    line = " ".join(source.split())
    return repr(line if len(line) <= 60 else line[:57] + "…")
