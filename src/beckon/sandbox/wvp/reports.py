"""Reports: the provider's events on their way to Beckon, kept and tried again until they are taken.

Each is a CloudEvent in structured mode. Its id is derived from the visit, so that a second try, or a second
tap on "send", is the same event.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from beckon.core import ids
from beckon.core.clock import Clock, iso
from beckon.core.errors import BeckonError, Refused, Unavailable
from beckon.core.exchange import Connections

WAITING_MAX = 5_000
KEPT_MAX = 200
TRIES_MAX = 40
FIRST_DELAY_S = 0.5
DELAY_S_MAX = 60.0


class Report(msgspec.Struct):
    """One event, and how it fares. ``state``: waiting, taken, refused."""

    id: str
    type: str
    body: bytes
    state: str = "waiting"
    tries: int = 0
    why: str = ""


class Reporter:
    """Posts events in order, one at a time. Its task lives only while something waits."""

    def __init__(
        self,
        connections: Connections,
        clock: Clock,
        events_url: Callable[[], str],
        api_key: Callable[[], str],
        source: str,
        first_delay_s: float = FIRST_DELAY_S,
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._events_url = events_url
        self._api_key = api_key
        self._source = source
        self._first_delay_s = first_delay_s
        self._waiting: deque[Report] = deque()
        self._known: set[str] = set()
        #: the last ones, for the sandbox's page and for tests.
        self.kept: deque[Report] = deque(maxlen=KEPT_MAX)
        self._task: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def say(self, kind: str, visit: str, data: dict[str, Any]) -> Report | None:
        """Queue an event about a visit; None where it was said before. Raises ``Unavailable`` when too
        many wait."""
        event_id = ids.derived("evt", self._source, visit, kind)
        if event_id in self._known:
            return None
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable("wvp.full", "Too many reports wait for the other side.", retry_after_s=30)
        self._known.add(event_id)
        report = Report(event_id, kind, self._body(event_id, kind, visit, data))
        self._waiting.append(report)
        self.kept.append(report)
        self._idle.clear()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        return report

    async def settled(self) -> None:
        """Wait until nothing waits."""
        await self._idle.wait()

    async def close(self) -> None:
        """Stop trying; what waits is lost, as the sandbox's memory is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _body(self, event_id: str, kind: str, visit: str, data: dict[str, Any]) -> bytes:
        return msgspec.json.encode(
            {
                "specversion": "1.0",
                "id": event_id,
                "source": self._source,
                "type": kind,
                "time": iso(self._clock.now_ms()),
                "subject": visit,
                "datacontenttype": "application/json",
                "data": data,
            }
        )

    async def _run(self) -> None:
        while self._waiting:
            report = self._waiting[0]
            wait_s = await self._try(report)
            if wait_s is None:
                self._waiting.popleft()
            else:
                await asyncio.sleep(wait_s)
        self._idle.set()

    async def _try(self, report: Report) -> float | None:
        """Post once; how long to wait before the next try, or None when it is settled."""
        report.tries += 1
        try:
            await self._post(report)
        except Unavailable as error:
            report.why = error.why
            if report.tries < TRIES_MAX:
                backoff_s = min(DELAY_S_MAX, self._first_delay_s * 2.0 ** (report.tries - 1))
                return max(backoff_s, min(error.retry_after_s or 0.0, DELAY_S_MAX))
            report.state = "refused"
        except BeckonError as error:
            report.state, report.why = "refused", error.why
        else:
            report.state, report.why = "taken", ""
        return None

    async def _post(self, report: Report) -> None:
        reply = await self._connections.request(
            "POST",
            self._events_url(),
            headers={
                "content-type": "application/cloudevents+json; charset=utf-8",
                "authorization": f"Bearer {self._api_key()}",
            },
            body=report.body,
            timeout_s=10.0,
        )
        if reply.status < 300:
            return
        if reply.status in (408, 425, 429) or reply.status >= 500:
            after = reply.headers.get("retry-after", "")
            raise Unavailable(
                "wvp.unavailable",
                f"The other side answered {reply.status}.",
                retry_after_s=float(after) if after.isdigit() else None,
            )
        said = reply.body[:300].decode("utf-8", "replace")
        raise Refused("wvp.refused", f"The other side answered {reply.status}: {said}")
