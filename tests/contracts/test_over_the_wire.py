"""The same over real sockets, with the connections of production: what httpx forgives, HTTP doesn't."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest
import uvicorn

from beckon.core.errors import Unavailable
from beckon.core.message import Outbound, Rendered
from beckon.outbox.connections import PooledConnections
from beckon.providers.registry import found
from beckon.sandbox.twins import Twins
from tests.contracts.conftest import Stand, only

HTTP = only(lambda provider: "base_url" in provider.settings.__struct_fields__)


@pytest.fixture
async def served(stand: Stand) -> AsyncIterator[str]:
    """The twins' app on a port of its own."""
    config = uvicorn.Config(stand.twins.app, port=0, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    running = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await running


@HTTP
async def test_messages_arrive_over_kept_connections(stand: Stand, served: str):
    connections = PooledConnections()
    settings = msgspec.convert(stand.twin.settings(served), stand.provider.settings)
    channel = stand.open(settings, connections)
    await stand.open_window()
    rendered = Rendered(text="Ready ✓ 100 % & é")
    for _ in range(3):
        handed = await channel.send(stand.outbound(rendered))
        assert stand.twin.find(handed.provider_id).text == rendered.text
    await connections.close()


@HTTP
async def test_a_party_that_is_not_there_is_unavailable_and_not_doubtful(stand: Stand, served: str):
    connections = PooledConnections()
    settings = msgspec.convert(stand.twin.settings("http://127.0.0.1:1"), stand.provider.settings)
    with pytest.raises(Unavailable) as error:
        await stand.open(settings, connections).send(stand.outbound(stand.case.template))
    assert not error.value.doubtful
    await connections.close()


@HTTP
async def test_no_answer_in_time_is_doubtful_over_the_wire_too(stand: Stand, served: str):
    connections = PooledConnections()
    settings = msgspec.convert({**stand.twin.settings(served), "timeout_s": 0.1}, stand.provider.settings)
    await stand.open_window()
    stand.twin.faults.slow_ms = 300
    message: Outbound = stand.outbound()
    with pytest.raises(Unavailable) as error:
        await stand.open(settings, connections).send(message)
    assert error.value.doubtful
    assert stand.twin.handed(message.delivery_id) == 1
    await connections.close()


def test_every_provider_with_a_base_url_has_a_mounted_twin():
    twins = Twins(connections=PooledConnections(), clock=Stand("smtp").clock, webhook_url="http://h/{provider}")
    for name, provider in found().items():
        assert bool(twins[name].mount) == (twins[name].app is not None)
        assert twins[name].mount or "base_url" not in provider.settings.__struct_fields__
