"""Loyalty in a real browser: a member uses and buys with a phone in the hand, the team looks on; in both colours."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from beckon.journeys.loyalty_offers import asked
from tests.journeys.loyalty.counter import EMAIL, PASSWORD, Counter, opened
from tests.kit.browser import HAND, fresh_page

#: Every text on the page with too little contrast to its ground (WCAG AA), as "ratio text".
_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const read = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const part = (v) => (v <= 10 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    const [x, y, z] = [r, g, b].map(part);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const style = getComputedStyle(one);
      const stops = style.backgroundImage.match(/rgb[^)]*\\)/g);
      if (stops) return stops.map(read);
      const colour = read(style.backgroundColor);
      if (colour[3] > 250) return [colour];
    }
    return [[255, 255, 255, 255]];
  };
  const wrong = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest(".sr-only, .skip, svg")) continue;
    const style = getComputedStyle(element);
    const ink = light(read(style.color));
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    for (const colour of ground(element)) {
      const [a, b] = [ink, light(colour)].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < (large ? 3 : 4.5)) wrong.push(`${ratio.toFixed(2)} ${walker.currentNode.data.trim().slice(0, 40)}`);
    }
  }
  return wrong;
}"""
#: Buttons and links that a thumb would miss: smaller than 24 by 24 px (WCAG 2.5.8), links within a sentence apart.
_SMALL = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), summary")]
  .filter((one) => one.checkVisibility() && !one.closest(".skip, .sr-only, p:not(.wallet-more)"))
  .map((one) => [one, one.getBoundingClientRect()]).filter(([, box]) => box.width < 24 || box.height < 24)
  .map(([one, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${one.textContent.trim().slice(0, 30)}`)"""


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    async with opened(tmp_path / "fries", team=True) as open_one:
        yield open_one


async def fits(page: Page) -> None:
    """Nothing sticks out to the side, can't be read, or is too small for a thumb."""
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    assert await page.evaluate(_CONTRAST) == [], page.url
    assert await page.evaluate(_SMALL) == [], page.url


async def test_a_member_buys_with_points_and_shows_the_code_at_the_till(counter: Counter, phone: Page) -> None:
    amanda = await counter.amanda(points=300)
    await phone.goto(counter.url + counter.wallet(amanda))
    await expect(phone.get_by_text("300 points", exact=True)).to_be_visible()
    await phone.get_by_role("link", name="Get it: Large fries, 120 points").tap()
    await expect(phone.get_by_text("180 points")).to_be_visible()
    await phone.get_by_role("button", name="Get it for 120 points").dblclick()
    await expect(phone.get_by_role("status")).to_contain_text("It’s yours")
    member = await counter.member(amanda.id)
    assert (member.account.balance, len(member.offers)) == (180, 1)
    symbol = phone.get_by_role("img", name=re.compile("Show this code at the till: ofr_"))
    await expect(symbol).to_be_in_viewport()
    # The till takes it; the page sees that by itself.
    await counter.ask("loyalty.offer_asked", asked.Act(offer=member.offers[0], act="redeem", by="till-1"))
    await expect(phone.get_by_text("You used this offer on")).to_be_visible()
    await expect(symbol).to_have_count(0)
    await phone.get_by_role("link", name="Back to your offers").tap()
    await expect(phone.get_by_text("Nothing is waiting for you right now.")).to_be_visible()


async def test_an_offer_goes_into_the_cart_and_a_wrong_code_is_told_beside_its_field(
    counter: Counter, phone: Page
) -> None:
    amanda = await counter.amanda()
    await counter.issue(amanda, "mobile-tuesday")
    await phone.goto(counter.url + counter.wallet(amanda))
    await phone.get_by_role("link", name="Use it: Mobile Tuesdays").tap()
    await phone.get_by_role("button", name="Add to my cart").tap()
    await expect(phone.get_by_text("It is in your cart.", exact=True)).to_be_visible()
    await phone.get_by_role("link", name="Back to your offers").tap()
    await expect(phone.locator(".ticket", has_text="Mobile Tuesdays")).to_contain_text("In your cart")
    field = phone.get_by_label("Have a code?")
    await field.fill("guess-1")
    await phone.get_by_role("button", name="Redeem").tap()
    await expect(phone.get_by_role("alert")).to_contain_text("We don’t know this code.")
    await expect(field).to_have_value("guess-1")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_be_focused()
    await phone.locator(".wallet-language summary").tap()
    await phone.get_by_role("link", name="Français").tap()
    await expect(phone.get_by_role("heading", name="Prêtes à utiliser")).to_be_visible()


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_every_page_of_a_member_can_be_read_and_tapped(counter: Counter, browser: Browser, colours: str) -> None:
    amanda = await counter.amanda(points=300)
    await counter.buys_fries(amanda)
    offer = await counter.issue(amanda, "mobile-tuesday")
    used = await counter.issue(amanda, "snack-box")
    await counter.ask("loyalty.offer_asked", asked.Act(offer=used, act="redeem", by="till-1"))
    home = counter.url + counter.wallet(amanda)
    async with fresh_page(browser, **HAND, color_scheme=colours) as phone:
        for path in (
            *("", "?lang=de", f"/offers/{offer}", f"/offers/{used}", "/store/large-fries", "/store/party-platter"),
            *("/history", "x"),
        ):
            await phone.goto(home + path)
            await fits(phone)


async def test_a_page_without_scripts_does_the_same(counter: Counter, browser: Browser) -> None:
    amanda = await counter.amanda(points=300)
    async with fresh_page(browser, **HAND, java_script_enabled=False) as phone:
        await phone.goto(counter.url + counter.wallet(amanda))
        await phone.get_by_role("link", name="Get it: Snack box, 80 points").tap()
        await phone.get_by_role("button", name="Get it for 80 points").tap()
        await expect(phone.get_by_role("status")).to_contain_text("It’s yours")


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_the_team_looks_a_member_up_and_sees_the_page_change(
    counter: Counter, browser: Browser, colours: str
) -> None:
    amanda = await counter.amanda(points=300)
    await counter.buys_fries(amanda)
    async with fresh_page(browser, viewport={"width": 1280, "height": 800}, color_scheme=colours) as page:
        await page.goto(f"{counter.url}/console/members")
        await page.get_by_label("Mailbox").fill(EMAIL)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_label("Find a member by mailbox, phone number or id").press_sequentially("aman")
        await page.get_by_role("link", name="Amanda Peeters").click()
        wallet = page.locator("#wallet")
        await expect(wallet).to_contain_text("Large fries")
        await expect(page.locator(".who .live-dot[data-live-state=on]")).to_be_visible()
        await counter.issue(amanda, "snack-box")
        await expect(wallet).to_contain_text("Snack box")
        row = wallet.locator("tr", has_text="Snack box")
        await row.locator("summary").click()
        await row.get_by_label("Why?").fill("a mistake")
        await row.get_by_role("button", name="Take it back").click()
        await expect(page.get_by_role("status")).to_contain_text("The offer was taken back.")
        await expect(row).to_contain_text("Revoked")
        for path in ("/console/campaigns", "/console/campaigns/two-kinds", f"/console/members/{amanda.id}"):
            await page.goto(counter.url + path)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            assert await page.evaluate(_CONTRAST) == [], path
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.goto(f"{counter.url}/console/campaigns/two-kinds")
        newest = "document.querySelector('svg .bars-issued').getBoundingClientRect()"
        assert await page.evaluate(f"{newest}.right <= innerWidth"), "on a phone the newest days are in sight"
        await page.goto(f"{counter.url}/console/members/{amanda.id}")
        await expect(page.get_by_role("heading", name="Forget this member")).to_have_count(0)
