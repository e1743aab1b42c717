"""Where a conversation stands after what was said and done in it."""

from beckon.core.event import Event
from beckon.inbox import acts
from beckon.inbox.conversation import TRANSITIONS, UNREAD_MAX, Conversation, add, apply, assign, begin
from beckon.inbox.entries import Entry
from beckon.store.tables import CONVERSATIONS


def entry(kind: str, preview: str = "", at_ms: int = 10) -> Entry:
    return Entry(workspace="w", contact="c", at_ms=at_ms, kind=kind, author="x", body="{}", preview=preview)


def act(type: str, **fields: object) -> Event:
    return Event(workspace="w", source="s", id="1", type=type, time_ms=1, data={"contact": "c", **fields})


def test_a_row_has_the_tables_columns() -> None:
    assert Conversation.__struct_fields__ == CONVERSATIONS.columns
    talk = Conversation("c", "w", "closed", "parts", "per_1", 3, "Hi", 99)
    assert Conversation(*talk.row()) == talk


def test_what_waits_for_somebody_counts_as_unread() -> None:
    talk = add(begin("w", "c"), [entry("received", "Hi"), entry("message", "→ Hello"), entry("results", "Results: 1")])
    assert (talk.unread, talk.preview) == (2, "Results: 1")


def test_notes_and_statuses_leave_the_last_words_in_place() -> None:
    talk = add(begin("w", "c"), [entry("received", "Hi"), entry("note"), entry("status", at_ms=20)])
    assert (talk.preview, talk.changed_ms) == ("Hi", 20)


def test_a_contacts_words_reopen_what_was_closed_and_our_own_do_not() -> None:
    closed = Conversation("c", "w", "closed")
    assert add(closed, [entry("received", "Hi")]).state == "open"
    assert add(closed, [entry("error", "Error: x")]).state == "open"
    assert add(closed, [entry("message", "→ Bye")]).state == "closed"


def test_an_old_entry_does_not_turn_the_time_back() -> None:
    assert add(Conversation("c", "w", changed_ms=50), [entry("received", "late", 10)]).changed_ms == 50


def test_unread_has_a_limit() -> None:
    assert add(Conversation("c", "w", unread=UNREAD_MAX), [entry("received")]).unread == UNREAD_MAX


def test_closing_reopening_and_doing_so_twice() -> None:
    talk = Conversation("c", "w", unread=4)
    closed = apply(talk, act("conversation.closed"))
    assert (closed.state, closed.unread) == ("closed", 0)
    assert apply(closed, act("conversation.closed")) == closed
    opened = apply(closed, act("conversation.reopened"))
    assert opened.state == "open"
    assert apply(opened, act("conversation.reopened")) == opened
    assert set(TRANSITIONS) == {"open", "closed"}


def test_reading_takes_away_only_what_was_seen() -> None:
    talk = Conversation("c", "w", unread=5)
    assert apply(talk, act("conversation.read", seen=3)).unread == 2
    assert apply(talk, act("conversation.read", seen=9)).unread == 0
    for nonsense in (-1, "3", None, True):
        assert apply(talk, act("conversation.read", seen=nonsense)).unread == 5


def test_an_answer_means_that_everything_was_read() -> None:
    assert apply(Conversation("c", "w", unread=5), act("agent.replied", text="Hi")).unread == 0


def test_assigning_moves_it_to_an_inbox_and_a_person() -> None:
    talk = apply(begin("w", "c"), act("conversation.assigned", inbox="parts", agent="per_2"))
    assert (talk.inbox, talk.agent) == ("parts", "per_2")
    assert assign(talk).inbox == ""
    assert apply(talk, act("conversation.assigned", inbox=7)).inbox == ""


def test_an_act_of_the_console_is_understood_here() -> None:
    actor = acts.Actor("w", "per_1", now_ms=5, once="o")
    talk = Conversation("c", "w", unread=2)
    assert apply(talk, acts.read(actor, "c", 2)).unread == 0
    assert apply(talk, acts.closed(actor, "c")).state == "closed"
    assert apply(talk, acts.assigned(actor, "c", inbox="parts", agent="")).inbox == "parts"
