"""Pairs of UDP ports: an even one for RTP, the next for RTCP."""

import socket

from beckon.core.ids import chance

_TRIES = 200
#: Some ten seconds of audio: a moment without a core must not cost any.
_BUFFER_BYTES = 212_992


def open_pair(host: str, first: int, last: int) -> tuple[socket.socket, socket.socket]:
    """Two neighbouring ports of the range, chosen by chance. Raises ``OSError`` where none is free."""
    pairs = (last - first + 1) // 2
    start = int.from_bytes(chance(4)) % pairs
    for step in range(min(pairs, _TRIES)):
        port = first + 2 * ((start + step) % pairs)
        try:
            rtp = bound(host, port)
        except OSError as error:
            if error.errno in (23, 24):  # no more files
                raise
            continue
        try:
            return rtp, bound(host, port + 1)
        except OSError:
            rtp.close()
    raise OSError("no pair of ports is free in the RTP range")


def bound(host: str, port: int) -> socket.socket:
    """A UDP socket on this port that doesn't block."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xB8)  # expedited forwarding
        opened.bind((host, port))
    except OSError:
        opened.close()
        raise
    return opened
