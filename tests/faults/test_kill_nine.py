"""The server is killed with -9 at random moments under load: nothing that was accepted is lost or done twice.

Sources send events, the provider takes messages and answers with receipts, out of order and some of them twice, while
the server dies again and again.
"""

import asyncio
import json
import random
import signal
from typing import Any

import pytest

from beckon.store.database import open_database
from tests.faults.world import World, world
from tests.kit.postgres import PostgresServer

SOURCES = 24


async def kill_again_and_again(here: World, kills: int, moments: random.Random) -> int:
    """Kill and restart; how often the server was killed while it had something in hand."""
    busy = 0
    for number in range(kills):
        before = len(here.accepted)
        if number % 3:  # however slow the machine is, most kills fall into the load; the others come when they come
            await here.more(1)
        await asyncio.sleep(moments.uniform(0.02, 0.6))
        assert here.made.server is not None
        here.made.server.send_signal(signal.SIGKILL)
        await asyncio.to_thread(here.made.server.wait, 60)
        busy += len(here.accepted) > before
        await asyncio.to_thread(here.made.start_server)
    return busy


async def killed(here: World, kills: int) -> None:
    """Live through so many kills, come to rest, and find everything as it should be."""
    here.begin(SOURCES)
    busy = await kill_again_and_again(here, kills, random.Random(20261120))
    await here.more(50)
    await here.end()
    await here.finished()
    await here.all_confirmed()
    await asyncio.to_thread(here.made.wait_until_idle)
    here.made.stop_server()
    assert busy > kills // 2, "too few kills fell into the load for this test to mean anything"
    assert len(here.accepted) > 10 * kills
    await check(here)


@pytest.mark.timeout(1200)
async def test_nothing_accepted_is_lost_or_done_twice_when_the_server_is_killed_fifty_times():
    async with world(receipts=True) as here:
        await killed(here, 50)


@pytest.mark.timeout(1200)
async def test_nothing_accepted_is_lost_or_done_twice_on_postgresql_either(
    private_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BECKON_BENCH_DATABASE_URL", private_postgres.url())
    async with world(receipts=True) as here:
        await killed(here, 10)


async def check(here: World) -> None:
    """What the database says, against what the sources and the provider know."""
    database = open_database(here.made.database_url)
    await database.open()
    try:
        journal = [str(row[0]) for row in await database.fetch("SELECT id FROM journal WHERE type = 'bench.start'")]
        assert len(journal) == len(set(journal)), "an event stands in the journal twice"
        lost = {f"e{number}" for number in here.accepted} - set(journal)
        assert not lost, f"accepted, but not in the journal: {sorted(lost)[:10]}"
        numbers = {int(id_[1:]) for id_ in journal}

        runs = await database.fetch("SELECT key, status, body FROM runs")
        check_runs(numbers, [(str(key), str(status), json.loads(str(body))) for key, status, body in runs])
        deliveries = [json.loads(str(row[0])) for row in await database.fetch("SELECT body FROM deliveries")]
        check_deliveries(here, numbers, deliveries)
        for kind in ("note", "message"):
            [(count,)] = await database.fetch("SELECT count(*) FROM entries WHERE kind = ?", (kind,))
            assert count == len(numbers), f"a {kind} was written twice, or not at all"
        [(receipts,)] = await database.fetch(
            "SELECT count(*) FROM journal WHERE type IN ('message.sent', 'message.delivered', 'message.read')"
            " AND source LIKE 'providers/%'"
        )
        assert receipts == 3 * sum(here.handed.values()), "a receipt was lost, or stands in the journal twice"
        assert await database.fetch("SELECT number FROM outbox") == []
        assert await database.fetch("SELECT due_ms FROM timers WHERE kind = 'run'") == []
    finally:
        await database.close()


def check_runs(numbers: set[int], runs: list[tuple[str, str, Any]]) -> None:
    """Each event has one run, which is done and took each step once."""
    keys = [key for key, _, _ in runs]
    assert sorted(keys) == sorted(f"V{number}" for number in numbers), "a run was skipped, or is there twice"
    stuck = [key for key, status, _ in runs if status != "done"]
    assert not stuck, f"not done: {stuck[:10]}"
    for key, _, body in runs:
        steps = [(taken["step"], taken["what"]) for taken in body["history"]]
        assert len(steps) == len(set(steps)) == 4, f"{key} took a step twice, or not at all: {steps}"


def check_deliveries(here: World, numbers: set[int], deliveries: list[Any]) -> None:
    """Each event has one message, which was handed over once, or is marked; and its receipts have found it."""
    by_number: dict[int, Any] = {}
    for delivery in deliveries:
        number = int(delivery["command"]["variables"]["mark"].split("@")[1])
        assert number not in by_number, f"V{number} has two deliveries"
        by_number[number] = delivery
    assert by_number.keys() == numbers
    missing = numbers - here.handed.keys()
    assert not missing, f"never handed over: {sorted(missing)[:10]}"
    twice = {number for number, times in here.handed.items() if times > 1}
    marked = {
        number
        for number, delivery in by_number.items()
        if any(attempt["outcome"] == "doubtful" for attempt in delivery["attempts"])
    }
    assert twice <= marked, f"handed over twice without being marked doubtful: {sorted(twice - marked)[:10]}"
    unread = {number: delivery["state"] for number, delivery in by_number.items() if delivery["state"] != "read"}
    assert not unread, f"receipts that did not find their message: {sorted(unread.items())[:10]}"
