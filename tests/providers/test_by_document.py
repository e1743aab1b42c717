"""Switches that ask for documents, Twilio and jambonz alike: a caller's way over real HTTP, both ways."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from beckon.core.errors import Misconfigured, Refused, Unavailable, Unsupported
from beckon.telephony.call import CallRecord
from beckon.telephony.calls import Calls, Chosen
from beckon.telephony.questions import Questions
from beckon.telephony.script_reading import parse_script
from beckon.telephony.switch import (
    File,
    KeyPressed,
    Keys,
    LegAnswered,
    LegEnded,
    LegOffered,
    LegRinging,
    PlaybackEnded,
    Say,
    Silence,
    Tone,
)
from tests.providers.exchange import Exchange, Heard
from tests.providers.jambonz.twin import a_jambonz
from tests.providers.twilio_voice.twin import a_twilio

VENDORS = {"twilio_voice": a_twilio, "jambonz": a_jambonz}
CALLER, CALLED, CUSTOMER = "+32470000001", "+3221234567", "+3225550101"

SCRIPT = """
call: courier
steps:
  - gather: order
    say: Type your order number.
    max: 8
  - dial: "+3225550101"
    hint: A courier calls.
    on_busy: [ { say: They are busy. }, { hang_up: busy } ]
"""


@pytest.fixture(params=sorted(VENDORS))
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def scripted(vendor: str, script: str) -> AsyncIterator[tuple[Exchange, Heard, list[CallRecord]]]:
    """A vendor whose calls follow a script."""
    records: list[CallRecord] = []

    async def choose(offered: LegOffered) -> Chosen:
        return Chosen(workspace="main", script=parse_script(script))

    async def finish(record: CallRecord) -> None:
        records.append(record)

    async with VENDORS[vendor]() as (exchange, heard):
        # Real time: deadlines of a script are not what is tested here.
        calls = Calls(exchange.clock, Questions(exchange.clock, None, {}, None, None), choose, finish)  # type: ignore[arg-type]
        calls.use(heard.switch)
        heard.calls = calls
        yield exchange, heard, records
        await calls.close(20)


@asynccontextmanager
async def offered(vendor: str) -> AsyncIterator[tuple[Exchange, Heard, str]]:
    """A vendor with one call that came in and was answered."""
    async with VENDORS[vendor]() as (exchange, heard):
        exchange.call_in(CALLER, CALLED)
        heard.switch._answer_s = 0.2  # type: ignore[attr-defined]
        await heard.until(lambda: heard.of(LegOffered))
        leg = heard.of(LegOffered)[0].leg
        await heard.switch.answer(leg)
        yield exchange, heard, leg


async def test_the_couriers_call_is_followed_from_the_first_ring_to_the_goodbye(vendor: str) -> None:
    async with scripted(vendor, SCRIPT) as (exchange, heard, records):
        courier = exchange.call_in(CALLER, CALLED)
        await heard.until(lambda: "say Type your order number." in courier.heard)
        exchange.press(courier, "4711#")
        customer = await heard.until(lambda: [one for one in exchange.phones.values() if one.number == CUSTOMER])
        await heard.until(lambda: customer[0].room and courier.room)
        assert customer[0].room == courier.room
        assert "say A courier calls." in customer[0].heard
        assert "say A courier calls." not in courier.heard
        assert customer[0].other == CALLED, "neither learns the other's number"
        await exchange.hang_up_by(customer[0])
        await heard.until(lambda: records)
    [record] = records
    assert (record.outcome, record.digits) == ("connected", {"order": "4711"})
    assert "".join(event.key for event in heard.of(KeyPressed)) == "4711#"
    assert len(heard.of(LegEnded)) == 2
    assert courier.end in ("by command", "hangup "), "the script's end hung up"


async def test_a_customer_who_is_busy_leads_to_the_scripts_branch(vendor: str) -> None:
    async with scripted(vendor, SCRIPT) as (exchange, heard, records):
        exchange.fates[CUSTOMER] = "busy"
        courier = exchange.call_in(CALLER, CALLED)
        exchange.press(courier, "12#")
        await heard.until(lambda: records)
        assert "say They are busy." in courier.heard
    assert next(event.cause for event in heard.of(LegEnded)) == "busy"
    assert records[0].outcome == "finished"


@pytest.mark.parametrize("stage", ["prompt", "bridge"])
async def test_a_caller_who_hangs_up_leaves_nothing_behind(vendor: str, stage: str) -> None:
    async with scripted(vendor, SCRIPT) as (exchange, heard, records):
        courier = exchange.call_in(CALLER, CALLED)
        await heard.until(lambda: courier.heard)
        if stage == "bridge":
            exchange.press(courier, "1#")
            await heard.until(lambda: courier.room)
        await exchange.hang_up_by(courier)
        await heard.until(lambda: records)
        assert records[0].outcome == ("connected" if stage == "bridge" else "abandoned")
        assert all(phone.end for phone in exchange.phones.values())
        assert heard.switch._legs == heard.switch._bridges == {}  # type: ignore[attr-defined]


async def test_commands_of_one_moment_are_one_document(vendor: str) -> None:
    async with offered(vendor) as (exchange, heard, leg):
        await heard.switch.send_digits(leg, "12")
        await heard.switch.play(leg, "p-1", (Say("Hello.", "nl"), File("https://a.example/a.wav")))
        await heard.until(lambda: heard.of(PlaybackEnded))
        [phone] = exchange.phones.values()
        assert phone.heard == ["digits 12", "say Hello.", "play https://a.example/a.wav"]
        assert [command for command in exchange.commands if command[0] != "GET"] == [], "nothing but the answer"
        [ended] = heard.of(PlaybackEnded)
        assert (ended.playback, ended.end) == ("p-1", "done")


async def test_a_command_while_a_leg_rests_changes_the_live_call(vendor: str) -> None:
    async with offered(vendor) as (exchange, heard, leg):
        exchange.rest_s = 60
        await heard.switch.play(leg, "p-1", (Say("One."),))
        await heard.until(lambda: heard.of(PlaybackEnded))
        known = heard.switch._legs[leg]  # type: ignore[attr-defined]
        await heard.until(lambda: known.document > 1 and not known.asks)
        await heard.switch.play(leg, "p-2", (Say("Two."),))
        await heard.until(lambda: len(heard.of(PlaybackEnded)) == 2)
        [phone] = exchange.phones.values()
        assert phone.heard == ["say One.", "say Two."]
        assert [path for method, path, _ in exchange.commands if method != "GET"]


OVER = (404, b'{"code": 21220}')
DOWN = (503, b"")


@pytest.mark.parametrize(("refusals", "end"), [([OVER, DOWN], "done"), ([DOWN] * 3, "failed")])
async def test_a_change_that_is_refused_is_told_again_and_at_last_given_up(
    vendor: str, refusals: list[tuple[int, bytes]], end: str
) -> None:
    async with offered(vendor) as (exchange, heard, leg):
        exchange.rest_s = 60  # no webhook comes first
        await heard.switch.play(leg, "p-1", (Say("One."),))
        await heard.until(lambda: heard.of(PlaybackEnded))
        known = heard.switch._legs[leg]  # type: ignore[attr-defined]
        await heard.until(lambda: known.document > 1 and not known.asks)
        exchange.refusals = list(refusals)
        await heard.switch.play(leg, "p-2", (Say("Two."),))
        await heard.until(lambda: len(heard.of(PlaybackEnded)) == 2)
        assert heard.of(PlaybackEnded)[1].end == end
        assert (exchange.refusals, heard.of(LegEnded)) == ([], [])


async def test_a_key_interrupts_what_may_be_interrupted_and_what_waits_behind_it(vendor: str) -> None:
    async with offered(vendor) as (exchange, heard, leg):
        exchange.patience_s = 60
        heard.switch.expect(leg, Keys(keys_max=4, until="#"))  # type: ignore[attr-defined]
        await heard.switch.play(leg, "p-1", (Say("Long."),), barge_in=True)
        await heard.switch.play(leg, "p-2", (Say("Behind."),))
        [phone] = exchange.phones.values()
        await heard.until(lambda: phone.heard)
        exchange.press(phone, "7#")
        await heard.until(lambda: len(heard.of(KeyPressed)) == 2)
        told = [event for event in heard.events if isinstance(event, KeyPressed | PlaybackEnded)]
        assert [getattr(event, "key", "") or (event.playback, event.end) for event in told] == [
            "7", ("p-1", "key"), ("p-2", "key"), "#",
        ]  # fmt: skip


async def test_stop_ends_what_is_heard_and_what_waits(vendor: str) -> None:
    async with offered(vendor) as (exchange, heard, leg):
        exchange.patience_s = 60
        await heard.switch.play(leg, "p-1", (Say("Long."),), barge_in=True)
        await heard.switch.play(leg, "p-2", (Say("Behind."),))
        [phone] = exchange.phones.values()
        await heard.until(lambda: phone.heard)
        await heard.until(lambda: not heard.switch._legs[leg].asks)  # type: ignore[attr-defined]
        await heard.switch.stop("p-2")
        await heard.switch.stop("p-1")
        assert [(event.playback, event.end) for event in heard.of(PlaybackEnded)] == [
            ("p-2", "stopped"), ("p-1", "stopped"),
        ]  # fmt: skip
        await heard.until(lambda: [method for method, path, _ in exchange.commands if method in ("POST", "PUT")])


async def test_a_dialled_phone_rings_and_is_answered_and_what_it_was_told_first_is_told_once(vendor: str) -> None:
    async with VENDORS[vendor]() as (exchange, heard):
        await heard.switch.dial("call_1-l1", CUSTOMER, caller_id=CALLED, ring_s=20)
        await heard.until(lambda: heard.of(LegAnswered))
        await heard.switch.play("call_1-l1", "p-1", (Say("Hello."),))
        await heard.until(lambda: heard.of(PlaybackEnded))
        assert [event.leg for event in heard.of(LegRinging)] == ["call_1-l1"]
        assert len(heard.of(LegAnswered)) == 1
        await heard.switch.hang_up("call_1-l1")
        [ended] = heard.of(LegEnded)
        assert (ended.cause, ended.by) == ("normal", "command")
        # By REST, or by the answer to a webhook that waits.
        assert (await heard.until(lambda: exchange.phone_of(CUSTOMER).end)) in ("by command", "hangup ")


@pytest.mark.parametrize(("fate", "cause"), [("busy", "busy"), ("no-answer", "no_answer")])
async def test_a_phone_that_is_not_answered_says_why(vendor: str, fate: str, cause: str) -> None:
    async with VENDORS[vendor]() as (exchange, heard):
        exchange.fates[CUSTOMER] = fate
        await heard.switch.dial("call_1-l1", CUSTOMER, caller_id=CALLED)
        await heard.until(lambda: heard.of(LegEnded))
        [ended] = heard.of(LegEnded)
        assert (ended.leg, ended.cause, ended.by) == ("call_1-l1", cause, "phone")
        with pytest.raises(Refused):
            await heard.switch.play("call_1-l1", "p-1", (Say("Hello."),))


async def test_a_phone_that_rings_is_given_up(vendor: str) -> None:
    async with VENDORS[vendor]() as (exchange, heard):
        exchange.fates[CUSTOMER] = "rings"
        await heard.switch.dial("call_1-l1", CUSTOMER, caller_id=CALLED)
        await heard.until(lambda: heard.of(LegRinging))
        await heard.switch.hang_up("call_1-l1", "cancelled")
        assert [event.cause for event in heard.of(LegEnded)] == ["cancelled"]
        await heard.until(lambda: exchange.phone_of(CUSTOMER).end)


async def test_a_call_is_turned_away_unanswered(vendor: str) -> None:
    async with VENDORS[vendor]() as (exchange, heard):
        phone = exchange.call_in(CALLER, CALLED)
        await heard.until(lambda: heard.of(LegOffered))
        await heard.switch.ring(phone.sid)
        await heard.switch.reject(phone.sid, 486)
        await heard.until(lambda: phone.end)
        assert phone.end == ("reject busy" if vendor == "twilio_voice" else "reject 486")
        assert [(event.cause, event.by) for event in heard.of(LegEnded)] == [("declined", "command")]
        assert heard.of(LegAnswered) == []


async def test_legs_are_parted_and_both_stay(vendor: str) -> None:
    async with offered(vendor) as (exchange, heard, leg):
        await heard.switch.dial("call_1-l1", CUSTOMER, caller_id=CALLED)
        await heard.switch.bridge("call_1-b1", leg, "call_1-l1")
        caller, callee = exchange.phone_of(CALLER), await heard.until(lambda: exchange.phone_of(CUSTOMER))
        await heard.until(lambda: caller.room == callee.room == "call_1-b1")
        with pytest.raises(Unsupported):
            await heard.switch.play(leg, "p-0", (Say("Into the bridge."),))
        await heard.switch.hold(leg, (Tone((425.0,), 100), Silence(1_000)))
        await heard.until(lambda: any("tone=425" in one for one in caller.heard))
        assert callee.room == "call_1-b1"
        await heard.switch.resume(leg)
        await heard.until(lambda: caller.room == "call_1-b1")
        await heard.switch.unbridge("call_1-b1")
        await heard.switch.play(leg, "p-1", (Say("Apart."),))
        await heard.until(lambda: heard.of(PlaybackEnded))
        await heard.until(lambda: not callee.room)
        assert heard.of(LegEnded) == []


async def test_prompts_and_tones_are_fetched_from_us_and_nothing_else_is(vendor: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF1234")
    async with offered(vendor) as (exchange, heard, leg):
        await heard.switch.play(leg, "p-1", (File(str(tmp_path / "a.wav")), Tone((425.0,), 200)))
        await heard.until(lambda: heard.of(PlaybackEnded))
        file, tone = [one.removeprefix("play ") for one in exchange.phone_of(CALLER).heard]
        assert (await exchange.fetch(file)).content == b"RIFF1234"
        with wave.open(io.BytesIO((await exchange.fetch(tone)).content)) as sound:
            assert (sound.getframerate(), sound.getnframes()) == (8_000, 1_600)
        for wrong in (file.replace("a.wav", "b.wav"), file[:-1], f"{exchange.hook_url}?prompt=/etc/passwd"):
            assert (await exchange.fetch(wrong)).status_code >= 400


async def test_a_webhook_that_is_forged_is_told_nothing(vendor: str) -> None:
    async with VENDORS[vendor]() as (exchange, heard):
        phone = exchange._phone(CALLER, CALLED, inbound=True)
        body, headers = exchange.speaks.webhook(phone, exchange.hook_url, {}, exchange.clock.now_ms())
        for wrong in ({}, {name: value.replace("=", "") + "x" for name, value in headers.items()}):
            answer = await exchange._client.post(exchange.hook_url, content=body, headers=wrong)
            assert answer.status_code >= 400
        answer = await exchange._client.post(exchange.hook_url, content=body + b" ", headers=headers)
        assert answer.status_code >= 400
        assert heard.of(LegOffered) == []


async def test_an_account_that_does_not_let_us_in_is_said_at_the_start(vendor: str) -> None:
    wrong: dict[str, Any] = {"auth_token": "x"} if vendor == "twilio_voice" else {"api_key": "x"}
    with pytest.raises(Misconfigured):
        async with VENDORS[vendor](**wrong):
            raise AssertionError("it began all the same")


async def test_a_vendor_that_refuses_or_fails_is_told_apart(vendor: str) -> None:
    async with VENDORS[vendor]() as (exchange, heard):
        exchange.statuses["dial"] = (500, b"")
        with pytest.raises(Unavailable):
            await heard.switch.dial("x-l1", CUSTOMER, caller_id=CALLED)
        exchange.statuses["dial"] = (400, b'{"code": 21215}')
        with pytest.raises(Refused):
            await heard.switch.dial("x-l1", CUSTOMER, caller_id=CALLED)
        for number in ("", "1 2", "+32<Sip>", "http://x"):
            with pytest.raises(Refused):
                await heard.switch.dial("x-l1", number, caller_id=CALLED)
        with pytest.raises(Misconfigured):
            await heard.switch.dial("x-l1", CUSTOMER)
        assert heard.switch._legs == {}  # type: ignore[attr-defined]


async def test_a_leg_whose_end_was_never_told_is_asked_after(vendor: str) -> None:
    async with offered(vendor) as (exchange, heard, leg):
        phone = exchange.phone_of(CALLER)
        await heard.switch.play(leg, "p-1", (Say("One."),))
        await heard.until(lambda: heard.of(PlaybackEnded))
        assert phone.following is not None
        phone.following.cancel()
        phone.status, phone.end = "completed", "lost"
        known = heard.switch._legs[leg]  # type: ignore[attr-defined]
        await heard.until(lambda: not known.asks)
        heard.switch._watch_s = 0.05  # type: ignore[attr-defined]
        watching = asyncio.create_task(heard.switch._watch())  # type: ignore[attr-defined]
        await heard.until(lambda: heard.of(LegEnded))
        watching.cancel()
        assert [(event.cause, event.by) for event in heard.of(LegEnded)] == [("normal", "phone")]
