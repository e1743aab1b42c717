"""Who may register and call: passwords, networks, trunks both ways, and what calls may cost."""

from collections.abc import AsyncIterator

import pytest

from beckon.bench.courier import Courier
from beckon.bench.place import free_port
from beckon.core.errors import Misconfigured, Refused
from beckon.providers.sip.settings import DialSettings, PhoneSettings, SipSettings, TrunkSettings
from beckon.telephony.switch import LegAnswered, LegEnded, LegOffered, SwitchEvent
from tests.providers.sip.conftest import Board, open_settings, switchboard
from tests.providers.sip.phone import SoftPhone


@pytest.fixture(scope="module")
async def closed_board(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Board]:
    """A switch that is open to nobody but its one phone."""
    settings = open_settings(open_to=(), phones={"ann": PhoneSettings(password="secret", number="+3225550001")})
    async with switchboard(settings, tmp_path_factory.mktemp("voice")) as board:
        yield board


def offers(board: Board) -> list[LegOffered]:
    """The calls that came in."""
    return [event for event in board.events(LegOffered) if isinstance(event, LegOffered)]


def ended(board: Board) -> dict[str, str]:
    """Which legs ended, and why."""
    return {event.leg: event.cause for event in board.events(LegEnded) if isinstance(event, LegEnded)}


async def test_a_phone_registers_calls_as_itself_and_leaves(closed_board: Board):
    closed_board.courier.events.clear()
    async with SoftPhone("ann", closed_board.port, password="secret") as phone:
        answer = await phone.register()
        assert answer.status == 200
        assert answer.headers["contact"].endswith(";expires=120")
        # From may say anything: the number is the one that belongs to the password.
        called = await phone.call("+3225551000", 'From: "Director" <sip:+32999@127.0.0.1>;tag=' + phone.tag)
        assert called.status == 200
        assert [(event.caller, event.source) for event in offers(closed_board)] == [("+3225550001", "phone:ann")]
        await closed_board.switch.hang_up(closed_board.courier.calls[-1].caller)
        phone.grant(await phone.request("BYE"))
        assert (await phone.register(expires=0)).status == 200
    await closed_board.switch.dial("leg-gone", "ann")
    await closed_board.until(lambda: "leg-gone" in ended(closed_board))


@pytest.mark.parametrize(("user", "password"), [("ann", "wrong"), ("nobody", "secret"), ("nobody", "")])
async def test_wrong_passwords_and_strangers_are_refused_alike(closed_board: Board, user: str, password: str):
    closed_board.courier.events.clear()
    async with SoftPhone(user, closed_board.port, password=password) as phone:
        assert (await phone.register()).status == 403
        assert (await phone.call("+3225551000")).status == 403
    assert not offers(closed_board)


async def test_a_proof_works_once(closed_board: Board):
    async with SoftPhone("ann", closed_board.port, password="secret") as phone:
        phone.send(phone.make("REGISTER", "ann", "Expires: 120"))
        asked = await phone.response(401, "REGISTER")
        proof = f"Authorization: {phone.proof(asked.headers['www-authenticate'], 'REGISTER', 'ann')}"
        phone.send(phone.make("REGISTER", "ann", "Expires: 120", proof))
        await phone.response(200, "REGISTER")
        phone.send(phone.make("REGISTER", "ann", "Expires: 120", proof, "Contact: <sip:thief@127.0.0.66>"))
        again = await phone.response(401, "REGISTER")
        assert "stale=true" in again.headers["www-authenticate"]


async def test_registrations_are_neither_too_short_nor_for_somebody_else(closed_board: Board):
    async with SoftPhone("ann", closed_board.port, password="secret") as phone:
        assert (await phone.register(expires=5)).status == 423
        phone.send(phone.make("REGISTER", "bob", "Expires: 120"))
        asked = await phone.response(401, "REGISTER")
        proof = f"Authorization: {phone.proof(asked.headers['www-authenticate'], 'REGISTER', 'bob')}"
        phone.send(phone.make("REGISTER", "bob", "Expires: 120", proof))
        await phone.response(403, "REGISTER")


class Answering(Courier):
    """Answers every call, and nothing else."""

    async def _obey(self, call: object, event: SwitchEvent) -> None:
        if isinstance(event, LegOffered):
            await self.switch.answer(event.leg)


async def test_two_switches_call_each_other_by_trunks_with_digest(tmp_path_factory: pytest.TempPathFactory):
    """One switch is the other's provider: it registers there, proves itself when it calls, and is proved to."""
    provider_settings = open_settings(open_to=(), phones={"store": PhoneSettings(password="trunk-secret")})
    async with switchboard(provider_settings, tmp_path_factory.mktemp("voice"), runner=Answering) as provider:
        trunk = TrunkSettings(
            host="127.0.0.1",
            port=provider.port,
            username="store",
            password="trunk-secret",
            register=True,
            incoming_password="other-secret",
        )
        settings = open_settings(open_to=(), trunks={"provider": trunk})
        async with switchboard(settings, tmp_path_factory.mktemp("voice"), runner=Answering) as store:
            # Outbound: the provider asks for a password (407), and the store's own number is all that it sees.
            await store.switch.dial("leg-out", "+32470123456", caller_id="+3225551000")
            await store.until(lambda: bool(store.events(LegAnswered)))
            [offered] = offers(provider)
            assert (offered.called, offered.source) == ("+32470123456", "phone:store")
            # The provider hangs up: its BYE reaches us; then we call again, and hang up ourselves.
            await provider.switch.hang_up(offered.leg)
            await store.until(lambda: bool(store.events(LegEnded)))
            await store.switch.dial("leg-again", "+32470123456", caller_id="+3225551000")
            await store.until(lambda: len(store.events(LegAnswered)) == 2)
            await store.switch.hang_up("leg-again")
            await provider.until(lambda: len(provider.events(LegEnded)) == 2)
            # It registered there: the provider can call it as a phone. The store asks for a password, which the
            # provider hasn't got: its call is refused.
            await provider.until(lambda: "store" in provider.switch.registered)
            await provider.switch.dial("leg-in", "store")
            await provider.until(lambda: "leg-in" in ended(provider))
            assert ended(provider)["leg-in"] == "not_allowed"
            assert not offers(store)


async def test_a_trunk_calls_from_its_address_or_with_its_password(tmp_path_factory: pytest.TempPathFactory):
    trunks = {
        "near": TrunkSettings(host="127.0.0.1", port=free_port(), allow=("127.0.0.0/8",)),
        "far": TrunkSettings(host="127.0.0.1", port=free_port(), username="far", incoming_password="secret"),
    }
    async with (
        switchboard(open_settings(open_to=(), trunks=trunks), tmp_path_factory.mktemp("voice")) as board,
        SoftPhone("+32480123456", board.port) as phone,
    ):
        asserted = "P-Asserted-Identity: <sip:+32480777777@127.0.0.1>"
        assert (await phone.call("+3225551000", asserted)).status == 200
        assert [(event.source, event.caller) for event in offers(board)] == [("near", "+32480777777")]
        await phone.hang_up()
    trunks["near"] = TrunkSettings(host="127.0.0.1", port=free_port(), allow=("192.0.2.0/24",))
    async with (
        switchboard(open_settings(open_to=(), trunks=trunks), tmp_path_factory.mktemp("voice")) as board,
        SoftPhone("far", board.port, password="secret") as phone,
    ):
        assert (await phone.call("+3225551000")).status == 200
        assert [event.source for event in offers(board)] == ["far"]
        await phone.hang_up()


async def test_a_switch_that_is_open_to_nobody_says_no(tmp_path_factory: pytest.TempPathFactory):
    settings = open_settings(open_to=("192.0.2.0/24",), phones={})
    async with (
        switchboard(settings, tmp_path_factory.mktemp("voice")) as board,
        SoftPhone("+32480123456", board.port) as phone,
    ):
        assert (await phone.call("+3225551000")).status == 403


async def test_toll_fraud_is_limited(tmp_path_factory: pytest.TempPathFactory):
    port = free_port()
    dial = DialSettings(
        allowed=("+32", "+33"), refused=("+32900",), calls_per_minute=2, rates={"+33": 9.0}, rate_max=2.0, rate=0.5
    )
    settings = open_settings(trunks={"provider": TrunkSettings(host="127.0.0.1", port=port)}, dial=dial)
    async with switchboard(settings, tmp_path_factory.mktemp("voice")) as board:
        for number, code in (
            ("+1900555123", "call.not_allowed"),
            ("+32900123456", "call.not_allowed"),
            ("+33612345678", "call.too_dear"),
            ("nonsense", "call.number"),
        ):
            with pytest.raises(Refused) as refused:
                await board.switch.dial("leg-fraud", number)
            assert refused.value.code == code
        await board.switch.dial("leg-1", "+32470000001")
        await board.switch.dial("leg-2", "+32470000002")
        with pytest.raises(Refused, match="within a minute"):
            await board.switch.dial("leg-3", "+32470000003")
        assert board.switch.legs == 2


async def test_more_legs_than_allowed_are_refused(tmp_path_factory: pytest.TempPathFactory):
    async with (
        switchboard(open_settings(legs_max=1), tmp_path_factory.mktemp("voice")) as board,
        SoftPhone("+32480000001", board.port) as one,
        SoftPhone("+32480000002", board.port) as other,
    ):
        assert (await one.call("+3225551000")).status == 200
        assert (await other.call("+3225551000")).status == 503
        await one.hang_up()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (SipSettings(host="0.0.0.0"), "public_address"),
        (SipSettings(open_to=("everybody",)), "open_to"),
        (SipSettings(rtp_first=9, rtp_last=10), "rtp_first"),
        (SipSettings(trunks={"a": TrunkSettings(host="h", register=True)}), "trunks.a"),
        (SipSettings(trunks={"a": TrunkSettings(host="h", allow=("x",))}), "trunks.a.allow"),
    ],
)
async def test_settings_that_cannot_work_are_named(
    settings: SipSettings, field: str, tmp_path_factory: pytest.TempPathFactory
):
    with pytest.raises(Misconfigured) as wrong:
        async with switchboard(settings, tmp_path_factory.mktemp("voice")):
            pass
    assert wrong.value.field == f"switch.sip.{field}"


async def test_a_port_that_is_taken_is_named(board: Board, tmp_path_factory: pytest.TempPathFactory):
    from beckon.core.clock import SystemClock
    from beckon.providers.sip.switch import SipSwitch

    settings = SipSettings(port=board.port, folder=str(tmp_path_factory.mktemp("voice")))
    switch = SipSwitch(settings, SystemClock(), lambda event: None)
    with pytest.raises(Misconfigured, match="in use"):
        await switch.start()


def test_passwords_are_not_shown():
    shown = repr(
        open_settings(trunks={"a": TrunkSettings(host="h", username="u", password="pw-1", incoming_password="pw-2")})
    )
    assert "pw-" not in shown
    assert "secret" not in shown
