"""``beckon bench events``: what an event costs, from the door to the outcome, against a bare echo in the same run.

Load generator and sink run in processes of their own on the same cores. Each phase is measured in turn with the echo,
several rounds, and the ratio is the median of the rounds: the machine may be noisy, its noise hits both.
"""

import json
import statistics
import time
from typing import Any

import click

from beckon.bench.place import BODY, Place, place

NOTHING = BODY.replace("bench.start", "bench.nothing")


def run(*, seconds: float, connections: int, rounds: int, as_json: bool) -> dict[str, Any]:
    """Measure, print a table, and with ``as_json`` one object in the last line."""
    with place() as made:
        made.start_sink()
        made.write()
        made.start_server()
        echo_port = made.start_echo()
        figures = _measure(made, echo_port, seconds, connections, rounds)
        made.stop_server()
        made.start_server(module=("beckon.bench.sampled",))
        shares = _shares(made, round(figures["events_per_s"] * seconds), connections)
        _print(figures, shares, as_json)
        return figures


def _shares(made: Place, count: int, connections: int) -> dict[str, float]:
    """Where the loop's thread is found while events go all the way, in parts of the time that it works."""
    made.load(port=made.port, first=500_000_000, count=max(count, 1_000), seconds=600, connections=connections)
    made.wait_until_idle()
    found: dict[str, int] = json.loads(made.stop_server().splitlines()[-1])
    found.pop("waiting, or in the event loop", None)
    total = sum(found.values()) or 1
    return {room: samples / total for room, samples in sorted(found.items(), key=lambda pair: -pair[1])}


def _measure(made: Place, echo_port: int, seconds: float, connections: int, rounds: int) -> dict[str, Any]:
    shape = {"connections": connections, "seconds": seconds, "count": 10_000_000}
    number = 0
    made.load(port=made.port, first=number, connections=8, seconds=1, count=2_000)  # warm caches and prepared SQL
    made.wait_until_idle()
    number = 1_000_000
    echoes: list[float] = []
    accepts: list[float] = []
    events: list[float] = []
    cpus: list[float] = []
    for turn in range(rounds):
        echo = made.load(port=echo_port, path="/", key="", expect="HTTP/1.1 200", **shape)
        echoes.append(echo["answered"] / echo["seconds"])
        done = made.load(port=made.port, first=number, body=NOTHING, **shape)
        accepts.append(done["answered"] / done["seconds"])
        number = done["next"]
        made.wait_until_idle()
        # As many events as the rate so far says fit into the time: all of them must come through.
        count = int(max(2_000, (events[-1] if events else echoes[-1] * 0.12) * seconds))
        before, cpu = made.ask_sink("/count")["count"], made.cpu_s()
        started = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        done = made.load(port=made.port, first=number, **{**shape, "count": count, "seconds": 600})
        number = done["next"]
        made.wait_until_idle()
        after = made.ask_sink("/count")
        if after["count"] - before != done["answered"] or after["twice"]:
            raise SystemExit(
                f"{done['answered']} events, but {after['count'] - before} messages, {after['twice']} twice"
            )
        # Without the generator's own start-up: from its first request until the last message was handed over.
        took = (after["last_ns"] - max(started, done["started_ns"])) / 1e9
        events.append(count / took)
        cpus.append((made.cpu_s() - cpu) / count * 1e6)
        click.echo(
            f"round {turn + 1}: echo {echoes[-1]:,.0f}/s   accept {accepts[-1]:,.0f}/s   "
            f"end to end {events[-1]:,.0f}/s",
            err=True,
        )
    made.ask_sink("/latencies")
    rate = statistics.median(events) / 2
    paced = made.load(port=made.port, first=number, per_second=rate, connections=connections, seconds=seconds)
    made.wait_until_idle()
    latencies = sorted(made.ask_sink("/latencies"))
    return {
        "events_per_s": round(statistics.median(events)),
        "accept_per_s": round(statistics.median(accepts)),
        "echo_per_s": round(statistics.median(echoes)),
        "end_to_end_ratio": round(statistics.median([e / b for e, b in zip(events, echoes, strict=True)]), 3),
        "accept_ratio": round(statistics.median([a / b for a, b in zip(accepts, echoes, strict=True)]), 3),
        "p50_ms": round(latencies[len(latencies) // 2] / 1000, 2),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] / 1000, 2),
        "paced_per_s": round(paced["answered"] / paced["seconds"]),
        "cpu_us_per_event": round(statistics.median(cpus), 1),
        "connections": connections,
        "rounds": rounds,
        "memory_mb": round(made.memory_mb(), 1),
    }


def _print(figures: dict[str, Any], shares: dict[str, float], as_json: bool) -> None:
    rows = (
        ("bare JSON echo, same ASGI server", f"{figures['echo_per_s']:,} requests/s", "1"),
        (
            "accept alone (202 after a durable commit)",
            f"{figures['accept_per_s']:,} events/s",
            f"{figures['accept_ratio']}",
        ),
        (
            "accepted → flow → channel → HTTP → outcome",
            f"{figures['events_per_s']:,} events/s",
            f"{figures['end_to_end_ratio']}",
        ),
        ("event → message at the provider, p50", f"{figures['p50_ms']} ms", f"at {figures['paced_per_s']:,}/s"),
        ("event → message at the provider, p99", f"{figures['p99_ms']} ms", ""),
        ("CPU of the server", f"{figures['cpu_us_per_event']} µs/event", ""),
        ("memory of the server", f"{figures['memory_mb']} MB", ""),
    )
    for what, figure, ratio in rows:
        click.echo(f"{what:<46}{figure:>22}  {ratio}")
    click.echo("where the loop's time goes (samples in a run of its own)")
    for room, share in shares.items():
        click.echo(f"    {room:<42}{share:>20.0%}")
    if as_json:
        click.echo(json.dumps(figures))
