"""Time, handed in. The only module that may ask the operating system what time it is.

An instant is an ``int``: milliseconds since 1970-01-01 UTC (``_ms`` at the end of a name says so).
"""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Says what time it is, in milliseconds since the epoch."""

    def now_ms(self) -> int: ...


def steady_s() -> float:
    """Seconds on a watch that runs whatever the clock says: for how long something took, never for when it was."""
    return time.perf_counter()


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class DraggableClock:
    """The machine's clock plus an offset that only grows: the sandbox's clock to drag forward."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def drag(self, forward_ms: int) -> None:
        """Move the clock forward. Refuses to go back: timers that fired can't be unfired."""
        if forward_ms < 0:
            raise ValueError("the clock only moves forward")
        self.offset_ms += forward_ms


class VirtualClock:
    """A clock that stands still until it is moved: tests and ``beckon flow test``."""

    def __init__(self, at_ms: int = 1_790_000_000_000) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms

    def drag(self, forward_ms: int) -> None:
        """Move the clock forward by ``forward_ms``."""
        if forward_ms < 0:
            raise ValueError("the clock only moves forward")
        self.at_ms += forward_ms


def iso(at_ms: int) -> str:
    """Write an instant as RFC 3339 in UTC with milliseconds: ``2026-11-20T13:22:56.000Z``."""
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(maxsize=1_024)  # events come in bursts: most are of a second that was written before
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")


def from_iso(text: str) -> int:
    """Read an RFC 3339 instant. Raises ``ValueError`` when it has no offset or is no instant."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the instant {text!r} has no offset; write it like 2026-11-20T13:22:56Z")
    return int(moment.timestamp() * 1000)
