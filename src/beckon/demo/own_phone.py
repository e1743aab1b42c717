"""``beckon switch try``: the built-in switch alone, for your own SIP phone: it speaks, and says each key back."""

import asyncio
import signal
from collections.abc import Callable

from beckon.core.clock import SystemClock
from beckon.core.errors import BeckonError
from beckon.core.ids import fresh, secret
from beckon.providers.sip.settings import PhoneSettings, SipSettings
from beckon.providers.sip.switch import SipSwitch
from beckon.telephony.switch import KeyPressed, LegOffered, Say, SwitchEvent

_USER = "me"
_GREETING = "This is Beckon. Press any key, and I say it back to you."
_NAMES = {"*": "star", "#": "hash"}


class _Echo:
    """Answers every call."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._tasks: set[asyncio.Task[None]] = set()
        self.switch: SipSwitch | None = None

    def hear(self, event: SwitchEvent) -> None:
        """Tell what happens, and answer it."""
        self._say(f"{type(event).__name__:<16}{_shown(event)}")
        task = asyncio.get_running_loop().create_task(self._answer(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, event: SwitchEvent) -> None:
        switch = self.switch
        assert switch is not None
        try:
            if isinstance(event, LegOffered):
                await switch.answer(event.leg)
                await switch.play(event.leg, fresh("play"), (Say(_GREETING),), barge_in=True)
            elif isinstance(event, KeyPressed):
                words = Say(_NAMES.get(event.key, event.key))
                await switch.play(event.leg, fresh("play"), (words,), barge_in=True)
        except BeckonError as error:
            self._say(str(error))


def _shown(event: SwitchEvent) -> str:
    names = ("caller", "called", "key", "by", "cause", "end", "why")
    found = [(name, getattr(event, name, "")) for name in names]
    return " ".join(f"{name}={value}" for name, value in found if value)


async def try_switch(host: str, port: int, folder: str, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. Raises ``Misconfigured`` where the port or the address can't be had."""
    password = secret(6)
    echo = _Echo(say)
    settings = SipSettings(host=host, port=port, folder=folder, phones={_USER: PhoneSettings(password=password)})
    switch = echo.switch = SipSwitch(settings, SystemClock(), echo.hear)
    await switch.start()
    say(f"Give your SIP phone the user {_USER}, the password {password} and the server {host}:{switch.port} (UDP),")
    say("and call any number. Ctrl-C ends it.")
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        await ended.wait()
    finally:
        await switch.close()
