"""SIP as it comes: repeated, out of order, crossed, half wrong, garbage. The switch answers by the RFC or drops."""

import asyncio
import random  # noqa: TID251 - seeded
import re
import socket

import pytest

from beckon.telephony.switch import KeyPressed, LegAnswered, LegEnded, LegHeld, LegOffered
from tests.providers.sip.conftest import Board
from tests.providers.sip.phone import Message, SoftPhone

CALLED = "+3225551000"


async def alive(board: Board) -> None:
    """The switch still takes a call."""
    async with SoftPhone("+32480999999", board.port) as phone:
        assert (await phone.call(CALLED)).status == 200
        await phone.hang_up()


def offered(board: Board) -> int:
    """How many calls came in."""
    return len(board.events(LegOffered))


async def test_a_repeated_invite_is_one_call_and_gets_the_same_answer(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        phone.peer = CALLED
        invite = phone.make("INVITE", CALLED, body=phone.description())
        for _ in range(4):
            phone.send(invite)
        answer = await phone.response(200)
        phone.send(invite)
        again = await phone.response(200)
        assert again.to_tag == answer.to_tag
        phone.ack(again)
        await phone.hang_up()
        await board.until(lambda: bool(board.events(LegEnded)))
    assert offered(board) == 1


async def test_the_answer_is_repeated_until_it_is_acknowledged(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        phone.peer = CALLED
        phone.send(phone.make("INVITE", CALLED, body=phone.description()))
        answer = await phone.response(200)
        await phone.response(200)
        phone.ack(answer)
        phone.ack(answer)  # and an ACK that is repeated is no fault
        await board.until(lambda: bool(board.events(LegAnswered)))
        await phone.hang_up()


async def test_a_bye_that_overtakes_the_ack_ends_the_call(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        phone.peer = CALLED
        phone.send(phone.make("INVITE", CALLED, body=phone.description()))
        answer = await phone.response(200)
        phone.to_tag = answer.to_tag
        await phone.hang_up()
        phone.send(phone.make("ACK", CALLED, cseq=1))
        await board.until(lambda: bool(board.events(LegEnded)))


async def test_an_old_cseq_is_refused(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        phone.cseq = 20
        await phone.call(CALLED)
        phone.send(phone.make("INFO", CALLED, "Content-Type: application/dtmf", body="5", cseq=3))
        await phone.response(500, "INFO")
        assert not board.events(KeyPressed)
        await phone.hang_up()


@pytest.mark.parametrize("which", ["to", "from"])
async def test_wrong_tags_belong_to_no_call(board: Board, which: str):
    async with SoftPhone("+32480123456", board.port) as phone:
        await phone.call(CALLED)
        right = (phone.tag, phone.to_tag)
        if which == "to":
            phone.to_tag = "nobody"
        else:
            phone.tag = "somebody-else"
        phone.send(phone.make("BYE", CALLED))
        await phone.response(481, "BYE")
        assert not board.events(LegEnded)
        phone.tag, phone.to_tag = right
        await phone.hang_up()


async def test_a_cancel_for_nothing_is_told_so(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        phone.send(phone.make("CANCEL", CALLED))
        await phone.response(481, "CANCEL")


async def test_a_cancel_after_the_answer_changes_nothing(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        phone.peer = CALLED
        phone.send(phone.make("INVITE", CALLED, body=phone.description(), branch="late"))
        answer = await phone.response(200)
        phone.send(phone.make("CANCEL", CALLED, cseq=phone.cseq, branch="late"))
        phone.ack(answer)
        await board.until(lambda: bool(board.events(LegAnswered)))
        assert not board.events(LegEnded)
        await phone.hang_up()


async def test_a_late_offer_is_answered_in_the_ack(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        phone.peer = CALLED
        phone.send(phone.make("INVITE", CALLED))
        answer = await phone.response(200)
        assert re.search(r"m=audio \d+ RTP/AVP 8 0 101", answer.body)
        phone.ack(answer, body=phone.description())
        await phone.hears(1_000.0)
        phone.press("3")
        await board.until(lambda: bool(board.events(KeyPressed)))
        await phone.hang_up()


async def test_a_late_offer_with_an_answer_of_nothing_usable_is_ended(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        phone.peer = CALLED
        phone.send(phone.make("INVITE", CALLED))
        phone.ack(await phone.response(200), body=phone.description(codecs="96"))
        phone.grant(await phone.request("BYE"))
        await board.until(lambda: bool(board.events(LegEnded)))
        [ended] = [event for event in board.events(LegEnded) if isinstance(event, LegEnded)]
        assert ended.cause == "no_codec"


@pytest.mark.parametrize("by", ["INVITE", "UPDATE"])
async def test_a_phone_holds_and_comes_back(board: Board, by: str):
    async with SoftPhone("+32480123456", board.port) as phone:
        await phone.call(CALLED)
        await phone.hears(1_000.0)
        for version, (direction, mirrored) in enumerate((("sendonly", "recvonly"), ("sendrecv", "sendrecv"))):
            phone.send(phone.make(by, CALLED, body=phone.description(direction, version=version + 2)))
            answer = await phone.response(200, by)
            assert f"a={mirrored}" in answer.body
            if by == "INVITE":
                phone.ack(answer)
            await board.until(lambda version=version: len(board.events(LegHeld)) == version + 1)
        assert [event.held for event in board.events(LegHeld) if isinstance(event, LegHeld)] == [True, False]
        await phone.hang_up()


async def test_a_reinvite_without_an_offer_gets_ours(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        await phone.call(CALLED)
        phone.send(phone.make("INVITE", CALLED))
        answer = await phone.response(200)
        assert "m=audio" in answer.body
        phone.ack(answer, body=phone.description(version=2))
        assert not board.events(LegHeld)
        await phone.hears(1_000.0)
        await phone.hang_up()


async def test_an_update_without_media_is_granted(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        await phone.call(CALLED)
        phone.send(phone.make("UPDATE", CALLED))
        await phone.response(200, "UPDATE")
        await phone.hang_up()


async def test_a_reinvite_that_only_knows_opus_is_refused_and_the_call_goes_on(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        await phone.call(CALLED)
        offer = phone.description(codecs="96", version=2) + "a=rtpmap:96 opus/48000/2\r\n"
        phone.send(phone.make("INVITE", CALLED, body=offer))
        refused = await phone.response(488)
        phone.ack(refused)
        phone.press("7")
        await board.until(lambda: bool(board.events(KeyPressed)))
        await phone.hang_up()


def opus(phone: SoftPhone) -> str:
    return phone.description(codecs="96") + "a=rtpmap:96 opus/48000/2\r\n"


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        ((), "opus", 488),
        ((), "m=audio nonsense", 400),
        ((), "v=0\r\n", 488),
        (("Content-Type: text/plain",), "hello", 415),
        (("Require: 100rel",), "", 420),
        (("Max-Forwards: 0",), "", 483),
    ],
)
async def test_calls_that_cannot_be_taken(board: Board, lines: tuple[str, ...], body: str, status: int):
    async with SoftPhone("+32480123456", board.port) as phone:
        answer = await phone.call(CALLED, *lines, body=opus(phone) if body == "opus" else body or None)
        assert answer.status == status
        assert not board.events(LegOffered)
    await alive(board)


@pytest.mark.parametrize(
    ("method", "status"), [("PRACK", 405), ("MESSAGE", 405), ("REFER", 603), ("NOTIFY", 481), ("FROBNICATE", 501)]
)
async def test_no_request_in_a_call_goes_unanswered(board: Board, method: str, status: int):
    async with SoftPhone("+32480123456", board.port) as phone:
        await phone.call(CALLED)
        phone.send(phone.make(method, CALLED, "Refer-To: <sip:0900@127.0.0.1>"))
        await phone.response(status, method)
        assert not board.events(LegEnded)
        await phone.hang_up()


@pytest.mark.parametrize(
    ("method", "status"), [("OPTIONS", 200), ("SUBSCRIBE", 405), ("FROBNICATE", 501), ("BYE", 405)]
)
async def test_no_request_outside_of_a_call_goes_unanswered(board: Board, method: str, status: int):
    async with SoftPhone("+32480123456", board.port) as phone:
        phone.send(phone.make(method, CALLED))
        answer = await phone.response(status, method)
        assert "INVITE" in answer.headers["allow"]


async def test_a_transport_in_capitals_does_not_stop_the_goodbye(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        contact = f"Contact: <sip:courier@127.0.0.1:{phone.port};transport=UDP>"
        await phone.call(CALLED, contact, f"Record-Route: <sip:127.0.0.1:{phone.port};lr;transport=UDP>")
        await board.switch.hang_up(board.courier.calls[0].caller)
        bye = await phone.request("BYE")
        assert f"127.0.0.1:{phone.port}" in bye.headers["route"]
        phone.grant(bye)


async def test_a_contact_that_is_a_name_is_reached_where_it_came_from(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone:
        await phone.call(CALLED, "Contact: <sip:courier@phone.invalid:9>")
        await board.switch.hang_up(board.courier.calls[0].caller)
        phone.grant(await phone.request("BYE"))


async def test_audio_from_a_stranger_is_not_heard(board: Board):
    async with SoftPhone("+32480123456", board.port) as phone, SoftPhone("stranger", board.port) as stranger:
        await phone.call(CALLED)
        phone.talk(500.0)
        stranger.remote = phone.remote
        await board.until(lambda: bool(board.events(LegAnswered)))
        phone.press("1")
        await board.until(lambda: bool(board.events(KeyPressed)))
        stranger.press("9")
        phone.press("2")
        await board.until(lambda: len(board.events(KeyPressed)) == 2)
        assert [event.key for event in board.events(KeyPressed) if isinstance(event, KeyPressed)] == ["1", "2"]
        await phone.hang_up()


async def test_a_phone_behind_a_nat_is_heard_and_hears(board: Board):
    """Its session description names an address that its audio does not come from."""
    async with SoftPhone("+32480123456", board.port) as phone:
        elsewhere = phone.description().replace("127.0.0.1", "127.0.0.77")
        assert (await phone.call(CALLED, body=elsewhere)).status == 200
        phone.talk(500.0)
        await phone.hears(1_000.0)
        phone.press("4")
        await board.until(lambda: bool(board.events(KeyPressed)))
        await phone.hang_up()


async def test_garbage_in_the_audio_is_dropped(board: Board):
    chance = random.Random(5)
    async with SoftPhone("+32480123456", board.port) as phone:
        await phone.call(CALLED)
        assert phone.remote is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
            for _ in range(500):
                raw.sendto(chance.randbytes(chance.randrange(0, 400)), phone.remote)
        for _ in range(500):
            phone._rtp.sendto(chance.randbytes(chance.randrange(0, 60)), phone.remote)
            phone._rtp.sendto(bytes([0xBF, 0x88]) + chance.randbytes(chance.randrange(0, 60)), phone.remote)
        # A key of garbage says that it is of the far future: those of the present are heard all the same.
        phone.send_packet(bytes([9, 10, 0, 160]), 101, stamp=0x7000_0000)
        async with asyncio.timeout(300):
            while not any(getattr(event, "key", "") == "5" for event in board.events(KeyPressed)):
                phone.press("5")  # again, where the kernel had no room for it beside all that
                await asyncio.sleep(0.1)
        await phone.hang_up()


SEEDS = 10
BREAKERS = [b"\xff\xfe", b"\xc3", b"\0", b"%", b"<", b'"', b";", b"\r\n", b"\r\n\r\n", b","]
PACKETS = 1_000


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_ten_thousand_malformed_packets_end_nothing(board: Board, seed: int):
    chance = random.Random(seed)
    async with SoftPhone("+32480123456", board.port) as phone, SoftPhone("fuzz", board.port) as fuzz:
        await phone.call(CALLED)
        pids = board.switch.pids
        invites = [fuzz.make("INVITE", CALLED, body=fuzz.description()), fuzz.make("INVITE", CALLED)]
        fuzz.to_tag = phone.to_tag
        samples = [
            *invites,
            fuzz.make(
                "REGISTER", "customer", "Expires: 60", 'Authorization: Digest username="customer", realm="beckon"'
            ),
            fuzz.make("BYE", CALLED),
            fuzz.make("INFO", CALLED, "Content-Type: application/dtmf-relay", body="Signal=5\r\n"),
            fuzz.make("UPDATE", CALLED, body=fuzz.description()),
            fuzz.make("CANCEL", CALLED),
            fuzz.make("OPTIONS", CALLED),
            "SIP/2.0 200 OK\r\n" + fuzz.make("INVITE", CALLED).partition("\r\n")[2],
        ]
        for at in range(PACKETS):
            fuzz.send(mangled(chance.choice(samples).encode(), chance))
            if at % 50 == 49:  # as fast as it is taken: what the kernel drops would prove nothing
                phone.send(phone.make("OPTIONS", CALLED))
                await phone.response(200, "OPTIONS")
        assert board.switch.pids == pids
        phone.press("5")
        await board.until(lambda: any(getattr(event, "key", "") == "5" for event in board.events(KeyPressed)))
        await phone.hang_up()
        for call in board.courier.calls:  # those that were whole enough to be answered
            await board.switch.hang_up(call.caller)
    await alive(board)


def mangled(message: bytes, chance: random.Random) -> bytes:
    """One message, with some of it broken."""
    out = bytearray(message)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(out)) if out else 0
        kind = chance.randrange(8)
        if kind == 0:
            out[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            del out[at : at + chance.randrange(1, 30)]
        elif kind == 2:
            out[at:at] = chance.randbytes(chance.randrange(1, 20))
        elif kind == 3:
            out[at:at] = chance.choice(BREAKERS)
        elif kind == 4:
            del out[at:]
        elif kind == 5:
            lines = bytes(out).split(b"\r\n")
            chance.shuffle(lines)
            out = bytearray(b"\r\n".join(lines))
        elif kind == 6:
            lines = bytes(out).split(b"\r\n")
            line = chance.choice(lines)
            out = bytearray(bytes(out).replace(line, line * chance.randrange(2, 40), 1))
        else:
            number = re.search(rb"\d+", bytes(out[at:]))
            if number is not None:
                start = at + number.start()
                out[start : at + number.end()] = chance.choice([b"-1", b"99999999999999999999", b"0x", b""])
    return bytes(out[:9_000])


def test_a_message_is_read_as_it_is_written():
    message = Message("SIP/2.0 200 OK\r\nCSeq: 1 BYE\r\nTo: <sip:a@b>;tag=x\r\n\r\n")
    assert (message.status, message.method, message.to_tag) == (200, "BYE", "x")
