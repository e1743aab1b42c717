"""The built-in switch: commands to its two processes, their reports as events.

The SIP process says what phones want, the media process what they say; what that means for a leg stands here. When one
of the two dies its legs end with a reason, recordings are mended, and it is started again.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import Misconfigured, Refused, Unavailable
from beckon.providers.sip import sdp, settings, wire
from beckon.providers.sip.capabilities import CAPABILITIES
from beckon.providers.sip.causes import cause_of, status_of
from beckon.providers.sip.children import Child
from beckon.providers.sip.legs import Ending, Leg, check_id, gone
from beckon.providers.sip.limits import DialPlan
from beckon.providers.sip.media.recorder import PART
from beckon.providers.sip.media.wav import repair
from beckon.providers.sip.settings import SipSettings
from beckon.providers.sip.speech.prompts import Prompts
from beckon.providers.sip.speech.speaker import Espeak, Speaker
from beckon.telephony.switch import (
    DIGITS_MAX,
    KEYS,
    By,
    Cause,
    KeyBy,
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegOffered,
    LegRinging,
    Listener,
    PlaybackEnded,
    Prompt,
    RecordingEnded,
    SwitchDown,
    SwitchUp,
)

_log = logging.getLogger(__name__)

#: How long a process may take to be ready.
_READY_S = 30.0
#: How long the media process may take to give a leg its ports.
_OPEN_S = 5.0
_RESTART_FIRST_S, _RESTART_LAST_S = 0.1, 10.0
_MINUTE_S = 60.0
_REJECT_MIN, _REJECT_MAX = 300, 699


class SipSwitch:
    """The built-in switch."""

    name = "sip"
    capabilities = CAPABILITIES

    def __init__(self, given: SipSettings, clock: Clock, listener: Listener, *, speaker: Speaker | None = None) -> None:
        self._settings = given
        self._clock = clock
        self._listener = listener
        self._folder = Path(given.folder)
        self._recordings_folder = self._folder / "recordings"
        self._prompts = Prompts(self._folder / "prompts", speaker or Espeak(given.espeak, given.words_per_minute))
        self._plan = DialPlan(given.dial, given.trunks)
        self._legs: dict[str, Leg] = {}
        self._playbacks: dict[str, str] = {}
        self._recordings: dict[str, str] = {}
        self._bridges: dict[str, tuple[str, str]] = {}
        self._registered: dict[str, wire.Registered] = {}
        self._sip: Child[wire.Report] | None = None
        self._media: Child[wire.MediaReport] | None = None
        self._ready: dict[str, asyncio.Event] = {}
        self._restarting: set[asyncio.Task[None]] = set()
        self._closing = False
        #: the UDP port that phones call; known after ``start``
        self.port = 0
        self._hear: dict[type, Callable[..., None]] = {
            wire.Ready: lambda said: None,
            wire.Invited: self._invited,
            wire.Acked: self._acked,
            wire.Progress: self._progress,
            wire.Answered: self._answered,
            wire.Reoffered: self._reoffered,
            wire.Agreed: self._agreed,
            wire.KeyByInfo: self._key_by_info,
            wire.Ended: self._sip_ended,
            wire.Registered: self._phone_registered,
            wire.TrunkState: self._trunk_state,
            wire.Opened: self._opened,
            wire.Heard: self._heard,
            wire.Played: self._played,
            wire.Recorded: self._recorded,
            wire.WentSilent: self._went_silent,
            wire.Closed: self._media_closed,
        }

    # Beginning and end.

    async def start(self) -> None:
        """Begin to take calls. Raises ``Misconfigured`` where the settings or the ports don't allow it."""
        settings.check(self._settings)
        try:
            await asyncio.to_thread(self._prompts.open)
            self._recordings_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured("sip.folder", f"the folder {self._folder} can't be used: {error.strerror}") from None
        self._restore_spending()
        for path, seconds in await asyncio.to_thread(mend, self._recordings_folder):
            why = "the switch was cut off while it recorded"
            self._tell(RecordingEnded(recording=path.stem, at_ms=self._now(), path=str(path), seconds=seconds, why=why))
        try:
            await self._start_media()
            await self._start_sip(self._settings)
        except BaseException:
            await self.close()
            raise
        self._tell(SwitchUp(at_ms=self._now()))

    async def close(self) -> None:
        """End every leg, close every recording, end both processes."""
        self._closing = True
        for task in list(self._restarting):
            task.cancel()
        for leg in list(self._legs.values()):
            self._end(leg, "switch_down", "switch", why="the switch closes")
        for child in (self._sip, self._media):
            if child is not None:
                child.say(wire.Quit())
        for child in (self._sip, self._media):
            if child is not None:
                await child.close()
        self._sip = self._media = None
        self._abandon("the switch closes")

    async def _start_media(self) -> None:
        given = self._settings
        heard = self._hears("media")
        child: Child[wire.MediaReport] = Child(wire.read_media_report, heard, lambda: self._lost("media"))
        self._ready["media"] = asyncio.Event()
        await child.start(
            "beckon.providers.sip.media", [given.host, str(given.rtp_first), str(given.rtp_last), str(given.silence_s)]
        )
        self._media = child
        await self._until_ready("media", child)

    async def _start_sip(self, given: SipSettings) -> None:
        child: Child[wire.Report] = Child(wire.read_report, self._hears("sip"), lambda: self._lost("sip"))
        self._ready["sip"] = asyncio.Event()
        await child.start("beckon.providers.sip.stack", [])
        child.say(wire.Configure(given))
        self._sip = child
        await self._until_ready("sip", child)

    def _hears(self, which: str) -> Callable[[wire.Report | wire.MediaReport], None]:
        def hear(said: wire.Report | wire.MediaReport) -> None:
            if isinstance(said, wire.Ready):
                self.port = said.port or self.port
                self._ready[which].set()
            else:
                self._hear[type(said)](said)

        return hear

    async def _until_ready(self, which: str, child: Child[wire.Report] | Child[wire.MediaReport]) -> None:
        ready = asyncio.ensure_future(self._ready[which].wait())
        ended = asyncio.ensure_future(child.wait())
        try:
            await asyncio.wait((ready, ended), timeout=_READY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            ready.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)
        if not self._ready[which].is_set():
            why = child.last_words or "it did not come up"
            raise Misconfigured("sip.start", f"the switch's {which} process can't start: {why}")

    def _lost(self, which: str) -> None:
        """A process is gone that should not be."""
        if self._closing or not self._ready[which].is_set():
            return
        self._ready[which].clear()
        why = f"the switch's {which} process ended"
        _log.error("%s; starting it again", why)
        task = asyncio.get_running_loop().create_task(self._recover(which, why))
        self._restarting.add(task)
        task.add_done_callback(self._restarting.discard)

    async def _recover(self, which: str, why: str) -> None:
        goodbyes = [leg.dialog for leg in self._legs.values() if leg.dialog is not None]
        for leg in list(self._legs.values()):
            self._end(leg, "switch_down", "switch", why=why)
        child = self._media if which == "media" else self._sip
        if child is not None:
            await child.close()
        if which == "media":
            self._media = None
            for path, seconds in await asyncio.to_thread(mend, self._recordings_folder):
                self._recorded(wire.Recorded(path.stem, str(path), seconds, why))
            self._abandon(why)
        self._tell(SwitchDown(at_ms=self._now(), why=why))
        delay_s = _RESTART_FIRST_S
        while True:
            try:
                if which == "media":
                    await self._start_media()
                else:
                    self._sip = None
                    # On the port that phones know.
                    await self._start_sip(msgspec.structs.replace(self._settings, port=self.port))
                break
            except Misconfigured as error:
                _log.error("%s", error)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _RESTART_LAST_S)
        if which == "sip":
            for facts in goodbyes:
                self._say(wire.Forget(facts))
            for phone in self._registered.values():
                self._say(wire.Restore(phone.user, phone.contact, phone.host, phone.port, phone.seconds))
        self._tell(SwitchUp(at_ms=self._now()))

    def _abandon(self, why: str) -> None:
        """Nothing more comes from the media process: end what it would have ended."""
        for playback, leg in list(self._playbacks.items()):
            self._played(wire.Played(playback, leg, "failed", 0, why))
        for recording in list(self._recordings):
            self._recorded(wire.Recorded(recording, "", 0.0, why))
        for left in list(self._legs.values()):
            self._gone(left)

    @property
    def pids(self) -> dict[str, int]:
        """The two processes, for who measures or watches them."""
        return {name: child.pid for name, child in (("sip", self._sip), ("media", self._media)) if child is not None}

    @property
    def legs(self) -> int:
        """How many legs there are now."""
        return len(self._legs)

    @property
    def registered(self) -> frozenset[str]:
        """The phones that have registered."""
        return frozenset(self._registered)

    @property
    def holds_nothing(self) -> bool:
        """Whether nothing of any call is left."""
        return not (self._legs or self._playbacks or self._recordings or self._bridges)

    @property
    def recordings_folder(self) -> Path:
        """Where recordings lie."""
        return self._recordings_folder

    # Commands.

    async def ring(self, leg: str, *, early_media: bool = False) -> None:
        """Tell an offered leg's phone that it rings."""
        found = self._offered(leg)
        found.stage = "ringing"
        if early_media and found.stream is not None:
            self._say(wire.Reply(leg, 183, self._describe(found)))
            self._say_media(wire.GoLive(leg, False))
        else:
            self._say(wire.Reply(leg, 180))

    async def answer(self, leg: str) -> None:
        """Answer an offered leg."""
        found = self._offered(leg)
        found.stage = "answering"
        self._say(wire.Reply(leg, 200, self._describe(found)))
        if found.stream is not None:
            self._say_media(wire.GoLive(leg, True))

    async def reject(self, leg: str, status: int = 603) -> None:
        """Refuse an offered leg with a SIP status."""
        found = self._offered(leg)
        if not _REJECT_MIN <= status <= _REJECT_MAX:
            raise Refused("call.status", f"A leg is refused with a status from {_REJECT_MIN} to {_REJECT_MAX}.")
        self._say(wire.Reply(leg, status))
        self._finish(found, Ending(cause_of(status), "command", status, ""))

    async def play(self, leg: str, playback: str, prompts: tuple[Prompt, ...], *, barge_in: bool = False) -> None:
        """Play prompts one after the other."""
        check_id(playback, "playback")
        self._alive(leg)
        if playback in self._playbacks:
            raise Refused("call.id", f"There is a playback {playback} already.")
        files = await self._prompts.ready(prompts)
        self._alive(leg)
        self._playbacks[playback] = leg
        self._say_media(wire.PlayFiles(leg, playback, files, barge_in))

    async def stop(self, playback: str) -> None:
        """End a playback."""
        if playback in self._playbacks:
            self._say_media(wire.StopPlaying(playback))

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
        check_id(leg, "leg")
        if leg in self._legs:
            raise Refused("call.id", f"There is a leg {leg} already.")
        if len(self._legs) >= self._settings.legs_max:
            raise Unavailable("call.full", f"The switch has {self._settings.legs_max} legs, which is its limit.")
        phone, trunk, rate = "", "", None
        if to in self._settings.phones and not via:
            phone = to
        else:
            to = self._plan.number(to)
            trunk = self._plan.trunk(to, via)
            rate = self._plan.begin(to, self._now())
            self._keep_spending()
        found = Leg(leg, inbound=False, caller=caller_id, called=to, rate=rate)
        self._legs[leg] = found
        try:
            await self._open(found)
        except Unavailable:
            self._legs.pop(leg, None)
            raise
        if found.ending is not None:
            return
        found.stage = "dialling"
        described = sdp.offer(self._public, found.port, found.version)
        self._say(wire.Invite(leg, to, caller_id, caller_name, described, phone, trunk))
        self._later(found, max(1.0, ring_s), lambda: self._end(found, "no_answer", "switch", why="nobody answered"))

    async def bridge(self, bridge: str, leg: str, other: str, *, ringback: bool = False) -> None:
        """Let two legs hear each other."""
        check_id(bridge, "bridge")
        one, two = self._alive(leg), self._alive(other)
        if bridge in self._bridges or leg == other:
            raise Refused("call.id", f"There is a bridge {bridge} already, or it has one leg only.")
        for each in (one, two):
            self._bridges.pop(each.bridge, None)
            each.bridge = bridge
        self._bridges[bridge] = (leg, other)
        self._say_media(wire.Join(bridge, leg, other, ringback))

    async def unbridge(self, bridge: str) -> None:
        """Part two legs."""
        for leg in self._bridges.pop(bridge, ()):
            if leg in self._legs:
                self._legs[leg].bridge = ""
        self._say_media(wire.Part(bridge))

    async def hold(self, leg: str, prompts: tuple[Prompt, ...] = ()) -> None:
        """Keep a leg waiting; its phone is told."""
        found = self._alive(leg)
        files = await self._prompts.ready(prompts) if prompts else ()
        self._alive(leg)
        found.held = True
        self._say_media(wire.HoldLeg(leg, files))
        self._reoffer(found)

    async def resume(self, leg: str) -> None:
        """End ``hold``."""
        found = self._alive(leg)
        found.held = False
        self._say_media(wire.ResumeLeg(leg))
        self._reoffer(found)

    async def record(self, recording: str, of: str, *, stereo: bool = True, max_s: float = 0.0) -> None:
        """Record a bridge or a leg."""
        check_id(recording, "recording")
        if of not in self._bridges:
            self._alive(of)
        path = self._recordings_folder / f"{recording}.wav"
        if recording in self._recordings or path.exists():
            raise Refused("call.id", f"There is a recording {recording} already.")
        limit_s = self._settings.recording_s_max
        self._recordings[recording] = of
        self._say_media(
            wire.StartRecording(recording, of, str(path), stereo, min(max_s, limit_s) if max_s else limit_s)
        )

    async def stop_recording(self, recording: str) -> None:
        """Close a recording."""
        if recording in self._recordings:
            self._say_media(wire.StopRecording(recording))

    async def send_digits(self, leg: str, digits: str) -> None:
        """Press keys towards the phone."""
        self._alive(leg)
        if not 0 < len(digits) <= DIGITS_MAX or set(digits) - set(KEYS):
            raise Refused("call.digits", f"Digits are 1 to {DIGITS_MAX} of {KEYS}.")
        self._say_media(wire.SendKeys(leg, digits))

    async def hang_up(self, leg: str, cause: Cause = "normal") -> None:
        """End a leg at whatever stage it is."""
        found = self._legs.get(leg)
        if found is not None and found.ending is None:
            self._end(found, cause, "command")

    # What the phones do.

    def _invited(self, said: wire.Invited) -> None:
        leg = Leg(
            said.leg, inbound=True, caller=said.caller, called=said.called, source=said.source, call_id=said.call_id
        )
        if len(self._legs) >= self._settings.legs_max or self._media is None or self._closing:
            self._say(wire.Reply(said.leg, 503))
            return
        if said.sdp:
            try:
                leg.stream = sdp.read(said.sdp)
            except sdp.NotAcceptable as problem:
                self._say(wire.Reply(said.leg, problem.status))
                return
        self._legs[said.leg] = leg
        self._say_media(wire.OpenLeg(said.leg))

    def _opened(self, said: wire.Opened) -> None:
        leg = self._legs.get(said.leg)
        if leg is None:
            return
        leg.port = said.port
        if leg.opened is not None and not leg.opened.done():
            leg.opened.set_result(said.port)
        elif leg.inbound and leg.ending is None:
            if not said.port:
                self._end(leg, "congestion", "switch", why=said.why)
                return
            if leg.stream is not None:
                self._set_remote(leg)
            leg.stage = "offered"
            self._tell(
                LegOffered(
                    leg=leg.name,
                    at_ms=self._now(),
                    caller=leg.caller,
                    called=leg.called,
                    source=leg.source,
                    call_id=leg.call_id,
                )
            )

    def _acked(self, said: wire.Acked) -> None:
        leg = self._living(said.leg)
        if leg is None:
            return
        leg.dialog = said.dialog
        if leg.stream is None:
            if not self._takes(leg, said.sdp):
                self._end(leg, "no_codec", "switch", why="the phone's answer has no audio in G.711")
                return
            self._say_media(wire.GoLive(leg.name, True))
        if leg.stage == "answering":
            self._was_answered(leg)

    def _progress(self, said: wire.Progress) -> None:
        leg = self._living(said.leg)
        if leg is None or leg.stage not in ("dialling", "early"):
            return
        early = bool(said.sdp) and self._takes(leg, said.sdp)
        if early:
            self._say_media(wire.GoLive(leg.name, False))
        if leg.stage == "dialling" or early:
            leg.stage = "early"
            self._tell(LegRinging(leg=leg.name, at_ms=self._now(), early_media=early))

    def _answered(self, said: wire.Answered) -> None:
        leg = self._living(said.leg)
        if leg is None:
            return
        leg.dialog = said.dialog
        if not (self._takes(leg, said.sdp) if said.sdp else leg.stream is not None):
            self._end(leg, "no_codec", "switch", why="the phone's answer has no audio in G.711")
            return
        leg.cancel_timers()
        self._say_media(wire.GoLive(leg.name, True))
        self._was_answered(leg)
        if leg.rate:
            self._later(leg, _MINUTE_S, lambda: self._charge(leg))

    def _was_answered(self, leg: Leg) -> None:
        leg.stage = "answered"
        limit_s = self._settings.call_s_max
        self._later(leg, limit_s, lambda: self._end(leg, "too_long", "switch", why=f"calls last {limit_s} s at most"))
        self._tell(LegAnswered(leg=leg.name, at_ms=self._now()))

    def _reoffered(self, said: wire.Reoffered) -> None:
        leg = self._living(said.leg)
        if leg is None:
            return
        before = leg.stream
        try:
            leg.stream = sdp.read(said.sdp)
        except sdp.NotAcceptable as problem:
            leg.stream = before
            self._say(wire.Accept(said.leg, problem.status))
            return
        self._set_remote(leg)
        leg.version += 1
        self._say(wire.Accept(said.leg, 200, self._describe(leg)))
        self._notice_hold(leg)

    def _agreed(self, said: wire.Agreed) -> None:
        leg = self._living(said.leg)
        if leg is not None and said.sdp:
            self._takes(leg, said.sdp)

    def _notice_hold(self, leg: Leg) -> None:
        held = leg.stream is not None and leg.stream.direction in ("sendonly", "inactive")
        if held != leg.held_by_phone:
            leg.held_by_phone = held
            self._tell(LegHeld(leg=leg.name, at_ms=self._now(), held=held))

    def _key_by_info(self, said: wire.KeyByInfo) -> None:
        self._say_media(wire.PressKey(said.leg, said.key))

    def _sip_ended(self, said: wire.Ended) -> None:
        leg = self._living(said.leg)
        if leg is None:
            return
        cause = cause_of(said.status)
        by: By = "phone" if said.by_phone else "switch"
        self._finish(leg, Ending(cause, by, said.status, said.reason))

    def _phone_registered(self, said: wire.Registered) -> None:
        if said.seconds > 0:
            self._registered[said.user] = said
        else:
            self._registered.pop(said.user, None)

    def _trunk_state(self, said: wire.TrunkState) -> None:
        if said.up:
            _log.info("registered at the trunk %s", said.trunk)
        else:
            _log.warning("the trunk %s refuses our registration: %s", said.trunk, said.why)

    # What is heard.

    def _heard(self, said: wire.Heard) -> None:
        leg = self._living(said.leg)
        if leg is not None:
            if leg.stage == "answering":  # a key may overtake the ACK, and says as much
                self._was_answered(leg)
            by: KeyBy = "info" if said.by == "info" else "rfc4733"
            self._tell(KeyPressed(leg=said.leg, at_ms=self._now(), key=said.key, by=by))

    def _played(self, said: wire.Played) -> None:
        if self._playbacks.pop(said.playback, None) is None:
            return
        end = said.end if said.end in ("done", "key", "stopped", "leg_ended") else "failed"
        self._tell(
            PlaybackEnded(
                playback=said.playback,
                leg=said.leg,
                at_ms=self._now(),
                end=end,  # type: ignore[arg-type]
                played_ms=said.played_ms,
                why=said.why,
            )
        )

    def _recorded(self, said: wire.Recorded) -> None:
        if self._recordings.pop(said.recording, None) is not None:
            self._tell(
                RecordingEnded(
                    recording=said.recording, at_ms=self._now(), path=said.path, seconds=said.seconds, why=said.why
                )
            )

    def _went_silent(self, said: wire.WentSilent) -> None:
        leg = self._living(said.leg)
        if leg is not None:
            self._end(leg, "silence", "switch", why=f"no audio came for {self._settings.silence_s:.0f} s")

    def _media_closed(self, said: wire.Closed) -> None:
        leg = self._legs.get(said.leg)
        if leg is not None:
            self._gone(leg)

    # The end of a leg.

    def _end(self, leg: Leg, cause: Cause, by: By, *, why: str = "") -> None:
        if leg.ending is None:
            self._say(wire.End(leg.name, status_of(cause), why))
            self._finish(leg, Ending(cause, by, 0, why))

    def _finish(self, leg: Leg, ending: Ending) -> None:
        """Close what it has; ``LegEnded`` follows when its media is closed."""
        leg.ending = ending
        leg.stage = "ending"
        leg.cancel_timers()
        for each in self._bridges.pop(leg.bridge, ()):
            if each in self._legs:
                self._legs[each].bridge = ""
        if leg.opened is not None and not leg.opened.done():
            leg.opened.set_result(0)
        if self._media is None or not self._ready["media"].is_set():
            self._gone(leg)
        else:
            self._say_media(wire.CloseLeg(leg.name))

    def _gone(self, leg: Leg) -> None:
        if self._legs.pop(leg.name, None) is None:
            return
        leg.cancel_timers()
        ending = leg.ending or Ending("failed", "switch", 0, "")
        self._tell(
            LegEnded(
                leg=leg.name,
                at_ms=self._now(),
                cause=ending.cause,
                by=ending.by,
                status=ending.status,
                why=ending.why,
            )
        )

    # Small things.

    async def _open(self, leg: Leg) -> None:
        leg.opened = asyncio.get_running_loop().create_future()
        self._say_media(wire.OpenLeg(leg.name))
        try:
            await asyncio.wait_for(asyncio.shield(leg.opened), _OPEN_S)
        except TimeoutError:
            raise Unavailable("switch.down", "The switch's media process does not answer.") from None
        if not leg.port and leg.ending is None:
            raise Unavailable("call.full", "The switch has no port left for the call's audio.")

    def _takes(self, leg: Leg, described: str) -> bool:
        try:
            leg.stream = sdp.read(described)
        except sdp.NotAcceptable:
            return False
        self._set_remote(leg)
        return True

    def _set_remote(self, leg: Leg) -> None:
        stream = leg.stream
        assert stream is not None
        self._say_media(
            wire.SetRemote(leg.name, stream.host, stream.port, stream.law, stream.key_type, stream.sends, stream.hears)
        )

    def _describe(self, leg: Leg) -> str:
        if leg.stream is None:
            return sdp.offer(self._public, leg.port, leg.version)
        return sdp.answer(leg.stream, self._public, leg.port, leg.version)

    def _reoffer(self, leg: Leg) -> None:
        if leg.stage == "answered":
            leg.version += 1
            direction = "sendonly" if leg.held else "sendrecv"
            self._say(wire.Offer(leg.name, sdp.offer(self._public, leg.port, leg.version, direction=direction)))

    def _charge(self, leg: Leg) -> None:
        assert leg.rate is not None
        try:
            self._plan.charge(leg.rate, self._now())
        except Refused as refused:
            self._end(leg, "not_allowed", "switch", why=refused.why)
            return
        self._keep_spending()
        self._later(leg, _MINUTE_S, lambda: self._charge(leg))

    def _keep_spending(self) -> None:
        with suppress(OSError):
            (self._folder / "spent.json").write_bytes(msgspec.json.encode((self._plan.day, self._plan.spent)))

    def _restore_spending(self) -> None:
        with suppress(OSError, msgspec.MsgspecError):
            written = (self._folder / "spent.json").read_bytes()
            self._plan.day, self._plan.spent = msgspec.json.decode(written, type=tuple[int, float])

    def _later(self, leg: Leg, seconds: float, what: Callable[[], None]) -> None:
        leg.timers.append(asyncio.get_running_loop().call_later(seconds, what))

    def _alive(self, name: str) -> Leg:
        if self._media is None or self._sip is None:
            raise Unavailable("switch.down", "The switch is starting again.", retry_after_s=1.0)
        leg = self._living(name)
        if leg is None:
            raise gone(name)
        return leg

    def _offered(self, name: str) -> Leg:
        leg = self._alive(name)
        if not leg.inbound or leg.stage not in ("offered", "ringing"):
            raise Refused("call.stage", "Only a leg that was offered and is not answered can be answered or refused.")
        return leg

    def _living(self, name: str) -> Leg | None:
        leg = self._legs.get(name)
        return None if leg is None or leg.ending is not None else leg

    @property
    def _public(self) -> str:
        return self._settings.public_address or self._settings.host

    def _say(self, command: wire.Value) -> None:
        if self._sip is not None:
            self._sip.say(command)

    def _say_media(self, command: wire.Value) -> None:
        if self._media is not None:
            self._media.say(command)

    def _now(self) -> int:
        return self._clock.now_ms()

    def _tell(self, event: object) -> None:
        try:
            self._listener(event)  # type: ignore[arg-type]
        except Exception:
            # The listener's fault must not cost the other calls their events.
            _log.exception("the switch's listener failed at %s", type(event).__name__)


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
