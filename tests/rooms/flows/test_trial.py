"""Trials: given events, expected messages, on a virtual clock."""

import pytest

from beckon.flows.definition import FlowProblems, parse_flow
from beckon.flows.trial import run_trial
from tests.rooms.flows.stage import flow_of
from tests.rooms.flows.test_steps import INVITE

STORY = """
contact: { name: Ann, phone: "+32470000000", time_zone: Europe/Brussels }
tests:
  - test: finished in time
    at: 2026-11-20T09:00:00Z
    given:
      - event: checkin.start
        data: { visit: V-17, slug: abc, contact: { name: Bo, phone: "+31600000000" } }
      - after: 2h
      - event: checkin.finished
        data: { visit: V-17, mileage: 12 }
    expect:
      - send: checkin_invite
        with: { slug: abc }
        to: { phone: "+31600000000" }
      - post: { results: { mileage: 12 } }
        after: 2h
      - notify: service-advisors
      - ends: done
  - test: never
    given:
      - event: checkin.start
        data: { visit: V-17, slug: abc, contact: { name: Bo, phone: "+31600000000" } }
      - until: 2026-12-24T00:00:00Z
    expect:
      - send: checkin_invite
      - send: checkin_reminder
        after: 24h
      - note: No check-in before the visit.
        after: 72h
      - ends: expired
  - test: still waiting
    given:
      - event: checkin.start
        data: { visit: V-17, slug: abc, contact: { name: Bo, phone: "+31600000000" } }
    expect:
      - send: true
      - waits: checkin.finished
      - runs: 1
"""


def test_a_story_passes() -> None:
    result = run_trial(flow_of(INVITE), STORY)
    assert result.passed, result.report()
    assert [trial.name for trial in result.trials] == ["finished in time", "never", "still waiting"]


def test_what_differs_is_shown_side_by_side() -> None:
    result = run_trial(
        flow_of(INVITE),
        """
given:
  - event: checkin.start
    data: { visit: V-17, slug: abc, contact: con_1 }
  - after: 24h
expect:
  - send: checkin_invite
    with: { slug: abd }
  - send: checkin_reminder
  - notify: sales
  - ends: done
""",
    )
    assert not result.passed
    assert list(result.trials[0].difference) == [
        '- send: checkin_invite, with: {"slug":"abd"}',
        '+ send: checkin_invite, to: con_1, with: {"slug":"abc"}   (at once)',
        '? with: expected {"slug":"abd"}, got {"slug":"abc"}',
        "  send: checkin_reminder   (24 h)",
        "- notify: sales",
        "- ends: done",
        "+ ends: nothing",
    ]
    assert result.report().startswith("FAILED test\n")


def test_a_message_too_many_fails() -> None:
    text = "given: [ { event: checkin.start, data: { visit: V, slug: a } } ]\nexpect: []"
    assert not run_trial(flow_of("- note: x"), text).passed


def test_outcomes_can_be_given() -> None:
    flow = flow_of("""
        - call: cases.file
          save: case
          on_error: [ { note: "failed" } ]
        - http: https://x.example/cases
          on_error: [ { note: "no answer" } ]
        - send: ready
          on_undeliverable: [ { notify: advisors } ]
    """)
    result = run_trial(
        flow,
        """
watch: [ note, notify ]
tests:
  - test: all goes wrong
    given:
      - event: checkin.start
        data: { visit: V }
      - failed: cases.file
        why: no
      - failed: https://x.example
      - undeliverable: ready
    expect:
      - note: failed
      - note: no answer
      - notify: advisors
  - test: all goes well
    given:
      - event: checkin.start
        data: { visit: V }
      - completed: cases.file
        result: { number: 5 }
      - completed: https://x.example
        status: 201
      - delivered: ready
    expect:
      - ends: done
""",
    )
    assert result.passed, result.report()


def test_flows_call_each_other_by_events_and_an_early_result_counts() -> None:
    first = flow_of("""
        - emit: visit.begun
          data: { visit: "{{ event.data.visit }}" }
        - wait: 1h
        - wait_for: visit.ended
          match: { visit: "{{ event.data.visit }}" }
          timeout: 1h
        - note: "ended early"
    """)
    second = parse_flow("""
flow: second
on: visit.begun
contact:
steps:
  - note: begun
  - emit: visit.ended
    data: { visit: "{{ event.data.visit }}" }
""")
    result = run_trial(
        [first, second],
        """
given:
  - event: checkin.start
    data: { visit: V-1 }
  - after: 1h
expect:
  - emit: visit.begun
  - note: begun
  - emit: visit.ended
  - note: ended early
    after: 1h
  - runs: 2
  - ends: done
""",
    )
    assert result.passed, result.report()


def test_a_flow_that_emits_what_begins_it_comes_to_an_end() -> None:
    flow = flow_of("- emit: checkin.start\n  data: { visit: \"{{ event.data.visit | append: 'x' }}\" }")
    given = "given: [ { event: checkin.start, data: { visit: V } } ]"
    text = f"{given}\nexpect: [ {{ error: flow.too_many_events }} ]\nwatch: [ error ]"
    result = run_trial(flow, text)
    assert result.passed, result.report()


def test_a_replayed_event_changes_nothing() -> None:
    text = """
given:
  - event: checkin.start
    id: e1
    data: { visit: V }
  - event: checkin.start
    id: e1
    data: { visit: V }
  - event: checkin.start
    id: e2
    data: { visit: V }
expect: [ { note: x }, { runs: 1 } ]
"""
    assert run_trial(flow_of("- note: x"), text).passed


@pytest.mark.parametrize(
    "text",
    [
        "- a",
        "given: []",
        "given: {}\nexpect: []",
        "given: [ { evnt: a } ]\nexpect: []",
        "given: [ { event: a, dta: {} } ]\nexpect: []",
        "given: [ { after: soon } ]\nexpect: []",
        "given: [ { until: 2020-01-01T00:00:00Z } ]\nexpect: []",
        "given: [ { until: tomorrow } ]\nexpect: []",
        "given: [ { completed: nothing.asked } ]\nexpect: []",
        "given: []\nexpect: [ { snd: x } ]",
        "given: []\nexpect: [ x ]",
        "given: []\nexpect: [ { send: x, wiht: {} } ]",
        "given: []\nexpect: []\nflow: other",
        "given: []\nexpect: []\nat: noon",
        "given: []\nexpect: []\nthen: []",
        "tests: {}",
        "tests: [ 5 ]",
        "given: [" + "{ after: 400d }, " * 6 + "]\nexpect: []",
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(FlowProblems) as caught:
        run_trial(flow_of("- note: x"), text, file="t.yaml")
    assert caught.value.problems[0].line >= 1
