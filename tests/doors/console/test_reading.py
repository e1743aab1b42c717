"""The console's lists over both databases: what they find, in which order, page by page."""

from collections.abc import AsyncIterator, Sequence

import pytest

from beckon.doors.console import reading
from beckon.inbox import reading as inbox
from beckon.inbox.reading import ConversationFilter
from beckon.store.changes import Changes, Row, Value
from beckon.store.database import Database
from beckon.store.tables import CONTACTS, CONVERSATIONS, DELIVERIES, JOURNAL
from tests.doors.console import story
from tests.doors.console.story import WORKSPACE


class Counting:
    """A reader that counts the questions."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.asked = 0

    async def fetch(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        self.asked += 1
        return await self.database.fetch(sql, parameters)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await story.open_story(database_url)
    yield opened
    await opened.close()


async def names(database: Database, **wanted: object) -> list[str]:
    page = await inbox.conversations(database, WORKSPACE, ConversationFilter(**wanted))  # type: ignore[arg-type]
    return [one.name for one in page.items]


async def test_the_list_begins_with_what_changed_last_and_filters(database: Database) -> None:
    everyone = await names(database)
    assert everyone[:3] == ["+32485998877", "Ingrid Larsen", "Tom Becker"]
    assert "Zoë Vos" not in everyone
    assert await names(database, state="closed") == ["Sofía García"]
    assert await names(database, unread=True) == ["+32485998877", "Ingrid Larsen", "Anna Peeters"]
    assert await names(database, inbox="service-advisors") == ["Ingrid Larsen", "Anna Peeters", "Marc Dubois"]
    assert await inbox.inboxes(database, WORKSPACE) == ("service-advisors",)


SEARCHES = {
    "anna": ["Anna Peeters"],
    "PEETERS": ["Anna Peeters"],
    "sofía": ["Sofía García"],
    "garcía": ["Sofía García"],
    "0470 12 34 56": ["Anna Peeters"],
    "+32 470 12 34 56": ["Anna Peeters"],
    "anna.peeters@example.be": ["Anna Peeters"],
    "ingrid@": ["Ingrid Larsen"],
    "o'connor & sons <": ["O'Connor & Sons <Fleet>"],
    "%": [],
    "_": [],
    "'; DROP TABLE entries; --": [],
}


async def test_search_by_name_number_and_mailbox(database: Database) -> None:
    assert {search: await names(database, search=search) for search in SEARCHES} == SEARCHES


async def test_pages_follow_each_other_without_gaps_or_twins(database: Database) -> None:
    changes = Changes()
    for number in range(95):  # many share an instant: the key tells them apart
        id = f"con_many{number:03}"
        changes.insert(CONTACTS, (id, "many", f"Number {number}", 1, "{}"))
        changes.insert(CONVERSATIONS, (id, "many", "open", "", "", number % 2, "", 1_000 + number // 10))
    await database.commit(changes)
    seen: list[str] = []
    after = ""
    while True:
        page = await inbox.conversations(database, "many", ConversationFilter(), after)
        seen += [one.conversation.contact for one in page.items]
        after = page.next
        if not after:
            break
    assert len(seen) == len(set(seen)) == 95
    odd = await inbox.conversations(database, "many", ConversationFilter(unread=True))
    assert len(odd.items) == inbox.PAGE
    rest = await inbox.conversations(database, "many", ConversationFilter(unread=True), odd.next)
    assert len(rest.items) == 47 - inbox.PAGE
    assert rest.next == ""


async def test_a_filter_looks_at_a_bounded_number_of_rows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "LOOK_MAX", 4)
    first = await inbox.conversations(database, WORKSPACE, ConversationFilter(state="closed"))
    assert first.items == ()
    assert first.next
    second = await inbox.conversations(database, WORKSPACE, ConversationFilter(state="closed"), first.next)
    assert [one.name for one in second.items] == ["Sofía García"]


async def test_a_key_that_makes_no_sense_is_no_fault(database: Database) -> None:
    for key in ("", "nonsense", "12", ".x", "99999999999999999999999.a", "-5.x", "1.2.3", "\x00.1"):
        await inbox.conversations(database, WORKSPACE, ConversationFilter(), key)
        await reading.deliveries(database, WORKSPACE, after=key)
        await reading.events(database, WORKSPACE, after=key)


async def test_a_thread_costs_the_same_however_long_it_is(database: Database) -> None:
    counting = Counting(database)
    short = await inbox.thread(counting, WORKSPACE, "con_tom")
    assert short is not None
    cost = counting.asked
    counting.asked = 0
    long = await inbox.thread(counting, WORKSPACE, "con_anna")
    assert long is not None
    assert len(long.entries) > 3 * len(short.entries)
    assert counting.asked <= cost + 1  # the names of those who wrote in it
    assert [entry.kind for entry in long.entries] == [
        "message", "click", "results", "notice", "message", "received", "note",
    ]  # fmt: skip
    assert long.entries[0].delivery is not None
    assert long.entries[0].delivery.state == "read"
    assert long.people == {"per_karim": "Karim Haddad"}
    assert [run.flow for run in long.runs] == ["service-checkin-invite"]


async def test_a_long_thread_is_read_page_by_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "THREAD_PAGE", 3)
    newest = await inbox.thread(database, WORKSPACE, "con_anna")
    assert newest is not None
    assert [entry.kind for entry in newest.entries] == ["message", "received", "note"]
    before = await inbox.thread(database, WORKSPACE, "con_anna", newest.earlier)
    assert before is not None
    assert [entry.kind for entry in before.entries] == ["click", "results", "notice"]
    first = await inbox.thread(database, WORKSPACE, "con_anna", before.earlier)
    assert first is not None
    assert [entry.kind for entry in first.entries] == ["message"]
    assert first.earlier == ""


async def test_another_workspace_sees_nothing_of_this_one(database: Database) -> None:
    other = story.STRANGER.workspace
    assert (await inbox.conversations(database, other, ConversationFilter())).items == ()
    assert (await inbox.conversations(database, other, ConversationFilter(search="0470123456"))).items == ()
    assert await inbox.thread(database, other, "con_anna") is None
    assert await reading.delivery(database, other, "dlv_tom_ready") is None
    assert (await reading.deliveries(database, other)).items == ()
    assert (await reading.events(database, other)).items == ()
    assert await reading.event(database, other, 1) is None
    assert (await reading.runs(database, other)).items == ()
    assert await reading.definitions(database, other, "flow") == ()
    assert await reading.approvals(database, other) == ()
    assert await reading.agents(database, other) == (("per_other", "Zoë Vos"),)


async def test_deliveries_by_state_and_channel(database: Database) -> None:
    trouble = await reading.deliveries(database, WORKSPACE, states=reading.TROUBLE)
    assert [one.delivery.id for one in trouble.items] == ["dlv_ingrid_invite", "dlv_tom_ready"]
    by_mail = await reading.deliveries(database, WORKSPACE, channel="email")
    assert [one.delivery.id for one in by_mail.items] == ["dlv_tom_ready"]
    counts = await reading.delivery_states(database, WORKSPACE)
    assert counts == {"read": 2, "delivered": 2, "undeliverable": 1, "doubtful": 1}


async def test_deliveries_page_by_page(database: Database) -> None:
    changes = Changes()
    for number in range(90):
        body = f'{{"id":"d{number:03}","workspace":"many","contact":"c","created_ms":{number // 7}}}'
        changes.insert(DELIVERIES, (f"d{number:03}", "many", "c", "queued", "", "", number // 7, 1, body))
    await database.commit(changes)
    seen: list[str] = []
    after = ""
    while True:
        page = await reading.deliveries(database, "many", after=after)
        seen += [one.delivery.id for one in page.items]
        after = page.next
        if not after:
            break
    assert len(seen) == len(set(seen)) == 90


async def test_events_by_type_and_source(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def types(**wanted: str) -> list[str]:
        return [event.type for event in (await reading.events(database, WORKSPACE, **wanted)).items]

    assert (await types())[0] == "message.received"
    assert set(await types(type="checkin.*")) == {"checkin.start", "checkin.finished"}
    assert await types(source="https://wvp.example/checkins") == ["checkin.finished"]
    assert await types(type="_*") == []
    changes = Changes()
    changes.insert(JOURNAL, (50_000, WORKSPACE, "s", "late", "visit.made", None, 1, 1, 0, "{}"))
    await database.commit(changes)
    page = await reading.events(database, WORKSPACE, type="checkin.*")
    assert page.items == ()  # it looks at so many positions at once, and says where it stopped
    older = await reading.events(database, WORKSPACE, type="checkin.*", after="12")
    assert len(older.items) == 4
    assert page.next == "30001"


async def test_flows_with_their_versions(database: Database) -> None:
    flows = await reading.definitions(database, WORKSPACE, "flow")
    assert [one.name for one in flows] == ["service-checkin-invite", "service-status"]
    versions = await reading.versions(database, WORKSPACE, "flow", "service-checkin-invite")
    assert [one.current for one in versions] == [True, False]
    text = await reading.definition_text(database, WORKSPACE, "flow", "service-checkin-invite", versions[1].version)
    assert text == story.OLDER
