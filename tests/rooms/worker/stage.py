"""A stage for the whole line: a server without a socket, a clock that stands still, and channels in memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from beckon.app import Beckon
from beckon.core.clock import VirtualClock
from beckon.core.delivery import Delivery
from beckon.core.errors import BeckonError
from beckon.core.event import Event
from beckon.core.message import Handed, Outbound
from beckon.flows.run import Run, decode_run
from beckon.intake.accept import Accepted
from beckon.intake.journal import event_from
from beckon.journeys.journey import Journey
from beckon.messaging.channel import Capabilities
from beckon.settings import ServerSettings
from beckon.telephony.switch import SwitchOffer
from beckon.workspaces import Library

NOW_MS = 1_795_165_200_000  # 2026-11-20T09:00:00Z, a Friday
SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
#: In real time: nothing here takes that long, so that who waits longer waits for ever.
_PATIENCE_S = 300

SETTINGS = """\
workspace: main
name: Garage Peeters
time_zone: Europe/Brussels
region: BE
attempts_max: 3
first_delay_ms: 2000
inboxes: { service-advisors: { title: Service advisors } }
allowed_hosts: [127.0.0.1]
"""
INVITE = """\
template: invite
purpose: transactional
variables:
  slug: { default: none }
locales:
  en: { text: "Hello {{ contact.first_name }}, check in: {{ slug }}" }
channels:
  whatsapp:
    approved: { name: invite, state: approved, languages: { en: en } }
"""
#: Event types that tests use without a schema.
TYPES = ("visit.start", "visit.finished", "visit.other")

CAPABILITIES = {
    "oem_app": ("oem_app", Capabilities(text_max=4_000, link_buttons=3, receipts=("delivered", "read"))),
    "whatsapp": (
        "whatsapp_cloud",
        Capabilities(text_max=4_096, templates=True, session_window_s=86_400, receipts=("delivered", "read")),
    ),
    "sms": ("twilio_sms", Capabilities(text_max=1_600, receipts=("delivered",))),
    "email": ("smtp", Capabilities(text_max=100_000, html=True)),
}

#: One answer of a channel: an error to raise, what it calls the message, or what to await first.
Answer = BeckonError | str | Callable[[Outbound], Awaitable[str]]


class FakeChannel:
    """A channel in memory: takes every message, or answers as it was told, one answer for each send."""

    def __init__(self, name: str, line: "Line") -> None:
        self.name = name
        self.provider, self.capabilities = CAPABILITIES[name]
        self._line = line
        self.sent: list[Outbound] = []
        self.answers: deque[Answer] = deque()
        #: what it answers when nothing else is said; None: it takes the message.
        self.always: Answer | None = None
        #: messages that are being handed over, and the most at once
        self.busy: list[str] = []
        self.busy_max = 0

    async def send(self, message: Outbound) -> Handed:
        self.sent.append(message)
        self._line.handed.append((self.name, message))
        assert message.to not in self.busy, "two messages to one address at once"
        self.busy.append(message.to)
        self.busy_max = max(self.busy_max, len(self.busy))
        try:
            answer = self.answers.popleft() if self.answers else self.always
            if isinstance(answer, BeckonError):
                raise answer
            if callable(answer):
                answer = await answer(message)
            return Handed(answer or f"{self.name}-{message.delivery_id}-{message.attempt}")
        finally:
            self.busy.remove(message.to)

    def texts(self) -> list[str]:
        """What it was given to say, in order."""
        return [message.rendered.text for message in self.sent]


class Line:
    """The server, over a database that outlives it."""

    def __init__(
        self,
        url: str,
        folder: Path,
        clock: VirtualClock,
        journeys: Mapping[str, Journey] | None = None,
        switches: Mapping[str, SwitchOffer] | None = None,
        **settings: Any,
    ) -> None:
        self.journeys = journeys
        self.switches = switches
        self.settings = ServerSettings(
            database_url=url, workspace=str(folder), secret_key="the tests' own", **{"drain_s": 5, **settings}
        )
        self.clock = clock
        #: (channel, message) in the order in which they were handed over, over all channels and restarts
        self.handed: list[tuple[str, Outbound]] = []
        self.channels = {name: FakeChannel(name, self) for name in CAPABILITIES}
        self.beckon: Beckon
        #: False: something is left under way on purpose when the test ends
        self.rests = True
        self._said = 0

    # The server's life.

    async def open(self, *, start: bool = True) -> None:
        """Open, with the channels in memory; ``start``: turn and carry."""
        self.beckon = Beckon(self.settings, clock=self.clock, journeys=self.journeys, switches=self.switches)
        await self.beckon.open()
        self.library.channels.update(self.channels)
        if start:
            self.beckon.start()

    async def close(self) -> None:
        """End in good order."""
        await self.beckon.close()

    async def crash(self) -> None:
        """End as a kill would: nothing is finished, nothing more is written."""
        beckon = self.beckon
        assert beckon.carrier is not None
        tasks = [*beckon._running, *beckon.carrier._tasks]
        for task in (beckon.carrier.outcomes.taking, beckon.intake._flushing, beckon.database._writing):
            if task is not None:
                tasks.append(task)
        left = set(tasks)
        while left:  # one that is just being woken may not hear of it the first time
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=0.05)
        await beckon.connections.close()
        await beckon.database.engine.close()

    async def restart(self) -> None:
        """Close, and open anew."""
        await self.close()
        await self.open()

    @property
    def library(self) -> Library:
        found = self.beckon.workspaces.get("main")
        assert found is not None
        return found

    # What happens.

    def event(self, type_: str, data: Any = None, *, id_: str = "", source: str = "test", **more: Any) -> Event:
        """An event as a door would hand it in; each has an id of its own unless one is given."""
        self._said += 1
        return Event(
            workspace="main", source=source, id=id_ or f"e{self._said}", type=type_,
            time_ms=more.pop("time_ms", self.clock.now_ms()), data={} if data is None else data, **more,
        )  # fmt: skip

    async def accept(self, *events: Event) -> list[Accepted]:
        """Accept these together, and let the line come to rest."""
        answers = list(await self.beckon.intake.accept(events))
        await self.quiet()
        return answers

    async def says(self, type_: str, data: Any = None, **more: Any) -> Accepted:
        """One event; the line comes to rest."""
        return (await self.accept(self.event(type_, data, **more)))[0]

    async def receipt(self, state: str, provider_id: str, *, channel: str = "whatsapp", **more: Any) -> None:
        """A provider's word on a message."""
        provider = CAPABILITIES[channel][0]
        fields = {"provider": provider, "provider_id": provider_id}
        for name in ("code", "why"):
            if name in more:
                fields[name] = more.pop(name)
        more.setdefault("id_", f"{provider_id}.{state}")
        await self.accept(self.event(f"message.{state}", fields, source=f"providers/{provider}/1", **more))

    async def passes(self, by_ms: int) -> None:
        """Time passes, and all that is due happens."""
        self.clock.drag(by_ms)
        self.beckon.wake()
        await self.quiet()

    async def quiet(self) -> None:
        """Return when nothing is left to do now. Fails when there is no end."""
        beckon = self.beckon
        assert beckon.carrier is not None
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                await beckon.wheel.settled(beckon.journal.position)
                await asyncio.sleep(0)
                if beckon.wheel.quiet and beckon.carrier.quiet:
                    return
                await asyncio.sleep(0.001)

    # What came of it.

    async def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        return await self.beckon.database.fetch(sql, parameters)

    async def runs(self) -> list[Run]:
        """Every run, the oldest first."""
        return [decode_run(str(row[0])) for row in await self.rows("SELECT body FROM runs ORDER BY created_ms, id")]

    async def run(self) -> Run:
        """The one run that there is."""
        [found] = await self.runs()
        return found

    async def deliveries(self) -> list[Delivery]:
        """Every delivery, the oldest first."""
        decode = msgspec.json.Decoder(Delivery).decode
        rows = await self.rows("SELECT body FROM deliveries ORDER BY created_ms, id")
        return [decode(str(row[0])) for row in rows]

    async def delivery(self) -> Delivery:
        """The one delivery that there is."""
        [found] = await self.deliveries()
        return found

    async def entries(self, kind: str = "") -> list[dict[str, Any]]:
        """The conversations' entries in order, their kind among their fields."""
        rows = await self.rows("SELECT kind, author, body FROM entries ORDER BY number")
        return [
            {"kind": row[0], "author": row[1], **msgspec.json.decode(str(row[2]))}
            for row in rows
            if kind in ("", row[0])
        ]

    async def events(self, type_: str) -> list[Event]:
        """The journal's events of this type."""
        rows = await self.rows(
            "SELECT position, workspace, source, id, type, subject, time_ms, accepted_ms, depth, data FROM journal"
            " WHERE type = ? ORDER BY position",
            type_,
        )
        return [event_from(row) for row in rows]

    async def waiting(self) -> dict[str, int]:
        """How many rows are left in the tables of what is still to come."""
        found = {}
        for table in ("waits", "timers", "outbox"):
            [(count,)] = await self.rows(f"SELECT count(*) FROM {table}")
            found[table] = int(count)
        return found


def write(folder: Path, flows: Sequence[str] = (), files: Mapping[str, str] | None = None, more: str = "") -> None:
    """Write a workspace: its settings (``more``: further lines), these flows, and other files by name."""
    given = {
        "beckon.yaml": SETTINGS + more,
        "templates/invite.yaml": INVITE,
        **{f"schemas/{type_}.json": "{}" for type_ in TYPES},
        **{f"flows/flow{number}.yaml": flow for number, flow in enumerate(flows)},
        **(files or {}),
    }
    for name, text in given.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@asynccontextmanager
async def line(
    url: str,
    folder: Path,
    *flows: str,
    files: Mapping[str, str] | None = None,
    more: str = "",
    journeys: Mapping[str, Journey] | None = None,
    switches: Mapping[str, SwitchOffer] | None = None,
    **settings: Any,
) -> AsyncIterator[Line]:
    """A line over these flows; closed in the end, unless the test has done so itself."""
    workspace = folder / "workspace"
    write(workspace, flows, files, more)
    made = Line(url, workspace, VirtualClock(NOW_MS), journeys, switches, **settings)
    await made.open()
    try:
        yield made
        if made.rests:
            await made.quiet()
    finally:
        await made.close()


ANN = {"name": "Ann Peters", "phone": "+32470123456", "email": "ann@example.com", "locale": "en"}
#: A contact's address on WhatsApp alone, or by SMS alone, and so on.
BY_SMS = {"name": "Ben", "sms": "+32470999999"}


def visit(number: int | str = 1, contact: Any = None, **more: Any) -> dict[str, Any]:
    """An event's data about a visit."""
    return {"visit": f"V-{number}", "contact": ANN if contact is None else contact, **more}


SEND = """\
flow: send
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - send: invite
    with: { slug: "{{ event.data.visit }}" }
"""
