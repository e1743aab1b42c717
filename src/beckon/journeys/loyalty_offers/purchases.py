"""Purchases: a transaction is recorded, changed, returned in part or voided: what it gave follows, in proportion."""

from typing import Any

from beckon.core.clock import iso
from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers import earning, wallet
from beckon.journeys.loyalty_offers.desk import Desk
from beckon.journeys.loyalty_offers.earning import Earned, Facts
from beckon.journeys.loyalty_offers.member import RECENT_MAX, VISITS_MAX, Member
from beckon.journeys.loyalty_offers.offer import CART, OPEN, Offer, moved
from beckon.journeys.loyalty_offers.room import heard
from beckon.journeys.loyalty_offers.sale import Given, Redeemed, Sale, SaleAsked
from beckon.journeys.loyalty_offers.told import reached, text_in


def transaction_asked(desk: Desk, given: SaleAsked) -> dict[str, Any]:
    """Record a transaction, or what has become of it since."""
    member = desk.room.member(desk.workspace, given)
    given.items = desk.rules.sorted_in(given.items)
    before = desk.room.sales.get((desk.workspace, given.sale))
    _fits(desk, given, before, member)
    if before is not None and before.state in ("closed", "voided"):
        return _changed(desk, given, before, member)
    if member.state != "active":
        raise Refused("member.suspended", f"this member is {member.state}", field="member")
    sale = Sale(
        sale=given.sale,
        workspace=desk.workspace,
        member=member.id,
        store=given.store,
        channel=given.channel,
        at_ms=given.at_ms or given.modified_ms,
        modified_ms=given.modified_ms,
        items=given.items,
        times=1 if before is None else before.times + 1,
    )
    if given.voided:
        sale.state = "voided"
    elif given.closed:
        _close(desk, given, sale, member)
    desk.room.put_sale(sale)
    return _answer(desk, sale, member)


def _fits(desk: Desk, given: SaleAsked, before: Sale | None, member: Member) -> None:
    """Whether what the till says can be. Raises ``Refused``."""
    if given.currency and given.currency != desk.rules.currency:
        raise Refused("sale.currency", f"the programme's currency is {desk.rules.currency}", field="currency")
    if given.modified_ms > desk.now_ms + desk.rules.skew_ms:
        raise Refused("sale.future", "the till's clock is ahead of ours", field="modified_time")
    if given.at_ms > given.modified_ms:
        raise Refused("sale.order", "it was changed before it was opened", field="modified_time")
    if before is None:
        return
    if before.member != member.id:
        raise Refused("sale.other_member", "this is another member's transaction", field="user_id")
    if given.modified_ms < before.modified_ms:
        raise Refused("sale.older", f"a change of {iso(before.modified_ms)} is known already", field="modified_time")
    if before.state == "voided":
        raise Refused("sale.voided", "the transaction was voided already", field="transaction_id")
    if before.state == "closed" and not given.closed and not given.voided:
        raise Refused("sale.closed", "the transaction was closed: it can't be opened again", field="is_closed")


def _close(desk: Desk, given: SaleAsked, sale: Sale, member: Member) -> None:
    """The transaction is paid: offers that it uses are redeemed, and it gives what it gives."""
    used = _used(desk, given, member)  # decided: nothing is refused below
    off = sum([amount for _, lines in used for _, amount in lines])
    sale.total = sale.first_total = max(0, given.subtotal - off)
    facts = earning.facts_at(
        desk.rules,
        sale.at_ms or desk.now_ms,
        total=sale.total,
        channel=given.channel,
        store=given.store,
        items=given.items,
        names=frozenset([item.item for item in given.items]),
        categories=frozenset([one for item in given.items for one in item.categories]),
        first_purchase=member.purchases == 0,
    )
    earned = earning.earned(
        desk.rules, facts, member, desk.book.totals_of, lambda name: wallet.offer_not(desk, member, name)
    )
    sale.state = "closed"
    for offer, lines in used:
        sale.discounts[offer.id] = lines
        wallet.redeem(desk, offer, member, sale=sale.sale, amount=sum([amount for _, amount in lines]))
    _give(desk, sale, member, facts, earned)
    _count(desk, sale, member, facts)
    desk.settle_due(member)
    desk.room.put_member(member)


def _used(desk: Desk, given: SaleAsked, member: Member) -> list[tuple[Offer, list[tuple[str, int]]]]:
    """The offers that the till used, with what they take off, by line. Raises ``Refused`` where one can't be used."""
    used: list[tuple[Offer, list[tuple[str, int]]]] = []
    for one in given.redeemed:
        offer = desk.room.offer(desk.workspace, one.offer)
        if offer.member != member.id:
            raise Refused("offer.other_member", "the offer is another member's", field="discounts")
        if any(known.id == offer.id for known, _ in used):
            raise Refused("sale.offer_twice", "the transaction uses an offer twice", field="discounts")
        if offer.state == "locked" and offer.locked_by not in ("", CART, given.sale, given.store):
            raise Refused("offer.locked", "another till or transaction holds the offer", field="discounts")
        moved(offer, "redeem", desk.now_ms)
        used.append((offer, _off(desk, offer, given, one)))
    off = sum([amount for _, lines in used for _, amount in lines])
    if off > given.subtotal:
        raise Refused("sale.discount", "more is taken off than the basket comes to", field="discounts")
    return used


def _off(desk: Desk, offer: Offer, given: SaleAsked, one: Redeemed) -> list[tuple[str, int]]:
    if one.amount is not None and one.amount < 0:
        raise Refused("sale.negative", "a discount is not negative", field="discounts")
    return wallet.discount_of(desk, offer, given.items, one.amount)


def _give(desk: Desk, sale: Sale, member: Member, facts: Facts, earned: Earned) -> None:
    """Points in one entry of the ledger, offers, messages; what each campaign gave is kept with the sale."""
    points = earned.base + sum([hit.points for hit in earned.hits])
    entry = desk.give(member, points, sale=sale.sale) if points else None
    number, expires_ms = (entry.number, entry.expires_ms) if entry is not None else (0, 0)
    if earned.base:
        sale.given.append(Given("", earned.base, entry=number, expires_ms=expires_ms))
    for hit in earned.hits:
        name = hit.rule.name
        offer_id = ""
        if hit.offer:
            code, worth = wallet.offer_not(desk, member, hit.offer)
            if code:  # an earlier campaign of this purchase took the last one
                earned.skipped.setdefault(code, []).append(name)
                hit.cost -= worth
            else:
                offer_id = wallet.issue(desk, member, hit.offer, cause="campaign", campaign=name, worth=worth).id
            if code and not hit.points:
                continue
        sale.given.append(Given(name, hit.points, entry=number, expires_ms=expires_ms, offer=offer_id))
        earning.count_met(member, hit.rule, desk.now_ms)
        desk.book.count(name, desk.day, reached=1, issued=bool(offer_id), points=hit.points, cost=hit.cost)
        tell_met(desk, member, name, sale.sale, hit.points, offer_id)
    sale.skipped = earned.skipped
    desk.book.skip(earned.skipped, desk.day)


def tell_met(desk: Desk, member: Member, name: str, mark: str, points: int, offer_id: str) -> None:
    """Say that a member has met a campaign, and what the campaign wants said."""
    campaign = desk.rules.campaigns[name].campaign
    message = campaign.gives.message
    if message is None and not heard(desk.library, "campaign.met"):
        return
    title = text_in(campaign.titles, member.profile.locale, campaign.title)
    about = {"member": member.id, "contact": reached(member), "campaign": name, "title": title}
    desk.room.tell(
        desk.library,
        "campaign.met",
        f"{name}:{member.id}:{mark}",
        {**about, "sale": mark, "points": points, "offer": offer_id},
    )
    if message is not None:
        desk.room.tell(desk.library, "campaign.message", f"{name}:{member.id}:{mark}", {**about, "message": message})


def _count(desk: Desk, sale: Sale, member: Member, facts: Facts) -> None:
    """The purchase counts: for ``often``, ``first_purchase``, and for the tier."""
    member.purchases += 1
    member.money += sale.total
    if not member.visits or member.visits[-1] != facts.day:
        member.visits.append(facts.day)
        if len(member.visits) > VISITS_MAX:
            del member.visits[0]
    member.recent.insert(0, sale.sale)
    del member.recent[RECENT_MAX:]
    if desk.rules.programme.tier_by == "money":
        desk.qualify(member, sale.total)


def _changed(desk: Desk, given: SaleAsked, sale: Sale, member: Member) -> dict[str, Any]:
    """A closed transaction comes again: less of it is a return, none of it is void."""
    gone = given.voided or not given.items or given.subtotal == 0
    same = not given.voided and given.items == sale.items and given.modified_ms == sale.modified_ms
    if same:
        return _answer(desk, sale, member)
    if given.modified_ms == sale.modified_ms:
        raise Refused("sale.older", "the transaction has changed, its modified_time has not", field="modified_time")
    known = {redeemed.offer for redeemed in given.redeemed}
    if not gone and not known.issubset(sale.discounts):
        raise Refused("sale.closed", "an offer can't be used for a transaction that is paid", field="discounts")
    total = 0 if gone else max(0, given.subtotal - _still_off(sale, given))
    sale.modified_ms, sale.times = given.modified_ms, sale.times + 1
    returned = sale.total - total
    items, sale.items = sale.items, () if gone else given.items
    sale.total = total
    _points_follow(desk, sale, member)
    _offers_follow(desk, sale, member, gone=gone, had=items != sale.items)
    if gone:
        sale.state = "voided"
        member.purchases = max(0, member.purchases - 1)
    member.money -= returned
    if desk.rules.programme.tier_by == "money":
        desk.qualify(member, -returned)
    desk.settle_due(member)
    desk.room.put_member(member)
    desk.room.put_sale(sale)
    return _answer(desk, sale, member)


def _still_off(sale: Sale, given: SaleAsked) -> int:
    """What the discounts still take off: those of lines that are still there, in proportion to what is left of them."""
    before = {item.line: item.subtotal for item in sale.items}
    after = {item.line: item.subtotal for item in given.items}
    return sum(
        [
            min(amount, amount * after[line] // before[line]) if before.get(line) else amount
            for lines in sale.discounts.values()
            for line, amount in lines
            if line in after
        ]
    )


def _points_follow(desk: Desk, sale: Sale, member: Member) -> None:
    """Points are taken back in proportion to what was returned; of what was added since, only base points are given."""
    back = 0
    for given in sale.given:
        keeps = earning.kept(given, sale.total, sale.first_total)
        take = given.points - given.back - keeps
        if take <= 0:
            continue
        given.back += take
        if given.expires_ms and given.expires_ms <= desk.now_ms:
            continue  # gone already, spent or expired: nobody owes points whose time was over
        back += take
        desk.book.count(given.campaign, desk.day, points=-take, cost=-desk.rules.points_cost(take))
    if back:
        desk.take_back(member, sale.given[0].entry, back, sale=sale.sale, why="returned")
    more = earning.base_points(desk.rules, member.tier, sale.total - sale.first_total)
    if more > 0:
        entry = desk.give(member, more, sale=sale.sale, why="added to the transaction")
        sale.given.append(Given("", more, entry=entry.number, expires_ms=entry.expires_ms))
        sale.first_total = sale.total


def _offers_follow(desk: Desk, sale: Sale, member: Member, *, gone: bool, had: bool) -> None:
    """Offers that it gave are taken back where their campaign is not met any more; those that it used come back."""
    for given in sale.given:
        offer = desk.room.offers.get(given.offer) if given.offer else None
        if offer is None or offer.state not in OPEN:
            continue
        rule = desk.rules.campaigns.get(given.campaign)
        holds = (
            not gone and rule is not None and sale.total >= rule.amount_min and earning.basket_holds(rule, sale.items)
        )
        if not holds:
            wallet.revoke(desk, offer, member, why="the purchase was returned")
            if rule is not None:
                earning.count_met(member, rule, desk.now_ms, -1)
                desk.book.count(given.campaign, desk.day, reached=-1)
    lines = {item.line for item in sale.items}
    for offer_id in list(sale.discounts):
        offer = desk.room.offers.get(offer_id)
        used = sale.discounts[offer_id]
        if not gone and (not had or any(line in lines for line, _ in used)):
            continue
        definition = desk.rules.offers.get(offer.definition) if offer is not None else None
        if offer is None or offer.state != "redeemed" or (definition and not definition.definition.reinstate):
            continue
        if offer.expires_ms and offer.expires_ms <= desk.now_ms:
            continue
        wallet.reinstate(desk, offer, member, why="the purchase was returned")
        del sale.discounts[offer_id]


def _answer(desk: Desk, sale: Sale, member: Member) -> dict[str, Any]:
    points = sum([given.points - given.back for given in sale.given])
    offers = [given.offer for given in sale.given if given.offer]
    answer: dict[str, Any] = {
        "sale": sale.sale,
        "member": member.id,
        "state": sale.state,
        "total": sale.total,
        "points": points,
        "balance": member.account.balance,
        "offers": offers,
        "given": [[given.campaign, given.points - given.back, given.offer] for given in sale.given],
        "skipped": sale.skipped,
        "discounts": [[offer, line, amount] for offer, lines in sale.discounts.items() for line, amount in lines],
    }
    if heard(desk.library, "sale.recorded"):
        desk.room.tell(
            desk.library,
            "sale.recorded",
            f"{sale.sale}:{sale.times}",
            {
                "member": member.id,
                "contact": reached(member),
                "sale": sale.sale,
                "state": sale.state,
                "total": sale.total,
                "currency": desk.rules.currency,
                "points": points,
                "offers": offers,
                "channel": sale.channel,
                "store": sale.store,
            },
        )
    return answer
