"""The server is killed with -9 at fifty random moments under load: nothing that was accepted is lost or done twice."""

import asyncio
import json
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from beckon.bench.place import BODY, Place, place

KILLS = 50
CLIENTS = 24
#: A wait in the flow, so that runs sleep and wake across kills as well.
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


class Load:
    """Clients that post events, each again under its own id until it is accepted, as a careful source would."""

    def __init__(self, made: Place) -> None:
        self.made = made
        self.next = 0
        self.accepted: set[int] = set()
        self.stop = False

    async def client(self) -> None:
        while not self.stop:
            number = self.next
            self.next += 1
            while number not in self.accepted:
                try:
                    await self._post_until_broken(number)
                except (OSError, EOFError, asyncio.IncompleteReadError):
                    await asyncio.sleep(0.02)

    async def _post_until_broken(self, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.made.port)
        try:
            while True:
                text = BODY.replace("%N", str(number)).replace("%C", f"{number % 400:05d}").replace("%T", "1")
                writer.write(
                    f"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    f"Authorization: Bearer {self.made.key}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
                )
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                if head.startswith(b"HTTP/1.1 202"):
                    self.accepted.add(number)
                    if self.stop:
                        return
                    number = self.next
                    self.next += 1
                else:
                    await asyncio.sleep(0.05)
        finally:
            writer.close()


async def kill_again_and_again(made: Place, load: Load, moments: random.Random) -> int:
    """Kill and restart; how often the server was killed while it had something in hand."""
    clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
    busy = 0
    for _ in range(KILLS):
        before = len(load.accepted)
        await asyncio.sleep(moments.uniform(0.02, 0.6))
        assert made.server is not None
        made.server.send_signal(signal.SIGKILL)
        made.server.wait(10)
        busy += len(load.accepted) > before
        await asyncio.to_thread(made.start_server)
    await asyncio.sleep(0.3)
    load.stop = True
    await asyncio.wait_for(asyncio.gather(*clients), 60)
    return busy


@pytest.mark.timeout(600)
async def test_nothing_accepted_is_lost_or_done_twice_when_the_server_is_killed_fifty_times() -> None:
    with place() as made:
        made.start_sink()
        await asyncio.to_thread(made.write, flow=FLOW)
        await asyncio.to_thread(made.start_server)
        load = Load(made)
        busy = await kill_again_and_again(made, load, random.Random(20261120))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and _unfinished(made.folder):  # noqa: ASYNC110 - other processes end it
            await asyncio.sleep(0.2)
        await asyncio.to_thread(made.wait_until_idle)
        numbers = {int(number): times for number, times in made.ask_sink("/numbers").items()}
        assert made.server is not None
        made.stop_server()
        assert busy > KILLS // 2, "too few kills fell into the load for this test to mean anything"
        assert len(load.accepted) > 500
        _check(made.folder, load.accepted, numbers)


def _unfinished(folder: Path) -> bool:
    with sqlite3.connect(f"file:{folder}/beckon.db?mode=ro", uri=True) as database:
        open_runs = database.execute("SELECT count(*) FROM runs WHERE status <> 'done'").fetchone()[0]
        queued = database.execute("SELECT count(*) FROM outbox").fetchone()[0]
        return bool(open_runs or queued)


def _check(folder: Path, accepted: set[int], numbers: dict[int, int]) -> None:
    with sqlite3.connect(f"file:{folder}/beckon.db?mode=ro", uri=True) as database:
        journal = [row[0] for row in database.execute("SELECT id FROM journal WHERE type = 'bench.start'")]
        assert len(journal) == len(set(journal)), "an event stands in the journal twice"
        lost = {f"e{number}" for number in accepted} - set(journal)
        assert not lost, f"accepted, but not in the journal: {sorted(lost)[:10]}"

        runs = database.execute("SELECT key, status, body FROM runs").fetchall()
        keys = [key for key, _, _ in runs]
        assert sorted(keys) == sorted({f"V{id_[1:]}" for id_ in journal}), "a run was skipped, or is there twice"
        stuck = [key for key, status, _ in runs if status != "done"]
        assert not stuck, f"not done: {stuck[:10]}"
        for key, _, body in runs:
            steps = [taken["step"] for taken in json.loads(body)["history"]]
            assert len(steps) == len(set(steps)) or steps.count("steps.0") <= 2, f"{key} took a step twice: {steps}"

        deliveries = {}
        for (body,) in database.execute("SELECT body FROM deliveries"):
            delivery = json.loads(body)
            visit = int(delivery["command"]["variables"]["mark"].split("@")[1])
            assert visit not in deliveries, f"V{visit} has two deliveries"
            deliveries[visit] = delivery
        missing = {int(id_[1:]) for id_ in journal} - set(numbers)
        assert not missing, f"never handed over: {sorted(missing)[:10]}"
        twice = {number for number, times in numbers.items() if times > 1}
        unmarked = {number for number in twice if not deliveries[number].get("doubtful")}
        assert not unmarked, f"handed over twice without being marked doubtful: {sorted(unmarked)[:10]}"
        notes = database.execute("SELECT count(*) FROM entries WHERE kind = 'note'").fetchone()[0]
        assert notes == len(runs), "a note was written twice, or not at all"
