"""Script words: what stands on a step's card in the drawing of a call script, for people who don't read YAML."""

import re
from collections.abc import Callable

from beckon.core.liquid_text import Text
from beckon.core.timers import say_duration
from beckon.telephony import script as made

_VALUE = re.compile(r"\{\{-?\s*([\w.-]+)[^}]*\}\}")


def card_words(step: made.Step) -> tuple[str, bool, list[str]]:
    """A step's title, whether that is code, and its details."""
    title, mono, details = _SAID[type(step)](step)
    if step.name:
        return _human(step.name), False, [title, *details]
    return title, mono, details


def way_label(step: made.Step, branch: str) -> str:
    """What stands on the line into a branch; ``next``: straight on."""
    head, _dot, rest = branch.partition(".")
    if head in ("menu", "codes", "ways"):
        return {"menu": f"key {rest}", "codes": f"code {rest}", "ways": rest or "empty"}[head]
    if branch == "next":
        return {"ask": "answered", "dial": "talked", "transfer": "talked", "authorise": "right code"}.get(
            step.kind, "done"
        )
    return {
        "on_nothing": "nothing usable",
        "on_refused": "refused",
        "on_busy": "busy",
        "on_no_answer": "no answer",
        "otherwise": "not reached",
        "backup": "no usable answer",
        "open": "open",
        "closed": "closed",
        "else": "otherwise",
    }[branch]


def _say(text: Text | None) -> str:
    if text is None:
        return ""
    source = " ".join(text.source.split())
    return _VALUE.sub(lambda found: f"‹{found[1].rpartition('.')[2]}›", source)


def _quoted(prompt: made.Prompt) -> str:
    parts = [words.file or f"“{_say(words.texts[0][1])}”" for words in prompt]
    return " ".join(parts)


def _human(name: str) -> str:
    return name[:1].upper() + name[1:]


def _speak(step: made.Speak) -> tuple[str, bool, list[str]]:
    return _quoted(step.prompt), False, [f"{step.times} times"] if step.times > 1 else []


def _typed(step: made.Typed) -> list[str]:
    details = [_quoted(step.say)] if step.say else []
    if step.tries > 1:
        details.append(f"{step.tries} tries of {say_duration(step.within_ms)}")
    return details


def _gather(step: made.Gather) -> tuple[str, bool, list[str]]:
    most = f"up to {step.keys_max} keys" if step.keys_max else "keys"
    end = f", ended by {step.until}" if step.until else ""
    return _human(step.keep.replace("_", " ")), False, [f"{most}{end}", *_typed(step)]


def _ask(step: made.Ask) -> tuple[str, bool, list[str]]:
    url = step.url.source
    where = "our flows" if url == "flow" else f"{step.method} {_say(step.url)}"
    return where, url != "flow", [f"within {say_duration(step.timeout_ms)}"]


def _connecting(connecting: made.Connecting) -> list[str]:
    details = []
    if connecting.hint:
        details.append(f"hint: {_quoted(connecting.hint)}")
    if connecting.record:
        details.append("recorded")
    return details


def _dial(step: made.Dial) -> tuple[str, bool, list[str]]:
    numbers = ", ".join(_say(number) for number in step.numbers)
    how = ["all at once"] if step.connecting.at_once and len(step.numbers) > 1 else []
    return numbers, False, [*how, *_connecting(step.connecting)]


_SAID: dict[type[made.Step], Callable[..., tuple[str, bool, list[str]]]] = {
    made.Speak: _speak,
    made.Gather: _gather,
    made.Menu: lambda step: (f"one of {len(step.ways)} keys", False, _typed(step)),
    made.Authorise: lambda step: ("Access code", False, _typed(step)),
    made.Ask: _ask,
    made.Dial: _dial,
    made.Transfer: lambda step: (f"The {step.whom} manager", False, _connecting(step.connecting)),
    made.Record: lambda step: (
        ("The call", False, [_quoted(step.say)] if step.say else [])
        if step.what == "call"
        else ("No longer", False, [])
    ),
    made.Voicemail: lambda step: (f"For {step.box}", False, [_quoted(step.say)] if step.say else []),
    made.Hours: lambda step: (step.week.source, False, [step.zone] if step.zone else []),
    made.Branch: lambda step: (_say(step.value), False, []),
    made.Jump: lambda step: (_human(step.to), False, []),
    made.HangUp: lambda step: (_human(step.reason) or "Goodbye", False, [_quoted(step.say)] if step.say else []),
}
