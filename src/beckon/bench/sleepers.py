"""``beckon bench sleepers``: what a million sleeping runs cost: memory, start-up, and the next event.

Two servers side by side on the same machine: one whose tables are empty but for the sleepers that the measurement
itself wakes, one with a million runs asleep. The same load goes to both in turn, in
several rounds; the ratio is the median.
"""

import asyncio
import json
import statistics
import time
from typing import Any

import click
import msgspec

from beckon.bench.place import BODY, FLOW, Place, place
from beckon.core.clock import SystemClock
from beckon.core.contact import Address, Contact
from beckon.core.event import Event
from beckon.flows.advance import Started, advance, begin
from beckon.flows.definition import parse_flow
from beckon.store.changes import Changes
from beckon.store.database import open_database
from beckon.store.tables import ADDRESSES, CONTACTS, RUNS, TIMERS, WAITS

#: Runs asleep until something is said about their visit, thirty days at most.
SLEEPER = """\
flow: sleeper
on: bench.sleep
key: "{{ event.data.visit }}"
steps:
  - wait_for: bench.woken
    match: { visit: "{{ event.data.visit }}" }
    timeout: 30d
    save: woken
    on_timeout: [ { stop: expired } ]
  - send: bench_message
    with: { slug: "{{ woken.data.slug }}", mark: "{{ woken.data.mark }}" }
"""

_WAKE = json.dumps(
    {
        "type": "bench.woken",
        "id": "w%N",
        "source": "https://dms.example/visits",
        "data": {"visit": "S%N", "slug": "c-%N", "mark": "@%N@%T@"},
    },
    separators=(",", ":"),
)
_ROWS = 20_000


def run(*, count: int, as_json: bool, rounds: int = 3, events: int = 4_000) -> dict[str, Any]:
    """Measure, print a table, and with ``as_json`` one object in the last line."""
    with place() as few, place() as many:
        few.start_sink()
        many.sink = few.sink
        for made, sleepers in ((few, rounds * events), (many, max(count, rounds * events))):
            made.write(flow=FLOW)
            (made.folder / "flows" / "sleeper.yaml").write_text(SLEEPER)
            began = time.perf_counter()
            asyncio.run(put_to_sleep(made.database_url, sleepers))
            click.echo(f"{sleepers:,} runs put to sleep in {time.perf_counter() - began:.0f} s", err=True)
        few_start, many_start = few.start_server(), many.start_server()
        starts: list[float] = []
        wakes: list[float] = []
        number = 100_000_000
        for turn in range(rounds):
            for body, ratios, first in ((BODY, starts, number), (_WAKE, wakes, turn * events)):
                costs = {}
                # Who goes first changes from round to round: the machine's noise must not favour one.
                for made in (few, many) if turn % 2 else (many, few):
                    costs[made] = _cost_us(made, body, first, events)
                ratios.append(costs[many] / costs[few])
            number += events
            click.echo(
                f"round {turn + 1}: a new event {starts[-1]:.2f} ×, an event that wakes {wakes[-1]:.2f} ×", err=True
            )
        figures = {
            "sleepers": count,
            "added_mb": round(many.memory_mb() - few.memory_mb(), 1),
            "start_s": round(many_start, 2),
            "start_empty_s": round(few_start, 2),
            "cost_ratio": round(statistics.median(starts), 3),
            "wake_cost_ratio": round(statistics.median(wakes), 3),
            "bytes_per_sleeper": round((many.folder / "beckon.db").stat().st_size / max(count, 1)),
        }
    _print(figures, as_json)
    return figures


def _cost_us(made: Place, body: str, first: int, events: int) -> float:
    """CPU of the server for one event, from the door to the outcome, in µs."""
    before = made.cpu_s()
    made.load(port=made.port, first=first, count=events, seconds=600, connections=64, body=body)
    made.wait_until_idle()
    return (made.cpu_s() - before) / events * 1e6


async def put_to_sleep(url: str, count: int) -> None:
    """Write runs as ``advance`` leaves them when they wait, without playing each: contact, run, wait, timer."""
    database = open_database(url)
    await database.open()
    flow = parse_flow(SLEEPER)
    now = SystemClock().now_ms()
    encode = msgspec.json.Encoder().encode
    for start in range(0, count, _ROWS):
        changes = Changes()
        for number in range(start, min(start + _ROWS, count)):
            contact = Contact(
                id=f"con_s{number}",
                workspace="bench",
                name=f"Sleeper {number}",
                addresses=(Address("whatsapp", f"32480{number:07d}"), Address("sms", f"+32480{number:07d}")),
            )
            event = Event(
                workspace="bench", source="bench", id=f"s{number}", type="bench.sleep", time_ms=now,
                data={"visit": f"S{number}"}, position=0,
            )  # fmt: skip
            run = begin(flow, event, contact, now)
            assert run is not None
            run = advance(flow, run, Started(), now, contact).run
            wait = run.waiting[0]
            changes.insert(CONTACTS, (contact.id, "bench", contact.name, now, encode(contact).decode()))
            for address in contact.addresses:
                changes.insert(ADDRESSES, ("bench", address.channel, address.external_id, contact.id))
            changes.insert(
                RUNS,
                (
                    run.id,
                    "bench",
                    run.flow,
                    run.version,
                    run.key,
                    run.contact,
                    run.status,
                    now,
                    now,
                    encode(run).decode(),
                ),
            )
            changes.insert(WAITS, (wait.keys[0].key, run.id))
            changes.insert(TIMERS, (wait.deadline_ms, "run", run.id))
        await database.commit(changes)
    await database.close()


def _print(figures: dict[str, Any], as_json: bool) -> None:
    for what, figure in (
        ("sleeping runs", f"{figures['sleepers']:,}"),
        ("memory that they add to the server", f"{figures['added_mb']} MB"),
        ("start-up with them", f"{figures['start_s']} s"),
        ("start-up without", f"{figures['start_empty_s']} s"),
        ("an event's CPU, with / without them", f"{figures['cost_ratio']} ×"),
        ("an event that wakes one, with / without", f"{figures['wake_cost_ratio']} ×"),
        ("on disk, contact and all", f"{figures['bytes_per_sleeper']} bytes each"),
    ):
        click.echo(f"{what:<46}{figure:>22}")
    if as_json:
        click.echo(json.dumps(figures))
