"""Reading scripts: from YAML to compiled steps, by the step table, with every problem at its line."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from beckon.core.errors import Refused
from beckon.core.ids import derived
from beckon.core.liquid_text import Text, compile_text
from beckon.core.measures import closest
from beckon.core.problems import Problem, Problems
from beckon.core.timers import Week, parse_duration, parse_week, zone_named
from beckon.core.yaml_text import Located, YamlProblem, read_yaml
from beckon.telephony import script as made
from beckon.telephony.instructions import dialled, reachable
from beckon.telephony.script_forms import ANYWHERE, CONNECTING, NAME, SCRIPT, STEPS, WORD, Field, Form
from beckon.telephony.switch import KEYS, SAY_CHARS_MAX

#: How many steps a script may have in all, and how deep they may nest.
STEPS_MAX = 500
NESTING_MAX = 10
#: Ways of one step, prompts in one, numbers of one dial.
WAYS_MAX = 100
PROMPTS_MAX = 8
NUMBERS_MAX = 16


class ScriptProblems(Problems):
    """A script that can't be taken."""


def parse_script(text: str, *, file: str = "") -> made.Script:
    """Read a call script from YAML. Raises ``ScriptProblems`` with everything that is wrong with it."""
    try:
        located = read_yaml(text)
    except YamlProblem as problem:
        raise ScriptProblems((Problem(file, problem.line, "", problem.code, problem.why),)) from None
    return _Reader(located, text, file).script()


class _Reader:
    def __init__(self, located: Located, text: str, file: str) -> None:
        self._raw = located.value
        self._lines = located.lines
        self._source = text
        self._file = file
        self._problems: list[Problem] = []
        self._count = 0
        self._names = made.ROOTS

    def script(self) -> made.Script:
        raw = self._raw
        if not isinstance(raw, dict):
            self._problem("", "script.form", "A call script is an object with call and steps.")
            raise ScriptProblems(tuple(self._problems))
        self._names = made.ROOTS | _kept_names(raw)
        read = self._fields(raw, SCRIPT, "", 0)
        zone = read.get("time_zone", "")
        if zone and zone_named(zone) is None:
            self._problem("time_zone", "script.time_zone", f"{zone[:60]!r} is no time zone.")
        steps, backup = read.get("steps", ()), read.get("backup")
        by_path: dict[str, made.Step] = {}
        after: dict[str, str] = {}
        _link(steps, "", by_path, after)
        _link(backup or (), "", by_path, after)
        named = self._named_steps(by_path)
        if self._problems:
            raise ScriptProblems(tuple(sorted(self._problems, key=lambda problem: problem.line))[:50])
        return made.Script(
            name=read["call"],
            version=derived("v", msgspec.json.encode(raw, order="sorted").decode())[2:18],
            steps=steps,
            description=read.get("description", ""),
            locale=read.get("locale", "en"),
            time_zone=zone,
            limits=read.get("limits", made.Limits()),
            backup=backup,
            by_path=by_path,
            after=after,
            named=named,
            lines=self._lines,
            names=self._names,
            source=self._source,
            file=self._file,
        )

    def _named_steps(self, by_path: dict[str, made.Step]) -> dict[str, str]:
        named: dict[str, str] = {}
        for path, step in by_path.items():
            if step.name and step.name in named:
                why = f"Two steps are called {step.name!r}; a name stands for one."
                self._problem(f"{path}.name", "script.twice", why)
            elif step.name:
                named[step.name] = path
        return named

    # Steps -----------------------------------------------------------------------------------------------------------

    def _steps(self, raw: Any, path: str, depth: int) -> made.Steps:
        if not isinstance(raw, list):
            raise Refused("script.form", "Here stands a list of steps, each beginning with a dash.")
        if depth > NESTING_MAX:
            raise Refused("script.too_deep", f"Steps nest deeper than {NESTING_MAX} levels.")
        read = []
        for number, item in enumerate(raw):
            self._count += 1
            if self._count > STEPS_MAX:
                raise Refused("script.too_many_steps", f"The script has more than {STEPS_MAX} steps.")
            try:
                step = self._step(item, f"{path}.{number}", depth)
            except Refused as problem:
                self._problem(f"{path}.{number}", problem.code, problem.why)
                continue
            if step is not None:
                read.append(step)
        return tuple(read)

    def _step(self, raw: Any, path: str, depth: int) -> made.Step | None:
        if not isinstance(raw, dict) or not raw:
            raise Refused("script.form", "A step is an object such as {say: Welcome.}.")
        kinds = _kinds(raw)
        if not kinds:
            word = next(iter(raw))
            raise Refused("script.unknown_step", f"There is no step called {word[:60]!r}{closest(word, STEPS)}")
        if len(kinds) > 1:
            raise Refused("script.form", f"A step does one thing: {' and '.join(kinds)} are {len(kinds)}.")
        kind = kinds[0]
        form = STEPS[kind]
        before = len(self._problems)
        read = self._fields(raw, {kind: form.main, **form.fields, **ANYWHERE}, path, depth)
        if len(self._problems) > before:
            return None
        ours = [name for name in raw if name in CONNECTING and CONNECTING[name] is form.fields.get(name)]
        if ours:
            given = [_goes_to(name, CONNECTING[name]) for name in ours]
            read["connecting"] = _connecting({name: read.pop(name) for name in given})
        return _make(form, kind, read, path, self._line(path))

    def _fields(self, raw: Mapping[str, Any], fields: Mapping[str, Field], path: str, depth: int) -> dict[str, Any]:
        read: dict[str, Any] = {}
        for name, value in raw.items():
            here = f"{path}.{name}" if path else name
            field = fields.get(name)
            if field is None:
                self._problem(
                    here, "script.unknown_field", f"Nothing here is called {name[:60]!r}{closest(name, fields)}"
                )
                continue
            if value is None and field.required:
                continue  # it is missing, as is said below
            if value in (None, "") and field.empty:
                read[_goes_to(name, field)] = ""
                continue
            try:
                read[_goes_to(name, field)] = _READERS[field.kind](self, field, value, here, depth)
            except Refused as problem:
                self._problem(here, problem.code, problem.why)
        for name, field in fields.items():
            if field.required and raw.get(name) is None:
                self._problem(path or name, "script.missing_field", f"{name!r} is missing: {field.doc}")
        return read

    def _problem(self, path: str, code: str, why: str) -> None:
        if len(self._problems) < 200:
            self._problems.append(Problem(self._file, self._line(path), path, code, why))

    def _line(self, path: str) -> int:
        while path and path not in self._lines:
            path = path.rpartition(".")[0]
        return self._lines.get(path, 1)

    # Fields, by kind -------------------------------------------------------------------------------------------------

    def _compiled(self, value: Any) -> Text:
        if isinstance(value, (dict, list)) or value is None:
            raise Refused("script.form", "Here stands a text.")
        text = compile_text(_word(value))
        for path in text.paths:
            if path and path[0] not in self._names:
                why = f"Nothing here is called {path[0]!r}{closest(path[0], self._names)}"
                raise Refused("script.unknown_name", why)
        return text

    def _prompt(self, field: Field, value: Any, path: str, depth: int) -> made.Prompt:
        rows = value if isinstance(value, list) else [value]
        if not 1 <= len(rows) <= PROMPTS_MAX:
            raise Refused("script.form", f"Here stand 1 to {PROMPTS_MAX} prompts.")
        return tuple(self._words(row) for row in rows)

    def _words(self, row: Any) -> made.Words:
        if isinstance(row, dict):
            if set(row) == {"file"}:
                return made.Words(file=_file(row["file"]))
            if not row or not all(_is_locale(name) for name in row):
                raise Refused("script.form", "A prompt is a text, {en: …, nl: …} by language, or {file: name.wav}.")
            return made.Words(texts=tuple((name, self._spoken(text)) for name, text in row.items()))
        return made.Words(texts=(("", self._spoken(row)),))

    def _spoken(self, value: Any) -> Text:
        text = self._compiled(value)
        if not text.source.strip() or len(text.source) > SAY_CHARS_MAX:
            raise Refused("script.form", f"What is said has 1 to {SAY_CHARS_MAX} characters.")
        return text

    def _files(self, field: Field, value: Any, path: str, depth: int) -> made.Prompt:
        rows = value if isinstance(value, list) else [value]
        if not 1 <= len(rows) <= PROMPTS_MAX:
            raise Refused("script.form", f"Here stand 1 to {PROMPTS_MAX} files.")
        return tuple(made.Words(file=_file(row)) for row in rows)

    def _text(self, field: Field, value: Any, path: str, depth: int) -> Text:
        return self._compiled(value)

    def _texts(self, field: Field, value: Any, path: str, depth: int) -> tuple[Text, ...]:
        rows = value if isinstance(value, list) else [value]
        if not 1 <= len(rows) <= NUMBERS_MAX:
            raise Refused("script.form", f"Here stand 1 to {NUMBERS_MAX} numbers.")
        texts = tuple(self._compiled(row) for row in rows)
        for text in texts:
            if text.constant is not None:
                reachable(text.constant)
        return texts

    def _named(self, field: Field, value: Any, path: str, depth: int) -> str:
        form, example = {
            "word": (WORD, "lower-case letters, digits and _"),
            "name": (NAME, "letters, digits, -, _, . and /"),
        }[field.kind]
        if not isinstance(value, str) or not form.fullmatch(value):
            raise Refused("script.name", f"{_word(value)[:60]!r} is no name here; it is written with {example}.")
        if field.kind == "word" and field.goes_to == "keep" and value in made.ROOTS - {"digits"}:
            raise Refused("script.reserved_name", f"{value!r} is a word of the language; choose another name.")
        return value

    def _names_of(self, field: Field, value: Any, path: str, depth: int) -> tuple[str, ...]:
        rows = value if isinstance(value, list) else [value]
        if not 1 <= len(rows) <= WAYS_MAX:
            raise Refused("script.form", f"Here stand 1 to {WAYS_MAX} names.")
        return tuple(self._named(Field("name", ""), row, path, depth) for row in rows)

    def _label(self, field: Field, value: Any, path: str, depth: int) -> str:
        if isinstance(value, (dict, list)) or value is None or len(_word(value)) > 300:
            raise Refused("script.form", "Here stands a short text.")
        return _word(value)

    def _flag(self, field: Field, value: Any, path: str, depth: int) -> bool:
        if not isinstance(value, bool):
            raise Refused("script.form", "Here stands true or false.")
        return value

    def _counted(self, field: Field, value: Any, path: str, depth: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not field.least <= value <= field.most:
            raise Refused("script.form", f"Here stands a whole number from {field.least} to {field.most}.")
        return value

    def _duration(self, field: Field, value: Any, path: str, depth: int) -> int:
        if not isinstance(value, str):
            raise Refused("script.duration", f"{_word(value)[:40]} is no duration; write it like 5s, 700ms or 2m.")
        try:
            duration_ms = parse_duration(value)
        except Refused as problem:
            raise Refused("script.duration", problem.why) from None
        if not 0 < duration_ms <= field.most:
            raise Refused("script.duration", f"Here stands a duration up to {field.most // 1_000} s.")
        return duration_ms

    def _key(self, field: Field, value: Any, path: str, depth: int) -> str:
        key = _word(value)
        if len(key) != 1 or key not in KEYS:
            raise Refused("script.key", f"{key[:20]!r} is no key of a phone; write one of 0-9, '*' or '#', in quotes.")
        return key

    def _one_of(self, field: Field, value: Any, path: str, depth: int) -> str:
        if value not in field.words:
            raise Refused("script.form", f"{_word(value)[:40]!r} is none of {', '.join(field.words)}.")
        return str(value)

    def _ticks(self, field: Field, value: Any, path: str, depth: int) -> tuple[str, ...]:
        rows = value if isinstance(value, list) else [value]
        for row in rows:
            self._one_of(field, row, path, depth)
        if len(set(rows)) != len(rows):
            raise Refused("script.form", "Here stands something twice.")
        return tuple(rows)

    def _steps_in(self, field: Field, value: Any, path: str, depth: int) -> made.Steps:
        return self._steps(value, path, depth + 1)

    def _ways(self, field: Field, value: Any, path: str, depth: int) -> made.Ways:
        if not isinstance(value, dict) or not 1 <= len(value) <= WAYS_MAX:
            raise Refused("script.form", f"Here stand 1 to {WAYS_MAX} ways: a value, and what to do.")
        ways = []
        for name, steps in value.items():
            if field.goes_to == "ways" and path.endswith(".menu"):
                self._keys_of(name)
            if path.endswith(".codes") and not (name.isascii() and name.lstrip("-").isdigit() and len(name) <= 9):
                raise Refused("script.form", f"{name[:20]!r} is no return code; these are whole numbers.")
            ways.append((name, self._steps(steps, f"{path}.{name}", depth + 1)))
        return tuple(ways)

    def _keys_of(self, name: str) -> None:
        if not 1 <= len(name) <= 8 or any(key not in KEYS for key in name):
            raise Refused("script.key", f"{name[:20]!r} can't be typed on a phone; write '1', '12' or '*'.")

    def _week(self, field: Field, value: Any, path: str, depth: int) -> Week:
        try:
            return parse_week(_word(value))
        except Refused as problem:
            raise Refused("script.hours", problem.why) from None

    def _connecting(self, field: Field, value: Any, path: str, depth: int) -> made.Connecting:
        if not isinstance(value, dict):
            raise Refused("script.form", f"Here stands an object with {', '.join(CONNECTING)}.")
        return _connecting(self._fields(value, CONNECTING, path, depth))

    def _limits(self, field: Field, value: Any, path: str, depth: int) -> made.Limits:
        form = {
            "transitions": Field("count", "", most=made.LIMITS["transitions"][1]),
            "duration": Field("duration", "", most=made.LIMITS["duration"][1], goes_to="duration_ms"),
        }
        if not isinstance(value, dict):
            raise Refused("script.form", "limits: is an object, such as {transitions: 60}.")
        return made.Limits(**self._fields(value, form, path, depth))


def _kinds(raw: Mapping[str, Any]) -> list[str]:
    """The step that an object is: ``say`` and ``record`` are also fields of other steps."""
    kinds = [name for name in raw if name in STEPS]
    if len(kinds) > 1:
        owners = [name for name in kinds if all(other == name or other in STEPS[name].fields for other in kinds)]
        return owners if len(owners) == 1 else kinds
    return kinds


def _make(form: Form, kind: str, read: dict[str, Any], path: str, line: int) -> made.Step:
    common = {"path": path, "line": line, "name": read.pop("name", "")}
    if kind == "hours" and (zone := read.get("zone")) and zone_named(zone) is None:
        raise Refused("script.time_zone", f"{zone[:60]!r} is no time zone; write it like Europe/Brussels.")
    if kind == "hours":
        read["week"] = read.pop("hours")
    if kind == "ask" and read.get("method") == "GET" and read.get("form", "query") != "query":
        raise Refused("script.form", "A GET tells what it tells in the query.")
    if kind == "ask" and read.get("method") == "GET":
        read["form"] = "query"
    if kind == "gather" and read.get("keys_max", 32) < read.get("keys_min", 1):
        raise Refused("script.form", "gather: takes fewer keys at most than at least.")
    step: made.Step = form.made(**common, **read)
    return step


def _connecting(read: dict[str, Any]) -> made.Connecting:
    at_once = read.pop("how", "in_turn") == "at_once"
    caller_id = read.get("caller_id")
    if caller_id is not None and caller_id.constant not in (None, "called", "caller"):
        dialled(caller_id.constant)
    if "accept" in read and "hint" not in read:
        raise Refused("script.form", "accept goes with hint: the callee must hear what to press.")
    return made.Connecting(at_once=at_once, **read)


def _goes_to(name: str, field: Field) -> str:
    return field.goes_to or name


def _kept_names(raw: Any) -> frozenset[str]:
    """The names under which keys are kept."""
    found: set[str] = set()
    stack = [raw]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            kept = value.get("gather")
            if isinstance(kept, str):
                found.add(kept)
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return frozenset(found)


def _link(steps: made.Steps, end: str, by_path: dict[str, made.Step], after: dict[str, str]) -> None:
    for number, step in enumerate(steps):
        following = steps[number + 1].path if number + 1 < len(steps) else end
        by_path[step.path] = step
        after[step.path] = following
        for _name, inner in step.branches():
            _link(inner, following, by_path, after)


def _file(value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value) or ".." in value:
        raise Refused("script.file", f"{_word(value)[:60]!r} is no name of a prompt's file, such as welcome.wav.")
    return value


def _is_locale(name: str) -> bool:
    return 2 <= len(name) <= 20 and name.replace("-", "").isascii() and name.replace("-", "").isalnum()


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


_READERS: dict[str, Callable[[_Reader, Field, Any, str, int], Any]] = {
    "prompt": _Reader._prompt,
    "file": _Reader._files,
    "text": _Reader._text,
    "texts": _Reader._texts,
    "word": _Reader._named,
    "name": _Reader._named,
    "names": _Reader._names_of,
    "label": _Reader._label,
    "flag": _Reader._flag,
    "count": _Reader._counted,
    "duration": _Reader._duration,
    "key": _Reader._key,
    "one_of": _Reader._one_of,
    "ticks": _Reader._ticks,
    "steps": _Reader._steps_in,
    "ways": _Reader._ways,
    "week": _Reader._week,
    "connecting": _Reader._connecting,
    "limits": _Reader._limits,
}
