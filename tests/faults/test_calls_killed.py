"""A whole server with its own switch and real phones: a call from ring to recording, and kill -9 in its middle."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beckon.bench.place import free_port
from beckon.journeys.call_processing.kept import decode
from beckon.store.database import Database, open_database
from tests.journeys.test_calls_kept import ANN, DESK, STORE, Line, desk, over, rows
from tests.kit.processes import descendants, dies_with_parent
from tests.kit.team import at_desk
from tests.providers.sip.phone import SoftPhone
from tests.providers.sip.tones import channels, longest, stretches

OURS, THEIRS = 500.0, 800.0
SCRIPT = """\
call: desk
steps:
  - gather: order
    max: 4
  - dial: "{{ settings.desk }}"
    record: true
"""


def telephony(port: int = 0) -> str:
    return f"""\
telephony:
  switch:
    sip:
      host: 127.0.0.1
      port: {port}
      open_to: [127.0.0.1/32]
      phones: {{ "{DESK}": {{ password: secret }} }}
  numbers: {{ "{STORE}": desk }}
values: {{ desk: "{DESK}" }}
"""


async def talking(courier: SoftPhone, customer: SoftPhone) -> None:
    """A recorded conversation."""
    assert (await customer.register()).status == 200
    assert (await courier.call(STORE)).status == 200
    for key in "4711":
        courier.press(key)
    await customer.take()
    courier.talk(OURS)
    customer.talk(THEIRS)
    await customer.hears(OURS, seconds=0.6)
    await courier.hears(THEIRS, seconds=0.6)


async def test_a_real_call_is_recorded_kept_and_listened_to(tmp_path: Path) -> None:
    before = {process.pid for process in descendants()}
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path, more=telephony(), script=SCRIPT, switches=None) as on:
        port = on.beckon.beside[0].switch.port  # type: ignore[attr-defined]
        async with SoftPhone(ANN, port) as courier, SoftPhone(DESK, port, password="secret") as customer:
            await talking(courier, customer)
            await asyncio.sleep(1.5)
            await courier.hang_up()
            customer.grant(await customer.request("BYE"))
            await over(on)
        record = await _record(on)
        assert (record.outcome, record.digits) == ("connected", {"order": "4711"})
        [path] = [str(row[0]) for row in await on.rows("SELECT path FROM recordings")]
        for side, hertz in zip(channels(path), (OURS, THEIRS), strict=True):
            begun, ended = longest(side, hertz)
            assert ended - begun > 4_000
        async with at_desk(on.beckon) as owner:
            sound = f"/console/calls/{record.id}/recordings/{record.recordings[0].id}"
            assert (await owner.get(f"{sound}/audio")).content == Path(path).read_bytes()
            peaks = (await owner.get(f"{sound}/peaks")).json()
            assert [max(side) > 5 for side in peaks["channels"]] == [True, True]
    left = {process.pid for process in descendants()} - before
    assert not left, "the switch's processes end with the server"


async def _record(on: Line) -> Any:
    return decode((await rows(on))[0]["body"]).record


async def test_a_server_that_is_killed_leaves_a_call_with_a_reason_and_its_recording(tmp_path: Path) -> None:
    url, port = f"sqlite:///{tmp_path}/db", free_port()
    async with desk(url, tmp_path, more=telephony(port), script=SCRIPT, switches=None) as on:
        folder = on.library.folder
    environment = {
        **os.environ,
        "BECKON_WORKSPACE": str(folder),
        "BECKON_DATABASE_URL": url,
        "BECKON_PORT": str(free_port()),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "beckon", "serve"],
        env=environment,
        preexec_fn=dies_with_parent(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        database = await _until_open(url)
        async with SoftPhone(ANN, port) as courier, SoftPhone(DESK, port, password="secret") as customer:
            await _until(lambda: _bound(port))
            await talking(courier, customer)
            await _until_row(database)
            await asyncio.sleep(2.0)
            children = [process.pid for process in descendants() if process.parent == server.pid]
            assert len(children) == 2
            server.send_signal(signal.SIGKILL)
            server.wait()
            for phone in (courier, customer):
                phone.grant(await phone.request("BYE"))
            await _until(lambda: not [one for one in descendants() if one.pid in children])
        await database.close()
    finally:
        server.kill()
        server.wait()
    async with desk(url, tmp_path, more=telephony(), script=SCRIPT, switches=None) as on:
        on.beckon.wake()
        await on.quiet()
        record = await _record(on)
        assert (record.outcome, record.why) == ("failed", "the server ended during the call")
        [path] = [str(row[0]) for row in await on.rows("SELECT path FROM recordings")]
        for side, hertz in zip(channels(path), (OURS, THEIRS), strict=True):
            assert any(ended - begun > 4_000 for begun, ended in stretches(side, hertz)), "it can be played"


def _bound(port: int) -> bool:
    wanted = f":{port:04X} "
    return wanted in Path("/proc/net/udp").read_text()


async def _until(holds: Callable[[], Any]) -> None:
    for _ in range(6_000):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to that")


async def _until_open(url: str) -> Database:
    database = open_database(url)
    engine = database.engine
    engine.exclusive = False  # type: ignore[attr-defined]
    await database.open()
    return database


async def _until_row(database: Database) -> None:
    for _ in range(6_000):
        if await database.fetch("SELECT 1 FROM calls WHERE ended_ms = 0"):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("no call began")
