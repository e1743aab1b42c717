"""Check: what is wrong with a flow in its workspace, found without running it.

``parse_flow`` has already refused what is wrong in itself: form, syntax, unknown names, types in CEL. Here a flow meets
what the workspace knows: templates and their variables, event types and their schemas, inboxes, acts, secrets and
channels. What a ``Library`` doesn't know (None) is not checked.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec

from beckon.core.measures import closest
from beckon.core.problems import Problem
from beckon.flows import steps as made
from beckon.flows.conditions import Condition, Constant, Expression, names_in
from beckon.flows.definition import Flow, FlowProblems, parse_flow
from beckon.flows.matching import CONTACT
from beckon.flows.schema_paths import stray_path

#: The event types that Beckon itself says; every workspace knows them.
OUR_TYPES = frozenset(
    f"{thing}.{act}"
    for thing, acts in {
        "call": ("completed", "failed"),
        "http": ("completed", "failed"),
        "link": ("clicked",),
        "message": ("received", "sent", "delivered", "read", "failed", "undeliverable"),
        "template": ("status",),
    }.items()
    for act in acts
)


class TemplateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the checker must know of a template."""

    #: variables that a ``send`` must give.
    required: frozenset[str] = frozenset()
    #: variables that it may give.
    optional: frozenset[str] = frozenset()
    #: the channels for which it can be rendered; empty: all.
    channels: frozenset[str] = frozenset()


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace knows. None: not known, so not checked."""

    templates: Mapping[str, TemplateFacts] | None = None
    #: the workspace's event types, each with its JSON Schema or None.
    event_types: Mapping[str, Any] | None = None
    inboxes: Collection[str] | None = None
    acts: Collection[str] | None = None
    secrets: Collection[str] | None = None
    #: event types that are questions, and the names that an answer to them may hold.
    answers: Mapping[str, Collection[str]] | None = None
    #: the channels that have a provider, in the workspace's order.
    channels: tuple[str, ...] | None = None
    #: the channels that there are, whether or not they have a provider here.
    known_channels: Collection[str] | None = None
    #: how event types begin that only Beckon says.
    own_types: tuple[str, ...] = ()


def check_text(text: str, library: Library, *, file: str = "") -> tuple[Problem, ...]:
    """Everything that is wrong with a flow's text, in order of line; empty: nothing."""
    try:
        flow = parse_flow(text, file=file)
    except FlowProblems as problems:
        return problems.problems
    return check(flow, library)


def check(flow: Flow, library: Library) -> tuple[Problem, ...]:
    """Everything that is wrong with a flow in this workspace, in order of line; empty: nothing."""
    checker = _Checker(flow, library)
    checker.flow_itself()
    for path, step in flow.by_path.items():
        if type(step) in _CHECKS:
            _CHECKS[type(step)](checker, step)
        checker.paths_of(path, step)
    checker.unreachable(flow.steps)
    checker.order_of_names()
    return tuple(sorted(set(checker.problems), key=lambda problem: (problem.line, problem.path, problem.code)))


def expressions_in(step: made.Step) -> Iterator[tuple[str, Expression | Condition]]:
    """All expressions of one step, without those of the steps inside it, each with the name of its field."""
    for name in step.__struct_fields__:
        value = getattr(step, name)
        if isinstance(value, made.Hours):
            value = value.instant
        if name == "cases":
            yield from ((f"choose.{number}.when", case.when) for number, case in enumerate(value))
        elif hasattr(value, "paths"):
            yield _WRITTEN.get(name, name), value
        elif isinstance(value, tuple):
            for pair in value:
                if isinstance(pair, tuple) and len(pair) == 2 and hasattr(pair[1], "paths"):
                    yield f"{_WRITTEN.get(name, name)}.{pair[0]}", pair[1]


#: Fields that are written under another name than the one that they have here.
_WRITTEN = {
    "variables": "with",
    "variables_from": "with",
    "arguments": "with",
    "arguments_from": "with",
    "body": "body",
}


class _Checker:
    def __init__(self, flow: Flow, library: Library) -> None:
        self.flow = flow
        self.library = library
        self.problems: list[Problem] = []
        self._kept = _kept_types(flow)

    def say(self, path: str, code: str, why: str, severity: str = "error") -> None:
        place = path
        while place and place not in self.flow.lines:
            place = place.rpartition(".")[0]
        line = self.flow.lines.get(place, 1)
        self.problems.append(Problem(self.flow.file, line, path, code, why, severity))

    def known(self, path: str, code: str, what: str, name: str, names: Collection[str] | None) -> bool:
        """Whether the library knows a name; says so where not."""
        if names is None or name in names:
            return True
        self.say(path, code, f"There is no {what} called {name!r}{closest(name, names)}")
        return False

    def flow_itself(self) -> None:
        for number, event_type in enumerate(self.flow.on):
            self.event_type("on" if len(self.flow.on) == 1 else f"on.{number}", event_type)
        for name, expression in (("if", self.flow.condition), ("key", self.flow.key), ("contact", self.flow.contact)):
            if expression is not None and not (name == "contact" and self.flow.contact_by_default):
                self._paths(name, expression)

    def event_type(self, path: str, event_type: str, severity: str = "error") -> None:
        types = self.library.event_types
        if types is None or event_type in types or event_type in OUR_TYPES:
            return
        emitted = {step.event_type for step in self.flow.by_path.values() if isinstance(step, made.Emit)}
        if event_type not in emitted:
            near = closest(event_type, set(types) | OUR_TYPES)
            what = f"The workspace knows no event type {event_type!r}{near}"
            self.say(path, "flow.unknown_event_type", what, severity)

    # Paths that expressions read ------------------------------------------------------------------------------------

    def paths_of(self, path: str, step: made.Step) -> None:
        """Whether what a step reads can be there, as far as schemas say."""
        for field, expression in expressions_in(step):
            it = step.types if isinstance(step, made.WaitFor) and field == "where" else None
            self._paths(f"{path}.{field}", expression, it)
        if isinstance(step, made.WaitFor):
            for name, _expression in step.match:
                if name[:1] != "@":
                    self._path(f"{path}.match.{name}", ("it", "data", *name.split(".")), step.types, name)

    def _paths(self, place: str, expression: Expression | Condition, it: tuple[str, ...] | None = None) -> None:
        for path in expression.paths:
            if path[0] == "event":
                self._path(place, path, self.flow.on)
            elif path[0] == "it" and it is not None:
                self._path(place, path, it)
            elif path[0] in self._kept:
                self._path(place, path, self._kept[path[0]])

    def _path(self, place: str, path: tuple[str, ...], types: tuple[str, ...], written: str = "") -> None:
        known = self.library.event_types
        if known is None or len(path) < 2:
            return
        if path[1] not in ("id", "type", "source", "subject", "time", "data"):
            words = ("id", "type", "source", "subject", "time", "data")
            self.say(place, "flow.unknown_path", f"An event has no {path[1]!r}{closest(path[1], words)}")
            return
        schemas = [schema for schema in map(known.get, types) if isinstance(schema, dict)]
        if path[1] != "data" or not types or len(schemas) < len(types):
            return
        strays = [stray_path(schema, path[2:]) for schema in schemas]
        if all(stray is not None for stray in strays):
            stray = strays[0]
            assert stray is not None
            name = written or ".".join(path)
            what = f"The schema of {types[0]} knows no {stray.word!r} in {name}{closest(stray.word, stray.known)}"
            self.say(place, "flow.unknown_path", what, "error" if stray.closed else "warning")

    # What can't be reached ------------------------------------------------------------------------------------------

    def unreachable(self, steps: made.Steps) -> bool:
        """Say which steps no run can reach; True where a run never comes out at the end of these."""
        ended_by: made.Step | None = None
        for step in steps:
            if ended_by is not None:
                why = f"No run comes here: the flow has ended before, at line {ended_by.line}."
                self.say(step.path, "flow.unreachable", why)
                break
            ends = self._inside(step)
            if ends:
                ended_by = step
        return ended_by is not None

    def _inside(self, step: made.Step) -> bool:
        """Look into a step's branches; True where all of them end the run."""
        ended = {name: self.unreachable(inside) for name, inside in step.branches()}
        if isinstance(step, made.Stop):
            return True
        if isinstance(step, made.If):
            verdict = _always(step.condition)
            if verdict is not None:
                dead = "else" if verdict else "then"
                if step.otherwise or dead == "then":
                    why = f"The condition is always {str(verdict).lower()}: no run takes {dead!r}."
                    self.say(f"{step.path}.{dead}", "flow.unreachable", why)
                return ended["then" if verdict else "else"]
            return ended["then"] and ended["else"]
        if isinstance(step, made.Choose):
            return self._ways(step, ended)
        return False

    def _ways(self, step: made.Choose, ended: dict[str, bool]) -> bool:
        open_ways = []
        for number, case in enumerate(step.cases):
            verdict = _always(case.when)
            if verdict is False:
                self.say(
                    f"{step.path}.choose.{number}", "flow.unreachable", "No run goes this way: `when` is never true."
                )
                continue
            open_ways.append(ended[f"choose.{number}.then"])
            if verdict is True:
                if number + 1 < len(step.cases):
                    why = "No run goes this way: the one before it takes all, its `when` is always true."
                    self.say(f"{step.path}.choose.{number + 1}", "flow.unreachable", why)
                elif step.otherwise:
                    why = "No run takes `else`: the last `when` is always true."
                    self.say(f"{step.path}.else", "flow.unreachable", why)
                return all(open_ways)
        return all([*open_ways, ended["else"]])

    # Names before they are kept --------------------------------------------------------------------------------------

    def order_of_names(self) -> None:
        """Say where a saved name is read above every place that keeps it, or a loop's item outside its loop."""
        kept: dict[str, list[str]] = {}
        items: dict[str, list[str]] = {}
        for path, step in self.flow.by_path.items():
            for name in _names_kept(step):
                kept.setdefault(name, []).append(path)
            if isinstance(step, made.ForEach):
                items.setdefault(step.item_name, []).append(f"{path}.do.")
        order = {path: number for number, path in enumerate(self.flow.by_path)}
        loops = [f"{path}.do." for path, step in self.flow.by_path.items() if isinstance(step, made.ForEach)]
        for path, step in self.flow.by_path.items():
            given: set[str] = set()
            for field, expression in expressions_in(step):
                for name in sorted({read[0] for read in expression.paths} - given):
                    in_loop = any(path.startswith(body) for body in items.get(name, ()))
                    if in_loop or (name not in kept and name not in items):
                        continue
                    keepers = kept.get(name, [])
                    if not keepers:
                        self.say(f"{path}.{field}", "flow.not_kept_yet", f"{name!r} is only there inside its for_each.")
                    elif not any(_may_precede(keeper, path, order, loops) for keeper in keepers):
                        why = f"{name!r} is read here, and kept only further down."
                        self.say(f"{path}.{field}", "flow.not_kept_yet", why)
                if isinstance(step, made.Set):
                    given.add(field.partition(".")[2])  # a `set` keeps its values one after the other


def _may_precede(keeper: str, reader: str, order: dict[str, int], loops: list[str]) -> bool:
    if order[keeper] < order[reader] and not reader.startswith(f"{keeper}.on_"):
        return True
    if reader.startswith(f"{keeper}.on_error"):
        return True  # what went wrong is kept under the same name
    return any(keeper.startswith(body) and reader.startswith(body) for body in loops)


def _names_kept(step: made.Step) -> tuple[str, ...]:
    if isinstance(step, made.Set):
        return tuple(name for name, _expression in step.values)
    save = getattr(step, "save", "")
    return (save,) if save else ()


def _kept_types(flow: Flow) -> dict[str, tuple[str, ...]]:
    """The names under which only events are kept, and the types of these."""
    types: dict[str, tuple[str, ...]] = {}
    others: set[str] = set()
    for step in flow.by_path.values():
        if isinstance(step, made.WaitFor) and step.save:
            types[step.save] = types.get(step.save, ()) + step.types
        else:
            others.update(_names_kept(step))
            if isinstance(step, made.ForEach):
                others.add(step.item_name)
    return {name: kinds for name, kinds in types.items() if name not in others}


def _always(condition: Condition) -> bool | None:
    word = condition.source.strip()
    return {"true": True, "false": False}.get(word)


def _constant(expression: Expression | None) -> str | None:
    return expression.words if isinstance(expression, Constant) else None


# One check for each kind of step -----------------------------------------------------------------------------------


def _check_send(checker: _Checker, step: made.Send) -> None:
    library, path = checker.library, step.path
    if step.to is None and checker.flow.contact is None:
        checker.say(path, "flow.no_contact", "There is nobody to send to: the flow has no contact; say whom with `to`.")
    name = _constant(step.template)
    facts = None
    templates = library.templates
    if name and templates is not None and checker.known(path, "flow.unknown_template", "template", name, templates):
        facts = templates[name]
        _check_variables(checker, step, name, facts)
    _check_channels(checker, step, name, facts)


def _check_variables(checker: _Checker, step: made.Send, name: str, facts: TemplateFacts) -> None:
    if step.variables_from is not None:
        return
    given = {variable for variable, _expression in step.variables}
    allowed = facts.required | facts.optional
    for variable in sorted(given - allowed):
        why = f"The template {name!r} has no variable {variable!r}{closest(variable, allowed)}"
        checker.say(f"{step.path}.with.{variable}", "flow.unknown_variable", why)
    for variable in sorted(facts.required - given):
        why = f"The template {name!r} needs {variable!r}; add it to `with`."
        checker.say(step.path, "flow.missing_variable", why)


def _check_channels(checker: _Checker, step: made.Send, name: str | None, facts: TemplateFacts | None) -> None:
    known = checker.library.known_channels
    channels = checker.library.channels
    if channels is None:
        for channel in step.via:
            if channel != "best" and known is not None and channel not in known:
                why = f"There is no channel {channel!r}{closest(channel, known)}"
                checker.say(f"{step.path}.via", "flow.unknown_channel", why)
        return
    others = {*step.via} & {"best", *channels}
    for channel in step.via:
        if channel != "best" and channel not in channels:
            near = closest(channel, channels if known is None or channel in known else known)
            why = f"No provider carries {channel!r} here{near}"
            # With others to follow it is passed over, as it would be for a contact who hasn't got it.
            checker.say(f"{step.path}.via", "flow.unknown_channel", why, "warning" if others else "error")
    asked = set(channels) if "best" in step.via else set(step.via) & set(channels)
    able = asked & facts.channels if facts is not None and facts.channels else asked
    if not able and (asked or not channels):
        why = "no channel has a provider here." if not channels else f"{name!r} can't be said on {_list(asked)}."
        checker.say(step.path, "flow.unreachable_contact", f"This message reaches nobody: {why}")


def _check_wait_for(checker: _Checker, step: made.WaitFor) -> None:
    for number, event_type in enumerate(step.types):
        checker.event_type(f"{step.path}.wait_for" + (f".{number}" if len(step.types) > 1 else ""), event_type)
    if not step.timeout_ms and step.open is None:
        why = "This wait has no time-out: add timeout, and on_timeout for what then."
        checker.say(step.path, "flow.wait_forever", why, "warning")
    if not step.match and checker.flow.contact is None:
        why = f"The flow has no contact to wait for ({CONTACT}); say what to compare with `match`."
        checker.say(step.path, "flow.no_contact", why)


def _check_notify(checker: _Checker, step: made.Notify | made.Assign) -> None:
    inbox = _constant(step.inbox)
    if inbox:
        checker.known(step.path, "flow.unknown_inbox", "inbox", inbox, checker.library.inboxes)


def _check_call(checker: _Checker, step: made.Call) -> None:
    checker.known(step.path, "flow.unknown_act", "act", step.act, checker.library.acts)


def _check_http(checker: _Checker, step: made.Http) -> None:
    url = _constant(step.url)
    if url is not None and not url.startswith(("https://", "http://")):
        checker.say(step.path, "flow.url", f"{url[:80]!r} is no URL that can be called; it begins with https://.")
    if step.secret:
        checker.known(f"{step.path}.secret", "flow.unknown_secret", "secret", step.secret, checker.library.secrets)


def _check_answer(checker: _Checker, step: made.Answer) -> None:
    asked = checker.library.answers
    if asked is None or any(event_type not in asked for event_type in checker.flow.on):
        return
    allowed = {name for event_type in checker.flow.on for name in asked[event_type]}
    for name in names_in(step.body):
        if name not in allowed:
            what = f"An answer to {checker.flow.on[0]} has no {name[:60]!r}{closest(name, allowed)}"
            checker.say(f"{step.path}.answer.{name}", "flow.unknown_answer", what)


def _check_emit(checker: _Checker, step: made.Emit) -> None:
    types = checker.library.event_types
    if step.event_type in OUR_TYPES or step.event_type.startswith(checker.library.own_types):
        why = f"{step.event_type!r} is said by Beckon itself; a flow may not say it."
        checker.say(step.path, "flow.reserved_event_type", why)
    elif types is not None and step.event_type not in types:
        why = f"The workspace knows no event type {step.event_type!r}{closest(step.event_type, types)}"
        checker.say(step.path, "flow.unknown_event_type", why, "warning")


def _list(words: Collection[str]) -> str:
    return ", ".join(sorted(words)) or "nothing"


_CHECKS: dict[type[made.Step], Callable[[_Checker, Any], None]] = {
    made.Send: _check_send,
    made.WaitFor: _check_wait_for,
    made.Notify: _check_notify,
    made.Assign: _check_notify,
    made.Call: _check_call,
    made.Http: _check_http,
    made.Emit: _check_emit,
    made.Answer: _check_answer,
}
