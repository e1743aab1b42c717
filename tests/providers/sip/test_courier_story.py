"""The courier's call, heard and recorded, with phones of our own and with the ones that people have."""

from itertools import pairwise
from pathlib import Path

import pytest

from beckon.providers.sip.media.g711 import ULAW, decode
from beckon.telephony.switch import KeyPressed, LegAnswered, LegEnded, LegOffered, PlaybackEnded
from tests.providers.sip.conftest import Board, goes_on, recorded
from tests.providers.sip.phone import SoftPhone
from tests.providers.sip.tones import channels, holes, longest, stretches

OURS, THEIRS = 500.0, 800.0


@pytest.mark.parametrize("law", [0, 8])
async def test_a_courier_hears_the_hint_types_the_order_and_talks_with_the_customer(
    board: Board, customer: SoftPhone, law: int
):
    async with SoftPhone("+32480123456", board.port, law=law) as courier:
        assert (await courier.call("+3225551000")).status == 200
        await courier.hears(1_000.0)  # the hint
        for key in "4711#":
            courier.press(key)
        await board.until(lambda: bool(board.courier.calls) and "keys 4711" in board.courier.calls[0].steps)
        call = board.courier.calls[0]
        assert "hint key" in call.steps  # the first key interrupted it
        invite = await customer.ring()
        await courier.hears(425.0)  # ringing
        await customer.take()
        courier.talk(OURS)
        customer.talk(THEIRS)
        await customer.hears(OURS, seconds=0.6)
        await courier.hears(THEIRS, seconds=0.6)
        await board.until(lambda: "recording" in call.steps)
        await goes_on(board.switch.recordings_folder, 1.5)
        await courier.hang_up()
        customer.grant(await customer.request("BYE"))
        await board.until(lambda: "recorded" in call.steps)
    for phone in (courier, customer):
        sequences = [packet[1] for packet in phone.packets]
        assert all((later - one) & 0xFFFF == 1 for one, later in pairwise(sequences)), "nothing is lost on the way"
        stamps = [packet[2] for packet in phone.packets]
        steps = [(later - one) & 0xFFFFFFFF for one, later in pairwise(stamps)]
        assert all(160 <= step < 0x8000_0000 for step in steps), "and time only goes forward"
        assert len({packet[3] for packet in phone.packets}) == 1, "in one stream"
    # The customer's phone has never seen the courier's number, nor the courier's the customer's.
    assert "+32480123456" not in invite.text
    assert "+3225551000" in invite.headers["from"]
    assert not [message for message in courier.messages if "customer" in message.text]
    left, right = channels(call.path)
    for side, hertz in ((left, OURS), (right, THEIRS)):
        begun, ended = longest(side, hertz)
        assert ended - begun > 4_000
        assert holes(side[begun + 800 : ended - 800]) == 0
    assert call.seconds == pytest.approx(len(left) / 8_000)


async def test_keys_by_info_do_the_same(board: Board, customer: SoftPhone):
    async with SoftPhone("+32480123456", board.port, keys=False) as courier:
        await courier.call("+3225551000")
        for at, key in enumerate("42#"):
            body = f"Signal={key}\r\nDuration=160\r\n" if at else key
            kind = "application/dtmf-relay" if at else "application/dtmf"
            courier.send(courier.make("INFO", "+3225551000", f"Content-Type: {kind}", body=body))
            await courier.response(200, "INFO")
        await customer.take()
        await board.until(lambda: "recording" in board.courier.calls[0].steps)
        keys = [(event.key, event.by) for event in board.events(KeyPressed) if isinstance(event, KeyPressed)]
        assert keys == [("4", "info"), ("2", "info"), ("#", "info")]
        await courier.hang_up()
        customer.grant(await customer.request("BYE"))


async def test_a_key_is_told_once_though_its_packets_repeat_and_some_are_lost(board: Board):
    async with SoftPhone("+32480123456", board.port) as courier:
        await courier.call("+3225551000")
        # The first packets of this key are lost: only its end arrives, three times.
        for _ in range(3):
            courier.send_packet(bytes([7, 0x8A, 2, 128]), 101, stamp=9_000)
        courier.stamp = 20_000
        courier.press("7")
        await board.until(lambda: len(board.events(KeyPressed)) >= 2)
        # One of the old key's packets comes late.
        courier.send_packet(bytes([7, 0x8A, 2, 128]), 101, stamp=9_000)
        courier.press("8")
        await board.until(lambda: len(board.events(KeyPressed)) >= 3)
        await courier.hang_up()
    assert [event.key for event in board.events(KeyPressed) if isinstance(event, KeyPressed)] == ["7", "7", "8"]


async def test_the_key_that_dialled_does_not_leak_into_the_bridge(board: Board, customer: SoftPhone):
    async with SoftPhone("+32480123456", board.port) as courier:
        await courier.call("+3225551000")
        courier.press("1")
        began = courier.stamp
        for duration in range(1, 4):  # "#" goes down, and stays down
            courier.send_packet(bytes([11, 10]) + (160 * duration).to_bytes(2), 101, stamp=began)
        await customer.take()
        await board.until(lambda: "recording" in board.courier.calls[0].steps)
        customer.talk(THEIRS)
        await courier.hears(THEIRS)
        for _ in range(3):
            courier.send_packet(bytes([11, 0x8A, 9, 96]), 101, stamp=began)
        courier.stamp = began + 4_000
        courier.press("5")
        await customer.until(lambda: any(packet[0] == 101 for packet in customer.packets))
        await courier.hang_up()
        customer.grant(await customer.request("BYE"))
    assert {packet[4][0] for packet in customer.packets if packet[0] == 101} == {5}


async def test_events_come_in_order_and_each_leg_ends_once(board: Board, customer: SoftPhone):
    async with SoftPhone("+32480123456", board.port) as courier:
        await courier.call("+3225551000")
        await courier.hears(1_000.0)
        for key in "1#":
            courier.press(key)
        await customer.take()
        await board.until(lambda: "recording" in board.courier.calls[0].steps)
        await customer.hang_up()
        courier.reply(await courier.request("BYE"), 200, "OK")
        await board.until(lambda: len(board.events(LegEnded)) == 2 and "recorded" in board.courier.calls[0].steps)
    call = board.courier.calls[0]
    heard = [type(event) for event in board.courier.events if getattr(event, "leg", "") == call.caller]
    assert heard[:2] == [LegOffered, LegAnswered]
    assert heard[-1] is LegEnded
    assert heard.count(PlaybackEnded) == 1
    ends = {event.leg: (event.cause, event.by) for event in board.events(LegEnded) if isinstance(event, LegEnded)}
    assert ends == {call.callee: ("normal", "phone"), call.caller: ("normal", "command")}


async def test_what_is_recorded_is_where_it_was_said(board: Board, customer: SoftPhone):
    """Packets that come late, twice and in the wrong order leave no trace in the recording."""
    async with SoftPhone("+32480123456", board.port) as courier:
        await courier.call("+3225551000")
        for key in "1#":
            courier.press(key)
        await customer.take()
        await board.until(lambda: "recording" in board.courier.calls[0].steps)
        import random  # noqa: TID251 - seeded

        from beckon.providers.sip.media.tones import sine

        chance = random.Random(7)
        # A second, sent at once: its time stamps contradict the clock by less than what is believed, however long
        # the machine is busy elsewhere.
        tone = decode(sine((OURS,), 1_000), ULAW)
        from beckon.providers.sip.media.g711 import encode

        audio = encode(tone, courier.law)
        frames = [(at, audio[at : at + 160]) for at in range(0, len(audio), 160)]
        jittered = sorted(frames, key=lambda frame: frame[0] + chance.uniform(0, 900))
        for at, frame in jittered:
            courier.send_packet(frame, stamp=50_000 + at)
            if chance.random() < 0.2:
                courier.send_packet(frame, stamp=50_000 + at)
        await goes_on(board.switch.recordings_folder, 1.5)
        await courier.hang_up()
        customer.grant(await customer.request("BYE"))
        await board.until(lambda: "recorded" in board.courier.calls[0].steps)
    left, _ = channels(board.courier.calls[0].path)
    (begun, ended), *more = stretches(left, OURS)
    assert not more
    assert 7_000 < ended - begun < 8_800
    assert holes(left[begun + 800 : ended - 800]) == 0


async def test_a_recording_that_is_taken_away_costs_no_other(board: Board, customer: SoftPhone):
    paths = []
    for taken in (True, False):
        async with SoftPhone("+32480123456", board.port) as courier:
            await courier.call("+3225551000")
            for key in "1#":
                courier.press(key)
            customer._invite = None
            await customer.take()
            await board.until(lambda: "recording" in board.courier.calls[-1].steps)
            courier.talk(OURS)
            await customer.hears(OURS)
            await recorded(board.switch.recordings_folder, 0.2)
            if taken:
                for part in board.switch.recordings_folder.glob("*.part"):
                    part.unlink()
            await courier.hang_up()
            customer.grant(await customer.request("BYE"))
            await board.until(lambda: "recorded" in board.courier.calls[-1].steps)
            paths.append(board.courier.calls[-1].path)
    assert paths[0] == ""
    assert channels(paths[1])


def test_recordings_are_for_the_owner_only(tmp_path: Path):
    from beckon.providers.sip.media.recorder import _File

    file = _File(tmp_path / "one.wav", 1)
    file.append(b"\0\0" * 8)
    assert Path(file.close()).stat().st_mode & 0o077 == 0
