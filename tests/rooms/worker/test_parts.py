"""A journey's part in the turn: rows in the turn's transaction, answers for whoever asks, timers, what goes wrong."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from beckon.core.command import Post
from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.doors.api.reading import Reader
from beckon.inbox.entries import entry_for_post
from beckon.journeys.journey import Journey
from beckon.journeys.part import Called, JourneyParts, Turn
from beckon.starting import new_key
from beckon.store.changes import Row
from beckon.store.database import Database
from beckon.store.tables import MARKS
from beckon.workspaces import Library
from tests.rooms.worker.stage import ANN, Line, line

_LEFT = "tickets"


class Tickets:
    """A part that gives tickets away, as long as there are any; what is left is a row."""

    name = "tickets"
    types = frozenset({"ticket.asked", "ticket.broken"})
    timers = frozenset({"ticket"})
    big_timers: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.opened = 0
        self.fired: list[str] = []

    async def open(self, database: Database) -> None:
        self.opened += 1

    async def load(self, turn: Turn, events: Sequence[Event], timers: Sequence[Row]) -> None:
        rows = await turn.database.fetch("SELECT value FROM marks WHERE name = ?", (_LEFT,))
        turn.rooms[self.name] = {"left": int(rows[0][0] or 0) if rows else 3}

    def take(self, turn: Turn, library: Library, event: Event) -> None:
        if event.type == "ticket.broken":
            raise ValueError("a defect")
        room = turn.rooms[self.name]
        if room["left"] == 0:
            turn.answer(event, {"ticket": None, "why": "none is left"})
            return
        room["left"] -= 1
        turn.answer(event, {"ticket": 3 - room["left"]})
        turn.set_timer(turn.now_ms + 60_000, "ticket", event.id)
        contact = turn.contact(event)
        if contact is not None:
            post = Post(id="", workspace=event.workspace, kind="note", body="has a ticket")
            turn.post(entry_for_post(post, contact=contact.id, author="system", at_ms=turn.now_ms), contact)
        turn.emitted.append(
            Event(
                workspace=event.workspace, source="beckon/tickets", id=event.id, type="ticket.given", time_ms=0, data={}
            )
        )

    def fire(self, turn: Turn, due_ms: int, kind: str, subject: str) -> None:
        self.fired.append(subject)

    def write(self, turn: Turn) -> None:
        turn.changes.upsert(MARKS, (_LEFT, turn.rooms[self.name]["left"]))

    def remember(self, turn: Turn) -> None:
        pass

    def forget(self) -> None:
        pass


def journey(part: Tickets) -> Journey:
    """A journey around the part, with a route and an act."""

    def routes(parts: JourneyParts) -> Sequence[BaseRoute]:
        async def endpoint(request: Request) -> Response:
            allowed = await parts.allow(request.headers.get("authorization", ""), "write")
            return JSONResponse(allowed.workspace)

        return [Route("/tickets", endpoint)]

    async def give(called: Called) -> Any:
        if called.arguments.get("who") == "nobody":
            raise Refused("ticket.nobody", "nobody wants it")
        return {"command": called.command, "who": called.arguments["who"]}

    return Journey(
        name="tickets", title="Tickets", folder=Path(__file__).parent, part=lambda: part, routes=routes,
        event_types={"ticket.asked": {}, "ticket.given": {}, "ticket.broken": {}}, own_types=("ticket.given",),
        acts=lambda parts: {"tickets.give": give}, act_names=frozenset({"tickets.give"}),
    )  # fmt: skip


async def ask(stage: Line, event: Event, timeout_s: float = 10) -> Any:
    """Ask as a door would."""
    return await stage.beckon._ask(event, timeout_s)


async def test_whoever_asks_is_answered_in_the_journals_order(database_url: str, tmp_path: Path):
    part = Tickets()
    async with line(database_url, tmp_path, journeys={"tickets": journey(part)}) as stage:
        asked = [ask(stage, stage.event("ticket.asked", {"contact": ANN})) for _ in range(20)]
        answers = await asyncio.gather(*asked)
        assert [answer["ticket"] for answer in answers if answer["ticket"]] == [1, 2, 3]
        assert [answer["why"] for answer in answers if not answer["ticket"]] == ["none is left"] * 17
        await stage.quiet()
        assert await stage.rows("SELECT value FROM marks WHERE name = ?", _LEFT) == [(0,)]
        assert len(await stage.entries("note")) == 3
        assert len(await stage.events("ticket.given")) == 3


async def test_the_same_event_again_has_the_answer_of_its_first_time(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, journeys={"tickets": journey(Tickets())}) as stage:
        event = stage.event("ticket.asked")
        assert await ask(stage, event) == {"ticket": 1}
        assert await ask(stage, event) == {"ticket": 1}
        assert await ask(stage, stage.event("ticket.asked")) == {"ticket": 2}


async def test_what_nobody_answers_comes_to_nothing_in_time(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, journeys={"tickets": journey(Tickets())}) as stage:
        assert await ask(stage, stage.event("ticket.given"), 0.05) is None
        assert stage.beckon.wheel._asking == {}


async def test_a_defect_of_a_part_passes_over_its_event_and_keeps_the_others(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, journeys={"tickets": journey(Tickets())}) as stage:
        first, broken, second = (stage.event(type_) for type_ in ("ticket.asked", "ticket.broken", "ticket.asked"))
        await stage.accept(first, broken, second)
        assert await stage.rows("SELECT value FROM marks WHERE name = ?", _LEFT) == [(1,)]
        [failed] = await stage.events("event.failed")
        assert failed.data["type"] == "ticket.broken"


async def test_a_parts_timers_fire_over_a_restart_too(database_url: str, tmp_path: Path):
    part = Tickets()
    async with line(database_url, tmp_path, journeys={"tickets": journey(part)}) as stage:
        await stage.accept(stage.event("ticket.asked", id_="one"))
        await stage.restart()
        assert part.opened == 2
        await stage.passes(59_000)
        assert part.fired == []
        await stage.passes(2_000)
        assert part.fired == ["one"]
        assert (await stage.waiting())["timers"] == 0


FLOW = """\
flow: give
on: visit.start
steps:
  - call: tickets.give
    with: { who: "{{ event.data.who }}" }
    save: given
    on_error: [ { note: "{{ given.error.why }}" }, { stop: refused } ]
  - note: "{{ given.who }}"
"""


async def test_a_flow_calls_a_journeys_act_with_the_commands_id(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, FLOW, journeys={"tickets": journey(Tickets())}) as stage:
        await stage.says("visit.start", {"who": "Ann", "contact": ANN})
        await stage.says("visit.start", {"who": "nobody", "contact": ANN})
        assert [entry["text"] for entry in await stage.entries("note")] == ["Ann", "nobody wants it"]
        by_status = {run.status: run for run in await stage.runs()}
        assert by_status.keys() == {"done", "stopped"}
        assert by_status["done"].variables["given"]["command"].startswith("cmd_")


async def test_what_only_the_journey_says_is_refused_from_outside(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, journeys={"tickets": journey(Tickets())}) as stage:
        door = Reader(stage.library, "till")
        assert door.bare(b'{"type": "ticket.asked"}').type == "ticket.asked"
        with pytest.raises(Refused) as refused:
            door.bare(b'{"type": "ticket.given"}')
        assert refused.value.code == "event.type_reserved"


async def test_a_journeys_route_asks_for_a_key(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, journeys={"tickets": journey(Tickets())}) as stage:
        token = await new_key(stage.beckon.database, "main", "till", "write")
        transport = httpx.ASGITransport(stage.beckon.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://beckon") as client:
            assert (await client.get("/tickets")).status_code == 401
            answer = await client.get("/tickets", headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.json()) == (200, "main")
