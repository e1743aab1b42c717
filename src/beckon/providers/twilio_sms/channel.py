"""The little IO of SMS: one form post for each message, with a kept connection."""

from base64 import b64encode
from urllib.parse import quote

import msgspec

from beckon.core.errors import Misconfigured
from beckon.core.message import Handed, Outbound
from beckon.messaging.channel import Connections
from beckon.providers.provider import base_url, need, unspeakable
from beckon.providers.twilio_sms.payloads import CAPABILITIES, NAME, Settings, build, read_reply


class TwilioChannel:
    """One Twilio account and its sender."""

    name = "sms"
    provider = NAME

    def __init__(self, settings: Settings, connections: Connections) -> None:
        need(settings, NAME, "account_sid", "auth_token")
        if not settings.from_number and not settings.messaging_service_sid:
            raise Misconfigured(f"{NAME}.settings", "set from_number or messaging_service_sid", field="from_number")
        self.capabilities = (
            msgspec.structs.replace(CAPABILITIES, media=("image", "video", "audio")) if settings.mms else CAPABILITIES
        )
        self._settings = settings
        self._request = connections.request
        self._url = f"{base_url(settings.base_url)}/2010-04-01/Accounts/{quote(settings.account_sid)}/Messages.json"
        user, password = settings.account_sid, settings.auth_token
        if settings.api_key_sid:
            user, password = settings.api_key_sid, settings.api_key_secret
        self._headers = {
            "Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "User-Agent": "beckon",
        }

    async def send(self, message: Outbound) -> Handed:
        """Hand one message over. Raises one of the four kinds of ``core.errors``."""
        try:
            body = build(message, self._settings)
        except UnicodeEncodeError:
            raise unspeakable(NAME) from None
        reply = await self._request(
            "POST", self._url, headers=self._headers, body=body, timeout_s=self._settings.timeout_s
        )
        return read_reply(reply)
