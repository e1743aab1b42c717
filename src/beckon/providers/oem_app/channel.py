"""The little IO of a maker's app: one signed POST for each message, with a kept connection."""

from urllib.parse import quote

from beckon.core.clock import SystemClock
from beckon.core.message import Handed, Outbound
from beckon.messaging.channel import Capabilities, Connections
from beckon.providers.oem_app.dialects import dialect_of
from beckon.providers.oem_app.payloads import NAME, Settings, build, read_reply
from beckon.providers.provider import base_url, need, timed_signature, unspeakable


class OemAppChannel:
    """One dealer's account with one maker."""

    name = "oem_app"
    provider = NAME

    def __init__(self, settings: Settings, connections: Connections) -> None:
        need(settings, NAME, "base_url", "api_key", "signing_key")
        self._settings = settings
        self._dialect = dialect_of(settings)
        self._clock = SystemClock()
        self._request = connections.request
        self.capabilities: Capabilities = self._dialect.can
        self._url = base_url(settings.base_url) + quote(self._dialect.path)
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "beckon",
            self._dialect.key_header: f"{self._dialect.key_prefix}{settings.api_key}",
        }

    async def send(self, message: Outbound) -> Handed:
        """Hand one message over. Raises one of the four kinds of ``core.errors``."""
        try:
            body = build(message, self._dialect)
        except UnicodeEncodeError:
            raise unspeakable(NAME) from None
        given = message.extras.get("now_ms")
        at_ms = given if type(given) is int else self._clock.now_ms()
        headers = {
            **self._headers,
            # The same for every try of this delivery: a partner that knows it shows the message once.
            "Idempotency-Key": message.delivery_id,
            self._dialect.signature_header: timed_signature(self._settings.signing_key, body, at_ms),
        }
        reply = await self._request("POST", self._url, headers=headers, body=body, timeout_s=self._settings.timeout_s)
        return read_reply(reply, self._dialect)
