"""Acts: what a flow's ``call:`` step may do with loyalty. A command's id is the request's: nothing is done twice."""

from collections.abc import Mapping
from typing import Any

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers import api_shapes as shapes
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.asking import Asking, mark_of
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.page.passes import MESSAGE_MS, page_of
from beckon.journeys.loyalty_offers.reading import Reading
from beckon.journeys.part import Called, JourneyAct, JourneyParts

NAMES = frozenset(
    {"loyalty.issue", "loyalty.points", "loyalty.tag", "loyalty.wallet", "loyalty.balance", "loyalty.page"}
)


def acts(parts: JourneyParts) -> Mapping[str, JourneyAct]:
    """By name."""
    asking, reading = Asking(parts), Reading.of(parts)

    async def ask(called: Called, type_: str, given: Any) -> dict[str, Any]:
        given.mark = mark_of(given)
        return await asking.ask(called.workspace, type_, given, source="flow", id=called.command)

    async def member(called: Called) -> Member:
        found = await reading.member(called.workspace, _text(called, "member"))
        if found is None:
            raise Refused("member.unknown", "there is no such member", field="member")
        return found

    async def issue(called: Called) -> Any:
        given = asked.Issue(member=_text(called, "member"), definition=_text(called, "offer"))
        return await ask(called, "loyalty.issue_asked", given)

    async def points(called: Called) -> Any:
        amount = called.arguments.get("points")
        if type(amount) is not int:
            raise Refused("points.whole", "points are a whole number", field="points")
        given = asked.Points(
            member=_text(called, "member"), points=amount, why=str(called.arguments.get("why", ""))[:200]
        )
        return await ask(called, "loyalty.points_asked", given)

    async def tag(called: Called) -> Any:
        given = asked.Tag(member=_text(called, "member"), add=_words(called, "add"), remove=_words(called, "remove"))
        return await ask(called, "loyalty.tags_asked", given)

    async def wallet(called: Called) -> Any:
        return [shapes.held(one) for one in await reading.wallet(await member(called))]

    async def balance(called: Called) -> Any:
        return shapes.balance(reading.balance(await member(called)))

    async def page(called: Called) -> Any:
        until_ms = parts.clock.now_ms() + MESSAGE_MS
        return page_of(parts, called.workspace, (await member(called)).id, until_ms)

    return {
        "loyalty.issue": issue,
        "loyalty.points": points,
        "loyalty.tag": tag,
        "loyalty.wallet": wallet,
        "loyalty.balance": balance,
        "loyalty.page": page,
    }


def _text(called: Called, name: str) -> str:
    value = called.arguments.get(name)
    if type(value) is not str or not value:
        raise Refused("request.fields", f"{name} is missing", field=name)
    return value[:200]


def _words(called: Called, name: str) -> tuple[str, ...]:
    value = called.arguments.get(name, ())
    return tuple([str(one)[:100] for one in (value if isinstance(value, list | tuple) else [value])][:100])
