"""Part: what a journey does within a turn of the wheel, and what its pages and acts are handed.

A journey with rows of its own (members and points, calls) offers a ``Part``. The wheel calls it in every turn, so its
rows change in the turn's one transaction, in the journal's order: two who want the last offer come one after the other,
whatever came in at the same time. It touches memory only in ``take`` and ``fire``; what it needs it loads before, a few
queries for the whole turn. It never commits.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from beckon.core.clock import Clock
from beckon.core.contact import Contact
from beckon.core.event import Event, Json
from beckon.inbox.entries import Entry
from beckon.store.changes import Changes, Row
from beckon.store.database import Database
from beckon.telephony.switch import Listener, Switch
from beckon.web.live import Hub
from beckon.web.sessions import Session
from beckon.workspaces import Library, Workspaces


class Buried(Protocol):
    """What is left of somebody who was forgotten."""

    @property
    def subject(self) -> str: ...

    @property
    def at_ms(self) -> int: ...


class Turn(Protocol):
    """One turn of the wheel, as a journey sees it."""

    now_ms: int
    #: what the turn writes; rows are added, nothing is committed.
    changes: Changes
    database: Database
    workspaces: Workspaces
    contacts: dict[str, Contact]
    #: events that become durable with this turn, and are turned next.
    emitted: list[Event]
    #: part's name → what it has loaded for this turn.
    rooms: dict[str, Any]
    #: (workspace, topic) to tell the live pages about.
    topics: set[tuple[str, str]]
    #: how many members or rows a piece of big work may have in this turn.
    piece: int

    def contact(self, event: Event) -> Contact | None:
        """Whom an event is about; None: nobody that is known."""
        ...

    def answer(self, event: Event, value: Json) -> None:
        """What whoever asked with this event is told, once the turn is durable."""
        ...

    def mention(self, who: str, event: Event) -> None:
        """The journal speaks of somebody here (a contact's id, or one of the part's): found when they are forgotten."""
        ...

    async def erase_mentions(self, who: str, subject: str, most: int) -> int:
        """Take away what at most so many events said of somebody; how many there were. They are ``subject``'s then."""
        ...

    def scrub_later(self) -> None:
        """What this turn takes away of somebody who was forgotten already shall not linger in the store's log."""
        ...

    def bury(
        self, library: Library, subject: str, words: tuple[str, ...], refused: tuple[tuple[str, str, int], ...] = ()
    ) -> None:
        """Keep by a digest that these words meant somebody who was forgotten; ``subject``: the id that was theirs."""
        ...

    async def buried(self, digests: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Buried]:
        """What is left of those who were forgotten, by (workspace, ``Library.digest`` of the words)."""
        ...

    def post(self, entry: Entry, contact: Contact) -> None:
        """Put an entry into a contact's conversation."""
        ...

    def set_timer(self, due_ms: int, kind: str, subject: str) -> None:
        """Fire ``subject`` at ``due_ms``; ``kind`` is one of the part's."""
        ...

    def clear_timer(self, due_ms: int, kind: str, subject: str) -> None:
        """Don't fire it."""
        ...


class Part(Protocol):
    """A journey's part in a turn. One for each server; it may remember rows between turns."""

    #: the journey's name.
    name: str
    #: the event types that it acts on.
    types: frozenset[str]
    #: the kinds of its timers.
    timers: frozenset[str]
    #: those of them that are big work: one fires in a turn, with ``Turn.piece`` of it, when nobody else waits. What it
    #: says is ``big``, and where more is left it sets the timer again, due at once.
    big_timers: frozenset[str]

    async def open(self, database: Database) -> None:
        """Read what it remembers from turn to turn; called again when a commit failed."""
        ...

    async def load(self, turn: Turn, events: Sequence[Event], timers: Sequence[Row]) -> None:
        """Fetch what these events and timers (due_ms, kind, subject) touch, in a few queries, into ``turn.rooms``.

        Whom each event is about is settled by then.
        """
        ...

    def take(self, turn: Turn, library: Library, event: Event) -> None:
        """All that one event changes. What it raises passes the event over."""
        ...

    def fire(self, turn: Turn, due_ms: int, kind: str, subject: str) -> None:
        """A timer is due."""
        ...

    def write(self, turn: Turn) -> None:
        """Add the changed rows to ``turn.changes``."""
        ...

    async def erase(self, turn: Turn, library: Library, contact: Contact, most: int) -> int:
        """Take away what is personal of a contact in its own rows and files, at most so many; how many it was.

        0: nothing is left. Called once more in a later turn until it says so, after the turn's events are taken and
        before ``write``; ``contact`` has nothing but its id then. What comes late is taken as ever, and finds
        ``turn.contact(event).forgotten_ms`` set.
        """
        ...

    def remember(self, turn: Turn) -> None:
        """The turn is durable: keep its rows at hand."""
        ...

    def forget(self) -> None:
        """The turn was not written: believe the tables again."""
        ...


class Beside(Protocol):
    """Something of a journey's that runs beside the wheel: a switch and its calls."""

    async def open(self) -> None:
        """Begin, before the wheel turns; what it says by then waits for it. Raises ``Misconfigured``."""
        ...

    async def close(self, drain_s: float) -> None:
        """End what is under way and wait until it is told, so many seconds at most: the wheel still turns."""
        ...

    def wake(self) -> None:
        """The clock was dragged: look at every deadline again."""
        ...

    async def tidy(self) -> bool:
        """A round of maintenance: forget a page of what has served its time; whether there was much of it."""
        ...


class Called(msgspec.Struct, frozen=True):
    """One call of an act by a flow's ``call:`` step."""

    workspace: str
    arguments: Mapping[str, Any]
    #: the command's id: the same at each try, so that what was done already is not done twice.
    command: str


#: An act of a journey: its result is kept under the step's ``save`` name. Raises ``BeckonError`` when it fails.
JourneyAct = Callable[[Called], Awaitable[Any]]


class Visit(Protocol):
    """One request of a signed-in person, as a journey's page in the console sees it."""

    request: Request
    session: Session
    workspace: str
    reader: Database
    now_ms: int

    def query(self, name: str, most: int = 200) -> str: ...

    def path(self, name: str) -> str: ...

    async def field(self, name: str) -> str: ...

    async def say(self, event: Event) -> None: ...

    async def show(
        self, name: str, /, *, topics: tuple[str, ...] = (), http_status: int = 200, **context: Any
    ) -> Response: ...

    async def missing(self, what: str) -> Response: ...


class Asked(Protocol):
    """One request of the API to an operation of a journey's: read, allowed, and fitting its form."""

    #: the key's workspace, and the key's label: who asks.
    workspace: str
    label: str
    path: dict[str, str]
    #: of the operation's ``query`` and ``body``; None: it has none, or it was left out.
    query: Any
    body: Any
    #: the Idempotency-Key; empty: none.
    once: str


class Allowed(msgspec.Struct, frozen=True):
    """Who asks with a good key: its workspace and its label."""

    workspace: str
    label: str


class JourneyParts(msgspec.Struct, frozen=True, kw_only=True):
    """What ``app`` hands to a journey's routes, panels and acts."""

    reader: Database
    clock: Clock
    workspaces: Workspaces
    hub: Hub
    #: make events durable; the wheel turns them when it comes to it.
    accept: Callable[[Sequence[Event]], Awaitable[Sequence[Any]]]
    #: make events durable and wait until the wheel has turned them.
    settle: Callable[[Sequence[Event]], Awaitable[Sequence[Any]]]
    #: make one event durable and wait, at most so many seconds, for what its turn (or a flow's ``answer:``) answers;
    #: None: nobody answered. An event that was there before has the answer of its first time, as long as answers are
    #: kept (``BECKON_IDEMPOTENCY_DAYS``).
    ask: Callable[[Event, float], Awaitable[Json]]
    #: big work at a door waits in it for a moment in which nobody else waits: (kind) → how many rows may be asked for.
    #: What is asked in it is an event that is ``big``.
    piece: Callable[[str], AbstractAsyncContextManager[int]]
    #: (Authorization header, scope) → who asks. Raises ``Refused``.
    allow: Callable[[str, str], Awaitable[Allowed]]
    #: a page of the console for signed-in people: (view) → endpoint; what it posts carries the CSRF token.
    signed: Callable[[Callable[[Any], Awaitable[Response]]], Callable[[Request], Awaitable[Response]]]
    #: (workspace, switch's name, its settings, where it keeps its files, who listens) → a switch. Raises
    #: ``Misconfigured``.
    switch: Callable[[str, str, Mapping[str, object], Path, Listener], Switch]
    #: how the outside reaches this server, without a slash at its end.
    address: str
    #: signs links.
    link_key: bytes
    body_size_bytes_max: int


#: The routes of a journey: its pages for customers, its vendor's dialect, its pages in the console.
Routes = Callable[[JourneyParts], Sequence[BaseRoute]]
