"""Couriers call the store, over UIS, jambonz, TwiML and our own switch: one flow decides, what fails is backed up."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree.ElementTree import fromstring

import httpx
import pytest
from twilio.request_validator import RequestValidator

from beckon.core.errors import Misconfigured
from beckon.starting import new_key
from beckon.telephony.switch import SwitchOffer
from tests.kit.switches import IN_MEMORY, until
from tests.rooms.worker.stage import Line, line

FOLDER = Path(__file__).parents[2] / "src" / "beckon" / "journeys" / "call_processing"
SECRET = "a-secret-of-the-tests"
COURIER, STORE, CUSTOMER = "+32470000001", "+3221234567", "+3225550101"
PBX = f"""\
pbx:
  uis: {{ secret: {SECRET} }}
  jambonz: {{ secret: {SECRET}, sign: whsec }}
  twiml: {{ secret: {SECRET}, sign: token }}
telephony: {{ switch: {{ fake: {{}} }}, numbers: {{ "{STORE}": courier }} }}
values: {{ reception: "+3221110000", dispatcher: "+3222220000" }}
"""
COURIERS = f"phone,id,name,orders\n+32 470 00 00 01,C-1,Bo,4711\n{COURIER[:-1]}2,C-2,Cy,\n"
ORDERS = f"number;courier;name;phone\n4711;C-1;Ann;{CUSTOMER}\n4800;C-9;Dee;+3225550109\n"


class Store:
    """A line whose records hold couriers and orders, and a PBX that asks it."""

    def __init__(self, on: Line, client: httpx.AsyncClient) -> None:
        self.line = on
        self.client = client

    @property
    def switchboard(self) -> Any:
        [found] = self.line.beckon.beside
        return found

    async def uis(self, digits: str = "None", caller: str = COURIER, session: str = "s-1") -> httpx.Response:
        fields = {"cdr_id": "123", "call_session_id": session, "start_time": "1200", "input_result": digits,
                  "numa": caller.removeprefix("+"), "numb": STORE.removeprefix("+")}  # fmt: skip
        return await self.client.get(f"/calls/main/uis/{SECRET}", params=fields)

    async def jambonz(self, **more: Any) -> httpx.Response:
        fields = {"call_sid": "j-1", "from": COURIER, "to": STORE, "direction": "inbound", **more}
        body = json.dumps(fields).encode()
        at = str(self.line.clock.now_ms() // 1_000)
        signature = hmac.new(b"whsec", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "Jambonz-Signature": f"t={at},v1={signature}"}
        return await self.client.post(f"/calls/main/jambonz/{SECRET}", content=body, headers=headers)

    async def twilio(self, signed: bool = True, **more: str) -> httpx.Response:
        fields = {"CallSid": "CA1", "From": COURIER, "To": STORE, "Direction": "inbound", **more}
        url = f"{self.line.beckon.settings.address}/calls/main/twiml/{SECRET}"
        signature = RequestValidator("token").compute_signature(url, fields) if signed else "no"
        return await self.client.post(
            f"/calls/main/twiml/{SECRET}", data=fields, headers={"X-Twilio-Signature": signature}
        )


@asynccontextmanager
async def opened(
    url: str,
    folder: Path,
    *flows: str,
    records: bool = True,
    more: str = PBX,
    switches: Mapping[str, SwitchOffer] | None = IN_MEMORY,
) -> AsyncIterator[Store]:
    files = {"scripts/courier.yaml": (FOLDER / "scripts" / "courier.yaml").read_text()}
    given = flows or ((FOLDER / "flows" / "courier-call.yaml").read_text(),)
    async with line(url, folder, *given, files=files, more=more, switches=switches) as on:
        on.rests = False  # runs wait for what becomes of the calls
        transport = httpx.ASGITransport(on.beckon.app, client=("192.0.2.7", 5060))
        async with httpx.AsyncClient(transport=transport, base_url="http://pbx") as client:
            if records:
                token = await new_key(on.beckon.database, "main", "crm", "read write")
                headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}
                for name, text in (("couriers", COURIERS), ("orders", ORDERS)):
                    answer = await client.post(f"/v1/records/{name}", content=text, headers=headers)
                    assert answer.json() == {"taken": 2, "refused": 0, "problems": []}, answer.text
            yield Store(on, client)


@pytest.fixture
async def store(database_url: str, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(database_url, tmp_path) as made:
        yield made


async def test_the_courier_story_over_uis(store: Store) -> None:
    first = await store.uis()
    assert (first.status_code, first.json()) == (200, {"returned_code": 1})
    assert (await store.uis("1")).json() == {"returned_code": 2}
    assert (await store.uis("4800")).json() == {"returned_code": 2}, "another courier's order is none"
    third = (await store.uis("4711")).json()
    assert third["phones"] == [CUSTOMER.removeprefix("+")]
    assert "order 4711" in third["operator_text"]
    asked = await store.line.events("call.asked")
    assert [event.data["digits"] for event in asked] == ["", "1", "4800", "4711"]
    run = await store.line.run()
    assert [one.what for one in run.history if one.what in ("answered", "found")].count("answered") == 4


async def test_whoever_is_no_courier_and_a_courier_without_orders(store: Store) -> None:
    assert (await store.uis(caller="+32499999999")).json() == {}
    without = await store.uis(caller=f"{COURIER[:-1]}2", session="s-2")
    assert without.json() == {"text": "There is no order for you today.", "returned_code": 3}
    withheld = await store.uis(caller="anonymous", session="s-3")
    assert withheld.json() == {}


async def test_a_wrong_order_number_three_times_ends_sensibly(store: Store) -> None:
    await store.uis()
    answers = [(await store.uis(digits)).json() for digits in ("1", "1", "1")]
    assert [answer["returned_code"] for answer in answers] == [2, 2, 3]


async def test_the_courier_story_over_jambonz(store: Store) -> None:
    [gather] = (await store.jambonz()).json()
    assert (gather["verb"], gather["finishOnKey"], gather["maxDigits"]) == ("gather", "#", 10)
    assert gather["actionHook"].endswith(f"/calls/main/jambonz/{SECRET}")
    assert "Hello Bo" in gather["say"]["text"]
    record, dial = (await store.jambonz(digits="4711", reason="dtmfDetected")).json()
    assert record["record"] == {"action": "startCallRecording"}
    assert (dial["target"], dial["callerId"]) == ([{"type": "phone", "number": CUSTOMER}], STORE)
    hint = await store.client.post(urlsplit(dial["confirmHook"])._replace(scheme="", netloc="").geturl())
    assert hint.status_code == 401, "who asks for the hint signs it too"
    query = urlsplit(dial["confirmHook"]).query
    assert "order+4711" in query
    assert (await store.jambonz(dial_call_status="busy")).json()[-1] == {"verb": "hangup"}


async def test_the_courier_story_over_twiml(store: Store) -> None:
    [gather] = fromstring((await store.twilio()).content)
    assert (gather.tag, gather.get("numDigits"), gather.get("finishOnKey")) == ("Gather", "10", "#")
    assert "Hello Bo" in gather[0].text
    [dial] = fromstring((await store.twilio(Digits="4711")).content)
    assert (dial.tag, dial.get("callerId"), dial.get("record")) == ("Dial", STORE, "record-from-answer-dual")
    [number] = dial
    assert number.text == CUSTOMER
    url = number.get("url")
    signature = RequestValidator("token").compute_signature(url, {"CallSid": "CA2"})
    hint = await store.client.post(
        url.replace(store.line.beckon.settings.address, ""), data={"CallSid": "CA2"},
        headers={"X-Twilio-Signature": signature},
    )  # fmt: skip
    assert "order 4711" in fromstring(hint.content)[0].text
    assert fromstring((await store.twilio(DialCallStatus="completed")).content)[0].tag == "Hangup"


async def test_the_courier_story_over_our_own_switch(store: Store) -> None:
    switch = store.switchboard.switch
    leg = switch.offer(COURIER, STORE)
    await until(lambda: switch.commands("answer"))
    switch.press(leg, "4711#")
    await until(lambda: switch.bridges)
    [dial] = switch.commands("dial")
    assert dial.details == (CUSTOMER, STORE)
    store.line.clock.drag(30_000)
    switch.hang_up_by(switch.leg_of(CUSTOMER))
    await until(lambda: not store.switchboard.calls._tasks)
    assert switch.legs == {}
    [finished] = await store.line.events("call.finished")
    assert (finished.data["outcome"], finished.data["talked_ms"]) == ("connected", 30_000)
    assert finished.data["digits"] == {"order": "4711"}
    assert [one["what"] for one in finished.data["recordings"]] == ["conversation"]
    assert any(one["what"] == "was told" for one in finished.data["decisions"])


async def test_a_run_goes_on_with_the_end_of_a_call_of_our_own_switch(store: Store) -> None:
    switch = store.switchboard.switch
    leg = switch.offer(COURIER, STORE)
    await until(lambda: switch.commands("answer"))
    await until(lambda: store.switchboard.quiet)
    assert (await store.line.run()).status == "waiting"
    switch.hang_up_by(leg)
    await until(lambda: not store.switchboard.calls._tasks)
    await store.line.quiet()
    run = await store.line.run()
    assert (run.status, run.history[-1].why) == ("stopped", "hung up")
    assert await store.line.rows("SELECT run FROM waits") == []


async def test_a_run_goes_on_with_a_reason_when_the_server_was_killed_during_the_call(store: Store) -> None:
    switch, calls = store.switchboard.switch, store.switchboard.calls
    leg = switch.offer(COURIER, STORE)
    await until(lambda: switch.commands("answer"))
    switch.press(leg, "4711#")
    await until(lambda: switch.bridges)
    await until(lambda: store.switchboard.quiet)
    assert (await store.line.run()).status == "waiting"
    for task in calls._tasks:
        task.cancel()
    await asyncio.wait(calls._tasks)
    await store.line.crash()
    await store.line.open()
    await store.line.quiet()
    [finished] = await store.line.events("call.finished")
    assert (finished.data["outcome"], finished.data["why"]) == ("failed", "the server ended during the call")
    run = await store.line.run()
    assert (run.status, run.history[-1].why) == ("stopped", "failed")
    assert await store.line.rows("SELECT run FROM waits") == []


SILENT = "flow: silent\non: call.asked\nkey: '{{ event.data.session }}'\nsteps: [ { stop: silent } ]\n"
WRONG = "flow: wrong\non: call.asked\nsteps: [ { answer: { phone: '+3225550101' } } ]\n"
UNSAYABLE = "flow: end\non: call.asked\nsteps: [ { answer: { hang_up: true } } ]\n"


async def test_a_flow_that_does_not_answer_in_time_leaves_the_call_to_the_backup(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beckon.journeys.call_processing.door.ANSWER_S", 0.2)
    async with opened(database_url, tmp_path, SILENT, records=False) as store:
        answer = await store.uis()
    assert (answer.status_code, answer.json()["type"]) == (504, "/docs/errors#call.unanswered")


@pytest.mark.parametrize(("flow", "code"), [(WRONG, "call.answer"), (UNSAYABLE, "call.unsupported")])
async def test_an_answer_that_cannot_be_given_leaves_the_call_to_the_backup(
    tmp_path: Path, flow: str, code: str
) -> None:
    async with opened(f"sqlite:///{tmp_path}/db", tmp_path, flow, records=False) as store:
        answer = await store.uis()
    assert (answer.status_code, answer.json()["type"]) == (502, f"/docs/errors#{code}")


async def test_nobody_asks_without_the_secret_the_address_or_the_signature(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/db", tmp_path) as store:
        for path in ("/calls/main/uis/wrong", "/calls/other/uis/" + SECRET, "/calls/main/zadarma/" + SECRET):
            assert (await store.client.get(path, params={"cdr_id": "1"})).status_code == 404
        assert (await store.twilio(signed=False)).status_code == 401
        unsigned = await store.client.post(f"/calls/main/jambonz/{SECRET}", json={"call_sid": "1"})
        assert unsigned.status_code == 401
        assert await store.line.events("call.asked") == []
        pbx = store.line.library.settings.pbx
        import msgspec

        pbx["uis"] = msgspec.structs.replace(pbx["uis"], addresses=("198.51.100.0/24",))
        assert (await store.uis()).status_code == 404
        pbx["uis"] = msgspec.structs.replace(pbx["uis"], addresses=("198.51.100.0/24", "192.0.2.7"))
        assert (await store.uis()).status_code == 200


async def test_what_is_no_question_is_refused_and_says_why(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/db", tmp_path) as store:
        path = f"/calls/main/uis/{SECRET}"
        json_ = {"Content-Type": "application/json"}
        bad = [
            await store.client.get(path),
            await store.client.post(path, content=b"{", headers=json_),
            await store.client.post(path, content=b"[1]", headers=json_),
            await store.client.post(path, content=b'{"cdr_id": {"a": 1}}', headers=json_),
            await store.client.post(
                path, content=b"\xff", headers={"Content-Type": "application/x-www-form-urlencoded"}
            ),
            await store.client.get(path + "?" + urlencode([("a", "b")] * 300)),
            await store.client.post(path, content=b"x" * 70_000),
        ]
        assert {answer.status_code for answer in bad} <= {413, 422}
        assert await store.line.events("call.asked") == []


async def test_a_pbx_of_ours_signs_what_it_asks_and_the_door_checks_it(tmp_path: Path) -> None:
    import msgspec

    from beckon.telephony.questions import Written, sign

    async with opened(f"sqlite:///{tmp_path}/db", tmp_path) as store:
        pbx = store.line.library.settings.pbx
        pbx["uis"] = msgspec.structs.replace(pbx["uis"], sign="shared")
        assert (await store.uis()).status_code == 401
        path = f"/calls/main/uis/{SECRET}?cdr_id=1&numa={COURIER[1:]}"
        written = Written("GET", store.line.beckon.settings.address + path)
        at_s = store.line.clock.now_ms() // 1_000
        good = {"Beckon-Signature": sign("shared", at_s, written)}
        assert (await store.client.get(path, headers=good)).json() == {"returned_code": 1}
        old = {"Beckon-Signature": sign("shared", at_s - 3_600, written)}
        assert (await store.client.get(path, headers=old)).status_code == 401


async def test_prompts_of_the_workspace_are_fetched_by_whoever_knows_the_secret(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/db", tmp_path) as store:
        file = store.line.library.folder / "prompts" / "welcome.wav"
        file.parent.mkdir()
        file.write_bytes(b"RIFF")
        assert (await store.client.get(f"/calls/main/twiml/{SECRET}/prompts/welcome.wav")).content == b"RIFF"
        for name in ("../beckon.yaml", "..%2fbeckon.yaml", "gone.wav", "%2e%2e/beckon.yaml"):
            assert (await store.client.get(f"/calls/main/twiml/{SECRET}/prompts/{name}")).status_code == 404
        assert (await store.client.get("/calls/main/twiml/nobody-knows-this/prompts/welcome.wav")).status_code == 404


def test_the_signature_that_we_check_is_twilios() -> None:
    """The validator of their own package, and ours by the same words."""
    fields = {"b": "2", "a": "1"}
    url = "https://pbx.example/calls"
    ours = base64.b64encode(hmac.new(b"token", f"{url}a1b2".encode(), "sha1").digest()).decode()
    assert RequestValidator("token").compute_signature(url, fields) == ours


async def test_a_script_is_uploaded_checked_and_drawn_over_the_api(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, records=False) as store:
        token = await new_key(store.line.beckon.database, "main", "author", "read definitions")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/yaml"}
        text = 'call: desk\nsteps: [ { say: Hello. }, { dial: "{{ settings.reception }}" } ]\n'
        for status in (201, 200):
            answer = await store.client.put("/v1/definitions/script/desk", content=text, headers=headers)
            assert (answer.status_code, answer.json()["kind"]) == (status, "script"), answer.text
        assert store.line.library.scripts["desk"].version == answer.json()["version"]
        drawn = await store.client.get("/v1/scripts/desk/diagram.svg", headers=headers)
        assert drawn.text.startswith("<svg")
        wrong = text.replace("settings.reception", "settings.nobody")
        checked = await store.client.post("/v1/scripts/check", content=wrong, headers=headers)
        assert [one["code"] for one in checked.json()["problems"]] == ["script.unknown_setting"]
        for bad, code in (("call: desk\nsteps: 3\n", 422), (text.replace("desk", "other"), 422), (wrong, 422)):
            answer = await store.client.put("/v1/definitions/script/desk", content=bad, headers=headers)
            assert answer.status_code == code, answer.text
        listed = await store.client.get("/v1/definitions?kind=script", headers=headers)
        assert [one["name"] for one in listed.json()["items"]] == ["courier", "desk"]
        await store.line.restart()
        assert set(store.line.library.scripts) == {"courier", "desk"}


async def test_a_number_whose_script_is_missing_or_a_switch_that_is_not_there_opens_nothing(tmp_path: Path) -> None:
    for more, code in (
        ('telephony: { switch: { fake: {} }, numbers: { "*": nobody } }\n', "script.unknown"),
        ("telephony: { switch: { nowhere: {} } }\n", "switch.unknown"),
        ("telephony: { switch: { fake: { colour: red } } }\n", "switch.settings"),
        ("telephony: { switch: { fake: {}, sip: {} } }\n", "switch.two"),
        ("telephony: { calling_hours: whenever }\n", "telephony.hours"),
    ):
        with pytest.raises(Misconfigured) as error:
            async with line(f"sqlite:///{tmp_path}/{code}.db", tmp_path / code, more=more, switches=IN_MEMORY):
                pass
        assert error.value.code == code
