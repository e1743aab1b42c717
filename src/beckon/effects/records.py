"""Records: an integrator's rows are put and removed, and runs find them by key, many in one query."""

from typing import Any

import msgspec

from beckon.batch import Batch
from beckon.core.contact import Contact
from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.core.records import read_record, record_key
from beckon.store.database import joined
from beckon.store.tables import RECORDS
from beckon.workspaces import Library

#: Rows in one event.
ROWS_MAX = 500

_encode = msgspec.json.Encoder().encode


def put(batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None) -> None:
    """Rows of one collection: ``{collection, rows: [[key, body], …]}``; what no door takes is left out."""
    collection = str(fields.get("collection"))
    rows = fields.get("rows")
    for row in rows[:ROWS_MAX] if isinstance(rows, list) else ():
        try:
            record = read_record(str(row[0]), row[1])
        except (Refused, LookupError, TypeError):
            continue
        body = {**record.body, "key": record.key}
        batch.changes.upsert(RECORDS, (event.workspace, collection, record.key, batch.now_ms, _encode(body).decode()))
        batch.records[event.workspace, collection, record.key] = body


def remove(batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None) -> None:
    """One row, gone."""
    row = (event.workspace, str(fields.get("collection")), record_key(str(fields.get("key"))))
    batch.changes.delete(RECORDS, row)
    batch.records[row] = None


async def load(batch: Batch, wanted: set[tuple[str, str, str]]) -> None:
    """Have these records at hand, (workspace, collection, key): one query for all that this turn has not seen yet."""
    missing = [row for row in sorted(wanted) if row not in batch.records]
    for row in missing:
        batch.records[row] = None
    columns = ("workspace", "collection", "key")
    for rows in await batch.database.look_up(joined("records", "workspace, collection, key, body", columns, missing)):
        for workspace, collection, key, body in rows:
            batch.records[str(workspace), str(collection), str(key)] = msgspec.json.decode(str(body))
