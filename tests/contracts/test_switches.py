"""One suite for every switch: what its folder offers, and what ``Switch`` promises whoever commands it.

Live on the built-in switch and the one in memory; on Asterisk and FreeSWITCH with what real ones have said; on Twilio
and jambonz with their webhooks and REST on loopback.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from beckon.core.clock import SystemClock, VirtualClock
from beckon.core.errors import BeckonError, Refused, Unsupported
from beckon.providers.registry import found_switches
from beckon.providers.sip.switch import SipSwitch
from beckon.telephony.fake_switch import FakeSwitch
from beckon.telephony.switch import Capabilities, File, LegEnded, LegOffered, Say, Switch
from tests.house.repository import PACKAGE
from tests.providers.asterisk import recorded as asterisk
from tests.providers.asterisk import test_asterisk
from tests.providers.freeswitch import recorded as freeswitch
from tests.providers.freeswitch import test_freeswitch
from tests.providers.jambonz.twin import a_jambonz
from tests.providers.sip.conftest import open_settings
from tests.providers.sip.phone import SoftPhone
from tests.providers.twilio_voice.twin import a_twilio

OFFERED = sorted(found_switches())


class On:
    """A switch with one call that came in, and all that it told."""

    def __init__(self, switch: Switch, events: list[Any], until: Callable[..., Any]) -> None:
        self.switch = switch
        self.events = events
        self.until = until

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def fake(folder: Path) -> AsyncIterator[On]:
    events: list[Any] = []
    switch = FakeSwitch(VirtualClock(), events.append)
    switch.offer("+32470000001", "+3221234567")

    async def until(holds: Callable[[], object]) -> None:
        assert holds()

    yield On(switch, events, until)
    await switch.close()


@asynccontextmanager
async def sip(folder: Path) -> AsyncIterator[On]:
    events: list[Any] = []
    settings = msgspec.structs.replace(open_settings(), port=0, folder=str(folder))
    switch = SipSwitch(settings, SystemClock(), events.append)
    await switch.start()
    heard = test_freeswitch.Heard(1)
    heard.events = events
    try:
        async with SoftPhone("+32470000001", switch.port) as phone:
            phone.send(phone.make("INVITE", "+3221234567", "Content-Type: application/sdp", body=phone.description()))
            await heard.until(lambda: heard.of(LegOffered))
            yield On(switch, events, heard.until)
            await switch.close()
    finally:
        await switch.close()


@asynccontextmanager
async def an_asterisk(folder: Path) -> AsyncIterator[On]:
    async with asterisk.recorded(asterisk.entries()[:1]) as party, test_asterisk.open_switch(party) as heard:
        await heard.until(lambda: heard.of(LegOffered))
        yield On(heard.switch, heard.events, heard.until)


@asynccontextmanager
async def a_freeswitch(folder: Path) -> AsyncIterator[On]:
    async with freeswitch.recorded(test_freeswitch.begun()) as party, test_freeswitch.open_switch(party) as heard:
        await heard.until(lambda: heard.of(LegOffered))
        yield On(heard.switch, heard.events, heard.until)


@asynccontextmanager
async def by_document(vendor: Any) -> AsyncIterator[On]:
    async with vendor() as (exchange, heard):
        exchange.call_in("+32470000001", "+3221234567")
        await heard.until(lambda: heard.of(LegOffered))
        yield On(heard.switch, heard.events, heard.until)


SWITCHES = {
    "fake": fake,
    "sip": sip,
    "asterisk": an_asterisk,
    "freeswitch": a_freeswitch,
    "twilio_voice": lambda folder: by_document(a_twilio),
    "jambonz": lambda folder: by_document(a_jambonz),
}


@pytest.fixture(params=sorted(SWITCHES))
async def on(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[On]:
    """Each switch, with one call that came in."""
    async with SWITCHES[request.param](tmp_path) as made:
        yield made


def test_every_switch_that_is_offered_is_held_to_this_suite() -> None:
    assert set(OFFERED) <= set(SWITCHES)


@pytest.mark.parametrize("name", OFFERED)
def test_a_folder_offers_a_switch_whose_readme_has_every_setting(name: str) -> None:
    offer = found_switches()[name]
    readme = (PACKAGE / "providers" / name / "README.md").read_text(encoding="utf-8")
    fields = {field.name for field in msgspec.structs.fields(offer.settings)}
    assert set(offer.secrets) <= fields
    assert isinstance(offer.capabilities, Capabilities)
    missing = {field for field in fields if f"`{field}" not in readme}
    assert not missing


async def test_a_leg_that_is_gone_is_said_to_be_and_is_no_fault(on: On) -> None:
    switch = on.switch
    commands = {
        "ring": lambda: switch.ring("gone"),
        "answer": lambda: switch.answer("gone"),
        "reject": lambda: switch.reject("gone"),
        "play": lambda: switch.play("gone", "p-1", (File("/a.wav"),)),
        "hold": lambda: switch.hold("gone"),
        "send_digits": lambda: switch.send_digits("gone", "1"),
        "bridge": lambda: switch.bridge("b-1", "gone", "gone too"),
    }
    for name, command in commands.items():
        with pytest.raises(BeckonError) as refused:
            await command()
        assert isinstance(refused.value, Refused | Unsupported), name
        if isinstance(refused.value, Refused):
            assert refused.value.code == "call.leg_gone", name


async def test_what_has_ended_already_may_be_ended_again(on: On) -> None:
    await on.switch.stop("no playback")
    await on.switch.stop_recording("no recording")
    await on.switch.unbridge("no bridge")
    await on.switch.hang_up("no leg")


async def test_a_prompt_that_it_cannot_play_is_refused_before_anything_is_heard(on: On) -> None:
    [offered] = on.of(LegOffered)
    if "say" not in on.switch.capabilities.prompts:
        with pytest.raises(Unsupported):
            await on.switch.play(offered.leg, "p-1", (Say("Hello."),))


async def test_a_call_that_came_in_says_who_calls_whom(on: On) -> None:
    [offered] = on.of(LegOffered)
    assert offered.leg
    assert offered.caller.startswith("+")
    assert offered.called.startswith("+")
    assert offered.call_id


async def test_closing_ends_every_leg_once(on: On) -> None:
    [offered] = on.of(LegOffered)
    await on.switch.close()
    await on.until(lambda: on.of(LegEnded))
    assert [ended.leg for ended in on.of(LegEnded)] == [offered.leg]
    await on.switch.close()
    assert len(on.of(LegEnded)) == 1
