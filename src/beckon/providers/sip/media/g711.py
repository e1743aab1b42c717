"""G.711 by table: µ-law and A-law, decoded and turned into each other at the speed of ``bytes.translate``. Pure."""

from array import array
from bisect import bisect_left

#: RTP payload types (RFC 3551)
ULAW = 0
ALAW = 8


def _ulaw_value(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def _alaw_value(code: int) -> int:
    code ^= 0x55
    magnitude = (code & 0x0F) << 4
    segment = (code & 0x70) >> 4
    magnitude += 8 if segment == 0 else 0x108
    if segment > 1:
        magnitude <<= segment - 1
    return magnitude if code & 0x80 else -magnitude


_VALUES = {
    ULAW: tuple(_ulaw_value(code) for code in range(256)),
    ALAW: tuple(_alaw_value(code) for code in range(256)),
}
#: What silence looks like.
SILENCE = {ULAW: b"\xff", ALAW: b"\xd5"}
#: The low and the high byte of each code's 16-bit value: what a WAV file holds.
LOW = {law: bytes(value & 0xFF for value in values) for law, values in _VALUES.items()}
HIGH = {law: bytes((value >> 8) & 0xFF for value in values) for law, values in _VALUES.items()}


def _nearest(law: int) -> tuple[list[int], list[int]]:
    pairs = sorted((value, code) for code, value in enumerate(_VALUES[law]))
    return [value for value, _ in pairs], [code for _, code in pairs]


_NEAREST = {law: _nearest(law) for law in _VALUES}


def encode_one(sample: int, law: int) -> int:
    """The code nearest to a 16-bit sample."""
    values, codes = _NEAREST[law]
    at = min(bisect_left(values, sample), 255)
    if at and sample - values[at - 1] < values[at] - sample:
        at -= 1
    return codes[at]


#: From one law to the other.
TURNED = {
    (ULAW, ALAW): bytes(encode_one(value, ALAW) for value in _VALUES[ULAW]),
    (ALAW, ULAW): bytes(encode_one(value, ULAW) for value in _VALUES[ALAW]),
}


def turn(audio: bytes, law: int, wanted: int) -> bytes:
    """Audio of one law as audio of the other."""
    return audio if law == wanted else audio.translate(TURNED[law, wanted])


def encode(samples: "array[int]", law: int = ULAW) -> bytes:
    """16-bit samples as G.711: for a tone or a prompt, not for every packet."""
    known: dict[int, int] = {}
    out = bytearray(len(samples))
    for at, sample in enumerate(samples):
        code = known.get(sample)
        if code is None:
            code = known[sample] = encode_one(sample, law)
        out[at] = code
    return bytes(out)


def decode(audio: bytes, law: int = ULAW) -> "array[int]":
    """G.711 as 16-bit samples."""
    values = _VALUES[law]
    return array("h", [values[code] for code in audio])


def interleaved(left: bytes, left_law: int, right: bytes | None, right_law: int) -> bytes:
    """One or two channels of equal length as the little-endian 16-bit frames of a WAV file."""
    if right is None:
        mono = bytearray(2 * len(left))
        mono[0::2] = left.translate(LOW[left_law])
        mono[1::2] = left.translate(HIGH[left_law])
        return bytes(mono)
    out = bytearray(4 * len(left))
    out[0::4] = left.translate(LOW[left_law])
    out[1::4] = left.translate(HIGH[left_law])
    out[2::4] = right.translate(LOW[right_law])
    out[3::4] = right.translate(HIGH[right_law])
    return bytes(out)


def mixed(left: bytes, left_law: int, right: bytes, right_law: int) -> bytes:
    """Two channels of equal length as one: the frames of a mono WAV file."""
    one, other = _VALUES[left_law], _VALUES[right_law]
    sums = [one[a] + other[b] for a, b in zip(left, right, strict=True)]
    return array("h", [max(-32768, min(32767, value)) for value in sums]).tobytes()
