"""The courier's story with phones that others wrote: baresip on both sides, SIPp on both sides."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from beckon.bench import sipp
from beckon.bench.place import free_port
from beckon.providers.sip.media.g711 import ALAW, decode, encode
from beckon.providers.sip.settings import DialSettings, TrunkSettings
from beckon.telephony.switch import KeyPressed, Say
from tests.kit.processes import dies_with_parent
from tests.providers.sip.baresip import baresip
from tests.providers.sip.conftest import goes_on, open_settings, switchboard
from tests.providers.sip.tones import channels, holes, longest, stretches


async def test_a_courier_and_a_customer_with_baresip(tmp_path: Path):
    """A spoken hint, keys as the phone sends them, a registered customer, two tones in the recording."""
    hint = (Say("Good morning. Please type the number of your order, and then the hash key.", "en"),)
    async with switchboard(open_settings(), tmp_path / "voice", hint=hint) as board:
        customer = baresip(
            tmp_path / "customer", "customer", board.port, 800.0, "auth_pass=secret;answermode=auto;regint=60"
        )
        async with customer as other:
            await board.until(lambda: "customer" in board.switch.registered)
            calls = baresip(tmp_path / "courier", "+32480123456", board.port, 500.0, "regint=0", call="+3225551000")
            async with calls as phone:
                await board.until(lambda: bool(board.courier.calls))
                call = board.courier.calls[0]
                await board.until(lambda: "hint done" in call.steps)
                phone.press("4711#")
                await board.until(lambda: "recording" in call.steps)
                await goes_on(board.switch.recordings_folder, 2.5)
                phone.press("b")
                await board.until(lambda: "recorded" in call.steps and not board.switch.legs)
                heard_by_courier = phone.heard
            heard_by_customer = other.heard
    assert call.keys == "4711"
    assert {event.by for event in board.events(KeyPressed) if isinstance(event, KeyPressed)} == {"rfc4733"}
    left, right = channels(call.path)
    for side, hertz in ((left, 500.0), (right, 800.0)):
        begun, ended = longest(side, hertz)
        assert ended - begun > 12_000
        assert holes(side[begun + 800 : ended - 800]) == 0
    [spoken] = channels(str(heard_by_courier))
    begun, ended = longest(spoken, 800.0)
    assert ended - begun > 4_000
    hint_heard = spoken[: begun - 400]
    assert (abs(hint_heard.astype(int)) > 1_000).sum() > 4_000, "somebody spoke before"
    [heard] = channels(str(heard_by_customer))
    begun, ended = longest(heard, 500.0)
    assert ended - begun > 4_000


async def test_a_courier_and_a_customer_with_sipp(tmp_path: Path):
    """Keys by INFO, the customer by a trunk; the trunk sees the store's number only."""
    customers = free_port()
    trunks = {"provider": TrunkSettings(host="127.0.0.1", port=customers)}
    settings = open_settings(trunks=trunks, dial=DialSettings(allowed=("+32",)))
    async with switchboard(settings, tmp_path / "voice", customer_of=lambda keys: f"+324700000{keys}") as board:
        messages = tmp_path / "messages"
        commands = (
            [*sipp.customers(tmp_path, customers, 1, tone(800.0)), "-trace_msg", "-message_file", str(messages)],
            sipp.callers(tmp_path, board.port, 1, 3.0, tone(500.0)),
        )
        processes = [
            await asyncio.create_subprocess_exec(
                *command,
                cwd=tmp_path,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                preexec_fn=dies_with_parent(),
            )
            for command in commands
        ]
        try:
            for process in processes:
                assert await asyncio.wait_for(process.wait(), 300) == 0
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        call = board.courier.calls[0]
        await board.until(lambda: "recorded" in call.steps)
    assert call.keys == "12"
    assert {event.by for event in board.events(KeyPressed) if isinstance(event, KeyPressed)} == {"info"}
    received = messages.read_text()
    assert "sip:+32470000012@" in received
    assert "From: <sip:+3225551000@" in received
    assert "+32480" not in received, "the courier's number is masked"
    left, right = channels(call.path)
    for side, hertz in ((left, 500.0), (right, 800.0)):
        begun, ended = longest(side, hertz)
        assert ended - begun > 12_000


def tone(hertz: float) -> bytes:
    """Ten seconds of a sine that goes round without a click, in A-law."""
    from array import array
    from math import pi, sin

    second = array("h", [int(6_000 * sin(2 * pi * hertz * at / 8_000)) for at in range(8_000)])
    return encode(second, ALAW) * 10


@pytest.mark.parametrize("hertz", [500.0])
def test_the_tones_are_what_they_say(hertz: float):
    [(begun, ended)] = stretches(np.array(decode(tone(hertz), ALAW), dtype=np.int16), hertz)
    assert (begun, ended) == (0, 80_000)
