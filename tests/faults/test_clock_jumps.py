"""The machine's clock jumps: back by an hour, ahead by a year. The line goes on, and nothing happens twice."""

from pathlib import Path

import pytest

from beckon.core.errors import Unavailable
from tests.rooms.worker.stage import BY_SMS, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, SEND, Line, line, visit

WAITING = """\
flow: waiting
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - wait: 1h
  - note: "{{ event.data.visit }}"
"""


async def set_back(here: Line, by_ms: int) -> None:
    """The clock is wrong by this much from now on."""
    here.clock.at_ms -= by_ms
    here.beckon.wake()
    await here.quiet()


@pytest.mark.parametrize("by_ms", [SECOND_MS, HOUR_MS, 365 * DAY_MS], ids=["a second", "an hour", "a year"])
async def test_events_and_messages_go_on_when_the_clock_is_set_back(by_ms: int, database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        await here.says("visit.start", visit(1))
        await set_back(here, by_ms)
        await here.says("visit.start", visit(2))
        await here.receipt("delivered", (await here.deliveries())[-1].provider_id)
        await here.restart()
        await here.says("visit.start", visit(3))
        assert len(here.handed) == 3
        positions = [row[0] for row in await here.rows("SELECT position FROM journal ORDER BY position")]
        assert positions == sorted(set(positions))
        assert {run.status for run in await here.runs()} == {"done"}


async def test_a_wait_keeps_its_instant_when_the_clock_is_set_back(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.says("visit.start", visit(1))
        await set_back(here, HOUR_MS)
        await here.passes(HOUR_MS)
        assert await here.entries("note") == []
        await here.passes(HOUR_MS)
        assert len(await here.entries("note")) == 1


async def test_a_clock_that_jumps_ahead_fires_everything_once_and_going_back_fires_nothing_again(
    database_url: str, tmp_path: Path
):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.accept(*[here.event("visit.start", visit(number)) for number in range(20)])
        await here.passes(365 * DAY_MS)
        assert len(await here.entries("note")) == 20
        await set_back(here, 365 * DAY_MS)
        await here.passes(2 * HOUR_MS)
        assert len(await here.entries("note")) == 20
        await here.says("visit.start", visit("after"))
        await here.passes(HOUR_MS)
        assert len(await here.entries("note")) == 21


async def test_a_pause_is_no_longer_for_a_clock_that_was_set_back(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        here.channels["sms"].answers.append(Unavailable("sms.429", "slow down", retry_after_s=30))
        await here.says("visit.start", visit(1, {"sms": "+32470000001"}))
        await set_back(here, HOUR_MS)
        await here.says("visit.start", visit(2, BY_SMS))
        assert len(here.handed) == 1
        await here.passes(30 * SECOND_MS)
        assert [message.to for _, message in here.handed] == ["+32470000001", BY_SMS["sms"]]


async def test_a_retry_comes_at_its_instant_whatever_the_clock_did_meanwhile(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        here.channels["sms"].answers.append(Unavailable("sms.down", "away"))
        await here.says("visit.start", visit(1, BY_SMS))
        await set_back(here, 5 * MINUTE_MS)
        await here.passes(5 * MINUTE_MS + 2 * SECOND_MS)
        assert len(here.handed) == 2
        await here.passes(365 * DAY_MS)
        assert len(here.handed) == 2
