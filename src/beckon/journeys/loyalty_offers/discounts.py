"""Discounts: what an offer takes off a basket, line by line, so that the lines sum to it. Pure."""

from collections.abc import Sequence

import msgspec

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers.money import parted, percent_of
from beckon.journeys.loyalty_offers.sale import Item


class DiscountRule(msgspec.Struct, frozen=True, kw_only=True):
    """An offer's discount, in minor units."""

    #: hundredths of a percent; 0: none
    percent: int = 0
    amount: int = 0
    free: int = 0
    items: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    basket_min: int = 0
    #: 0: no limit
    most: int = 0

    @property
    def worth(self) -> int:
        """What it costs at most, where that is known before it is used; 0: it depends on the basket."""
        return self.amount or self.most


def matches(items: frozenset[str], categories: frozenset[str], item: Item) -> bool:
    """Whether a line is one that is meant; nothing said means all."""
    if not items and not categories:
        return True
    return item.item in items or not categories.isdisjoint(item.categories)


def discount(rule: DiscountRule, basket: Sequence[Item]) -> list[tuple[str, int]]:
    """(line, minor units) that come off; they sum to the discount. Raises ``Refused`` where the basket does not fit."""
    lines = [item for item in basket if item.subtotal > 0 and matches(rule.items, rule.categories, item)]
    total = sum([item.subtotal for item in lines])
    if not lines:
        raise Refused("offer.basket", "nothing in the basket is what the offer is for", field="items")
    if total < rule.basket_min:
        raise Refused("offer.basket_min", "what the offer is for comes to less than it asks", field="items")
    if rule.free:
        return _free(rule, lines)
    off = percent_of(total, rule.percent) if rule.percent else rule.amount
    off = min(off, total, rule.most or total)
    return [
        (item.line, part)
        for item, part in zip(lines, parted(off, [one.subtotal for one in lines]), strict=True)
        if part
    ]


def _free(rule: DiscountRule, lines: Sequence[Item]) -> list[tuple[str, int]]:
    """The cheapest whole units for nothing."""
    found: list[tuple[str, int]] = []
    left, most = rule.free, rule.most or 1 << 62
    for item in sorted(lines, key=lambda one: (one.unit_price, one.line)):
        units = min(left, item.quantity // 1000)
        if units <= 0 or most <= 0:
            continue
        off = min(units * item.unit_price, item.subtotal, most)
        found.append((item.line, off))
        left -= units
        most -= off
    if not found:
        raise Refused("offer.basket", "there is no whole unit of what the offer gives for nothing", field="items")
    return found
