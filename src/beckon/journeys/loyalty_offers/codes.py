"""Promo codes: single-use ones of a list, multi-use ones of a campaign; who guesses is locked out for a while."""

from typing import Any

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers import asked, earning
from beckon.journeys.loyalty_offers.desk import Desk
from beckon.journeys.loyalty_offers.joining import give_campaign
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.room import Code
from beckon.journeys.loyalty_offers.rules import fold

CODE_MIN, CODE_MAX = 4, 64


def codes_asked(desk: Desk, given: asked.MakeCodes) -> dict[str, Any]:
    """``loyalty.codes_asked``: add single-use codes to a list; those that are there already stay as they are."""
    if not given.list or len(given.list) > 100:
        raise Refused("code.list", "say which list the codes are of", field="list")
    folded = [fold(code) for code in given.codes]
    if len(folded) > asked.CODES_MAX or any(not CODE_MIN <= len(code) <= CODE_MAX for code in folded):
        raise Refused(
            "code.form",
            f"{asked.CODES_MAX} codes at most, of {CODE_MIN} to {CODE_MAX} letters and digits",
            field="codes",
        )
    made = 0
    for code in dict.fromkeys(folded):
        if (desk.workspace, code) not in desk.room.codes and code not in desk.rules.codes:
            desk.room.put_code(Code(desk.workspace, code, given.list))
            made += 1
    return {"list": given.list, "made": made}


def code_asked(desk: Desk, given: asked.Code) -> dict[str, Any]:
    """``loyalty.code_asked``: a member says a code. A wrong one counts, and is kept with the refusal."""
    member = desk.room.member(desk.workspace, given)
    if member.state != "active":
        raise Refused("member.suspended", f"this member is {member.state}", field="member")
    if member.locked_until_ms > desk.now_ms:
        raise Refused("code.locked_out", "too many wrong codes: try again later", field="code")
    _slow_down(desk, member)
    folded = fold(given.code[:200])
    single = desk.room.codes.get((desk.workspace, folded))
    rule = desk.rules.codes.get(folded)
    if single is not None:
        rule = desk.rules.code_lists.get(single.list)
    if rule is None:
        _wrong(desk, member)
        raise Refused("code.unknown", "there is no such code", field="code")
    if single is not None and single.uses:
        if single.member != member.id:
            _wrong(desk, member)  # trying what others had is guessing, too
        raise Refused("code.used", "the code was used already", field="code")
    campaign = rule.campaign
    if single is None:
        if campaign.limits.member is None and member.codes.get(folded):
            raise Refused("code.used", "you have used this code already", field="code")
        if campaign.code_uses is not None and desk.book.totals_of(rule.name).reached >= campaign.code_uses:
            raise Refused("code.used_up", "the code was used as often as allowed", field="code")
    before = set(member.offers)
    balance = member.account.balance
    facts = earning.facts_at(desk.rules, desk.now_ms)
    code = give_campaign(desk, member, rule.name, facts, "code", f"{folded}:{member.codes.get(folded, 0)}")
    if code:
        raise Refused("code.not_given", earning.REASONS[code], field="code")
    if single is not None:
        single.uses, single.member, single.used_ms = 1, member.id, desk.now_ms
        desk.room.put_code(single)
    else:
        member.codes[folded] = member.codes.get(folded, 0) + 1
    member.claimed_ms = [*member.claimed_ms, desk.now_ms][-desk.rules.programme.codes.taken_max :]
    member.guessed_ms = []
    desk.settle_due(member)
    desk.room.put_member(member)
    return {
        "member": member.id,
        "campaign": rule.name,
        "points": member.account.balance - balance,
        "offers": [offer for offer in member.offers if offer not in before],
        "balance": member.account.balance,
    }


def _slow_down(desk: Desk, member: Member) -> None:
    since = desk.now_ms - desk.rules.taken_within_ms
    taken = [at_ms for at_ms in member.claimed_ms if at_ms > since]
    if len(taken) >= desk.rules.programme.codes.taken_max:
        raise Refused("code.slow_down", "as many codes as allowed were used: try again later", field="code")


def _wrong(desk: Desk, member: Member) -> None:
    since = desk.now_ms - desk.rules.wrong_within_ms
    member.guessed_ms = [*[at_ms for at_ms in member.guessed_ms if at_ms > since], desk.now_ms]
    if len(member.guessed_ms) >= desk.rules.programme.codes.wrong_max:
        member.guessed_ms = []
        member.locked_until_ms = desk.now_ms + desk.rules.lock_out_ms
    desk.room.put_member(member)
