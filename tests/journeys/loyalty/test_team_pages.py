"""The team's pages for loyalty: finding members, acting for them, campaigns and their chart; who may not."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.member import Member, Profile
from beckon.journeys.loyalty_offers.team import chart, lists
from tests.journeys.loyalty.counter import DAY_MS, WORKSPACE, Counter, opened
from tests.journeys.loyalty.test_member_page import form_of, send, text_of


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    async with opened(tmp_path / "fries", team=True) as open_one:
        yield open_one


@pytest.fixture
async def noor(counter: Counter) -> AsyncIterator[httpx.AsyncClient]:
    """Noor of the team, signed in."""
    async with counter.client() as client:
        await counter.sign_in(client)
        yield client


async def test_members_are_found_by_what_one_knows_of_them_and_listed_page_by_page(tmp_path: Path, database_url: str):
    async with opened(tmp_path / "fries", database_url, team=True) as counter, counter.client() as noor:
        await counter.sign_in(noor)
        await _finds(counter, noor)
        await _turns_pages(counter, noor)


async def _finds(counter: Counter, noor: httpx.AsyncClient) -> None:
    amanda, bo = await counter.amanda(), await counter.somebody_else()
    shown = text_of(await noor.get("/console/members"))
    assert shown.index("Bo Maes") < shown.index("Amanda Peeters")
    for word in (
        "amanda@example.com",
        "AMANDA@",
        "aman",
        "4711",
        "0470 12 34 56",
        "+32470123456",
        amanda.id,
        amanda.contact,
    ):
        shown = text_of(await noor.get("/console/members", params={"search": word}))
        assert ("Amanda Peeters" in shown, "Bo Maes" in shown) == (True, False), word
    for word in ("zoë", "0470 00 00 00", "mem_x", "%", "_", "' OR 1=1 --", "a" * 300):
        assert "Nobody is found by that" in text_of(await noor.get("/console/members", params={"search": word})), word
    assert bo.id != amanda.id


async def _turns_pages(counter: Counter, noor: httpx.AsyncClient) -> None:
    many = tuple(asked.SignUp(profile=Profile(email=f"m{n:03d}@example.com")) for n in range(120))
    await counter.ask("loyalty.members_asked", asked.ManySignUps(members=many))
    seen: list[str] = []
    url = "/console/members"
    for _ in range(3):
        answer = await noor.get(url)
        seen += re.findall(r'href="/console/members/(mem_\w+)"', answer.text)
        more = re.search(r'href="(/console/members\?after=[^"]+)"', answer.text)
        url = more[1] if more else ""
    assert (len(seen), len(set(seen)), url) == (122, 122, "")


async def test_the_list_and_the_search_look_at_few_rows_however_many_there_are(counter: Counter):
    asked_for: list[str] = []
    database = counter.beckon.database
    await counter.amanda()

    class Watched:
        dialect = "sqlite"

        async def fetch(self, sql: str, parameters: object = ()) -> object:
            plan = await database.fetch(f"EXPLAIN QUERY PLAN {sql}", tuple(parameters))  # type: ignore[arg-type]
            asked_for.extend(str(row[3]) for row in plan)
            return await database.fetch(sql, tuple(parameters))  # type: ignore[arg-type]

        async def fetch_all(self, queries: object) -> object:
            return [await self.fetch(sql, parameters) for sql, parameters in queries]  # type: ignore[attr-defined]

    await lists.members(Watched(), WORKSPACE)  # type: ignore[arg-type]
    await lists.search(Watched(), WORKSPACE, "4711", "BE")  # type: ignore[arg-type]
    scans = [step for step in asked_for if step.startswith(("SCAN m", "USE TEMP"))]
    assert asked_for
    assert scans == [], asked_for


async def test_points_are_adjusted_with_a_reason_once(counter: Counter, noor: httpx.AsyncClient):
    amanda = await counter.amanda(points=100)
    page, action = f"/console/members/{amanda.id}", f"/console/members/{amanda.id}/points"
    form = form_of(await noor.get(page), action)
    answers = await asyncio.gather(
        *(noor.post(action, data={**form, "points": "-30", "why": "a mistake"}) for _ in range(3))
    )
    assert {answer.status_code for answer in answers} == {303}
    shown = text_of(await noor.get(answers[0].headers["location"]))
    assert "The points are booked." in shown
    assert "a mistake −30 70" in shown
    for points, why, said in (
        ("-500", "x", "500 points are wanted"),
        ("0", "x", "whole number"),
        ("many", "x", "Write a whole number"),
        ("1.5", "x", "Write a whole number"),
        ("9999999999999", "x", "Write a number up to"),
        ("5", " ", "Say why"),
        ("5", "x" * 201, "200 characters"),
    ):
        answer = await send(noor, page, action, points=points, why=why)
        assert (answer.status_code, said.casefold() in text_of(answer).casefold()) == (422, True), (
            points,
            text_of(answer),
        )
    assert (await counter.member(amanda.id)).account.balance == 70


async def test_offers_are_given_taken_back_and_given_back(counter: Counter, noor: httpx.AsyncClient):
    amanda = await counter.amanda()
    page = f"/console/members/{amanda.id}"
    answer = await send(noor, page, f"{page}/offers", offer="large-fries", why="an apology")
    assert "The offer is in the wallet." in text_of(await noor.get(answer.headers["location"]))
    [offer] = (await counter.member(amanda.id)).offers
    answer = await send(noor, page, f"{page}/act", offer=offer, act="revoke", why="a mistake")
    shown = await noor.get(answer.headers["location"])
    assert "The offer was taken back." in text_of(shown)
    assert (await counter.member(amanda.id)).offers == []
    await send(noor, page, f"{page}/act", offer=offer, act="reinstate", why="no mistake")
    assert (await counter.member(amanda.id)).offers == [offer]
    for fields, status in (
        ({"offer": offer, "act": "redeem", "why": "x"}, 422),
        ({"offer": offer, "act": "reinstate", "why": "x"}, 409),
        ({"offer": "ofr_none", "act": "revoke", "why": "x"}, 404),
        ({"offer": offer, "act": "revoke", "why": ""}, 422),
    ):
        assert (await send(noor, page, f"{page}/act", **fields)).status_code == status, fields
    bo = await counter.somebody_else()
    answer = await noor.post(f"/console/members/{bo.id}/act", data={
        **form_of(await noor.get(f"/console/members/{bo.id}"), f"/console/members/{bo.id}/points"),
        "offer": offer, "act": "revoke", "why": "another's",
    })  # fmt: skip
    assert (answer.status_code, "another member" in text_of(answer)) == (422, True)
    answer = await send(noor, page, f"{page}/offers", offer="nothing", why="x")
    assert answer.status_code == 422


async def test_a_purchase_says_what_it_gave_and_why_not_more(counter: Counter, noor: httpx.AsyncClient):
    amanda = await counter.amanda()
    await counter.buys_fries(amanda)
    shown = text_of(await noor.get(f"/console/members/{amanda.id}"))
    assert "sale-1 brussels-1 · counter" in shown
    assert "20 points: Two kinds of fries" in shown
    assert "Fryday challenge : the member has not said yes to it" in shown or "not on this day" in shown


async def test_a_member_is_forgotten_only_when_it_is_meant(counter: Counter, noor: httpx.AsyncClient):
    amanda = await counter.amanda(points=100)
    page = f"/console/members/{amanda.id}"
    answer = await send(noor, page, f"{page}/forget", sure="yes")
    assert (answer.status_code, "Type “forget”" in text_of(answer)) == (422, True)
    answer = await send(noor, page, f"{page}/forget", sure="Forget")
    shown = text_of(await noor.get(answer.headers["location"]))
    assert "was forgotten" in shown
    assert "Amanda" not in shown
    assert "amanda@" not in shown
    assert (await counter.member(amanda.id)).state == "forgotten"


async def test_a_campaign_shows_what_it_reached_gave_and_cost(counter: Counter, noor: httpx.AsyncClient):
    amanda, bo = await counter.amanda(), await counter.somebody_else()
    await counter.buys_fries(amanda)
    counter.clock.drag(DAY_MS)
    for place, member in enumerate((amanda, bo)):
        await counter.buys_fries(member, f"sale-{place + 2}")
    answer = await noor.get("/console/campaigns/two-kinds", params={"days": "14"})
    shown = text_of(answer)
    assert "Reached 2 Offers issued 2 Redeemed 0 0.0 % of those issued Points given 40 Cost €0.40 of €500" in shown
    assert "Thu 26 Nov 1 1 0 20 €0.20" in shown
    assert "Fri 27 Nov 1 1 0 20 €0.20" in shown
    assert "The member has had it as often as allowed limit_member 1" in shown
    drawn = re.search(r'<svg class="bars".*?</svg>', answer.text, re.S)
    assert drawn is not None
    assert (
        "13 November 2026 to 27 November 2026: 2 reached, 2 issued, 0 redeemed" in drawn[0] or "2 reached" in drawn[0]
    )
    assert drawn[0].count('class="bars-issued"') == 2
    assert "Two kinds of fries" in text_of(await noor.get("/console/campaigns"))


async def test_a_round_is_begun_with_a_tick_and_stopped(counter: Counter, noor: httpx.AsyncClient):
    await counter.amanda()
    page = "/console/campaigns/everybody"
    answer = await send(noor, page, f"{page}/start")
    assert (answer.status_code, "tick the box" in text_of(answer).casefold()) == (422, True)
    answer = await send(noor, page, f"{page}/start", sure="yes")
    assert answer.headers["location"] == f"{page}?done=started"
    for _ in range(6_000):
        counter.clock.drag(1_000)
        counter.beckon.wake()
        if "Done" in text_of(await noor.get(page)):
            break
        await asyncio.sleep(0.05)
    shown = text_of(await noor.get(page))
    assert "1 of 1 Done" in shown
    form = form_of(await noor.get(page), f"{page}/start")
    answer = await noor.post(f"{page}/stop", data=form)
    assert (answer.status_code, "not under way" in text_of(answer)) == (422, True)
    answer = await noor.post("/console/campaigns/two-kinds/start", data={**form, "sure": "yes", "once": "once-another"})
    assert answer.status_code == 422


async def test_beside_a_conversation_stands_what_the_member_has(counter: Counter, noor: httpx.AsyncClient):
    amanda = await counter.amanda(points=100)
    await counter.buys_fries(amanda)
    shown = text_of(await noor.get(f"/console/conversations/{amanda.contact}"))
    assert "Loyalty Level Crisp €32 more to Golden Points 138 Next expiry 138 points Thursday 31 December" in shown
    assert "Offers Large fries until Saturday 26 December Last purchases €18" in shown
    await counter.ask("loyalty.forget_asked", asked.Forget(member=amanda.id))
    await counter.member(amanda.id)
    assert "Last purchases" not in text_of(await noor.get(f"/console/conversations/{amanda.contact}"))


async def test_who_is_not_signed_in_or_sends_no_token_does_nothing(counter: Counter, noor: httpx.AsyncClient):
    amanda = await counter.amanda(points=100)
    page = f"/console/members/{amanda.id}"
    async with counter.client() as stranger:
        for path in (page, "/console/members", "/console/campaigns", "/console/campaigns/two-kinds"):
            answer = await stranger.get(path)
            assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/console/sign-in")
        assert (await stranger.post(f"{page}/points", data={"points": "5", "why": "x"})).status_code == 303
    for path in ("points", "offers", "act", "forget"):
        assert (await noor.post(f"{page}/{path}", data={"points": "5", "why": "x"})).status_code == 403
    assert (await noor.get("/console/members/mem_nobody")).status_code == 404
    assert (await noor.get("/console/campaigns/nothing")).status_code == 404
    member: Member = await counter.member(amanda.id)
    assert member.account.balance == 100


def test_a_chart_has_a_scale_that_holds_its_highest_bar():
    assert [chart.nice(highest) for highest in (0, 1, 3, 7, 10, 11, 51, 999_999)] == [
        1,
        1,
        5,
        10,
        10,
        20,
        100,
        1_000_000,
    ]
    empty = chart.bars("A <title>", 20_000, ())
    assert "A &lt;title&gt;" in empty
    assert "Nothing yet." in empty
    full = chart.bars("x", 20_000, (chart.Series("issued", "issued", tuple(range(92))),))
    assert full.count("<rect") == 91
    assert all(0 <= float(y) <= 240 for y in re.findall(r' y="([-0-9.]+)"', full))
    assert "style" not in full
