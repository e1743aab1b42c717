"""What ``/v1/loyalty`` shows: instants as RFC 3339, money in minor units of the programme's currency. Pure."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from beckon.core.clock import iso
from beckon.journeys.loyalty_offers.ledger import Entry
from beckon.journeys.loyalty_offers.member import Member, Own
from beckon.journeys.loyalty_offers.reading import Balance, Figures, Held, Open, Reading, Sold
from beckon.journeys.loyalty_offers.rounds import Round
from beckon.journeys.loyalty_offers.sale import Sale

Instant = Annotated[
    str, Meta(description="RFC 3339, UTC, to the millisecond", extra_json_schema={"format": "date-time"})
]
OfferState = Literal["issued", "locked", "redeemed", "expired", "revoked"]


class PhoneShown(msgspec.Struct, frozen=True, kw_only=True):
    """A phone number as the profile has it."""

    number: str
    type: str
    flags: tuple[str, ...]
    verified: bool


class ProfileShown(msgspec.Struct, frozen=True, kw_only=True):
    """What a member says of themselves; empty: not said."""

    email: str
    first_name: str
    last_name: str
    born: str
    gender: str
    address: str
    city: str
    state: str
    zip: str
    country: str
    locale: str
    phones: tuple[PhoneShown, ...]
    opted_in: bool
    custom: dict[str, Own]


class BalanceShown(msgspec.Struct, frozen=True, kw_only=True):
    """What stands to a member's credit, and their level."""

    balance: int
    #: what may be spent now.
    available: int
    pending: int
    #: points that were taken back though they were spent already.
    owed: int
    expiring_points: int
    expiring: Instant | None
    tier: str
    tier_title: str
    next_tier: str
    #: what is missing for it, in minor units or points: `tier_by` says.
    to_next: int
    tier_by: Literal["money", "points"]
    currency: str
    decimals: int


class MemberShown(msgspec.Struct, frozen=True, kw_only=True):
    """A member of the programme."""

    id: str
    state: Literal["active", "suspended", "forgotten"]
    #: whom messages reach.
    contact: str | None
    joined: Instant
    changed: Instant
    profile: ProfileShown
    external: dict[str, str]
    tags: list[str]
    tier: str
    purchases: int
    money: int
    balance: BalanceShown
    #: ids of the newest sales, the newest first.
    sales: list[str]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why one of many was not taken."""

    code: str
    why: str
    field: str | None = None


class Taken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one of many: the member, who may have been there already (`known`), or why not."""

    member: str | UnsetType = UNSET
    known: bool | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class MembersTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each, in the order in which they were sent."""

    members: list[Taken]


class MemberForgotten(msgspec.Struct, frozen=True, kw_only=True):
    """Whom nothing personal is kept of any more."""

    member: str


class MemberLink(msgspec.Struct, frozen=True, kw_only=True):
    """The signed address of a member's own page, and until when it opens."""

    url: str
    expires: Instant


class MemberTags(msgspec.Struct, frozen=True, kw_only=True):
    """A member's tags."""

    member: str
    tags: list[str]


class WalletOfferShown(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that was issued to a member, its texts in the member's language."""

    id: str
    member: str
    definition: str
    title: str
    blurb: str
    state: OfferState
    campaign: str | None
    cause: str
    issued: Instant
    starts: Instant | None
    expires: Instant | None
    redeemed: Instant | None
    sale: str | None
    #: what it took off, in minor units.
    discount: int
    till_code: str | None


class WalletShown(msgspec.Struct, frozen=True, kw_only=True):
    """What is issued or locked, and the balance."""

    items: list[WalletOfferShown]
    balance: BalanceShown


class StoreOfferShown(msgspec.Struct, frozen=True, kw_only=True):
    """An offer of the rewards store as one member sees it; `code` and `why_not`: why it can't be bought."""

    offer: str
    title: str
    blurb: str
    price: int
    ends: Instant | None
    code: str | None
    why_not: str | None


class PointsEntryShown(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the ledger."""

    number: int
    at: Instant
    kind: Literal["earn", "spend", "expire", "reverse"]
    amount: int
    #: the member's, after it.
    balance: int
    available: Instant | None
    expires: Instant | None
    sale: str | None
    campaign: str | None
    offer: str | None
    #: the number of the entry that it takes back.
    of: int | None
    why: str


class PointsShown(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger, the newest first; ask with ``before`` for what came earlier."""

    items: list[PointsEntryShown]
    before: int | None
    balance: BalanceShown


class PointsMoved(msgspec.Struct, frozen=True, kw_only=True):
    """What a deposit or a spending left."""

    member: str
    #: the number of the ledger's entry.
    entry: int
    points: int
    balance: int
    available: int


class OfferMoved(msgspec.Struct, frozen=True, kw_only=True):
    """An offer after something was done with it."""

    offer: str
    member: str
    definition: str
    state: OfferState
    expires: Instant | None


class OffersBought(OfferMoved, frozen=True, kw_only=True):
    """What was bought, the first of it beside the list, and what it cost in points."""

    offers: list[OfferMoved]
    points: int


class CodeTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What a promo code gave."""

    member: str
    campaign: str
    points: int
    offers: list[str]
    balance: int


class CodesMade(msgspec.Struct, frozen=True, kw_only=True):
    """How many codes of those were new."""

    list: str
    made: int


class OptedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the member said yes to a campaign."""

    member: str
    campaign: str
    opted_in: bool


class SaleDone(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction came to and gave; `skipped`: reason → campaigns that gave nothing."""

    sale: str
    member: str
    state: Literal["open", "closed", "voided"]
    total: int
    points: int
    balance: int
    offers: list[str]
    #: (campaign, points, offer)
    given: list[tuple[str, int, str]]
    skipped: dict[str, list[str]]
    #: (offer, line, minor units)
    discounts: list[tuple[str, str, int]]


class SaleLineShown(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a basket."""

    line: str
    item: str
    quantity: float
    price: int
    amount: int
    categories: tuple[str, ...]


class SaleGift(msgspec.Struct, frozen=True, kw_only=True):
    """What a sale gave and has not taken back; no campaign: the programme's own points."""

    campaign: str | None
    points: int
    offer: str | None


class SaleDiscount(msgspec.Struct, frozen=True, kw_only=True):
    """What an offer took off a line."""

    offer: str
    line: str
    amount: int


class SaleShown(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction as it stands."""

    sale: str
    member: str
    state: Literal["open", "closed", "voided"]
    store: str
    channel: str
    opened: Instant | None
    modified: Instant
    total: int
    items: list[SaleLineShown]
    given: list[SaleGift]
    discounts: list[SaleDiscount]
    #: reason → campaigns that gave nothing.
    skipped: dict[str, list[str]]


class MemberCampaignShown(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as one member sees it; `code` and `why`: why it is not for them now."""

    campaign: str
    title: str
    blurb: str
    shown: str
    starts: Instant | None
    ends: Instant | None
    may: bool
    code: str | None
    why: str | None
    needs_opt_in: bool
    opted_in: bool
    payload: dict[str, Any]


class CampaignDay(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a campaign on one day; `day` counts from 1970-01-01."""

    day: int
    reached: int
    issued: int
    redeemed: int
    points: int
    cost: int


class CampaignShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a campaign; `skipped`: reason → how often."""

    campaign: str
    title: str
    state: Literal["not_started", "running", "paused", "ended", "removed"]
    reached: int
    issued: int
    redeemed: int
    points: int
    cost: int
    #: 0: it has none.
    budget: int
    currency: str
    decimals: int
    skipped: dict[str, int]
    days: list[CampaignDay] | UnsetType = UNSET


class RoundMoved(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign's way through all members."""

    round: str
    campaign: str
    state: Literal["running", "done", "stopped"]
    looked: int
    reached: int
    skipped: dict[str, int]


class RoundShown(RoundMoved, frozen=True, kw_only=True):
    """A campaign's way through all members, and when."""

    started: Instant
    changed: Instant


def member(reading: Reading, one: Member) -> MemberShown:
    """A member."""
    said = one.profile
    return MemberShown(
        id=one.id,
        state=one.state,  # type: ignore[arg-type]
        contact=one.contact or None,
        joined=iso(one.joined_ms),
        changed=iso(one.changed_ms),
        profile=msgspec.convert(
            {
                **msgspec.structs.asdict(said),
                "phones": tuple([msgspec.convert(phone, PhoneShown, from_attributes=True) for phone in said.phones]),
            },
            ProfileShown,
        ),
        external=one.external,
        tags=sorted(one.tags),
        tier=one.tier,
        purchases=one.purchases,
        money=one.money,
        balance=balance(reading.balance(one)),
        sales=one.recent,
    )


def balance(one: Balance) -> BalanceShown:
    """What stands to a member's credit."""
    fields = {name: value for name, value in msgspec.structs.asdict(one).items() if name != "expiring_ms"}
    return BalanceShown(**fields, expiring=_instant(one.expiring_ms))


def held(one: Held) -> WalletOfferShown:
    """An offer in a wallet."""
    offer = one.offer
    return WalletOfferShown(
        id=offer.id,
        member=offer.member,
        definition=offer.definition,
        title=one.title,
        blurb=one.blurb,
        state=offer.state,  # type: ignore[arg-type]
        campaign=offer.campaign or None,
        cause=offer.cause,
        issued=iso(offer.issued_ms),
        starts=_instant(offer.starts_ms),
        expires=_instant(offer.expires_ms),
        redeemed=_instant(offer.redeemed_ms),
        sale=offer.sale or None,
        discount=offer.discount,
        till_code=one.definition.till_code or None if one.definition is not None else None,
    )


def sold(one: Sold) -> StoreOfferShown:
    """An offer of the rewards store."""
    return StoreOfferShown(
        offer=one.definition.offer,
        title=one.title,
        blurb=one.blurb,
        price=one.price,
        ends=_instant(one.ends_ms),
        code=one.code or None,
        why_not=one.why_not or None,
    )


def entry(one: Entry) -> PointsEntryShown:
    """A line of the ledger."""
    return PointsEntryShown(
        number=one.number,
        at=iso(one.at_ms),
        kind=one.kind,  # type: ignore[arg-type]
        amount=one.amount,
        balance=one.balance,
        available=_instant(one.available_ms),
        expires=_instant(one.expires_ms),
        sale=one.sale or None,
        campaign=one.campaign or None,
        offer=one.offer or None,
        of=one.of or None,
        why=one.why,
    )


def sale(one: Sale) -> SaleShown:
    """A transaction as it stands."""
    return SaleShown(
        sale=one.sale,
        member=one.member,
        state=one.state,  # type: ignore[arg-type]
        store=one.store,
        channel=one.channel,
        opened=_instant(one.at_ms),
        modified=iso(one.modified_ms),
        total=one.total,
        items=[
            SaleLineShown(
                line=item.line,
                item=item.item,
                quantity=item.quantity / 1000,
                price=item.unit_price,
                amount=item.subtotal,
                categories=item.categories,
            )
            for item in one.items
        ],
        given=[
            SaleGift(campaign=given.campaign or None, points=given.points - given.back, offer=given.offer or None)
            for given in one.given
        ],
        discounts=[
            SaleDiscount(offer=offer, line=line, amount=amount)
            for offer, lines in one.discounts.items()
            for line, amount in lines
        ],
        skipped=one.skipped,
    )


def campaign_of(one: Open) -> MemberCampaignShown:
    """A campaign as a member sees it."""
    return MemberCampaignShown(
        campaign=one.name,
        title=one.title,
        blurb=one.blurb,
        shown=one.shown,
        starts=_instant(one.starts_ms),
        ends=_instant(one.ends_ms),
        may=one.may,
        code=one.code or None,
        why=one.why or None,
        needs_opt_in=one.needs_opt_in,
        opted_in=one.opted_in,
        payload=one.payload,
    )


def figures(one: Figures, *, days: bool = False) -> CampaignShown:
    """What came of a campaign."""
    return CampaignShown(
        campaign=one.name,
        title=one.title,
        state=one.state,  # type: ignore[arg-type]
        reached=one.reached,
        issued=one.issued,
        redeemed=one.redeemed,
        points=one.points,
        cost=one.cost,
        budget=one.budget,
        currency=one.currency,
        decimals=one.decimals,
        skipped=one.skipped,
        days=[
            CampaignDay(day=day, reached=reached, issued=issued, redeemed=redeemed, points=points, cost=cost)
            for day, reached, issued, redeemed, points, cost in one.days
        ]
        if days
        else UNSET,
    )


def round_of(one: Round) -> RoundShown:
    """A campaign's way through all members."""
    return RoundShown(
        round=one.id,
        campaign=one.campaign,
        state=one.state,  # type: ignore[arg-type]
        looked=one.looked,
        reached=one.reached,
        skipped=one.skipped,
        started=iso(one.started_ms),
        changed=iso(one.changed_ms),
    )


def _instant(at_ms: int) -> str | None:
    return iso(at_ms) if at_ms else None
