"""Run: one flow under way for one key. What a row in the table ``runs`` holds, small because a million may sleep."""

from typing import Any

import msgspec

from beckon.core.errors import Refused

#: What may follow what. ``running`` is a run that has begun and takes its next step at once; only ``waiting`` outlives
#: a transaction. The picture in the docs and a property test come from this table.
TRANSITIONS: dict[str, frozenset[str]] = {
    "running": frozenset({"waiting", "done", "stopped", "failed"}),
    "waiting": frozenset({"running", "waiting", "done", "stopped", "failed"}),
    "done": frozenset(),
    "stopped": frozenset(),
    "failed": frozenset(),
}

#: States in which a run takes no further step.
FINAL = frozenset({"done", "stopped", "failed"})

#: How many entries a run's history keeps: the first half and the latest half.
HISTORY_MAX = 200

#: How many consumed journal positions a run remembers, so that an event answers one wait only: as many as a flow may
#: take steps.
CONSUMED_MAX = 5_000


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened in a run: the step, when, what, and the reason where there was a choice."""

    #: the step's path in its flow: ``steps.1.on_timeout.0``.
    step: str
    at_ms: int
    what: str
    why: str = ""
    #: the branch that was taken: ``then``, ``else``, ``choose.1.then``, ``on_timeout``, ``do``; ``next``: straight on.
    branch: str = ""


class Awaited(msgspec.Struct, frozen=True, omit_defaults=True):
    """One kind of event that a wait takes: its type, the names that are compared, and the key of their values."""

    type: str
    names: tuple[str, ...]
    key: str


class Wait(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run waits for: events (by key), a command's outcome, an instant, or the first of these."""

    #: the step's path.
    step: str
    #: the events that end it; none: only the deadline does.
    keys: tuple[Awaited, ...] = ()
    #: when it ends by itself; 0: never.
    deadline_ms: int = 0
    #: the name under which what arrives is kept.
    save: str = ""
    #: the id of the command whose outcome ends it.
    command: str = ""
    #: events accepted before this instant don't count (a reply can't come before its question).
    since_ms: int = 0


class Loop(msgspec.Struct, frozen=True, omit_defaults=True):
    """A ``for_each`` under way: its step's path, the items as they stood when it began, and the one in hand."""

    step: str
    items: tuple[Any, ...]
    index: int = 0


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a run failed: a stable code, one sentence, the step."""

    code: str
    why: str
    step: str = ""


class Run(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One flow under way for one key. ``advance`` changes it in place."""

    #: ``derived("run", workspace, flow, key)``: the same key finds the same run.
    id: str
    workspace: str
    flow: str
    #: the flow's version, pinned when the run began.
    version: str
    key: str
    #: the contact's id; empty: the flow is about nobody.
    contact: str = ""
    status: str = "running"
    #: the journal position of the event that began it.
    position: int = 0
    created_ms: int = 0
    changed_ms: int = 0
    #: how many events led here through ``emit``.
    depth: int = 0
    #: one of a great many that big work began, and nobody has acted since: its messages let others go first.
    big: bool = False
    #: the event, saved results and values that were set, by name.
    variables: dict[str, Any] = {}
    #: the path of the step where it stands: the next to take, or the one that waits; empty: past the last.
    pointer: str = ""
    #: the ``for_each`` steps it stands in, outermost first.
    loops: tuple[Loop, ...] = ()
    steps_taken: int = 0
    history: tuple[Taken, ...] = ()
    waiting: tuple[Wait, ...] = ()
    error: Failure | None = None
    #: the reason that ``stop`` gave.
    ended: str = ""
    #: when it last said something to the contact.
    spoke_ms: int = 0
    #: journal positions that have answered one of its waits.
    consumed: tuple[int, ...] = ()
    #: the position of the event to which it has given an answer last.
    answered: int = 0

    def become(self, status: str, now_ms: int) -> None:
        """Go to another state, if ``TRANSITIONS`` allows it."""
        if status not in TRANSITIONS[self.status]:
            raise Refused("run.state", f"A run that is {self.status} can't become {status}.")
        self.status = status
        self.changed_ms = now_ms


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Run)


def encode_run(run: Run) -> bytes:
    """Write a run as the JSON that its row keeps."""
    return _encoder.encode(run)


def decode_run(body: bytes | str) -> Run:
    """Read a run from its row's JSON."""
    return _decoder.decode(body)
