"""A server in a process of its own, sources that are careful, and a provider that counts and answers with receipts."""

import asyncio
import hashlib
import hmac
import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from beckon.bench.place import BODY, Place, place
from beckon.store.database import open_database
from tests.rooms.outbox.party import Asked, Party, party, reply

#: A wait in the flow, so that runs sleep and wake across faults as well.
FLOW = """\
flow: bench
on: bench.start
key: "{{ event.data.visit }}"
steps:
  - wait: 300ms
  - send: bench_message
    to: "{{ event.data.contact }}"
    with: { slug: "{{ event.data.slug }}", mark: "{{ event.data.mark }}" }
  - note: "asked"
"""
_MARK = re.compile(rb"@(\d+)@")
#: Messages whose receipts are still to be told: past these each source takes its time, so that receipts stream in
#: beside the events all along, and few are left at the end, however slow the machine is.
_UNTOLD_MAX = 200
_PAUSE_S = 0.15
_BROKEN = (OSError, EOFError, asyncio.IncompleteReadError)


class Wire:
    """One kept connection to the server: a request and its answer at a time."""

    def __init__(self, made: Place) -> None:
        self._made = made
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body. Raises an ``OSError`` or ``EOFError`` when the server is gone."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._made.port)
            reader, writer = self._streams
            lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            return int(head[0].split()[1]), found, await reader.readexactly(int(found["content-length"]))
        except _BROKEN:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class World:
    """Everybody outside the server."""

    def __init__(self, made: Place, *, receipts: bool) -> None:
        self.made = made
        self.party: Party
        self.stop = False
        #: how many statuses other than 202 a source was given, by status
        self.refused: dict[int, int] = {}
        self.retry_after: set[str] = set()
        self.accepted: set[int] = set()
        #: how often the message of each number was handed over
        self.handed: dict[int, int] = {}
        self.confirmed: set[str] = set()
        #: cleared: the provider takes messages and says nothing.
        self.answers = asyncio.Event()
        self.answers.set()
        self._next = 0
        self._receipts = receipts
        self._ids: asyncio.Queue[str] = asyncio.Queue()
        self._chance = random.Random(20261120)
        self._tasks: list[asyncio.Task[None]] = []

    # The provider.

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bytes:
        """Take a message as WhatsApp's Cloud API would."""
        found = _MARK.search(asked.body)
        number = int(found[1]) if found is not None else -1
        self.handed[number] = self.handed.get(number, 0) + 1
        await self.answers.wait()
        id_ = f"wamid.{number}.{self.handed[number]}"
        if self._receipts:
            self._ids.put_nowait(id_)
        return reply(
            json.dumps(
                {"messaging_product": "whatsapp", "contacts": [{"input": "0", "wa_id": "0"}], "messages": [{"id": id_}]}
            ).encode()
        )

    async def _confirm(self) -> None:
        """Tell the server what became of each message: out of order, some twice, each until it was heard."""
        wire = Wire(self.made)
        try:
            while True:
                id_ = await self._ids.get()
                states = ["sent", "delivered", "read"]
                self._chance.shuffle(states)
                for state in (*states, self._chance.choice(states)):
                    await self._tell(wire, id_, state)
                self.confirmed.add(id_)
        finally:
            wire.close()

    async def _tell(self, wire: Wire, id_: str, state: str) -> None:
        status = {"id": id_, "status": state, "timestamp": "1795165200", "recipient_id": "32470100000"}
        value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": "1"}, "statuses": [status]}
        body = json.dumps(
            {
                "object": "whatsapp_business_account",
                "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
            }
        ).encode()
        signature = hmac.new(b"bench", body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
        while True:
            try:
                answered, _, _ = await wire.post("/hooks/bench/whatsapp_cloud", body, headers)
            except _BROKEN:
                answered = 0
            if answered == 200:
                return
            assert answered in (0, 503), f"a receipt was answered with {answered}"
            await asyncio.sleep(0.02)

    # The sources.

    async def _source(self) -> None:
        wire = Wire(self.made)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.made.key}"}
        try:
            while not self.stop:
                if self._ids.qsize() > _UNTOLD_MAX:
                    await asyncio.sleep(_PAUSE_S)
                number = self._next
                self._next += 1
                text = BODY.replace("%N", str(number)).replace("%C", f"{number % 400:05d}").replace("%T", "1")
                while number not in self.accepted:
                    try:
                        status, found, _ = await wire.post("/v1/events", text.encode(), headers)
                    except _BROKEN:
                        await asyncio.sleep(0.02)
                        continue
                    if status == 202:
                        self.accepted.add(number)
                    else:
                        self.refused[status] = self.refused.get(status, 0) + 1
                        self.retry_after.add(found.get("retry-after", ""))
                        await asyncio.sleep(0.05)
        finally:
            wire.close()

    def begin(self, sources: int) -> None:
        """Let them send."""
        self._tasks = [asyncio.create_task(self._source()) for _ in range(sources)]

    async def end(self) -> None:
        """Let each have its last event accepted."""
        self.stop = True
        async with asyncio.timeout(300):
            await asyncio.gather(*self._tasks)

    async def more(self, count: int) -> None:
        """Return when so many more were accepted."""
        wanted = len(self.accepted) + count
        async with asyncio.timeout(300):
            while len(self.accepted) < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def finished(self) -> None:
        """Return when no run is under way and nothing is left to carry out."""
        database = open_database(self.made.database_url)
        await database.open()
        try:
            async with asyncio.timeout(300):
                while True:
                    [(runs,)] = await database.fetch("SELECT count(*) FROM runs WHERE status <> 'done'")
                    [(rows,)] = await database.fetch("SELECT count(*) FROM outbox")
                    if not runs and not rows:
                        return
                    await asyncio.sleep(0.1)
        finally:
            await database.close()

    async def all_confirmed(self) -> None:
        """Return when the server has heard of every message's receipts."""
        async with asyncio.timeout(120):
            while len(self.confirmed) < sum(self.handed.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def world(*, receipts: bool = False, flow: str = FLOW) -> AsyncIterator[World]:
    """A place with its workspace written, its provider up and its server started; nothing is left behind."""
    with place() as made:
        here = World(made, receipts=receipts)
        async with party(here.answer) as here.party:
            made.sink = here.party.port
            await asyncio.to_thread(made.write, flow=flow)
            await asyncio.to_thread(made.start_server)
            confirming = [asyncio.create_task(here._confirm()) for _ in range(4 if receipts else 0)]
            try:
                yield here
            finally:
                left = [*here._tasks, *confirming]
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)
