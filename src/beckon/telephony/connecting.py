"""Connecting: phones ring in turn or at once, the first that answers hears a hint, two people talk. Pure."""

import msgspec

from beckon.core.errors import Refused
from beckon.telephony import orders as order
from beckon.telephony import script as made
from beckon.telephony.acting import PROMPT_MS, Acting
from beckon.telephony.call import Dialling, Leg, Talking
from beckon.telephony.instructions import reachable
from beckon.telephony.script import Connecting
from beckon.telephony.switch import (
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegRinging,
    PlaybackEnded,
    Prompt,
    Silence,
    SwitchEvent,
    Tone,
)

#: What the caller hears meanwhile: the ringing tone of most of Europe.
RINGBACK = (Tone((425.0,), 1_000), Silence(4_000))
#: How long the callee may take to press the key that takes the call.
ACCEPT_MS = 10_000
#: How long the switch may be late with the end of a leg.
GRACE_MS = 5_000
#: Numbers that one step tries.
NUMBERS_MAX = 16


def begin_dial(acting: Acting, step: made.Dial) -> None:
    """Connect with the step's numbers."""
    found: list[str] = []
    for text in step.numbers:
        value = text.value(acting.scope())
        found += [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
    connect(acting, tuple(found), step.connecting, acting.said(step.connecting.hint))


def begin_transfer(acting: Acting, step: made.Transfer) -> None:
    """Connect with the caller's manager."""
    number = acting.call.about.managers.get(step.whom, "")
    if not number:
        acting.decide("not transferred", f"the caller has no {step.whom} manager", _branch(step, "otherwise"))
        acting.enter(step.otherwise)
        return
    connect(acting, (number,), step.connecting, acting.said(step.connecting.hint))


def connect(
    acting: Acting, numbers: tuple[str, ...], connecting: Connecting, hint: tuple[Prompt, ...], caller_id: str = ""
) -> None:
    """Let these numbers ring. ``caller_id``: what a reply wants to be shown."""
    usable: list[str] = []
    for number in numbers[:NUMBERS_MAX]:
        try:
            usable.append(reachable(number))
        except Refused as problem:
            acting.decide("passed over a number", problem.why)
    usable = list(dict.fromkeys(usable))
    if not usable:
        _nobody(acting, "not_found", "there is no number to dial")
        return
    shown = caller_id or (acting.text(connecting.caller_id) if connecting.caller_id is not None else "called")
    # The number that was called: neither of the two learns the other's.
    shown = {"called": acting.call.called, "caller": acting.call.caller}.get(shown, shown)
    if acting.call.is_up:
        acting.order(order.Hold(acting.call.leg, RINGBACK))
    else:
        acting.order(order.Ring(acting.call.leg))
    stage = Dialling(left=tuple(usable), out=(), until_ms=0, connecting=connecting, hint=hint, caller_id=shown)
    acting.stand(stage)
    _next(acting)


def ringing(acting: Acting, stage: Dialling, event: SwitchEvent) -> None:
    """Something happened while phones ring."""
    if isinstance(event, LegRinging) and event.leg in stage.out:
        leg = acting.call.leg_of(event.leg)
        if leg is not None and leg.state == "offered":
            acting.put_leg(msgspec.structs.replace(leg, state="ringing"))
    elif isinstance(event, LegAnswered) and event.leg in stage.out and not stage.won:
        _answered(acting, stage, event.leg)
    elif isinstance(event, LegAnswered) and event.leg in stage.out and event.leg != stage.won:
        acting.order(order.HangUp(event.leg, "cancelled"))  # two at once: the first has it
    elif isinstance(event, PlaybackEnded) and event.playback == stage.playback and stage.playback:
        _heard(acting, stage, event)
    elif isinstance(event, KeyPressed) and event.leg == stage.won and event.key == stage.connecting.accept:
        if stage.playback:
            acting.order(order.Stop(stage.playback))
        acting.decide("the callee took the call", f"pressed {event.key}")
        _join(acting, stage)
    elif isinstance(event, LegEnded) and event.leg in stage.out:
        _lost(acting, stage, event)


def rang_too_long(acting: Acting, stage: Dialling) -> None:
    """The switch never said that a phone did not answer, or nobody pressed the key."""
    for leg in stage.out:
        acting.order(order.HangUp(leg, "no_answer"))
    why = "the callee pressed no key" if stage.won else "it rang for as long as it may"
    acting.decide("gave up", why)
    acting.restage(out=(), won="", playback="", cause="no_answer")
    _next(acting)


def talk(acting: Acting, stage: Talking, event: SwitchEvent) -> None:
    """Something happened while two people talk."""
    if isinstance(event, LegEnded) and event.leg == stage.leg:
        talked_ms = max(0, acting.now_ms - stage.since_ms)
        acting.change(talked_ms=acting.call.talked_ms + talked_ms)
        who = "the callee hung up" if event.by == "phone" else event.why or event.cause
        acting.decide("the conversation ended", f"{who} after {talked_ms / 1_000:.1f} s", "next")
        acting.go_on()


def talked_too_long(acting: Acting, stage: Talking) -> None:
    """The two may talk no longer; their leg's end says the rest."""
    acting.order(order.HangUp(stage.leg, "too_long"))
    acting.restage(until_ms=acting.now_ms + GRACE_MS)


def _next(acting: Acting) -> None:
    """Let the next number ring, or all that are left; nobody, where none is."""
    stage = acting.call.stage
    assert isinstance(stage, Dialling)
    if not stage.left:
        cause = stage.cause
        if acting.call.is_up:
            acting.order(order.Resume(acting.call.leg))
        _nobody(acting, cause, f"the last was {cause.replace('_', ' ') or 'not reached'}")
        return
    now = stage.left if stage.connecting.at_once else stage.left[:1]
    out = []
    for number in now:
        leg = acting.fresh("l")
        acting.put_leg(
            Leg(id=leg, role="callee", number=number, state="offered", began_ms=acting.now_ms, shown=stage.caller_id)
        )
        acting.order(
            order.Dial(
                leg=leg,
                to=number,
                caller_id=stage.caller_id,
                ring_s=stage.connecting.ring_ms / 1_000,
                on_behalf_of=acting.call.leg,
            )
        )
        out.append(leg)
    acting.decide(f"dialled {', '.join(now)}", f"shows {stage.caller_id or 'no number'}")
    acting.restage(
        left=stage.left[len(now) :],
        out=tuple(out),
        won="",
        playback="",
        until_ms=acting.now_ms + stage.connecting.ring_ms + GRACE_MS,
    )


def _answered(acting: Acting, stage: Dialling, leg: str) -> None:
    for other in stage.out:
        if other != leg:
            acting.order(order.HangUp(other, "cancelled"))
    acting.restage(won=leg)
    if stage.hint:
        playback = acting.play(stage.hint, leg=leg, barge_in=bool(stage.connecting.accept))
        acting.restage(playback=playback, until_ms=acting.now_ms + PROMPT_MS)
        return
    current = acting.call.stage
    assert isinstance(current, Dialling)
    _join(acting, current)


def _heard(acting: Acting, stage: Dialling, event: PlaybackEnded) -> None:
    if event.end == "leg_ended":
        return  # its end says the rest
    if event.end == "failed":
        acting.decide("the hint was not heard", event.why)
    if stage.connecting.accept and event.end != "failed":
        acting.restage(playback="", until_ms=acting.now_ms + ACCEPT_MS)
        return
    _join(acting, stage)


def _lost(acting: Acting, stage: Dialling, event: LegEnded) -> None:
    """A phone that rang, or that heard the hint, is gone."""
    out = tuple(leg for leg in stage.out if leg != event.leg)
    if stage.won and event.leg != stage.won:
        acting.restage(out=out)
        return
    if event.cause != "cancelled":
        number = next((leg.number for leg in acting.call.legs if leg.id == event.leg), "")
        acting.decide(
            f"{number} was not reached", event.cause.replace("_", " ") + (f": {event.why}" if event.why else "")
        )
    won_was_lost = event.leg == stage.won
    acting.restage(out=out, won="" if won_was_lost else stage.won, playback="", cause=event.cause)
    if not out or won_was_lost:
        acting.restage(out=())
        _next(acting)


def _join(acting: Acting, stage: Dialling) -> None:
    """The two hear each other."""
    call = acting.call
    if call.is_up:
        acting.order(order.Resume(call.leg))
    else:
        acting.order(order.Answer(call.leg))
    bridge = acting.fresh("b")
    acting.order(order.Bridge(bridge, call.leg, stage.won))
    taped = any(one.open and one.what == "call" for one in call.recordings)
    recording = ""
    if stage.connecting.record and not taped:
        recording = acting.record("conversation", bridge)
    number = next((leg.number for leg in call.legs if leg.id == stage.won), "")
    acting.decide(f"connected with {number}", "recorded" if recording or taped else "")
    acting.change(ahead="", outcome="connected")
    acting.stand(
        Talking(
            leg=stage.won,
            since_ms=acting.now_ms,
            until_ms=acting.now_ms + stage.connecting.talk_ms,
            recording=recording,
        )
    )


def _nobody(acting: Acting, cause: str, why: str) -> None:
    """Nobody takes the call: the branch for that."""
    step = acting.step
    chosen, name = None, "next"
    if isinstance(step, made.Dial):
        for wanted, branch in (("busy", "on_busy"), ("no_answer", "on_no_answer")):
            if cause == wanted and getattr(step, branch) is not None:
                chosen, name = getattr(step, branch), branch
    if chosen is None and isinstance(step, made.Dial | made.Transfer | made.Ask) and step.otherwise is not None:
        chosen, name = step.otherwise, "otherwise"
    acting.decide("nobody took the call", why, name)
    acting.enter(chosen)


def _branch(step: made.Transfer, name: str) -> str:
    return name if step.otherwise is not None else "next"
