"""The journey's part in a turn: a call's row from its first ring to its end, and its entry in the contact's thread."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from beckon.core.contact import Contact
from beckon.core.event import Event
from beckon.inbox.entries import Entry
from beckon.journeys.call_processing.entry import call_entry
from beckon.journeys.call_processing.kept import (
    COMMENTS_MAX,
    LISTENED_MAX,
    TOPIC,
    Comment,
    Kept,
    Listened,
    Mark,
    decode,
    encode,
    topic_of,
)
from beckon.journeys.call_processing.upkeep import unlinked
from beckon.journeys.part import Turn
from beckon.store.changes import Row
from beckon.store.database import Database, within
from beckon.store.tables import CALLS, RECORDINGS
from beckon.telephony.call import CallRecord
from beckon.workspaces import Library

NAME = "call_processing"
_DAY_MS = 86_400_000
#: Later than any clock: kept for ever.
FOR_EVER_MS = 9_000_000_000_000_000

_Act = Callable[["CallsPart", Turn, Library, Event, dict[str, Any]], None]


class _Known(msgspec.Struct):
    """A call's row as this turn knows it."""

    workspace: str
    contact: str
    kept: Kept
    changed: bool = False


class CallsPart:
    """Keeps calls, and puts them into conversations."""

    name = NAME
    timers: frozenset[str] = frozenset()
    big_timers: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.types = frozenset(_ACTS)

    async def open(self, database: Database) -> None:
        """Nothing is remembered from turn to turn."""

    async def load(self, turn: Turn, events: Sequence[Event], timers: Sequence[Row]) -> None:
        """The rows of the calls that these events are about."""
        room: dict[str, _Known] = turn.rooms.setdefault(NAME, {})
        wanted = {call for event in events if (call := _call_of(event)) and call not in room}
        if not wanted:
            return
        sql = "SELECT id, workspace, contact, body FROM calls WHERE id IN ({keys})"
        for rows in await turn.database.look_up(within(sql, sorted(wanted))):
            for id_, workspace, contact, body in rows:
                room[str(id_)] = _Known(str(workspace), str(contact), decode(str(body)))

    def take(self, turn: Turn, library: Library, event: Event) -> None:
        """One event about a call."""
        fields = event.data if type(event.data) is dict else {}
        _ACTS[event.type](self, turn, library, event, fields)

    def fire(self, turn: Turn, due_ms: int, kind: str, subject: str) -> None:
        """There are no timers."""

    def write(self, turn: Turn) -> None:
        """The changed rows."""
        for id_, known in turn.rooms[NAME].items():
            if known.changed:
                record = known.kept.record
                turn.changes.upsert(
                    CALLS,
                    (
                        id_, known.workspace, known.contact, record.script, record.direction, record.outcome,
                        record.started_ms, record.ended_ms, encode(known.kept).decode(),
                    ),
                )  # fmt: skip

    async def erase(self, turn: Turn, library: Library, contact: Contact, most: int) -> int:
        """Calls, recordings and their files; of one that is under way stays whose it is, so that its end is known."""
        room: dict[str, _Known] = turn.rooms.setdefault(NAME, {})
        recordings, over, under_way = await turn.database.fetch_all(
            (
                ("SELECT id, path FROM recordings WHERE contact = ? ORDER BY id LIMIT ?", (contact.id, most)),
                ("SELECT id FROM calls WHERE contact = ? AND ended_ms > 0 LIMIT ?", (contact.id, most)),
                (
                    "SELECT id, body FROM calls WHERE contact = ? AND ended_ms = 0 AND script <> '' LIMIT ?",
                    (contact.id, most),
                ),
            )
        )
        gone = await asyncio.to_thread(unlinked, [(str(id_), Path(str(path))) for id_, path in recordings])
        for recording in gone:
            turn.changes.delete(RECORDINGS, (recording,))
        for (id_,) in over:
            room.pop(str(id_), None)
            turn.changes.delete(CALLS, (id_,))
        for id_, body in under_way:
            record = decode(str(body)).record
            bare = CallRecord(
                id=record.id, workspace=record.workspace, script="", version="", direction=record.direction,
                caller="", called="", started_ms=record.started_ms, outcome="", ended_ms=0,
            )  # fmt: skip
            room[str(id_)] = _Known(library.workspace, contact.id, Kept(record=bare), True)
        turn.topics.add((library.workspace, "journey:calls"))
        return len(gone) + len(over) + len(under_way)

    def remember(self, turn: Turn) -> None:
        """Nothing is remembered from turn to turn."""

    def forget(self) -> None:
        """Nothing is remembered from turn to turn."""

    # Acts -------------------------------------------------------------------------------------------------------------

    def started(self, turn: Turn, library: Library, event: Event, fields: dict[str, Any]) -> None:
        """It rings."""
        contact = turn.contact(event)
        if contact is not None and contact.forgotten_ms:
            return
        if event.workspace and _call_of(event) not in turn.rooms[NAME]:
            delivery = fields.get("delivery")
            kept = Kept(record=_record(fields), delivery=delivery if type(delivery) is str else "")
            self._put(turn, event.workspace, contact, kept)

    def finished(self, turn: Turn, library: Library, event: Event, fields: dict[str, Any]) -> None:
        """It is over."""
        record = _record(fields)
        known: _Known | None = turn.rooms[NAME].get(record.id)
        if known is not None and (known.kept.record.outcome or known.workspace != event.workspace):
            return  # told before: a server that was killed tells of it once more
        contact = turn.contact(event)
        if contact is not None and contact.forgotten_ms:
            self._over(turn, event.workspace, contact, record)
            return
        kept = msgspec.structs.replace(known.kept, record=record) if known is not None else Kept(record=record)
        self._put(turn, event.workspace, contact, kept)
        days = library.settings.telephony.recordings_days
        keep_until_ms = record.ended_ms + days * _DAY_MS if days else FOR_EVER_MS
        for recording in record.recordings:
            if recording.path:
                row = (recording.id, event.workspace, record.id, contact.id if contact else "", keep_until_ms)
                turn.changes.upsert(RECORDINGS, (*row, recording.path))
        if contact is not None:
            entry: Entry = call_entry(event.workspace, contact.id, record)
            turn.post(entry, contact)

    def _over(self, turn: Turn, workspace: str, contact: Contact, record: CallRecord) -> None:
        """A call is over with somebody who was forgotten meanwhile: nothing of it is kept."""
        turn.rooms[NAME].pop(record.id, None)
        turn.changes.delete(CALLS, (record.id,))
        for recording in record.recordings:
            if recording.path:
                row = (recording.id, workspace, record.id, contact.id, 0, recording.path)
                turn.changes.upsert(RECORDINGS, row)

    def commented(self, turn: Turn, library: Library, event: Event, fields: dict[str, Any]) -> None:
        """Words about a moment."""
        comment = Comment(
            event.id, str(fields.get("recording")), int(fields.get("moment_ms") or 0), str(fields.get("text")),
            str(fields.get("by")), event.time_ms,
        )  # fmt: skip
        self._change(turn, event, lambda kept: {"comments": (*kept.comments, comment)[-COMMENTS_MAX:]})

    def marked(self, turn: Turn, library: Library, event: Event, fields: dict[str, Any]) -> None:
        """How good it was."""
        mark = Mark(str(fields.get("mark")), str(fields.get("word", "")), str(fields.get("by")), event.time_ms)
        self._change(turn, event, lambda kept: {"mark": mark})

    def listened(self, turn: Turn, library: Library, event: Event, fields: dict[str, Any]) -> None:
        """Somebody listened."""
        one = Listened(str(fields.get("recording")), str(fields.get("by")), event.time_ms)
        self._change(turn, event, lambda kept: {"listened": (*kept.listened, one)[-LISTENED_MAX:]})

    def forgotten(self, turn: Turn, library: Library, event: Event, fields: dict[str, Any]) -> None:
        """A contact's calls are forgotten: rows, entries, what the journal says of them; the files go with the next
        round. What flows have kept of their questions goes with the contact only.
        """
        contact = turn.contact(event)
        if contact is None:
            return
        mine = (contact.id, event.workspace)
        for told in ("id", "id || '-started'"):
            turn.changes.execute(
                "UPDATE journal SET data = '{\"forgotten\":true}' WHERE workspace = ? AND source = 'beckon/calls'"
                f" AND id IN (SELECT {told} FROM calls WHERE contact = ? AND workspace = ?)",
                (event.workspace, *mine),
            )
        turn.changes.execute("DELETE FROM calls WHERE contact = ? AND workspace = ?", mine)
        turn.changes.execute("DELETE FROM entries WHERE contact = ? AND workspace = ? AND kind = 'call'", mine)
        turn.changes.execute("UPDATE recordings SET keep_until_ms = 0 WHERE contact = ? AND workspace = ?", mine)
        for known in turn.rooms[NAME].values():
            known.changed = known.changed and known.contact != contact.id
        turn.topics.add((event.workspace, TOPIC))
        turn.topics.add((event.workspace, f"conversation:{contact.id}"))

    def _put(self, turn: Turn, workspace: str, contact: Contact | None, kept: Kept) -> None:
        turn.rooms[NAME][kept.record.id] = _Known(workspace, contact.id if contact else "", kept, True)
        turn.topics |= {(workspace, TOPIC), (workspace, topic_of(kept.record.id))}

    def _change(self, turn: Turn, event: Event, changed: Callable[[Kept], dict[str, Any]]) -> None:
        known: _Known | None = turn.rooms[NAME].get(_call_of(event))
        if known is None or known.workspace != event.workspace:
            return
        if known.contact:
            turn.mention(known.contact, event)
        known.kept = msgspec.structs.replace(known.kept, **changed(known.kept))
        known.changed = True
        turn.topics |= {(event.workspace, TOPIC), (event.workspace, topic_of(known.kept.record.id))}


_ACTS: dict[str, _Act] = {
    "call.started": CallsPart.started,
    "call.finished": CallsPart.finished,
    "call.commented": CallsPart.commented,
    "call.marked": CallsPart.marked,
    "call.listened": CallsPart.listened,
    "call.forgotten": CallsPart.forgotten,
}


def _call_of(event: Event) -> str:
    fields = event.data if type(event.data) is dict else {}
    id_ = fields.get("call") or fields.get("id")
    return id_ if type(id_) is str else ""


def _record(fields: dict[str, Any]) -> CallRecord:
    """The record in an event's data; whom it is about stands in its row."""
    given = {**fields, "contact": ""}
    return msgspec.convert({"version": "", "outcome": "", "ended_ms": 0, **given}, CallRecord)
