"""Lists: what the API reads from the tables: within one workspace, by key, a bounded number of rows at a time."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from beckon.core.contact import Contact
from beckon.core.delivery import Delivery
from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.doors.api.parts import Page
from beckon.flows.run import Run, decode_run
from beckon.inbox.conversation import Conversation
from beckon.inbox.reading import LOOK_MAX, beyond, marks, piece
from beckon.intake.journal import event_from
from beckon.store.changes import Row, Value
from beckon.store.database import Database, joined

_FIRST = (2**62, "~")

T = TypeVar("T")

_contact = msgspec.json.Decoder(Contact).decode
_delivery = msgspec.json.Decoder(Delivery).decode

_CONVERSATION = "contact, workspace, state, inbox, agent, unread, preview, changed_ms"
_RUN = "id, flow, version, key, contact, status, created_ms, changed_ms"
_EVENT = "position, workspace, source, id, type, subject, time_ms, accepted_ms, depth, data"


async def contact(reader: Database, workspace: str, id: str) -> Contact | None:
    """One contact."""
    rows = await reader.fetch("SELECT body FROM contacts WHERE id = ? AND workspace = ?", (id, workspace))
    return _contact(str(rows[0][0])) if rows else None


async def forgetting(reader: Database, workspace: str, contact: str) -> tuple[int, int] | None:
    """When a contact was to be forgotten, and when that was done (0: it is under way); None: nobody asked."""
    rows = await reader.fetch(
        "SELECT asked_ms, done_ms FROM forgettings WHERE contact = ? AND workspace = ?", (contact, workspace)
    )
    return (int(rows[0][0] or 0), int(rows[0][1] or 0)) if rows else None


async def owner_of(reader: Database, workspace: str, addresses: Iterable[tuple[str, str]]) -> str:
    """The contact that has the first of these addresses that anybody has; empty: nobody."""
    wanted = list(addresses)
    if not wanted:
        return ""
    columns = ("workspace", "channel", "external_id")
    asked = joined("addresses", "channel, external_id, contact", columns, [(workspace, *pair) for pair in wanted])
    found = {(str(row[0]), str(row[1])): str(row[2]) for rows in await reader.fetch_all(asked) for row in rows}
    return next((found[pair] for pair in wanted if pair in found), "")


async def contacts(reader: Database, workspace: str, *, name: str, after: str, limit: int) -> Page[Contact]:
    """Contacts, the newest first. ``name``: a piece of it, in any case."""
    # The concatenation keeps both databases on the primary key, in whose order the page is.
    window: list[Value] = [after or "con_" + "z" * 41, workspace]
    like = " WHERE lower(k.name) LIKE ? ESCAPE '!'" if name else ""
    rows = await reader.fetch(
        "SELECT k.id, k.name, k.body FROM (SELECT id, name, body FROM contacts WHERE id < ? AND workspace || '' = ?"
        f" ORDER BY id DESC LIMIT ?) k{like} ORDER BY k.id DESC LIMIT ?",
        [*window, LOOK_MAX if name else limit + 1, *([piece(name.lower())] if name else []), limit + 1],
    )  # fmt: skip
    items = [_contact(str(row[2])) for row in rows[:limit]]
    if len(rows) > limit:
        return Page(items, items[-1].id)
    if not name:
        return Page(items)
    last = await reader.fetch(
        "SELECT id FROM contacts WHERE id < ? AND workspace || '' = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
        [*window, LOOK_MAX - 1],
    )
    return Page(items, str(last[0][0]) if last else None)


async def names(reader: Database, workspace: str, ids: Sequence[str]) -> dict[str, str]:
    """The names of these contacts, by id."""
    if not ids:
        return {}
    rows = await reader.fetch(
        f"SELECT id, name FROM contacts WHERE workspace = ? AND id IN ({marks(len(ids))})", [workspace, *ids]
    )
    return {str(row[0]): str(row[1]) for row in rows}


async def conversations(
    reader: Database, workspace: str, *, equal: dict[str, str], unread: bool, after: str, limit: int
) -> Page[Conversation]:
    """Conversations, the one that changed last first."""
    rows, following = await _listed(
        reader,
        columns=_CONVERSATION,
        table="conversations",
        order=("changed_ms", "contact"),
        workspace=workspace,
        equal=equal,
        also="unread > 0" if unread else "",
        after=after,
        limit=limit,
    )
    return Page([conversation_of(row) for row in rows], following)


async def conversation(reader: Database, workspace: str, contact: str) -> Conversation:
    """The conversation with a contact who is known; where nothing was said yet, an empty one."""
    rows = await reader.fetch(
        f"SELECT {_CONVERSATION} FROM conversations WHERE contact = ? AND workspace = ?", (contact, workspace)
    )
    return conversation_of(rows[0]) if rows else Conversation(contact, workspace)


async def entries(reader: Database, workspace: str, contact: str, *, after: int, limit: int) -> list[Row]:
    """number, at_ms, kind, author, delivery, body of a conversation's entries, newest first; one more than asked."""
    return await reader.fetch(
        "SELECT number, at_ms, kind, author, delivery, body FROM entries"
        " WHERE contact = ? AND workspace = ? AND number < ? ORDER BY number DESC LIMIT ?",
        (contact, workspace, after or 2**62, limit + 1),
    )


async def runs(reader: Database, workspace: str, *, equal: dict[str, str], after: str, limit: int) -> Page[Row]:
    """id, flow, version, key, contact, status, created_ms, changed_ms of runs, the newest first."""
    rows, following = await _listed(
        reader,
        columns=_RUN,
        table="runs",
        order=("created_ms", "id"),
        workspace=workspace,
        equal=equal,
        after=after,
        limit=limit,
    )
    return Page(rows, following)


async def run(reader: Database, workspace: str, id: str) -> Run | None:
    """One run."""
    rows = await reader.fetch("SELECT body FROM runs WHERE id = ? AND workspace = ?", (id, workspace))
    return decode_run(str(rows[0][0])) if rows else None


async def deliveries(
    reader: Database, workspace: str, *, equal: dict[str, str], after: str, limit: int
) -> Page[Delivery]:
    """Deliveries, the newest first."""
    rows, following = await _listed(
        reader,
        columns="body, created_ms, id",
        table="deliveries",
        order=("created_ms", "id"),
        workspace=workspace,
        equal=equal,
        after=after,
        limit=limit,
    )
    return Page([_delivery(str(row[0])) for row in rows], following)


async def delivery(reader: Database, workspace: str, id: str) -> Delivery | None:
    """One delivery."""
    rows = await reader.fetch("SELECT body FROM deliveries WHERE id = ? AND workspace = ?", (id, workspace))
    return _delivery(str(rows[0][0])) if rows else None


async def events(
    reader: Database, workspace: str, *, equal: dict[str, str], after: int, limit: int, newest_first: bool
) -> Page[Event]:
    """The journal from a position on: a feed that is followed by asking for ``next`` again and again."""
    where = "".join(f" AND {column} = ?" for column in equal)
    if newest_first:
        window, order = "position < ? AND position >= ?", "DESC"
        top = after or await _end(reader) + 1
        bounds = (top, top - LOOK_MAX)
    else:
        window, order = "position > ? AND position <= ?", "ASC"
        bounds = (after, after + LOOK_MAX)
    rows = await reader.fetch(
        f"SELECT {_EVENT} FROM journal WHERE {window} AND workspace = ?{where} ORDER BY position {order} LIMIT ?",
        [*bounds, workspace, *equal.values(), limit + 1],
    )
    items = [event_from(row) for row in rows[:limit]]
    if len(rows) > limit:
        return Page(items, str(items[-1].position))
    if newest_first:
        return Page(items, str(bounds[1]) if bounds[1] > 1 else None)
    end = await _end(reader)
    if bounds[1] < end:  # there is more that was not looked at
        return Page(items, str(bounds[1]))
    # The feed goes on here when something new has come.
    return Page(items, str(items[-1].position if items else after))


async def event(reader: Database, workspace: str, position: int) -> Event | None:
    """One event of the journal."""
    rows = await reader.fetch(
        f"SELECT {_EVENT} FROM journal WHERE position = ? AND workspace = ?", (position, workspace)
    )
    return event_from(rows[0]) if rows else None


async def definitions(reader: Database, workspace: str, *, kind: str, after: str, limit: int) -> Page[Row]:
    """kind, name, version, origin, current, created_ms of the current definitions, by kind and name."""
    after_kind, _, after_name = after.partition(".")
    rows = await reader.fetch(
        "SELECT kind, name, version, origin, current, created_ms FROM definitions"
        " WHERE workspace = ? AND current = 1 AND (kind, name) > (?, ?)" + (" AND kind = ?" if kind else "")
        + " ORDER BY kind, name LIMIT ?",
        [workspace, after_kind, after_name, *([kind] if kind else []), limit + 1],
    )  # fmt: skip
    following = f"{rows[limit - 1][0]}.{rows[limit - 1][1]}" if len(rows) > limit else None
    return Page(rows[:limit], following)


async def definition(reader: Database, workspace: str, kind: str, name: str, version: str) -> Row | None:
    """kind, name, version, origin, current, created_ms, body of one version; no ``version``: the current one."""
    rows = await reader.fetch(
        "SELECT kind, name, version, origin, current, created_ms, body FROM definitions"
        " WHERE workspace = ? AND kind = ? AND name = ? AND " + ("version = ?" if version else "current = ?"),
        (workspace, kind, name, version or 1),
    )
    return rows[0] if rows else None


async def versions(reader: Database, workspace: str, kind: str, name: str, *, after: str, limit: int) -> Page[Row]:
    """kind, name, version, origin, current, created_ms of one definition's versions, the newest first."""
    before = read_key(after)
    rows = await reader.fetch(
        "SELECT kind, name, version, origin, current, created_ms FROM definitions"
        " WHERE workspace = ? AND kind = ? AND name = ? AND (created_ms, version) < (?, ?)"
        " ORDER BY created_ms DESC, version DESC LIMIT ?",
        (workspace, kind, name, *before, limit + 1),
    )
    following = f"{rows[limit - 1][5]}.{rows[limit - 1][2]}" if len(rows) > limit else None
    return Page(rows[:limit], following)


async def has_person(reader: Database, workspace: str, id: str) -> str | None:
    """The name of a person of the team; None: there is nobody of that id."""
    rows = await reader.fetch("SELECT name FROM people WHERE id = ? AND workspace = ?", (id, workspace))
    return str(rows[0][0]) if rows else None


def conversation_of(row: Row) -> Conversation:
    """A conversation from its row."""
    return Conversation(
        str(row[0]), str(row[1]), str(row[2]), str(row[3]), str(row[4]), int(row[5] or 0), str(row[6]), int(row[7] or 0)
    )


def read_key(after: str) -> tuple[int, str]:
    """A page's key: ``{milliseconds}.{id}``; empty asks for the first page. Raises ``Refused``."""
    if not after:
        return _FIRST
    at, _, id = after.partition(".")
    if not (at.isascii() and at.isdigit() and len(at) < 19 and id):
        raise Refused("cursor.malformed", "this is no page of this list: take after from a page's next", field="after")
    return int(at), id


async def _listed(
    reader: Database,
    *,
    columns: str,
    table: str,
    order: tuple[str, str],
    workspace: str,
    equal: dict[str, str],
    after: str,
    limit: int,
    also: str = "",
) -> tuple[list[Row], str | None]:
    """One page of a table in falling order of two columns, and the key of the next one."""
    before = read_key(after)
    at, id = order
    conditions = [f"{column} = ?" for column in equal] + ([also] if also else [])
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    rows = await reader.fetch(
        f"SELECT {columns}, {at}, {id} FROM (SELECT * FROM {table} WHERE workspace = ? AND ({at}, {id}) < (?, ?)"
        f" ORDER BY {at} DESC, {id} DESC LIMIT ?) w{where} ORDER BY {at} DESC, {id} DESC LIMIT ?",
        [workspace, *before, LOOK_MAX if conditions else limit + 1, *equal.values(), limit + 1],
    )
    if len(rows) > limit:
        return rows[:limit], f"{rows[limit - 1][-2]}.{rows[limit - 1][-1]}"
    if not conditions:
        return rows, None
    return rows, await beyond(reader, table, order, [workspace, *before]) or None


async def _end(reader: Database) -> int:
    rows = await reader.fetch("SELECT max(position) FROM journal")
    return int(rows[0][0] or 0)
