"""Changes: what is asked for row by row becomes few statements, and means what was asked for last."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beckon.store.changes import Changes
from beckon.store.database import Database
from beckon.store.tables import ALL, CONTACTS, MARKS, OUTBOX, TIMERS, WAITS, Table
from tests.rooms.store.stage import opened, row_of, rows_of

Rows = dict[tuple[object, ...], tuple[object, ...]]


def statements(changes: Changes) -> list[str]:
    """The verbs and tables of the statements, in order."""
    return [" ".join(sql.replace("INTO ", "").replace("FROM ", "").split()[:2]) for sql, _, _ in changes.statements()]


def sizes(changes: Changes, table: Table) -> list[int]:
    """How many rows each statement holds."""
    return [len(parameters) // len(table.columns) for _, parameters, _ in changes.statements()]


def test_nothing_asked_for_is_false_and_makes_no_statement():
    changes = Changes()
    assert not changes
    assert list(changes.statements()) == []


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 511, 1_000])
def test_many_rows_are_few_statements_each_a_power_of_two(count: int):
    changes = Changes()
    for number in range(count):
        changes.insert(CONTACTS, row_of(CONTACTS, number))
    found = sizes(changes, CONTACTS)
    assert sum(found) == count
    assert all(size & (size - 1) == 0 and size <= 256 for size in found)
    assert len(found) <= count // 256 + 8
    parameters = [value for _, values, _ in changes.statements() for value in values]
    assert parameters == [value for number in range(count) for value in row_of(CONTACTS, number)]


def test_the_sql_of_a_size_is_the_same_text_each_time():
    texts = set()
    for seed in (1, 2):
        changes = Changes()
        changes.upsert(OUTBOX, row_of(OUTBOX, seed))
        texts |= {sql for sql, _, _ in changes.statements()}
    assert len(texts) == 1


def test_deletions_come_before_insertions_and_a_free_statement_before_all():
    changes = Changes()
    changes.upsert(MARKS, ("a", 1))
    changes.insert(CONTACTS, row_of(CONTACTS))
    changes.delete(OUTBOX, (7,))
    changes.execute("UPDATE definitions SET current = 0 WHERE workspace = ?", ("main",))
    assert statements(changes) == ["UPDATE definitions", "DELETE outbox", "INSERT contacts", "INSERT marks"]


def test_a_deleted_insert_is_never_written():
    changes = Changes()
    changes.insert(CONTACTS, row_of(CONTACTS, 1, id="con_1"))
    changes.insert(CONTACTS, row_of(CONTACTS, 2, id="con_2"))
    changes.delete(CONTACTS, ("con_1",))
    assert [values for _, values, _ in changes.statements()] == [list(row_of(CONTACTS, 2, id="con_2"))]


async def test_every_table_is_written_replaced_and_emptied(database_url: str):
    async with opened(database_url) as database:
        for table in ALL:
            await write_replace_and_empty(database, table)


async def write_replace_and_empty(database: Database, table: Table) -> None:
    before = len(await rows_of(database, table))
    changes = Changes()
    changes.insert(table, row_of(table, 1))
    changes.upsert(table, row_of(table, 2))
    changes.insert_new(table, row_of(table, 3))
    await database.commit(changes)
    assert len(await rows_of(database, table)) == before + 3

    key = row_of(table, 2)[: table.key_columns]
    replaced = (*key, *row_of(table, 9)[table.key_columns :])
    changes = Changes()
    changes.upsert(table, replaced)
    changes.insert_new(table, row_of(table, 3))
    await database.commit(changes)
    assert replaced in await rows_of(database, table)

    changes = Changes()
    for seed in (1, 2, 3):
        changes.delete(table, row_of(table, seed)[: table.key_columns])
    await database.commit(changes)
    assert len(await rows_of(database, table)) == before


async def test_the_last_upsert_of_a_key_wins_and_the_first_insert_new_does(database_url: str):
    async with opened(database_url) as database:
        changes = Changes()
        for seed in (1, 2, 3):
            changes.upsert(CONTACTS, row_of(CONTACTS, seed, id="con_up"))
            changes.insert_new(OUTBOX, row_of(OUTBOX, seed, number=1, id="once"))
        await database.commit(changes)
        assert await rows_of(database, CONTACTS) == [row_of(CONTACTS, 3, id="con_up")]
        assert await rows_of(database, OUTBOX) == [row_of(OUTBOX, 1, number=1, id="once")]


async def test_insert_counted_says_how_many_were_new(database_url: str):
    async with opened(database_url) as database:
        first, second = Changes(), Changes()
        for seed in (1, 2, 3):
            first.insert_counted(CONTACTS, row_of(CONTACTS, seed))
        for seed in (2, 3, 4, 5):
            second.insert_counted(CONTACTS, row_of(CONTACTS, seed))
        assert await database.commit(first) == 3
        assert await database.commit(second) == 2


async def test_a_wait_that_ends_in_the_turn_in_which_it_began_leaves_no_row(database_url: str):
    async with opened(database_url) as database:
        changes = Changes()
        changes.insert_new(WAITS, ("key", "run_1"))
        changes.delete(WAITS, ("key", "run_1"))
        await database.commit(changes)
        assert await rows_of(database, WAITS) == []


# The model: what was asked for, one after the other, each at once.

_KEYS = st.integers(0, 3)
_ACTS = st.lists(st.tuples(st.sampled_from(("upsert", "insert_new", "delete")), _KEYS, st.integers(0, 99)), max_size=8)


def play(model: Rows, acts: list[tuple[str, int, int]]) -> None:
    """Do to the model at once what ``ask`` asks for."""
    for act, key, value in acts:
        if act == "delete":
            model.pop((f"m{key}",), None)
        elif act == "upsert":
            model[f"m{key}",] = (f"m{key}", value)
        else:
            model.setdefault((f"m{key}",), (f"m{key}", value))


def ask(changes: Changes, acts: list[tuple[str, int, int]]) -> None:
    """Ask for these acts, on one table."""
    for act, key, value in acts:
        if act == "delete":
            changes.delete(MARKS, (f"m{key}",))
        else:
            getattr(changes, act)(MARKS, (f"m{key}", value))


def one_verb(acts: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """The acts with one way of writing: a batch uses ``upsert`` or ``insert_new`` for a table, never both."""
    verb = next((act for act, _, _ in acts if act != "delete"), "upsert")
    return [(act if act == "delete" else verb, key, value) for act, key, value in acts]


@settings(max_examples=300, deadline=None)
@given(batches=st.lists(_ACTS, max_size=5))
def test_batches_that_are_merged_do_what_they_do_one_by_one(batches: list[list[tuple[str, int, int]]]):
    verbs = one_verb([act for batch in batches for act in batch])
    parts: Iterator[tuple[str, int, int]] = iter(verbs)
    model: Rows = {}
    merged = Changes()
    for batch in batches:
        acts = [next(parts) for _ in batch]
        play(model, acts)
        changes = Changes()
        ask(changes, acts)
        merged.merge(changes)
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE marks (name TEXT PRIMARY KEY, value BIGINT NOT NULL)")
        for sql, parameters, _ in merged.statements():
            database.execute(sql, parameters)
        rows = database.execute("SELECT name, value FROM marks ORDER BY name").fetchall()
    assert rows == sorted(model.values())


async def test_a_delete_merged_after_an_insert_takes_the_row_away(database_url: str):
    async with opened(database_url) as database:
        ours, theirs = Changes(), Changes()
        ours.insert(TIMERS, (5, "run", "run_1"))
        ours.upsert(TIMERS, (6, "run", "run_2"))
        theirs.delete(TIMERS, (5, "run", "run_1"))
        theirs.delete(TIMERS, (6, "run", "run_2"))
        theirs.upsert(TIMERS, (7, "run", "run_3"))
        ours.merge(theirs)
        await database.commit(ours)
        assert await rows_of(database, TIMERS) == [(7, "run", "run_3")]
