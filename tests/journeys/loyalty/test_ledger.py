"""The ledger: whatever is earned, spent, taken back and left to expire, in any order, its sum is the balance."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers import ledger
from beckon.journeys.loyalty_offers.ledger import Account, Entry

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["earn", "spend", "return", "give back", "expire", "time"]),
        st.integers(min_value=1, max_value=120),
        st.integers(min_value=0, max_value=40),
        st.integers(min_value=0, max_value=9),
    ),
    max_size=60,
)


class Book:
    """An account with all its entries, and what can still be taken or given back of each."""

    def __init__(self) -> None:
        self.account = Account()
        self.entries: list[Entry] = []
        self.back: dict[int, int] = {}
        self.now = 1_000

    def do(self, act: str, points: int, days: int, which: int) -> None:
        number = len(self.entries) + 1
        made: Entry | None = None
        try:
            if act == "earn":
                made = ledger.earn(
                    self.account,
                    number,
                    points,
                    self.now,
                    available_ms=self.now + which,
                    expires_ms=self.now + days if days else 0,
                )
            elif act == "spend":
                before = [(lot.expires_ms or 1 << 62) for lot in self.account.lots if lot.available_ms <= self.now]
                made = ledger.spend(self.account, number, points, self.now)
                taken = [expires or 1 << 62 for _, _, _, expires in made.lots]
                assert taken == sorted(taken), "soonest-expiring first"
                assert taken[0] == min(one for one in before if one > self.now)
            elif act == "expire":
                made = ledger.expire(self.account, number, self.now)
            elif act == "time":
                self.now += days
            else:
                made = self.reverse(number, "earn" if act == "return" else "spend", points, which)
        except Refused as error:
            if error.code != "points.short":
                raise
        if made is not None:
            self.entries.append(made)

    def reverse(self, number: int, kind: str, points: int, which: int) -> Entry | None:
        of = [entry for entry in self.entries if entry.kind == kind and self.left(entry)]
        if not of:
            return None
        entry = of[which % len(of)]
        points = min(points, self.left(entry))
        self.back[entry.number] = self.back.get(entry.number, 0) + points
        if kind == "earn":
            return ledger.take_back(self.account, number, entry.number, points, self.now)
        return ledger.give_back(self.account, number, entry, points, self.now)

    def left(self, entry: Entry) -> int:
        return abs(entry.amount) - self.back.get(entry.number, 0)


@settings(max_examples=300, deadline=None)
@given(ACTS)
def test_the_sum_of_the_ledger_is_the_balance_and_the_lots_are_what_is_left(acts: list[tuple[str, int, int, int]]):
    book = Book()
    for act in acts:
        book.do(*act)
        account = book.account
        assert sum(entry.amount for entry in book.entries) == account.balance
        assert sum(lot.left for lot in account.lots) - account.owed == account.balance
        assert all(lot.left > 0 for lot in account.lots)
        assert account.owed >= 0
        assert not (account.owed and account.lots), "who owes has nothing to spend"
        assert ledger.available(account, book.now) + ledger.pending(account, book.now) <= max(account.balance, 0)
    running = 0
    for before, entry in zip([None, *book.entries], book.entries, strict=False):
        running += entry.amount
        assert entry.balance == running
        assert entry.previous == (before.number if before is not None else 0)


@settings(max_examples=100, deadline=None)
@given(ACTS)
def test_nothing_that_has_expired_or_is_pending_is_ever_spent(acts: list[tuple[str, int, int, int]]):
    book = Book()
    for act in acts:
        book.do(*act)
        if book.entries and book.entries[-1].kind == "spend":
            for _, _, available_ms, expires_ms in book.entries[-1].lots:
                assert available_ms <= book.entries[-1].at_ms
                assert not expires_ms or expires_ms > book.entries[-1].at_ms


def test_who_returns_what_is_spent_owes_it_and_the_next_earning_pays():
    account = Account()
    ledger.earn(account, 1, 100, 0)
    ledger.spend(account, 2, 80, 0)
    assert ledger.take_back(account, 3, 1, 100, 0).balance == -80
    assert (account.owed, ledger.available(account, 0)) == (80, -80)
    ledger.earn(account, 4, 100, 0)
    assert (account.owed, ledger.available(account, 0)) == (0, 20)


def test_points_within_the_window_for_returns_are_pending():
    account = Account()
    ledger.earn(account, 1, 100, 0, available_ms=50)
    with pytest.raises(Refused, match="100 that can't be spent yet"):
        ledger.spend(account, 2, 1, 49)
    assert ledger.spend(account, 2, 100, 50).balance == 0


def test_who_buys_every_day_is_not_told_every_day_that_points_expire():
    account, reminded, told = Account(), 0, []
    for day in range(1, 400):
        ledger.earn(account, day, 1, day, expires_ms=day + 365)
        ledger.expire(account, 1_000 + day, day)
        at = ledger.reminder(account, reminded, 30)
        if at and at <= day:
            told.append(day)
            reminded = day + 30
    assert told == [336, 351, 366, 381, 396]


@pytest.mark.parametrize("points", [0, -1, 10**13])
def test_no_entry_is_of_nothing_or_of_more_than_can_be(points: int):
    with pytest.raises(Refused):
        ledger.earn(Account(), 1, points, 0)


def test_an_account_with_very_many_lots_merges_those_that_expire_soonest():
    account = Account()
    for number in range(1, ledger.LOTS_MAX + 50):
        ledger.earn(account, number, 2, 0, expires_ms=number * 10)
    assert len(account.lots) == ledger.LOTS_MAX
    assert sum(lot.left for lot in account.lots) == account.balance == 2 * (ledger.LOTS_MAX + 49)
