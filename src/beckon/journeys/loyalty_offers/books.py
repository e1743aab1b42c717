"""Books: what is counted over all members: the ledger's next number, campaigns by day and in all, offers issued.

They are few rows that nearly every turn needs, so they stay in memory, a workspace's from its first event on, and are
written with the turn that changed them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from beckon.journeys.loyalty_offers.earning import Totals
from beckon.store.changes import Changes
from beckon.store.database import Database
from beckon.store.tables import CAMPAIGN_DAYS, OFFER_COUNTS

#: The day under which a campaign's sum of all days stands.
ALL_DAYS = -1
_encode = msgspec.json.Encoder().encode


class Day(msgspec.Struct):
    """What came of a campaign on one day."""

    reached: int = 0
    issued: int = 0
    redeemed: int = 0
    points: int = 0
    cost: int = 0
    skipped: dict[str, int] = {}


class Stock(msgspec.Struct):
    """How many of an offer went out."""

    issued: int = 0
    redeemed: int = 0


class Book:
    """One workspace's counts."""

    def __init__(self, workspace: str) -> None:
        self.workspace = workspace
        self.totals: dict[str, Totals] = {}
        self.stock: dict[str, Stock] = {}
        self._days: dict[tuple[int, str], Day] = {}
        self._changed: set[tuple[int, str]] = set()
        self._changed_stock: set[str] = set()
        #: this turn's, not yet in the rows
        self._pending: dict[tuple[int, str], Day] = {}
        self._skips: dict[tuple[int, str, str], int] = {}
        self._today = 0

    async def open(self, database: Database, today: int) -> None:
        """Read the sums, and the day that is under way."""
        self._today = today
        columns = "day, campaign, reached, issued, redeemed, points, cost, skipped"
        days, stock = await database.fetch_all(
            (
                (
                    f"SELECT {columns} FROM campaign_days WHERE workspace = ? AND day IN (?, ?)",
                    (self.workspace, ALL_DAYS, today),
                ),
                ("SELECT definition, issued, redeemed FROM offer_counts WHERE workspace = ?", (self.workspace,)),
            )
        )
        for day, campaign, *numbers in days:
            row = self._days[int(day or 0), str(campaign)] = figures(numbers)
            if day == ALL_DAYS:
                self.totals[str(campaign)] = Totals(row.reached, row.cost)
        for definition, issued, redeemed in stock:
            self.stock[str(definition)] = Stock(int(issued or 0), int(redeemed or 0))

    def totals_of(self, campaign: str) -> Totals:
        """What a campaign has given in all."""
        found = self.totals.get(campaign)
        if found is None:
            found = self.totals[campaign] = Totals()
        return found

    def stock_of(self, definition: str) -> Stock:
        """How many of an offer went out; the caller says ``moved`` when it changes it."""
        found = self.stock.get(definition)
        if found is None:
            found = self.stock[definition] = Stock()
        return found

    def moved(self, definition: str, *, issued: int = 0, redeemed: int = 0) -> None:
        """Count an offer's issue or redemption."""
        stock = self.stock_of(definition)
        stock.issued += issued
        stock.redeemed += redeemed
        self._changed_stock.add(definition)

    def count(
        self,
        campaign: str,
        day: int,
        *,
        reached: int = 0,
        issued: int = 0,
        redeemed: int = 0,
        points: int = 0,
        cost: int = 0,
    ) -> None:
        """Add to a campaign's day and its sum."""
        if not campaign:
            return
        totals = self.totals_of(campaign)
        totals.reached += reached
        totals.cost += cost
        pending = self._pending.get((day, campaign))
        if pending is None:
            pending = self._pending[day, campaign] = Day()
        pending.reached += reached
        pending.issued += issued
        pending.redeemed += redeemed
        pending.points += points
        pending.cost += cost

    def skip(self, skipped: dict[str, list[str]], day: int) -> None:
        """Note why campaigns gave nothing."""
        skips = self._skips
        for code, campaigns in skipped.items():
            for campaign in campaigns:
                key = (day, campaign, code)
                skips[key] = skips.get(key, 0) + 1

    def changed(self) -> set[str]:
        """The campaigns of which something was counted since it was written."""
        return {campaign for _, campaign in self._changed}

    def write(self, changes: Changes) -> None:
        """The rows that changed: a turn's counts are added up first, most of a turn is about the same campaigns."""
        for (day, campaign), pending in self._pending.items():
            for key in ((day, campaign), (ALL_DAYS, campaign)):
                row = self._row(key)
                row.reached += pending.reached
                row.issued += pending.issued
                row.redeemed += pending.redeemed
                row.points += pending.points
                row.cost += pending.cost
        for (day, campaign, code), times in self._skips.items():
            for key in ((day, campaign), (ALL_DAYS, campaign)):
                skipped = self._row(key).skipped
                skipped[code] = skipped.get(code, 0) + times
        self._pending.clear()
        self._skips.clear()
        for day, campaign in self._changed:
            row = self._days[day, campaign]
            numbers = (row.reached, row.issued, row.redeemed, row.points, row.cost)
            changes.upsert(CAMPAIGN_DAYS, (self.workspace, day, campaign, *numbers, _encode(row.skipped).decode()))
        for definition in self._changed_stock:
            stock = self.stock[definition]
            changes.upsert(OFFER_COUNTS, (self.workspace, definition, stock.issued, stock.redeemed))

    def written(self) -> None:
        """The turn is durable; days that are over are not needed any more."""
        self._changed.clear()
        self._changed_stock.clear()
        if len(self._days) > 10_000:
            self._days = {key: row for key, row in self._days.items() if key[0] in (ALL_DAYS, self._today)}

    async def turn_to(self, database: Database, today: int) -> None:
        """Another day begins, or an earlier one comes again after a restart: its rows are read."""
        if today != self._today:
            self._today = today
            rows = await database.fetch(
                "SELECT campaign, reached, issued, redeemed, points, cost, skipped FROM campaign_days"
                " WHERE workspace = ? AND day = ?",
                (self.workspace, today),
            )
            for campaign, *numbers in rows:
                self._days.setdefault((today, str(campaign)), figures(numbers))

    def _row(self, key: tuple[int, str]) -> Day:
        self._changed.add(key)
        found = self._days.get(key)
        if found is None:
            found = self._days[key] = Day()
        return found


def figures(row: Sequence[Any]) -> Day:
    """A day from ``reached, issued, redeemed, points, cost, skipped`` of a row."""
    reached, issued, redeemed, points, cost = [int(one or 0) for one in row[:5]]
    return Day(reached, issued, redeemed, points, cost, msgspec.json.decode(str(row[5])))
