"""The journal: every event in order, from memory or from the table, whatever there are gaps in the positions."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beckon.core.event import Event
from beckon.intake import journal as room
from beckon.intake.journal import TableJournal, event_from
from tests.rooms.intake.stage import door, event_of


async def test_an_event_comes_back_from_the_table_as_it_was_accepted(database_url: str):
    given_event = event_of(
        "a", subject="con_1", time_ms=5, depth=3, data={"name": "Zoë \0 \U0001f600", "list": [1, 2.5, None, True]}
    )
    async with door(database_url) as here:
        await here.intake.accept([given_event])
        [kept] = await here.journal.read(0, 10)
        fresh = TableJournal(here.database)
        await fresh.open()
        assert fresh.position == 1
        fresh._tail_after = 2  # as if it had overflowed: from the table
        [read] = await fresh.read(0, 10)
        assert read == kept
        assert msgspec.structs.replace(read, position=0, accepted_ms=0) == given_event


async def test_after_a_start_all_is_read_from_the_table_and_what_comes_from_memory(database_url: str):
    async with door(database_url) as here:
        await here.intake.accept([event_of(f"old{number}") for number in range(5)])
    async with door(database_url) as here:
        await here.intake.accept([event_of(f"new{number}") for number in range(3)])
        expected = [f"old{number}" for number in range(5)] + [f"new{number}" for number in range(3)]
        assert await here.read_all(limit=2) == expected


async def test_past_the_tail_s_limit_the_table_is_read_and_nothing_is_lost(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "_TAIL_MAX", 10)
    async with door(database_url) as here:
        for start in range(0, 35, 5):
            await here.intake.accept([event_of(f"e{number}") for number in range(start, start + 5)])
        assert len(here.journal._tail) <= 10
        assert await here.read_all() == [f"e{number}" for number in range(35)]


async def test_a_batch_larger_than_the_tail_is_read_from_the_table(database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "_TAIL_MAX", 10)
    async with door(database_url) as here:
        await here.intake.accept([event_of(f"e{number}") for number in range(50)])
        assert await here.read_all() == [f"e{number}" for number in range(50)]


async def test_what_was_read_is_read_again_when_the_turn_failed(database_url: str):
    async with door(database_url) as here:
        await here.intake.accept([event_of("a"), event_of("b")])
        assert [event.id for event in await here.journal.read(0, 10)] == ["a", "b"]
        assert [event.id for event in await here.journal.read(0, 10)] == ["a", "b"]
        assert [event.id for event in await here.journal.read(1, 10)] == ["b"]


async def test_positions_that_duplicates_took_are_gaps_that_nobody_stumbles_over(database_url: str):
    async with door(database_url) as here:
        await here.intake.accept([event_of("a")])
        await here.intake.accept([event_of("a"), event_of("a"), event_of("b"), event_of("a")])
        await here.intake.accept([event_of("a")])
        assert await here.read_all(limit=1) == ["a", "b"]
        assert here.journal.position == 6
    async with door(database_url) as here:
        await here.intake.accept([event_of("c")])
        assert await here.read_all(limit=1) == ["a", "b", "c"]


async def test_nothing_is_read_twice_and_nothing_past_the_end(database_url: str):
    async with door(database_url) as here:
        assert await here.journal.read(0, 10) == []
        await here.intake.accept([event_of("a")])
        assert await here.journal.read(1, 10) == []
        assert await here.journal.read(99, 10) == []


async def test_a_reader_gets_no_more_than_it_asked_for(database_url: str):
    async with door(database_url) as here:
        await here.intake.accept([event_of(f"e{number}") for number in range(6)])
        for limit in (1, 2, 3, 6, 100):
            assert len(await here.journal.read(0, limit)) == min(limit, 6)


def test_a_row_is_read_in_the_order_of_the_columns():
    row = (7, "main", "s", "i", "a.b", None, 1, 2, 3, '{"x":[1]}')
    assert event_from(row) == Event(
        workspace="main", source="s", id="i", type="a.b", time_ms=1, data={"x": [1]}, position=7, accepted_ms=2, depth=3
    )


class _Table:
    """A database of one table in memory: what was stored, by position."""

    def __init__(self) -> None:
        self.events: dict[int, Event] = {}

    async def fetch(self, sql: str, parameters: tuple[int, ...] = ()) -> list[tuple[object, ...]]:
        if "max(position)" in sql:
            return [(max(self.events, default=None),)]
        after, last, limit = parameters
        found = [self.events[position] for position in sorted(self.events) if after < position <= last]
        return [
            (
                event.position, event.workspace, event.source, event.id, event.type, event.subject, event.time_ms,
                event.accepted_ms, event.depth, "null",
            )
            for event in found[:limit]
        ]  # fmt: skip


#: (how many are stored, how many of them are duplicates at the end, what becomes of the answer)
_APPENDS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 3), st.sampled_from(("said", "lost", "failed"))), max_size=12
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(appends=_APPENDS, limits=st.lists(st.integers(1, 5), min_size=1, max_size=12), tail_max=st.integers(1, 8))
async def test_whatever_is_durable_is_read_once_and_in_order(
    appends: list[tuple[int, int, str]], limits: list[int], tail_max: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "_TAIL_MAX", tail_max)
    table = _Table()
    journal = TableJournal(table)  # type: ignore[arg-type]
    await journal.open()
    after, read = 0, []
    for number, (count, duplicates, answer) in enumerate([*appends, (1, 0, "said")]):
        first = journal.reserve(count + duplicates)
        up_to = first + count + duplicates - 1
        stored = [event_of(f"e{position}", position=position) for position in range(first, first + count)]
        if answer != "failed":
            table.events.update({event.position: event for event in stored})
        if answer == "said":
            journal.appended(stored, up_to)
        else:
            journal.doubted(up_to)
        events = await journal.read(after, limits[number % len(limits)])
        read += [event.position for event in events]
        after = events[-1].position if events else after
    while events := await journal.read(after, 3):
        read += [event.position for event in events]
        after = events[-1].position
    assert read == sorted(table.events)
