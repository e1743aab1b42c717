"""Ledger: a member's points, as entries that are added and never changed, and the lots that are left of them. Pure.

Points come in lots, each with an instant from which it may be spent and one at which it expires. What is spent comes
from the lot that expires soonest. An entry says which lots it touched, so that what is taken back goes where it came
from. A balance may fall below zero: who returns a purchase whose points are spent owes them.
"""

import msgspec

from beckon.core.errors import Refused

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


def earn(
    account: Account, number: int, points: int, now_ms: int, *, available_ms: int = 0, expires_ms: int = 0
) -> Entry:
    """Points come in: what is owed is paid first, the rest is a lot of its own."""
    _whole(points)
    if account.balance + points > POINTS_MAX:
        raise Refused("points.size", "the balance would be larger than can be", field="points")
    paid = min(account.owed, points)
    account.owed -= paid
    if points > paid:
        account.lots.append(Lot(number, points - paid, available_ms, expires_ms))
        if len(account.lots) > LOTS_MAX:
            _merge(account)
    account.earned += points
    return _entry(account, number, now_ms, "earn", points, available_ms=available_ms, expires_ms=expires_ms)


def spend(account: Account, number: int, points: int, now_ms: int) -> Entry:
    """Points go out, soonest-expiring first. Raises ``Refused`` where there are not so many to spend now."""
    _whole(points)
    have = available(account, now_ms)
    if points > have:
        waiting = pending(account, now_ms)
        later = f", and {waiting} that can't be spent yet" if waiting else ""
        raise Refused("points.short", f"{points} points are wanted, there are {max(0, have)}{later}", field="points")
    spendable = [
        lot for lot in account.lots if lot.available_ms <= now_ms and (not lot.expires_ms or lot.expires_ms > now_ms)
    ]
    taken = _take(account, sorted(spendable, key=_soonest), points)
    account.spent += points
    return _entry(account, number, now_ms, "spend", -points, lots=taken)


def expire(account: Account, number: int, now_ms: int) -> Entry | None:
    """What has expired goes; None: nothing has."""
    over = [lot for lot in account.lots if lot.expires_ms and lot.expires_ms <= now_ms]
    points = sum([lot.left for lot in over])
    if not points:
        return None
    taken = _take(account, over, points)
    return _entry(account, number, now_ms, "expire", -points, lots=taken)


def take_back(account: Account, number: int, of: int, points: int, now_ms: int) -> Entry:
    """Earned points are taken back: from their own lot first, then from the others; what is spent already is owed."""
    _whole(points)
    own = [lot for lot in account.lots if lot.number == of]
    others = sorted([lot for lot in account.lots if lot.number != of], key=_soonest)
    here = sum([lot.left for lot in account.lots])
    taken = _take(account, [*own, *others], min(points, here))
    account.owed += max(0, points - here)
    account.earned -= points
    return _entry(account, number, now_ms, "reverse", -points, lots=taken, of=of)


def give_back(account: Account, number: int, spending: Entry, points: int, now_ms: int) -> Entry:
    """Spent points are given back to the lots that they came from, the one that expires last first.

    A lot that has expired meanwhile gets them all the same: they expire with the next ``expire``.
    """
    _whole(points)
    if points > -spending.amount:
        raise Refused("points.too_many", "more points would be given back than were spent", field="points")
    left = points
    paid = min(account.owed, left)
    account.owed -= paid
    left -= paid
    given: list[tuple[int, int, int, int]] = []
    for lot_number, taken, available_ms, expires_ms in reversed(spending.lots):
        if not left:
            break
        part = min(taken, left)
        left -= part
        given.append((lot_number, part, available_ms, expires_ms))
        for lot in account.lots:
            if lot.number == lot_number:
                lot.left += part
                break
        else:
            account.lots.append(Lot(lot_number, part, available_ms, expires_ms))
    if left:  # lots that were merged, or an entry that names none: points don't get lost
        account.lots.append(Lot(number, left, 0, 0))
        given.append((number, left, 0, 0))
    account.spent -= points
    return _entry(account, number, now_ms, "reverse", points, lots=tuple(given), of=spending.number)


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


def reminder(account: Account, reminded_ms: int, before_ms: int) -> int:
    """When the member is told next that points expire; 0: nothing expires that they were not told of.

    ``before_ms`` ahead of an expiry, but no sooner than half of that after they were told last: who buys every day is
    not told every day. ``reminded_ms``: up to where they were told.
    """
    untold = [lot.expires_ms for lot in account.lots if lot.expires_ms > reminded_ms]
    if not untold:
        return 0
    return max(min(untold) - before_ms, reminded_ms - before_ms // 2 if reminded_ms else 0)


def _whole(points: int) -> None:
    if type(points) is not int or points < 1:
        raise Refused("points.negative", "points are a whole number of 1 or more", field="points")
    if points > POINTS_MAX:
        raise Refused("points.size", "these are more points than can be", field="points")


def _soonest(lot: Lot) -> tuple[int, int]:
    return (lot.expires_ms or 1 << 62, lot.number)


def _take(account: Account, lots: list[Lot], points: int) -> tuple[tuple[int, int, int, int], ...]:
    """Take points from these lots, in order; what is empty goes."""
    taken: list[tuple[int, int, int, int]] = []
    left = points
    for lot in lots:
        if not left:
            break
        part = min(lot.left, left)
        lot.left -= part
        left -= part
        taken.append((lot.number, part, lot.available_ms, lot.expires_ms))
    account.lots = [lot for lot in account.lots if lot.left]
    return tuple(taken)


def _merge(account: Account) -> None:
    """The two lots that expire soonest become one that expires with the later: in the member's favour."""
    first, second = sorted(account.lots, key=_soonest)[:2]
    second.left += first.left
    second.available_ms = min(second.available_ms, first.available_ms)
    account.lots.remove(first)


def _entry(
    account: Account,
    number: int,
    now_ms: int,
    kind: str,
    amount: int,
    *,
    available_ms: int = 0,
    expires_ms: int = 0,
    lots: tuple[tuple[int, int, int, int], ...] = (),
    of: int = 0,
) -> Entry:
    previous, account.last = account.last, number
    account.balance += amount
    return Entry(
        number=number,
        previous=previous,
        at_ms=now_ms,
        kind=kind,
        amount=amount,
        balance=account.balance,
        available_ms=available_ms,
        expires_ms=expires_ms,
        lots=lots,
        of=of,
    )
