"""SessionM's API for tills: transactions, and holding, using and giving back an offer."""

from typing import Any

import msgspec

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.asking import mark_of
from beckon.journeys.loyalty_offers.discounts import discount
from beckon.journeys.loyalty_offers.money import exponent, major, minor
from beckon.journeys.loyalty_offers.rules import Rules
from beckon.journeys.loyalty_offers.sale import DISCOUNTS_MAX, ITEMS_MAX, PAYMENTS_MAX, Item, Redeemed, SaleAsked
from beckon.journeys.loyalty_offers.sessionm import ANY, Call, Vendor, read
from beckon.journeys.loyalty_offers.sessionm_offers import speaking, user_offer
from beckon.journeys.loyalty_offers.sessionm_users import shown_user
from beckon.journeys.loyalty_offers.sessionm_words import as_uuid, from_uuid, instant, name_uuid
from beckon.journeys.part import Allowed

_encode = msgspec.json.Encoder().encode
_TEXT_MAX = 200
#: No member has this id.
NOBODY = "nobody"
Number = int | float
Id = str | int


class _Item(msgspec.Struct):
    item_id: Id
    quantity: Number = 1
    unit_price: Number = 0
    subtotal: Number | None = None
    line_id: Id = ""
    categories: list[str] = []


class _Payment(msgspec.Struct):
    amount: Number = 0
    payment_id: Id = ""
    type: str = ""
    user_id: Id | None = None
    user_id_type: str = "SessionM_ID"


class _Discount(msgspec.Struct):
    user_offer_id: str = ""
    reference_id: str = ""
    amount: Number | None = None


class Transaction(msgspec.Struct):
    """``request_payload`` of a transaction, as far as it is read."""

    transaction_id: Id
    is_closed: bool = True
    is_voided: bool = False
    channel: str = ""
    subtotal: Number | None = None
    tax_total: Number = 0
    open_time: str | None = None
    modified_time: str | None = None
    currency: str = ""
    items: list[_Item] = []
    payments: list[_Payment] = []
    discounts: list[_Discount] = []


class _Envelope(msgspec.Struct):
    request_id: str
    request_payload: Transaction
    store_id: str = ""
    client_id: str = ""
    culture: str = ""


class _Lock(msgspec.Struct):
    offer_lookup_code: str = ""
    offer_lookup_type: str = "UserOfferId"
    user_offer_id: str = ""
    transaction: Transaction | None = None


class _LockEnvelope(msgspec.Struct):
    request_id: str
    request_payload: _Lock
    store_id: str = ""
    client_id: str = ""
    culture: str = ""


class _Lookup(msgspec.Struct):
    user_lookup_code: Id = ""
    user_lookup_type: str = "SessionM_ID"
    transaction: Transaction | None = None


class _LookupEnvelope(msgspec.Struct):
    request_payload: _Lookup
    request_id: str = ""
    store_id: str = ""
    client_id: str = ""
    culture: str = ""


async def send_transaction(vendor: Vendor, allowed: Allowed, body: bytes) -> bytes:
    """``POST /api/2.0/send_transaction``: answered when it is decided."""
    envelope = read(body, _Envelope)
    if not envelope.request_id:
        raise Refused("request.id", "a transaction has a request_id", field="request_id")
    rules = vendor.rules(allowed.workspace)
    given = sale_from(rules, envelope.request_payload, envelope.store_id)
    given.mark = mark_of(given)
    if given.external is not None and given.external[0] == ANY:
        found = await vendor.reading.find_external(allowed.workspace, given.external[1])
        given.member, given.external = found or NOBODY, None
    answer = await vendor.asking.ask(
        allowed.workspace, "loyalty.transaction_asked", given, source=allowed.label, id=envelope.request_id
    )
    return _encode({"status": "OK", "payload": _shown(rules, answer)})


def _shown(rules: Rules, answer: dict[str, Any]) -> dict[str, Any]:
    """What became of a transaction."""
    decimals = rules.decimals
    return {
        "transaction_id": answer["sale"],
        "user_id": as_uuid(answer["member"]),
        "state": answer["state"],
        "total": major(answer["total"], decimals),
        "points_awarded": answer["points"],
        "available_points": answer["balance"],
        "user_offer_ids": [as_uuid(offer) for offer in answer["offers"]],
        "discounts": [
            {"user_offer_id": as_uuid(offer), "line_id": line, "amount": major(amount, decimals)}
            for offer, line, amount in answer["discounts"]
        ],
        "skipped_campaigns": [
            {"campaign": campaign, "reason": code} for code, names in answer["skipped"].items() for campaign in names
        ],
    }


def sale_from(rules: Rules, said: Transaction, store: str) -> SaleAsked:
    """What a till says, in our words and minor units. Raises ``Refused`` naming the vendor's field."""
    if len(said.items) > ITEMS_MAX or len(said.payments) > PAYMENTS_MAX or len(said.discounts) > DISCOUNTS_MAX:
        raise Refused(
            "sale.too_long",
            f"a transaction has {ITEMS_MAX} items, {PAYMENTS_MAX} payments, {DISCOUNTS_MAX} discounts at most",
            field="items",
        )
    if said.currency:
        exponent(said.currency)
    decimals = rules.decimals
    items = tuple([_item(item, index, decimals) for index, item in enumerate(said.items)])
    if len({item.line for item in items}) != len(items):
        raise Refused("sale.line_twice", "two items have the same line_id", field="items")
    subtotal = (
        sum([item.subtotal for item in items]) if said.subtotal is None else _sum(said.subtotal, decimals, "subtotal")
    )
    _sum(said.tax_total, decimals, "tax_total")
    member, external = _who(said.payments, decimals)
    modified_ms = instant(said.modified_time, "modified_time") or instant(said.open_time, "open_time")
    if not modified_ms:
        raise Refused("request.instant", "a transaction has a modified_time", field="modified_time")
    return SaleAsked(
        sale=_id(said.transaction_id, "transaction_id"),
        member=member,
        external=external,
        store=_text(store, "store_id"),
        channel=_text(said.channel, "channel"),
        currency=said.currency,
        closed=said.is_closed,
        voided=said.is_voided,
        at_ms=instant(said.open_time, "open_time"),
        modified_ms=modified_ms,
        subtotal=subtotal,
        items=items,
        redeemed=tuple(
            [
                Redeemed(
                    _offer_id(one.user_offer_id or one.reference_id),
                    None if one.amount is None else _sum(abs(one.amount), decimals, "discounts"),
                )
                for one in said.discounts
                if one.user_offer_id or one.reference_id
            ]
        ),
    )


def _item(item: _Item, index: int, decimals: int) -> Item:
    quantity = item.quantity * 1000
    if not 0 < quantity <= 10**9 or quantity != int(quantity):
        raise Refused("sale.quantity", "a quantity is more than 0, with three decimals at most", field="quantity")
    unit_price = _sum(item.unit_price, decimals, "unit_price")
    subtotal = (
        unit_price * int(quantity) // 1000 if item.subtotal is None else _sum(item.subtotal, decimals, "subtotal")
    )
    return Item(
        _text(str(item.line_id), "line_id") or str(index + 1),
        _id(item.item_id, "item_id"),
        int(quantity),
        unit_price,
        subtotal,
        tuple([_text(one, "categories") for one in item.categories[:20]]),
    )


def _who(payments: list[_Payment], decimals: int) -> tuple[str, tuple[str, str] | None]:
    """Whose transaction it is: the one user whom its payments name."""
    found: set[tuple[str, str]] = set()
    for payment in payments:
        _sum(payment.amount, decimals, "payments")
        if payment.user_id not in (None, ""):
            found.add((payment.user_id_type, _id(payment.user_id or "", "user_id")))
    if not found:
        raise Refused("sale.nobody", "no payment names a user", field="user_id")
    if len(found) > 1:
        raise Refused("sale.two_members", "the payments name more than one user", field="user_id")
    [(type_, id_)] = found
    return member_named(type_, id_)


def member_named(type_: str, id_: str) -> tuple[str, tuple[str, str] | None]:
    """(our id, None) or ("", (type, id)) of a user as tills name one."""
    if type_ == "SessionM_ID":
        return from_uuid("mem", id_) or NOBODY, None
    if type_ in ("External_ID", ""):
        return "", (ANY, id_)
    return "", (_text(type_, "user_id_type"), id_)


def _sum(amount: Number, decimals: int, field: str) -> int:
    if amount < 0:
        raise Refused("sale.negative", f"{field} is not negative", field=field)
    return minor(amount, decimals, field)


def _id(value: Id, field: str) -> str:
    text = _text(str(value), field)
    if not text:
        raise Refused("request.fields", f"{field} is empty", field=field)
    return text


def _text(text: str, field: str) -> str:
    if len(text) > _TEXT_MAX:
        raise Refused("request.too_long", f"{field} has {_TEXT_MAX} characters at most", field=field)
    return text


def _offer_id(text: str) -> str:
    return from_uuid("ofr", text) or "none"


async def lock(call: Call) -> dict[str, Any]:
    """``POST /api/2.0/lock``: the offer is the transaction's until it is paid; answered with what it takes off."""
    envelope = call.read(_LockEnvelope)
    payload = envelope.request_payload
    by = str(payload.transaction.transaction_id)[:_TEXT_MAX] if payload.transaction else envelope.store_id[:_TEXT_MAX]
    if payload.offer_lookup_type not in ("UserOfferId", "TTLCode"):
        raise Refused("offer.lookup", "offer_lookup_type is UserOfferId or TTLCode", field="offer_lookup_type")
    offer = await call.vendor.reading.offer(
        call.workspace, _offer_id(payload.offer_lookup_code or payload.user_offer_id)
    )
    if offer is None:
        raise Refused("offer.unknown", "there is no such offer", field="offer_lookup_code")
    rules = call.vendor.rules(call.workspace)
    rule = rules.offers.get(offer.definition)
    lines: list[tuple[str, int]] = []
    if payload.transaction is not None and rule is not None and rule.discount is not None:
        given = sale_from(rules, payload.transaction, envelope.store_id)
        lines = discount(
            rule.discount, rules.sorted_in(given.items)
        )  # refused here: nothing is held for a basket that does not fit
    await _act(call, envelope, offer.id, "lock", by)
    holder = await call.vendor.member(call.workspace, offer.member)
    held = call.vendor.reading.held(speaking(holder, envelope.culture), offer)
    return {
        "status": "OK",
        "payload": {
            "discount_id": rule.definition.till_code if rule is not None else "",
            "user_offer_id": as_uuid(offer.id),
            "reference_id": as_uuid(offer.id),
            "offer_id": name_uuid("offer", offer.definition),
            "name": held.title,
            "amount": major(sum([amount for _, amount in lines]), rules.decimals),
            "items": [{"line_id": line, "amount": major(amount, rules.decimals)} for line, amount in lines],
        },
    }


async def unlock(call: Call) -> dict[str, Any]:
    """``POST /api/2.0/unlock``"""
    envelope = call.read(_LockEnvelope)
    await _act(call, envelope, _named(envelope), "unlock", envelope.store_id)
    return {"status": "OK"}


async def reinstate(call: Call) -> dict[str, Any]:
    """``POST /api/2.0/reinstate``"""
    envelope = call.read(_LockEnvelope)
    await _act(call, envelope, _named(envelope), "reinstate", envelope.store_id)
    return {"status": "OK"}


async def redeem(call: Call) -> dict[str, Any]:
    """``POST /api/2.0/redeem``: used at once, without a transaction."""
    envelope = call.read(_LockEnvelope)
    await _act(call, envelope, _named(envelope), "redeem", envelope.store_id)
    return {"status": "OK"}


def _named(envelope: _LockEnvelope) -> str:
    return _offer_id(envelope.request_payload.user_offer_id or envelope.request_payload.offer_lookup_code)


async def _act(call: Call, envelope: _LockEnvelope, offer: str, act: str, by: str) -> None:
    if not envelope.request_id:
        raise Refused("request.id", "this has a request_id", field="request_id")
    given = asked.Act(offer=offer, act=act, by=by[:_TEXT_MAX])
    given.mark = mark_of(given)
    await call.ask("loyalty.offer_asked", given, id=envelope.request_id)


async def lookup(call: Call) -> dict[str, Any]:
    """``POST /api/2.0/lookup``: who a customer at the till is, and which of their offers fit the basket."""
    envelope = call.read(_LookupEnvelope)
    payload = envelope.request_payload
    member_id, external = member_named(payload.user_lookup_type, _id(payload.user_lookup_code, "user_lookup_code"))
    if external is not None and external[0].lower() in ("email", "phone"):
        found = await call.vendor.reading.find(call.workspace, external[0].lower(), external[1])
        member_id = found.id if found is not None else NOBODY
        external = None
    member = await call.vendor.member(
        call.workspace, external[1] if external else member_id, external_type=external[0] if external else ""
    )
    rules = call.vendor.rules(call.workspace)
    basket = None
    if payload.transaction is not None:
        basket = rules.sorted_in(sale_from(rules, payload.transaction, envelope.store_id).items)
    offers = []
    for held in await call.vendor.reading.wallet(speaking(member, envelope.culture)):
        shown = user_offer(call.vendor, held)
        rule = rules.offers.get(held.offer.definition)
        if basket is not None and rule is not None and rule.discount is not None:
            try:
                amount = sum([off for _, off in discount(rule.discount, basket)])
            except Refused:
                continue
            shown["discount"] = {"reference_id": as_uuid(held.offer.id), "amount": major(amount, rules.decimals)}
        offers.append(shown)
    return {"status": "OK", "payload": {"user": shown_user(call, member), "offers": offers}}
