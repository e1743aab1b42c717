"""The sandbox's phones: what they hear, what a conversation sounds like, and what there is where nobody speaks."""

import asyncio
import wave
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
import pytest

from beckon.core.clock import VirtualClock
from beckon.sandbox.telephones import TALK, Telephones, mixed, seconds_of
from beckon.telephony.switch import RecordingEnded, Say, SwitchEvent
from tests.kit.switches import until

ANN, BO = "+3225550101", "+32470000001"


def spoken(seconds: float, hertz: float) -> bytes:
    at = np.arange(int(22_050 * seconds)) / 22_050
    written = BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22_050)
        file.writeframes((9_000 * np.sin(2 * np.pi * hertz * at)).astype("<i2").tobytes())
    return written.getvalue()


def test_two_people_in_turn_are_a_recording_with_each_on_a_side_of_its_own() -> None:
    wav = mixed([("caller", spoken(1.0, 400)), ("callee", spoken(0.5, 700))])
    assert seconds_of(wav) == pytest.approx(1.0 + 0.5 + 2 * 0.4, abs=0.01)
    with wave.open(BytesIO(wav)) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).astype(np.int32)
    first, second = both[: 22_050 - 10], both[int(1.45 * 22_050) :]
    assert np.abs(first).max(axis=0).tolist()[1] == 0
    assert np.abs(second).max(axis=0).tolist()[0] == 0
    assert (np.abs(first[:, 0]).max(), np.abs(second[:, 1]).max()) > (8_000, 8_000)


@pytest.mark.parametrize("wav", [b"", b"RIFF", b"\x00" * 100, spoken(0.1, 400)[:30]])
def test_what_is_no_sound_takes_no_time(wav: bytes) -> None:
    assert seconds_of(wav) == 0.0


@pytest.mark.parametrize("speaks", [True, False])
async def test_a_conversation_is_recorded_where_somebody_speaks_and_said_so_where_nobody_does(
    tmp_path: Path, speaks: bool
) -> None:
    async def speak(text: str, locale: str) -> bytes:
        return spoken(0.2, 400)

    heard: list[SwitchEvent] = []
    telephones = Telephones(speak if speaks else None)
    given = msgspec.convert({"folder": str(tmp_path)}, telephones.offer.settings)
    switch = telephones.offer.open(given, VirtualClock(0), heard.append)
    telephones.call(BO, "+3221234567")
    leg = telephones.phone(BO).leg
    await switch.answer(leg)
    await switch.dial("l1", ANN, caller_id="+3221234567")
    await until(lambda: telephones.phone(ANN).state == "up")
    await switch.play("l1", "p1", (Say("A courier calls.", "en"),))
    await until(lambda: telephones.phone(ANN).heard)
    await switch.bridge("b1", leg, "l1")
    await switch.record("r1", "b1")
    await until(lambda: telephones.quiet)
    telephones.hang_up(ANN)
    await asyncio.sleep(0)
    [recorded] = [event for event in heard if isinstance(event, RecordingEnded)]
    assert [path.name for path in tmp_path.glob("recordings/*.wav")] == (["r1.wav"] if speaks else [])
    assert bool(recorded.path) is speaks
    assert ("espeak-ng" in recorded.why) is not speaks
    assert [one.text for one in telephones.phone(BO).heard] == [words for _who, words in TALK]
    assert (telephones.phone(ANN).shows, telephones.phone(ANN).state) == ("+3221234567", "idle")
    await switch.close()


async def test_a_phone_in_use_is_busy_to_others(tmp_path: Path) -> None:
    heard: list[SwitchEvent] = []
    telephones = Telephones()
    given = msgspec.convert({"folder": str(tmp_path)}, telephones.offer.settings)
    switch = telephones.offer.open(given, VirtualClock(0), heard.append)
    telephones.call(ANN, "+3221234567")
    telephones.call(ANN, "+3221234567")
    await switch.dial("l1", ANN)
    await until(lambda: any(type(event).__name__ == "LegEnded" for event in heard))
    assert [getattr(event, "cause", "") for event in heard if type(event).__name__ == "LegEnded"] == ["busy"]
    telephones.press(BO, "1")
    telephones.lift(BO)
    telephones.hang_up(BO)
    assert telephones.phone(BO).state == "idle"
    telephones.fresh()
    assert telephones.phones == {}
    await switch.close()
