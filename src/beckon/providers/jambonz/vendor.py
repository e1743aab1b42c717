"""The little IO of jambonz as a switch: REST with kept connections."""

from urllib.parse import quote

import msgspec

from beckon.core.errors import Unsupported
from beckon.core.exchange import Connections, Reply, WebhookRequest
from beckon.outbox.connections import PooledConnections
from beckon.providers.jambonz import payloads, webhook
from beckon.providers.jambonz.payloads import NAME
from beckon.providers.jambonz.settings import JambonzSettings
from beckon.providers.provider import base_url, need
from beckon.telephony.documents import Document, Told


class Jambonz:
    """One jambonz account."""

    name = NAME
    fetches = True

    def __init__(self, settings: JambonzSettings, connections: Connections | None = None) -> None:
        need(settings, NAME, "account_sid", "api_key", "webhook_secret", "hook_url")
        self.hook_url = base_url(settings.hook_url)
        self.secret = settings.webhook_secret
        self._settings = settings
        self._own = PooledConnections() if connections is None else None
        self._request = (connections or self._own or PooledConnections()).request
        self._url = f"{base_url(settings.url)}/Accounts/{quote(settings.account_sid)}"
        self._headers = {
            "Authorization": f"Bearer {settings.api_key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "beckon",
        }

    def read(self, request: WebhookRequest, now_ms: int) -> Told:
        """Verify and read a webhook."""
        return webhook.read(request, self._settings, now_ms)

    def render(self, document: Document) -> Reply:
        """The document as verbs."""
        body = msgspec.json.encode(payloads.verbs(document, self._settings))
        return Reply(200, {"content-type": "application/json"}, body)

    def taken(self) -> Reply:
        """Nothing is to be done."""
        return Reply(200, {"content-type": "application/json"}, b"[]")

    async def check(self) -> None:
        """See that the account lets us in."""
        payloads.taken(await self._send("GET", ""))

    async def call(
        self, to: str, *, caller_id: str, caller_name: str, ring_s: float, next_url: str, status_url: str
    ) -> str:
        """Call a phone."""
        body = payloads.call_body(
            to,
            self._settings,
            caller_id=caller_id,
            caller_name=caller_name,
            ring_s=ring_s,
            next_url=next_url,
            status_url=status_url,
        )
        return payloads.made(await self._send("POST", "/Calls", body))

    async def change(self, call: str, document: Document) -> None:
        """Let a call fetch another document."""
        hook = {"url": document.next_url, "method": "POST"}
        payloads.taken(await self._send("PUT", f"/Calls/{quote(call)}", {"call_hook": hook}))

    async def end(self, call: str, *, answered: bool) -> None:
        """End a call."""
        status = "completed" if answered else "no-answer"
        payloads.taken(await self._send("PUT", f"/Calls/{quote(call)}", {"call_status": status}))

    async def lives(self, call: str) -> bool:
        """Whether the call is still there: those that are over are forgotten."""
        reply = await self._send("GET", f"/Calls/{quote(call)}")
        if reply.status != 404:
            payloads.taken(reply)
        return reply.status != 404

    async def record(self, call: str, told_at: str, *, stereo: bool) -> str:
        """It records by SIPREC or into an account's bucket, not by call."""
        raise Unsupported("call.unsupported", "jambonz records nothing for us")

    async def stop_recording(self, call: str, recording: str) -> None:
        """There is none."""

    async def fetch(self, recording: str, path: str) -> str:
        """There is none."""
        raise Unsupported("call.unsupported", "jambonz records nothing for us")

    async def close(self) -> None:
        """Let connections go."""
        if self._own is not None:
            await self._own.close()

    async def _send(self, method: str, path: str, body: payloads.Verb | None = None) -> Reply:
        written = msgspec.json.encode(body) if body is not None else b""
        return await self._request(
            method, self._url + path, headers=self._headers, body=written, timeout_s=self._settings.timeout_s
        )
