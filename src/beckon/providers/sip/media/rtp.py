"""RTP's header (RFC 3550): what comes in is normalised, what goes out is always the short form. Pure."""

import struct

#: V=2 without padding, extension and contributing sources; marker and payload type; sequence, time stamp, source.
HEADER = struct.Struct("!BBHLL")
HEADER_BYTES = 12
PLAIN = 0x80
MARKER = 0x80
SAMPLES_A_SECOND = 8_000
#: Samples in the 20 ms that one packet holds.
FRAME = 160


def plain(packet: bytes) -> bytes | None:
    """The packet without padding, extension and contributing sources; None where it is no RTP."""
    if len(packet) < HEADER_BYTES or packet[0] >> 6 != 2:
        return None
    first = packet[0]
    start = HEADER_BYTES + 4 * (first & 0x0F)
    end = len(packet)
    if first & 0x10:
        if end < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
    if first & 0x20:
        end -= packet[-1]
    if start > end:
        return None
    return bytes([PLAIN]) + packet[1:HEADER_BYTES] + packet[start:end]
