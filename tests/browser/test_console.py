"""The console in a real browser: signing in, a thread that lives, a reply, a phone, the keyboard."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import Error, Page, Route, expect

from beckon.core.delivery import may_follow
from beckon.inbox.conversation import Conversation, apply
from beckon.inbox.entries import entries_for
from beckon.store.changes import Changes
from beckon.store.database import Database
from beckon.store.tables import CONVERSATIONS, DELIVERIES, ENTRIES
from tests.doors.console import story
from tests.doors.console.site import Site, served
from tests.kit.switches import until


class Live:
    """The site under test, and the world that goes on beside it."""

    def __init__(self, site: Site, database: Database, url: str) -> None:
        self.site = site
        self.url = url
        self._database = database
        self._position = 1_000

    async def contact_writes(self, contact: str, text: str) -> None:
        """A message comes in over WhatsApp, and the wheel has taken it."""
        self._position += 1
        data = {"channel": "whatsapp", "from": "1", "text": text, "provider_id": f"wamid.{self._position}"}
        event = story.made("message.received", "providers/whatsapp_cloud/1", story.NOW_MS, data)
        (row,) = await self._database.fetch("SELECT * FROM conversations WHERE contact = ?", (contact,))
        entries = entries_for(event, contact)
        before = Conversation(*row)  # type: ignore[arg-type]
        talk = apply(before, event, entries)
        changes = Changes()
        for entry in entries:
            changes.insert(
                ENTRIES,
                (self._position, story.WORKSPACE, contact, entry.at_ms, entry.kind, entry.author, "", entry.body),
            )
        changes.upsert(CONVERSATIONS, talk.row())
        await self._database.commit(changes)
        self.site.hub.publish(story.WORKSPACE, ["conversations", f"conversation:{contact}"], self._position)

    async def receipt(self, delivery: str, state: str) -> None:
        """A receipt comes in, and the wheel has taken it."""
        self._position += 1
        (row,) = await self._database.fetch("SELECT * FROM deliveries WHERE id = ?", (delivery,))
        body = msgspec.json.decode(str(row[8]))
        assert may_follow(body["state"], state)
        changes = Changes()
        changed = msgspec.json.encode({**body, "state": state}).decode()
        changes.upsert(DELIVERIES, (*row[:3], state, *row[4:8], changed))
        await self._database.commit(changes)
        topics = ["deliveries", f"conversation:{row[2]}"]
        self.site.hub.publish(story.WORKSPACE, topics, self._position)

    def read(self) -> list[int]:
        """What was said to be read, each time: how many entries."""
        return [event.data["seen"] for event in self.site.accepted if event.type == "conversation.read"]

    async def sign_in(self, page: Page, path: str) -> None:
        await page.goto(self.url + path)
        await page.get_by_label("Mailbox").fill(story.EMAIL)
        await page.get_by_label("Password").fill(story.PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(self.url + path)


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    database = await story.open_story(f"sqlite:///{tmp_path}/story.db")
    site = Site(database)
    async with served(site) as url:
        yield Live(site, database, url)
    await database.close()


async def test_an_advisor_follows_a_check_in_and_answers(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/conversations")
    await page.get_by_role("link", name="Anna Peeters").click()
    thread = page.get_by_role("region", name="Conversation with Anna Peeters")
    await expect(thread.get_by_text("Dag Anna, je servicebeurt")).to_be_attached()
    await expect(thread.get_by_text("In the key box")).to_be_visible()
    await expect(thread.get_by_text("Internal note by Karim Haddad")).to_be_in_viewport()
    await until(lambda: live.read() == [2])  # the page says it by itself, a moment later

    box = thread.get_by_label("Your words")
    await box.fill("Ja, de witte 118i staat klaar.")
    await box.press("Control+Enter")
    await expect(thread.get_by_text("Your reply is on its way.")).to_be_visible()
    await expect(box).to_have_value("")
    await box.fill("Licence seen?")
    await thread.get_by_role("button", name="Keep as note").click()
    await expect(thread.get_by_text("The note is kept.")).to_be_visible()
    said = [event for event in live.site.accepted if event.type.startswith("agent.")]
    assert [(event.type, event.data["text"]) for event in said] == [
        ("agent.replied", "Ja, de witte 118i staat klaar."),
        ("agent.noted", "Licence seen?"),
    ]
    assert said[0].id != said[1].id


async def test_a_thread_changes_by_itself_and_leaves_alone_what_a_person_is_doing(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/conversations/con_anna")
    thread = page.get_by_role("region", name="Conversation with Anna Peeters")
    await expect(page.locator(".who .live-dot[data-live-state=on]")).to_be_visible()
    await page.locator("details.because summary").last.click()
    reason = thread.get_by_text("free text is allowed")
    await expect(reason).to_be_visible()
    box = thread.get_by_label("Your words")
    await box.fill("Half a sen")

    await live.contact_writes("con_anna", "En een kinderzitje?")
    await expect(thread.get_by_text("En een kinderzitje?")).to_be_in_viewport()
    await expect(page.locator("#in-list-con_anna")).to_contain_text("En een kinderzitje?")
    await expect(page.locator("#threads > li").first).to_contain_text("Anna Peeters")

    await expect(thread.locator(".tick", has_text="Delivered")).to_have_count(1)
    await live.receipt("dlv_anna_thanks", "read")
    await expect(thread.locator(".tick", has_text="Delivered")).to_have_count(0)

    await expect(reason).to_be_visible()
    await expect(box).to_have_value("Half a sen")
    await expect(box).to_be_focused()
    # Each time something new was seen it was said so, and never twice.
    await until(lambda: sorted(live.read()) == [2, 3])


async def test_what_is_pressed_is_clicked_though_the_list_changes_meanwhile(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/conversations")
    await expect(page.locator(".who .live-dot[data-live-state=on]")).to_be_visible()
    first = page.locator("#threads > li").first.get_by_role("link")
    wanted = await first.get_attribute("href")
    assert wanted
    assert "con_ingrid" not in wanted
    await first.hover()
    await page.mouse.down()
    # Somebody else writes: their line takes the first place, just where the finger is.
    async with page.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true") as asked:
        await live.contact_writes("con_ingrid", "Is anybody there?")
    assert "Is anybody there?" in await (await asked.value).text()
    await page.mouse.up()
    await page.wait_for_url(f"**{wanted}")


async def test_what_a_person_has_open_chosen_and_marked_survives_a_live_look(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/conversations/con_anna")
    dot = page.locator(".who .live-dot[data-live-state=on]")
    await expect(dot).to_be_visible()
    menu = page.locator("#assign-menu")
    await menu.locator("summary").click()
    chosen = menu.get_by_role("combobox", name="Inbox")
    await chosen.select_option("parts")
    await page.get_by_label("Search by name or address").fill("Anna")
    await expect(page.locator("#threads > li")).to_have_count(1)
    box = page.get_by_label("Your words")
    await box.fill("Half a sentence")
    await box.evaluate("(box) => { box.setSelectionRange(5, 6); document.querySelector('#assign-menu').open = true; }")

    await live.contact_writes("con_anna", "En een kinderzitje?")
    await expect(page.locator("#entry-1001")).to_contain_text("En een kinderzitje?")
    await expect(menu).to_have_attribute("open", "")
    await expect(chosen).to_have_value("parts")
    await expect(page.get_by_label("Search by name or address")).to_have_value("Anna")
    await expect(box).to_be_focused()
    assert await box.evaluate("(box) => [box.value, box.selectionStart, box.selectionEnd]") == ["Half a sentence", 5, 6]
    await expect(dot).to_be_visible()


async def test_what_is_typed_while_a_reply_is_on_its_way_stays_in_the_box(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/conversations/con_anna")
    held = await hold(page, "**/reply")
    box = page.get_by_label("Your words")
    await box.fill("The car is ready.")
    await box.press("Control+Enter")
    await box.press_sequentially(" And washed")
    held.set()
    await expect(page.get_by_text("Your reply is on its way.")).to_be_visible()
    await expect(box).to_have_value("And washed")
    await expect(box).to_be_focused()
    [said] = [event for event in live.site.accepted if event.type == "agent.replied"]
    assert said.data["text"] == "The car is ready."


async def test_a_slow_answer_to_an_earlier_search_never_takes_the_place_of_a_later_ones(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/conversations")
    rows = page.locator("#threads > li")
    await expect(rows).to_have_count(11)
    held = await hold(page, re.compile("search=du?\\b"))
    search = page.get_by_label("Search by name or address")
    for words in ("d", "du"):
        async with page.expect_request(re.compile(rf"search={words}\b")):
            await search.fill(words)
    await search.fill("anna")
    await expect(rows).to_have_count(1)
    held.set()
    await live.contact_writes("con_anna", "En een kinderzitje?")
    await expect(rows).to_contain_text(["En een kinderzitje?"])


async def test_a_change_that_could_not_be_asked_for_is_asked_for_again(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/conversations")
    await expect(page.locator(".who .live-dot[data-live-state=on]")).to_be_visible()
    failed: list[str] = []

    async def fail(route: Route) -> None:
        failed.append(route.request.url)
        await route.fulfill(status=503)

    await page.route("**/console/conversations", fail, times=1)
    await live.contact_writes("con_ingrid", "Is anybody there?")
    await expect(page.locator("#in-list-con_ingrid")).to_contain_text("Is anybody there?")
    assert len(failed) == 1


async def hold(page: Page, address: str | re.Pattern[str]) -> asyncio.Event:
    """Requests to these addresses wait on their way until the event is set."""
    open_ = asyncio.Event()

    async def wait(route: Route) -> None:
        await open_.wait()
        with suppress(Error):  # the page gave it up meanwhile
            await route.continue_()

    await page.route(address, wait)
    page.on("close", lambda _: open_.set())
    return open_


async def test_the_list_is_searched_while_typing_and_walked_with_the_keyboard(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/conversations")
    rows = page.locator("#threads > li")
    await page.get_by_label("Search by name or address").press_sequentially("0612345678")
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("Marc Dubois")
    await page.get_by_label("Search by name or address").fill("")
    await expect(rows).to_have_count(11)
    await page.get_by_label("State").select_option("closed")
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("Sofía García")
    assert page.url.endswith("?state=closed")
    await page.reload()
    await expect(rows).to_have_count(1)
    await page.get_by_label("State").select_option("open")
    await expect(rows).to_have_count(11)
    await rows.first.get_by_role("link").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/con_ingrid")
    await expect(page.locator(".error-title")).to_be_visible()


async def test_assigning_and_closing(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/conversations/con_marc")
    await page.get_by_text("Assign", exact=True).first.click()
    await page.get_by_role("combobox", name="Inbox").last.select_option("parts")
    await page.get_by_label("Person").select_option("per_karim")
    async with page.expect_event("load"):
        await page.get_by_role("button", name="Assign").click()
    async with page.expect_event("load"):
        await page.get_by_role("button", name="Close").click()
    acts = [(event.type, event.data.get("inbox")) for event in live.site.accepted]
    assert acts == [("conversation.assigned", "parts"), ("conversation.closed", None)]


async def test_a_doubtful_message_is_sent_again_with_open_eyes(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/deliveries")
    await page.get_by_role("link", name="Tom Becker").click()
    await expect(page.get_by_text("so it may arrive twice")).to_be_visible()
    button = page.get_by_role("button", name="Send again, even if it arrives twice")
    await button.click()
    assert live.site.accepted == []  # the box isn't ticked: the browser holds the form back
    await page.get_by_label("I accept that it may arrive twice").check()
    await button.click()
    await expect(page.get_by_text("Sending it again was asked for.")).to_be_visible()
    assert live.site.accepted[0].data["accept_duplicate"] is True


async def test_a_run_is_shown_as_its_flows_diagram(live: Live, page: Page) -> None:
    await live.sign_in(page, "/console/runs")
    await page.get_by_role("row", name="V-2041").get_by_role("link").first.click()
    await expect(page.get_by_role("img", name="service-checkin-invite")).to_be_visible()
    await expect(page.get_by_text("Posted results", exact=True)).to_be_visible()


FITS = "drawing => drawing.scrollWidth <= drawing.clientWidth && drawing.querySelector('svg').clientWidth > 150"


@pytest.mark.parametrize("width", [1280, 820, 390])
async def test_a_diagram_is_as_wide_as_its_page_and_one_is_shown(live: Live, page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await live.sign_in(page, "/console/flows/service-checkin-invite")
    for path in ("/console/flows/service-checkin-invite", "/console/flows/service-status"):
        await page.goto(live.url + path)
        drawing = page.locator(".drawing:visible")
        await expect(drawing).to_have_count(1)
        assert await drawing.evaluate(FITS)


async def test_on_a_phone_one_pane_follows_the_other(live: Live, phone: Page) -> None:
    await live.sign_in(phone, "/console/conversations")
    await expect(phone.locator(".inbox-thread")).to_be_hidden()
    await phone.get_by_role("link", name="Ingrid Larsen").tap()
    await expect(phone.locator(".inbox-list")).to_be_hidden()
    await expect(phone.locator("[data-from=error]").get_by_text("There is no mobile number.")).to_be_visible()
    await expect(phone.get_by_role("button", name="Send")).to_be_in_viewport()
    await phone.get_by_role("link", name="About this contact").tap()
    await expect(phone.get_by_text("Hard bounce: mailbox unknown.")).to_be_visible()
    await phone.get_by_role("link", name="Back to the conversation").tap()
    await phone.get_by_role("link", name="Back to the list").tap()
    await expect(phone.locator(".inbox-list")).to_be_visible()
    await phone.get_by_text("More", exact=True).tap()
    await phone.get_by_role("link", name="Templates").tap()
    await expect(phone.get_by_role("heading", name="Templates")).to_be_visible()


PAGES = (
    "/console/conversations", "/console/conversations/con_anna", "/console/conversations/con_anna?pane=details",
    "/console/conversations/con_marc", "/console/runs", "/console/deliveries?view=all",
    "/console/deliveries/dlv_marc_invite", "/console/deliveries/dlv_tom_ready", "/console/events", "/console/events/3",
    "/console/flows", "/console/flows/service-checkin-invite", "/console/templates",
    "/console/templates/checkin_invite",
)  # fmt: skip


SMALL = """() => [...document.querySelectorAll("a, button, summary, select, input:not([type=hidden])")]
    .filter((one) => one.offsetParent && !one.classList.contains("skip"))
    .filter((one) => !one.closest(".bubble-body, .quote, .choice, .row-link, p, dd, .chip"))
    .map((one) => [one.textContent.trim() || one.name, one.getBoundingClientRect()])
    .filter(([, box]) => box.width < 24 || box.height < 24).map(([text]) => text)"""


async def test_no_page_is_wider_than_a_phone_and_nothing_is_too_small_for_a_thumb(live: Live, phone: Page) -> None:
    await live.sign_in(phone, "/console/conversations")
    wrong = {}
    for path in PAGES:
        await phone.goto(live.url + path)
        over = await phone.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        small = await phone.evaluate(SMALL)
        if over > 0 or small:
            wrong[path] = (over, small)
    assert wrong == {}


async def test_everything_works_without_scripts(live: Live, page: Page) -> None:
    await page.route("**/*.js", lambda route: route.abort())
    await live.sign_in(page, "/console/conversations/con_anna")
    await page.get_by_label("Your words").fill("Hi")
    async with page.expect_event("load"):
        await page.get_by_role("button", name="Send").click()
    await page.get_by_label("Search by name or address").fill("dubois")
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(page.locator("#threads > li")).to_have_count(1)
    assert [event.type for event in live.site.accepted] == ["agent.replied"]
