"""Random flows, random events, in any order: never an exception, always an end, the same again when played again."""

import json
from typing import Any
from xml.etree import ElementTree

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beckon.core.errors import Refused
from beckon.flows.advance import Matched, Outcome, Started, Stimulus, TimedOut, advance, begin
from beckon.flows.check import Library, check
from beckon.flows.conditions import ROOTS, Scope, compile_condition, compile_text
from beckon.flows.definition import Flow, FlowProblems, parse_flow
from beckon.flows.diagram import draw_run
from beckon.flows.run import FINAL, TRANSITIONS, Run, decode_run, encode_run
from tests.rooms.flows.stage import ANN, HOUR_MS, NOW_MS, event_of

texts = st.sampled_from(
    [
        "hello",
        "{{ event.data.visit }}",
        "{{ event.data.n }}",
        "{{ event.data.nothing }}",
        "{{ kept }}",
        "{{ item }}",
        "{{ event.data.list }}",
        "{{ event.data.object }}",
        "{{ event.data.nothing | default: 'x' }}",
        "{% for i in event.data.list %}{{ i }},{% endfor %}",
        "",
    ]
)
conditions = st.sampled_from(
    [
        "true",
        "false",
        "event.data.n > 1",
        "event.data.nothing == 1",
        "has(event.data.visit)",
        "event.data.n",
        "kept == 1",
    ]
)
durations = st.sampled_from(["1s", "10m", "1h", "2d", "PT1H"])
types = st.sampled_from(["a.b", "c.d", "message.received"])
values = st.recursive(
    st.one_of(texts, st.integers(), st.booleans(), st.none()), lambda inner: st.lists(inner, max_size=3)
)
mappings = st.dictionaries(st.sampled_from(["visit", "n", "x"]), texts, min_size=1, max_size=2)


def optional(required: dict[str, Any], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=more)


def with_branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, max_size=3)
    case = st.fixed_dictionaries({"when": conditions, "then": some})
    return st.one_of(
        st.fixed_dictionaries({"if": conditions, "then": some, "else": some}),
        st.fixed_dictionaries({"choose": st.lists(case, min_size=1, max_size=3)}, optional={"else": some}),
        st.fixed_dictionaries({"for_each": st.one_of(texts, st.lists(values, max_size=3)), "do": some}),
        st.fixed_dictionaries(
            {"wait_for": types, "timeout": durations},
            optional={"match": mappings, "on_timeout": some, "save": st.just("kept")},
        ),
        st.fixed_dictionaries({"send": st.just("t")}, optional={"on_undeliverable": some, "with": mappings}),
        st.fixed_dictionaries({"call": st.just("a.b")}, optional={"on_error": some, "save": st.just("kept")}),
        st.fixed_dictionaries({"http": texts}, optional={"on_error": some, "save": st.just("kept")}),
    )


simple = st.one_of(
    st.fixed_dictionaries({"note": texts}),
    optional({"send": st.just("t")}, to=values, at=st.just({"not_between": "21:00-08:00"}), fallback_after=durations),
    st.fixed_dictionaries({"send": st.fixed_dictionaries({"text": texts})}),
    st.fixed_dictionaries({"wait": durations}),
    st.fixed_dictionaries({"wait": st.fixed_dictionaries({"until": texts.filter(lambda text: "{" in text)})}),
    st.fixed_dictionaries({"post": st.fixed_dictionaries({"results": values})}),
    st.fixed_dictionaries({"notify": texts}),
    st.fixed_dictionaries({"assign": texts}),
    st.fixed_dictionaries({"emit": types, "data": values}),
    st.fixed_dictionaries({"set": st.fixed_dictionaries({"kept": values})}),
    st.fixed_dictionaries({"stop": texts}),
)
steps = st.recursive(simple, with_branches, max_leaves=12)
event_data = st.fixed_dictionaries(
    {},
    optional={
        "visit": st.sampled_from(["V-17", 17, "", None]),
        "n": st.one_of(st.integers(-5, 5), st.just("two")),
        "list": st.lists(st.integers(), max_size=4),
        "object": st.just({"id": "con_1", "phone": "+32470000000"}),
    },
)


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    raw = {
        "flow": "random",
        "on": "checkin.start",
        "limits": {"steps": 60},
        "steps": [{"set": {"kept": 1}}, {"for_each": [], "do": []}, *draw(st.lists(steps, max_size=6))],
    }
    if draw(st.booleans()):
        raw["key"] = "{{ event.data.visit }}"
    return parse_flow(json.dumps(raw))


@st.composite
def stimuli(draw: st.DrawFn) -> list[tuple[str, Any, int]]:
    """(what happens, its data, how much later)."""
    kind = st.sampled_from(["event", "timer", "done", "failed", "undeliverable", "again", "start"])
    return draw(st.lists(st.tuples(kind, event_data, st.integers(0, 72)), max_size=8))


def stimulus_of(kind: str, data: dict[str, Any], run: Run, position: int, now_ms: int) -> Stimulus:
    wait = run.waiting[0] if run.waiting else None
    words = {"position": position, "accepted_ms": now_ms}
    if kind == "start":
        return Started()
    if kind == "timer":
        return TimedOut()
    if kind == "event":
        return Matched(event_of("a.b", data, **words))
    command = wait.command if wait is not None and wait.command else "cmd_other"
    family = {"send": "message", "call": "call", "http": "http"}.get("call", "call")
    if wait is not None and wait.keys:
        family = wait.keys[0].type.partition(".")[0]
    ending = {"done": "completed", "failed": "failed", "undeliverable": "undeliverable"}.get(kind, "completed")
    if family == "message":
        ending = "undeliverable" if kind == "undeliverable" else "sent"
    return Outcome(event_of(f"{family}.{ending}", {"command": command, "status": 200, "result": data}, **words))


def play(flow: Flow, data: Any, happenings: list[tuple[str, Any, int]]) -> tuple[list[bytes], list[str], Run | None]:
    """Everything that comes of a flow: the run's JSON after each turn, the ids of the commands, the run."""
    now_ms = NOW_MS
    run = begin(flow, event_of(data=data), ANN, now_ms)
    if run is None:
        return [], [], None
    turns, ids, last = [], [], Started()
    for number, (kind, more, hours) in enumerate([("start", {}, 0), *happenings]):
        now_ms += hours * HOUR_MS
        if kind != "again":
            last = stimulus_of(kind, more, run, 10 + number, now_ms) if number else Started()
        status_before, before = run.status, encode_run(run)
        run = decode_run(before)
        done = advance(flow, run, last, now_ms, ANN)
        assert done.run is run
        after = encode_run(run)
        if not done.taken:
            assert after == before
            assert not done.commands
        else:
            assert status_before not in FINAL
            assert run.status in TRANSITIONS[status_before] | TRANSITIONS["running"]
        assert run.status in FINAL | {"waiting"}, "no run is left in the middle"
        assert (run.status == "waiting") == bool(run.waiting)
        assert (run.status == "failed") == (run.error is not None)
        assert run.steps_taken <= flow.limits.steps + 1
        assert decode_run(after) == run
        again = advance(flow, decode_run(after), last, now_ms, ANN)
        if not isinstance(last, TimedOut):
            assert not again.taken, "the same stimulus twice changes nothing"
        turns.append(after)
        ids += [command.id for command in done.commands]
    return turns, ids, run


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(flows(), event_data, stimuli())
def test_any_flow_stands_anything(flow: Flow, data: dict[str, Any], happenings: list[tuple[str, Any, int]]) -> None:
    turns, ids, run = play(flow, data, happenings)
    assert len(set(ids)) == len(ids), "every command has an id of its own"
    assert (turns, ids) == play(flow, data, happenings)[:2], "played again, the same comes of it"
    if run is not None:
        ElementTree.fromstring(draw_run(flow, run))
    check(flow, Library(templates={}, event_types={}, inboxes=(), acts=(), secrets=(), channels=("sms",)))


@settings(max_examples=100)
@given(flows(), event_data)
def test_a_run_that_is_only_timed_out_comes_to_an_end(flow: Flow, data: dict[str, Any]) -> None:
    run = begin(flow, event_of(data=data), ANN, NOW_MS)
    assert run is not None
    advance(flow, run, Started(), NOW_MS, ANN)
    for _ in range(70):
        if run.status in FINAL:
            break
        assert advance(flow, run, TimedOut(), run.waiting[0].deadline_ms, ANN).taken
    assert run.status in FINAL


pieces = st.sampled_from(
    [
        "{{", "}}", "{%", "%}", " event.data.visit ", "| upcase", "| plus: 1", " if ", "endif",
        " for i in (1..9) ", "endfor", "'", "\"", "[", "]", ".", "assign x = ", "capture x", "endcapture", "x",
        "1", "-", "raw", "endraw", "comment", "\n", "é",
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(pieces, max_size=14).map("".join))
def test_any_text_is_rendered_or_refused(text: str) -> None:
    try:
        made = compile_text(text, ROOTS).text(Scope({"event": {"data": {"visit": "V"}}}, now_ms=NOW_MS))
    except Refused as problem:
        assert problem.code.startswith(("flow.", "text.", "value."))  # noqa: PT017 - it may also be rendered
        return
    assert isinstance(made, str)


tokens = st.sampled_from(
    [
        "event", ".data", ".visit", " == ", " && ", " || ", "!", "(", ")", "[", "]", "'a'", "1", "2.5", "null",
        "true", " + ", " in ", "has(event.data.x)", ".exists(x, ", ".size()", " ? ", " : ", ".matches('a')",
        "now", "contact", ",", "x", "-", "'", "/",
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(tokens, max_size=10).map("".join))
def test_any_condition_holds_or_not_or_is_refused(source: str) -> None:
    try:
        holds = compile_condition(source, ROOTS).holds(
            Scope({"event": {"data": {"visit": "V"}}}, now_ms=NOW_MS), NOW_MS
        )
    except Refused as problem:
        assert problem.code.startswith("flow.")  # noqa: PT017 - it may also hold
        return
    assert isinstance(holds, bool)


lines = st.sampled_from(
    [
        "flow: a", "on: b.c", "steps:", "  - note: x", "  - send: y", "    with:", "      a: 1", "- ", "  ",
        "? ", ": ", "&a ", "*a", "[", "]", "{", "}", "'", "\"", "|", ">", "!!str ", "---", "...", "#", "\t",
        "%TAG ! x", "- if: true", "    then: []", "\u0085", "@",
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(
    st.one_of(
        st.lists(lines, max_size=12).map("\n".join), st.lists(lines, max_size=12).map("".join), st.text(max_size=60)
    )
)
def test_any_file_is_a_flow_or_has_problems_with_lines(text: str) -> None:
    try:
        flow = parse_flow(text)
    except FlowProblems as problems:
        assert all(problem.line >= 1 for problem in problems.problems)  # noqa: PT017 - it may also be a flow
        return
    assert flow.name
