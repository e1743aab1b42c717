"""A switch with couriers calling, for a test; and the proof that nothing of it is left."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from beckon.bench.courier import Courier
from beckon.core.clock import SystemClock
from beckon.providers.sip.settings import DialSettings, PhoneSettings, SipSettings
from beckon.providers.sip.switch import SipSwitch
from beckon.telephony.switch import Prompt, Switch, SwitchEvent, Tone
from tests.providers.sip.phone import SoftPhone

#: So long that a key interrupts it on any machine.
HINT = (Tone(hertz=(1_000.0,), duration_ms=60_000),)


class Board:
    """A switch, and the courier script that commands it."""

    def __init__(self, courier: Courier, switch: SipSwitch) -> None:
        self.courier = courier
        self.switch = switch
        self.port = switch.port

    def events(self, kind: type[SwitchEvent]) -> list[SwitchEvent]:
        """What was heard of one kind."""
        return [event for event in self.courier.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the events should bring about."""
        await self.courier.until(condition)


@asynccontextmanager
async def switchboard(
    settings: SipSettings,
    folder: Path,
    hint: tuple[Prompt, ...] = HINT,
    customer_of: Callable[[str], str] = lambda keys: "customer",
    runner: type[Courier] = Courier,
) -> AsyncIterator[Board]:
    """A switch with these settings, on any port, commanded by this script."""
    given = msgspec.structs.replace(settings, port=0, folder=str(folder))

    def opened(courier: Courier) -> Switch:
        return SipSwitch(given, SystemClock(), courier.hear)

    courier = runner(opened, hint, customer_of, caller_id="+3225551000")
    switch = courier.switch
    assert isinstance(switch, SipSwitch)
    await switch.start()
    try:
        yield Board(courier, switch)
    finally:
        await switch.close()


@pytest.fixture(scope="module")
async def shared_board(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Board]:
    """One switch for a module's tests, which takes anybody's calls from this machine, with one phone: ``customer``."""
    async with switchboard(open_settings(), tmp_path_factory.mktemp("voice")) as board:
        yield board


@pytest.fixture
async def board(shared_board: Board) -> Board:
    """The switch, with no leg left from before, and nothing heard so far."""
    await shared_board.until(lambda: not shared_board.switch.legs)
    shared_board.courier.calls.clear()
    shared_board.courier.events.clear()
    return shared_board


def open_settings(**more: object) -> SipSettings:
    """Settings for tests: open to this machine, one phone."""
    phones = {"customer": PhoneSettings(password="secret")}
    return SipSettings(
        **{"open_to": ("127.0.0.0/8",), "phones": phones, "dial": DialSettings(allowed=("+32",)), **more}  # type: ignore[arg-type]
    )


@pytest.fixture
async def customer(board: Board) -> AsyncIterator[SoftPhone]:
    """The customer's phone, registered."""
    async with SoftPhone("customer", board.port, password="secret") as phone:
        assert (await phone.register()).status == 200
        yield phone
        assert (await phone.register(expires=0)).status == 200


async def recorded(folder: Path, seconds: float) -> None:
    """Wait until so much of a stereo recording is on disk, while it is made."""
    wanted = 44 + int(seconds * 8_000) * 4
    async with asyncio.timeout(300):
        while not any(part.stat().st_size > wanted for part in folder.glob("*.part")):  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.02)


async def goes_on(folder: Path, seconds: float) -> None:
    """Wait until so much more of the one stereo recording is on disk than there is now."""
    there = max((part.stat().st_size for part in folder.glob("*.part")), default=0)
    await recorded(folder, there / 32_000 + seconds)


def files_of(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def settle(pids: dict[str, int], wanted: dict[str, int], seconds: float = 300.0) -> None:
    """Wait until processes have no more files and sockets open than they had."""
    async with asyncio.timeout(seconds):
        while any(files_of(pid) > wanted[name] for name, pid in pids.items()):  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.02)
