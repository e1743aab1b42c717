"""Members for the team: the list, and one member with profile, points, wallet and purchases, and what may be done."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlencode

from starlette.responses import Response

from beckon.core.errors import BeckonError, Refused
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.earning import REASONS
from beckon.journeys.loyalty_offers.member import Member, name_of
from beckon.journeys.loyalty_offers.offer import TRANSITIONS
from beckon.journeys.loyalty_offers.team import lists
from beckon.journeys.loyalty_offers.team.doors import Team, to, whole, wrong
from beckon.journeys.part import Visit
from beckon.web.locales import ENDONYMS

#: What a person of the team does with an offer; a till does the rest.
ACTS = ("revoke", "reinstate")
ENTRIES, PAST, SALES = 12, 20, 6
_WHY_MAX = 200
_SAID = {
    "points": "The points are booked.",
    "issue": "The offer is in the wallet.",
    "revoke": "The offer was taken back.",
    "reinstate": "The offer is in the wallet again.",
    "forget": "The member was forgotten: what was personal is gone.",
}


async def show_list(team: Team, visit: Visit) -> Response:
    """``GET /console/members``"""
    word = visit.query("search", 200)
    if word:
        found, more = await lists.search(visit.reader, visit.workspace, word, team.region(visit)), ""
    else:
        found, more = await lists.members(visit.reader, visit.workspace, visit.query("after", 60))
    titles = {tier.tier: tier.title or tier.tier for _, tier in team.reading.rules(visit.workspace).tiers}
    return await visit.show(
        "loyalty_offers/members.html",
        title="Members",
        members=found,
        name_of=name_of,
        tiers=titles,
        word=word,
        say=team.speech(visit),
        more="/console/members?" + urlencode({"after": more}) if more else "",
    )


async def show(team: Team, visit: Visit) -> Response:
    """``GET /console/members/{member}``"""
    return await _page(team, visit)


async def adjust_points(team: Team, visit: Visit) -> Response:
    """``POST …/points``: add or take points, with a reason."""

    async def act(member: Member) -> str:
        points = whole(await visit.field("points"), "points")
        why = await _why(visit)
        await team.ask(visit, "loyalty.points_asked", asked.Points(member=member.id, points=points, why=why))
        return "points"

    return await _posted(team, visit, act)


async def issue(team: Team, visit: Visit) -> Response:
    """``POST …/offers``: give an offer, with a reason."""

    async def act(member: Member) -> str:
        given = asked.Issue(member=member.id, definition=(await visit.field("offer"))[:100], why=await _why(visit))
        await team.ask(visit, "loyalty.issue_asked", given)
        return "issue"

    return await _posted(team, visit, act)


async def act_on_offer(team: Team, visit: Visit) -> Response:
    """``POST …/act``: take an offer back, or give it back."""

    async def act(member: Member) -> str:
        name = await visit.field("act")
        if name not in ACTS:
            raise Refused("offer.act", f"an offer can't be {name[:40]!r} here", field="act")
        given = asked.Act(
            member=member.id,
            offer=(await visit.field("offer"))[:80],
            act=name,
            by=visit.session.person.id,
            why=await _why(visit),
        )
        await team.ask(visit, "loyalty.offer_asked", given)
        return name

    return await _posted(team, visit, act)


async def forget(team: Team, visit: Visit) -> Response:
    """``POST …/forget``: for good; the form says the word."""

    async def act(member: Member) -> str:
        if (await visit.field("sure")).strip().lower() != "forget":
            raise Refused("form.sure", "type “forget” to say that you mean it", field="sure")
        await team.ask(visit, "loyalty.forget_asked", asked.Forget(member=member.id))
        return "forget"

    return await _posted(team, visit, act)


async def _posted(team: Team, visit: Visit, act: Callable[[Member], Awaitable[str]]) -> Response:
    """The frame of every form: the member's page again, with what was refused, or with what is done (``act`` says its
    name)."""
    member = await _found(team, visit)
    if member is None:
        return await visit.missing("member")
    try:
        done = await act(member)
    except BeckonError as error:
        return await _page(team, visit, error)
    return to(f"/console/members/{member.id}?done={done}")


async def _page(team: Team, visit: Visit, error: BeckonError | None = None) -> Response:
    member = await _found(team, visit)
    if member is None:
        return await visit.missing("member")
    before = visit.query("before", 20)
    reading, rules = team.reading, team.reading.rules(visit.workspace)
    entries = await reading.ledger(member, ENTRIES + 1, int(before) if before.isascii() and before.isdigit() else 0)
    sales = await lists.sales(visit.reader, visit.workspace, member.recent[:SALES])
    why, status = wrong(error) if error is not None else ("", 200)
    return await visit.show(
        "loyalty_offers/member.html",
        title=name_of(member.profile) or "Member",
        http_status=status,
        topics=(f"journey:member:{member.id}",),
        member=member,
        called=name_of(member.profile) or member.profile.email or member.id,
        balance=reading.balance(member),
        wallet=await reading.wallet(member),
        past=await reading.past(member, PAST),
        entries=entries[:ENTRIES],
        older=f"/console/members/{quote(member.id)}?before={entries[ENTRIES - 1].number}#points"
        if len(entries) > ENTRIES
        else "",
        sales=sales,
        offers=sorted(rules.offers),
        titles={name: rule.definition.title for name, rule in rules.offers.items()},
        campaigns={name: rule.campaign.title for name, rule in rules.campaigns.items()},
        may={state: [act for act in ACTS if act in moves] for state, moves in TRANSITIONS.items()},
        reasons=REASONS,
        currency=rules.currency,
        decimals=rules.decimals,
        endonyms=ENDONYMS,
        say=team.speech(visit),
        wrong=why,
        done=_SAID.get(visit.query("done", 20), "") if error is None else "",
    )


async def _found(team: Team, visit: Visit) -> Member | None:
    return await team.reading.member(visit.workspace, visit.path("member"))


async def _why(visit: Visit) -> str:
    why = (await visit.field("why")).strip()
    if not why:
        raise Refused("form.why", "say why: the ledger keeps it", field="why")
    if len(why) > _WHY_MAX:
        raise Refused("form.why", f"a reason has {_WHY_MAX} characters at most", field="why")
    return why
