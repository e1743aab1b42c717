"""Trial: call scripts played on a virtual clock, from what is ``given`` to what is ``expect``\\ ed.

    caller: "+32470000001"
    tests:
      - test: the customer is busy
        given:
          - replies: { phones: ["+3225550101"], hint: "A courier." }
          - busy: "+3225550101"
        expect:
          - ask: crm.example
          - dial: "+3225550101"
            shows: "+3221234567"
          - say: "The customer is busy."
          - ends: finished

Phones agree at once, and every prompt is heard to its end before the next thing given, unless that is ``keys``: these
interrupt what may be interrupted. The very ``begin`` and ``advance`` that the runner uses decide; nothing is called.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from beckon.core.aligned import aligned
from beckon.core.clock import from_iso
from beckon.core.errors import Refused
from beckon.core.measures import closest
from beckon.core.problems import Problem
from beckon.core.timers import parse_duration
from beckon.core.yaml_text import YamlProblem, read_yaml
from beckon.telephony import orders as order
from beckon.telephony.advance import Advance, CallEvent, Late, advance, begin
from beckon.telephony.answers import read_answer
from beckon.telephony.asking import Replied, Unanswered
from beckon.telephony.call import About, Call
from beckon.telephony.script import Script
from beckon.telephony.script_reading import ScriptProblems
from beckon.telephony.switch import (
    Cause,
    File,
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegOffered,
    PlaybackEnded,
    RecordingEnded,
    Say,
)

#: When a trial begins unless it says otherwise: a Friday morning.
STARTS_AT_MS = 1_795_165_200_000
TESTS_MAX = 200
GIVEN_MAX = 200
TURNS_MAX = 2_000

_KEYS = ("test", "at", "caller", "called", "contact", "managers", "results", "settings", "codes", "given", "expect")
_CAUSES: dict[str, Cause] = {
    "busy": "busy",
    "no_answer": "no_answer",
    "declined": "declined",
    "unreachable": "unreachable",
}
_GIVEN = ("keys", "presses", "replies", "fails", "answers", "hangs_up", "after", "heard", *_CAUSES)
_FIELDS: dict[str, tuple[str, ...]] = {
    "say": ("to",),
    "play": ("to",),
    "ask": ("with",),
    "dial": ("shows",),
    "connect": (),
    "record": (),
    "hang_up": (),
    "reject": (),
}
_AT_THE_END = ("ends", "decided", "kept", "waits", "talked")


class Trial(msgspec.Struct, frozen=True):
    """One test: its name, whether it passed, and what differed: lines beginning with a blank, ``-`` or ``+``."""

    name: str
    passed: bool
    difference: tuple[str, ...] = ()


def run_trial(script: Script, text: str, *, file: str = "") -> tuple[Trial, ...]:
    """Play a file of tests against a script. Raises ``ScriptProblems`` when the file itself is wrong."""
    try:
        located = read_yaml(text)
    except YamlProblem as problem:
        raise ScriptProblems((Problem(file, problem.line, "", problem.code, problem.why),)) from None
    raw = located.value
    player = _Player(script, located.lines, file)
    tests = raw.get("tests") if isinstance(raw, dict) else None
    if not isinstance(tests, list) or not 1 <= len(tests) <= TESTS_MAX:
        raise player.wrong("tests", f"tests: is a list of 1 to {TESTS_MAX} tests.")
    shared = {key: value for key, value in raw.items() if key not in ("tests", "script")}
    return tuple(
        player.play(f"tests.{number}", {**shared, **test} if isinstance(test, dict) else test)
        for number, test in enumerate(tests)
    )


def script_of(text: str, *, file: str = "") -> str:
    """The script that a file of tests names; empty: none. Raises ``ScriptProblems``."""
    try:
        raw = read_yaml(text).value
    except YamlProblem as problem:
        raise ScriptProblems((Problem(file, problem.line, "", problem.code, problem.why),)) from None
    return str(raw.get("script") or "") if isinstance(raw, dict) else ""


class _Player:
    def __init__(self, script: Script, lines: dict[str, int], file: str) -> None:
        self._script = script
        self._lines = lines
        self._file = file

    def wrong(self, path: str, why: str) -> ScriptProblems:
        """The file itself is wrong, here."""
        place = path
        while place and place not in self._lines:
            place = place.rpartition(".")[0]
        return ScriptProblems((Problem(self._file, self._lines.get(place, 1), path, "trial.form", why),))

    def play(self, path: str, raw: Any) -> Trial:
        """Play one test."""
        if not isinstance(raw, dict):
            raise self.wrong(path, "A test is an object with given and expect.")
        for key in raw:
            if key not in _KEYS:
                raise self.wrong(f"{path}.{key}", f"A test has no {key[:40]!r}{closest(key, _KEYS)}")
        given, expected = raw.get("given"), raw.get("expect")
        if not isinstance(given, list) or not isinstance(expected, list) or len(given) > GIVEN_MAX:
            raise self.wrong(path, f"A test has given and expect, both lists, with at most {GIVEN_MAX} things given.")
        try:
            world = _World(self._script, raw)
            for number, item in enumerate(given):
                try:
                    world.give(item)
                except (Refused, ValueError) as problem:
                    raise self.wrong(f"{path}.given.{number}", str(getattr(problem, "why", problem))) from None
            world.hear()
            lines = _compare(world, expected)
        except ValueError as problem:
            raise self.wrong(f"{path}.expect", str(problem)) from None
        name = str(raw.get("test") or f"test at line {self._lines.get(path, 1)}")
        return Trial(name, all(line.startswith(" ") for line in lines), tuple(lines))


class _World:
    """A call on a switch that agrees to everything at once."""

    def __init__(self, script: Script, raw: Mapping[str, Any]) -> None:
        self.script = script
        self.now_ms = from_iso(str(raw["at"])) if "at" in raw else STARTS_AT_MS
        self.done: list[order.Order] = []
        self._playing: list[order.Play] = []
        self._turns = 0
        about = About(
            contact=dict(raw.get("contact") or {}),
            managers={name: str(number) for name, number in dict(raw.get("managers") or {}).items()},
            results=dict(raw.get("results") or {}),
            settings=dict(raw.get("settings") or {}),
            codes={name: str(code) for name, code in dict(raw.get("codes") or {}).items()},
        )
        offered = LegOffered(
            leg="caller",
            at_ms=self.now_ms,
            caller=str(raw.get("caller", "+32470000001")),
            called=str(raw.get("called", "+3221234567")),
        )
        first = begin(script, offered, "call_trial", self.now_ms, about=about)
        self.call: Call = first.call
        self._carry(first)

    def hear(self) -> None:
        """Every prompt is heard to its end."""
        while self._playing:
            self._hear_one()

    def tell(self, event: CallEvent) -> None:
        """Let something happen, and all that follows from it at once."""
        self._turns += 1
        if self._turns > TURNS_MAX:
            raise ValueError(f"The test leads to more than {TURNS_MAX} events.")
        following = advance(self.script, self.call, event, self.now_ms)
        self.call = following.call
        self._carry(following)

    def give(self, item: Any) -> None:
        """One thing that is given."""
        kinds = [key for key in item if key in _GIVEN] if isinstance(item, dict) else []
        if len(kinds) != 1 or len(item) != 1:
            raise ValueError(f"What is given is an object with one of {', '.join(_GIVEN)}.")
        kind, value = kinds[0], item[kinds[0]]
        if kind == "keys":
            while self._playing and not self._playing[0].barge_in:
                self._hear_one()
            for key in str(value):
                self._key("caller", key)
            return
        self.hear()
        if kind == "presses":
            self._key(self._leg(str(value["number"])), str(value["key"]))
        elif kind == "replies":
            self.tell(Replied(self._asked(), read_answer(value)))
        elif kind == "fails":
            self.tell(Unanswered(self._asked(), f"ask.{value}", f"the test says {value}"))
        elif kind == "answers":
            self.tell(LegAnswered(leg=self._leg(str(value)), at_ms=self.now_ms))
        elif kind == "after":
            self._until(self.now_ms + parse_duration(str(value)))
        elif kind == "hangs_up":
            leg = "caller" if value == "caller" else self._leg(str(value))
            self.tell(LegEnded(leg=leg, at_ms=self.now_ms, cause="normal", by="phone"))
        elif kind in _CAUSES:
            self.tell(LegEnded(leg=self._leg(str(value)), at_ms=self.now_ms, cause=_CAUSES[kind], by="phone"))

    def number(self, leg: str) -> str:
        """Who is at this leg."""
        found = self.call.leg_of(leg)
        return "caller" if leg == self.call.leg or found is None else found.number

    def _hear_one(self) -> None:
        playing = self._playing.pop(0)
        self.tell(PlaybackEnded(playback=playing.playback, leg=playing.leg, at_ms=self.now_ms, end="done"))

    def _key(self, leg: str, key: str) -> None:
        self._playing = [one for one in self._playing if not (one.leg == leg and one.barge_in)]
        self.tell(KeyPressed(leg=leg, at_ms=self.now_ms, key=key, by="rfc4733"))

    def _until(self, moment_ms: int) -> None:
        while 0 < self.call.deadline_ms <= moment_ms:
            self.now_ms = self.call.deadline_ms
            self.tell(Late())
            self.hear()
        self.now_ms = moment_ms

    def _leg(self, number: str) -> str:
        for leg in reversed(self.call.legs):
            if leg.number == number and leg.role == "callee" and leg.state != "ended":
                return leg.id
        raise ValueError(f"No phone {number} has been dialled, or it is gone.")

    def _asked(self) -> str:
        ask = getattr(self.call.stage, "ask", "")
        if not ask:
            raise ValueError("Nothing is being asked here.")
        return str(ask)

    def _carry(self, following: Advance) -> None:
        for wanted in following.orders:
            self.done.append(wanted)
            if isinstance(wanted, order.Play):
                self._playing.append(wanted)
            elif isinstance(wanted, order.Stop):
                self._playing = [one for one in self._playing if one.playback != wanted.playback]
            elif isinstance(wanted, order.Answer):
                self.tell(LegAnswered(leg=wanted.leg, at_ms=self.now_ms))
            elif isinstance(wanted, order.HangUp | order.Reject):
                self._playing = [one for one in self._playing if one.leg != wanted.leg]
                self.tell(LegEnded(leg=wanted.leg, at_ms=self.now_ms, cause="normal", by="command"))
            elif isinstance(wanted, order.StopRecording):
                path = f"{wanted.recording}.wav"
                self.tell(RecordingEnded(recording=wanted.recording, at_ms=self.now_ms, path=path, seconds=1.0))
            elif isinstance(wanted, order.Bridge):
                self._playing = [one for one in self._playing if one.leg not in (wanted.leg, wanted.other)]


def _compare(world: _World, expected: list[Any]) -> list[str]:
    wanted = [item for item in expected if not _is_at_the_end(item)]
    for item in wanted:
        _check_form(item)
    came = [facts for one in world.done for facts in _facts(world, one)]
    lines = []
    for item, found in aligned(wanted, came, _fits):
        if item is not None and found is not None:
            lines.append(f"  {_line(found)}")
        elif item is not None:
            lines.append(f"- {_line(item)}")
        elif found is not None:
            lines.append(f"+ {_line(found)}")
    for item in expected:
        if _is_at_the_end(item):
            lines += _at_the_end(world, item)
    return lines


def _facts(world: _World, wanted: order.Order) -> list[dict[str, Any]]:
    if isinstance(wanted, order.Play):
        to = world.number(wanted.leg)
        rows: list[dict[str, Any]] = []
        for prompt in wanted.prompts:
            if isinstance(prompt, Say):
                rows.append({"say": prompt.text, "to": to})
            elif isinstance(prompt, File):
                rows.append({"play": prompt.path, "to": to})
        return rows
    if isinstance(wanted, order.Ask):
        return [{"ask": wanted.url, "with": dict(wanted.told)}]
    if isinstance(wanted, order.Dial):
        return [{"dial": wanted.to, "shows": wanted.caller_id}]
    if isinstance(wanted, order.Bridge):
        return [{"connect": world.number(wanted.other)}]
    if isinstance(wanted, order.Record):
        return [{"record": next(one.what for one in world.call.recordings if one.id == wanted.recording)}]
    if isinstance(wanted, order.HangUp):
        return [{"hang_up": world.number(wanted.leg)}]
    if isinstance(wanted, order.Reject):
        return [{"reject": wanted.status}]
    return []


def _check_form(item: Any) -> None:
    kinds = [key for key in item if key in _FIELDS] if isinstance(item, dict) else []
    if len(kinds) != 1:
        raise ValueError(f"What is expected is one of {', '.join([*_FIELDS, *_AT_THE_END])}.")
    for key in item:
        if key != kinds[0] and key not in _FIELDS[kinds[0]]:
            raise ValueError(f"{kinds[0]}: is not compared by {key[:40]!r}{closest(key, _FIELDS[kinds[0]])}")


def _fits(item: dict[str, Any], found: dict[str, Any]) -> bool:
    for name, want in item.items():
        if name not in found:
            return False
        got = found[name]
        if want is True:
            continue
        if name == "with":
            if not all(str(got.get(key)) == str(value) for key, value in want.items()):
                return False
        elif name in ("ask", "say"):
            if str(want) not in str(got):
                return False
        elif str(want) != str(got):
            return False
    return True


def _is_at_the_end(item: Any) -> bool:
    return isinstance(item, dict) and len(item) == 1 and next(iter(item)) in _AT_THE_END


def _at_the_end(world: _World, item: dict[str, Any]) -> list[str]:
    [(kind, want)] = item.items()
    call = world.call
    if kind == "ends":
        got: Any = call.outcome if call.status == "over" else f"nothing: it is {call.status}"
        fits = got == want
    elif kind == "decided":
        got = [f"{one.what} ({one.why})" if one.why else one.what for one in call.decisions]
        fits = any(str(want) in line for line in got)
    elif kind == "kept":
        got = call.kept
        fits = all(call.kept.get(name) == str(value) for name, value in dict(want).items())
    elif kind == "talked":
        got = call.talked_ms
        fits = parse_duration(str(want)) == got
    else:
        got = type(call.stage).__name__.lower() if call.stage is not None else "nothing"
        fits = got == want
    if fits:
        return [f"  {kind}: {want}"]
    return [f"- {kind}: {want}", f"+ {kind}: {_line(got) if isinstance(got, dict) else got}"]


def _line(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in facts.items() if value not in ("", "caller"))[:200]
