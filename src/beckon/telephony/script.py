"""Script: what happens in a call, as data: steps compiled once and frozen, with their paths and ways out. Pure."""

from typing import ClassVar

import msgspec

from beckon.core.liquid_text import Text
from beckon.core.timers import Week

Steps = tuple["Step", ...]
#: (path below the step, its steps): ``("codes.1", …)``, ``("backup", …)``, ``("on_nothing", …)``.
Branches = tuple[tuple[str, "Steps"], ...]
#: value → what to do: the keys of a menu, the codes of an ask, the values of a branch.
Ways = tuple[tuple[str, "Steps"], ...]

#: (usual, most) for each of ``limits:``.
LIMITS = {"transitions": (60, 500), "duration": (2 * 3_600_000, 6 * 3_600_000)}

#: What an ask may tell, in our words; a dialect has its own.
TICKS = ("call", "started", "digits", "caller", "called", "session", "direction")

#: The names that a text may use; those under which keys are kept come on top.
ROOTS = frozenset({"call", "caller", "called", "direction", "digits", "reply", "contact", "result", "settings", "now"})


class Words(msgspec.Struct, frozen=True):
    """One prompt as written: a text for each locale (``""``: any), or a file."""

    texts: tuple[tuple[str, Text], ...] = ()
    file: str = ""


Prompt = tuple[Words, ...]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What all steps have."""

    kind: ClassVar[str] = ""
    #: ``steps.1.backup.0``
    path: str
    line: int = 0
    #: ``name:``: its label, and where ``jump`` leads.
    name: str = ""

    def branches(self) -> Branches:
        """The steps inside this one."""
        return ()


class Speak(Step, frozen=True, kw_only=True):
    """``say`` and ``play``: something is heard."""

    kind: ClassVar[str] = "say"
    prompt: Prompt
    times: int = 1
    barge_in: bool = False


class Typed(Step, frozen=True, kw_only=True):
    """What all steps have that take keys."""

    say: Prompt = ()
    #: instead of ``say`` from the second try on.
    again: Prompt = ()
    until: str = "#"
    between_ms: int = 5_000
    within_ms: int = 20_000
    tries: int = 3
    barge_in: bool = True


class Gather(Typed, frozen=True, kw_only=True):
    """Take keys, and keep them."""

    kind: ClassVar[str] = "gather"
    keep: str
    keys_max: int = 0
    keys_min: int = 1
    on_nothing: Steps | None = None

    def branches(self) -> Branches:
        return _given(("on_nothing", self.on_nothing))


class Menu(Typed, frozen=True, kw_only=True):
    """Go the way of the key that is pressed."""

    kind: ClassVar[str] = "menu"
    ways: Ways
    on_nothing: Steps | None = None

    def branches(self) -> Branches:
        return (*((f"menu.{key}", steps) for key, steps in self.ways), *_given(("on_nothing", self.on_nothing)))


class Authorise(Typed, frozen=True, kw_only=True):
    """Go on only with the right access code."""

    kind: ClassVar[str] = "authorise"
    #: names of the workspace's secrets, each one code.
    secrets: tuple[str, ...]
    keys_max: int = 12
    on_refused: Steps | None = None

    def branches(self) -> Branches:
        return _given(("on_refused", self.on_refused))


class Connecting(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody is connected."""

    at_once: bool = False
    #: ``called``, ``caller``, or a number.
    caller_id: Text | None = None
    ring_ms: int = 25_000
    hint: Prompt = ()
    #: the callee must press this key after the hint; empty: is connected.
    accept: str = ""
    record: bool = False
    #: how long the two may talk.
    talk_ms: int = 3_600_000


class Ask(Step, frozen=True, kw_only=True):
    """The interactive step: ask a URL, or our own flows, what to do."""

    kind: ClassVar[str] = "ask"
    #: ``flow``: our own line.
    url: Text
    dialect: str = "uis"
    method: str = "POST"
    form: str = "json"
    ticks: tuple[str, ...] = TICKS
    #: the kept keys that are told; empty: those typed last.
    digits: str = ""
    #: the name of the secret that signs the request; empty: none does.
    secret: str = ""
    timeout_ms: int = 5_000
    connect_ms: int = 1_000
    tries: int = 1
    filler: Prompt = ()
    filler_after_ms: int = 700
    codes: Ways = ()
    connecting: Connecting = Connecting()
    otherwise: Steps | None = None
    backup: Steps | None = None

    def branches(self) -> Branches:
        codes = ((f"codes.{code}", steps) for code, steps in self.codes)
        return (*codes, *_given(("otherwise", self.otherwise), ("backup", self.backup)))


class Dial(Step, frozen=True, kw_only=True):
    """Connect with one of some numbers."""

    kind: ClassVar[str] = "dial"
    numbers: tuple[Text, ...]
    connecting: Connecting = Connecting()
    on_busy: Steps | None = None
    on_no_answer: Steps | None = None
    otherwise: Steps | None = None

    def branches(self) -> Branches:
        return _given(("on_busy", self.on_busy), ("on_no_answer", self.on_no_answer), ("otherwise", self.otherwise))


class Transfer(Step, frozen=True, kw_only=True):
    """Connect with the caller's last or personal manager."""

    kind: ClassVar[str] = "transfer"
    whom: str
    connecting: Connecting = Connecting()
    otherwise: Steps | None = None

    def branches(self) -> Branches:
        return _given(("otherwise", self.otherwise))


class Record(Step, frozen=True, kw_only=True):
    """Record the call from here on (``call``), or ``stop``."""

    kind: ClassVar[str] = "record"
    what: str = "call"
    #: what people are told first.
    say: Prompt = ()
    #: the key with which the caller says no; empty: none.
    refuse: str = ""


class Voicemail(Step, frozen=True, kw_only=True):
    """Let the caller leave a message."""

    kind: ClassVar[str] = "voicemail"
    box: str
    say: Prompt = ()
    beep: bool = True
    until: str = "#"
    longest_ms: int = 120_000


class Hours(Step, frozen=True, kw_only=True):
    """Go one way in open hours, the other outside."""

    kind: ClassVar[str] = "hours"
    week: Week
    zone: str = ""
    open: Steps = ()
    closed: Steps = ()

    def branches(self) -> Branches:
        return (("open", self.open), ("closed", self.closed))


class Branch(Step, frozen=True, kw_only=True):
    """Go the way of a value: a code, a flow's result, a segment of the contact."""

    kind: ClassVar[str] = "branch"
    value: Text
    ways: Ways
    otherwise: Steps = ()

    def branches(self) -> Branches:
        return (*((f"ways.{value}", steps) for value, steps in self.ways), ("else", self.otherwise))


class Jump(Step, frozen=True, kw_only=True):
    """Go on with a named step."""

    kind: ClassVar[str] = "jump"
    to: str


class HangUp(Step, frozen=True, kw_only=True):
    """End the call."""

    kind: ClassVar[str] = "hang_up"
    reason: str = ""
    say: Prompt = ()
    #: how the caller's phone is told, where the call was not answered: normal, busy, declined.
    how: str = "normal"


class Limits(msgspec.Struct, frozen=True):
    """What one call may use."""

    transitions: int = LIMITS["transitions"][0]
    duration_ms: int = LIMITS["duration"][0]


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A script, ready to be followed."""

    name: str
    version: str
    steps: Steps
    description: str = ""
    locale: str = "en"
    time_zone: str = ""
    limits: Limits = Limits()
    #: what to do when a step can't be done, and where an ask has no backup of its own.
    backup: Steps | None = None
    by_path: dict[str, Step] = {}
    #: where a call goes after each step; empty: the end.
    after: dict[str, str] = {}
    #: ``name:`` → path.
    named: dict[str, str] = {}
    lines: dict[str, int] = {}
    names: frozenset[str] = ROOTS
    source: str = ""
    file: str = ""


def _given(*branches: tuple[str, Steps | None]) -> Branches:
    return tuple((name, steps) for name, steps in branches if steps is not None)
