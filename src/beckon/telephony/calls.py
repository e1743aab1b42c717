"""Calls: the runner: follows every call's script over one switch. Events in, commands out, one task for each call.

A call's task takes the next event, or notices that the deadline has passed, lets ``advance`` decide, and commands the
switch. A command that the switch can't carry out comes back as the event that would have told of it, so scripts know
one kind of failure only. When a call is over its record becomes an event.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError
from beckon.core.ids import fresh
from beckon.telephony import orders as order
from beckon.telephony.advance import Advance, CallEvent, Late, Stopped, advance, begin, begin_out
from beckon.telephony.call import About, Call, CallRecord, Typing, record_of
from beckon.telephony.questions import Questions
from beckon.telephony.script import Script
from beckon.telephony.switch import (
    Asking,
    KeyPressed,
    Keys,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegOffered,
    LegRinging,
    PlaybackEnded,
    RecordingEnded,
    Switch,
    SwitchEvent,
)

log = logging.getLogger("beckon.calls")

#: Calls at once; further ones are told that we are busy.
CALLS_MAX = 500
#: Events that wait for one call.
EVENTS_MAX = 1_000
#: How long one command may take before it counts as failed.
COMMAND_S = 10.0
#: How often a call's end is told before it is left to the log, and the pauses between: ten minutes in all.
TOLD_MAX = 64
TOLD_PAUSE_S = 1.0
TOLD_PAUSE_S_MAX = 10.0


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What a call that came in is to follow."""

    workspace: str
    script: Script
    about: About = About()


#: A call came in: its script; None: nobody is to be reached at that number.
Choose = Callable[[LegOffered], Awaitable[Chosen | None]]
#: A call is over.
Finish = Callable[[CallRecord], Awaitable[None]]


class _Running:
    """One call under way, and the events that wait for it."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[CallEvent | None] = asyncio.Queue(EVENTS_MAX)
        self.asking: dict[str, asyncio.Task[None]] = {}
        self.call: Call | None = None
        #: its task waits for the next event.
        self.waits = False


class Calls:
    """Runs all calls of one switch. ``listen`` is the switch's listener."""

    def __init__(
        self,
        clock: Clock,
        questions: Questions,
        choose: Choose,
        finish: Finish,
        *,
        started: Callable[[Call], None] | None = None,
        moved: Callable[[Call], None] | None = None,
        calls_max: int = CALLS_MAX,
        command_s: float = COMMAND_S,
    ) -> None:
        self._clock = clock
        self._questions = questions
        self._choose = choose
        self._finish = finish
        self._started = started
        self._moved = moved
        self._calls_max = calls_max
        self._command_s = command_s
        self._switch: Switch | None = None
        self._asking: Asking | None = None
        self._running: dict[str, _Running] = {}
        #: the caller's leg, which the switch has named → call.
        self._by_leg: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def use(self, switch: Switch) -> None:
        """Command this switch from now on."""
        self._switch = switch
        self._asking = switch if isinstance(switch, Asking) else None

    @property
    def under_way(self) -> tuple[Call, ...]:
        """The calls under way, as they stand."""
        return tuple(one.call for one in self._running.values() if one.call is not None)

    @property
    def quiet(self) -> bool:
        """Every call waits for somebody: a key, an answer at the door, the end of what is said."""
        if len(self._tasks) > len(self._running):
            return False  # the end of one is being told
        return all(
            running.events.empty() and running.waits and not running.asking for running in self._running.values()
        )

    def listen(self, event: SwitchEvent) -> None:
        """What the switch tells; returns at once."""
        if isinstance(event, LegOffered):
            self._start(self._offered(event, self._room(event.leg)))
            return
        call_id = self._owner(event)
        running = self._running.get(call_id)
        if running is not None:
            _put(running, event, call_id)

    async def call_out(self, chosen: Chosen, to: str, caller_id: str) -> str:
        """Call somebody and follow a script once they answer; the call's id."""
        call_id = fresh("call")
        running = _Running()
        self._running[call_id] = running
        now_ms = self._clock.now_ms()
        first = begin_out(chosen.script, to, caller_id, call_id, now_ms, workspace=chosen.workspace, about=chosen.about)
        self._start(self._follow(call_id, running, chosen.script, first))
        return call_id

    def stop(self, call_id: str, why: str) -> None:
        """End a call from outside."""
        running = self._running.get(call_id)
        if running is not None:
            _put(running, Stopped(why), call_id)

    def wake(self) -> None:
        """The clock was dragged: look at every deadline again."""
        for call_id, running in self._running.items():
            _put(running, None, call_id)

    async def close(self, drain_s: float = 10.0) -> None:
        """Take no further call, end those under way, wait until they are told."""
        self._closing = True
        for call_id in list(self._running):
            self.stop(call_id, "the server closes")
        if self._tasks:
            _done, left = await asyncio.wait(self._tasks, timeout=drain_s)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    # One call --------------------------------------------------------------------------------------------------------

    def _start(self, doing: Awaitable[None]) -> None:
        task = asyncio.ensure_future(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _room(self, leg: str) -> tuple[str, _Running] | None:
        """A place for one more call; None: there is none."""
        if self._closing or len(self._running) >= self._calls_max:
            return None
        call_id = fresh("call")
        running = self._running[call_id] = _Running()
        self._by_leg[leg] = call_id
        return call_id, running

    async def _offered(self, event: LegOffered, room: tuple[str, _Running] | None) -> None:
        switch = self._switch
        assert switch is not None
        if room is None:
            log.warning("a call was turned away: %d calls are under way", len(self._running))
            with suppress(BeckonError):
                await switch.reject(event.leg, 486)
            return
        call_id, running = room
        chosen: Chosen | None = None
        try:
            chosen = await self._choose(event)
        except Exception:
            log.exception("no script could be chosen for a call")
        if chosen is None:
            self._forget(call_id, event.leg)
            with suppress(BeckonError):
                await switch.reject(event.leg, 404)
            return
        first = begin(
            chosen.script, event, call_id, self._clock.now_ms(), workspace=chosen.workspace, about=chosen.about
        )
        await self._follow(call_id, running, chosen.script, first)

    async def _follow(self, call_id: str, running: _Running, script: Script, first: Advance) -> None:
        """Follow a call to its end."""
        step = first
        if self._started is not None:
            self._started(first.call)
        try:
            while True:
                self._stands(running, step.call)
                await self._carry(running, step)
                if step.call.status == "over":
                    break
                event = await self._next(running, step.deadline_ms)
                if event is not None:
                    step = advance(script, step.call, event, self._clock.now_ms())
                else:
                    step = Advance(step.call)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a call was ended by a defect")
            await self._drop(step.call)
        finally:
            for task in running.asking.values():
                task.cancel()
            self._forget(call_id, step.call.leg)
        await self._tell(step.call)

    def _stands(self, running: _Running, call: Call) -> None:
        """This is where a call stands now."""
        if running.call is not call:
            running.call = call
            if self._moved is not None:
                self._moved(call)

    async def _next(self, running: _Running, deadline_ms: int) -> CallEvent | None:
        """The next event; ``Late`` where the deadline passes first; None: nothing, look again."""
        left_s = max(0.0, (deadline_ms - self._clock.now_ms()) / 1_000) if deadline_ms else 60.0
        if left_s == 0.0 and running.events.empty():
            return Late()
        try:
            # A minute at most guards against a clock that jumps.
            running.waits = True
            async with asyncio.timeout(min(left_s, 60.0)):
                event = await running.events.get()
        except TimeoutError:
            event = None
        finally:
            running.waits = False
        if event is None and deadline_ms and self._clock.now_ms() >= deadline_ms:
            return Late()
        return event

    async def _carry(self, running: _Running, step: Advance) -> None:
        """Command the switch; what it can't do comes back as an event."""
        if self._asking is not None:
            self._asking.expect(step.call.leg, _wanted_keys(step.call))
        for wanted in step.orders:
            if isinstance(wanted, order.Ask):
                task = asyncio.create_task(self._ask(running, wanted, step.call))
                running.asking[wanted.ask] = task
            elif isinstance(wanted, order.Forget):
                task_ = running.asking.pop(wanted.ask, None)
                if task_ is not None:
                    task_.cancel()
            else:
                await self._command(running, wanted, step.call.id)

    async def _ask(self, running: _Running, ask: order.Ask, call: Call) -> None:
        _put(running, await self._questions.ask(ask, call.workspace), call.id)
        running.asking.pop(ask.ask, None)

    async def _command(self, running: _Running, wanted: order.Order, call_id: str) -> None:
        why = ""
        try:
            async with asyncio.timeout(self._command_s):
                await self._do(wanted)
            return
        except TimeoutError:
            why = "the switch did not take the command in time"
        except BeckonError as error:
            why = error.why
            code = error.code
            if isinstance(wanted, order.Hold | order.Resume | order.Ring):
                return  # a comfort that this switch doesn't have
            log.info("the switch did not carry out %s: %s", type(wanted).__name__, code)
        if isinstance(wanted, order.Bridge):
            # The phone that was to be joined is let go: its end says that nobody was reached.
            await self._command(running, order.HangUp(wanted.other, "failed"), call_id)
            return
        _put_failure(running, wanted, self._clock.now_ms(), why, call_id)

    async def _do(self, wanted: order.Order) -> None:
        switch = self._switch
        assert switch is not None
        if isinstance(wanted, order.Answer):
            await switch.answer(wanted.leg)
        elif isinstance(wanted, order.Ring):
            await switch.ring(wanted.leg)
        elif isinstance(wanted, order.Reject):
            await switch.reject(wanted.leg, wanted.status)
        elif isinstance(wanted, order.Play):
            await switch.play(wanted.leg, wanted.playback, wanted.prompts, barge_in=wanted.barge_in)
        elif isinstance(wanted, order.Stop):
            await switch.stop(wanted.playback)
        elif isinstance(wanted, order.Hold):
            await switch.hold(wanted.leg, wanted.prompts)
        elif isinstance(wanted, order.Resume):
            await switch.resume(wanted.leg)
        elif isinstance(wanted, order.Dial):
            await switch.dial(
                wanted.leg,
                wanted.to,
                caller_id=wanted.caller_id,
                ring_s=wanted.ring_s,
                on_behalf_of=wanted.on_behalf_of,
            )
        elif isinstance(wanted, order.Bridge):
            await switch.bridge(wanted.bridge, wanted.leg, wanted.other)
        elif isinstance(wanted, order.Record):
            await switch.record(wanted.recording, wanted.of, max_s=wanted.max_s)
        elif isinstance(wanted, order.StopRecording):
            await switch.stop_recording(wanted.recording)
        elif isinstance(wanted, order.HangUp):
            await switch.hang_up(wanted.leg, wanted.cause)

    async def _drop(self, call: Call) -> None:
        """After a defect: no phone is left hanging."""
        switch = self._switch
        assert switch is not None
        for leg in call.legs:
            if leg.state != "ended":
                with suppress(BeckonError, TimeoutError):
                    async with asyncio.timeout(self._command_s):
                        await switch.hang_up(leg.id, "failed")

    async def _tell(self, call: Call) -> None:
        """The call is over: its record becomes an event."""
        record = record_of(call, self._clock.now_ms())
        for attempt in range(TOLD_MAX):
            try:
                await self._finish(record)
                return
            except BeckonError as error:
                log.warning("the end of a call could not be told: %s", error.code)
                await asyncio.sleep(min(TOLD_PAUSE_S * 2**attempt, TOLD_PAUSE_S_MAX))
            except Exception:
                log.exception("the end of a call could not be told")
                return

    def _forget(self, call_id: str, leg: str) -> None:
        self._running.pop(call_id, None)
        self._by_leg.pop(leg, None)

    def _owner(self, event: SwitchEvent) -> str:
        """The call that an event is for: ids of our making begin with the call's."""
        if isinstance(event, PlaybackEnded):
            return event.playback.rpartition("-")[0]
        if isinstance(event, RecordingEnded):
            return event.recording.rpartition("-")[0]
        if isinstance(event, LegRinging | LegAnswered | LegHeld | LegEnded | KeyPressed):
            return self._by_leg.get(event.leg) or event.leg.rpartition("-")[0]
        return ""


def _put(running: _Running, event: CallEvent | None, call_id: str) -> None:
    try:
        running.events.put_nowait(event)
    except asyncio.QueueFull:
        log.error("the call %s has more than %d events waiting; one is lost", call_id, EVENTS_MAX)


def _wanted_keys(call: Call) -> Keys | None:
    """The keys that a call waits for; None: none in particular."""
    stage = call.stage
    if not isinstance(stage, Typing):
        return None
    left = max(1, stage.keys_max - len(stage.keys))
    return Keys(keys_max=left, until=stage.until, between_s=stage.between_ms / 1_000)


def _put_failure(running: _Running, wanted: order.Order, at_ms: int, why: str, call_id: str) -> None:
    """The event that tells of a command which came to nothing."""
    event: SwitchEvent | None = None
    if isinstance(wanted, order.Dial | order.Answer | order.Reject | order.HangUp):
        event = LegEnded(leg=wanted.leg, at_ms=at_ms, cause="failed", by="switch", why=why)
    elif isinstance(wanted, order.Play):
        event = PlaybackEnded(playback=wanted.playback, leg=wanted.leg, at_ms=at_ms, end="failed", why=why)
    elif isinstance(wanted, order.Record | order.StopRecording):
        event = RecordingEnded(recording=wanted.recording, at_ms=at_ms, path="", seconds=0.0, why=why)
    if event is not None:
        _put(running, event, call_id)
