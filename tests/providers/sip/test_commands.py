"""Each command of the switch, by what the phones hear and the events say."""

import asyncio
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from beckon.bench.courier import Call, Courier
from beckon.core.errors import BeckonError, Misconfigured, Refused, Unsupported
from beckon.providers.sip.media.g711 import decode
from beckon.providers.sip.media.ports import open_pair
from beckon.providers.sip.settings import PhoneSettings
from beckon.telephony.switch import (
    File,
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegOffered,
    LegRinging,
    PlaybackEnded,
    RecordingEnded,
    Say,
    Silence,
    SwitchEvent,
    Tone,
)
from tests.providers.sip.conftest import Board, open_settings, switchboard
from tests.providers.sip.phone import SoftPhone
from tests.providers.sip.tones import RATE, channels, loudest, stretches, write_wav

CALLED = "+3225551000"


class Nothing(Courier):
    """Leaves everything to the test."""

    async def _obey(self, call: Call, event: SwitchEvent) -> None:
        return None


@pytest.fixture(scope="module")
async def shared_board(tmp_path_factory: pytest.TempPathFactory):
    async with switchboard(open_settings(), tmp_path_factory.mktemp("voice"), runner=Nothing) as board:
        yield board


async def offered(board: Board, phone: SoftPhone) -> str:
    """A call that has come in and is not answered."""
    phone.peer = CALLED
    phone.send(phone.make("INVITE", CALLED, body=phone.description()))
    await board.until(lambda: bool(board.events(LegOffered)))
    [event] = board.events(LegOffered)
    assert isinstance(event, LegOffered)
    return event.leg


async def answered(board: Board, phone: SoftPhone) -> str:
    """A call that is answered."""
    leg = await offered(board, phone)
    await board.switch.answer(leg)
    phone.ack(await phone.response(200))
    await board.until(lambda: bool(board.events(LegAnswered)))
    return leg


def playbacks(board: Board) -> list[tuple[str, str]]:
    """Which playbacks ended, in order, and how."""
    return [(event.playback, event.end) for event in board.events(PlaybackEnded) if isinstance(event, PlaybackEnded)]


async def test_prompts_are_heard_before_the_answer(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await offered(board, phone)
        await board.switch.ring(leg, early_media=True)
        progress = await phone.response(183)
        phone.remote = progress.media
        await board.switch.play(leg, "early", (Tone((900.0,), 500),))
        await phone.hears(900.0)
        await board.switch.answer(leg)
        phone.ack(await phone.response(200))
        await phone.hang_up()


async def test_a_leg_is_refused_with_a_status(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await offered(board, phone)
        with pytest.raises(Refused):
            await board.switch.reject(leg, 200)
        await board.switch.reject(leg, 486)
        phone.ack(await phone.response(486))
        await board.until(lambda: bool(board.events(LegEnded)))
        [ended] = [event for event in board.events(LegEnded) if isinstance(event, LegEnded)]
        assert (ended.cause, ended.by, ended.status) == ("busy", "command", 486)


async def test_prompts_follow_each_other_and_a_key_ends_those_that_may_be_interrupted(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await answered(board, phone)
        await board.switch.play(leg, "first", (Tone((700.0,), 300), Silence(100), Tone((900.0,), 300)))
        await board.switch.play(leg, "second", (Tone((1_200.0,), 20_000),), barge_in=True)
        await board.switch.play(leg, "third", (Tone((1_500.0,), 20_000),), barge_in=True)
        await phone.hears(1_200.0)
        assert playbacks(board) == [("first", "done")]
        phone.press("1")
        await board.until(lambda: len(playbacks(board)) == 3)
        assert playbacks(board)[1:] == [("second", "key"), ("third", "key")]
        order = [type(event) for event in board.courier.events]
        assert order.index(KeyPressed) < order.index(PlaybackEnded, order.index(KeyPressed))
        # Without barge-in a key is told, and the prompt goes on.
        await board.switch.play(leg, "fourth", (Tone((700.0,), 20_000),))
        await phone.hears(700.0)
        phone.press("2")
        await board.until(lambda: len(board.events(KeyPressed)) == 2)
        assert len(playbacks(board)) == 3
        await board.switch.stop("fourth")
        await board.until(lambda: playbacks(board)[-1] == ("fourth", "stopped"))
        await board.switch.stop("fourth")
        await phone.hang_up()


async def test_the_first_packet_leaves_at_once_and_time_stamps_go_on(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        leg = await answered(board, phone)
        for at in range(12):
            await board.switch.play(leg, f"at-{at}", (Tone((700.0 + 100 * at,), 60),))
            await board.until(lambda at=at: (f"at-{at}", "done") in playbacks(board))
            await asyncio.sleep(0.03)
        stamps = [packet[2] for packet in phone.packets]
        passed_s = loop.time() - began_s
        await phone.hang_up()
    steps = [(later - one) & 0xFFFFFFFF for one, later in pairwise(stamps)]
    assert all(step >= 160 for step in steps)
    # Each prompt's first packet came early; idle time gave that back: time stamps don't run ahead of time.
    assert sum(steps) < passed_s * 8_000 + 3 * 160


async def test_a_held_leg_waits_with_music_and_comes_back(board: Board, customer: SoftPhone):
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await answered(board, phone)
        await board.switch.dial("leg-c", "customer")
        await customer.take()
        await board.until(lambda: len(board.events(LegAnswered)) == 2)
        await board.switch.bridge("bridge-h", leg, "leg-c")
        phone.talk(500.0)
        customer.talk(800.0)
        await phone.hears(800.0)
        await customer.hears(500.0)
        await board.switch.hold(leg, (Tone((1_300.0,), 400),))
        hold = await phone.request("INVITE")
        assert "a=sendonly" in hold.body
        phone.reply(hold, 200, "OK", body=phone.description("recvonly", version=2))
        await phone.request("ACK")
        await phone.hears(1_300.0, seconds=0.6)
        since = len(customer.packets)
        await customer.until(lambda: len(customer.packets) > since + 20)
        assert loudest(decode(customer.audio(since + 5), customer.law)) == 0, "nobody hears a leg that is held"
        await board.switch.resume(leg)
        back = await phone.request("INVITE")
        assert "a=sendrecv" in back.body
        phone.reply(back, 200, "OK", body=phone.description(version=3))
        await phone.request("ACK")
        await phone.hears(800.0)
        await customer.hears(500.0)
        await board.switch.unbridge("bridge-h")
        await board.switch.unbridge("bridge-h")
        await board.switch.play(leg, "after", (Tone((1_000.0,), 1_000),))
        await phone.hears(1_000.0)
        await board.switch.hang_up("leg-c")
        customer.grant(await customer.request("BYE"))
        await phone.hang_up()


@pytest.mark.parametrize("keys", [True, False])
async def test_keys_are_pressed_towards_a_phone(board: Board, keys: bool):
    async with SoftPhone("+32480123456", board.port, keys=keys) as phone:
        leg = await answered(board, phone)
        await board.switch.send_digits(leg, "47#")
        if keys:
            wanted = [4, 7, 11]
            await phone.until(lambda: pressed(phone) == wanted)
        else:  # as tones: 770 + 1209 Hz is a 4
            await phone.until(lambda: len(phone.packets) > 15)
            await phone.until(lambda: any(set(packet[4]) != {0xD5} for packet in phone.packets))
            start = next(at for at, packet in enumerate(phone.packets) if set(packet[4]) != {0xD5})
            await phone.until(lambda: len(phone.packets) > start + 5)
            heard = np.array(decode(b"".join(packet[4] for packet in phone.packets[start : start + 5]), phone.law))
            spectrum = np.abs(np.fft.rfft(heard, 8_000))
            assert {770, 1_209} <= peaks(spectrum)
        with pytest.raises(Refused):
            await board.switch.send_digits(leg, "call me")
        await phone.hang_up()


def pressed(phone: SoftPhone) -> list[int]:
    """The events of which the end was heard, each once."""
    ended: dict[int, int] = {}
    for kind, _, stamp, _, payload in phone.packets:
        if kind == 101 and payload[1] & 0x80:
            ended[stamp] = payload[0]
    return list(ended.values())


def peaks(spectrum: np.ndarray) -> set[int]:
    """The two loudest frequencies."""
    low, high = int(spectrum[600:1_000].argmax()) + 600, int(spectrum[1_100:1_700].argmax()) + 1_100
    return {near for near in (697, 770, 852, 941, 1_209, 1_336, 1_477) for at in (low, high) if abs(at - near) < 12}


async def test_early_media_of_the_customer_is_heard_instead_of_ringing(board: Board, customer: SoftPhone):
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await answered(board, phone)
        await board.switch.dial("leg-early", "customer")
        await board.switch.bridge("bridge-e", leg, "leg-early", ringback=True)
        invite = await customer.request("INVITE")
        customer.remote = invite.media
        customer.reply(invite, 183, "Session Progress", body=customer.description())
        await phone.hears(425.0)
        customer.talk(650.0)
        await phone.hears(650.0, seconds=0.5)
        [ringing] = [event for event in board.events(LegRinging) if isinstance(event, LegRinging)]
        assert ringing.early_media
        customer._invite = invite
        await customer.take()
        phone.talk(500.0)
        await customer.hears(500.0)
        await phone.hang_up()
        await board.switch.hang_up("leg-early")
        customer.grant(await customer.request("BYE"))


async def test_a_single_leg_is_recorded_with_what_it_hears_or_without(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await answered(board, phone)
        phone.talk(500.0)
        await board.switch.record("both", leg)
        await board.switch.play(leg, "hint", (Tone((1_000.0,), 60_000),))
        await phone.hears(1_000.0)
        await board.switch.record("alone", leg, stereo=False, max_s=1.0)
        await board.until(lambda: bool(board.events(RecordingEnded)))  # the one with a limit
        await board.switch.stop_recording("both")
        await board.until(lambda: len(board.events(RecordingEnded)) == 2)
        with pytest.raises(Refused):
            await board.switch.record("both", leg)
        await phone.hang_up()
    found = {event.recording: event for event in board.events(RecordingEnded) if isinstance(event, RecordingEnded)}
    said, told = channels(found["both"].path)
    assert max(ended - begun for begun, ended in stretches(said, 500.0)) > 4_000
    assert max(ended - begun for begun, ended in stretches(told, 1_000.0)) > 4_000
    [alone] = channels(found["alone"].path)
    assert max(ended - begun for begun, ended in stretches(alone, 500.0)) > 4_000
    assert 0.9 < found["alone"].seconds < found["both"].seconds


async def test_a_bridge_is_recorded_in_mono_when_asked(board: Board, customer: SoftPhone):
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await answered(board, phone)
        await board.switch.dial("leg-m", "customer")
        await customer.take()
        await board.until(lambda: len(board.events(LegAnswered)) == 2)
        await board.switch.bridge("bridge-m", leg, "leg-m")
        await board.switch.record("mixed", "bridge-m", stereo=False)
        phone.talk(500.0)
        customer.talk(800.0)
        await customer.hears(500.0, seconds=0.6)
        await phone.hears(800.0, seconds=0.6)
        await phone.hang_up()
        await board.switch.hang_up("leg-m")
        customer.grant(await customer.request("BYE"))
        await board.until(lambda: bool(board.events(RecordingEnded)))
        [event] = [event for event in board.events(RecordingEnded) if isinstance(event, RecordingEnded)]
        [mono] = channels(event.path)
        spectrum = np.abs(np.fft.rfft(mono[-4_800:], 8_000))
        assert {int(at) for at in np.argsort(spectrum[:2_000])[-2:]} <= {*range(490, 511), *range(790, 811)}
        assert spectrum[500] > 50_000 < spectrum[800]


async def test_a_recorded_prompt_of_another_rate_sounds_as_it_was_recorded(board: Board, tmp_path: Path):
    file = tmp_path / "prompt.wav"
    write_wav(file, (8_000 * np.sin(2 * np.pi * 1_100 * np.arange(44_100) / 44_100)).astype(np.int16), 44_100)
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await answered(board, phone)
        await board.switch.play(leg, "file", (File(str(file)),))
        await phone.hears(1_100.0)
        await phone.hang_up()


async def test_the_phone_is_told_by_rtcp_what_was_sent_and_that_it_is_over(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        rtp, rtcp = open_pair("127.0.0.1", 50_000, 53_000)
        phone.rtp_port = rtp.getsockname()[1]
        leg = await answered(board, phone)
        await board.switch.play(leg, "hint", (Tone((1_000.0,), 200),))
        await board.until(lambda: bool(playbacks(board)))
        phone.talk(500.0)
        await board.until(lambda: rtp.recv(2_000) != b"")
        await phone.hush()
        await phone.hang_up()
        await board.until(lambda: bool(board.events(LegEnded)))
        report = rtcp.recv(2_000)
        rtp.close()
        rtcp.close()
    kinds, at = [], 0
    while at < len(report):
        kinds.append(report[at + 1])
        at += 4 + 4 * int.from_bytes(report[at + 2 : at + 4])
    assert kinds == [200, 202, 203]
    assert int.from_bytes(report[20:24]) >= 10, "packets sent"


@pytest.mark.parametrize(
    ("prompts", "kind", "code"),
    [
        ((), Refused, "prompt.count"),
        ((File("/nowhere/at/all.wav"),), Refused, "prompt.missing"),
        ((File("https://example.com/a.wav"),), Unsupported, "prompt.remote"),
        ((Say("   "),), Refused, "prompt.text"),
        ((Tone((9_000.0,), 100),), Refused, "prompt.tone"),
        ((Silence(0),), Refused, "prompt.length"),
    ],
)
async def test_prompts_that_cannot_be_played_say_why(
    board: Board, prompts: tuple[Say, ...], kind: type[BeckonError], code: str
):
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await answered(board, phone)
        with pytest.raises(kind) as refused:
            await board.switch.play(leg, "never", prompts)
        assert refused.value.code == code
        await phone.hang_up()


async def test_commands_to_what_is_gone_say_so_or_do_nothing(board: Board):
    switch = board.switch
    for attempt in (
        switch.answer("leg-none"),
        switch.ring("leg-none"),
        switch.reject("leg-none"),
        switch.play("leg-none", "play", (Silence(20),)),
        switch.hold("leg-none"),
        switch.resume("leg-none"),
        switch.bridge("bridge", "leg-none", "leg-other"),
        switch.record("record", "leg-none"),
        switch.send_digits("leg-none", "1"),
    ):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.code == "call.leg_gone"
    await switch.hang_up("leg-none")
    await switch.stop("play-none")
    await switch.stop_recording("record-none")
    await switch.unbridge("bridge-none")


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a b", "x" * 65, ".hidden"])
async def test_an_id_that_could_be_a_path_is_refused(board: Board, name: str):
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await answered(board, phone)
        with pytest.raises(Refused) as refused:
            await board.switch.record(name, leg)
        assert refused.value.code in ("call.id", "call.leg_gone")
        with pytest.raises(Refused):
            await board.switch.dial(name, "customer")
        await phone.hang_up()


async def test_a_missing_speaker_says_what_to_install(tmp_path: Path):
    settings = open_settings(espeak="espeak-that-is-nowhere")
    async with (
        switchboard(settings, tmp_path, runner=Nothing) as board,
        SoftPhone("+32480123456", board.port) as phone,
    ):
        leg = await answered(board, phone)
        with pytest.raises(Misconfigured, match="apt-get install espeak-ng"):
            await board.switch.play(leg, "spoken", (Say("Hello"),))
        await phone.hang_up()


async def test_what_was_said_once_is_not_made_again(board: Board, monkeypatch: pytest.MonkeyPatch):
    async with SoftPhone("+32480123456", board.port) as phone:
        leg = await answered(board, phone)
        words = (Say("The order is ready.", "en"),)
        await asyncio.gather(board.switch.play(leg, "one", words), board.switch.play(leg, "two", words))
        prompts = board.switch.recordings_folder.parent / "prompts"
        [spoken] = [file for file in prompts.glob("*.ulaw") if file.stat().st_size > 6_000 and is_speech(file)]
        made = spoken.stat().st_mtime_ns
        monkeypatch.setenv("PATH", "/nowhere")  # the speaker could not be found any more
        await board.switch.play(leg, "three", words)
        assert spoken.stat().st_mtime_ns == made
        await phone.hang_up()


def is_speech(file: Path) -> bool:
    """Whether it holds more than one tone."""
    heard = np.array(decode(file.read_bytes(), 0), dtype=np.float64)
    spectrum = np.abs(np.fft.rfft(heard[:RATE] if len(heard) > RATE else heard))
    return bool((spectrum > spectrum.max() / 10).sum() > 20)


async def test_a_registered_phone_is_called_by_its_number_too(tmp_path: Path):
    phones = {"ann": PhoneSettings(password="secret", number="+32 2 555 01 01")}
    async with switchboard(open_settings(phones=phones), tmp_path / "voice") as board:
        with pytest.raises(Refused) as refused:
            await board.switch.dial("leg-1", "+3225550101")
        assert refused.value.code == "call.no_route", "nobody has registered, and no trunk carries it"
        async with SoftPhone("ann", board.port, password="secret") as phone:
            assert (await phone.register()).status == 200
            await board.until(lambda: "ann" in board.switch.registered)
            await board.switch.dial("leg-2", "+3225550101", caller_id="+3225551000")
            invite = await phone.ring()
            assert "+3225551000" in invite.headers["from"]
            await board.switch.hang_up("leg-2")
            phone.grant(await phone.request("CANCEL"))
            phone.reply(invite, 487, "Request Terminated")
            await phone.request("ACK")
            await board.until(lambda: not board.switch.legs)
