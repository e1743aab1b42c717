"""``/v1/records``: an integrator's own rows (courier cards, orders) in collections: put one by one, or as CSV."""

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from beckon.core.clock import iso
from beckon.core.errors import Refused, Unavailable
from beckon.core.event import Event
from beckon.core.ids import derived, fresh
from beckon.core.records import COLLECTION, FIELDS_MAX, Record, read_record, record_key
from beckon.doors.api.acts import SOURCE, say
from beckon.doors.api.paging import Limit
from beckon.doors.api.parts import CSV_MEDIA, Ask, Operation, Page
from beckon.doors.api.shapes import Instant
from beckon.store.changes import Row

#: Lines of one upload, rows of one event, and lines of which one answer tells what is wrong.
LINES_MAX = 10_000
_CHUNK_ROWS = 500
_PROBLEMS_MAX = 100


class RecordsQuery(msgspec.Struct, frozen=True):
    """Which page of a collection."""

    after: Annotated[str, Meta(max_length=200, description="`next` of the page before")] = ""
    limit: Limit = 50


class UploadQuery(msgspec.Struct, frozen=True):
    """How an upload is read."""

    #: the column that holds the keys; empty: the first.
    key: Annotated[str, Meta(max_length=100)] = ""


class RecordShown(msgspec.Struct, frozen=True):
    """One row of a collection."""

    collection: str
    key: str
    changed: Instant
    body: dict[str, Any]


class LineProblem(msgspec.Struct, frozen=True):
    """A line that was not taken, counted from 1 as editors do, and why."""

    line: int
    code: str
    why: str


class RecordsTaken(msgspec.Struct, frozen=True):
    """What an upload came to: lines that were taken, lines that were not, and what is wrong with the first of these."""

    taken: int
    refused: int
    problems: list[LineProblem]


async def list_records(ask: Ask[RecordsQuery, None]) -> Page[RecordShown]:
    """A collection, in order of key."""
    rows = await ask.parts.reader.fetch(
        "SELECT collection, key, changed_ms, body FROM records WHERE workspace = ? AND collection = ? AND key > ?"
        " ORDER BY key LIMIT ?",
        (ask.workspace, _collection(ask), ask.query.after, ask.query.limit + 1),
    )
    items = [_shown(row) for row in rows[: ask.query.limit]]
    return Page(items, items[-1].key if len(rows) > ask.query.limit else None)


async def read_one(ask: Ask[None, None]) -> RecordShown:
    """One record."""
    rows = await ask.parts.reader.fetch(
        "SELECT collection, key, changed_ms, body FROM records WHERE workspace = ? AND collection = ? AND key = ?",
        (ask.workspace, _collection(ask), record_key(ask.path["key"])),
    )
    if not rows:
        raise Refused("record.not_found", "there is no such record")
    return _shown(rows[0])


async def put_one(ask: Ask[None, dict[str, Any]]) -> RecordShown:
    """Put a record in place of what was there."""
    record = read_record(ask.path["key"], ask.body)
    await say(ask, "record.put", None, {"collection": _collection(ask), "rows": [[record.key, record.body]]})
    return await read_one(ask)  # type: ignore[arg-type]


async def remove_one(ask: Ask[None, None]) -> RecordShown:
    """Remove a record; the answer shows what it was."""
    shown = await read_one(ask)
    await say(ask, "record.removed", None, {"collection": shown.collection, "key": shown.key})
    return shown


async def upload_csv(ask: Ask[UploadQuery, str]) -> RecordsTaken:
    """Put many: each line that can be used is taken, and each that can't is told of."""
    collection = _collection(ask)
    records: list[Record] = []
    problems: list[LineProblem] = []
    refused = 0
    for line, made in _lines(ask.body, ask.query.key):
        if isinstance(made, Record):
            records.append(made)
            continue
        refused += 1
        if len(problems) < _PROBLEMS_MAX:
            problems.append(LineProblem(line, made.code, made.why))
    now_ms = ask.parts.clock.now_ms()
    chunks = [records[start : start + _CHUNK_ROWS] for start in range(0, len(records), _CHUNK_ROWS)]
    events = [
        Event(
            workspace=ask.workspace,
            source=SOURCE,
            id=derived("api", ask.workspace, ask.operation, collection, ask.once, str(number))
            if ask.once
            else fresh("api"),
            type="record.put",
            time_ms=now_ms,
            data={
                "collection": collection,
                "rows": [[record.key, record.body] for record in chunk],
                "by": f"api/{ask.key.label}",
            },
        )
        for number, chunk in enumerate(chunks)
    ]
    if events:
        try:
            await ask.parts.settle(events)
        except TimeoutError as error:  # pragma: no cover - as in ``say``
            raise Unavailable("api.slow", "it was asked for, but not done in time", retry_after_s=5) from error
    return RecordsTaken(len(records), refused, problems)


def _lines(text: str, key: str) -> Iterator[tuple[int, Record | Refused]]:
    """Each line of a CSV file as a record, or what is wrong with it. Raises ``Refused`` for the file as a whole."""
    dialect = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=dialect, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if not names or "" in names or len(set(names)) != len(names) or len(names) > FIELDS_MAX:
            why = f"the first line names 1 to {FIELDS_MAX} columns, each once"
            raise Refused("record.columns", why)
        if key and key not in names:
            raise Refused("record.columns", f"there is no column {key[:60]!r}", field="key")
        at = names.index(key) if key else 0
        for count, cells in enumerate(reader):
            if count >= LINES_MAX:
                raise Refused("record.lines", f"an upload has at most {LINES_MAX} lines")
            if not any(cell.strip() for cell in cells):
                continue
            yield reader.line_num, _record(names, cells, at)
    except csv.Error as error:
        raise Refused("record.csv", f"line {reader.line_num}: this is no CSV: {error}") from error


def _record(names: list[str], cells: list[str], at: int) -> Record | Refused:
    if len(cells) != len(names):
        return Refused("record.cells", f"the line has {len(cells)} cells, the first line names {len(names)} columns")
    try:
        return read_record(cells[at], dict(zip(names, (cell.strip() for cell in cells), strict=True)))
    except Refused as problem:
        return problem


def _collection(ask: Ask[Any, Any]) -> str:
    name = ask.path["collection"]
    if not COLLECTION.fullmatch(name):  # pragma: no cover - the path's pattern says the same
        raise Refused("record.collection", "a collection's name has letters, digits, -, _ and .")
    return name


def _shown(row: Row) -> RecordShown:
    return RecordShown(str(row[0]), str(row[1]), iso(int(row[2] or 0)), msgspec.json.decode(str(row[3])))


_ALL = "/v1/records/{collection}"
_ONE = "/v1/records/{collection}/{key}"

OPERATIONS = (
    Operation(
        method="GET",
        path=_ALL,
        name="list_records",
        tag="Records",
        summary="List a collection's records, in order of key",
        scope="read",
        act=list_records,
        query=RecordsQuery,
        answer=Page[RecordShown],
    ),
    Operation(
        method="POST",
        path=_ALL,
        name="upload_records",
        tag="Records",
        summary="Put many records as CSV: the first line names the columns",
        words="Separated by commas or semicolons, UTF-8. Each line that can be used is taken, in place of the record "
        "that had its key; the answer tells of each that can't.",
        scope="write",
        act=upload_csv,
        query=UploadQuery,
        body=str,
        body_media=CSV_MEDIA,
        answer=RecordsTaken,
    ),
    Operation(
        method="GET",
        path=_ONE,
        name="read_record",
        tag="Records",
        summary="One record",
        scope="read",
        act=read_one,
        answer=RecordShown,
    ),
    Operation(
        method="PUT",
        path=_ONE,
        name="put_record",
        tag="Records",
        summary="Put a record; a flow's `find` sees it at once",
        words="Keys that look like phone numbers are compared by their digits: `+32 470 00 00 01` and `32470000001` "
        "are one.",
        scope="write",
        act=put_one,
        body=dict[str, Any],
        answer=RecordShown,
    ),
    Operation(
        method="DELETE",
        path=_ONE,
        name="remove_record",
        tag="Records",
        summary="Remove a record",
        scope="write",
        act=remove_one,
        answer=RecordShown,
    ),
)
