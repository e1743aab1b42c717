"""Answers by hand, by a state machine, and badly on purpose: what a PBX that asks the prototype's URL gets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree.ElementTree import fromstring

import httpx
import pytest

from beckon.core.errors import Refused
from beckon.journeys.call_processing.dialect import Asked
from beckon.journeys.call_processing.rehearsal import read_machine
from tests.journeys.test_calls_kept import desk
from tests.kit.switches import until
from tests.kit.team import Desk, at_desk, served

PAGE = "/console/calls/prototype"


class Bench:
    def __init__(self, owner: Desk, urls: dict[str, str]) -> None:
        self.owner = owner
        self.urls = urls

    async def ask(self, dialect: str = "uis", digits: str = "None", session: str = "s-1") -> httpx.Response:
        """A PBX asks."""
        if dialect == "uis":
            fields = {"cdr_id": "1", "call_session_id": session, "numa": "32470123456", "input_result": digits}
            return await self.owner.client.get(self.urls["uis"], params=fields)
        if dialect == "jambonz":
            fields = {"call_sid": session, "from": "+32470123456", "to": "+3221234567", "direction": "inbound"}
            return await self.owner.client.post(self.urls["jambonz"], json=fields)
        fields = {"CallSid": session, "From": "+32470123456", "To": "+3221234567", "Direction": "inbound"}
        return await self.owner.client.post(self.urls["twiml"], data=fields)

    async def question(self) -> str:
        """The question that waits, as the page has it."""
        for _ in range(30_000):
            page = (await self.owner.get(PAGE)).text
            if 'name="question" value="' in page:
                return page.split('name="question" value="')[1].split('"')[0]
            await asyncio.sleep(0.01)
        raise AssertionError("no question waits")

    async def by_hand(self, dialect: str = "uis", **fields: str) -> httpx.Response:
        """A question, answered on the page."""
        asking = asyncio.ensure_future(self.ask(dialect))
        answered = await self.owner.post(f"{PAGE}/answer", question=await self.question(), **fields)
        assert answered.status_code == 303, answered.text
        return await asking


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path) as on, at_desk(on.beckon) as owner:
        page = (await owner.get(PAGE)).text
        address = on.beckon.settings.address
        urls = [one.split("<")[0].replace(address, "") for one in page.split('prototype-url">')[1:]]
        yield Bench(owner, {url.split("/")[4]: url for url in urls})


async def test_a_question_waits_on_the_page_and_is_answered_by_form(bench: Bench) -> None:
    answer = await bench.by_hand(phones="+3225550101, +3225550102", hint="A courier.", say="One moment.", code="2")
    assert answer.json() == {
        "text": "One moment.", "phones": ["3225550101", "3225550102"], "operator_text": "A courier.",
        "returned_code": 2,
    }  # fmt: skip
    page = (await bench.owner.get(PAGE)).text
    assert "by Anouk" in page
    assert "+32 470 12 34 56" in page
    assert 'name="question"' not in page


async def test_it_is_answered_in_each_dialect(bench: Bench) -> None:
    verbs = (await bench.by_hand("jambonz", say="Hello", gather="4")).json()
    assert verbs[0]["verb"] == "gather"
    document = fromstring((await bench.by_hand("twiml", raw='{"say": "Hello", "hang_up": "over"}')).content)
    assert [one.tag for one in document] == ["Say", "Hangup"]


async def test_an_answer_that_cannot_be_given_is_said_so_and_the_question_still_waits(bench: Bench) -> None:
    asking = asyncio.ensure_future(bench.ask())
    question = await bench.question()
    for fields in ({"phones": "anna"}, {"code": "x"}, {"raw": "{"}, {"raw": "[]"}, {"raw": '{"sing": 1}'},
                   {"hang_up": "this PBX can't"}, {"fault": "flood"}, {"fault": "slow"}):  # fmt: skip
        refused = await bench.owner.post(f"{PAGE}/answer", question=question, **fields)
        assert refused.status_code == 422, fields
        assert 'role="alert"' in refused.text
    assert not asking.done()
    assert (await bench.owner.post(f"{PAGE}/answer", question=question, code="1")).status_code == 303
    assert (await asking).json() == {"returned_code": 1}
    assert (await bench.owner.post(f"{PAGE}/answer", question=question, code="1")).status_code == 410


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [("500", 500, b"Internal Server Error"), ("wrong_json", 200, b'{"returned_code": '),
     ("unknown_code", 200, b'{"returned_code": 9999}')],
)  # fmt: skip
async def test_one_answer_goes_wrong(bench: Bench, fault: str, status: int, body: bytes) -> None:
    answer = await bench.by_hand(fault=fault)
    assert (answer.status_code, answer.content) == (status, body)
    await bench.owner.post(f"{PAGE}/mode", mode=fault)
    every = await bench.ask()
    assert (every.status_code, every.content) == (status, body)


async def test_the_machine_answers_by_where_each_call_stands(bench: Bench) -> None:
    assert (await bench.owner.post(f"{PAGE}/mode", mode="machine")).status_code == 303
    assert (await bench.ask()).json() == {"returned_code": 1}
    assert (await bench.ask(digits="1")).json() == {"returned_code": 2}
    assert (await bench.ask(digits="4711")).json()["phones"] == ["3225550101"]
    assert (await bench.ask(digits="4711", session="s-2")).json() == {"returned_code": 1}, "another call begins anew"
    assert "by the machine" in (await bench.owner.get(PAGE)).text


async def test_a_machine_that_is_wrong_is_refused_with_its_line_and_the_one_before_stays(bench: Bench) -> None:
    refused = await bench.owner.post(f"{PAGE}/mode", mode="machine", machine="states:\n  a:\n    - then: b\n")
    assert refused.status_code == 422
    assert "Line 3" in refused.text
    assert (await bench.owner.post(f"{PAGE}/mode", mode="never")).status_code == 422
    assert (await bench.owner.post(f"{PAGE}/mode", mode="hand", machine="x" * 20_001)).status_code in (413, 422)


@pytest.mark.parametrize(
    "text",
    ["", "[", "- a", "states: {}", "states: { a: b }", "start: b\nstates: { a: [] }", "states: { a: [ 1 ] }",
     "states: { a: [ { fault: flood } ] }", "states: { a: [ { when: { age: 3 } } ] }",
     "states: { a: [ { answr: {} } ] }",
     "states: { a: [ { answer: { sing: 1 } } ] }", "states: { a: [ { answer: 3 } ] }"],
)  # fmt: skip
def test_what_is_no_machine_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        read_machine(text)


def test_where_no_rule_fits_there_is_no_answer() -> None:
    machine = read_machine("states: { a: [ { when: { digits: ['1', '2'] }, answer: { code: 1 } } ] }")
    asked = Asked(call="1", session="1", caller="", called="", digits="2")
    assert machine.answer("gone", asked)[0].answer == {"code": 1}
    with pytest.raises(Refused):
        machine.answer("a", Asked(call="1", session="1", caller="", called="", digits="3"))


async def test_nobody_asks_without_the_key_and_too_many_are_told_so(bench: Bench) -> None:
    for wrong in (
        bench.urls["uis"][:-1] + "x",
        bench.urls["uis"].replace("/uis/", "/zadarma/"),
        "/calls/prototype/other/uis/x",
    ):
        answer = await bench.owner.client.get(wrong, params={"cdr_id": "1"})
        assert answer.status_code == 404
    assert (await bench.owner.client.get(bench.urls["uis"])).status_code == 422
    asking = [asyncio.ensure_future(bench.ask(session=f"s-{number}")) for number in range(21)]
    await until(lambda: any(one.done() for one in asking))
    [turned] = [one for one in asking if one.done()]
    assert (await turned).status_code == 503
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_a_dead_and_a_slow_system_over_a_real_connection(tmp_path: Path) -> None:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path) as on, at_desk(on.beckon) as owner, served(on.beckon) as url:
        page = (await owner.get(PAGE)).text
        path = page.split('prototype-url">')[1].split("<")[0].replace(on.beckon.settings.address, "")
        await owner.post(f"{PAGE}/mode", mode="dead")
        async with httpx.AsyncClient(base_url=url) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(path, params={"cdr_id": "1"})
            await owner.post(f"{PAGE}/mode", mode="slow")
            with pytest.raises(httpx.ReadTimeout):
                await client.get(path, params={"cdr_id": "1"}, timeout=httpx.Timeout(300, read=0.5))
