"""Fancy Fries: a served workspace with a programme, offers and campaigns, on a clock that stands still; and its app."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvicorn

from beckon.app import Beckon
from beckon.core.clock import VirtualClock
from beckon.core.event import Event
from beckon.journeys.loyalty_offers.reading import Reading
from beckon.settings import ServerSettings
from beckon.starting import new_key

#: Thursday, 26 November 2026, 12:00 in Brussels.
NOON_MS = 1_795_690_800_000
DAY_MS = 86_400_000

SETTINGS = """\
workspace: fries
name: Fancy Fries
channels: [sms, email]
"""
PROGRAMME = """\
programme: fancy-fries
title: Fancy Fries Rewards
currency: USD
points: 10
per: 1
expiry: { kind: rolling, months: 12 }
point_value: 0.001
categories: { fries: ["*-fries"], drinks: [cola] }
tiers:
  - { tier: bronze, title: Bronze }
  - { tier: silver, title: Silver, reached_at: 100, rate: 150 }
"""
OFFERS = {
    "mobile-tuesday": """\
offer: mobile-tuesday
title: 20% off Mobile Tuesdays
blurb: A fifth off everything
discount: { percent: 20 }
valid: 30d
""",
    "snack-box": """\
offer: snack-box
title: Snack box
titles: { nl-BE: Snackdoos, fr: Boîte snack }
blurb: A snack box for nothing
discount: { free: 1, items: [snack-box] }
valid: 30d
price: 150
stock: 1000
""",
    "large-fries": """\
offer: large-fries
title: Large fries
blurb: Two dollars off large fries
discount: { amount: 2, categories: [fries] }
ends: 2027-01-31
price: 100
""",
    "last-one": """\
offer: last-one
title: The last one
discount: { amount: 1 }
valid: 30d
stock: 1
price: 0
""",
}
CAMPAIGNS = {
    "two-kinds": """\
campaign: two-kinds
title: Two kinds of fries
blurb: Buy two kinds of fries and get a snack box
when:
  basket: [{ categories: [fries], count: 2, distinct: 2 }]
  amount_min: 15
gives: { offer: snack-box, points: 50 }
limits: { member: 1 }
payload: { screen: fries }
""",
    "mobile": """\
campaign: mobile
title: Mobile Tuesdays
days: [tue]
shown: promotion
when: { channels: [MOBILE] }
gives: { multiplier: 200 }
""",
    "hello": """\
campaign: hello
title: Hello
on: sign_up
gives: { points: 25 }
shown: hidden
""",
    "one-dollar": """\
campaign: one-dollar
title: A dollar, once
when: { channels: [BUDGET] }
gives: { points: 1000 }
limits: { budget: 1 }
shown: hidden
""",
    "code": """\
campaign: code
title: A code for fries
on: code
code: FRIES-2026
gives: { points: 7 }
shown: hidden
""",
    "single": """\
campaign: single
title: A code of the box
on: code
code_list: boxes
gives: { offer: large-fries }
shown: hidden
""",
    "everybody": """\
campaign: everybody
title: For everybody
on: round
gives: { offer: mobile-tuesday }
limits: { member: 1 }
shown: hidden
""",
}
_numbers = count(1)


class Said(msgspec.Struct, frozen=True):
    """An answer."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """What it says."""
        return msgspec.json.decode(self.body)


class Shop:
    """A served workspace."""

    def __init__(self, beckon: Beckon, clock: VirtualClock, key: str, url: str, client: httpx.AsyncClient) -> None:
        self.beckon = beckon
        self.clock = clock
        self.key = key
        self.url = url
        self.client = client
        self.reading = Reading(beckon.database, beckon.workspaces, clock)

    async def call(self, method: str, path: str, body: Any = None, *, status: int | None = None, **more: Any) -> Any:
        """One request of the vendor's API; its answer's JSON."""
        answer = await self.client.request(method, path.replace(":api_key", "app"), json=body, **more)
        if status is not None:
            assert answer.status_code == status, answer.text
        return answer.json()

    async def crowd(self, path: str, bodies: Sequence[Any]) -> list["Said"]:
        """The answers to requests that come together, straight from the server's application."""
        return await asyncio.gather(*[self._straight(path, body) for body in bodies])

    async def _straight(self, path: str, body: Any) -> "Said":
        given: list[Any] = [{"type": "http.request", "body": msgspec.json.encode(body), "more_body": False}]
        said: list[Any] = []

        async def receive() -> Any:
            return given.pop()

        async def send(message: Any) -> None:
            said.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path.replace(":api_key", "app"),
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [
                (b"authorization", basic("app", self.key).encode()),
                (b"content-type", b"application/json"),
            ],
        }
        await self.beckon.app(scope, receive, send)
        return Said(said[0]["status"], b"".join(message.get("body", b"") for message in said[1:]))

    async def sign_up(self, **user: Any) -> dict[str, Any]:
        """A new user."""
        number = next(_numbers)
        said = {"external_id": f"ext-{number}", "email": f"ann{number}@example.com", "opted_in": True, **user}
        answer = await self.call("POST", "/priv/v1/apps/:api_key/users", {"user": said}, status=200)
        assert answer["status"] == "ok", answer
        return dict(answer["user"])

    async def send(self, user: Mapping[str, Any], request_id: str = "", **payload: Any) -> Any:
        """A transaction of a user."""
        return await self.call("POST", "/api/2.0/send_transaction", self.transaction(user, request_id, **payload))

    def transaction(self, user: Mapping[str, Any], request_id: str = "", **payload: Any) -> dict[str, Any]:
        """A transaction's request."""
        number = next(_numbers)
        said = {
            "transaction_id": f"T{number}",
            "is_closed": True,
            "is_voided": False,
            "channel": "IN-STORE",
            "open_time": self.at(0),
            "modified_time": self.at(0),
            "items": [item(1, "pulled-pork-fries", 9), item(2, "curly-fries", 9)],
            "payments": [{"payment_id": "P1", "amount": 18, "type": "CASH", "user_id": user["id"]}],
            "discounts": [],
            **payload,
        }
        if "subtotal" not in said:
            said["subtotal"] = sum(one["subtotal"] for one in said["items"])
        return {
            "store_id": "store-1",
            "client_id": "till-1",
            "request_id": request_id or f"R{number}",
            "request_payload": said,
        }

    def at(self, seconds: float) -> str:
        """An instant as tills write it."""
        moment = (self.clock.now_ms() / 1000) + seconds
        from datetime import UTC, datetime

        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    async def wallet(self, user: Mapping[str, Any]) -> dict[str, Any]:
        """The wallet's payload."""
        body = {"retailer_id": "r", "user_id": user["id"], "skip": 0, "take": 100, "culture": "en-US"}
        answer = await self.call("POST", "/api/2.0/offers/get_user_offers", body, status=200)
        return dict(answer["payload"])

    async def points(self, user: Mapping[str, Any]) -> int:
        """What may be spent."""
        return int((await self.wallet(user))["available_points"])

    async def until(self, holds: Any, why: str = "it never came to that") -> None:
        """Wait until something holds."""
        for _ in range(60_000):
            if holds():
                return
            await asyncio.sleep(0.005)
        raise AssertionError(why)

    async def rest(self) -> None:
        """Until nothing moves any more at the clock's instant."""
        carrier = self.beckon.carrier
        assert carrier is not None
        await self.until(lambda: self.beckon.wheel.quiet and carrier.quiet, "the line does not come to rest")

    async def later(self, ms: int) -> None:
        """Move the clock, and let the line come to rest."""
        self.clock.drag(ms)
        self.beckon.wake()
        await self.rest()

    async def events(self, type_: str) -> list[Any]:
        """The data of the journal's events of a type."""
        rows = await self.beckon.database.fetch("SELECT data FROM journal WHERE type = ? ORDER BY position", (type_,))
        return [msgspec.json.decode(str(row[0])) for row in rows]

    async def ask(self, type_: str, given: Any, id_: str = "") -> Any:
        """What the turn answers to one of ``asked``."""
        event = Event(
            workspace="fries", source="test", id=id_ or f"a{next(_numbers)}", type=type_, time_ms=0, data=given
        )
        return await self.beckon._ask(event, 60)


def item(line: int, name: str, price: float, quantity: float = 1) -> dict[str, Any]:
    """A line of a basket."""
    return {
        "line_id": str(line),
        "item_id": name,
        "quantity": quantity,
        "unit_price": price,
        "subtotal": round(price * quantity, 2),
        "tax_included": 0,
    }


def write(folder: Path, more: Mapping[str, str] = {}) -> None:
    """The workspace's folder."""
    files = {
        "beckon.yaml": SETTINGS,
        "programme/programme.yaml": PROGRAMME,
        **{f"offers/{name}.yaml": text for name, text in OFFERS.items()},
        **{f"campaigns/{name}.yaml": text for name, text in CAMPAIGNS.items()},
        **more,
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def basic(name: str, secret: str) -> str:
    """HTTP Basic."""
    return "Basic " + b64encode(f"{name}:{secret}".encode()).decode()


@asynccontextmanager
async def opened(
    folder: Path, database_url: str, *, more: Mapping[str, str] = {}, clock: VirtualClock | None = None, key: str = ""
) -> AsyncIterator[Shop]:
    """The shop, served on a socket of loopback."""
    write(folder, more)
    clock = clock or VirtualClock(NOON_MS)
    beckon = Beckon(
        ServerSettings(database_url=database_url, workspace=str(folder), secret_key="the tests' own key"), clock=clock
    )
    await beckon.open()
    beckon.start()
    key = key or await new_key(beckon.database, "fries", "app", "events read write definitions")
    config = uvicorn.Config(
        beckon.app,
        port=0,
        lifespan="off",
        interface="asgi3",
        log_level="error",
        access_log=False,
        timeout_keep_alive=300,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        for _ in range(60_000):
            if server.started:
                break
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": basic("app", key)}, timeout=300, limits=limits
        ) as client:
            yield Shop(beckon, clock, key, url, client)
    finally:
        server.should_exit = True
        await serving
        await beckon.close()
