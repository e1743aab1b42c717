"""Keys as tones inside the audio: heard as Q.24 asks, not mistaken for a voice, and only where they are to be."""

import shutil
import subprocess
from array import array
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from beckon.bench.place import free_port
from beckon.providers.sip.media.dtmf import BLOCK, Tones
from beckon.providers.sip.media.g711 import ALAW, ULAW, encode
from beckon.providers.sip.media.keys import COLUMNS, NAMES, PAD, ROWS
from beckon.providers.sip.media.tones import ringing
from beckon.providers.sip.settings import DialSettings, TrunkSettings
from beckon.providers.sip.speech.audio import from_wav
from beckon.telephony.switch import KeyPressed
from tests.providers.sip.conftest import Board, open_settings, switchboard
from tests.providers.sip.phone import SoftPhone

Samples = NDArray[np.float64]
FRAME = 160


def dbm0(level: float) -> float:
    """The amplitude of a sine of so many dBm0: +3.14 is the loudest that G.711 can say."""
    return float(32_124 * 10 ** ((level - 3.14) / 20))


def tone(key: str, milliseconds: float, row: float = dbm0(-10), column: float = dbm0(-10), off: float = 0.0) -> Samples:
    """A key's two sines; ``off``: how far their frequencies are from what they should be."""
    at = next(number for number, line in enumerate(PAD) if key in line)
    n = np.arange(int(milliseconds * 8))
    low = row * np.sin(2 * np.pi * ROWS[at] * (1 + off) * n / 8_000 + 0.3)
    high = column * np.sin(2 * np.pi * COLUMNS[PAD[at].index(key)] * (1 + off) * n / 8_000 + 1.1)
    return np.asarray(low + high)


def silence(milliseconds: float) -> Samples:
    return np.zeros(int(milliseconds * 8))


def coded(samples: Samples, law: int = ULAW) -> bytes:
    whole = np.clip(samples, -32_000, 32_000).astype(np.int16)
    return encode(array("h", whole.tobytes()), law)


def heard(audio: bytes, law: int = ULAW, lost: frozenset[int] = frozenset()) -> str:
    """The keys in some audio, packet by packet; ``lost``: packets that never came."""
    tones, keys = Tones(), list[str]()
    for number, at in enumerate(range(0, len(audio), FRAME)):
        if number not in lost:
            tones.hear(audio[at : at + FRAME], law, (4_294_960_000 + at) & 0xFFFFFFFF, keys.append)
    return "".join(keys)


@pytest.mark.parametrize("law", [ULAW, ALAW])
@pytest.mark.parametrize("key", NAMES)
def test_each_key_is_heard_once_wherever_it_begins(key: str, law: int):
    for begin in range(0, BLOCK, 7):
        # Forty milliseconds are the shortest that are to be heard; a long one is one key all the same.
        for milliseconds in (40, 100, 700):
            audio = np.concatenate([np.zeros(begin), tone(key, milliseconds), silence(60)])
            assert heard(coded(audio, law), law) == key


def test_a_number_is_heard_key_by_key_and_a_double_key_twice():
    number = "0044711*#ABCD99"
    parts = [piece for key in number for piece in (tone(key, 50), silence(50))]
    assert heard(coded(np.concatenate(parts))) == number


@pytest.mark.parametrize("milliseconds", [5, 10, 15])
def test_what_is_too_short_is_no_key(milliseconds: int):
    for begin in range(BLOCK):
        assert heard(coded(np.concatenate([np.zeros(begin), tone("5", milliseconds), silence(60)]))) == ""


def test_a_gap_of_some_milliseconds_is_not_the_end_of_a_key():
    for begin in range(0, BLOCK, 5):
        audio = np.concatenate([np.zeros(begin), tone("8", 60), silence(8), tone("8", 60), silence(60)])
        assert heard(coded(audio)) == "8"


@pytest.mark.parametrize(
    ("row", "column", "key"),
    [
        (0, 0, "7"),
        (-25, -25, "7"),
        (-10, -17, "7"),  # the row is louder by 7 dB
        (-15, -10, "7"),  # the column is louder by 5 dB
        (-5, -17, ""),
        (-17, -5, ""),
        (-36, -36, ""),
        (-10, -60, ""),
        (-60, -10, ""),
    ],
)
def test_the_two_tones_may_differ_in_loudness_but_not_by_everything(row: float, column: float, key: str):
    for begin in range(0, BLOCK, 11):
        audio = np.concatenate([np.zeros(begin), tone("7", 80, dbm0(row), dbm0(column)), silence(60)])
        assert heard(coded(audio)) == key


@pytest.mark.parametrize(
    ("off", "hears"), [(0.0, True), (0.015, True), (-0.015, True), (0.035, False), (-0.035, False)]
)
def test_frequencies_may_be_off_by_one_and_a_half_percent(off: float, hears: bool):
    for key in NAMES:
        for begin in range(0, BLOCK, 17):
            audio = np.concatenate([np.zeros(begin), tone(key, 60, off=off), silence(60)])
            assert heard(coded(audio)) == (key if abs(off) < 0.02 else "")


def test_keys_are_heard_through_noise():
    noise = np.random.default_rng(7)
    for key in NAMES:
        audio = np.concatenate([silence(33), tone(key, 60), silence(60)])
        # 15 dB below the tones together
        audio = audio + noise.normal(0, dbm0(-10) / 5.6, len(audio))
        assert heard(coded(audio)) == key


@pytest.mark.parametrize("lost", [{3}, {4}, {3, 4}, {6}])
def test_a_lost_packet_costs_no_key_and_makes_no_second_one(lost: set[int]):
    audio = np.concatenate([silence(40), tone("6", 160), silence(60)])
    assert heard(coded(audio), lost=frozenset(lost)) == "6"


def test_noise_and_the_tones_of_a_telephone_network_are_no_keys():
    noise = np.random.default_rng(11)
    n = np.arange(80_000)
    network = [ringing(), coded(6_000 * np.sin(2 * np.pi * 1_004 * n / 8_000))]
    for pair in ((350, 440), (480, 620), (440, 480), (1_100, 2_100), (697, 770), (1_209, 1_336), (941, 1_140)):
        network.append(coded(sum(5_000 * np.sin(2 * np.pi * hertz * n / 8_000) for hertz in pair)))  # type: ignore[arg-type]
    network.append(coded(noise.normal(0, 3_000, 240_000)))
    network.append(bytes(noise.integers(0, 256, 240_000, dtype=np.uint8)))
    for audio in network:
        assert heard(audio) == ""


def test_something_like_a_voice_is_no_key():
    """Five minutes of vowels: a pitch that glides, its harmonics under formants that move, syllable by syllable."""
    chance = np.random.default_rng(3)
    pieces = []
    for _ in range(1_200):
        count = int(chance.integers(800, 3_200))
        n = np.arange(count)
        pitch = np.linspace(chance.uniform(80, 280), chance.uniform(80, 280), count)
        phase = 2 * np.pi * np.cumsum(pitch) / 8_000
        formants = [
            (chance.uniform(250, 900), 90),
            (chance.uniform(800, 2_300), 120),
            (chance.uniform(2_200, 3_200), 180),
        ]
        voice = np.zeros(count)
        for harmonic in range(1, 40):
            hertz = harmonic * pitch.mean()
            if hertz > 3_400:
                break
            gain = sum(1 / (1 + ((hertz - centre) / width) ** 2) for centre, width in formants)
            voice += gain * np.sin(harmonic * phase)
        pieces.append(voice / np.abs(voice).max() * chance.uniform(1_000, 24_000) * np.sin(np.pi * n / count))
    assert heard(coded(np.concatenate(pieces))) == ""


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng speaks here")
@pytest.mark.parametrize("voice", ["en", "nl+f3", "de+whisper"])
def test_a_spoken_page_is_no_key(voice: str):
    words = (Path(__file__).parents[3] / "docs" / "calls.md").read_text(encoding="utf-8")[:3_000]
    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "--stdout"], input=words.encode(), capture_output=True, check=True, timeout=60
    ).stdout
    audio = from_wav(spoken)
    assert len(audio) > 60 * 8_000
    assert heard(audio) == ""


def say(phone: SoftPhone, samples: Samples) -> None:
    """Audio in packets, one time stamp after the other."""
    audio = coded(samples, phone.law)
    for at in range(0, len(audio) - len(audio) % FRAME, FRAME):
        phone.send_packet(audio[at : at + FRAME])
        phone.stamp = (phone.stamp + FRAME) & 0xFFFFFFFF


def keys(board: Board) -> list[tuple[str, str]]:
    return [(event.key, event.by) for event in board.events(KeyPressed) if isinstance(event, KeyPressed)]


@pytest.mark.parametrize("law", [ULAW, ALAW])
async def test_a_phone_without_events_types_an_order_by_tones(board: Board, customer: SoftPhone, law: int):
    async with SoftPhone("+32480123456", board.port, law=law, keys=False) as courier:
        await courier.call("+3225551000")
        await courier.hears(1_000.0)
        for key in "42#":
            say(courier, np.concatenate([tone(key, 80), silence(80)]))
        await customer.take()
        await board.until(lambda: "recording" in board.courier.calls[0].steps)
        assert keys(board) == [("4", "inband"), ("2", "inband"), ("#", "inband")]
        # In a conversation tones are the two people's own: nobody listens.
        say(courier, np.concatenate([tone("9", 80), silence(80)]))
        courier.send(courier.make("INFO", "+3225551000", "Content-Type: application/dtmf", body="5"))
        await courier.response(200, "INFO")
        await board.until(lambda: len(keys(board)) > 3)
        assert keys(board)[3:] == [("5", "info")]
        # The phone beyond knows events: the key is handed on as one.
        await customer.until(lambda: any(packet[0] == 101 for packet in customer.packets))
        assert {packet[4][0] for packet in customer.packets if packet[0] == 101} == {5}
        await courier.hang_up()
        customer.grant(await customer.request("BYE"))


async def test_a_phone_with_events_is_not_listened_to_for_tones(board: Board):
    async with SoftPhone("+32480123456", board.port) as courier:
        await courier.call("+3225551000")
        say(courier, np.concatenate([tone("4", 80), silence(80)]))
        courier.press("1")
        await board.until(lambda: bool(keys(board)))
        await courier.hang_up()
    assert keys(board) == [("1", "rfc4733")]


@pytest.mark.parametrize(
    ("tones", "wanted"), [("always", [("4", "inband"), ("1", "rfc4733")]), ("never", [("1", "rfc4733")])]
)
async def test_a_trunk_may_always_be_listened_to_and_an_event_ends_that(
    tones: str, wanted: list[tuple[str, str]], tmp_path: Path
):
    """Some gateways promise events and send tones; one that sends an event is taken at its word from then on."""
    trunk = TrunkSettings(host="127.0.0.1", port=free_port(), allow=("127.0.0.0/8",), tones=tones)  # type: ignore[arg-type]
    settings = open_settings(trunks={"gateway": trunk}, open_to=(), dial=DialSettings(allowed=("+32",)))
    async with switchboard(settings, tmp_path / "voice") as board, SoftPhone("+32480123456", board.port) as gateway:
        await gateway.call("+3225551000")
        say(gateway, np.concatenate([tone("4", 80), silence(80)]))
        gateway.press("1")
        await board.until(lambda: len(keys(board)) >= len(wanted))
        say(gateway, np.concatenate([tone("7", 80), silence(80)]))
        gateway.press("2")
        await board.until(lambda: ("2", "rfc4733") in keys(board))
        await gateway.hang_up()
    assert keys(board) == [*wanted, ("2", "rfc4733")]


async def test_an_event_reaches_a_phone_that_knows_none_as_a_tone(board: Board):
    async with (
        SoftPhone("customer", board.port, password="secret", keys=False) as customer,
        SoftPhone("+32480123456", board.port) as courier,
    ):
        assert (await customer.register()).status == 200
        await courier.call("+3225551000")
        for key in "1#":
            courier.press(key)
        await customer.take()
        await board.until(lambda: "recording" in board.courier.calls[0].steps)
        before = len(customer.packets)
        courier.press("5")
        await customer.until(lambda: heard(customer.audio(before), customer.law) == "5")
        assert not [packet for packet in customer.packets if packet[0] == 101]
        await courier.hang_up()
        customer.grant(await customer.request("BYE"))
        assert (await customer.register(expires=0)).status == 200
