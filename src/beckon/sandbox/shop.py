"""The shop: Fancy Fries' till and app, which know Beckon by its documented APIs alone.

Members, sales, campaigns and wallets go over the vendor's routes with HTTP Basic, as in an app that was written for
them; the app's device is said at ``/v1/contacts``. Money is in dollars, as the vendor writes it.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from beckon.core import ids
from beckon.core.clock import Clock, iso
from beckon.core.exchange import Connections
from beckon.sandbox.people import Customer

PROGRAMME = "Fancy Fries"
STORE = "fries-42"
CURRENCY = "USD"


class Ware(msgspec.Struct, frozen=True):
    """What the shop sells."""

    id: str
    name: str
    price: Decimal
    category: str


WARES = {
    ware.id: ware
    for ware in (
        Ware("pulled-pork-fries", "Pulled pork fries", Decimal("9.50"), "fries"),
        Ware("curly-fries", "Curly fries", Decimal("8.50"), "fries"),
        Ware("classic-fries", "Classic fries", Decimal("4.50"), "fries"),
        Ware("snack-box", "Snack box", Decimal("6.00"), "snacks"),
        Ware("bucket", "Fries bucket", Decimal("14.00"), "fries"),
        Ware("lemonade", "Lemonade", Decimal("3.00"), "drinks"),
    )
}


class Exchange(msgspec.Struct, frozen=True):
    """A request of the shop's and its answer, as they went over the wire."""

    method: str
    path: str
    sent: Any
    status: int
    body: Any

    @property
    def ok(self) -> bool:
        """Whether it was done: the vendor says some errors with 200."""
        said = self.body.get("status") if isinstance(self.body, dict) else None
        return self.status < 300 and str(said or "ok").lower() == "ok"

    @property
    def error(self) -> tuple[str, str]:
        """(code, message) of an error; empty: there is none."""
        errors = self.body.get("errors") if isinstance(self.body, dict) else None
        if not isinstance(errors, dict):
            return ("", "") if self.ok else (f"http_{self.status}", str(self.body)[:200])
        return str(errors.get("code", "")), str(errors.get("message", ""))

    @property
    def payload(self) -> dict[str, Any]:
        """What a domain's route answers; empty where there is nothing."""
        found = self.body.get("payload") if isinstance(self.body, dict) else None
        return found if isinstance(found, dict) else {}


class Sold(msgspec.Struct):
    """A sale as the till knows it. ``lines``: line id → (ware, how many)."""

    transaction: str
    user: str
    opened: str
    lines: dict[str, tuple[str, int]]
    offers: tuple[str, ...] = ()
    voided: bool = False
    times: int = 1

    @property
    def subtotal(self) -> Decimal:
        """What the wares cost, before discounts."""
        return sum([WARES[ware].price * count for ware, count in self.lines.values()], Decimal(0))


class Shop:
    """Says what the till and the app have to say."""

    def __init__(self, *, address: str, connections: Connections, api_key: str, workspace: str, clock: Clock) -> None:
        self._address = address
        self._connections = connections
        self._workspace = workspace
        self._clock = clock
        self._basic = "Basic " + b64encode(f"{workspace}:{api_key}".encode()).decode()
        self._bearer = f"Bearer {api_key}"
        self._number = 0

    # The app.

    async def sign_up(self, customer: Customer, *, opted_in: bool) -> Exchange:
        """Step 1: a new profile."""
        first, _, last = customer.name.partition(" ")
        user: dict[str, Any] = {
            "external_id": f"app-{customer.number:04d}",
            "external_id_type": "app",
            "first_name": first,
            "last_name": last,
            "opted_in": opted_in,
            "locale": customer.locale,
        }
        if "email" in customer.has:
            user["email"] = customer.address("email")
        if {"sms", "whatsapp"} & set(customer.has):
            user["phone_numbers"] = [{"phone_number": customer.address("sms"), "phone_type": "mobile"}]
        return await self.say("POST", self._of_app("users"), {"user": user})

    async def register_device(self, customer: Customer) -> Exchange:
        """The app says the token under which its device is notified."""
        said = {"email": customer.address("email"), "addresses": {"fcm": customer.address("fcm")}}
        return await self.say("POST", "/v1/contacts", said, authorization=self._bearer)

    async def user(self, user: str) -> Exchange:
        """The profile, with points and level."""
        return await self.say("GET", self._of_app(f"users/{user}"))

    async def campaigns(self, user: str) -> Exchange:
        """Step 3: the campaigns that a member sees."""
        return await self.say("GET", self._of_app(f"users/{user}/campaigns"))

    async def wallet(self, user: str) -> Exchange:
        """Step 5: the offers in the wallet."""
        return await self.say("POST", "/api/2.0/offers/get_user_offers", self._whose(user))

    async def rewards(self, user: str) -> Exchange:
        """What the rewards store sells to a member."""
        return await self.say("POST", "/api/2.0/offers/rewardstores/get_reward_store_offers", self._whose(user))

    async def buy(self, user: str, offer: str) -> Exchange:
        """An offer from the rewards store, for points."""
        said = {**self._whose(user), "offer_id": offer, "quantity": 1, "request_id": ids.fresh("req")}
        return await self.say("POST", "/api/2.0/offers/rewardstores/purchase_offer", said)

    async def claim(self, user: str, code: str) -> Exchange:
        """A promo code."""
        said = {"promo_code": code, "request_id": ids.fresh("req")}
        return await self.say("POST", self._of_app(f"users/{user}/promo_codes/claims"), said)

    async def token(self, user: str) -> Exchange:
        """The member's own pass, for the pages that the app shows."""
        return await self.say("POST", self._of_app(f"users/{user}/auth_token"), {})

    # The till.

    def ring_up(self, user: str, basket: Mapping[str, int], offers: Sequence[str] = ()) -> Sold:
        """A sale that is not said yet."""
        self._number += 1
        lines = {str(line): (ware, count) for line, (ware, count) in enumerate(basket.items(), start=1) if count > 0}
        opened = iso(self._clock.now_ms())
        return Sold(f"T-{self._number:05d}-{ids.fresh('t')[2:8]}", user, opened, lines, tuple(offers))

    async def pay(self, sold: Sold) -> Exchange:
        """Step 4: the sale is paid. Said again after a change, it is the return of what is missing now."""
        return await self.say("POST", "/api/2.0/send_transaction", self.transaction(sold))

    def transaction(self, sold: Sold) -> dict[str, Any]:
        """What the till says of a sale."""
        items = [
            {
                "line_id": line,
                "item_id": ware,
                "quantity": count,
                "unit_price": float(WARES[ware].price),
                "subtotal": float(WARES[ware].price * count),
                "categories": [WARES[ware].category],
            }
            for line, (ware, count) in sold.lines.items()
        ]
        payload = {
            "transaction_id": sold.transaction,
            "is_closed": True,
            "is_voided": sold.voided,
            "channel": "In-Store",
            "currency": CURRENCY,
            "subtotal": float(sold.subtotal),
            "tax_total": 0.0,
            "open_time": sold.opened,
            "modified_time": iso(self._clock.now_ms()),
            "items": items,
            "payments": [
                {
                    "payment_id": f"{sold.transaction}-{sold.times}",
                    "amount": float(sold.subtotal),
                    "type": "CARD",
                    "user_id": sold.user,
                    "user_id_type": "SessionM_ID",
                }
            ],
            "discounts": [{"user_offer_id": offer} for offer in sold.offers],
        }
        return {
            "store_id": STORE,
            "client_id": "till-3",
            "request_id": ids.fresh("req"),
            "culture": "en-US",
            "request_payload": payload,
        }

    # Both.

    async def say(self, method: str, path: str, said: Any = None, *, authorization: str = "") -> Exchange:
        """One request, and what was answered, whatever it is."""
        reply = await self._connections.request(
            method,
            self._address + path,
            headers={"authorization": authorization or self._basic, "content-type": "application/json"},
            body=b"" if said is None else msgspec.json.encode(said),
            timeout_s=20,
        )
        try:
            body: Any = msgspec.json.decode(reply.body) if reply.body else None
        except msgspec.DecodeError:
            body = reply.body.decode("utf-8", "replace")
        return Exchange(method, path, said, reply.status, body)

    def _of_app(self, rest: str) -> str:
        return f"/priv/v1/apps/{self._workspace}/{rest}"

    def _whose(self, user: str) -> dict[str, Any]:
        return {"retailer_id": self._workspace, "user_id": user, "skip": 0, "take": 50, "culture": "en-US"}
