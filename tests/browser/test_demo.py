"""The demo in a real browser: the seed's story on its page, on a desk and in a hand; the commands that start it."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import FrameLocator, Locator, Page, Response, Route, expect

from beckon.core.clock import DraggableClock
from beckon.demo import Stage, staged
from tests.kit.processes import dies_with_parent

COMMAND = [sys.executable, "-m", "beckon", "demo"]
#: For what a second is enough for, on a machine that has nothing else to do.
PATIENCE_S = 300


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Stage]:
    """The demo as ``beckon demo`` runs it, its page included."""
    async with staged(tmp_path / "demo", clock=DraggableClock(), with_page=True, by_itself=True) as stage:
        yield stage


def steps_done(page: Page) -> Locator:
    """The steps of the story that are lit as done."""
    return page.locator(".rail-steps > [data-state=done]")


async def go_through_the_checkin(app: FrameLocator) -> None:
    """The contact fills in the check-in app, form by form."""
    await app.get_by_role("link", name="Start check-in").click()
    await expect(app.get_by_label("Name")).to_have_value("Anna Janssens")
    forward = app.get_by_role("button", name="Continue")
    await forward.click()
    await app.locator("[name=mileage]").fill("45 300")
    await forward.click()
    await app.locator(".chip", has=app.locator("[name=wish][value=tyres]")).click()
    await app.locator("[name=note]").fill("It pulls to the left.")
    await forward.click()
    await app.locator("label", has=app.locator("[name=key_drop][value=box]")).click()
    await forward.click()
    await app.locator("label", has=app.locator("[name=terms]")).click()
    await forward.click()
    await expect(app.get_by_role("heading", name="Is everything right?")).to_be_visible()
    await app.locator("button[name=go][value=next]").last.click()
    await expect(app.get_by_text("Your key box code")).to_be_visible()


async def test_the_seeds_story_on_the_demos_page(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    await expect(page.get_by_role("heading", name="No conversation yet")).to_be_visible()

    # A: the business system says checkin.start; the event and its answer are shown
    await page.get_by_role("button", name="Start check-in").click()
    await expect(page.locator("#sent-answer")).to_have_text("202 Accepted")
    await expect(page.locator("#sent-body")).to_have_value(_words('"type": "checkin.start"'))

    # B: the maker's app is the best channel
    chosen = page.locator(".ladder > [data-state=chosen]")
    await expect(chosen).to_contain_text("OEM app")

    # C, D: the phone is notified, the app shows the invite
    await page.locator("#notification").click()
    phone = page.locator(".app[data-app=oem_app]")
    await expect(phone).to_contain_text("Hello Anna, your visit to Garage Van Dijk is coming up.")
    await expect(steps_done(page)).to_have_count(4)

    # the flow's diagram: two steps taken, the wait for the result lit
    await expect(page.locator(".drawing .is-current[data-step='steps.2']")).to_be_visible()

    # E: the button opens the check-in app inside the phone
    await phone.get_by_role("button", name="Start check-in").click()
    app = page.frame_locator("#browser-frame")
    await expect(app.get_by_text("1-ABC-234")).to_be_visible()

    # F: the contact completes the check-in
    await go_through_the_checkin(app)

    # G, H: the results stand in the team's conversation, the inbox is told, the run is done
    team = page.frame_locator("#team-frame")
    card = team.locator(".result-card")
    await expect(card).to_contain_text("It pulls to the left.")
    await expect(card).to_contain_text("45\u202f300")
    await expect(team.locator(".bubble", has_text="Told Service advisors")).to_be_visible()
    await expect(steps_done(page)).to_have_count(8)
    await expect(page.locator(".flow-card .badge")).to_have_text("done")
    await expect(page.locator(".drawing [data-step='steps.4'].is-taken")).to_have_count(1)


async def test_the_channel_changes_with_what_the_customer_has_and_says_why(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    for channel in ("oem_app", "whatsapp"):
        await page.locator(f".has .chip:has([data-has={channel}])").click()
        await expect(page.locator(f"[data-has={channel}]")).not_to_be_checked()
    await page.get_by_role("button", name="Start check-in").click()
    await expect(page.locator(".ladder > [data-state=chosen]")).to_contain_text("SMS")
    passed = page.locator(".ladder > [data-state=passed]")
    await expect(passed).to_have_text([_words("no account in the app"), _words("no WhatsApp number")])
    await expect(page.locator("[data-open-app=sms] .app-count")).to_have_text("1")


async def test_what_is_pressed_is_clicked_though_the_page_changes_meanwhile(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    beside = await page.context.new_page()
    await beside.goto(demo.address)
    await page.get_by_role("button", name="Send service video").hover()
    await page.mouse.down()

    # in another window the same visit goes on: its line is drawn anew, with all of its buttons
    async with page.expect_response(_told_of("Invited")):
        await beside.get_by_role("button", name="Start check-in").click()
    state = page.locator(".visit[data-chosen] .badge")
    await expect(state).to_have_text("Planned")
    await page.mouse.up()
    await expect(page.locator("#sent-body")).to_have_value(_words('"type": "video.processed"'))
    await expect(state).to_have_text("Invited")


async def test_nothing_can_be_pressed_before_the_page_listens(page: Page, demo: Stage) -> None:
    come = asyncio.Event()

    async def wait(route: Route) -> None:
        await come.wait()
        await route.continue_()

    await page.route("**/page/visit.js", wait)
    await page.goto(demo.address, wait_until="commit")
    for part in (".bar-acts", ".clock", "#stage", ".dock"):
        await expect(page.locator(part)).to_have_js_property("inert", True)
    come.set()
    await page.get_by_role("button", name="Start check-in").click()
    await expect(page.locator("#sent-answer")).to_have_text("202 Accepted")


async def test_what_changes_is_shown_though_other_things_never_stop_changing(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    beside = await page.context.new_page()
    await beside.goto(demo.address)

    async def never_stop() -> None:
        while True:
            demo.beckon.hub.publish("main", ("sandbox",), demo.beckon.hub.position("main"))
            await asyncio.sleep(0.02)

    changing = asyncio.create_task(never_stop())
    try:
        await beside.get_by_role("button", name="Start check-in").click()
        await expect(page.locator(".visit[data-chosen] .badge")).to_have_text("Invited")
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)


async def test_with_nothing_left_the_team_reads_an_error_message(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    await page.locator("[data-who=v4]").click()
    await expect(page.locator("#customer-name")).to_have_text("Greta Lindqvist")
    await page.locator(".has .chip:has([data-has=email])").click()
    await expect(page.locator("[data-has=email]")).not_to_be_checked()
    await page.get_by_role("button", name="Start check-in").click()
    team = page.frame_locator("#team-frame")
    error = team.locator(".bubble[data-from=error]")
    await expect(error).to_contain_text("No suitable media channel could be determined")
    await expect(error.locator(".passed > li")).to_have_count(5)
    await expect(page.locator(".rail-steps > [data-state=bad]")).to_contain_text("no channel")


async def test_whoever_asked_for_it_is_told_on_the_lock_screen(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    await page.locator("[data-who=v4]").click()
    await expect(page.locator("#customer-name")).to_have_text("Greta Lindqvist")
    for channel in ("email", "web_push"):
        await page.locator(f".has .chip:has([data-has={channel}])").click()
    await expect(page.locator("[data-has=web_push]")).to_be_checked()
    await expect(page.locator("[data-has=email]")).not_to_be_checked()
    await page.get_by_role("button", name="Start check-in").click()
    notification = page.locator("#notification")
    await expect(notification).to_contain_text("Greta")
    await notification.click()
    alert = page.locator(".app[data-app=web_push] .alert")
    await expect(alert).to_have_count(1)
    await expect(page.locator(".ladder > [data-state=chosen]")).to_contain_text("Web push")
    await alert.get_by_role("button").click()
    await expect(page.frame_locator("#browser-frame").locator("h1")).to_be_visible()


async def test_a_fault_and_a_dragged_clock_lead_to_the_next_channel(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    await page.locator("[data-fault=oem_app][data-field=sending]").select_option("number_invalid")
    await expect(page.locator("tr[data-faulty]")).to_have_count(1)
    await page.get_by_role("button", name="Start check-in").click()
    await expect(page.locator(".ladder > [data-state=chosen]")).to_contain_text("WhatsApp")
    before = demo.cast.clock.now_ms()
    await page.get_by_role("button", name="+24 h").click()
    await expect(page.locator("[data-open-app=whatsapp] .app-count")).to_have_text("2")
    assert demo.cast.clock.now_ms() - before >= 24 * 3_600_000
    await expect(page.locator(".drawing .is-current[data-step='steps.2.on_timeout.1']")).to_be_attached()


async def test_the_customer_writes_back_and_stops(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    await page.locator("[data-who=v2]").click()
    await expect(page.locator("#customer-name")).to_have_text("Lotte Peeters")
    await page.get_by_role("button", name="Start check-in").click()
    await page.locator("#notification").click()
    phone = page.locator(".app[data-app=whatsapp]")
    await phone.get_by_placeholder("Message").fill("Mag de hond mee?")
    await phone.get_by_role("button", name="Send").click()
    team = page.frame_locator("#team-frame")
    await expect(team.locator(".bubble[data-from=them]")).to_contain_text("Mag de hond mee?")
    await phone.get_by_role("button", name="STOP").click()
    await expect(team.locator(".bubble[data-from=system]", has_text="stopped messages")).to_be_visible()
    await page.get_by_role("button", name="Status:").click()
    await expect(page.locator(".ladder > [data-state=chosen]")).to_contain_text("SMS")


async def test_an_event_that_is_sent_again_is_known_and_one_that_was_spoilt_is_refused(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    await page.get_by_role("button", name="Payment ready").click()
    answer, send = page.locator("#sent-answer"), page.locator("#sent-send")
    await expect(answer).to_have_text("202 Accepted")
    await send.click()
    await expect(answer).to_have_text("202 · known before")
    spoilt = (await page.locator("#sent-body").input_value()).replace('"amount": 412.5', '"amount": "a lot"')
    await page.locator("#sent-body").fill(spoilt)
    await page.get_by_role("button", name="New id").click()
    await send.click()
    await expect(answer.locator(".badge")).to_have_attribute("data-tone", "bad")
    await expect(answer).to_contain_text("amount")


async def test_the_story_plays_itself(page: Page, demo: Stage) -> None:
    await page.goto(f"{demo.address}/?pace=0.15")
    await page.get_by_role("button", name="Play the story").click()
    await expect(steps_done(page)).to_have_count(8, timeout=PATIENCE_S * 1_000)
    await expect(page.locator("#caption")).to_contain_text("H ·")
    await expect(page.frame_locator("#team-frame").locator(".result-card")).to_contain_text("A rattle at the front")
    await page.get_by_role("button", name=re.compile("Stop|Play")).click()


async def test_whoever_acts_while_the_story_plays_takes_over(page: Page, demo: Stage) -> None:
    await page.goto(demo.address)
    play = page.locator("#play")
    await play.click()
    await expect(page.locator("#caption")).to_contain_text(re.compile("[B-H] ·"))
    # It is said for a few seconds only: the page itself is asked at each of its frames.
    words = "The story stopped: it is your turn."
    said = page.wait_for_function("(words) => document.querySelector('.toast')?.textContent === words", arg=words)
    async with asyncio.TaskGroup() as both:
        both.create_task(said)
        both.create_task(page.locator("[data-who=v4]").click())
    await expect(play).to_have_text("Play the story")
    await expect(page.locator("body.is-playing")).to_have_count(0)
    await expect(page.locator("#customer-name")).to_have_text("Greta Lindqvist")


async def test_the_story_in_a_hand(phone: Page, demo: Stage) -> None:
    await phone.goto(demo.address)
    width = await phone.evaluate("document.documentElement.scrollWidth")
    assert width == 390
    await expect(phone.get_by_role("button", name="Play the story")).to_be_visible()
    await phone.get_by_role("button", name="Start check-in").tap()
    dock = phone.locator(".dock")
    await expect(dock.locator("[data-show=customer] .dock-dot")).to_be_visible()
    await dock.get_by_role("button", name="Phone").tap()
    await phone.locator("#notification").tap()
    await phone.locator(".app[data-app=oem_app]").get_by_role("button", name="Start check-in").tap()
    await go_through_the_checkin(phone.frame_locator("#browser-frame"))
    await dock.get_by_role("button", name="Team").tap()
    card = phone.frame_locator("#team-frame").locator(".result-card")
    await expect(card).to_contain_text("It pulls to the left.")
    await dock.get_by_role("button", name="Why").tap()
    await expect(phone.locator(".drawing .bf-step.is-taken").first).to_be_visible()
    assert await phone.evaluate("document.documentElement.scrollWidth") == 390


async def test_nobody_acts_without_the_pages_session(page: Page, demo: Stage) -> None:
    answer = await page.request.post(f"{demo.address}/sandbox/act/drag", data={"ms": 1})
    assert answer.status == 403
    answer = await page.request.get(f"{demo.address}/sandbox/state")
    assert answer.status == 403
    await page.goto(demo.address)
    answer = await page.request.post(f"{demo.address}/sandbox/act/drag", data={"ms": 1})
    assert answer.status == 403  # a session alone is not enough: the form's token is missing


@pytest.mark.timeout(1200)
def test_the_headless_run_plays_every_scenario_and_says_so_in_json() -> None:
    done = subprocess.run([*COMMAND, "--headless", "--json"], capture_output=True, text=True, timeout=1000, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line for line in lines[:-1] if not line["ok"]] == []
    assert done.returncode == 0, done.stderr
    assert all(line.keys() == {"scenario", "step", "expected", "seen", "ok"} for line in lines[:-1])
    summary = lines[-1]
    assert summary["ok"] is True
    assert summary["failed"] == []
    assert summary["scenarios"] == len({line["scenario"] for line in lines[:-1]}) >= 30
    assert summary["steps"] == len(lines) - 1


def test_an_unknown_scenario_is_said_to_be_unknown() -> None:
    done = subprocess.run(
        [*COMMAND, "--headless", "--scenario", "no such story"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    assert "no such story" in done.stderr


async def test_the_demo_takes_the_next_port_and_ends_when_it_is_told_to() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            "--port",
            str(port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            preexec_fn=dies_with_parent(),
        )
        assert process.stdout is not None
        said = [(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).decode() for _ in range(2)]
    assert f"Port {port} is taken" in said[0]
    url = said[1].split()[4]
    assert url.startswith("http://127.0.0.1:")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2].rstrip("/")))
    writer.write(f"GET / HTTP/1.1\r\nHost: {url[7:-1]}\r\nConnection: close\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0


def _words(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))


def _told_of(words: str) -> Callable[[Response], Awaitable[bool]]:
    """Whether an answer is the page's next state with these words in it."""

    async def told(response: Response) -> bool:
        return "/sandbox/state" in response.url and words in await response.text()

    return told
