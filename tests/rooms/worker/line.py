"""A whole line without a socket: two fake channels, a clock that stands still, a store that fails when told to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from beckon.app import Beckon
from beckon.core.clock import VirtualClock
from beckon.core.delivery import Delivery
from beckon.core.errors import Unavailable
from beckon.core.event import Event
from beckon.core.message import Handed, Outbound
from beckon.flows.run import Run
from beckon.messaging.channel import Capabilities
from beckon.settings import ServerSettings
from beckon.store.changes import Changes, Row
from beckon.store.database import Engine, Query

SETTINGS = """\
workspace: main
name: Garage Peeters
channels: [sms, email]
attempts_max: 3
first_delay_ms: 1000
inboxes: {{ service-advisors: {{ title: Service advisors }} }}
{more}"""

#: Says what the event says, to whom it says.
TELL = """\
flow: tell
on: tell.start
key: "{{ event.data.key }}"
steps:
  - send: { text: "{{ event.data.text }}" }
    to: "{{ event.data.contact }}"
"""

#: Events are told apart over restarts too.
_numbers = count(1)

ANN = {"name": "Ann", "phone": "+32470123456", "email": "ann@example.com"}
BOB = {"name": "Bob", "phone": "+32470654321", "email": "bob@example.com"}

#: What a channel does with a message: hand over (None), raise, or wait until somebody says so.
Act = Exception | asyncio.Event | None


class FakeChannel:
    """A channel that does as ``acts`` say, one for each message, and takes every other message."""

    def __init__(self, name: str, provider: str) -> None:
        self.name = name
        self.provider = provider
        self.capabilities = Capabilities(text_max=1_600, receipts=("delivered",))
        self.sent: list[Outbound] = []
        self.acts: list[Act] = []

    async def send(self, message: Outbound) -> Handed:
        self.sent.append(message)
        number = len(self.sent)
        act = self.acts.pop(0) if self.acts else None
        if isinstance(act, asyncio.Event):
            await act.wait()
        elif act is not None:
            raise act
        return Handed(f"{self.provider}-{number}")

    @property
    def texts(self) -> list[str]:
        """The words that were handed over, in order."""
        return [message.rendered.text for message in self.sent]


class Store:
    """The real engine; a call fails, or waits, where a test says so."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: asked before each write: an exception is raised instead of writing.
        self.before_write: Callable[[Sequence[Changes]], Exception | None] = lambda batch: None
        #: asked after each write: an exception is raised though all was written.
        self.after_write: Callable[[Sequence[Changes]], Exception | None] = lambda batch: None
        #: asked before each read.
        self.before_read: Callable[[Sequence[Query]], Exception | None] = lambda queries: None
        #: every write waits for it.
        self.writing: asyncio.Event | None = None
        #: (a piece of SQL, what to wait for): after the read, before its rows are given.
        self.held: tuple[str, asyncio.Event] | None = None
        self.holding = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def open(self) -> None:
        await self._engine.open()

    async def close(self) -> None:
        await self._engine.close()

    async def script(self, sql: str) -> None:
        await self._engine.script(sql)

    async def fetch(self, queries: Sequence[Query]) -> list[list[Row]]:
        return await self._read(queries, self._engine.fetch)

    async def look_up(self, queries: Sequence[Query]) -> list[list[Row]]:
        return await self._read(queries, self._engine.look_up)

    async def _read(self, queries: Sequence[Query], read: Callable[[Sequence[Query]], Any]) -> list[list[Row]]:
        error = self.before_read(queries)
        if error is not None:
            raise error
        rows: list[list[Row]] = await read(queries)
        if self.held is not None and any(self.held[0] in sql for sql, _ in queries):
            (_, until), self.held = self.held, None
            self.holding.set()
            await until.wait()
        return rows

    async def write(self, batch: Sequence[Changes]) -> list[int]:
        if self.writing is not None:
            await self.writing.wait()
        error = self.before_write(batch)
        if error is not None:
            raise error
        counts = await self._engine.write(batch)
        error = self.after_write(batch)
        if error is not None:
            raise error
        return counts


class Line:
    """An opened server and hands to reach it with."""

    def __init__(self, beckon: Beckon, clock: Any, store: Store) -> None:
        self.beckon = beckon
        self.clock = clock
        self.store = store
        self.sms = FakeChannel("sms", "twilio_sms")
        self.email = FakeChannel("email", "smtp")
        self._closed = False

    async def close(self) -> None:
        """Close the server, once."""
        if not self._closed:
            self._closed = True
            await self.beckon.close()

    @property
    def library(self) -> Any:
        """The workspace's library."""
        return self.beckon.workspaces.all()[0]

    def event(self, type_: str, data: Any = None, **more: Any) -> Event:
        """An event, as a door would hand it in."""
        given = {"workspace": "main", "source": "test", "id": f"e{next(_numbers)}", "time_ms": 0, **more}
        return Event(type=type_, data=data, **given)

    async def say(self, type_: str, data: Any = None, **more: Any) -> int:
        """Accept one event, again and again until it is, as a careful source does; its position."""
        event = self.event(type_, data, **more)
        while True:
            try:
                return (await self.beckon.intake.accept([event]))[0].position
            except Unavailable:
                await asyncio.sleep(0)

    async def tell(self, key: str, text: str, contact: Any = ANN) -> None:
        """Have a text sent."""
        await self.say("tell.start", {"key": key, "text": text, "contact": contact})

    async def receipt(self, provider_id: str, state: str, provider: str = "twilio_sms", **more: Any) -> None:
        """A provider's word on a message."""
        fields = {"provider": provider, "provider_id": provider_id, **more}
        id_ = f"{provider_id}:{state}:{next(_numbers)}"
        await self.say(f"message.{state}", fields, source=f"providers/{provider}/1", id=id_)

    async def until(self, holds: Callable[[], Any], why: str = "") -> None:
        """Wait until something holds; fails the test when it never does."""
        for _ in range(150_000):  # five minutes: another process may have the machine
            if holds():
                return
            await asyncio.sleep(0.002)
        raise AssertionError(why or "it never came to that")

    async def rest(self) -> None:
        """Until nothing moves any more at the clock's instant."""
        carrier = self.beckon.carrier
        assert carrier is not None
        await self.until(lambda: self.beckon.wheel.quiet and carrier.quiet, "the line does not come to rest")

    async def later(self, ms: int) -> None:
        """Move the clock, and let the line come to rest."""
        self.clock.drag(ms)
        self.beckon.wake()
        await self.rest()

    async def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """What a table holds."""
        return await self.beckon.database.fetch(sql, parameters)

    async def deliveries(self) -> list[Delivery]:
        """Every delivery, the first one first."""
        rows = await self.rows("SELECT body FROM deliveries ORDER BY created_ms, id")
        return [msgspec.json.decode(str(row[0]), type=Delivery) for row in rows]

    async def runs(self) -> dict[str, Run]:
        """Every run by its key."""
        rows = await self.rows("SELECT body FROM runs")
        runs = [msgspec.json.decode(str(row[0]), type=Run) for row in rows]
        return {run.key: run for run in runs}

    async def entries(self, kind: str) -> list[str]:
        """The bodies of the entries of a kind, in order."""
        rows = await self.rows("SELECT body FROM entries WHERE kind = ? ORDER BY number", kind)
        return [str(row[0]) for row in rows]

    async def events(self, type_: str) -> list[Any]:
        """The data of the journal's events of a type."""
        rows = await self.rows("SELECT data FROM journal WHERE type = ? ORDER BY position", type_)
        return [msgspec.json.decode(str(row[0])) for row in rows]


def write(folder: Path, files: Mapping[str, str], more: str = "") -> None:
    """A workspace's folder."""
    for name, text in {"beckon.yaml": SETTINGS.format(more=more), "flows/tell.yaml": TELL, **files}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@asynccontextmanager
async def line(
    folder: Path,
    database_url: str,
    *,
    files: Mapping[str, str] = {},
    more: str = "",
    clock: Any = None,
    started: bool = True,
    **settings: Any,
) -> AsyncIterator[Line]:
    """A line that turns; ``started`` False: as it is after ``open``, until ``beckon.start()``."""
    write(folder / "main", files, more)
    clock = clock or VirtualClock()
    beckon = Beckon(
        ServerSettings(
            database_url=database_url, workspace=str(folder / "main"), secret_key="the tests' own key", **settings
        ),
        clock=clock,
    )
    store = Store(beckon.database.engine)
    beckon.database.engine = store
    await beckon.open()
    made = Line(beckon, clock, store)
    made.library.channels.update(sms=made.sms, email=made.email)
    try:
        if started:
            beckon.start()
        yield made
    finally:
        made.library.channels.clear()  # they have nothing to close
        await made.close()
