"""A whole server for one test module: its own thread and loop, a real socket, two workspaces, a fake channel."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn

from beckon.app import Beckon
from beckon.core.clock import Clock
from beckon.core.errors import BeckonError
from beckon.core.message import Handed, Outbound
from beckon.messaging.channel import Capabilities
from beckon.settings import ServerSettings
from beckon.starting import new_key
from beckon.workspaces import Library, open_workspace

T = TypeVar("T")

ALL_SCOPES = "events read write forget definitions"
PHONE = "+32470123456"

SETTINGS = """\
workspace: {workspace}
name: Garage Peeters
channels: [sms, email]
first_delay_ms: 100
inboxes: {{ service-advisors: {{ title: Service advisors }} }}
secrets: {{ partner: not-to-be-seen }}
{more}"""

#: A run that sends, waits, and posts what came.
VISIT_FLOW = """\
flow: visit
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - send: invite
    to: "{{ event.data.contact }}"
    with: { slug: "{{ event.data.slug }}" }
  - wait_for: visit.finished
    match: { visit: "{{ event.data.visit }}" }
    timeout: 24h
    save: result
  - post: { results: "{{ result.data }}" }
  - notify: service-advisors
"""
INVITE = """\
template: invite
purpose: transactional
variables:
  slug: { required: true, example: abc }
  workshop: { default: our workshop }
locales:
  en:
    text: "Hello {{ contact.name }}, check in at {{ workshop }}."
    buttons:
      - { text: Check in, link: "https://check.example/{{ slug }}" }
"""
MAPPING = """\
mapping: partner
source: https://partner.example
language: jsonata
event: |
  { "type": "visit.start", "id": id, "data": { "visit": visit.ref, "slug": visit.link, "contact": customer } }
"""
VISIT_SCHEMA = """\
{
  "type": "object",
  "required": ["visit", "slug", "contact"],
  "properties": {
    "visit": {"type": "string", "minLength": 1, "maxLength": 200},
    "slug": {"type": "string"},
    "mileage": {"type": "integer", "minimum": 0, "maximum": 2000000}
  }
}
"""
FILES = {
    "flows/visit.yaml": VISIT_FLOW,
    "templates/invite.yaml": INVITE,
    "mappings/partner.yaml": MAPPING,
    "schemas/visit.start.json": VISIT_SCHEMA,
    "schemas/visit.finished.json": "{}",
    "schemas/free.said.json": "{}",
}


class FakeChannel:
    """A channel that takes every message, or fails as it was told to."""

    capabilities = Capabilities(text_max=1_600, receipts=("delivered",))

    def __init__(self, name: str, provider: str) -> None:
        self.name = name
        self.provider = provider
        self.sent: list[Outbound] = []
        self.error: BeckonError | None = None

    async def send(self, message: Outbound) -> Handed:
        self.sent.append(message)
        if self.error is not None:
            raise self.error
        return Handed(f"fake-{len(self.sent)}-{message.delivery_id}")


class Served:
    """A running server, and hands to reach it with."""

    def __init__(self, beckon: Beckon, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.beckon = beckon
        self.url = url
        self.sms = FakeChannel("sms", "twilio_sms")
        self._loop = loop
        self._clients: list[httpx.Client] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something on the server's own loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def token(self, scopes: str = ALL_SCOPES, *, workspace: str = "main", label: str = "tests") -> str:
        """A new key."""
        return self.run(new_key(self.beckon.database, workspace, label, scopes))

    def client(self, scopes: str = ALL_SCOPES, *, workspace: str = "main", label: str = "tests") -> httpx.Client:
        """A client with a key of its own."""
        token = self.token(scopes, workspace=workspace, label=label)
        return self.bare_client(headers={"Authorization": f"Bearer {token}"})

    def bare_client(self, headers: Mapping[str, str] | None = None) -> httpx.Client:
        """A client without a key."""
        client = httpx.Client(base_url=self.url, headers=headers, timeout=300, trust_env=False, verify=False)
        self._clients.append(client)
        return client

    def library(self, workspace: str = "main") -> Library:
        """A workspace's library."""
        found = self.beckon.workspaces.get(workspace)
        assert found is not None
        return found

    def settle(self) -> None:
        """Wait until everything is turned and carried: nothing is left to do now."""
        self.run(self._settled())

    async def _settled(self) -> None:
        beckon = self.beckon
        assert beckon.carrier is not None
        for _ in range(60_000):
            await beckon.wheel.settled(beckon.journal.position)
            if beckon.carrier.idle and beckon.wheel.position >= beckon.journal.position:
                return
            await asyncio.sleep(0.005)
        raise AssertionError("the server does not come to rest")

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients:
            client.close()


def write_workspace(folder: Path, workspace: str, more: str = "") -> Path:
    """A workspace's folder."""
    for name, text in {"beckon.yaml": SETTINGS.format(workspace=workspace, more=more), **FILES}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@contextmanager
def serving(
    folder: Path,
    *,
    database_url: str = "",
    clock: Clock | None = None,
    more: str = "",
    body_size_bytes_max: int = 200_000,
    files: Mapping[str, str] = {},
) -> Iterator[Served]:
    """A server with the workspaces ``main`` and ``other``; ``more``: lines for main's settings."""
    write_workspace(folder / "main", "main", more)
    write_workspace(folder / "other", "other")
    for name, text in files.items():
        file = folder / "main" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    settings = ServerSettings(
        database_url=database_url or f"sqlite:///{folder}/beckon.db",
        workspace=str(folder / "main"),
        body_size_bytes_max=body_size_bytes_max,
        batch_events_max=100,
        key_cache_s=0,
        secret_key="the tests' own secret key",
        public_url="https://beckon.example",
    )
    ready = threading.Event()
    outcome: dict[str, Any] = {}

    async def main() -> None:
        beckon = Beckon(settings, clock=clock)
        await beckon.open()
        other = await open_workspace(folder / "other", database=beckon.database, clock=beckon.clock, event_types={})
        other.outside = beckon.workspaces.all()[0].outside
        beckon.workspaces.add(other)
        served = Served(beckon, f"http://127.0.0.1:{port}", asyncio.get_running_loop())
        for library in beckon.workspaces.all():
            library.channels["sms"] = served.sms
        beckon.start()
        config = uvicorn.Config(
            beckon.app, interface="asgi3", lifespan="off", access_log=False, log_level="warning", server_header=False
        )
        server = uvicorn.Server(config)
        outcome.update(served=served, server=server)
        listening.listen(128)  # whoever asks before the server has started waits for it
        ready.set()
        await server.serve(sockets=[listening])
        await beckon.close()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            outcome["error"] = error
        finally:
            ready.set()

    # asyncio answers without delay only where the socket says that it is TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        thread = threading.Thread(target=run, name="served", daemon=True)
        thread.start()
        ready.wait(60)
        if "error" in outcome:
            raise outcome["error"]
        try:
            yield outcome["served"]
        finally:
            outcome["served"].close()
            outcome["server"].should_exit = True
            thread.join(30)
    assert not thread.is_alive(), "the server did not stop"
    if "error" in outcome:
        raise outcome["error"]
