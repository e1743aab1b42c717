"""Loyalty: Fancy Fries' till and app, their members, and the offers in their wallets."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from beckon.core.clock import iso
from beckon.core.errors import Refused
from beckon.messaging.choose import LABELS
from beckon.sandbox.cast import Cast
from beckon.sandbox.page.scenes import Look, Region
from beckon.sandbox.page.shown import APPS, App, Moment, steps
from beckon.sandbox.people import PROVIDER_OF, Customer
from beckon.sandbox.shop import PROGRAMME, STORE, WARES, Exchange, Sold
from beckon.web.filters import moment

_CHANNELS = ("fcm", "whatsapp", "sms", "email")
_TITLES = ("Sign-up", "Welcome", "Campaigns", "Purchase", "Wallet", "Offer issued", "Offer expires")
_COUNT_MAX = 9
_CODE_MAX = 64
#: A pass is asked for anew when less than this is left of it.
_PASS_LEFT_MS = 3_600_000
_PASS_MS = 24 * 3_600_000
#: The hours between which the clock is left as it is for the story.
_DAY = (8, 20)

#: name, locale, what they have.
_PEOPLE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Amanda Jones", "en", _CHANNELS),
    ("Jonas Weber", "de", ("whatsapp", "sms", "email")),
    ("Sofie Claes", "nl-BE", ("email",)),
)


class Shopper(msgspec.Struct):
    """A customer of the shop, what lies on the counter for them, and what the shop knows of them."""

    id: str
    customer: Customer
    #: the vendor's id; empty: not a member yet.
    user: str = ""
    explored: bool = False
    basket: dict[str, int] = {}
    #: offers that the till will use.
    used: list[str] = []
    sold: Sold | None = None
    #: the request that was said last, and its answer.
    last: Exchange | None = None
    #: whether there ever was an offer in the wallet.
    had_offer: bool = False
    pass_: str = ""
    pass_until_ms: int = 0


class Wallet(msgspec.Struct):
    """What the app was answered about a member."""

    points: int = 0
    tier: str = ""
    offers: list[dict[str, Any]] = []
    tiles: list[dict[str, Any]] = []
    promotions: list[dict[str, Any]] = []


class Loyalty:
    """The scene of the loyalty journey."""

    def __init__(self, cast: Cast, time_zone: str) -> None:
        self._cast = cast
        self._shop = cast.shop
        self._zone = time_zone
        self.look = Look(
            name="loyalty",
            title="Loyalty",
            icon="gift",
            business=PROGRAMME,
            part=("Till", f"{PROGRAMME} · {STORE}", "Till"),
            team="Members",
            story="The loyalty story, step by step",
            apps=(App("offers", PROGRAMME, "gift"), *[APPS[name] for name in ("web_push", "whatsapp", "sms", "email")]),
            channels=_CHANNELS,
            flow_titles={
                "member-welcome": "Welcome",
                "offer-issued": "Offer issued",
                "offer-expiring": "Offer expires",
                "points-expiring": "Points expire",
                "tier-reached": "New level",
                "campaign-message": "Message",
            },
            drags=(("+1 h", 1), ("+1 d", 24), ("+10 d", 240)),
            slider=(720, 24),
            style="page/loyalty.css",
        )
        self.acts = {
            "join": self._join,
            "explore": self._explore,
            "item": self._item,
            "use": self._use,
            "scan": self._scan,
            "pay": self._pay,
            "give_back": self._give_back,
            "code": self._code,
            "morning": self._morning,
            "send": self._send,
        }
        self.routes = ()
        self._number = 0
        self.shoppers: dict[str, Shopper] = {}
        self.fresh()

    def opened(self) -> None:
        """Members stay members, whatever day it is."""

    def fresh(self) -> None:
        """Begin anew: other customers of the same names, none of them a member."""
        self.shoppers.clear()
        for index, (name, locale, has) in enumerate(_PEOPLE, start=1):
            self._add(f"m{index}", Customer(name=name, number=0, has=has, locale=locale))

    def _add(self, id_: str, customer: Customer) -> None:
        self._number += 1
        number = 500 + self._number
        customer = msgspec.structs.replace(customer, number=number, origin=self._cast.origin)
        self.shoppers[id_] = Shopper(id_, customer)

    def somebody(self, id_: str) -> Shopper:
        """The customer of this id; the first one where there is none."""
        return self.shoppers.get(id_) or next(iter(self.shoppers.values()))

    def has(self, who: Shopper, channel: str, on: bool) -> None:
        """The customer has a channel, or hasn't: from now on somebody new, who is not a member yet."""
        wanted = {*who.customer.has, channel} if on else set(who.customer.has) - {channel}
        has = tuple([one for one in _CHANNELS if one in wanted])
        self._add(who.id, msgspec.structs.replace(who.customer, has=has))

    # What is shown.

    async def regions(self, who: Shopper, seen: Moment) -> dict[str, Region]:
        """The story, the till, and the shop's app."""
        wallet = await self._look(who)
        return {
            "story": ("story", {"story": self._story(who, seen)}),
            "business": ("till", self._till(who, wallet)),
            "app-offers": ("offers", await self._app(who, wallet)),
        }

    async def _look(self, who: Shopper) -> Wallet:
        if not who.user:
            return Wallet()
        user = await self._shop.user(who.user)
        wallet = await self._shop.wallet(who.user)
        campaigns = await self._shop.campaigns(who.user)
        if not (user.ok and wallet.ok and campaigns.ok):
            return Wallet()
        said, shown = user.body["user"], campaigns.body["campaigns"]
        offers = wallet.payload["user_offers"]
        who.had_offer = who.had_offer or bool(offers)
        points, tier = int(said["available_points"]), str(said["tier"] or "")
        return Wallet(points, tier, offers, shown["tiles"], shown["promotions"])

    def _story(self, who: Shopper, seen: Moment) -> list[dict[str, str]]:
        told = {name: self._told(who, seen, name) for name in ("member-welcome", "offer-issued", "offer-expiring")}
        lost = [
            index
            for index, name in ((1, "member-welcome"), (5, "offer-issued"), (6, "offer-expiring"))
            if told[name][1]
        ]
        done = [
            bool(who.user),
            bool(told["member-welcome"][0]),
            who.explored,
            who.sold is not None,
            who.had_offer,
            bool(told["offer-issued"][0]),
            bool(told["offer-expiring"][0]),
        ]
        sold = who.sold
        details = (
            "in the shop's app",
            _where(told["member-welcome"], "by mail first"),
            "what is on offer",
            f"${sold.subtotal}" if sold is not None and not sold.voided else "two kinds of fries",
            "the offer is in it",
            _where(told["offer-issued"], "a push"),
            _where(told["offer-expiring"], "ten days before"),
        )
        return steps(_TITLES, details, done, lost[-1] if lost else -1, "1234567")

    def _told(self, who: Shopper, seen: Moment, flow: str) -> tuple[str, bool]:
        """(the channel on which the newest message of a flow arrived, whether it could go nowhere)."""
        runs = {run.id for run in seen.runs if run.flow == flow}
        ours = [one for one in seen.deliveries if one.run in runs]
        if not ours:
            return "", False
        newest = ours[-1]
        arrived = [
            channel
            for channel in PROVIDER_OF
            for one in self._cast.on_phone(who.customer, channel)
            if one.reference == newest.id
        ]
        return (arrived[-1] if arrived else ""), newest.state == "undeliverable"

    def _till(self, who: Shopper, wallet: Wallet) -> dict[str, Any]:
        lines = [(WARES[ware], count) for ware, count in who.basket.items() if count]
        subtotal = sum([ware.price * count for ware, count in lines], Decimal(0))
        sold = who.sold
        return {
            "shoppers": [
                {"id": one.id, "name": one.customer.first_name, "member": bool(one.user), "chosen": one is who}
                for one in self.shoppers.values()
            ],
            "who": who,
            "wallet": wallet,
            "wares": [(ware, who.basket.get(ware.id, 0)) for ware in WARES.values()],
            "subtotal": subtotal,
            "used": set(who.used),
            "scanned": [one for one in who.used if one not in {str(offer["id"]) for offer in wallet.offers}],
            "sold": sold,
            "left": [(WARES[ware], count) for ware, count in sold.lines.values()] if sold and not sold.voided else [],
        }

    async def _app(self, who: Shopper, wallet: Wallet) -> dict[str, Any]:
        now_ms = self._cast.clock.now_ms()
        if who.user and who.pass_until_ms - now_ms < _PASS_LEFT_MS:
            answer = await self._shop.token(who.user)
            if answer.ok:
                who.pass_, who.pass_until_ms = str(answer.body["auth_token"]), now_ms + _PASS_MS
        mark = "-".join([str(wallet.points), *[str(one["id"])[-6:] for one in wallet.offers], iso(now_ms)[:10]])
        return {
            "who": who,
            "wallet": wallet,
            "page": f"/wallet/{who.pass_}" if who.pass_ else "",
            "mark": mark,
            "code_max": _CODE_MAX,
        }

    # What a visitor does in the app.

    async def _join(self, who: Shopper, fields: dict[str, Any]) -> dict[str, Any]:
        if who.user:
            raise Refused("demo.member", f"{who.customer.first_name} is a member already.")
        exchange = await self._shop.sign_up(who.customer, opted_in=fields.get("consent") is True)
        if exchange.ok:
            who.user = str(exchange.body["user"]["id"])
            if "fcm" in who.customer.has:
                await self._shop.register_device(who.customer)
        return self._said(who, exchange)

    async def _explore(self, who: Shopper, fields: dict[str, Any]) -> dict[str, Any]:
        who.explored = bool(who.user)
        return {}

    async def _code(self, who: Shopper, fields: dict[str, Any]) -> dict[str, Any]:
        return self._said(who, await self._shop.claim(who.user, _short(fields.get("code"))))

    async def _morning(self, who: Shopper, fields: dict[str, Any]) -> dict[str, Any]:
        """By night offers wait for the morning: whoever wants to see one go out at once has it be ten o'clock."""
        now_ms = self._cast.clock.now_ms()
        local = moment(now_ms, self._zone)
        if not _DAY[0] <= local.hour < _DAY[1]:
            ten = local.replace(hour=10, minute=0, second=0, microsecond=0)
            ten += timedelta(days=1 if ten <= local else 0)
            self._cast.parts.drag(int(ten.timestamp() * 1000) - now_ms)
        return {"now_ms": self._cast.clock.now_ms()}

    # What a visitor does at the till.

    async def _item(self, who: Shopper, fields: dict[str, Any]) -> dict[str, Any]:
        ware, more = str(fields.get("ware", "")), -1 if fields.get("less") is True else 1
        if ware in WARES:
            who.basket = {**who.basket, ware: min(_COUNT_MAX, max(0, who.basket.get(ware, 0) + more))}
        return {}

    async def _use(self, who: Shopper, fields: dict[str, Any]) -> dict[str, Any]:
        offer = _short(fields.get("offer"))
        who.used = [one for one in who.used if one != offer] if offer in who.used else [*who.used, offer][-5:]
        return {}

    async def _scan(self, who: Shopper, fields: dict[str, Any]) -> dict[str, Any]:
        code = "".join(_short(fields.get("code")).split())
        if code and code not in who.used:
            who.used = [*who.used, code][-5:]
        return {}

    async def _pay(self, who: Shopper, fields: dict[str, Any]) -> dict[str, Any]:
        if not any(who.basket.values()):
            raise Refused("demo.basket", "There is nothing on the counter.")
        if not who.user:
            raise Refused("demo.member", f"{who.customer.first_name} is no member yet: sign up in the app first.")
        sold = self._shop.ring_up(who.user, who.basket, who.used)
        exchange = await self._shop.pay(sold)
        if exchange.ok:
            who.sold, who.basket, who.used = sold, {}, []
        return self._said(who, exchange)

    async def _give_back(self, who: Shopper, fields: dict[str, Any]) -> dict[str, Any]:
        sold, ware = who.sold, str(fields.get("ware", ""))
        if sold is None or sold.voided:
            raise Refused("demo.sale", "There is nothing to take back.")
        left = {line: (one, count) for line, (one, count) in sold.lines.items() if ware and one != ware}
        back = msgspec.structs.replace(sold, lines=left or sold.lines, voided=not left, times=sold.times + 1)
        exchange = await self._shop.pay(back)
        if exchange.ok:
            who.sold = back
        return self._said(who, exchange)

    async def _send(self, who: Shopper, fields: dict[str, Any]) -> dict[str, Any]:
        if who.last is None:
            raise Refused("demo.request", "Nothing was said yet.")
        try:
            said = msgspec.json.decode(str(fields.get("body", "")), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Refused("demo.event", f"This is no JSON: {error}", field="body") from None
        return self._said(who, await self._shop.say(who.last.method, who.last.path, said))

    def _said(self, who: Shopper, exchange: Exchange) -> dict[str, Any]:
        who.last = exchange
        code, why = exchange.error
        return {
            "to": f"{exchange.method} {_cut(exchange.path)}",
            "sent": json.dumps(exchange.sent, indent=2, ensure_ascii=False),
            "status": exchange.status,
            "fine": exchange.ok,
            "why": f"{code}: {why}" if code else "",
            "body": exchange.body,
            "reply": json.dumps(exchange.body, indent=2, ensure_ascii=False),
        }


def _where(told: tuple[str, bool], otherwise: str) -> str:
    channel, lost = told
    return LABELS.get(channel, channel) if channel else "no channel" if lost else otherwise


def _short(value: object) -> str:
    return str(value or "").strip()[:_CODE_MAX]


def _cut(path: str) -> str:
    return path if len(path) <= 44 else f"{path[:20]}…{path[-20:]}"
