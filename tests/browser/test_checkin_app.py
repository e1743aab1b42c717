"""The check-in app in a real browser: on a phone and on a desk, with and without JavaScript."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import Browser, Page, expect

from tests.kit.browser import HAND, fresh_page
from tests.sandbox.checkin import Provider


@asynccontextmanager
async def served(provider: Provider) -> AsyncIterator[str]:
    """The app on a port of its own."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(provider.app, log_level="warning", lifespan="off", loop="none"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
            await provider.wvp.close()


@pytest.fixture
async def provider() -> Provider:
    return Provider()


@pytest.fixture
async def address(provider: Provider) -> AsyncIterator[str]:
    async with served(provider) as url:
        yield url


async def forward(page: Page) -> None:
    """Tap the step's main button."""
    await page.locator(".wvp-foot .button").first.click()


async def onward(page: Page) -> None:
    """Tap it, and wait for the page that comes."""
    async with page.expect_event("load"):
        await forward(page)


async def fits(page: Page) -> None:
    """Nothing sticks out to the side, and what is tapped is large enough for a thumb (WCAG 2.5.8)."""
    await page.wait_for_load_state("load")  # with its styles
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = await page.evaluate(
        """[...document.querySelectorAll("a, button, summary, .choice, .chip, .input")]
            .filter((one) => one.offsetParent && !one.classList.contains("sr-only"))
            .map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
            .filter(([, box]) => box.width < 24 || box.height < 24).map(([text]) => text)"""
    )
    assert small == []


async def check_in(page: Page) -> None:
    """All six steps, as a customer types them."""
    await page.get_by_role("link", name="Start check-in").click()
    await page.get_by_label("Mobile number").fill("0470 12 34 57")
    await fits(page)
    await forward(page)
    await page.get_by_label("Mileage").fill("45.300 km")
    await fits(page)
    await forward(page)
    await page.get_by_label("Car wash").check()
    await page.get_by_label("I hear a noise").check()
    await page.get_by_label("Your message to the workshop").fill("Rattles when cold")
    await fits(page)
    await forward(page)
    await page.get_by_text("In the key box").click()
    await fits(page)
    await forward(page)
    await page.get_by_text("I ask Garage Vermeulen").click()
    await fits(page)
    await forward(page)
    await expect(page.get_by_role("heading", name="Is everything right?")).to_be_visible()
    for words in ("+32 470 12 34 57", "45,300 km", "Car wash", "Rattles when cold", "In the key box"):
        await expect(page.locator(".wvp-review")).to_contain_text(words)
    await fits(page)
    await page.get_by_role("button", name="Send check-in").click()
    await expect(page.get_by_role("heading", name="You are checked in")).to_be_visible()
    await fits(page)


async def test_a_customer_checks_in_on_a_phone(provider: Provider, address: str, phone: Page):
    visit = provider.plan()
    await phone.goto(f"{address}/{visit.slug}")
    await fits(phone)
    await check_in(phone)
    assert await phone.locator(".wvp-digits").get_attribute("aria-label") == " ".join(visit.box_code)
    await provider.wvp.reporter.settled()
    (event,) = provider.listener.said("checkin.finished")
    assert event["data"]["mileage"] == 45_300
    assert event["data"]["contact"]["phone"] == "+32470123457"

    await phone.go_back()
    await expect(phone.get_by_role("heading", name="You are checked in")).to_be_visible()


async def test_a_customer_checks_in_on_a_desk(provider: Provider, address: str, page: Page):
    visit = provider.plan()
    await page.goto(f"{address}/{visit.slug}")
    await check_in(page)
    await provider.wvp.reporter.settled()
    assert len(provider.listener.said("checkin.finished")) == 1


async def test_a_customer_checks_in_without_javascript(provider: Provider, address: str, browser: Browser):
    visit = provider.plan()
    async with fresh_page(browser, **HAND, java_script_enabled=False) as phone:
        await phone.goto(f"{address}/{visit.slug}")
        await phone.get_by_role("link", name="Start check-in").click()
        await phone.locator(".wvp-language summary").click()
        await phone.get_by_label("Name", exact=True).fill("Anna J")
        await phone.get_by_role("button", name="Français").click()
        await expect(phone.get_by_label("Nom", exact=True)).to_have_value("Anna J")
        await forward(phone)
        await phone.get_by_label("Kilométrage").fill("45300")
        # A page without scripts: whoever taps twice before the next page is there sends the same form twice.
        for _ in range(2):
            await onward(phone)
        await phone.get_by_text("Au comptoir").click()
        await onward(phone)
        await phone.get_by_text("Je charge Garage Vermeulen").click()
        for _ in range(2):
            await onward(phone)
        await expect(phone.get_by_role("heading", name="Vous êtes enregistré")).to_be_visible()
    await provider.wvp.reporter.settled()
    (event,) = provider.listener.said("checkin.finished")
    assert event["data"]["contact"]["name"] == "Anna J"
    assert event["data"]["contact"]["locale"] == "fr"


async def test_enter_continues_and_never_changes_the_language(provider: Provider, address: str, page: Page):
    visit = provider.plan()
    await page.goto(f"{address}/{visit.slug}/contact")
    await page.get_by_label("Name", exact=True).press("Enter")
    await expect(page.get_by_role("heading", name="What is the mileage?")).to_be_visible()


async def test_a_wrong_answer_is_marked_said_and_gone_when_mended(provider: Provider, address: str, phone: Page):
    visit = provider.plan()
    await phone.goto(f"{address}/{visit.slug}/contact")
    await phone.get_by_label("E-mail address").fill("anna@gmial.com")
    await forward(phone)
    await expect(phone.get_by_role("alert")).to_be_focused()
    field = phone.get_by_label("E-mail address")
    await expect(field).to_have_attribute("aria-invalid", "true")
    described = str(await field.get_attribute("aria-describedby")).split()
    assert "Do you mean anna@gmail.com?" in str(await phone.locator(f"#{described[-1]}").text_content())
    await expect(phone).to_have_title(re.compile(r"^Error: "))
    await field.fill("anna@gmail.com")
    await forward(phone)
    await expect(phone.get_by_label("Mileage")).to_be_visible()


async def test_a_low_mileage_asks_once_more(provider: Provider, address: str, phone: Page):
    visit = provider.plan()
    await phone.goto(f"{address}/{visit.slug}/mileage")
    await phone.get_by_label("Mileage").fill("4530")
    await forward(phone)
    await phone.get_by_label("Yes, 4,530 is correct").check()
    await forward(phone)
    await expect(phone.get_by_role("heading", name="Anything else we can do?")).to_be_visible()


async def test_what_was_typed_survives_a_closed_tab(provider: Provider, address: str, phone: Page):
    visit = provider.plan()
    await phone.goto(f"{address}/{visit.slug}/wishes")
    async with phone.expect_response(lambda response: response.status == 204):
        await phone.get_by_label("Your message to the workshop").fill("It squeaks")
    await phone.goto("about:blank")
    await phone.goto(f"{address}/{visit.slug}/wishes")
    await expect(phone.get_by_label("Your message to the workshop")).to_have_value("It squeaks")


async def test_the_address_is_asked_for_where_it_is_needed(provider: Provider, address: str, phone: Page):
    visit = provider.plan()
    await phone.goto(f"{address}/{visit.slug}/key")
    await expect(phone.get_by_label("Pick-up address")).to_be_hidden()
    await phone.get_by_text("We collect it at home").click()
    await phone.get_by_label("Pick-up address").fill("Kerkstraat 1, 9000 Gent")
    await onward(phone)
    assert visit.typed["address"] == "Kerkstraat 1, 9000 Gent"


async def test_two_impatient_taps_are_one_check_in(provider: Provider, address: str, phone: Page):
    visit = provider.plan()
    await phone.goto(f"{address}/{visit.slug}")
    visit.typed.update({"mileage": "45300", "key_drop": "counter", "terms": "yes"})
    await phone.goto(f"{address}/{visit.slug}/review")
    await phone.get_by_role("button", name="Send check-in").dblclick()
    await expect(phone.get_by_role("heading", name="You are checked in")).to_be_visible()
    await provider.wvp.reporter.settled()
    assert len(provider.listener.said("checkin.finished")) == 1


async def test_the_first_page_is_small(provider: Provider, address: str, phone: Page):
    visit = provider.plan()
    await phone.goto(f"{address}/{visit.slug}")  # the first one warms the server's templates
    await phone.goto("about:blank")
    await phone.goto(f"{address}/{visit.slug}", wait_until="load")
    sizes = await phone.evaluate(
        """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .reduce((sum, one) => sum + one.encodedBodySize, 0)"""
    )
    assert sizes < 40_000, "the whole page, with its styles, in bytes"


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_step_fits_at_every_width_in_the_longest_language(
    provider: Provider, address: str, browser: Browser, tmp_path: Path, width: int, scheme: str
):
    visit = provider.plan()
    visit.typed.update({"mileage": "45300", "key_drop": "home", "address": "Kerkstraat 1", "wish": "air_conditioning"})
    size = {"viewport": {"width": width, "height": 740}, "color_scheme": scheme}
    async with fresh_page(browser, **size) as page:
        for step in ("", "/contact", "/mileage", "/wishes", "/key", "/consent", "/review"):
            await page.goto(f"{address}/{visit.slug}{step}?lang=de")
            await fits(page)
        await page.goto(f"{address}/nothing")
        await fits(page)
