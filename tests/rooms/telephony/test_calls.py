"""Calls over a switch in memory: the courier story, the other side's faults, people who hang up at every stage."""

import asyncio
import hashlib
import hmac
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from beckon.core.errors import Refused, Unavailable
from beckon.core.exchange import Reply
from beckon.telephony.call import About
from beckon.telephony.switch import File, Say, SwitchDown
from tests.rooms.telephony.stage import COURIER, CUSTOMER, STORE, Stage, stage

ASKING = """
call: asking
steps:
  - ask: https://crm.example/asked?key=k
    method: METHOD
    form: FORM
    send: [call, started, digits, caller, called, session, direction]
    SECRET
    codes: { 1: [ { say: "One." }, { hang_up: one } ] }
    backup: [ { say: "Backup." }, { hang_up: backup } ]
  - hang_up: answered
"""


def asking(method: str = "POST", form: str = "json", secret: str = "") -> str:
    return (
        ASKING.replace("METHOD", method).replace("FORM", form).replace("SECRET", f"secret: {secret}" if secret else "")
    )


def said(on: Stage) -> list[str]:
    """What was said to the caller, in order."""
    prompts = [prompt for one in on.switch.commands("play") for prompt in one.details[1]]  # type: ignore[attr-defined]
    return [
        prompt.text if isinstance(prompt, Say) else prompt.path for prompt in prompts if isinstance(prompt, Say | File)
    ]


async def test_a_courier_is_connected_and_neither_learns_the_others_number() -> None:
    async with stage() as on:
        on.our_answers = [{"code": 1}, {"phones": [CUSTOMER], "hint": "Your parcel is near."}]
        on.switch.hears = False
        leg = on.switch.offer(COURIER, STORE)
        await on.until(lambda: on.switch.playing)
        on.switch.press(leg, "4711#")
        await on.until(lambda: len(on.ours) == 2)
        await on.until(lambda: on.switch.commands("dial") and on.switch.playing)
        callee = on.switch.leg_of(CUSTOMER)
        assert on.switch.bridges == {}, "the hint comes first, and to the callee alone"
        on.switch.heard(callee)
        await on.until(lambda: on.switch.bridges)
        on.clock.drag(42_000)
        on.switch.hang_up_by(callee)
        record = await on.record()
    assert [dict(ask.told)["digits"] for ask in on.ours] == ["", "4711"]
    [dial] = on.switch.commands("dial")
    assert dial.details == (CUSTOMER, STORE), "the customer's phone shows the store's number"
    assert (record.outcome, record.talked_ms, record.digits) == ("connected", 42_000, {"order": "4711"})
    assert [(one.role, one.cause) for one in record.legs] == [("caller", "normal"), ("callee", "normal")]
    [recording] = record.recordings
    assert (recording.what, recording.seconds, recording.open) == ("conversation", 1.0, False)
    assert on.switch.legs == {}
    assert any(one.what == "was told" and "dial" in one.why for one in record.decisions)


@pytest.mark.parametrize(("method", "form"), [("GET", "query"), ("POST", "query"), ("POST", "form"), ("POST", "json")])
async def test_an_ask_tells_what_is_ticked_in_the_form_that_was_chosen(method: str, form: str) -> None:
    async with stage(asking(method, form)) as on:
        on.switch.offer("+74952345678", "+74951234567")
        record = await on.record()
    [(asked_method, url, headers, body)] = on.outside.asked
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    told = query
    if form == "form":
        assert headers["Content-Type"] == "application/x-www-form-urlencoded"
        told = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    elif form == "json":
        told = msgspec.json.decode(body)
    assert asked_method == method
    assert query["key"] == "k"
    assert (told["numa"], told["numb"], told["input_result"], told["direction"]) == (
        "74952345678", "74951234567", "None", "in",
    )  # fmt: skip
    assert (told["cdr_id"], told["call_session_id"]) == (record.id, "sip-1")
    assert told["start_time"].isdigit()


async def test_an_ask_is_signed_where_a_secret_is_named() -> None:
    async with stage(asking(secret="pbx")) as on:
        on.switch.offer(COURIER, STORE)
        await on.record()
    [(method, url, headers, body)] = on.outside.asked
    at, signature = headers["Beckon-Signature"].removeprefix("t=").split(",v1=")
    signed = f"{at}.{method}.{url}.".encode() + body
    assert hmac.new(b"a secret", signed, hashlib.sha256).hexdigest() == signature


def _raises(error: Exception) -> Reply:
    raise error


FAULTS = {
    "500": (lambda: Reply(500, {}, b"{}"), "ask.status"),
    "404": (lambda: Reply(404, {}, b"{}"), "ask.status"),
    "no JSON": (lambda: Reply(200, {}, b"<html>"), "ask.bad_json"),
    "not UTF-8": (lambda: Reply(200, {}, b'{"text": "\xff"}'), "ask.bad_json"),
    "a list": (lambda: Reply(200, {}, b"[]"), "ask.bad_answer"),
    "phones that are none": (lambda: Reply(200, {}, b'{"phones": ["abc"]}'), "ask.bad_answer"),
    "a code that is none": (lambda: Reply(200, {}, b'{"returned_code": "x"}'), "ask.bad_answer"),
    "an unknown code": (lambda: Reply(200, {}, b'{"returned_code": 7}'), "ask.unknown_code"),
    "too large": (lambda: Reply(200, {}, b" " * 70_000 + b"{}"), "ask.bad_answer"),
    "dead": (lambda: _raises(Unavailable("http.unreachable", "connection refused")), "ask.unreachable"),
    "a time-out": (lambda: _raises(Unavailable("http.timeout", "no answer in time")), "ask.timeout"),
    "no URL": (lambda: _raises(Refused("http.url", "this is no URL")), "ask.url"),
    "a defect": (lambda: _raises(ZeroDivisionError()), "ask.defect"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_is_wrong_with_the_other_side_takes_the_backup_and_says_why(fault: str) -> None:
    answer, code = FAULTS[fault]
    async with stage(asking()) as on:
        on.outside.answer = lambda method, url, body: answer()
        on.switch.offer(COURIER, STORE)
        record = await on.record()
    assert said(on) == ["Backup."]
    assert record.why == "backup"
    [backup] = [one for one in record.decisions if one.branch == "backup"]
    assert code in backup.why


@pytest.mark.parametrize("fault", ["an unknown secret", "an unknown dialect"])
async def test_a_question_that_cannot_be_asked_takes_the_backup(fault: str) -> None:
    script = (
        asking(secret="gone")
        if fault == "an unknown secret"
        else asking().replace("form:", "dialect: zadarma\n    form:")
    )
    async with stage(script) as on:
        on.switch.offer(COURIER, STORE)
        await on.record()
    assert said(on) == ["Backup."]
    assert on.outside.asked == []


async def test_a_filler_is_said_while_the_other_side_is_slow_and_the_backup_comes_in_time() -> None:
    script = """
call: slow
steps:
  - say: Hello.
  - ask: https://crm.example/
    filler: One moment.
    backup: [ { say: "Backup." }, { hang_up: slow } ]
  - hang_up: answered
"""
    async with stage(script) as on:
        on.outside.gate = asyncio.Event()
        on.switch.offer(COURIER, STORE)
        await on.until(lambda: on.outside.asked)
        await on.passes(699)
        assert said(on) == ["Hello."]
        await on.passes(1)
        await on.until(lambda: said(on) == ["Hello.", "One moment."])
        await on.passes(5_300)
        record = await on.record()
        assert said(on) == ["Hello.", "One moment.", "Backup."]
        assert any("ask.timeout" in one.why for one in record.decisions)
        assert on.switch.legs == {}


async def test_the_answer_is_carried_out_in_its_order_media_before_words() -> None:
    async with stage(asking()) as on:
        on.outside.answer = lambda method, url, body: Reply(
            200, {}, b'{"message_name": "welcome.wav", "text": "Not this.", "phones": [74950000001, "74950000002"],'
            b' "operator_text": "For you.", "unknown": {"a": 1}}',
        )  # fmt: skip
        on.switch.phones["+74950000001"] = "busy"
        on.switch.offer(COURIER, STORE)
        await on.until(lambda: on.switch.bridges)
        assert [one.details[0] for one in on.switch.commands("dial")] == ["+74950000001", "+74950000002"]
        assert said(on) == ["welcome.wav", "For you."]
        on.switch.hang_up_by(on.switch.leg_of("+74950000002"))
        record = await on.record()
    assert record.outcome == "connected"


async def test_an_empty_answer_goes_on() -> None:
    async with stage(asking()) as on:
        on.switch.offer(COURIER, STORE)
        record = await on.record()
    assert (record.outcome, record.why) == ("finished", "answered")
    assert said(on) == []


STAGES = {
    "while we ask": (None, lambda on: on.ours),
    "while the prompt is heard": ([{"code": 1}], lambda on: on.switch.playing),
    "while the phone rings": ([{"code": 1}, {"phones": [CUSTOMER]}], lambda on: on.switch.commands("dial")),
    "while the hint is heard": ([{"code": 1}, {"phones": [CUSTOMER]}], lambda on: on.switch.playing),
    "while they talk": ([{"code": 1}, {"phones": [CUSTOMER]}], lambda on: on.switch.bridges),
}


@pytest.mark.parametrize("moment", STAGES)
async def test_a_caller_who_hangs_up_leaves_nothing_behind(moment: str) -> None:
    answers, reached = STAGES[moment]
    async with stage() as on:
        on.switch.hears = False
        never = asyncio.Event()
        if answers is None:

            async def wait(ask: object, workspace: str) -> None:
                on.ours.append(ask)  # type: ignore[arg-type]
                await never.wait()

            on.calls._questions._ours = wait  # type: ignore[assignment]
        else:
            on.our_answers = list(answers)
        if moment == "while the phone rings":
            on.switch.phones[CUSTOMER] = "rings"
        leg = on.switch.offer(COURIER, STORE)
        if answers is not None and len(answers) == 2:
            await on.until(lambda: on.switch.playing)
            on.switch.press(leg, "1#")
            await on.until(lambda: on.switch.commands("dial"))
        if moment == "while they talk":
            await on.until(lambda: on.switch.playing)
            on.switch.heard(on.switch.leg_of(CUSTOMER))
        await on.until(lambda: reached(on))
        on.switch.hang_up_by(leg)
        record = await on.record()
        assert on.switch.legs == {}
        assert on.switch.recording == {}
        assert on.switch.playing == {}
        assert on.calls.under_way == ()
        await on.until(lambda: not on.calls._tasks)
    assert record.outcome == ("connected" if moment == "while they talk" else "abandoned")
    assert all(not one.open for one in record.recordings)


async def test_who_hangs_up_before_the_tone_has_left_no_message() -> None:
    async with stage("call: v\nsteps: [ { voicemail: store, say: Speak. }, { hang_up: thanks } ]") as on:
        on.switch.hears = False
        leg = on.switch.offer(COURIER, STORE)
        await on.until(lambda: on.switch.playing)
        on.switch.hang_up_by(leg)
        record = await on.record()
        assert (record.outcome, record.recordings) == ("abandoned", ())
        leg = on.switch.offer(COURIER, STORE)
        await on.until(lambda: on.switch.playing)
        on.switch.heard(leg)
        await on.until(lambda: on.switch.recording)
        on.switch.hang_up_by(leg)
        record = await on.record()
        assert (record.outcome, [one.box for one in record.recordings]) == ("voicemail", ["store"])


@pytest.mark.parametrize("fate", ["busy", "no_answer", "declined"])
async def test_a_customer_who_is_not_reached_leads_to_the_dispatcher(fate: str) -> None:
    async with stage() as on:
        on.our_answers = [{"code": 1}, {"phones": [CUSTOMER]}]
        on.switch.phones[CUSTOMER] = fate
        leg = on.switch.offer(COURIER, STORE)
        await on.until(lambda: on.switch.commands("answer"))
        on.switch.press(leg, "9#")
        await on.until(lambda: on.switch.bridges)
        assert [one.details[0] for one in on.switch.commands("dial")] == [CUSTOMER, "+3222220000"]
        on.switch.hang_up_by(leg)
        record = await on.record()
    assert "The customer can't be reached." in said(on)
    assert record.outcome == "connected"


async def test_a_command_that_the_switch_refuses_is_a_step_that_failed_and_not_a_call_that_hangs() -> None:
    script = """
call: refused
steps:
  - say: Hello.
  - dial: "+3225550101"
    record: true
    otherwise: [ { say: "Nobody." } ]
"""
    for broken in ("play", "dial", "bridge", "record"):
        async with stage(script) as on:
            on.switch.broken[broken] = Unavailable("switch.full", "the switch is full")
            leg = on.switch.offer(COURIER, STORE)
            if broken in ("record", "play"):
                await on.until(lambda on=on: on.switch.bridges)
                on.switch.hang_up_by(leg)
            record = await on.record()
            assert on.switch.legs == {}
        said_why = " ".join(one.why for one in record.decisions) + " ".join(one.why for one in record.recordings)
        assert "the switch is full" in said_why or broken == "bridge"


async def test_a_switch_that_dies_ends_its_calls() -> None:
    async with stage() as on:
        on.our_answers = [{"code": 1}]
        on.switch.hears = False
        on.switch.offer(COURIER, STORE)
        await on.until(lambda: on.switch.playing)
        await on.switch.close()
        on.calls.listen(SwitchDown(at_ms=on.clock.now_ms(), why="the media process is gone"))
        record = await on.record()
    assert record.outcome == "failed"
    assert record.legs[0].cause == "switch_down"


async def test_a_call_ends_when_it_lasts_too_long() -> None:
    script = "call: long\nlimits: {duration: 10m}\nsteps:\n  - dial: '+3225550101'\n"
    async with stage(script) as on:
        on.switch.offer(COURIER, STORE)
        await on.until(lambda: on.switch.bridges)
        await on.passes(600_000)
        record = await on.record()
    assert (record.outcome, record.why) == ("connected", "the call lasted too long")
    assert on.switch.legs == {}


async def test_calls_are_bounded_and_further_ones_hear_that_we_are_busy() -> None:
    async with stage(calls_max=2) as on:
        on.our_answers = [{"code": 1}, {"code": 1}]
        on.switch.hears = False
        legs = [on.switch.offer(COURIER, STORE) for _ in range(3)]
        await on.until(lambda: on.switch.commands("reject"))
        [rejected] = on.switch.commands("reject")
        assert (rejected.leg, rejected.details) == (legs[2], (486,))
        for leg in legs[:2]:
            on.switch.hang_up_by(leg)
        await on.record()
        await on.record()


async def test_a_number_that_has_no_script_does_not_exist() -> None:
    async with stage() as on:
        on.chooses = False
        on.switch.offer(COURIER, "+3200000000")
        await on.until(lambda: on.switch.commands("reject"))
        assert on.switch.commands("reject")[0].details == (404,)
        await on.until(lambda: not on.calls._tasks)
    assert on.records == []


async def test_a_server_that_closes_ends_every_call_properly() -> None:
    async with stage() as on:
        on.our_answers = [{"code": 1}] * 3
        on.switch.hears = False
        for _ in range(3):
            on.switch.offer(COURIER, STORE)
        await on.until(lambda: len(on.switch.playing) == 3)
        await on.calls.close(5)
        assert on.switch.legs == {}
    assert [record.why for record in on.records] == ["the server closes"] * 3


async def test_we_call_somebody_and_follow_the_script_once_they_answer() -> None:
    script = """
call: reminder
steps:
  - menu: { 1: [ { say: "Confirmed." }, { hang_up: confirmed } ] }
    say: Press 1 to confirm.
    on_nothing: [ { hang_up: not confirmed } ]
"""
    async with stage(script) as on:
        from beckon.telephony.calls import Chosen

        chosen = Chosen(workspace="main", script=on.script, about=About(contact={"id": "con_ann"}))
        on.switch.hears = False
        await on.calls.call_out(chosen, CUSTOMER, STORE)
        await on.until(lambda: on.switch.playing)
        on.switch.press(on.switch.leg_of(CUSTOMER), "1")
        await on.until(lambda: said(on)[-1] == "Confirmed.")
        on.switch.heard(on.switch.leg_of(CUSTOMER))
        record = await on.record()
        assert (record.direction, record.contact, record.why) == ("out", "con_ann", "confirmed")
        on.switch.phones[CUSTOMER] = "busy"
        await on.calls.call_out(chosen, CUSTOMER, STORE)
        record = await on.record()
        assert (record.outcome, record.why) == ("unreached", "busy")


async def test_the_end_of_a_call_is_told_again_where_the_store_was_out_of_reach() -> None:
    async with stage("call: short\nsteps: [ { hang_up: bye } ]") as on:
        failures = [Unavailable("store.unavailable", "later")]
        finish = on._finish

        async def sometimes(record: object) -> None:
            if failures:
                raise failures.pop()
            await finish(record)  # type: ignore[arg-type]

        on.calls._finish = sometimes  # type: ignore[assignment]
        on.switch.offer(COURIER, STORE)
        record = await on.record()
    assert record.why == "bye"
