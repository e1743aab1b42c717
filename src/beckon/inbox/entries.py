"""Entries: what stands in a conversation, and how events, commands and deliveries become entries. Pure.

Every entry has a kind, and every kind a body of its own shape:

=========  ==================================================  ============================================
message    ``Message``: we said something; its delivery tells  made once, when the delivery is made
           over which channel and how far it came
received   ``Received``: the contact wrote or tapped           ``message.received``
click      ``Click``: the contact opened a link of ours        ``link.clicked``
results    ``Results``: what a system or an agent gathered     ``post: {results: …}``
note       ``Note``: for the team only                         ``note:``, ``agent.noted``
status     ``Status``: what became of the conversation         ``conversation.*``, ``assign:``, ``post: …``
notice     ``Notice``: a team was told                         ``notify:``
error      ``Error``: something the team must know of          ``message.undeliverable``, ``post: {error: …}``
call       ``Call``: a phone call that is over                 ``call.finished``
=========  ==================================================  ============================================

An agent's reply makes no entry by itself: it becomes a ``Send``, and the delivery that follows makes the
message.
"""

from typing import Any

import msgspec

from beckon.core.command import Notify, Post
from beckon.core.delivery import Delivery, PassedOver
from beckon.core.event import Event
from beckon.core.message import Button, Rendered

#: Characters of a text that an entry keeps; what is longer is cut, with an ellipsis.
TEXT_MAX = 8_192
#: Bytes of one entry's body. Results above it are kept by their first fields only.
BODY_BYTES_MAX = 65_536
#: Characters of the line that a list of conversations shows.
PREVIEW_MAX = 140
#: Fields of one results entry, pieces of media of one message.
FIELDS_MAX = 100
MEDIA_MAX = 20

#: The words of the error entry when a message could reach the contact nowhere.
NO_CHANNEL = "No suitable media channel could be determined, so this message was not sent."

#: What a list shows before a text that we sent.
SENT_MARK = "→ "


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, before the store gives it its number. ``body`` is the kind's Struct as JSON."""

    workspace: str
    contact: str
    at_ms: int
    kind: str
    #: ``contact``, ``flow:<name>``, ``agent:<id>``, ``system``.
    author: str
    #: message: the delivery whose state is shown; else empty.
    delivery: str = ""
    body: str
    #: the line that a list of conversations shows for it; empty: the line stays as it is.
    preview: str = ""


class MessageButton(msgspec.Struct, frozen=True, omit_defaults=True):
    """A button under a message of ours: its words, and where a link leads."""

    text: str
    kind: str = "link"
    url: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """What we said, in the words in which it was first rendered."""

    delivery: str
    text: str
    buttons: tuple[MessageButton, ...] = ()
    channel: str = ""
    subject: str = ""


class ReceivedMedia(msgspec.Struct, frozen=True, omit_defaults=True):
    """A picture, voice message or file that the contact sent."""

    kind: str
    url: str = ""
    id: str = ""


class Received(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the contact wrote. ``reply``: the payload of the button that was tapped."""

    channel: str
    text: str
    media: tuple[ReceivedMedia, ...] = ()
    reply: str = ""
    provider_id: str = ""


class Click(msgspec.Struct, frozen=True, omit_defaults=True):
    """A link of ours was opened."""

    url: str
    delivery: str = ""


class Results(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was gathered, field by field, as it came. ``cut``: there was more than an entry holds."""

    fields: dict[str, Any]
    cut: bool = False


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """Words for the team; the contact never sees them."""

    text: str


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the conversation, as the rest of a sentence that begins with the author."""

    text: str


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A team was told."""

    inbox: str
    text: str = ""


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something went wrong; for a message, each channel that could not carry it and why."""

    text: str
    passed_over: tuple[PassedOver, ...] = ()
    #: the words that did not reach the contact.
    message: str = ""


class CallDecision(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that a call did, and why."""

    at_ms: int
    what: str
    why: str = ""


class CallRecording(msgspec.Struct, frozen=True):
    """Something that was recorded: the call, a conversation, a voicemail."""

    id: str
    what: str
    seconds: int


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """A phone call that is over: how it came out, how long it was, what was typed, each decision and its reason."""

    call: str
    #: in, out.
    direction: str
    outcome: str
    why: str = ""
    #: from the answer to the end, and how much of it two people talked.
    seconds: int = 0
    talked_s: int = 0
    digits: str = ""
    decisions: tuple[CallDecision, ...] = ()
    recordings: tuple[CallRecording, ...] = ()


Body = Message | Received | Click | Results | Note | Status | Notice | Error | Call

BODIES: dict[str, type[Body]] = {
    "message": Message,
    "received": Received,
    "click": Click,
    "results": Results,
    "note": Note,
    "status": Status,
    "notice": Notice,
    "error": Error,
    "call": Call,
}

_encode = msgspec.json.Encoder().encode
_decoders: dict[str, msgspec.json.Decoder[Body]] = {kind: msgspec.json.Decoder(body) for kind, body in BODIES.items()}


def read_body(kind: str, body: str) -> Body:
    """The body of an entry of this kind; an ``Error`` for what another version wrote and we can't read."""
    try:
        return _decoders[kind].decode(body)
    except (KeyError, msgspec.MsgspecError):
        return Error(text=f"This entry of kind {kind!r} can't be shown by this version.")


def message_entry(
    delivery: Delivery, *, author: str, at_ms: int, rendered: Rendered | None = None, text: str = ""
) -> Entry:
    """The entry of a message of ours: one for each delivery, made with it and before any attempt.

    ``rendered`` as soon as a channel was chosen; ``text`` (or the delivery's) where none was.
    """
    if rendered is None:
        body = Message(delivery=delivery.id, text=cut(text or delivery.text))
    else:
        body = Message(
            delivery=delivery.id,
            text=cut(rendered.text),
            buttons=tuple([_button(button) for button in rendered.buttons]),
            channel=delivery.choice.channel if delivery.choice is not None else "",
            subject=rendered.subject,
        )
    return Entry(
        workspace=delivery.workspace,
        contact=delivery.contact,
        at_ms=at_ms,
        kind="message",
        author=author,
        delivery=delivery.id,
        body=_encode(body).decode(),
        preview=SENT_MARK + one_line(body.text),
    )


def entries_for(event: Event, contact: str, delivery: Delivery | None = None) -> tuple[Entry, ...]:
    """The entries that an event puts into the contact's conversation; most events put none.

    ``delivery``: the one that the event names, where it names one: its text is quoted in an error.
    """
    make = _FROM_EVENTS.get(event.type)
    if make is None or not contact:
        return ()
    fields = event.data if type(event.data) is dict else {}
    return make(event, fields, contact, delivery)


def entry_for_post(command: Post, *, contact: str, author: str, at_ms: int) -> Entry:
    """The entry of a ``post:`` or ``note:`` step. ``author``: ``flow:<name>``."""
    return _entry(command.workspace, contact, at_ms, author, _posted(command.kind, command.body))


def entry_for_notice(command: Notify, *, contact: str, author: str, at_ms: int) -> Entry:
    """The entry of a ``notify:`` step."""
    return _entry(command.workspace, contact, at_ms, author, Notice(inbox=command.inbox, text=cut(command.text)))


def entry_for_status(workspace: str, contact: str, text: str, *, author: str, at_ms: int) -> Entry:
    """An entry that says what became of the conversation: ``gave it to the inbox service-advisors``."""
    return _entry(workspace, contact, at_ms, author, Status(text=cut(text)))


def cut(text: str, most: int = TEXT_MAX) -> str:
    """The text, at most ``most`` characters long, an ellipsis last where it was longer."""
    return text if len(text) <= most else text[: most - 1] + "…"


def one_line(text: str) -> str:
    """The beginning of a text as one line, for a list."""
    head = text[: PREVIEW_MAX * 2]
    return cut(" ".join(head.split()), PREVIEW_MAX)


def assigned_words(inbox: str, agent: str) -> str:
    """How an assignment reads after its author's name."""
    if inbox and agent:
        return f"gave the conversation to {agent} in the inbox {inbox}"
    if agent:
        return f"gave the conversation to {agent}"
    return f"moved the conversation to the inbox {inbox}" if inbox else "took the conversation out of every inbox"


_KIND_OF: dict[type, str] = {body: kind for kind, body in BODIES.items()}


def _at_ms(event: Event) -> int:
    # A source's clock may run ahead; an entry never stands in the future of ours.
    return min(event.time_ms, event.accepted_ms) if event.accepted_ms else event.time_ms


def _entry(workspace: str, contact: str, at_ms: int, author: str, body: Body) -> Entry:
    text = _encode(body).decode()
    if len(text) > BODY_BYTES_MAX and type(body) is Results:
        body = Results(fields=_first_fields(body.fields), cut=True)
        text = _encode(body).decode()
    return Entry(
        workspace=workspace,
        contact=contact,
        at_ms=at_ms,
        kind=_KIND_OF[type(body)],
        author=author,
        body=text,
        preview=_preview(body),
    )


def _first_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """As many of the fields, in order, as half a body holds; one that is too long by itself is left out."""
    kept: dict[str, Any] = {}
    left = BODY_BYTES_MAX // 2
    for name, value in fields.items():
        size = len(name) + len(_encode(value))
        if size <= left:
            kept[name] = value
            left -= size
    return kept


def _preview(body: Body) -> str:
    match body:
        case Received():
            return one_line(body.text) or (f"[{body.media[0].kind}]" if body.media else body.reply)
        case Results():
            return one_line("Results: " + ", ".join(_plain(body.fields)))
        case Error():
            return one_line("Error: " + body.text)
        case Notice():
            return one_line(body.text)
        case Click():
            return "Opened the link"
        case _:
            return ""  # notes and statuses leave the last words of the conversation in place


def _plain(fields: dict[str, Any]) -> list[str]:
    said = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in list(fields.items())[:8]
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
    ]
    return said or ["received"]


def _button(button: Button) -> MessageButton:
    return MessageButton(text=button.text, kind=button.kind, url=button.value if button.kind == "link" else "")


def _word(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if type(value) is str else ""


def _by(fields: dict[str, Any]) -> str:
    by = _word(fields, "by")
    return f"agent:{by}" if by else "system"


def _posted(kind: str, body: Any) -> Body:
    if kind == "results":
        return _results(body)
    text = body if type(body) is str else _word(body, "text") if type(body) is dict else ""
    if not text and body is not None:
        text = _encode(body).decode()
    if kind == "error":
        return Error(text=cut(text))
    return Note(text=cut(text)) if kind == "note" else Status(text=cut(text))


def _results(body: Any) -> Results:
    if type(body) is not dict:
        return Results(fields={"result": cut(body) if type(body) is str else body})
    if len(body) > FIELDS_MAX:
        return Results(fields=dict(list(body.items())[:FIELDS_MAX]), cut=True)
    return Results(fields=body)


def _received(event: Event, fields: dict[str, Any], contact: str, _: Delivery | None) -> tuple[Entry, ...]:
    media = fields.get("media")
    pieces = [
        ReceivedMedia(kind=_word(piece, "kind") or "file", url=_word(piece, "url"), id=_word(piece, "id"))
        for piece in (media[:MEDIA_MAX] if type(media) is list else ())
        if type(piece) is dict
    ]
    body = Received(
        channel=_word(fields, "channel"),
        text=cut(_word(fields, "text")),
        media=tuple(pieces),
        reply=_word(fields, "reply"),
        provider_id=_word(fields, "provider_id"),
    )
    return (_entry(event.workspace, contact, _at_ms(event), "contact", body),)


def _clicked(event: Event, fields: dict[str, Any], contact: str, _: Delivery | None) -> tuple[Entry, ...]:
    body = Click(url=cut(_word(fields, "url"), 2_048), delivery=_word(fields, "delivery"))
    return (_entry(event.workspace, contact, _at_ms(event), "contact", body),)


def _undeliverable(event: Event, fields: dict[str, Any], contact: str, delivery: Delivery | None) -> tuple[Entry, ...]:
    named = fields.get("passed_over")
    passed = tuple(
        [
            PassedOver(_word(one, "channel"), _word(one, "code"), _word(one, "reason"))
            for one in (named[:MEDIA_MAX] if type(named) is list else ())
            if type(one) is dict
        ]
    )
    if not passed and delivery is not None and delivery.choice is not None:
        passed = delivery.choice.passed_over
    body = Error(text=NO_CHANNEL, passed_over=passed, message=cut(delivery.text, 512) if delivery else "")
    return (_entry(event.workspace, contact, _at_ms(event), "system", body),)


def _noted(event: Event, fields: dict[str, Any], contact: str, _: Delivery | None) -> tuple[Entry, ...]:
    return (_entry(event.workspace, contact, _at_ms(event), _by(fields), Note(text=cut(_word(fields, "text")))),)


def _assigned(event: Event, fields: dict[str, Any], contact: str, _: Delivery | None) -> tuple[Entry, ...]:
    words = assigned_words(_word(fields, "inbox"), _word(fields, "agent_name") or _word(fields, "agent"))
    return (_entry(event.workspace, contact, _at_ms(event), _by(fields), Status(text=words)),)


def _closed(event: Event, fields: dict[str, Any], contact: str, _: Delivery | None) -> tuple[Entry, ...]:
    return (_entry(event.workspace, contact, _at_ms(event), _by(fields), Status("closed the conversation")),)


def _reopened(event: Event, fields: dict[str, Any], contact: str, _: Delivery | None) -> tuple[Entry, ...]:
    return (_entry(event.workspace, contact, _at_ms(event), _by(fields), Status("reopened the conversation")),)


_FROM_EVENTS = {
    "message.received": _received,
    "link.clicked": _clicked,
    "message.undeliverable": _undeliverable,
    "agent.noted": _noted,
    "conversation.assigned": _assigned,
    "conversation.closed": _closed,
    "conversation.reopened": _reopened,
}

#: The types of event that ``entries_for`` knows: the wheel may skip all others without a call.
TYPES = frozenset(_FROM_EVENTS)
