"""The little IO of WhatsApp: one POST for each message, with a kept connection."""

import msgspec

from beckon.core.message import Handed, Outbound
from beckon.messaging.channel import Connections
from beckon.providers.provider import base_url, need, unspeakable
from beckon.providers.whatsapp_cloud.payloads import CAPABILITIES, NAME, Settings, build, read_reply


class WhatsAppChannel:
    """One phone number of a WhatsApp Business account."""

    name = "whatsapp"
    provider = NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: Settings, connections: Connections) -> None:
        need(settings, NAME, "phone_number_id", "access_token")
        self._request = connections.request
        self._timeout_s = settings.timeout_s
        # Written once: this is the outbox's hot path.
        self._url = f"{base_url(settings.base_url)}/{settings.version}/{settings.phone_number_id}/messages"
        self._headers = {
            "Authorization": f"Bearer {settings.access_token}",
            "Content-Type": "application/json",
            "User-Agent": "beckon",
        }
        self._encode = msgspec.json.Encoder().encode

    async def send(self, message: Outbound) -> Handed:
        """Hand one message over. Raises one of the four kinds of ``core.errors``."""
        try:
            body = self._encode(build(message))
        except UnicodeEncodeError:
            raise unspeakable(NAME) from None
        reply = await self._request("POST", self._url, headers=self._headers, body=body, timeout_s=self._timeout_s)
        return read_reply(reply)
