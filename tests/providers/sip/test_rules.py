"""The pure parts: tables, headers, session descriptions, digests, limits, causes, tracks."""

import struct
import wave
from array import array
from math import pi, sin
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.core.errors import Misconfigured, Refused
from beckon.providers.sip import sdp, wire
from beckon.providers.sip.causes import cause_of, status_of
from beckon.providers.sip.limits import DialPlan
from beckon.providers.sip.media import g711, keys, rtcp, rtp, wav
from beckon.providers.sip.media.tracks import Track
from beckon.providers.sip.settings import DialSettings, PhoneSettings, SipSettings, TrunkSettings
from beckon.providers.sip.speech.audio import from_wav, resampled
from beckon.providers.sip.stack.access import Access, Admitted, Denied
from beckon.providers.sip.stack.digest import Digest, Proof
from beckon.providers.sip.stack.registrar import Registrar

# G.711: the reference points of ITU-T G.711's tables.


@pytest.mark.parametrize(
    ("law", "code", "value"),
    [
        (0, 0x00, -32_124),
        (0, 0x80, 32_124),
        (0, 0xFF, 0),
        (0, 0x7F, 0),
        (8, 0x55, -8),
        (8, 0xD5, 8),
        (8, 0x2A, -32_256),
    ],
)
def test_g711_decodes_as_the_standard_says(law: int, code: int, value: int):
    assert g711.decode(bytes([code]), law)[0] == value


@given(st.binary(max_size=400), st.sampled_from([0, 8]))
def test_what_g711_decodes_it_encodes_to_the_same_sound(audio: bytes, law: int):
    samples = g711.decode(audio, law)
    assert g711.decode(g711.encode(samples, law), law) == samples


@given(st.integers(-32_768, 32_767), st.sampled_from([0, 8]))
def test_g711_is_as_near_as_its_steps_allow(sample: int, law: int):
    heard = g711.decode(bytes([g711.encode_one(sample, law)]), law)[0]
    assert abs(heard - sample) <= max(8, abs(sample) // 16 + 16)


def test_turning_between_laws_keeps_the_sound():
    tone = array("h", [int(9_000 * sin(2 * pi * 500 * n / 8_000)) for n in range(800)])
    there = g711.turn(g711.encode(tone, 0), 0, 8)
    assert max(abs(a - b) for a, b in zip(g711.decode(there, 8), tone, strict=True)) < 600


def test_channels_lie_side_by_side_in_a_recording():
    left, right = g711.encode(array("h", [1_000] * 4), 0), g711.encode(array("h", [-1_000] * 4), 8)
    frames = struct.unpack("<8h", g711.interleaved(left, 0, right, 8))
    assert all(abs(value - 1_000) < 40 for value in frames[0::2])
    assert all(abs(value + 1_000) < 40 for value in frames[1::2])
    assert max(map(abs, struct.unpack("<4h", g711.mixed(left, 0, right, 8)))) < 80


# RTP and RTCP.


def test_padding_extension_and_sources_are_taken_off():
    body = b"12345678"
    full = bytes([0xB2, 0x08]) + bytes(10) + b"s" * 8 + bytes([0xBE, 0xDE, 0, 1]) + b"eeee" + body + bytes([0, 0, 3])
    assert rtp.plain(full) == bytes([0x80, 0x08]) + bytes(10) + body


@given(st.binary(max_size=80))
def test_no_bytes_upset_the_reader(packet: bytes):
    read = rtp.plain(packet)
    assert read is None or len(read) >= 12


def test_reports_say_what_was_sent_heard_and_lost():
    heard = rtcp.Reception(77, 10)
    heard.highest, heard.received, heard.jitter = 19, 8, 16.0
    packet = rtcp.report(5, 1_700_000_000.5, 1_000, 3, 480, heard, goodbye=True)
    kind, length = packet[1], struct.unpack("!H", packet[2:4])[0]
    assert (packet[0], kind, length) == (0x81, 200, 12)
    sender = struct.unpack("!LLLLLL", packet[4:28])
    assert sender == (5, 1_700_000_000 + 2_208_988_800, 1 << 31, 1_000, 3, 480)
    source, lost, highest, jitter, _, _ = struct.unpack("!LLLLLL", packet[28:52])
    assert (source, lost >> 24, lost & 0xFFFFFF, highest, jitter) == (77, 51, 2, 19, 16)
    assert packet[53] == 202
    assert packet[-7] == 203
    assert rtcp.report(5, 0.0, 0, 0, 0, None)[1] == 201


def test_a_key_has_an_end():
    assert [keys.pressed("#", at)[1] >> 7 for at in range(keys.PACKETS)] == [0] * 5 + [1] * 3
    assert keys.pressed("#", 0) == bytes([11, 10, 0, 160])


# Tracks.


@given(st.permutations(range(12)), st.integers(0, 0xFFFFFFFF))
def test_a_track_is_the_same_whatever_the_order_of_its_packets(order: list[int], first: int):
    track = Track(0, 0.0)
    track.place(1, first, bytes([100]) * 160, 0, 0.1)
    for at in order:
        track.place(1, (first + 160 * (at + 1)) & 0xFFFFFFFF, bytes([at]) * 160, 0, 0.1 + 0.02 * (at + 1))
    expected = b"\xff" * 800 + bytes([100]) * 160 + b"".join(bytes([at]) * 160 for at in range(12))
    assert track.take(800 + 13 * 160) == expected


def test_a_track_has_silence_where_nothing_came_and_forgives_a_new_source():
    track = Track(8, 0.0)
    track.place(1, 5, b"a" * 160, 8, 0.0)
    track.place(1, 5 + 480, b"b" * 160, 8, 0.06)
    track.place(2, 99_999, b"c" * 160, 8, 0.1)
    assert track.take(960) == b"a" * 160 + b"\xd5" * 320 + b"b" * 160 + b"\xd5" * 160 + b"c" * 160


def test_a_time_stamp_that_leaps_is_placed_by_its_arrival():
    track = Track(0, 0.0)
    track.place(1, 0, b"a" * 160, 0, 0.0)
    track.place(1, 90_000_000, b"b" * 160, 0, 0.02)
    assert track.take(320) == b"a" * 160 + b"b" * 160


def test_what_comes_after_it_was_written_is_not_written_twice():
    track = Track(0, 0.0)
    track.place(1, 0, b"a" * 160, 0, 0.0)
    assert track.take(240) == b"a" * 160 + b"\xff" * 80
    track.place(1, 160, b"b" * 160, 0, 0.02)
    assert track.take(320) == b"b" * 80


# WAV.


def test_a_recording_that_was_cut_off_is_mended(tmp_path: Path):
    file = tmp_path / "one.wav"
    file.write_bytes(wav.header(2, 0) + b"\x01\x00\x02\x00" * 8_000 + b"\x01")
    assert wav.repair(file) == 1.0
    with wave.open(str(file)) as read:
        assert (read.getnchannels(), read.getnframes(), read.getframerate()) == (2, 8_000, 8_000)


@pytest.mark.parametrize("bytes_", [b"", b"RIFF", b"x" * 100, wav.header(2, 0)[:30]])
def test_what_is_no_recording_is_not_mended(tmp_path: Path, bytes_: bytes):
    file = tmp_path / "one.wav"
    file.write_bytes(bytes_)
    assert wav.repair(file) == 0


# Session descriptions.

OFFER = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=video 9 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 96 0 8 101\r\na=rtpmap:96 opus/48000/2\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=sendonly\r\nm=audio 0 RTP/AVP 0\r\n"
)


def test_an_offer_is_answered_line_by_line():
    stream = sdp.read(OFFER)
    assert (stream.host, stream.port, stream.law, stream.key_type) == ("192.0.2.1", 4_000, 0, 101)
    assert (stream.sends, stream.hears) == (True, False)
    answer = sdp.answer(stream, "127.0.0.1", 5_000, 1)
    media = [line for line in answer.split("\r\n") if line.startswith("m=")]
    assert media == ["m=video 0 RTP/AVP 96", "m=audio 5000 RTP/AVP 0 101", "m=audio 0 RTP/AVP 0"]
    assert "a=recvonly" in answer
    assert sdp.read(answer.replace("m=video 0", "m=video 9")).port == 5_000


def test_our_own_offer_can_be_read():
    stream = sdp.read(sdp.offer("127.0.0.1", 4_000, 1))
    assert (stream.law, stream.key_type, stream.direction) == (8, 101, "sendrecv")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("m=audio 4000 RTP/AVP 0\r\n", 400),
        (OFFER.replace("96 0 8 101", "96"), 488),
        (OFFER.replace("RTP/AVP", "RTP/SAVP"), 488),
        (OFFER.replace("IN IP4 192.0.2.1", "IN IP6 ::1"), 488),
        (OFFER.replace("audio 4000", "audio 99999"), 488),
    ],
)
def test_descriptions_of_nothing_usable_are_refused(text: str, status: int):
    with pytest.raises(sdp.NotAcceptable) as refused:
        sdp.read(text)
    assert refused.value.status == status


@given(st.text(max_size=300), st.integers(0, 400))
def test_no_description_upsets_the_reader(text: str, at: int):
    for mangled in (text, OFFER[:at] + text + OFFER[at:]):
        try:
            stream = sdp.read(mangled)
        except sdp.NotAcceptable:
            continue
        assert "m=audio" in sdp.answer(stream, "127.0.0.1", 4_000, 1)


# Digests: the example of RFC 2617, section 3.5, with our own nonces.


def test_a_digest_is_checked_counted_and_grows_old():
    now = [100.0]
    digest = Digest("beckon", lambda: now[0])
    passwords = {"ann": "secret"}.get

    def proof(count: str = "00000001", password: str = "secret", challenge: str = "") -> str:
        from hashlib import md5

        def h(text: str) -> str:
            return md5(text.encode()).hexdigest()

        nonce = (challenge or asked).split('nonce="')[1].split('"')[0]
        two = h("REGISTER:sip:a,b@c")
        response = h(f"{h(f'ann:beckon:{password}')}:{nonce}:{count}:xyz:auth:{two}")
        return (
            f'Digest username="ann",realm="beckon",nonce="{nonce}",uri="sip:a,b@c",qop=auth,nc={count},'
            f'cnonce="xyz",response="{response}"'
        )

    asked = digest.challenge()
    assert digest.check("", "REGISTER", passwords)[0] is Proof.MISSING
    assert digest.check("Basic abc", "REGISTER", passwords)[0] is Proof.MISSING
    assert digest.check(proof(), "REGISTER", passwords) == (Proof.RIGHT, "ann")
    assert digest.check(proof(), "REGISTER", passwords)[0] is Proof.STALE, "a proof works once"
    assert digest.check(proof("00000002"), "REGISTER", passwords)[0] is Proof.RIGHT
    assert digest.check(proof("00000003"), "INVITE", passwords)[0] is Proof.WRONG
    assert digest.check(proof("00000003", "other"), "REGISTER", passwords)[0] is Proof.WRONG
    forged = Digest("beckon", lambda: now[0]).challenge()
    assert digest.check(proof(challenge=forged), "REGISTER", passwords)[0] is Proof.MISSING
    now[0] += 301
    assert digest.check(proof("00000004"), "REGISTER", passwords)[0] is Proof.STALE
    assert "stale=true" in digest.challenge(stale=True)


@given(st.text(max_size=200))
def test_no_header_upsets_the_digest(text: str):
    digest = Digest("beckon", lambda: 0.0)
    assert digest.check(f"Digest {text}", "INVITE", {}.get)[0] in (Proof.MISSING, Proof.WRONG, Proof.STALE)


def test_whoever_guesses_too_often_waits():
    now = [0.0]
    settings = SipSettings(phones={"ann": PhoneSettings(password="secret")})
    access = Access(settings, lambda: now[0])

    def tries(host: str) -> Admitted | Denied:
        asked = access.registers(host, "ann", "")
        if isinstance(asked, Admitted) or not asked.challenge:
            return asked
        nonce = asked.challenge.split('nonce="')[1].split('"')[0]
        wrong = f'Digest username="ann",realm="beckon",nonce="{nonce}",uri="sip:a",response="00"'
        return access.registers(host, "ann", wrong)

    assert all(tries("192.0.2.1") == Denied(403, "Forbidden") for _ in range(20))
    assert access.registers("192.0.2.1", "ann", "") == Denied(403, "Forbidden"), "not even asked any more"
    assert access.calls("192.0.2.1", "ann", "", "") == Denied(403, "Forbidden")
    elsewhere = access.registers("192.0.2.2", "ann", "")
    assert isinstance(elsewhere, Denied)
    assert elsewhere.status == 401
    now[0] = 61.0
    again = access.registers("192.0.2.1", "ann", "")
    assert isinstance(again, Denied)
    assert again.status == 401


def test_a_registration_runs_out():
    now = [0.0]
    registrar = Registrar(lambda: now[0])
    registrar.register("ann", "sip:ann@127.0.0.1:1", "127.0.0.1", 1, 60)
    assert registrar.find("ann") is not None
    assert registrar.addresses() == [("127.0.0.1", 1)]
    now[0] = 61.0
    assert registrar.addresses() == []
    assert registrar.find("ann") is None


# The dial plan.


def plan(**more: object) -> DialPlan:
    trunks = {
        "any": TrunkSettings(host="a"),
        "belgium": TrunkSettings(host="b", prefixes=("32", "+32")),
    }
    return DialPlan(DialSettings(**{"allowed": ("+32", "33"), "rates": {"+32": 0.1, "+324": 0.3}, **more}), trunks)  # type: ignore[arg-type]


@pytest.mark.parametrize(("written", "number"), [("+32 470 12.34-56", "+32470123456"), ("32470123456", "+32470123456")])
def test_numbers_are_read_as_people_write_them(written: str, number: str):
    assert plan().number(written) == number


@pytest.mark.parametrize("written", ["", "+", "12", "sip:a@b", "+32470123456x", "1" * 30, "²²²²²"])
def test_what_is_no_number_is_not_called(written: str):
    with pytest.raises(Refused):
        plan().number(written)


def test_the_longest_prefix_decides():
    assert plan().trunk("+32470", "") == "belgium"
    assert plan().trunk("+33470", "") == "any"
    assert plan().trunk("+32470", "any") == "any"
    assert (plan().rate("+32470"), plan().rate("+32210"), plan().rate("+1")) == (0.3, 0.1, 0.0)
    with pytest.raises(Misconfigured):
        plan().trunk("+32470", "none")


def test_a_shorter_refusal_does_not_undo_a_longer_permission():
    limits = plan(allowed=("+32", "+329"), refused=("+32", "+32999"))
    limits.begin("+32912345", 0)
    for number in ("+32470", "+3299912"):
        with pytest.raises(Refused):
            limits.begin(number, 0)


def test_the_minute_and_the_day_are_limited_and_begin_anew():
    limits = plan(calls_per_minute=2, cost_per_day=1.0)
    limits.begin("+32470", 0)
    limits.begin("+32470", 30_000)
    with pytest.raises(Refused, match="within a minute"):
        limits.begin("+32470", 59_000)
    limits.begin("+32470", 61_000)
    with pytest.raises(Refused, match="in a day"):
        limits.charge(0.3, 62_000)
    limits.charge(0.3, 86_400_000)
    assert limits.spent == pytest.approx(0.3)
    limits.refund(0.3)
    assert limits.spent == 0.0


@pytest.mark.parametrize(
    ("status", "cause"), [(0, "normal"), (486, "busy"), (408, "no_answer"), (488, "no_codec"), (599, "failed")]
)
def test_answers_are_causes(status: int, cause: str):
    assert cause_of(status) == cause


def test_every_cause_refuses_with_a_final_status():
    from typing import get_args

    from beckon.telephony.switch import Cause

    assert all(400 <= status_of(cause) < 700 for cause in get_args(Cause))


# Prompts.


@pytest.mark.parametrize(
    ("rate", "width", "count"), [(8_000, 2, 1), (22_050, 2, 1), (44_100, 2, 2), (16_000, 1, 1), (48_000, 3, 1)]
)
def test_any_usual_recording_becomes_a_prompt(tmp_path: Path, rate: int, width: int, count: int):
    wave_ = 0.4 * np.sin(2 * np.pi * 600 * np.arange(rate) / rate)
    if width == 1:
        packed = ((wave_ * 127) + 128).astype(np.uint8).tobytes()
    elif width == 2:
        packed = np.repeat((wave_ * 32_767).astype("<i2"), count).tobytes()
    else:
        whole = (wave_ * 8_388_607).astype("<i4")
        packed = whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    file = tmp_path / "prompt.wav"
    with wave.open(str(file), "wb") as out:
        out.setnchannels(count)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(packed)
    heard = np.array(g711.decode(from_wav(file.read_bytes()), 0), dtype=float)
    assert abs(len(heard) - 8_000) <= 1
    spectrum = np.abs(np.fft.rfft(heard[1_000:7_000], 8_000))
    assert abs(int(spectrum.argmax()) - 600) <= 1
    assert 0.3 < np.abs(heard[1_000:7_000]).max() / 32_767 < 0.5


def test_what_is_too_high_for_a_phone_does_not_fold_back():
    high = np.sin(2 * np.pi * 5_000 * np.arange(22_050) / 22_050)
    assert np.abs(resampled(high, 22_050))[500:-500].max() < 0.02


@pytest.mark.parametrize("bytes_", [b"", b"RIFF", b"MP3!" * 40])
def test_what_is_no_wav_is_no_prompt(bytes_: bytes):
    with pytest.raises(Refused):
        from_wav(bytes_)


# The wire.


@given(st.lists(st.binary(max_size=30), max_size=6), st.integers(1, 7))
def test_values_come_whole_however_they_are_cut(words: list[bytes], size: int):
    said = [wire.End(word.hex(), at) for at, word in enumerate(words)]
    stream = b"".join(wire.frame(each) for each in said)
    frames = wire.Frames()
    heard = [
        wire.read_command(value) for at in range(0, len(stream), size) for value in frames.feed(stream[at : at + size])
    ]
    assert heard == said


def test_a_value_that_is_too_long_is_not_waited_for():
    with pytest.raises(ValueError, match="bytes"):
        list(wire.Frames().feed(b"\xff\xff\xff\xff"))
