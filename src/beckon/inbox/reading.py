"""Reading: lists and threads for those who look: the team's pages and the API. Nothing here writes.

Every list is paged by key and every question looks at a bounded number of rows: a filter looks through the newest
``LOOK_MAX``, and the page says when there was more. One page costs a fixed number of queries, however long it is.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from beckon.core.contact import Contact
from beckon.core.delivery import Delivery
from beckon.inbox.conversation import Conversation
from beckon.inbox.entries import Body, read_body
from beckon.store.changes import Row, Value

#: Rows that one filtered question looks at.
LOOK_MAX = 10_000
PAGE = 40
THREAD_PAGE = 60
RUNS_OF_CONTACT_MAX = 12
SEARCH_MAX = 80

T = TypeVar("T")

_contact = msgspec.json.Decoder(Contact)
_delivery = msgspec.json.Decoder(Delivery)


class Reader(Protocol):
    """Whatever reads rows: the store's ``Database``."""

    async def fetch(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]: ...


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list, and the key with which the next one is asked for; empty: there is none."""

    items: tuple[T, ...]
    next: str = ""


class ListedConversation(msgspec.Struct, frozen=True):
    """One line of the list: the conversation and the contact's name (or an address, or nothing)."""

    conversation: Conversation
    name: str


class ConversationFilter(msgspec.Struct, frozen=True):
    """Which conversations are asked for; empty fields ask for all."""

    state: str = ""
    inbox: str = ""
    agent: str = ""
    unread: bool = False
    #: a piece of a name, or of an address.
    search: str = ""

    @property
    def narrow(self) -> bool:
        """Whether rows are to be left out."""
        return bool(self.state or self.inbox or self.agent or self.unread or self.search)


class ShownEntry(msgspec.Struct, frozen=True):
    """An entry with its body decoded and, for a message, the delivery that carries it."""

    number: int
    at_ms: int
    kind: str
    author: str
    body: Body
    delivery: Delivery | None = None


class RunLine(msgspec.Struct, frozen=True):
    """A run in a list."""

    id: str
    flow: str
    version: str
    key: str
    contact: str
    status: str
    created_ms: int
    changed_ms: int


class Thread(msgspec.Struct, frozen=True):
    """A conversation as its page shows it. ``earlier``: the key of the page before; empty: this is the beginning."""

    contact: Contact
    conversation: Conversation
    entries: tuple[ShownEntry, ...]
    earlier: str
    runs: tuple[RunLine, ...]
    #: the names of the people who act in it, by id.
    people: dict[str, str]


async def conversations(
    reader: Reader, workspace: str, wanted: ConversationFilter, after: str = ""
) -> Page[ListedConversation]:
    """Conversations, the one that changed last first."""
    before_ms, before_id = read_key(after)
    window: list[Value] = [workspace, before_ms, before_id]
    where, values = _conditions(wanted)
    rows = await reader.fetch(
        "SELECT v.contact, v.workspace, v.state, v.inbox, v.agent, v.unread, v.preview, v.changed_ms, k.name, k.body"
        " FROM (SELECT contact, workspace, state, inbox, agent, unread, preview, changed_ms FROM conversations"
        "  WHERE workspace = ? AND (changed_ms, contact) < (?, ?)"
        "  ORDER BY changed_ms DESC, contact DESC LIMIT ?) v"
        f" LEFT JOIN contacts k ON k.id = v.contact{where}"
        " ORDER BY v.changed_ms DESC, v.contact DESC LIMIT ?",
        [*window, LOOK_MAX if wanted.narrow else PAGE + 1, *values, PAGE + 1],
    )
    items = [_listed(row) for row in rows[:PAGE]]
    if wanted.search and not after:
        items = _without_twins([*await _at_address(reader, workspace, wanted), *items])
    if len(rows) > PAGE:
        last = rows[PAGE - 1]
        return Page(tuple(items), write_key(_int(last[7]), str(last[0])))
    return Page(
        tuple(items), await beyond(reader, "conversations", ("changed_ms", "contact"), window) if wanted.narrow else ""
    )


async def beyond(reader: Reader, table: str, order: tuple[str, str], window: Sequence[Value]) -> str:
    """The key after the last row that a filter looked at, where there are more. ``window``: workspace and key."""
    at, id = order
    last = await reader.fetch(
        f"SELECT {at}, {id} FROM {table} WHERE workspace = ? AND ({at}, {id}) < (?, ?)"
        f" ORDER BY {at} DESC, {id} DESC LIMIT 1 OFFSET ?",
        [*window, LOOK_MAX - 1],
    )
    return write_key(_int(last[0][0]), str(last[0][1])) if last else ""


def _conditions(wanted: ConversationFilter) -> tuple[str, list[Value]]:
    said: list[str] = []
    values: list[Value] = []
    for column, value in (("state", wanted.state), ("inbox", wanted.inbox), ("agent", wanted.agent)):
        if value:
            said.append(f"v.{column} = ?")
            values.append(value)
    if wanted.unread:
        said.append("v.unread > 0")
    if wanted.search:
        text = wanted.search.strip()[:SEARCH_MAX]
        either = ["lower(k.name) LIKE ? ESCAPE '!'", "k.name LIKE ? ESCAPE '!'", "k.name LIKE ? ESCAPE '!'"]
        values += [piece(text.lower()), piece(text), piece(text.title())]
        digits = _digits(text)
        if digits or "@" in text:
            # The contact's body holds its addresses; four digits or an @ hardly match anything else in it.
            either.append("lower(k.body) LIKE ? ESCAPE '!'")
            values.append(piece(digits or text.lower()))
        said.append("(" + " OR ".join(either) + ")")
    return (" WHERE " + " AND ".join(said) if said else ""), values


async def _at_address(reader: Reader, workspace: str, wanted: ConversationFilter) -> list[ListedConversation]:
    """Conversations of contacts at exactly this address, however old: by the addresses' key."""
    text = wanted.search.strip()[:SEARCH_MAX]
    digits = _digits(text)
    ids = dict.fromkeys([text, text.lower(), *([digits, "+" + digits] if digits else [])])
    if not (digits or "@" in text):
        return []
    rows = await reader.fetch(
        "SELECT DISTINCT contact FROM addresses WHERE workspace = ? AND channel IN"
        " ('sms', 'whatsapp', 'email', 'oem_app')"
        f" AND external_id IN ({marks(len(ids))}) LIMIT 20",
        [workspace, *ids],
    )
    if not rows:
        return []
    found = await reader.fetch(
        "SELECT v.contact, v.workspace, v.state, v.inbox, v.agent, v.unread, v.preview, v.changed_ms, k.name, k.body"
        " FROM conversations v LEFT JOIN contacts k ON k.id = v.contact"
        f" WHERE v.contact IN ({marks(len(rows))}) AND v.workspace = ?",
        [*[str(row[0]) for row in rows], workspace],
    )
    listed = [_listed(row) for row in found]
    return [one for one in listed if not wanted.state or one.conversation.state == wanted.state]


async def thread(reader: Reader, workspace: str, contact: str, before: str = "") -> Thread | None:
    """The conversation with this contact, its newest entries (or those before ``before``); None: unknown here."""
    known = await reader.fetch("SELECT body FROM contacts WHERE id = ? AND workspace = ?", (contact, workspace))
    if not known:
        return None
    number = int(before) if whole(before) else 2**62
    rows = await reader.fetch(
        "SELECT number, at_ms, kind, author, delivery, body FROM entries"
        " WHERE contact = ? AND workspace = ? AND number < ? ORDER BY number DESC LIMIT ?",
        (contact, workspace, number, THREAD_PAGE + 1),
    )
    shown = rows[:THREAD_PAGE][::-1]
    carried = await deliveries_by_id(reader, workspace, {str(row[4]) for row in shown if row[4]})
    entries = tuple(
        ShownEntry(
            _int(row[0]),
            _int(row[1]),
            str(row[2]),
            str(row[3]),
            read_body(str(row[2]), str(row[5])),
            carried.get(str(row[4])),
        )
        for row in shown
    )
    state = await reader.fetch(
        "SELECT contact, workspace, state, inbox, agent, unread, preview, changed_ms FROM conversations"
        " WHERE contact = ? AND workspace = ?",
        (contact, workspace),
    )
    conversation = _conversation(state[0]) if state else Conversation(contact, workspace)
    authors = {entry.author.removeprefix("agent:") for entry in entries if entry.author.startswith("agent:")}
    return Thread(
        _contact.decode(str(known[0][0])),
        conversation,
        entries,
        str(shown[0][0]) if len(rows) > THREAD_PAGE else "",
        await runs_of(reader, workspace, contact),
        await names_of(reader, workspace, authors | ({conversation.agent} - {""})),
    )


async def runs_of(reader: Reader, workspace: str, contact: str) -> tuple[RunLine, ...]:
    """The contact's newest runs."""
    rows = await reader.fetch(
        "SELECT id, flow, version, key, contact, status, created_ms, changed_ms FROM runs"
        " WHERE contact = ? AND workspace = ? ORDER BY created_ms DESC LIMIT ?",
        (contact, workspace, RUNS_OF_CONTACT_MAX),
    )
    return tuple(map(run_line, rows))


async def deliveries_by_id(reader: Reader, workspace: str, ids: Iterable[str]) -> dict[str, Delivery]:
    """These deliveries, by id."""
    wanted = list(ids)
    if not wanted:
        return {}
    rows = await reader.fetch(
        f"SELECT id, body FROM deliveries WHERE workspace = ? AND id IN ({marks(len(wanted))})",
        [workspace, *wanted],
    )
    return {str(row[0]): _delivery.decode(str(row[1])) for row in rows}


async def names_of(reader: Reader, workspace: str, people: Iterable[str]) -> dict[str, str]:
    """The names of these people of the team, by id."""
    wanted = list(people)
    if not wanted:
        return {}
    rows = await reader.fetch(
        f"SELECT id, name FROM people WHERE workspace = ? AND id IN ({marks(len(wanted))})",
        [workspace, *wanted],
    )
    return {str(row[0]): str(row[1]) for row in rows}


async def contact_names(reader: Reader, workspace: str, ids: Iterable[str]) -> dict[str, str]:
    """The names of these contacts, by id."""
    wanted = [one for one in dict.fromkeys(ids) if one]
    if not wanted:
        return {}
    rows = await reader.fetch(
        f"SELECT id, name, body FROM contacts WHERE workspace = ? AND id IN ({marks(len(wanted))})",
        [workspace, *wanted],
    )
    return {str(row[0]): _name(row[1], row[2]) for row in rows}


async def inboxes(reader: Reader, workspace: str) -> tuple[str, ...]:
    """The inboxes that conversations stand in, by name."""
    rows = await reader.fetch(
        "SELECT DISTINCT inbox FROM (SELECT inbox FROM conversations WHERE workspace = ?"
        " ORDER BY changed_ms DESC LIMIT ?) v ORDER BY inbox LIMIT 50",
        (workspace, LOOK_MAX),
    )
    return tuple(str(row[0]) for row in rows if row[0])


def run_line(row: Row) -> RunLine:
    """A run's columns without its body."""
    return RunLine(
        str(row[0]), str(row[1]), str(row[2]), str(row[3]), str(row[4]), str(row[5]), _int(row[6]), _int(row[7])
    )


def write_key(at_ms: int, id: str) -> str:
    """A page's key."""
    return f"{at_ms}.{id}"


def read_key(key: str) -> tuple[int, str]:
    """A page's key, read; one that makes no sense asks for the first page."""
    at, _, id = key[:120].partition(".")
    if not (whole(at) and id):
        return 2**62, ""
    return int(at), id


def whole(text: str) -> bool:
    """Whether the text is a whole number that a 64-bit column can hold."""
    return text.isascii() and text.isdigit() and len(text) < 19


def _listed(row: Row) -> ListedConversation:
    return ListedConversation(_conversation(row), _name(row[8], row[9]))


def _name(name: Value, body: Value) -> str:
    if name:
        return str(name)
    try:
        addresses = _contact.decode(str(body or "")).addresses
    except msgspec.MsgspecError:
        return ""
    return addresses[0].external_id if addresses else ""


def _conversation(row: Row) -> Conversation:
    return Conversation(
        str(row[0]), str(row[1]), str(row[2]), str(row[3]), str(row[4]), _int(row[5]), str(row[6]), _int(row[7])
    )


def _without_twins(items: list[ListedConversation]) -> list[ListedConversation]:
    return list({one.conversation.contact: one for one in items}.values())


def _digits(text: str) -> str:
    """The digits of what looks like (a piece of) a telephone number, without trunk and international prefixes."""
    digits = "".join(filter(str.isdigit, text))
    if len(digits) < 4 or any(letter.isalpha() for letter in text):
        return ""
    return digits.lstrip("0")


def escaped(text: str) -> str:
    """A text that stands for itself in ``LIKE … ESCAPE '!'``."""
    for sign in "!%_":
        text = text.replace(sign, "!" + sign)
    return text


def piece(text: str) -> str:
    """The pattern of what holds this text, for ``LIKE … ESCAPE '!'``."""
    return f"%{escaped(text)}%"


def marks(count: int) -> str:
    """As many placeholders."""
    return ", ".join(["?"] * count)


def _int(value: Value) -> int:
    return int(value or 0)
