"""Journey: what the product is for, as a folder of one shape; and how the folders are found.

A journey's package offers ``JOURNEY``. Its folder holds what a workspace starts with (``flows``, ``templates``,
``mappings``, ``schemas``, ``tests``), and beside that its pure rules, its README and, where it has them, its part in
the wheel's turns, its dialect and its pages (``part.py`` says what those are handed).
Nothing is registered by hand: packages beside this file, and packages that offer the entry point ``beckon.journeys``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec

import beckon.journeys
from beckon.core.errors import Misconfigured
from beckon.core.offered import offered
from beckon.inbox.cards import Card
from beckon.inbox.panels import Panel
from beckon.journeys.part import Asked, Beside, JourneyAct, JourneyParts, Part, Routes
from beckon.web.operations import Operation
from beckon.workspaces import DefinitionKind

GROUP = "beckon.journeys"
_JOURNEYS_MAX = 100
_SCHEMA_BYTES_MAX = 262_144


class Rail(msgspec.Struct, frozen=True):
    """A page of a journey in the console's rail: ``Rail("/console/members", "star", "Members")``."""

    path: str
    #: an icon of ``web/marks.html``.
    icon: str
    word: str


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the product is for."""

    #: the package's name.
    name: str
    #: as people read it.
    title: str
    #: where its flows, templates, mappings, schemas and tests are.
    folder: Path
    #: event type → JSON Schema of its ``data``.
    event_types: dict[str, dict[str, Any]] = {}
    #: how its results are laid out in a conversation.
    cards: tuple[Card, ...] = ()
    #: types that only Beckon says for it, by how they begin: ``("points.",)``; a door refuses them from outside.
    own_types: tuple[str, ...] = ()
    #: what a workspace defines for it beside flows and templates: campaigns, offers.
    kinds: tuple[DefinitionKind, ...] = ()
    #: makes its part in the wheel's turns; None: it has no rows of its own.
    part: Callable[[], Part] | None = None
    #: its routes: customers' pages, a vendor's dialect, pages of the console; None: it has none.
    routes: Routes | None = None
    #: what it adds to the API, described in its document and served like the core's.
    operations: tuple[Operation, ...] = ()
    #: (what its routes are handed) → (a request) → what an operation's ``act`` is handed; None: it has no operations.
    desk: Callable[[JourneyParts], Callable[[Asked], Any]] | None = None
    #: what it adds beside a conversation in the team's view; None: nothing.
    panels: Callable[[JourneyParts], Sequence[Panel]] | None = None
    #: what a flow's ``call:`` step may do with it, by name: ``loyalty.issue``.
    acts: Callable[[JourneyParts], Mapping[str, JourneyAct]] | None = None
    #: the names of those acts, for checking flows without a server.
    act_names: frozenset[str] = frozenset()
    #: what it runs beside the wheel, handed the same as its routes; None: nothing.
    beside: Callable[[JourneyParts], Sequence[Beside]] | None = None
    #: how entries of its own kinds look in a conversation: kind → a template, such as ``call_processing/bubble.html``.
    bubbles: dict[str, str] = {}
    #: event type that is a question → the names that a flow's ``answer:`` to it may hold.
    answers: dict[str, frozenset[str]] = {}
    #: its entries in the console's rail.
    rail: tuple[Rail, ...] = ()


def read_event_types(folder: Path) -> dict[str, dict[str, Any]]:
    """The schemas of a journey's event types: ``schemas/{type}.json``. Raises ``Misconfigured`` for a broken one."""
    types: dict[str, dict[str, Any]] = {}
    for file in sorted((folder / "schemas").glob("*.json")):
        if file.stat().st_size > _SCHEMA_BYTES_MAX:
            raise Misconfigured("journey.schema", f"{file} is larger than {_SCHEMA_BYTES_MAX} bytes")
        try:
            types[file.stem] = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise Misconfigured("journey.schema", f"{file} is no JSON: {error}") from error
    return types


@lru_cache(maxsize=1)
def found() -> dict[str, Journey]:
    """Every journey by its name. Raises ``Misconfigured`` naming the one that can't be used."""
    journeys: dict[str, Journey] = {}
    for name, journey in offered("journey", beckon.journeys, entry_points(group=GROUP)):
        _add(journeys, name, journey)
    return journeys


def described(journeys: Mapping[str, Journey]) -> tuple[Operation, ...]:
    """What journeys add to the API, as their tables have it: for its document."""
    return tuple(operation for journey in journeys.values() for operation in journey.operations)


def served(journeys: Mapping[str, Journey], parts: JourneyParts) -> list[Operation]:
    """The same, ready to be asked. Raises ``Misconfigured`` where a journey has operations and no desk for them."""
    ready: list[Operation] = []
    for journey in journeys.values():
        if journey.operations and journey.desk is None:
            raise Misconfigured("journey.desk", f"the journey {journey.name} has operations, but no desk")
        if journey.desk is not None:
            desk = journey.desk(parts)
            ready += [_at(desk, operation) for operation in journey.operations]
    return ready


def _at(desk: Callable[[Asked], Any], operation: Operation) -> Operation:
    view = operation.act
    assert view is not None, "an operation of a journey has an act"

    async def act(asked: Asked) -> Any:
        return await view(desk(asked))

    return msgspec.structs.replace(operation, act=act)


def _add(journeys: dict[str, Journey], name: str, journey: object) -> None:
    if not isinstance(journey, Journey):
        raise Misconfigured("journey.broken", f"the journey {name} offers no JOURNEY")
    if journey.name != name:
        raise Misconfigured("journey.name", f"the journey {name} calls itself {journey.name}")
    if name in journeys or len(journeys) >= _JOURNEYS_MAX:
        raise Misconfigured("journey.twice", f"there are two journeys named {name}, or too many")
    for known in journeys.values():
        both = known.event_types.keys() & journey.event_types.keys()
        if both:
            raise Misconfigured("journey.event_type", f"{known.name} and {name} both define {', '.join(sorted(both))}")
    journeys[name] = journey
