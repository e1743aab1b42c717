"""``beckon serve`` with a sampler beside it: in which room the loop's thread was found, some hundred times a second.

Prints one JSON object when it ends: room → samples. Slower than the server itself, so only shares are read from it.
"""

import json
import signal
import sys
import threading
from collections import Counter
from types import FrameType

from beckon.app import Beckon
from beckon.serving import serve_app
from beckon.settings import from_environment

_EVERY_S = 0.003

#: The innermost file that is ours (or the server's) says the room.
_ROOMS = (
    ("uvicorn", "HTTP in (uvicorn)"),
    ("beckon/doors", "doors: read, check, answer"),
    ("beckon/web", "doors: read, check, answer"),
    ("beckon/intake", "intake: accept, journal"),
    ("beckon/flows", "flows: begin, advance"),
    ("beckon/inbox", "inbox: entries, conversations"),
    ("beckon/messaging", "messaging: contact, choose, render"),
    ("beckon/providers", "provider: payload"),
    ("beckon/outbox/connections", "HTTP out"),
    ("beckon/outbox", "outbox: lanes"),
    ("beckon/carrier", "carrier"),
    ("beckon/effects", "wheel: effects"),
    ("beckon/batch", "wheel: rows"),
    ("beckon/worker", "wheel: effects"),
    ("beckon/store", "store: statements"),
)


def room_of(frame: FrameType | None) -> str:
    """The room in which a stack stands."""
    while frame is not None:
        file = frame.f_code.co_filename
        for piece, room in _ROOMS:
            if f"/{piece}" in file:
                return "waiting, or in the event loop" if file.endswith(("uvicorn/server.py", "_compat.py")) else room
        frame = frame.f_back
    return "waiting, or in the event loop"


def run() -> None:
    """Serve, and sample until the server ends."""
    found: Counter[str] = Counter()
    ended = threading.Event()
    loop_thread = threading.main_thread().ident

    def sample() -> None:
        while not ended.wait(_EVERY_S):
            found[room_of(sys._current_frames().get(loop_thread or 0))] += 1

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    # The server hands a signal on when it has closed: this process has something left to say then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = from_environment()
    try:
        serve_app(Beckon(settings).app, settings.host, settings.port)
    finally:
        ended.set()
        sampler.join()
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    run()
