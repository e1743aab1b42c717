"""Asking: the interactive step: the question, its filler, its answer carried out, its backup. Pure."""

import msgspec

from beckon.core.clock import iso
from beckon.telephony import instructions as told
from beckon.telephony import orders as order
from beckon.telephony import script as made
from beckon.telephony.acting import Acting
from beckon.telephony.call import Asking
from beckon.telephony.connecting import connect
from beckon.telephony.keying import begin_wanted
from beckon.telephony.switch import KeyPressed, PlaybackEnded, Prompt, Say, SwitchEvent

#: How long the runner may be late with its own time-out.
GRACE_MS = 1_000


class Replied(msgspec.Struct, frozen=True, tag="replied"):
    """An answer came: instructions, and what else it said (``reply`` for texts)."""

    ask: str
    instructions: tuple[told.Instruction, ...]
    reply: dict[str, object] = {}


class Unanswered(msgspec.Struct, frozen=True, tag="unanswered"):
    """No usable answer came: a stable code, one sentence."""

    ask: str
    code: str
    why: str


def begin_ask(acting: Acting, step: made.Ask) -> None:
    """Ask, and wait."""
    call = acting.call
    url = acting.text(step.url)
    digits = call.kept.get(step.digits, "") if step.digits else call.digits
    facts = {
        "call": call.id,
        "started": iso(call.started_ms),
        "digits": digits,
        "caller": call.caller,
        "called": call.called,
        "session": call.session or call.id,
        "direction": call.direction,
    }
    ask = acting.fresh("a")
    acting.order(
        order.Ask(
            ask=ask,
            url=url,
            dialect=step.dialect,
            method=step.method,
            form=step.form,
            told=tuple((name, facts[name]) for name in step.ticks),
            secret=step.secret,
            timeout_ms=step.timeout_ms,
            connect_ms=step.connect_ms,
            tries=step.tries,
        )
    )
    over_ms = acting.now_ms + step.timeout_ms * step.tries + GRACE_MS
    fills = bool(step.filler) and call.is_up and step.filler_after_ms < step.timeout_ms
    acting.decide("asked", _where(url))
    acting.stand(Asking(ask=ask, over_ms=over_ms, until_ms=acting.now_ms + step.filler_after_ms if fills else over_ms))


def while_asking(acting: Acting, stage: Asking, event: SwitchEvent | Replied | Unanswered) -> None:
    """The answer came, or something else meanwhile."""
    step = acting.step
    if not isinstance(step, made.Ask):
        return
    if isinstance(event, Replied) and event.ask == stage.ask:
        _quiet(acting, stage)
        _take(acting, event)
    elif isinstance(event, Unanswered) and event.ask == stage.ask:
        _quiet(acting, stage)
        _backup(acting, step, event.code, event.why)
    elif isinstance(event, PlaybackEnded) and event.playback == stage.playback:
        acting.restage(playback="")
    elif isinstance(event, KeyPressed) and event.leg == acting.call.leg:
        acting.remember_key(event.key)


def waited(acting: Acting, stage: Asking) -> None:
    """Time for the filler, or to give up."""
    step = acting.step
    if not isinstance(step, made.Ask):
        return
    if acting.now_ms >= stage.over_ms:
        acting.order(order.Forget(stage.ask))
        _quiet(acting, stage)
        _backup(acting, step, "ask.timeout", "no answer came in time")
        return
    playback = acting.play(acting.said(step.filler)) if acting.call.is_up else ""
    acting.restage(playback=playback, until_ms=stage.over_ms)


def follow(acting: Acting) -> None:
    """Carry out the reply's next instruction; past the step where none is left."""
    call = acting.call
    step = acting.step
    if not isinstance(step, made.Ask) or not call.queue:
        acting.change(following=False, queue=())
        acting.go_on()
        return
    first = call.queue[0]
    if isinstance(first, told.Speak):
        if acting.hears():
            count = next((n for n, one in enumerate(call.queue) if not isinstance(one, told.Speak)), len(call.queue))
            spoken = [one for one in call.queue[:count] if isinstance(one, told.Speak)]
            acting.change(queue=call.queue[count:])
            prompts = in_language(acting, tuple(one.prompt for one in spoken))
            acting.speak(prompts, barge_in=any(one.barge_in for one in spoken))
    elif isinstance(first, told.Gather):
        if acting.hears():
            acting.change(queue=call.queue[1:])
            begin_wanted(acting, msgspec.structs.replace(first, prompts=in_language(acting, first.prompts)))
    elif not (isinstance(first, told.Record) and first.on) or acting.hears():
        acting.change(queue=call.queue[1:])
        _do(acting, step, first)


def _do(acting: Acting, step: made.Ask, instruction: told.Instruction) -> None:
    if isinstance(instruction, told.Code):
        ways = dict(step.codes)
        if str(instruction.code) in ways:
            acting.decide(f"return code {instruction.code}", branch=f"codes.{instruction.code}")
            acting.enter(ways[str(instruction.code)])
        else:
            _backup(acting, step, "ask.unknown_code", f"the script has no way for the return code {instruction.code}")
    elif isinstance(instruction, told.Dial):
        ours = step.connecting
        ring_ms = (
            round(instruction.ring_s * 1_000) if instruction.ring_s != told.Dial(numbers=()).ring_s else ours.ring_ms
        )
        connecting = msgspec.structs.replace(
            ours, at_once=instruction.at_once or ours.at_once, ring_ms=ring_ms, record=instruction.record or ours.record
        )
        hint: tuple[Prompt, ...] = in_language(acting, instruction.hint) or acting.said(ours.hint)
        connect(acting, instruction.numbers, connecting, hint, instruction.caller_id)
    elif isinstance(instruction, told.Record):
        record_call(acting, on=instruction.on)
    elif isinstance(instruction, told.Redirect):
        if instruction.to in acting.script.named:
            acting.decide(f"sent to {instruction.to}", "the answer says so", "next")
            acting.jump(instruction.to)
        else:
            _backup(acting, step, "ask.unknown_target", f"the script has no step called {instruction.to[:60]!r}")
    elif isinstance(instruction, told.HangUp):
        acting.decide("hung up", instruction.reason or "the answer says so")
        acting.end(acting.call.outcome or "finished", instruction.reason or "the answer says so")


def in_language(acting: Acting, prompts: tuple[told.Spoken, ...]) -> tuple[told.Spoken, ...]:
    """Words of a reply in the call's language, where it names none of its own."""
    locale = acting.call.locale
    return tuple(
        msgspec.structs.replace(one, locale=locale) if isinstance(one, Say) and not one.locale else one
        for one in prompts
    )


def record_call(acting: Acting, *, on: bool) -> None:
    """Record the whole call from here on, or stop."""
    running = [one for one in acting.call.recordings if one.open and one.what == "call"]
    if not on:
        for one in running:
            acting.order(order.StopRecording(one.id))
        acting.decide("stopped recording")
    elif not running and acting.hears():
        acting.record("call", acting.call.leg)
        acting.decide("records the call")


def _take(acting: Acting, event: Replied) -> None:
    phones = [number for one in event.instructions if isinstance(one, told.Dial) for number in one.numbers]
    code = next((one.code for one in event.instructions if isinstance(one, told.Code)), None)
    queue = event.instructions
    if code is not None:
        # A code is where to go: numbers are for that way to dial, and keys for PBXs that have no codes.
        queue = tuple(one for one in queue if isinstance(one, told.Speak | told.Record | told.Code))
    acting.change(reply={**event.reply, "phones": phones, "code": code}, queue=queue, following=True, stage=None)
    acting.decide("was told", ", ".join(_word(one) for one in event.instructions) or "nothing")


def _backup(acting: Acting, step: made.Ask, code: str, why: str) -> None:
    acting.change(following=False, queue=())
    if step.backup is not None:
        acting.decide("backup", f"{why} [{code}]", "backup")
        acting.enter(step.backup)
    else:
        acting.fail(code, why)


def _quiet(acting: Acting, stage: Asking) -> None:
    if stage.playback:
        acting.order(order.Stop(stage.playback))


def _word(instruction: told.Instruction) -> str:
    if isinstance(instruction, told.Code):
        return f"code {instruction.code}"
    if isinstance(instruction, told.Dial):
        return f"dial {', '.join(instruction.numbers)}"
    return type(instruction).__name__.lower()


def _where(url: str) -> str:
    """A URL without its query: secrets may stand there, and in its path."""
    return url.split("?", 1)[0].split("//", 1)[-1].split("/", 1)[0][:100]
