"""Flows that answer whoever asked, and find records: within the turn, over both databases, many at once."""

import asyncio
from pathlib import Path
from typing import Any

from beckon.core.event import Event
from beckon.core.ids import fresh
from tests.rooms.worker.stage import Line, line

FLOW = """\
flow: who
on: door.asked
key: "{{ event.data.id }}"
steps:
  - find: people
    key: "{{ event.data.phone }}"
    save: person
    on_missing: [ { answer: { known: false } }, { stop: unknown } ]
  - find: places
    key: "{{ person.place }}"
    save: place
  - answer: { name: "{{ person.name }}", place: "{{ place.title | default: 'nowhere' }}" }
  - wait_for: door.asked
    match: { id: "{{ event.data.id }}" }
    timeout: 1h
    save: more
  - answer: { said: "{{ more.data.said }}" }
"""
TWICE = "flow: twice\non: door.asked\nsteps: [ { answer: { number: 1 } }, { answer: { number: 2 } } ]\n"
TYPES = {"schemas/door.asked.json": "{}"}


async def put(stage: Line, collection: str, rows: dict[str, Any]) -> None:
    """Put records as the API does."""
    event = Event(
        workspace="main", source="beckon/api", id=fresh("api"), type="record.put", time_ms=0,
        data={"collection": collection, "rows": [[key, body] for key, body in rows.items()]},
    )  # fmt: skip
    await stage.accept(event)


async def ask(stage: Line, timeout_s: float = 10, **fields: Any) -> Any:
    """Ask as a door would."""
    return await stage.beckon._ask(stage.event("door.asked", fields), timeout_s)


async def test_a_flow_finds_a_record_and_answers_within_its_turn(database_url: str, tmp_path: Path) -> None:
    async with line(database_url, tmp_path, FLOW, files=TYPES) as stage:
        await put(
            stage,
            "people",
            {"+32 470 00 00 01": {"name": "Bo", "place": "A"}, "+32470000002": {"name": "Cy", "place": "Z"}},
        )
        await put(stage, "places", {"A": {"title": "Antwerp"}})
        assert await ask(stage, id="1", phone="0032470000001") == {"name": "Bo", "place": "Antwerp"}
        assert await ask(stage, id="2", phone="+32470000002") == {"name": "Cy", "place": "nowhere"}
        assert await ask(stage, id="3", phone="+32470000009") == {"known": False}
        assert await ask(stage, id="1", said="again") == {"said": "again"}
        stage.rests = False
        by_key = {run.key: run for run in await stage.runs()}
        assert (by_key["1"].status, by_key["2"].status, by_key["3"].ended) == ("done", "waiting", "unknown")
        assert by_key["1"].variables["person"] == {"name": "Bo", "place": "A", "key": "32470000001"}
        assert (await stage.waiting())["waits"] == 1, "only what is waited for from outside is a row"


async def test_many_who_ask_at_once_are_each_answered_with_their_own(database_url: str, tmp_path: Path) -> None:
    async with line(database_url, tmp_path, FLOW, files=TYPES) as stage:
        await put(stage, "people", {f"+3247000{n:04}": {"name": f"P{n}", "place": "A"} for n in range(60)})
        asked = [ask(stage, id=str(n), phone=f"+3247000{n:04}") for n in range(60)]
        answers = await asyncio.gather(*asked)
        assert [answer["name"] for answer in answers] == [f"P{n}" for n in range(60)]
        stage.rests = False


async def test_a_record_is_put_again_and_removed(database_url: str, tmp_path: Path) -> None:
    async with line(database_url, tmp_path, FLOW, files=TYPES) as stage:
        stage.rests = False
        await put(stage, "people", {"+32470000001": {"name": "Bo", "place": ""}})
        await put(stage, "people", {"+32470000001": {"name": "Bob", "place": ""}})
        assert (await ask(stage, id="1", phone="+32470000001"))["name"] == "Bob"
        await stage.accept(
            stage.event("record.removed", {"collection": "people", "key": "+32 470 000001"}, source="beckon/api")
        )
        assert await ask(stage, id="2", phone="+32470000001") == {"known": False}
        assert await stage.rows("SELECT count(*) FROM records") == [(0,)]


async def test_a_record_of_another_workspace_is_not_found(database_url: str, tmp_path: Path) -> None:
    async with line(database_url, tmp_path, FLOW, files=TYPES) as stage:
        await put(stage, "people", {"+32470000001": {"name": "Bo", "place": ""}})
        await stage.rows("UPDATE records SET workspace = 'other' RETURNING key")
        assert await ask(stage, id="1", phone="+32470000001") == {"known": False}


async def test_what_no_door_takes_is_left_out_and_the_rest_is_put(database_url: str, tmp_path: Path) -> None:
    async with line(database_url, tmp_path, FLOW, files=TYPES) as stage:
        rows: list[Any] = [["", {}], ["good", {"a": 1}], ["bad"], None, ["worse", 5]]
        await stage.accept(stage.event("record.put", {"collection": "people", "rows": rows}, source="beckon/api"))
        assert await stage.rows("SELECT key FROM records") == [("good",)]


async def test_a_second_answer_to_the_same_question_fails_the_run_and_leaves_the_first(
    database_url: str, tmp_path: Path
) -> None:
    async with line(database_url, tmp_path, TWICE, files=TYPES) as stage:
        assert await ask(stage, id="1") == {"number": 1}
        run = await stage.run()
        assert run.error is not None
        assert (run.status, run.error.code) == ("failed", "flow.answered_twice")
