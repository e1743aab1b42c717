"""A stage for the store: an open database with its tables, and rows that fit any table."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from beckon.store.changes import Row
from beckon.store.database import Database, open_database
from beckon.store.migrations import migrate
from beckon.store.tables import Table

#: Columns that hold numbers; all others hold text.
NUMBERS = frozenset(
    (
        *("value", "current", "position", "depth", "attempt", "number", "unread", "big"),
        *("previous", "amount", "balance", "day", "reached", "issued", "redeemed", "points", "cost", "looked", "uses"),
    )
)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The database at this address with all its tables, closed again whatever happens."""
    database = open_database(url)
    await database.open()
    try:
        await migrate(database)
        yield database
    finally:
        await database.close()


def is_number(column: str) -> bool:
    """Whether a column holds numbers."""
    return column in NUMBERS or column.endswith("_ms")


def row_of(table: Table, seed: int = 1, **given: str | int | None) -> Row:
    """A row that fits the table, different for each seed."""
    return tuple(
        given.get(column, seed if is_number(column) else f"{table.name}.{column}.{seed}") for column in table.columns
    )


async def rows_of(database: Database, table: Table) -> list[Row]:
    """All rows of a table, by key."""
    order = ", ".join(table.columns[: table.key_columns])
    return await database.fetch(f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {order}")
