"""Each test of the suite runs for every provider that is found, against its twin."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from beckon.core.clock import VirtualClock
from beckon.core.errors import BeckonError
from beckon.core.event import Event
from beckon.core.message import Handed, Outbound, Rendered
from beckon.messaging.channel import Channel, Provider, WebhookReply, WebhookRequest
from beckon.providers.registry import found
from beckon.sandbox.twins import Twins
from beckon.sandbox.twins.party import Party
from tests.contracts.case import Case, cases
from tests.contracts.connections import AppConnections

SANDBOX = "http://sandbox.test"
HOOK = "http://hooks.test/hooks/main/{provider}"


class Stand:
    """One provider before its twin, and our webhook behind it."""

    def __init__(self, name: str) -> None:
        self.case: Case = cases()[name]
        self.provider: Provider = found()[name]
        self.clock = VirtualClock()
        self.connections = AppConnections({"hooks.test": self._hook})
        self.twins = Twins(connections=self.connections, clock=self.clock, webhook_url=HOOK, seed="contract")
        self.twin: Party = self.twins[name]
        self.connections.apps["sandbox.test"] = self.twins.app
        #: what the twin posted, as we saw it
        self.posted: list[WebhookRequest] = []
        self.events: list[Event] = []
        self.refusals: list[BeckonError] = []
        self.closed = False
        self._channels: list[Channel] = []
        self._deliveries = 0

    async def start(self) -> None:
        await self.twin.start()
        self.case.prepare(self.twin)
        self.settings = self.with_settings()
        self.channel = self.open(self.settings)

    async def stop(self) -> None:
        for channel in self._channels:
            if self.provider.close is not None:
                await self.provider.close(channel)
        await self.twin.stop()

    def with_settings(self, **changes: object) -> Any:
        """The settings that point at the twin, with changes."""
        return msgspec.convert({**self.twin.settings(SANDBOX), **changes}, self.provider.settings)

    def open(self, settings: Any, connections: Any = None) -> Channel:
        channel = self.provider.open(settings, connections or self.connections)
        self._channels.append(channel)
        return channel

    def outbound(self, rendered: Rendered | None = None, *, to: str = "", delivery: str = "", **more: Any) -> Outbound:
        if not delivery:
            self._deliveries += 1
            delivery = f"dlv_{self._deliveries:024x}"
        extras = {"address": "http://hooks.test", "workspace": "main", "now_ms": self.clock.now_ms()}
        return Outbound(
            delivery_id=delivery,
            attempt=1,
            to=to or self.case.address,
            rendered=rendered or Rendered(text="Your car is ready.", subject="Your car"),
            extras=extras,
            **more,
        )

    async def send(self, rendered: Rendered | None = None, **more: Any) -> Handed:
        """Hand a message over; where the channel wants it, the person wrote just before."""
        await self.open_window()
        return await self.channel.send(self.outbound(rendered, **more))

    async def open_window(self) -> None:
        if self.channel.capabilities.session_window_s:
            await self.twin.reply(self.case.address, "Hello")
            await self.settle()
            self.events.clear()
            self.posted.clear()

    async def settle(self) -> None:
        await self.twin.settle()

    def read(self, request: WebhookRequest, settings: Any = None) -> WebhookReply:
        assert self.provider.read_webhook is not None
        return self.provider.read_webhook(request, settings or self.settings, "main", self.clock.now_ms())

    def signed(self, body: bytes) -> WebhookRequest:
        """A webhook of the twin's with this body."""
        url = self.twin.webhook_url
        sign = getattr(self.twin, "sign")  # noqa: B009 - every twin has one, in its own party's way
        headers = {name.lower(): value for name, value in sign(url, body, self.clock.now_ms()).items()}
        return WebhookRequest(method="POST", url=url, query={}, headers=headers, body=body)

    def of_type(self, type_: str) -> list[Event]:
        return [event for event in self.events if event.type == type_]

    async def _hook(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        seen = WebhookRequest(
            method=request.method,
            url=str(request.url),
            query=dict(request.query_params),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.body(),
        )
        if self.closed:
            await Response(status_code=503)(scope, receive, send)
            return
        self.posted.append(seen)
        try:
            reply = self.read(seen)
        except BeckonError as error:
            self.refusals.append(error)
            await Response(status_code=400)(scope, receive, send)
            return
        self.events.extend(reply.events)
        await Response(reply.body, reply.status, media_type=reply.content_type)(scope, receive, send)


@pytest.fixture(params=sorted(found()))
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    one = Stand(request.param)
    await one.start()
    yield one
    await one.stop()
    assert not one.refusals, "the twin posted a webhook that the provider refused"


def only(wanted: Callable[[Provider], object]) -> pytest.MarkDecorator:
    """For a test that is about some providers only: those whose capabilities promise it."""
    names = [name for name, provider in sorted(found().items()) if wanted(provider)]
    return pytest.mark.parametrize("stand", names, indirect=True)
