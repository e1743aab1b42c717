"""A whole server and real phones: whoever hangs up, at whatever stage of the courier's call, nothing of it stays open.

No leg, socket or file of the switch's, no run, wait, timer or command in the database, no recording without its row.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beckon.journeys.call_processing.kept import decode
from beckon.telephony.call import Dialling, Talking, Taping, Typing
from tests.journeys.test_calls import COURIER, CUSTOMER, STORE, Store, opened
from tests.kit.switches import until
from tests.providers.sip.conftest import files_of, settle
from tests.providers.sip.phone import SoftPhone

SWITCH = f"""\
telephony:
  switch:
    sip:
      host: 127.0.0.1
      port: 0
      open_to: [127.0.0.1/32]
      phones: {{ ann: {{ password: secret, number: "{CUSTOMER}" }} }}
  numbers: {{ "{STORE}": courier }}
values: {{ reception: "+3221110000", dispatcher: "+3222220000" }}
"""
#: What a call leaves open in the database.
OPEN = (
    "SELECT id FROM calls WHERE ended_ms = 0",
    "SELECT id FROM runs WHERE status = 'waiting' OR status = 'running'",
    "SELECT run FROM waits",
    "SELECT subject FROM timers",
    "SELECT id FROM outbox",
)


class Story:
    """The courier's call, stage by stage."""

    def __init__(self, store: Store, courier: SoftPhone, customer: SoftPhone) -> None:
        self.store, self.courier, self.customer = store, courier, customer

    async def stands(self, holds: Callable[[Any], bool]) -> None:
        """Wait until the call is in the middle of something."""
        calls = self.store.switchboard.calls
        await until(lambda: any(holds(call.stage) for call in calls.under_way))

    async def prompt(self) -> None:
        assert (await self.courier.call(STORE)).status == 200
        await self.stands(lambda stage: isinstance(stage, Typing) and bool(stage.playback))

    async def typing(self) -> None:
        await self.prompt()
        self.courier.press("4")
        await self.stands(lambda stage: isinstance(stage, Typing) and stage.keys == "4")

    async def ringing(self) -> None:
        await self.prompt()
        for key in "4711#":
            self.courier.press(key)
        await self.customer.ring()
        await self.stands(lambda stage: isinstance(stage, Dialling))

    async def hint(self) -> None:
        await self.ringing()
        await self.customer.take()
        await self.stands(lambda stage: isinstance(stage, Dialling) and bool(stage.playback))

    async def talk(self) -> None:
        await self.hint()
        await self.stands(lambda stage: isinstance(stage, Talking))
        self.courier.talk(500.0)
        await self.customer.hears(500.0)

    async def voicemail(self) -> None:
        await self.ringing()
        assert self.customer._invite is not None
        self.customer.reply(self.customer._invite, 486, "Busy Here")
        await self.customer.request("ACK")
        await self.stands(lambda stage: isinstance(stage, Taping) and bool(stage.recording))


@pytest.mark.parametrize(
    ("stage", "side", "outcome"),
    [
        ("prompt", "courier", "abandoned"),
        ("typing", "courier", "abandoned"),
        ("ringing", "courier", "abandoned"),
        ("hint", "courier", "abandoned"),
        ("hint", "customer", "abandoned"),
        ("talk", "courier", "connected"),
        ("talk", "customer", "connected"),
        ("voicemail", "courier", "voicemail"),
    ],
)
async def test_whoever_hangs_up_leaves_nothing_open(tmp_path: Path, stage: str, side: str, outcome: str) -> None:
    async with opened(f"sqlite:///{tmp_path}/db", tmp_path, more=SWITCH, switches=None) as store:
        switch, on = store.switchboard.switch, store.line
        pids = switch.pids
        before = {name: files_of(pid) for name, pid in pids.items()}
        async with (
            SoftPhone("ann", switch.port, password="secret") as customer,
            SoftPhone(COURIER, switch.port) as courier,
        ):
            assert (await customer.register()).status == 200
            story = Story(store, courier, customer)
            await getattr(story, stage)()
            if side == "courier":
                await courier.hang_up()
                if stage in ("hint", "talk"):
                    customer.grant(await customer.request("BYE"))
                elif stage == "ringing":
                    customer.grant(await customer.request("CANCEL"))
                    assert customer._invite is not None
                    customer.reply(customer._invite, 487, "Request Terminated")
            else:
                await customer.hang_up()
                if stage == "hint":  # the dispatcher is tried, and nobody is there: the courier gives up
                    await story.stands(lambda now: not isinstance(now, Dialling))
                    await courier.hang_up()
                else:
                    courier.grant(await courier.request("BYE"))
            await until(lambda: not store.switchboard.calls._tasks)
            await until(lambda: switch.holds_nothing)
        await settle(pids, before)
        await on.quiet()
        for sql in OPEN:
            assert await on.rows(sql) == [], sql
        [(body,)] = await on.rows("SELECT body FROM calls")
        record = decode(str(body)).record
        assert record.outcome == outcome
        assert all(leg.state == "ended" and leg.ended_ms for leg in record.legs)
        kept = {Path(str(path)) for (path,) in await on.rows("SELECT path FROM recordings")}
        assert {path for path in switch.recordings_folder.iterdir() if path.suffix != ".peaks"} == kept
        assert len(kept) == (1 if stage in ("talk", "voicemail") else 0)
