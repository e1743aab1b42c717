"""SessionM's core API: users, their ids, tags, points, promo codes and campaigns."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers import asked, profile
from beckon.journeys.loyalty_offers.asking import mark_of
from beckon.journeys.loyalty_offers.member import Member, Profile
from beckon.journeys.loyalty_offers.reading import Open
from beckon.journeys.loyalty_offers.sessionm import ANY, Call
from beckon.journeys.loyalty_offers.sessionm_words import as_uuid, day, from_uuid, name_uuid, named, shown
from beckon.journeys.loyalty_offers.tokens import HOLDS_MS, read_token, token_for

PAGE_MAX = 100
_PHONES = {
    "phone_number": "number",
    "phone_type": "type",
    "preference_flags": "flags",
    "verified_ownership": "verified",
}
_SAME = (
    "email",
    "first_name",
    "last_name",
    "opted_in",
    "gender",
    "address",
    "city",
    "state",
    "zip",
    "country",
    "locale",
)


class _Envelope(msgspec.Struct):
    user: dict[str, Any]


class _Tags(msgspec.Struct):
    tags: list[str]
    #: seconds
    ttl: int | None = None


class _Points(msgspec.Struct):
    points: int
    reason: str = ""
    request_id: str = ""


class _Claim(msgspec.Struct):
    promo_code: str
    request_id: str = ""


class _OptIn(msgspec.Struct):
    opted_in: bool = True


def _said(call: Call, user: dict[str, Any]) -> dict[str, Any]:
    """The profile's fields that a request says, in our words. Raises ``Refused``."""
    fields = {name: user[name] for name in _SAME if name in user}
    if "dob" in user:
        fields["born"] = user["dob"]
    if user.get("phone_numbers") is not None:
        phones = user["phone_numbers"]
        fields["phones"] = (
            [
                {ours: one.get(theirs) for theirs, ours in _PHONES.items()} if isinstance(one, dict) else one
                for one in phones
            ]
            if isinstance(phones, list)
            else phones
        )
    if "user_profile" in user:
        fields["custom"] = user["user_profile"] or {}
    now = datetime.fromtimestamp(call.vendor.parts.clock.now_ms() / 1000, UTC)
    return profile.checked(
        fields,
        region=call.vendor.region(call.workspace),
        today=now.date(),
        age_min=call.vendor.rules(call.workspace).programme.age_min,
    )


def _externals(user: dict[str, Any]) -> dict[str, str]:
    if user.get("external_id") in (None, ""):
        return {}
    type_ = profile.identifier(user.get("external_id_type") or "external_id", "external_id_type")
    return {type_: profile.identifier(user["external_id"], "external_id")}


async def create(call: Call) -> dict[str, Any]:
    """``POST …/users``"""
    user = call.read(_Envelope).user
    fields = _said(call, user)
    if not fields.get("email") and not user.get("external_id"):
        raise Refused("profile.empty", "a user has an email or an external_id", field="email")
    given = asked.SignUp(
        profile=msgspec.convert(fields, Profile),
        external=_externals(user),
        tags=tuple([profile.tag(tag) for tag in user.get("tags") or ()][:50]),
        consent="opted_in at sign-up" if fields.get("opted_in") else "not opted_in at sign-up",
    )
    request_id = str(user.get("request_id") or call.request.headers.get("x-request-id") or "")
    given.mark = mark_of(given) if request_id else ""
    answer = await call.ask("loyalty.sign_up_asked", given, id=request_id)
    return await _user(call, answer["member"])


async def change(call: Call) -> dict[str, Any]:
    """``PUT …/users/:user_id``: what is named is replaced, ``phone_numbers`` whole."""
    user = call.read(_Envelope).user
    fields = _said(call, user)
    member = await _meant(call)
    state = {"good": "active", "suspended": "suspended"}.get(str(user.get("account_status", "")), "")
    if user.get("account_status") and not state:
        raise Refused("member.state", "account_status is good or suspended", field="account_status")
    given = asked.Change(
        member=member.id, fields=fields, externals=_externals(user), state=state, consent="changed by PUT"
    )
    await call.ask("loyalty.change_asked", given)
    return await _user(call, member.id)


async def show(call: Call) -> dict[str, Any]:
    """``GET …/users/:user_id``"""
    return {"status": "ok", "user": shown_user(call, await _meant(call))}


async def forget(call: Call) -> dict[str, Any]:
    """``DELETE …/users/:user_id``: the privacy request; it can't be taken back."""
    member = await _meant(call)
    await call.ask("loyalty.forget_asked", asked.Forget(member=member.id), subject=member.contact or None)
    return {"status": "ok", "user": {"id": as_uuid(member.id), "forgotten": True}}


async def tags(call: Call) -> dict[str, Any]:
    """``GET|POST|DELETE …/users/:user_id/tags``"""
    member = await _meant(call)
    if call.request.method != "GET":
        body = call.read(_Tags)
        names = tuple([profile.tag(tag) for tag in body.tags[:100]])
        adds = call.request.method == "POST"
        if body.ttl is not None and not 0 <= body.ttl <= 10 * 366 * 86_400:
            raise Refused("request.ttl", "ttl is 0 (for ever) to ten years, in seconds", field="ttl")
        given = asked.Tag(
            member=member.id,
            add=names if adds else (),
            remove=() if adds else names,
            ttl_ms=(body.ttl or 0) * 1000,
        )
        answer = await call.ask("loyalty.tags_asked", given)
        return {"status": "ok", "tags": answer["tags"]}
    now = call.vendor.parts.clock.now_ms()
    return {"status": "ok", "tags": sorted([tag for tag, end in member.tags.items() if not end or end > now])}


async def points(call: Call) -> dict[str, Any]:
    """``POST …/users/:user_id/points``: more than 0 adds, less removes."""
    member = await _meant(call)
    body = call.read(_Points)
    given = asked.Points(member=member.id, points=body.points, why=profile.line(body.reason, "reason", 200))
    given.mark = mark_of(given)
    await call.ask("loyalty.points_asked", given, id=body.request_id)
    return await _user(call, member.id)


async def claim(call: Call) -> dict[str, Any]:
    """``POST …/users/:user_id/promo_codes/claims``"""
    member = await _meant(call)
    body = call.read(_Claim)
    given = asked.Code(member=member.id, code=profile.line(body.promo_code, "promo_code", 100))
    given.mark = mark_of(given)
    answer = await call.ask("loyalty.code_asked", given, id=body.request_id)
    return {
        "status": "ok",
        "claim": {
            "promo_code": body.promo_code,
            "campaign_id": name_uuid("campaign", answer["campaign"]),
            "points": answer["points"],
            "user_offer_ids": [as_uuid(offer) for offer in answer["offers"]],
            "available_points": answer["balance"],
        },
    }


async def tiers(call: Call) -> dict[str, Any]:
    """``GET …/users/:user_id/tiers``"""
    member = await _meant(call)
    balance, rules = call.vendor.reading.balance(member), call.vendor.rules(call.workspace)
    levels = [
        {"id": name_uuid("tier", tier.tier), "name": tier.title or tier.tier, "rank": rank, "threshold": reached_at}
        for rank, (reached_at, tier) in enumerate(rules.tiers, 1)
    ]
    return {
        "status": "ok",
        "tier_details": {
            "tier": balance.tier_title or None,
            "tier_entered_at": day(member.tier_since_ms) if member.tier_since_ms else None,
            "next_tier": balance.next_tier or None,
            "next_tier_points": balance.to_next,
            "tier_levels": levels,
        },
    }


async def auth_token(call: Call) -> dict[str, Any]:
    """``POST …/users/:user_id/auth_token``: the member's own pass, for an app."""
    member = await _meant(call)
    until = call.vendor.parts.clock.now_ms() + HOLDS_MS
    token = token_for(call.workspace, member.id, call.vendor.parts.link_key, until)
    return {"status": "ok", "auth_token": token, "expires_at": shown(until)}


async def campaigns(call: Call) -> dict[str, Any]:
    """The three forms: of a user, of another system's id, of an ``auth_token``; without any of them, all campaigns."""
    params = call.request.path_params
    if "user_id" in params or "external_id" in params:
        return await _campaigns_of(call, await _meant(call))
    token = call.query("auth_token")
    if token:
        workspace, member_id = read_token(token, call.vendor.parts.link_key, call.vendor.parts.clock.now_ms())
        if workspace != call.workspace:
            raise Refused("pass.forged", "this pass was not given here", field="auth_token")
        return await _campaigns_of(call, await call.vendor.member(call.workspace, member_id))
    figures = await call.vendor.reading.figures(call.workspace, 1)
    rules = call.vendor.rules(call.workspace).campaigns
    shown_ones = [
        {
            "id": name_uuid("campaign", one.name),
            "name": rules[one.name].campaign.title,
            "description": rules[one.name].campaign.blurb,
            "status": one.state,
            "starts_at": shown(rules[one.name].starts_ms),
            "ends_at": shown(rules[one.name].ends_ms) if rules[one.name].campaign.ends else None,
            "custom_payload": rules[one.name].campaign.payload,
        }
        for one in figures
        if one.name in rules and rules[one.name].campaign.shown != "hidden"
    ]
    return {"status": "ok", **_paged(call, shown_ones)}


async def opt_in(call: Call) -> dict[str, Any]:
    """``POST …/users/:user_id/campaigns/:campaign_id/opt_in``"""
    member = await _meant(call)
    body = call.read(_OptIn)
    name = named("campaign", call.path("campaign_id"), call.vendor.rules(call.workspace).campaigns)
    await call.ask("loyalty.opt_in_asked", asked.OptIn(member=member.id, campaign=name, yes=body.opted_in))
    return await _campaigns_of(call, await call.vendor.member(call.workspace, member.id))


async def _campaigns_of(call: Call, member: Member) -> dict[str, Any]:
    found = await call.vendor.reading.campaigns_for(member)
    page = _paged(call, found)
    tiles = [_tile(one) for one in page["campaigns"] if one.shown == "tile"]
    promotions = [_tile(one) for one in page["campaigns"] if one.shown == "promotion"]
    return {
        "status": "ok",
        **page,
        "campaigns": {"tiles": tiles, "promotions": promotions},
        "user_id": as_uuid(member.id),
    }


def _paged(call: Call, ones: list[Any]) -> dict[str, Any]:
    try:
        page, size = int(call.query("page") or 1), int(call.query("page_size") or 25)
    except ValueError:
        raise Refused("request.page", "page and page_size are numbers", field="page") from None
    if page < 1 or not 1 <= size <= PAGE_MAX:
        raise Refused("request.page", f"pages count from 1, with 1 to {PAGE_MAX} campaigns each", field="page")
    return {
        "page": page,
        "page_size": size,
        "number_of_pages": max(1, -(-len(ones) // size)),
        "campaigns": ones[(page - 1) * size : page * size],
    }


def _tile(one: Open) -> dict[str, Any]:
    return {
        "id": name_uuid("campaign", one.name),
        "campaign_id": name_uuid("campaign", one.name),
        "type": one.shown,
        "name": one.title,
        "header": one.title,
        "message": one.blurb,
        "description": one.blurb,
        "image_url": one.image or None,
        "start_time": shown(one.starts_ms),
        "end_time": shown(one.ends_ms),
        "eligible": one.may,
        "ineligible_reason": one.why or None,
        "requires_opt_in": one.needs_opt_in,
        "opted_in": one.opted_in,
        "custom_payload": one.payload,
    }


async def _meant(call: Call) -> Member:
    """The member whom the path means."""
    params = call.request.path_params
    if "external_id" in params:
        type_ = call.query("external_id_type") or call.query("user[external_id_type]") or ANY
        return await call.vendor.member(call.workspace, params["external_id"], external_type=type_)
    return await call.vendor.member(call.workspace, params["user_id"])


async def _user(call: Call, id_: str) -> dict[str, Any]:
    member = await call.vendor.reading.member(call.workspace, id_)
    if member is None:
        raise Refused("member.unknown", "there is no such user", field="user_id")
    return {"status": "ok", "user": shown_user(call, member)}


def shown_user(call: Call, member: Member) -> dict[str, Any]:
    """A member as the core API shows one."""
    said, balance = member.profile, call.vendor.reading.balance(member)
    first = next(iter(member.external.items()), ("", ""))
    return {
        "id": as_uuid(member.id),
        "external_id": first[1] or None,
        "opted_in": said.opted_in,
        "activated": member.state == "active",
        "proxy_ids": [],
        "identifiers": [{"external_id": id_, "external_id_type": type_} for type_, id_ in member.external.items()],
        "available_points": balance.available,
        "test_points": 0,
        "pending_points": balance.pending,
        "unclaimed_achievement_count": 0,
        "email": said.email or None,
        "first_name": said.first_name or None,
        "last_name": said.last_name or None,
        "gender": said.gender or None,
        "dob": said.born or None,
        "address": said.address or None,
        "city": said.city or None,
        "state": said.state or None,
        "zip": said.zip or None,
        "country": said.country or None,
        "locale": said.locale or None,
        "created_at": day(member.joined_ms),
        "updated_at": day(member.changed_ms),
        "registered_at": day(member.joined_ms),
        "suspended": member.state == "suspended",
        "account_status": "good" if member.state == "active" else member.state,
        "tier": balance.tier_title or None,
        "tier_entered_at": day(member.tier_since_ms) if balance.tier and member.tier_since_ms else None,
        "next_tier_points": balance.to_next,
        "phone_numbers": [
            {
                "phone_number": phone.number,
                "phone_type": phone.type,
                "preference_flags": list(phone.flags),
                "verified_ownership": phone.verified,
            }
            for phone in said.phones
        ],
        "user_profile": said.custom,
    }


def id_of(user_id: Any) -> str:
    """Our id of a user whom a request names."""
    return from_uuid("mem", user_id if isinstance(user_id, str) else "")
