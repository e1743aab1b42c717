"""What a call does next, whatever happens: properties that hold for every order of events, and tables for each step."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beckon.core.errors import Refused
from beckon.telephony import orders as order
from beckon.telephony.advance import Advance, Late, Stopped, advance, begin
from beckon.telephony.answers import read_answer
from beckon.telephony.asking import Replied, Unanswered
from beckon.telephony.call import OUTCOMES, TRANSITIONS, About, Call, become, record_of
from beckon.telephony.script import Script
from beckon.telephony.script_reading import parse_script
from beckon.telephony.switch import (
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegOffered,
    LegRinging,
    PlaybackEnded,
    RecordingEnded,
)
from tests.rooms.telephony.stage import courier_script

NOW = 1_795_165_200_000

EVERYTHING = """
call: everything
locale: en
limits: { transitions: 40, duration: 30m }
steps:
  - say: { en: "Hello {{ contact.name | default: 'you' }}.", nl: Hallo. }
    times: 2
    barge_in: true
  - play: [jingle.wav]
  - record: call
    say: This call is recorded. Press 9 if you do not want that.
    refuse: 9
  - authorise: [pin]
    say: Your code.
    max: 4
    tries: 2
    on_refused: [ { jump: menu } ]
  - name: menu
    menu:
      1: [ { jump: who } ]
      2: [ { transfer: last, otherwise: [ { say: "Nobody." } ] } ]
      12: [ { transfer: personal } ]
      "*": [ { hang_up: star, how: busy } ]
    say: Press a key.
    until: ""
    on_nothing: [ { voicemail: store, say: "Speak." } ]
  - name: who
    ask: https://crm.example/{{ caller }}
    tries: 2
    filler: One moment.
    codes: { 1: [ { gather: order, say: "Number?", max: 3, between: 2s } ], -2: [] }
    connect: { hint: "For you.", accept: 1, record: true, ring: 10s, how: at_once }
    otherwise: [ { say: "Not reached." } ]
  - dial: ["{{ settings.one }}", "+3225550102"]
    how: at_once
    ring: 20s
    talk: 5m
    on_busy: [ { say: "Busy." } ]
    on_no_answer: [ { say: "No answer." } ]
  - hours: Mon-Fri 09:00-18:00
    zone: Europe/Brussels
    open: [ { branch: "{{ contact.segments }}", ways: { vip: [ { jump: menu } ] }, else: [ { say: "{{ order }}" } ] } ]
    closed: []
  - record: stop
  - hang_up: done
    say: Goodbye.
backup: [ { voicemail: backup } ]
"""

SCRIPTS = (courier_script(), parse_script(EVERYTHING))
NUMBERS = ["+3225550101", "+3225550102", "not a number", ""]
REPLIES: list[dict[str, Any]] = [
    {},
    {"code": 1},
    {"code": 2},
    {"code": -2},
    {"code": 99},
    {"say": "Hello.", "phones": ["+3225550101", "+3225550102"], "hint": "For you."},
    {"play": "a.wav", "gather": {"max": 3}},
    {"record": True, "phones": ["+3225550103"], "at_once": True, "ring": 5},
    {"redirect": "menu"},
    {"redirect": "nowhere"},
    {"hang_up": "because"},
]


def offered() -> LegOffered:
    return LegOffered(leg="leg", at_ms=NOW, caller="+32470000001", called="+3221234567", call_id="sip")


ABOUT = About(
    contact={"name": "Ann", "segments": ["vip", "new"]},
    managers={"last": "+3225550109"},
    settings={"one": "+3225550101", "reception": "+3221110000", "dispatcher": "+3222220000"},
    codes={"pin": "1234"},
)


def started(script: Script, about: About = ABOUT) -> Advance:
    return begin(script, offered(), "call_1", NOW, workspace="main", about=about)


#: what may happen next: (kind, which, what).
STIMULI = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "key", "callee_key", "heard", "failed", "answered", "ringing", "ended", "reply", "unanswered", "late",
                "late", "recorded", "held", "stale", "caller_left", "stopped",
            ]
        ),
        st.integers(0, 40),
        st.sampled_from("0123456789*#"),
    ),
    max_size=60,
)  # fmt: skip


class Play:
    """A call that is told whatever a list of numbers says, and held to what must always be so."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.now_ms = NOW
        first = started(script)
        self.call: Call = first.call
        self.orders: list[order.Order] = []
        self._take(first, None)

    def _take(self, step: Advance, before: Call | None) -> None:
        if before is not None:
            assert before.status == step.call.status or step.call.status in _reachable(before.status)
            if before.status == "over":
                assert step.orders == ()
        self.call = step.call
        self.orders += step.orders
        call = self.call
        assert call.transitions <= self.script.limits.transitions
        assert (call.status == "over") == (step.deadline_ms == 0)
        if call.status == "over":
            assert all(leg.state == "ended" for leg in call.legs) or call.decisions[-1].what == "did not wait longer"
            assert call.outcome in OUTCOMES
        ids = [one.leg for one in self.orders if isinstance(one, order.Dial)]
        assert len(set(ids)) == len(ids)
        for decision in call.decisions:
            assert decision.step == "" or decision.step in self.script.by_path

    def tell(self, event: Any) -> None:
        before = self.call
        self._take(advance(self.script, before, event, self.now_ms), before)

    def happens(self, kind: str, number: int, key: str) -> None:
        call = self.call
        callees = [leg for leg in call.legs if leg.role == "callee" and leg.state != "ended"]
        plays = [one for one in self.orders if isinstance(one, order.Play)]
        asks = [one for one in self.orders if isinstance(one, order.Ask)]
        if kind == "key":
            self.tell(KeyPressed(leg="leg", at_ms=self.now_ms, key=key, by="info"))
        elif kind == "callee_key" and callees:
            self.tell(KeyPressed(leg=callees[number % len(callees)].id, at_ms=self.now_ms, key=key, by="info"))
        elif kind in ("heard", "failed") and plays:
            play = plays[-1 - number % min(2, len(plays))]
            end = "done" if kind == "heard" else "failed"
            self.tell(PlaybackEnded(playback=play.playback, leg=play.leg, at_ms=self.now_ms, end=end))  # type: ignore[arg-type]
        elif kind == "answered":
            legs = [*callees, call.leg_of("leg")]
            leg = legs[number % len(legs)]
            assert leg is not None
            self.tell(LegAnswered(leg=leg.id, at_ms=self.now_ms))
        elif kind == "ringing" and callees:
            self.tell(LegRinging(leg=callees[number % len(callees)].id, at_ms=self.now_ms))
        elif kind == "ended" and callees:
            causes = ["busy", "no_answer", "declined", "normal", "failed"]
            leg = callees[number % len(callees)]
            self.tell(LegEnded(leg=leg.id, at_ms=self.now_ms, cause=causes[number % 5], by="phone"))  # type: ignore[arg-type]
        elif kind == "reply" and asks:
            self.tell(Replied(asks[-1].ask, read_answer(REPLIES[number % len(REPLIES)])))
        elif kind == "unanswered" and asks:
            self.tell(Unanswered(asks[-1].ask, "ask.status", "the answer is 500"))
        elif kind == "late":
            self.now_ms = max(self.now_ms, call.deadline_ms)
            self.tell(Late())
        elif kind == "recorded" and call.recordings:
            recording = call.recordings[number % len(call.recordings)]
            self.tell(RecordingEnded(recording=recording.id, at_ms=self.now_ms, path="/a.wav", seconds=1.0))
        elif kind == "held":
            self.tell(LegHeld(leg="leg", at_ms=self.now_ms, held=bool(number % 2)))
        elif kind == "stale":
            self.tell(PlaybackEnded(playback="call_1-p999", leg="leg", at_ms=self.now_ms, end="done"))
            self.tell(LegEnded(leg="call_1-l999", at_ms=self.now_ms, cause="busy", by="phone"))
            self.tell(Replied("call_1-a999", ()))
        elif kind == "caller_left" and number == 7:
            self.tell(LegEnded(leg="leg", at_ms=self.now_ms, cause="normal", by="phone"))
        elif kind == "stopped" and number == 7:
            self.tell(Stopped("the server closes"))

    def finish(self) -> None:
        """The caller hangs up, the switch agrees to all: the call must come to its end."""
        self.tell(LegEnded(leg="leg", at_ms=self.now_ms, cause="normal", by="phone"))
        for leg in list(self.call.legs):
            if leg.state != "ended":
                # A caller who was never answered may be refused; any other leg is hung up.
                refused = leg.role == "caller" and leg.state == "offered"
                ends = order.Reject | order.HangUp if refused else order.HangUp
                assert any(isinstance(one, ends) and one.leg == leg.id for one in self.orders)
                self.tell(LegEnded(leg=leg.id, at_ms=self.now_ms, cause="normal", by="command"))
        for recording in list(self.call.recordings):
            if recording.open:
                assert order.StopRecording(recording.id) in self.orders
                self.tell(RecordingEnded(recording=recording.id, at_ms=self.now_ms, path="/a", seconds=2.0))
        assert self.call.status == "over"
        record = record_of(self.call, self.now_ms)
        assert msgspec.json.decode(msgspec.json.encode(record))["outcome"] == self.call.outcome


def _reachable(status: str) -> set[str]:
    found: set[str] = set()
    stack = [status]
    while stack:
        for following in TRANSITIONS[stack.pop()]:
            if following not in found:
                found.add(following)
                stack.append(following)
    return found


@settings(max_examples=250, deadline=None)
@example(0, [("reply", 0, "0"), ("answered", 0, "0"), ("ended", 0, "0"), ("late", 0, "0")])
@given(st.sampled_from(range(len(SCRIPTS))), STIMULI)
def test_whatever_happens_a_call_holds_together_and_ends_when_the_caller_does(
    which: int, stimuli: list[tuple[str, int, str]]
) -> None:
    play = Play(SCRIPTS[which])
    for stimulus in stimuli:
        play.happens(*stimulus)
    play.finish()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(range(len(SCRIPTS))), STIMULI)
def test_a_call_to_which_nothing_happens_any_more_ends_by_itself(
    which: int, stimuli: list[tuple[str, int, str]]
) -> None:
    play = Play(SCRIPTS[which])
    for stimulus in stimuli:
        play.happens(*stimulus)
    # A switch that never confirms anything is asked every five seconds, until the call is as long as one may be.
    for _ in range(1_500):
        if play.call.status == "over":
            return
        play.happens("late", 0, "1")
    raise AssertionError(f"it is {play.call.status}: {play.call.stage}")


@settings(max_examples=60, deadline=None)
@given(STIMULI)
def test_the_same_events_lead_to_the_same_call(stimuli: list[tuple[str, int, str]]) -> None:
    first, second = Play(SCRIPTS[1]), Play(SCRIPTS[1])
    for stimulus in stimuli:
        first.happens(*stimulus)
        second.happens(*stimulus)
    assert first.call == second.call
    assert first.orders == second.orders


def test_an_event_changes_nothing_in_the_call_that_it_is_given() -> None:
    script = SCRIPTS[0]
    call = started(script).call
    before = msgspec.json.encode(call.decisions), call.stage, call.legs
    advance(script, call, LegEnded(leg="leg", at_ms=NOW, cause="normal", by="phone"), NOW)
    assert (msgspec.json.encode(call.decisions), call.stage, call.legs) == before


def test_steps_that_lead_to_one_another_are_capped() -> None:
    script = parse_script(
        "call: round\nlimits: {transitions: 7}\nsteps:\n  - name: a\n    branch: '1'\n    ways: {1: [ {jump: a} ]}\n"
    )
    first = started(script)
    assert (first.call.outcome, first.call.why) == ("failed", "max_transition_count_exceeded")
    assert first.call.transitions == 7
    assert order.Reject("leg", 480) in first.orders


def test_a_call_changes_state_by_the_table_only() -> None:
    call = started(SCRIPTS[0]).call
    assert become(call, "up").status == "up"
    with pytest.raises(Refused):
        become(become(call, "over"), "up")


def test_an_access_code_is_not_among_the_decisions_nor_on_the_record() -> None:
    script = parse_script("call: a\nsteps:\n  - authorise: pin\n    max: 4\n    tries: 2\n  - say: In.\n")
    call = advance(script, started(script).call, LegAnswered(leg="leg", at_ms=NOW), NOW).call
    for keys in ("9999", "1234"):
        for key in keys:
            call = advance(script, call, KeyPressed(leg="leg", at_ms=NOW, key=key, by="info"), NOW).call
    assert call.pointer == "steps.1"
    written = msgspec.json.encode(record_of(call, NOW)).decode()
    assert "1234" not in written.replace("+3221234567", "")
    assert "9999" not in written
