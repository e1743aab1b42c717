"""Accept: each event durable once, before anybody is told so; and who is told what."""

import asyncio
from typing import Any

import pytest

from beckon.core.errors import Refused, Unavailable
from beckon.intake import accept as room
from beckon.intake.accept import Accepted
from beckon.store.changes import Changes
from beckon.store.tables import CONTACTS, MARKS
from tests.rooms.intake.stage import NOW_MS, Door, door, event_of
from tests.rooms.store.stage import row_of, rows_of


def marked(name: str) -> Changes:
    """Something to be written alongside."""
    changes = Changes()
    changes.upsert(MARKS, (name, 1))
    return changes


async def marks(here: Door) -> set[str]:
    """What was written alongside."""
    return {str(row[0]) for row in await rows_of(here.database, MARKS)} - {"migration"}


async def test_an_event_is_in_the_table_before_its_answer_is_given(database_url: str):
    async with door(database_url) as here:
        [answer] = await here.intake.accept([event_of("a")])
        assert answer == Accepted("a", 1, False)
        assert await here.rows() == [(1, "a")]
        assert here.journal.position == 1
        assert here.woken == 1


async def test_each_event_has_its_answer_in_order(database_url: str):
    async with door(database_url) as here:
        answers = await asyncio.gather(
            here.intake.accept([event_of("a"), event_of("b")]),
            here.intake.accept([event_of("c")]),
            here.intake.accept([event_of("d"), event_of("e"), event_of("f")]),
        )
        assert [[answer.id for answer in group] for group in answers] == [["a", "b"], ["c"], ["d", "e", "f"]]
        assert [answer.position for group in answers for answer in group] == [1, 2, 3, 4, 5, 6]
        assert await here.read_all() == ["a", "b", "c", "d", "e", "f"]


async def test_what_arrives_while_a_transaction_is_under_way_shares_the_next_one(database_url: str):
    async with door(database_url) as here:
        here.engine.open_for_writes.clear()
        first = here.intake.accept([event_of("first")])
        for _ in range(5):
            await asyncio.sleep(0)
        others = [here.intake.accept([event_of(f"e{number}")]) for number in range(50)]
        here.engine.open_for_writes.set()
        await asyncio.gather(first, *others)
        assert len(here.engine.writes) == 2
        assert len(await here.rows()) == 51
        assert here.woken == 2


async def test_a_transaction_has_a_limit_and_what_is_past_it_comes_in_the_next(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "_BATCH_MAX", 10)
    async with door(database_url) as here:
        answers = await asyncio.gather(*[here.intake.accept([event_of(f"e{n}")]) for n in range(25)])
        assert [group[0].position for group in answers] == list(range(1, 26))
        assert len(here.engine.writes) == 3


# Duplicates.


async def test_a_duplicate_gets_the_position_of_the_first_and_is_not_read_again(database_url: str):
    async with door(database_url) as here:
        await here.intake.accept([event_of("a"), event_of("b")])
        [again] = await here.intake.accept([event_of("b")])
        assert again == Accepted("b", 2, True)
        [after] = await here.intake.accept([event_of("c")])
        assert not after.duplicate
        assert await here.read_all() == ["a", "b", "c"]


async def test_duplicates_within_one_batch_are_one_event(database_url: str):
    async with door(database_url) as here:
        answers = await here.intake.accept([event_of("a"), event_of("b"), event_of("a"), event_of("a")])
        assert answers == [
            Accepted("a", 1, False),
            Accepted("b", 2, False),
            Accepted("a", 1, True),
            Accepted("a", 1, True),
        ]
        assert await here.read_all() == ["a", "b"]


async def test_duplicates_in_requests_that_share_a_transaction_are_one_event(database_url: str):
    async with door(database_url) as here:
        one, two, three = await asyncio.gather(
            here.intake.accept([event_of("a"), event_of("x")]),
            here.intake.accept([event_of("y"), event_of("a")]),
            here.intake.accept([event_of("a")]),
        )
        assert [answer.duplicate for answer in (*one, *two, *three)] == [False, False, False, True, True]
        assert {answer.position for answer in (one[0], two[1], three[0])} == {one[0].position}
        assert await here.read_all() == ["a", "x", "y"]


async def test_the_same_id_from_another_source_or_workspace_is_another_event(database_url: str):
    async with door(database_url) as here:
        answers = await here.intake.accept(
            [event_of("a"), event_of("a", source="other"), event_of("a", workspace="other")]
        )
        assert [answer.duplicate for answer in answers] == [False, False, False]


async def test_a_thousand_times_the_same_event_is_one(database_url: str):
    async with door(database_url) as here:
        answers = await asyncio.gather(*[here.intake.accept([event_of("a")]) for _ in range(1_000)])
        assert sum(not group[0].duplicate for group in answers) == 1
        assert await here.read_all() == ["a"]


# Alongside.


async def test_what_stands_alongside_is_written_with_the_event_or_not_at_all(database_url: str):
    async with door(database_url) as here:
        await here.intake.accept([event_of("a")], alongside=marked("with a"))
        assert await marks(here) == {"with a"}
        here.engine.failing = 1
        with pytest.raises(Unavailable):
            await here.intake.accept([event_of("b")], alongside=marked("with b"))
        assert await marks(here) == {"with a"}
        assert await here.rows() == [(1, "a")]


async def test_what_stands_alongside_a_duplicate_is_written_all_the_same(database_url: str):
    """The outbox's row must go, also where its outcome was taken in by an answer that nobody heard."""
    async with door(database_url) as here:
        await here.intake.accept([event_of("a")])
        [answer] = await here.intake.accept([event_of("a")], alongside=marked("again"))
        assert answer.duplicate
        assert await marks(here) == {"again"}


async def test_changes_without_an_event_are_written_too(database_url: str):
    async with door(database_url) as here:
        assert await here.intake.accept([], alongside=marked("alone")) == []
        assert await marks(here) == {"alone"}
        await here.intake.accept([event_of("a")])
        assert await here.read_all() == ["a"]


# When the store fails.


async def test_a_store_that_is_away_is_said_to_everybody_who_shared_the_transaction(database_url: str):
    async with door(database_url) as here:
        here.engine.failing = 1
        asked = [here.intake.accept([event_of(f"e{number}")]) for number in range(5)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(result, Unavailable) and result.retry_after_s for result in results)
        assert await here.rows() == []
        [answer] = await here.intake.accept([event_of("e0")])
        assert not answer.duplicate
        assert await here.read_all() == ["e0"]


async def test_an_event_whose_answer_was_lost_is_read_once_it_is_sent_again(database_url: str):
    """The commit got through, its confirmation did not: the source sends it again, and the wheel must see it."""
    async with door(database_url) as here:
        await here.intake.accept([event_of("before")])
        here.engine.lying = 1
        with pytest.raises(Unavailable):
            await here.intake.accept([event_of("a"), event_of("b")])
        answers = await here.intake.accept([event_of("a"), event_of("b")])
        assert [answer.duplicate for answer in answers] == [True, True]
        await here.intake.accept([event_of("after")])
        assert await here.read_all() == ["before", "a", "b", "after"]


async def test_an_event_whose_answer_was_lost_is_read_before_those_that_came_after(database_url: str):
    async with door(database_url) as here:
        here.engine.lying = 1
        with pytest.raises(Unavailable):
            await here.intake.accept([event_of("a")])
        await here.intake.accept([event_of("b")])
        assert await here.read_all() == ["a", "b"]


async def test_duplicates_that_can_not_be_told_apart_now_are_not_lost(database_url: str):
    async with door(database_url) as here:
        await here.intake.accept([event_of("a")])
        here.engine.reads_failing = 1
        with pytest.raises(Unavailable):
            await here.intake.accept([event_of("a"), event_of("b")])
        assert [answer.duplicate for answer in await here.intake.accept([event_of("a"), event_of("b")])] == [True, True]
        assert await here.read_all() == ["a", "b"]


async def test_one_request_that_can_not_be_stored_does_not_sink_its_neighbours(database_url: str):
    async with door(database_url) as here:
        bad = Changes()
        bad.insert(CONTACTS, row_of(CONTACTS))
        bad.insert(CONTACTS, row_of(CONTACTS))
        results = await asyncio.gather(
            here.intake.accept([event_of("a")]),
            here.intake.accept([event_of("bad")], alongside=bad),
            here.intake.accept([event_of("b")]),
            return_exceptions=True,
        )
        assert [isinstance(result, Refused) for result in results] == [False, True, False]
        assert await here.read_all() == ["a", "b"]


@pytest.mark.parametrize("data", [{"n": 10**5_000}, {"text": "\ud800"}], ids=["a long number", "half a pair"])
async def test_data_that_can_not_be_said_is_refused_at_once(data: Any, database_url: str):
    async with door(database_url) as here:
        with pytest.raises(Refused):
            await here.intake.accept([event_of("bad", data=data)])
        await here.intake.accept([event_of("good")])
        assert await here.read_all() == ["good"]


async def test_who_stops_waiting_has_sent_the_event_all_the_same(database_url: str):
    async with door(database_url) as here:
        here.engine.open_for_writes.clear()
        gone, stays = here.intake.accept([event_of("gone")]), here.intake.accept([event_of("stays")])
        await asyncio.sleep(0)
        gone.cancel()
        here.engine.open_for_writes.set()
        assert (await stays)[0].position == 2
        assert await here.read_all() == ["gone", "stays"]


# Limits, and the end.


async def test_past_its_limit_the_door_says_that_it_is_busy_and_takes_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "_WAITING_MAX", 10)
    async with door(database_url) as here:
        here.engine.open_for_writes.clear()
        waiting = [here.intake.accept([event_of(f"e{number}")]) for number in range(10)]
        with pytest.raises(Unavailable) as caught:
            here.intake.accept([event_of("too much")])
        assert (caught.value.code, caught.value.retry_after_s) == ("intake.busy", 1)
        here.engine.open_for_writes.set()
        await asyncio.gather(*waiting)
        await here.intake.accept([event_of("now")])
        assert len(await here.rows()) == 11


async def test_close_answers_everybody_first(database_url: str):
    async with door(database_url) as here:
        asked = [here.intake.accept([event_of(f"e{number}")]) for number in range(5)]
        await here.intake.close()
        assert all(future.done() for future in asked)
        assert len(await here.rows()) == 5


async def test_times_are_the_source_s_and_ours(database_url: str):
    async with door(database_url) as here:
        here.clock.drag(5)
        await here.intake.accept([event_of("own", time_ms=17), event_of("none")])
        events = await here.journal.read(0, 10)
        assert [(event.time_ms, event.accepted_ms) for event in events] == [
            (17, NOW_MS + 5),
            (NOW_MS + 5, NOW_MS + 5),
        ]
