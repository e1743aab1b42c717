"""What ``app`` hands to the console: the few things it needs, and nothing it could reach further with."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from beckon.core.blocks import ANY_ROOM
from beckon.core.clock import Clock
from beckon.core.event import Event
from beckon.core.message import Rendered
from beckon.flows.run import Failure, Taken
from beckon.inbox.cards import Card
from beckon.inbox.panels import Panel
from beckon.inbox.reading import Reader
from beckon.web.live import Hub
from beckon.web.sessions import Sessions


class FlowProblem(msgspec.Struct, frozen=True):
    """What ``beckon flow check`` says about a flow."""

    #: error, warning
    level: str
    code: str
    why: str
    #: the step's path, or a line of the file.
    where: str = ""


class TemplatePreview(msgspec.Struct, frozen=True):
    """A template as one channel says it in one locale; ``why`` where the channel can't say it."""

    channel: str
    locale: str
    rendered: Rendered | None
    why: str = ""


class Template(msgspec.Struct, frozen=True):
    """What the list of templates shows of one."""

    name: str
    purpose: str
    locales: tuple[str, ...]
    variables: tuple[str, ...]
    #: the first words, in the workspace's language.
    words: str = ""
    #: what its file says of its approval, which counts until a provider says something; empty: it needs none.
    approval: str = ""


class Library(Protocol):
    """The definitions of one workspace, read and checked."""

    @property
    def name(self) -> str:
        """The workspace's name for people."""
        ...

    @property
    def time_zone(self) -> str: ...

    @property
    def inboxes(self) -> Mapping[str, str] | Sequence[str]:
        """The team inboxes that the settings name, each with its title where there is one."""
        ...

    @property
    def channel_order(self) -> Sequence[str]: ...

    def drawing(
        self,
        flow: str,
        version: str,
        taken: Sequence[Taken] = (),
        current: str = "",
        *,
        ended: bool = False,
        failed: Failure | None = None,
        room: float = ANY_ROOM,
    ) -> str | None:
        """The flow's diagram as SVG, as wide as ``room``, the path taken, the current step and the one that failed
        marked; None: no such version."""
        ...

    def problems(self, flow: str) -> Sequence[FlowProblem]:
        """What is wrong with the current version of a flow."""
        ...

    def starts_on(self, flow: str) -> Sequence[str]:
        """The types of event that start the flow."""
        ...

    def templates(self) -> Sequence[Template]: ...

    def previews(self, template: str, locale: str) -> Sequence[TemplatePreview]:
        """The template with example values, for each channel of the workspace."""
        ...


class ConsoleParts(msgspec.Struct, frozen=True):
    """Everything the console needs from outside."""

    reader: Reader
    #: make an event durable: every write of every page goes this way.
    accept: Callable[[Event], Awaitable[object]]
    sessions: Sessions
    hub: Hub
    clock: Clock
    library: Callable[[str], Library]
    cards: tuple[Card, ...] = ()
    panels: tuple[Panel, ...] = ()
    #: how entries of the journeys' own kinds look: kind → template
    bubbles: Mapping[str, str] = {}
    #: (path, icon, word) of the journeys' own pages
    rail: tuple[tuple[str, str, str], ...] = ()
    #: words for the doors of a demo, shown on the sign-in page.
    hints: Mapping[str, str] = {}
