"""Joining: who signs up, changes, is tagged, or says yes to a campaign; and points by hand."""

from typing import Any

import msgspec

from beckon.core.clock import iso
from beckon.core.contact import Contact
from beckon.core.errors import BeckonError, Refused
from beckon.core.event import Event
from beckon.core.ids import fresh
from beckon.journeys.loyalty_offers import asked, earning, ledger, purchases, wallet
from beckon.journeys.loyalty_offers.desk import Desk, tier_for
from beckon.journeys.loyalty_offers.forgetting import beside, sign_up_keys, trim, why_not
from beckon.journeys.loyalty_offers.member import Member, Profile
from beckon.journeys.loyalty_offers.room import Key
from beckon.journeys.loyalty_offers.told import contact_of, days_left, last_moment, reached

#: Tags and ids that one member has.
TAGS_MAX = 200
EXTERNALS_MAX = 20
CAMPAIGNS_MAX = 500


def sign_up(desk: Desk, given: asked.SignUp, position: int, *, imported: bool = False) -> Member:
    """A new member. Raises ``Refused`` where the mailbox or the id is somebody's already."""
    room = desk.room
    for key in sign_up_keys(desk.workspace, given):
        if key[1] != "phone" and room.keys.get(key):
            raise Refused(
                "member.email" if key[1] == "email" else "member.external",
                "another member has this mailbox" if key[1] == "email" else "another member has this id",
                field="email" if key[1] == "email" else "external_id",
            )
    member = Member(
        id=fresh("mem"),
        workspace=desk.workspace,
        joined_ms=desk.now_ms,
        profile=given.profile,
        external=dict(given.external),
        tags=dict.fromkeys(given.tags, 0),
    )
    leads = True
    for key in sign_up_keys(desk.workspace, given):
        if key[1] == "phone" and room.keys.get(key):
            leads = False  # a number that a family shares leads to the first of them
        else:
            room.put_key(key, member.id)
    room.put_member(member)
    if imported and given.tier:
        _bring_tier(desk, member, given.tier)
    member.tier = tier_for(desk.rules, member, desk.now_ms)
    member.tier_since_ms = desk.now_ms
    if imported and given.points:
        desk.give(member, given.points, why="imported", at_once=True)
        desk.settle_due(member)
    about = contact_of(member, given.addresses, phone=leads or not given.profile.email)
    if not imported:
        _welcome_campaigns(desk, member)
    fields = {
        "member": member.id,
        "contact": about,
        "first_name": given.profile.first_name,
        "last_name": given.profile.last_name,
        "email": given.profile.email,
        "locale": given.profile.locale,
        "opted_in": given.profile.opted_in,
        "joined": iso(member.joined_ms),
        "imported": imported,
        "programme": desk.rules.programme.title or desk.rules.programme.programme,
        "points": member.account.balance,
        "consent": _consent(given.profile.opted_in, given.consent),
    }
    room.tell(desk.library, "member.signed_up", member.id, fields)
    return member


def _consent(opted_in: bool, words: str) -> dict[str, Any]:
    return {"marketing": {"granted": opted_in, "text": words or ("opted_in" if opted_in else "not opted_in")}}


def _welcome_campaigns(desk: Desk, member: Member) -> None:
    """What campaigns give for a sign-up."""
    facts = earning.facts_at(desk.rules, desk.now_ms)
    for rule in desk.rules.on["sign_up"]:
        code = give_campaign(desk, member, rule.name, facts, "sign_up", member.id)
        if code:
            desk.book.skip({code: [rule.name]}, desk.day)
    desk.settle_due(member)


def give_campaign(desk: Desk, member: Member, name: str, facts: earning.Facts, cause: str, mark: str) -> str:
    """What a campaign without a purchase gives a member; the code of why not, where it gives nothing."""
    rule = desk.rules.campaigns[name]
    totals = desk.book.totals_of(name)
    code = earning.why_not(rule, facts, member, totals)
    if code:
        return code
    gives, worth = rule.campaign.gives, 0
    if gives.offer is not None:
        code, worth = wallet.offer_not(desk, member, gives.offer)
    cost = worth + desk.rules.points_cost(gives.points or 0)
    if not code and earning.over_budget(rule, totals, cost):
        code = "budget"
    if code:
        return code
    offer_id = ""
    if gives.points:
        desk.give(member, gives.points, campaign=name, why=rule.campaign.title, at_once=True)
    if gives.offer is not None:
        offer_id = wallet.issue(desk, member, gives.offer, cause=cause, campaign=name, worth=worth).id
    earning.count_met(member, rule, desk.now_ms)
    desk.book.count(name, desk.day, reached=1, issued=bool(offer_id), points=gives.points or 0, cost=cost)
    purchases.tell_met(desk, member, name, mark, gives.points or 0, offer_id)
    desk.room.put_member(member)
    return ""


def sign_up_asked(desk: Desk, given: asked.SignUp, position: int) -> dict[str, Any]:
    """``loyalty.sign_up_asked``"""
    return {"member": sign_up(desk, given, position).id}


def members_asked(desk: Desk, given: asked.ManySignUps, position: int) -> dict[str, Any]:
    """``loyalty.members_asked``: each on its own; what is wrong with one does not hold up the others."""
    answers: list[dict[str, Any]] = []
    gone: list[int] = []
    for at, one in enumerate(given.members):
        try:
            known = _known(desk, one)
            if known:
                answers.append({"member": known, "known": True})
                continue
            why = why_not(desk, one)
            if why:
                gone.append(at)
                raise Refused("member.forgotten", why)
            if one.tier and one.tier not in desk.rules.rates:
                raise Refused("member.tier", f"the programme has no level {one.tier[:60]!r}", field="tier")
            answers.append({"member": sign_up(desk, one, position, imported=given.quiet).id})
        except BeckonError as error:
            answers.append({"error": {"code": error.code, "why": error.why, "field": error.field}})
    if gone:
        trim(desk.room.turn, position, given, gone)
    return {"members": answers}


def _known(desk: Desk, given: asked.SignUp) -> str:
    """The member whom an import means and who is there already; empty: nobody, or it is not sure who."""
    owners = {desk.room.keys.get(key, "") for key in sign_up_keys(desk.workspace, given) if key[1] == "email"}
    ids = {desk.room.keys.get(key, "") for key in sign_up_keys(desk.workspace, given) if key[1].startswith("external:")}
    found = (ids or owners) - {""}
    return found.pop() if len(found) == 1 and owners <= found | {""} else ""


def _bring_tier(desk: Desk, member: Member, tier: str) -> None:
    """A level from another programme, as if what it asks for had been reached here."""
    reached_at = next(amount for amount, one in desk.rules.tiers if one.tier == tier)
    year = str(desk.rules.local(desk.now_ms).year) if desk.rules.programme.tier_period == "year" else "ever"
    member.qualifying[year] = reached_at


def change_asked(desk: Desk, given: asked.Change, position: int) -> dict[str, Any]:
    """``loyalty.change_asked``"""
    room = desk.room
    member = room.member(desk.workspace, given)
    profile = msgspec.convert({**msgspec.to_builtins(member.profile), **given.fields}, Profile)
    moves = _moved_keys(desk, member, profile, given)
    if given.state and given.state not in ("active", "suspended"):
        raise Refused("member.state", "a member is active or suspended", field="state")
    externals = {**member.external, **given.externals}
    if len(externals) > EXTERNALS_MAX:
        raise Refused("member.externals", f"a member has {EXTERNALS_MAX} ids at most", field="external_id")
    for key, id_ in moves:
        room.put_key(key, id_)
    opted = profile.opted_in != member.profile.opted_in
    changed = [name for name in given.fields if getattr(profile, name) != getattr(member.profile, name)]
    member.external = {type_: id_ for type_, id_ in externals.items() if id_}
    member.profile = profile
    member.state = given.state or member.state
    room.put_member(member)
    if changed:
        contact = contact_of(member, phone=bool(member.contact) or not profile.email)
        fields: dict[str, Any] = {"member": member.id, "contact": contact, "fields": changed}
        if opted:
            fields["consent"] = _consent(profile.opted_in, given.consent)
        room.tell(desk.library, "member.changed", f"{member.id}:{position}", fields)
    return {"member": member.id}


def _moved_keys(desk: Desk, member: Member, profile: Profile, given: asked.Change) -> list[tuple[Key, str]]:
    """Keys that go, and keys that come. Raises ``Refused`` where one is somebody else's."""
    moves: list[tuple[Key, str]] = []
    before, after = member.profile.email.casefold(), profile.email.casefold()
    if before != after:
        if before:
            moves.append(((desk.workspace, "email", before), ""))
        if after:
            moves.append(((desk.workspace, "email", after), member.id))
    for type_, id_ in given.externals.items():
        old = member.external.get(type_, "")
        if old == id_:
            continue
        if old:
            moves.append(((desk.workspace, f"external:{type_}", old), ""))
        if id_:
            moves.append(((desk.workspace, f"external:{type_}", id_), member.id))
    moves += _moved_phone(desk, member, profile)
    for key, id_ in moves:
        if id_ and desk.room.keys.get(key) not in (None, "", member.id):
            mail = key[1] == "email"
            raise Refused(
                "member.email" if mail else "member.external",
                "another member has this mailbox" if mail else "another member has this id",
                field="email" if mail else "external_id",
            )
    return moves


def _moved_phone(desk: Desk, member: Member, profile: Profile) -> list[tuple[Key, str]]:
    """A number leads to the first member who has it."""
    before = member.profile.phones[0].number if member.profile.phones else ""
    after = profile.phones[0].number if profile.phones else ""
    moves: list[tuple[Key, str]] = []
    if before != after:
        old, new = (desk.workspace, "phone", before), (desk.workspace, "phone", after)
        if before and desk.room.keys.get(old) == member.id:
            moves.append((old, ""))
        if after and not desk.room.keys.get(new):
            moves.append((new, member.id))
    return moves


def tags_asked(desk: Desk, given: asked.Tag) -> dict[str, Any]:
    """``loyalty.tags_asked``"""
    member = desk.room.member(desk.workspace, given)
    until = desk.now_ms + given.ttl_ms if given.ttl_ms else 0
    tags = {tag: end for tag, end in member.tags.items() if not end or end > desk.now_ms}
    tags.update(dict.fromkeys(given.add, until))
    for tag in given.remove:
        tags.pop(tag, None)
    if len(tags) > TAGS_MAX:
        raise Refused("member.tags", f"a member has {TAGS_MAX} tags at most", field="tags")
    member.tags = tags
    desk.room.put_member(member)
    return {"member": member.id, "tags": sorted(tags)}


def points_asked(desk: Desk, given: asked.Points) -> dict[str, Any]:
    """``loyalty.points_asked``: a deposit by hand, or spending."""
    member = desk.room.member(desk.workspace, given)
    if member.state != "active":
        raise Refused("member.suspended", f"this member is {member.state}", field="member")
    if given.points == 0:
        raise Refused("points.negative", "points are a whole number other than 0", field="points")
    if given.expires_ms and given.expires_ms <= desk.now_ms:
        raise Refused("points.expired", "the points would have expired already", field="expires")
    desk.expire(member)
    if given.points > 0:
        entry = desk.give(member, given.points, why=given.why, expires_ms=given.expires_ms, at_once=True)
    else:
        entry = desk.take(member, -given.points, why=given.why)
    desk.settle_due(member)
    return {
        "member": member.id,
        "entry": entry.number,
        "points": given.points,
        "balance": member.account.balance,
        "available": ledger.available(member.account, desk.now_ms),
    }


def opt_in_asked(desk: Desk, given: asked.OptIn) -> dict[str, Any]:
    """``loyalty.opt_in_asked``"""
    member = desk.room.member(desk.workspace, given)
    rule = desk.rules.campaigns.get(given.campaign)
    if rule is None:
        raise Refused("campaign.unknown", "there is no such campaign", field="campaign")
    if given.yes and desk.now_ms >= rule.ends_ms:
        raise Refused("campaign.over", "the campaign is over", field="campaign")
    opted = [name for name in member.opted if name != given.campaign]
    if given.yes:
        if len(opted) >= CAMPAIGNS_MAX:
            raise Refused("campaign.too_many", "the member has said yes to too many campaigns", field="campaign")
        opted.append(given.campaign)
    member.opted = opted
    desk.room.put_member(member)
    return {"member": member.id, "campaign": given.campaign, "opted_in": given.yes}


def linked(desk: Desk, event: Event, contact: Contact | None) -> None:
    """The line has found or made the contact of a member who signed up, or changed."""
    fields = event.data if isinstance(event.data, dict) else {}
    member = desk.room.members.get(str(fields.get("member")))
    if member is None or member.state == "forgotten":
        return
    desk.room.turn.mention(member.id, event)
    desk.room.put_member(member)
    if contact is not None and not member.contact and not contact.forgotten_ms:
        key = (desk.workspace, "contact", contact.id)
        if not desk.room.keys.get(key):
            desk.room.put_key(key, member.id)
        elif desk.room.keys[key] != member.id:
            desk.room.put_key((desk.workspace, beside(contact.id), member.id), member.id)
        member.contact = contact.id


def due(desk: Desk, member: Member) -> None:
    """Points expire, are about to, or can be spent from now on."""
    member.due_ms = 0  # its row is gone
    if member.state == "forgotten":
        return
    released = [lot for lot in member.account.lots if 0 < lot.available_ms <= desk.now_ms]
    if released:
        points = sum([lot.left for lot in released])
        desk.room.tell(
            desk.library,
            "points.released",
            f"{member.id}:{max(lot.available_ms for lot in released)}",
            _points(desk, member, points),
        )
        for lot in released:
            lot.available_ms = 0
    desk.expire(member)
    _remind(desk, member)
    desk.settle_due(member)
    desk.room.put_member(member)


def _remind(desk: Desk, member: Member) -> None:
    """Say once what expires within the time that the programme names."""
    ahead_ms = desk.rules.remind_points_ms
    at_ms = ledger.reminder(member.account, member.reminded_ms, ahead_ms)
    if not at_ms or at_ms > desk.now_ms:
        return
    until = desk.now_ms + ahead_ms
    lots = [lot for lot in member.account.lots if member.reminded_ms < lot.expires_ms <= until]
    if not lots:
        return
    member.reminded_ms = until
    expires_ms = min([lot.expires_ms for lot in lots])
    fields = {
        **_points(desk, member, sum([lot.left for lot in lots])),
        "expires": last_moment(expires_ms),
        "days_left": days_left(expires_ms, desk.now_ms),
    }
    desk.room.tell(desk.library, "points.expiring", f"{member.id}:{expires_ms}", fields)


def _points(desk: Desk, member: Member, points: int) -> dict[str, Any]:
    return {
        "member": member.id,
        "contact": reached(member),
        "points": points,
        "balance": member.account.balance,
        "available": max(0, ledger.available(member.account, desk.now_ms)),
    }
