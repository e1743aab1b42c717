"""Sale: a transaction as it stands, and what it gave; what a till says of it, in our words. Pure.

Money is in minor units. A sale comes again with a later ``modified_ms``: with fewer items it is a return in part,
voided it is taken back whole.
"""

import msgspec

ITEMS_MAX = 500
PAYMENTS_MAX = 50
DISCOUNTS_MAX = 50


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a basket."""

    line: str
    item: str
    #: thousandths: 1.5 kg is 1500
    quantity: int
    unit_price: int
    #: what the line comes to before discounts of ours.
    subtotal: int
    categories: tuple[str, ...] = ()


class Payment(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who paid how much."""

    payment: str
    amount: int
    kind: str = ""


class Redeemed(msgspec.Struct, frozen=True, omit_defaults=True):
    """An offer that the till used for this sale."""

    offer: str
    #: what the till took off; where it does not say, we work it out.
    amount: int | None = None


class SaleAsked(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a till says of a sale: the data of ``loyalty.transaction_asked``."""

    sale: str
    #: a member's id, or (type, id) of another system.
    member: str = ""
    external: tuple[str, str] | None = None
    store: str = ""
    channel: str = ""
    currency: str = ""
    closed: bool = True
    voided: bool = False
    #: by the till's clock.
    at_ms: int = 0
    modified_ms: int = 0
    subtotal: int = 0
    tax: int = 0
    items: tuple[Item, ...] = ()
    payments: tuple[Payment, ...] = ()
    redeemed: tuple[Redeemed, ...] = ()
    #: what the request says, digested: the same id with other words is refused.
    mark: str = ""


class Given(msgspec.Struct, omit_defaults=True):
    """What a sale gave, for taking it back in proportion."""

    #: the campaign; empty: the programme's own points.
    campaign: str
    points: int = 0
    #: points that were taken back already.
    back: int = 0
    #: the ledger's entry, and when its points expire: what has expired is not taken back.
    entry: int = 0
    expires_ms: int = 0
    #: the offer that was issued.
    offer: str = ""


class Sale(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A transaction as it stands."""

    sale: str
    workspace: str
    member: str
    #: open, closed, voided
    state: str = "open"
    store: str = ""
    channel: str = ""
    at_ms: int = 0
    modified_ms: int = 0
    #: what was paid for the items when it was closed first, less the discounts: returns are in proportion to it.
    first_total: int = 0
    #: what is left of that.
    total: int = 0
    items: tuple[Item, ...] = ()
    given: list[Given] = []
    #: offer's id → (line, minor units) that it took off
    discounts: dict[str, list[tuple[str, int]]] = {}
    #: code (``earning.REASONS``) → campaigns that gave nothing
    skipped: dict[str, list[str]] = {}
    times: int = 1
