"""Keying: steps that take keys: gather, menu, authorise, and what a reply wants gathered. Pure."""

import hmac

from beckon.telephony import orders as order
from beckon.telephony import script as made
from beckon.telephony.acting import PROMPT_MS, Acting
from beckon.telephony.call import Typing
from beckon.telephony.instructions import Gather as Wanted
from beckon.telephony.switch import KeyPressed, PlaybackEnded, Prompt, SwitchEvent


def begin_typing(acting: Acting, step: made.Typed) -> None:
    """Say what is wanted, and take keys."""
    if acting.hears():
        _try(acting, step, 1)


def begin_wanted(acting: Acting, wanted: Wanted) -> None:
    """Take the keys that a reply wants."""
    stage = Typing(
        until=wanted.until,
        keys_max=wanted.keys_max,
        keys_min=wanted.keys_min,
        between_ms=round(wanted.between_s * 1_000),
        within_ms=round(wanted.within_s * 1_000),
    )
    _listen(acting, stage, tuple(wanted.prompts))


def key_or_prompt(acting: Acting, stage: Typing, event: SwitchEvent) -> None:
    """A key came, or the prompt ended."""
    if isinstance(event, PlaybackEnded) and event.playback == stage.playback:
        if event.end == "failed":
            acting.decide("a prompt was not heard", event.why)
        _await_keys(acting, stage)
    elif isinstance(event, KeyPressed) and event.leg == acting.call.leg:
        if stage.playback and not stage.barge_in:
            return
        if stage.playback:
            acting.order(order.Stop(stage.playback))
            _await_keys(acting, stage)
        _take(acting, event.key)


def too_late(acting: Acting, stage: Typing) -> None:
    """No key came in time, or the prompt never ended."""
    _judge(acting, stage, "no key came in time")


def _try(acting: Acting, step: made.Typed, tried: int) -> None:
    prompt = step.again if tried > 1 and step.again else step.say
    stage = Typing(
        until=step.until,
        keys_max=_keys_max(step),
        keys_min=step.keys_min if isinstance(step, made.Gather) else 1,
        between_ms=step.between_ms,
        within_ms=step.within_ms,
        tried=tried,
        barge_in=step.barge_in,
    )
    _listen(acting, stage, acting.said(prompt))


def _keys_max(step: made.Typed) -> int:
    if isinstance(step, made.Menu):
        return max(len(key) for key, _steps in step.ways)
    assert isinstance(step, made.Gather | made.Authorise)
    return step.keys_max or 32


def _listen(acting: Acting, stage: Typing, prompts: tuple[Prompt, ...]) -> None:
    """Play the prompt, unless keys that came before have made it needless."""
    ahead = acting.call.ahead.lstrip(stage.until) if stage.until and stage.barge_in else acting.call.ahead
    acting.change(ahead="")
    acting.stand(stage)
    if ahead and stage.barge_in:
        _await_keys(acting, stage)
        for number, key in enumerate(ahead):
            current = acting.call.stage
            if not isinstance(current, Typing) or current.tried != stage.tried:
                acting.change(ahead=ahead[number:])
                return
            _take(acting, key)
    elif prompts:
        playback = acting.play(prompts, barge_in=stage.barge_in)
        acting.restage(playback=playback, until_ms=acting.now_ms + PROMPT_MS)
    else:
        _await_keys(acting, stage)


def _await_keys(acting: Acting, stage: Typing) -> None:
    over_ms = acting.now_ms + stage.within_ms
    acting.restage(playback="", over_ms=over_ms, until_ms=over_ms)


def _take(acting: Acting, key: str) -> None:
    stage = acting.call.stage
    assert isinstance(stage, Typing)
    if key == stage.until:
        _judge(acting, stage, "")
        return
    keys = stage.keys + key
    acting.restage(keys=keys, until_ms=min(stage.over_ms, acting.now_ms + stage.between_ms))
    stage = acting.call.stage
    assert isinstance(stage, Typing)
    step = acting.step
    if isinstance(step, made.Menu) and not acting.call.following:
        longer = any(way != keys and way.startswith(keys) for way, _steps in step.ways)
        if not longer:
            _judge(acting, stage, "")
    elif len(keys) >= stage.keys_max:
        _judge(acting, stage, "")


def _judge(acting: Acting, stage: Typing, why: str) -> None:
    """The keys of one try are there."""
    if stage.playback:
        acting.order(order.Stop(stage.playback))
    step = acting.step
    if acting.call.following:
        _judge_wanted(acting, stage, why)
    elif isinstance(step, made.Menu):
        chosen = dict(step.ways).get(stage.keys)
        if chosen is not None:
            acting.change(digits=stage.keys)
            acting.decide(f"chose {stage.keys}", branch=f"menu.{stage.keys}")
            acting.enter(chosen)
        else:
            wrong = f"{stage.keys} is none of the keys" if stage.keys else why or "no key was pressed"
            _again(acting, step, stage, wrong, step.on_nothing)
    elif isinstance(step, made.Authorise):
        _judge_code(acting, step, stage, why)
    elif isinstance(step, made.Gather):
        if len(stage.keys) >= step.keys_min:
            acting.change(digits=stage.keys, kept={**acting.call.kept, step.keep: stage.keys})
            acting.decide(f"took {stage.keys}", why and "no further key came", "next")
            acting.go_on()
        else:
            short = (
                f"{len(stage.keys)} keys are fewer than {step.keys_min}" if stage.keys else why or "nothing was typed"
            )
            _again(acting, step, stage, short, step.on_nothing)


def _judge_wanted(acting: Acting, stage: Typing, why: str) -> None:
    """The keys that a reply asked for: whoever asked is told, also that there are none."""
    enough = len(stage.keys) >= stage.keys_min
    acting.change(digits=stage.keys if enough else "", following=False, queue=(), stage=None)
    acting.decide(f"took {stage.keys}" if enough else "took nothing", "" if enough else why or "too few keys")


def _judge_code(acting: Acting, step: made.Authorise, stage: Typing, why: str) -> None:
    codes = [acting.call.about.codes.get(name, "") for name in step.secrets]
    right = [code for code in codes if code and hmac.compare_digest(code.encode(), stage.keys.encode())]
    if right:
        acting.decide("authorised", "the access code is right", "next")
        acting.go_on()
        return
    if not any(codes):
        wrong = "no access code is set up"
    else:
        wrong = "the access code is wrong" if stage.keys else why or "nothing was typed"
    if step.on_refused is None and stage.tried >= step.tries:
        acting.decide("refused", wrong)
        acting.end("failed", f"not authorised: {wrong}")
        return
    _again(acting, step, stage, wrong, step.on_refused)


def _again(acting: Acting, step: made.Typed, stage: Typing, why: str, branch: made.Steps | None) -> None:
    if stage.tried < step.tries:
        acting.decide(f"try {stage.tried} of {step.tries} failed", why)
        acting.change(ahead="")
        _try(acting, step, stage.tried + 1)
        return
    name = "on_refused" if isinstance(step, made.Authorise) else "on_nothing"
    acting.decide(
        "gave up", f"{step.tries} tries: {why}" if step.tries > 1 else why, name if branch is not None else "next"
    )
    acting.change(digits="")
    acting.enter(branch)
