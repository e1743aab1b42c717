"""Reading for the pages that only the team has: runs, deliveries, the event log, definitions."""

from collections.abc import Sequence

import msgspec

from beckon.core.delivery import Delivery
from beckon.core.event import Event
from beckon.inbox.reading import (
    LOOK_MAX,
    PAGE,
    Page,
    Reader,
    RunLine,
    beyond,
    escaped,
    read_key,
    run_line,
    whole,
    write_key,
)
from beckon.intake.journal import event_from
from beckon.store.changes import Row, Value

#: Positions of the journal that one filtered question looks at.
EVENTS_LOOK_MAX = 20_000
VERSIONS_MAX = 20
#: Conversations that the number beside the menu's entry looks at.
BADGE_LOOK_MAX = 1_000
AGENTS_MAX = 200
DEFINITIONS_MAX = 500
APPROVALS_MAX = 1_000
TROUBLE = ("doubtful", "undeliverable", "failed", "retrying")
UNDER_WAY = ("queued", "scheduled", "sending", "sent")

#: the order of runs and deliveries.
_NEWEST = ("created_ms", "id")

_delivery = msgspec.json.Decoder(Delivery)


class ListedDelivery(msgspec.Struct, frozen=True):
    """A delivery in a list."""

    delivery: Delivery
    channel: str
    provider: str


class Definition(msgspec.Struct, frozen=True):
    """One version of a flow, a template, a mapping or a schema, without its text."""

    kind: str
    name: str
    version: str
    origin: str
    current: bool
    created_ms: int


class Approval(msgspec.Struct, frozen=True):
    """What a provider said last about a template in a language."""

    provider: str
    template: str
    language: str
    state: str
    changed_ms: int


async def runs(reader: Reader, workspace: str, *, status: str = "", flow: str = "", after: str = "") -> Page[RunLine]:
    """Runs, the newest first."""
    before_ms, before_id = read_key(after)
    wanted = {"w.status": status, "w.flow": flow}
    where, values = _equal(wanted)
    window: list[Value] = [workspace, before_ms, before_id]
    rows = await reader.fetch(
        "SELECT w.id, w.flow, w.version, w.key, w.contact, w.status, w.created_ms, w.changed_ms FROM"
        " (SELECT id, flow, version, key, contact, status, created_ms, changed_ms FROM runs"
        "  WHERE workspace = ? AND (created_ms, id) < (?, ?) ORDER BY created_ms DESC, id DESC LIMIT ?) w"
        f"{where} ORDER BY w.created_ms DESC, w.id DESC LIMIT ?",
        [*window, LOOK_MAX if where else PAGE + 1, *values, PAGE + 1],
    )
    items = tuple(map(run_line, rows[:PAGE]))
    if len(rows) > PAGE:
        return Page(items, write_key(items[-1].created_ms, items[-1].id))
    return Page(items, await beyond(reader, "runs", _NEWEST, window) if where else "")


async def run_row(reader: Reader, workspace: str, id: str) -> tuple[RunLine, str] | None:
    """A run with its body as it is stored."""
    rows = await reader.fetch(
        "SELECT id, flow, version, key, contact, status, created_ms, changed_ms, body FROM runs"
        " WHERE id = ? AND workspace = ?",
        (id, workspace),
    )
    return (run_line(rows[0]), str(rows[0][8])) if rows else None


async def deliveries(
    reader: Reader, workspace: str, *, states: Sequence[str] = (), channel: str = "", after: str = ""
) -> Page[ListedDelivery]:
    """Deliveries, the newest first."""
    before_ms, before_id = read_key(after)
    window: list[Value] = [workspace, before_ms, before_id]
    said: list[str] = []
    values: list[Value] = []
    if states:
        said.append(f"w.state IN ({', '.join('?' * len(states))})")
        values += states
    if channel:
        said.append("w.channel = ?")
        values.append(channel)
    where = " WHERE " + " AND ".join(said) if said else ""
    rows = await reader.fetch(
        "SELECT d.body, d.channel, d.provider FROM"
        " (SELECT id, state, channel, created_ms FROM deliveries"
        "  WHERE workspace = ? AND (created_ms, id) < (?, ?) ORDER BY created_ms DESC, id DESC LIMIT ?) w"
        f" JOIN deliveries d ON d.id = w.id{where} ORDER BY w.created_ms DESC, w.id DESC LIMIT ?",
        [*window, LOOK_MAX if where else PAGE + 1, *values, PAGE + 1],
    )
    items = tuple(ListedDelivery(_delivery.decode(str(row[0])), str(row[1]), str(row[2])) for row in rows[:PAGE])
    if len(rows) > PAGE:
        last = items[-1].delivery
        return Page(items, write_key(last.created_ms, last.id))
    return Page(items, await beyond(reader, "deliveries", _NEWEST, window) if where else "")


async def delivery_states(reader: Reader, workspace: str) -> dict[str, int]:
    """How many of the newest ``LOOK_MAX`` deliveries are in which state."""
    rows = await reader.fetch(
        "SELECT state, count(*) FROM (SELECT state FROM deliveries WHERE workspace = ?"
        " ORDER BY created_ms DESC LIMIT ?) w GROUP BY state",
        (workspace, LOOK_MAX),
    )
    return {str(row[0]): _int(row[1]) for row in rows}


async def delivery(reader: Reader, workspace: str, id: str) -> Delivery | None:
    """One delivery."""
    rows = await reader.fetch("SELECT body FROM deliveries WHERE id = ? AND workspace = ?", (id, workspace))
    return _delivery.decode(str(rows[0][0])) if rows else None


async def events(reader: Reader, workspace: str, *, type: str = "", source: str = "", after: str = "") -> Page[Event]:
    """The journal, the newest first. A type or source that ends in ``*`` asks for all that begin like it."""
    if whole(after):
        top = int(after)
    else:
        newest = await reader.fetch("SELECT max(position) FROM journal")
        top = _int(newest[0][0]) + 1 if newest else 1
    bottom = max(0, top - EVENTS_LOOK_MAX)
    said, values = "", list[Value]()
    for column, wanted in (("type", type), ("source", source)):
        if wanted.endswith("*"):
            said += f" AND {column} LIKE ? ESCAPE '!'"
            values.append(escaped(wanted[:-1]) + "%")
        elif wanted:
            said += f" AND {column} = ?"
            values.append(wanted)
    rows = await reader.fetch(
        "SELECT position, workspace, source, id, type, subject, time_ms, accepted_ms, depth, data FROM journal"
        f" WHERE position < ? AND position >= ? AND workspace = ?{said} ORDER BY position DESC LIMIT ?",
        [top, bottom, workspace, *values, PAGE + 1],
    )
    items = tuple(map(event_from, rows[:PAGE]))
    if len(rows) > PAGE:
        return Page(items, str(items[-1].position))
    return Page(items, str(bottom) if bottom > 0 else "")


async def event(reader: Reader, workspace: str, position: int) -> Event | None:
    """One event of the journal."""
    rows = await reader.fetch(
        "SELECT position, workspace, source, id, type, subject, time_ms, accepted_ms, depth, data FROM journal"
        " WHERE position = ? AND workspace = ?",
        (position, workspace),
    )
    return event_from(rows[0]) if rows else None


async def definitions(reader: Reader, workspace: str, kind: str) -> tuple[Definition, ...]:
    """The current definitions of a kind, by name."""
    rows = await reader.fetch(
        "SELECT kind, name, version, origin, current, created_ms FROM definitions"
        " WHERE workspace = ? AND kind = ? AND current = 1 ORDER BY name LIMIT ?",
        (workspace, kind, DEFINITIONS_MAX),
    )
    return tuple(map(_definition, rows))


async def versions(reader: Reader, workspace: str, kind: str, name: str) -> tuple[Definition, ...]:
    """The versions of one definition, the newest first."""
    rows = await reader.fetch(
        "SELECT kind, name, version, origin, current, created_ms FROM definitions"
        " WHERE workspace = ? AND kind = ? AND name = ? ORDER BY created_ms DESC LIMIT ?",
        (workspace, kind, name, VERSIONS_MAX),
    )
    return tuple(map(_definition, rows))


async def definition_text(reader: Reader, workspace: str, kind: str, name: str, version: str) -> str | None:
    """The text of one version."""
    rows = await reader.fetch(
        "SELECT body FROM definitions WHERE workspace = ? AND kind = ? AND name = ? AND version = ?",
        (workspace, kind, name, version),
    )
    return str(rows[0][0]) if rows else None


async def approvals(reader: Reader, workspace: str) -> tuple[Approval, ...]:
    """What the providers said last about every template."""
    rows = await reader.fetch(
        "SELECT provider, template, language, state, changed_ms FROM approvals WHERE workspace = ?"
        " ORDER BY template, language LIMIT ?",
        (workspace, APPROVALS_MAX),
    )
    return tuple(Approval(str(row[0]), str(row[1]), str(row[2]), str(row[3]), _int(row[4])) for row in rows)


async def unread(reader: Reader, workspace: str) -> int:
    """How many of the newest ``BADGE_LOOK_MAX`` conversations wait for somebody to look."""
    rows = await reader.fetch(
        "SELECT count(*) FROM (SELECT unread FROM conversations WHERE workspace = ?"
        " ORDER BY changed_ms DESC LIMIT ?) w WHERE unread > 0",
        (workspace, BADGE_LOOK_MAX),
    )
    return _int(rows[0][0])


async def agents(reader: Reader, workspace: str) -> tuple[tuple[str, str], ...]:
    """The people of the team, (id, name)."""
    rows = await reader.fetch(
        "SELECT id, name FROM people WHERE workspace = ? ORDER BY name LIMIT ?", (workspace, AGENTS_MAX)
    )
    return tuple((str(row[0]), str(row[1])) for row in rows)


def _equal(wanted: dict[str, str]) -> tuple[str, list[Value]]:
    given = {column: value for column, value in wanted.items() if value}
    where = " AND ".join(f"{column} = ?" for column in given)
    return (f" WHERE {where}" if where else ""), list(given.values())


def _definition(row: Row) -> Definition:
    return Definition(str(row[0]), str(row[1]), str(row[2]), str(row[3]), row[4] == 1, _int(row[5]))


def _int(value: Value) -> int:
    return int(value or 0)
