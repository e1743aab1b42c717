"""Big work beside everything else: events go before its next piece, messages before what it has still to say."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from beckon.core.event import Event
from beckon.core.message import Outbound
from beckon.journeys.journey import Journey
from beckon.journeys.part import JourneyParts, Turn
from beckon.store.changes import Row
from beckon.store.database import Database
from beckon.store.tables import MARKS
from beckon.workspaces import Library
from tests.rooms.worker.stage import HOUR_MS, SECOND_MS, SEND, Line, line, visit

_DONE = "crowd"

TELL = """\
flow: tell
on: crowd.told
key: "{{ event.data.number }}"
steps:
  - send: { text: "News for {{ event.data.number }}" }
    to: "{{ event.data.contact }}"
    via: sms
"""
ACT = """\
flow: act
on: crowd.told
key: "{{ event.data.number }}"
steps:
  - wait_for: visit.finished
    match: { visit: "{{ event.data.number }}" }
    timeout: 24h
  - send: { text: "Your answer" }
    to: "{{ event.data.contact }}"
    via: sms
"""


SLEEP = """\
flow: sleep
on: crowd.told
key: "{{ event.data.number }}"
steps:
  - wait: 1h
  - send: { text: "Good morning {{ event.data.number }}" }
    to: "{{ event.data.contact }}"
    via: sms
"""
TWICE = """\
flow: twice
on: crowd.told
key: "{{ event.data.number }}"
steps:
  - wait_for: visit.finished
    match: { visit: "{{ event.data.number }}" }
    timeout: 10m
  - wait_for: visit.other
    match: { visit: "{{ event.data.number }}" }
    timeout: 10m
"""


class Crowd:
    """A part that tells a crowd something, a piece at a time; how far it came is a row."""

    name = "crowd"
    types = frozenset({"crowd.asked", "visit.start"})
    timers = frozenset({"crowd"})
    big_timers = timers

    def __init__(self, size: int) -> None:
        self.size = size
        #: what was done, in order: the crowd's numbers, and the other events' ids
        self.order: list[list[int] | str] = []
        #: called within a piece, with its number
        self.on_piece: Callable[[int], None] = lambda number: None
        self.pieces = 0

    async def open(self, database: Database) -> None: ...

    async def load(self, turn: Turn, events: Sequence[Event], timers: Sequence[Row]) -> None:
        rows = await turn.database.fetch("SELECT value FROM marks WHERE name = ?", (_DONE,))
        turn.rooms[self.name] = {"done": int(rows[0][0] or 0) if rows else 0}

    def take(self, turn: Turn, library: Library, event: Event) -> None:
        if event.type == "crowd.asked":
            turn.set_timer(turn.now_ms, "crowd", "all")
        else:
            self.order.append(event.id)

    def fire(self, turn: Turn, due_ms: int, kind: str, subject: str) -> None:
        room = turn.rooms[self.name]
        numbers = list(range(room["done"], min(self.size, room["done"] + min(turn.piece, 5))))
        self.order.append(numbers)
        for number in numbers:
            data = {"number": f"N{number}", "contact": {"sms": f"+3247022{number:04d}"}}
            turn.emitted.append(
                Event(
                    workspace="main", source="beckon/crowd", id=f"told-{number}", type="crowd.told", time_ms=0,
                    data=data, big=True,
                )
            )  # fmt: skip
        room["done"] += len(numbers)
        if room["done"] < self.size:
            turn.set_timer(turn.now_ms, "crowd", "all")
        self.pieces += 1
        self.on_piece(self.pieces)

    def write(self, turn: Turn) -> None:
        turn.changes.upsert(MARKS, (_DONE, turn.rooms[self.name]["done"]))

    def remember(self, turn: Turn) -> None: ...

    def forget(self) -> None: ...

    @property
    def told(self) -> list[int]:
        """Who was told, in order."""
        return [number for one in self.order if isinstance(one, list) for number in one]


@asynccontextmanager
async def crowd_of(
    size: int, url: str, folder: Path, *flows: str, **settings: Any
) -> AsyncIterator[tuple[Line, Crowd, list[JourneyParts]]]:
    """A line with a crowd to be told something."""
    part = Crowd(size)
    parts: list[JourneyParts] = []

    def routes(given: JourneyParts) -> Sequence[Any]:
        parts.append(given)
        return ()

    journey = Journey(
        name="crowd", title="Crowd", folder=Path(__file__).parent, part=lambda: part, routes=routes,
        event_types={"crowd.asked": {}, "crowd.told": {}}, own_types=("crowd.",),
    )  # fmt: skip
    async with line(url, folder, *flows, journeys={"crowd": journey}, **settings) as stage:
        yield stage, part, parts


def to(outbound: Outbound) -> str:
    """A message's text."""
    return outbound.rendered.text


class Held:
    """A channel that keeps what it is given until it is let go."""

    def __init__(self, stage: Line, channel: str = "sms") -> None:
        self.gate = asyncio.Event()
        stage.channels[channel].always = self._wait

    async def _wait(self, message: Outbound) -> str:
        await self.gate.wait()
        return f"sms-{message.delivery_id}-{message.attempt}"


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, however slow the machine is."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - what is looked at is the line's own
            await asyncio.sleep(0.002)


async def test_an_event_that_comes_within_a_piece_is_turned_before_the_next(database_url: str, tmp_path: Path):
    async with crowd_of(60, database_url, tmp_path, SEND) as (stage, part, _):

        def meanwhile(number: int) -> None:
            stage.beckon.intake.accept([stage.event("visit.start", visit(number), id_=f"visit-{number}")])

        part.on_piece = meanwhile
        await stage.says("crowd.asked")
        await stage.quiet()
        assert part.told == list(range(60)), "everybody, once, in order"
        pieces = [index for index, one in enumerate(part.order) if isinstance(one, list)]
        assert len(pieces) == 12
        for number, index in enumerate(pieces, 1):
            assert part.order[index + 1] == f"visit-{number}", part.order


async def test_a_crowd_of_events_goes_before_a_piece_that_was_asked_for_first(database_url: str, tmp_path: Path):
    async with crowd_of(5, database_url, tmp_path, turn_events_max=8) as (stage, part, _):
        asked = [stage.event("crowd.asked")] + [
            stage.event("visit.start", visit(number), id_=f"visit-{number}") for number in range(7)
        ]
        await stage.accept(*asked)
        await stage.quiet()
        assert part.order == [*[f"visit-{number}" for number in range(7)], [0, 1, 2, 3, 4]]


async def test_anothers_message_is_handed_over_before_what_the_crowd_has_still_to_hear(
    database_url: str, tmp_path: Path
):
    async with crowd_of(40, database_url, tmp_path, SEND, TELL, big_in_flight_max=3) as (stage, part, _):
        held = Held(stage)
        await stage.beckon.intake.accept([stage.event("crowd.asked")])
        await until(lambda: len(part.told) == 40 and len(stage.channels["sms"].sent) == 3)
        await stage.beckon.intake.accept([stage.event("visit.start", visit(1))])
        await until(lambda: len(stage.channels["whatsapp"].sent) == 1)
        assert len(stage.channels["sms"].sent) == 3, "the crowd's others wait"
        held.gate.set()
        await stage.quiet()
        assert sorted(stage.channels["sms"].texts()) == sorted(f"News for N{number}" for number in range(40))


async def test_a_providers_limit_is_for_others_first(database_url: str, tmp_path: Path):
    more = "rates: { twilio_sms: 5 }\n"
    contact = {"name": "Ben", "sms": "+32470999999"}
    async with crowd_of(40, database_url, tmp_path, SEND, TELL, more=more) as (stage, part, _):
        await stage.beckon.intake.accept([stage.event("crowd.asked")])
        sms = stage.channels["sms"]
        await until(lambda: len(part.told) == 40 and len(sms.sent) == 4)  # the fifth is left to others
        await stage.beckon.intake.accept([stage.event("visit.start", visit(1, contact))])
        await until(lambda: len(sms.sent) == 5)
        assert to(sms.sent[-1]).startswith("Hello Ben")
        for number in range(2, 5):
            await stage.beckon.intake.accept(
                [stage.event("visit.start", visit(number, {**contact, "sms": f"+3247099{number:04d}"}))]
            )
        await until(lambda: stage.beckon.wheel.position == stage.beckon.journal.position)
        while len(sms.sent) < 44:
            before = len(sms.sent)
            stage.clock.drag(SECOND_MS)
            stage.beckon.wake()
            await until(lambda before=before: len(sms.sent) > before)  # type: ignore[misc]
        texts = sms.texts()
        assert len(texts) == 44
        ours = [index for index, text in enumerate(texts) if text.startswith("Hello")]
        assert ours[0] == 4
        assert max(ours) < 4 + 4 + 5, "the crowd's had what others left"


async def test_whom_big_work_writes_to_reads_their_messages_in_order(database_url: str, tmp_path: Path):
    contact = {"sms": "+32470220030"}
    async with crowd_of(40, database_url, tmp_path, SEND, TELL, big_in_flight_max=2) as (stage, part, _):
        held = Held(stage)
        await stage.beckon.intake.accept([stage.event("crowd.asked")])
        await until(lambda: len(part.told) == 40 and len(stage.channels["sms"].sent) == 2)
        await stage.beckon.intake.accept([stage.event("visit.start", visit(1, contact))])
        # What the crowd was to hear there comes along to the front, and before it.
        await until(lambda: len(stage.channels["sms"].sent) == 3)
        assert to(stage.channels["sms"].sent[2]) == "News for N30"
        held.gate.set()
        await stage.quiet()
        texts = stage.channels["sms"].texts()
        assert len(texts) == 41
        mine = [
            text
            for text, message in zip(texts, stage.channels["sms"].sent, strict=True)
            if message.to == contact["sms"]
        ]
        assert mine[0] == "News for N30"
        assert mine[1].startswith("Hello")


async def test_a_crowd_in_the_table_lets_others_pass_also_after_a_kill(database_url: str, tmp_path: Path):
    async with crowd_of(60, database_url, tmp_path, SEND, TELL, big_in_flight_max=2) as (stage, part, _):
        held = Held(stage)
        stage.beckon.queue._big_window_max = 4
        await stage.beckon.intake.accept([stage.event("crowd.asked")])
        await until(lambda: len(part.told) == 60 and len(stage.channels["sms"].sent) == 2)
        await until(lambda: stage.beckon.wheel.position == stage.beckon.journal.position)
        assert len(stage.beckon.queue._big) <= 4 + 5, "memory does not grow with the crowd"
        contact = {"sms": "+32470220059"}  # the last of the crowd: their news is in the table alone
        await stage.beckon.intake.accept([stage.event("visit.start", visit(1, contact))])
        await until(lambda: len(stage.channels["sms"].sent) == 3)
        assert to(stage.channels["sms"].sent[2]) == "News for N59"
        await stage.crash()
        held.gate.set()
        await stage.open()
        await stage.beckon.intake.accept([stage.event("visit.start", visit(2))])
        await stage.quiet()
        assert part.told == list(range(60))
        texts = stage.channels["sms"].texts()
        assert {text for text in texts if text.startswith("News")} == {f"News for N{number}" for number in range(60)}
        mine = [
            text
            for text, message in zip(texts, stage.channels["sms"].sent, strict=True)
            if message.to == contact["sms"]
        ]
        assert mine[-1].startswith("Hello")
        assert await stage.rows("SELECT count(*) FROM outbox") == [(0,)]


async def test_a_crash_between_two_pieces_repeats_nobody_and_leaves_nobody_out(database_url: str, tmp_path: Path):
    async with crowd_of(60, database_url, tmp_path, TELL) as (stage, part, _):
        stop = asyncio.Event()
        part.on_piece = lambda number: stop.set() if number == 4 else None
        await stage.beckon.intake.accept([stage.event("crowd.asked")])
        await stop.wait()
        await stage.crash()
        part.on_piece = lambda number: None
        await stage.open()
        await stage.quiet()
        told = await stage.events("crowd.told")
        assert sorted(event.id for event in told) == sorted(f"told-{number}" for number in range(60))
        assert len(set(stage.channels["sms"].texts())) == 60


async def test_who_answers_big_work_is_answered_before_the_rest_of_it(database_url: str, tmp_path: Path):
    async with crowd_of(10, database_url, tmp_path, ACT) as (stage, _, _):
        await stage.says("crowd.asked")
        assert [run.big for run in await stage.runs()] == [True] * 10
        assert await stage.rows("SELECT count(*) FROM big_timers") == [(10,)]
        await stage.says("visit.finished", {"visit": "N3"})
        assert [run.key for run in await stage.runs() if not run.big] == ["N3"]
        [delivery] = await stage.deliveries()
        assert delivery.command is not None
        assert not getattr(delivery.command, "big", False)


async def test_many_that_wait_for_the_same_morning_go_on_in_pieces_and_others_between(
    database_url: str, tmp_path: Path
):
    async with crowd_of(100, database_url, tmp_path, SLEEP, SEND, big_in_flight_max=2) as (stage, _, _):
        await stage.says("crowd.asked")
        assert await stage.rows("SELECT count(*) FROM timers") == [(0,)]
        assert await stage.rows("SELECT count(*) FROM big_timers") == [(100,)]
        held = Held(stage)
        stage.clock.drag(HOUR_MS)
        stage.beckon.wake()
        await until(lambda: len(stage.channels["sms"].sent) == 2)
        await stage.beckon.intake.accept([stage.event("visit.start", visit(1))])
        await until(lambda: len(stage.channels["whatsapp"].sent) == 1)
        assert len(stage.channels["sms"].sent) == 2
        held.gate.set()
        await stage.quiet()
        assert await stage.rows("SELECT count(*) FROM big_timers") == [(0,)]
        assert len(set(stage.channels["sms"].texts())) == 100


async def test_who_acts_while_one_of_many_sleeps_has_its_timer_among_the_others(database_url: str, tmp_path: Path):
    async with crowd_of(5, database_url, tmp_path, TWICE) as (stage, _, _):
        await stage.says("crowd.asked")
        await stage.says("visit.finished", {"visit": "N3"})
        assert await stage.rows("SELECT count(*) FROM timers") == [(1,)]
        assert await stage.rows("SELECT count(*) FROM big_timers") == [(4,)]
        await stage.passes(HOUR_MS)
        await stage.passes(HOUR_MS)  # the second wait of those four begins with the end of their first
        assert {run.status for run in await stage.runs()} == {"done"}
        assert await stage.rows("SELECT count(*) FROM timers") == [(0,)]
        assert await stage.rows("SELECT count(*) FROM big_timers") == [(0,)]


async def test_pieces_at_a_door_wait_for_events_and_take_turns_with_timers(database_url: str, tmp_path: Path):
    async with crowd_of(30, database_url, tmp_path) as (stage, part, [parts]):
        seen: list[int] = []

        async def door() -> None:
            for number in range(4):
                async with parts.piece("rows") as size:
                    assert size >= 1
                    assert stage.beckon.wheel.pacer.waits
                    seen.append(number)
                    event = stage.event("visit.start", visit(number), id_=f"row-{number}", big=True)
                    await parts.settle([event])

        working = asyncio.create_task(door())
        await stage.beckon.intake.accept([stage.event("crowd.asked")])
        await working
        await stage.quiet()
        assert seen == [0, 1, 2, 3]
        assert part.told == list(range(30))
        assert not stage.beckon.wheel.pacer.waits


async def test_a_door_that_gives_up_lets_the_next_one_in(database_url: str, tmp_path: Path):
    async with crowd_of(0, database_url, tmp_path) as (_, _, [parts]):
        began = asyncio.Event()

        async def stays() -> None:
            async with parts.piece("rows"):
                began.set()
                await asyncio.Event().wait()

        async def comes() -> int:
            async with parts.piece("rows") as size:
                return size

        first, second, third = (asyncio.create_task(one()) for one in (stays, comes, comes))
        await began.wait()
        second.cancel()
        await asyncio.wait([second])
        assert not third.done()
        first.cancel()
        async with asyncio.timeout(60):
            assert await third >= 1
