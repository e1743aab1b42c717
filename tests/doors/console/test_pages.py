"""The console's pages and forms: who may see and do what, and what each act hands in."""

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from beckon.store.database import Database
from beckon.web.live import Hub
from tests.doors.console import story
from tests.doors.console.site import Site

BASE = "http://console.test"
ANNA = "/console/conversations/con_anna"
PAGES = (
    "/console/conversations",
    "/console/conversations?state=all&inbox=service-advisors&unread=1&search=a",
    "/console/conversations?search=nobody-has-this-name",
    ANNA,
    f"{ANNA}?pane=details",
    "/console/conversations/con_ingrid",
    "/console/conversations/con_sofia",
    "/console/conversations/con_new",
    "/console/conversations/con_quiet5",
    "/console/runs",
    "/console/runs?status=waiting&flow=service-checkin-invite",
    "/console/deliveries",
    "/console/deliveries?view=all&channel=sms",
    "/console/deliveries?view=under-way",
    "/console/deliveries/dlv_anna_invite",
    "/console/deliveries/dlv_ingrid_invite",
    "/console/deliveries/dlv_marc_invite",
    "/console/deliveries/dlv_tom_ready",
    "/console/events",
    "/console/events?type=checkin.*",
    "/console/events?type=nothing.such",
    "/console/events/8",
    "/console/flows",
    "/console/flows/service-checkin-invite",
    "/console/flows/service-status",
    "/console/templates",
    "/console/templates/checkin_invite?locale=fr",
)
FORMS = ("reply", "note", "assign", "close", "reopen", "read")


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder: Path = tmp_path_factory.mktemp("console")
    database = await story.open_story(f"sqlite:///{folder}/story.db")
    yield Site(database)
    await database.close()


@pytest.fixture
async def stranger(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody is signed in."""
    site.accepted.clear()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=site.app), base_url=BASE) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, email: str) -> httpx.AsyncClient:
    answer = await client.post("/console/sign-in", data={"email": email, "password": story.PASSWORD})
    assert answer.status_code == 303, answer.text
    return client


@pytest.fixture
async def lena(stranger: httpx.AsyncClient) -> httpx.AsyncClient:
    """Lena of the garage, signed in."""
    return await sign_in(stranger, story.EMAIL)


async def token(client: httpx.AsyncClient, page: str = ANNA) -> dict[str, str]:
    """What a form of this page carries."""
    text = (await client.get(page)).text
    found = {}
    for name in ("csrf", "once"):
        hit = re.search(rf'name="{name}" value="([^"]+)"', text)
        assert hit is not None, f"{page} has no {name}"
        found[name] = hit[1]
    return found


class Busy:
    """A store in which something changes after each look."""

    def __init__(self, database: Database, hub: Callable[[], Hub]) -> None:
        self._database, self._hub = database, hub

    async def fetch(self, *asked: Any) -> Any:
        found = await self._database.fetch(*asked)
        self._hub().publish(story.WORKSPACE, ["conversations"], 1)
        return found


async def test_what_changes_while_a_page_is_made_is_told_as_soon_as_it_listens(tmp_path: Path) -> None:
    database = await story.open_story(f"sqlite:///{tmp_path}/story.db")
    busy = Site(database, Busy(database, lambda: busy.hub))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=busy.app), base_url=BASE) as client:
        await sign_in(client, story.EMAIL)
        page = (await client.get("/console/conversations")).text
    seen = re.search(r'data-live-at="([^"]+)"', page)
    assert seen is not None
    assert busy.hub.changed_since(story.WORKSPACE, seen[1])
    await database.close()


async def test_every_page_shows_itself_to_a_signed_in_person(lena: httpx.AsyncClient) -> None:
    wrong = {}
    for url in PAGES:
        answer = await lena.get(url)
        own_style = re.search(r"<style|\sstyle=|\son[a-z]+=|<script>|javascript:", answer.text)
        if answer.status_code != 200 or own_style:
            wrong[url] = (answer.status_code, own_style and own_style[0])
    assert wrong == {}


async def test_nothing_is_open_to_somebody_who_is_not_signed_in(stranger: httpx.AsyncClient) -> None:
    for url in (*PAGES, "/console/", "/console/live?topic=conversations"):
        answer = await stranger.get(url)
        assert answer.status_code == 303, url
        assert answer.headers["location"].startswith("/console/sign-in?next=")
    for form in FORMS:
        assert (await stranger.post(f"{ANNA}/{form}", data={"text": "x"})).status_code == 303


async def test_a_script_of_a_page_whose_session_ended_is_sent_to_the_sign_in(
    stranger: httpx.AsyncClient, site: Site
) -> None:
    answer = await stranger.get(ANNA, headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"].startswith("/console/sign-in")
    assert site.accepted == []


async def test_signing_in_goes_on_to_the_page_that_was_asked_for_and_nowhere_else(
    stranger: httpx.AsyncClient,
) -> None:
    for asked, led in {
        ANNA: ANNA,
        "https://evil.example/console/": "/console/conversations",
        "//evil.example": "/console/conversations",
        "/console/\\evil.example": "/console/conversations",
        "/console/..//evil.example": "/console/conversations",
        "/hooks/x": "/console/conversations",
    }.items():
        data = {"email": story.EMAIL, "password": story.PASSWORD, "next": asked}
        assert (await stranger.post("/console/sign-in", data=data)).headers["location"] == led
    cookie = (await stranger.post("/console/sign-in", data=data)).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


async def test_a_wrong_password_is_said_without_telling_which_part_was_wrong(stranger: httpx.AsyncClient) -> None:
    for email in (story.EMAIL, "nobody@garage.example"):
        answer = await stranger.post("/console/sign-in", data={"email": email, "password": "not the right one"})
        assert answer.status_code == 422
        assert "don&#39;t fit together" in answer.text
        assert "not the right one" not in answer.text


async def test_a_form_of_another_site_signs_nobody_in(stranger: httpx.AsyncClient) -> None:
    data = {"email": story.EMAIL, "password": story.PASSWORD}
    answer = await stranger.post("/console/sign-in", data=data, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_signing_out_ends_the_session_for_good(lena: httpx.AsyncClient) -> None:
    kept = dict(lena.cookies)
    answer = await lena.post("/console/sign-out", data=await token(lena))
    assert answer.headers["location"] == "/console/sign-in"
    lena.cookies.update(kept)
    assert (await lena.get(ANNA)).status_code == 303


async def test_people_of_another_workspace_find_nothing(stranger: httpx.AsyncClient, site: Site) -> None:
    zoe = await sign_in(stranger, story.STRANGER.email)
    listed = await zoe.get("/console/conversations")
    assert "Anna" not in listed.text
    assert "All quiet" in listed.text
    for url in (ANNA, "/console/deliveries/dlv_tom_ready", "/console/events/1", "/console/flows/service-status"):
        answer = await zoe.get(url)
        assert answer.status_code == 404, url
        assert "Anna" not in answer.text
    carried = await token(zoe, "/console/conversations") if "once" in listed.text else {}
    csrf = re.search(r'name="csrf" value="([^"]+)"', listed.text)
    assert csrf is not None
    for form in FORMS:
        answer = await zoe.post(f"{ANNA}/{form}", data={**carried, "csrf": csrf[1], "text": "x", "seen": "1"})
        assert answer.status_code == 404, form
    answer = await zoe.post(
        "/console/deliveries/dlv_tom_ready/resend", data={"csrf": csrf[1], "accept_duplicate": "yes"}
    )
    assert answer.status_code == 404
    assert site.accepted == []


async def test_a_form_without_the_sessions_token_does_nothing(lena: httpx.AsyncClient, site: Site) -> None:
    for csrf in ("", "0" * 32):
        for url in (
            *(f"{ANNA}/{form}" for form in FORMS),
            "/console/deliveries/dlv_tom_ready/resend",
            "/console/sign-out",
        ):
            data = {"csrf": csrf, "text": "x", "seen": "1", "accept_duplicate": "yes"}
            assert (await lena.post(url, data=data)).status_code == 403, url
    assert site.accepted == []
    assert (await lena.get(ANNA)).status_code == 200


async def test_a_reply_is_handed_in_as_an_event(lena: httpx.AsyncClient, site: Site) -> None:
    carried = await token(lena)
    for _ in range(2):  # a double click
        answer = await lena.post(f"{ANNA}/reply", data={**carried, "text": "Ja, de witte 118i!"})
        assert answer.headers["location"] == ANNA
    first, second = site.accepted
    assert first.id == second.id  # the journal keeps one
    assert (first.type, first.source, first.subject, first.workspace) == (
        "agent.replied", "beckon/console", "con_anna", story.WORKSPACE,
    )  # fmt: skip
    assert first.data == {
        "contact": "con_anna", "text": "Ja, de witte 118i!", "agent": "per_lena", "by": "per_lena",
    }  # fmt: skip
    assert first.time_ms == story.NOW_MS


async def test_every_form_has_a_token_of_its_own(lena: httpx.AsyncClient) -> None:
    assert (await token(lena))["once"] != (await token(lena))["once"]


async def test_a_reply_by_script_brings_an_empty_box_with_a_new_token(lena: httpx.AsyncClient) -> None:
    carried = await token(lena)
    answer = await lena.post(f"{ANNA}/reply", data={**carried, "text": "Hi"}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith("<form")
    assert carried["once"] not in answer.text
    assert "on its way" in answer.text


async def test_an_empty_or_endless_reply_is_said_and_the_words_are_kept(lena: httpx.AsyncClient, site: Site) -> None:
    carried = await token(lena)
    for headers in ({}, {"HX-Request": "true"}):
        empty = await lena.post(f"{ANNA}/reply", data={**carried, "text": "  "}, headers=headers)
        assert (empty.status_code, "The reply is empty." in empty.text) == (422, True)
        long = await lena.post(f"{ANNA}/reply", data={**carried, "text": "word " * 1_000}, headers=headers)
        assert (long.status_code, "word word" in long.text) == (422, True)
    huge = await lena.post(f"{ANNA}/reply", data={**carried, "text": "x" * 30_000})
    assert huge.status_code in (400, 413)
    assert site.accepted == []


async def test_notes_assignments_closing_reopening_and_reading_are_events(lena: httpx.AsyncClient, site: Site) -> None:
    carried = await token(lena)
    for form, fields in {
        "note": {"text": "Call her first"},
        "assign": {"inbox": "parts", "agent": "per_karim"},
        "close": {},
        "reopen": {},
    }.items():
        assert (await lena.post(f"{ANNA}/{form}", data={**carried, **fields})).status_code == 303
    assert (await lena.post(f"{ANNA}/read", data={**carried, "seen": "2"})).status_code == 204
    assert [(event.type, event.data) for event in site.accepted] == [
        ("agent.noted", {"contact": "con_anna", "text": "Call her first", "by": "per_lena"}),
        (
            "conversation.assigned",
            {
                "contact": "con_anna",
                "inbox": "parts",
                "agent": "per_karim",
                "agent_name": "Karim Haddad",
                "by": "per_lena",
            },
        ),
        ("conversation.closed", {"contact": "con_anna", "by": "per_lena"}),
        ("conversation.reopened", {"contact": "con_anna", "by": "per_lena"}),
        ("conversation.read", {"contact": "con_anna", "seen": 2, "by": "per_lena"}),
    ]


async def test_a_conversation_goes_to_nobody_who_is_not_of_the_team(lena: httpx.AsyncClient, site: Site) -> None:
    carried = await token(lena)
    for fields in ({"agent": "per_other"}, {"agent": "per_nobody"}, {"inbox": "no-such-inbox"}):
        answer = await lena.post(f"{ANNA}/assign", data={**carried, **fields})
        assert answer.status_code == 404
    for seen in ("-1", "x", "", "0"):
        assert (await lena.post(f"{ANNA}/read", data={**carried, "seen": seen})).status_code == 204
    assert site.accepted == []


async def test_a_thread_tells_what_was_said_over_which_channel_and_why(lena: httpx.AsyncClient) -> None:
    text = (await lena.get("/console/conversations/con_marc")).text
    for words in (
        "Bonjour Marc",
        "Why this channel?",
        "WhatsApp failed; SMS is next in the order.",
        "The contact has not linked the MyBMW app.",
        "the number is not on WhatsApp",
        "The provider answered 503",
        "Delivered",
    ):
        assert words in text


async def test_an_undeliverable_message_stands_there_in_the_systems_words_with_each_reason(
    lena: httpx.AsyncClient,
) -> None:
    text = (await lena.get("/console/conversations/con_ingrid")).text
    error = text[text.index('data-from="error"') :]
    assert "No suitable media channel could be determined" in error
    for channel, reason in {
        "OEM app": "The contact has not linked the MyBMW app.",
        "WhatsApp": "no approved template",
        "SMS": "There is no mobile number.",
        "Email": "mailbox unknown",
    }.items():
        assert channel in error
        assert reason in error


async def test_results_are_a_card_with_every_field(lena: httpx.AsyncClient) -> None:
    text = (await lena.get(ANNA)).text
    card = text[text.index('class="result-card"') : text.index("</article>")]
    for words in ("Check-in", "48\u202f210 km", "Squeaking noise", "In the key box", "Change asked", "€ 250", "Yes"):
        assert words in card


async def test_what_contacts_and_systems_write_stays_text(lena: httpx.AsyncClient) -> None:
    sofia = (await lena.get("/console/conversations/con_sofia")).text
    assert "&lt;b&gt;Gracias&lt;/b&gt;" in sofia
    assert "<Fleet>" not in sofia
    hostile = (await lena.get('/console/conversations?search="><script>alert(1)</script>')).text
    assert "<script>alert" not in hostile
    assert "<script>alert" not in (await lena.get('/console/events?type="><script>alert(1)</script>')).text


async def test_a_doubtful_delivery_is_sent_again_only_when_a_double_is_accepted(
    lena: httpx.AsyncClient, site: Site
) -> None:
    page = "/console/deliveries/dlv_tom_ready"
    text = (await lena.get(page)).text
    assert "it may arrive twice" in text
    carried = await token(lena, page)
    refused = await lena.post(f"{page}/resend", data=carried)
    assert (refused.status_code, "may arrive twice" in refused.text) == (422, True)
    assert site.accepted == []
    answer = await lena.post(f"{page}/resend", data={**carried, "accept_duplicate": "yes"})
    assert answer.status_code == 303
    (event,) = site.accepted
    assert event.type == "delivery.resend_asked"
    assert event.data == {
        "delivery": "dlv_tom_ready", "contact": "con_tom", "accept_duplicate": True, "by": "per_lena",
    }  # fmt: skip
    assert "was asked for" in (await lena.get(answer.headers["location"])).text


async def test_an_undelivered_message_is_sent_again_without_a_warning(lena: httpx.AsyncClient, site: Site) -> None:
    page = "/console/deliveries/dlv_ingrid_invite"
    answer = await lena.post(f"{page}/resend", data=await token(lena, page))
    assert answer.status_code == 303
    assert site.accepted[0].data["accept_duplicate"] is False


async def test_what_arrived_is_not_sent_again(lena: httpx.AsyncClient, site: Site) -> None:
    page = "/console/deliveries/dlv_anna_invite"
    text = (await lena.get(page)).text
    assert "/resend" not in text
    assert "It arrived." in text
    carried = await token(lena)
    assert (await lena.post(f"{page}/resend", data={**carried, "accept_duplicate": "yes"})).status_code == 409
    assert site.accepted == []


async def test_deliveries_in_trouble_come_first(lena: httpx.AsyncClient) -> None:
    text = (await lena.get("/console/deliveries")).text
    assert "Ingrid Larsen" in text
    assert "Tom Becker" in text
    assert "Marc Dubois" not in text


async def test_a_run_is_drawn_with_its_path_and_says_what_it_waits_for(lena: httpx.AsyncClient) -> None:
    listed = (await lena.get("/console/runs?status=waiting")).text
    run = re.findall(r'href="(/console/runs/run_[0-9a-f]+)"', listed)[0]
    text = (await lena.get(run)).text
    assert "Waits for checkin.finished with visit V-2043 until tomorrow 14:05" in text
    assert '<svg xmlns="http://www.w3.org/2000/svg" class="beckon-flow' in text
    done = re.findall(r'href="(/console/runs/run_[0-9a-f]+)"', (await lena.get("/console/runs?status=done")).text)[0]
    finished = (await lena.get(done)).text
    assert "checkin.finished came" in finished
    assert "result.data.consent == true" in finished


async def test_an_older_version_of_a_flow_can_be_seen(lena: httpx.AsyncClient) -> None:
    text = (await lena.get("/console/flows/service-checkin-invite")).text
    older = re.findall(r"\?version=([0-9a-f]+)", text)[1]
    shown = (await lena.get(f"/console/flows/service-checkin-invite?version={older}")).text
    assert "An older version" in shown
    assert "timeout: 12h" in shown


async def test_nonsense_in_an_address_is_no_fault(lena: httpx.AsyncClient) -> None:
    for url in (
        "/console/conversations/con_nobody", "/console/runs/run_x", "/console/deliveries/x", "/console/events/x",
        "/console/events/99999999999999999999", "/console/flows/none", "/console/templates/none",
        "/console/events/²", f"{ANNA}x",
    ):  # fmt: skip
        assert (await lena.get(url)).status_code == 404, url
    for url in (
        f"{ANNA}?before=²", "/console/conversations?after=²&state=odd&inbox=odd",
        "/console/deliveries?after=²&view=odd", "/console/conversations?search=%00a%ff&after=1.%00",
        "/console/events?after=²", "/console/runs?status=odd&after=x", f"/console/conversations?search={'x' * 3000}",
        "/console/flows/service-status?version=odd", "/console/templates/checkin_invite?locale=xx",
    ):  # fmt: skip
        assert (await lena.get(url)).status_code == 200, url


async def test_the_stream_takes_only_the_consoles_topics(lena: httpx.AsyncClient, site: Site) -> None:
    assert (await lena.get("/console/live")).status_code == 422
    assert (await lena.get("/console/live?topic=secrets&topic=*")).status_code == 422
    assert len(site.hub) == 0
