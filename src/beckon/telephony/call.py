"""Call: one call under way, a frozen value: its legs, where it stands in its script, each decision so far. Pure.

``advance`` makes the next value from this one; nothing changes in place, so a call can be looked at, compared and
replayed. ``record_of`` is what stays when it is over.
"""

from typing import Any

import msgspec

from beckon.core.errors import Refused
from beckon.telephony.instructions import Instruction
from beckon.telephony.script import Connecting
from beckon.telephony.switch import Prompt

#: What may follow what.
TRANSITIONS: dict[str, frozenset[str]] = {
    "offered": frozenset({"up", "ending", "over"}),
    "up": frozenset({"ending", "over"}),
    "ending": frozenset({"over"}),
    "over": frozenset(),
}

#: How a call may have come out.
OUTCOMES = ("connected", "voicemail", "finished", "abandoned", "unreached", "failed")

#: Decisions that a call keeps: the first half and the latest half.
DECISIONS_MAX = 200


class Leg(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One phone's half of the call."""

    id: str
    #: ``caller`` or ``callee``.
    role: str
    number: str
    #: offered, ringing, up, ended.
    state: str
    began_ms: int
    answered_ms: int = 0
    ended_ms: int = 0
    #: what its phone saw of whoever called.
    shown: str = ""
    cause: str = ""
    by: str = ""


class Recording(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something recorded: the ``call``, a ``conversation``, or a ``voicemail`` for a box."""

    id: str
    what: str
    began_ms: int
    box: str = ""
    open: bool = True
    path: str = ""
    seconds: float = 0.0
    why: str = ""


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that the call did: the step, when, what, why, and the branch that was taken."""

    step: str
    at_ms: int
    what: str
    why: str = ""
    branch: str = ""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a call begins. It is not kept on the record."""

    #: id, name, locale, segments …
    contact: dict[str, Any] = {}
    #: ``last`` and ``personal`` → number.
    managers: dict[str, str] = {}
    #: what flows have found out.
    results: dict[str, Any] = {}
    #: the workspace's free values, such as the reception's number.
    settings: dict[str, Any] = {}
    #: access codes: a secret's name → its value.
    codes: dict[str, str] = {}
    time_zone: str = "UTC"
    #: where recorded prompts lie, without a slash at its end; empty: the switch knows.
    prompts: str = ""


# Stages: what a call is in the middle of. ``until_ms``: when it goes on by itself; 0: never.


class Answering(msgspec.Struct, frozen=True, kw_only=True, tag="answering"):
    """The caller's phone was told that we answer."""

    until_ms: int


class Speaking(msgspec.Struct, frozen=True, kw_only=True, tag="speaking"):
    """Something is heard, and then the call goes on."""

    playback: str
    until_ms: int
    barge_in: bool = False
    #: hang up afterwards.
    last: bool = False


class Typing(msgspec.Struct, frozen=True, kw_only=True, tag="typing"):
    """Keys are awaited."""

    until: str
    keys_max: int
    between_ms: int
    within_ms: int
    keys: str = ""
    tried: int = 1
    #: the prompt that is still heard; a key ends it where barge_in is wanted.
    playback: str = ""
    barge_in: bool = True
    until_ms: int = 0
    #: when it is over whatever is typed; 0: the prompt is still heard.
    over_ms: int = 0
    #: the fewest keys.
    keys_min: int = 1


class Asking(msgspec.Struct, frozen=True, kw_only=True, tag="asking"):
    """An answer is awaited."""

    ask: str
    until_ms: int
    #: when it is given up.
    over_ms: int
    playback: str = ""


class Dialling(msgspec.Struct, frozen=True, kw_only=True, tag="dialling"):
    """Phones ring, one after the other or at once; the first that answers hears the hint."""

    left: tuple[str, ...]
    out: tuple[str, ...]
    until_ms: int
    connecting: Connecting
    hint: tuple[Prompt, ...] = ()
    caller_id: str = ""
    #: the leg that answered.
    won: str = ""
    playback: str = ""
    #: why the last one was not reached.
    cause: str = ""


class Talking(msgspec.Struct, frozen=True, kw_only=True, tag="talking"):
    """Two people hear each other."""

    leg: str
    since_ms: int
    until_ms: int
    recording: str = ""


class Taping(msgspec.Struct, frozen=True, kw_only=True, tag="taping"):
    """The caller leaves a message; before that, hears what to do."""

    until_ms: int
    playback: str = ""
    recording: str = ""


class Ending(msgspec.Struct, frozen=True, kw_only=True, tag="ending"):
    """Everything is being let go."""

    until_ms: int


Stage = Answering | Speaking | Typing | Asking | Dialling | Talking | Taping | Ending


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call under way."""

    id: str
    workspace: str
    script: str
    version: str
    #: ``in`` or ``out``.
    direction: str = "in"
    caller: str
    called: str
    #: the switch's own id.
    session: str = ""
    started_ms: int
    status: str = "offered"
    #: the leg of the person whom the script speaks with.
    leg: str
    legs: tuple[Leg, ...] = ()
    pointer: str = ""
    stage: Stage | None = None
    #: the last reply is being carried out; ``queue``: what is left of it.
    following: bool = False
    queue: tuple[Instruction, ...] = ()
    transitions: int = 0
    #: ids made so far.
    made: int = 0
    #: keys by the name under which they are kept.
    kept: dict[str, str] = {}
    #: what was typed last.
    digits: str = ""
    #: keys that came before anybody asked.
    ahead: str = ""
    #: the last reply: code, phones, and what else it said.
    reply: dict[str, Any] = {}
    about: About = About()
    locale: str = "en"
    decisions: tuple[Decision, ...] = ()
    recordings: tuple[Recording, ...] = ()
    ends_ms: int = 0
    talked_ms: int = 0
    outcome: str = ""
    why: str = ""

    @property
    def deadline_ms(self) -> int:
        """When the call goes on by itself; 0: it is over."""
        if self.status == "over" or self.stage is None:
            return 0
        if isinstance(self.stage, Ending):
            return self.stage.until_ms
        return min(self.stage.until_ms or self.ends_ms, self.ends_ms)

    def leg_of(self, leg: str) -> Leg | None:
        """One of its legs."""
        return next((known for known in self.legs if known.id == leg), None)

    @property
    def is_up(self) -> bool:
        """Whether the caller can hear us."""
        leg = self.leg_of(self.leg)
        return leg is not None and leg.state == "up"


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stays of a call: who, when, how long, how it came out, each decision and its reason, the recordings."""

    id: str
    workspace: str
    script: str
    version: str
    direction: str
    caller: str
    called: str
    session: str = ""
    started_ms: int
    answered_ms: int = 0
    ended_ms: int
    outcome: str
    why: str = ""
    contact: str = ""
    legs: tuple[Leg, ...] = ()
    digits: dict[str, str] = {}
    talked_ms: int = 0
    transitions: int = 0
    decisions: tuple[Decision, ...] = ()
    recordings: tuple[Recording, ...] = ()


def become(call: Call, status: str) -> Call:
    """The call in another state, if ``TRANSITIONS`` allows it."""
    if status not in TRANSITIONS[call.status]:
        raise Refused("call.state", f"A call that is {call.status} can't become {status}.")
    return msgspec.structs.replace(call, status=status)


def record_of(call: Call, now_ms: int) -> CallRecord:
    """What stays of a call that is over."""
    leg = call.leg_of(call.leg)
    return CallRecord(
        id=call.id,
        workspace=call.workspace,
        script=call.script,
        version=call.version,
        direction=call.direction,
        caller=call.caller,
        called=call.called,
        session=call.session,
        started_ms=call.started_ms,
        answered_ms=leg.answered_ms if leg is not None else 0,
        ended_ms=leg.ended_ms if leg is not None and leg.ended_ms else now_ms,
        outcome=call.outcome or "failed",
        why=call.why,
        contact=str(call.about.contact.get("id") or ""),
        legs=call.legs,
        digits=call.kept,
        talked_ms=call.talked_ms,
        transitions=call.transitions,
        decisions=call.decisions,
        recordings=call.recordings,
    )
