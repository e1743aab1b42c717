"""Migrations: applied once, in order, all or nothing; the tables in code are the tables in the database."""

import re
from collections.abc import Iterator

import pytest

from beckon.core.errors import Misconfigured
from beckon.store import tables
from beckon.store.changes import Changes
from beckon.store.database import Database, open_database
from beckon.store.migrations import migrate, texts
from beckon.store.tables import ALL, MARKS
from tests.rooms.store.stage import is_number, opened, row_of, rows_of

NUMBERS = [number for number, _, _ in texts("sqlite")]


async def columns_of(database: Database, table: str) -> list[tuple[str, bool]]:
    """(column, whether it holds numbers) of a table, in order, as the database says it."""
    if database.dialect == "sqlite":
        rows = await database.fetch(f"SELECT name, type FROM pragma_table_info('{table}')")
        return [(str(name), str(kind) in ("BIGINT", "INTEGER")) for name, kind in rows]
    rows = await database.fetch(
        "SELECT column_name::text, data_type::text FROM information_schema.columns"
        " WHERE table_name = ? AND table_schema = current_schema() ORDER BY ordinal_position",
        (table,),
    )
    return [(str(name), str(kind) == "bigint") for name, kind in rows]


async def keys_of(database: Database, table: str) -> list[str]:
    """The columns of a table's primary key, in order."""
    if database.dialect == "sqlite":
        rows = await database.fetch(f"SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk")
    else:
        rows = await database.fetch(
            "SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL"
            " unnest(i.indkey) WITH ORDINALITY AS k(number, at)"
            " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number"
            " WHERE i.indisprimary AND i.indrelid = ?::text::regclass ORDER BY k.at",
            (table,),
        )
    return [str(row[0]) for row in rows]


async def tables_of(database: Database) -> set[str]:
    """The names of all tables."""
    if database.dialect == "sqlite":
        rows = await database.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        rows = await database.fetch("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()")
    return {str(row[0]) for row in rows}


async def test_a_fresh_database_gets_every_migration_in_order(database_url: str):
    database = open_database(database_url)
    await database.open()
    try:
        assert await migrate(database) == [name for _, name, _ in texts(database.dialect)]
        assert await rows_of(database, MARKS) == [("migration", max(NUMBERS))]
    finally:
        await database.close()


async def test_a_second_start_applies_nothing_and_keeps_every_row(database_url: str):
    async with opened(database_url) as database:
        changes = Changes()
        for table in ALL:
            changes.insert(table, row_of(table))
        await database.commit(changes)
        before = {table.name: await rows_of(database, table) for table in ALL}
        assert await migrate(database) == []
        assert {table.name: await rows_of(database, table) for table in ALL} == before


async def test_a_newer_database_is_refused_and_left_alone(database_url: str):
    async with opened(database_url) as database:
        changes = Changes()
        changes.upsert(MARKS, ("migration", max(NUMBERS) + 1))
        await database.commit(changes)
        with pytest.raises(Misconfigured, match="upgrade the program") as caught:
            await migrate(database)
        assert caught.value.code == "store.newer"
        assert await rows_of(database, MARKS) == [("migration", max(NUMBERS) + 1)]


@pytest.mark.parametrize("number", NUMBERS)
async def test_an_upgrade_from_this_migration_keeps_its_rows(number: int, database_url: str):
    database = open_database(database_url)
    await database.open()
    try:
        await apply_up_to(database, number)
        kept = {}
        for table in sorted(await tables_of(database) - {"marks"}):
            columns = await columns_of(database, table)
            row = [7 if numeric else f"{table}.{column}" for column, numeric in columns]
            await insert(database, table, [column for column, _ in columns], row)
            kept[table] = dict(zip([column for column, _ in columns], row, strict=True))
        assert await migrate(database) == [name for found, name, _ in texts(database.dialect) if found > number]
        for table, row_before in kept.items():
            shared = [column for column, _ in await columns_of(database, table) if column in row_before]
            rows = await database.fetch(f"SELECT {', '.join(shared)} FROM {table}")
            assert rows == [tuple(row_before[column] for column in shared)], table
    finally:
        await database.close()


async def apply_up_to(database: Database, number: int) -> None:
    """What a program of that time left."""
    for found, _, sql in texts(database.dialect):
        if found <= number:
            await database.engine.script(sql)
    changes = Changes()
    changes.upsert(MARKS, ("migration", number))
    await database.commit(changes)


async def insert(database: Database, table: str, columns: list[str], row: list[str | int]) -> None:
    """Put one row into a table that the code may not know any more."""
    changes = Changes()
    marks = ", ".join("?" * len(columns))
    changes.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", tuple(row))
    await database.commit(changes)


async def test_a_migration_that_fails_leaves_nothing_and_can_be_tried_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    """The tables and the number that says so are one transaction: a crash between them leaves neither."""
    database = open_database(database_url)
    await database.open()
    script = database.engine.script
    try:

        async def breaks(sql: str) -> None:
            await script(f"{sql}\nSELECT * FROM nowhere;")

        monkeypatch.setattr(database.engine, "script", breaks)
        with pytest.raises(Misconfigured, match=r"store\.migration"):
            await migrate(database)
        assert await tables_of(database) == set()
        monkeypatch.undo()
        assert len(await migrate(database)) == len(NUMBERS)
    finally:
        await database.close()


async def test_the_tables_in_code_are_the_tables_in_the_database(database_url: str):
    async with opened(database_url) as database:
        assert await tables_of(database) == {table.name for table in ALL}
        for table in ALL:
            found = await columns_of(database, table.name)
            assert [column for column, _ in found] == list(table.columns), table.name
            assert await keys_of(database, table.name) == list(table.columns[: table.key_columns]), table.name
            for column, numeric in found:
                assert numeric == is_number(column), f"{table.name}.{column}: the stage writes the wrong kind"


def test_no_table_is_forgotten_in_the_list_of_all():
    assert {value.name for value in vars(tables).values() if isinstance(value, tables.Table)} == {
        table.name for table in ALL
    }


def words(text: str) -> Iterator[str]:
    """The dialect's words in a migration, comments apart."""
    yield from re.findall(r"\{[^}]*\}", re.sub("--.*", "", text))


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_every_dialect_knows_every_word(dialect: str):
    assert [word for _, _, sql in texts(dialect) for word in words(sql)] == []


def test_migrations_are_numbered_without_a_gap():
    assert list(range(1, len(NUMBERS) + 1)) == NUMBERS
