"""What tests of the check-in app share: a Beckon that only listens, and a visit to check in for."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.applications import Starlette

from beckon.core.clock import VirtualClock
from beckon.core.errors import BeckonError
from beckon.core.exchange import Reply
from beckon.sandbox.wvp import Config, Visit, Wvp, create

SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.0 Mobile/15E148 Safari/604.1"
)
NOW_MS = 1_795_168_800_000  # Friday, 2026-11-20T11:00+01:00


class Listener:
    """Beckon's intake as the provider sees it: keeps what is posted, and answers as it is told to."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        #: answers to give first: a status, or an error to raise.
        self.script: list[int | BeckonError] = []
        self.tries = 0

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> Reply:
        self.tries += 1
        await asyncio.sleep(0)
        answer = self.script.pop(0) if self.script else 202
        if isinstance(answer, BeckonError):
            raise answer
        if answer < 300:
            self.posted.append(json.loads(body))
            self.headers.append({"url": url, "method": method, **(headers or {})})
        return Reply(answer, {}, b'{"detail": "said no"}')

    def said(self, kind: str) -> list[dict[str, Any]]:
        """The events of this type."""
        return [event for event in self.posted if event["type"] == kind]


class Provider:
    """The app, its clock, and what it told Beckon."""

    def __init__(self, **config: Any) -> None:
        self.listener = Listener()
        self.clock = VirtualClock(NOW_MS)
        self.app: Starlette = create(
            Config(
                **{
                    "events_url": "http://beckon.example/v1/events",
                    "api_key": "bk_test",
                    "connections": self.listener,
                    "clock": self.clock,
                    "key": b"s" * 32,
                    "business_key": "dms-key",
                    "business_phone": "+32 9 123 45 67",
                    "first_retry_s": 0.0,
                    **config,
                }
            )
        )
        self.wvp: Wvp = self.app.state.wvp

    def plan(self, **words: Any) -> Visit:
        """Anna's visit on Wednesday."""
        return self.wvp.plan_visit(
            **{
                "visit": "V-1001",
                "contact": {
                    "name": "Anna Janssens",
                    "phone": "+32470123456",
                    "email": "anna@example.com",
                    "locale": "en",
                    "oem_app": "drv_77",
                },
                "vehicle": {
                    "make": "Aurora",
                    "model": "Estate 2.0",
                    "plate": "1-ABC-234",
                    "year": 2021,
                    "mileage": 42_800,
                },
                "appointment": {
                    "at": "2026-11-25T08:30:00+01:00",
                    "place": "Garage Vermeulen",
                    "street": "Stationsstraat 12",
                    "city": "9000 Gent",
                    "advisor": "Bram De Smet",
                    "work": ["Annual service", "Front brake pads"],
                },
                **words,
            }
        )

    def client(self, **headers: str) -> httpx.AsyncClient:
        """A browser without JavaScript."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app),
            base_url="http://checkin.example",
            headers={"user-agent": SAFARI, **headers},
        )


ANSWERS: dict[str, dict[str, str | list[str]]] = {
    "contact": {"name": "Anna Janssens", "phone": "0470 12 34 57", "email": "anna@example.com"},
    "mileage": {"mileage": "45.300", "unit": "km"},
    "wishes": {"wish": ["wash", "noise"], "note": "Rattles when cold"},
    "key": {"key_drop": "box"},
    "consent": {"terms": "yes", "updates": "yes"},
    "review": {},
}
