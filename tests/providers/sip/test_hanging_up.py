"""Whoever hangs up, at whatever stage: the other side is told, and nothing is left behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from beckon.providers.sip.settings import PhoneSettings
from beckon.telephony.switch import LegEnded, LegRinging, PlaybackEnded, RecordingEnded
from tests.providers.sip.conftest import Board, files_of, open_settings, settle, switchboard
from tests.providers.sip.phone import SoftPhone


@pytest.fixture
async def rested(board: Board) -> AsyncIterator[Board]:
    """A switch of which it is known what it holds while nobody calls; afterwards it holds no more."""
    before = {name: files_of(pid) for name, pid in board.switch.pids.items()}
    yield board
    await board.until(lambda: not board.switch.legs)
    await settle(board.switch.pids, before)
    assert board.switch.holds_nothing
    folder = board.switch.recordings_folder
    assert not list(folder.glob("*.part"))


def ends(board: Board) -> dict[str, tuple[str, str]]:
    """Who ended which side, and why."""
    call = board.courier.calls[0]
    names = {call.caller: "caller", call.callee: "callee"}
    heard = [event for event in board.events(LegEnded) if isinstance(event, LegEnded)]
    assert len({event.leg for event in heard}) == len(heard), "each leg ends once"
    return {names[event.leg]: (event.cause, event.by) for event in heard}


async def to_ringing(board: Board, courier: SoftPhone, customer: SoftPhone) -> None:
    """A courier's call, as far as the customer's phone rings."""
    await courier.call("+3225551000")
    for key in "1#":
        courier.press(key)
    await customer.ring()
    await board.until(lambda: bool(board.events(LegRinging)))


async def test_the_courier_hangs_up_during_the_hint(rested: Board):
    async with SoftPhone("+32480123456", rested.port) as courier:
        await courier.call("+3225551000")
        await courier.hears(1_000.0)
        await courier.hang_up()
        await rested.until(lambda: bool(rested.events(LegEnded)))
    assert ends(rested) == {"caller": ("normal", "phone")}
    [played] = [event for event in rested.events(PlaybackEnded) if isinstance(event, PlaybackEnded)]
    assert played.end == "leg_ended"
    assert 0 < played.played_ms < 3_000


async def test_the_courier_gives_up_before_the_answer(rested: Board, monkeypatch: pytest.MonkeyPatch):
    async def never(leg: str) -> None:
        return None

    monkeypatch.setattr(rested.switch, "answer", never)
    async with SoftPhone("+32480123456", rested.port) as courier:
        courier.peer = "+3225551000"
        invite = courier.make("INVITE", "+3225551000", body=courier.description(), branch="cancelled")
        courier.send(invite)
        await courier.response(180)
        courier.send(courier.make("CANCEL", "+3225551000", cseq=courier.cseq, branch="cancelled"))
        await courier.response(200, "CANCEL")
        courier.ack(await courier.response(487))
        await rested.until(lambda: bool(rested.events(LegEnded)))
    assert ends(rested) == {"caller": ("cancelled", "phone")}


async def test_the_courier_hangs_up_while_the_customers_phone_rings(rested: Board, customer: SoftPhone):
    async with SoftPhone("+32480123456", rested.port) as courier:
        await to_ringing(rested, courier, customer)
        await courier.hang_up()
        cancel = await customer.request("CANCEL")
        customer.reply(cancel, 200, "OK")
        assert customer._invite is not None
        customer.reply(customer._invite, 487, "Request Terminated")
        await customer.request("ACK")
        await rested.until(lambda: len(rested.events(LegEnded)) == 2)
    assert ends(rested) == {"caller": ("normal", "phone"), "callee": ("normal", "command")}


@pytest.mark.parametrize(
    ("status", "reason", "cause"),
    [(486, "Busy Here", "busy"), (603, "Decline", "declined"), (404, "Not Found", "not_found")],
)
async def test_the_customer_refuses(rested: Board, customer: SoftPhone, status: int, reason: str, cause: str):
    async with SoftPhone("+32480123456", rested.port) as courier:
        await to_ringing(rested, courier, customer)
        assert customer._invite is not None
        customer.reply(customer._invite, status, reason)
        await customer.request("ACK")
        courier.grant(await courier.request("BYE"))
        await rested.until(lambda: len(rested.events(LegEnded)) == 2)
    assert ends(rested) == {"callee": (cause, "phone"), "caller": ("normal", "command")}


async def test_the_customer_does_not_answer(rested: Board, customer: SoftPhone):
    leg = "leg-unanswered"
    await rested.switch.dial(leg, "customer", ring_s=1.0)
    await customer.ring()
    cancel = await customer.request("CANCEL")
    customer.reply(cancel, 200, "OK")
    assert customer._invite is not None
    customer.reply(customer._invite, 487, "Request Terminated")
    await rested.until(lambda: bool(rested.events(LegEnded)))
    [ended] = [event for event in rested.events(LegEnded) if isinstance(event, LegEnded)]
    assert (ended.leg, ended.cause, ended.by) == (leg, "no_answer", "switch")


async def test_the_customer_is_not_registered(rested: Board):
    async with SoftPhone("+32480123456", rested.port) as courier:
        await courier.call("+3225551000")
        for key in "1#":
            courier.press(key)
        courier.grant(await courier.request("BYE"))
        await rested.until(lambda: len(rested.events(LegEnded)) == 2)
    assert ends(rested)["callee"] == ("unreachable", "switch")


@pytest.mark.parametrize("first", ["courier", "customer"])
async def test_one_of_them_hangs_up_during_the_conversation(rested: Board, customer: SoftPhone, first: str):
    async with SoftPhone("+32480123456", rested.port) as courier:
        await to_ringing(rested, courier, customer)
        await customer.take()
        await rested.until(lambda: "recording" in rested.courier.calls[0].steps)
        courier.talk(500.0)
        await customer.hears(500.0)
        one, other = (courier, customer) if first == "courier" else (customer, courier)
        await one.hang_up()
        other.grant(await other.request("BYE"))
        await rested.until(lambda: len(rested.events(LegEnded)) == 2 and bool(rested.events(RecordingEnded)))
    side = "caller" if first == "courier" else "callee"
    assert ends(rested)[side] == ("normal", "phone")
    assert rested.courier.calls[0].seconds > 0


async def test_both_hang_up_at_once(rested: Board, customer: SoftPhone):
    async with SoftPhone("+32480123456", rested.port) as courier:
        await to_ringing(rested, courier, customer)
        await customer.take()
        await rested.until(lambda: "recording" in rested.courier.calls[0].steps)
        courier.send(courier.make("BYE", "+3225551000"))
        customer.send(customer.in_taken_dialog("BYE"))
        await courier.response(200, "BYE")
        await customer.response(200, "BYE")
        await rested.until(lambda: len(rested.events(LegEnded)) == 2)


async def test_the_answer_and_the_giving_up_cross(rested: Board, customer: SoftPhone):
    """CANCEL is on its way when the phone is picked up: the call is acknowledged and ended."""
    await rested.switch.dial("leg-crossing", "customer")
    invite = await customer.ring()
    await rested.switch.hang_up("leg-crossing")
    cancel = await customer.request("CANCEL")
    customer.reply(invite, 200, "OK", body=customer.description())
    customer.reply(cancel, 200, "OK")
    await customer.request("ACK")
    customer.grant(await customer.request("BYE"))
    await rested.until(lambda: bool(rested.events(LegEnded)))


async def test_the_switch_closes_and_says_goodbye_to_everybody(tmp_path_factory: pytest.TempPathFactory):
    async with (
        switchboard(open_settings(), tmp_path_factory.mktemp("voice")) as board,
        SoftPhone("+32480123456", board.port) as courier,
        SoftPhone("customer", board.port, password="secret") as customer,
    ):
        await customer.register()
        await to_ringing(board, courier, customer)
        await customer.take()
        await board.until(lambda: "recording" in board.courier.calls[0].steps)
        courier.talk(500.0)
        await customer.hears(500.0)
        closing = asyncio.create_task(board.switch.close())
        customer.grant(await customer.request("BYE"))
        courier.grant(await courier.request("BYE"))
        await closing
    causes = {event.cause for event in board.events(LegEnded) if isinstance(event, LegEnded)}
    assert causes == {"switch_down"}
    assert board.courier.calls[0].seconds > 0


async def test_a_phone_that_falls_silent_is_let_go(tmp_path_factory: pytest.TempPathFactory):
    settings = open_settings(silence_s=1.0, call_s_max=3_600)
    async with (
        switchboard(settings, tmp_path_factory.mktemp("voice")) as board,
        SoftPhone("+32480123456", board.port) as courier,
    ):
        await courier.call("+3225551000")
        courier.grant(await courier.request("BYE"))
        await board.until(lambda: bool(board.events(LegEnded)))
        [ended] = [event for event in board.events(LegEnded) if isinstance(event, LegEnded)]
        assert (ended.cause, ended.by) == ("silence", "switch")


async def test_no_call_is_longer_than_allowed(tmp_path_factory: pytest.TempPathFactory):
    settings = open_settings(call_s_max=1, phones={"customer": PhoneSettings(password="secret")})
    async with (
        switchboard(settings, tmp_path_factory.mktemp("voice")) as board,
        SoftPhone("+32480123456", board.port) as courier,
    ):
        await courier.call("+3225551000")
        courier.grant(await courier.request("BYE"))
        await board.until(lambda: bool(board.events(LegEnded)))
        [ended] = [event for event in board.events(LegEnded) if isinstance(event, LegEnded)]
        assert (ended.cause, ended.by) == ("too_long", "switch")
