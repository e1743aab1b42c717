"""``/v1/conversations``: the one conversation with each contact, and what the team does in it."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from beckon.core.clock import iso
from beckon.core.errors import Refused
from beckon.doors.api import lists
from beckon.doors.api.acts import delivery_of, known_contact, known_delivery, say
from beckon.doors.api.messages import Via, known_channels
from beckon.doors.api.paging import Limit, Name, NumberKey, PageKey
from beckon.doors.api.parts import Ask, Operation, Page
from beckon.doors.api.shapes import ConversationShown, DeliveryShown, EntryShown, show_conversation, show_delivery
from beckon.inbox.acts import NOTE_MAX, REPLY_MAX


class ConversationsQuery(msgspec.Struct, frozen=True):
    """Which conversations; without anything, all."""

    state: Literal["", "open", "closed"] = ""
    inbox: Name = ""
    #: the id of a person of the team.
    agent: Name = ""
    #: only those that wait for somebody to look.
    unread: bool = False
    after: PageKey = ""
    limit: Limit = 50


class EntriesQuery(msgspec.Struct, frozen=True):
    """Which entries: the newest, or those before the number ``after``."""

    after: NumberKey = 0
    limit: Limit = 50


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the team answers the contact."""

    text: Annotated[str, Meta(min_length=1, max_length=REPLY_MAX, pattern=r"\S")]
    via: Via = ("best",)
    #: the id of the person of the team who answers; empty: the API key.
    agent: Name = ""


class NoteGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Words for the team; the contact never sees them."""

    text: Annotated[str, Meta(min_length=1, max_length=NOTE_MAX, pattern=r"\S")]


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """To whom the conversation goes; both empty: to nobody."""

    inbox: Name = ""
    #: the id of a person of the team.
    agent: Name = ""


async def list_conversations(ask: Ask[ConversationsQuery, None]) -> Page[ConversationShown]:
    """Conversations, the one that changed last first."""
    query, reader = ask.query, ask.parts.reader
    wanted = {"state": query.state, "inbox": query.inbox, "agent": query.agent}
    page = await lists.conversations(
        reader,
        ask.workspace,
        equal={column: value for column, value in wanted.items() if value},
        unread=query.unread,
        after=query.after,
        limit=query.limit,
    )
    names = await lists.names(reader, ask.workspace, [talk.contact for talk in page.items])
    return Page([show_conversation(talk, names.get(talk.contact, "")) for talk in page.items], page.next)


async def read_conversation(ask: Ask[object, object]) -> ConversationShown:
    """The conversation with a contact."""
    contact = await known_contact(ask)
    return show_conversation(await lists.conversation(ask.parts.reader, ask.workspace, contact.id), contact.name)


async def list_entries(ask: Ask[EntriesQuery, None]) -> Page[EntryShown]:
    """What stands in a conversation, the newest first."""
    contact = await known_contact(ask)
    limit = ask.query.limit
    rows = await lists.entries(ask.parts.reader, ask.workspace, contact.id, after=ask.query.after, limit=limit)
    items = [
        EntryShown(
            number=int(row[0] or 0),
            at=iso(int(row[1] or 0)),
            kind=str(row[2]),  # type: ignore[arg-type]
            author=str(row[3]),
            delivery=str(row[4]) or None,
            body=msgspec.Raw(str(row[5]).encode()),
        )
        for row in rows[:limit]
    ]
    return Page(items, str(items[-1].number) if len(rows) > limit else None)


async def reply(ask: Ask[None, Reply]) -> DeliveryShown:
    """Answer the contact, on the best channel or the given ones."""
    contact = await known_contact(ask)
    fields: dict[str, object] = {"contact": contact.id, "text": ask.body.text.strip()}
    via = known_channels(ask, ask.body.via)
    if via != ["best"]:
        fields["via"] = via
    if ask.body.agent:
        await _known_person(ask, ask.body.agent)
        fields["agent"] = ask.body.agent
    event = await say(ask, "agent.replied", contact.id, fields)
    return show_delivery(await known_delivery(ask, delivery_of(event)))


async def note(ask: Ask[None, NoteGiven]) -> ConversationShown:
    """Write an internal note."""
    contact = await known_contact(ask)
    await say(ask, "agent.noted", contact.id, {"contact": contact.id, "text": ask.body.text.strip()})
    return await read_conversation(ask)


async def assign(ask: Ask[None, Assignment]) -> ConversationShown:
    """Give the conversation to an inbox, a person, or nobody."""
    contact = await known_contact(ask)
    inbox, agent = ask.body.inbox, ask.body.agent
    if inbox and inbox not in ask.library.settings.inboxes:
        raise Refused("inbox.name", f"there is no inbox named {inbox[:80]!r}", field="inbox")
    fields: dict[str, object] = {"contact": contact.id, "inbox": inbox, "agent": agent}
    if agent:
        fields["agent_name"] = await _known_person(ask, agent)
    await say(ask, "conversation.assigned", contact.id, fields)
    return await read_conversation(ask)


async def close(ask: Ask[None, None]) -> ConversationShown:
    """Nothing more is to be done here until the contact writes again."""
    contact = await known_contact(ask)
    await say(ask, "conversation.closed", contact.id, {"contact": contact.id})
    return await read_conversation(ask)


async def reopen(ask: Ask[None, None]) -> ConversationShown:
    """It is to be worked on again."""
    contact = await known_contact(ask)
    await say(ask, "conversation.reopened", contact.id, {"contact": contact.id})
    return await read_conversation(ask)


async def _known_person(ask: Ask[None, Reply] | Ask[None, Assignment], id: str) -> str:
    name = await lists.has_person(ask.parts.reader, ask.workspace, id)
    if name is None:
        raise Refused("agent.id", "there is nobody of that id in the team", field="agent")
    return name


_ONE = "/v1/conversations/{contact}"

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/conversations",
        name="list_conversations",
        tag="Conversations",
        summary="List conversations, the one that changed last first",
        scope="read",
        act=list_conversations,
        query=ConversationsQuery,
        answer=Page[ConversationShown],
    ),
    Operation(
        method="GET",
        path=_ONE,
        name="read_conversation",
        tag="Conversations",
        summary="The one conversation with a contact",
        scope="read",
        act=read_conversation,
        answer=ConversationShown,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/entries",
        name="list_entries",
        tag="Conversations",
        summary="What stands in a conversation, the newest first",
        scope="read",
        act=list_entries,
        query=EntriesQuery,
        answer=Page[EntryShown],
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/messages",
        name="reply",
        tag="Conversations",
        summary="Answer a contact with a free text",
        words="Taken, not yet sent: the delivery says what becomes of it.",
        scope="write",
        act=reply,
        body=Reply,
        answer=DeliveryShown,
        status=202,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/notes",
        name="note",
        tag="Conversations",
        summary="Write an internal note",
        scope="write",
        act=note,
        body=NoteGiven,
        answer=ConversationShown,
        status=201,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/assign",
        name="assign",
        tag="Conversations",
        summary="Give a conversation to an inbox, a person, or nobody",
        scope="write",
        act=assign,
        body=Assignment,
        answer=ConversationShown,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/close",
        name="close",
        tag="Conversations",
        summary="Close a conversation until the contact writes again",
        scope="write",
        act=close,
        answer=ConversationShown,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/reopen",
        name="reopen",
        tag="Conversations",
        summary="Open a conversation again",
        scope="write",
        act=reopen,
        answer=ConversationShown,
    ),
)
