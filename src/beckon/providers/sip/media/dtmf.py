"""Keys that come as tones inside the audio (DTMF): heard in G.711, and not mistaken for a voice. Pure.

Blocks of 102 samples (12.75 ms, in which the rows' four tones lie a bin apart) are correlated with the eight tones. A
block holds a key where one row and one column stand out from their neighbours, are near each other in loudness, and
hold nearly all of the block's energy: a voice spreads its own over many harmonics. Two such blocks on end are a key
(ITU-T Q.24 has 40 ms heard, and what is shorter than 20 ms not); two blocks on end without it are its end.
"""

from array import array
from collections.abc import Callable
from math import cos, pi, sin
from operator import mul

from beckon.providers.sip.media.g711 import ALAW, ULAW, decode
from beckon.providers.sip.media.keys import COLUMNS, PAD, ROWS
from beckon.providers.sip.media.rtp import SAMPLES_A_SECOND

BLOCK = 102
_HITS = 2
_MISSES = 2
#: A tone's least amplitude: -30 dBm0. Q.24 has tones of -25 dBm0 heard.
_AMPLITUDE_MIN = 700.0
#: How much louder, as power, the row may be than the column (8 dB), and the column than the row (6 dB).
_ROW_OVER_COLUMN = 6.3
_COLUMN_OVER_ROW = 4.0
#: How far, as power, a tone stands out from the others of its group: 8 dB.
_OUTSTANDING = 6.3
#: The two tones' least share of a block's energy; a tone that is 1.5 % off loses a quarter of its own.
_SHARE_MIN = 0.62
#: A row's least share: the share of two, and the column as much louder as it may be.
_ROW_SHARE_MIN = _SHARE_MIN / (1 + _COLUMN_OVER_ROW)

Wave = tuple[list[float], list[float]]


def _wave(hertz: int) -> Wave:
    step = 2 * pi * hertz / SAMPLES_A_SECOND
    return [cos(step * n) for n in range(BLOCK)], [sin(step * n) for n in range(BLOCK)]


_ROW_WAVES = [_wave(hertz) for hertz in ROWS]
_COLUMN_WAVES = [_wave(hertz) for hertz in COLUMNS]
#: How loud a code is, in 1/128 of the loudest.
_LOUDNESS = {law: bytes(min(127, abs(value) >> 8) for value in decode(bytes(range(256)), law)) for law in (ULAW, ALAW)}
#: No block whose loudest sample is below this holds two tones of that amplitude.
_LOUD_MIN = int(_AMPLITUDE_MIN * 1.2) >> 8


class Tones:
    """What one phone's audio was so far."""

    __slots__ = ("_blocks_without", "_due", "_hits", "_key", "_last", "_law", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._law = ULAW
        self._due = -1
        #: the key that is heard; empty: none
        self._key = ""
        #: what the last blocks held, and how many on end
        self._last = ""
        self._hits = 0
        self._blocks_without = 0

    def hear(self, audio: bytes, law: int, time_stamp: int, told: Callable[[str], None]) -> None:
        """Take the next packet's audio; each key is told once, as soon as it is one.

        What is missing breaks a block off, and no more: a key goes on over a packet that was lost.
        """
        if law != self._law or time_stamp != self._due:
            self._law, self._rest = law, b""
        self._due = (time_stamp + len(audio)) & 0xFFFFFFFF
        audio = self._rest + audio
        at = 0
        while at + BLOCK <= len(audio):
            key = self._block(key_in(audio[at : at + BLOCK], law))
            if key:
                told(key)
            at += BLOCK
        self._rest = audio[at:]

    def _block(self, held: str) -> str:
        """One block more, and what it holds; a key that begins."""
        if held and held == self._key:
            self._blocks_without = 0
        else:
            self._blocks_without += 1
            if self._blocks_without >= _MISSES:
                self._key = ""
        self._hits = self._hits + 1 if held == self._last else 1
        self._last = held
        if held and held != self._key and self._hits >= _HITS:
            self._key = held
            self._blocks_without = 0
            return held
        return ""


def key_in(block: bytes, law: int) -> str:
    """The key that a block of G.711 holds; empty: none."""
    if max(block.translate(_LOUDNESS[law])) < _LOUD_MIN:
        return ""
    samples = decode(block, law)
    energy = sum(map(mul, samples, samples)) * (BLOCK / 2)
    row, row_power = _outstanding(samples, _ROW_WAVES, energy * _ROW_SHARE_MIN)
    if row < 0:
        return ""
    column, column_power = _outstanding(samples, _COLUMN_WAVES, 0.0)
    if column < 0 or row_power + column_power < energy * _SHARE_MIN:
        return ""
    if row_power > column_power * _ROW_OVER_COLUMN or column_power > row_power * _COLUMN_OVER_ROW:
        return ""
    return PAD[row][column]


#: A tone's power in a block, where its amplitude is the least.
_POWER_MIN = (_AMPLITUDE_MIN * BLOCK / 2) ** 2


def _outstanding(samples: "array[int]", waves: list[Wave], least: float) -> tuple[int, float]:
    """Which tone of a group stands out, and its power; -1: none does."""
    powers = [sum(map(mul, samples, even)) ** 2 + sum(map(mul, samples, odd)) ** 2 for even, odd in waves]
    power = max(powers)
    if power < _POWER_MIN or power < least:
        return -1, power
    at = powers.index(power)
    if any(other * _OUTSTANDING > power for n, other in enumerate(powers) if n != at):
        return -1, power
    return at, power
