"""Campaigns for the team: what came of each, as figures and a chart; why it gave nothing; a round begun or stopped."""

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from beckon.core.errors import BeckonError, Refused
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.earning import REASONS
from beckon.journeys.loyalty_offers.reading import Figures
from beckon.journeys.loyalty_offers.rules import NEVER_MS, CampaignRule
from beckon.journeys.loyalty_offers.team import chart
from beckon.journeys.loyalty_offers.team.doors import Team, to, wrong
from beckon.journeys.part import Visit

#: How many days a campaign's page shows, by what is asked for.
SPANS = {"14": 14, "30": 30, "90": 90}
_ROUNDS = 10
STATES = {
    "running": ("Running", "good"),
    "paused": ("Paused", "warn"),
    "not_started": ("Not begun", "note"),
    "ended": ("Over", ""),
    "removed": ("Removed", ""),
}
_ON = {
    "purchase": "A purchase",
    "sign_up": "A sign-up",
    "code": "A promo code",
    "round": "Started by the team, it goes through all members",
}
_SAID = {"started": "It is under way through all members.", "stopped": "It was stopped."}


class DayLine(msgspec.Struct, frozen=True):
    """One day of the table beneath the chart."""

    day: str
    reached: int
    issued: int
    redeemed: int
    points: int
    cost: int


async def show_list(team: Team, visit: Visit) -> Response:
    """``GET /console/campaigns``"""
    figures = await team.reading.figures(visit.workspace, 14)
    return await visit.show(
        "loyalty_offers/campaigns.html",
        title="Campaigns",
        topics=tuple(f"journey:campaign:{one.name}" for one in figures[:30]),
        figures=figures,
        states=STATES,
        say=team.speech(visit),
    )


async def show(team: Team, visit: Visit) -> Response:
    """``GET /console/campaigns/{name}``"""
    return await _page(team, visit)


async def start(team: Team, visit: Visit) -> Response:
    """``POST …/start``: go through all members."""
    return await _round(team, visit, stop=False)


async def stop(team: Team, visit: Visit) -> Response:
    """``POST …/stop``"""
    return await _round(team, visit, stop=True)


async def _round(team: Team, visit: Visit, *, stop: bool) -> Response:
    name = visit.path("name")
    try:
        if not stop and await visit.field("sure") != "yes":
            raise Refused("form.sure", "tick the box to say that you mean all members", field="sure")
        await team.ask(visit, "loyalty.round_asked", asked.Round(campaign=name, stop=stop))
    except BeckonError as error:
        return await _page(team, visit, error)
    return to(f"/console/campaigns/{name}?done={'stopped' if stop else 'started'}")


async def _page(team: Team, visit: Visit, error: BeckonError | None = None) -> Response:
    name = visit.path("name")
    asked_span = visit.query("days", 3)
    days = SPANS.get(asked_span, 30)
    found = {one.name: one for one in await team.reading.figures(visit.workspace, days)}.get(name)
    if found is None:
        return await visit.missing("campaign")
    rule = team.reading.rules(visit.workspace).campaigns.get(name)
    rounds = await team.reading.rounds(visit.workspace, name, _ROUNDS)
    first, lines = by_day(found, visit.now_ms, days)
    why, status = wrong(error) if error is not None else ("", 200)
    return await visit.show(
        "loyalty_offers/campaign.html",
        title=found.title,
        http_status=status,
        topics=(f"journey:campaign:{name}",),
        figures=found,
        state=STATES[found.state],
        campaign=rule.campaign if rule is not None else None,
        span=_span(team, visit, rule),
        on=_ON,
        picture=chart.bars(
            f"{found.title}, day by day",
            first,
            (
                chart.Series("reached", "reached", tuple(one.reached for one in lines)),
                chart.Series("issued", "issued", tuple(one.issued for one in lines)),
                chart.Series("redeemed", "redeemed", tuple(one.redeemed for one in lines)),
            ),
        ),
        lines=[one for one in reversed(lines) if any((one.reached, one.issued, one.redeemed, one.points, one.cost))],
        days=days,
        spans=SPANS,
        skipped=sorted(found.skipped.items(), key=lambda pair: (-pair[1], pair[0])),
        skips=sum(found.skipped.values()),
        reasons=REASONS,
        rounds=rounds,
        running=next((one for one in rounds if one.state == "running"), None),
        say=team.speech(visit),
        wrong=why,
        done=_SAID.get(visit.query("done", 20), "") if error is None else "",
    )


def by_day(figures: Figures, now_ms: int, days: int) -> tuple[int, Sequence[DayLine]]:
    """(the first day, a line for each of the newest ``days``): those on which nothing happened too."""
    first = now_ms // 86_400_000 - days + 1
    known = {row[0]: row[1:] for row in figures.days}
    lines = [
        DayLine(f"{chart.day_of(day):%a %-d %b}", *known.get(day, (0, 0, 0, 0, 0)))
        for day in range(first, first + days)
    ]
    return first, lines


def _span(team: Team, visit: Visit, rule: CampaignRule | None) -> str:
    if rule is None:
        return ""
    say = team.speech(visit)
    begins = f"from {say.day(rule.starts_ms)}" if rule.starts_ms else ""
    ends = f"until {say.last_day(rule.ends_ms)}" if rule.ends_ms < NEVER_MS else "without an end"
    return f"{begins} {ends}".strip()
