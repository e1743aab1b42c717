"""Database: concurrent commits share a transaction, a bad one sinks nobody else, reads take any number of keys."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from beckon.core.errors import Misconfigured, Refused, Unavailable
from beckon.store.changes import Changes, Row
from beckon.store.database import Database, Query, joined, open_database, within
from beckon.store.tables import ADDRESSES, CONTACTS, MARKS
from tests.kit.postgres import PostgresServer
from tests.rooms.store.stage import opened, row_of, rows_of


class SlowEngine:
    """An engine whose writes end when the test says so, and fail for the changes that it is told to refuse."""

    def __init__(self) -> None:
        self.writes: list[list[Changes]] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.bad: list[Changes] = []
        self.error: Exception = Refused("store.conflict", "the row is there already")

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def fetch(self, queries: Sequence[Query]) -> list[list[Row]]:
        raise NotImplementedError

    look_up = fetch

    async def script(self, sql: str) -> None: ...

    async def write(self, batch: Sequence[Changes]) -> list[int]:
        self.writes.append(list(batch))
        self.begun.set()
        await self.go_on.wait()
        if any(changes in self.bad for changes in batch):
            raise self.error
        return [number for number, _ in enumerate(batch)]


def marked(name: str, value: int = 1) -> Changes:
    """A change of one mark."""
    changes = Changes()
    changes.upsert(MARKS, (name, value))
    return changes


def conflicting() -> Changes:
    """A change that can't be: the same row twice."""
    changes = Changes()
    changes.insert(CONTACTS, row_of(CONTACTS))
    changes.insert(CONTACTS, row_of(CONTACTS))
    return changes


# Grouping.


async def test_what_is_asked_for_while_a_transaction_is_under_way_shares_the_next_one():
    engine = SlowEngine()
    database = Database(engine, dialect="test")
    first = database.commit(marked("a"))
    await engine.begun.wait()
    others = [database.commit(marked(name)) for name in "bcd"]
    engine.go_on.set()
    assert await asyncio.gather(first, *others) == [0, 0, 1, 2]
    assert [len(write) for write in engine.writes] == [1, 3]
    assert database.transactions == 2


async def test_what_is_asked_for_in_one_turn_of_the_loop_shares_a_transaction():
    engine = SlowEngine()
    engine.go_on.set()
    database = Database(engine, dialect="test")
    await asyncio.gather(*[database.commit(marked(name)) for name in "abc"])
    assert [len(write) for write in engine.writes] == [3]


async def test_a_bad_batch_fails_alone_and_its_neighbours_are_written(database_url: str):
    async with opened(database_url) as database:
        good, bad, other = (
            database.commit(marked("good")),
            database.commit(conflicting()),
            database.commit(marked("other")),
        )
        results = await asyncio.gather(good, bad, other, return_exceptions=True)
        assert [type(result) for result in results] == [int, Refused, int]
        assert {name for name, _ in await rows_of(database, MARKS)} >= {"good", "other"}
        assert await rows_of(database, CONTACTS) == []


async def test_a_defect_in_one_batch_fails_alone_too():
    engine = SlowEngine()
    engine.go_on.set()
    database = Database(engine, dialect="test")
    engine.bad, engine.error = [marked("bad")], RuntimeError("a defect")
    good, bad = database.commit(marked("good")), database.commit(engine.bad[0])
    results = await asyncio.gather(good, bad, return_exceptions=True)
    assert [type(result) for result in results] == [int, RuntimeError]
    assert await database.commit(marked("after")) == 0


async def test_a_store_that_is_away_fails_all_at_once_and_nothing_is_tried_twice():
    engine = SlowEngine()
    engine.go_on.set()
    database = Database(engine, dialect="test")
    engine.bad, engine.error = [marked("bad")], Unavailable("store.unavailable", "away")
    results = await asyncio.gather(
        database.commit(engine.bad[0]), database.commit(marked("good")), return_exceptions=True
    )
    assert [type(result) for result in results] == [Unavailable, Unavailable]
    assert len(engine.writes) == 1


async def test_who_stops_waiting_harms_nobody():
    engine = SlowEngine()
    database = Database(engine, dialect="test")
    gone, stays = database.commit(marked("gone")), database.commit(marked("stays"))
    await engine.begun.wait()
    gone.cancel()
    engine.go_on.set()
    assert await stays == 1


async def test_close_writes_what_was_asked_for(database_url: str):
    database = open_database(database_url)
    await database.open()
    async with opened(database_url):
        pass  # its tables
    asked = [database.commit(marked(f"m{number}")) for number in range(5)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*asked)
    async with opened(database_url) as again:
        assert len(await rows_of(again, MARKS)) == 6  # and the migration's


# Values that no column takes.


async def test_a_number_that_no_column_holds_is_refused_and_the_next_commit_works(database_url: str):
    async with opened(database_url) as database:
        for value in (2**63, -(2**63) - 1, 10**40):
            good = database.commit(marked(f"beside {value}"))
            with pytest.raises(Refused, match=r"store\.value"):
                await database.commit(marked("large", value))
            await good
        await database.commit(marked("after"))
        names = [name for name, _ in await rows_of(database, MARKS)]
        assert len([name for name in names if str(name).startswith("beside")]) == 3
        assert "after" in names
        assert "large" not in names


async def test_half_a_surrogate_pair_is_refused_and_the_next_commit_works(database_url: str):
    async with opened(database_url) as database:
        with pytest.raises(Refused, match=r"store\.value"):
            await database.commit(marked("\ud800"))
        with pytest.raises(Refused, match=r"store\.value"):
            await database.fetch("SELECT value FROM marks WHERE name = ?", ("\ud800",))
        await database.commit(marked("after"))


async def test_a_zero_byte_never_looks_like_a_store_that_is_away(database_url: str):
    """PostgreSQL's texts can't hold one: such a row is refused, or the wheel would try it for ever."""
    async with opened(database_url) as database:
        with suppress(Refused):
            await database.commit(marked("zero\0byte"))
        await database.commit(marked("after"))


# Reading by many keys.


async def test_within_reads_any_number_of_keys(database_url: str):
    async with opened(database_url) as database:
        changes = Changes()
        for number in range(1_503):
            changes.insert(CONTACTS, row_of(CONTACTS, number, id=f"con_{number}"))
        await database.commit(changes)
        for count in (0, 1, 2, 3, 511, 512, 513, 1_500):
            keys = [f"con_{number}" for number in range(count)]
            queries = within("SELECT id FROM contacts WHERE id IN ({keys})", keys)
            found = [row[0] for rows in await database.look_up(queries) for row in rows]
            assert sorted(found) == sorted(keys)
            # Padded, so that few statements are prepared.
            assert all(len(parameters).bit_count() == 1 and len(parameters) <= 512 for _, parameters in queries)


async def test_within_takes_parameters_ahead_of_its_keys(database_url: str):
    async with opened(database_url) as database:
        changes = Changes()
        for seed, workspace in enumerate(("a", "b")):
            changes.insert(CONTACTS, row_of(CONTACTS, seed, id=f"con_{workspace}", workspace=workspace))
        await database.commit(changes)
        sql = "SELECT id FROM contacts WHERE workspace = ? AND id IN ({keys})"
        found = await database.fetch_all(within(sql, ["con_a", "con_b", "con_c"], ["b"]))
        assert found == [[("con_b",)]]


async def test_joined_reads_any_number_of_rows_each_once(database_url: str):
    async with opened(database_url) as database:
        changes = Changes()
        for number in range(303):
            changes.insert(ADDRESSES, ("main", "sms", f"+{number}", f"con_{number}"))
            changes.insert(ADDRESSES, ("other", "sms", f"+{number}", f"other_{number}"))
        await database.commit(changes)
        for count in (0, 1, 2, 127, 128, 129, 300):
            wanted = [("main", "sms", f"+{number}") for number in range(count)]
            columns = ("workspace", "channel", "external_id")
            queries = joined("addresses", "external_id, contact", columns, wanted)
            rows = {row for rows in await database.look_up(queries) for row in rows}
            assert rows == {(f"+{number}", f"con_{number}") for number in range(count)}


# One server, one database.


async def test_a_second_server_is_refused_until_the_first_has_closed(database_url: str):
    first, second = open_database(database_url), open_database(database_url)
    first.engine.exclusive = second.engine.exclusive = True  # type: ignore[attr-defined]
    await first.open()
    try:
        with pytest.raises(Misconfigured, match=r"store\.in_use"):
            await second.open()
        beside = open_database(database_url)  # a person at the command line may come in all the same
        await beside.open()
        await beside.close()
    finally:
        await first.close()
    third = open_database(database_url)
    third.engine.exclusive = True  # type: ignore[attr-defined]
    await third.open()
    await third.close()


_HOLDS = """
import asyncio, os, signal, sys
from beckon.store.database import open_database
async def hold():
    database = open_database(sys.argv[1])
    database.engine.exclusive = True
    await database.open()
    print("held", flush=True)
    await asyncio.Event().wait()
asyncio.run(hold())
"""


async def test_a_server_that_was_killed_holds_nothing(database_url: str):
    with subprocess.Popen([sys.executable, "-c", _HOLDS, database_url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        database = open_database(database_url)
        database.engine.exclusive = True  # type: ignore[attr-defined]
        with pytest.raises(Misconfigured, match=r"store\.in_use"):
            await database.open()
        process.kill()
    database = open_database(database_url)
    database.engine.exclusive = True  # type: ignore[attr-defined]
    async with asyncio.timeout(300):  # PostgreSQL notices a moment later
        while True:
            try:
                await database.open()
                break
            except Misconfigured:
                await asyncio.sleep(0.01)
    await database.close()


async def test_a_lost_connection_is_made_anew(postgres_server: PostgresServer, postgres_url: str):
    database = open_database(postgres_url)
    database.engine.exclusive = True  # type: ignore[attr-defined]
    await database.open()
    try:
        await database.engine.script("CREATE TABLE marks (name TEXT PRIMARY KEY, value BIGINT NOT NULL)")
        await database.commit(marked("before"))
        name = postgres_url.rpartition("/")[2]
        postgres_server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        async with asyncio.timeout(300):
            while True:
                try:
                    await database.commit(marked("after"))
                    break
                except Unavailable:
                    await asyncio.sleep(0.01)
        assert [row[0] for row in await rows_of(database, MARKS)] == ["after", "before"]
        beside = open_database(postgres_url)
        beside.engine.exclusive = True  # type: ignore[attr-defined]
        with pytest.raises(Misconfigured, match=r"store\.in_use"):
            await beside.open()
    finally:
        await database.close()


async def test_a_lost_connection_that_still_holds_the_lock_is_waited_for(postgres_url: str):
    """Its transaction may still be committing: whoever wrote now could write before it."""
    holder, database = open_database(postgres_url), open_database(postgres_url)
    database.engine.exclusive = True  # type: ignore[attr-defined]
    await database.open()
    writer = database.engine._writer  # type: ignore[attr-defined]
    await writer.close()
    holder.engine.exclusive = True  # type: ignore[attr-defined]
    await holder.open()
    try:
        with pytest.raises(Unavailable):
            await database.commit(marked("too early"))
    finally:
        await holder.close()
        await database.close()


# Addresses.


async def test_a_relative_and_an_absolute_path_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for url, file in (("sqlite:///here.db", "here.db"), (f"sqlite:///{tmp_path}/there.db", "there.db")):
        async with opened(url):
            assert (tmp_path / file).exists()


@pytest.mark.parametrize("url", ["mysql://localhost/x", "beckon.db", "", "http://x"])
def test_an_address_of_another_kind_is_named(url: str):
    with pytest.raises(Misconfigured, match="BECKON_DATABASE_URL"):
        open_database(url)


@pytest.mark.parametrize("url", ["sqlite:////no/such/folder/x.db", "postgresql://nobody@127.0.0.1:1/none"])
async def test_a_database_that_can_not_be_reached_is_the_operators_to_mend(url: str):
    database = open_database(url)
    with pytest.raises(Misconfigured, match=r"store\.unreachable"):
        await database.open()
    await database.close()
