"""Shopping: what a member does in a scenario, in the shop's app and at its till, and what is seen there."""

from collections.abc import Awaitable, Callable

import msgspec

from beckon.sandbox.cast import Cast
from beckon.sandbox.people import Customer
from beckon.sandbox.scenarios import Said, Shopping, Wallet
from beckon.sandbox.shop import Exchange, Sold


class Looked(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    expected: str
    seen: str
    ok: bool


class Shopper:
    """One member, the sale of theirs that is newest, and what the shop was answered last."""

    def __init__(self, cast: Cast, customer: Customer) -> None:
        self._cast = cast
        self._shop = cast.shop
        self._customer = customer
        self.user = ""
        self.sold: Sold | None = None
        self.exchange: Exchange | None = None

    async def take(self, step: Shopping) -> None:
        """Do what the step says. Raises ``LookupError`` where there is nothing to do it with."""
        acts: tuple[tuple[bool, Callable[[Shopping], Awaitable[Exchange]]], ...] = (
            (step.join is not None, self._join),
            (step.pay is not None, self._pay),
            (step.give_back is not None, self._give_back),
            (bool(step.buy), self._buy),
            (bool(step.code), self._code),
            (step.again, self._again),
        )
        for wanted, act in acts:
            if wanted:
                self.exchange = await act(step)

    async def _join(self, step: Shopping) -> Exchange:
        assert step.join is not None
        exchange = await self._shop.sign_up(self._customer, opted_in=step.join.consent)
        if exchange.ok:
            self.user = str(exchange.body["user"]["id"])
            await self._cast.quiet()
            if "fcm" in self._customer.has:
                await self._shop.register_device(self._customer)
        return exchange

    async def _pay(self, step: Shopping) -> Exchange:
        assert step.pay is not None
        offers = [await self._offer(step.pay.offer)] if step.pay.offer else []
        self.sold = self._shop.ring_up(self.user, dict.fromkeys(step.pay.items, 1), offers)
        return await self._shop.pay(self.sold)

    async def _give_back(self, step: Shopping) -> Exchange:
        sold = self.sold
        if sold is None:
            raise LookupError("nothing was bought")
        wares = set(step.give_back or ())
        sold.lines = {line: (ware, count) for line, (ware, count) in sold.lines.items() if wares and ware not in wares}
        sold.voided = not wares
        sold.times += 1
        return await self._shop.pay(sold)

    async def _buy(self, step: Shopping) -> Exchange:
        answer = await self._shop.rewards(self.user)
        offers = answer.payload["reward_stores"][0]["offers"] if answer.ok else []
        found = [str(one["id"]) for one in offers if one["name"] == step.buy]
        if not found:
            raise LookupError(f"the rewards store has no {step.buy!r}")
        return await self._shop.buy(self.user, found[0])

    async def _code(self, step: Shopping) -> Exchange:
        return await self._shop.claim(self.user, step.code)

    async def _again(self, step: Shopping) -> Exchange:
        if self.exchange is None:
            raise LookupError("nothing was said yet")
        return await self._shop.say(self.exchange.method, self.exchange.path, self.exchange.sent)

    async def _offer(self, name: str) -> str:
        answer = await self._shop.wallet(self.user)
        found = [str(one["id"]) for one in answer.payload.get("user_offers", []) if one["name"] == name]
        if not found:
            raise LookupError(f"the wallet has no {name!r}")
        return found[0]

    # Looking.

    def said(self, wanted: Said) -> Looked:
        """What the shop was answered."""
        exchange = self.exchange
        if exchange is None:
            return Looked("an answer", "nothing was said", False)
        code, why = exchange.error
        expected = f"refused: {wanted.code}" if wanted.code else "done"
        seen = "done" if exchange.ok else f"refused: {code} {why}"
        ok = exchange.ok if not wanted.code else code == wanted.code
        if wanted.total:
            total = str(exchange.payload.get("total"))
            expected, seen, ok = (
                f"{expected}, {wanted.total} paid",
                f"{seen}, {total} paid",
                ok and total == wanted.total,
            )
        return Looked(expected, seen, ok)

    async def wallet(self, wanted: Wallet) -> list[Looked]:
        """What the app shows of the wallet."""
        answer = await self._shop.wallet(self.user)
        names = tuple([str(one["name"]) for one in answer.payload.get("user_offers", [])])
        looked = []
        if wanted.offers is not None:
            looked.append(Looked(f"wallet: {_list(wanted.offers)}", f"wallet: {_list(names)}", names == wanted.offers))
        if wanted.points >= 0:
            points = answer.payload.get("available_points")
            looked.append(Looked(f"{wanted.points} points", f"{points} points", points == wanted.points))
        return looked

    async def campaigns(self, wanted: tuple[str, ...]) -> Looked:
        """Which campaigns the app shows."""
        answer = await self._shop.campaigns(self.user)
        found = answer.body.get("campaigns") if answer.ok else {}
        shown = [str(one["name"]) for kind in ("tiles", "promotions") for one in found.get(kind, [])]
        return Looked(
            f"the app shows {_list(wanted)}", f"the app shows {_list(shown)}", all(name in shown for name in wanted)
        )


def _list(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names) or "nothing"
