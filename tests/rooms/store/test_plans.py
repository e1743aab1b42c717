"""Query plans: nothing that the line asks while it turns reads a whole table that grows.

A story with every kind of event is played, and each statement that it made SQLite run is explained.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from beckon.core.errors import Refused, Unavailable
from beckon.store.changes import Changes, Row
from beckon.store.database import Query
from beckon.workspaces import version_of
from tests.rooms.worker.stage import ANN, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, SEND, Line, line, visit

#: Tables that have a row for each event, contact, run or message.
GROWING = (
    "journal", "contacts", "addresses", "runs", "waits", "early", "timers", "outbox", "deliveries", "provider_ids",
    "conversations", "entries", "links", "idempotency", "records", "mentions", "tombstones", "forgettings", "calls",
    "recordings", "members", "member_keys", "points", "offers", "big_timers",
)  # fmt: skip
#: Indexes that hold only what is on its way: these may be read from end to end, as far as a LIMIT goes.
ON_ITS_WAY = ("outbox_due", "outbox_again", "outbox_ready", "outbox_retrying")
#: Once at a start, over what is on its way: never over what has ended.
AT_START = ("WHERE state = 'in_flight'",)

STORY = """\
flow: story
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - send: invite
    fallback_after: 10m
  - find: customers
    key: "{{ event.data.visit }}"
    save: customer
  - wait: 1m
  - wait_for: visit.finished
    match: { visit: "{{ event.data.visit }}" }
    timeout: 24h
    save: result
    on_timeout: [ { note: "expired" } ]
  - send: { text: "Thank you" }
    to: { sms: "+32470000001" }
  - emit: visit.other
    data: { visit: "{{ event.data.visit }}" }
  - notify: service-advisors
"""


class Recorder:
    """Every statement that goes through an engine, by the kind of call."""

    def __init__(self) -> None:
        #: a statement → how it was asked; one of each shape, however many rows or keys it has
        self.statements: dict[str, str] = {}
        self._shapes: set[str] = set()

    def listen(self, engine: Any) -> None:
        """Write down what this engine is asked from now on."""
        fetch, look_up, write = engine.fetch, engine.look_up, engine.write

        async def fetch_too(queries: Sequence[Query]) -> list[list[Row]]:
            self._note("fetch", [sql for sql, _ in queries])
            return await fetch(queries)  # type: ignore[no-any-return]

        async def look_up_too(queries: Sequence[Query]) -> list[list[Row]]:
            self._note("look up", [sql for sql, _ in queries])
            return await look_up(queries)  # type: ignore[no-any-return]

        async def write_too(batch: Sequence[Changes]) -> list[int]:
            self._note("write", [sql for changes in batch for sql, _, _ in changes.statements()])
            return await write(batch)  # type: ignore[no-any-return]

        engine.fetch, engine.look_up, engine.write = fetch_too, look_up_too, write_too

    def _note(self, kind: str, texts: list[str]) -> None:
        for sql in texts:
            shape = re.sub(r"\([?, ()]+\)|(?:OR )?\([a-z_= ?AND]+\)", "(…)", sql)
            if shape not in self._shapes:
                self._shapes.add(shape)
                self.statements[sql] = kind


async def play(here: Line) -> None:
    """Every kind of thing that the line has to do with."""
    await here.accept(
        *[here.event("visit.start", visit(number, {"sms": f"+3247011{number:04d}"})) for number in range(9)]
    )
    await here.says("visit.start", visit("ann"))
    await here.says("visit.start", visit("ann"), id_="e1")  # a duplicate
    await here.receipt("delivered", (await here.deliveries())[-1].provider_id)
    await here.receipt("delivered", "nobody-knows-it")
    here.channels["sms"].answers.extend([Unavailable("x", "later"), Refused("y", "never")])
    await here.says("visit.start", visit("retry"))
    await here.says("visit.finished", {"visit": "V-ann", "mileage": 1})
    await here.passes(MINUTE_MS)
    await here.passes(10 * MINUTE_MS)
    await here.says("visit.finished", {"visit": "V-3"})
    received = {
        "channel": "sms",
        "provider": "twilio_sms",
        "from": "+32470110001",
        "text": "Hello",
        "provider_id": "SM1",
    }
    await here.says("message.received", received, source="providers/twilio_sms/1")
    contact = (await here.deliveries())[0].contact
    await here.says("agent.replied", {"contact": contact, "text": "Yes?", "agent": "per_1"})
    await here.says("conversation.closed", {"contact": contact})
    await here.says("contact.changed", {"contact": ANN})
    await here.says("consent.changed", {"contact": contact, "granted": True, "proof": "said so"})
    text = SEND.replace("visit.start", "visit.other")
    await here.says(
        "definition.uploaded", {"kind": "flow", "name": "send", "version": version_of("flow", text), "text": text}
    )
    await here.says(
        "template.status", {"provider": "whatsapp_cloud", "template": "invite", "language": "en", "state": "paused"}
    )
    undeliverable = [one for one in await here.deliveries() if one.state == "undeliverable"]
    for delivery in undeliverable:
        await here.says("delivery.resend_asked", {"delivery": delivery.id, "contact": delivery.contact})
    [stopped] = [run for run in await here.runs() if run.key == "V-5"]
    await here.says("run.stop_asked", {"run": stopped.id})
    await here.passes(2 * HOUR_MS)
    await here.says("contact.forget_asked", {"contact": contact}, subject=contact)
    for _ in range(12):
        await here.passes(SECOND_MS)
    await here.says("message.received", {**received, "provider_id": "SM2"}, source="providers/twilio_sms/1", id_="late")
    await here.receipt("delivered", "nobody-knows-it-either")
    await here.passes(2 * DAY_MS)


@pytest.fixture(scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], dict[str, str]]:
    """The database after the story; the statements at a start, and those while it played."""
    folder = tmp_path_factory.mktemp("plans")
    starting, playing = Recorder(), Recorder()
    async with line(f"sqlite:///{folder}/beckon.db", folder, STORY) as here:

        async def rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
            """What the test itself wants to know is not what the line asks."""
            with closing(sqlite3.connect(folder / "beckon.db")) as database:
                return database.execute(sql, parameters).fetchall()

        here.rows = rows  # type: ignore[method-assign]
        playing.listen(here.beckon.database.engine)
        # A queue that overflows reads its table again and again.
        here.beckon.queue._window_max = here.beckon.queue._big_window_max = 4
        await play(here)
        await here.close()

        async def listen(self: Any) -> None:
            starting.listen(self.engine)
            await self.engine.open()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(here.beckon.database), "open", listen)
            await here.open()
    return folder / "beckon.db", starting.statements, playing.statements


def plan(database: sqlite3.Connection, sql: str) -> Iterator[str]:
    """The lines of a statement's plan."""
    for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?")):
        yield str(row[3])


def scans(database: sqlite3.Connection, sql: str) -> list[str]:
    """The growing tables that a statement reads from end to end, as its plan says."""
    aliases = {alias: table for table, alias in re.findall(r"\b(?:FROM|JOIN|UPDATE)\s+(\w+)\s+(?:AS\s+)?(\w)\b", sql)}
    found = []
    for text in plan(database, sql):
        scanned = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", text)
        if scanned is not None and aliases.get(scanned[1], scanned[1]) in GROWING and scanned[2] not in ON_ITS_WAY:
            found.append(text)
    return found


async def test_nothing_that_the_line_asks_while_it_turns_reads_a_whole_table(
    played: tuple[Path, dict[str, str], dict[str, str]],
):
    file, _, statements = played
    assert {"fetch", "look up", "write"} == set(statements.values())
    assert len(statements) > 30, "the story does not reach much any more"
    with closing(sqlite3.connect(file)) as database:
        found = {sql: lines for sql in statements if (lines := scans(database, sql))}
    assert found == {}


async def test_a_start_reads_no_whole_table_but_what_is_on_its_way(
    played: tuple[Path, dict[str, str], dict[str, str]],
):
    file, statements, _ = played
    assert len(statements) > 8
    with closing(sqlite3.connect(file)) as database:
        found = {
            sql: lines
            for sql in statements
            if not any(allowed in sql for allowed in AT_START) and (lines := scans(database, sql))
        }
    assert found == {}


async def test_the_next_ready_messages_are_found_without_sorting_all_of_them(
    played: tuple[Path, dict[str, str], dict[str, str]],
):
    file, _, statements = played
    [ready] = [sql for sql in statements if "'ready' AND big = 0" in sql and sql.startswith("SELECT")]
    with closing(sqlite3.connect(file)) as database:
        assert not [text for text in plan(database, ready) if "TEMP B-TREE" in text]


def test_the_check_sees_a_scan():
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, key TEXT)")
        assert scans(database, "SELECT id FROM runs WHERE key = ?")
        assert scans(database, "SELECT id FROM runs ORDER BY id")
        assert scans(database, "SELECT r.id FROM runs r WHERE r.key = ?")
        assert not scans(database, "SELECT key FROM runs WHERE id = ?")
