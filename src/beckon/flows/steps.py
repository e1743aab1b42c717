"""Steps as a run meets them: compiled once, frozen, each knowing its path and the branches inside it."""

from typing import ClassVar

import msgspec

from beckon.core.timers import Week
from beckon.flows.conditions import Condition, Expression

Steps = tuple["Step", ...]
#: (path below the step, its steps): ``("then", …)``, ``("choose.1.then", …)``, ``("on_timeout", …)``.
Branches = tuple[tuple[str, "Steps"], ...]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What all steps have."""

    kind: ClassVar[str] = ""
    #: ``steps.1.on_timeout.0``
    path: str
    line: int = 0
    #: ``name:``, the label in the drawing.
    name: str = ""

    def branches(self) -> Branches:
        """The steps inside this one."""
        return ()


class Hours(msgspec.Struct, frozen=True):
    """When a message may go: within a week's open hours, or not before an instant."""

    open: Week | None = None
    instant: Expression | None = None
    source: str = ""


class Send(Step, frozen=True, kw_only=True):
    """Reach a contact with a template or a text."""

    kind: ClassVar[str] = "send"
    template: Expression | None = None
    text: Expression | None = None
    to: Expression | None = None
    via: tuple[str, ...] = ("best",)
    variables: tuple[tuple[str, Expression], ...] = ()
    #: ``with: "{{ … }}"``: all variables as one object.
    variables_from: Expression | None = None
    purpose: str = "transactional"
    locale: Expression | None = None
    fallback_after_ms: int = 0
    at: Hours | None = None
    on_undeliverable: Steps | None = None
    timeout_ms: int = 0

    def branches(self) -> Branches:
        return () if self.on_undeliverable is None else (("on_undeliverable", self.on_undeliverable),)


class WaitFor(Step, frozen=True, kw_only=True):
    """Wait for an event."""

    kind: ClassVar[str] = "wait_for"
    types: tuple[str, ...]
    #: (name, value) in order of name; none: the run's contact.
    match: tuple[tuple[str, Expression], ...] = ()
    #: the condition that what arrives, ``it``, must meet as well.
    where: Condition | None = None
    timeout_ms: int = 0
    #: instead of a time-out: at most until these hours are open where the contact lives.
    open: Week | None = None
    save: str = ""
    on_timeout: Steps | None = None

    def branches(self) -> Branches:
        return () if self.on_timeout is None else (("on_timeout", self.on_timeout),)


class Wait(Step, frozen=True, kw_only=True):
    """Wait for a time."""

    kind: ClassVar[str] = "wait"
    for_ms: int = 0
    until: Expression | None = None
    #: added to ``until``: negative for ``before:``.
    shift_ms: int = 0
    hours: Week | None = None
    #: a zone's name; empty: the contact's.
    zone: str = ""
    source: str = ""


class If(Step, frozen=True, kw_only=True):
    """Go one way or the other."""

    kind: ClassVar[str] = "if"
    condition: Condition
    then: Steps
    otherwise: Steps = ()

    def branches(self) -> Branches:
        return (("then", self.then), ("else", self.otherwise))


class Case(msgspec.Struct, frozen=True):
    """One way of a ``choose``."""

    when: Condition
    then: Steps
    name: str = ""


class Choose(Step, frozen=True, kw_only=True):
    """Go the first way whose condition holds."""

    kind: ClassVar[str] = "choose"
    cases: tuple[Case, ...]
    otherwise: Steps = ()

    def branches(self) -> Branches:
        cases = [(f"choose.{number}.then", case.then) for number, case in enumerate(self.cases)]
        return (*cases, ("else", self.otherwise))


class ForEach(Step, frozen=True, kw_only=True):
    """Do the same for each item, at most ``items_max`` times."""

    kind: ClassVar[str] = "for_each"
    items: Expression
    item_name: str = "item"
    items_max: int = 0
    do: Steps

    def branches(self) -> Branches:
        return (("do", self.do),)


class Note(Step, frozen=True, kw_only=True):
    """Leave an internal note."""

    kind: ClassVar[str] = "note"
    text: Expression


class Post(Step, frozen=True, kw_only=True):
    """Put something into the conversation."""

    kind: ClassVar[str] = "post"
    entry: str
    body: Expression


class Notify(Step, frozen=True, kw_only=True):
    """Tell a team."""

    kind: ClassVar[str] = "notify"
    inbox: Expression
    text: Expression | None = None


class Assign(Step, frozen=True, kw_only=True):
    """Give the conversation to a team or an agent."""

    kind: ClassVar[str] = "assign"
    inbox: Expression | None = None
    agent: Expression | None = None


class Call(Step, frozen=True, kw_only=True):
    """Do a named act."""

    kind: ClassVar[str] = "call"
    act: str
    arguments: tuple[tuple[str, Expression], ...] = ()
    arguments_from: Expression | None = None
    save: str = ""
    timeout_ms: int = 0
    awaited: bool = True
    on_error: Steps | None = None

    def branches(self) -> Branches:
        return () if self.on_error is None else (("on_error", self.on_error),)


class Http(Step, frozen=True, kw_only=True):
    """Call a URL."""

    kind: ClassVar[str] = "http"
    method: str = "GET"
    url: Expression
    headers: tuple[tuple[str, Expression], ...] = ()
    body: Expression | None = None
    secret: str = ""
    timeout_ms: int = 0
    attempts_max: int = 5
    save: str = ""
    awaited: bool = True
    on_error: Steps | None = None

    def branches(self) -> Branches:
        return () if self.on_error is None else (("on_error", self.on_error),)


class Emit(Step, frozen=True, kw_only=True):
    """Say an event."""

    kind: ClassVar[str] = "emit"
    event_type: str
    body: Expression | None = None


class Answer(Step, frozen=True, kw_only=True):
    """Answer whoever asked with the event that the run is at."""

    kind: ClassVar[str] = "answer"
    body: Expression


class Find(Step, frozen=True, kw_only=True):
    """Look a record up by its key."""

    kind: ClassVar[str] = "find"
    collection: str
    key: Expression
    save: str
    on_missing: Steps | None = None

    def branches(self) -> Branches:
        return () if self.on_missing is None else (("on_missing", self.on_missing),)


class Set(Step, frozen=True, kw_only=True):
    """Keep values under names."""

    kind: ClassVar[str] = "set"
    values: tuple[tuple[str, Expression], ...]


class Stop(Step, frozen=True, kw_only=True):
    """End the run here."""

    kind: ClassVar[str] = "stop"
    reason: Expression | None = None
