"""Advance: what a call does next. The heart of telephony, and pure: call and event in, next call and orders out.

    begin(script, offered, …)            → Advance(call, orders, deadline_ms)
    advance(script, call, event, now_ms) → Advance(call, orders, deadline_ms)

The call that is given stays as it is; the next one is made from it. An event that the call doesn't wait for changes
nothing but what it says of a leg or a recording, so late and repeated events are harmless. Nothing that a script or an
answer holds makes it raise: a step that can't be done takes the script's backup, or ends the call, with the reason
among the call's decisions.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from beckon.core.errors import Refused
from beckon.core.timers import is_open, zone_of
from beckon.telephony import orders as order
from beckon.telephony import script as made
from beckon.telephony.acting import PROMPT_MS, Acting
from beckon.telephony.asking import Replied, Unanswered, begin_ask, follow, record_call, waited, while_asking
from beckon.telephony.call import (
    About,
    Answering,
    Asking,
    Call,
    Dialling,
    Ending,
    Leg,
    Speaking,
    Talking,
    Taping,
    Typing,
    become,
)
from beckon.telephony.connecting import (
    begin_dial,
    begin_transfer,
    rang_too_long,
    ringing,
    talk,
    talked_too_long,
)
from beckon.telephony.keying import begin_typing, key_or_prompt, too_late
from beckon.telephony.script import Script, Step
from beckon.telephony.switch import (
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegOffered,
    PlaybackEnded,
    RecordingEnded,
    SwitchDown,
    SwitchEvent,
    SwitchUp,
    Tone,
)

#: How long an outgoing call rings.
RING_MS = 30_000
_BEEP = Tone((800.0,), 250)


class Late(msgspec.Struct, frozen=True, tag="late"):
    """The call's deadline has passed."""


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """Somebody ends the call from outside: the server closes, an operator hangs up."""

    why: str


CallEvent = SwitchEvent | Replied | Unanswered | Late | Stopped


class Advance(msgspec.Struct, frozen=True):
    """What a call did: itself as it stands now, what is to be done, and when it goes on by itself (0: never)."""

    call: Call
    orders: tuple[order.Order, ...] = ()

    @property
    def deadline_ms(self) -> int:
        """When it goes on by itself; 0: it is over."""
        return self.call.deadline_ms


def begin(
    script: Script, offered: LegOffered, call_id: str, now_ms: int, *, workspace: str = "", about: About | None = None
) -> Advance:
    """Begin a call that came in, and take it as far as it goes."""
    about = about or About()
    leg = Leg(id=offered.leg, role="caller", number=offered.caller, state="offered", began_ms=now_ms)
    call = Call(
        id=call_id,
        workspace=workspace,
        script=script.name,
        version=script.version,
        caller=offered.caller,
        called=offered.called,
        session=offered.call_id,
        started_ms=now_ms,
        leg=offered.leg,
        legs=(leg,),
        pointer=script.steps[0].path if script.steps else "",
        about=about,
        locale=str(about.contact.get("locale") or "") or script.locale,
        ends_ms=now_ms + script.limits.duration_ms,
    )
    acting = Acting(script, call, now_ms)
    _walk(acting)
    return _done(acting)


def begin_out(
    script: Script,
    to: str,
    caller_id: str,
    call_id: str,
    now_ms: int,
    *,
    workspace: str = "",
    about: About | None = None,
) -> Advance:
    """Call somebody, and follow the script once they answer."""
    about = about or About()
    leg = f"{call_id}-l0"
    call = Call(
        id=call_id,
        workspace=workspace,
        script=script.name,
        version=script.version,
        direction="out",
        caller=caller_id,
        called=to,
        started_ms=now_ms,
        leg=leg,
        legs=(Leg(id=leg, role="caller", number=to, state="offered", began_ms=now_ms, shown=caller_id),),
        pointer=script.steps[0].path if script.steps else "",
        about=about,
        locale=str(about.contact.get("locale") or "") or script.locale,
        ends_ms=now_ms + script.limits.duration_ms,
        stage=Answering(until_ms=now_ms + RING_MS + 5_000),
    )
    ring = order.Dial(leg=leg, to=to, caller_id=caller_id, ring_s=RING_MS / 1_000)
    return Advance(call, (ring,))


def advance(script: Script, call: Call, event: CallEvent, now_ms: int) -> Advance:
    """Take a call as far as it goes on this event."""
    if call.status == "over":
        return Advance(call)
    acting = Acting(script, call, now_ms)
    try:
        _note(acting, event)
        if isinstance(event, Stopped):
            acting.decide("stopped", event.why)
            acting.end(acting.call.outcome or "failed", event.why)
        elif acting.call.status in ("ending", "over"):
            if isinstance(event, Late):
                _let_go(acting)
        elif isinstance(event, LegEnded) and event.leg == call.leg:
            _caller_left(acting, event)
        elif isinstance(event, Late):
            _late(acting)
        else:
            _on(acting, event)
        _walk(acting)
    except Refused as problem:
        acting.fail(problem.code, problem.why)
        _walk(acting)
    return _done(acting)


def _done(acting: Acting) -> Advance:
    return Advance(acting.call, tuple(acting.orders))


# What every event says of legs and recordings -------------------------------------------------------------------------


def _note(acting: Acting, event: CallEvent) -> None:
    if isinstance(event, LegAnswered):
        leg = acting.call.leg_of(event.leg)
        if leg is not None and leg.state != "ended" and not leg.answered_ms:
            acting.put_leg(msgspec.structs.replace(leg, state="up", answered_ms=event.at_ms))
            if event.leg == acting.call.leg and acting.call.status == "offered":
                acting.call = become(acting.call, "up")
    elif isinstance(event, LegEnded):
        leg = acting.call.leg_of(event.leg)
        if leg is not None and leg.state != "ended":
            ended = msgspec.structs.replace(leg, state="ended", ended_ms=event.at_ms, cause=event.cause, by=event.by)
            acting.put_leg(ended)
            acting.settle()
    elif isinstance(event, RecordingEnded):
        for recording in acting.call.recordings:
            if recording.id == event.recording and recording.open:
                closed = msgspec.structs.replace(
                    recording, open=False, path=event.path, seconds=event.seconds, why=event.why
                )
                acting.put_recording(closed)
        acting.settle()


def _caller_left(acting: Acting, event: LegEnded) -> None:
    call, stage = acting.call, acting.call.stage
    if isinstance(stage, Talking):
        acting.change(talked_ms=call.talked_ms + max(0, acting.now_ms - stage.since_ms))
    if event.by == "phone":
        why = "the caller hung up"
    else:
        why = event.why or f"the caller's leg ended: {event.cause}"
    outcome = call.outcome
    if isinstance(stage, Taping) and stage.recording:
        outcome = outcome or "voicemail"
    if not outcome and call.direction == "out" and (leg := call.leg_of(call.leg)) is not None and not leg.answered_ms:
        outcome, why = "unreached", event.why or event.cause.replace("_", " ")
    acting.decide("the call ended", why)
    acting.end(outcome or ("abandoned" if event.by == "phone" else "failed"), why)


def _let_go(acting: Acting) -> None:
    """The switch did not say that all is over: we go all the same."""
    acting.decide("did not wait longer", "the switch never said that everything has ended")
    acting.call = become(acting.call, "over")
    acting.change(stage=None)


# Steps ----------------------------------------------------------------------------------------------------------------


def _walk(acting: Acting) -> None:
    """Take step after step until the call waits for something."""
    while acting.call.stage is None and acting.call.status in ("offered", "up"):
        call = acting.call
        try:
            if call.following:
                follow(acting)
                continue
            step = acting.step
            if step is None:
                acting.decide("the script has ended")
                acting.end(call.outcome or "finished", "the script has ended", reject=480)
                return
            if call.transitions >= acting.script.limits.transitions:
                acting.decide("max_transition_count_exceeded", f"{call.transitions} steps are the most for one call")
                acting.end("failed", "max_transition_count_exceeded", reject=480)
                return
            acting.change(transitions=call.transitions + 1)
            _BEGIN[type(step)](acting, step)
        except Refused as problem:
            acting.fail(problem.code, problem.why)


def _speak(acting: Acting, step: made.Speak) -> None:
    prompts = acting.said(step.prompt)
    if acting.hears():
        acting.speak(prompts * step.times, barge_in=step.barge_in)


def _record(acting: Acting, step: made.Record) -> None:
    if step.what == "stop":
        record_call(acting, on=False)
        acting.go_on()
    elif acting.hears():
        if step.say:
            acting.speak(acting.said(step.say), barge_in=bool(step.refuse))
        else:
            record_call(acting, on=True)
            acting.go_on()


def _voicemail(acting: Acting, step: made.Voicemail) -> None:
    if not acting.hears():
        return
    prompts = acting.said(step.say) + ((_BEEP,) if step.beep else ())
    if prompts:
        playback = acting.play(prompts)
        acting.stand(Taping(until_ms=acting.now_ms + PROMPT_MS, playback=playback))
    else:
        acting.stand(Taping(until_ms=0))
        _tape(acting, step)


def _tape(acting: Acting, step: made.Voicemail) -> None:
    recording = acting.record("voicemail", acting.call.leg, box=step.box, max_s=step.longest_ms / 1_000)
    acting.change(outcome=acting.call.outcome or "voicemail", ahead="")
    acting.restage(playback="", recording=recording, until_ms=acting.now_ms + step.longest_ms + 5_000)


def _hours(acting: Acting, step: made.Hours) -> None:
    name = step.zone or acting.script.time_zone or acting.call.about.time_zone
    opened = is_open(acting.now_ms, step.week, zone_of(None, name))
    acting.decide("open" if opened else "closed", f"{step.week.source} ({name})", "open" if opened else "closed")
    acting.enter(step.open if opened else step.closed)


def _branch(acting: Acting, step: made.Branch) -> None:
    value = step.value.value(acting.scope())
    values = [_plain(one) for one in value] if isinstance(value, list | tuple) else [_plain(value)]
    ways = dict(step.ways)
    for one in values:
        if one in ways:
            acting.decide(one or "nothing", f"{step.value.source[:80]} is {one[:80]!r}", f"ways.{one}")
            acting.enter(ways[one])
            return
    acting.decide("otherwise", f"{step.value.source[:80]} is {', '.join(values)[:80] or 'nothing'}", "else")
    acting.enter(step.otherwise)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _jump(acting: Acting, step: made.Jump) -> None:
    acting.decide(f"goes to {step.to}", branch="next")
    acting.jump(step.to)


def _hang_up(acting: Acting, step: made.HangUp) -> None:
    if step.say and acting.call.status in ("offered", "up"):
        if acting.hears():
            acting.speak(acting.said(step.say), last=True)
        return
    _part(acting, step)


def _part(acting: Acting, step: made.HangUp) -> None:
    acting.decide("hung up", step.reason)
    reject = {"busy": 486, "declined": 603}.get(step.how, 480)
    acting.end(acting.call.outcome or "finished", step.reason or "the script hung up", reject=reject)


_BEGIN: dict[type[Step], Callable[[Acting, Any], None]] = {
    made.Speak: _speak,
    made.Gather: begin_typing,
    made.Menu: begin_typing,
    made.Authorise: begin_typing,
    made.Ask: begin_ask,
    made.Dial: begin_dial,
    made.Transfer: begin_transfer,
    made.Record: _record,
    made.Voicemail: _voicemail,
    made.Hours: _hours,
    made.Branch: _branch,
    made.Jump: _jump,
    made.HangUp: _hang_up,
}

# Events ---------------------------------------------------------------------------------------------------------------


def _on(acting: Acting, event: CallEvent) -> None:
    if isinstance(event, SwitchDown | SwitchUp):
        return
    stage = acting.call.stage
    if isinstance(stage, Answering):
        if isinstance(event, LegAnswered) and event.leg == acting.call.leg:
            _answered(acting)
        elif isinstance(event, KeyPressed) and event.leg == acting.call.leg:
            acting.remember_key(event.key)
    elif isinstance(stage, Speaking):
        _speaking(acting, stage, event)
    elif isinstance(stage, Taping):
        _taping(acting, stage, event)
    elif isinstance(stage, Asking):
        while_asking(acting, stage, event)  # type: ignore[arg-type]
    elif isinstance(event, Replied | Unanswered | Late | Stopped):
        return
    elif isinstance(stage, Typing):
        key_or_prompt(acting, stage, event)
    elif isinstance(stage, Dialling):
        ringing(acting, stage, event)
    elif isinstance(stage, Talking):
        talk(acting, stage, event)


def _answered(acting: Acting) -> None:
    """The caller hears us: the step that wanted it is done now."""
    acting.change(stage=None)
    if not acting.call.following and acting.call.transitions:
        acting.change(transitions=acting.call.transitions - 1)  # the same step, not a further one


def _speaking(acting: Acting, stage: Speaking, event: CallEvent) -> None:
    step = acting.step
    if isinstance(event, PlaybackEnded) and event.playback == stage.playback:
        if event.end == "leg_ended":
            return  # it was not heard to its end, and the leg's own end follows
        if event.end == "failed":
            acting.decide("a prompt was not heard", event.why)
        _spoken(acting, stage)
    elif isinstance(event, KeyPressed) and event.leg == acting.call.leg:
        if isinstance(step, made.Record) and event.key == step.refuse:
            acting.order(order.Stop(stage.playback))
            acting.decide("does not record", f"the caller pressed {event.key}", "next")
            acting.go_on()
            return
        acting.remember_key(event.key)
        if stage.barge_in and not isinstance(step, made.Record):
            acting.order(order.Stop(stage.playback))
            _spoken(acting, stage)


def _spoken(acting: Acting, stage: Speaking) -> None:
    step = acting.step
    if isinstance(step, made.HangUp) and stage.last:
        _part(acting, step)
    elif isinstance(step, made.Record) and not acting.call.following:
        record_call(acting, on=True)
        acting.go_on()
    else:
        acting.go_on()


def _taping(acting: Acting, stage: Taping, event: CallEvent) -> None:
    step = acting.step
    if not isinstance(step, made.Voicemail):
        return
    if isinstance(event, PlaybackEnded) and event.playback == stage.playback and stage.playback:
        if event.end != "leg_ended":
            _tape(acting, step)
    elif isinstance(event, KeyPressed) and event.leg == acting.call.leg and event.key == step.until and stage.recording:
        acting.order(order.StopRecording(stage.recording))
        _taped(acting, f"the caller pressed {event.key}")
    elif isinstance(event, RecordingEnded) and event.recording == stage.recording and stage.recording:
        _taped(acting, event.why or "it ended")


def _taped(acting: Acting, why: str) -> None:
    acting.decide("took a message", why, "next")
    acting.go_on()


def _late(acting: Acting) -> None:
    """The call's deadline has passed."""
    call, stage = acting.call, acting.call.stage
    if acting.now_ms < call.deadline_ms:
        return
    if acting.now_ms >= call.ends_ms:
        acting.decide("too long", f"a call lasts {acting.script.limits.duration_ms // 60_000} minutes at most")
        acting.end(call.outcome or "failed", "the call lasted too long", "too_long")
    elif isinstance(stage, Answering):
        acting.decide("gave up", "the phone never agreed that it is answered")
        acting.end("unreached" if call.direction == "out" else "failed", "not answered", "no_answer")
    elif isinstance(stage, Speaking):
        acting.order(order.Stop(stage.playback))
        acting.decide("went on", "the prompt never ended")
        _spoken(acting, stage)
    elif isinstance(stage, Typing):
        too_late(acting, stage)
    elif isinstance(stage, Asking):
        waited(acting, stage)
    elif isinstance(stage, Dialling):
        rang_too_long(acting, stage)
    elif isinstance(stage, Talking):
        talked_too_long(acting, stage)
    elif isinstance(stage, Taping):
        if stage.recording:
            acting.order(order.StopRecording(stage.recording))
        _taped(acting, "it was as long as it may be")
    else:
        assert not isinstance(stage, Ending)
