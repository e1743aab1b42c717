"""A server that is told to stop (SIGTERM) finishes what it has in hand: nothing is in doubt afterwards."""

import asyncio
import signal
from typing import Any

import pytest

from beckon.store.database import open_database
from tests.faults.world import World, world

STOPS = 6


async def told_to_stop(here: World) -> None:
    """Say so, and wait for its end."""
    server = here.made.server
    assert server is not None
    server.send_signal(signal.SIGTERM)
    status = await asyncio.to_thread(server.wait, 120)
    assert status in (0, -signal.SIGTERM), f"it ended with {status}"  # uvicorn ends by the signal, when all is done


async def rows(here: World, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a database that nobody has open."""
    database = open_database(here.made.database_url)
    await database.open()
    try:
        return await database.fetch(sql)
    finally:
        await database.close()


@pytest.mark.timeout(1200)
async def test_a_server_that_is_told_to_stop_under_load_leaves_no_doubt():
    async with world() as here:
        here.begin(16)
        for _ in range(STOPS):
            await here.more(60)
            await told_to_stop(here)
            in_flight = await rows(here, "SELECT id FROM outbox WHERE state = 'in_flight'")
            assert in_flight == [], "a message was left in the air"
            await asyncio.to_thread(here.made.start_server)
        await here.more(60)
        await here.end()
        await here.finished()
        await told_to_stop(here)
        assert await rows(here, "SELECT id FROM journal WHERE type = 'message.doubtful'") == []
        kept = {row[0] for row in await rows(here, "SELECT id FROM journal WHERE type = 'bench.start'")}
        assert {f"e{number}" for number in here.accepted} <= kept
        assert {int(id_[1:]) for id_ in kept} == set(here.handed)
        assert set(here.handed.values()) == {1}, "a message was handed over twice"


@pytest.mark.timeout(1200)
async def test_a_provider_that_never_answers_does_not_keep_a_server_from_stopping(monkeypatch: pytest.MonkeyPatch):
    """It waits for what is in flight, but not for ever; what was in the air is marked at the next start."""
    monkeypatch.setenv("BECKON_DRAIN_S", "1")
    async with world() as here:
        here.answers.clear()
        here.begin(4)
        await here.more(20)
        async with asyncio.timeout(300):
            while not here.handed:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await told_to_stop(here)  # the provider still says nothing
        here.answers.set()
        await asyncio.to_thread(here.made.start_server)
        await here.end()
        await here.finished()
        await told_to_stop(here)
        doubtful = await rows(here, "SELECT count(*) FROM journal WHERE type = 'message.doubtful'")
        assert doubtful[0][0] > 0
        assert set(here.handed) == set(here.accepted)
