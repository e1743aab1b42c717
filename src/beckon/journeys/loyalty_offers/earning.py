"""Earning: what a purchase gives: base points, and what each campaign adds, or why it does not. Pure."""

from collections.abc import Callable, Sequence

import msgspec

from beckon.journeys.loyalty_offers.discounts import matches
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.money import proportion
from beckon.journeys.loyalty_offers.rules import CampaignRule, Rules
from beckon.journeys.loyalty_offers.sale import Given, Item

#: why a campaign gave nothing, as it is shown
REASONS = {
    "paused": "the campaign is paused",
    "not_started": "the campaign has not begun",
    "ended": "the campaign is over",
    "day": "not on this day of the week",
    "hours": "not at this time of day",
    "member_state": "the member is suspended or forgotten",
    "tier": "the member's tier is another",
    "tags": "the member lacks the tag, or has one that is left out",
    "country": "the member's country is another",
    "locale": "the member's language is another",
    "gender": "the profile says another gender, or none",
    "opted_in": "the member has not allowed marketing, or has",
    "joined": "the member joined at another time",
    "purchases": "the member has made too few purchases",
    "opt_in": "the member has not said yes to it",
    "basket": "the basket lacks items that it wants",
    "amount": "the purchase comes to less than it asks",
    "channel": "bought on another channel",
    "store": "bought in another store",
    "first_purchase": "it is not the first purchase",
    "often": "too few purchases in the time",
    "limit_member": "the member has had it as often as allowed",
    "limit_all": "it was given as often as allowed in all",
    "budget": "its budget is spent",
    "better": "another campaign multiplies more",
    "no_points": "there are no points to multiply",
    "offer_missing": "its offer is not defined",
    "offer_over": "its offer can't be issued any more, or not yet",
    "stock": "all of its offers are issued",
    "offer_member": "the member has had the offer as often as allowed",
    "wallet_full": "the member's wallet is full",
}


class Facts(msgspec.Struct, kw_only=True):
    """What campaigns may ask of a purchase, worked out once."""

    at_ms: int
    #: 0: Monday
    weekday: int
    minute: int
    #: days since 1970
    day: int
    total: int = 0
    channel: str = ""
    store: str = ""
    items: tuple[Item, ...] = ()
    names: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    first_purchase: bool = False


class Totals(msgspec.Struct):
    """What a campaign has given in all, as far as limits ask."""

    reached: int = 0
    #: in minor units
    cost: int = 0


class Hit(msgspec.Struct):
    """A campaign that is met, and what it gives."""

    rule: CampaignRule
    points: int = 0
    offer: str = ""
    #: what it costs now, for the budget.
    cost: int = 0


class Earned(msgspec.Struct):
    """What a purchase gives."""

    base: int
    hits: list[Hit]
    #: code → campaigns that gave nothing
    skipped: dict[str, list[str]]


def facts_at(rules: Rules, at_ms: int, **more: object) -> Facts:
    """Facts of an instant, on the workspace's clocks."""
    local = rules.local(at_ms)
    return Facts(
        at_ms=at_ms,
        weekday=local.weekday(),
        minute=local.hour * 60 + local.minute,
        day=local.toordinal() - 719_163,
        **more,  # type: ignore[arg-type]
    )


def base_points(rules: Rules, tier: str, amount: int) -> int:
    """The programme's own points for an amount, at the tier's rate."""
    return amount * rules.programme.points * rules.rates.get(tier, 100) // (rules.per * 100)


def why_not(rule: CampaignRule, facts: Facts, member: Member, totals: Totals) -> str:
    """The code of the first reason against it; empty: it is met."""
    campaign = rule.campaign
    if campaign.paused:
        return "paused"
    if facts.at_ms < rule.starts_ms:
        return "not_started"
    if facts.at_ms >= rule.ends_ms:
        return "ended"
    if rule.timed:
        if rule.days and facts.weekday not in rule.days:
            return "day"
        if not rule.hours[0] <= facts.minute < rule.hours[1]:
            return "hours"
    if rule.choosy:
        code = _audience(rule, facts, member)
        if code:
            return code
    if campaign.opt_in and rule.name not in member.opted:
        return "opt_in"
    if campaign.on == "purchase":
        code = _purchase(rule, facts, member)
        if code:
            return code
    return _limits(rule, facts, member, totals) if rule.limited else ""


def _audience(rule: CampaignRule, facts: Facts, member: Member) -> str:
    audience, profile = rule.campaign.audience, member.profile
    if audience.tiers and member.tier not in audience.tiers:
        return "tier"
    if audience.tags or audience.not_tags:
        tags = {tag for tag, until in member.tags.items() if not until or until > facts.at_ms}
        if not tags.issuperset(audience.tags) or not tags.isdisjoint(audience.not_tags):
            return "tags"
    if audience.countries and profile.country not in audience.countries:
        return "country"
    if audience.locales and not any(
        profile.locale == one or profile.locale.startswith(f"{one}-") for one in audience.locales
    ):
        return "locale"
    if audience.genders and profile.gender not in audience.genders:
        return "gender"
    if audience.opted_in is not None and profile.opted_in != audience.opted_in:
        return "opted_in"
    if not rule.joined_after_ms <= member.joined_ms < rule.joined_before_ms:
        return "joined"
    if member.purchases < audience.purchases_min:
        return "purchases"
    return ""


def _purchase(rule: CampaignRule, facts: Facts, member: Member) -> str:
    when = rule.campaign.when
    if facts.total < rule.amount_min:
        return "amount"
    if rule.channels and facts.channel.casefold() not in rule.channels:
        return "channel"
    if rule.stores and facts.store not in rule.stores:
        return "store"
    for wanted in rule.wanted:
        # Most baskets have nothing of what a campaign wants: that is seen at a glance.
        if (
            (wanted.items or wanted.categories)
            and wanted.items.isdisjoint(facts.names)
            and (wanted.categories.isdisjoint(facts.categories))
        ):
            return "basket"
    if rule.wanted and not basket_holds(rule, facts.items):
        return "basket"
    if when.first_purchase and not facts.first_purchase:
        return "first_purchase"
    if when.often is not None:
        since = facts.day - when.often.days + 1
        times = sum([day >= since for day in member.visits]) + 1
        if times < when.often.count:
            return "often"
    return ""


def basket_holds(rule: CampaignRule, items: Sequence[Item]) -> bool:
    """Whether the basket has what the campaign wants."""
    for wanted in rule.wanted:
        count, amount, found = 0, 0, set()
        for item in items:
            if matches(wanted.items, wanted.categories, item):
                count += item.quantity
                amount += item.subtotal
                found.add(item.item)
        if count < wanted.count or amount < wanted.amount or len(found) < wanted.distinct:
            return False
    return True


def _limits(rule: CampaignRule, facts: Facts, member: Member, totals: Totals) -> str:
    limits = rule.campaign.limits
    if limits.member is not None:
        met = member.met.get(rule.name)
        if met is not None and _times(met, limits.member_days, facts.at_ms) >= limits.member:
            return "limit_member"
    if limits.all is not None and totals.reached >= limits.all:
        return "limit_all"
    return ""


def _times(met: list[int], days: int | None, now_ms: int) -> int:
    """How often it was met: ever, or in the window that is under way."""
    if days is None:
        return met[0]
    return met[3] if now_ms < met[2] + days * 86_400_000 else 0


def count_met(member: Member, rule: CampaignRule, now_ms: int, by: int = 1) -> None:
    """Note that the member has met a campaign: [times, last, when the window began, times in it]."""
    met = member.met.get(rule.name) or [0, 0, 0, 0]
    days = rule.campaign.limits.member_days
    if days is not None and now_ms >= met[2] + days * 86_400_000:
        met[2], met[3] = now_ms, 0
    member.met[rule.name] = [max(0, met[0] + by), now_ms, met[2], max(0, met[3] + by)]


def over_budget(rule: CampaignRule, totals: Totals, cost: int) -> bool:
    """Whether giving it once more would cost more than its budget has left; one that costs nothing yet needs some."""
    return bool(rule.budget) and (totals.cost + cost > rule.budget or totals.cost >= rule.budget)


def earned(
    rules: Rules,
    facts: Facts,
    member: Member,
    totals_of: Callable[[str], Totals],
    offer_not: Callable[[str], tuple[str, int]],
) -> Earned:
    """What a purchase gives. ``offer_not``: (why an offer can't be issued to this member, what it is worth)."""
    base = base_points(rules, member.tier, facts.total)
    hits: list[Hit] = []
    skipped: dict[str, list[str]] = {}
    best: Hit | None = None
    nothing = Totals()
    for rule in rules.on["purchase"]:
        totals = totals_of(rule.name) if rule.limited else nothing
        code = why_not(rule, facts, member, totals)
        if code:
            skipped.setdefault(code, []).append(rule.name)
            continue
        gives = rule.campaign.gives
        hit = Hit(rule, gives.points or 0)
        worth = 0
        if gives.multiplier is not None:
            more = _multiplied(rules, rule, facts, member, base)
            if more <= 0:
                code = "no_points"
            elif best is not None and best.points >= more + hit.points:
                code = "better"
            hit.points += more
        if not code and gives.offer is not None:
            code, worth = offer_not(gives.offer)
            hit.offer = gives.offer
        hit.cost = rules.points_cost(hit.points) + worth
        if not code and over_budget(rule, totals, hit.cost):
            code = "budget"
        if code:
            skipped.setdefault(code, []).append(rule.name)
            continue
        if gives.multiplier is not None:
            if best is not None:
                hits.remove(best)
                skipped.setdefault("better", []).append(best.rule.name)
            best = hit
        hits.append(hit)
    return Earned(base, hits, skipped)


def _multiplied(rules: Rules, rule: CampaignRule, facts: Facts, member: Member, base: int) -> int:
    """What a multiplier adds to the base points: to those of the items that it wants, where it wants any."""
    share = base
    if rule.wanted:
        amount = sum(
            [
                item.subtotal
                for item in facts.items
                if any(matches(wanted.items, wanted.categories, item) for wanted in rule.wanted)
            ]
        )
        share = base_points(rules, member.tier, min(amount, facts.total))
    multiplier = rule.campaign.gives.multiplier or 100
    return share * (multiplier - 100) // 100


def kept(given: Given, total: int, first_total: int) -> int:
    """How many of the points that a sale gave remain, when ``total`` of ``first_total`` does."""
    if first_total <= 0:
        return given.points if total >= first_total else 0
    return min(given.points, proportion(given.points, max(0, total), first_total))
