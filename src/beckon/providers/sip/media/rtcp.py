"""RTCP (RFC 3550): the sender's and the receiver's reports. Pure."""

import struct

_SENDER = struct.Struct("!BBHLLLLLL")
_RECEIVER = struct.Struct("!BBHL")
_BLOCK = struct.Struct("!LLLLLL")
_EPOCH_S = 2_208_988_800  # from 1900 to 1970
_CNAME = b"beckon"


class Reception:
    """What is known about one source: RFC 3550's appendix A, as far as reports need it."""

    __slots__ = ("expected_before", "first", "highest", "jitter", "received", "received_before", "source", "transit")

    def __init__(self, source: int, sequence: int) -> None:
        self.source = source
        self.first = self.highest = sequence
        self.received = 0
        self.received_before = self.expected_before = 0
        self.jitter = 0.0
        self.transit = 0.0

    @property
    def expected(self) -> int:
        """Packets that the source has sent since the first."""
        return self.highest - self.first + 1

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return max(0, self.expected - self.received)


def report(
    ssrc: int,
    now_s: float,
    time_stamp: int,
    sent: int,
    octets: int,
    heard: Reception | None,
    goodbye: bool = False,
) -> bytes:
    """A compound packet: SR where something was sent, RR where not, then SDES, then BYE where it is the last."""
    block = b"" if heard is None else _block(heard)
    count = 1 if block else 0
    if sent:
        whole = now_s + _EPOCH_S
        out = _SENDER.pack(
            0x80 | count,
            200,
            6 + 6 * count,
            ssrc,
            int(whole) & 0xFFFFFFFF,
            int((whole % 1) * (1 << 32)) & 0xFFFFFFFF,
            time_stamp,
            sent & 0xFFFFFFFF,
            octets & 0xFFFFFFFF,
        )
    else:
        out = _RECEIVER.pack(0x80 | count, 201, 1 + 6 * count, ssrc)
    item = ssrc.to_bytes(4) + bytes([1, len(_CNAME)]) + _CNAME + b"\0"
    item += b"\0" * (-len(item) % 4)
    out += block + struct.pack("!BBH", 0x81, 202, len(item) // 4) + item
    if goodbye:
        out += struct.pack("!BBHL", 0x81, 203, 1, ssrc)
    return out


def _block(heard: Reception) -> bytes:
    expected = heard.expected - heard.expected_before
    received = heard.received - heard.received_before
    heard.expected_before, heard.received_before = heard.expected, heard.received
    fraction = max(0, min(255, ((expected - received) << 8) // expected)) if expected > 0 else 0
    return _BLOCK.pack(
        heard.source,
        fraction << 24 | min(heard.lost, 0x7FFFFF),
        heard.highest & 0xFFFFFFFF,
        int(heard.jitter),
        0,
        0,
    )
