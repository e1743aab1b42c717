"""Changes: what one batch wants written, gathered row by row and executed as a few statements of many rows.

A statement of many rows is one call into the database: it costs one round trip on PostgreSQL, and on SQLite it runs
to its end without the interpreter's lock, on the other core.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from beckon.store.tables import Table

Value = str | int | None
Row = tuple[Value, ...]
#: SQL, its parameters, and whether its count of rows is asked for.
Statement = tuple[str, list[Value], bool]

#: Rows in one statement: powers of two, so that few distinct statements are ever prepared.
_ROWS_MAX = 256


class Changes:
    """A unit of work. Rows of one table keep their order; deletions go before insertions.

    What is asked for last holds: a ``delete`` forgets the rows of its key that were to be written before it, and rows
    that come after it are written. ``upsert`` keeps the last row for a key, ``insert_new`` the first;
    ``insert_new`` and ``insert_counted`` skip rows that are there already.
    """

    __slots__ = ("_counted", "_deleted", "_inserted", "_new", "_sql", "_upserted")

    def __init__(self) -> None:
        self._inserted: dict[Table, list[Row]] = {}
        self._new: dict[Table, dict[Row, Row]] = {}
        self._counted: dict[Table, list[Row]] = {}
        self._upserted: dict[Table, dict[Row, Row]] = {}
        self._deleted: dict[Table, dict[Row, None]] = {}
        self._sql: list[tuple[str, Row]] = []

    def insert(self, table: Table, row: Row) -> None:
        """Add a row whose key is new."""
        rows = self._inserted.get(table)
        if rows is None:
            rows = self._inserted[table] = []
        rows.append(row)

    def insert_new(self, table: Table, row: Row) -> None:
        """Add a row unless its key, or another unique column of it, is taken."""
        self._new.setdefault(table, {}).setdefault(row[: table.key_columns], row)

    def insert_counted(self, table: Table, row: Row) -> None:
        """As ``insert_new``, for one table of the batch: how many were new is what ``Database.commit`` gives."""
        self._counted.setdefault(table, []).append(row)

    def upsert(self, table: Table, row: Row) -> None:
        """Add or replace the row with this key."""
        rows = self._upserted.get(table)
        if rows is None:
            rows = self._upserted[table] = {}
        rows[row[: table.key_columns]] = row

    def delete(self, table: Table, key: Row) -> None:
        """Remove the row with this key, if it is there; forget an ``insert`` of it in this same batch."""
        rows = self._inserted.get(table)
        if rows is not None:
            width = table.key_columns
            kept = [row for row in rows if row[:width] != key]
            if len(kept) != len(rows):
                self._inserted[table] = kept
                return
        for pending in (self._upserted.get(table), self._new.get(table)):
            if pending is not None:
                pending.pop(key, None)
        self._deleted.setdefault(table, {})[key] = None

    def execute(self, sql: str, parameters: Row = ()) -> None:
        """Run one statement before all others: for what rows can't say."""
        self._sql.append((sql, parameters))

    def merge(self, other: "Changes") -> None:
        """Take over what another batch wants written, as if it had been asked for after ours."""
        for table, deleted in other._deleted.items():
            for key in deleted:
                self.delete(table, key)
        for table, rows in other._inserted.items():
            self._inserted.setdefault(table, []).extend(rows)
        for table, new in other._new.items():
            ours = self._new.setdefault(table, {})
            for key, row in new.items():
                ours.setdefault(key, row)
        for table, rows in other._counted.items():
            self._counted.setdefault(table, []).extend(rows)
        for table, upserted in other._upserted.items():
            self._upserted.setdefault(table, {}).update(upserted)
        self._sql.extend(other._sql)

    def __bool__(self) -> bool:
        return bool(self._inserted or self._new or self._counted or self._upserted or self._deleted or self._sql)

    def statements(self) -> Iterator[Statement]:
        """Each statement with its parameters, and whether its count of rows is asked for. Placeholders are ``?``."""
        for sql, parameters in self._sql:
            yield sql, list(parameters), False
        for table, keys in self._deleted.items():
            yield from _chunked("delete", table, list(keys), counted=False)
        for table, rows in self._counted.items():
            yield from _chunked("insert_new", table, rows, counted=True)
        for table, new in self._new.items():
            yield from _chunked("insert_new", table, list(new.values()), counted=False)
        for table, rows in self._inserted.items():
            yield from _chunked("insert", table, rows, counted=False)
        for table, upserted in self._upserted.items():
            yield from _chunked("upsert", table, list(upserted.values()), counted=False)


def _chunked(verb: str, table: Table, rows: Sequence[Row], *, counted: bool) -> Iterator[Statement]:
    start, left = 0, len(rows)
    while left:
        size = min(1 << (left.bit_length() - 1), _ROWS_MAX)
        chunk = rows[start : start + size]
        yield statement(verb, table, size), [value for row in chunk for value in row], counted
        start += size
        left -= size


@lru_cache(maxsize=1024)
def statement(verb: str, table: Table, rows: int) -> str:
    """The SQL of one statement over ``rows`` rows; the same text for both databases."""
    key = table.columns[: table.key_columns]
    if verb == "delete":
        if len(key) == 1:
            return f"DELETE FROM {table.name} WHERE {key[0]} IN ({', '.join(['?'] * rows)})"
        one = "(" + " AND ".join(f"{column} = ?" for column in key) + ")"
        return f"DELETE FROM {table.name} WHERE {' OR '.join([one] * rows)}"
    marks = f"({', '.join(['?'] * len(table.columns))})"
    sql = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES {', '.join([marks] * rows)}"
    if verb == "insert_new":
        return f"{sql} ON CONFLICT DO NOTHING"
    if verb == "upsert":
        rest = table.columns[table.key_columns :]
        if not rest:
            return f"{sql} ON CONFLICT DO NOTHING"
        replaced = ", ".join(f"{column} = excluded.{column}" for column in rest)
        return f"{sql} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {replaced}"
    return sql
