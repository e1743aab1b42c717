"""The little IO of FCM: one POST for each message, and one an hour for the token that it wants."""

import asyncio

import msgspec

from beckon.core.clock import SystemClock
from beckon.core.errors import Unavailable
from beckon.core.message import Handed, Outbound
from beckon.messaging.channel import Connections
from beckon.providers.fcm.payloads import (
    CAPABILITIES,
    NAME,
    Settings,
    account_of,
    build,
    read_reply,
    read_token,
    token_request,
)
from beckon.providers.provider import base_url, need, unspeakable

#: The token's own request, whatever the messages' limit is.
_TOKEN_TIMEOUT_S = 10.0
#: A token is renewed so long before its end.
_SLACK_MS = 60_000


class FcmChannel:
    """One Firebase project."""

    name = "fcm"
    provider = NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: Settings, connections: Connections) -> None:
        need(settings, NAME, "service_account")
        self._settings = settings
        self._account = account_of(settings)
        self._request = connections.request
        self._clock = SystemClock()
        self._url = f"{base_url(settings.base_url)}/v1/projects/{self._account.project_id}/messages:send"
        self._encode = msgspec.json.Encoder().encode
        self._token = ""
        #: when it was given, and until when it is shown
        self._given_ms = self._until_ms = 0
        self._renewing = asyncio.Lock()

    async def send(self, message: Outbound) -> Handed:
        """Hand one message over. Raises one of the four kinds of ``core.errors``."""
        try:
            body = self._encode(build(message, self._settings))
        except UnicodeEncodeError:
            raise unspeakable(NAME) from None
        given = message.extras.get("now_ms")
        now_ms = given if type(given) is int else self._clock.now_ms()
        token = await self._fresh_token(now_ms)
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "beckon",
        }
        reply = await self._request("POST", self._url, headers=headers, body=body, timeout_s=self._settings.timeout_s)
        if reply.status == 401 and self._token == token:
            self._token = ""  # it was taken back before its time: the next message asks for another
        return read_reply(reply)

    async def _fresh_token(self, now_ms: int) -> str:
        # Many messages wait for one token, and a dragged clock may go either way.
        async with self._renewing:
            if not self._token or not self._given_ms <= now_ms < self._until_ms:
                url, headers, body = token_request(self._account, now_ms)
                try:
                    reply = await self._request("POST", url, headers=headers, body=body, timeout_s=_TOKEN_TIMEOUT_S)
                except Unavailable as error:
                    # No message was on its way yet.
                    raise Unavailable(error.code, error.why, retry_after_s=error.retry_after_s) from None
                token, lasts_s = read_token(reply)
                self._token, self._given_ms = token, now_ms
                self._until_ms = now_ms + max(1_000, lasts_s * 1_000 - _SLACK_MS)
            return self._token
