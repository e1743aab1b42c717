"""Tones that a caller knows: ringing. Pure."""

from array import array
from functools import cache
from math import pi, sin

from beckon.providers.sip.media.g711 import SILENCE, ULAW, encode
from beckon.providers.sip.media.rtp import SAMPLES_A_SECOND

_RINGING_HERTZ = 425
_AMPLITUDE = 4_000


def sine(hertz: tuple[float, ...], milliseconds: int) -> bytes:
    """Sines on top of each other, in µ-law, with soft ends."""
    count = milliseconds * SAMPLES_A_SECOND // 1000
    steps = [2 * pi * value / SAMPLES_A_SECOND for value in hertz]
    soft = 40
    samples = array("h", bytes(2 * count))
    for n in range(count):
        edge = min(1.0, (n + 1) / soft, (count - n) / soft)
        samples[n] = int(edge * sum(_AMPLITUDE * sin(step * n) for step in steps))
    return encode(samples, ULAW)


@cache
def ringing() -> bytes:
    """One second of tone, four of silence, in µ-law: what Europe hears while the other phone rings."""
    return sine((_RINGING_HERTZ,), 1_000) + SILENCE[ULAW] * (4 * SAMPLES_A_SECOND)
