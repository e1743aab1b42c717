"""Races over real sockets: a server as ``beckon serve`` runs it, two hundred connections, one request on each.

The connections stand before the first request goes out, and no answer is read before the last one has: whatever the
server's loop, its parser and its database make of it, one has it.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import msgspec
import pytest

from beckon.core.clock import SystemClock, iso
from tests.journeys.loyalty.shop import Said, basic, item, write
from tests.kit.processes import dies_with_parent

CROWD = 200
START_S = 120
#: How long one answer may take: only a machine that stands still takes so long.
ANSWER_S = 120
_numbers = count(1)
_decode = msgspec.json.Decoder().decode


class Till:
    """An app and a till of the server: what they ask goes through its port."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.key = key

    async def call(self, path: str, body: Any, *, method: str = "POST") -> Any:
        """One request; its answer's JSON."""
        [said] = await self.crowd(path, [body], method=method)
        assert said.status in (200, 201), said.body
        return said.json

    async def crowd(self, path: str, bodies: Sequence[Any], *, method: str = "POST") -> list[Said]:
        """The answers to requests that are all under way at the same time, each on a connection of its own."""
        async with asyncio.timeout(ANSWER_S):
            lines = await asyncio.gather(*[asyncio.open_connection("127.0.0.1", self.port) for _ in bodies])
            try:
                for (_, writer), body in zip(lines, bodies, strict=True):
                    writer.write(self._request(method, path, body))
                return await asyncio.gather(*[_answer(reader) for reader, _ in lines])
            finally:
                for _, writer in lines:
                    writer.close()

    def _request(self, method: str, path: str, body: Any) -> bytes:
        said = msgspec.json.encode(body)
        authorization = f"Bearer {self.key}" if path.startswith("/v1/") else basic("app", self.key)
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(said)}\r\n\r\n"
        )
        return head.encode() + said

    async def sign_up(self, external_id: str = "") -> str:
        """A new user's id."""
        external_id = external_id or f"u{next(_numbers)}"
        user = {"external_id": external_id, "email": f"{external_id}@example.com", "opted_in": True}
        return str((await self.call("/priv/v1/apps/app/users", {"user": user}))["user"]["id"])

    async def points(self, user: str) -> int:
        """What may be spent."""
        wallet = await self.call("/api/2.0/offers/get_user_offers", {"user_id": user})
        return int(wallet["payload"]["available_points"])

    async def issued(self, user: str, name: str) -> str:
        """An offer's id."""
        answer = await self.call("/api/2.0/offers/acquisition/issue", {"user_id": user, "offer_id": name})
        return str(answer["payload"]["user_offer"]["id"])

    def transaction(self, user: str, request_id: str = "", **payload: Any) -> dict[str, Any]:
        """A transaction of now."""
        number = next(_numbers)
        said = {
            "transaction_id": f"T{number}",
            "is_closed": True,
            "modified_time": iso(SystemClock().now_ms()),
            "items": [item(1, "cola", 1)],
            "payments": [{"payment_id": "P", "amount": 1, "type": "CASH", "user_id": user}],
            "discounts": [],
            **payload,
        }
        return {"store_id": "s", "client_id": "c", "request_id": request_id or f"R{number}", "request_payload": said}


async def _answer(reader: asyncio.StreamReader) -> Said:
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head, "the server hung up without a word"
    return Said(int(head.split(b" ", 2)[1]), body)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def till(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """A server of its own process, on each database."""
    folder = tmp_path_factory.mktemp("served") / "fries"
    url = f"sqlite:///{folder}/beckon.db"
    postgres: Any = None
    if request.param == "postgresql":
        postgres = request.getfixturevalue("postgres_server")
        name = postgres.create_database()
        url = postgres.url(name)
    write(folder)
    environment = {
        **os.environ,
        "BECKON_WORKSPACE": str(folder),
        "BECKON_DATABASE_URL": url,
        "BECKON_LOG_LEVEL": "warning",
    }
    made = subprocess.run(
        [sys.executable, "-m", "beckon", "key", "new", "--label", "app", "--scopes", "events read write"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    port = _free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "beckon", "serve"],
        env={**environment, "BECKON_PORT": str(port)},
        preexec_fn=dies_with_parent(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_it_answers(server, port)
        yield Till(port, made.stdout.split()[-1])
    finally:
        server.terminate()
        server.wait(60)
        if postgres is not None:
            postgres.drop_database(name)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _until_it_answers(server: "subprocess.Popen[bytes]", port: int) -> None:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60):
                return
        except OSError:
            time.sleep(0.05)  # noqa: TID251 - another process starts
    raise AssertionError("the server does not answer")


def codes(answers: list[Said]) -> Counter[str]:
    """How often each outcome came, in either API's words."""
    return Counter(_code(answer) for answer in answers)


def _code(answer: Said) -> str:
    said = _decode(answer.body)
    return str(said["errors"]["code"] if "errors" in said else said.get("code", "ok"))


async def test_the_last_offer_is_issued_once(till: Till):
    users = [await till.sign_up() for _ in range(10)]
    answers = await till.crowd(
        "/offers/api/2.0/offers/acquisition/issue",
        [
            {"user_id": users[number % 10], "offer_id": "last-one", "request_id": f"last-{number}"}
            for number in range(CROWD)
        ],
    )
    assert codes(answers) == {"ok": 1, "offer_not_issued": CROWD - 1}
    wallets = [await till.call("/api/2.0/offers/get_user_offers", {"user_id": user}) for user in users]
    assert sum(one["payload"]["total_records"] for one in wallets) == 1


async def test_one_offer_is_redeemed_once_through_whichever_api(till: Till):
    user = await till.sign_up("amanda")
    offer = await till.issued(user, "mobile-tuesday")
    member = await till.call("/v1/loyalty/members?external_id=amanda", {}, method="GET")
    [held] = (await till.call(f"/v1/loyalty/members/{member['id']}/wallet", {}, method="GET"))["items"]
    both = await asyncio.gather(
        till.crowd("/offers/api/2.0/offers/redemption/manual_redeem", [{"user_offer_id": offer}] * (CROWD // 2)),
        till.crowd(f"/v1/loyalty/offers/{held['id']}/redeem", [{}] * (CROWD // 2)),
    )
    assert codes(both[0]) + codes(both[1]) == {"ok": 1, **_refused(codes(both[0]), codes(both[1]))}
    past = await till.call(f"/v1/loyalty/members/{member['id']}/offers", {}, method="GET")
    assert [one["state"] for one in past["items"]] == ["redeemed"]


def _refused(ours: Counter[str], theirs: Counter[str]) -> dict[str, int]:
    """Everybody else, in the words of the API that they asked through."""
    refused = {"offer_state": ours["offer_state"], "offer.state": theirs["offer.state"]}
    assert sum(refused.values()) == CROWD - 1
    return refused


async def test_one_offer_is_used_by_one_of_two_hundred_transactions(till: Till):
    user = await till.sign_up()
    offer = await till.issued(user, "mobile-tuesday")
    basket = {"items": [item(1, "cola", 10)], "discounts": [{"user_offer_id": offer}]}
    answers = await till.crowd("/api/2.0/send_transaction", [till.transaction(user, **basket) for _ in range(CROWD)])
    assert codes(answers) == {"ok": 1, "offer_state": CROWD - 1}
    assert await till.points(user) == 25 + 80


async def test_the_last_unit_of_a_budget_is_given_once(till: Till):
    users = [await till.sign_up() for _ in range(10)]
    answers = await till.crowd(
        "/api/2.0/send_transaction",
        [till.transaction(users[number % 10], channel="BUDGET") for number in range(CROWD)],
    )
    assert codes(answers) == {"ok": CROWD}
    assert Counter(one.json["payload"]["points_awarded"] for one in answers) == {1010: 1, 10: CROWD - 1}
    figures = await till.call("/v1/loyalty/campaigns/one-dollar", {}, method="GET")
    assert (figures["reached"], figures["points"], figures["cost"], figures["budget"]) == (1, 1000, 100, 100)
    assert figures["skipped"]["budget"] == CROWD - 1


async def test_the_same_request_is_done_once_and_answered_alike(till: Till):
    user = await till.sign_up()
    answers = await till.crowd("/api/2.0/send_transaction", [till.transaction(user, "the same")] * CROWD)
    assert codes(answers) == {"ok": CROWD}
    assert len({answer.body for answer in answers}) == 1
    assert await till.points(user) == 25 + 10


async def test_two_hundred_want_the_same_mailbox(till: Till):
    body = {"user": {"email": "one@example.com"}}
    answers = await till.crowd("/priv/v1/apps/app/users", [body] * CROWD)
    assert codes(answers) == {"ok": 1, "email_not_unique": CROWD - 1}
