"""A place to measure in: a temporary workspace, its key, its server's process, the sink and the load beside it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from beckon.core.clock import SystemClock
from beckon.doors.api.keys import digest, new_token
from beckon.store.changes import Changes
from beckon.store.database import open_database
from beckon.store.migrations import migrate
from beckon.store.tables import API_KEYS

SETTINGS = """\
workspace: bench
name: Bench
channels: [whatsapp]
first_delay_ms: 500
providers:
  whatsapp_cloud:
    base_url: http://127.0.0.1:{sink}
    phone_number_id: "1"
    access_token: bench
    app_secret: bench
    verify_token: bench
"""

FLOW = """\
flow: bench
on: bench.start
key: "{{ event.data.visit }}"
steps:
  - send: bench_message
    to: "{{ event.data.contact }}"
    via: best
    with: { slug: "{{ event.data.slug }}", mark: "{{ event.data.mark }}" }
"""

TEMPLATE = """\
template: bench_message
purpose: transactional
variables:
  slug: { required: true }
  mark: { required: true }
channels:
  whatsapp:
    approved: { name: bench_message, state: approved, languages: { en: en } }
locales:
  en:
    text: "Hello {{ contact.name }}, please check in before your visit. {{ mark }}"
    buttons:
      - text: Check in
        link: "https://check.example/{{ slug }}"
"""

#: What the load generator posts; %N, %C and %T are filled in by it.
BODY = json.dumps(
    {
        "type": "bench.start",
        "id": "e%N",
        "source": "https://dms.example/visits",
        "data": {
            "visit": "V%N",
            "slug": "c-%N",
            "mark": "@%N@%T@",
            "contact": {"name": "Ann %C", "phone": "+324701%C", "locale": "en"},
        },
    },
    separators=(",", ":"),
)


class Place:
    """A running server to measure, and what stands beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.key = ""
        self.port = 0
        self.sink = 0
        self.server: subprocess.Popen[str] | None = None

    def start(self, module: Sequence[str], *, environment: dict[str, str] | None = None) -> "subprocess.Popen[str]":
        """Start a Python process of ours."""
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.processes.append(process)
        return process

    def start_sink(self) -> None:
        """Start the sink and learn its port."""
        process = self.start(["beckon.bench.sink", "0"])
        assert process.stdout is not None
        self.sink = int(process.stdout.readline())

    def start_server(self, *, module: Sequence[str] = ("beckon", "serve"), **settings: str) -> float:
        """Start the server on this place's workspace; the seconds until it answered."""
        self.port = free_port()
        environment = {
            "BECKON_DATABASE_URL": self.database_url,
            "BECKON_WORKSPACE": str(self.folder),
            "BECKON_PORT": str(self.port),
            "BECKON_LOG_LEVEL": "warning",
            **settings,
        }
        started = time.perf_counter()
        self.server = self.start(module, environment=environment)
        wait_for(self.port)
        return time.perf_counter() - started

    def start_echo(self) -> int:
        """Start the yardstick; its port."""
        port = free_port()
        self.start(
            [
                "uvicorn", "beckon.bench.echo:app", "--port", str(port), "--log-level", "warning", "--no-access-log",
                "--loop", "uvloop", "--http", "httptools", "--lifespan", "off",
            ]
        )  # fmt: skip
        wait_for(port)
        return port

    @property
    def database_url(self) -> str:
        return os.environ.get("BECKON_BENCH_DATABASE_URL") or f"sqlite:///{self.folder}/beckon.db"

    def write(self, flow: str = FLOW, template: str = TEMPLATE) -> None:
        """Write the workspace and its key."""
        for name, text in (
            ("beckon.yaml", SETTINGS.format(sink=self.sink)),
            ("flows/bench.yaml", flow),
            ("templates/bench_message.yaml", template),
            ("schemas/bench.nothing.json", '{"type":"object"}'),
        ):
            file = self.folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        self.key = asyncio.run(_make_key(self.database_url))

    def load(self, **job: Any) -> dict[str, Any]:
        """Run the load generator to its end."""
        process = self.start(["beckon.bench.load"])
        given = {"path": "/v1/events", "key": self.key, "expect": "HTTP/1.1 202", "first": 0, "body": BODY, **job}
        out, _ = process.communicate(json.dumps(given), timeout=600)
        if process.returncode:
            raise SystemExit(f"the load generator ended with {process.returncode}")
        answer: dict[str, Any] = json.loads(out)
        if answer["refused"]:
            raise SystemExit(f"{answer['refused']} requests were refused: nothing was measured")
        return answer

    def ask_sink(self, path: str) -> Any:
        """Ask the sink."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.sink}{path}", timeout=60) as reply:
            return json.load(reply)

    def wait_until_idle(self, seconds: float = 300) -> None:
        """Until the server has nothing left to turn or carry."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=60) as reply:
                state = json.load(reply)
            if not state["behind"] and not state["waiting"]:
                return
            time.sleep(0.02)
        raise SystemExit("the server did not come to rest")

    def cpu_s(self) -> float:
        """CPU seconds that the server's process has used."""
        assert self.server is not None
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Resident memory of the server's process, in MB."""
        assert self.server is not None
        for line in Path(f"/proc/{self.server.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop_server(self) -> str:
        """Stop the server cleanly; what it printed last."""
        if self.server is None:
            return ""
        self.server.terminate()
        out, _ = self.server.communicate(timeout=30)
        return out

    def stop(self) -> None:
        """Stop everything."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


@contextmanager
def place() -> Iterator[Place]:
    """A place that leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="beckon-bench-") as folder:
        made = Place(Path(folder))
        try:
            yield made
        finally:
            made.stop()


async def _make_key(url: str) -> str:
    database = open_database(url)
    await database.open()
    await migrate(database)
    token = new_token()
    changes = Changes()
    changes.insert(API_KEYS, (digest(token), "bench", "bench", "events read write", SystemClock().now_ms(), None))
    await database.commit(changes)
    await database.close()
    return token


#: Below those that a system gives to connections that leave: such a port stays free until it is taken on purpose.
_PORTS = range(10_000, 32_000)
_STEP = 7
_ports = count(os.getpid() * 311)


def free_port() -> int:
    """A port that nobody has at the moment, for UDP and TCP, nor the next one; another one each time."""
    for number in _ports:
        port = _PORTS[number * _STEP % len(_PORTS)]
        if all(_is_free(kind, one) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM) for one in (port, port + 1)):
            return port
    raise AssertionError("numbers have no end")


def _is_free(kind: socket.SocketKind, port: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_for(port: int, seconds: float = 300) -> None:
    """Until somebody listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise SystemExit(f"nobody listens on port {port}")
