"""The SIP process, started by the switch: ``python -m beckon.providers.sip.stack SOCKET``."""

import gc
import os
import signal
import socket
import sys

from beckon.providers.sip import wire


def main(arguments: list[str]) -> int:
    """Serve the switch at the other end of the socket until it goes."""
    server = socket.socket(fileno=int(arguments[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to understand
    settings = _first(server).settings
    # sippy prints what it can't read, with all that it holds; what it imports is told where to at import.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from beckon.providers.sip.stack.exchange import Exchange

    exchange = Exchange(server)
    signal.signal(signal.SIGTERM, lambda number, frame: exchange.close_soon())
    gc.collect()
    gc.freeze()
    try:
        exchange.run(settings)
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        return 1
    return 0


def _first(server: socket.socket) -> wire.Configure:
    frames = wire.Frames()
    while True:
        piece = server.recv(4)
        if not piece:
            sys.exit(0)
        length = int.from_bytes(piece + _exactly(server, 4 - len(piece)))
        written = _exactly(server, min(length, wire.VALUE_BYTES_MAX))
        for value in frames.feed(length.to_bytes(4) + written):
            said = wire.read_command(value)
            assert isinstance(said, wire.Configure)
            return said


def _exactly(server: socket.socket, count: int) -> bytes:
    out = b""
    while len(out) < count:
        piece = server.recv(count - len(out))
        if not piece:
            sys.exit(0)
        out += piece
    return out


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
