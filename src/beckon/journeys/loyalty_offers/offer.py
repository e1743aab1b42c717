"""Offer: what a member holds of an offer's definition, from its issue to its end. Pure.

What may become of it is the table ``TRANSITIONS``; everything that changes an offer asks ``moved``.
"""

import msgspec

from beckon.core.errors import Refused

#: state → what may be done with it, and which state that makes.
TRANSITIONS: dict[str, dict[str, str]] = {
    "issued": {"lock": "locked", "redeem": "redeemed", "expire": "expired", "revoke": "revoked"},
    "locked": {"unlock": "issued", "redeem": "redeemed", "expire": "expired", "revoke": "revoked"},
    "redeemed": {"reinstate": "issued", "revoke": "revoked"},
    "expired": {"reinstate": "issued"},
    "revoked": {"reinstate": "issued"},
}
#: The states in which it is of use to its member.
OPEN = ("issued", "locked")
#: who holds an offer that lies in its member's own cart: whichever purchase of theirs comes may redeem it.
CART = "cart"

_WORDS = {
    "lock": "locked", "unlock": "unlocked", "redeem": "redeemed", "expire": "expired", "revoke": "revoked",
    "reinstate": "reinstated",
}  # fmt: skip


class Offer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One offer in one member's hands."""

    id: str
    workspace: str
    member: str
    #: the name of its definition.
    definition: str
    state: str = "issued"
    #: the campaign that gave it; empty: by hand, by a code or from the rewards store.
    campaign: str = ""
    #: why it was issued, in a word: ``campaign``, ``code``, ``store``, ``hand``, ``sign_up``.
    cause: str = "hand"
    issued_ms: int = 0
    #: from when it can be redeemed.
    starts_ms: int = 0
    #: from when it can't be redeemed any more; 0: never.
    expires_ms: int = 0
    #: the next thing that is due, as ``loyalty_due`` has it; 0: nothing.
    due_ms: int = 0
    #: its member was reminded that it expires.
    reminded: bool = False
    changed_ms: int = 0
    #: locked: by which sale or till.
    locked_by: str = ""
    #: redeemed: in which sale, and how much it took off, in minor units.
    sale: str = ""
    redeemed_ms: int = 0
    discount: int = 0
    #: what its campaign was charged for it when it was issued, in minor units; the discount takes its place.
    worth: int = 0
    #: what was paid for it in points; given back when it is revoked.
    price: int = 0
    #: the ledger's entry of that payment; 0: none.
    price_entry: int = 0
    #: how often it was given back: each is told under an id of its own.
    reinstated: int = 0


def moved(offer: Offer, act: str, now_ms: int) -> str:
    """The state that ``act`` makes of an offer. Raises ``Refused`` where it can't be done, and says why."""
    state = TRANSITIONS[offer.state].get(act)
    if state is None and offer.state == "expired":
        raise Refused("offer.expired", "the offer has expired", field="offer")
    if state is None:
        raise Refused("offer.state", f"the offer is {offer.state}: it can't be {_WORDS[act]}", field="offer")
    if act in ("redeem", "lock"):
        if offer.expires_ms and now_ms >= offer.expires_ms:
            raise Refused("offer.expired", "the offer has expired", field="offer")
        if now_ms < offer.starts_ms:
            raise Refused("offer.not_yet", "the offer can't be redeemed yet", field="offer")
    if act == "reinstate" and offer.expires_ms and now_ms >= offer.expires_ms:
        raise Refused("offer.expired", "the offer has expired meanwhile: it can't be given back", field="offer")
    return state
