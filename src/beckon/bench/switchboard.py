"""The built-in switch in a process of its own, with couriers calling: reads its job from standard input, reports lines.

Prints ``{"port": …, "pids": …}`` when it is ready, and for each line that it reads one object: how many calls there
are, how many were bridged and recorded, how long the recordings are. Ends at the end of its input.
"""

import asyncio
import json
import sys
from typing import Any

import msgspec
import uvloop

from beckon.bench.courier import Call, Courier
from beckon.core.clock import SystemClock
from beckon.core.ids import fresh
from beckon.providers.sip.settings import SipSettings
from beckon.providers.sip.switch import SipSwitch
from beckon.telephony.switch import KeyPressed, LegOffered, Switch, SwitchEvent, Tone

#: What a caller hears first, and what the probe listens for.
HINT = (Tone(hertz=(1_000.0,), duration_ms=4_000),)
#: What a key of whoever calls ``echo`` causes.
ECHO = (Tone(hertz=(1_000.0,), duration_ms=60),)


class _Board(Courier):
    """Couriers; and whoever calls ``echo`` hears a tone for each key."""

    async def _obey(self, call: Call, event: SwitchEvent) -> None:
        if call.called != "echo":
            await super()._obey(call, event)
        elif isinstance(event, LegOffered):
            await self.switch.answer(call.caller)
        elif isinstance(event, KeyPressed):
            await self.switch.play(call.caller, fresh("play"), ECHO)


async def serve(job: dict[str, Any], customer: str = "") -> None:
    """Serve until the input ends; every order is of this ``customer``, or of a number made from it."""
    given = msgspec.convert(job["settings"], SipSettings)

    def made(courier: Courier) -> Switch:
        return SipSwitch(given, SystemClock(), courier.hear)

    courier = _Board(made, HINT, lambda keys: customer or f"+3247{int(keys or 0):07d}", caller_id="+3225551000")
    switch = courier.switch
    assert isinstance(switch, SipSwitch)
    await switch.start()
    say({"port": switch.port, "pids": switch.pids})
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        calls = [call for call in courier.calls if call.called != "echo"]
        say(
            {
                "calls": len(calls),
                "bridged": sum("bridged" in call.steps for call in calls),
                "up": sum("bridged" in call.steps and not call.causes for call in calls),
                "recorded": sum("recorded" in call.steps for call in calls),
                "seconds": [round(call.seconds, 2) for call in calls],
                "refused": [step for call in calls for step in call.steps if step.startswith("refused")],
            }
        )
    await switch.close()


def say(line: dict[str, Any]) -> None:
    """One line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(serve(json.loads(sys.stdin.readline()), *sys.argv[1:]))
