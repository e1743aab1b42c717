"""Asked: what the doors ask of loyalty, one event type each, and what each carries. Pure.

A door makes the event's ``data`` one of these; the turn decides, in the journal's order, and answers. An event's id is
the request's id, its source the key that asked: what comes again has the answer of its first time. ``mark`` digests the
request, so that the same id with other words is noticed.
"""

from typing import Any

import msgspec

from beckon.journeys.loyalty_offers.member import Profile
from beckon.journeys.loyalty_offers.sale import SaleAsked

#: Members in one ``loyalty.members_asked``.
MEMBERS_MAX = 500
#: Offers of one kind in one ``loyalty.buy_asked``.
BUY_MAX = 20
#: Promo codes in one ``loyalty.codes_asked``.
CODES_MAX = 5_000


class Who(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A member, by our id or by another system's."""

    member: str = ""
    #: (type, id)
    external: tuple[str, str] | None = None
    mark: str = ""


class SignUp(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``loyalty.sign_up_asked``"""

    profile: Profile
    external: dict[str, str] = {}
    tags: tuple[str, ...] = ()
    #: what the member agreed to, in their words: the proof of ``opted_in``.
    consent: str = ""
    #: addresses on channels of ours: ``{"oem_app": "…"}``.
    addresses: dict[str, str] = {}
    #: who comes from another programme brings points and a level along: an import only.
    points: int = 0
    tier: str = ""
    mark: str = ""


class ManySignUps(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``loyalty.members_asked``: an import's piece. Answered for each: its id (``known``: it was there), or why not."""

    members: tuple[SignUp, ...]
    #: no welcome: ``member.signed_up`` says ``imported``.
    quiet: bool = True
    mark: str = ""


class Change(Who, kw_only=True, omit_defaults=True):
    """``loyalty.change_asked``: the profile's fields that are named are replaced."""

    fields: dict[str, Any] = {}
    external: tuple[str, str] | None = None
    #: type → id, added or replaced; empty id: removed.
    externals: dict[str, str] = {}
    consent: str = ""
    state: str = ""


class Forget(Who, kw_only=True, omit_defaults=True):
    """``loyalty.forget_asked``: what is personal goes, for good."""


class Tag(Who, kw_only=True, omit_defaults=True):
    """``loyalty.tags_asked``"""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    #: how long the added ones last; 0: for ever.
    ttl_ms: int = 0


class Points(Who, kw_only=True, omit_defaults=True):
    """``loyalty.points_asked``: more than 0 is a deposit, less is spent."""

    points: int
    why: str = ""
    #: of a deposit: when it expires; 0: as the programme says.
    expires_ms: int = 0


class Issue(Who, kw_only=True, omit_defaults=True):
    """``loyalty.issue_asked``: give a member an offer."""

    definition: str
    why: str = ""
    expires_ms: int = 0


class Buy(Who, kw_only=True, omit_defaults=True):
    """``loyalty.buy_asked``: an offer from the rewards store, for points."""

    definition: str
    quantity: int = 1


class Act(Who, kw_only=True, omit_defaults=True):
    """``loyalty.offer_asked``: do something with an offer that was issued."""

    offer: str
    #: lock, unlock, redeem, reinstate, revoke
    act: str
    #: who does it, or in which sale.
    by: str = ""
    why: str = ""


class Code(Who, kw_only=True, omit_defaults=True):
    """``loyalty.code_asked``: a member says a promo code."""

    code: str


class MakeCodes(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``loyalty.codes_asked``: add single-use codes to a list."""

    list: str
    codes: tuple[str, ...]
    mark: str = ""


class OptIn(Who, kw_only=True, omit_defaults=True):
    """``loyalty.opt_in_asked``: a member says yes to a campaign, or takes it back."""

    campaign: str
    yes: bool = True


class Round(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``loyalty.round_asked``: a campaign goes through all members; ``stop`` ends the one under way."""

    campaign: str
    stop: bool = False
    mark: str = ""


#: event type → what it carries
ASKED: dict[str, type[Any]] = {
    "loyalty.sign_up_asked": SignUp,
    "loyalty.members_asked": ManySignUps,
    "loyalty.change_asked": Change,
    "loyalty.forget_asked": Forget,
    "loyalty.tags_asked": Tag,
    "loyalty.points_asked": Points,
    "loyalty.issue_asked": Issue,
    "loyalty.buy_asked": Buy,
    "loyalty.offer_asked": Act,
    "loyalty.code_asked": Code,
    "loyalty.codes_asked": MakeCodes,
    "loyalty.opt_in_asked": OptIn,
    "loyalty.round_asked": Round,
    "loyalty.transaction_asked": SaleAsked,
}
