"""Trial: flows played on a virtual clock, from ``given`` events to ``expect``\\ ed messages.

    tests:
      - test: the reminder goes after a day
        at: 2026-11-20T09:00:00Z
        contact: { name: Ann, phone: "+31612345678" }
        given:
          - event: checkin.start
            data: { visit: V-17, slug: abc }
          - after: 24h
        expect:
          - send: checkin_invite
            with: { slug: abc }
          - send: checkin_reminder
          - waits: checkin.finished

The world here is a small one: a journal in memory, an index of waits, timers, and the very ``begin`` and ``advance``
that the worker uses. Nothing is sent; commands are compared, in order, with what is expected.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from beckon.core import command as core
from beckon.core.clock import from_iso
from beckon.core.errors import Refused
from beckon.core.measures import closest
from beckon.core.problems import Problem
from beckon.core.timers import parse_duration
from beckon.core.yaml_text import YamlProblem, read_yaml
from beckon.flows.definition import Flow, FlowProblems
from beckon.flows.trial_expect import compare
from beckon.flows.trial_world import World

#: When a trial begins unless it says otherwise: a Friday morning.
STARTS_AT_MS = 1_795_165_200_000
#: Tests in a file, and things given in a test.
TESTS_MAX = 200
GIVEN_MAX = 200

_KEYS = ("test", "flow", "at", "contact", "records", "given", "expect", "watch")
_GIVEN = ("event", "after", "until", "completed", "failed", "undeliverable", "delivered")


class Trial(msgspec.Struct, frozen=True):
    """One test: its name, whether it passed, and where not, what differed, line by line."""

    name: str
    passed: bool
    #: lines beginning with a blank (as expected), ``-`` (expected, but not there), ``+`` (there, but not expected) or
    #: ``?`` (in what the two before differ).
    difference: tuple[str, ...] = ()
    line: int = 0


class TrialResult(msgspec.Struct, frozen=True):
    """All tests of a file."""

    trials: tuple[Trial, ...]

    @property
    def passed(self) -> bool:
        """Whether all of them passed."""
        return all(trial.passed for trial in self.trials)

    def report(self) -> str:
        """The outcome for people, with the differences."""
        lines = []
        for trial in self.trials:
            lines.append(f"{'ok    ' if trial.passed else 'FAILED'} {trial.name}")
            lines += [f"         {line}" for line in trial.difference if not trial.passed]
        return "\n".join(lines)


def run_trial(flows: Flow | Sequence[Flow], text: str, *, file: str = "", zone: str = "UTC") -> TrialResult:
    """Play a file of tests against these flows. Raises ``FlowProblems`` when the file itself is wrong."""
    known = {flow.name: flow for flow in ([flows] if isinstance(flows, Flow) else flows)}
    try:
        located = read_yaml(text)
    except YamlProblem as problem:
        raise FlowProblems((Problem(file, problem.line, "", problem.code, problem.why),)) from None
    reader = _Reader(known, located.lines, file, zone)
    raw = located.value
    if isinstance(raw, dict) and "tests" in raw:
        shared = {key: value for key, value in raw.items() if key != "tests"}
        tests = raw["tests"]
        if not isinstance(tests, list) or len(tests) > TESTS_MAX:
            raise reader.wrong("tests", f"tests: is a list of at most {TESTS_MAX}.")
        rows = [
            (f"tests.{number}", {**shared, **test} if isinstance(test, dict) else test)
            for number, test in enumerate(tests)
        ]
    else:
        rows = [("", raw)]
    return TrialResult(tuple(reader.play(path, row) for path, row in rows))


class _Reader:
    def __init__(self, flows: dict[str, Flow], lines: dict[str, int], file: str, zone: str) -> None:
        self._flows = flows
        self._lines = lines
        self._file = file
        self._zone = zone

    def wrong(self, path: str, why: str) -> FlowProblems:
        """The file itself is wrong, here."""
        place = path
        while place and place not in self._lines:
            place = place.rpartition(".")[0]
        return FlowProblems((Problem(self._file, self._lines.get(place, 1), path, "trial.form", why),))

    def play(self, path: str, raw: Any) -> Trial:
        """Play one test."""
        if not isinstance(raw, dict):
            raise self.wrong(path, "A test is an object with given and expect.")
        for key in raw:
            if key not in _KEYS:
                raise self.wrong(f"{path}.{key}".lstrip("."), f"A test has no {key[:40]!r}{closest(key, _KEYS)}")
        given, expected = raw.get("given"), raw.get("expect")
        if not isinstance(given, list) or not isinstance(expected, list) or len(given) > GIVEN_MAX:
            raise self.wrong(path, f"A test has given and expect, both lists, with at most {GIVEN_MAX} things given.")
        world = World(
            self._chosen(path, raw), self._start(path, raw), raw.get("contact"), self._zone, raw.get("records")
        )
        for number, item in enumerate(given):
            self._give(world, f"{path}.given.{number}".lstrip("."), item)
        watched = raw.get("watch")
        name = str(raw.get("test") or (f"test at line {self._lines.get(path, 1)}" if path else "test"))
        line = self._lines.get(path, 1)
        try:
            difference = compare(world, expected, watched if isinstance(watched, list) else None)
        except ValueError as problem:
            raise self.wrong(f"{path}.expect".lstrip("."), str(problem)) from None
        return Trial(name, all(row.startswith(" ") for row in difference), tuple(difference), line)

    def _chosen(self, path: str, raw: dict[str, Any]) -> list[Flow]:
        chosen = raw.get("flow")
        if chosen is None:
            return list(self._flows.values())
        names = chosen if isinstance(chosen, list) else [chosen]
        for name in names:
            if name not in self._flows:
                near = closest(str(name), self._flows)
                raise self.wrong(f"{path}.flow".lstrip("."), f"There is no flow called {str(name)[:60]!r}{near}")
        return [self._flows[name] for name in names]

    def _start(self, path: str, raw: dict[str, Any]) -> int:
        if "at" not in raw:
            return STARTS_AT_MS
        try:
            return from_iso(str(raw["at"]))
        except ValueError as problem:
            raise self.wrong(f"{path}.at".lstrip("."), f"at: {problem}.") from None

    def _give(self, world: World, path: str, item: Any) -> None:
        kinds = [key for key in item if key in _GIVEN] if isinstance(item, dict) else []
        if len(kinds) != 1:
            raise self.wrong(path, f"What is given is an object with one of {', '.join(_GIVEN)}.")
        kind = kinds[0]
        try:
            if kind == "event":
                self._event(world, path, item)
            elif kind == "after":
                world.until(world.now_ms + parse_duration(str(item["after"])))
            elif kind == "until":
                moment_ms = from_iso(str(item["until"]))
                if moment_ms < world.now_ms:
                    raise self.wrong(path, "The clock only moves forward: this instant has passed.")
                world.until(moment_ms)
            else:
                self._outcome(world, path, kind, item)
        except (Refused, ValueError) as problem:
            if isinstance(problem, FlowProblems):
                raise
            raise self.wrong(path, str(getattr(problem, "why", problem))) from None

    def _event(self, world: World, path: str, item: dict[str, Any]) -> None:
        allowed = ("event", "data", "id", "source", "subject")
        for key in item:
            if key not in allowed:
                raise self.wrong(f"{path}.{key}", f"An event here has no {key[:40]!r}{closest(key, allowed)}")
        world.say(
            str(item["event"]),
            item.get("data", {}),
            id=str(item.get("id", "")),
            source=str(item.get("source", "trial")),
            subject=str(item.get("subject", "")),
        )

    def _outcome(self, world: World, path: str, kind: str, item: dict[str, Any]) -> None:
        """A command's outcome, named by the command: its act, its URL, its template."""
        wanted = str(item[kind])
        command = world.last_command(wanted)
        if command is None:
            raise self.wrong(path, f"Nothing called {wanted[:60]!r} has been asked for so far.")
        extra = {key: value for key, value in item.items() if key != kind}
        if isinstance(command, core.Send):
            event_type = "message.undeliverable" if kind in ("undeliverable", "failed") else "message.delivered"
            world.outcome(command, event_type, {"delivery": command.id, **extra})
        else:
            family = "call" if isinstance(command, core.Call) else "http"
            ending = "completed" if kind in ("completed", "delivered") else "failed"
            body: dict[str, Any] = (
                {"code": "trial.failed", "why": "the test says so"} if ending == "failed" else {"status": 200}
            )
            if family == "call" and ending == "completed":
                body = {"result": None}
            world.outcome(command, f"{family}.{ending}", {"command": command.id, **body, **extra})
