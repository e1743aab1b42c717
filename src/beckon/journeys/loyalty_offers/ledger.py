"""Ledger: a member's points, as entries that are added and never changed, and the lots that are left of them. Pure.

Points come in lots, each with an instant from which it may be spent and one at which it expires. What is spent comes
from the lot that expires soonest. An entry says which lots it touched, so that what is taken back goes where it came
from. A balance may fall below zero: who returns a purchase whose points are spent owes them.
"""

import msgspec

#: Lots that a member has; past that the two that expire soonest become one, with the later expiry.
LOTS_MAX = 400
#: No balance and no entry is larger than this.
POINTS_MAX = 10**12
KINDS = ("earn", "spend", "expire", "reverse")


class Lot(msgspec.Struct, array_like=True):
    """Points of one earning that are left."""

    #: the number of the ledger's entry that opened it.
    number: int
    left: int
    #: from when they may be spent: after the window for returns.
    available_ms: int
    #: when they expire; 0: never.
    expires_ms: int


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of the ledger."""

    number: int
    previous: int
    at_ms: int
    kind: str
    #: with its sign.
    amount: int
    balance: int
    #: earned: the lot's instants.
    available_ms: int = 0
    expires_ms: int = 0
    #: (lot's number, points, available_ms, expires_ms) that it took, or (reversing a spending) gave back.
    lots: tuple[tuple[int, int, int, int], ...] = ()
    sale: str = ""
    campaign: str = ""
    offer: str = ""
    #: reversing: the number of the entry that is taken back.
    of: int = 0
    why: str = ""


class Account(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What stands to a member's credit now: the sum of the ledger, and how it falls into lots."""

    balance: int = 0
    #: points that were taken back though they were spent already: the next earning pays them.
    owed: int = 0
    lots: list[Lot] = []
    #: the number of the newest entry; 0: none.
    last: int = 0
    #: ever earned, less what was taken back.
    earned: int = 0
    #: ever spent, less what was given back.
    spent: int = 0


def available(account: Account, now_ms: int) -> int:
    """What may be spent now: neither pending nor expired, less what is owed."""
    return (
        sum(
            [
                lot.left
                for lot in account.lots
                if lot.available_ms <= now_ms and (not lot.expires_ms or lot.expires_ms > now_ms)
            ]
        )
        - account.owed
    )


def pending(account: Account, now_ms: int) -> int:
    """What may be spent later: earned within the window for returns."""
    return sum([lot.left for lot in account.lots if lot.available_ms > now_ms])


def next_expiry(account: Account) -> tuple[int, int]:
    """(when the next points expire, how many by then); (0, 0): none do."""
    instants = [lot.expires_ms for lot in account.lots if lot.expires_ms and lot.left]
    if not instants:
        return 0, 0
    first = min(instants)
    return first, sum([lot.left for lot in account.lots if lot.expires_ms == first])
