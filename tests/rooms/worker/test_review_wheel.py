"""The wheel turns every event once, whatever the store does in between."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from beckon.core.errors import BeckonError, Unavailable
from beckon.store.changes import Changes
from beckon.store.database import Query
from beckon.workspaces import version_of
from tests.rooms.worker.line import ANN, Line, line

AWAY = Unavailable("store.unavailable", "gone for a moment", retry_after_s=1)

WAIT = """\
flow: wait
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - wait_for: visit.finished
    match: { visit: "{{ event.data.visit }}" }
    timeout: 1h
    on_timeout: [ { stop: expired } ]
  - send: { text: "Thank you {{ event.data.visit }}" }
    to: "{{ event.data.contact }}"
"""
SLEEP = """\
flow: sleep
on: sleep.start
key: "{{ event.data.key }}"
steps:
  - wait: 10m
  - send: { text: "{{ event.data.key }}" }
    to: "{{ event.data.contact }}"
  - note: "said {{ event.data.key }}"
"""
FILES = {"flows/wait.yaml": WAIT, "flows/sleep.yaml": SLEEP}


def once(error: Exception, *words: str) -> Callable[[Sequence[Changes]], Exception | None]:
    """Fails the first write that has all these words in its statements."""
    left = [error]

    def ask(batch: Sequence[Changes]) -> Exception | None:
        sql = " ".join(statement for changes in batch for statement, _, _ in changes.statements())
        return left.pop() if left and all(word in sql for word in words) else None

    return ask


def once_read(error: Exception, word: str) -> Callable[[Sequence[Query]], Exception | None]:
    """Fails the first read that has this word in its SQL."""
    left = [error]

    def ask(queries: Sequence[Query]) -> Exception | None:
        return left.pop() if left and any(word in sql for sql, _ in queries) else None

    return ask


async def test_an_event_that_comes_while_the_wheel_looks_for_timers_in_vain_is_turned(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, files=FILES) as made:
        await made.say("visit.start", {"visit": "V1", "contact": ANN})
        await made.rest()
        await made.say("visit.finished", {"visit": "V1"})
        await made.rest()
        until = asyncio.Event()
        made.store.held = ("FROM timers WHERE due_ms", until)
        made.clock.drag(3_600_000)  # when the wait's timer was due, before it was cleared
        made.beckon.wake()
        await made.until(made.store.holding.is_set)
        await made.tell("1", "hello")
        until.set()
        await made.until(lambda: "hello" in made.sms.texts, "the event was passed over")


async def test_an_event_whose_commit_nobody_confirmed_is_turned_when_it_was_written_all_the_same(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url) as made:
        event = made.event("tell.start", {"key": "1", "text": "hello", "contact": ANN})
        made.store.after_write = once(AWAY, "INTO journal")
        with pytest.raises(Unavailable):
            await made.beckon.intake.accept([event])
        (again,) = await made.beckon.intake.accept([event])  # the source sends it again
        assert again.duplicate
        await made.rest()
        assert made.sms.texts == ["hello"]


async def test_events_beside_a_repeated_one_are_turned_when_the_journal_can_not_be_asked_which_it_was(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url) as made:
        old = made.event("tell.start", {"key": "1", "text": "old", "contact": ANN})
        new = made.event("tell.start", {"key": "2", "text": "new", "contact": ANN})
        await made.beckon.intake.accept([old])
        await made.rest()
        made.store.before_read = once_read(AWAY, "FROM journal WHERE position >=")
        with pytest.raises(Unavailable):
            await made.beckon.intake.accept([old, new])
        assert [one.duplicate for one in await made.beckon.intake.accept([old, new])] == [True, True]
        await made.rest()
        assert made.sms.texts == ["old", "new"]


async def test_an_event_that_can_not_be_stored_does_not_sink_those_that_share_its_transaction(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url) as made:
        good = made.event("tell.start", {"key": "1", "text": "hello", "contact": ANN})
        bad = made.event("tell.start", {"key": "2", "text": "hello", "contact": ANN}, id="half \ud800")
        answers = await asyncio.gather(
            made.beckon.intake.accept([good]), made.beckon.intake.accept([bad]), return_exceptions=True
        )
        assert not isinstance(answers[0], BaseException), answers[0]
        assert isinstance(answers[1], BeckonError)
        await made.rest()
        assert made.sms.texts == ["hello"]


async def test_a_store_that_fails_right_after_a_turn_was_written_makes_nothing_happen_twice(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, files=FILES) as made:
        await made.say("sleep.start", {"key": "K", "contact": ANN})
        await made.rest()
        asked = {"contact": ANN, "text": "asked"}
        await made.beckon.intake.accept([made.event("message.asked", asked)])
        made.clock.drag(600_000)
        made.store.before_read = once_read(AWAY, "SELECT min(due_ms) FROM timers")
        made.beckon.wake()
        await made.until(lambda: len(made.sms.sent) >= 2)
        await made.rest()
        assert sorted(made.sms.texts) == ["K", "asked"]
        assert len(await made.entries("note")) == 1
        assert all(delivery.state == "sent" for delivery in await made.deliveries())


async def test_a_turn_whose_commit_nobody_confirmed_is_not_turned_again_when_it_was_written_all_the_same(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url) as made:
        received = {
            "channel": "sms",
            "provider": "twilio_sms",
            "from": "+32470123456",
            "text": "hi",
            "provider_id": "1",
        }
        made.store.after_write = once(AWAY, "INTO marks", "INTO entries")
        await made.say("message.received", received)
        await made.say("message.asked", {"contact": ANN, "text": "asked"})
        await made.rest()
        assert len(await made.entries("received")) == 1
        assert made.sms.texts == ["asked"]
        await made.tell("1", "next")
        await made.rest()
        assert made.sms.texts == ["asked", "next"]
        assert await made.events("event.failed") == []


async def test_messages_of_a_turn_whose_commit_nobody_confirmed_leave_once(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url) as made:
        made.store.after_write = once(AWAY, "INTO marks", "INTO deliveries")
        await made.tell("1", "one")
        await made.rest()
        await made.tell("2", "two")
        await made.rest()
        assert made.sms.texts == ["one", "two"]
        assert [delivery.doubtful for delivery in await made.deliveries()] == [False, False]


async def test_the_wheel_goes_on_after_a_defect_in_its_own_reading(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url, files=FILES) as made:
        await made.say("sleep.start", {"key": "K", "contact": ANN})
        await made.rest()
        made.store.before_read = once_read(RuntimeError("a defect"), "FROM timers")
        await made.later(600_000)
        assert made.sms.texts == ["K"]


async def test_a_result_that_came_in_time_counts_though_the_wheel_is_behind(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url, files=FILES, started=False, turn_events_max=2) as made:
        await made.say("visit.start", {"visit": "V1", "contact": ANN})
        while await made.beckon.wheel.turn():
            pass
        made.clock.drag(1_800_000)
        for number in range(5):
            await made.say("visit.start", {"visit": f"other {number}", "contact": ANN})
        await made.say("visit.finished", {"visit": "V1"})
        made.clock.drag(3_600_000)
        made.beckon.start()
        await made.rest()
        run = (await made.runs())["V1"]
        assert (run.status, run.ended) == ("done", "")


async def test_two_uploads_in_one_turn_leave_one_current_version(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url) as made:
        uploads = []
        for words in ("one", "two"):
            text = f"template: hello\npurpose: transactional\nlocales: {{ en: {{ text: {words} }} }}\n"
            fields = {"kind": "template", "name": "hello", "version": words, "text": text}
            uploads.append(made.event("definition.uploaded", fields))
        await made.beckon.intake.accept(uploads)
        await made.rest()
        rows = await made.rows("SELECT version FROM definitions WHERE name = 'hello' AND current = 1")
        assert rows == [("two",)]


async def test_an_upload_that_can_not_be_read_is_passed_over_and_does_not_keep_the_server_from_starting(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url) as made:
        fields = {"kind": "flow", "name": "broken", "version": "1", "text": "flow: [no\n"}
        await made.say("definition.uploaded", fields)
        await made.tell("1", "hello")
        await made.rest()
        assert made.sms.texts == ["hello"]
        assert [failed["type"] for failed in await made.events("event.failed")] == ["definition.uploaded"]
        changes = Changes()
        # As it may be after an upgrade that reads more strictly.
        changes.execute(
            "INSERT INTO definitions (workspace, kind, name, version, body, origin, current, created_ms)"
            " VALUES ('main', 'template', 'old', '1', 'template: [no', 'api', 1, 1)"
        )
        await made.beckon.database.commit(changes)
    async with line(tmp_path, database_url) as made:
        await made.tell("2", "again")
        await made.rest()
        assert made.sms.texts == ["again"]


@pytest.mark.parametrize("text", ["zero \0 byte", "a\u2028b", "\ufffe", "x" * 70_000])
async def test_odd_characters_stop_nobody(database_url: str, tmp_path: Path, text: str) -> None:
    flow = """\
flow: odd
on: odd.start
key: "{{ event.data.key }}"
steps:
  - note: "{{ event.data.key | truncate: 200 }}"
"""
    async with line(tmp_path, database_url, files={"flows/odd.yaml": flow}) as made:
        received = {
            "channel": "sms",
            "provider": "twilio_sms",
            "from": "+32470123456",
            "text": text,
            "provider_id": "1",
        }
        await made.say("message.received", received)
        await made.say("odd.start", {"key": text[:300], "contact": ANN})
        await made.tell("1", "hello")
        await made.rest()
        assert made.sms.texts == ["hello"]
        assert len(await made.entries("received")) == 1
        assert await made.events("event.failed") == []


async def test_a_defect_after_a_turn_was_written_makes_nothing_happen_twice(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url) as made:
        left = [RuntimeError("a defect in a live page")]

        def broken(*_: object) -> None:
            if left:
                raise left.pop()

        made.beckon.wheel._on_topics = broken
        received = {
            "channel": "sms",
            "provider": "twilio_sms",
            "from": "+32470123456",
            "text": "hi",
            "provider_id": "1",
        }
        told = {"key": "1", "text": "hello", "contact": ANN}
        await made.beckon.intake.accept([made.event("message.received", received), made.event("tell.start", told)])
        await made.rest()
        assert len(await made.entries("received")) == 1
        assert made.sms.texts == ["hello"]


async def test_a_crowd_at_the_doors_does_not_stop_what_the_line_itself_says(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url) as made:
        go_on = asyncio.Event()
        made.store.writing = go_on
        crowd = [made.event("visit.start", {"visit": str(number)}) for number in range(1_000)]
        asked = [made.beckon.intake.accept(crowd)]
        with pytest.raises(Unavailable):  # noqa: PT012 - which of them is refused is not the point
            for _ in range(40):
                asked.append(made.beckon.intake.accept(crowd))
        ours = made.beckon.intake.accept([made.event("event.failed", {})], ours=True)
        go_on.set()
        assert not (await ours)[0].duplicate
        await asyncio.gather(*asked)


async def test_a_row_that_can_not_be_read_holds_up_nobody(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url) as made:
        await made.rest()
        changes = Changes()
        for number, state in ((900, "ready"), (901, "in_flight")):
            changes.execute(
                "INSERT INTO outbox (number, id, workspace, lane, kind, state, due_ms, attempt, body)"
                " VALUES (?, ?, 'main', 'con_x', 'fax', ?, 0, 0, '{}')",
                (number, f"cmd_{number}", state),
            )
        await made.beckon.database.commit(changes)
    async with line(tmp_path, database_url) as made:
        await made.tell("1", "hello")
        await made.rest()
        assert made.sms.texts == ["hello"]


async def test_a_server_that_can_not_open_leaves_its_database_to_the_next(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(BeckonError):
        async with line(tmp_path, database_url, files={"flows/broken.yaml": "flow: [no"}):
            pass
    (tmp_path / "main/flows/broken.yaml").unlink()
    async with line(tmp_path, database_url) as made:
        await made.tell("1", "hello")
        await made.rest()
        assert made.sms.texts == ["hello"]


def greeting(words: str) -> str:
    """A template that says these words."""
    return f"template: hello\npurpose: transactional\nlocales: {{ en: {{ text: {words} }} }}\n"


async def upload(made: Line, words: str) -> None:
    """Upload it."""
    text = greeting(words)
    fields = {"kind": "template", "name": "hello", "version": version_of("template", text), "text": text}
    await made.say("definition.uploaded", fields)
    await made.rest()


async def said(made: Line) -> str:
    """What the current template says."""
    made.sms.sent.clear()
    await made.say("message.asked", {"contact": ANN, "template": "hello"})
    await made.rest()
    return made.sms.texts[0]


async def test_what_was_uploaded_last_stays_current_over_restarts_whatever_the_folder_said_before(
    database_url: str, tmp_path: Path
) -> None:
    files = {"templates/hello.yaml": greeting("one")}
    async with line(tmp_path, database_url, files=files) as made:
        for words in ("two", "one", "three"):
            made.clock.drag(1_000)
            await upload(made, words)
        clock = made.clock
    async with line(tmp_path, database_url, files=files, clock=clock) as made:
        assert await said(made) == "three"
    clock.drag(1_000)
    files = {"templates/hello.yaml": greeting("four")}
    async with line(tmp_path, database_url, files=files, clock=clock) as made:
        assert await said(made) == "four", "a folder that changed is newer"
        clock.drag(1_000)
        await upload(made, "one")
    async with line(tmp_path, database_url, files=files, clock=clock) as made:
        assert await said(made) == "one"
        assert await made.rows("SELECT count(*) FROM definitions WHERE name = 'hello' AND current = 1") == [(1,)]
