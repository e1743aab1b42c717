"""What ``/v1/loyalty`` shows: plain values of our words; instants as RFC 3339, money in minor units. Pure."""

from typing import Any

import msgspec

from beckon.journeys.loyalty_offers.desk import shown_instant
from beckon.journeys.loyalty_offers.ledger import Entry
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.reading import Balance, Figures, Held, Open, Reading, Sold
from beckon.journeys.loyalty_offers.sale import Sale


def member(reading: Reading, one: Member) -> dict[str, Any]:
    """A member."""
    return {
        "id": one.id,
        "state": one.state,
        "contact": one.contact or None,
        "joined": shown_instant(one.joined_ms),
        "changed": shown_instant(one.changed_ms),
        "profile": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in msgspec.structs.asdict(one.profile).items()
        },
        "external": one.external,
        "tags": sorted(one.tags),
        "tier": one.tier,
        "purchases": one.purchases,
        "money": one.money,
        "balance": balance(reading.balance(one)),
        "sales": one.recent,
    }


def balance(one: Balance) -> dict[str, Any]:
    """What stands to a member's credit."""
    fields = {name: value for name, value in msgspec.structs.asdict(one).items() if name != "expiring_ms"}
    return {**fields, "expiring": shown_instant(one.expiring_ms) or None}


def held(one: Held) -> dict[str, Any]:
    """An offer in a wallet."""
    offer = one.offer
    return {
        "id": offer.id,
        "member": offer.member,
        "definition": offer.definition,
        "title": one.title,
        "blurb": one.blurb,
        "state": offer.state,
        "campaign": offer.campaign or None,
        "cause": offer.cause,
        "issued": shown_instant(offer.issued_ms),
        "starts": shown_instant(offer.starts_ms) or None,
        "expires": shown_instant(offer.expires_ms) or None,
        "redeemed": shown_instant(offer.redeemed_ms) or None,
        "sale": offer.sale or None,
        "discount": offer.discount,
        "till_code": one.definition.till_code or None if one.definition is not None else None,
    }


def sold(one: Sold) -> dict[str, Any]:
    """An offer of the rewards store."""
    return {
        "offer": one.definition.offer,
        "title": one.title,
        "blurb": one.blurb,
        "price": one.price,
        "ends": shown_instant(one.ends_ms) or None,
        "code": one.code or None,
        "why_not": one.why_not or None,
    }


def entry(one: Entry) -> dict[str, Any]:
    """A line of the ledger."""
    return {
        "number": one.number,
        "at": shown_instant(one.at_ms),
        "kind": one.kind,
        "amount": one.amount,
        "balance": one.balance,
        "available": shown_instant(one.available_ms) or None,
        "expires": shown_instant(one.expires_ms) or None,
        "sale": one.sale or None,
        "campaign": one.campaign or None,
        "offer": one.offer or None,
        "of": one.of or None,
        "why": one.why,
    }


def sale(one: Sale) -> dict[str, Any]:
    """A transaction as it stands."""
    return {
        "sale": one.sale,
        "member": one.member,
        "state": one.state,
        "store": one.store,
        "channel": one.channel,
        "opened": shown_instant(one.at_ms),
        "modified": shown_instant(one.modified_ms),
        "total": one.total,
        "items": [
            {
                "line": item.line,
                "item": item.item,
                "quantity": item.quantity / 1000,
                "price": item.unit_price,
                "amount": item.subtotal,
                "categories": list(item.categories),
            }
            for item in one.items
        ],
        "given": [
            {"campaign": given.campaign or None, "points": given.points - given.back, "offer": given.offer or None}
            for given in one.given
        ],
        "discounts": [
            {"offer": offer, "line": line, "amount": amount}
            for offer, lines in one.discounts.items()
            for line, amount in lines
        ],
        "skipped": one.skipped,
    }


def campaign_of(one: Open) -> dict[str, Any]:
    """A campaign as a member sees it."""
    return {
        "campaign": one.name,
        "title": one.title,
        "blurb": one.blurb,
        "shown": one.shown,
        "starts": shown_instant(one.starts_ms) or None,
        "ends": shown_instant(one.ends_ms) or None,
        "may": one.may,
        "code": one.code or None,
        "why": one.why or None,
        "needs_opt_in": one.needs_opt_in,
        "opted_in": one.opted_in,
        "payload": one.payload,
    }


def figures(one: Figures, *, days: bool = False) -> dict[str, Any]:
    """What came of a campaign."""
    names = (
        "title",
        "state",
        "reached",
        "issued",
        "redeemed",
        "points",
        "cost",
        "budget",
        "currency",
        "decimals",
        "skipped",
    )
    shown: dict[str, Any] = {"campaign": one.name, **{name: getattr(one, name) for name in names}}
    if days:
        shown["days"] = [
            dict(zip(("day", "reached", "issued", "redeemed", "points", "cost"), row, strict=True)) for row in one.days
        ]
    return shown
