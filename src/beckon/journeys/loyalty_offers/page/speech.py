"""Speech: the words of one language, as the member's page uses them: points, days, amounts, what is wrong. Pure."""

from pathlib import Path

from beckon.core import spoken
from beckon.core.errors import BeckonError, Unavailable
from beckon.journeys.loyalty_offers.definitions import OfferDefinition
from beckon.journeys.loyalty_offers.money import major
from beckon.journeys.loyalty_offers.reading import Balance, Sold
from beckon.web.locales import read_catalogue

WORDS = read_catalogue(Path(__file__).parent.parent / "locales")
#: From so many days on, the day itself says enough.
_LEFT_MAX = 14
#: A day that lies further off than this is said with its year.
_YEAR_FROM_DAYS = 270
_GROUP = 5
_GROUPING = {"en": ",", "fr": "\u202f", "de": ".", "nl": ".", "it": ".", "es": ".", "sv": "\u00a0", "no": "\u00a0"}
#: why something can't be bought → what the page says
_STORE = {"store_tier": "store.not.tier", "stock": "store.not.gone", "offer_member": "store.not.had"}
#: codes that say the same to a member as another
_SAME = {
    "offer.undefined": "store.unknown", "member.forgotten": "member.suspended", "session.csrf": "form",
    "request.other": "form", "request.id": "form", "offer.other_member": "any", "offer.unknown": "any",
}  # fmt: skip


class Speech:
    """One language, one time zone, one instant: the page's words."""

    def __init__(self, locale: str, time_zone: str, now_ms: int) -> None:
        self.locale = locale
        self._zone = time_zone
        self._now_ms = now_ms

    def __call__(self, key: str, **values: object) -> str:
        return WORDS.text(self.locale, key, **values)

    def number(self, number: int) -> str:
        """``1,200`` as this language writes it."""
        return f"{number:,}".replace(",", _GROUPING.get(spoken.language(self.locale), "\u202f"))

    def points(self, count: int) -> str:
        """``1 point``, ``1,200 points``."""
        single = count in (-1, 1) or (count == 0 and self.locale == "fr")
        return self("points.one" if single else "points.many", n=self.number(count))

    def money(self, amount: int, currency: str, decimals: int) -> str:
        """Minor units as this language writes them, without cents where there are none."""
        shown = spoken.money(major(amount, decimals), currency, self.locale)
        return shown.replace(".00", "").replace(",00", "") if amount % 10**decimals == 0 else shown

    def day(self, at_ms: int) -> str:
        """*Tuesday 3 March*, with the year where it is far off."""
        shown = spoken.day(at_ms, self.locale, self._zone)
        if abs(at_ms - self._now_ms) < _YEAR_FROM_DAYS * 86_400_000:
            return shown
        return f"{shown} {spoken.moment(at_ms, self._zone).year}"

    def last_day(self, expires_ms: int) -> str:
        """The last day of something that ends at an instant: what ends at midnight is good the day before."""
        return self.day(expires_ms - 1)

    def days_left(self, expires_ms: int) -> int:
        """How many days are left, today's not counted."""
        last = spoken.moment(expires_ms - 1, self._zone).date()
        return (last - spoken.moment(self._now_ms, self._zone).date()).days

    def left(self, expires_ms: int) -> str:
        """``Ends tomorrow``, ``5 days left``; empty where the day says enough."""
        days = self.days_left(expires_ms)
        if days > _LEFT_MAX:
            return ""
        return self("left.today") if days <= 0 else self("left.tomorrow") if days == 1 else self("left.days", n=days)

    def worth(self, definition: OfferDefinition | None, currency: str) -> str:
        """What an offer is worth, in a word or two: ``20 % off``, ``Free``."""
        discount = definition.discount if definition is not None else None
        if discount is None:
            return self("worth.gift")
        if discount.percent is not None:
            return self("worth.percent", n=f"{discount.percent:g}".replace(".", self._decimal()))
        if discount.amount is not None:
            shown = spoken.money(discount.amount, currency, self.locale)
            return self("worth.amount", amount=shown.replace(".00", "").replace(",00", ""))
        return self("worth.free")

    def to_next(self, balance: Balance) -> str:
        """What is missing for the next tier."""
        missing = balance.to_next
        if balance.tier_by == "money":
            amount = self.money(missing, balance.currency, balance.decimals)
        else:
            amount = self.points(missing)
        return self("tier.next", amount=amount, tier=balance.next_tier)

    def store_not(self, sold: Sold, available: int) -> str:
        """Why something in the store can't be bought; empty: it can."""
        if not sold.code:
            return ""
        if sold.code == "points":
            return self("store.short", points=self.points(sold.price - available))
        return self(_STORE.get(sold.code, "store.not"))

    def wrong(self, error: BeckonError, locked_until_ms: int = 0) -> str:
        """What went wrong, as a member understands it."""
        if isinstance(error, Unavailable):
            return self("wrong.busy")
        key = f"wrong.{_SAME.get(error.code, error.code)}"
        if key == "wrong.code.locked_out":
            return self(key, time=self._time(locked_until_ms))
        return self(key if WORDS.has(key) else "wrong.any")

    def _time(self, at_ms: int) -> str:
        time = spoken.time(at_ms, self._zone)
        today = spoken.moment(self._now_ms, self._zone).date()
        return time if spoken.moment(at_ms, self._zone).date() == today else f"{self.day(at_ms)}, {time}"

    def _decimal(self) -> str:
        return "." if spoken.language(self.locale) == "en" else ","


def grouped(code: str) -> list[str]:
    """A code in pieces that can be read out: ``ofr_``, then five signs at a time; joined, they are the code."""
    head, mark, rest = code.rpartition("_")
    return [head + mark] * bool(mark) + [rest[at : at + _GROUP] for at in range(0, len(rest), _GROUP)]
