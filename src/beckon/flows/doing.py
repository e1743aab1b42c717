"""Doing: what each step does to a run, one short function for each, as in the step table."""

from collections.abc import Callable
from typing import Any

from beckon.core import command as core
from beckon.core.errors import Refused
from beckon.core.ids import derived
from beckon.core.liquid_text import as_text
from beckon.core.measures import weigh
from beckon.core.timers import (
    DAY_MS,
    DURATION_MAX_MS,
    Week,
    add_open,
    clock_minutes,
    instant,
    next_clock,
    next_open,
    say_duration,
    zone_named,
)
from beckon.flows import steps as made
from beckon.flows.conditions import Expression, Scope
from beckon.flows.definition import OUTCOMES, Flow
from beckon.flows.matching import CONTACT, canonical, wait_key
from beckon.flows.run import Awaited, Loop, Run, Taken, Wait

#: A wait without a time-out ends after this long.
FOREVER_MS = DURATION_MAX_MS
#: How long a run waits for the outcome of a ``send`` with ``on_undeliverable``, and of a ``call`` or ``http``.
OUTCOME_MS = DAY_MS
#: How long a text of a command may be.
TEXT_CHARS_MAX = 16_000
#: The longest key of a record.
KEY_CHARS_MAX = 200
#: What all the values that a run keeps may weigh.
KEPT_WEIGHT_MAX = 1_048_576


class Doing:
    """A run in the middle of a turn: what it sees, and what has come of the turn so far."""

    __slots__ = ("commands", "flow", "history", "now_ms", "run", "scope", "step")

    def __init__(self, flow: Flow, run: Run, now_ms: int, scope: Scope) -> None:
        self.flow = flow
        self.run = run
        self.now_ms = now_ms
        self.scope = scope
        self.step: made.Step | None = None
        self.commands: list[core.AnyCommand] = []
        self.history: list[Taken] = []

    def command_words(self) -> dict[str, Any]:
        """What every command carries."""
        run = self.run
        return {
            "id": derived("cmd", run.id, str(run.steps_taken)),
            "workspace": run.workspace,
            "contact": run.contact,
            "run": run.id,
            "step": self.step.path if self.step is not None else "",
        }

    def tell(self, what: str, why: str = "", branch: str = "") -> None:
        """Write down what the step in hand did."""
        self.history.append(Taken(self.step.path if self.step is not None else "", self.now_ms, what, why, branch))

    def keep(self, name: str, value: Any) -> None:
        """Keep a value under a name."""
        self.run.variables[name] = value
        self.scope[name] = value
        weigh(self.run.variables, KEPT_WEIGHT_MAX)

    def go_on(self, step: made.Step) -> None:
        """Point to the step after this one."""
        self.run.pointer = self.flow.after[step.path]

    def enter(self, step: made.Step, inside: made.Steps | None) -> None:
        """Point to the first step of a branch; where it is empty, or there is none, past the step."""
        self.run.pointer = inside[0].path if inside else self.flow.after[step.path]

    def wait(self, step: made.Step, **named: Any) -> None:
        """Stand still at this step."""
        self.run.pointer = step.path
        self.run.waiting = (Wait(step.path, **named),)

    def await_outcome(self, step: made.Step, command: str, deadline_ms: int, save: str = "") -> None:
        """Stand still until a command has come to something."""
        types = OUTCOMES[step.kind]
        if isinstance(step, made.Send) and step.fallback_after_ms:
            types = types[1:]  # another channel may follow: only a receipt says that it arrived
        workspace = self.run.workspace
        keys = tuple(Awaited(name, ("command",), wait_key(workspace, name, (("command", command),))) for name in types)
        self.wait(step, keys=keys, deadline_ms=deadline_ms, save=save, command=command)


def do_step(doing: Doing, step: made.Step) -> None:
    """Do one step: ask for what it asks, and point to where the run goes next."""
    _DOERS[type(step)](doing, step)


def _send(doing: Doing, step: made.Send) -> None:
    scope, run = doing.scope, doing.run
    to = step.to.value(scope) if step.to is not None else None
    if to is None and not run.contact:
        raise Refused("flow.no_contact", "There is nobody to send to: the run has no contact, and the step no `to`.")
    if to is not None and not (isinstance(to, (str, dict)) and to):
        raise Refused(
            "flow.no_contact", "`to` gives neither a contact's id nor an object with phone, email and the like."
        )
    not_before_ms, why = _not_before(doing, step.at)
    awaited = step.on_undeliverable is not None
    template = step.template.text(scope) if step.template is not None else ""
    message = core.Send(
        **doing.command_words(),
        template=template,
        text=_limited(step.text.text(scope)) if step.text is not None else "",
        to=to,
        via=step.via,
        variables=_named_values(doing, step.variables, step.variables_from),
        purpose=step.purpose,
        locale=step.locale.text(scope) if step.locale is not None else "",
        fallback_after_ms=step.fallback_after_ms,
        not_before_ms=not_before_ms,
        awaited=awaited,
    )
    if not template and not message.text.strip():
        raise Refused("flow.empty_text", "The message has no text.")
    doing.commands.append(message)
    run.spoke_ms = doing.now_ms
    doing.tell(f"asked to send {template}" if template else "asked to send a text", why)
    if awaited:
        deadline_ms = max(doing.now_ms, not_before_ms) + (step.timeout_ms or OUTCOME_MS)
        doing.await_outcome(step, message.id, deadline_ms)
    else:
        doing.go_on(step)


def _not_before(doing: Doing, hours: made.Hours | None) -> tuple[int, str]:
    """When a message may go (0: now), and why later."""
    if hours is None:
        return 0, ""
    zone = doing.scope.zone
    moment = doing.now_ms
    if hours.instant is not None:
        asked = instant(hours.instant.value(doing.scope), zone)
        if asked > doing.now_ms + DURATION_MAX_MS:
            raise Refused("flow.instant", "A message can't be put off for more than 400 days.")
        moment = max(moment, asked)
    if hours.open is not None:
        moment = next_open(moment, hours.open, zone)
    if moment <= doing.now_ms:
        return 0, ""
    return moment, f"put off by {say_duration(moment - doing.now_ms)}: {hours.source} ({zone.key})"


def _wait_for(doing: Doing, step: made.WaitFor) -> None:
    run = doing.run
    deadline_ms = doing.now_ms + (step.timeout_ms or FOREVER_MS)
    if step.open is not None:
        deadline_ms = next_open(doing.now_ms, step.open, doing.scope.zone)
    pairs = []
    for name, expression in step.match:
        value = canonical(expression.value(doing.scope))
        if value is None:
            why = f"The wait compares {name!r} with nothing that can be compared: {expression.source[:80]} is empty."
            raise Refused("flow.match_empty", why)
        pairs.append((name, value))
    if step.open is not None and deadline_ms <= doing.now_ms == run.created_ms:
        _open_already(doing, step, step.open)
        return
    since_ms = 0
    if not step.match:
        if not run.contact:
            raise Refused("flow.no_contact", "A wait without match is for the run's contact, and the run has none.")
        pairs = [(CONTACT, run.contact)]
        since_ms = run.spoke_ms  # what the contact said before we asked is no answer
    names = tuple([name for name, _value in pairs])
    keys = tuple([Awaited(kind, names, wait_key(run.workspace, kind, pairs)) for kind in step.types])
    longest = f"for {say_duration(step.timeout_ms)}" if step.timeout_ms else ""
    if step.open is not None:
        left = say_duration(deadline_ms - doing.now_ms)
        longest = f"for {left} at most: until it is {step.open.source} ({doing.scope.zone.key})"
    doing.tell(f"waits for {' or '.join(step.types)}", longest)
    doing.wait(step, keys=keys, deadline_ms=deadline_ms, save=step.save, since_ms=since_ms)


def _open_already(doing: Doing, step: made.WaitFor, week: Week) -> None:
    """The hours are open and the run has just begun: nothing can have come before, so there is nothing to wait for."""
    if step.save:
        doing.keep(step.save, None)
    branch = "next" if step.on_timeout is None else "on_timeout"
    doing.tell("went on at once", f"the hours are open: {week.source}", branch)
    doing.enter(step, step.on_timeout)


def _wait(doing: Doing, step: made.Wait) -> None:
    now_ms = doing.now_ms
    due_ms = _due(doing, step)
    if due_ms > now_ms + DURATION_MAX_MS:
        raise Refused("flow.duration", "The wait would be longer than 400 days.")
    if due_ms <= now_ms:
        doing.tell("went on at once", "the time to wait for has passed")
        doing.go_on(step)
        return
    doing.tell("waits", f"for {say_duration(due_ms - now_ms)}")
    doing.wait(step, deadline_ms=due_ms)


def _due(doing: Doing, step: made.Wait) -> int:
    if step.until is None and step.hours is None:
        return doing.now_ms + step.for_ms
    zone = (zone_named(step.zone) if step.zone else None) or doing.scope.zone
    if step.until is None:
        return add_open(doing.now_ms, step.for_ms, step.hours, zone) if isinstance(step.hours, Week) else doing.now_ms
    value = step.until.value(doing.scope)
    minutes = clock_minutes(value) if isinstance(value, str) else None
    due_ms = next_clock(doing.now_ms, minutes, zone) if minutes is not None else instant(value, zone)
    due_ms += step.shift_ms
    if step.hours is not None:
        due_ms = next_open(max(due_ms, doing.now_ms), step.hours, zone)
    return due_ms


def _if(doing: Doing, step: made.If) -> None:
    holds = step.condition.holds(doing.scope, doing.now_ms)
    branch = "then" if holds else "else"
    verdict = "holds" if holds else "does not hold"
    doing.tell("yes" if holds else "no", f"{_short(step.condition.source)} {verdict}", branch)
    doing.enter(step, step.then if holds else step.otherwise)


def _choose(doing: Doing, step: made.Choose) -> None:
    for number, case in enumerate(step.cases):
        if case.when.holds(doing.scope, doing.now_ms):
            branch = f"choose.{number}.then"
            doing.tell(case.name or f"way {number + 1}", f"{_short(case.when.source)} holds", branch)
            doing.enter(step, case.then)
            return
    doing.tell("otherwise", "none of the conditions holds", "else")
    doing.enter(step, step.otherwise)


def _for_each(doing: Doing, step: made.ForEach) -> None:
    run = doing.run
    if run.loops and run.loops[-1].step == step.path:
        loop = run.loops[-1]
        loop = Loop(loop.step, loop.items, loop.index + 1)
        run.loops = run.loops[:-1]
    else:
        loop = Loop(step.path, _items(doing, step))
        doing.tell(f"{len(loop.items)} items", "", "do" if loop.items else "")
    if loop.index >= len(loop.items) or not step.do:
        doing.scope.pop(step.item_name, None)
        if step.item_name in run.variables:
            doing.scope[step.item_name] = run.variables[step.item_name]
        doing.go_on(step)
        return
    run.loops = (*run.loops, loop)
    doing.scope[step.item_name] = loop.items[loop.index]
    run.pointer = step.do[0].path


def _items(doing: Doing, step: made.ForEach) -> tuple[Any, ...]:
    items = step.items.value(doing.scope)
    if items is None:
        return ()
    if not isinstance(items, list):
        raise Refused("flow.no_list", f"for_each needs a list; {step.items.source[:80]} is a {type(items).__name__}.")
    most = min(step.items_max or doing.flow.limits.items, doing.flow.limits.items)
    if len(items) > most:
        raise Refused("flow.too_many_items", f"for_each has {len(items)} items, and {most} is the limit.")
    return tuple(items)


def _note(doing: Doing, step: made.Note) -> None:
    text = _limited(step.text.text(doing.scope))
    doing.commands.append(core.Post(kind="note", body=text, **doing.command_words()))
    doing.tell("left a note", _short(text))
    doing.go_on(step)


def _post(doing: Doing, step: made.Post) -> None:
    body = step.body.value(doing.scope)
    if isinstance(body, str):
        _limited(body)
    doing.commands.append(core.Post(kind=step.entry, body=body, **doing.command_words()))
    doing.tell(f"posted {step.entry}")
    doing.go_on(step)


def _notify(doing: Doing, step: made.Notify) -> None:
    inbox = _name(step.inbox.text(doing.scope), "inbox")
    text = _limited(step.text.text(doing.scope)) if step.text is not None else ""
    doing.commands.append(core.Notify(inbox=inbox, text=text, **doing.command_words()))
    doing.tell(f"told {inbox}")
    doing.go_on(step)


def _assign(doing: Doing, step: made.Assign) -> None:
    inbox = _name(step.inbox.text(doing.scope), "inbox") if step.inbox is not None else ""
    agent = _name(step.agent.text(doing.scope), "agent") if step.agent is not None else ""
    doing.commands.append(core.Assign(inbox=inbox, agent=agent, **doing.command_words()))
    doing.tell(f"assigned to {agent or inbox}")
    doing.go_on(step)


def _call(doing: Doing, step: made.Call) -> None:
    arguments = _named_values(doing, step.arguments, step.arguments_from)
    asked = core.Call(act=step.act, arguments=arguments, **doing.command_words())
    doing.commands.append(asked)
    doing.tell(f"called {step.act}")
    if step.awaited:
        doing.await_outcome(step, asked.id, doing.now_ms + (step.timeout_ms or OUTCOME_MS), step.save)
    else:
        doing.go_on(step)


def _http(doing: Doing, step: made.Http) -> None:
    scope = doing.scope
    url = step.url.text(scope)
    if len(url) > 2_000 or not url.startswith(("https://", "http://")) or any(char <= " " for char in url):
        raise Refused("flow.url", f"{_short(url)} is no URL that can be called.")
    headers = {name: expression.text(scope) for name, expression in step.headers}
    if any("\n" in text or "\r" in text or "\0" in text for pair in headers.items() for text in pair):
        raise Refused("flow.header", "A header holds a line break.")
    asked = core.Http(
        method=step.method,
        url=url,
        headers=headers,
        body=step.body.value(scope) if step.body is not None else None,
        secret=step.secret,
        timeout_ms=step.timeout_ms,
        attempts_max=step.attempts_max,
        **doing.command_words(),
    )
    doing.commands.append(asked)
    doing.tell(f"asked for {step.method} {_short(url)}")
    if step.awaited:
        doing.await_outcome(step, asked.id, doing.now_ms + OUTCOME_MS, step.save)
    else:
        doing.go_on(step)


def _emit(doing: Doing, step: made.Emit) -> None:
    body = step.body.value(doing.scope) if step.body is not None else {}
    doing.commands.append(core.Emit(type=step.event_type, data=body, **doing.command_words()))
    doing.tell(f"said {step.event_type}")
    doing.go_on(step)


def _answer(doing: Doing, step: made.Answer) -> None:
    run = doing.run
    position = run.consumed[-1] if run.consumed else run.position
    if run.answered == position:
        raise Refused("flow.answered_twice", "The event that the run is at has been answered already.")
    body = step.body.value(doing.scope)
    run.answered = position
    doing.commands.append(core.Answer(position=position, body=body, **doing.command_words()))
    doing.tell("answered", _short(body))
    doing.go_on(step)


def _find(doing: Doing, step: made.Find) -> None:
    key = step.key.text(doing.scope).strip()
    if len(key) > KEY_CHARS_MAX:
        raise Refused("flow.find_key", f"A record's key has at most {KEY_CHARS_MAX} characters.")
    asked = core.Find(collection=step.collection, key=key, **doing.command_words())
    doing.commands.append(asked)
    # Within the same turn: no deadline, and nothing in the journal ends it.
    doing.wait(step, save=step.save, command=asked.id)


def _set(doing: Doing, step: made.Set) -> None:
    for name, expression in step.values:
        doing.keep(name, expression.value(doing.scope))
    doing.tell(f"kept {', '.join(name for name, _ in step.values)}"[:200])
    doing.go_on(step)


def _stop(doing: Doing, step: made.Stop) -> None:
    reason = step.reason.text(doing.scope)[:200] if step.reason is not None else ""
    doing.run.ended = reason
    doing.run.pointer = step.path
    doing.run.loops = ()
    doing.tell("stopped", reason)
    doing.run.become("stopped", doing.now_ms)


def _named_values(doing: Doing, pairs: tuple[tuple[str, Expression], ...], whole: Expression | None) -> dict[str, Any]:
    if whole is not None:
        values = whole.value(doing.scope)
        if not isinstance(values, dict):
            raise Refused("flow.no_object", f"with: needs an object; {whole.source[:80]} is a {type(values).__name__}.")
        return dict(values)
    scope = doing.scope
    return {name: expression.value(scope) for name, expression in pairs}


def _limited(text: str) -> str:
    if len(text) > TEXT_CHARS_MAX:
        raise Refused("text.too_long", f"The text is longer than {TEXT_CHARS_MAX} characters.")
    return text


def _name(text: str, what: str) -> str:
    name = text.strip()
    if not 0 < len(name) <= 200:
        raise Refused("flow.empty_name", f"The {what}'s name is empty or too long.")
    return name


def _short(text: Any) -> str:
    line = " ".join(as_text(text).split())
    return line if len(line) <= 80 else line[:77] + "…"


_DOERS: dict[type[made.Step], Callable[[Doing, Any], None]] = {
    made.Send: _send,
    made.WaitFor: _wait_for,
    made.Wait: _wait,
    made.If: _if,
    made.Choose: _choose,
    made.ForEach: _for_each,
    made.Note: _note,
    made.Post: _post,
    made.Notify: _notify,
    made.Assign: _assign,
    made.Call: _call,
    made.Http: _http,
    made.Emit: _emit,
    made.Answer: _answer,
    made.Find: _find,
    made.Set: _set,
    made.Stop: _stop,
}
