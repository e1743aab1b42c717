"""``beckon bench calls``: simultaneous bridged and recorded calls by SIPp, what they cost, and what the switch adds.

SIPp calls and answers in processes of its own, with audio on every leg; a probe beside them measures on one clock how
long the switch has a packet, and how long it takes from a key to the prompt that it causes. All of it shares the cores.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from beckon.bench import sipp
from beckon.bench.place import free_port


def run(*, counts: tuple[int, ...], seconds: float, rounds: int, as_json: bool) -> dict[str, Any]:
    """Measure each number of calls, print a table, and with ``as_json`` one object in the last line."""
    if shutil.which("sipp") is None:
        raise SystemExit("sipp is not installed, and the bench calls with it; on Debian: apt-get install sip-tester")
    found = []
    for count in counts:
        found.append(_measure(count, seconds, rounds))
        _print(found[-1])
    figures = {"calls": found, "cores": os.cpu_count()}
    if as_json:
        click.echo(json.dumps(figures))
    return figures


class _Board:
    """The switchboard's process."""

    def __init__(self, folder: Path, trunks: dict[str, Any], rtp_first: int) -> None:
        settings = {
            "port": 0,
            "open_to": ["127.0.0.0/8"],
            "folder": str(folder / "voice"),
            "trunks": trunks,
            "dial": {"allowed": ["+32"], "calls_per_minute": 100_000},
            "rtp_first": rtp_first,
            "rtp_last": rtp_first + 8_000,
            "legs_max": 2_000,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "beckon.bench.switchboard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ready = self._ask(json.dumps({"settings": settings}))
        self.port: int = ready["port"]
        self.pids: dict[str, int] = {"server": self.process.pid, **ready["pids"]}

    def state(self) -> dict[str, Any]:
        """What the calls have come to."""
        return self._ask("")

    def _ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def until(self, what: str, count: int, seconds: float) -> dict[str, Any]:
        """Wait for so many calls to have come so far."""
        deadline = time.monotonic() + seconds
        while (state := self.state())[what] < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {state[what]} of {count} calls are {what}: {state['refused'][:3]}")
            time.sleep(0.1)
        return state

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def _measure(count: int, seconds: float, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="beckon-bench-") as name, _running() as started:
        folder = Path(name)
        customers, customer = free_port(), free_port()
        trunks = {
            "customers": {"host": "127.0.0.1", "port": customers, "prefixes": ["+32"]},
            "probe": {"host": "127.0.0.1", "port": customer, "prefixes": ["+32470004700"]},
        }
        board = _Board(folder, trunks, 20_000)
        try:
            alone = _probe(board.port, customer, rounds, min(seconds, 5.0))
            before_mb = {name: _memory_mb(pid) for name, pid in board.pids.items()}
            begun_cpu = {name: _cpu_s(pid) for name, pid in board.pids.items()}
            ramp_s = count / sipp.RAMP_PER_S
            hold_s = ramp_s + seconds + rounds * 0.3 + 20
            started(sipp.customers(folder, customers, count))
            callers = started(sipp.callers(folder, board.port, count, hold_s))
            board.until("up", count, ramp_s + 60)
            cpu, began = {name: _cpu_s(pid) for name, pid in board.pids.items()}, time.monotonic()
            time.sleep(seconds / 2)
            wall = time.monotonic() - began
            used = {name: (_cpu_s(pid) - cpu[name]) / wall for name, pid in board.pids.items()}
            memory_mb = {name: _memory_mb(pid) - before_mb[name] for name, pid in board.pids.items()}
            loaded = _probe(board.port, customer, rounds, seconds / 2)
            load = os.getloadavg()[0]
            if board.state()["up"] < count:
                raise SystemExit("calls ended before they were measured")
            if callers.wait(hold_s + 120):
                raise SystemExit(f"SIPp's callers failed ({callers.returncode})")
            # The probe's own two calls are recorded too.
            state = board.until("recorded", count + 2, 60)
            spent = {name: (_cpu_s(pid) - begun_cpu[name]) / count * 1000 for name, pid in board.pids.items()}
        finally:
            board.close()
    lengths = sorted(state["seconds"])[2:]
    completed = sum(length >= hold_s - ramp_s for length in lengths)
    return {
        "count": count,
        "completed": completed,
        "cpu_share_per_call": {name: round(share / count * 100, 4) for name, share in used.items()},
        "cpu_share": {name: round(share * 100, 1) for name, share in used.items()},
        "cpu_ms_per_call_set_up": round(spent["sip"] + spent["server"], 2),
        "memory_kb_per_call": round(sum(memory_mb.values()) * 1024 / count, 1),
        "memory_mb": round(sum(before_mb.values()) + sum(memory_mb.values()), 1),
        "alone": alone,
        "loaded": loaded,
        "load_of_the_machine": round(load, 1),
    }


def _probe(switch: int, customer: int, rounds: int, seconds: float) -> dict[str, float]:
    job = {"switch": switch, "customer": customer, "rounds": rounds, "seconds": seconds}
    done = subprocess.run(
        [sys.executable, "-m", "beckon.bench.probe"],
        input=json.dumps(job),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit("the probe failed")
    out = json.loads(done.stdout)
    instructions, relayed = sorted(out["instructions_ms"]), sorted(out["relayed_ms"])
    return {
        "instruction_p50_ms": round(_part(instructions, 0.5), 2),
        "instruction_p99_ms": round(_part(instructions, 0.99), 2),
        "relay_p50_ms": round(_part(relayed, 0.5), 2),
        # A packet's jitter: how much longer it took than the quickest one.
        "jitter_p99_ms": round(_part(relayed, 0.99) - relayed[0], 2),
        "lost": out["lost"],
    }


def _part(found: list[float], share: float) -> float:
    return found[min(len(found) - 1, int(len(found) * share))]


@contextmanager
def _running() -> Iterator[Any]:
    """Processes that end with what is measured."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp"
        )
        processes.append(process)
        return process

    try:
        yield start
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def _print(figures: dict[str, Any]) -> None:
    alone, loaded, share = figures["alone"], figures["loaded"], figures["cpu_share_per_call"]
    rows = (
        (f"{figures['count']} simultaneous bridged and recorded calls", f"{figures['completed']} completed", ""),
        ("CPU a call: media", f"{share['media']} % of a core", f"{figures['cpu_share']['media']} % together"),
        ("CPU to begin and end a call: SIP, server", f"{figures['cpu_ms_per_call_set_up']} ms", ""),
        ("memory a call", f"{figures['memory_kb_per_call']} KB", f"{figures['memory_mb']} MB together"),
        ("a packet in the switch, p50", f"{loaded['relay_p50_ms']} ms", f"alone {alone['relay_p50_ms']} ms"),
        ("jitter that it adds, p99", f"{loaded['jitter_p99_ms']} ms", f"alone {alone['jitter_p99_ms']} ms"),
        ("packets of the probe lost", f"{loaded['lost']}", f"alone {alone['lost']}"),
        (
            "key → prompt's first packet, p50",
            f"{loaded['instruction_p50_ms']} ms",
            f"alone {alone['instruction_p50_ms']} ms",
        ),
        (
            "key → prompt's first packet, p99",
            f"{loaded['instruction_p99_ms']} ms",
            f"alone {alone['instruction_p99_ms']} ms",
        ),
        ("processes that wanted a core meanwhile", f"{figures['load_of_the_machine']}", "load average"),
    )
    for what, figure, more in rows:
        click.echo(f"{what:<50}{figure:>26}  {more}")
