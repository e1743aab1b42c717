"""Steps that leave the house: web calls and Python steps, their outcomes, retries and failures."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.rooms.outbox.party import Asked, Party, party, reply
from tests.rooms.worker.stage import HOUR_MS, SECOND_MS, line, visit

HTTP = """\
flow: asking
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - http: "http://127.0.0.1:{{ event.data.port }}/visits/{{ event.data.visit }}"
    method: PUT
    headers: { X-Source: beckon }
    body: { state: invited }
    secret: dms
    attempts: 3
    timeout: 5s
    save: answer
    on_error:
      - note: "{{ answer.error.code }}"
      - stop: failed
  - note: "{{ answer.status }} {{ answer.body.number }}"
"""
SECRETS = "secrets: { dms: Bearer of-the-dms }\n"
CALL = """\
flow: calling
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - call: cases.file
    with: { visit: "{{ event.data.visit }}", n: 7 }
    save: case
    on_error:
      - note: "{{ case.error.code }}: {{ case.error.why }}"
      - stop: failed
  - note: "case {{ case.number }}"
"""
STEPS = """\
import asyncio

filed = []


async def file(visit: str, n: int) -> dict:
    filed.append(visit)
    if visit == "V-bad":
        raise ValueError("no such visit")
    if visit == "V-odd":
        return {"number": object()}
    return {"number": f"C-{n}"}


async def _hidden() -> None: ...


def plain() -> None: ...
"""


async def ask(other: Party, url: str, folder: Path, **fields: Any) -> tuple[Any, list[str], Any]:
    """Run the web call once to its end: the run, the notes, and the line."""
    async with line(url, folder, HTTP, more=SECRETS) as here:
        await here.says("visit.start", visit(1, port=other.port, **fields))
        for _ in range(3):
            await here.passes(10 * SECOND_MS)
        return await here.run(), [entry["text"] for entry in await here.entries("note")], await here.waiting()


async def test_a_web_call_brings_its_answer_home(database_url: str, tmp_path: Path):
    async with party(reply(b'{"number": 17}')) as other:
        run, notes, waiting = await ask(other, database_url, tmp_path)
        assert notes == ["200 17"]
        assert run.status == "done"
        [asked] = other.asked
        assert (asked.method, asked.target, asked.body) == ("PUT", "/visits/V-1", b'{"state":"invited"}')
        assert asked.headers["authorization"] == "Bearer of-the-dms"
        assert asked.headers["x-source"] == "beckon"
        assert asked.headers["idempotency-key"].startswith("cmd_")
        assert waiting == {"waits": 0, "timers": 0, "outbox": 0}


async def test_a_refusal_takes_the_way_of_the_error(database_url: str, tmp_path: Path):
    async with party(reply(b"gone", status="410 Gone")) as other:
        run, notes, waiting = await ask(other, database_url, tmp_path)
        assert (notes, run.ended) == (["http.status"], "failed")
        assert len(other.asked) == 1
        assert waiting == {"waits": 0, "timers": 0, "outbox": 0}


async def test_a_server_that_is_busy_is_asked_again_with_the_same_key(database_url: str, tmp_path: Path):
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> bytes:
        return reply(b'{"number": 1}') if len(other.asked) > 2 else reply(status="503 Busy")

    async with party(answer) as other:
        run, notes, _ = await ask(other, database_url, tmp_path)
        assert (notes, run.status) == (["200 1"], "done")
        assert len(other.asked) == 3
        assert len({asked.headers["idempotency-key"] for asked in other.asked}) == 1


async def test_a_server_that_stays_busy_is_given_up(database_url: str, tmp_path: Path):
    async with party(reply(status="500 No")) as other:
        run, notes, waiting = await ask(other, database_url, tmp_path)
        assert (notes, run.ended) == (["http.status"], "failed")
        assert len(other.asked) == 3
        assert waiting == {"waits": 0, "timers": 0, "outbox": 0}


async def test_an_answer_that_is_no_json_is_kept_as_text(database_url: str, tmp_path: Path):
    flow = HTTP.replace("{{ answer.status }} {{ answer.body.number }}", "{{ answer.body }}")
    async with party(reply(b"just words")) as other, line(database_url, tmp_path, flow, more=SECRETS) as here:
        await here.says("visit.start", visit(1, port=other.port))
        assert [entry["text"] for entry in await here.entries("note")] == ["just words"]


async def test_a_redirect_is_not_followed_with_the_secret(database_url: str, tmp_path: Path):
    async with party(reply()) as elsewhere:
        location = f"Location: {elsewhere.url}/stolen\r\n"
        async with party(reply(status="302 Found", headers=location)) as other:
            await ask(other, database_url, tmp_path)
        assert elsewhere.asked == []


async def test_a_web_call_that_a_crash_cut_short_is_made_again_with_the_same_key(database_url: str, tmp_path: Path):
    begun = asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> bytes:
        begun.set()
        if asked.connection == 1:
            await asyncio.Event().wait()
        return reply(b'{"number": 2}')

    async with party(answer) as other, line(database_url, tmp_path, HTTP, more=SECRETS) as here:
        await here.beckon.intake.accept([here.event("visit.start", visit(1, port=other.port))])
        await begun.wait()
        await here.crash()
        await here.open()
        await here.quiet()
        assert [entry["text"] for entry in await here.entries("note")] == ["200 2"]
        first, second = other.asked
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


async def test_a_run_waits_for_its_own_answer_while_messages_to_its_contact_go_on(database_url: str, tmp_path: Path):
    go_on, begun = asyncio.Event(), asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> bytes:
        begun.set()
        await go_on.wait()
        return reply(b'{"number": 3}')

    send = 'flow: send\non: visit.other\nsteps:\n  - send: { text: "beside" }\n    via: email\n'
    async with party(answer) as other, line(database_url, tmp_path, HTTP, send, more=SECRETS) as here:
        await here.beckon.intake.accept([here.event("visit.start", visit(1, port=other.port))])
        await begun.wait()
        await here.beckon.intake.accept([here.event("visit.other", visit(1))])
        async with asyncio.timeout(300):
            while not here.handed:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        go_on.set()
        await here.quiet()
        assert [entry["text"] for entry in await here.entries("note")] == ["200 3"]


# Python steps.


@pytest.mark.parametrize(
    ("number", "notes", "ended"),
    [
        ("1", ["case C-7"], ""),
        ("bad", ["call.failed: cases.file failed: ValueError"], "failed"),
        ("odd", ["call.failed: cases.file failed: TypeError"], "failed"),
    ],
)
async def test_a_python_step_is_called_and_its_result_or_failure_comes_home(
    number: str, notes: list[str], ended: str, database_url: str, tmp_path: Path
):
    async with line(database_url, tmp_path, CALL, files={"steps/cases.py": STEPS}) as here:
        await here.says("visit.start", visit(number))
        assert [entry["text"] for entry in await here.entries("note")] == notes
        assert (await here.run()).ended == ended
        assert await here.waiting() == {"waits": 0, "timers": 0, "outbox": 0}


@pytest.mark.parametrize("act", ["cases.nothing", "cases._hidden", "cases.plain", "elsewhere.file", "os.system"])
async def test_only_public_async_functions_of_the_workspace_can_be_called(act: str, database_url: str, tmp_path: Path):
    flow = CALL.replace("cases.file", act)
    async with line(database_url, tmp_path, flow, files={"steps/cases.py": STEPS}) as here:
        await here.says("visit.start", visit(1))
        [note] = [entry["text"] for entry in await here.entries("note")]
        assert note.startswith("call.act: ")
        assert (await here.run()).ended == "failed"


async def test_a_failure_without_a_way_for_errors_ends_the_run_and_the_team_is_told(database_url: str, tmp_path: Path):
    flow = "\n".join(row for row in CALL.splitlines() if not row.startswith(("    on_error", "      -")))
    async with line(database_url, tmp_path, flow, files={"steps/cases.py": STEPS}) as here:
        await here.says("visit.start", visit("bad"))
        run = await here.run()
        assert run.status == "failed"
        assert run.error is not None
        assert run.error.code == "call.failed"
        assert len(await here.entries("error")) == 1


async def test_an_outcome_that_never_comes_ends_the_wait(database_url: str, tmp_path: Path):
    flow = CALL.replace("    save: case\n", "    save: case\n    timeout: 1h\n")
    steps = "import asyncio\n\n\nasync def file(visit: str, n: int) -> None:\n    await asyncio.Event().wait()\n"
    async with line(database_url, tmp_path, flow, files={"steps/cases.py": steps}, drain_s=0) as here:
        here.rests = False
        [answer] = await here.beckon.intake.accept([here.event("visit.start", visit(1))])
        await here.beckon.wheel.settled(answer.position)
        here.clock.drag(HOUR_MS)
        [answer] = await here.beckon.intake.accept([here.event("visit.other")])
        await here.beckon.wheel.settled(answer.position)
        assert [entry["text"] for entry in await here.entries("note")] == ["flow.timeout: no outcome came in time"]
        assert (await here.run()).ended == "failed"
