"""Whom an event is about: by address, and where that leads to nobody, by the run that waits for it."""

from pathlib import Path

from tests.rooms.worker.stage import ANN, line, visit
from tests.rooms.worker.test_turning import WAITING


async def test_who_checks_in_with_another_number_is_still_who_was_invited(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.says("visit.start", visit(17))
        invited = (await here.run()).contact
        await here.says(
            "visit.finished", {"visit": "V-17", "contact": {"name": "Ann Peeters", "phone": "+32499888777"}}
        )
        assert (await here.run()).status == "done"
        contacts = await here.rows("SELECT id, name FROM contacts")
        assert contacts == [(invited, "Ann Peeters")]
        addresses = await here.rows("SELECT external_id FROM addresses WHERE contact = ? AND channel = 'sms'", invited)
        assert sorted(addresses) == [("+32470123456",), ("+32499888777",)]


async def test_somebody_known_is_not_mistaken_for_who_is_waited_for(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.says("visit.start", visit(17, ANN))
        await here.says("visit.start", visit(18, {"name": "Bob", "phone": "+32470654321"}))
        await here.says("visit.finished", {"visit": "V-17", "contact": {"phone": "+32470654321"}})
        assert len(await here.rows("SELECT id FROM contacts")) == 2
        assert {run.key: run.status for run in await here.runs()} == {"V-17": "done", "V-18": "waiting"}


async def test_a_result_about_a_visit_that_nobody_waits_for_makes_a_contact_of_its_own(
    database_url: str, tmp_path: Path
):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.says("visit.finished", {"visit": "V-99", "contact": {"phone": "+32499888777"}})
        assert len(await here.rows("SELECT id FROM contacts")) == 1
        assert await here.runs() == []
