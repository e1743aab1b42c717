"""What ``app`` hands to the API, and what one request asks."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from beckon.core.clock import Clock
from beckon.core.event import Event
from beckon.doors.api.keys import Key, Keys
from beckon.flows import check as checking
from beckon.intake.accept import Accepted
from beckon.store.database import Database
from beckon.workspaces import Library, Workspaces

Q = TypeVar("Q", covariant=True)
B = TypeVar("B", covariant=True)
T = TypeVar("T")


#: Media types of a definition's text, and of rows.
TEXT_MEDIA = ("application/yaml", "text/yaml", "text/x-yaml", "application/x-yaml", "text/plain", "application/json")
CSV_MEDIA = ("text/csv", "text/plain", "application/csv")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the line stands, as ``app`` sees it."""

    #: the journal's end, and up to where the wheel has turned.
    position: int
    turned: int
    #: commands in the outbox that are ready or under way.
    waiting: int
    #: provider → why it is left alone at the moment.
    paused: dict[str, str]
    version: str
    store: str


class ApiParts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the API needs from outside."""

    reader: Database
    #: make events durable and wait until the wheel has turned them: every write of the API goes this way.
    settle: Callable[[Sequence[Event]], Awaitable[Sequence[Accepted]]]
    workspaces: Workspaces
    keys: Keys
    clock: Clock
    #: what the flow checker may know of a workspace.
    facts: Callable[[Library], checking.Library]
    #: how the line stands for a workspace.
    health: Callable[[str], Health]
    body_size_bytes_max: int
    #: how long a write may wait for the wheel, in seconds.
    settle_s: float = 15.0


class Ask(msgspec.Struct, Generic[Q, B], frozen=True, kw_only=True):
    """One request, read and allowed: who asks, what for, with which words."""

    parts: ApiParts
    key: Key
    library: Library
    operation: str
    path: dict[str, str]
    query: Q
    body: B
    #: the Idempotency-Key; empty: none.
    once: str = ""

    @property
    def workspace(self) -> str:
        """The key's workspace: everything is looked up in it, and in no other."""
        return self.key.workspace


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; ``next`` asks for the page after it, as ``after``. No ``next``: this is the last."""

    items: list[T]
    next: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the API does: a row of the table from which its routes and its OpenAPI document are made."""

    method: str
    path: str
    #: the operation's id: ``list_contacts``.
    name: str
    tag: str
    summary: str
    #: what a key must be allowed to; empty: nothing, but it must be a key.
    scope: str
    #: None: the request goes to a door of its own (``POST /v1/events``).
    act: Callable[[Ask[Any, Any]], Awaitable[Any]] | None
    #: what is answered when all went well.
    answer: Any
    status: int = 200
    #: a second status of success, with the same answer.
    status_too: int = 0
    media: str = "application/json"
    query: type[Any] | None = None
    #: a Struct (JSON), or ``str``: a text, see ``TEXT_MEDIA``.
    body: Any = None
    #: of a body that is a text.
    body_media: tuple[str, ...] = TEXT_MEDIA
    body_optional: bool = False
    words: str = ""
    #: statuses of refusal that this operation has beside the usual.
    refusals: tuple[int, ...] = ()


#: What the names in paths look like; anything else leads nowhere.
PATH_PATTERNS = {
    "contact": r"con_[0-9a-z]{1,40}",
    "run": r"run_[0-9a-z]{1,40}",
    "delivery": r"dlv_[0-9a-z]{1,40}",
    "position": r"[1-9][0-9]{0,17}",
    "kind": r"flow|template|mapping|schema|script|settings|programme|offer|campaign",
    "name": r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}",
    "collection": r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}",
    "key": r"[A-Za-z0-9+][A-Za-z0-9 +_.@:-]{0,199}",
}
