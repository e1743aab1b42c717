"""PostgreSQL is stopped, killed and cut off under load: what was accepted is neither lost nor done twice."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from beckon.core.errors import Unavailable
from tests.kit.postgres import PostgresServer
from tests.rooms.worker.stage import Line, line, visit

WAITING = """\
flow: waiting
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - send: invite
    with: { slug: "{{ event.data.visit }}" }
  - wait_for: visit.finished
    match: { visit: "{{ event.data.visit }}" }
    timeout: 24h
    save: result
  - note: "{{ result.data.visit }}"
"""
SOURCES = 8


class Load:
    """Sources that send events, each again under its own id until it is accepted."""

    def __init__(self, here: Line) -> None:
        self.here = here
        self.accepted: set[int] = set()
        self.refused = 0
        self.stop = False
        self._next = 0

    async def source(self) -> None:
        """Start a visit, and finish it."""
        while not self.stop:
            number = self._next
            self._next += 1
            contact = {"sms": f"+3247{number % 50:07d}"}
            await self._until_accepted("visit.start", number, {"visit": f"V-{number}", "contact": contact})
            await self._until_accepted("visit.finished", number, {"visit": f"V-{number}"})
            self.accepted.add(number)

    async def _until_accepted(self, type_: str, number: int, data: dict[str, object]) -> None:
        event = self.here.event(type_, data, id_=f"{type_}-{number}")
        while True:
            try:
                await self.here.beckon.intake.accept([event])
                return
            except Unavailable:
                self.refused += 1
                await asyncio.sleep(0.01)


async def more(load: Load, count: int) -> None:
    """Return when so many more were accepted."""
    wanted = len(load.accepted) + count
    async with asyncio.timeout(300):
        while len(load.accepted) < wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def cut_off(server: PostgresServer) -> None:
    """Every connection of the server's clients ends."""
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname <> ''")


def stopped(server: PostgresServer) -> None:
    """The server ends in good order, and comes back."""
    server.stop()
    server.start()


def killed(server: PostgresServer) -> None:
    """The server crashes, and recovers."""
    server.kill()
    server.start()


@pytest.mark.parametrize("how", [stopped, killed, cut_off], ids=lambda how: how.__name__)
async def test_a_database_that_goes_and_comes_back_costs_no_event(
    how: Callable[[PostgresServer], None], private_postgres: PostgresServer, tmp_path: Path
):
    async with line(private_postgres.url(), tmp_path, WAITING) as here:
        load = Load(here)
        sources = [asyncio.create_task(load.source()) for _ in range(SOURCES)]
        for _ in range(3):
            await more(load, 25)
            await asyncio.to_thread(how, private_postgres)
        await more(load, 25)
        load.stop = True
        await asyncio.wait_for(asyncio.gather(*sources), 300)
        await here.quiet()
        # Connections that are only cut may be made anew before anybody asks for one.
        assert load.refused or how is cut_off, "the database was never away for anybody"
        runs = {run.key: run.status for run in await here.runs()}
        assert {f"V-{number}" for number in load.accepted} == set(runs)
        assert set(runs.values()) == {"done"}
        notes = [entry["text"] for entry in await here.entries("note")]
        assert sorted(notes) == sorted(runs), "a note is missing, or there twice"
        said = [message.rendered.text.rpartition(" ")[2] for _, message in here.handed]
        assert sorted(said) == sorted(runs), "a message was not handed over, or twice"
        assert {delivery.state for delivery in await here.deliveries()} == {"sent"}
        assert await here.waiting() == {"waits": 0, "timers": 0, "outbox": 0}
        assert await here.events("event.failed") == []


async def test_a_server_goes_on_by_itself_after_the_database_was_away_for_a_while(
    private_postgres: PostgresServer, tmp_path: Path
):
    async with line(private_postgres.url(), tmp_path, WAITING) as here:
        await here.says("visit.start", visit(1))
        await asyncio.to_thread(private_postgres.stop)
        event = here.event("visit.finished", {"visit": "V-1"})
        with pytest.raises(Unavailable):
            await here.beckon.intake.accept([event])
        here.beckon.wake()
        await asyncio.to_thread(private_postgres.start)
        async with asyncio.timeout(300):
            while True:
                try:
                    await here.beckon.intake.accept([event])
                    break
                except Unavailable:
                    await asyncio.sleep(0.02)
        await here.quiet()
        assert (await here.run()).status == "done"


async def test_an_outcome_waits_for_the_database_and_the_message_is_not_sent_again(
    private_postgres: PostgresServer, tmp_path: Path
):
    """The message is handed over while the database is away: its outcome is kept until it is back."""
    handed, go_on = asyncio.Event(), asyncio.Event()

    async def slow(message: object) -> str:
        handed.set()
        await go_on.wait()
        return "SM-1"

    async with line(private_postgres.url(), tmp_path, WAITING) as here:
        here.channels["sms"].answers.append(slow)
        await here.beckon.intake.accept([here.event("visit.start", visit(1, {"sms": "+32470000001"}))])
        await handed.wait()
        await asyncio.to_thread(private_postgres.kill)
        go_on.set()
        await asyncio.sleep(0)
        await asyncio.to_thread(private_postgres.start)
        async with asyncio.timeout(300):
            while True:
                try:
                    if (await here.delivery()).state == "sent":
                        break
                except Unavailable:
                    pass
                await asyncio.sleep(0.02)
        delivery = await here.delivery()
        assert (delivery.provider_id, delivery.doubtful) == ("SM-1", False)
        assert len(here.handed) == 1
