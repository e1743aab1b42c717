"""Making steps: from fields that have been read to the step; what fields must have to do with each other."""

from collections.abc import Callable
from typing import Any

from beckon.core.errors import Refused
from beckon.core.timers import parse_week
from beckon.flows import steps as made
from beckon.flows.conditions import Expression
from beckon.flows.forms import WORD

Pairs = tuple[tuple[str, Expression], ...]


def make_step(kind: str, read: dict[str, Any], common: dict[str, Any], purpose: str) -> made.Step:
    """Make a step. Raises ``Refused`` where its fields contradict each other.

    ``read``: its fields; ``common``: path, line and name; ``purpose``: the flow's, for messages that don't say theirs.
    """
    if kind == "send":
        read.setdefault("purpose", purpose)
    return _MAKERS[kind](read, common)


def _pairs(value: Pairs | Expression | None) -> tuple[Pairs, Expression | None]:
    if value is None or isinstance(value, tuple):
        return value or (), None
    return (), value


def _send(read: dict[str, Any], common: dict[str, Any]) -> made.Step:
    if ("template" in read) == ("text" in read):
        raise Refused("flow.form", "send: takes a template's name or a text, and not both.")
    if "timeout" in read and "on_undeliverable" not in read:
        raise Refused("flow.form", "timeout goes with on_undeliverable: only then does the run wait.")
    variables, whole = _pairs(read.get("with"))
    return made.Send(
        **common,
        template=read.get("template"),
        text=read.get("text"),
        to=read.get("to"),
        via=read.get("via", ("best",)),
        variables=variables,
        variables_from=whole,
        purpose=read["purpose"],
        locale=read.get("locale"),
        fallback_after_ms=read.get("fallback_after", 0),
        at=read.get("at"),
        on_undeliverable=read.get("on_undeliverable"),
        timeout_ms=read.get("timeout", 0),
    )


def _wait_for(read: dict[str, Any], common: dict[str, Any]) -> made.Step:
    match, where = read.get("match", ()), read.get("where")
    if not isinstance(match, tuple):  # a condition instead of names: same contact, and this
        if where is not None:
            raise Refused("flow.form", "match: is a condition already; put both into one.")
        match, where = (), match
    if "until_open" in read and "timeout" in read:
        raise Refused("flow.form", "wait_for: takes timeout or until_open, not both.")
    if "on_timeout" in read and not ("timeout" in read or "until_open" in read):
        raise Refused("flow.form", "on_timeout goes with timeout or until_open.")
    return made.WaitFor(
        **common,
        types=read["types"],
        match=match,
        where=where,
        timeout_ms=read.get("timeout", 0),
        open=parse_week(read["until_open"]) if "until_open" in read else None,
        save=read.get("save", ""),
        on_timeout=read.get("on_timeout"),
    )


def _call(read: dict[str, Any], common: dict[str, Any]) -> made.Step:
    arguments, whole = _pairs(read.get("with"))
    _awaits(read)
    return made.Call(
        **common,
        act=read["act"],
        arguments=arguments,
        arguments_from=whole,
        save=read.get("save", ""),
        timeout_ms=read.get("timeout", 0),
        awaited=read.get("await", True),
        on_error=read.get("on_error"),
    )


def _http(read: dict[str, Any], common: dict[str, Any]) -> made.Step:
    headers, whole = _pairs(read.get("headers"))
    if whole is not None:
        raise Refused("flow.form", "headers: is an object of names and texts.")
    _awaits(read)
    return made.Http(
        **common,
        method=read.get("method", "POST" if "body" in read else "GET"),
        url=read["url"],
        headers=headers,
        body=read.get("body"),
        secret=read.get("secret", ""),
        timeout_ms=read.get("timeout", 10_000),
        attempts_max=read.get("attempts", 5),
        save=read.get("save", ""),
        awaited=read.get("await", True),
        on_error=read.get("on_error"),
    )


def _awaits(read: dict[str, Any]) -> None:
    if read.get("await", True) is False and ("save" in read or "on_error" in read):
        raise Refused("flow.form", "await: false leaves nothing to save, and no error to answer.")


def _assign(read: dict[str, Any], common: dict[str, Any]) -> made.Step:
    if "inbox" not in read and "agent" not in read:
        raise Refused("flow.form", "assign: takes an inbox, an agent, or both.")
    return made.Assign(**common, inbox=read.get("inbox"), agent=read.get("agent"))


def _set(read: dict[str, Any], common: dict[str, Any]) -> made.Step:
    values, whole = _pairs(read["values"])
    if whole is not None or not values:
        raise Refused("flow.form", "set: is an object of names and values.")
    for name, _value in values:
        if not WORD.fullmatch(name):
            raise Refused(
                "flow.name", f"{name[:60]!r} is no name; it is written with lower-case letters, digits and _."
            )
    return made.Set(**common, values=values)


def _for_each(read: dict[str, Any], common: dict[str, Any]) -> made.Step:
    return made.ForEach(
        **common, items=read["items"], item_name=read.get("as", "item"), items_max=read.get("max", 0), do=read["do"]
    )


_MAKERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], made.Step]] = {
    "send": _send,
    "wait_for": _wait_for,
    "wait": lambda read, common: made.Wait(**common, **read["wait"]),
    "if": lambda read, common: made.If(
        **common, condition=read["condition"], then=read["then"], otherwise=read.get("else", ())
    ),
    "choose": lambda read, common: made.Choose(**common, cases=read["cases"], otherwise=read.get("else", ())),
    "for_each": _for_each,
    "note": lambda read, common: made.Note(**common, text=read["text"]),
    "post": lambda read, common: made.Post(**common, entry=read["entry"][0], body=read["entry"][1]),
    "notify": lambda read, common: made.Notify(**common, inbox=read["inbox"], text=read.get("text")),
    "assign": _assign,
    "call": _call,
    "http": _http,
    "emit": lambda read, common: made.Emit(**common, event_type=read["type"], body=read.get("data")),
    "answer": lambda read, common: made.Answer(**common, body=read["body"]),
    "find": lambda read, common: made.Find(**common, **read),
    "set": _set,
    "stop": lambda read, common: made.Stop(**common, reason=read.get("reason")),
}
