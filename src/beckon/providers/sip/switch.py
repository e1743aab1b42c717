"""The built-in switch: commands in, events out.

The SIP process says what phones want, the media process what they say; ``reports`` says what that means for a leg, and
``floor`` holds what there is. When a process dies its legs end with a reason, recordings are mended, and ``running``
starts another.
"""

import asyncio
import logging
from pathlib import Path

from beckon.core.clock import Clock
from beckon.core.errors import Misconfigured, Refused, Unavailable
from beckon.providers.sip import settings, wire
from beckon.providers.sip.capabilities import CAPABILITIES
from beckon.providers.sip.causes import cause_of
from beckon.providers.sip.floor import Floor
from beckon.providers.sip.legs import Ending, Leg, check_id
from beckon.providers.sip.media.recorder import PART
from beckon.providers.sip.media.wav import repair
from beckon.providers.sip.reports import Reports
from beckon.providers.sip.running import Running, Which
from beckon.providers.sip.settings import SipSettings
from beckon.providers.sip.speech.prompts import Prompts
from beckon.providers.sip.speech.speaker import Espeak, Speaker
from beckon.telephony.switch import (
    DIGITS_MAX,
    KEYS,
    Cause,
    Listener,
    Prompt,
    RecordingEnded,
    SwitchDown,
    SwitchUp,
)

_log = logging.getLogger(__name__)

_REJECT_MIN, _REJECT_MAX = 300, 699


class SipSwitch:
    """The built-in switch."""

    name = "sip"
    capabilities = CAPABILITIES

    def __init__(self, given: SipSettings, clock: Clock, listener: Listener, *, speaker: Speaker | None = None) -> None:
        self._settings = given
        self._folder = Path(given.folder)
        #: where recordings lie
        self.recordings_folder = self._folder / "recordings"
        self._prompts = Prompts(self._folder / "prompts", speaker or Espeak(given.espeak, given.words_per_minute))
        self._running = Running(given, self)
        self._floor = Floor(given, clock, listener, self._running)
        self._reports = Reports(self._floor)
        self._goodbyes: list[wire.DialogFacts] = []

    # Beginning and end.

    async def start(self) -> None:
        """Begin to take calls. Raises ``Misconfigured`` where the settings or the ports don't allow it."""
        settings.check(self._settings)
        floor = self._floor
        try:
            await asyncio.to_thread(self._prompts.open)
            self.recordings_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured("sip.folder", f"the folder {self._folder} can't be used: {error.strerror}") from None
        floor.restore_spending()
        for path, seconds in await asyncio.to_thread(mend, self.recordings_folder):
            why = "the switch was cut off while it recorded"
            floor.tell(RecordingEnded(recording=path.stem, at_ms=floor.now(), path=str(path), seconds=seconds, why=why))
        try:
            await self._running.start()
        except BaseException:
            await self.close()
            raise
        where = f"{self._settings.host}:{self.port}"
        _log.info("SIP at %s (UDP), audio at %d to %d", where, self._settings.rtp_first, self._settings.rtp_last)
        floor.tell(SwitchUp(at_ms=floor.now()))

    async def close(self) -> None:
        """End every leg, close every recording, end both processes."""
        why = "the switch closes"
        for leg in list(self._floor.legs.values()):
            self._floor.end(leg, "switch_down", "switch", why=why)
        await self._running.close()
        self._reports.abandon(why)

    # What the processes do (``Watcher``).

    def hear(self, said: wire.Report | wire.MediaReport) -> None:
        """A process reports."""
        self._reports.hear(said)

    def process_gone(self, which: Which, why: str) -> None:
        """Every leg needs both processes: all of them end."""
        legs = list(self._floor.legs.values())
        self._goodbyes = [leg.dialog for leg in legs if leg.dialog is not None]
        for leg in legs:
            self._floor.end(leg, "switch_down", "switch", why=why)

    async def process_cleared(self, which: Which, why: str) -> None:
        """Mend what media had open, then say that the switch is down."""
        floor = self._floor
        if which == "media":
            for path, seconds in await asyncio.to_thread(mend, self.recordings_folder):
                self._reports.recorded(wire.Recorded(path.stem, str(path), seconds, why))
            self._reports.abandon(why)
        floor.tell(SwitchDown(at_ms=floor.now(), why=why))

    def process_back(self, which: Which) -> None:
        """A new SIP process says goodbye in the old one's dialogs, and learns who had registered."""
        floor = self._floor
        if which == "sip":
            for facts in self._goodbyes:
                self._running.say(wire.Forget(facts))
            for phone in floor.registered.values():
                self._running.say(wire.Restore(phone.user, phone.contact, phone.host, phone.port, phone.seconds))
        self._goodbyes = []
        floor.tell(SwitchUp(at_ms=floor.now()))

    # For who measures or watches.

    @property
    def port(self) -> int:
        """The UDP port that phones call; known after ``start``."""
        return self._running.port

    @property
    def pids(self) -> dict[str, int]:
        """The two processes."""
        return self._running.pids

    @property
    def legs(self) -> int:
        """How many legs there are now."""
        return len(self._floor.legs)

    @property
    def registered(self) -> frozenset[str]:
        """The phones that have registered."""
        return frozenset(self._floor.registered)

    @property
    def holds_nothing(self) -> bool:
        """Whether nothing of any call is left."""
        floor = self._floor
        return not (floor.legs or floor.playbacks or floor.recordings or floor.bridges)

    # Commands.

    async def ring(self, leg: str, *, early_media: bool = False) -> None:
        """Tell an offered leg's phone that it rings."""
        floor = self._floor
        found = floor.offered(leg)
        found.stage = "ringing"
        if early_media and found.stream is not None:
            self._running.say(wire.Reply(leg, 183, floor.describe(found)))
            self._running.say_media(wire.GoLive(leg, False))
        else:
            self._running.say(wire.Reply(leg, 180))

    async def answer(self, leg: str) -> None:
        """Answer an offered leg."""
        floor = self._floor
        found = floor.offered(leg)
        found.stage = "answering"
        self._running.say(wire.Reply(leg, 200, floor.describe(found)))
        if found.stream is not None:
            self._running.say_media(wire.GoLive(leg, True))

    async def reject(self, leg: str, status: int = 603) -> None:
        """Refuse an offered leg with a SIP status."""
        floor = self._floor
        found = floor.offered(leg)
        if not _REJECT_MIN <= status <= _REJECT_MAX:
            raise Refused("call.status", f"A leg is refused with a status from {_REJECT_MIN} to {_REJECT_MAX}.")
        self._running.say(wire.Reply(leg, status))
        floor.finish(found, Ending(cause_of(status), "command", status, ""))

    async def play(self, leg: str, playback: str, prompts: tuple[Prompt, ...], *, barge_in: bool = False) -> None:
        """Play prompts one after the other."""
        floor = self._floor
        check_id(playback, "playback")
        floor.alive(leg)
        if playback in floor.playbacks:
            raise Refused("call.id", f"There is a playback {playback} already.")
        files = await self._prompts.ready(prompts)
        floor.alive(leg)
        floor.playbacks[playback] = leg
        self._running.say_media(wire.PlayFiles(leg, playback, files, barge_in))

    async def stop(self, playback: str) -> None:
        """End a playback."""
        floor = self._floor
        if playback in floor.playbacks:
            self._running.say_media(wire.StopPlaying(playback))

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
        """Call a phone that registered, or a number by a trunk within the dial plan."""
        floor = self._floor
        check_id(leg, "leg")
        floor.check_up()
        if leg in floor.legs:
            raise Refused("call.id", f"There is a leg {leg} already.")
        if len(floor.legs) >= self._settings.legs_max:
            raise Unavailable("call.full", f"The switch has {self._settings.legs_max} legs, which is its limit.")
        phone, trunk, rate = ("" if via else floor.phone_of(to)), "", None
        if not phone:
            to = floor.plan.number(to)
            trunk = floor.plan.trunk(to, via)
            rate = floor.plan.begin(to, floor.now())
            floor.keep_spending()
        found = Leg(leg, inbound=False, caller=caller_id, called=to, source=trunk, rate=rate)
        floor.legs[leg] = found
        try:
            await floor.open(found)
        except Unavailable:
            floor.legs.pop(leg, None)
            raise
        if found.ending is not None:
            return
        found.stage = "dialling"
        self._running.say(wire.Invite(leg, to, caller_id, caller_name, floor.offer(found), phone, trunk))
        floor.later(found, max(1.0, ring_s), lambda: floor.end(found, "no_answer", "switch", why="nobody answered"))

    async def bridge(self, bridge: str, leg: str, other: str, *, ringback: bool = False) -> None:
        """Let two legs hear each other."""
        floor = self._floor
        check_id(bridge, "bridge")
        one, two = floor.alive(leg), floor.alive(other)
        if bridge in floor.bridges or leg == other:
            raise Refused("call.id", f"There is a bridge {bridge} already, or it has one leg only.")
        for each in (one, two):
            floor.leave(each.bridge)
        one.bridge = two.bridge = bridge
        floor.bridges[bridge] = (leg, other)
        self._running.say_media(wire.Join(bridge, leg, other, ringback))

    async def unbridge(self, bridge: str) -> None:
        """Part two legs."""
        floor = self._floor
        floor.leave(bridge)
        self._running.say_media(wire.Part(bridge))

    async def hold(self, leg: str, prompts: tuple[Prompt, ...] = ()) -> None:
        """Keep a leg waiting; its phone is told."""
        floor = self._floor
        found = floor.alive(leg)
        files = await self._prompts.ready(prompts) if prompts else ()
        floor.alive(leg)
        found.held = True
        self._running.say_media(wire.HoldLeg(leg, files))
        self._reoffer(found)

    async def resume(self, leg: str) -> None:
        """End ``hold``."""
        floor = self._floor
        found = floor.alive(leg)
        found.held = False
        self._running.say_media(wire.ResumeLeg(leg))
        self._reoffer(found)

    async def record(self, recording: str, of: str, *, stereo: bool = True, max_s: float = 0.0) -> None:
        """Record a bridge or a leg."""
        floor = self._floor
        check_id(recording, "recording")
        if of not in floor.bridges:
            floor.alive(of)
        path = self.recordings_folder / f"{recording}.wav"
        if recording in floor.recordings or path.exists():
            raise Refused("call.id", f"There is a recording {recording} already.")
        limit_s = self._settings.recording_s_max
        floor.recordings[recording] = of
        self._running.say_media(
            wire.StartRecording(recording, of, str(path), stereo, min(max_s, limit_s) if max_s else limit_s)
        )

    async def stop_recording(self, recording: str) -> None:
        """Close a recording."""
        floor = self._floor
        if recording in floor.recordings:
            self._running.say_media(wire.StopRecording(recording))

    async def send_digits(self, leg: str, digits: str) -> None:
        """Press keys towards the phone."""
        floor = self._floor
        floor.alive(leg)
        if not 0 < len(digits) <= DIGITS_MAX or set(digits) - set(KEYS):
            raise Refused("call.digits", f"Digits are 1 to {DIGITS_MAX} of {KEYS}.")
        self._running.say_media(wire.SendKeys(leg, digits))

    async def hang_up(self, leg: str, cause: Cause = "normal") -> None:
        """End a leg at whatever stage it is."""
        floor = self._floor
        found = floor.legs.get(leg)
        if found is not None and found.ending is None:
            floor.end(found, cause, "command")

    def _reoffer(self, leg: Leg) -> None:
        if leg.stage == "answered":
            leg.version += 1
            direction = "sendonly" if leg.held else "sendrecv"
            self._running.say(wire.Offer(leg.name, self._floor.offer(leg, direction)))


def mend(folder: Path) -> list[tuple[Path, float]]:
    """Close the recordings that a process left open when it died; each with its seconds."""
    mended = []
    for part in sorted(folder.glob(f"*{PART}")):
        seconds = repair(part)
        if seconds > 0:
            whole = part.with_name(part.name.removesuffix(PART))
            part.rename(whole)
            mended.append((whole, seconds))
        else:
            part.unlink(missing_ok=True)
    return mended
