"""Scenes: the stories that the demo's page tells. Each has a business, its customers, and its own part of the page.

A scene is a module here, a template ``page/{name}.html`` for its business, and a script ``page/{name}.js`` that tells
its story by itself; all else on the page (phone, team, flow, channels, faults, clock) is the same for all of them.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from starlette.routing import BaseRoute

from beckon.sandbox.cast import Cast
from beckon.sandbox.page.shown import App, Moment
from beckon.sandbox.people import Customer


class Somebody(Protocol):
    """A customer of the scene, by the id that the page knows."""

    @property
    def id(self) -> str: ...

    @property
    def customer(self) -> Customer: ...


#: What a visitor does for somebody of the scene: (who, what the page says) → what the page is answered.
Act = Callable[[Any, dict[str, Any]], Awaitable[dict[str, Any]]]
#: A part of the page: its template, and what it shows.
Region = tuple[str, dict[str, Any]]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What of the page differs from scene to scene."""

    #: in addresses and file names.
    name: str
    #: in the header.
    title: str
    icon: str
    #: whose messages these are, as the customer's phone shows it.
    business: str
    #: the left part of the page: its title, what stands beside it, its word in a phone's dock.
    part: tuple[str, str, str]
    #: whose phone it is, over the phone.
    phone: str = "Customer"
    #: which team looks at the conversations.
    team: str
    #: the story, for those who listen to the page.
    story: str
    #: the apps of a customer's phone.
    apps: tuple[App, ...]
    #: channels that a visitor can take away and break.
    channels: tuple[str, ...]
    flow_titles: Mapping[str, str]
    #: the clock's buttons: (words, hours), and how far its slider goes, in hours.
    drags: tuple[tuple[str, int], ...]
    slider: tuple[int, int]
    #: a style sheet of its own; empty: the page's is enough.
    style: str = ""


class Scene(Protocol):
    """One story, and who plays in it."""

    @property
    def look(self) -> Look:
        """What of the page differs."""
        ...

    @property
    def acts(self) -> Mapping[str, Act]:
        """What a visitor can do that is this scene's own, by name."""
        ...

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Pages of the scene's own, below ``/sandbox``."""
        ...

    def opened(self) -> None:
        """Somebody opens the page: another story may have moved the clock."""
        ...

    def fresh(self) -> None:
        """Begin anew, with other customers of the same names."""
        ...

    def somebody(self, id_: str) -> Somebody:
        """The customer of this id; the first one where there is none."""
        ...

    def has(self, who: Any, channel: str, on: bool) -> None:
        """The customer has a channel, or hasn't: from now on somebody new, who was never written to."""
        ...

    async def regions(self, who: Any, seen: Moment) -> dict[str, Region]:
        """The scene's own parts of the page: ``story``, ``business``, and what else it has."""
        ...


#: Makes a scene: (everybody, the workspace's time zone).
SceneMaker = Callable[[Cast, str], Scene]
