"""Switch: what every PBX looks like from inside: commands on ids of our choosing, and events that may overtake replies.

A *leg* is one phone's half of a call. The switch names a leg that comes in (``LegOffered``); everything else is named
by whoever commands, **before** the command: a dialled leg, a playback, a bridge, a recording. So an event finds its
owner even where it arrives before the command has returned, which is usual.

A command returns when the switch has taken it, not when it is done: what became of it comes as an event. It raises one
of the four kinds of ``core.errors``: ``Refused`` with ``call.leg_gone`` where the leg has ended meanwhile (always
possible, never a fault), ``Unsupported`` where ``capabilities`` say no, ``Unavailable`` where the switch is out of
reach or full, ``Misconfigured`` where the operator must act.

Events are handed to one listener, in the order in which they happened on each leg, on the event loop, and the listener
returns at once. Every leg that was offered or dialled gets exactly one ``LegEnded``, every playback one
``PlaybackEnded``, every recording one ``RecordingEnded``, also when the switch dies (then before ``SwitchDown``).
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from beckon.core.clock import Clock
from beckon.core.exchange import Reply, WebhookRequest

#: The longest id that a command may choose: letters, digits, ``_``, ``-``, ``.``.
ID_CHARS_MAX = 64
#: Prompts in one playback.
PROMPTS_MAX = 16
#: Characters of one spoken text.
SAY_CHARS_MAX = 2_000
#: Keys in one ``send_digits``.
DIGITS_MAX = 64
#: What a phone's keys are called.
KEYS = "0123456789*#ABCD"

#: How a key reached us.
KeyBy = Literal["rfc4733", "info", "inband"]

#: Why a leg ended, whoever speaks: SIP, ISUP and the vendors' own words are read into these.
Cause = Literal[
    "normal",  # somebody hung up
    "busy",
    "declined",
    "no_answer",  # it rang for as long as it may
    "cancelled",  # it was given up before it was answered
    "not_found",  # there is no such number
    "unreachable",  # nobody registered, no route, the phone is off
    "not_allowed",  # a limit of the dial plan, a missing right, a wrong password
    "no_codec",  # nothing that both sides can hear
    "silence",  # no audio for too long
    "too_long",  # the longest duration of a call
    "congestion",  # the switch or the network is full
    "failed",  # anything else; `why` says it
    "switch_down",
]

#: Who ended it: the phone at the other end of this leg, us by command, or the switch by a limit or a fault.
By = Literal["phone", "command", "switch"]

#: Why a playback ended: heard to its end, a key interrupted it, ``stop`` did, the leg ended, it couldn't be made.
PlaybackEnd = Literal["done", "key", "stopped", "leg_ended", "failed"]

#: What ``capabilities.prompts`` may name.
PromptKind = Literal["say", "file", "tone", "silence"]


class Capabilities(msgspec.Struct, kw_only=True, frozen=True):
    """What a switch can do, as data, so that a script can be checked before it runs."""

    #: prompts that it plays
    prompts: frozenset[PromptKind] = frozenset({"say", "file"})
    #: BCP 47 languages that it speaks; empty: unknown, whatever its voices can
    locales: tuple[str, ...] = ()
    #: how keys reach it
    keys: frozenset[KeyBy] = frozenset({"rfc4733"})
    #: a key stops a playback within the switch; without it the script must ``stop``
    barge_in: bool = True
    #: ``stop`` works on a playback
    stop: bool = True
    #: audio before the answer
    early_media: bool = False
    #: a ringback tone for a leg that waits in a bridge
    ringback: bool = False
    #: ``unbridge`` leaves both legs alive for other commands
    unbridge: bool = True
    #: ``hold`` and ``resume``
    hold: bool = False
    #: recordings: none, mono, stereo (first leg left, second right)
    recording: Literal["none", "mono", "stereo"] = "mono"
    #: a single leg can be recorded (voicemail)
    record_leg: bool = True
    send_digits: bool = False
    #: the caller id that a dialled phone sees can be chosen
    caller_id: bool = True
    #: it answers with instructions only when it asks (TwiML, verbs): several commands become one document
    by_document: bool = False


# Prompts.


class Say(msgspec.Struct, frozen=True, tag="say"):
    """Words to speak."""

    text: str
    #: BCP 47
    locale: str = "en"
    #: the speaker's own name for a voice; empty: its usual one for the locale
    voice: str = ""


class File(msgspec.Struct, frozen=True, tag="file"):
    """A recorded prompt: a WAV file's path, or an http(s) URL for a switch elsewhere."""

    path: str


class Tone(msgspec.Struct, frozen=True, tag="tone"):
    """One or two sines."""

    hertz: tuple[float, ...]
    duration_ms: int


class Silence(msgspec.Struct, frozen=True, tag="silence"):
    """A pause."""

    duration_ms: int


Prompt = Say | File | Tone | Silence


# Events.


class LegOffered(msgspec.Struct, frozen=True, kw_only=True, tag="leg_offered"):
    """A phone or trunk calls us. Nothing is answered yet: ``ring``, ``answer`` or ``reject``."""

    leg: str
    at_ms: int
    #: the caller's number as it came; empty: withheld
    caller: str
    #: the number that was called
    called: str
    #: where it came in: a trunk's name, ``phone:USER`` for a registered phone, the vendor's own word
    source: str = ""
    #: the switch's own id of the call (SIP Call-ID, CallSid), for the operator's logs
    call_id: str = ""


class LegRinging(msgspec.Struct, frozen=True, kw_only=True, tag="leg_ringing"):
    """A dialled phone rings; ``early_media``: its end sends audio already."""

    leg: str
    at_ms: int
    early_media: bool = False


class LegAnswered(msgspec.Struct, frozen=True, kw_only=True, tag="leg_answered"):
    """A dialled phone was picked up; or an offered leg is answered, once its phone has agreed."""

    leg: str
    at_ms: int


class LegHeld(msgspec.Struct, frozen=True, kw_only=True, tag="leg_held"):
    """The person at the phone put us on hold (``held``), or came back."""

    leg: str
    at_ms: int
    held: bool


class LegEnded(msgspec.Struct, frozen=True, kw_only=True, tag="leg_ended"):
    """The leg is over; its id means nothing from here on."""

    leg: str
    at_ms: int
    cause: Cause
    by: By
    #: the final SIP status, or the vendor's number; 0: none
    status: int = 0
    #: one sentence for the operator
    why: str = ""


class KeyPressed(msgspec.Struct, frozen=True, kw_only=True, tag="key_pressed"):
    """A key went down; told once, on its first packet."""

    leg: str
    at_ms: int
    key: str
    by: KeyBy


class PlaybackEnded(msgspec.Struct, frozen=True, kw_only=True, tag="playback_ended"):
    """Nothing of this playback is heard any more."""

    playback: str
    leg: str
    at_ms: int
    end: PlaybackEnd
    #: how much of it was played, in milliseconds
    played_ms: int = 0
    #: for ``failed``: one sentence
    why: str = ""


class RecordingEnded(msgspec.Struct, frozen=True, kw_only=True, tag="recording_ended"):
    """The recording is closed and can be played."""

    recording: str
    at_ms: int
    #: where it lies: a path on this machine, or the vendor's URL; empty: nothing was recorded
    path: str
    seconds: float
    #: for one that failed or was cut short: one sentence
    why: str = ""


class SwitchDown(msgspec.Struct, frozen=True, kw_only=True, tag="switch_down"):
    """The switch, or a part that calls need, is gone; all its legs have ended. ``SwitchUp`` follows when it is back."""

    at_ms: int
    why: str


class SwitchUp(msgspec.Struct, frozen=True, kw_only=True, tag="switch_up"):
    """The switch takes calls (again)."""

    at_ms: int


SwitchEvent = (
    LegOffered
    | LegRinging
    | LegAnswered
    | LegHeld
    | LegEnded
    | KeyPressed
    | PlaybackEnded
    | RecordingEnded
    | SwitchDown
    | SwitchUp
)

Listener = Callable[[SwitchEvent], None]


class Switch(Protocol):
    """One switch, ready to be commanded."""

    #: the folder's name: sip, asterisk, freeswitch …
    name: str
    capabilities: Capabilities

    async def start(self) -> None:
        """Begin to take calls. Raises ``Misconfigured`` where it can't (a port in use, a wrong password)."""
        ...

    async def close(self) -> None:
        """End every leg with a proper goodbye, close every recording, leave nothing running."""
        ...

    async def ring(self, leg: str, *, early_media: bool = False) -> None:
        """Tell an offered leg's phone that it rings; with ``early_media`` playbacks are heard before the answer."""
        ...

    async def answer(self, leg: str) -> None:
        """Answer an offered leg."""
        ...

    async def reject(self, leg: str, status: int = 603) -> None:
        """Refuse an offered leg with a SIP status (486 busy, 404 not found, 603 declined)."""
        ...

    async def play(self, leg: str, playback: str, prompts: tuple[Prompt, ...], *, barge_in: bool = False) -> None:
        """Play prompts one after the other; a second playback on a leg waits for the first. With ``barge_in`` a key
        ends it at once (``PlaybackEnded`` with ``key``, after the ``KeyPressed``), and what waits behind it too."""
        ...

    async def stop(self, playback: str) -> None:
        """End a playback; one that has ended already is no error."""
        ...

    async def dial(
        self,
        leg: str,
        to: str,
        *,
        caller_id: str = "",
        caller_name: str = "",
        ring_s: float = 30.0,
        via: str = "",
        on_behalf_of: str = "",
    ) -> None:
        """Call a phone. ``to``: a number in E.164, or a registered phone's user. ``caller_id`` is all that the phone
        sees of whoever calls. ``via``: a trunk by name, where several could carry it. ``on_behalf_of``: the leg for
        which it is dialled, for the switch's accounts and limits; it is not shown."""
        ...

    async def bridge(self, bridge: str, leg: str, other: str, *, ringback: bool = False) -> None:
        """Let two legs hear each other, as soon as both are answered; until then, with ``ringback``, the answered one
        hears a ringing tone (or the other's early media). Playbacks of both end. When one leg ends the bridge ends,
        and the other leg stays."""
        ...

    async def unbridge(self, bridge: str) -> None:
        """Part two legs; both stay. A bridge that has ended already is no error."""
        ...

    async def hold(self, leg: str, prompts: tuple[Prompt, ...] = ()) -> None:
        """Keep a leg waiting: it hears the prompts over and over (or silence), and nobody hears it."""
        ...

    async def resume(self, leg: str) -> None:
        """End ``hold``; its bridge, if it still has one, connects again."""
        ...

    async def record(self, recording: str, of: str, *, stereo: bool = True, max_s: float = 0.0) -> None:
        """Record a bridge or a leg (``of``: its id) until ``stop_recording``, its end, or ``max_s`` (0: the switch's
        limit). In stereo the bridge's first leg is left and the second right; a leg's own words are left, what it
        hears is right. That the people have agreed is the script's affair."""
        ...

    async def stop_recording(self, recording: str) -> None:
        """Close a recording; one that has ended already is no error."""
        ...

    async def send_digits(self, leg: str, digits: str) -> None:
        """Press keys towards the leg's phone."""
        ...

    async def hang_up(self, leg: str, cause: Cause = "normal") -> None:
        """End a leg at whatever stage it is; one that has ended already is no error."""
        ...


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys are wanted next."""

    keys_max: int = 1
    #: the key that ends them; empty: none does
    until: str = ""
    #: how long the next one is waited for
    between_s: float = 5.0


@runtime_checkable
class Asking(Protocol):
    """What a switch ``by_document`` is besides: its vendor asks by webhooks at ``/hooks/{workspace}/{name}``."""

    async def asked(self, request: WebhookRequest) -> Reply:
        """Answer one webhook. Raises ``Refused`` when it is forged."""
        ...

    def expect(self, leg: str, keys: Keys | None) -> None:
        """Say which keys a script wants from this leg: they come at once. None: any key, each for itself."""
        ...


class SwitchOffer(msgspec.Struct, kw_only=True, frozen=True):
    """A switch's folder, as its ``__init__`` offers it under the name ``SWITCH``."""

    name: str
    #: a frozen ``msgspec.Struct``: every setting, its default, its unit
    settings: type[Any]
    #: the names of the settings that are secrets
    secrets: tuple[str, ...]
    capabilities: Capabilities
    #: make a switch with these settings; nothing runs before its ``start``
    open: Callable[[Any, Clock, Listener], Switch]
