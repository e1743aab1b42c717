"""Bridges: which legs hear each other, from when on, and what the one hears that is still alone."""

from typing import Protocol

from beckon.providers.sip.media.g711 import ULAW, turn
from beckon.providers.sip.media.leg import Leg
from beckon.providers.sip.media.playing import Playback
from beckon.providers.sip.media.tones import ringing


class Desk(Protocol):
    """What bridges need of the engine."""

    def settle(self, leg: Leg) -> None: ...
    def end_recordings_of(self, bridge: str) -> None: ...


class _Bridge:
    def __init__(self, name: str, leg: Leg, other: Leg, ringback: bool) -> None:
        self.name = name
        self.legs = (leg, other)
        self.ringback = ringback
        self.early = False


class Bridges:
    """All bridges, by name and by leg."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._by_name: dict[str, _Bridge] = {}
        self._by_leg: dict[Leg, _Bridge] = {}

    def legs_of(self, name: str) -> tuple[Leg, Leg] | None:
        """A bridge's two legs."""
        bridge = self._by_name.get(name)
        return None if bridge is None else bridge.legs

    def join(self, name: str, leg: Leg, other: Leg, *, ringback: bool) -> None:
        """Bridge two legs; whatever bridge one of them was in ends."""
        for each in (leg, other):
            before = self._by_leg.get(each)
            if before is not None:
                self.part(before.name)
        bridge = _Bridge(name, leg, other, ringback)
        self._by_name[name] = bridge
        for each in bridge.legs:
            self._by_leg[each] = bridge
            each.stop_all("stopped")
            each.mute_event()
        self._connect(bridge)

    def part(self, name: str) -> None:
        """End a bridge; both legs stay."""
        bridge = self._by_name.pop(name, None)
        if bridge is None:
            return
        self._desk.end_recordings_of(name)
        for leg in bridge.legs:
            self._by_leg.pop(leg, None)
            leg.hearer = leg.talker = None
            if not leg.held:
                leg.waiting = None
            self._desk.settle(leg)

    def left(self, leg: Leg) -> None:
        """A leg is over."""
        bridge = self._by_leg.get(leg)
        if bridge is not None:
            self.part(bridge.name)

    def refresh(self, leg: Leg) -> None:
        """A leg was answered, held, or resumed."""
        bridge = self._by_leg.get(leg)
        if bridge is not None:
            self._connect(bridge)

    def early_audio(self, leg: Leg) -> None:
        """A leg that isn't answered sends audio: its bridge's other leg hears it from now on."""
        bridge = self._by_leg.get(leg)
        if bridge is not None and bridge.ringback and not bridge.early:
            bridge.early = True
            self._connect(bridge)

    def _connect(self, bridge: _Bridge) -> None:
        one, other = bridge.legs
        together = not (one.held or other.held)
        for talker, hearer in ((one, other), (other, one)):
            may_talk = talker.answered or bridge.early
            hears = together and hearer.answered and may_talk
            talker.hearer = hearer if hears else None
            hearer.talker = talker if hears else None
        for leg, partner in ((one, other), (other, one)):
            if leg.held:
                continue
            rings = bridge.ringback and leg.answered and not partner.answered and leg.talker is None
            if rings and leg.waiting is None:
                leg.waiting = Playback("", turn(ringing(), ULAW, leg.law), again=True)
            elif not rings:
                leg.waiting = None
        for leg in bridge.legs:
            self._desk.settle(leg)
