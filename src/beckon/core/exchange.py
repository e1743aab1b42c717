"""Exchange: one HTTP request and its answer, as those who send one see it. Who carries it is handed in."""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer: header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connections(Protocol):
    """Outbound HTTP with kept connections, as ``app`` hands it to providers and ``http:`` steps."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
        connect_s: float = 0.0,
    ) -> Reply:
        """One exchange; no redirect is followed. Raises ``Unavailable``, doubtful when the request may have arrived.

        ``connect_s``: how long connecting may take, where that is less; 0: it isn't told apart.
        """
        ...


class WebhookRequest(msgspec.Struct, kw_only=True, frozen=True):
    """What a provider posted to ``/hooks/{provider}``, untouched. ``url`` is the public one, as the provider has it."""

    method: str
    url: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
