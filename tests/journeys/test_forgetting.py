"""A person is forgotten: the database, the files and the logs have nothing left, whatever they took part in."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from beckon.core.errors import Unavailable
from beckon.core.message import Outbound
from beckon.effects.forgetting import ROWS_MAX
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.member import Phone, Profile
from beckon.journeys.loyalty_offers.sale import Item, Payment, SaleAsked
from tests.journeys.loyalty.shop import OFFERS, PROGRAMME
from tests.journeys.test_calls_kept import SCRIPT, TELEPHONY, over, switch_of, talk
from tests.kit.dump import found_in, found_on_disk
from tests.kit.switches import IN_MEMORY, until
from tests.rooms.worker.stage import HOUR_MS, MINUTE_MS, NOW_MS, Line, line, visit

PHONE, MAIL = "+32470777111", "zenobia@quillfeather.example"
ZENOBIA = {"name": "Zenobia Quillfeather", "phone": PHONE, "email": MAIL, "allergy": "Gooseberries"}
BEN = {"name": "Ben Other", "phone": "+32470999999", "email": "ben@other.example"}
#: What must be found nowhere: her names, and what was said to her, by her and about her.
WORDS = (
    *("zenobia", "quillfeather", "32470777111", "470777111", "CRM-9981-ZQ", "Gooseberries", "Mortimer", "Xylophone"),
    *("Flabbergasted", "Bumblebee", "Perambulator", "Mumblecore", "Dandelion", "Kaleidoscope", "wamid.ZQ"),
)
STORY = """\
flow: story
on: visit.start
key: "{{ event.data.contact.email }} {{ event.data.visit }}"
steps:
  - send: look
    via: [whatsapp]
    with: { word: "{{ event.data.word }}" }
    fallback_after: 30m
  - note: "The visit is about a {{ event.data.word }}."
  - post: { results: { word: "{{ event.data.word }}" } }
  - wait_for: visit.finished
    match: { visit: "{{ event.data.visit }}" }
    timeout: 48h
"""
LATER = """\
flow: later
on: visit.other
key: "{{ event.data.visit }}"
steps:
  - send: { text: "Tomorrow we speak of the {{ event.data.word }}." }
    via: [sms]
    at: { between: "18:00-20:00" }
  - wait: 24h
"""
LOOK = """\
template: look
purpose: transactional
variables:
  word: { default: none }
locales:
  en:
    text: "Hello {{ contact.first_name }}, see the {{ word }}."
    buttons:
      - { text: Look, link: "https://garage.example/{{ word }}" }
channels:
  whatsapp:
    approved: { name: look, state: approved, languages: { en: en } }
"""


@asynccontextmanager
async def garage(url: str, folder: Path, **settings: Any) -> AsyncIterator[Line]:
    """A garage with a desk that can be called and a programme."""
    files = {
        "scripts/desk.yaml": SCRIPT,
        "templates/look.yaml": LOOK,
        "programme/programme.yaml": PROGRAMME,
        **{f"offers/{name}.yaml": text for name, text in OFFERS.items()},
    }
    async with line(url, folder, STORY, LATER, files=files, more=TELEPHONY, switches=IN_MEMORY, **settings) as on:
        on.rests = False
        switch_of(on).wav = b"RIFF" + b"Mumblecore"
        yield on


async def ask(on: Line, type_: str, given: Any) -> Any:
    answer = await on.beckon._ask(on.event(type_, given), 60)
    await on.quiet()
    return answer


async def contact_of(on: Line, mail: str = MAIL) -> str:
    [(contact,)] = await on.rows("SELECT contact FROM addresses WHERE channel = 'email' AND external_id = ?", mail)
    return str(contact)


async def lives(on: Line, person: dict[str, Any], external: str) -> str:
    """Somebody joins, is written to, writes, calls, buys; the contact's id."""
    first, last = person["name"].split()
    profile = Profile(
        email=person["email"], first_name=first, last_name=last, phones=(Phone(person["phone"]),), opted_in=True
    )
    member = (await ask(on, "loyalty.sign_up_asked", asked.SignUp(profile=profile, external={"crm": external})))[
        "member"
    ]
    await on.quiet()
    contact = await contact_of(on, person["email"])
    await on.says("visit.start", visit(external, person, word="Dandelion"))
    [message] = [one for one in on.channels["whatsapp"].sent if one.to == person["phone"][1:]]
    id_ = f"whatsapp-{message.delivery_id}-{message.attempt}"
    await on.receipt("delivered", id_)
    await on.says(
        "message.received",
        {
            "channel": "whatsapp", "from": person["phone"][1:], "text": "My cat is called Mortimer",
            "provider_id": f"wamid.ZQ{external}", "name": person["name"],
        },
    )  # fmt: skip
    await on.says("message.asked", {"contact": contact, "text": "Your Xylophone is ready", "via": ["email"]})
    await on.says("agent.noted", {"contact": contact, "text": "sounded Flabbergasted", "by": "per_1"}, subject=contact)
    await on.says("visit.other", visit(f"{external}-2", person, word="Kaleidoscope"))
    await on.says("crm.remark", {"contact": {"email": person["email"]}, "text": "wants a Perambulator"})
    call = await talk(on, person["phone"])
    await on.says(
        "call.commented", {"call": call, "recording": "r", "moment_ms": 1, "text": "Mumblecore", "by": "per_1"}
    )
    await ask(on, "loyalty.points_asked", asked.Points(member=member, points=300, why="sorry about the Bumblebee"))
    await ask(on, "loyalty.issue_asked", asked.Issue(member=member, definition="snack-box"))
    sale = SaleAsked(
        sale=f"sale-{member}", external=("crm", external), store="s1", channel="IN-STORE", at_ms=NOW_MS,
        modified_ms=NOW_MS, subtotal=900, items=(Item("1", "fries", 1000, 900, 900),), payments=(Payment("P1", 900),),
    )  # fmt: skip
    await ask(on, "loyalty.transaction_asked", sale)
    await on.says(
        "message.received",
        {"channel": "sms", "from": person["phone"], "text": "STOP", "provider_id": f"SM{external}"},
    )
    return contact


async def forget(on: Line, contact: str, **more: Any) -> None:
    """Have a contact forgotten, and wait until it is done."""
    await on.says("contact.forget_asked", {"contact": contact, "by": "test"}, subject=contact, **more)
    await done(on, contact)


async def done(on: Line, contact: str) -> None:
    for _ in range(2_000):
        rows = await on.rows("SELECT done_ms FROM forgettings WHERE contact = ?", contact)
        if rows and rows[0][0]:
            return await on.quiet()
        await on.passes(1_000 if rows else 0)
    raise AssertionError("it never ends")


async def nothing_left(on: Line, folder: Path) -> None:
    """No table, no file and no page of a file has any of the words."""
    await on.passes(MINUTE_MS)  # what came late has left the store's log by then
    found = await found_in(on.beckon.database, WORDS)
    assert not found, "\n".join(found[:20])
    assert found_on_disk(folder, [*WORDS, "Zenobia", "Quillfeather"]) == []


async def test_a_person_who_took_part_in_everything_leaves_nothing(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "beckon")
    async with garage(database_url, tmp_path) as on:
        contact = await lives(on, ZENOBIA, "CRM-9981-ZQ")
        assert len(await found_in(on.beckon.database, WORDS)) > 40
        assert found_on_disk(tmp_path, ["Mumblecore"]), "the recording"
        before = {
            table: await on.rows(f"SELECT count(*) FROM {table}")
            for table in ("journal", "deliveries", "runs", "points")
        }
        [(balance,)] = await on.rows("SELECT sum(amount) FROM points")
        sent = len(on.handed)

        await forget(on, contact)

        await nothing_left(on, tmp_path)
        assert not [text for text in map(str, caplog.messages) if any(word.lower() in text.lower() for word in WORDS)]
        # What stays: that it happened, and how often; sums; that it was done.
        for table in ("deliveries", "runs", "points"):
            assert await on.rows(f"SELECT count(*) FROM {table}") == before[table]
        assert await on.rows("SELECT sum(amount) FROM points") == [(balance,)]
        [told] = await on.events("contact.forgotten")
        assert (told.subject, set(told.data)) == (contact, {"contact", "asked"})
        assert len(await on.events("member.forgotten")) == 1
        assert {run.flow: (run.status, run.ended) for run in await on.runs()} == {
            "story": ("stopped", "forgotten"),
            "later": ("stopped", "forgotten"),
        }
        assert {**await on.waiting(), "timers": 0} == {"waits": 0, "timers": 0, "outbox": 0}
        assert {row[0] for row in await on.rows("SELECT kind FROM timers")} <= {"loyalty.due"}
        for table in (
            "entries",
            "conversations",
            "addresses",
            "links",
            "recordings",
            "calls",
            "mentions",
            "noted",
            "member_keys",
        ):
            assert await on.rows(f"SELECT * FROM {table}") == [], table
        # Nothing more goes out, ever.
        await on.passes(72 * HOUR_MS)
        assert len(on.handed) == sent


async def test_who_else_is_known_keeps_everything(database_url: str, tmp_path: Path) -> None:
    async with garage(database_url, tmp_path) as on:
        ben = await lives(on, BEN, "CRM-1")
        theirs = ("runs", "deliveries", "entries", "links", "calls", "recordings", "conversations")
        kept = {table: sorted(await on.rows(f"SELECT * FROM {table} WHERE contact = ?", ben)) for table in theirs}
        said = await on.rows("SELECT position, data, subject FROM journal ORDER BY position")
        contact = await lives(on, ZENOBIA, "CRM-9981-ZQ")
        await forget(on, contact)
        for table in theirs:
            assert kept[table], table
            assert sorted(await on.rows(f"SELECT * FROM {table} WHERE contact = ?", ben)) == kept[table]
        assert (
            await on.rows(
                "SELECT position, data, subject FROM journal WHERE position <= ? ORDER BY position", said[-1][0]
            )
            == said
        )
        for (path,) in await on.rows("SELECT path FROM recordings"):
            assert Path(path).exists()
        assert len(await on.rows("SELECT 1 FROM members WHERE state = 'active'")) == 1


async def test_forgotten_twice_is_forgotten_once_and_nobody_can_t_be(database_url: str, tmp_path: Path) -> None:
    async with garage(database_url, tmp_path) as on:
        await on.says("visit.start", visit(1, ZENOBIA, word="Dandelion"))
        contact = await contact_of(on)
        event = on.event("contact.forget_asked", {"contact": contact, "by": "test"}, subject=contact)
        again = on.event("contact.forget_asked", {"contact": contact, "by": "test"}, subject=contact)
        await on.accept(event, again)
        await done(on, contact)
        [first] = await on.rows("SELECT * FROM forgettings")
        await forget(on, contact)
        assert await on.rows("SELECT * FROM forgettings") == [first]
        assert len(await on.events("contact.forgotten")) == 1
        await on.says("contact.forget_asked", {"contact": "con_nobody"}, subject="con_nobody")
        assert len(await on.rows("SELECT * FROM forgettings")) == 1
        assert await on.events("event.failed") == []
        await nothing_left(on, tmp_path)


async def test_an_event_on_which_nobody_acts_is_found_by_the_addresses_that_it_names(
    database_url: str, tmp_path: Path
) -> None:
    async with garage(database_url, tmp_path) as on:
        await on.says("visit.start", visit(1, ZENOBIA, word="Dandelion"))
        contact = await contact_of(on)
        for number in range(3):
            await on.says("tyres.stored", visit(number, ZENOBIA, word="Flabbergasted"))
        await on.says("tyres.stored", visit(9, BEN, word="Flabbergasted"))
        assert len(await on.rows("SELECT DISTINCT position FROM noted")) == 4
        await forget(on, contact)
        kept = await on.rows("SELECT data FROM journal WHERE type = 'tyres.stored' ORDER BY position")
        assert [("Flabbergasted" in row[0]) for row in kept] == [False, False, False, True]
        assert len(await on.rows("SELECT DISTINCT position FROM noted")) == 1


async def test_a_message_that_is_being_sent_ends_and_leaves_no_word(database_url: str, tmp_path: Path) -> None:
    async with garage(database_url, tmp_path) as on:
        going, let_go = asyncio.Event(), asyncio.Event()

        async def slow(message: Outbound) -> str:
            going.set()
            await let_go.wait()
            return "wamid.ZQ-slow"

        on.channels["whatsapp"].answers.append(slow)
        event = on.event("visit.start", visit(1, ZENOBIA, word="Dandelion"))
        await on.beckon.intake.accept([event])
        await going.wait()
        contact = await contact_of(on)
        await on.beckon.settle([on.event("contact.forget_asked", {"contact": contact}, subject=contact)])
        for _ in range(6):
            on.clock.drag(1_000)
            on.beckon.wake()
            await on.beckon.wheel.settled(on.beckon.journal.position)
        let_go.set()
        await done(on, contact)
        await on.passes(MINUTE_MS)
        assert (await on.delivery()).state == "sent"
        assert await on.waiting() == {"waits": 0, "timers": 0, "outbox": 0}
        # Its receipt comes late: known by its digest, and ignored with the reason.
        await on.receipt("read", "wamid.ZQ-slow", id_="r1")
        [read] = await on.events("message.read")
        assert read.data == {"forgotten": True, "why": "it is about somebody who was forgotten"}
        assert (await on.delivery()).state == "sent"
        assert await on.rows("SELECT 1 FROM early") == []
        assert [row[0] for row in await on.rows("SELECT id FROM contacts")] == [contact]
        await nothing_left(on, tmp_path)


async def test_a_doubtful_message_is_not_sent_again_to_who_was_forgotten(database_url: str, tmp_path: Path) -> None:
    async with garage(database_url, tmp_path) as on:
        going = asyncio.Event()

        async def never(message: Outbound) -> str:
            going.set()
            await asyncio.Event().wait()
            return ""

        on.channels["whatsapp"].answers.append(never)
        await on.beckon.intake.accept([on.event("visit.start", visit(1, ZENOBIA, word="Dandelion"))])
        await going.wait()
        contact = await contact_of(on)
        await on.beckon.settle([on.event("contact.forget_asked", {"contact": contact}, subject=contact)])
        await on.crash()
        on.channels["whatsapp"].busy.clear()
        sent = len(on.handed)
        await on.open()
        await on.quiet()
        await done(on, contact)
        await on.passes(MINUTE_MS)
        assert len(on.handed) == sent
        delivery = await on.delivery()
        assert (delivery.doubtful, delivery.text) == (True, "")
        assert await on.waiting() == {"waits": 0, "timers": 0, "outbox": 0}
        await nothing_left(on, tmp_path)


async def test_a_message_that_is_tried_again_is_given_up(database_url: str, tmp_path: Path) -> None:
    async with garage(database_url, tmp_path) as on:
        on.channels["whatsapp"].always = Unavailable("provider.away", "they are away", retry_after_s=30)
        await on.says("visit.start", visit(1, ZENOBIA, word="Dandelion"))
        contact = await contact_of(on)
        await forget(on, contact)
        assert (await on.delivery()).state == "cancelled"
        assert await on.waiting() == {"waits": 0, "timers": 0, "outbox": 0}
        await nothing_left(on, tmp_path)


async def test_who_writes_from_the_same_address_is_somebody_new_and_what_was_said_before_is_not_taken(
    database_url: str, tmp_path: Path
) -> None:
    async with garage(database_url, tmp_path) as on:
        await on.says("visit.start", visit(1, ZENOBIA, word="Dandelion"))
        contact = await contact_of(on)
        before = on.clock.now_ms()
        await on.passes(1_000)
        await forget(on, contact)
        late = {
            "channel": "whatsapp",
            "from": PHONE[1:],
            "text": "Mortimer",
            "provider_id": "wamid.ZQ9",
            "name": "Zenobia",
        }
        await on.says("message.received", late, time_ms=before)
        await on.says("visit.start", visit(2, {"id": contact, "name": "Zenobia"}, word="Dandelion"))
        assert [row[0] for row in await on.rows("SELECT id FROM contacts")] == [contact]
        assert len(await on.runs()) == 1
        await nothing_left(on, tmp_path)
        await on.says("message.received", {**late, "text": "hello", "provider_id": "wamid.ZQ10"})
        people = [str(row[0]) for row in await on.rows("SELECT id FROM contacts ORDER BY id")]
        assert people[0] == contact
        assert len(people) == 2
        [(entry,)] = await on.rows("SELECT contact FROM entries")
        assert entry == people[1]


async def test_a_stop_outlives_the_person_who_said_it(database_url: str, tmp_path: Path) -> None:
    async with garage(database_url, tmp_path) as on:
        await on.says("visit.start", visit(1, ZENOBIA, word="Dandelion"))
        stop = {"channel": "whatsapp", "from": PHONE[1:], "text": "STOP", "provider_id": "wamid.ZQ1"}
        await on.says("message.received", stop)
        contact = await contact_of(on)
        await forget(on, contact)
        await nothing_left(on, tmp_path)
        sent = len(on.channels["whatsapp"].sent)
        await on.says("visit.start", visit(2, ZENOBIA, word="Dandelion"))
        assert len(on.channels["whatsapp"].sent) == sent
        delivery = next(one for one in await on.deliveries() if one.contact != contact)
        assert delivery.choice is not None
        assert ["consent" in one.code or "stopped" in one.reason for one in delivery.choice.passed_over][:1] == [True]
        # A word of theirs opens it again.
        await on.says("message.received", {**stop, "text": "START", "provider_id": "wamid.ZQ2"})
        await on.says("visit.start", visit(3, ZENOBIA, word="Dandelion"))
        assert len(on.channels["whatsapp"].sent) == sent + 1


async def test_a_call_under_way_ends_and_brings_nobody_back(database_url: str, tmp_path: Path) -> None:
    async with garage(database_url, tmp_path) as on:
        await on.says("visit.start", visit(1, ZENOBIA, word="Dandelion"))
        contact = await contact_of(on)
        switch = switch_of(on)
        leg = switch.offer(PHONE, "+3221234567")
        await until(lambda: leg in switch.answered)
        switch.press(leg, "4711")
        await until(lambda: switch.bridges and switch.recording)
        await on.beckon.wheel.settled(on.beckon.journal.position)
        await forget(on, contact)
        switch.hang_up_by(leg)
        await over(on)
        await on.beckon.maintenance.round()
        assert [row[0] for row in await on.rows("SELECT id FROM contacts")] == [contact]
        for table in ("calls", "recordings", "entries"):
            assert await on.rows(f"SELECT * FROM {table}") == [], table
        await nothing_left(on, tmp_path)


async def test_a_killed_server_goes_on_where_it_was(database_url: str, tmp_path: Path) -> None:
    async with garage(database_url, tmp_path) as on:
        await on.says("visit.start", visit(1, ZENOBIA, word="Dandelion"))
        contact = await contact_of(on)
        many = [
            on.event("agent.noted", {"contact": contact, "text": f"Flabbergasted {number}"}, subject=contact)
            for number in range(ROWS_MAX * 2)
        ]
        await on.accept(*many)
        await on.says("contact.forget_asked", {"contact": contact, "by": "test"}, subject=contact)
        stages = set()
        for _ in range(500):
            [(stage, done_ms)] = await on.rows("SELECT stage, done_ms FROM forgettings")
            if done_ms:
                break
            stages.add(stage)
            await on.crash()
            on.clock.drag(1)
            await on.open()
            await on.quiet()
        assert stages >= {"runs", "entries", "journal"}
        await on.quiet()
        assert len(await on.events("contact.forgotten")) == 1
        await nothing_left(on, tmp_path)


async def test_an_old_file_brings_no_forgotten_member_back_but_they_may_come_back_themselves(
    database_url: str, tmp_path: Path
) -> None:
    async with garage(database_url, tmp_path) as on:
        contact = await lives(on, ZENOBIA, "CRM-9981-ZQ")
        await forget(on, contact)
        old = asked.SignUp(profile=Profile(email=MAIL, first_name="Zenobia"), external={"crm": "CRM-9981-ZQ"})
        other = asked.SignUp(profile=Profile(email="noor@other.example", first_name="Noor"))
        only_id = asked.SignUp(profile=Profile(first_name="Zenobia"), external={"crm": "CRM-9981-ZQ"})
        said = await ask(on, "loyalty.members_asked", asked.ManySignUps(members=(old, other, only_id)))
        first, second, third = said["members"]
        assert (first["error"]["code"], third["error"]["code"]) == ("member.forgotten", "member.forgotten")
        assert "forgotten on 2026-11-20" in first["error"]["why"]
        assert second["member"].startswith("mem_")
        await nothing_left(on, tmp_path)
        back = await ask(on, "loyalty.sign_up_asked", old)
        assert back["member"].startswith("mem_")
        assert await contact_of(on) != contact
        known = await ask(on, "loyalty.members_asked", asked.ManySignUps(members=(old,)))
        assert known["members"] == [{"member": back["member"], "known": True}]


async def test_the_member_s_own_way_forgets_the_contact_too(database_url: str, tmp_path: Path) -> None:
    async with garage(database_url, tmp_path) as on:
        contact = await lives(on, ZENOBIA, "CRM-9981-ZQ")
        [(member,)] = await on.rows("SELECT id FROM members")
        await ask(on, "loyalty.forget_asked", asked.Forget(member=str(member)))
        await done(on, contact)
        assert len(await on.events("contact.forgotten")) == 1
        assert len(await on.events("member.forgotten")) == 1
        await nothing_left(on, tmp_path)


async def test_a_flow_may_begin_with_it_and_tell_others(database_url: str, tmp_path: Path) -> None:
    told = 'flow: told\non: contact.forgotten\nkey: "{{ event.data.contact }}"\nsteps:\n  - stop: told\n'
    async with line(database_url, tmp_path, STORY, told, files={"templates/look.yaml": LOOK}) as on:
        await on.says("visit.start", visit(1, ZENOBIA, word="Dandelion"))
        contact = await contact_of(on)
        await forget(on, contact)
        assert {run.flow: run.ended for run in await on.runs()} == {"story": "forgotten", "told": "told"}
        assert [run.key for run in await on.runs() if run.flow == "told"] == [contact]
        assert await on.waiting() == {"waits": 0, "timers": 0, "outbox": 0}


async def test_an_event_that_could_not_be_turned_is_found_by_the_address_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with garage(f"sqlite:///{tmp_path}/beckon.db", tmp_path) as on:
        await on.says("visit.start", visit(1, ZENOBIA, word="Dandelion"))
        contact = await contact_of(on)

        def broken(*given: Any) -> None:
            raise ValueError("a defect")

        monkeypatch.setattr(on.beckon.wheel._effects._running, "take", broken)
        await on.says("visit.other", visit(2, ZENOBIA, word="Kaleidoscope"))
        monkeypatch.undo()
        assert len(await on.events("event.failed")) == 1
        await forget(on, contact)
        await nothing_left(on, tmp_path)


async def test_a_member_without_a_contact_of_their_own_is_forgotten_too(database_url: str, tmp_path: Path) -> None:
    async with garage(database_url, tmp_path) as on:
        shared = (Phone(PHONE),)
        first = await ask(on, "loyalty.sign_up_asked", asked.SignUp(profile=Profile(first_name="Ann", phones=shared)))
        profile = Profile(first_name="Zenobia", last_name="Quillfeather", phones=shared)
        second = await ask(on, "loyalty.sign_up_asked", asked.SignUp(profile=profile, external={"crm": "CRM-9981-ZQ"}))
        given = asked.Points(member=second["member"], points=3, why="Bumblebee")
        for _ in range(3):
            await ask(on, "loyalty.points_asked", given)
        await ask(on, "loyalty.forget_asked", asked.Forget(member=second["member"]))
        for _ in range(5):
            await on.passes(1_000)
        # The number is the other's as well, and so is the contact.
        found = await found_in(on.beckon.database, ["Bumblebee", "CRM-9981-ZQ"])
        assert not found
        assert len(await on.rows("SELECT 1 FROM members WHERE state = 'active'")) == 1
        [(contact,)] = await on.rows("SELECT contact FROM addresses WHERE channel = 'sms'")
        # Now the contact: the first member is who it was.
        await forget(on, str(contact))
        rows = await on.rows("SELECT id, state FROM members")
        assert {str(id_): state for id_, state in rows} == dict.fromkeys(
            (first["member"], second["member"]), "forgotten"
        )
        await nothing_left(on, tmp_path)
