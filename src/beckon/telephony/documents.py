"""Documents: what a switch that asks for its instructions is told at once, in our own words. Pure.

A vendor's folder renders a ``Document`` in its own way (TwiML, verbs) and reads its webhooks into ``Told``. Every
document ends with something that asks again, so that a call is never left without instructions.
"""

from typing import Literal, Protocol

import msgspec

from beckon.core.exchange import Reply, WebhookRequest
from beckon.telephony.switch import Cause, File, Keys, Say, Silence

#: What is heard: files are URLs by now, tones too.
Audible = Say | File | Silence

#: What a carrier said of a call that failed.
BY_SIP: dict[int, Cause] = {
    404: "not_found",
    410: "not_found",
    484: "not_found",
    480: "unreachable",
    403: "not_allowed",
    486: "busy",
    487: "cancelled",
    488: "no_codec",
    503: "congestion",
    600: "busy",
    603: "declined",
}


class Press(msgspec.Struct, frozen=True):
    """Press keys towards the phone."""

    digits: str


class Tape(msgspec.Struct, frozen=True):
    """Record the leg from here on; what becomes of it is told at this URL."""

    told_at: str


class Hear(msgspec.Struct, frozen=True):
    """Let the phone hear something; a key may interrupt it."""

    prompts: tuple[Audible, ...]
    barge_in: bool = False


class Wait(msgspec.Struct, frozen=True):
    """Hear the same over and over."""

    prompts: tuple[Audible, ...]


class Join(msgspec.Struct, frozen=True):
    """Meet the other leg in this room; it ends when either leaves."""

    room: str


class Turn(msgspec.Struct, frozen=True):
    """Turn away a call that was not answered."""

    status: int


class Part(msgspec.Struct, frozen=True):
    """Hang up."""


Piece = Press | Tape | Hear | Wait | Join | Turn | Part


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What one leg is told at once."""

    pieces: tuple[Piece, ...] = ()
    #: which keys are wanted, also while nothing is heard; None: any, each for itself
    keys: Keys | None = None
    #: the call is answered, or is by this
    answered: bool = True
    #: where it asks for what follows
    next_url: str = ""

    @property
    def ends_in(self) -> Piece | None:
        """Its last piece, where that leads somewhere by itself."""
        last = self.pieces[-1] if self.pieces else None
        return last if isinstance(last, Join | Turn | Part | Wait | Hear) else None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's webhook in our own words."""

    #: a new call, a document has ended, the call's state, a recording's
    what: Literal["call", "next", "status", "recording"]
    #: the vendor's id of the call
    call: str
    #: our id of the leg or the recording, from the URL that we gave
    ours: str = ""
    #: which document has ended, from the same
    document: int = -1
    #: the keys that were pressed, the one that ended them included
    keys: str = ""
    state: Literal["", "ringing", "answered", "ended"] = ""
    cause: Cause = "normal"
    #: the vendor's number for it
    status: int = 0
    why: str = ""
    caller: str = ""
    called: str = ""
    #: the vendor's id of a recording, whether it is over, and whether it came to nothing
    recording: str = ""
    closed: bool = False
    failed: bool = False
    seconds: float = 0.0


class Vendor(Protocol):
    """Whoever carries the calls: how it is written to, and how it is read."""

    name: str
    #: where its webhooks come in, without a query
    hook_url: str
    #: signs the URLs of prompts
    secret: str
    #: a changed document is fetched from us; otherwise it is sent along
    fetches: bool

    def read(self, request: WebhookRequest, now_ms: int) -> Told:
        """Verify and read a webhook. Raises ``Refused``."""
        ...

    def render(self, document: Document) -> Reply:
        """The document as the vendor reads it."""
        ...

    def taken(self) -> Reply:
        """The answer to a webhook that wants none."""
        ...

    async def check(self) -> None:
        """Raises ``Misconfigured`` where the account does not let us in."""
        ...

    async def call(
        self, to: str, *, caller_id: str, caller_name: str, ring_s: float, next_url: str, status_url: str
    ) -> str:
        """Call a phone; the vendor's id of the call."""
        ...

    async def change(self, call: str, document: Document) -> None:
        """Let a call follow another document from now on. Raises ``Refused`` with ``call.leg_gone``."""
        ...

    async def end(self, call: str, *, answered: bool) -> None:
        """End a call. Raises ``Refused`` with ``call.leg_gone``."""
        ...

    async def lives(self, call: str) -> bool:
        """Whether the call is still there."""
        ...

    async def record(self, call: str, told_at: str, *, stereo: bool) -> str:
        """Record a call; the vendor's id of the recording. Raises ``Unsupported``."""
        ...

    async def stop_recording(self, call: str, recording: str) -> None:
        """End a recording; ``recording`` may be empty: the one under way."""
        ...

    async def fetch(self, recording: str, path: str) -> str:
        """Put a recording into this file (nothing, where the path is empty); where it lies."""
        ...

    async def close(self) -> None:
        """Let connections go."""
        ...
