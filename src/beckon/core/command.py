"""Command: something to be done. The only way out. Its outcome is again an event."""

from typing import Any

import msgspec


class Command(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="do"):
    """What all commands carry. ``id`` is derived from the run and its step count: the same step asks once."""

    id: str
    workspace: str
    contact: str = ""
    run: str = ""
    #: the step's path in its flow, for the drawing: ``steps.1.on_timeout.0``.
    step: str = ""
    #: one of a great many, which a campaign or an import led to: others leave first.
    big: bool = False


class Send(Command, tag="send", frozen=True, kw_only=True):
    """Reach a contact with a template or a text."""

    template: str = ""
    text: str = ""
    #: an unresolved contact: an id, or an object with name, phone, email … ; None: the run's contact.
    to: Any = None
    #: ``best``, one channel's name, or several in order.
    via: tuple[str, ...] = ("best",)
    variables: dict[str, Any] = {}
    purpose: str = "transactional"
    locale: str = ""
    #: not delivered (or read) by then → next channel.
    fallback_after_ms: int = 0
    #: quiet hours and other delays: not before this instant.
    not_before_ms: int = 0
    #: the run waits for this command's outcome.
    awaited: bool = False


class Post(Command, tag="post", frozen=True, kw_only=True):
    """Put an entry into the contact's conversation. ``kind``: note, results, status, error."""

    kind: str
    body: Any


class Notify(Command, tag="notify", frozen=True, kw_only=True):
    """Tell a team: marks the conversation for its inbox."""

    inbox: str
    text: str = ""


class Assign(Command, tag="assign", frozen=True, kw_only=True):
    """Give the conversation to a team or an agent."""

    inbox: str = ""
    agent: str = ""


class Call(Command, tag="call", frozen=True, kw_only=True):
    """Do a named act: a Python step of the workspace or an act of a journey (``cases.file``)."""

    act: str
    arguments: dict[str, Any] = {}


class Http(Command, tag="http", frozen=True, kw_only=True):
    """Call a URL. ``secret`` names a secret of the workspace, put in the Authorization header."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: Any = None
    secret: str = ""
    timeout_ms: int = 10_000
    attempts_max: int = 5


class Emit(Command, tag="emit", frozen=True, kw_only=True):
    """Say an event of our own."""

    type: str
    data: Any = None


class Answer(Command, tag="answer", frozen=True, kw_only=True):
    """Tell whoever asked with an event."""

    #: the event's position in the journal.
    position: int
    body: Any = None


class Find(Command, tag="find", frozen=True, kw_only=True):
    """Look a record up, within the turn."""

    collection: str
    key: str


AnyCommand = Send | Post | Notify | Assign | Call | Http | Emit | Answer | Find
