"""Started by the switch: ``python -m beckon.providers.sip.media SOCKET HOST FIRST LAST SILENCE_S``."""

import gc
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from beckon.providers.sip.media.engine import Engine
from beckon.providers.sip.media.tones import ringing

#: Audio is late sooner than anything else is.
_NICENESS = -10


def main(arguments: list[str]) -> int:
    """Serve the switch at the other end of the socket until it goes."""
    descriptor, host, first, last, silence_s = arguments
    server = socket.socket(fileno=int(descriptor))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to understand
    _ask_for_priority()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sys.setswitchinterval(0.0005)
    ringing()
    engine = Engine(server, host, int(first), int(last), float(silence_s))
    signal.signal(signal.SIGTERM, lambda number, frame: engine.end())
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    engine.run()
    return 0


def _ask_for_priority() -> None:
    """Where Linux shares the cores among sessions first (autogroups), niceness counts only within one: take our own."""
    with suppress(OSError):
        os.setsid()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS), encoding="ascii")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
