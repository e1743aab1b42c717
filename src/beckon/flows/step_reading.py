"""Reading steps: from plain YAML values to compiled steps, by the step table, with every problem at its line."""

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

from beckon.core.errors import Refused
from beckon.core.measures import closest
from beckon.core.problems import Problem
from beckon.core.timers import clock_minutes, instant, outside, parse_duration, parse_week, zone_named
from beckon.flows import steps as made
from beckon.flows.conditions import Constant, Expression, compile_condition, compile_text, compile_value
from beckon.flows.forms import ANYWHERE, CHANNELS, ENTRIES, HOURS, NAME, STEPS, TYPE, WAIT, WORD, Field, Form
from beckon.flows.step_making import make_step

#: How many steps a flow may have in all, and how deep they may nest.
STEPS_MAX = 500
NESTING_MAX = 10
#: Fields in one object of values.
NAMES_MAX = 200

Pairs = tuple[tuple[str, Expression], ...]


class StepReader:
    """Reads the steps of one flow, gathering problems as it goes."""

    def __init__(self, problems: list[Problem], lines: dict[str, int], file: str, names: frozenset[str]) -> None:
        self._problems = problems
        self._lines = lines
        self._file = file
        self._names = names
        self._count = 0
        #: the flow's purpose, which its messages have unless they say otherwise.
        self.purpose = "transactional"

    def steps(self, raw: Any, path: str, depth: int = 0) -> made.Steps:
        """Read a list of steps."""
        if not isinstance(raw, list):
            if raw is not None or depth:
                self._problem(path, "flow.form", "Here stands a list of steps, each beginning with a dash.")
            return ()
        if depth >= NESTING_MAX:
            self._problem(path, "flow.too_deep", f"Steps nest deeper than {NESTING_MAX} levels.")
            return ()
        read = []
        for number, item in enumerate(raw):
            self._count += 1
            if self._count == STEPS_MAX + 1:
                self._problem(path, "flow.too_many_steps", f"The flow has more than {STEPS_MAX} steps.")
            if self._count > STEPS_MAX:
                break
            step = self._step(item, f"{path}.{number}", depth)
            if step is not None:
                read.append(step)
        return tuple(read)

    def fields(
        self,
        raw: Mapping[str, Any],
        fields: Mapping[str, Field],
        path: str,
        keep: frozenset[str] = frozenset(),
        depth: int = 0,
    ) -> dict[str, Any]:
        """Read fields by their forms; those in ``keep`` are only checked for being there."""
        read: dict[str, Any] = {}
        for name, value in raw.items():
            here = f"{path}.{name}" if path else name
            field = fields.get(name)
            if field is None:
                near = closest(name, (fields.keys() | ANYWHERE.keys()) - {name})
                self._problem(here, "flow.unknown_field", f"Nothing here is called {name[:60]!r}{near}")
            elif name not in keep and not (value is None and field.empty):
                try:
                    read[name] = self._field(field, value, here, depth)
                except Refused as problem:
                    self._problem(here, problem.code, problem.why)
        for name, field in fields.items():
            if field.required and raw.get(name) is None:
                at = path or name
                self._problem(at, "flow.missing_field", f"{name!r} is missing: {_lower(field.doc)}")
        return read

    def _step(self, raw: Any, path: str, depth: int) -> made.Step | None:
        if not isinstance(raw, dict) or not raw:
            self._problem(path, "flow.form", "A step is an object such as {send: checkin_invite}.")
            return None
        kinds = [name for name in raw if name in STEPS]
        if len(kinds) != 1:
            if kinds:
                why = f"A step does one thing: {' and '.join(kinds)} are {len(kinds)}; begin each with a dash."
            else:
                word = next(iter(raw))
                why = f"There is no step called {word[:60]!r}{closest(word, STEPS)}"
            self._problem(path, "flow.unknown_step" if not kinds else "flow.form", why)
            return None
        kind = kinds[0]
        before = len(self._problems)
        read = self._flat(kind, STEPS[kind], raw, path, depth)
        if len(self._problems) > before:
            return None
        try:
            name = str(read.pop("name", ""))
            return make_step(kind, read, {"path": path, "line": self._lines.get(path, 1), "name": name}, self.purpose)
        except Refused as problem:
            self._problem(path, problem.code, problem.why)
            return None

    def _flat(self, kind: str, form: Form, raw: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        """A step's fields, its own value under the name of its main field."""
        beside = {name: value for name, value in raw.items() if name != kind}
        own = raw[kind]
        fields = {**form.fields, **ANYWHERE}
        if form.open and isinstance(own, dict):
            twice = [name for name in own if name in beside]
            if twice:
                self._problem(f"{path}.{twice[0]}", "flow.twice", f"{twice[0]!r} stands here twice.")
            return self._fields_at({**own, **beside}, fields, dict.fromkeys(own, f"{path}.{kind}"), path, depth)
        if form.main in beside and not (own is None and form.open):
            why = f"{form.main!r} stands under {kind!r} itself."
            self._problem(f"{path}.{form.main}", "flow.unknown_field", why)
            return {}
        if own is None and form.main not in beside and form.fields[form.main].required:
            self._problem(path, "flow.missing_field", f"{kind}: is empty; {_lower(form.fields[form.main].doc)}")
            return {}
        merged = {**beside} if form.main in beside else {form.main: own, **beside}
        return self._fields_at(merged, fields, {form.main: ""}, path, depth, kind)

    def _fields_at(
        self,
        raw: dict[str, Any],
        fields: dict[str, Field],
        homes: dict[str, str],
        path: str,
        depth: int,
        kind: str = "",
    ) -> dict[str, Any]:
        # A field's line stands under the step's own key where it was written there.
        for name, home in homes.items():
            target = f"{home}.{name}" if home else f"{path}.{kind}"
            if target in self._lines:
                self._lines.setdefault(f"{path}.{name}", self._lines[target])
        return self.fields(raw, fields, path, depth=depth)

    def _field(self, field: Field, value: Any, path: str, depth: int) -> Any:
        return _READERS[field.kind](self, field, value, path, depth)

    def _problem(self, path: str, code: str, why: str) -> None:
        if len(self._problems) < 200:
            self._problems.append(Problem(self._file, self._line(path), path, code, why))

    def _line(self, path: str) -> int:
        while path and path not in self._lines:
            path = path.rpartition(".")[0]
        return self._lines.get(path, 1)

    # Fields, by kind ---------------------------------------------------------------------------------------------

    def _text(self, field: Field, value: Any, path: str, depth: int) -> Expression:
        if isinstance(value, (dict, list)) or value is None:
            raise Refused("flow.form", "Here stands a text.")
        return compile_text(_word(value), self._names)

    def _value(self, field: Field, value: Any, path: str, depth: int) -> Expression:
        return compile_value(value, self._names)

    def _object(self, field: Field, value: Any, path: str, depth: int) -> Pairs | Expression:
        if isinstance(value, str) and value.strip().startswith("{{"):
            return compile_value(value, self._names)
        if not isinstance(value, dict):
            raise Refused("flow.form", "Here stands an object of names and values.")
        if len(value) > NAMES_MAX:
            raise Refused("flow.form", f"Here stand more than {NAMES_MAX} names.")
        pairs = []
        for name, item in value.items():
            try:
                pairs.append((name, compile_value(item, self._names)))
            except Refused as problem:
                self._problem(f"{path}.{name}", problem.code, problem.why)
        return tuple(pairs)

    def _match(self, field: Field, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, str):
            return compile_condition(value, self._names | {"it"})
        if not isinstance(value, dict) or not value or len(value) > 8:
            raise Refused("flow.form", "match: is an object of one to eight names and values, or a condition in CEL.")
        pairs = self._object(field, value, path, depth)
        return tuple(sorted(pairs, key=lambda pair: str(pair[0]))) if isinstance(pairs, tuple) else pairs

    def _condition(self, field: Field, value: Any, path: str, depth: int) -> Any:
        waiting = path.endswith(".where")
        return compile_condition(value, self._names | {"it"} if waiting else self._names)

    def _duration(self, field: Field, value: Any, path: str, depth: int) -> int:
        if not isinstance(value, str):
            raise Refused("flow.duration", f"{_word(value)[:40]} is no duration; write it like 10m, 24h, 2d or 1h30m.")
        duration_ms = parse_duration(value)
        if duration_ms == 0:
            raise Refused("flow.duration", "A duration is longer than nothing.")
        return duration_ms

    def _steps_in(self, field: Field, value: Any, path: str, depth: int) -> made.Steps:
        return self.steps(value, path, depth + 1)

    def _channels(self, field: Field, value: Any, path: str, depth: int) -> tuple[str, ...]:
        words = value if isinstance(value, list) else [value]
        for word in words:
            if not isinstance(word, str) or not WORD.fullmatch(word):
                why = f"{_word(word)[:40]!r} is no channel; write best, or one of {', '.join(CHANNELS[1:])}."
                raise Refused("flow.channel", why)
        if not words or len(words) > 8 or len(set(words)) != len(words):
            raise Refused("flow.channel", "via: names one to eight channels, each once.")
        return tuple(words)

    def _named(self, field: Field, value: Any, path: str, depth: int) -> str:
        form, example = {
            "word": (WORD, "lower-case letters, digits and _"),
            "type": (TYPE, "lower-case words with dots, like checkin.start"),
            "name": (NAME, "letters, digits, - and _"),
        }[field.kind]
        if not isinstance(value, str) or not form.fullmatch(value):
            raise Refused("flow.name", f"{_word(value)[:60]!r} is no name here; it is written with {example}.")
        return value

    def _types(self, field: Field, value: Any, path: str, depth: int) -> tuple[str, ...]:
        words = value if isinstance(value, list) else [value]
        if not 1 <= len(words) <= 20:
            raise Refused("flow.form", "Here stand one to twenty event types.")
        return tuple(self._named(Field("type", ""), word, path, depth) for word in words)

    def _label(self, field: Field, value: Any, path: str, depth: int) -> str:
        if isinstance(value, (dict, list)) or value is None or len(_word(value)) > 500:
            raise Refused("flow.form", "Here stands a short text.")
        return _word(value)

    def _flag(self, field: Field, value: Any, path: str, depth: int) -> bool:
        if not isinstance(value, bool):
            raise Refused("flow.form", "Here stands true or false.")
        return value

    def _counted(self, field: Field, value: Any, path: str, depth: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= field.most:
            raise Refused("flow.form", f"Here stands a whole number from 1 to {field.most}.")
        return value

    def _one_of(self, field: Field, value: Any, path: str, depth: int) -> str:
        if value not in field.words:
            raise Refused("flow.form", f"{_word(value)[:40]!r} is none of {', '.join(field.words)}.")
        return str(value)

    def _entry(self, field: Field, value: Any, path: str, depth: int) -> tuple[str, Expression]:
        if not isinstance(value, dict) or len(value) != 1:
            raise Refused("flow.form", f"post: is an object with one of {', '.join(ENTRIES)}.")
        [(kind, body)] = value.items()
        if kind not in ENTRIES:
            raise Refused("flow.form", f"post: knows no {kind[:40]!r}{closest(kind, ENTRIES)}")
        return kind, compile_value(body, self._names)

    def _cases(self, field: Field, value: Any, path: str, depth: int) -> tuple[made.Case, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= 50:
            raise Refused("flow.form", "choose: is a list of one to fifty {when: condition, then: steps}.")
        home = path.rpartition(".")[0] + ".choose"
        cases = []
        form = {
            "when": Field("condition", "The condition.", required=True),
            "then": Field("steps", "What to do.", required=True),
            **ANYWHERE,
        }
        for number, raw in enumerate(value):
            here = f"{home}.{number}"
            if not isinstance(raw, dict):
                self._problem(here, "flow.form", "A way of choose is an object {when: condition, then: steps}.")
                continue
            read = self.fields(raw, form, here, depth=depth)
            if "when" in read and "then" in read:
                cases.append(made.Case(read["when"], read["then"], read.get("name", "")))
        return tuple(cases)

    def _hours(self, field: Field, value: Any, path: str, depth: int) -> made.Hours:
        if isinstance(value, str):
            return made.Hours(instant=_instant(compile_value(value, self._names)), source=value)
        if not isinstance(value, dict) or not value:
            raise Refused("flow.form", "at: is {between: …}, {not_between: …}, {instant: …} or an instant.")
        read = self.fields(value, HOURS, path, depth=depth)
        if "between" in read and "not_between" in read:
            raise Refused("flow.form", "at: takes between or not_between, not both.")
        week = parse_week(read["between"]) if "between" in read else None
        if "not_between" in read:
            week = outside(parse_week(read["not_between"]))
        if "instant" in read:
            _instant(read["instant"])
        source = ", ".join(f"{name.replace('_', ' ')} {raw}" for name, raw in value.items())
        return made.Hours(week, read.get("instant"), source[:200])

    def _wait(self, field: Field, value: Any, path: str, depth: int) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {"for_ms": self._duration(field, value, path, depth), "source": str(value)}
        read = self.fields(value, WAIT, path, depth=depth)
        if ("for" in value) == ("until" in value):
            raise Refused("flow.form", "wait: takes either for or until.")
        if "until" not in value and ("before" in value or "after" in value):
            raise Refused("flow.form", "before and after go with until.")
        if "until" in read:
            _instant(read["until"], or_clock=True)
        if "zone" in read and zone_named(read["zone"]) is None:
            raise Refused("flow.time_zone", f"{read['zone'][:60]!r} is no time zone; write it like Europe/Brussels.")
        return {
            "for_ms": read.get("for", 0),
            "until": read.get("until"),
            "shift_ms": read.get("after", 0) - read.get("before", 0),
            "hours": parse_week(read["hours"]) if "hours" in read else None,
            "zone": read.get("zone", ""),
            "source": ", ".join(f"{name} {_word(raw)}" for name, raw in value.items())[:200],
        }

    def _left_to_caller(self, field: Field, value: Any, path: str, depth: int) -> Any:
        return value


def _instant(expression: Expression, *, or_clock: bool = False) -> Expression:
    """An instant; one that is the same for every run is read at once. ``or_clock``: or a time of day."""
    if isinstance(expression, Constant) and not (or_clock and clock_minutes(expression.words) is not None):
        try:
            instant(expression.constant, UTC)
        except Refused as error:
            why = error.why.replace("write it like", "write it like 09:00 or") if or_clock else error.why
            raise Refused(error.code, why) from None
    return expression


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


_READERS: dict[str, Callable[[StepReader, Field, Any, str, int], Any]] = {
    "text": StepReader._text,
    "value": StepReader._value,
    "object": StepReader._object,
    "condition": StepReader._condition,
    "duration": StepReader._duration,
    "steps": StepReader._steps_in,
    "channels": StepReader._channels,
    "word": StepReader._named,
    "type": StepReader._named,
    "name": StepReader._named,
    "types": StepReader._types,
    "label": StepReader._label,
    "flag": StepReader._flag,
    "count": StepReader._counted,
    "one_of": StepReader._one_of,
    "hours": StepReader._hours,
    "wait": StepReader._wait,
    "cases": StepReader._cases,
    "entry": StepReader._entry,
    "match": StepReader._match,
    "limits": StepReader._left_to_caller,
}
