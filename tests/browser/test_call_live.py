"""A call under way on its page: each of its steps appears by itself, for whoever looks."""

from pathlib import Path

from playwright.async_api import Page, expect

from beckon.web.sessions import COOKIE
from tests.journeys.test_calls import FOLDER
from tests.journeys.test_calls_kept import ANN, DESK, STORE, begun, desk, over, rows, switch_of
from tests.kit.switches import until
from tests.kit.team import at_desk, served, two_voices


async def test_a_call_under_way_is_followed_step_by_step(tmp_path: Path, page: Page) -> None:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path) as on, at_desk(on.beckon) as owner, served(on.beckon) as url:
        switch = switch_of(on)
        switch.wav = two_voices()
        switch.phones[DESK] = "rings"
        leg = switch.offer(ANN, STORE)
        await until(lambda: leg in switch.answered)
        await begun(on)
        [row] = await rows(on)
        await page.context.add_cookies([{"name": COOKIE, "value": owner.token, "url": url}])
        await page.goto(f"{url}/console/calls/{row['id']}")
        await expect(page.get_by_text("Under way")).to_be_visible()
        await expect(page.locator(".live-dot")).to_have_attribute("data-live-state", "on")
        # Nothing of this is in the journal: no event tells of it.
        before = await on.rows("SELECT COUNT(*) FROM journal")
        switch.press(leg, "4711")
        await expect(page.locator(".timeline")).to_contain_text("Took 4711")
        await expect(page.locator(".phones")).to_contain_text("Rings")
        assert await on.rows("SELECT COUNT(*) FROM journal") == before
        switch.pick_up(DESK)
        await expect(page.locator(".timeline")).to_contain_text(f"Connected with {DESK}")
        await expect(page.locator(".phones").get_by_text("On the phone")).to_have_count(2)
        switch.hang_up_by(leg)
        await over(on)
        await expect(page.locator(".page-head")).to_contain_text("Connected")
        await expect(page.locator("call-player[data-ready]")).to_be_visible()


async def test_a_script_is_seen_whole_from_where_the_call_begins(tmp_path: Path, page: Page) -> None:
    script = (FOLDER / "scripts" / "courier.yaml").read_text().replace("call: courier", "call: desk")
    async with (
        desk(f"sqlite:///{tmp_path}/db", tmp_path, script=script) as on,
        at_desk(on.beckon) as owner,
        served(on.beckon) as url,
    ):
        await page.context.add_cookies([{"name": COOKIE, "value": owner.token, "url": url}])
        await page.goto(f"{url}/console/calls/scripts")
        await expect(page.get_by_role("link", name="desk")).to_have_attribute("aria-current", "page")
        shown = page.locator(".drawing:visible")
        await expect(shown.get_by_text("a call", exact=True)).to_be_in_viewport()
        assert await shown.evaluate("it => it.scrollWidth <= it.clientWidth"), "it fits"
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
