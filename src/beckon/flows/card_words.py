"""Card words: what stands on a step's card in the diagram, in words for people who don't read YAML."""

import re
from collections.abc import Callable

from beckon.core.timers import say_duration
from beckon.flows import steps as made
from beckon.flows.conditions import Condition, Constant, Expression, names_in

_VALUE = re.compile(r"\{\{-?\s*([\w.-]+)[^}]*\}\}")


def card_words(step: made.Step) -> tuple[str, bool, list[str]]:
    """A step's title, whether that is code, and its details."""
    title, mono, details = _SAID[type(step)](step)
    if step.name:
        return step.name, False, [title, *details] if title and not mono else details
    return title, mono, details


def _say(expression: Expression | Condition | None, empty: str = "") -> str:
    """An expression for people: a constant as it is, one path as a path, text with ‹names› where values go."""
    if expression is None:
        return empty
    if isinstance(expression, Constant):
        listed = expression.constant
        return ", ".join(map(str, listed)) if isinstance(listed, list) else expression.words
    source = " ".join(expression.source.split())
    if source.startswith("{{") and source.endswith("}}") and source.count("{{") == 1:
        return source[2:-2].strip()
    return _VALUE.sub(lambda found: f"‹{found[1].rpartition('.')[2]}›", source) or "…"


def _human(name: str) -> str:
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def _say_send(step: made.Send) -> tuple[str, bool, list[str]]:
    title = _human(_say(step.template)) if step.template is not None else f"“{_say(step.text)}”"
    details = []
    if step.via != ("best",):
        details.append("via " + ", then ".join(step.via))
    if step.purpose == "marketing":
        details.append("only with consent to marketing")
    if step.fallback_after_ms:
        details.append(f"next channel after {say_duration(step.fallback_after_ms)}")
    if step.at is not None:
        details.append(step.at.source)
    return title, False, details or ["on the best channel"]


def _say_wait_for(step: made.WaitFor) -> tuple[str, bool, list[str]]:
    match = ", ".join(f"same {name.rpartition('.')[2]}" for name, _expression in step.match) or "same contact"
    details = [match]
    if step.timeout_ms:
        details = [f"{match} · at most {say_duration(step.timeout_ms)}"]
    elif step.open is not None:
        details = [f"{match} · until {step.open.source}"]
    if step.where is not None:
        details.append(f"where {step.where.source}")
    return " or ".join(step.types), False, details


def _say_wait(step: made.Wait) -> tuple[str, bool, list[str]]:
    if step.until is None:
        details = [f"counted in open hours: {step.hours.source}"] if step.hours is not None else []
        return say_duration(step.for_ms), False, details
    shift = ""
    if step.shift_ms:
        shift = f"{say_duration(abs(step.shift_ms))} {'after' if step.shift_ms > 0 else 'before'} "
    title = f"until {shift}{_say(step.until)}"
    return title, False, [f"open hours: {step.hours.source}"] if step.hours is not None else []


def _say_http(step: made.Http) -> tuple[str, bool, list[str]]:
    details = [f"secret {step.secret}"] if step.secret else []
    if step.save:
        details.append(f"kept as {step.save}")
    return f"{step.method} {_say(step.url)}", True, details


def _say_post(step: made.Post) -> tuple[str, bool, list[str]]:
    words = {"results": "Results", "status": "A status", "note": "A note", "error": "An error"}[step.entry]
    body = _say(step.body) if step.body.source != "…" else ""
    return f"{words} into the conversation", False, [body] if body else []


def _say_assign(step: made.Assign) -> tuple[str, bool, list[str]]:
    return " · ".join(_say(part) for part in (step.inbox, step.agent) if part is not None), False, []


def _say_call(step: made.Call) -> tuple[str, bool, list[str]]:
    return step.act, False, [f"kept as {step.save}"] if step.save else []


def _say_answer(step: made.Answer) -> tuple[str, bool, list[str]]:
    names = names_in(step.body)
    return "Whoever asked", False, [f"with {', '.join(names)}"] if names else []


def _say_set(step: made.Set) -> tuple[str, bool, list[str]]:
    pairs = [f"{name} = {_say(expression)}" for name, expression in step.values]
    return pairs[0], True, pairs[1:]


_SAID: dict[type[made.Step], Callable[..., tuple[str, bool, list[str]]]] = {
    made.Send: _say_send,
    made.WaitFor: _say_wait_for,
    made.Wait: _say_wait,
    made.If: lambda step: (step.condition.source, True, []),
    made.Choose: lambda step: (f"one of {len(step.cases) + bool(step.otherwise)} ways", False, []),
    made.ForEach: lambda step: (_say(step.items), False, [f"at most {step.items_max}"] if step.items_max else []),
    made.Note: lambda step: (f"“{_say(step.text)}”", False, []),
    made.Post: _say_post,
    made.Notify: lambda step: (_say(step.inbox), False, [_say(step.text)] if step.text is not None else []),
    made.Assign: _say_assign,
    made.Call: _say_call,
    made.Http: _say_http,
    made.Emit: lambda step: (step.event_type, False, []),
    made.Answer: _say_answer,
    made.Find: lambda step: (step.collection, False, [f"by {_say(step.key)}", f"kept as {step.save}"]),
    made.Set: _say_set,
    made.Stop: lambda step: (_human(_say(step.reason)) or "Ends here", False, []),
}


def branch_label(step: made.Step, branch: str) -> str:
    if branch == "on_timeout" and isinstance(step, made.WaitFor):
        return f"not within {say_duration(step.timeout_ms)}" if step.open is None else f"open {step.open.source}"
    if isinstance(step, made.Choose) and branch.startswith("choose."):
        case = step.cases[int(branch.split(".")[1])]
        return case.name or case.when.source
    if isinstance(step, made.Choose):
        return "otherwise"
    return {
        "then": "yes",
        "else": "no",
        "on_error": "failed",
        "on_undeliverable": "undeliverable",
        "on_missing": "none",
    }[branch]
