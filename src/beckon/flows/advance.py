"""Advance: what a run does next. The heart of flows, and pure: a run and a stimulus in, a run and commands out.

    begin(flow, event, contact, now_ms)                    → Run | None
    advance(flow, run, stimulus, now_ms, contact)          → Advance(run, commands, waiting_for, error, taken)

``advance`` **changes the run that it is given** and returns the same object; a caller that fails to store it discards
it. It never raises for what a flow or an event holds: a step that can't be done ends the run as ``failed``, with the
reason in ``run.error`` and an entry for the team. A stimulus that the run doesn't wait for changes nothing (``taken``
is false), so replays and stale timers are harmless. Command ids are derived from the run and its count of steps: the
same step of the same run always asks with the same id.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from beckon.core import command as core
from beckon.core.contact import Contact
from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.core.ids import derived
from beckon.core.timers import say_duration
from beckon.flows.conditions import Constant, Scope
from beckon.flows.definition import Flow, event_words
from beckon.flows.doing import Doing, do_step
from beckon.flows.matching import Shape, key_of
from beckon.flows.run import CONSUMED_MAX, FINAL, HISTORY_MAX, Failure, Run, Taken, Wait
from beckon.flows.steps import Call, Find, Http, Send, Step, WaitFor

#: How many events may lead to one another through ``emit``.
DEPTH_MAX = 16
#: The longest key, in characters.
KEY_CHARS_MAX = 400


class Started(msgspec.Struct, frozen=True):
    """The run has just begun."""


class Matched(msgspec.Struct, frozen=True):
    """An event came that the run may wait for."""

    event: Event


class TimedOut(msgspec.Struct, frozen=True):
    """The run's deadline has passed."""


class Outcome(msgspec.Struct, frozen=True):
    """A command of the run came to something. ``command``: its id, where the event itself doesn't say."""

    event: Event
    command: str = ""


class Found(msgspec.Struct, frozen=True):
    """The record that a ``find`` looked for; None: there is none."""

    command: str
    record: Any = None


Stimulus = Started | Matched | TimedOut | Outcome | Found


class Advance(msgspec.Struct, frozen=True):
    """What a run did: itself as it stands now, what is to be done, what it waits for, and why it failed if it did."""

    run: Run
    commands: tuple[core.AnyCommand, ...] = ()
    waiting_for: tuple[Wait, ...] = ()
    error: Failure | None = None
    #: whether the stimulus was one that the run waited for.
    taken: bool = True


def begin(
    flow: Flow, event: Event, contact: Contact | Mapping[str, Any] | str | None, now_ms: int, *, zone: str = "UTC"
) -> Run | None:
    """Begin a run for an event, or None where the flow's ``if`` says no. Advance it with ``Started`` next.

    A flow whose ``if`` or ``key`` can't be reckoned begins a run all the same, which fails at once: so it is seen.
    ``zone``: the workspace's time zone.
    """
    contact_id = _contact_id(contact)
    words = event_words(event)
    scope = Scope({"event": words}, now_ms=now_ms, contact=_contact_words(contact), zone=flow.time_zone or zone)
    key, error = f"{event.source} {event.id}", None
    try:
        if event.depth > DEPTH_MAX:
            why = f"More than {DEPTH_MAX} events led to one another through emit."
            raise Refused("flow.too_many_events", why)
        if flow.condition is not None and not flow.condition.holds(scope, now_ms):
            return None
        if flow.key is not None:
            key = flow.key.text(scope)
            if not 0 < len(key) <= KEY_CHARS_MAX:
                raise Refused(
                    "flow.key", f"The run's key must have 1 to {KEY_CHARS_MAX} characters; it has {len(key)}."
                )
    except Refused as problem:
        error = Failure(problem.code, problem.why)
        key = f"{event.source} {event.id}"
    return Run(
        id=derived("run", event.workspace, flow.name, key),
        workspace=event.workspace,
        flow=flow.name,
        version=flow.version,
        key=key,
        contact=contact_id,
        position=event.position,
        created_ms=now_ms,
        changed_ms=now_ms,
        depth=event.depth,
        big=event.big,
        variables={"event": words},
        pointer=flow.steps[0].path if flow.steps else "",
        error=error,
    )


def advance(
    flow: Flow,
    run: Run,
    stimulus: Stimulus,
    now_ms: int,
    contact: Contact | Mapping[str, Any] | None = None,
    *,
    zone: str = "UTC",
) -> Advance:
    """Take a run as far as it goes on this stimulus. Changes ``run``; see the module's docstring."""
    if run.status in FINAL:
        return _nothing(run)
    doing = Doing(flow, run, now_ms, _scope(flow, run, now_ms, contact, zone))
    if not _accepts(doing, stimulus):
        return _nothing(run)
    if run.status == "waiting":
        run.become("running", now_ms)
    try:
        if run.error is not None:
            raise Refused(run.error.code, run.error.why)
        if run.version != flow.version:
            raise Refused("flow.version", f"The run began with version {run.version}, not {flow.version}.")
        if type(stimulus) is not Started:
            _resume(doing, stimulus)
        _walk(doing)
    except Refused as problem:
        _fail(doing, problem.code, problem.why)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as problem:
        # No flow should bring us here; if one does, its run ends, and not the turn of everybody else's.
        _fail(doing, "flow.step_failed", f"The step failed with {type(problem).__name__}: {str(problem)[:160]}")
    run.changed_ms = now_ms
    if doing.history:
        run.history = _bounded(run.history + tuple(doing.history))
    return Advance(run, tuple(doing.commands), run.waiting, run.error)


def _nothing(run: Run) -> Advance:
    return Advance(run, (), run.waiting, run.error, False)


def _scope(flow: Flow, run: Run, now_ms: int, contact: Contact | Mapping[str, Any] | None, zone: str) -> Scope:
    words = {"id": run.id, "key": run.key, "flow": run.flow, "steps_taken": run.steps_taken}
    scope = Scope(
        run.variables,
        now_ms=now_ms,
        contact=_contact_words(contact),
        run_words=words,
        zone=flow.time_zone or zone,
    )
    for loop in run.loops:
        step = flow.by_path.get(loop.step)
        if step is not None and loop.index < len(loop.items):
            scope[step.item_name] = loop.items[loop.index]  # type: ignore[attr-defined]
    return scope


# Whether a stimulus is one that the run waits for ---------------------------------------------------------------------


def _accepts(doing: Doing, stimulus: Stimulus) -> bool:
    run = doing.run
    if type(stimulus) is Started:
        return run.status == "running" and run.steps_taken == 0
    if not run.waiting or run.status != "waiting":
        return False
    wait = run.waiting[0]
    if type(stimulus) is TimedOut:
        return 0 < wait.deadline_ms <= doing.now_ms
    if type(stimulus) is Found:
        return wait.command == stimulus.command
    if type(stimulus) is Outcome or wait.command:
        return _is_outcome(wait, stimulus)  # type: ignore[arg-type]
    return _is_awaited(doing, wait, stimulus.event)  # type: ignore[union-attr]


def _is_outcome(wait: Wait, stimulus: Outcome | Matched) -> bool:
    if not wait.command or all(awaited.type != stimulus.event.type for awaited in wait.keys):
        return False
    if type(stimulus) is Outcome and stimulus.command:
        return stimulus.command == wait.command
    found = stimulus.event.data
    return isinstance(found, dict) and wait.command in (found.get("command"), found.get("delivery"))


def _is_awaited(doing: Doing, wait: Wait, event: Event) -> bool:
    run = doing.run
    for awaited in wait.keys:
        if awaited.type == event.type and key_of(Shape(event.type, awaited.names), event, run.contact) == awaited.key:
            break
    else:
        return False
    if event.position and (event.position <= run.position or event.position in run.consumed):
        return False
    if event.accepted_ms and event.accepted_ms < wait.since_ms:
        return False
    step = doing.flow.by_path.get(wait.step)
    if not isinstance(step, WaitFor) or step.where is None:
        return True
    try:
        doing.scope["it"] = event_words(event)
        return step.where.holds(doing.scope, doing.now_ms)
    except Refused:
        return False  # an event of another make than expected is not the one
    finally:
        doing.scope.pop("it", None)


# Going on after a wait ------------------------------------------------------------------------------------------------


def _resume(doing: Doing, stimulus: Stimulus) -> None:
    run, wait = doing.run, doing.run.waiting[0]
    run.waiting = ()
    step = doing.flow.by_path.get(wait.step)
    if step is None:
        raise Refused("flow.version", f"The flow has no step {wait.step}.")
    doing.step = step
    event = getattr(stimulus, "event", None)
    if isinstance(stimulus, Found) and isinstance(step, Find):
        _resume_found(doing, step, stimulus.record)
    elif event is None:
        _resume_late(doing, step, wait)
    elif wait.command:
        _resume_outcome(doing, step, wait, event)
    else:
        if event.position:
            run.consumed = (*run.consumed, event.position)[-CONSUMED_MAX:]
        if wait.save:
            doing.keep(wait.save, event_words(event))
        doing.tell(f"{event.type} came", branch="next")
        doing.go_on(step)


def _resume_late(doing: Doing, step: Step, wait: Wait) -> None:
    """The deadline passed: the end of a ``wait``, or nothing came of what was waited for."""
    if isinstance(step, WaitFor):
        if wait.save:
            doing.keep(wait.save, None)
        waited = (
            f"no {' or '.join(step.types)} within {say_duration(step.timeout_ms)}"
            if step.timeout_ms
            else "nothing came"
        )
        if step.open is not None:
            waited = f"nothing came before the hours were open: {step.open.source}"
        doing.tell("timed out", waited, "next" if step.on_timeout is None else "on_timeout")
        doing.enter(step, step.on_timeout)
    elif isinstance(step, (Call, Http)):
        _resume_failed(doing, step, "flow.timeout", "no outcome came in time")
    elif isinstance(step, Send):
        doing.tell("went on", "no receipt and no failure came in time", "next")
        doing.go_on(step)
    else:
        doing.tell("the time has come", branch="next")
        doing.go_on(step)


def _resume_found(doing: Doing, step: Find, record: Any) -> None:
    """The record is there, or there is none."""
    doing.keep(step.save, record)
    if record is None:
        branch = "next" if step.on_missing is None else "on_missing"
        doing.tell("found nothing", f"{step.collection} has no such record", branch)
        doing.enter(step, step.on_missing)
        return
    doing.tell("found", f"a record of {step.collection}", "next")
    doing.go_on(step)


def _resume_outcome(doing: Doing, step: Step, wait: Wait, event: Event) -> None:
    said = event.data if isinstance(event.data, dict) else {}
    if isinstance(step, Send):
        lost = event.type == "message.undeliverable"
        why = str(said.get("why") or "")[:200]
        doing.tell(event.type.partition(".")[2], why, "on_undeliverable" if lost else "next")
        doing.enter(step, step.on_undeliverable if lost else None)
        return
    status = said.get("status")
    rejected = isinstance(status, int) and status >= 400
    if event.type.endswith(".failed") or rejected:
        code = str(said.get("code") or ("http.status" if rejected else event.type))
        why = str(said.get("why") or (f"the answer was {status}" if rejected else "no reason given"))
        _resume_failed(doing, step, code, why)  # type: ignore[arg-type]
        return
    if wait.save:
        answer = said.get("result") if isinstance(step, Call) else {"status": status, "body": said.get("body")}
        doing.keep(wait.save, answer)
    doing.tell("done", f"status {status}" if status is not None else "", "next")
    doing.go_on(step)


def _resume_failed(doing: Doing, step: Call | Http, code: str, why: str) -> None:
    if step.on_error is None:
        raise Refused(code[:100], f"{_title(step)} failed: {why[:200].rstrip('.')}.")
    if step.save:
        doing.keep(step.save, {"error": {"code": code[:100], "why": why[:500]}})
    doing.tell("failed", why[:200], "on_error")
    doing.enter(step, step.on_error)


# Taking steps ---------------------------------------------------------------------------------------------------------


def _walk(doing: Doing) -> None:
    """Take step after step until the run waits, or ends."""
    run, flow = doing.run, doing.flow
    by_path, steps_max = flow.by_path, flow.limits.steps
    while run.pointer:
        step = by_path.get(run.pointer)
        if step is None:
            raise Refused("flow.version", f"The flow has no step {run.pointer}.")
        doing.step = step
        if run.steps_taken >= steps_max:
            why = f"The run took {steps_max} steps, its limit; raise limits.steps if that is right."
            raise Refused("flow.too_many_steps", why)
        run.steps_taken += 1
        do_step(doing, step)
        if run.waiting:
            run.become("waiting", doing.now_ms)
            return
        if run.status in FINAL:
            return
    run.become("done", doing.now_ms)


def _fail(doing: Doing, code: str, why: str) -> None:
    """End the run, and say so where the team looks."""
    run, step = doing.run, doing.step
    path = step.path if step is not None else ""
    run.error = Failure(code, why, path)
    run.waiting = ()
    run.loops = ()
    if path:
        run.pointer = path
    run.become("failed", doing.now_ms)
    run.steps_taken += 1
    doing.tell("failed", f"{why} [{code}]")
    body = {"code": code, "why": why, "flow": run.flow, "step": path, "run": run.id}
    doing.commands.append(core.Post(kind="error", body=body, **doing.command_words()))


def _bounded(history: tuple[Taken, ...]) -> tuple[Taken, ...]:
    half = HISTORY_MAX // 2
    return history if len(history) <= HISTORY_MAX else history[:half] + history[-half:]


def _contact_id(contact: Contact | Mapping[str, Any] | str | None) -> str:
    if isinstance(contact, Contact):
        return contact.id
    if isinstance(contact, str):
        return contact
    return str(contact.get("id") or "") if contact else ""


def _contact_words(contact: Contact | Mapping[str, Any] | str | None) -> Contact | Mapping[str, Any] | None:
    return {"id": contact} if isinstance(contact, str) else contact


def _title(step: Call | Http) -> str:
    if isinstance(step, Call):
        return step.act
    return f"{step.method} {step.url.source[:80]}" if isinstance(step.url, Constant) else f"The {step.method} request"
