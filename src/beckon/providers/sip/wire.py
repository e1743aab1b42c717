"""What the switch's three processes say to each other: small values, each behind its length, over a Unix socket pair.

The server commands, the SIP process and the media process report. A socket pair ends with its processes: whoever reads
its end knows that the other one is gone, even by kill -9.
"""

from collections.abc import Iterator

import msgspec

from beckon.providers.sip.settings import SipSettings

#: One value, written out; a session description is 64 KiB at most, a list of files is shorter.
VALUE_BYTES_MAX = 262_144
_LENGTH_BYTES = 4


class Value(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Something said."""


# To the SIP process.


class Configure(Value, frozen=True):
    """What the process is to be: said first, and not on a command line, which everybody can read."""

    settings: SipSettings


class Reply(Value, frozen=True):
    """Answer an offered leg provisionally (180, 183 with ``sdp``) or finally (200 with ``sdp``, 3xx to 6xx)."""

    leg: str
    status: int
    sdp: str = ""


class Invite(Value, frozen=True):
    """Call a registered phone (``phone``) or a number by a trunk (``trunk``)."""

    leg: str
    to: str
    caller_id: str
    caller_name: str
    sdp: str
    phone: str = ""
    trunk: str = ""


class Offer(Value, frozen=True):
    """Tell an answered leg's phone of new media (re-INVITE): hold, resume."""

    leg: str
    sdp: str


class Accept(Value, frozen=True):
    """Answer the phone's own new offer (``Reoffered``): 200 with ``sdp``, or a refusal."""

    leg: str
    status: int
    sdp: str = ""


class End(Value, frozen=True):
    """End a leg: CANCEL, a final answer with ``status``, or BYE, as its stage asks."""

    leg: str
    status: int = 486
    reason: str = ""


class Forget(Value, frozen=True):
    """Say BYE in a dialog that an earlier SIP process had: all that it takes was kept by the server."""

    dialog: "DialogFacts"


class Restore(Value, frozen=True):
    """A phone that had registered with an earlier SIP process."""

    user: str
    contact: str
    host: str
    port: int
    seconds: int


class Quit(Value, frozen=True):
    """Say goodbye to every phone, and end."""


class DialogFacts(msgspec.Struct, frozen=True, array_like=True):
    """What names a dialog, so that another process can end it."""

    call_id: str
    local: str
    remote: str
    target: str
    host: str
    port: int
    routes: tuple[str, ...]
    cseq: int


# From the SIP process.


class Ready(Value, frozen=True):
    """The process listens; ``port`` is the SIP port, 0 for media."""

    port: int = 0


class Invited(Value, frozen=True):
    """A call comes in, from somebody who may call."""

    leg: str
    caller: str
    called: str
    source: str
    call_id: str
    sdp: str


class Acked(Value, frozen=True):
    """The phone has agreed to our 200; ``sdp``: its answer to a late offer."""

    leg: str
    sdp: str
    dialog: DialogFacts | None = None


class Progress(Value, frozen=True):
    """A dialled phone rings; with ``sdp`` it has early media."""

    leg: str
    status: int
    sdp: str


class Answered(Value, frozen=True):
    """A dialled phone was picked up."""

    leg: str
    sdp: str
    dialog: DialogFacts | None = None


class Reoffered(Value, frozen=True):
    """The phone changes the media of an answered leg (re-INVITE, UPDATE): ``Accept`` answers."""

    leg: str
    sdp: str


class Agreed(Value, frozen=True):
    """The phone answered our ``Offer``; ``sdp`` empty: it refused."""

    leg: str
    sdp: str


class KeyByInfo(Value, frozen=True):
    """A key, by SIP INFO."""

    leg: str
    key: str


class Ended(Value, frozen=True):
    """The leg is over. ``status``: the final SIP status of a leg that was never answered, else 0."""

    leg: str
    status: int
    by_phone: bool
    reason: str = ""


class Registered(Value, frozen=True):
    """A phone registered (``seconds`` > 0) or left."""

    user: str
    contact: str
    host: str
    port: int
    seconds: int


class TrunkState(Value, frozen=True):
    """A trunk took our registration, or refused it."""

    trunk: str
    up: bool
    why: str = ""


# To the media process.


class OpenLeg(Value, frozen=True):
    """Give a leg its ports."""

    leg: str


class SetRemote(Value, frozen=True):
    """Where the leg's phone takes audio, and how it wants it. ``key_type`` -1: it knows no telephone-event."""

    leg: str
    host: str
    port: int
    payload_type: int
    key_type: int
    #: the phone sends audio; if not, its silence means nothing
    sends: bool
    #: the phone wants audio
    hears: bool
    #: keys may come as tones inside the audio
    tones: bool


class GoLive(Value, frozen=True):
    """From here on the leg sends audio; ``answered``: it may speak in a bridge."""

    leg: str
    answered: bool


class CloseLeg(Value, frozen=True):
    """The leg is over: end its playbacks and recordings, close its sockets."""

    leg: str


class PlayFiles(Value, frozen=True):
    """Play files of G.711 µ-law one after the other."""

    leg: str
    playback: str
    files: tuple[str, ...]
    barge_in: bool = False


class StopPlaying(Value, frozen=True):
    """End a playback."""

    playback: str


class Join(Value, frozen=True):
    """Bridge two legs."""

    bridge: str
    leg: str
    other: str
    ringback: bool


class Part(Value, frozen=True):
    """End a bridge."""

    bridge: str


class HoldLeg(Value, frozen=True):
    """Keep a leg waiting with these files, over and over."""

    leg: str
    files: tuple[str, ...]


class ResumeLeg(Value, frozen=True):
    """End the waiting."""

    leg: str


class StartRecording(Value, frozen=True):
    """Record a bridge or a leg to ``path``."""

    recording: str
    of: str
    path: str
    stereo: bool
    max_s: float


class StopRecording(Value, frozen=True):
    """Close a recording."""

    recording: str


class PressKey(Value, frozen=True):
    """A key that came another way than by RTP: it interrupts and is told as any other."""

    leg: str
    key: str


class SendKeys(Value, frozen=True):
    """Press keys towards the phone."""

    leg: str
    keys: str


# From the media process.


class Opened(Value, frozen=True):
    """The leg's RTP port; 0: there is none left, ``why`` says it."""

    leg: str
    port: int
    why: str = ""


class Heard(Value, frozen=True):
    """A key; ``by`` is rfc4733, info or inband."""

    leg: str
    key: str
    by: str


class Played(Value, frozen=True):
    """A playback is over."""

    playback: str
    leg: str
    end: str
    played_ms: int
    why: str = ""


class Recorded(Value, frozen=True):
    """A recording is closed."""

    recording: str
    path: str
    seconds: float
    why: str = ""


class WentSilent(Value, frozen=True):
    """Nothing came from the phone for longer than allowed."""

    leg: str


class Closed(Value, frozen=True):
    """A leg's sockets are closed; what its audio was like."""

    leg: str
    received: int
    lost: int
    sent: int
    jitter_ms: float
    foreign: int


Command = Configure | Reply | Invite | Offer | Accept | End | Forget | Restore | Quit
Report = (
    Ready | Invited | Acked | Progress | Answered | Reoffered | Agreed | KeyByInfo | Ended | Registered | TrunkState
)
MediaCommand = (
    OpenLeg
    | SetRemote
    | GoLive
    | CloseLeg
    | PlayFiles
    | StopPlaying
    | Join
    | Part
    | HoldLeg
    | ResumeLeg
    | StartRecording
    | StopRecording
    | PressKey
    | SendKeys
    | Quit
)
MediaReport = Ready | Opened | Heard | Played | Recorded | WentSilent | Closed

_encode = msgspec.msgpack.Encoder().encode
read_command = msgspec.msgpack.Decoder(Command).decode
read_report = msgspec.msgpack.Decoder(Report).decode
read_media_command = msgspec.msgpack.Decoder(MediaCommand).decode
read_media_report = msgspec.msgpack.Decoder(MediaReport).decode


def frame(value: Value) -> bytes:
    """A value as it goes over the socket."""
    written = _encode(value)
    return len(written).to_bytes(_LENGTH_BYTES) + written


class Frames:
    """Takes pieces as they come off a socket, gives whole values' bytes."""

    def __init__(self) -> None:
        self._left = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The values that are whole now. Raises ``ValueError`` for one that is too long: the other end is broken."""
        left = self._left
        left += piece
        start = 0
        while len(left) - start >= _LENGTH_BYTES:
            length = int.from_bytes(left[start : start + _LENGTH_BYTES])
            if length > VALUE_BYTES_MAX:
                raise ValueError(f"a value of {length} bytes")
            end = start + _LENGTH_BYTES + length
            if len(left) < end:
                break
            yield bytes(left[start + _LENGTH_BYTES : end])
            start = end
        del left[:start]
