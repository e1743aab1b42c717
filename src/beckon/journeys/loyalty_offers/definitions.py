"""Definitions: the programme, its offers and its campaigns, as files of the workspace. Pure.

Each is one YAML document whose first key says its kind and its name. What a file says is checked when it is read:
names, amounts in the programme's currency, durations, the days of a schedule.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from beckon.core.errors import Refused
from beckon.core.problems import Problem, Problems
from beckon.core.timers import clock_minutes, parse_duration
from beckon.core.yaml_text import YamlProblem, read_yaml
from beckon.journeys.loyalty_offers.money import exponent

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Words = Annotated[str, Meta(max_length=500)]
Title = Annotated[str, Meta(min_length=1, max_length=120)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
#: An amount in the programme's currency, as people write it: ``18``, ``"18.00"``, ``2.5``.
Amount = int | float | str
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
#: An item's id, or several: ``*`` stands for any signs.
Pattern = Annotated[str, Meta(min_length=1, max_length=200)]
#: Texts by locale; ``en`` is the last resort.
Texts = dict[str, Words]

T = TypeVar("T")


class Expiry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When points expire: never, so many months or days after they were earned, or on a day of the year."""

    kind: Literal["none", "rolling", "calendar"] = "none"
    #: rolling: both are added up, and rounded up to the end of the day.
    months: Annotated[int, Meta(ge=0, le=120)] = 0
    days: Annotated[int, Meta(ge=0, le=3_650)] = 0
    #: calendar: ``12-31``: at the end of that day, the first one that is at least ``days`` away.
    on: Annotated[str, Meta(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")] = "12-31"


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A level of the programme."""

    tier: Name
    title: Words = ""
    #: what must have been spent (money) or earned (points), for this tier.
    reached_at: Amount = 0
    #: what base points are multiplied by, in percent: 150 is one and a half.
    rate: Annotated[int, Meta(ge=0, le=10_000)] = 100


class Codes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How promo codes are guarded: who guesses is locked out, who takes many is slowed down."""

    wrong_max: Annotated[int, Meta(ge=1, le=1_000)] = 5
    wrong_within: str = "1h"
    lock_out: str = "1h"
    taken_max: Annotated[int, Meta(ge=1, le=1_000)] = 20
    taken_within: str = "24h"


class Programme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The programme's rules. ``programme.yaml``."""

    programme: Name = "programme"
    title: Words = ""
    #: ISO 4217
    currency: str = "EUR"
    #: points for each ``per`` that is spent; 0: only campaigns give points.
    points: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    per: Amount = 1
    expiry: Expiry = Expiry()
    #: points can be spent only after this long: the window for returns.
    pending: str = "0m"
    #: how long before points expire their member is told.
    remind_points: str = "30d"
    #: how long before an offer expires its member is told.
    remind_offers: str = "10d"
    #: what a point costs the business, for a campaign's cost.
    point_value: Amount = 0
    tiers: tuple[Tier, ...] = ()
    #: what counts for a tier.
    tier_by: Literal["money", "points"] = "money"
    #: over which time: a calendar year, or for ever.
    tier_period: Literal["year", "ever"] = "year"
    #: category → items that belong to it, by id; ``*`` stands for any signs: ``fries: ["*-fries"]``. A till may name an
    #: item's categories, too; the vendor's tills don't.
    categories: Annotated[
        dict[Name, Annotated[tuple[Pattern, ...], Meta(max_length=10_000)]], Meta(max_length=1_000)
    ] = {}
    codes: Codes = Codes()
    age_min: Annotated[int, Meta(ge=0, le=120)] = 13
    #: a till's clock may be ahead of ours by so much.
    clock_skew: str = "10m"


class Discount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an offer takes off: a share, an amount, or an item for nothing. Without items: of the whole basket."""

    percent: Annotated[float, Meta(gt=0, le=100)] | None = None
    amount: Amount | None = None
    #: so many of the cheapest matching units for nothing.
    free: Annotated[int, Meta(ge=1, le=100)] | None = None
    items: Annotated[tuple[Name, ...], Meta(max_length=1_000)] = ()
    categories: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    #: the matching lines must come to this much.
    basket_min: Amount = 0
    #: no more than this is taken off.
    most: Amount | None = None


class OfferDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be issued to members. ``offers/{name}.yaml``."""

    offer: Name
    title: Title
    blurb: Words = ""
    terms: Words = ""
    image: Annotated[str, Meta(max_length=500)] = ""
    #: locale → title, blurb
    titles: Texts = {}
    blurbs: Texts = {}
    discount: Discount | None = None
    #: the code that the till knows the discount by.
    till_code: Annotated[str, Meta(max_length=100)] = ""
    #: how long it can be redeemed after its issue, to the end of the day; empty: until ``ends``.
    valid: str = ""
    starts: str = ""
    ends: str = ""
    #: in the rewards store for so many points; none: not sold.
    price: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    #: the rewards store sells it to these tiers only.
    tiers: tuple[Name, ...] = ()
    #: how many in all, and for each member at the same time or ever.
    stock: Count | None = None
    member_max: Count | None = None
    #: how long before its end its member is told; empty: as the programme says.
    remind: str = ""
    #: a refund gives it back to its member.
    reinstate: bool = True
    category: Annotated[str, Meta(max_length=100)] = ""


class Audience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which members a campaign is for; what is not said does not matter."""

    tiers: tuple[Name, ...] = ()
    tags: tuple[Name, ...] = ()
    not_tags: tuple[Name, ...] = ()
    countries: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()
    genders: tuple[str, ...] = ()
    opted_in: bool | None = None
    joined_after: str = ""
    joined_before: str = ""
    purchases_min: Annotated[int, Meta(ge=0)] = 0


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items that a basket must have."""

    items: Annotated[tuple[Name, ...], Meta(max_length=1_000)] = ()
    categories: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    #: units of them, different ones of them, and what they come to.
    count: Annotated[int, Meta(ge=1, le=1_000)] = 1
    distinct: Annotated[int, Meta(ge=1, le=100)] = 1
    amount: Amount = 0


class Often(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many purchases, this one included, within so many days."""

    count: Annotated[int, Meta(ge=2, le=100)]
    days: Annotated[int, Meta(ge=1, le=366)]


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a purchase must be for a campaign; all of it must hold."""

    basket: Annotated[tuple[Wanted, ...], Meta(max_length=20)] = ()
    amount_min: Amount = 0
    channels: tuple[Words, ...] = ()
    stores: tuple[Words, ...] = ()
    first_purchase: bool = False
    often: Often | None = None


class Gives(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes of it."""

    points: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    #: base points times this, in percent: 200 doubles them. Of several campaigns the best counts.
    multiplier: Annotated[int, Meta(gt=100, le=10_000)] | None = None
    offer: Name | None = None
    #: told as ``campaign.message`` with these words, for a flow to send.
    message: Words | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often it is given: to each member, within so many days where they are said, in all, and for how much."""

    member: Count | None = None
    member_days: Annotated[int, Meta(ge=1, le=366)] | None = None
    all: Count | None = None
    #: what it may cost: offers at their discount's worth when redeemed, points at ``point_value``.
    budget: Amount | None = None


class Campaign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reason to give members something. ``campaigns/{name}.yaml``."""

    campaign: Name
    title: Title
    blurb: Words = ""
    titles: Texts = {}
    blurbs: Texts = {}
    image: Annotated[str, Meta(max_length=500)] = ""
    #: what it answers: a purchase, a sign-up, a promo code, or nothing: it goes through all members when it is started.
    on: Literal["purchase", "sign_up", "code", "round"] = "purchase"
    #: days or instants in the workspace's time zone; ``ends`` is the last day.
    starts: str = ""
    ends: str = ""
    days: tuple[Day, ...] = ()
    #: ``11:00-14:00``
    hours: Annotated[str, Meta(pattern=r"^$|^\d\d:\d\d-\d\d:\d\d$")] = ""
    audience: Audience = Audience()
    #: the member must have said yes to it first.
    opt_in: bool = False
    when: When = When()
    gives: Gives = Gives()
    limits: Limits = Limits()
    #: how apps show it.
    shown: Literal["tile", "promotion", "hidden"] = "tile"
    #: handed to apps as it is.
    payload: dict[str, Any] = {}
    #: for single-use codes: the list whose codes it takes; for a multi-use code, the code itself.
    code_list: Annotated[str, Meta(max_length=100)] = ""
    code: Annotated[str, Meta(max_length=64)] = ""
    code_uses: Count | None = None
    paused: bool = False


def parse_programme(text: str, file: str = "programme.yaml") -> Programme:
    """Read the programme's rules. Raises ``Problems``."""
    return _parsed(text, file, Programme, _check_programme)


def parse_offer(text: str, file: str = "") -> OfferDefinition:
    """Read an offer's definition. Raises ``Problems``."""
    return _parsed(text, file, OfferDefinition, _check_offer)


def parse_campaign(text: str, file: str = "") -> Campaign:
    """Read a campaign. Raises ``Problems``."""
    return _parsed(text, file, Campaign, _check_campaign)


def _parsed(text: str, file: str, shape: type[T], check: Callable[[T], Sequence[tuple[str, str]]]) -> T:
    try:
        found = read_yaml(text)
    except YamlProblem as error:
        raise Problems((Problem(file, error.line, "", error.code, error.why),)) from error
    try:
        made = msgspec.convert(found.value, shape)
    except msgspec.ValidationError as error:
        why, _, path = str(error).partition(" - at `$")
        path = path.rstrip("`").lstrip(".").replace("[", ".").replace("]", "").replace("....", ".")
        line = found.lines.get(path, 1)
        raise Problems((Problem(file, line, path, "loyalty.definition", why),)) from error
    wrong = [Problem(file, found.lines.get(path, 1), path, "loyalty.definition", why) for path, why in check(made)]
    if wrong:
        raise Problems(tuple(wrong))
    return made


def _check_programme(programme: Programme) -> list[tuple[str, str]]:
    wrong: list[tuple[str, str]] = []
    try:
        exponent(programme.currency)
    except Refused as error:
        wrong.append(("currency", error.why))
    names = [tier.tier for tier in programme.tiers]
    if len(set(names)) != len(names):
        wrong.append(("tiers", "two tiers have the same name"))
    if programme.expiry.kind == "rolling" and not (programme.expiry.months or programme.expiry.days):
        wrong.append(("expiry", "rolling points expire after some months or days: say how many"))
    for path in ("pending", "remind_points", "remind_offers", "clock_skew"):
        wrong += _duration(path, getattr(programme, path))
    for path in ("wrong_within", "lock_out", "taken_within"):
        wrong += _duration(f"codes.{path}", getattr(programme.codes, path))
    return wrong


def _check_offer(offer: OfferDefinition) -> list[tuple[str, str]]:
    wrong = [*_duration("valid", offer.valid), *_duration("remind", offer.remind)]
    discount = offer.discount
    if discount is not None:
        kinds = [one for one in (discount.percent, discount.amount, discount.free) if one is not None]
        if len(kinds) != 1:
            wrong.append(("discount", "a discount is one of percent, amount and free"))
    return wrong


def _check_campaign(campaign: Campaign) -> list[tuple[str, str]]:
    wrong: list[tuple[str, str]] = []
    gives = campaign.gives
    if gives.points is None and gives.multiplier is None and gives.offer is None and gives.message is None:
        wrong.append(("gives", "say what it gives: points, multiplier, offer or message"))
    if gives.multiplier is not None and campaign.on != "purchase":
        wrong.append(("gives.multiplier", "only a purchase has points that can be multiplied"))
    if campaign.hours:
        first, _, last = campaign.hours.partition("-")
        if clock_minutes(first) is None or clock_minutes(last) is None:
            wrong.append(("hours", "write hours like 11:00-14:00"))
    if campaign.on == "code" and not (campaign.code or campaign.code_list):
        wrong.append(("code", "say which code, or which list of codes"))
    return wrong


def _duration(path: str, text: str) -> list[tuple[str, str]]:
    if not text:
        return []
    try:
        parse_duration(text)
    except Refused as error:
        return [(path, error.why)]
    return []
