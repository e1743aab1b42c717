"""Call scripts over the built-in switch, with phones of our own: real SIP, real audio, a recording with both sides."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from beckon.core.clock import SystemClock
from beckon.core.errors import Unavailable
from beckon.journeys.call_processing import DIALECTS
from beckon.providers.sip.switch import SipSwitch
from beckon.telephony.call import About, CallRecord
from beckon.telephony.calls import Calls, Chosen
from beckon.telephony.questions import Questions
from beckon.telephony.script import Script
from beckon.telephony.script_reading import parse_script
from beckon.telephony.switch import LegOffered
from tests.providers.sip.conftest import open_settings
from tests.providers.sip.phone import SoftPhone
from tests.providers.sip.tones import RATE, channels, stretches, write_wav

COURIER, STORE = "+32480123456", "+3225551000"
ORDER, HINT, COURIERS_VOICE, CUSTOMERS_VOICE = 1_000.0, 700.0, 500.0, 800.0

SCRIPT = """
call: courier
steps:
  - name: who
    ask: flow
    codes:
      1:
        - gather: order
          say: { file: order.wav }
          max: 8
        - jump: who
    connect: { record: true }
    backup: [ { dial: reception } ]
  - name: out
    dial: customer
    hint: { file: hint.wav }
    record: true
    otherwise: [ { voicemail: store, beep: false, longest: 2s } ]
"""


class Stage:
    """The switch, the runner over it, and the records of calls that are over."""

    def __init__(self, switch: SipSwitch, calls: Calls, records: list[CallRecord], answers: list[Any]) -> None:
        self.switch = switch
        self.calls = calls
        self.records = records
        self.answers = answers

    async def until(self, holds: Callable[[], object]) -> None:
        for _ in range(30_000):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError([call.decisions for call in self.calls.under_way])


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    """A switch on any port, and the script above for every call."""
    import numpy as np

    for name, hertz in (("order.wav", ORDER), ("hint.wav", HINT)):
        samples = 9_000 * np.sin(2 * np.pi * hertz * np.arange(RATE * 2) / RATE)
        write_wav(folder / name, samples.astype(np.int16))
    script = _at(parse_script(SCRIPT), folder)
    records: list[CallRecord] = []
    answers: list[Any] = []

    async def choose(offered: LegOffered) -> Chosen:
        return Chosen(workspace="main", script=script, about=About())

    async def finish(record: CallRecord) -> None:
        records.append(record)

    async def ours(ask: object, workspace: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    clock = SystemClock()
    calls = Calls(clock, Questions(clock, None, DIALECTS, ours, lambda a, b: ""), choose, finish)  # type: ignore[arg-type]
    settings = msgspec.structs.replace(open_settings(), port=0, folder=str(folder))
    switch = SipSwitch(settings, clock, calls.listen)
    calls.use(switch)
    await switch.start()
    try:
        yield Stage(switch, calls, records, answers)
    finally:
        await calls.close()
        await switch.close()


def _at(script: Script, folder: Path) -> Script:
    """The script with its files in this folder: a script names them without it."""
    gather = next(step for step in script.by_path.values() if step.kind == "gather")
    dial = next(step for step in script.by_path.values() if step.name == "out")
    words = gather.say[0]  # type: ignore[attr-defined]
    told = msgspec.structs.replace(gather, say=(msgspec.structs.replace(words, file=f"{folder}/order.wav"),))
    hint = (msgspec.structs.replace(words, file=f"{folder}/hint.wav"),)
    connecting = msgspec.structs.replace(dial.connecting, hint=hint)  # type: ignore[attr-defined]
    by_path = {**script.by_path, gather.path: told, dial.path: msgspec.structs.replace(dial, connecting=connecting)}
    return msgspec.structs.replace(script, by_path=by_path)


async def test_the_couriers_script_is_heard_typed_hinted_bridged_and_recorded(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.answers += [{"code": 1}, {}]
        port = stage.switch.port
        async with (
            SoftPhone("customer", port, password="secret") as customer,
            SoftPhone(COURIER, port) as courier,
        ):
            assert (await customer.register()).status == 200
            assert (await courier.call(STORE)).status == 200
            await courier.hears(ORDER)
            for key in "4711#":
                courier.press(key)
            invite = await customer.ring()
            await customer.take()
            await customer.hears(HINT)
            await stage.until(lambda: any(call.recordings for call in stage.calls.under_way))
            courier.talk(COURIERS_VOICE)
            customer.talk(CUSTOMERS_VOICE)
            await customer.hears(COURIERS_VOICE, seconds=0.6)
            await courier.hears(CUSTOMERS_VOICE, seconds=0.6)
            await asyncio.sleep(0.5)
            await courier.hang_up()
            customer.grant(await customer.request("BYE"))
            await stage.until(lambda: stage.records)
            await stage.until(lambda: not stage.switch.legs)
        [record] = stage.records
    assert COURIER not in invite.text
    assert STORE in invite.headers["from"]
    assert (record.outcome, record.why, record.digits) == ("connected", "the caller hung up", {"order": "4711"})
    [recording] = record.recordings
    left, right = channels(recording.path)
    assert stretches(left, COURIERS_VOICE)
    assert stretches(right, CUSTOMERS_VOICE)
    assert not stretches(left, HINT), "the hint is for the customer alone"
    assert record.talked_ms >= 500


async def test_whoever_leaves_a_message_is_recorded_alone(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.answers += [{}]
        async with SoftPhone(COURIER, stage.switch.port) as courier:
            assert (await courier.call(STORE)).status == 200  # nobody has registered as customer
            courier.talk(COURIERS_VOICE)
            await stage.until(lambda: stage.records)
        [record] = stage.records
    assert record.outcome == "voicemail"
    [recording] = record.recordings
    left, _right = channels(recording.path)
    assert stretches(left, COURIERS_VOICE)


@pytest.mark.parametrize("moment", ["the prompt", "the ringing", "the talk"])
async def test_whoever_hangs_up_leaves_nothing_behind(tmp_path: Path, moment: str) -> None:
    async with staged(tmp_path) as stage:
        stage.answers += [{"code": 1}, {}]
        port = stage.switch.port
        async with (
            SoftPhone("customer", port, password="secret") as customer,
            SoftPhone(COURIER, port) as courier,
        ):
            assert (await customer.register()).status == 200
            await courier.call(STORE)
            await courier.hears(ORDER)
            if moment != "the prompt":
                for key in "1#":
                    courier.press(key)
                await customer.ring()
            if moment == "the talk":
                await customer.take()
                await stage.until(lambda: any(call.recordings for call in stage.calls.under_way))
            await courier.hang_up()
            if moment == "the talk":
                customer.grant(await customer.request("BYE"))
            elif moment == "the ringing":
                await customer.request("CANCEL")
            await stage.until(lambda: stage.records)
            await stage.until(lambda: not stage.switch.legs)
        assert stage.calls.under_way == ()
        [record] = stage.records
    assert record.outcome == ("connected" if moment == "the talk" else "abandoned")
    assert all(not one.open for one in record.recordings)


async def test_a_dead_decision_goes_to_the_backup(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.answers += [Unavailable("http.unreachable", "nobody is there")]
        async with SoftPhone(COURIER, stage.switch.port) as courier:
            await courier.call(STORE)
            await stage.until(lambda: stage.records)
        [record] = stage.records
    assert [one for one in record.decisions if one.branch == "backup" and "ask.unreachable" in one.why]
