"""Definition: a flow's text read, checked for form and compiled once, so that a run only follows it.

``parse_flow`` collects every problem it finds, each with its line, and raises them together. What can only be known
with the workspace at hand (templates, inboxes, schemas) is ``check``'s task.
"""

from typing import Any

import msgspec

from beckon.core.clock import iso
from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.core.ids import derived
from beckon.core.problems import Problem, Problems
from beckon.core.timers import zone_named
from beckon.core.yaml_text import Located, YamlProblem, read_yaml
from beckon.flows.conditions import (
    ROOTS,
    Condition,
    Expression,
    Scope,
    compile_condition,
    compile_text,
    compile_value,
)
from beckon.flows.forms import FLOW, LIMITS, RESERVED
from beckon.flows.matching import CONTACT, Shape
from beckon.flows.step_reading import StepReader
from beckon.flows.steps import Call, ForEach, Http, Send, Step, Steps, WaitFor

__all__ = ["Flow", "FlowProblems", "Limits", "Problem", "contact_reference", "event_words", "parse_flow"]

#: The events that end a command's wait, by the kind of step.
OUTCOMES: dict[str, tuple[str, ...]] = {
    "send": ("message.sent", "message.delivered", "message.read", "message.undeliverable"),
    "call": ("call.completed", "call.failed"),
    "http": ("http.completed", "http.failed"),
}

_DEFAULT_CONTACT = compile_text("{{ event.data.contact }}", ROOTS)


class Limits(msgspec.Struct, frozen=True):
    """What one run of this flow may use."""

    steps: int = LIMITS["steps"][0]
    items: int = LIMITS["items"][0]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow, ready to run."""

    name: str
    #: the event types that begin it.
    on: tuple[str, ...]
    steps: Steps
    #: digest of the content; comments and layout don't count.
    version: str
    description: str = ""
    condition: Condition | None = None
    #: None: one run for each event.
    key: Expression | None = None
    #: whom it is about; None: nobody.
    contact: Expression | None = None
    #: ``contact:`` is not written: event.data.contact, else the event's subject.
    contact_by_default: bool = True
    purpose: str = "transactional"
    time_zone: str = ""
    limits: Limits = Limits()
    #: what its waits compare: register these for the workspace.
    shapes: tuple[Shape, ...] = ()
    #: every name that an expression may use.
    names: frozenset[str] = ROOTS
    #: every step by its path.
    by_path: dict[str, Step] = {}
    #: where a run goes after each step; empty: the end.
    after: dict[str, str] = {}
    #: the line of every path in the text.
    lines: dict[str, int] = {}
    source: str = ""
    file: str = ""


class FlowProblems(Problems):
    """A flow that can't be taken."""


def parse_flow(text: str, *, file: str = "") -> Flow:
    """Read a flow from YAML. Raises ``FlowProblems`` with everything that is wrong with it."""
    try:
        located = read_yaml(text)
    except YamlProblem as problem:
        raise FlowProblems((Problem(file, problem.line, "", problem.code, problem.why),)) from None
    return _Parser(located, text, file).flow()


def contact_reference(flow: Flow, event: Event, now_ms: int = 0) -> Any:
    """Whom an event is about for this flow: a contact's id, an object with phone, email …, or None."""
    if flow.contact_by_default:
        found = event.data.get("contact") if isinstance(event.data, dict) else None
        if found is None and event.subject and event.subject.startswith("con_"):
            return event.subject
        return found if isinstance(found, (str, dict)) and found else None
    if flow.contact is None:
        return None
    found = flow.contact.value(Scope({"event": event_words(event)}, now_ms=now_ms))
    if found is None or (isinstance(found, (str, dict)) and found):
        return found
    raise Refused("flow.contact", "contact: gives neither an id nor an object with phone, email and the like.")


def event_words(event: Event) -> dict[str, Any]:
    """An event as expressions see it: ``event.data``, ``event.type``, ``event.id``, ``event.time`` and the like."""
    return {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
        "time": iso(event.time_ms),
        "data": event.data,
    }


class _Parser:
    def __init__(self, located: Located, text: str, file: str) -> None:
        self._raw = located.value
        self._lines = located.lines
        self._text = text
        self._file = file
        self._problems: list[Problem] = []

    def flow(self) -> Flow:
        if not isinstance(self._raw, dict):
            self._problem("", "flow.form", "A flow is an object with flow, on and steps.")
            raise FlowProblems(tuple(self._problems))
        raw = self._raw
        saved = self._saved_names(raw.get("steps"), "steps")
        names = ROOTS | saved
        reader = StepReader(self._problems, self._lines, self._file, names)
        read = reader.fields(raw, FLOW, "", keep=frozenset({"steps", "if", "key", "contact", "limits", "time_zone"}))
        purpose = read.get("purpose", "transactional")
        reader.purpose = purpose
        limits = self._limits(raw.get("limits"))
        steps = reader.steps(raw.get("steps"), "steps")
        condition = self._try("if", lambda: compile_condition(raw["if"], ROOTS)) if "if" in raw else None
        key = self._try("key", lambda: compile_text(str(raw["key"]), ROOTS)) if raw.get("key") is not None else None
        by_default = "contact" not in raw
        contact = _DEFAULT_CONTACT if by_default else None
        if raw.get("contact") is not None:
            contact = self._try("contact", lambda: compile_value(raw["contact"], ROOTS))
        zone = str(raw.get("time_zone") or "")
        if zone and zone_named(zone) is None:
            self._problem(
                "time_zone", "flow.time_zone", f"{zone[:60]!r} is no time zone; write it like Europe/Brussels."
            )
        if self._problems:
            raise FlowProblems(tuple(sorted(self._problems, key=lambda problem: problem.line))[:50])
        by_path: dict[str, Step] = {}
        after: dict[str, str] = {}
        _link(steps, "", by_path, after)
        return Flow(
            name=str(read["flow"]),
            on=read["on"],
            steps=steps,
            version=version_of(raw),
            description=str(read.get("description", "")),
            condition=condition,
            key=key,
            contact=contact,
            contact_by_default=by_default,
            purpose=purpose,
            time_zone=zone,
            limits=limits,
            shapes=_shapes(by_path),
            names=names,
            by_path=by_path,
            after=after,
            lines=self._lines,
            source=self._text,
            file=self._file,
        )

    def _saved_names(self, raw: Any, path: str) -> frozenset[str]:
        """The names that steps give: ``save``, ``as``, and the keys of ``set``."""
        found: set[str] = set()
        stack = [(raw, path, False)]
        while stack:
            value, here, is_step = stack.pop()
            if isinstance(value, list):
                stack += [(item, f"{here}.{number}", True) for number, item in enumerate(value)]
            elif isinstance(value, dict):
                named = []
                if is_step:
                    named += [("save", value.get("save")), ("as", value.get("as"))]
                    if "for_each" in value and "as" not in value:
                        found.add("item")
                    if isinstance(value.get("set"), dict):
                        named += [(f"set.{name}", name) for name in value["set"]]
                for below, name in named:
                    if isinstance(name, str):
                        found.add(name)
                        if name in RESERVED:
                            why = f"{name!r} is a word of the language; choose another name."
                            self._problem(f"{here}.{below}", "flow.reserved_name", why)
                stack += [(item, f"{here}.{key}", False) for key, item in value.items() if isinstance(item, list)]
        return frozenset(found)

    def _limits(self, raw: Any) -> Limits:
        if raw is None:
            return Limits()
        chosen: dict[str, int] = {}
        if not isinstance(raw, dict):
            self._problem("limits", "flow.form", "limits: is an object, such as {steps: 200}.")
            return Limits()
        for name, value in raw.items():
            if name not in LIMITS:
                self._problem(f"limits.{name}", "flow.unknown_field", f"There is no limit called {name[:40]!r}.")
            elif not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LIMITS[name][1]:
                why = f"limits.{name} is a whole number from 1 to {LIMITS[name][1]}."
                self._problem(f"limits.{name}", "flow.limit", why)
            else:
                chosen[name] = value
        return Limits(**chosen)

    def _try(self, path: str, compile_it: Any) -> Any:
        try:
            return compile_it()
        except Refused as problem:
            self._problem(path, problem.code, problem.why)
            return None

    def _problem(self, path: str, code: str, why: str) -> None:
        self._problems.append(Problem(self._file, self._lines.get(path, 1), path, code, why))


def version_of(raw: Any) -> str:
    """The version of a flow's content: a digest that comments, layout and the order of keys don't change."""
    return derived("v", msgspec.json.encode(raw, order="sorted").decode())[2:18]


def _link(steps: Steps, end: str, by_path: dict[str, Step], after: dict[str, str]) -> None:
    for number, step in enumerate(steps):
        following = steps[number + 1].path if number + 1 < len(steps) else end
        by_path[step.path] = step
        after[step.path] = following
        for _name, inner in step.branches():
            _link(inner, step.path if isinstance(step, ForEach) else following, by_path, after)


def _shapes(by_path: dict[str, Step]) -> tuple[Shape, ...]:
    shapes: set[Shape] = set()
    for step in by_path.values():
        if isinstance(step, WaitFor):
            names = tuple(name for name, _value in step.match) or (CONTACT,)
            shapes.update(Shape(event_type, names) for event_type in step.types)
        elif (isinstance(step, (Call, Http)) and step.awaited) or (
            isinstance(step, Send) and step.on_undeliverable is not None
        ):
            shapes.update(Shape(event_type, ("command",)) for event_type in OUTCOMES[step.kind])
    return tuple(sorted(shapes))
