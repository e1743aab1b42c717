"""The demo's second story in a real browser: the shop's app, its till, the member's own page, ten days later."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import FrameLocator, Locator, Page, expect

from beckon.core.clock import DraggableClock
from beckon.demo import Stage, staged
from beckon.web.filters import moment

ZONE = "Europe/Brussels"
TEN_DAYS = "[data-drag-ms='864000000']"


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Stage]:
    """The demo as ``beckon demo`` runs it, at ten in the morning: by night offers wait for the day."""
    clock = DraggableClock()
    local = moment(clock.now_ms(), ZONE)
    clock.drag(((24 + 10 - local.hour) % 24) * 3_600_000)
    async with staged(tmp_path / "demo", clock=clock, with_page=True, by_itself=True) as stage:
        yield stage


def steps_done(page: Page) -> Locator:
    """The steps of the story that are lit as done."""
    return page.locator(".rail-steps > [data-state=done]")


async def sign_up(page: Page) -> None:
    """In the app on the customer's phone."""
    await page.get_by_role("button", name="Sign up").click()
    await expect(steps_done(page)).to_have_count(2)
    await page.get_by_role("button", name="See what is on offer").click()
    await expect(page.locator(".tile", has_text="Taste two kinds")).to_be_visible()
    await expect(steps_done(page)).to_have_count(3)


async def buy_two_kinds(page: Page) -> None:
    """At the till."""
    await page.get_by_role("button", name="Pulled pork fries, $9.50: add one").click()
    await page.get_by_role("button", name="Curly fries, $8.50: add one").click()
    await page.get_by_role("button", name="Pay $18.00").click()


async def open_wallet(page: Page) -> FrameLocator:
    """The alert is read (its notification goes by itself after a while), and the wallet opened in the app."""
    await expect(page.locator("[data-open-app=web_push] .app-count")).to_be_visible()
    await page.locator("[data-open-app=web_push]").click()
    await expect(page.locator(".alert").first).to_contain_text("New: 20% off Mobile Tuesdays")
    await page.locator("[data-open-app=offers]").click()
    await page.locator("[data-tab=wallet]").click()
    return page.frame_locator("#offers-frame")


async def test_the_seeds_seven_steps_on_the_demos_page(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    await page.get_by_role("navigation", name="Stories").get_by_role("link", name="Loyalty").click()
    await expect(page.get_by_role("heading", name="Till")).to_be_visible()

    # 1, 2, 3: sign-up, the welcome by mail, the campaigns; the request is shown as it was sent
    await sign_up(page)
    await expect(page.locator("#sent-to")).to_contain_text("POST /priv/v1/apps/main/users")
    await expect(page.locator("#sent-body")).to_have_value(re.compile('"first_name": "Amanda"'))
    await page.locator("[data-open-app=email]").click()
    mail = page.frame_locator(".mail iframe")
    await expect(mail.get_by_text("welcome to Fancy Fries", exact=False).first).to_be_visible()
    await expect(mail.get_by_text("Garage Van Dijk")).to_have_count(0)

    # 4, 5, 6: the purchase completes a campaign, the offer is in the wallet, the phone is notified
    await buy_two_kinds(page)
    await expect(page.locator("#sent-answer")).to_have_text("200 OK")
    await expect(steps_done(page)).to_have_count(6)
    wallet = await open_wallet(page)
    await expect(wallet.get_by_role("heading", name="20% off Mobile Tuesdays")).to_be_visible()
    await expect(page.locator(".ladder > [data-state=chosen]")).to_contain_text("App push")
    team = page.frame_locator("#team-frame")
    await expect(team.locator(".bubble", has_text="It is waiting in your wallet.")).to_be_visible()

    # 7: ten days later
    await page.locator(TEN_DAYS).click()
    await expect(steps_done(page)).to_have_count(7)
    await page.locator("[data-open-app=web_push]").click()
    await expect(page.locator(".alert").first).to_contain_text("10 days left: 20% off Mobile Tuesdays")
    await expect(page.locator(".flow-card h3")).to_have_text("Offer expires for Amanda Jones")
    await expect(page.locator(".flow-card .badge")).to_have_text("done")


async def test_the_till_uses_an_offers_code_from_the_phone_and_takes_the_sale_back(page: Page, demo: Stage) -> None:
    await page.goto(f"{demo.address}/?scene=loyalty")
    await sign_up(page)
    await buy_two_kinds(page)
    wallet = await open_wallet(page)
    await wallet.get_by_role("link", name="Use it").first.click()
    letters = wallet.locator(".voucher-letters")
    await expect(letters).to_be_visible()
    code = await letters.inner_text()
    await page.get_by_placeholder("Scan an offer’s code").fill(code)
    await page.get_by_placeholder("Scan an offer’s code").press("Enter")
    await expect(page.locator(".coupon[aria-pressed=true]")).to_have_count(1)
    await page.get_by_role("button", name="Snack box, $6.00: add one").click()
    await page.get_by_role("button", name="Pay $6.00").click()
    await expect(page.locator("#sent-reply")).to_have_value(re.compile(r'"total": 4.8'))
    # the same request once more changes nothing; the answer is the one of the first time
    points = page.locator(".shoppers .num")
    await expect(points).to_contain_text("228 points")
    await page.locator("#sent-send").click()
    await expect(page.locator("#sent-answer")).to_have_text("200 OK")
    await expect(points).to_contain_text("228 points")
    await page.get_by_role("button", name="Return all").click()
    await expect(page.locator(".receipt")).to_contain_text("Taken back")
    await expect(points).to_contain_text("180 points")
    # what can't be, is said: a code that is nobody's
    await page.get_by_placeholder("Scan an offer’s code").fill("ofr_nobodys")
    await page.get_by_placeholder("Scan an offer’s code").press("Enter")
    await page.get_by_role("button", name="Lemonade, $3.00: add one").click()
    await page.get_by_role("button", name="Pay $3.00").click()
    await expect(page.locator("#sent-answer .badge")).to_have_attribute("data-tone", "bad")
    await expect(page.locator("#sent-answer")).to_contain_text("offer")


async def test_without_consent_the_story_says_that_nobody_could_be_told(page: Page, demo: Stage) -> None:
    await page.goto(f"{demo.address}/?scene=loyalty")
    await page.locator(".join-yes input").uncheck()
    await sign_up(page)
    await buy_two_kinds(page)
    await expect(page.locator(".rail-steps > [data-state=bad]")).to_contain_text("no channel")
    passed = page.locator(".ladder > [data-state=passed]")
    await expect(passed.filter(has_text="refused marketing")).to_have_count(4)


async def test_the_loyalty_story_plays_itself(page: Page, demo: Stage) -> None:
    await page.goto(f"{demo.address}/?scene=loyalty&pace=0.1")
    await page.get_by_role("button", name="Play the story").click()
    await expect(steps_done(page)).to_have_count(7, timeout=300_000)
    await expect(page.locator(".alert").first).to_contain_text("10 days left")


async def test_the_loyalty_story_in_a_hand(phone: Page, demo: Stage) -> None:
    await phone.goto(f"{demo.address}/?scene=loyalty")
    assert await phone.evaluate("document.documentElement.scrollWidth") == 390
    dock = phone.locator(".dock")
    await dock.get_by_role("button", name="Phone").tap()
    await sign_up(phone)
    await dock.get_by_role("button", name="Till").tap()
    await buy_two_kinds(phone)
    await expect(dock.locator("[data-show=customer] .dock-dot")).to_be_visible()
    await dock.get_by_role("button", name="Phone").tap()
    wallet = await open_wallet(phone)
    await expect(wallet.get_by_role("heading", name="20% off Mobile Tuesdays")).to_be_visible()
    assert await phone.evaluate("document.documentElement.scrollWidth") == 390
