"""A stage for calls: a runner over a switch in memory, an outside that is scripted, and a virtual clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from beckon.core.clock import VirtualClock
from beckon.core.errors import Misconfigured
from beckon.core.exchange import Reply
from beckon.journeys.call_processing import DIALECTS
from beckon.telephony.call import About, Call, CallRecord
from beckon.telephony.calls import Calls, Chosen
from beckon.telephony.fake_switch import FakeSwitch
from beckon.telephony.orders import Ask
from beckon.telephony.questions import Questions
from beckon.telephony.script import Script
from beckon.telephony.script_reading import parse_script
from beckon.telephony.switch import LegOffered

COURIER = "+32470000001"
STORE = "+3221234567"
CUSTOMER = "+3225550101"
FOLDER = Path(__file__).parents[3] / "src" / "beckon" / "journeys" / "call_processing"


def courier_script() -> Script:
    """The script that we ship."""
    return parse_script((FOLDER / "scripts" / "courier.yaml").read_text(encoding="utf-8"))


class Outside:
    """Outbound HTTP by a function; what was asked is kept."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Callable[[str, str, bytes], Reply] = lambda method, url, body: Reply(200, {}, b"{}")
        #: nobody answers before this is set.
        self.gate: asyncio.Event | None = None

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
        self.asked.append((method, url, dict(headers or {}), body))
        if self.gate is not None:
            await self.gate.wait()
        return self.answer(method, url, body)


class Stage:
    """A runner, its switch, its clock, and the records of calls that are over."""

    def __init__(self, script: Script, about: About, calls_max: int) -> None:
        self.clock = VirtualClock()
        self.outside = Outside()
        self.ours: list[Ask] = []
        self.our_answers: list[Any] = []
        self.records: list[CallRecord] = []
        self.told = asyncio.Event()
        self.script = script
        self.about = about
        questions = Questions(self.clock, self.outside, DIALECTS, self._answer, self._secret)
        self.calls = Calls(self.clock, questions, self._choose, self._finish, calls_max=calls_max)
        self.switch = FakeSwitch(self.clock, self.calls.listen)
        self.calls.use(self.switch)
        self.chooses = True

    async def _choose(self, offered: LegOffered) -> Chosen | None:
        return Chosen(workspace="main", script=self.script, about=self.about) if self.chooses else None

    async def _finish(self, record: CallRecord) -> None:
        self.records.append(record)
        self.told.set()

    async def _answer(self, ask: Ask, workspace: str) -> Any:
        self.ours.append(ask)
        return self.our_answers.pop(0)

    def _secret(self, workspace: str, name: str) -> str:
        if name != "pbx":
            raise Misconfigured("secret.unknown", "there is none of that name")
        return "a secret"

    @property
    def call(self) -> Call:
        """The one call under way."""
        [call] = self.calls.under_way
        return call

    async def until(self, holds: Callable[[], object]) -> None:
        """Let things happen until this holds."""
        for _ in range(2_000):
            if holds():
                return
            await asyncio.sleep(0 if _ < 500 else 0.01)
        raise AssertionError("it never came to that")

    async def passes(self, forward_ms: int) -> None:
        """Move the clock, and let what is due happen."""
        self.clock.drag(forward_ms)
        self.calls.wake()
        for _ in range(20):
            await asyncio.sleep(0)

    async def record(self) -> CallRecord:
        """The record of the next call that is over."""
        await self.until(lambda: self.records)
        return self.records.pop(0)


@asynccontextmanager
async def stage(
    script: Script | str | None = None, *, about: About | None = None, calls_max: int = 10
) -> AsyncIterator[Stage]:
    """A runner with this script; none of its calls outlives it."""
    read = courier_script() if script is None else parse_script(script) if isinstance(script, str) else script
    settings = {"reception": "+3221110000", "dispatcher": "+3222220000"}
    made = Stage(read, about or About(settings=settings), calls_max)
    try:
        yield made
    finally:
        await made.calls.close(5)
