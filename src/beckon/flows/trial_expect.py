"""What a trial expects, compared with what was asked for: one line for each command, and the two lists side by side."""

from typing import Any

import msgspec

from beckon.core import command as core
from beckon.core.aligned import aligned
from beckon.core.measures import closest
from beckon.core.timers import parse_duration, say_duration
from beckon.flows.trial_world import Asked, World

#: Expectations about the world at the end, rather than about a command.
_AT_THE_END = ("waits", "ends", "runs")

#: What each command may be compared by, beside its own word.
_FIELDS: dict[str, tuple[str, ...]] = {
    "send": ("text", "to", "via", "with", "purpose", "locale", "at"),
    "post": (),
    "note": (),
    "notify": ("text",),
    "assign": ("agent",),
    "call": ("with",),
    "http": ("method", "headers", "body", "secret"),
    "emit": ("data",),
    "answer": (),
    "error": (),
}


def compare(world: World, expected: list[Any], watched: list[Any] | None) -> list[str]:
    """Lines beginning with a blank, ``-`` or ``+``. Raises ``ValueError`` when an expectation makes no sense."""
    asked = [asked for asked in world.asked if watched is None or _kind(asked.command) in watched]
    wanted = [item for item in expected if not _is_at_the_end(item)]
    for item in wanted:
        _check_form(item)
    lines: list[str] = []
    pairs = aligned(wanted, asked, lambda item, found: _fits(item, found, world))
    for item, found in pairs:
        if item is not None and found is not None:
            lines.append(f"  {_say(found, world)}")
        elif item is not None:
            lines.append(f"- {_say_wanted(item)}")
        elif found is not None:
            lines.append(f"+ {_say(found, world)}")
    lines = _explained(lines, pairs, world)
    for item in expected:
        if _is_at_the_end(item):
            lines += _at_the_end(world, item)
    return lines


def _explained(lines: list[str], pairs: list[tuple[Any, Asked | None]], world: World) -> list[str]:
    """Where something of the same kind was expected and came otherwise, say in what it differs."""
    explained = []
    for number, line in enumerate(lines):
        explained.append(line)
        item, found = pairs[number]
        before = pairs[number - 1] if number else (None, None)
        if found is not None and item is None and before[0] is not None and before[1] is None:
            for name, want, got in _differences(before[0], found, world):
                explained.append(f"? {name}: expected {_short(want)}, got {_short(got)}")
    return explained


def _check_form(item: Any) -> None:
    if not isinstance(item, dict):
        raise ValueError("What is expected is an object such as {send: checkin_invite}.")
    kinds = [key for key in item if key in _FIELDS]
    if len(kinds) != 1:
        known = ", ".join([*_FIELDS, *_AT_THE_END])
        raise ValueError(f"What is expected is one of {known}; here stands {', '.join(map(str, item))[:80]}.")
    allowed = (*_FIELDS[kinds[0]], kinds[0], "after")
    for key in item:
        if key not in allowed:
            raise ValueError(f"{kinds[0]}: is not compared by {key[:40]!r}{closest(key, allowed)}")


def _fits(item: dict[str, Any], found: Asked, world: World) -> bool:
    return not _differences(item, found, world)


def _differences(item: dict[str, Any], found: Asked, world: World) -> list[tuple[str, Any, Any]]:
    kind = next(key for key in item if key in _FIELDS)
    got = _facts(found.command)
    if kind not in got:
        return [("what", kind, _kind(found.command))]
    differences: list[tuple[str, Any, Any]] = []
    for name, want in item.items():
        if name == "after":
            gone = found.at_ms - world.started_ms
            if parse_duration(str(want)) != gone:
                differences.append((name, want, say_duration(gone)))
        elif not _same(want, got.get(name), name == kind):
            differences.append((name, want, got.get(name)))
    return differences


def _same(want: Any, got: Any, loose: bool = False) -> bool:
    """Whether what came holds what was wanted; objects may hold more."""
    if want is True and loose:
        return True  # {send: true}: any message
    if isinstance(want, dict) and isinstance(got, dict):
        return all(name in got and _same(value, got[name]) for name, value in want.items())
    if isinstance(want, list) and isinstance(got, (list, tuple)):
        return len(want) == len(got) and all(_same(a, b) for a, b in zip(want, got, strict=True))
    if isinstance(want, str) and isinstance(got, str):
        return want.strip() == got.strip()
    if isinstance(want, bool) or isinstance(got, bool):
        return want is got
    return bool(want == got)


def _kind(command: core.AnyCommand) -> str:
    if isinstance(command, core.Post):
        return command.kind if command.kind in ("note", "error") else "post"
    return type(command).__name__.lower()


def _facts(command: core.AnyCommand) -> dict[str, Any]:
    """A command as a trial sees it: its word, and what it may be compared by."""
    if isinstance(command, core.Send):
        return {
            "send": command.template or "text",
            "text": command.text,
            "to": command.to,
            "via": command.via[0] if len(command.via) == 1 else list(command.via),
            "with": command.variables,
            "purpose": command.purpose,
            "locale": command.locale,
        }
    if isinstance(command, core.Post):
        if command.kind == "error":
            return {"error": command.body.get("code") if isinstance(command.body, dict) else command.body}
        posted: dict[str, Any] = {"post": {command.kind: command.body}}
        return {**posted, "note": command.body} if command.kind == "note" else posted
    if isinstance(command, core.Notify):
        return {"notify": command.inbox, "text": command.text}
    if isinstance(command, core.Assign):
        return {"assign": command.inbox, "agent": command.agent}
    if isinstance(command, core.Call):
        return {"call": command.act, "with": command.arguments}
    if isinstance(command, core.Http):
        names = ("method", "headers", "body", "secret")
        return {"http": command.url, **{name: getattr(command, name) for name in names}}
    if isinstance(command, core.Answer):
        return {"answer": command.body}
    if isinstance(command, core.Find):  # done within the turn: nobody is asked for it
        return {"find": command.collection}
    return {"emit": command.type, "data": command.data}


def _say(found: Asked, world: World) -> str:
    facts = {name: value for name, value in _facts(found.command).items() if value not in ("", None, {}, [], "best")}
    if facts.get("purpose") == "transactional":
        del facts["purpose"]
    when = say_duration(found.at_ms - world.started_ms) if found.at_ms > world.started_ms else "at once"
    return f"{_line(facts)}   ({when})"


def _say_wanted(item: dict[str, Any]) -> str:
    return _line(item)


def _line(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {_short(value)}" for name, value in facts.items())


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:117] + "…"


def _is_at_the_end(item: Any) -> bool:
    return isinstance(item, dict) and len(item) == 1 and next(iter(item)) in _AT_THE_END


def _at_the_end(world: World, item: dict[str, Any]) -> list[str]:
    """How the runs stand at the end: what they wait for, how they ended, how many there are."""
    [(kind, want)] = item.items()
    runs = list(world.runs.values())
    if kind == "runs":
        got: list[str] = [str(len(runs))]
    elif kind == "waits":
        got = sorted({awaited.type for run in runs for wait in run.waiting for awaited in wait.keys})
        got += ["time"] if any(wait.deadline_ms and not wait.keys for run in runs for wait in run.waiting) else []
    else:
        got = sorted({word for run in runs for word in (run.status, run.ended) if word and word != "waiting"})
    if str(want) in got or (want is False and not got):
        return [f"  {kind}: {want}"]
    return [f"- {kind}: {want}", f"+ {kind}: {', '.join(got) or 'nothing'}"]
