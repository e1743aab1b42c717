"""The disk is full: the door says so, nothing that was accepted is lost, and the line goes on when there is room."""

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from beckon.core.errors import Unavailable
from beckon.starting import new_key
from tests.faults.world import world
from tests.rooms.worker.stage import SEND, Line, line, visit

HUGE = 1_073_741_823


async def pages(here: Line, most: int) -> int:
    """The database may have so many pages at most (SQLite then says that the disk is full); how many it has."""
    engine = here.beckon.database.engine

    def limit() -> int:
        connection: sqlite3.Connection = engine._connection()  # type: ignore[attr-defined]
        connection.execute(f"PRAGMA max_page_count={most}")
        return int(connection.execute("PRAGMA page_count").fetchone()[0])

    return await asyncio.get_running_loop().run_in_executor(engine._writer, limit)  # type: ignore[attr-defined]


async def fill(here: Line) -> None:
    """No page more, and those that are there are full."""
    await pages(here, await pages(here, HUGE))
    for size in (2_000, 200, 1):
        with pytest.raises(Unavailable, match=r"store\.full"):
            await keep_on(here, "x" * size)


async def keep_on(here: Line, text: str) -> None:
    """Accept events of this size without end."""
    while True:
        await here.beckon.intake.accept([here.event("visit.other", {"fill": text})])


@asynccontextmanager
async def client(here: Line) -> AsyncIterator[httpx.AsyncClient]:
    """A source with a key, without a socket between."""
    token = await new_key(here.beckon.database, "main", "tests", "events read write")
    transport = httpx.ASGITransport(app=here.beckon.app)  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://beckon", headers=headers) as made:
        yield made


async def test_a_full_disk_is_503_with_a_time_to_come_back_and_then_all_goes_on(tmp_path: Path):
    async with line(f"sqlite:///{tmp_path}/beckon.db", tmp_path, SEND) as here, client(here) as source:
        await here.says("visit.start", visit(1))
        await fill(here)
        before = await here.rows("SELECT count(*) FROM journal")
        answer = await source.post("/v1/events", json={"type": "visit.start", "id": "v2", "data": visit("full")})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["code"] == "store.full"
        assert answer.headers["content-type"] == "application/problem+json"
        assert await here.rows("SELECT count(*) FROM journal") == before
        assert (await source.get("/healthz")).status_code == 200, "what only reads goes on"
        await pages(here, HUGE)
        answer = await source.post("/v1/events", json={"type": "visit.start", "id": "v2", "data": visit("full")})
        assert (answer.status_code, "duplicate" in answer.json()) == (202, False)
        await here.quiet()
        assert sorted(run.key for run in await here.runs()) == ["V-1", "V-full"]
        assert len(here.handed) == 2


async def test_events_that_were_accepted_before_the_disk_was_full_are_turned_when_there_is_room(tmp_path: Path):
    async with line(f"sqlite:///{tmp_path}/beckon.db", tmp_path, SEND) as here:
        await here.close()
        await here.open(start=False)
        await here.beckon.intake.accept([here.event("visit.start", visit(number)) for number in range(40)])
        await fill(here)
        here.beckon.start()
        await asyncio.sleep(0.05)
        assert here.handed == [], "nothing leaves that is not written as leaving"
        await pages(here, HUGE)
        here.beckon.wake()
        await here.quiet()
        assert len(await here.runs()) == 40
        said = [message.rendered.text for _, message in here.handed]
        assert len(said) == len(set(said)) == 40


async def test_the_outcome_of_a_message_waits_for_room_and_the_message_is_sent_once(tmp_path: Path):
    handed, go_on = asyncio.Event(), asyncio.Event()

    async def slow(message: object) -> str:
        handed.set()
        await go_on.wait()
        return "SM-1"

    async with line(f"sqlite:///{tmp_path}/beckon.db", tmp_path, SEND) as here:
        here.channels["sms"].answers.append(slow)
        await here.beckon.intake.accept([here.event("visit.start", visit(1, {"sms": "+32470000001"}))])
        await handed.wait()
        await fill(here)
        go_on.set()
        await asyncio.sleep(0.05)
        assert (await here.delivery()).state != "sent"
        await pages(here, HUGE)
        await here.quiet()
        assert ((await here.delivery()).state, len(here.handed)) == ("sent", 1)


@pytest.mark.timeout(1200)
async def test_a_server_whose_files_may_not_grow_loses_nothing_and_goes_on_when_they_may():
    """The operating system's own limit, on a real process under load: every write past it fails."""
    async with world() as here:
        here.begin(8)
        await here.more(100)
        assert here.made.server is not None
        log = Path(f"{here.made.folder}/beckon.db-wal")
        room = log.stat().st_size + 16_384
        _, hard = resource.prlimit(here.made.server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(here.made.server.pid, resource.RLIMIT_FSIZE, (room, hard))
        async with asyncio.timeout(300):
            while sum(here.refused.values()) < 20:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert set(here.refused) == {503}
        assert "" not in here.retry_after, "each is told when to come again"
        assert here.made.server.poll() is None, "the server lives"
        resource.prlimit(here.made.server.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await here.more(200)
        await here.end()
        await here.finished()
        here.made.stop_server()
        with closing(sqlite3.connect(f"{here.made.folder}/beckon.db")) as database:
            kept = {row[0] for row in database.execute("SELECT id FROM journal WHERE type = 'bench.start'")}
            [integrity] = database.execute("PRAGMA integrity_check").fetchone()
        assert {f"e{number}" for number in here.accepted} <= kept
        assert integrity == "ok"
        assert {int(id_[1:]) for id_ in kept} == set(here.handed)
        assert set(here.handed.values()) == {1}, "a message was handed over twice"
