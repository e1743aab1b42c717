"""An owner has a contact forgotten: the word typed, the page of who was forgotten, and what is left elsewhere."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.test_forgetting import ZENOBIA, contact_of, done, garage, lives
from tests.kit.team import Desk, at_desk
from tests.rooms.worker.stage import Line


@pytest.fixture
async def known(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Line, Desk, str]]:
    """Somebody who took part in everything, and the owner at the desk."""
    async with garage(database_url, tmp_path) as on, at_desk(on.beckon) as owner:
        yield on, owner, await lives(on, ZENOBIA, "CRM-9981-ZQ")


async def test_an_owner_types_the_word_and_nothing_is_shown_any_more(known: tuple[Line, Desk, str]) -> None:
    on, owner, contact = known
    base = f"/console/conversations/{contact}"
    page = (await owner.get(base)).text
    assert "Forget this contact" in page
    refused = await owner.post(f"{base}/forget", sure="yes")
    assert (refused.status_code, "Type “forget”" in refused.text) == (422, True)
    assert contact == await contact_of(on)
    positions = [row[0] for row in await on.rows("SELECT position FROM mentions WHERE who = ?", contact)]
    deliveries = [row[0] for row in await on.rows("SELECT id FROM deliveries WHERE contact = ?", contact)]
    runs = [row[0] for row in await on.rows("SELECT id FROM runs WHERE contact = ?", contact)]

    asked = await owner.post(f"{base}/forget", sure=" Forget ")
    assert (asked.status_code, asked.headers["location"]) == (303, base)
    gone = await owner.get(base)
    assert (gone.status_code, "is being removed" in gone.text) == (410, True)
    await done(on, contact)
    gone = await owner.get(base)
    assert (gone.status_code, "The last that was written down was gone" in gone.text) == (410, True)
    for act in ("reply", "note", "close", "forget"):
        answer = await owner.post(f"{base}/{act}", text="Zenobia?", sure="forget")
        assert answer.status_code == 410, act
    # What is left of her elsewhere can be looked at, and says nothing.
    pages = [f"/console/events/{position}" for position in positions]
    pages += [f"/console/deliveries/{id_}" for id_ in deliveries] + [f"/console/runs/{id_}" for id_ in runs]
    pages += ["/console/conversations", "/console/deliveries", "/console/runs", "/console/events", "/console/members"]
    assert min(len(positions), len(deliveries), len(runs)) > 0
    for path in [*pages, "/console/calls"]:
        shown = await owner.get(path)
        assert shown.status_code == 200, path
        for word in ("Zenobia", "Quillfeather", "470 77 71 11", "470777111", "Dandelion", "Mortimer"):
            assert word not in shown.text, path


async def test_an_agent_forgets_nobody(known: tuple[Line, Desk, str]) -> None:
    on, _owner, contact = known
    async with at_desk(on.beckon, "agent") as agent:
        base = f"/console/conversations/{contact}"
        assert "Forget this contact" not in (await agent.get(base)).text
        assert (await agent.post(f"{base}/forget", sure="forget")).status_code == 403
        assert contact == await contact_of(on)
