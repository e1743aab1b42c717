"""The demo's calls in a real browser: a courier's keypad, the customer's phone, a wire that breaks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, ViewportSize, expect

from beckon.core.clock import VirtualClock
from beckon.demo import staged

#: A Tuesday at ten in Brussels: the reception is open.
MORNING_MS = 1_789_459_200_000
#: What is spoken takes its time.
SPOKEN_MS = 300_000


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    async with staged(tmp_path / "demo", clock=VirtualClock(MORNING_MS), with_page=True, by_itself=True) as stage:
        yield stage.address


async def test_a_courier_reaches_the_customer_and_the_call_stands_in_the_conversation(address: str, page: Page) -> None:
    await page.goto(f"{address}/?scene=calls")
    await page.get_by_role("button", name="Call the store").click()
    heard = page.locator('[data-region="app-calls"]')
    await expect(heard).to_contain_text("Please type the order number", timeout=SPOKEN_MS)
    for key in "4711#":
        await page.get_by_role("group", name="Keys").get_by_role("button", name=key, exact=True).click()
    store = page.locator('[data-region="business"]')
    await expect(store).to_contain_text("Shows +32 2 123 45 67", timeout=SPOKEN_MS)
    await expect(store).not_to_contain_text("+32 470 00 00 01 calls")
    await store.get_by_role("button", name="Answer").click()
    await expect(store).to_contain_text("A courier of the store calls about your order 4711", timeout=SPOKEN_MS)
    await expect(heard).to_contain_text("this is your courier", timeout=SPOKEN_MS)
    await page.get_by_role("button", name="Hang up").first.click()
    team = page.frame_locator("#team-frame")
    await expect(team.locator(".call-entry")).to_contain_text("Connected", timeout=SPOKEN_MS)
    await expect(page.locator('[data-region="story"] [data-state="done"]')).to_have_count(7)


async def test_when_the_wire_is_dead_the_caller_reaches_the_reception(address: str, page: Page) -> None:
    await page.goto(f"{address}/?scene=calls")
    await page.get_by_label("The wire to the store's system").select_option("dead")
    store = page.locator('[data-region="business"]')
    await expect(store.locator("[data-wire]")).to_have_value("dead")
    await page.get_by_role("button", name="Call the store").click()
    await expect(store).to_contain_text("The reception", timeout=SPOKEN_MS)


async def test_a_phone_shows_all_of_it_part_by_part(address: str, phone: Page) -> None:
    await phone.goto(f"{address}/?scene=calls")
    await phone.get_by_role("button", name="Phone", exact=True).first.tap()
    await phone.get_by_role("button", name="Call the store").tap()
    await expect(phone.get_by_role("button", name="Hang up")).to_be_visible()
    assert await phone.evaluate("document.documentElement.scrollWidth <= innerWidth")


#: The newest line of the caller's phone, and the box that it stands in.
INSIDE = """() => {
  const box = document.querySelector('[data-region="app-calls"] > .said-lines');
  const line = box.lastElementChild;
  line.classList.add("is-heard");
  const [outer, inner] = [box.getBoundingClientRect(), line.getBoundingClientRect()];
  const within = inner.right <= outer.right && inner.bottom <= outer.bottom + 1;
  return within && getComputedStyle(line).outlineStyle === "none"
    && (box.scrollHeight <= box.clientHeight || getComputedStyle(box).overflowY === "auto");
}"""


@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}])
async def test_what_is_said_is_seen_whole(address: str, page: Page, size: ViewportSize) -> None:
    await page.set_viewport_size(size)
    await page.goto(f"{address}/?scene=calls")
    if size["width"] < 600:
        await page.get_by_role("button", name="Phone", exact=True).first.click()
    await page.get_by_role("button", name="Call the store").click()
    await expect(page.locator('[data-region="app-calls"]')).to_contain_text("order number", timeout=SPOKEN_MS)
    for key in "1#":
        await page.get_by_role("group", name="Keys").get_by_role("button", name=key, exact=True).click()
    await expect(page.locator('[data-region="app-calls"]')).to_contain_text("no such order", timeout=SPOKEN_MS)
    await page.wait_for_function(INSIDE)
