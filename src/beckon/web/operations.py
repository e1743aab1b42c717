"""Operations: what the API does, as rows of a table from which its routes and its OpenAPI document are made.

The core's stand in ``doors/api``; a journey adds its own (``journeys/journey.py``), served and described alike.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

#: Media types of a definition's text, and of rows.
TEXT_MEDIA = ("application/yaml", "text/yaml", "text/x-yaml", "application/x-yaml", "text/plain", "application/json")
CSV_MEDIA = ("text/csv", "text/plain", "application/csv")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; ``next`` asks for the page after it, as ``after``. No ``next``: this is the last."""

    items: list[T]
    next: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the API does."""

    method: str
    path: str
    #: the operation's id: ``list_contacts``.
    name: str
    tag: str
    summary: str
    #: what a key must be allowed to; empty: nothing, but it must be a key.
    scope: str
    #: what answers it: a core operation is handed an ``Ask``, a journey's what the journey's ``desk`` makes of one.
    #: None: the request goes to a door of its own (``POST /v1/events``).
    act: Callable[[Any], Awaitable[Any]] | None
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
    #: whether it takes an Idempotency-Key though it is no POST.
    once: bool = False
    #: (name, what it looks like) of path parameters that ``PATH_PATTERNS`` does not have.
    patterns: tuple[tuple[str, str], ...] = ()


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
