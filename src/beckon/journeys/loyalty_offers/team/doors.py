"""The team's pages: members and what is theirs, campaigns and what came of them. What is done is asked of the turn."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from beckon.core import ids
from beckon.core.errors import BeckonError, Refused
from beckon.journeys.loyalty_offers.asking import Asking, mark_of
from beckon.journeys.loyalty_offers.page.speech import Speech
from beckon.journeys.loyalty_offers.reading import Reading
from beckon.journeys.part import JourneyParts, Visit
from beckon.web.problems import status_of

_ONCE_MAX = 64


class Team:
    """What the team's views share."""

    def __init__(self, parts: JourneyParts) -> None:
        self.parts = parts
        self.reading = Reading.of(parts)
        self.asking = Asking(parts)

    def speech(self, visit: Visit) -> Speech:
        """How the team's pages write points, days and amounts."""
        library = self.parts.workspaces.get(visit.workspace)
        return Speech("en", library.settings.time_zone if library is not None else "UTC", visit.now_ms)

    def region(self, visit: Visit) -> str:
        """For phone numbers that are written without a country."""
        library = self.parts.workspaces.get(visit.workspace)
        return library.settings.region if library is not None else ""

    async def ask(self, visit: Visit, type_: str, given: Any) -> dict[str, Any]:
        """What the turn answers to a person's act; a form that was sent twice acts once."""
        once = (await visit.field("once"))[:_ONCE_MAX] or ids.fresh("once")
        given.mark = mark_of(given)
        return await self.asking.ask(
            visit.workspace, type_, given, source=f"console/{visit.session.person.id}", id=once
        )


View = Callable[[Team, Visit], Awaitable[Response]]


def routed(team: Team, pages: dict[str, View], acts: dict[str, View]) -> list[BaseRoute]:
    """Routes for signed-in people: what is looked at, and what is done."""

    def signed(view: View) -> Any:
        async def for_visit(visit: Visit) -> Response:
            return await view(team, visit)

        return team.parts.signed(for_visit)

    return [
        *(Route(path, signed(view), methods=["GET"]) for path, view in pages.items()),
        *(Route(path, signed(view), methods=["POST"]) for path, view in acts.items()),
    ]


def to(url: str) -> Response:
    """Go on to another page after a form."""
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})


def wrong(error: BeckonError) -> tuple[str, int]:
    """What a page says of a refused act, and its status."""
    why = error.why[:1].upper() + error.why[1:]
    return f"{why}{'' if why.endswith('.') else '.'}", status_of(error)


def whole(text: str, field: str, most: int = 10**9) -> int:
    """A whole number as people type it: ``1,200``, ``-50``. Raises ``Refused``."""
    digits = text.replace(",", "").replace(" ", "").replace("−", "-").replace("+", "")
    try:
        number = int(digits[:20])
    except ValueError:
        raise Refused("form.number", "write a whole number, such as 50 or -50", field=field) from None
    if not -most <= number <= most:
        raise Refused("form.number", f"write a number up to {most:,}", field=field)
    return number
