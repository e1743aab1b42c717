"""Rules: a workspace's programme, offers and campaigns, made ready for quick use: instants, minor units, sets. Pure."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from beckon.core import spoken
from beckon.core.errors import BeckonError
from beckon.core.timers import clock_minutes, parse_duration
from beckon.journeys.loyalty_offers.definitions import Campaign, Discount, OfferDefinition, Programme, Tier
from beckon.journeys.loyalty_offers.discounts import DiscountRule
from beckon.journeys.loyalty_offers.money import exponent, minor
from beckon.journeys.loyalty_offers.sale import Item

DAY_MS = 86_400_000
_DAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
#: Items whose categories are kept at hand.
_ITEMS_KNOWN_MAX = 4_096
#: Later than anything.
NEVER_MS = 1 << 52


class OfferRule(msgspec.Struct, frozen=True, kw_only=True):
    """An offer's definition, ready."""

    definition: OfferDefinition
    starts_ms: int
    ends_ms: int
    valid_ms: int
    remind_ms: int
    discount: DiscountRule | None


class WantedRule(msgspec.Struct, frozen=True):
    """Items that a basket must have."""

    items: frozenset[str]
    categories: frozenset[str]
    #: thousandths
    count: int
    distinct: int
    amount: int


class CampaignRule(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign, ready."""

    campaign: Campaign
    name: str
    starts_ms: int
    ends_ms: int
    days: frozenset[int]
    #: minutes of the day, (0, 1440): all of it
    hours: tuple[int, int]
    #: whether any of the audience's conditions is set, and any limit or budget.
    choosy: bool
    limited: bool
    #: whether only some days or hours will do.
    timed: bool
    joined_after_ms: int
    joined_before_ms: int
    wanted: tuple[WantedRule, ...]
    amount_min: int
    channels: frozenset[str]
    stores: frozenset[str]
    budget: int


class Categories:
    """Which items belong to which categories."""

    def __init__(self, categories: Mapping[str, tuple[str, ...]]) -> None:
        self._exact: dict[str, list[str]] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        for category, patterns in categories.items():
            for pattern in patterns:
                if "*" not in pattern:
                    self._exact.setdefault(pattern, []).append(category)
            several = [re.escape(pattern).replace(r"\*", ".*") for pattern in patterns if "*" in pattern]
            if several:
                self._patterns.append((re.compile("|".join(several)), category))
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, item: str) -> tuple[str, ...]:
        """The categories of an item."""
        known = self._known.get(item)
        if known is None:
            known = (
                *self._exact.get(item, ()),
                *[category for pattern, category in self._patterns if pattern.fullmatch(item)],
            )
            if len(self._known) >= _ITEMS_KNOWN_MAX:
                self._known.clear()
            self._known[item] = known
        return known

    def sorted_in(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """The items with their categories added."""
        return tuple([self._with(item) for item in items])

    def _with(self, item: Item) -> Item:
        more = [category for category in self.of(item.item) if category not in item.categories]
        return msgspec.structs.replace(item, categories=(*item.categories, *more)) if more else item


class Rules:
    """All of a workspace's, as its library has them at the moment."""

    def __init__(
        self, programme: Programme, offers: Mapping[str, Any], campaigns: Mapping[str, Any], zone: str
    ) -> None:
        self.programme = programme
        self.zone: tzinfo = spoken.zone(zone)
        self.currency = programme.currency
        self.decimals = exponent(programme.currency)
        self.per = max(1, minor(programme.per, self.decimals))
        self.point_value = _fraction(programme.point_value, self.decimals)
        self.pending_ms = parse_duration(programme.pending)
        self.remind_points_ms = parse_duration(programme.remind_points)
        self.skew_ms = parse_duration(programme.clock_skew)
        self.wrong_within_ms = parse_duration(programme.codes.wrong_within)
        self.lock_out_ms = parse_duration(programme.codes.lock_out)
        self.taken_within_ms = parse_duration(programme.codes.taken_within)
        remind_offers = parse_duration(programme.remind_offers)
        #: (what must be reached, tier), the lowest first
        self.tiers: tuple[tuple[int, Tier], ...] = tuple(
            sorted(
                [
                    (
                        minor(tier.reached_at, self.decimals)
                        if programme.tier_by == "money"
                        else minor(tier.reached_at, 0),
                        tier,
                    )
                    for tier in programme.tiers
                ],
                key=lambda pair: pair[0],
            )
        )
        self.rates = {tier.tier: tier.rate for tier in programme.tiers}
        self.offers = {name: self._offer(offer, remind_offers) for name, offer in offers.items()}
        self.campaigns = {name: self._campaign(campaign) for name, campaign in sorted(campaigns.items())}
        by: dict[str, list[CampaignRule]] = {"purchase": [], "sign_up": [], "code": [], "round": []}
        for rule in self.campaigns.values():
            by[rule.campaign.on].append(rule)
        self.on = {kind: tuple(rules) for kind, rules in by.items()}
        self.codes = {fold(rule.campaign.code): rule for rule in self.on["code"] if rule.campaign.code}
        self.code_lists = {rule.campaign.code_list: rule for rule in self.on["code"] if rule.campaign.code_list}
        self._category = Categories(programme.categories)
        self._day = (0, 0, 0)

    def sorted_in(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """A basket whose items are in the programme's categories, too."""
        return self._category.sorted_in(items) if self.programme.categories else items

    def local(self, at_ms: int) -> datetime:
        """An instant on the workspace's clocks."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone)

    def day_end(self, at_ms: int, days: int = 0, months: int = 0) -> int:
        """The end of the day that lies so many months and days after an instant, on the workspace's clocks."""
        begin, end, shift = self._day
        if not (begin <= at_ms < end and shift == months * 10_000 + days):
            today = self.local(at_ms).date()
            first = datetime(today.year, today.month, today.day, tzinfo=self.zone)
            after = datetime.combine(_shifted(today, months) + timedelta(days=days + 1), datetime.min.time(), self.zone)
            tomorrow = datetime.combine(today + timedelta(days=1), datetime.min.time(), self.zone)
            begin, end = int(first.timestamp() * 1000), int(tomorrow.timestamp() * 1000)
            # Purchases come by the thousand on the same day: what was worked out last is kept.
            self._day, self._day_end = (begin, end, months * 10_000 + days), int(after.timestamp() * 1000)
        return self._day_end

    def points_expire(self, at_ms: int) -> int:
        """When points that are earned now expire; 0: never."""
        expiry = self.programme.expiry
        if expiry.kind == "none":
            return 0
        if expiry.kind == "rolling":
            return self.day_end(at_ms, expiry.days, expiry.months)
        earliest = self.local(at_ms).date() + timedelta(days=expiry.days)
        month, day = int(expiry.on[:2]), int(expiry.on[3:])
        on = _in_month(earliest.year, month, day)
        if on < earliest:
            on = _in_month(earliest.year + 1, month, day)
        end = datetime.combine(on + timedelta(days=1), datetime.min.time(), self.zone)
        return int(end.timestamp() * 1000)

    def offer_expires(self, rule: OfferRule, at_ms: int) -> int:
        """When an offer that is issued now expires; 0: never."""
        ends = rule.ends_ms if rule.ends_ms < NEVER_MS else 0
        if not rule.valid_ms:
            return ends
        until = self.day_end(at_ms + rule.valid_ms) if rule.valid_ms >= DAY_MS else at_ms + rule.valid_ms
        return min(until, ends) if ends else until

    def remind_at(self, rule: OfferRule | None, expires_ms: int) -> int:
        """When a member is told that an offer is about to expire: so many days before its last one.

        An offer that ends with a day is good for all of it: ten days before Thursday night is told on a Monday, from
        its beginning, so that it is still ten days when the member wakes up.
        """
        remind_ms = rule.remind_ms if rule is not None else 0
        ends_with_day = remind_ms >= DAY_MS and self.local(expires_ms).time() == datetime.min.time()
        return expires_ms - remind_ms - (DAY_MS if ends_with_day else 0)

    def points_cost(self, points: int) -> int:
        """What points cost the business, in minor units."""
        value, unit = self.point_value
        return points * value // unit

    def _offer(self, offer: OfferDefinition, remind_ms: int) -> OfferRule:
        return OfferRule(
            definition=offer,
            starts_ms=self._instant(offer.starts, 0),
            ends_ms=self._instant(offer.ends, NEVER_MS, end=True),
            valid_ms=parse_duration(offer.valid) if offer.valid else 0,
            remind_ms=parse_duration(offer.remind) if offer.remind else remind_ms,
            discount=self._discount(offer.discount) if offer.discount is not None else None,
        )

    def _discount(self, given: Discount) -> DiscountRule:
        return DiscountRule(
            percent=round(given.percent * 100) if given.percent is not None else 0,
            amount=minor(given.amount, self.decimals) if given.amount is not None else 0,
            free=given.free or 0,
            items=frozenset(given.items),
            categories=frozenset(given.categories),
            basket_min=minor(given.basket_min, self.decimals),
            most=minor(given.most, self.decimals) if given.most is not None else 0,
        )

    def _campaign(self, campaign: Campaign) -> CampaignRule:
        when, audience = campaign.when, campaign.audience
        hours = (0, 1_440)
        if campaign.hours:
            first, _, last = campaign.hours.partition("-")
            hours = (clock_minutes(first) or 0, clock_minutes(last) or 1_440)
        return CampaignRule(
            campaign=campaign,
            name=campaign.campaign,
            starts_ms=self._instant(campaign.starts, 0),
            ends_ms=self._instant(campaign.ends, NEVER_MS, end=True),
            days=frozenset([_DAYS[day] for day in campaign.days]),
            hours=hours,
            choosy=audience != type(audience)(),
            limited=campaign.limits != type(campaign.limits)(),
            timed=bool(campaign.days or campaign.hours),
            joined_after_ms=self._instant(audience.joined_after, 0),
            joined_before_ms=self._instant(audience.joined_before, NEVER_MS),
            wanted=tuple(
                [
                    WantedRule(
                        frozenset(one.items),
                        frozenset(one.categories),
                        one.count * 1000,
                        one.distinct,
                        minor(one.amount, self.decimals),
                    )
                    for one in when.basket
                ]
            ),
            amount_min=minor(when.amount_min, self.decimals),
            channels=frozenset([channel.casefold() for channel in when.channels]),
            stores=frozenset(when.stores),
            budget=minor(campaign.limits.budget, self.decimals) if campaign.limits.budget is not None else 0,
        )

    def _instant(self, text: str, default: int, *, end: bool = False) -> int:
        """An instant, or a day's beginning; of a last day, its end."""
        if not text:
            return default
        moment = spoken.moment(text, "").replace(tzinfo=None) if len(text) == 10 else None
        if moment is None:
            return int(spoken.moment(text, str(self.zone)).timestamp() * 1000)
        if end:
            moment += timedelta(days=1)
        return int(moment.replace(tzinfo=self.zone).timestamp() * 1000)


def fold(code: str) -> str:
    """A promo code as it is compared: capitals, without blanks and hyphens."""
    return "".join([sign for sign in code.upper() if sign.isalnum()])


def rules_from(defined: Mapping[str, Mapping[str, Any]], zone: str) -> Rules:
    """The rules of what a library has defined; without a programme file, the defaults."""
    programmes = defined.get("programme", {})
    programme = next(iter(programmes.values())) if programmes else Programme()
    return Rules(programme, defined.get("offer", {}), defined.get("campaign", {}), zone)


def problems_of(defined: Mapping[str, Mapping[str, Any]], zone: str) -> str:
    """Why the definitions don't fit together; empty: they do."""
    try:
        rules_from(defined, zone)
    except BeckonError as error:
        return error.why
    return ""


def _fraction(value: float | int | str, decimals: int) -> tuple[int, int]:
    """What a point is worth, exactly: (minor units, of so many points)."""
    unit = 10_000
    return round(float(value) * 10**decimals * unit), unit


def _shifted(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return _in_month(year, month + 1, day.day)


def _in_month(year: int, month: int, day: int) -> date:
    """A day of a month, or the month's last."""
    first_of_next = date(year + month // 12, month % 12 + 1, 1)
    return min(first_of_next - timedelta(days=1), date(year, month, 1) + timedelta(days=day - 1))
