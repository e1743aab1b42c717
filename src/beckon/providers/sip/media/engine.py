"""The media loop: epoll on every leg's sockets, a tick every 5 ms for a quarter of those that are played to.

A leg is ticked every 20 ms; which of the four slots it has follows from when it was played to first: that packet leaves
at once. When the server is gone the recordings are closed and the loop ends.
"""

import select
import socket
from collections.abc import Callable
from heapq import heappop, heappush
from os import eventfd, eventfd_read, eventfd_write
from time import monotonic

from beckon.core.clock import SystemClock
from beckon.providers.sip import wire
from beckon.providers.sip.link import Link
from beckon.providers.sip.media import ports
from beckon.providers.sip.media.bridges import Bridges
from beckon.providers.sip.media.leg import Leg
from beckon.providers.sip.media.playing import Playback, Shelf
from beckon.providers.sip.media.recorder import Writer
from beckon.providers.sip.media.recordings import Recordings
from beckon.providers.sip.media.rtp import SAMPLES_A_SECOND

SLOTS = 4
SLOT_S = 0.005
#: A loop that was held up for longer lets the time be lost rather than sending it in one burst.
_BURST_S = 0.2
_REPORT_S = 5.0
_LOOK_S = 1.0
_EVENTS_MAX = 64
_IDLE_S = 1.0


class Engine:
    """All legs, and the loop."""

    def __init__(self, server: socket.socket, host: str, first_port: int, last_port: int, silence_s: float) -> None:
        self._host, self._first_port, self._last_port = host, first_port, last_port
        self._silence_s = silence_s
        self._clock = SystemClock()
        self._poll = select.epoll()
        self._takers: dict[int, Callable[[float], None]] = {}
        self._wake = eventfd(0)
        self._link = Link(server, wire.read_media_command, lambda: eventfd_write(self._wake, 1))
        self._writer = Writer(self._link.from_thread)
        self._shelf = Shelf()
        self._legs: dict[str, Leg] = {}
        self._bridges = Bridges(self)
        self._recordings = Recordings(self._writer, self._after)
        self._slots: tuple[dict[Leg, None], ...] = tuple({} for _ in range(SLOTS))
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        self._timer_count = 0
        self._ended = False
        self._slot_now = 0
        self.now_s = monotonic()
        self._obey: dict[type, Callable[..., None]] = {
            wire.OpenLeg: self._open,
            wire.SetRemote: self._set_remote,
            wire.GoLive: self._go_live,
            wire.CloseLeg: lambda said: self._close(said.leg),
            wire.PlayFiles: self._play,
            wire.StopPlaying: self._stop,
            wire.Join: self._join,
            wire.Part: lambda said: self._bridges.part(said.bridge),
            wire.HoldLeg: self._hold,
            wire.ResumeLeg: self._resume,
            wire.StartRecording: self._record,
            wire.StopRecording: lambda said: self._recordings.end(said.recording),
            wire.PressKey: self._press,
            wire.SendKeys: self._send_keys,
            wire.Quit: lambda said: self.end(),
        }

    # The loop.

    def run(self) -> None:
        """Until ``end``, or the server is gone."""
        self._listen(self._link.fileno(), self._take_commands)
        self._listen(self._wake, lambda now_s: self._woken())
        self._after(_LOOK_S, self._look)
        self._link.tell(wire.Ready())
        due_s, slot = monotonic(), 0
        poll, takers, timers = self._poll.poll, self._takers, self._timers
        while not (self._ended or self._link.gone):
            now_s = self.now_s = monotonic()
            if now_s - due_s > _BURST_S:
                due_s = now_s
            while due_s <= now_s:
                self._tick(slot, now_s)
                due_s += SLOT_S
                slot = (slot + 1) % SLOTS
                self._slot_now = slot
            while timers and timers[0][0] <= now_s:
                heappop(timers)[2](now_s)
            if self._link.unsent:
                self._link.flush()
            next_s = timers[0][0] if timers else now_s + _IDLE_S
            ticking = any(self._slots)
            if ticking:
                next_s = min(next_s, due_s)
            found = poll(max(0.0, next_s - monotonic()), _EVENTS_MAX)
            if not ticking:  # time that nobody was played to needs no ticks
                due_s = monotonic() + SLOT_S
            for descriptor, _ in found:
                taker = takers.get(descriptor)
                if taker is not None:
                    taker(monotonic())
        self._finish()

    def end(self) -> None:
        """Let the loop end; a signal may ask for it."""
        self._ended = True
        eventfd_write(self._wake, 1)

    def _tick(self, slot: int, now_s: float) -> None:
        legs = self._slots[slot]
        if not legs:
            return
        for leg in list(legs):
            leg.tick(now_s)
            if leg.talker is not None and not leg.busy:
                self._rest(leg)

    def _finish(self) -> None:
        for name in list(self._legs):
            self._close(name)
        self._recordings.end_all("the switch ended")
        self._writer.join()
        self._link.drain()

    def _listen(self, descriptor: int, taker: Callable[[float], None]) -> None:
        if descriptor in self._takers:
            self._poll.modify(descriptor, select.EPOLLIN)
        else:
            self._poll.register(descriptor, select.EPOLLIN)
        self._takers[descriptor] = taker

    def _after(self, seconds: float, what: Callable[[float], None]) -> None:
        self._timer_count += 1
        heappush(self._timers, (monotonic() + seconds, self._timer_count, what))

    def _woken(self) -> None:
        eventfd_read(self._wake)
        self._link.flush()

    def _take_commands(self, now_s: float) -> None:
        self.now_s = now_s
        for said in self._link.read():
            self._obey[type(said)](said)

    def _look(self, now_s: float) -> None:
        """Once a second: whom nothing comes from any more."""
        for leg in self._legs.values():
            if leg.answered and leg.sends and not leg.silent_told and now_s - leg.heard_s > self._silence_s > 0:
                leg.silent_told = True
                self._link.tell(wire.WentSilent(leg.name))
        self._after(_LOOK_S, self._look)

    # What legs ask for (``Ears``).

    def heard(self, leg: Leg, key: str, by: str) -> None:
        """A key: told first, then what it interrupts ends."""
        self._link.tell(wire.Heard(leg.name, key, by))
        if leg.queue and leg.queue[0].barge_in:
            leg.stop_all("key")
        if leg.hearer is not None and (by == "info" or leg.hearer.key_type < 0):
            # It came another way than audio goes, or as an event that the other phone does not know.
            leg.hearer.press(key, self.now_s)

    def played(self, leg: Leg, playback: Playback, end: str) -> None:
        """A playback is over."""
        if playback.name:
            self._link.tell(wire.Played(playback.name, leg.name, end, playback.played_ms))

    def retime(self, leg: Leg, now_s: float) -> None:
        """Tick the leg every 20 ms from now."""
        if not leg.live:
            return
        if leg.slot >= 0:
            del self._slots[leg.slot][leg]
        leg.slot = (self._slot_now - 1) % SLOTS
        self._slots[leg.slot][leg] = None

    def relisten(self, leg: Leg) -> None:
        """The leg has another socket, or another way to take from it."""
        self._listen(leg.rtp.fileno(), leg.take)

    def early_audio(self, leg: Leg, now_s: float) -> None:
        """A phone that isn't answered yet sends audio: whoever waits for it hears that instead of ringing."""
        self._bridges.early_audio(leg)

    def settle(self, leg: Leg) -> None:
        """Tick the leg if nobody talks to it; otherwise let what it hears come from there."""
        if leg.live and (leg.busy or leg.talker is None):
            if leg.slot < 0:
                self.retime(leg, self.now_s)
        else:
            self._rest(leg)

    def _rest(self, leg: Leg) -> None:
        if leg.slot >= 0:
            del self._slots[leg.slot][leg]
            leg.slot = -1

    # What the server asks for.

    def _open(self, said: wire.OpenLeg) -> None:
        try:
            pair = ports.open_pair(self._host, self._first_port, self._last_port)
        except OSError as error:
            self._link.tell(wire.Opened(said.leg, 0, str(error.strerror or error)))
            return
        leg = self._legs[said.leg] = Leg(said.leg, self._host, pair, self, self.now_s)
        self.relisten(leg)
        self._listen(leg.rtcp.fileno(), leg.take_report)
        self._after(_REPORT_S, lambda now_s: self._report(leg, now_s))
        self._link.tell(wire.Opened(said.leg, leg.port))

    def _report(self, leg: Leg, now_s: float) -> None:
        if self._legs.get(leg.name) is leg:
            leg.send_report(now_s, self._clock.now_ms() / 1000)
            self._after(_REPORT_S, lambda later_s: self._report(leg, later_s))

    def _set_remote(self, said: wire.SetRemote) -> None:
        leg = self._legs.get(said.leg)
        if leg is not None:
            address = (said.host, said.port)
            leg.set_remote(address, said.payload_type, said.key_type, said.sends, said.hears, said.tones, self.now_s)

    def _go_live(self, said: wire.GoLive) -> None:
        leg = self._legs.get(said.leg)
        if leg is None:
            return
        first = not leg.live
        leg.live = True
        if said.answered and not leg.answered:
            leg.answered = True
            leg.heard_s = self.now_s
        self._bridges.refresh(leg)
        self.settle(leg)
        if first and leg.queue:
            self.retime(leg, self.now_s)
            leg.tick(self.now_s)

    def _close(self, name: str) -> None:
        leg = self._legs.pop(name, None)
        if leg is None:
            return
        self._bridges.left(leg)
        self._recordings.end_of(name)
        leg.stop_all("leg_ended")
        leg.send_report(self.now_s, self._clock.now_ms() / 1000, goodbye=True)
        self._rest(leg)
        for opened in (leg.rtp, leg.rtcp):
            self._takers.pop(opened.fileno(), None)
        leg.close()
        heard = leg.reception
        self._link.tell(
            wire.Closed(
                name,
                heard.received if heard else 0,
                heard.lost if heard else 0,
                leg.sent,
                round(heard.jitter / SAMPLES_A_SECOND * 1000, 3) if heard else 0.0,
                leg.foreign,
            )
        )

    def _play(self, said: wire.PlayFiles) -> None:
        leg = self._legs.get(said.leg)
        if leg is None:
            self._link.tell(wire.Played(said.playback, said.leg, "leg_ended", 0))
            return
        try:
            audio = self._shelf.read(said.files, leg.law)
        except OSError as error:
            self._link.tell(wire.Played(said.playback, said.leg, "failed", 0, f"a prompt is gone: {error.strerror}"))
            return
        leg.play(Playback(said.playback, audio, barge_in=said.barge_in), self.now_s)

    def _stop(self, said: wire.StopPlaying) -> None:
        for leg in self._legs.values():
            if leg.stop(said.playback):
                self.settle(leg)
                return

    def _join(self, said: wire.Join) -> None:
        leg, other = self._legs.get(said.leg), self._legs.get(said.other)
        if leg is not None and other is not None:
            self._bridges.join(said.bridge, leg, other, ringback=said.ringback)

    def _hold(self, said: wire.HoldLeg) -> None:
        leg = self._legs.get(said.leg)
        if leg is None:
            return
        try:
            audio = self._shelf.read(said.files, leg.law)
        except OSError:
            audio = b""
        leg.held = True
        leg.waiting = Playback("", audio, again=True) if audio else None
        self._bridges.refresh(leg)
        self.settle(leg)

    def _resume(self, said: wire.ResumeLeg) -> None:
        leg = self._legs.get(said.leg)
        if leg is not None:
            leg.held, leg.waiting = False, None
            self._bridges.refresh(leg)
            self.settle(leg)

    def _record(self, said: wire.StartRecording) -> None:
        both = self._bridges.legs_of(said.of)
        leg = self._legs.get(said.of)
        if both is not None:
            self._recordings.of_bridge(said, *both, self.now_s)
        elif leg is not None:
            self._recordings.of_leg(said, leg, self.now_s)
        else:
            self._link.tell(wire.Recorded(said.recording, "", 0.0, "there is no such leg or bridge"))

    def end_recordings_of(self, bridge: str) -> None:
        """A bridge is over, and its recordings with it."""
        self._recordings.end_of(bridge)

    def _press(self, said: wire.PressKey) -> None:
        leg = self._legs.get(said.leg)
        if leg is not None:
            self.heard(leg, said.key, "info")

    def _send_keys(self, said: wire.SendKeys) -> None:
        leg = self._legs.get(said.leg)
        if leg is not None:
            leg.press(said.keys, self.now_s)
