"""The pure rules: money, discounts, the life of an offer, what a purchase gives and why not."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.core.errors import Refused
from beckon.core.problems import Problems
from beckon.journeys.loyalty_offers import earning, money
from beckon.journeys.loyalty_offers.definitions import parse_campaign, parse_offer, parse_programme
from beckon.journeys.loyalty_offers.discounts import DiscountRule, discount
from beckon.journeys.loyalty_offers.earning import REASONS, Totals
from beckon.journeys.loyalty_offers.member import Member, Phone, Profile
from beckon.journeys.loyalty_offers.offer import TRANSITIONS, Offer, moved
from beckon.journeys.loyalty_offers.rules import Rules, fold
from beckon.journeys.loyalty_offers.sale import Given, Item
from beckon.journeys.loyalty_offers.sessionm_words import as_uuid, from_uuid
from beckon.journeys.loyalty_offers.told import reached
from tests.journeys.loyalty.shop import DAY_MS, NOON_MS

WEIGHTS = st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=30)


@given(st.integers(min_value=0, max_value=10**12), WEIGHTS)
def test_parts_sum_to_the_whole_and_none_is_off_by_one_unit_or_more(amount: int, weights: list[int]):
    parts = money.parted(amount, weights)
    if sum(weights):
        assert sum(parts) == amount
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part * sum(weights) - amount * weight) < sum(weights)
    else:
        assert not any(parts)


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [
        (9.99, "USD", 999),
        (18, "USD", 1800),
        ("18.00", "EUR", 1800),
        (0.1 + 0.2, "USD", 30),
        (500, "JPY", 500),
        (1.234, "KWD", 1234),
        ("0.0001", "CLF", 1),
    ],
)
def test_an_amount_becomes_minor_units_of_its_currency(written: Any, currency: str, minor: int):
    assert money.minor(written, money.exponent(currency)) == minor


@pytest.mark.parametrize(
    ("written", "currency"),
    [
        (9.999, "USD"),
        (0.5, "JPY"),
        (1e14, "USD"),
        (float("nan"), "USD"),
        (float("inf"), "USD"),
        ("ten", "USD"),
        ("1e99", "USD"),
    ],
)
def test_an_amount_that_would_lose_something_is_refused(written: Any, currency: str):
    with pytest.raises(Refused):
        money.minor(written, money.exponent(currency))


def test_a_currency_that_nobody_knows_is_refused():
    with pytest.raises(Refused, match="no currency"):
        money.exponent("XXQ")


ITEMS = st.lists(
    st.builds(
        lambda line, price, units, kind: Item(line, kind, units * 1000, price, price * units, (f"c-{kind}",)),
        st.uuids().map(str),
        st.integers(min_value=0, max_value=10**6),
        st.integers(min_value=1, max_value=9),
        st.sampled_from(["fries", "box", "cola"]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda item: item.line,
)
RULES = st.one_of(
    st.builds(DiscountRule, percent=st.integers(1, 10_000), most=st.integers(0, 5_000)),
    st.builds(DiscountRule, amount=st.integers(1, 10**7), items=st.just(frozenset({"fries"}))),
    st.builds(DiscountRule, free=st.integers(1, 5), categories=st.just(frozenset({"c-box"}))),
)


@given(RULES, ITEMS)
def test_a_discount_never_takes_more_off_a_line_than_the_line_is(rule: DiscountRule, items: list[Item]):
    try:
        lines = discount(rule, items)
    except Refused as error:
        assert error.code.startswith("offer.basket")  # noqa: PT017 - both outcomes are right
        return
    by_line = {item.line: item.subtotal for item in items}
    assert len({line for line, _ in lines}) == len(lines)
    for line, amount in lines:
        assert 0 < amount <= by_line[line]
    if rule.most:
        assert sum(amount for _, amount in lines) <= rule.most


def test_a_fifth_off_three_lines_is_parted_by_largest_remainder():
    items = [Item(str(number), "x", 1000, 333, 333) for number in range(3)]
    assert discount(DiscountRule(percent=2_000), items) == [("0", 67), ("1", 67), ("2", 66)]


@given(st.lists(st.sampled_from(["lock", "unlock", "redeem", "expire", "revoke", "reinstate"]), max_size=20))
def test_an_offer_goes_only_where_the_table_says(acts: list[str]):
    offer = Offer(id="ofr_1", workspace="w", member="m", definition="d", expires_ms=1_000)
    for act in acts:
        allowed = TRANSITIONS[offer.state].get(act)
        try:
            offer.state = moved(offer, act, 10)
        except Refused:
            assert allowed is None
        else:
            assert offer.state == allowed
    assert offer.state in TRANSITIONS


def test_nothing_is_redeemed_after_its_end_or_before_its_beginning():
    offer = Offer(id="o", workspace="w", member="m", definition="d", starts_ms=5, expires_ms=10)
    for now in (4, 10, 11):
        with pytest.raises(Refused):
            moved(offer, "redeem", now)
    assert moved(offer, "redeem", 9) == "redeemed"


def rules(*campaigns: str, programme: str = "programme: p\ncurrency: USD\n", zone: str = "Europe/Brussels") -> Rules:
    """Rules of these campaigns."""
    made = [parse_campaign(text) for text in campaigns]
    offer = parse_offer("offer: box\ntitle: Box\n")
    return Rules(parse_programme(programme), {"box": offer}, {one.campaign: one for one in made}, zone)


def member(**more: Any) -> Member:
    """A member."""
    return Member(id="mem_1", workspace="w", joined_ms=NOON_MS - DAY_MS, **more)


FRIES = (Item("1", "pork-fries", 1000, 900, 900, ("fries",)), Item("2", "curly-fries", 1000, 900, 900, ("fries",)))


def outcome(made: Rules, who: Member | None = None, at_ms: int = NOON_MS, totals: Totals | None = None, **more: Any):
    """What a purchase gives."""
    items = more.pop("items", FRIES)
    facts = earning.facts_at(
        made,
        at_ms,
        total=sum(item.subtotal for item in items),
        items=items,
        names=frozenset(item.item for item in items),
        categories=frozenset(one for item in items for one in item.categories),
        **more,
    )
    return earning.earned(made, facts, who or member(), lambda name: totals or Totals(), lambda name: ("", 0))


#: (what the campaign says, what the purchase or the member is, the code of why not)
NOT = [
    ("paused: true", {}, "paused"),
    ("starts: 2026-11-27", {}, "not_started"),
    ("ends: 2026-11-25", {}, "ended"),
    ("days: [tue]", {}, "day"),
    ("hours: 13:00-14:00", {}, "hours"),
    ("audience: { tiers: [gold] }", {}, "tier"),
    ("audience: { tags: [vip] }", {}, "tags"),
    ("audience: { not_tags: [staff] }", {"who": member(tags={"staff": 0})}, "tags"),
    ("audience: { countries: [BE] }", {}, "country"),
    ("audience: { locales: [nl] }", {"who": member(profile=Profile(locale="fr-BE"))}, "locale"),
    ("audience: { genders: [f] }", {}, "gender"),
    ("audience: { opted_in: true }", {}, "opted_in"),
    ("audience: { joined_after: 2026-11-26 }", {}, "joined"),
    ("audience: { purchases_min: 3 }", {}, "purchases"),
    ("opt_in: true", {}, "opt_in"),
    ("when: { basket: [{ items: [box] }] }", {}, "basket"),
    ("when: { basket: [{ categories: [fries], count: 3 }] }", {}, "basket"),
    ("when: { basket: [{ categories: [fries], distinct: 3 }] }", {}, "basket"),
    ("when: { basket: [{ categories: [fries], amount: 18.01 }] }", {}, "basket"),
    ("when: { amount_min: 18.01 }", {}, "amount"),
    ("when: { channels: [MOBILE] }", {"channel": "IN-STORE"}, "channel"),
    ("when: { stores: [s2] }", {"store": "s1"}, "store"),
    ("when: { first_purchase: true }", {"first_purchase": False}, "first_purchase"),
    ("when: { often: { count: 2, days: 7 } }", {}, "often"),
    ("limits: { member: 1 }", {"who": member(met={"c": [1, 0, 0, 0]})}, "limit_member"),
    ("limits: { all: 5 }", {"totals": Totals(5, 0)}, "limit_all"),
    ("limits: { budget: 3 }", {"totals": Totals(0, 300)}, "budget"),
]


@pytest.mark.parametrize(("says", "given", "code"), NOT, ids=[f"{code}: {says}" for says, _, code in NOT])
def test_a_campaign_that_is_not_met_says_why(says: str, given: dict[str, Any], code: str):
    found = outcome(rules(f"campaign: c\ntitle: C\n{says}\ngives: {{ points: 5 }}"), **given)
    assert found.skipped == {code: ["c"]}
    assert code in REASONS
    assert not found.hits


MET = [
    ("days: [thu]", {}),
    ("hours: 11:00-13:00", {}),
    ("audience: { locales: [nl] }", {"who": member(profile=Profile(locale="nl-BE"))}),
    ("audience: { tags: [vip] }", {"who": member(tags={"vip": NOON_MS + 1})}),
    ("opt_in: true", {"who": member(opted=["c"])}),
    ("when: { basket: [{ categories: [fries], count: 2, distinct: 2, amount: 18 }], amount_min: 18 }", {}),
    ("when: { channels: [mobile] }", {"channel": "MOBILE"}),
    ("when: { first_purchase: true }", {"first_purchase": True}),
    ("when: { often: { count: 2, days: 7 } }", {"who": member(visits=[NOON_MS // DAY_MS - 6])}),
    ("limits: { member: 1, member_days: 1 }", {"who": member(met={"c": [4, 0, NOON_MS - DAY_MS, 1]})}),
    ("ends: 2026-11-26", {}),
]


@pytest.mark.parametrize(("says", "given"), MET, ids=[says for says, _ in MET])
def test_a_campaign_that_is_met_gives(says: str, given: dict[str, Any]):
    found = outcome(rules(f"campaign: c\ntitle: C\n{says}\ngives: {{ points: 5 }}"), **given)
    assert [(hit.rule.name, hit.points) for hit in found.hits] == [("c", 5)]


def test_the_best_multiplier_counts_and_the_other_says_so():
    two = [f"campaign: m{by}\ntitle: M\ngives: {{ multiplier: {by} }}" for by in (200, 300, 150)]
    found = outcome(rules(*two, programme="programme: p\ncurrency: USD\npoints: 10\n"))
    assert (found.base, [(hit.rule.name, hit.points) for hit in found.hits]) == (180, [("m300", 360)])
    assert found.skipped == {"better": ["m150", "m200"]}


def test_a_multiplier_of_some_items_multiplies_their_points_only():
    text = "campaign: c\ntitle: C\nwhen: { basket: [{ items: [curly-fries] }] }\ngives: { multiplier: 200 }"
    found = outcome(rules(text, programme="programme: p\ncurrency: USD\npoints: 10\n"))
    assert (found.base, found.hits[0].points) == (180, 90)


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.lists(st.integers(0, 10**6), max_size=6))
def test_returns_take_back_in_proportion_and_never_more_than_was_given(points: int, first: int, totals: list[int]):
    given_ = Given("c", points)
    for total in sorted([min(one, first) for one in totals], reverse=True):
        keeps = earning.kept(given_, total, first)
        given_.back = points - keeps
        assert 0 <= given_.back <= points
    assert earning.kept(given_, 0, first) == 0
    assert earning.kept(given_, first, first) == points


def test_points_expire_at_the_end_of_a_day_on_the_workspaces_clocks():
    rolling = rules(programme="programme: p\nexpiry: { kind: rolling, months: 12 }")
    assert rolling.points_expire(NOON_MS) == _brussels("2027-11-27")
    calendar = rules(programme="programme: p\nexpiry: { kind: calendar, on: 12-31, days: 60 }")
    assert calendar.points_expire(NOON_MS) == _brussels("2028-01-01")
    assert rules().points_expire(NOON_MS) == 0


def _brussels(day: str) -> int:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return int(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Brussels")).timestamp() * 1000)


@pytest.mark.parametrize(
    ("read", "text", "line", "why"),
    [
        (parse_programme, "programme: p\ncurrency: ABC", 2, "no currency"),
        (parse_programme, "programme: p\npending: soon", 2, "no duration"),
        (parse_programme, "programme: p\nexpiry: { kind: rolling }", 2, "how many"),
        (parse_programme, "programme: p\ntiers:\n  - tier: a\n  - tier: a", 2, "same name"),
        (parse_offer, "offer: a\ntitle: A\ndiscount: { percent: 5, amount: 5 }", 3, "one of"),
        (parse_offer, "offer: a\ntitle: A\ndiscount:\n  percent: 101", 4, "<= 100"),
        (parse_offer, "offer: a b\ntitle: A", 1, "regex"),
        (parse_campaign, "campaign: c\ntitle: C", 1, "say what it gives"),
        (parse_campaign, "campaign: c\ntitle: C\ngives: { points: -5 }", 3, ">= 1"),
        (parse_campaign, "campaign: c\ntitle: C\non: sign_up\ngives: { multiplier: 200 }", 4, "only a purchase"),
        (parse_campaign, "campaign: c\ntitle: C\nhours: 25:00-26:00\ngives: { points: 5 }", 3, "hours"),
        (parse_campaign, "campaign: c\ntitle: C\ngives: { points: 5 }\nlimit: 5", 1, "unknown field"),
    ],
)
def test_a_definition_that_does_not_fit_says_where_and_why(read: Any, text: str, line: int, why: str):
    with pytest.raises(Problems) as caught:
        read(text)
    assert (caught.value.problems[0].line, why in caught.value.problems[0].why) == (line, True), caught.value.problems


@given(st.binary(min_size=13, max_size=13))
def test_an_id_is_a_uuid_and_back(chance: bytes):
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    number = int.from_bytes(chance) & ((1 << 100) - 1)
    id_ = "mem_" + "".join(alphabet[number >> shift & 31] for shift in range(95, -1, -5))
    assert from_uuid("mem", as_uuid(id_)) == id_
    assert from_uuid("mem", id_) == id_


def test_as_long_as_a_contact_is_not_found_the_mailbox_says_who_it_is():
    family = (Phone("+32470112233"),)
    who = member(profile=Profile(email="ann@example.com", first_name="Ann", phones=family))
    assert reached(who) == {"email": "ann@example.com", "name": "Ann"}
    assert reached(member(profile=Profile(phones=family))) == {"phone": "+32470112233"}
    assert reached(member(external={"crm": "7"})) == {"id": "7"}
    assert reached(member(contact="con_1", profile=Profile(phones=family))) == "con_1"


def test_codes_are_compared_without_blanks_and_hyphens():
    assert fold(" fries-20 26 ") == "FRIES2026"


def test_members_are_read_back_as_they_were_written():
    who = member(profile=Profile(first_name="Ann"), external={"crm": "7"})
    assert msgspec.json.decode(msgspec.json.encode(who), type=Member) == who
