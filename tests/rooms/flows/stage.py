"""A stage for flows: short ways to write a flow, begin a run, and let things happen to it."""

from typing import Any

from beckon.core import command as core
from beckon.core.event import Event
from beckon.flows.advance import Advance, Matched, Outcome, Started, TimedOut, advance, begin
from beckon.flows.definition import Flow, parse_flow
from beckon.flows.run import Run, decode_run, encode_run

NOW_MS = 1_795_165_200_000  # 2026-11-20T09:00:00Z, a Friday
HOUR_MS = 3_600_000

ANN = {"id": "con_ann", "name": "Ann Peters", "first_name": "Ann", "time_zone": "Europe/Brussels", "locale": "nl-BE"}


def flow_of(steps: str, head: str = "", key: str = 'key: "{{ event.data.visit }}"') -> Flow:
    """A flow of these steps (YAML, indented as one likes), begun by checkin.start."""
    return parse_flow(f"flow: test\non: checkin.start\n{key}\n{head}\nsteps:\n{indent(steps)}")


def indent(text: str) -> str:
    """YAML text, moved two columns to the right."""
    lines = text.strip("\n").splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join("  " + line[margin:] for line in lines)


def event_of(event_type: str = "checkin.start", data: Any = None, *, position: int = 1, **more: Any) -> Event:
    """An event at a position of the journal."""
    words = {
        "workspace": "wks",
        "source": "test",
        "id": f"e{position}",
        "type": event_type,
        "time_ms": NOW_MS,
        "accepted_ms": NOW_MS,
        "data": {"visit": "V-17", "slug": "abc"} if data is None else data,
        "position": position,
    }
    return Event(**{**words, **more})


class Play:
    """One run of one flow, and what came of it."""

    def __init__(self, flow: Flow, data: Any = None, *, contact: Any = ANN, now_ms: int = NOW_MS) -> None:
        self.flow = flow
        self.contact = contact
        self.now_ms = now_ms
        self.commands: list[core.AnyCommand] = []
        self._position = 1
        run = begin(flow, event_of(data=data), contact, now_ms)
        assert run is not None, "the flow's `if` said no"
        self.run: Run = run
        self.last: Advance = self._take(Started())

    def _take(self, stimulus: Any) -> Advance:
        # Between two turns a run lies in its row: it goes through JSON every time.
        self.run = decode_run(encode_run(self.run))
        words = self.contact if isinstance(self.contact, dict) else None
        self.last = advance(self.flow, self.run, stimulus, self.now_ms, words)
        self.commands += self.last.commands
        return self.last

    def happen(self, event_type: str, data: Any, **more: Any) -> Advance:
        """An event comes."""
        self._position += 1
        words = {"position": self._position, "accepted_ms": self.now_ms, **more}
        return self._take(Matched(event_of(event_type, data, **words)))

    def time_out(self, after_ms: int = 0) -> Advance:
        """The deadline passes (or ``after_ms``, if given)."""
        self.now_ms = self.now_ms + after_ms if after_ms else self.run.waiting[0].deadline_ms
        return self._take(TimedOut())

    def outcome(self, event_type: str, data: dict[str, Any]) -> Advance:
        """The latest command comes to something."""
        self._position += 1
        event = event_of(event_type, {"command": self.run.waiting[0].command, **data}, position=self._position)
        return self._take(Outcome(event))

    def said(self) -> list[str]:
        """What was asked for, in short: ``send checkin_invite``."""
        return [say(command) for command in self.commands]


def say(command: core.AnyCommand) -> str:
    """A command in two words."""
    word = type(command).__name__.lower()
    for name in ("template", "text", "inbox", "agent", "act", "url", "type"):
        if getattr(command, name, ""):
            return f"{word} {getattr(command, name)}"
    if isinstance(command, core.Post):
        return f"{command.kind} {command.body}" if isinstance(command.body, str) else f"post {command.kind}"
    return word
