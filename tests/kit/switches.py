"""A switch in memory as a provider's folder would offer it, for servers that tests open."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from beckon.core.clock import Clock
from beckon.telephony.fake_switch import FakeSwitch
from beckon.telephony.switch import Capabilities, Listener, SwitchOffer


class FakeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It needs a folder only."""

    folder: str = ""


class Taping(FakeSwitch):
    """The switch in memory, with recordings that are files: whoever records something puts its bytes there."""

    def __init__(self, folder: Path, clock: Clock, listener: Listener) -> None:
        super().__init__(clock, listener)
        self.folder = folder / "recordings"
        self.folder.mkdir(parents=True, exist_ok=True)
        #: what each recording's file holds; empty: there is none.
        self.wav = b""

    def path_of(self, recording: str) -> str:
        path = self.folder / f"{recording}.wav"
        if self.wav:
            path.write_bytes(self.wav)
        return str(path)


def _open(settings: Any, clock: Clock, listener: Listener) -> FakeSwitch:
    return Taping(Path(settings.folder), clock, listener)


IN_MEMORY: Mapping[str, SwitchOffer] = {
    "fake": SwitchOffer(name="fake", settings=FakeSettings, secrets=(), capabilities=Capabilities(), open=_open)
}


async def until(holds: Callable[[], Any]) -> None:
    """Wait for something that comes soon. Fails after five minutes."""
    for _ in range(30_000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")
