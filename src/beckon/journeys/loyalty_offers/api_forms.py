"""What ``/v1/loyalty`` is told: the bodies and queries of its operations. Pure.

Money is written as people do (``9``, ``"9.00"``), in the programme's currency; instants are RFC 3339.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.member import Own
from beckon.journeys.loyalty_offers.page.passes import APP_MAX_MS, APP_MS
from beckon.journeys.loyalty_offers.reading import LIST_MAX
from beckon.journeys.loyalty_offers.sale import DISCOUNTS_MAX, ITEMS_MAX

Text = Annotated[str, Meta(max_length=200)]
Said = Text | None | UnsetType
Money = Annotated[int | float | str, Meta(description='as people write it: 9, "9.00"')]
When = Annotated[str, Meta(max_length=40, description="RFC 3339; without an offset it is UTC; empty: not said")]
Limit = Annotated[int, Meta(ge=1, le=LIST_MAX)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said beyond the known is a mistake."""


class PhoneSaid(_Strict, frozen=True, kw_only=True):
    """A phone number."""

    number: Annotated[str, Meta(max_length=40)]
    type: str | None = None
    flags: list[str] | None = None
    verified: bool = False


class ProfileSaid(_Strict, frozen=True, kw_only=True, omit_defaults=True):
    """What a member says of themselves; a change replaces the fields that it names."""

    email: Said = UNSET
    first_name: Said = UNSET
    last_name: Said = UNSET
    #: YYYY-MM-DD
    born: Annotated[str, Meta(max_length=40)] | UnsetType | None = UNSET
    gender: Said = UNSET
    address: Said = UNSET
    city: Said = UNSET
    state: Said = UNSET
    zip: Said = UNSET
    country: Said = UNSET
    #: BCP 47
    locale: Said = UNSET
    phones: list[PhoneSaid] | UnsetType | None = UNSET
    #: consent to marketing.
    opted_in: bool | UnsetType | None = UNSET
    #: the integrator's own fields.
    custom: dict[str, Own | None] | UnsetType | None = UNSET


class NewMember(_Strict, frozen=True, kw_only=True):
    """Who signs up. An email, a phone number or an external id must be there."""

    profile: ProfileSaid = ProfileSaid()
    #: type → id, as other systems know the member.
    external: dict[str, Text] = {}
    tags: Annotated[list[Text], Meta(max_length=50)] = []
    #: what the customer agreed to, in their words: the proof.
    consent: Text = ""
    #: channel → address, such as a push subscription.
    addresses: dict[str, Text] = {}


class BroughtMember(_Strict, frozen=True, kw_only=True):
    """Who comes from another programme, with what they had there. What is wrong with one is answered for that one."""

    profile: Annotated[dict[str, Any], Meta(description="as a sign-up's")] = {}
    external: dict[str, Text] = {}
    tags: Annotated[list[Text], Meta(max_length=50)] = []
    consent: Text = ""
    addresses: dict[str, Text] = {}
    points: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    tier: Text = ""


class BroughtMembers(_Strict, frozen=True, kw_only=True):
    """Many sign-ups at once."""

    members: Annotated[list[BroughtMember], Meta(min_length=1, max_length=asked.MEMBERS_MAX)]


class MemberChanges(_Strict, frozen=True, kw_only=True):
    """What is named is replaced; an external id that is empty is removed."""

    profile: ProfileSaid = ProfileSaid()
    external: dict[str, Text] = {}
    #: empty: as it is.
    state: Literal["", "active", "suspended"] = ""
    consent: Text = ""


class PointsMove(_Strict, frozen=True, kw_only=True):
    """More than 0 is a deposit, less is spent."""

    points: Annotated[int, Meta(ge=-(10**12), le=10**12)]
    why: Text = ""
    expires: When = ""


class OfferToIssue(_Strict, frozen=True, kw_only=True):
    """An offer for a member, by its definition's name."""

    offer: Text
    why: Text = ""
    expires: When = ""


class Quantity(_Strict, frozen=True, kw_only=True):
    """How many are bought."""

    quantity: Annotated[int, Meta(ge=1, le=asked.BUY_MAX)] = 1


class OfferAct(_Strict, frozen=True, kw_only=True):
    """Who does something with an offer, and why; ``member``: it must be theirs."""

    by: Text = ""
    why: Text = ""
    member: Text = ""


class PromoCode(_Strict, frozen=True, kw_only=True):
    """A promo code, as the customer types it."""

    code: Annotated[str, Meta(min_length=1, max_length=100)]


class PromoCodes(_Strict, frozen=True, kw_only=True):
    """Single-use codes for a list."""

    list: Annotated[str, Meta(min_length=1, max_length=100)]
    codes: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...], Meta(min_length=1, max_length=asked.CODES_MAX)
    ]


class TagChanges(_Strict, frozen=True, kw_only=True):
    """Tags that come, for so many seconds (0: for ever), and tags that go."""

    add: Annotated[list[Text], Meta(max_length=100)] = []
    remove: Annotated[list[Text], Meta(max_length=100)] = []
    ttl_s: Annotated[int, Meta(ge=0, le=315_360_000)] = 0


class SaleItem(_Strict, frozen=True, kw_only=True):
    """One line of a basket. ``amount``: what it comes to, where that is not price × quantity."""

    item: Annotated[str, Meta(min_length=1, max_length=200)]
    price: Money
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] | Annotated[float, Meta(ge=0.001, le=1_000_000)] = 1
    amount: Money | None = None
    line: Text = ""
    categories: Annotated[list[Text], Meta(max_length=20)] = []


class SaleOffer(_Strict, frozen=True, kw_only=True):
    """An offer that the sale uses, and what the till took off for it, where it says so."""

    offer: Text
    amount: Money | None = None


class SaleSaid(_Strict, frozen=True, kw_only=True):
    """A transaction as it stands, by the till. The member by ``member`` or ``external`` (type, id)."""

    #: when it was changed last: it never goes back.
    modified: Annotated[str, Meta(min_length=1, max_length=40, description="RFC 3339")]
    member: Text = ""
    external: tuple[Text, Text] | None = None
    items: Annotated[list[SaleItem], Meta(max_length=ITEMS_MAX)] = []
    amount: Money | None = None
    #: ISO 4217; empty: the programme's.
    currency: Text = ""
    closed: bool = True
    voided: bool = False
    opened: When = ""
    store: Text = ""
    channel: Text = ""
    offers: Annotated[list[SaleOffer], Meta(max_length=DISCOUNTS_MAX)] = []


class PageAsked(_Strict, frozen=True, kw_only=True):
    """How long the page's address is good for."""

    minutes: Annotated[int, Meta(ge=1, le=APP_MAX_MS // 60_000)] = APP_MS // 60_000


class MemberQuery(msgspec.Struct, frozen=True, kw_only=True):
    """By what a member is looked for: one of them."""

    email: Annotated[str, Meta(max_length=200, description="the mailbox")] = ""
    phone: Annotated[str, Meta(max_length=200, description="the number, with its country or as the workspace's")] = ""
    contact: Annotated[str, Meta(max_length=200, description="the contact's id")] = ""
    external_id: Annotated[str, Meta(max_length=200, description="another system's id")] = ""
    external_type: Annotated[str, Meta(max_length=200, description="its type; empty: whichever has it")] = ""


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How many are wanted."""

    limit: Limit = 50


class PointsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How many entries are wanted, and before which."""

    limit: Limit = 50
    before: Annotated[int, Meta(ge=0, le=1 << 53, description="the answer before had it as `before`")] = 0
