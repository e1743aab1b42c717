"""The member's page as a browser without scripts has it: looking, using, buying, joining; and who is kept out."""

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.page.speech import WORDS
from beckon.store.changes import Changes
from beckon.store.tables import LINKS
from beckon.web.links import Link, new_code
from beckon.web.locales import LOCALES
from tests.journeys.loyalty.counter import DAY_MS, WORKSPACE, Counter, opened
from tests.journeys.loyalty.test_passes_and_codes import scanned


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    async with opened(tmp_path / "fries") as open_one:
        yield open_one


@pytest.fixture
async def browser_less(counter: Counter) -> AsyncIterator[httpx.AsyncClient]:
    async with counter.client() as client:
        yield client


def text_of(answer: httpx.Response) -> str:
    """What a person reads."""
    body = re.sub(r"<(script|style|title|head).*?</\1>", " ", answer.text, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def form_of(answer: httpx.Response, action: str) -> dict[str, str]:
    """The hidden fields of the form with this action."""
    found = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', answer.text, re.S)
    assert found is not None, f"no form for {action}"
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', found[1]))


async def send(client: httpx.AsyncClient, page: str, action: str, **fields: str) -> httpx.Response:
    """Open a page, and send its form."""
    shown = await client.get(page)
    return await client.post(action, data={**form_of(shown, action), **fields})


async def test_the_page_shows_what_is_ready_and_what_points_buy(counter: Counter, browser_less: httpx.AsyncClient):
    amanda = await counter.amanda(points=200)
    await counter.buys_fries(amanda)
    answer = await browser_less.get(counter.wallet(amanda))
    assert answer.status_code == 200
    shown = text_of(answer)
    assert "Hello Amanda 238 points" in shown
    assert "€32 more to Golden" in shown
    ready, store = shown.split("Ready to redeem")[1].split("Rewards store")
    assert "Large fries One large portion, any cut" in ready
    assert "Until Saturday 26 December" in ready
    assert "Snack box" not in ready
    assert "Snack box Six nuggets" in store
    assert "Party platter for eight hungry friends" in store
    assert "662 points to go" in store
    assert "For members of another level" in store
    assert len(re.findall(r'class="button" data-kind="primary" href="[^"]*/offers/', answer.text)) == 1
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    look = await browser_less.get("/wallet/look/1f5eff.css")
    assert 'href="/wallet/look/1f5eff.css"' in answer.text
    assert (look.status_code, look.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert (await browser_less.get("/wallet/look/x%7D.css")).status_code == 404
    assert "style=" not in answer.text
    assert "<style" not in answer.text


async def test_what_is_used_is_a_code_that_a_scanner_reads_and_a_till_redeems(
    counter: Counter, browser_less: httpx.AsyncClient
):
    amanda = await counter.amanda()
    offer = await counter.issue(amanda, "large-fries")
    path = f"{counter.wallet(amanda)}/offers/{offer}"
    answer = await browser_less.get(path)
    assert scanned(answer.text) == [offer]
    assert offer in text_of(answer).replace(" ", "")
    assert "Till code: FRIES-L" in text_of(answer)
    assert (await browser_less.get(f"{path}/state")).text == "issued"
    await counter.ask("loyalty.offer_asked", asked.Act(offer=scanned(answer.text)[0], act="redeem", by="till-1"))
    assert (await browser_less.get(f"{path}/state")).text == "redeemed"
    after = await browser_less.get(path)
    assert "Used" in text_of(after)
    assert 'class="qr"' not in after.text


async def test_an_offer_goes_into_the_cart_and_out_again_and_a_purchase_takes_it(
    counter: Counter, browser_less: httpx.AsyncClient
):
    amanda = await counter.amanda()
    offer = await counter.issue(amanda, "mobile-tuesday")
    path = f"{counter.wallet(amanda)}/offers/{offer}"
    answer = await send(browser_less, path, path, act="lock")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?said=lock")
    shown = await browser_less.get(answer.headers["location"])
    assert "It is in your cart." in text_of(shown)
    assert 'class="qr"' not in shown.text
    assert "In your cart" in text_of(await browser_less.get(counter.wallet(amanda)))
    answer = await send(browser_less, path, path, act="unlock")
    assert answer.headers["location"].endswith("?said=unlock")
    await send(browser_less, path, path, act="lock")
    sold = await counter.buys_fries(amanda, redeems=offer)
    assert sold.get("error") is None
    assert (await browser_less.get(f"{path}/state")).text == "redeemed"


async def test_what_a_till_holds_the_member_cant_let_go(counter: Counter, browser_less: httpx.AsyncClient):
    amanda = await counter.amanda()
    offer = await counter.issue(amanda, "mobile-tuesday")
    path = f"{counter.wallet(amanda)}/offers/{offer}"
    form = form_of(await browser_less.get(path), path)
    await counter.ask("loyalty.offer_asked", asked.Act(offer=offer, act="lock", by="till-1"))
    for act in ("unlock", "lock"):
        answer = await browser_less.post(path, data={**form, "act": act})
        assert answer.status_code == 422
        assert "A till is using this offer right now." in text_of(answer)
    assert "The till is using it right now." in text_of(await browser_less.get(path))


async def test_points_buy_an_offer_once_however_often_the_button_is_tapped(
    counter: Counter, browser_less: httpx.AsyncClient
):
    amanda = await counter.amanda(points=300)
    path = f"{counter.wallet(amanda)}/store/large-fries"
    sure = await browser_less.get(path)
    assert "You have 300 points Price 120 points Left after that 180 points" in text_of(sure)
    form = form_of(sure, path)
    answers = await asyncio.gather(*(browser_less.post(path, data=form) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {303}
    (where,) = {answer.headers["location"] for answer in answers}
    assert "It’s yours, ready to redeem." in text_of(await browser_less.get(where))
    member = await counter.member(amanda.id)
    assert (member.account.balance, len(member.offers)) == (180, 1)


async def test_too_few_points_another_price_and_what_is_not_sold_are_said(
    counter: Counter, browser_less: httpx.AsyncClient
):
    amanda = await counter.amanda(points=130)
    home = counter.wallet(amanda)
    form = form_of(await browser_less.get(f"{home}/store/large-fries"), f"{home}/store/large-fries")
    answer = await browser_less.post(f"{home}/store/large-fries", data={**form, "price": "1"})
    assert (answer.status_code, "no longer what the page showed" in text_of(answer)) == (409, True)
    await counter.ask("loyalty.points_asked", asked.Points(member=amanda.id, points=-100, why="spent"))
    answer = await browser_less.post(f"{home}/store/large-fries", data=form)
    assert (answer.status_code, "You don’t have enough points for this." in text_of(answer)) == (422, True)
    answer = await browser_less.post(f"{home}/store/truffle-night", data={**form, "price": "10", "once": "another-1"})
    assert (answer.status_code, "This is for members of another level." in text_of(answer)) == (422, True)
    assert (await browser_less.get(f"{home}/store/nothing")).status_code == 404
    assert (await counter.member(amanda.id)).account.balance == 30


async def test_a_campaign_is_joined_and_left(counter: Counter, browser_less: httpx.AsyncClient):
    amanda = await counter.amanda()
    home = counter.wallet(amanda)
    answer = await send(browser_less, home, f"{home}/campaigns/fryday", yes="1")
    shown = text_of(await browser_less.get(answer.headers["location"]))
    assert "You take part. Good luck!" in shown
    assert (await counter.member(amanda.id)).opted == ["fryday"]
    await send(browser_less, home, f"{home}/campaigns/fryday", yes="0")
    assert (await counter.member(amanda.id)).opted == []
    answer = await browser_less.post(
        f"{home}/campaigns/nothing", data=form_of(await browser_less.get(home), f"{home}/code")
    )
    assert (answer.status_code, "This is over." in text_of(answer)) == (404, True)


async def test_a_promo_code_works_once_and_who_guesses_is_told_when_to_try_again(
    counter: Counter, browser_less: httpx.AsyncClient
):
    amanda = await counter.amanda()
    home = counter.wallet(amanda)

    async def says(code: str) -> tuple[int, str]:
        answer = await send(browser_less, home, f"{home}/code", code=code)
        if answer.status_code == 303:
            answer = await browser_less.get(answer.headers["location"])
        return answer.status_code, text_of(answer)

    status, shown = await says("fries 2026")
    assert (status, "The code worked." in shown, "50 points" in shown) == (200, True, True)
    status, shown = await says("FRIES-2026")
    assert (status, "This code has been used already." in shown) == (422, True)
    assert await says(" ") == (422, (await says(""))[1])
    for _ in range(3):
        status, shown = await says("GUESS-1")
        assert (status, "We don’t know this code." in shown) == (404, True)
    status, shown = await says("FRIES-2026")
    assert "Too many codes were wrong. You can try again from 12:00." in shown
    counter.clock.drag(3_600_000)
    _, shown = await says("GUESS-2")
    assert "We don’t know this code." in shown


@pytest.mark.parametrize("locale", LOCALES)
async def test_the_page_speaks_the_members_language(counter: Counter, browser_less: httpx.AsyncClient, locale: str):
    amanda = await counter.amanda(points=200, locale=locale)
    await counter.issue(amanda, "large-fries")
    answer = await browser_less.get(counter.wallet(amanda))
    assert answer.headers["content-language"] == locale
    shown = text_of(answer)
    for key in ("part.ready", "part.store", "part.code", "use"):
        assert str(WORDS.text(locale, key)) in shown
    assert "{" not in shown
    assert {"fr": "Grande frite", "nl-BE": "Grote friet"}.get(locale, "Large fries") in shown
    chosen = await browser_less.get(counter.wallet(amanda), params={"lang": "fr"})
    assert "Grande frite" in text_of(chosen)
    assert re.search(r'href="/wallet/[^"]+/offers/[^"]+\?lang=fr"', chosen.text)


async def test_a_messages_short_link_is_a_pass_as_long_as_it_holds(counter: Counter, browser_less: httpx.AsyncClient):
    amanda = await counter.amanda()
    assert amanda.contact
    code, other = (new_code(counter.parts.link_key) for _ in range(2))
    expires_ms = counter.clock.now_ms() + DAY_MS
    changes = Changes()
    for one, contact in ((code, amanda.contact), (other, "con_nobody")):
        url = f"{counter.url}/wallet/{one}"
        changes.insert(LINKS, Link(one, WORKSPACE, contact, "dlv_1", url, expires_ms).row())
    await counter.beckon.database.commit(changes)
    opened_link = await browser_less.get(f"/go/{code}", follow_redirects=True)
    assert (opened_link.status_code, "Hello Amanda" in text_of(opened_link)) == (200, True)
    assert (await browser_less.get(f"/wallet/{other}")).status_code == 404
    counter.clock.drag(DAY_MS)
    assert (await browser_less.get(f"/wallet/{code}")).status_code == 410


async def test_a_template_may_lead_to_the_page_by_its_own_link(tmp_path: Path):
    files = {
        "templates/offer_issued.yaml": (
            "template: offer_issued\npurpose: transactional\nlocales:\n  en:\n    subject: Offer\n    text: For you\n"
            '    buttons: [{ text: See it, link: "http://beckon.example/wallet/{link}" }]\n'
        ),
        "flows/issued.yaml": "flow: issued\non: offer.issued\nsteps:\n  - send: offer_issued\n",
        "beckon.yaml": (
            "workspace: fries\nname: Fancy Fries\nchannels: [email]\nproviders:\n"
            "  smtp: { host: 127.0.0.1, port: 9, tls: none, from_address: fries@example.com }\n"
        ),
    }
    async with opened(tmp_path / "fries", files=files) as counter:
        amanda = await counter.amanda()
        await counter.issue(amanda, "large-fries")
        rows: list[Any] = []
        for _ in range(6_000):
            rows = await counter.beckon.database.fetch("SELECT code, url FROM links WHERE url LIKE '%/wallet/%'")
            if rows:
                break
            await asyncio.sleep(0.05)
        [(code, url)] = rows
        assert url == f"http://beckon.example/wallet/{code}"
        async with counter.client() as client:
            assert "Hello Amanda" in text_of(await client.get(f"/wallet/{code}"))


async def test_an_apps_backend_asks_for_a_page_with_its_key(counter: Counter, browser_less: httpx.AsyncClient):
    amanda = await counter.amanda()
    ask = f"/v1/loyalty/members/{amanda.id}/page"
    assert (await browser_less.post(ask, json={})).status_code == 401
    headers = {"Authorization": f"Bearer {await counter.key()}"}
    answer = await browser_less.post(ask, json={"minutes": 5}, headers=headers)
    assert (answer.status_code, answer.json()["expires"]) == (201, "2026-11-26T10:05:00.000Z")
    page = answer.json()["url"].removeprefix(counter.url)
    assert "Hello Amanda" in text_of(await browser_less.get(page))
    counter.clock.drag(5 * 60_000)
    assert (await browser_less.get(page)).status_code == 410
    assert (await browser_less.post(ask, json={"minutes": 9_999}, headers=headers)).status_code == 422
    assert (await browser_less.post(ask.replace(amanda.id, "mem_x"), json={}, headers=headers)).status_code == 404
    reader = {"Authorization": f"Bearer {await counter.key('read')}"}
    assert (await browser_less.post(ask, json={}, headers=reader)).status_code == 403


async def test_whoever_has_no_good_pass_sees_the_notice_and_nothing_else(
    counter: Counter, browser_less: httpx.AsyncClient
):
    amanda = await counter.amanda()
    good, over = counter.wallet(amanda), counter.wallet(amanda, -1)
    for path in (
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        "/wallet/x",
        "/wallet/" + "a" * 18,
        "/wallet/" + "é" * 9,
    ):
        for method, more in (("GET", ""), ("GET", "/history"), ("POST", "/code"), ("GET", "/store/large-fries")):
            answer = await browser_less.request(method, path + more, headers={"accept-language": "fr"})
            assert (answer.status_code, "Cette page est introuvable" in text_of(answer)) == (404, True), (
                path,
                text_of(answer),
            )
    answer = await browser_less.get(over)
    assert (answer.status_code, "This link has expired" in text_of(answer)) == (410, True)
    await counter.ask("loyalty.forget_asked", asked.Forget(member=amanda.id))
    assert (await browser_less.get(good)).status_code == 404


async def test_a_form_that_is_not_ours_does_nothing(counter: Counter, browser_less: httpx.AsyncClient):
    amanda, bo = await counter.amanda(points=200), await counter.somebody_else()
    home, theirs = counter.wallet(amanda), counter.wallet(bo)
    path = f"{home}/store/large-fries"
    form = form_of(await browser_less.get(path), path)
    foreign = form_of(await browser_less.get(theirs), f"{theirs}/code")
    for fields, headers in (
        ({**form, "token": ""}, {}),
        ({**form, "token": foreign["token"]}, {}),
        ({**form, "once": ""}, {}),
        ({**form, "once": "x" * 65}, {}),
        (form, {"sec-fetch-site": "cross-site"}),
        (form, {"origin": "https://evil.example"}),
        ({}, {}),
    ):
        answer = await browser_less.post(path, data=fields, headers=headers)
        assert (answer.status_code, "This page was open for too long." in text_of(answer)) == (403, True)
    assert (await browser_less.post(path, content=b"x" * 5_000)).status_code == 413
    answer = await browser_less.post(path, content=b"--x", headers={"content-type": "multipart/form-data"})
    assert answer.status_code == 400
    offer = await counter.issue(bo, "large-fries")
    assert (await browser_less.get(f"{home}/offers/{offer}")).status_code == 404
    assert (await browser_less.get(f"{home}/offers/{offer}/state")).status_code == 404
    member: Member = await counter.member(amanda.id)
    assert (member.account.balance, member.offers) == (200, [])


async def test_a_name_with_markup_in_it_is_only_a_name(counter: Counter, browser_less: httpx.AsyncClient):
    amanda = await counter.amanda(first_name="<b>Amanda</b>")
    answer = await browser_less.get(counter.wallet(amanda), params={"said": "<script>", "lang": "<x>"})
    assert "<b>Amanda" not in answer.text
    assert "&lt;b&gt;Amanda" in answer.text
    assert "<script>" not in answer.text
    answer = await send(browser_less, counter.wallet(amanda), f"{counter.wallet(amanda)}/code", code='"><i>')
    assert "<i>" not in answer.text


async def test_the_history_has_the_ledger_and_what_is_over(counter: Counter, browser_less: httpx.AsyncClient):
    amanda = await counter.amanda(points=200)
    offer = await counter.issue(amanda, "mobile-tuesday")
    await counter.ask("loyalty.offer_asked", asked.Act(offer=offer, act="redeem", by="till-1"))
    await counter.ask("loyalty.points_asked", asked.Points(member=amanda.id, points=-50, why="spent"))
    shown = text_of(await browser_less.get(f"{counter.wallet(amanda)}/history"))
    assert "Spent Thursday 26 November −50 Balance 150 Earned Thursday 26 November +200 Balance 200" in shown
    assert "Mobile Tuesdays Thursday 26 November Used" in shown
