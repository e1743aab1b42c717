"""What the server knows of a leg, of a playback and of a recording while they last."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Literal

from beckon.core.errors import Refused
from beckon.providers.sip.sdp import Stream
from beckon.providers.sip.wire import DialogFacts
from beckon.telephony.switch import ID_CHARS_MAX, By, Cause

#: opening: its ports are not there yet; offered, ringing, answering: inbound; dialling, early: outbound
Stage = Literal["opening", "offered", "ringing", "answering", "dialling", "early", "answered", "ending"]

_ID = re.compile(rf"[A-Za-z0-9_.-]{{1,{ID_CHARS_MAX}}}")


@dataclass(eq=False)
class Leg:
    """One leg."""

    name: str
    inbound: bool
    stage: Stage = "opening"
    caller: str = ""
    called: str = ""
    #: where it came in, as ``LegOffered`` says it; the trunk by which it was dialled
    source: str = ""
    call_id: str = ""
    port: int = 0
    #: what the phone said about its audio; None: nothing yet (a late offer)
    stream: Stream | None = None
    #: counts our session descriptions
    version: int = 1
    held: bool = False
    held_by_phone: bool = False
    bridge: str = ""
    dialog: DialogFacts | None = None
    #: what a minute costs, where a trunk carries it
    rate: float | None = None
    opened: "asyncio.Future[int] | None" = None
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    ending: "Ending | None" = None

    def cancel_timers(self) -> None:
        """Nothing of it happens later any more."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()


@dataclass(frozen=True)
class Ending:
    """How a leg ends; told when its media is closed."""

    cause: Cause
    by: By
    status: int
    why: str


def check_id(name: str, what: str) -> None:
    """Raise ``Refused`` for an id that is none: it becomes a file's name."""
    if not _ID.fullmatch(name) or name.startswith("."):
        raise Refused("call.id", f"{name[:80]!r} is no {what}'s id: letters, digits, _, - and . up to {ID_CHARS_MAX}.")


def gone(name: str) -> Refused:
    """The leg has ended meanwhile."""
    return Refused("call.leg_gone", f"The leg {name[:80]} has ended.")
