"""The small world of a trial: a journal, runs, an index of waits and timers, all in memory, on a clock of its own."""

from typing import Any

import msgspec

from beckon.core import command as core
from beckon.core.event import Event
from beckon.core.ids import derived
from beckon.core.records import record_key
from beckon.core.timers import DAY_MS
from beckon.flows.advance import Advance, Found, Matched, Outcome, Started, Stimulus, TimedOut, advance, begin
from beckon.flows.definition import Flow, contact_reference
from beckon.flows.matching import Shape, keys_of
from beckon.flows.run import Run

_WORKSPACE = "trial"
#: How many events and turns a trial may take.
EVENTS_MAX = 2_000
#: How far a trial's clock may go.
SPAN_MAX_MS = 2_000 * DAY_MS


class Asked(msgspec.Struct, frozen=True):
    """A command, and when it was asked for."""

    command: core.AnyCommand
    at_ms: int


class World:
    """Plays events against flows as the worker would, and remembers what they ask for."""

    def __init__(self, flows: list[Flow], now_ms: int, contact: Any, zone: str, records: Any = None) -> None:
        self.flows = {flow.name: flow for flow in flows}
        self.started_ms = now_ms
        self.now_ms = now_ms
        self.asked: list[Asked] = []
        self.runs: dict[str, Run] = {}
        self._contact = contact if isinstance(contact, dict) else {"id": str(contact)} if contact else {}
        self._zone = zone
        #: collection → key → record.
        self._records = records if isinstance(records, dict) else {}
        self._journal: list[tuple[Event, str]] = []
        self._seen: set[tuple[str, str]] = set()
        self._shapes: set[Shape] = {shape for flow in flows for shape in flow.shapes}
        self._waits: dict[str, set[str]] = {}

    def say(
        self, event_type: str, data: Any, *, id: str = "", source: str = "trial", subject: str = "", depth: int = 0
    ) -> None:
        """Let an event happen now, and everything that follows from it at once."""
        if len(self._journal) >= EVENTS_MAX:
            raise ValueError(f"The test leads to more than {EVENTS_MAX} events.")
        position = len(self._journal) + 1
        event = Event(
            workspace=_WORKSPACE,
            source=source,
            id=id or f"event-{position}",
            type=event_type,
            time_ms=self.now_ms,
            data=data,
            subject=subject or None,
            position=position,
            accepted_ms=self.now_ms,
            depth=depth,
        )
        if (event.source, event.id) in self._seen:
            return  # seen before: changes nothing
        self._seen.add((event.source, event.id))
        contact = self._contact_of(event)
        self._journal.append((event, contact))
        for key in keys_of(self._shapes, event, contact):
            for run_id in sorted(self._waits.get(key, ())):
                self._advance(self.runs[run_id], Matched(event))
        for flow in self.flows.values():
            if event.type in flow.on:
                self._begin(flow, event)

    def until(self, moment_ms: int) -> None:
        """Move the clock, stopping at every timer on the way."""
        if moment_ms > self.started_ms + SPAN_MAX_MS:
            raise ValueError("The test's clock goes further than 2,000 days.")
        for _ in range(EVENTS_MAX):
            due = [
                (wait.deadline_ms, run.id)
                for run in self.runs.values()
                for wait in run.waiting
                if 0 < wait.deadline_ms <= moment_ms
            ]
            if not due:
                break
            self.now_ms, run_id = min(due)
            self._advance(self.runs[run_id], TimedOut())
        else:
            raise ValueError(f"The test leads to more than {EVENTS_MAX} timers.")
        self.now_ms = moment_ms

    def outcome(self, command: core.AnyCommand, event_type: str, data: dict[str, Any]) -> None:
        """Let a command come to something."""
        run = self.runs[command.run]
        position = len(self._journal) + 1
        event = Event(
            workspace=_WORKSPACE,
            source="beckon/outbox",
            id=f"outcome-{position}",
            type=event_type,
            time_ms=self.now_ms,
            data=data,
            position=position,
            accepted_ms=self.now_ms,
        )
        self._journal.append((event, run.contact))
        self._advance(run, Outcome(event, command=command.id))

    def last_command(self, name: str) -> core.AnyCommand | None:
        """The latest send, call or http of this name: template, act, URL."""
        for asked in reversed(self.asked):
            command = asked.command
            if isinstance(command, core.Send) and name in (command.template, command.text):
                return command
            if isinstance(command, core.Call) and name == command.act:
                return command
            if isinstance(command, core.Http) and command.url.startswith(name):
                return command
        return None

    def _begin(self, flow: Flow, event: Event) -> None:
        contact = contact_reference(flow, event, self.now_ms) or self._contact
        words = contact if isinstance(contact, dict) else {"id": contact}
        known = {**self._contact, **words, "id": _contact_id(words) or _contact_id(self._contact)}
        run = begin(flow, event, known if known["id"] else None, self.now_ms, zone=self._zone)
        if run is not None and run.id not in self.runs:
            self.runs[run.id] = run
            self._advance(run, Started())

    def _advance(self, run: Run, stimulus: Stimulus) -> None:
        for wait in run.waiting:
            for awaited in wait.keys:
                self._waits.get(awaited.key, set()).discard(run.id)
        flow = self.flows[run.flow]
        contact = {**self._contact, "id": run.contact}
        done = advance(flow, run, stimulus, self.now_ms, contact, zone=self._zone)
        for wait in run.waiting:
            for awaited in wait.keys:
                self._waits.setdefault(awaited.key, set()).add(run.id)
        found = [command for command in done.commands if isinstance(command, core.Find)]
        self.asked += [Asked(command, self.now_ms) for command in done.commands if not isinstance(command, core.Find)]
        for command in done.commands:
            if isinstance(command, core.Emit):
                self.say(command.type, command.data, source=f"flows/{run.flow}", id=command.id, depth=run.depth + 1)
        for command in found:
            self._advance(run, Found(command.id, self._record(command)))
        if done.taken and not found:
            self._early(run, done)

    def _early(self, run: Run, done: Advance) -> None:
        """What came before the wait began, but after the run did, still counts."""
        keys = {awaited.key for wait in done.waiting_for for awaited in wait.keys}
        for event, contact in list(self._journal) if keys else ():
            if event.position <= run.position or event.position in run.consumed:
                continue
            if keys & set(keys_of(self._shapes, event, contact)) and run.waiting == done.waiting_for:
                self._advance(run, Matched(event))

    def _record(self, command: core.Find) -> Any:
        kept = self._records.get(command.collection)
        wanted = record_key(command.key)
        for key, body in kept.items() if isinstance(kept, dict) else ():
            if record_key(str(key)) == wanted:
                return {"key": str(key), **body} if isinstance(body, dict) else body
        return None

    def _contact_of(self, event: Event) -> str:
        if event.subject and event.subject.startswith("con_"):
            return event.subject
        found = event.data.get("contact") if isinstance(event.data, dict) else None
        words = found if isinstance(found, dict) else {"id": found} if isinstance(found, str) else self._contact
        return _contact_id(words) or _contact_id(self._contact)


def _contact_id(words: dict[str, Any]) -> str:
    """The id of a contact of a trial: its own, or one made from what it is reached by."""
    if not words:
        return "con_trial"
    if words.get("id"):
        return str(words["id"])
    for name in ("phone", "email", "whatsapp", "oem_app", "name"):
        if words.get(name):
            return derived("con", str(words[name]))
    return "con_trial"
