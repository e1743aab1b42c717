"""Conversation: one for each contact; where it stands, whom it waits for, what was said last. Pure."""

from collections.abc import Sequence

import msgspec

from beckon.core.event import Event
from beckon.inbox.entries import Entry

#: What may follow what. A contact's words, results and errors reopen by themselves; a person closes.
TRANSITIONS: dict[str, frozenset[str]] = {
    "open": frozenset({"closed"}),
    "closed": frozenset({"open"}),
}

#: Kinds of entry that wait for somebody of the team to look: they count as unread, and open what was closed.
AWAITED = frozenset({"received", "results", "error", "notice"})

UNREAD_MAX = 9_999


class Conversation(msgspec.Struct, frozen=True):
    """The row of a conversation, its fields in the order of the table's columns."""

    contact: str
    workspace: str
    state: str = "open"
    #: the team whose list it stands in; empty: nobody's.
    inbox: str = ""
    #: the person who has taken it; empty: nobody.
    agent: str = ""
    unread: int = 0
    preview: str = ""
    changed_ms: int = 0

    def row(self) -> tuple[str, str, str, str, str, int, str, int]:
        """The values as ``store.tables.CONVERSATIONS`` wants them."""
        return (
            self.contact, self.workspace, self.state, self.inbox, self.agent, self.unread, self.preview,
            self.changed_ms,
        )  # fmt: skip


def begin(workspace: str, contact: str) -> Conversation:
    """The conversation of a contact with whom there was none."""
    return Conversation(contact, workspace)


def add(before: Conversation, entries: Sequence[Entry]) -> Conversation:
    """The conversation after these entries were added to it."""
    if not entries:
        return before
    state, unread, preview, changed_ms = before.state, before.unread, before.preview, before.changed_ms
    for entry in entries:
        if entry.kind in AWAITED:
            unread += 1
            state = "open"
        if entry.preview:
            preview = entry.preview
        if entry.at_ms > changed_ms:
            changed_ms = entry.at_ms
    return Conversation(
        before.contact, before.workspace, state, before.inbox, before.agent, min(unread, UNREAD_MAX), preview,
        changed_ms,
    )  # fmt: skip


def assign(before: Conversation, *, inbox: str = "", agent: str = "") -> Conversation:
    """The conversation in this inbox; ``agent`` empty: whoever of the inbox takes it first."""
    return msgspec.structs.replace(before, inbox=inbox, agent=agent)


def apply(before: Conversation, event: Event, entries: Sequence[Entry] = ()) -> Conversation:
    """The conversation after an event and the entries that it made (``entries_for``).

    An act that does not fit the state (closing what is closed) changes nothing: two people may click at once.
    """
    act = _ACTS.get(event.type)
    if act is not None and type(event.data) is dict:
        before = act(before, event.data)
    return add(before, entries)


def _moved(before: Conversation, state: str) -> Conversation:
    if state not in TRANSITIONS[before.state]:
        return before
    return msgspec.structs.replace(before, state=state)


def _assigned(before: Conversation, fields: dict[str, object]) -> Conversation:
    inbox, agent = fields.get("inbox"), fields.get("agent")
    return assign(before, inbox=inbox if type(inbox) is str else "", agent=agent if type(agent) is str else "")


def _closed(before: Conversation, _: dict[str, object]) -> Conversation:
    return msgspec.structs.replace(_moved(before, "closed"), unread=0)


def _reopened(before: Conversation, _: dict[str, object]) -> Conversation:
    return _moved(before, "open")


def _read(before: Conversation, fields: dict[str, object]) -> Conversation:
    # Only what was seen is read: a message that came while the page was on its way stays unread.
    seen = fields.get("seen")
    left = max(0, before.unread - seen) if type(seen) is int and seen > 0 else before.unread
    return before if left == before.unread else msgspec.structs.replace(before, unread=left)


def _replied(before: Conversation, _: dict[str, object]) -> Conversation:
    return before if not before.unread else msgspec.structs.replace(before, unread=0)


_ACTS = {
    "conversation.assigned": _assigned,
    "conversation.closed": _closed,
    "conversation.reopened": _reopened,
    "conversation.read": _read,
    "agent.replied": _replied,
}

#: The types of event that ``apply`` knows beside those that make entries.
ACTS = frozenset(_ACTS)
