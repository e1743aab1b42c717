"""What the two processes report, and what it means for a leg: reports in, events out."""

import logging
from collections.abc import Callable

from beckon.providers.sip import sdp, wire
from beckon.providers.sip.causes import cause_of
from beckon.providers.sip.floor import Floor
from beckon.providers.sip.legs import Ending, Leg
from beckon.telephony.switch import (
    By,
    KeyPressed,
    LegHeld,
    LegOffered,
    LegRinging,
    PlaybackEnded,
    RecordingEnded,
)

_log = logging.getLogger(__name__)


class Reports:
    """Hears both processes."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._running = floor.running
        self._hear: dict[type, Callable[..., None]] = {
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
            wire.Played: self.played,
            wire.Recorded: self.recorded,
            wire.WentSilent: self._went_silent,
            wire.Closed: self._media_closed,
        }

    def hear(self, said: wire.Value) -> None:
        """Do what a report asks for."""
        self._hear[type(said)](said)

    def abandon(self, why: str) -> None:
        """Nothing more comes from the media process: end what it would have ended."""
        for playback, leg in list(self._floor.playbacks.items()):
            self.played(wire.Played(playback, leg, "failed", 0, why))
        for recording in list(self._floor.recordings):
            self.recorded(wire.Recorded(recording, "", 0.0, why))
        for left in list(self._floor.legs.values()):
            self._floor.gone(left)

    # What the phones do.

    def _invited(self, said: wire.Invited) -> None:
        leg = Leg(
            said.leg, inbound=True, caller=said.caller, called=said.called, source=said.source, call_id=said.call_id
        )
        if len(self._floor.legs) >= self._floor.settings.legs_max or not self._running.hears or self._running.closing:
            self._running.say(wire.Reply(said.leg, 503))
            return
        if said.sdp:
            try:
                leg.stream = sdp.read(said.sdp)
            except sdp.NotAcceptable as problem:
                self._running.say(wire.Reply(said.leg, problem.status))
                return
        self._floor.legs[said.leg] = leg
        self._running.say_media(wire.OpenLeg(said.leg))

    def _opened(self, said: wire.Opened) -> None:
        leg = self._floor.legs.get(said.leg)
        if leg is None:
            return
        leg.port = said.port
        if leg.opened is not None and not leg.opened.done():
            leg.opened.set_result(said.port)
        elif leg.inbound and leg.ending is None:
            if not said.port:
                self._floor.end(leg, "congestion", "switch", why=said.why)
                return
            if leg.stream is not None:
                self._floor.set_remote(leg)
            leg.stage = "offered"
            self._floor.tell(
                LegOffered(
                    leg=leg.name,
                    at_ms=self._floor.now(),
                    caller=leg.caller,
                    called=leg.called,
                    source=leg.source,
                    call_id=leg.call_id,
                )
            )

    def _acked(self, said: wire.Acked) -> None:
        leg = self._floor.living(said.leg)
        if leg is None:
            return
        leg.dialog = said.dialog
        if leg.stream is None:
            if not self._floor.takes(leg, said.sdp):
                self._floor.end(leg, "no_codec", "switch", why="the phone's answer has no audio in G.711")
                return
            self._running.say_media(wire.GoLive(leg.name, True))
        if leg.stage == "answering":
            self._floor.was_answered(leg)

    def _progress(self, said: wire.Progress) -> None:
        leg = self._floor.living(said.leg)
        if leg is None or leg.stage not in ("dialling", "early"):
            return
        early = bool(said.sdp) and self._floor.takes(leg, said.sdp)
        if early:
            self._running.say_media(wire.GoLive(leg.name, False))
        if leg.stage == "dialling" or early:
            leg.stage = "early"
            self._floor.tell(LegRinging(leg=leg.name, at_ms=self._floor.now(), early_media=early))

    def _answered(self, said: wire.Answered) -> None:
        leg = self._floor.living(said.leg)
        if leg is None:
            return
        leg.dialog = said.dialog
        if not (self._floor.takes(leg, said.sdp) if said.sdp else leg.stream is not None):
            self._floor.end(leg, "no_codec", "switch", why="the phone's answer has no audio in G.711")
            return
        leg.cancel_timers()
        self._running.say_media(wire.GoLive(leg.name, True))
        self._floor.was_answered(leg)

    def _reoffered(self, said: wire.Reoffered) -> None:
        leg = self._floor.living(said.leg)
        if leg is None:
            return
        before = leg.stream
        try:
            leg.stream = sdp.read(said.sdp)
        except sdp.NotAcceptable as problem:
            leg.stream = before
            self._running.say(wire.Accept(said.leg, problem.status))
            return
        self._floor.set_remote(leg)
        leg.version += 1
        self._running.say(wire.Accept(said.leg, 200, self._floor.describe(leg)))
        self._notice_hold(leg)

    def _agreed(self, said: wire.Agreed) -> None:
        leg = self._floor.living(said.leg)
        if leg is not None and said.sdp:
            self._floor.takes(leg, said.sdp)

    def _notice_hold(self, leg: Leg) -> None:
        held = leg.stream is not None and leg.stream.direction in ("sendonly", "inactive")
        if held != leg.held_by_phone:
            leg.held_by_phone = held
            self._floor.tell(LegHeld(leg=leg.name, at_ms=self._floor.now(), held=held))

    def _key_by_info(self, said: wire.KeyByInfo) -> None:
        self._running.say_media(wire.PressKey(said.leg, said.key))

    def _sip_ended(self, said: wire.Ended) -> None:
        leg = self._floor.living(said.leg)
        if leg is None:
            return
        cause = cause_of(said.status)
        by: By = "phone" if said.by_phone else "switch"
        self._floor.finish(leg, Ending(cause, by, said.status, said.reason))

    def _phone_registered(self, said: wire.Registered) -> None:
        if said.seconds > 0:
            self._floor.registered[said.user] = said
        else:
            self._floor.registered.pop(said.user, None)

    def _trunk_state(self, said: wire.TrunkState) -> None:
        if said.up:
            _log.info("registered at the trunk %s", said.trunk)
        else:
            _log.warning("the trunk %s refuses our registration: %s", said.trunk, said.why)

    # What is heard.

    def _heard(self, said: wire.Heard) -> None:
        leg = self._floor.living(said.leg)
        if leg is not None:
            if leg.stage == "answering":  # a key may overtake the ACK, and says as much
                self._floor.was_answered(leg)
            by = said.by if said.by in ("info", "inband") else "rfc4733"
            self._floor.tell(
                KeyPressed(leg=said.leg, at_ms=self._floor.now(), key=said.key, by=by)  # type: ignore[arg-type]
            )

    def played(self, said: wire.Played) -> None:
        if self._floor.playbacks.pop(said.playback, None) is None:
            return
        end = said.end if said.end in ("done", "key", "stopped", "leg_ended") else "failed"
        self._floor.tell(
            PlaybackEnded(
                playback=said.playback,
                leg=said.leg,
                at_ms=self._floor.now(),
                end=end,  # type: ignore[arg-type]
                played_ms=said.played_ms,
                why=said.why,
            )
        )

    def recorded(self, said: wire.Recorded) -> None:
        if self._floor.recordings.pop(said.recording, None) is not None:
            self._floor.tell(
                RecordingEnded(
                    recording=said.recording,
                    at_ms=self._floor.now(),
                    path=said.path,
                    seconds=said.seconds,
                    why=said.why,
                )
            )

    def _went_silent(self, said: wire.WentSilent) -> None:
        leg = self._floor.living(said.leg)
        if leg is not None:
            self._floor.end(leg, "silence", "switch", why=f"no audio came for {self._floor.settings.silence_s:.0f} s")

    def _media_closed(self, said: wire.Closed) -> None:
        leg = self._floor.legs.get(said.leg)
        if leg is not None:
            self._floor.gone(leg)
