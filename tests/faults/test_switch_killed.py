"""kill -9 of each of the switch's processes during a call: recordings can be played, phones are let go, calls go on."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from beckon.core.clock import SystemClock
from beckon.providers.sip.switch import SipSwitch
from beckon.telephony.switch import (
    LegAnswered,
    LegEnded,
    PlaybackEnded,
    RecordingEnded,
    SwitchDown,
    SwitchEvent,
    SwitchUp,
)
from tests.kit.processes import dies_with_parent
from tests.providers.sip.conftest import Board, goes_on, open_settings, switchboard
from tests.providers.sip.phone import SoftPhone
from tests.providers.sip.tones import channels, longest, stretches


async def talking(board: Board, courier: SoftPhone, customer: SoftPhone) -> None:
    """A recorded conversation, two seconds long so far."""
    await customer.register()
    await courier.call("+3225551000")
    for key in "1#":
        courier.press(key)
    await customer.take()
    await board.until(lambda: "recording" in board.courier.calls[-1].steps)
    courier.talk(500.0)
    customer.talk(800.0)
    await customer.hears(500.0, seconds=0.6)
    await goes_on(board.switch.recordings_folder, 1.5)


@pytest.mark.parametrize("which", ["media", "sip"])
async def test_a_process_of_the_switch_is_killed(which: str, tmp_path_factory: pytest.TempPathFactory):
    async with (
        switchboard(open_settings(), tmp_path_factory.mktemp("voice")) as board,
        SoftPhone("+32480123456", board.port) as courier,
        SoftPhone("customer", board.port, password="secret") as customer,
    ):
        await talking(board, courier, customer)
        # Somebody else listens to a prompt.
        async with SoftPhone("+32480999999", board.port) as listener:
            await listener.call("+3225551000")
            await listener.hears(1_000.0)
            os.kill(board.switch.pids[which], signal.SIGKILL)
            for phone in (courier, customer, listener):
                phone.grant(await phone.request("BYE"))
            await board.until(lambda: len(board.events(SwitchUp)) == 2)
        await board.until(lambda: board.courier.calls[0].path != "")
        ends = [event for event in board.events(LegEnded) if isinstance(event, LegEnded)]
        assert {(event.cause, event.by) for event in ends} == {("switch_down", "switch")}
        assert all(which in event.why for event in ends)
        assert len(ends) == 3
        order = [type(event) for event in board.courier.events]
        assert order.index(SwitchDown) < len(order) - 1 - order[::-1].index(SwitchUp)
        assert len(board.events(PlaybackEnded)) == 2
        assert len(board.events(RecordingEnded)) == 1
        left, right = channels(board.courier.calls[0].path)
        for side, hertz in ((left, 500.0), (right, 800.0)):
            begun, ended = longest(side, hertz)
            assert ended - begun > 4_000, "at least half a second of what was said is there"
        assert not list(board.switch.recordings_folder.glob("*.part"))
        assert board.switch.holds_nothing
        # And the next call is as good as any; the phone need not register again.
        board.courier.events.clear()
        again = SoftPhone("+32480123456", board.port)
        async with again:
            await again.call("+3225551000")
            for key in "2#":
                again.press(key)
            customer._invite = None
            await customer.take()
            await board.until(lambda: "recording" in board.courier.calls[-1].steps)
            again.talk(500.0)
            await customer.until(lambda: bool(board.events(LegAnswered)))
            await again.hang_up()
            customer.grant(await customer.request("BYE"))
            await board.until(lambda: "recorded" in board.courier.calls[-1].steps)


async def test_the_server_is_killed(tmp_path: Path):
    """Its two processes notice by themselves: goodbyes are said, the recording is closed, nothing goes on running."""
    settings = {
        "port": 0,
        "open_to": ["127.0.0.0/8"],
        "folder": str(tmp_path),
        "phones": {"customer": {"password": "secret"}},
        "dial": {"allowed": ["+32"]},
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "beckon.bench.switchboard", "customer"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=dies_with_parent(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"settings": settings}).encode() + b"\n")
    ready = json.loads(await process.stdout.readline())
    async with (
        SoftPhone("+32480123456", ready["port"]) as courier,
        SoftPhone("customer", ready["port"], password="secret") as customer,
    ):
        await customer.register()
        await courier.call("+3225551000")
        for key in "1#":
            courier.press(key)
        await customer.take()
        courier.talk(500.0)
        customer.talk(800.0)
        await customer.hears(500.0, seconds=0.6)
        await goes_on(tmp_path / "recordings", 1.5)
        process.kill()
        for phone in (courier, customer):
            phone.grant(await phone.request("BYE"))
    await process.wait()
    process.stdin.close()
    for pid in ready["pids"].values():
        async with asyncio.timeout(300):
            while runs(pid):  # noqa: ASYNC110 - another process's end is nobody's event
                await asyncio.sleep(0.02)
    [recording] = (tmp_path / "recordings").iterdir()
    left, right = channels(str(recording))
    assert sum(ended - begun for begun, ended in stretches(left, 500.0)) > 6_000
    assert sum(ended - begun for begun, ended in stretches(right, 800.0)) > 6_000


def runs(pid: int) -> bool:
    """Whether a process is there, and is no zombie."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


async def test_everything_is_killed_at_once(tmp_path: Path):
    """A power cut for the switch: what was on disk is mended at the next start, and told."""
    heard: list[SwitchEvent] = []
    async with (
        switchboard(open_settings(), tmp_path) as board,
        SoftPhone("+32480123456", board.port) as courier,
        SoftPhone("customer", board.port, password="secret") as customer,
    ):
        await talking(board, courier, customer)
        recordings = board.switch.recordings_folder
        [part] = recordings.glob("*.part")
        cut = tmp_path / "cut" / "recordings"
        cut.mkdir(parents=True)
        whole = part.read_bytes()
        # As it might lie there: the header older than the samples, the last sample half written.
        (cut / part.name).write_bytes(whole[:40] + b"\0\0\0\0" + whole[44:] + b"\x01")
        (cut / "empty.wav.part").write_bytes(b"RIFF")
        await courier.hang_up()
        customer.grant(await customer.request("BYE"))
    import msgspec

    settings = msgspec.structs.replace(open_settings(), port=0, folder=str(cut.parent))
    switch = SipSwitch(settings, SystemClock(), heard.append)
    await switch.start()
    await switch.close()
    [mended] = [event for event in heard if isinstance(event, RecordingEnded)]
    assert mended.seconds > 1
    assert "cut off" in mended.why
    left, _ = channels(mended.path)
    assert len(left) == pytest.approx(mended.seconds * 8_000)
    assert [path.name for path in cut.iterdir()] == [part.name.removesuffix(".part")]
