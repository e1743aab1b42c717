"""Orders: what a call's script wants done, as values: a switch's commands, and the questions that leave the process."""

import msgspec

from beckon.telephony.switch import Cause, Prompt


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """Answer an offered leg."""

    leg: str


class Ring(msgspec.Struct, frozen=True, tag="ring"):
    """Let an offered leg's phone hear that it rings."""

    leg: str


class Reject(msgspec.Struct, frozen=True, tag="reject"):
    """Refuse an offered leg."""

    leg: str
    status: int = 603


class Play(msgspec.Struct, frozen=True, tag="play"):
    """Let a leg hear something."""

    leg: str
    playback: str
    prompts: tuple[Prompt, ...]
    barge_in: bool = False


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End a playback."""

    playback: str


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """Let a leg hear the same over and over while it waits."""

    leg: str
    prompts: tuple[Prompt, ...]


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """It waits no longer."""

    leg: str


class Dial(msgspec.Struct, frozen=True, kw_only=True, tag="dial"):
    """Call a phone."""

    leg: str
    to: str
    caller_id: str
    ring_s: float
    on_behalf_of: str = ""


class Bridge(msgspec.Struct, frozen=True, tag="bridge"):
    """Let two legs hear each other."""

    bridge: str
    leg: str
    other: str


class Record(msgspec.Struct, frozen=True, kw_only=True, tag="record"):
    """Record a leg or a bridge."""

    recording: str
    of: str
    max_s: float = 0.0


class StopRecording(msgspec.Struct, frozen=True, tag="stop_recording"):
    """Close a recording."""

    recording: str


class HangUp(msgspec.Struct, frozen=True, tag="hang_up"):
    """End a leg."""

    leg: str
    cause: Cause = "normal"


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Ask somebody outside, or our own flows, what to do. What comes of it is ``Replied`` or ``Unanswered``."""

    ask: str
    #: ``flow``: our own.
    url: str
    dialect: str
    method: str
    form: str
    #: what is told, by our own words: call, started, digits, caller, called, session, direction.
    told: tuple[tuple[str, str], ...]
    secret: str = ""
    timeout_ms: int = 5_000
    connect_ms: int = 1_000
    tries: int = 1


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """Nobody waits for this question's answer any more."""

    ask: str


Order = (
    Answer
    | Ring
    | Reject
    | Play
    | Stop
    | Hold
    | Resume
    | Dial
    | Bridge
    | Record
    | StopRecording
    | HangUp
    | Ask
    | Forget
)
