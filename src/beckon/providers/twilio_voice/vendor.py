"""The little IO of Twilio as a switch: REST with kept connections, recordings into files."""

import asyncio
import re
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote, urlencode

from beckon.core.errors import Refused
from beckon.core.exchange import Connections, Reply, WebhookRequest
from beckon.outbox.connections import PooledConnections
from beckon.outbox.downloads import download
from beckon.providers.provider import base_url, need
from beckon.providers.twilio_voice import payloads, webhook
from beckon.providers.twilio_voice.payloads import NAME
from beckon.providers.twilio_voice.settings import TwilioVoiceSettings
from beckon.telephony.documents import Document, Told

_SID = re.compile(r"[A-Za-z0-9]{2,64}", re.ASCII)
_OVER = ("completed", "busy", "no-answer", "canceled", "failed")


class Twilio:
    """One Twilio account."""

    name = NAME
    fetches = False

    def __init__(self, settings: TwilioVoiceSettings, connections: Connections | None = None) -> None:
        need(settings, NAME, "account_sid", "auth_token", "hook_url")
        self.hook_url = base_url(settings.hook_url)
        self.secret = settings.auth_token
        self._settings = settings
        self._own = PooledConnections() if connections is None else None
        self._request = (connections or self._own or PooledConnections()).request
        self._url = f"{base_url(settings.base_url)}/2010-04-01/Accounts/{quote(settings.account_sid)}"
        user, password = settings.account_sid, settings.auth_token
        if settings.api_key_sid:
            user, password = settings.api_key_sid, settings.api_key_secret
        self._authorization = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {
            "Authorization": self._authorization,
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "User-Agent": "beckon",
        }

    def read(self, request: WebhookRequest, now_ms: int) -> Told:
        """Verify and read a webhook."""
        return webhook.read(request, self._settings)

    def render(self, document: Document) -> Reply:
        """The document as TwiML."""
        return Reply(200, {"content-type": "text/xml"}, payloads.twiml(document, self._settings))

    def taken(self) -> Reply:
        """An empty document."""
        return Reply(200, {"content-type": "text/xml"}, payloads.EMPTY)

    async def check(self) -> None:
        """See that the account lets us in."""
        payloads.made(await self._send("GET", ".json"))

    async def call(
        self, to: str, *, caller_id: str, caller_name: str, ring_s: float, next_url: str, status_url: str
    ) -> str:
        """Call a phone."""
        form = payloads.call_form(
            to, self._settings, caller_id=caller_id, ring_s=ring_s, next_url=next_url, status_url=status_url
        )
        return payloads.made(await self._send("POST", "/Calls.json", form)).sid

    async def change(self, call: str, document: Document) -> None:
        """Let a call follow another document."""
        form = urlencode({"Twiml": payloads.twiml(document, self._settings)}).encode()
        payloads.made(await self._send("POST", f"/Calls/{quote(call)}.json", form))

    async def end(self, call: str, *, answered: bool) -> None:
        """End a call; one that still rings, too."""
        payloads.made(await self._send("POST", f"/Calls/{quote(call)}.json", b"Status=completed"))

    async def lives(self, call: str) -> bool:
        """Whether the call is still there."""
        reply = await self._send("GET", f"/Calls/{quote(call)}.json")
        return reply.status != 404 and payloads.made(reply).status not in _OVER

    async def record(self, call: str, told_at: str, *, stereo: bool) -> str:
        """Record a call."""
        form = payloads.recording_form(told_at, stereo=stereo)
        return payloads.made(await self._send("POST", f"/Calls/{quote(call)}/Recordings.json", form)).sid

    async def stop_recording(self, call: str, recording: str) -> None:
        """End a recording."""
        path = f"/Calls/{quote(call)}/Recordings/{quote(recording) or 'Twilio.CURRENT'}.json"
        payloads.made(await self._send("POST", path, b"Status=stopped"))

    async def fetch(self, recording: str, path: str) -> str:
        """Put a recording into this file; its URL is ours to make, whatever a webhook says."""
        if not _SID.fullmatch(recording):
            raise Refused(f"{NAME}.recording", "the recording has no id")
        url = f"{self._url}/Recordings/{recording}.wav"
        if not path:
            return url
        size_max = self._settings.recording_size_bytes_max
        await asyncio.to_thread(download, f"{url}?RequestedChannels=2", self._authorization, Path(path), size_max)
        return path

    async def close(self) -> None:
        """Let connections go."""
        if self._own is not None:
            await self._own.close()

    async def _send(self, method: str, path: str, body: bytes = b"") -> Reply:
        return await self._request(
            method, self._url + path, headers=self._headers, body=body, timeout_s=self._settings.timeout_s
        )
