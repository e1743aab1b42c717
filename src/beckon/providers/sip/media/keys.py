"""Keys to send: telephone-events (RFC 4733), and tones for who knows no events. Pure."""

from array import array
from math import pi, sin

from beckon.providers.sip.media.g711 import ULAW, encode
from beckon.providers.sip.media.rtp import FRAME, SAMPLES_A_SECOND

NAMES = "0123456789*#ABCD"
#: How long a key is pressed and how long nothing follows, in packets of 20 ms.
PRESSED_PACKETS = 5
PAUSE_PACKETS = 4
_VOLUME = 10
#: The pad's tones, in hertz: a key is its row's and its column's.
ROWS = (697, 770, 852, 941)
COLUMNS = (1209, 1336, 1477, 1633)
PAD = ("123A", "456B", "789C", "*0#D")
_PLACES = {key: (row, column) for row, line in enumerate(PAD) for column, key in enumerate(line)}


def pressed(key: str, packet: int) -> bytes:
    """The event's payload in its ``packet``-th packet; the last ones say that it ended."""
    ended = packet >= PRESSED_PACKETS
    duration = min(packet + 1, PRESSED_PACKETS) * FRAME
    return bytes([NAMES.index(key), (0x80 if ended else 0) | _VOLUME]) + duration.to_bytes(2)


#: With three packets that say the end: one of them arrives.
PACKETS = PRESSED_PACKETS + 3


def tone(key: str) -> bytes:
    """The key as two sines in µ-law, with its pause."""
    row, column = _PLACES[key]
    low, high = 2 * pi * ROWS[row] / SAMPLES_A_SECOND, 2 * pi * COLUMNS[column] / SAMPLES_A_SECOND
    samples = array("h", [int(7000 * sin(low * n) + 7000 * sin(high * n)) for n in range(PRESSED_PACKETS * FRAME)])
    return encode(samples, ULAW) + b"\xff" * PAUSE_PACKETS * FRAME
