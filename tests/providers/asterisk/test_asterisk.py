"""Asterisk behind ``Switch``: the courier's call as a real one told it, and what goes wrong on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from beckon.core.clock import VirtualClock
from beckon.core.errors import Misconfigured, Refused, Unavailable, Unsupported
from beckon.providers.asterisk import SWITCH, words
from beckon.providers.asterisk.settings import AsteriskSettings
from beckon.providers.asterisk.switch import Asterisk
from beckon.telephony.call import CallRecord
from beckon.telephony.calls import Calls, Chosen
from beckon.telephony.questions import Questions
from beckon.telephony.script_reading import parse_script
from beckon.telephony.switch import (
    File,
    KeyPressed,
    LegEnded,
    LegOffered,
    LegRinging,
    PlaybackEnded,
    Say,
    Silence,
    SwitchDown,
    SwitchUp,
    Tone,
)
from tests.providers.asterisk.recorded import Recorded, entries, recorded

SCRIPT = """
call: recorded
steps:
  - gather: order
    say: { file: hint.wav }
    max: 8
  - dial: "74957654321"
    record: true
"""


class Heard:
    """A switch and everything that it told."""

    def __init__(self, port: int, calls: Calls | None = None, **settings: Any) -> None:
        self.events: list[Any] = []
        self.clock = VirtualClock()
        self.calls = calls
        given = AsteriskSettings(url=f"http://127.0.0.1:{port}/ari", **{"password": "secret", **settings})
        self.switch: Asterisk = SWITCH.open(given, self.clock, self._listen)  # type: ignore[assignment]

    def _listen(self, event: Any) -> None:
        self.events.append(event)
        if self.calls is not None:
            self.calls.listen(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, holds: Callable[[], object]) -> None:
        for _ in range(30_000):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError([type(event).__name__ for event in self.events])


@asynccontextmanager
async def open_switch(party: Recorded, **more: Any) -> AsyncIterator[Heard]:
    heard = Heard(party.port, **more)
    await heard.switch.start()
    try:
        yield heard
    finally:
        await heard.switch.close()


async def test_the_recorded_courier_call_is_followed_from_the_first_ring_to_the_recording() -> None:
    records: list[CallRecord] = []

    async def choose(offered: LegOffered) -> Chosen:
        return Chosen(workspace="main", script=parse_script(SCRIPT))

    async def finish(record: CallRecord) -> None:
        records.append(record)

    clock = VirtualClock()
    calls = Calls(clock, Questions(clock, None, {}, None, None), choose, finish)  # type: ignore[arg-type]
    async with recorded() as party:
        async with open_switch(party, calls=calls) as heard:
            calls.use(heard.switch)
            await heard.until(lambda: records)
            await calls.close(5)
        [offered] = heard.of(LegOffered)
        assert (offered.caller, offered.called, offered.source) == ("+74952345678", "+74951234567", "from-sip")
        assert "".join(event.key for event in heard.of(KeyPressed)) == "4711#"
        assert [event.end for event in heard.of(PlaybackEnded)] == ["key"]
        [dial] = [query for method, path, query in party.commands if "endpoint" in query]
        assert (dial["endpoint"], dial["callerId"]) == ("PJSIP/74957654321@trunk", "+74951234567")
        assert "74952345678" not in str(dial), "the caller's number is masked"
        assert len(heard.of(LegRinging)) == 1
        assert [path for _method, path, _query in party.commands if path.endswith("/addChannel")]
    [record] = records
    assert (record.outcome, record.digits) == ("connected", {"order": "4711"})
    [recording] = record.recordings
    assert recording.path == f"/var/spool/asterisk/recording/{recording.id}.wav"
    assert len(heard.of(LegEnded)) == 2, "each leg ends once"


async def test_a_wrong_password_is_said_at_the_start() -> None:
    async with recorded([]) as party:
        heard = Heard(party.port, password="wrong")
        with pytest.raises(Misconfigured):
            await heard.switch.start()
        await heard.switch.close()


async def test_nobody_at_the_port_is_said_at_the_start() -> None:
    heard = Heard(1)
    with pytest.raises(Misconfigured) as refused:
        await heard.switch.start()
    assert refused.value.code == "asterisk.unreachable"
    await heard.switch.close()


async def test_a_websocket_that_goes_ends_every_leg_and_the_switch_comes_back() -> None:
    async with recorded(entries()[:1]) as party, open_switch(party) as heard:
        await heard.until(lambda: heard.of(LegOffered))
        party.rows = []
        await party.drop()
        await heard.until(lambda: heard.of(SwitchDown))
        [ended] = heard.of(LegEnded)
        assert (ended.cause, ended.by) == ("switch_down", "switch")
        assert heard.events.index(ended) < heard.events.index(heard.of(SwitchDown)[0])
        await heard.until(lambda: len(heard.of(SwitchUp)) == 2)
        with pytest.raises(Refused) as gone:
            await heard.switch.answer(ended.leg)
        assert gone.value.code == "call.leg_gone"


async def test_a_phone_that_is_busy_ends_its_leg_with_the_reason() -> None:
    async with recorded(entries()[:1]) as party, open_switch(party) as heard:
        await heard.until(lambda: heard.of(LegOffered))
        await heard.switch.dial("call_1-l1", "+3225550101", caller_id="+3221234567")
        for _ in range(2):
            await party.say(
                {"type": "ChannelDestroyed", "cause": 17, "cause_txt": "User busy", "channel": {"id": "call_1-l1"}}
            )
        await heard.until(lambda: heard.of(LegEnded))
        [ended] = heard.of(LegEnded)
        assert (ended.leg, ended.cause, ended.by, ended.why) == ("call_1-l1", "busy", "phone", "User busy")


async def test_a_command_for_a_leg_that_is_gone_and_one_that_fails_are_told_apart() -> None:
    async with recorded(entries()[:1]) as party, open_switch(party) as heard:
        await heard.until(lambda: heard.of(LegOffered))
        leg = heard.of(LegOffered)[0].leg
        party.statuses = {"answer": 404, "play": 500, "dial": 400}
        with pytest.raises(Refused) as gone:
            await heard.switch.answer(leg)
        assert gone.value.code == "call.leg_gone"
        with pytest.raises(Unavailable):
            await heard.switch.play(leg, "p", (File("a.wav"),))
        with pytest.raises(Refused) as refused:
            await heard.switch.dial("x-l1", "+3225550101")
        assert refused.value.code == "asterisk.refused"
        party.statuses = {}
        await heard.switch.hang_up(leg)
        await heard.switch.hang_up("gone")


async def test_what_cannot_be_read_is_left_out() -> None:
    async with recorded(entries()[:1]) as party, open_switch(party) as heard:
        await heard.until(lambda: heard.of(LegOffered))
        leg = heard.of(LegOffered)[0].leg
        for event in (
            "{",
            "[]",
            '{"type": 5}',
            '{"type": "StasisStart", "channel": 5}',
            '{"type": "PlaybackFinished"}',
        ):
            await party.say(event)
        await party.say({"type": "ChannelDtmfReceived", "digit": "5", "channel": {"id": leg}})
        await heard.until(lambda: heard.of(KeyPressed))
        assert heard.of(SwitchDown) == []


def test_prompts_as_asterisk_plays_them() -> None:
    mute = AsteriskSettings(password="x")
    speaks = AsteriskSettings(password="x", speak_url="http://tts/say?text={text}&l={locale}")
    assert words.media_of(File("welcome.wav"), mute) == "sound:beckon/welcome"
    assert words.media_of(File("https://a/b.wav"), mute) == "sound:https://a/b.wav"
    assert words.media_of(Say("Hi, you & I.", "nl"), speaks) == "sound:http://tts/say?text=Hi%2C%20you%20%26%20I.&l=nl"
    assert words.media_of(Silence(1_600), mute) == "sound:silence/2"
    assert words.waiting_media((Tone((425.0,), 1_000), Silence(4_000)), mute) == "tone:425/1000,0/4000"
    with pytest.raises(Unsupported):
        words.media_of(Say("Hi."), mute)
    with pytest.raises(Refused):
        words.media_of(File("a,b.wav"), mute)
    assert "say" in Heard(1, speak_url="http://x").switch.capabilities.prompts
    assert "say" not in Heard(1).switch.capabilities.prompts


@pytest.mark.parametrize("number", ["", "1&SIP/x", "1@evil", "1 2", "1,2"])
def test_no_number_dials_something_else(number: str) -> None:
    with pytest.raises(Refused):
        words.endpoint_of(number, AsteriskSettings(password="x"))
