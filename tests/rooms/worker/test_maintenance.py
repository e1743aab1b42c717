"""What has served its time is forgotten, a page at a time; what has not, stays."""

import asyncio
from pathlib import Path

from beckon.maintenance import Maintenance
from beckon.settings import ServerSettings
from beckon.store.changes import Changes
from beckon.store.tables import ANSWERS, EARLY, IDEMPOTENCY, LINKS, SESSIONS
from tests.rooms.worker.line import ANN, Line, line

DAY_MS = 86_400_000
SETTINGS = ServerSettings(early_days=10, idempotency_days=10, links_days=10, receipts_days=10)
TABLES = ("early", "idempotency", "sessions", "links", "provider_ids", "answers")


async def counts(made: Line) -> dict[str, int]:
    """How many rows each of the tables has."""
    return {table: int((await made.rows(f"SELECT count(*) FROM {table}"))[0][0] or 0) for table in TABLES}


async def made_rows(made: Line, mark: str) -> None:
    """A row of each table, from now."""
    now = made.clock.now_ms()
    await made.tell(mark, "hello", {**ANN, "phone": f"+3247{now % 10_000_000:07d}"})
    await made.rest()
    position = made.beckon.journal.position
    changes = Changes()
    changes.insert(EARLY, (f"key {mark}", position))
    changes.insert(ANSWERS, (position, "{}", now))
    changes.insert(IDEMPOTENCY, ("main", mark, "print", "202 {}", now))
    changes.insert(SESSIONS, (f"session {mark}", "per_1", now + 10 * DAY_MS))
    changes.insert(LINKS, (f"link{mark}", "main", "con_1", "dlv_1", "https://x.example", now))
    await made.beckon.database.commit(changes)


async def test_what_is_over_goes_and_what_is_not_stays(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url) as made:
        await made_rows(made, "old")
        made.clock.drag(9 * DAY_MS)
        await made_rows(made, "new")
        maintenance = Maintenance(made.beckon.database, made.clock, SETTINGS)
        assert not await maintenance.round()
        assert await counts(made) == dict.fromkeys(TABLES, 2)
        made.clock.drag(DAY_MS)
        await maintenance.round()
        assert await counts(made) == dict.fromkeys(TABLES, 1)
        assert await made.rows("SELECT match_key FROM early") == [("key new",)]
        made.clock.drag(9 * DAY_MS)
        await maintenance.round()
        assert await counts(made) == dict.fromkeys(TABLES, 0)


async def test_a_large_table_is_walked_page_by_page_again_and_again(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url) as made:
        now = made.clock.now_ms()
        changes = Changes()
        for number in range(25):
            kept = 100 * DAY_MS if number % 2 else 0
            changes.insert(SESSIONS, (f"session {number:02d}", "per_1", now + kept))
            changes.insert(EARLY, (f"key {number // 5}", number))
        await made.beckon.database.commit(changes)
        maintenance = Maintenance(made.beckon.database, made.clock, SETTINGS, page_rows=10)
        assert await maintenance.round(), "a page of early results of events that are gone is much"
        assert (await counts(made))["early"] == 15
        for _ in range(3):
            await maintenance.round()
        assert await counts(made) == {**dict.fromkeys(TABLES, 0), "sessions": 12}
        made.clock.drag(100 * DAY_MS)
        for _ in range(4):
            await maintenance.round()
        assert (await counts(made))["sessions"] == 0


async def test_it_goes_round_until_it_is_closed(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url) as made:
        changes = Changes()
        changes.insert(SESSIONS, ("over", "per_1", 1))
        await made.beckon.database.commit(changes)
        maintenance = Maintenance(made.beckon.database, made.clock, SETTINGS, pause_s=0.001)
        going = asyncio.create_task(maintenance.run())
        before = made.beckon.database.transactions
        await made.until(lambda: made.beckon.database.transactions > before)
        maintenance.close()
        await going
        assert (await counts(made))["sessions"] == 0


async def test_it_can_be_left_out(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url, maintenance_s=0) as made:
        await made.beckon.maintenance.run()
