"""Conversations: the list, the thread, and what a person does in it. Every act is an event handed in."""

from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup
from starlette.responses import Response

from beckon.core.contact import Address, Consent, Contact
from beckon.core.delivery import Delivery
from beckon.core.errors import BeckonError, Refused
from beckon.core.event import Event
from beckon.doors.console import reading, words
from beckon.doors.console.gate import Flash, Visit, gather, to
from beckon.inbox import acts
from beckon.inbox.cards import Laid, lay_out, readable
from beckon.inbox.conversation import UNREAD_MAX
from beckon.inbox.entries import Body, Results
from beckon.inbox.reading import (
    ConversationFilter,
    ListedConversation,
    Page,
    ShownEntry,
    Thread,
    conversations,
    inboxes,
    thread,
    whole,
)
from beckon.messaging.contacts import EXTERNAL
from beckon.web.filters import moment, zone
from beckon.web.locales import ENDONYMS
from beckon.web.problems import status_of

STATES = ("open", "closed")


class Bubble(msgspec.Struct, frozen=True):
    """An entry ready to be shown."""

    entry: ShownEntry
    body: Body
    #: who said it, for people.
    author: str
    #: in, out, team, system.
    side: str
    #: the day begins with it: a line above says which.
    new_day: bool
    state: words.State | None = None
    #: over which channel it goes or came.
    channel: str = ""
    card: Laid | None = None
    delivery: Delivery | None = None


class ChannelLine(msgspec.Struct, frozen=True):
    """One channel of the contact in its order: its addresses, and whether it may be used."""

    channel: str
    addresses: tuple[Address, ...]


class Box(msgspec.Struct, frozen=True):
    """A journey's own box beside the thread."""

    title: str
    inside: Markup


async def show_list(visit: Visit) -> Response:
    """The list, beside an empty thread."""
    wanted = _wanted(visit)
    listed, boxes = await gather(_listed(visit, wanted), _inboxes(visit))
    return await visit.show(
        "conversations.html",
        title="Conversations",
        topics=("conversations",),
        listed=listed,
        wanted=wanted,
        inboxes=boxes,
        more=_more(wanted, listed),
        query=_query(wanted),
        chosen="",
        thread=None,
    )


async def show_thread(visit: Visit) -> Response:
    """The thread with one contact, the list beside it."""
    return await _thread_page(visit)


async def reply(visit: Visit) -> Response:
    """An agent answers."""
    return await _act(visit, acts.replied, "Your reply is on its way.")


async def note(visit: Visit) -> Response:
    """An agent writes an internal note."""
    return await _act(visit, acts.noted, "The note is kept.")


async def assign(visit: Visit) -> Response:
    """The conversation goes to an inbox or a person."""
    contact = await _contact_of(visit)
    inbox, agent = (await visit.field("inbox")).strip(), (await visit.field("agent")).strip()
    people = dict(await reading.agents(visit.reader, visit.workspace))
    if agent and agent not in people:
        raise Refused("agent.unknown", "Nobody of that name works here.", field="agent")
    known = await _inboxes(visit)
    if inbox and inbox not in known:
        raise Refused("inbox.unknown", f"There is no inbox {inbox[:60]!r}.", field="inbox")
    actor = await visit.actor()
    await visit.say(acts.assigned(actor, contact, inbox=inbox, agent=agent, agent_name=people.get(agent, "")))
    return _back(visit, contact)


async def close(visit: Visit) -> Response:
    """Nothing more is to be done here."""
    contact = await _contact_of(visit)
    await visit.say(acts.closed(await visit.actor(), contact))
    return _back(visit, contact)


async def reopen(visit: Visit) -> Response:
    """It is to be worked on again."""
    contact = await _contact_of(visit)
    await visit.say(acts.reopened(await visit.actor(), contact))
    return _back(visit, contact)


async def forget(visit: Visit) -> Response:
    """An owner has the contact forgotten; the form says the word."""
    contact = await _contact_of(visit)
    if visit.session.person.role != "owner":
        raise Refused("contact.forbidden", "Only an owner may have a contact forgotten.")
    if (await visit.field("sure")).strip().lower() != "forget":
        raise Refused("contact.unsure", "Type “forget” to say that you mean it: it does not come back.", field="sure")
    await visit.say(acts.forget_asked(await visit.actor(), contact))
    return _back(visit, contact)


async def read(visit: Visit) -> Response:
    """The page was seen: what it showed as unread no longer is."""
    contact = await _contact_of(visit)
    seen = await visit.field("seen")
    if whole(seen) and 0 < int(seen) <= UNREAD_MAX:
        await visit.say(acts.read(await visit.actor(), contact, int(seen)))
    return Response(status_code=204)


async def _act(visit: Visit, make: Callable[[acts.Actor, str, str], Event], done: str) -> Response:
    contact = await _contact_of(visit)
    text = await visit.field("text")
    mode = "note" if visit.request.url.path.endswith("/note") else "reply"
    try:
        await visit.say(make(await visit.actor(), contact, text))
    except BeckonError as error:
        return await _composer(visit, contact, mode, text, Flash("bad", error.why), status_of(error))
    if visit.by_htmx:
        return await _composer(visit, contact, mode, "", Flash("good", done), 200)
    return _back(visit, contact)


async def _composer(visit: Visit, contact: str, mode: str, text: str, flash: Flash, status: int) -> Response:
    if not visit.by_htmx:
        return await _thread_page(visit, draft=text, mode=mode, flash=flash, status=status)
    found = await thread(visit.reader, visit.workspace, contact)
    if found is None:
        return await visit.missing("conversation")
    return await visit.show(
        "composer.html", http_status=status, title="", thread=found, draft=text, mode=mode, flash=flash
    )


async def _thread_page(
    visit: Visit, *, draft: str = "", mode: str = "reply", flash: Flash | None = None, status: int = 200
) -> Response:
    contact = visit.path("contact")
    wanted = _wanted(visit)
    found, listed, boxes, people = await gather(
        thread(visit.reader, visit.workspace, contact, visit.query("before", 20)),
        _listed(visit, wanted),
        _inboxes(visit),
        reading.agents(visit.reader, visit.workspace),
    )
    if found is None:
        return await visit.missing("conversation")
    if found.contact.forgotten_ms:
        return await _forgotten(visit, contact)
    return await visit.show(
        "conversations.html",
        http_status=status,
        title=found.contact.name or "Conversation",
        topics=("conversations", f"conversation:{contact}"),
        listed=listed,
        wanted=wanted,
        inboxes=boxes,
        agents=people,
        more=_more(wanted, listed),
        query=_query(wanted),
        chosen=contact,
        thread=found,
        bubbles=bubbles(visit, found),
        bubble_of=visit.parts.bubbles,
        channels=channel_lines(found.contact, tuple(visit.library.channel_order)),
        consents=_consents(found.contact),
        endonyms=ENDONYMS,
        panels=await _panels(visit, contact),
        draft=draft,
        mode=mode,
        flash=flash,
        earlier_page=bool(visit.query("before")),
    )


async def _forgotten(visit: Visit, contact: str) -> Response:
    rows = await visit.reader.fetch("SELECT asked_ms, done_ms FROM forgettings WHERE contact = ?", (contact,))
    asked_ms, done_ms = rows[0] if rows else (0, 0)
    return await visit.show(
        "forgotten.html",
        http_status=410,
        title="A forgotten contact",
        topics=(f"conversation:{contact}",),
        contact=contact,
        asked_ms=asked_ms,
        done_ms=done_ms,
    )


def bubbles(visit: Visit, found: Thread) -> tuple[Bubble, ...]:
    """The thread's entries ready to be shown."""
    out: list[Bubble] = []
    day = None
    for entry in found.entries:
        that_day = moment(entry.at_ms, visit.library.time_zone).date()
        delivery = entry.delivery
        out.append(
            Bubble(
                entry=entry,
                body=entry.body,
                author=_author(entry.author, found),
                side=_SIDES.get(entry.kind, "system"),
                new_day=that_day != day,
                state=words.delivery_state(delivery) if delivery else None,
                channel=_channel(entry),
                card=lay_out(entry.body.fields, visit.parts.cards, zone(visit.library.time_zone))
                if isinstance(entry.body, Results)
                else None,
                delivery=delivery,
            )
        )
        day = that_day
    return tuple(out)


_SIDES = {"message": "out", "received": "in", "note": "team", "results": "card", "error": "error"}


def channel_lines(contact: Contact, order: tuple[str, ...]) -> tuple[ChannelLine, ...]:
    """The contact's channels in the order in which they are tried, those without an address too."""
    reached = [one.channel for one in contact.addresses if one.channel != EXTERNAL]
    ranked = dict.fromkeys((*(contact.channel_order or order), *reached))
    return tuple(ChannelLine(channel, _at(contact, channel)) for channel in ranked)


def _at(contact: Contact, channel: str) -> tuple[Address, ...]:
    """The contact's addresses on a channel; a phone that takes text messages can be called as well."""
    own = tuple(one for one in contact.addresses if one.channel == channel)
    found = contact.address(channel)
    return own or ((found,) if found is not None else ())


def _consents(contact: Contact) -> tuple[Consent, ...]:
    return tuple(sorted(contact.consents, key=lambda one: -one.at_ms))[:20]


def _channel(entry: ShownEntry) -> str:
    if entry.delivery is not None and entry.delivery.choice is not None:
        return entry.delivery.choice.channel
    return str(getattr(entry.body, "channel", ""))


def _author(author: str, found: Thread) -> str:
    kind, _, rest = author.partition(":")
    if kind == "agent":
        return found.people.get(rest, "A former colleague")
    if kind == "flow":
        return rest
    return found.contact.name or "The contact" if kind == "contact" else "Beckon"


async def _listed(visit: Visit, wanted: ConversationFilter) -> Page[ListedConversation]:
    return await conversations(visit.reader, visit.workspace, wanted, visit.query("after", 120))


async def _inboxes(visit: Visit) -> dict[str, str]:
    """Every inbox with its title; one that only conversations still name goes by its name."""
    used = await inboxes(visit.reader, visit.workspace)
    named = visit.library.inboxes
    titles = named if isinstance(named, Mapping) else dict.fromkeys(named, "")
    return {name: titles.get(name) or readable(name) for name in dict.fromkeys((*titles, *used))}


async def _panels(visit: Visit, contact: str) -> tuple[Box, ...]:
    out = []
    for panel in visit.parts.panels:
        inside = await panel.show(visit.reader, visit.workspace, contact)
        if inside is not None:
            out.append(Box(panel.title, inside))
    return tuple(out)


async def _contact_of(visit: Visit) -> str:
    contact = visit.path("contact")
    known = await visit.reader.fetch(
        "SELECT 1 FROM contacts WHERE id = ? AND workspace = ?", (contact, visit.workspace)
    )
    if not known:
        raise Refused("conversation.unknown", "There is no such conversation here.")
    gone = await visit.reader.fetch("SELECT 1 FROM forgettings WHERE contact = ?", (contact,))
    if gone:
        raise Refused("contact.gone", "This contact was forgotten.")
    return contact


def _wanted(visit: Visit) -> ConversationFilter:
    state = visit.query("state", 20)
    agent = visit.query("agent", 80)
    return ConversationFilter(
        state=state if state in STATES else "" if state == "all" else "open",
        inbox=visit.query("inbox", 120),
        agent=visit.session.person.id if agent == "me" else agent,
        unread=visit.query("unread", 3) == "1",
        search=visit.query("search", 80),
    )


def _query(wanted: ConversationFilter) -> str:
    """The filter as a query string, to be kept from page to page; empty for the plain list."""
    said = {
        "state": "" if wanted.state == "open" else wanted.state or "all",
        "inbox": wanted.inbox,
        "agent": wanted.agent,
        "unread": "1" if wanted.unread else "",
        "search": wanted.search,
    }
    return urlencode({name: value for name, value in said.items() if value})


def _more(wanted: ConversationFilter, listed: Page[ListedConversation]) -> str:
    if not listed.next:
        return ""
    query = _query(wanted)
    return f"/console/conversations?{query}{'&' if query else ''}{urlencode({'after': listed.next})}"


def _back(visit: Visit, contact: str) -> Response:
    return to(visit.request, f"/console/conversations/{contact}")
