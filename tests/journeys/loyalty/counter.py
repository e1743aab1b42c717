"""Fancy Fries as a real server for tests of its pages: its programme, a member, a team, a clock to move.

``python -m tests.journeys.loyalty.counter 8123`` serves it, to look at by hand.
"""

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from beckon.app import Beckon
from beckon.core.clock import VirtualClock
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.asking import Asking, mark_of
from beckon.journeys.loyalty_offers.member import Member, Phone, Profile
from beckon.journeys.loyalty_offers.money import minor
from beckon.journeys.loyalty_offers.reading import Reading
from beckon.journeys.loyalty_offers.sale import Item, Redeemed, SaleAsked
from beckon.journeys.loyalty_offers.tokens import token_for
from beckon.settings import ServerSettings
from beckon.starting import new_key, new_person

WORKSPACE = "fries"
EMAIL, PASSWORD = "noor@fries.example", "a long enough password"
#: Thursday 26 November 2026, 11:00 in Brussels.
NOON_MS = 1_795_687_200_000
DAY_MS = 86_400_000

FILES = {
    "beckon.yaml": """\
workspace: fries
name: Fancy Fries
channels: [email]
locale: en
time_zone: Europe/Brussels
region: BE
""",
    "programme/programme.yaml": """\
programme: fancy
title: Fancy Fries Club
currency: EUR
points: 1
per: 1
expiry: { kind: calendar, on: 12-31, days: 30 }
pending: 0m
point_value: 0.01
tiers:
  - { tier: crisp, title: Crisp, reached_at: 0 }
  - { tier: golden, title: Golden, reached_at: 50, rate: 150 }
  - { tier: truffle, title: Truffle, reached_at: 500, rate: 200 }
codes: { wrong_max: 3, lock_out: 1h }
""",
    "offers/large-fries.yaml": """\
offer: large-fries
title: Large fries
blurb: One large portion, any cut, with a sauce of your choice.
titles: { fr: Grande frite, nl: Grote friet }
blurbs: { fr: "Une grande portion avec la sauce de votre choix.", nl: "Een grote portie met een saus naar keuze." }
terms: One for each visit. Not with other offers.
discount: { free: 1, items: [fries-large] }
till_code: FRIES-L
valid: 30d
price: 120
""",
    "offers/mobile-tuesday.yaml": """\
offer: mobile-tuesday
title: Mobile Tuesdays
blurb: 20 % off everything you order with your phone on a Tuesday.
discount: { percent: 20 }
valid: 10d
""",
    "offers/snack-box.yaml": """\
offer: snack-box
title: Snack box
blurb: Six nuggets, six onion rings and two dips.
discount: { amount: 2.50, items: [snack-box] }
ends: "2026-12-20"
price: 80
stock: 1000
""",
    "offers/party-platter.yaml": """\
offer: party-platter
title: Party platter for eight hungry friends
blurb: Loaded fries, nuggets, rings and every sauce that we have.
discount: { percent: 50, items: [platter] }
valid: 60d
price: 900
""",
    "offers/truffle-night.yaml": """\
offer: truffle-night
title: Truffle night
blurb: An evening at the fryer with our chef.
price: 10
tiers: [truffle]
""",
    "campaigns/two-kinds.yaml": """\
campaign: two-kinds
title: Two kinds of fries
blurb: Buy two different kinds of fries for 18 euros and get large fries.
when: { basket: [{ categories: [fries], distinct: 2, amount: 18 }] }
gives: { offer: large-fries, points: 20 }
limits: { member: 1, budget: 500 }
""",
    "campaigns/fryday.yaml": """\
campaign: fryday
title: Fryday challenge
blurb: Join in and every Friday your points count double.
opt_in: true
days: [fri]
gives: { multiplier: 200 }
ends: "2027-01-31"
""",
    "campaigns/newsletter.yaml": """\
campaign: newsletter
title: The leaflet's code
on: code
code: FRIES-2026
gives: { points: 50 }
""",
    "campaigns/everybody.yaml": """\
campaign: everybody
title: A snack box for everybody
on: round
gives: { offer: snack-box }
shown: hidden
""",
}


class Counter:
    """The server, and hands to do with it what a till, an app and the team do."""

    def __init__(self, beckon: Beckon, url: str, clock: VirtualClock) -> None:
        self.beckon = beckon
        self.url = url
        self.clock = clock
        self.parts = beckon._for_journeys(beckon._console())
        self.reading = Reading(beckon.database, beckon.workspaces, clock)
        self._asked = 0

    async def ask(self, type_: str, given: Any, id: str = "") -> dict[str, Any]:
        """What the turn answers."""
        given.mark = mark_of(given)
        self._asked += 1
        return await Asking(self.parts).ask(WORKSPACE, type_, given, source="tests", id=id or f"asked-{self._asked}")

    async def amanda(self, points: int = 0, locale: str = "en", **profile: Any) -> Member:
        """Amanda signs up, and has some points."""
        said = {
            "email": "amanda@example.com", "first_name": "Amanda", "last_name": "Peeters", "locale": locale,
            "phones": (Phone("+32470123456"),), "opted_in": True, **profile,
        }  # fmt: skip
        answer = await self.ask(
            "loyalty.sign_up_asked", asked.SignUp(profile=Profile(**said), external={"crm": "4711"})
        )
        if points:
            await self.ask("loyalty.points_asked", asked.Points(member=answer["member"], points=points, why="a gift"))
        return await self.member(answer["member"])

    async def member(self, id: str) -> Member:
        """The member as the table has it, once everything is turned."""
        await self.beckon.wheel.settled(self.beckon.journal.position)
        found = await self.reading.member(WORKSPACE, id)
        assert found is not None
        return found

    async def somebody_else(self) -> Member:
        """Bo signs up."""
        profile = Profile(email="bo@example.com", first_name="Bo", last_name="Maes", locale="en")
        answer = await self.ask("loyalty.sign_up_asked", asked.SignUp(profile=profile))
        return await self.member(answer["member"])

    async def buys_fries(self, member: Member, sale: str = "sale-1", redeems: str = "") -> dict[str, Any]:
        """Two kinds of fries for 18 euros."""
        kinds = [("fries-pork", 1_000), ("fries-curly", 800)]
        items = tuple(
            Item(str(place), name, 1_000, cents, cents, ("fries",)) for place, (name, cents) in enumerate(kinds)
        )
        now_ms = self.clock.now_ms()
        given = SaleAsked(
            member=member.id, sale=sale, store="brussels-1", channel="counter", currency="EUR", items=items,
            subtotal=minor("18", 2), closed=True, at_ms=now_ms, modified_ms=now_ms,
            redeemed=(Redeemed(redeems),) if redeems else (),
        )  # fmt: skip
        return await self.ask("loyalty.transaction_asked", given)

    async def issue(self, member: Member, definition: str) -> str:
        """An offer by hand; its id."""
        answer = await self.ask("loyalty.issue_asked", asked.Issue(member=member.id, definition=definition))
        return str(answer["offer"])

    def wallet(self, member: Member, life_ms: int = DAY_MS) -> str:
        """The path of a member's page."""
        expires_ms = self.clock.now_ms() + life_ms
        return "/wallet/" + token_for(WORKSPACE, member.id, self.parts.link_key, expires_ms)

    async def key(self, scopes: str = "events read write definitions") -> str:
        """An API key."""
        return await new_key(self.beckon.database, WORKSPACE, "tests", scopes)

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A browser without scripts."""
        return httpx.AsyncClient(base_url=self.url, timeout=300, trust_env=False, verify=False, **options)

    async def sign_in(self, client: httpx.AsyncClient) -> None:
        """Noor of the team, at the console."""
        answer = await client.post("/console/sign-in", data={"email": EMAIL, "password": PASSWORD, "next": "/console"})
        assert answer.status_code == 303, answer.text


@asynccontextmanager
async def opened(
    folder: Path, database_url: str = "", port: int = 0, files: dict[str, str] | None = None, team: bool = False
) -> AsyncIterator[Counter]:
    """A counter, and nothing left of it afterwards."""
    for name, text in {**FILES, **(files or {})}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    clock = VirtualClock(NOON_MS)
    listening = socket.create_server(("127.0.0.1", port))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = ServerSettings(
        database_url=database_url or f"sqlite:///{folder}/beckon.db", workspace=str(folder), key_cache_s=0,
        secret_key="the tests' own secret key", public_url=url,
    )  # fmt: skip
    beckon = Beckon(settings, clock=clock)
    await beckon.open()
    if team:
        await new_person(beckon.database, WORKSPACE, EMAIL, PASSWORD, role="owner", name="Noor Haddad")
    beckon.start()
    config = uvicorn.Config(beckon.app, interface="asgi3", lifespan="off", access_log=False, log_level="warning")
    server = uvicorn.Server(config)
    turning = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield Counter(beckon, url, clock)
    finally:
        beckon.hub.close()
        server.should_exit = True
        await turning
        await beckon.close()


async def _serve(port: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder), port=port, team=True) as counter:
            member = await counter.amanda(points=400)
            await counter.buys_fries(member)
            for name in ("mobile-tuesday", "snack-box"):
                await counter.issue(member, name)
            print(counter.url + counter.wallet(member, 30 * DAY_MS), flush=True)  # noqa: T201
            print(f"{counter.url}/console/members  {EMAIL} / {PASSWORD}", flush=True)  # noqa: T201
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
