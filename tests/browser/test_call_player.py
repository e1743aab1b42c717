"""The recording player in a real browser: seen, heard, sought, commented; by keyboard and on a phone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from beckon.journeys.call_processing.kept import decode
from beckon.web.sessions import COOKIE
from tests.journeys.test_calls_kept import desk, rows, switch_of, talk
from tests.kit.team import at_desk, served, two_voices
from tests.rooms.worker.stage import Line


class Shop:
    """A server with one recorded call, and its owner's cookie."""

    def __init__(self, on: Line, url: str, call: str, token: str) -> None:
        self.on = on
        self.url = url
        self.call = call
        self._token = token

    async def visit(self, page: Page, path: str = "") -> None:
        await page.context.add_cookies([{"name": COOKIE, "value": self._token, "url": self.url}])
        await page.goto(f"{self.url}{path or f'/console/calls/{self.call}'}")
        await expect(page.locator("call-player[data-ready]")).to_be_visible()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path) as on, at_desk(on.beckon) as owner:
        switch_of(on).wav = two_voices(20.0)
        call = await talk(on)
        async with served(on.beckon) as url:
            yield Shop(on, url, call, owner.token)


POSITION = "document.querySelector('call-player')?.position"
#: Whether the waveform's canvas has anything but its ground.
DRAWN = """() => {
  const canvas = document.querySelector("call-player canvas");
  const paper = canvas.getContext("2d");
  const pixels = paper.getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(pixels.data.buffer)).size;
}"""


async def test_the_waveform_is_drawn_and_the_recording_plays(shop: Shop, page: Page) -> None:
    await shop.visit(page)
    assert await page.evaluate(DRAWN) > 1
    await expect(page.locator(".player-time")).to_have_text("0:00 / 0:20")
    await expect(page.locator(".player-side")).to_have_text(["Caller", "Callee"])
    # So slowly that twenty seconds are enough for any machine.
    await page.evaluate("document.querySelector('call-player audio').playbackRate = 0.1")
    await page.get_by_role("button", name="Play").click()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await page.wait_for_function(f"() => {POSITION} > 0.2")
    # A finger takes its time between down and up, and the page draws meanwhile.
    await page.get_by_role("button", name="Pause").click(delay=150)
    await expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert await page.evaluate(POSITION) < 15
    kept = decode((await rows(shop.on))[0]["body"])
    assert len(kept.listened) == 1


async def test_it_works_by_keyboard_alone(shop: Shop, page: Page) -> None:
    await shop.visit(page)
    wave = page.get_by_role("slider", name="Position")
    await wave.focus()
    for key, at in (("ArrowRight", 5), ("ArrowRight", 10), ("Shift+ArrowLeft", 9), ("End", 20), ("Home", 0)):
        await page.keyboard.press(key)
        await expect(wave).to_have_attribute("aria-valuenow", str(at))
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_label("Speed")).to_have_value("1.25")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("c")
    await expect(page.get_by_label("Comment", exact=True)).to_be_focused()
    await expect(page.get_by_label("Moment")).to_have_value("0:05")
    await page.keyboard.type("Said the price")
    await page.keyboard.press("Enter")
    await expect(page.locator(".comments > li")).to_contain_text(["Said the price"])
    await expect(page.locator(".player-mark")).to_have_count(1)
    await expect(page.locator(".timeline")).to_contain_text("commented at 0:05")
    [comment] = decode((await rows(shop.on))[0]["body"]).comments
    assert (comment.moment_ms, comment.text) == (5_000, "Said the price")
    await wave.focus()
    await page.keyboard.press("Home")
    await page.locator(".player-mark").focus()
    await page.keyboard.press("Enter")
    await expect(wave).to_have_attribute("aria-valuenow", "5")


async def test_it_is_touched_on_a_phone(shop: Shop, phone: Page) -> None:
    await shop.visit(phone)
    wave = phone.locator(".player-wave")
    await wave.scroll_into_view_if_needed()
    box = await wave.bounding_box()
    assert box is not None
    assert box["width"] > 250
    await phone.touchscreen.tap(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    await expect(wave).to_have_attribute("aria-valuenow", "15")
    assert await phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await phone.get_by_text("Middling", exact=True).tap()
    await phone.get_by_label("In a word").fill("too quick")
    await phone.get_by_role("button", name="Keep").tap()
    await expect(phone.locator(".mark-form")).to_contain_text("Marked middling by Anouk")


async def test_a_thread_plays_it_too_and_goes_on_when_the_page_looks_again(shop: Shop, page: Page) -> None:
    contact = (await rows(shop.on))[0]["contact"]
    await shop.visit(page, f"/console/conversations/{contact}")
    await page.get_by_role("button", name="Play").click()
    await page.wait_for_function(f"() => {POSITION} > 0.2")
    await shop.on.says("agent.noted", {"contact": contact, "text": "Listen to this", "by": "per_1"})
    await expect(page.get_by_text("Listen to this")).to_be_visible()
    await page.wait_for_function(f"() => {POSITION} > 0.5")
    assert await page.locator("call-player[data-ready]").count() == 1


async def test_a_recording_that_went_meanwhile_is_said_to_be_gone(shop: Shop, page: Page) -> None:
    await shop.visit(page)
    [(path,)] = await shop.on.rows("SELECT path FROM recordings")
    await asyncio.to_thread(Path(path).unlink)
    await page.get_by_role("button", name="Play").click()
    await expect(page.locator(".player-said")).to_contain_text("can't be played")
