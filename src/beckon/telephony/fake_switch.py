"""A switch in memory, for tests and trying things out: it takes every command, remembers it, and does what it is told.

``phones`` says what becomes of a number that is dialled; a test plays the people by ``offer``, ``press`` and
``hang_up_by``. Prompts are heard to their end at once unless ``hears`` is false; then ``heard`` ends them.
"""

import asyncio
from collections.abc import Callable

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import Refused
from beckon.telephony.driver import Driver
from beckon.telephony.switch import (
    Capabilities,
    Cause,
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegOffered,
    LegRinging,
    Listener,
    PlaybackEnded,
    Prompt,
    RecordingEnded,
)


class Told(msgspec.Struct, frozen=True):
    """One command that the switch was given."""

    what: str
    leg: str = ""
    details: tuple[object, ...] = ()


class FakeSwitch(Driver):
    """``Switch`` without phones. ``phones``: number → ``answers``, ``busy``, ``no_answer``, ``declined``, ``rings``."""

    name = "fake"

    def __init__(self, clock: Clock, listener: Listener, *, capabilities: Capabilities | None = None) -> None:
        super().__init__(clock, listener)
        self.capabilities = capabilities or Capabilities(hold=True, recording="stereo", ringback=True)
        self.told: list[Told] = []
        self.phones: dict[str, str] = {}
        #: prompts are heard to their end at once.
        self.hears = True
        #: legs that live, by id: the number.
        self.legs: dict[str, str] = {}
        self.answered: set[str] = set()
        self.playing: dict[str, str] = {}
        #: recording → what it is of.
        self.recording: dict[str, str] = {}
        self.bridges: dict[str, tuple[str, str]] = {}
        self._count = 0
        #: commands that raise this, by name.
        self.broken: dict[str, Exception] = {}

    # People ----------------------------------------------------------------------------------------------------------

    def offer(self, caller: str, called: str) -> str:
        """Somebody calls; the leg's id."""
        self._count += 1
        leg = f"in{self._count}"
        self.legs[leg] = caller
        self._say(LegOffered(leg=leg, at_ms=self._now(), caller=caller, called=called, call_id=f"sip-{self._count}"))
        return leg

    def press(self, leg: str, keys: str) -> None:
        """Somebody presses keys; a prompt that may be interrupted is."""
        for key in keys:
            self._say(KeyPressed(leg=leg, at_ms=self._now(), key=key, by="rfc4733"))

    def heard(self, leg: str) -> None:
        """What plays there has been heard."""
        for playback, at in list(self.playing.items()):
            if at == leg:
                self._end_playback(playback, "done")

    def pick_up(self, number: str) -> None:
        """A phone that rings is answered."""
        leg = self.leg_of(number)
        self.answered.add(leg)
        self._say(LegAnswered(leg=leg, at_ms=self._now()))

    def hang_up_by(self, leg: str, cause: Cause = "normal") -> None:
        """Somebody hangs up."""
        self._end_leg(leg, cause, "phone")

    def leg_of(self, number: str) -> str:
        """The newest living leg of a number."""
        return next(leg for leg, at in reversed(self.legs.items()) if at == number)

    def path_of(self, recording: str) -> str:
        """Where a recording lies; a subclass may put a file there."""
        return f"/{recording}.wav"

    def commands(self, what: str) -> list[Told]:
        """The commands of one kind so far."""
        return [one for one in self.told if one.what == what]

    # Switch ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Nothing to begin."""

    async def close(self) -> None:
        """End every leg."""
        for leg in list(self.legs):
            self._end_leg(leg, "switch_down", "switch")

    async def ring(self, leg: str, *, early_media: bool = False) -> None:
        self._take("ring", leg)

    async def answer(self, leg: str) -> None:
        self._take("answer", leg)
        self.answered.add(leg)
        self._next(lambda: self._say(LegAnswered(leg=leg, at_ms=self._now())))

    async def reject(self, leg: str, status: int = 603) -> None:
        self._take("reject", leg, status)
        self._end_leg(leg, "declined", "command")

    async def play(self, leg: str, playback: str, prompts: tuple[Prompt, ...], *, barge_in: bool = False) -> None:
        self._take("play", leg, playback, prompts, barge_in)
        self.playing[playback] = leg
        if self.hears:
            self._next(lambda: self._end_playback(playback, "done"))

    async def stop(self, playback: str) -> None:
        self._take("stop", "", playback)
        self._end_playback(playback, "stopped")

    async def dial(
        self,
        leg: str,
        to: str,
        *,
        caller_id: str = "",
        caller_name: str = "",
        ring_s: float = 30.0,
        via: str = "",
        on_behalf_of: str = "",
    ) -> None:
        self._take("dial", "", to, caller_id)
        self.legs[leg] = to
        self._next(lambda: self._dialled(leg, to))

    async def bridge(self, bridge: str, leg: str, other: str, *, ringback: bool = False) -> None:
        self._take("bridge", leg, other)
        self.bridges[bridge] = (leg, other)

    async def unbridge(self, bridge: str) -> None:
        self._take("unbridge", "", bridge)
        self.bridges.pop(bridge, None)

    async def hold(self, leg: str, prompts: tuple[Prompt, ...] = ()) -> None:
        self._take("hold", leg)

    async def resume(self, leg: str) -> None:
        self._take("resume", leg)

    async def record(self, recording: str, of: str, *, stereo: bool = True, max_s: float = 0.0) -> None:
        self._take("record", "", recording, of)
        self.recording[recording] = of

    async def stop_recording(self, recording: str) -> None:
        self._take("stop_recording", "", recording)
        self._end_recording(recording)

    async def send_digits(self, leg: str, digits: str) -> None:
        self._take("send_digits", leg, digits)

    async def hang_up(self, leg: str, cause: Cause = "normal") -> None:
        self._take("hang_up", "", leg, cause)
        self._end_leg(leg, cause, "command")

    # ------------------------------------------------------------------------------------------------------------------

    def _take(self, what: str, leg: str, *details: object) -> None:
        self.told.append(Told(what, leg, details))
        if what in self.broken:
            raise self.broken[what]
        if leg and leg not in self.legs:
            raise Refused("call.leg_gone", "the leg has ended")

    def _dialled(self, leg: str, to: str) -> None:
        fate = self.phones.get(to, "answers")
        if leg not in self.legs:
            return
        if fate in ("busy", "no_answer", "declined"):
            causes: dict[str, Cause] = {"busy": "busy", "no_answer": "no_answer", "declined": "declined"}
            self._end_leg(leg, causes[fate], "phone")
            return
        self._say(LegRinging(leg=leg, at_ms=self._now()))
        if fate == "answers":
            self.answered.add(leg)
            self._say(LegAnswered(leg=leg, at_ms=self._now()))

    def _end_playback(self, playback: str, end: str) -> None:
        leg = self.playing.pop(playback, None)
        if leg is not None:
            ended = PlaybackEnded(playback=playback, leg=leg, at_ms=self._now(), end="done")
            self._say(msgspec.structs.replace(ended, end=end))

    def _end_recording(self, recording: str) -> None:
        if self.recording.pop(recording, None) is not None:
            ended = RecordingEnded(recording=recording, at_ms=self._now(), path=self.path_of(recording), seconds=1.0)
            self._say(ended)

    def _end_leg(self, leg: str, cause: Cause, by: str) -> None:
        if self.legs.pop(leg, None) is None:
            return
        for playback, at in list(self.playing.items()):
            if at == leg:
                self._end_playback(playback, "leg_ended")
        over = {bridge for bridge, ends in self.bridges.items() if leg in ends}
        for recording, of in list(self.recording.items()):
            if of == leg or of in over:
                self._end_recording(recording)
        for bridge in over:
            del self.bridges[bridge]
        ended = LegEnded(leg=leg, at_ms=self._now(), cause=cause, by="phone")
        self._say(msgspec.structs.replace(ended, by=by))

    @staticmethod
    def _next(doing: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(doing)
