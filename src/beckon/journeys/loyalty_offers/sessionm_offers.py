"""SessionM's domain APIs: the wallet, issuing and redeeming, the rewards store, points."""

from hashlib import blake2b
from typing import Any

import msgspec

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers import asked, profile
from beckon.journeys.loyalty_offers.asking import mark_of
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.reading import Held, Sold
from beckon.journeys.loyalty_offers.rules import NEVER_MS
from beckon.journeys.loyalty_offers.sessionm import Call, Vendor
from beckon.journeys.loyalty_offers.sessionm_users import shown_user
from beckon.journeys.loyalty_offers.sessionm_words import as_uuid, from_uuid, instant, name_uuid, named, shown
from beckon.messaging.contacts import normalise_locale

TAKE_MAX = 1_000
NOBODY = "00000000-0000-0000-0000-000000000000"


class _Whose(msgspec.Struct, kw_only=True):
    user_id: str
    retailer_id: str = ""
    culture: str = ""


class _Wallet(_Whose, kw_only=True):
    skip: int = 0
    take: int = 100


class _Issue(_Whose, kw_only=True):
    offer_id: str
    request_id: str = ""
    reason: str = ""
    expiration_date: str = ""


class _Offer(msgspec.Struct, kw_only=True):
    user_offer_id: str
    user_id: str = ""
    retailer_id: str = ""
    request_id: str = ""
    reason: str = ""
    store_id: str = ""
    culture: str = ""


class _Store(_Whose, kw_only=True):
    reward_store_ids: list[str] = []
    include_point_balances: bool = False
    skip: int = 0
    take: int = 100


class _Purchase(_Whose, kw_only=True):
    offer_id: str
    quantity: int = 1
    request_id: str = ""
    point_account_ids: list[str] = []
    reward_store_id: str = ""


class _Detail(msgspec.Struct, kw_only=True):
    amount: int | float
    reference_id: str = ""
    reference_type: str = ""
    point_source_id: str = ""
    point_account_id: str = ""
    expiration_date: str = ""
    rank: int = 0


class _Deposit(_Whose, kw_only=True):
    deposit_details: list[_Detail] = []
    amount: int | float | None = None
    request_id: str = ""
    idempotency_id: str = ""
    reference_id: str = ""
    reason: str = ""


class _Spend(_Whose, kw_only=True):
    spend_details: list[_Detail] = []
    amount: int | float | None = None
    request_id: str = ""
    idempotency_id: str = ""
    reference_id: str = ""
    reason: str = ""


async def get_user_offers(call: Call) -> dict[str, Any]:
    """``POST …/offers/get_user_offers``: the wallet: the offers that are issued."""
    body = call.read(_Wallet)
    _page(body.skip, body.take)
    member = await call.vendor.member(call.workspace, body.user_id)
    open_ones = await call.vendor.reading.wallet(speaking(member, body.culture))
    wallet = [held for held in open_ones if held.offer.state == "issued"]
    balance = call.vendor.reading.balance(member)
    categories = sorted({held.definition.category for held in wallet if held.definition and held.definition.category})
    return {
        "status": "ok",
        "payload": {
            "user": shown_user(call, member),
            "user_id": as_uuid(member.id),
            "user_offers": [user_offer(call.vendor, held) for held in wallet[body.skip : body.skip + body.take]],
            "total_records": len(wallet),
            "offer_groups": [{"id": NOBODY, "name": "All Offers", "sort_order": 0}],
            "offer_categories": [
                {"id": name_uuid("category", name), "name": name, "sort_order": index}
                for index, name in enumerate(["All Offers", *categories])
            ],
            "total_points": balance.balance,
            "available_points": balance.available,
        },
    }


def speaking(member: Member, culture: str) -> Member:
    """The member as one who reads this language (``fr-FR``): what a request's culture asks names and texts to be in."""
    if not culture:
        return member
    try:
        locale = normalise_locale(culture)
    except Refused:
        return member  # what can't be a language says nothing
    return msgspec.structs.replace(member, profile=msgspec.structs.replace(member.profile, locale=locale))


def user_offer(vendor: Vendor, held: Held) -> dict[str, Any]:
    """An offer of a wallet."""
    offer, definition = held.offer, held.definition
    return {
        "id": as_uuid(offer.id),
        "user_offer_id": as_uuid(offer.id),
        "offer_id": name_uuid("offer", offer.definition),
        "root_offer_id": name_uuid("offer", offer.definition),
        "offer_group_id": NOBODY,
        "offer_category": definition.category if definition and definition.category else "All Offers",
        "offer_type": _type(definition),
        "name": held.title,
        "description": held.blurb,
        "terms": definition.terms if definition is not None else "",
        "logo": (definition.image or None) if definition is not None else None,
        "pos_discount_id": (definition.till_code or None) if definition is not None else None,
        "state": offer.state.upper(),
        "status": offer.state.upper(),
        "acquire_date": shown(offer.issued_ms),
        "redemption_start_date": shown(offer.starts_ms or offer.issued_ms),
        "redemption_end_date": shown(offer.expires_ms),
        "campaign_id": name_uuid("campaign", offer.campaign) if offer.campaign else None,
        "points_required": offer.price,
    }


def _type(definition: Any) -> str:
    discount = definition.discount if definition is not None else None
    if discount is None:
        return "manual_fulfillment"
    if discount.free is not None:
        return "free_item"
    return "percent_off" if discount.percent is not None else "amount_off"


async def issue(call: Call) -> dict[str, Any]:
    """``POST …/offers/acquisition/issue``"""
    body = call.read(_Issue)
    given = asked.Issue(
        member=_id(body.user_id),
        definition=named("offer", body.offer_id, call.vendor.rules(call.workspace).offers),
        why=profile.line(body.reason, "reason", 200),
        expires_ms=instant(body.expiration_date, "expiration_date"),
    )
    given.mark = mark_of(given)
    answer = await call.ask("loyalty.issue_asked", given, id=body.request_id)
    return await _issued(call, answer["offer"], body.culture)


async def _issued(call: Call, offer_id: str, culture: str) -> dict[str, Any]:
    offer = await call.vendor.reading.offer(call.workspace, offer_id)
    member = await call.vendor.reading.member(call.workspace, offer.member) if offer is not None else None
    if offer is None or member is None:
        raise Refused("offer.unknown", "there is no such offer", field="user_offer_id")
    return {
        "status": "ok",
        "payload": {
            "user_id": as_uuid(member.id),
            "user_offer": user_offer(call.vendor, call.vendor.reading.held(speaking(member, culture), offer)),
        },
    }


async def manual_redeem(call: Call) -> dict[str, Any]:
    """``POST …/offers/redemption/manual_redeem``"""
    return await _offer_act(call, "redeem")


async def revoke(call: Call) -> dict[str, Any]:
    """``POST …/offers/acquisition/revoke``"""
    return await _offer_act(call, "revoke")


async def _offer_act(call: Call, act: str) -> dict[str, Any]:
    body = call.read(_Offer)
    given = asked.Act(
        offer=from_uuid("ofr", body.user_offer_id) or "none",
        member=_id(body.user_id) if body.user_id else "",
        act=act,
        by=profile.line(body.store_id, "store_id", 200),
        why=profile.line(body.reason, "reason", 200),
    )
    given.mark = mark_of(given)
    answer = await call.ask("loyalty.offer_asked", given, id=body.request_id)
    return await _issued(call, answer["offer"], body.culture)


# The rewards store: one for each programme.


async def user_stores(call: Call) -> dict[str, Any]:
    """``POST …/offers/rewardstores/get_user_reward_stores``"""
    body = call.read(_Store)
    member = speaking(await call.vendor.member(call.workspace, body.user_id), body.culture)
    sold = await call.vendor.reading.store(member)
    payload: dict[str, Any] = {
        "user_id": as_uuid(member.id),
        "reward_stores": [_store(call, sold)],
        "total_records": 1,
    }
    if body.include_point_balances:
        payload["point_balances"] = _balances(call, member)
    return {"status": "ok", "payload": payload}


async def store_offers(call: Call) -> dict[str, Any]:
    """``POST …/offers/rewardstores/get_reward_store_offers``"""
    body = call.read(_Store)
    _page(body.skip, body.take)
    if any(one not in (_store_id(call), "") for one in body.reward_store_ids[:100]):
        raise Refused("store.unknown", "there is no such rewards store", field="reward_store_ids")
    member = speaking(await call.vendor.member(call.workspace, body.user_id), body.culture)
    sold = await call.vendor.reading.store(member)
    store = _store(call, sold)
    store["offers"] = [_sold(one) for one in sold[body.skip : body.skip + body.take]]
    balance = call.vendor.reading.balance(member)
    return {
        "status": "ok",
        "payload": {
            "user_id": as_uuid(member.id),
            "reward_stores": [store],
            "total_records": len(sold),
            "available_points": balance.available,
        },
    }


async def purchase(call: Call) -> dict[str, Any]:
    """``POST …/offers/rewardstores/purchase_offer``: the points and the offer, or neither."""
    body = call.read(_Purchase)
    given = asked.Buy(
        member=_id(body.user_id),
        definition=named("offer", body.offer_id, call.vendor.rules(call.workspace).offers),
        quantity=body.quantity,
    )
    given.mark = mark_of(given)
    answer = await call.ask("loyalty.buy_asked", given, id=body.request_id)
    said = await _issued(call, answer["offer"], body.culture)
    said["payload"]["user_offer_ids"] = [as_uuid(one["offer"]) for one in answer["offers"]]
    said["payload"]["points_spent"] = answer["points"]
    return said


def _store_id(call: Call) -> str:
    return name_uuid("store", call.workspace)


def _store(call: Call, sold: list[Sold]) -> dict[str, Any]:
    programme = call.vendor.rules(call.workspace).programme
    return {
        "id": _store_id(call),
        "name": programme.title or "Rewards Store",
        "start_date": None,
        "end_date": None,
        "offer_count": len(sold),
    }


def _sold(one: Sold) -> dict[str, Any]:
    return {
        "id": name_uuid("offer", one.definition.offer),
        "offer_id": name_uuid("offer", one.definition.offer),
        "root_offer_id": name_uuid("offer", one.definition.offer),
        "offer_type": _type(one.definition),
        "name": one.title,
        "description": one.blurb,
        "terms": one.definition.terms,
        "price": one.price,
        "points_required": one.price,
        "start_date": None,
        "end_date": shown(one.ends_ms),
        "is_obtainable": not one.code,
        "unobtainable_reason": one.why_not or None,
    }


# Points.


async def balance(call: Call) -> dict[str, Any]:
    """``POST …/user_points/balance``, ``…/all_balances``"""
    body = call.read(_Whose)
    member = await call.vendor.member(call.workspace, body.user_id)
    return {"status": "ok", "payload": _balances(call, member)}


async def deposit(call: Call) -> dict[str, Any]:
    """``POST …/user_points/deposit``"""
    body = call.read(_Deposit)
    return await _points(call, body, body.deposit_details, 1)


async def spend(call: Call) -> dict[str, Any]:
    """``POST …/user_points/spend``"""
    body = call.read(_Spend)
    return await _points(call, body, body.spend_details, -1)


async def _points(call: Call, body: Any, details: list[_Detail], sign: int) -> dict[str, Any]:
    if len(details) > 50:
        raise Refused("request.too_long", "50 details at most", field="details")
    amounts = [_whole(one.amount) for one in details] or [_whole(body.amount)]
    once = body.request_id or body.idempotency_id or _reference(body, details)
    expiries = {instant(one.expiration_date, "expiration_date") for one in details}
    if len(expiries) > 1:
        raise Refused("request.fields", "one deposit has one expiration_date", field="expiration_date")
    given = asked.Points(
        member=_id(body.user_id),
        points=sign * sum(amounts),
        why=profile.line(body.reason or (details[0].reference_type if details else ""), "reason", 200),
        expires_ms=next(iter(expiries), 0),
    )
    given.mark = mark_of(given)
    answer = await call.ask("loyalty.points_asked", given, id=once)
    member = await call.vendor.member(call.workspace, body.user_id)
    payload = _balances(call, member)
    payload["user_point_transaction_id"] = str(answer["entry"])
    payload["modified_points"] = answer["points"]
    return {"status": "ok", "payload": payload}


def _reference(body: Any, details: list[_Detail]) -> str:
    """What a reference makes once: of this user and of its kind, since apps give many users the same one."""
    one = details[0] if len(details) == 1 else None
    reference = body.reference_id or (one.reference_id if one is not None else "")
    if not reference:
        return ""
    said = "\x1f".join((body.user_id, one.reference_type if one is not None else "", reference))
    return f"reference:{blake2b(said.encode(), digest_size=16).hexdigest()}"


def _whole(amount: int | float | None) -> int:
    if amount is None or amount != amount or amount in (float("inf"), float("-inf")) or amount != int(amount):
        raise Refused("points.whole", "points are whole numbers", field="amount")
    if amount < 1:
        raise Refused("points.negative", "an amount of points is 1 or more", field="amount")
    return int(amount)


def _balances(call: Call, member: Member) -> dict[str, Any]:
    now = call.vendor.reading.balance(member)
    account = name_uuid("account", call.workspace)
    return {
        "retailer_id": name_uuid("retailer", call.workspace),
        "user_id": as_uuid(member.id),
        "summary": {
            "total_points": now.balance,
            "available_points": now.available,
            "pending_points": now.pending,
            "life_time_points": member.account.earned,
        },
        "details": [
            {
                "account_name": "Points",
                "user_point_account_id": as_uuid(member.id),
                "point_account_id": account,
                "available_balance": now.available,
                "life_time_value": member.account.earned,
                "expiring_points": now.expiring_points,
                "expiration_date": shown(now.expiring_ms),
            }
        ],
    }


def _id(user_id: str) -> str:
    return from_uuid("mem", user_id) or "nobody"


def _page(skip: int, take: int) -> None:
    if not 0 <= skip < NEVER_MS or not 1 <= take <= TAKE_MAX:
        raise Refused("request.page", f"skip is 0 or more, take is 1 to {TAKE_MAX}", field="take")
