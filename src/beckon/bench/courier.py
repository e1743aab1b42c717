"""A courier's call in its shortest form, commanded event by event: what the bench drives through a switch.

Answer, hint, keys up to "#", dial the customer with the store's number, bridge, record; who is left when one hangs up
is hung up too.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from beckon.core.errors import BeckonError
from beckon.core.ids import fresh
from beckon.telephony.switch import (
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegOffered,
    PlaybackEnded,
    Prompt,
    RecordingEnded,
    Switch,
    SwitchEvent,
)

_LOOK_S = 0.05


@dataclass
class Call:
    """One courier's call."""

    caller: str
    called: str
    number: str
    callee: str = ""
    bridge: str = ""
    recording: str = ""
    keys: str = ""
    #: what happened, in order: answered, hint, keys, bridged, recording, recorded, ended
    steps: list[str] = field(default_factory=list)
    path: str = ""
    seconds: float = 0.0
    causes: dict[str, str] = field(default_factory=dict)


class Courier:
    """Runs every call that is offered."""

    def __init__(
        self,
        switch_made: Callable[["Courier"], Switch],
        hint: tuple[Prompt, ...],
        customer_of: Callable[[str], str],
        *,
        caller_id: str,
        barge_in: bool = True,
        via: str = "",
    ) -> None:
        self.switch = switch_made(self)
        self.calls: list[Call] = []
        self.events: list[SwitchEvent] = []
        self.changed = asyncio.Event()
        self._hint = hint
        self._customer_of = customer_of
        self._caller_id = caller_id
        self._barge_in = barge_in
        self._via = via
        self._by_leg: dict[str, Call] = {}
        self._by_recording: dict[str, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, event: SwitchEvent) -> None:
        """The switch's listener."""
        self.events.append(event)
        if isinstance(event, LegOffered):
            call = Call(event.leg, event.called, event.caller)
            self.calls.append(call)
            self._by_leg[event.leg] = call
        elif isinstance(event, RecordingEnded):
            recorded = self._by_recording.pop(event.recording, None)
            if recorded is not None:
                recorded.path, recorded.seconds = event.path, event.seconds
                recorded.steps.append("recorded")
            self.changed.set()
            return
        leg = getattr(event, "leg", "")
        of = self._by_leg.get(leg)
        if of is not None:
            task = asyncio.get_running_loop().create_task(self._step(of, event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.changed.set()

    async def until(self, condition: Callable[[], bool], seconds: float = 300.0) -> None:
        """Wait for what the events should bring about."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                with suppress(TimeoutError):  # not all that a condition may ask for comes as an event
                    await asyncio.wait_for(self.changed.wait(), _LOOK_S)

    async def _step(self, call: Call, event: SwitchEvent) -> None:
        try:
            await self._obey(call, event)
        except BeckonError as error:
            call.steps.append(f"refused {error.code}")
            for leg in (call.caller, call.callee):
                await self.switch.hang_up(leg)
        self.changed.set()

    async def _obey(self, call: Call, event: SwitchEvent) -> None:
        switch = self.switch
        if isinstance(event, LegOffered):
            await switch.ring(call.caller)
            await switch.answer(call.caller)
            call.steps.append("answered")
            await switch.play(call.caller, fresh("play"), self._hint, barge_in=self._barge_in)
        elif isinstance(event, PlaybackEnded):
            call.steps.append(f"hint {event.end}")
        elif isinstance(event, KeyPressed) and event.leg == call.caller and not call.callee:
            if event.key != "#":
                call.keys += event.key
                return
            call.callee = fresh("leg")
            self._by_leg[call.callee] = call
            call.steps.append(f"keys {call.keys}")
            customer = self._customer_of(call.keys)
            await switch.dial(call.callee, customer, caller_id=self._caller_id, via=self._via, on_behalf_of=call.caller)
            call.bridge = fresh("bridge")
            await switch.bridge(call.bridge, call.caller, call.callee, ringback=True)
        elif isinstance(event, LegAnswered) and event.leg == call.callee:
            call.steps.append("bridged")
            call.recording = fresh("rec")
            self._by_recording[call.recording] = call
            await switch.record(call.recording, call.bridge)
            call.steps.append("recording")
        elif isinstance(event, LegEnded):
            call.causes[event.leg] = event.cause
            call.steps.append("caller ended" if event.leg == call.caller else "callee ended")
            for leg in (call.caller, call.callee):
                await switch.hang_up(leg)
