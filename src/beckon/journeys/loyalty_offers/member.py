"""Member: who they are, what stands to their credit, and what counts for campaigns. Pure."""

import msgspec

from beckon.journeys.loyalty_offers.ledger import Account

#: Open offers in one wallet.
WALLET_MAX = 200
#: Sales that a member's row names, the newest first.
RECENT_MAX = 20
#: Days of purchases that are remembered for ``count in a period``.
VISITS_MAX = 100


class Phone(msgspec.Struct, frozen=True, omit_defaults=True):
    """A phone number as the profile has it."""

    number: str
    type: str = ""
    flags: tuple[str, ...] = ()
    verified: bool = False


#: A field of the integrator's own.
Own = str | bool | int | float | list[str]


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a member says of themselves. A change replaces the fields that it names."""

    email: str = ""
    first_name: str = ""
    last_name: str = ""
    #: YYYY-MM-DD
    born: str = ""
    gender: str = ""
    address: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""
    #: BCP 47
    locale: str = ""
    phones: tuple[Phone, ...] = ()
    #: consent to marketing.
    opted_in: bool = False
    #: the integrator's own fields.
    custom: dict[str, Own] = {}


class Member(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One member of one workspace's programme."""

    id: str
    workspace: str
    #: active, suspended, forgotten
    state: str = "active"
    #: the contact of ours whom messages reach; empty until the line has found or made one.
    contact: str = ""
    joined_ms: int = 0
    changed_ms: int = 0
    profile: Profile = Profile()
    #: type → id, as other systems know the member.
    external: dict[str, str] = {}
    #: tag → until when, 0: for ever.
    tags: dict[str, int] = {}
    account: Account = msgspec.field(default_factory=Account)
    tier: str = ""
    tier_since_ms: int = 0
    #: what counts for the tier: spent money in minor units, or points, as the programme says; by year.
    qualifying: dict[str, int] = {}
    #: ids of the offers that are issued or locked, the oldest first.
    offers: list[str] = []
    #: campaign → [times met, last, when the window of its limit began, times in it]
    met: dict[str, list[int]] = {}
    #: offer's definition → how often the member was given it
    had: dict[str, int] = {}
    #: campaigns that the member said yes to.
    opted: list[str] = []
    #: purchases ever, less those voided.
    purchases: int = 0
    #: spent money ever, in minor units, less what was returned.
    money: int = 0
    #: days (since 1970) of the newest purchases, one for each, the oldest first.
    visits: list[int] = []
    #: ids of the newest sales, the newest first.
    recent: list[str] = []
    #: when promo codes were guessed wrong, and taken; when the next try is allowed.
    guessed_ms: list[int] = []
    claimed_ms: list[int] = []
    locked_until_ms: int = 0
    #: multi-use codes taken: code → times
    codes: dict[str, int] = {}
    #: positions of events that say something personal, as they were noted before ``mentions`` held them.
    said: list[int] = []
    #: forgotten: the ledger's entry from which on there may be words still; 0: none.
    unsaid: int = 0
    #: the next thing that is due for the points, as ``loyalty_due`` has it; 0: nothing.
    due_ms: int = 0
    #: points that expire up to this instant were told of.
    reminded_ms: int = 0


def name_of(profile: Profile) -> str:
    """First and last name."""
    return f"{profile.first_name} {profile.last_name}".strip()
