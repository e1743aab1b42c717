"""Reading flows: what is taken, and what is refused with its line and a sentence that helps."""

import pytest

from beckon.core.errors import Refused
from beckon.core.yaml_text import read_yaml
from beckon.flows.definition import FlowProblems, contact_reference, parse_flow
from beckon.flows.matching import Shape
from beckon.flows.steps import Choose, Send, WaitFor
from tests.rooms.flows.stage import event_of, flow_of

GOOD = "flow: a\non: x.y\nsteps:\n"


def test_a_flow_knows_its_steps_by_path_and_where_each_leads() -> None:
    flow = flow_of("""
        - if: event.data.n == 1
          then: [ { note: a }, { note: b } ]
          else: [ { stop: c } ]
        - for_each: "{{ event.data.l }}"
          do: [ { note: d } ]
        - note: e
    """)
    assert flow.after == {
        "steps.0": "steps.1",
        "steps.0.then.0": "steps.0.then.1",
        "steps.0.then.1": "steps.1",
        "steps.0.else.0": "steps.1",
        "steps.1": "steps.2",
        "steps.1.do.0": "steps.1",
        "steps.2": "",
    }
    assert set(flow.by_path) == set(flow.after)
    assert flow.by_path["steps.0.else.0"].line == 8


def test_a_flow_says_what_its_waits_compare() -> None:
    flow = flow_of("""
        - wait_for: [a.b, c.d]
          match: { visit: "1", "car.plate": "2" }
          timeout: 1h
        - wait_for: message.received
          timeout: 1h
        - call: cases.file
    """)
    assert set(flow.shapes) == {
        Shape("a.b", ("car.plate", "visit")),
        Shape("c.d", ("car.plate", "visit")),
        Shape("call.completed", ("command",)),
        Shape("call.failed", ("command",)),
        Shape("message.received", ("@contact",)),
    }


def test_the_version_follows_the_content_and_not_the_layout() -> None:
    one = parse_flow(GOOD + "  - note: hello\n")
    other = parse_flow("# a comment\non:   x.y\nflow: 'a'\nsteps: [ { note: hello } ]\n")
    third = parse_flow(GOOD + "  - note: hullo\n")
    assert one.version == other.version
    assert one.version != third.version


def test_yaml_is_read_as_yaml_1_2() -> None:
    read = read_yaml("on: yes\nno: off\ndate: 2026-11-20\nplate: 012\nn: 12\nx: 1.5\nt: true\nz: ~\nq: '12'\ns: 1:30")
    assert read.value == {
        "on": "yes",
        "no": "off",
        "date": "2026-11-20",
        "plate": "012",
        "n": 12,
        "x": 1.5,
        "t": True,
        "z": None,
        "q": "12",
        "s": "1:30",
    }
    assert read.lines["q"] == 9


def test_anchors_may_be_used_within_reason() -> None:
    flow = parse_flow(GOOD + "  - if: true\n    then: &both [ { note: a } ]\n    else: *both\n")
    assert list(flow.by_path) == ["steps.0", "steps.0.then.0", "steps.0.else.0"]


def test_all_ways_to_write_a_send() -> None:
    flow = flow_of("""
        - send: invite
        - send: { template: invite, via: [sms, email] }
        - send: { text: "Hello" }
        - send:
          text: "Hello"
    """)
    sends = [step for step in flow.steps if isinstance(step, Send)]
    assert [send.template.source if send.template else None for send in sends] == ["invite", "invite", None, None]
    assert [send.text.source if send.text else None for send in sends] == [None, None, "Hello", "Hello"]
    assert sends[1].via == ("sms", "email")


def test_messages_have_the_flows_purpose_unless_they_say_otherwise() -> None:
    flow = flow_of("- send: a\n- send: b\n  purpose: transactional", head="purpose: marketing")
    assert [step.purpose for step in flow.steps if isinstance(step, Send)] == ["marketing", "transactional"]


def test_cases_and_waits_keep_their_labels() -> None:
    flow = flow_of(
        "- choose: [{when: 'true', name: Always, then: []}]\n- wait_for: a.b\n  name: Patience\n  timeout: 1h"
    )
    assert isinstance(flow.steps[0], Choose)
    assert flow.steps[0].cases[0].name == "Always"
    assert isinstance(flow.steps[1], WaitFor)
    assert flow.steps[1].name == "Patience"


@pytest.mark.parametrize(
    ("steps", "line", "code", "words"),
    [
        ("  - sned: x", 4, "flow.unknown_step", "did you mean 'send'"),
        ("  - send: x\n    vai: sms", 5, "flow.unknown_field", "did you mean 'via'"),
        ("  - send: x\n    note: y", 4, "flow.form", "does one thing"),
        ("  - just text", 4, "flow.form", "A step is an object"),
        ("  - {}", 4, "flow.form", "A step is an object"),
        ("  - send:", 4, "flow.form", "template's name or a text"),
        ("  - send: x\n    text: y", 4, "flow.form", "not both"),
        ("  - send: x\n    via: [Fax Machine]", 5, "flow.channel", "is no channel"),
        ("  - send: x\n    purpose: fun", 5, "flow.form", "none of transactional, marketing"),
        ("  - send: x\n    at: {between: 9-17}", 5, "flow.hours", "09:00-18:00"),
        ("  - send: x\n    at: {not_between: '00:00-24:00'}", 5, "flow.hours", "no minute"),
        ("  - send: x\n    with: [1]", 5, "flow.form", "object of names"),
        ("  - send: x\n    with:\n      a: 1\n      b: '{{ evnt.x }}'", 7, "flow.unknown_name", "did you mean 'event'"),
        ("  - send: x\n    timeout: 1h", 4, "flow.form", "on_undeliverable"),
        ("  - wait_for: X Y", 4, "flow.name", "checkin.start"),
        ("  - wait_for:", 4, "flow.missing_field", "type"),
        ("  - wait_for: x.y\n    timeout: 24", 5, "flow.duration", "24h"),
        ("  - wait_for: x.y\n    timeout: soon", 5, "flow.duration", "24h"),
        ("  - wait_for: x.y\n    on_timeout: []", 4, "flow.form", "goes with timeout"),
        ("  - wait_for: x.y\n    timeout: 1h\n    until_open: 08:00-21:00", 4, "flow.form", "not both"),
        ("  - wait_for: x.y\n    until_open: by day", 4, "flow.hours", "Mon-Fri 09:00-18:00"),
        ("  - wait_for: x.y\n    match: {}", 5, "flow.form", "one to eight"),
        ("  - wait_for: x.y\n    match: it.data.x ==", 5, "flow.cel_syntax", "column"),
        ("  - wait_for: x.y\n    save: event", 5, "flow.reserved_name", "word of the language"),
        ("  - wait_for: x.y\n    save: Result", 5, "flow.name", "lower-case"),
        ("  - wait_for: x.y\n    types: [a.b]", 5, "flow.unknown_field", "under 'wait_for' itself"),
        ("  - wait: forever", 4, "flow.duration", "10m"),
        ("  - wait: {for: 1h, until: '09:00'}", 4, "flow.form", "either"),
        ("  - wait: {for: 1h, before: 1h}", 4, "flow.form", "go with until"),
        ("  - wait: {for: 1h, zone: Mars}", 4, "flow.time_zone", "Europe/Brussels"),
        ("  - if: event.data.n ==\n    then: []", 4, "flow.cel_syntax", "wrong"),
        ("  - if: 1 + 'a' == 2\n    then: []", 4, "flow.cel_syntax", "+ can't be used with int and string"),
        ("  - if: size(event.data.l)\n    then: []", 4, "flow.not_yes_or_no", "gives a number"),
        ("  - if: evnt.data.n == 1\n    then: []", 4, "flow.unknown_name", "did you mean 'event'"),
        ("  - if: event.data.n == 1", 4, "flow.missing_field", "then"),
        ("  - if: 'true'\n    then: {note: x}", 5, "flow.form", "list of steps"),
        ("  - if: 'true'\n    then:\n      - note: a\n      - noet: b", 7, "flow.unknown_step", "did you mean 'note'"),
        ("  - choose: []", 4, "flow.form", "one to fifty"),
        ("  - choose:\n      - when: 'true'\n        then: []\n        do: []", 7, "flow.unknown_field", "'do'"),
        ("  - for_each: '{{ event.data.l }}'\n    do: []\n    max: 5000", 6, "flow.form", "from 1 to 1000"),
        ("  - note: {a: 1}", 4, "flow.form", "text"),
        ("  - note: '{{ x'", 4, "text.syntax", "Liquid"),
        ("  - post: {result: 1}", 4, "flow.form", "did you mean 'results'"),
        ("  - notify: {inbox: a, txt: b}", 4, "flow.unknown_field", "did you mean 'text'"),
        ("  - notify: {inbox: a}\n    inbox: b", 5, "flow.twice", "twice"),
        ("  - assign: {}", 4, "flow.form", "an inbox, an agent"),
        ("  - call: cases.file\n    await: false\n    save: c", 4, "flow.form", "nothing to save"),
        ("  - http: {url: 'https://x', method: FETCH}", 4, "flow.form", "GET"),
        ("  - http: {url: 'https://x', attempts: 0}", 4, "flow.form", "from 1 to 20"),
        ("  - http: {method: GET}", 4, "flow.missing_field", "url"),
        ("  - emit: Bad Type", 4, "flow.name", "checkin.start"),
        ("  - set: {}", 4, "flow.form", "names and values"),
        ("  - set: {Name: 1}", 4, "flow.name", "lower-case"),
        ("  - set: {if: 1}", 4, "flow.reserved_name", "word of the language"),
        ("  - note: " + "x" * 8_001, 4, "text.too_long", "8000"),
        ("  - {note: x}\n" * 501, 3, "flow.too_many_steps", "500"),
        ("  - " + "{if: 'true', then: [" * 11 + "{note: x}" + "]}" * 11, 4, "flow.too_deep", "deeper"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(steps: str, line: int, code: str, words: str) -> None:
    with pytest.raises(FlowProblems) as caught:
        parse_flow(GOOD + steps, file="a.yaml")
    problem = caught.value.problems[0]
    assert (problem.code, problem.line, problem.file) == (code, line, "a.yaml"), caught.value.problems
    assert words in problem.why
    assert problem.why.endswith(".") or problem.why.endswith("?"), "a sentence"
    assert f"a.yaml:{line}" in str(problem)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "flow.form"),
        ("- a", "flow.form"),
        ("flow: a", "flow.missing_field"),
        ("flow: a\non: b\n", "flow.missing_field"),
        ("flow: a b\non: x\nsteps: []", "flow.name"),
        ("flow: a\non: []\nsteps: []", "flow.form"),
        ("flow: a\non: x\nstep: []\nsteps: []", "flow.unknown_field"),
        ("flow: a\non: x\nsteps: {}", "flow.form"),
        ("flow: a\non: x\nif: result.data.x == 1\nsteps: [{wait_for: a.b, save: result}]", "flow.unknown_name"),
        ("flow: a\non: x\nkey: '{{ contct.id }}'\nsteps: []", "flow.unknown_name"),
        ("flow: a\non: x\ntime_zone: Nowhere\nsteps: []", "flow.time_zone"),
        ("flow: a\non: x\nlimits: {steps: 0}\nsteps: []", "flow.limit"),
        ("flow: a\non: x\nlimits: {step: 5}\nsteps: []", "flow.unknown_field"),
        ("flow: a\non: x\nlimits: 5\nsteps: []", "flow.form"),
        ("flow: a\non: x\npurpose: fun\nsteps: []", "flow.form"),
    ],
)
def test_a_flow_itself_must_be_right(text: str, code: str) -> None:
    with pytest.raises(FlowProblems) as caught:
        parse_flow(text)
    assert caught.value.problems[0].code == code, caught.value.problems


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(FlowProblems) as caught:
        parse_flow(GOOD + "  - sned: a\n  - note: '{{ evnt }}'\n  - wait: x\n")
    assert [problem.line for problem in caught.value.problems] == [4, 5, 6]


@pytest.mark.parametrize(
    ("head", "data", "subject", "found"),
    [
        ("", {"contact": {"phone": "1"}}, None, {"phone": "1"}),
        ("", {"contact": "con_1"}, None, "con_1"),
        ("", {}, "con_2", "con_2"),
        ("", {}, "car-5", None),
        ("", [], None, None),
        ("contact: '{{ event.data.driver }}'", {"driver": {"email": "a@b"}}, None, {"email": "a@b"}),
        ("contact: { phone: '{{ event.data.tel }}' }", {"tel": "5"}, None, {"phone": "5"}),
        ("contact:", {"contact": "con_1"}, None, None),
    ],
)
def test_whom_a_flow_is_about(head: str, data: object, subject: str | None, found: object) -> None:
    flow = flow_of("- stop:", head=head)
    assert contact_reference(flow, event_of(data=data, subject=subject)) == found


def test_a_contact_that_is_neither_id_nor_object_is_refused() -> None:
    flow = flow_of("- stop:", head="contact: '{{ event.data.driver }}'")
    for driver in (5, "", []):
        with pytest.raises(Refused):
            contact_reference(flow, event_of(data={"driver": driver}))
    with pytest.raises(Refused):
        contact_reference(flow, event_of(data={}))
