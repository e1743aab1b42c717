"""Wallet: issuing offers, and what becomes of them: locked, redeemed, reinstated, revoked, bought, expired."""

from typing import Any

from beckon.core.errors import Refused
from beckon.core.ids import fresh
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.desk import Desk, shown_instant
from beckon.journeys.loyalty_offers.discounts import discount
from beckon.journeys.loyalty_offers.earning import REASONS
from beckon.journeys.loyalty_offers.member import WALLET_MAX, Member
from beckon.journeys.loyalty_offers.offer import OPEN, Offer, moved
from beckon.journeys.loyalty_offers.sale import Item
from beckon.journeys.loyalty_offers.told import about_offer


def offer_not(desk: Desk, member: Member, name: str) -> tuple[str, int]:
    """(why an offer can't be issued to a member, "" where it can; what it is worth for a budget)."""
    rule = desk.rules.offers.get(name)
    if rule is None:
        return "offer_missing", 0
    definition = rule.definition
    worth = rule.discount.worth if rule.discount is not None else 0
    expires_ms = desk.rules.offer_expires(rule, desk.now_ms)
    if expires_ms and expires_ms <= desk.now_ms:
        return "offer_over", worth
    if definition.stock is not None and desk.book.stock_of(name).issued >= definition.stock:
        return "stock", worth
    if definition.member_max is not None and member.had.get(name, 0) >= definition.member_max:
        return "offer_member", worth
    if len(member.offers) >= WALLET_MAX:
        return "wallet_full", worth
    return "", worth


def issue(
    desk: Desk,
    member: Member,
    name: str,
    *,
    cause: str,
    campaign: str = "",
    expires_ms: int = 0,
    worth: int = 0,
    price: int = 0,
    price_entry: int = 0,
) -> Offer:
    """Put an offer into a member's wallet; the caller has asked ``offer_not``."""
    rule = desk.rules.offers[name]
    offer = Offer(
        id=fresh("ofr"),
        workspace=desk.workspace,
        member=member.id,
        definition=name,
        campaign=campaign,
        cause=cause,
        issued_ms=desk.now_ms,
        starts_ms=rule.starts_ms,
        expires_ms=expires_ms or desk.rules.offer_expires(rule, desk.now_ms),
        worth=worth,
        price=price,
        price_entry=price_entry,
    )
    # Who is told of the issue just now is not reminded in the same breath.
    offer.reminded = bool(offer.expires_ms) and desk.rules.remind_at(rule, offer.expires_ms) <= desk.now_ms
    member.had[name] = member.had.get(name, 0) + 1
    desk.book.moved(name, issued=1)
    _due(desk, offer)
    desk.room.put_offer(offer, member)
    tell(desk, "offer.issued", offer, member)
    return offer


def _due(desk: Desk, offer: Offer) -> None:
    """What is due next for an offer: its reminder, then its expiry; nothing for one that is not open."""
    due_ms = 0
    if offer.state in OPEN and offer.expires_ms:
        due_ms = offer.expires_ms
        if not offer.reminded:
            rule = desk.rules.offers.get(offer.definition)
            due_ms = max(desk.now_ms, desk.rules.remind_at(rule, offer.expires_ms))
    offer.due_ms = desk.room.due_at(offer.due_ms, due_ms, "offer", offer.id)


def tell(desk: Desk, type_: str, offer: Offer, member: Member, **more: Any) -> None:
    """Say what became of an offer."""
    rule = desk.rules.offers.get(offer.definition)
    fields = about_offer(offer, rule.definition if rule is not None else None, member, desk.now_ms)
    mark = offer.id if not offer.reinstated else f"{offer.id}:{offer.reinstated}"
    if type_ in ("offer.locked", "offer.unlocked"):
        mark = f"{mark}:{offer.changed_ms}"
    if type_ == "offer.expiring":
        mark = offer.id  # once, whatever happens to it in between
    desk.room.tell(desk.library, type_, mark, {**fields, "currency": desk.rules.currency, **more})


def shown(offer: Offer) -> dict[str, Any]:
    """An offer as answers of the turn have it."""
    return {
        "offer": offer.id,
        "member": offer.member,
        "definition": offer.definition,
        "state": offer.state,
        "expires_ms": offer.expires_ms,
        "expires": shown_instant(offer.expires_ms),
    }


# Acts: each decides first, and changes only what it has decided.


def issue_asked(desk: Desk, given: asked.Issue) -> dict[str, Any]:
    """Give a member an offer by hand."""
    member = desk.room.member(desk.workspace, given)
    _active(member)
    _may_issue(desk, member, given.definition)
    if given.expires_ms and given.expires_ms <= desk.now_ms:
        raise Refused("offer.expired", "the offer would have expired already", field="expires")
    return shown(issue(desk, member, given.definition, cause="hand", expires_ms=given.expires_ms))


def buy_asked(desk: Desk, given: asked.Buy) -> dict[str, Any]:
    """Buy from the rewards store: the points and the offer, or neither."""
    member = desk.room.member(desk.workspace, given)
    _active(member)
    rule = desk.rules.offers.get(given.definition)
    if rule is None or rule.definition.price is None:
        raise Refused("store.unknown", "the rewards store does not sell this", field="offer")
    if not 1 <= given.quantity <= asked.BUY_MAX:
        raise Refused("store.quantity", f"one buys 1 to {asked.BUY_MAX} at a time", field="quantity")
    if rule.definition.tiers and member.tier not in rule.definition.tiers:
        raise Refused("store.tier", "this is for members of another tier", field="offer")
    if desk.now_ms < rule.starts_ms:
        raise Refused("store.not_yet", "this is not sold yet", field="offer")
    _may_issue(desk, member, given.definition, given.quantity)
    bought = []
    price = rule.definition.price
    desk.expire(member)
    entry = desk.take(member, price * given.quantity, why=f"bought {given.definition}") if price else None
    for _ in range(given.quantity):
        bought.append(
            issue(
                desk,
                member,
                given.definition,
                cause="store",
                price=price,
                price_entry=entry.number if entry is not None else 0,
            )
        )
    desk.settle_due(member)
    return {"offers": [shown(offer) for offer in bought], **shown(bought[0]), "points": price * given.quantity}


def offer_asked(desk: Desk, given: asked.Act) -> dict[str, Any]:
    """Lock, unlock, redeem, reinstate or revoke an offer."""
    offer = desk.room.offer(desk.workspace, given.offer)
    member = desk.room.members.get(offer.member)
    if member is None or member.state == "forgotten":
        raise Refused("member.forgotten", "this member was forgotten", field="member")
    if given.member and given.member != offer.member:
        raise Refused("offer.other_member", "the offer is another member's", field="offer")
    if given.act in ("redeem", "lock"):
        _active(member)
    act = {"lock": lock, "unlock": unlock, "redeem": redeem, "reinstate": reinstate, "revoke": revoke}.get(given.act)
    if act is None:
        raise Refused("offer.act", f"an offer can't be {given.act[:40]!r}", field="act")
    act(desk, offer, member, by=given.by, why=given.why)
    return shown(offer)


def lock(desk: Desk, offer: Offer, member: Member, *, by: str = "", why: str = "") -> None:
    """A till holds the offer while it takes the payment; the same till may say so again."""
    if offer.state == "locked" and by and by == offer.locked_by:
        return
    offer.state = moved(offer, "lock", desk.now_ms)
    offer.locked_by = by
    desk.room.put_offer(offer, member)
    tell(desk, "offer.locked", offer, member, by=by)


def unlock(desk: Desk, offer: Offer, member: Member, *, by: str = "", why: str = "") -> None:
    """The till lets it go."""
    offer.state = moved(offer, "unlock", desk.now_ms)
    offer.locked_by = ""
    desk.room.put_offer(offer, member)
    tell(desk, "offer.unlocked", offer, member)


def redeem(
    desk: Desk, offer: Offer, member: Member, *, by: str = "", why: str = "", sale: str = "", amount: int = 0
) -> None:
    """The offer is used; ``amount``: what it took off, in minor units."""
    offer.state = moved(offer, "redeem", desk.now_ms)
    offer.sale, offer.redeemed_ms, offer.discount, offer.locked_by = sale, desk.now_ms, amount, ""
    desk.book.moved(offer.definition, redeemed=1)
    desk.book.count(offer.campaign, desk.day, redeemed=1, cost=amount - offer.worth)
    offer.worth = 0
    _due(desk, offer)
    desk.room.put_offer(offer, member)
    tell(desk, "offer.redeemed", offer, member, sale=sale, discount=amount, by=by)


def reinstate(desk: Desk, offer: Offer, member: Member, *, by: str = "", why: str = "") -> None:
    """The offer is in the wallet again."""
    before = offer.state
    offer.state = moved(offer, "reinstate", desk.now_ms)
    if before == "redeemed":
        desk.book.moved(offer.definition, redeemed=-1)
        desk.book.count(offer.campaign, desk.day, redeemed=-1, cost=-offer.discount)
    offer.sale, offer.redeemed_ms, offer.discount = "", 0, 0
    offer.reinstated += 1
    _due(desk, offer)
    desk.room.put_offer(offer, member)
    tell(desk, "offer.reinstated", offer, member, why=why)


def revoke(desk: Desk, offer: Offer, member: Member, *, by: str = "", why: str = "") -> None:
    """The offer is taken back; what was paid for it in points is given back."""
    unused = offer.state in OPEN
    offer.state = moved(offer, "revoke", desk.now_ms)
    if unused:
        desk.book.count(offer.campaign, desk.day, cost=-offer.worth)
        offer.worth = 0
        spending = desk.room.entries.get(offer.price_entry)
        if offer.price and spending is not None:
            desk.give_back(member, spending, offer.price, why=f"revoked {offer.definition}", offer=offer.id)
            desk.settle_due(member)
    _due(desk, offer)
    desk.room.put_offer(offer, member)
    tell(desk, "offer.revoked", offer, member, why=why)


def due(desk: Desk, offer: Offer, member: Member | None) -> None:
    """An offer's reminder or its end has come."""
    offer.due_ms = 0  # its row is gone
    if offer.state not in OPEN or member is None:
        return
    if offer.expires_ms and offer.expires_ms <= desk.now_ms:
        offer.state = moved(offer, "expire", desk.now_ms)
        desk.book.count(offer.campaign, desk.day, cost=-offer.worth)
        offer.worth = 0
        desk.room.put_offer(offer, member)
        tell(desk, "offer.expired", offer, member)
        return
    if not offer.reminded:
        offer.reminded = True
        tell(desk, "offer.expiring", offer, member)
    _due(desk, offer)
    desk.room.put_offer(offer, member)


def discount_of(desk: Desk, offer: Offer, items: tuple[Item, ...], said: int | None) -> list[tuple[str, int]]:
    """What an offer takes off a basket, by line; a till that says more than that is refused."""
    rule = desk.rules.offers.get(offer.definition)
    if rule is None or rule.discount is None:
        return []
    lines = discount(rule.discount, items)
    most = sum([amount for _, amount in lines])
    if said is not None and said > most:
        raise Refused("sale.discount", "the till took off more than the offer gives", field="discounts")
    if said is None or said == most:
        return lines
    left = most - said
    kept = []
    for line, amount in reversed(lines):  # the till gave less: the last lines first
        less = min(left, amount)
        left -= less
        if amount > less:
            kept.append((line, amount - less))
    return kept[::-1]


def _may_issue(desk: Desk, member: Member, name: str, quantity: int = 1) -> None:
    code, _ = offer_not(desk, member, name)
    rule = desk.rules.offers.get(name)
    if not code and rule is not None and quantity > 1:
        definition = rule.definition
        if definition.stock is not None and desk.book.stock_of(name).issued + quantity > definition.stock:
            code = "stock"
        elif definition.member_max is not None and member.had.get(name, 0) + quantity > definition.member_max:
            code = "offer_member"
        elif len(member.offers) + quantity > WALLET_MAX:
            code = "wallet_full"
    if code == "offer_missing":
        raise Refused("offer.undefined", f"there is no offer named {name[:80]!r}", field="offer")
    if code:
        raise Refused("offer.not_issued", REASONS[code], field="offer")


def _active(member: Member) -> None:
    if member.state != "active":
        raise Refused("member.suspended", f"this member is {member.state}", field="member")
