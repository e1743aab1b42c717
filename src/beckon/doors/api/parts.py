"""What ``app`` hands to the API, and what one request asks."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from beckon.core.clock import Clock
from beckon.core.event import Event
from beckon.doors.api.keys import Key, Keys
from beckon.flows import check as checking
from beckon.intake.accept import Accepted
from beckon.store.database import Database
from beckon.web.operations import CSV_MEDIA as CSV_MEDIA
from beckon.web.operations import PATH_PATTERNS as PATH_PATTERNS
from beckon.web.operations import TEXT_MEDIA as TEXT_MEDIA
from beckon.web.operations import Operation as Operation
from beckon.web.operations import Page as Page
from beckon.workspaces import Library, Workspaces

Q = TypeVar("Q", covariant=True)
B = TypeVar("B", covariant=True)


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
    def label(self) -> str:
        """The key's label: who asks."""
        return self.key.label

    @property
    def workspace(self) -> str:
        """The key's workspace: everything is looked up in it, and in no other."""
        return self.key.workspace
