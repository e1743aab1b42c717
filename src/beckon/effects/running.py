"""Running: runs begin, wait and go on, and what they ask for is done within the turn or put into the outbox."""

from collections.abc import Sequence
from typing import Any

import msgspec

from beckon.batch import Batch
from beckon.core import command as commands
from beckon.core.contact import Contact
from beckon.core.errors import BeckonError
from beckon.core.event import Event
from beckon.core.ids import derived
from beckon.core.records import record_key
from beckon.effects import records
from beckon.effects.sending import FLOWS, Sending
from beckon.effects.talking import add, tell_team
from beckon.flows.advance import DEPTH_MAX, Advance, Found, Matched, Outcome, Started, TimedOut, advance, begin
from beckon.flows.definition import Flow
from beckon.flows.matching import keys_of
from beckon.flows.run import FINAL, Failure, Run, Taken, Wait
from beckon.inbox import conversation as talks
from beckon.inbox.entries import entry_for_notice, entry_for_post
from beckon.intake.journal import event_from
from beckon.outbox.queue import Item, Queue
from beckon.pacing import BIG_RUN
from beckon.store.database import within
from beckon.workspaces import Library, Workspaces

#: How far back a run's messages are looked for that still wait for their hour, in steps.
_STEPS_BACK_MAX = 64
#: Runs that one event may start or wake.
RUNS_AN_EVENT_MAX = 1_000

_OUTCOMES = frozenset(
    {"message.sent", "message.undeliverable", "http.completed", "http.failed", "call.completed", "call.failed"}
)


class Running:
    """Starts runs, wakes them, and moves their waits and timers."""

    def __init__(self, workspaces: Workspaces, queue: Queue, sending: Sending) -> None:
        self._workspaces = workspaces
        self._queue = queue
        self._sending = sending

    async def load(self, batch: Batch, events: Sequence[Event]) -> None:
        """The runs that these events may wake, and those that their new runs would repeat."""
        waits: set[str] = set()
        runs: set[str] = set()
        scheduled: set[str] = set()
        for event in events:
            library = self._workspaces.get(event.workspace)
            if library is None:
                continue
            if event.type == "run.stop_asked" and type(event.data) is dict:
                stopping = batch.runs.get(str(event.data.get("run")))
                scheduled.update(_deliveries_of(stopping) if stopping is not None else ())
            contact_id = batch.contact_of.get(event.position, "")
            shapes = library.shapes.get(event.type)
            if shapes:
                keys = keys_of(shapes, event, contact_id)
                batch.keys_of[event.position] = keys
                waits.update(keys)
            for flow in library.flows_on(event.type):
                run = self._begun(batch, library, flow, event, contact_id)
                if run is not None:
                    batch.starting.setdefault(event.position, []).append((flow, run))
                    runs.add(run.id)
        if scheduled:
            await batch.load(deliveries=scheduled)
        if waits:
            await batch.load(waits=waits)
            for key in waits:
                waiting = batch.waits[key]
                runs |= waiting if len(waiting) <= RUNS_AN_EVENT_MAX else set(sorted(waiting)[:RUNS_AN_EVENT_MAX])
        if runs:
            await batch.load(runs=runs)
            await batch.load(contacts={batch.runs[id_].contact for id_ in runs if id_ in batch.runs})
        for run in batch.runs.values():
            library = self._workspaces.get(run.workspace)
            if library is not None and run.status not in FINAL:
                await library.keep(run.flow, run.version, batch.database)

    def _begun(self, batch: Batch, library: Library, flow: Flow, event: Event, contact_id: str) -> Run | None:
        known = batch.contacts.get(contact_id)
        if known is not None and known.forgotten_ms and event.type != "contact.forgotten":
            return None
        try:
            return begin(flow, event, batch.contacts.get(contact_id), batch.now_ms, zone=library.settings.time_zone)
        except BeckonError as error:
            contact = batch.contacts.get(contact_id)
            if contact is not None:
                tell_team(batch, contact, f"The flow {flow.name} did not start: {error.why}", flow.name)
            return None

    def take(self, batch: Batch, library: Library, event: Event, fields: dict[str, Any]) -> None:
        """The runs that an event moves on, wakes and starts."""
        if "command" in fields and type(fields.get("run")) is str and event.type in _OUTCOMES:
            run = batch.runs.get(fields["run"])
            if run is not None and run.workspace == event.workspace:
                self._advance(batch, library, run, Outcome(event))
        keys = batch.keys_of.get(event.position, ())
        self._wake(batch, library, event, [run_id for key in keys for run_id in sorted(batch.waits.get(key, ()))])
        for flow, run in batch.starting.get(event.position, ()):
            if run.id not in batch.runs:
                self._advance(batch, library, run, Started(), flow=flow)
        for key in keys:
            batch.seen_early(key, event)

    def _wake(self, batch: Batch, library: Library, event: Event, waiting: list[str]) -> None:
        for run_id in waiting[:RUNS_AN_EVENT_MAX]:
            run = batch.runs.get(run_id)
            if run is not None:
                self._advance(batch, library, run, Matched(event))
        if len(waiting) > RUNS_AN_EVENT_MAX:
            why = f"{len(waiting)} runs wait for this event, and {RUNS_AN_EVENT_MAX} are the most that one may wake"
            fields = {"position": event.position, "type": event.type, "code": "event.too_many_runs", "why": why}
            batch.emitted.append(
                Event(
                    workspace=event.workspace, source="beckon/worker", id=f"crowd-{event.position}",
                    type="event.failed", time_ms=batch.now_ms, data=fields,
                )
            )  # fmt: skip

    def fire(self, batch: Batch, run: Run) -> None:
        """A run's timer is due."""
        library = self._workspaces.get(run.workspace)
        if library is not None and run.status not in FINAL:
            self._advance(batch, library, run, TimedOut())

    def stop_asked(
        self, batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
    ) -> None:
        """A person ends a run where it stands: what waits for its hour is called off, what is on its way goes on."""
        run = batch.runs.get(str(fields.get("run")))
        if run is None or run.workspace != event.workspace or run.status in FINAL:
            return
        self.end(batch, run, str(fields.get("reason") or "stopped by hand"))
        for id_ in _deliveries_of(run):
            delivery = batch.deliveries.get(id_)
            if delivery is not None and delivery.state == "scheduled":
                self._sending.call_off(batch, delivery)

    def end(self, batch: Batch, run: Run, reason: str) -> None:
        """A run takes no further step, and waits for nothing."""
        before, run.waiting = run.waiting, ()
        run.become("stopped", batch.now_ms)
        run.ended = reason
        run.history = (*run.history, Taken(run.pointer, batch.now_ms, "stopped", reason))
        batch.put_run(run)
        self._rewire(batch, run, before, started=False)

    def _advance(self, batch: Batch, library: Library, run: Run, stimulus: Any, *, flow: Flow | None = None) -> None:
        if flow is None:
            flow = library.flow(run.flow, run.version)
        if run.status in FINAL:
            return
        if flow is None:
            self._strand(batch, run)
            return
        before = run.waiting
        contact = batch.contacts.get(run.contact)
        result: Advance = advance(flow, run, stimulus, batch.now_ms, contact, zone=library.settings.time_zone)
        if not result.taken:
            return
        run = result.run
        if run.big and type(stimulus) is Matched and _acted(stimulus.event):
            self._heed(batch, run, before)
        batch.put_run(run)
        for command in result.commands:
            self._perform(batch, library, run, contact, command)
        if before is not run.waiting:
            self._rewire(batch, run, before, started=type(stimulus) is Started)

    def _strand(self, batch: Batch, run: Run) -> None:
        """End a run whose version of the flow can't be read any more: it can't go on, and must not sleep for ever."""
        before, run.waiting = run.waiting, ()
        run.error = Failure("flow.version", f"Version {run.version} of the flow can't be read any more.", run.pointer)
        run.become("failed", batch.now_ms)
        run.history = (*run.history, Taken(run.pointer, batch.now_ms, "failed", run.error.why))
        batch.put_run(run)
        self._rewire(batch, run, before, started=False)
        contact = batch.contacts.get(run.contact)
        if contact is not None:
            tell_team(batch, contact, run.error.why, run.flow)

    def _heed(self, batch: Batch, run: Run, before: tuple[Wait, ...]) -> None:
        """Somebody waits for what this run says from now on: it is one of a great many no longer."""
        run.big = False
        for due_ms in {wait.deadline_ms for wait in before if wait.deadline_ms}:
            batch.clear_timer(due_ms, BIG_RUN, run.id)
            batch.set_timer(due_ms, "run", run.id)

    def _rewire(self, batch: Batch, run: Run, before: tuple[Wait, ...], *, started: bool) -> None:
        """Move the run's waits and timers from what it waited for to what it waits for."""
        old = {awaited.key for wait in before for awaited in wait.keys}
        new = {awaited.key for wait in run.waiting for awaited in wait.keys}
        for key in old - new:
            batch.unwait(run.id, key)
        for key in new - old:
            batch.wait(run.id, key)
        kind = BIG_RUN if run.big else "run"
        old_due = {wait.deadline_ms for wait in before if wait.deadline_ms}
        new_due = {wait.deadline_ms for wait in run.waiting if wait.deadline_ms}
        for due_ms in old_due - new_due:
            batch.clear_timer(due_ms, kind, run.id)
        for due_ms in new_due - old_due:
            batch.set_timer(due_ms, kind, run.id)
        if new and not started:
            # Only what came after the run began can count, and that is in the table or in this very turn.
            batch.asked_early.append(run.id)

    async def find(self, batch: Batch) -> None:
        """The records that runs look up: all of this round in one query."""
        finding, batch.finding = batch.finding, []
        wanted = {run_id: self._wanted(batch, run_id, command) for run_id, command in finding}
        await records.load(batch, set(wanted.values()))
        for run_id, command in finding:
            run = batch.runs[run_id]
            library = self._workspaces.get(run.workspace)
            if library is not None:
                self._advance(batch, library, run, Found(command.id, batch.records[wanted[run_id]]))

    @staticmethod
    def _wanted(batch: Batch, run_id: str, command: commands.Find) -> tuple[str, str, str]:
        return batch.runs[run_id].workspace, command.collection, record_key(command.key)

    async def ask_early(self, batch: Batch) -> None:
        """Results that came before the waits which began in this turn."""
        asked, batch.asked_early = batch.asked_early, []
        keys: dict[str, set[str]] = {}
        for run_id in asked:
            for wait in batch.runs[run_id].waiting:
                for awaited in wait.keys:
                    keys.setdefault(awaited.key, set()).add(run_id)
        if not keys:
            return
        found: dict[str, list[tuple[int, str]]] = {}
        positions: set[int] = set()
        for rows in await batch.database.look_up(
            within(
                "SELECT match_key, position FROM early WHERE position > ? AND match_key IN ({keys})",
                list(keys),
                (min(batch.runs[run_id].position for run_id in asked),),
            )
        ):
            for key, position in rows:
                for run_id in keys[str(key)]:
                    run = batch.runs[run_id]
                    at = int(position or 0)
                    if at > run.position and at not in run.consumed:
                        found.setdefault(run_id, []).append((at, str(key)))
                        positions.add(at)
        events: dict[int, Event] = {}
        for key, run_ids in keys.items():
            for event in batch.early.get(key, ()):
                for run_id in run_ids:
                    run = batch.runs[run_id]
                    if event.position > run.position and event.position not in run.consumed:
                        found.setdefault(run_id, []).append((event.position, key))
                        events[event.position] = event
        missing = [position for position in positions if position not in events]
        if missing:
            for rows in await batch.database.look_up(
                within(
                    "SELECT position, workspace, source, id, type, subject, time_ms, accepted_ms, depth, data"
                    " FROM journal WHERE position IN ({keys})",
                    missing,
                )
            ):
                for row in rows:
                    event = event_from(row)
                    events[event.position] = event
        for run_id, candidates in found.items():
            run = batch.runs[run_id]
            library = self._workspaces.get(run.workspace)
            if library is None:
                continue
            for position, _ in sorted(set(candidates)):
                if position in events:
                    waited = run.waiting
                    self._advance(batch, library, run, Matched(events[position]))
                    if batch.runs[run_id].waiting is not waited:
                        break

    def _perform(
        self, batch: Batch, library: Library, run: Run, contact: Contact | None, command: commands.AnyCommand
    ) -> None:
        author = f"flow:{run.flow}"
        if run.big and isinstance(command, commands.Send | commands.Call | commands.Http):
            command = msgspec.structs.replace(command, big=True)
        if isinstance(command, commands.Send):
            self._sending.address(batch, library, contact, command, author)
        elif isinstance(command, commands.Call | commands.Http):
            number = self._queue.number()
            batch.queue(
                Item(
                    number=number, id=command.id, workspace=run.workspace, lane=run.id, state="ready", due_ms=0,
                    attempt=0, command=command,
                )
            )  # fmt: skip
        elif isinstance(command, commands.Answer):
            batch.answers[command.position] = command.body
        elif isinstance(command, commands.Find):
            batch.finding.append((run.id, command))
        elif isinstance(command, commands.Emit):
            if run.depth < DEPTH_MAX:
                batch.emitted.append(
                    Event(
                        workspace=run.workspace,
                        source=FLOWS,
                        id=command.id,
                        type=command.type,
                        time_ms=batch.now_ms,
                        data=command.data,
                        subject=run.contact or None,
                        depth=run.depth + 1,
                        big=run.big,
                    )
                )
            elif contact is not None:
                tell_team(
                    batch, contact, f"{command.type} was not emitted: flows led to flows {DEPTH_MAX} times", run.flow
                )
        elif contact is None:
            return
        elif isinstance(command, commands.Post):
            add(batch, contact, entry_for_post(command, contact=contact.id, author=author, at_ms=batch.now_ms))
        elif isinstance(command, commands.Notify):
            talk = batch.conversation(contact)
            batch.put_conversation(talks.assign(talk, inbox=command.inbox, agent=talk.agent))
            add(batch, contact, entry_for_notice(command, contact=contact.id, author=author, at_ms=batch.now_ms))
            batch.topics.add((contact.workspace, f"inbox:{command.inbox}"))
        elif isinstance(command, commands.Assign):
            batch.put_conversation(talks.assign(batch.conversation(contact), inbox=command.inbox, agent=command.agent))


def _acted(event: Event) -> bool:
    """Whether an event is somebody's act, and neither big work's nor a provider's word on a message of ours."""
    return not event.big and (event.type == "message.received" or not event.type.startswith("message."))


def _deliveries_of(run: Run) -> list[str]:
    """The ids that the messages of a run's newest steps have: those that may still wait for their hour."""
    steps = range(max(0, run.steps_taken - _STEPS_BACK_MAX), run.steps_taken + 1)
    return [derived("dlv", derived("cmd", run.id, str(number))) for number in steps]
