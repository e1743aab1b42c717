"""The floor: the legs, playbacks, recordings and bridges that there are, and what commands and reports do to them."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import Refused, Unavailable
from beckon.providers.sip import sdp, wire
from beckon.providers.sip.causes import status_of
from beckon.providers.sip.legs import Ending, Leg, gone
from beckon.providers.sip.limits import DialPlan
from beckon.providers.sip.running import Running
from beckon.providers.sip.settings import SipSettings
from beckon.telephony.switch import By, Cause, LegAnswered, LegEnded, Listener, SwitchEvent

_log = logging.getLogger(__name__)

#: How long the media process may take to give a leg its ports.
_OPEN_S = 5.0
_MINUTE_S = 60.0


class Floor:
    """All that is going on."""

    def __init__(self, given: SipSettings, clock: Clock, listener: Listener, running: Running) -> None:
        self.settings = given
        self.running = running
        self.plan = DialPlan(given.dial, given.trunks)
        self.legs: dict[str, Leg] = {}
        #: playback → its leg; recording → what it is of; bridge → its legs
        self.playbacks: dict[str, str] = {}
        self.recordings: dict[str, str] = {}
        self.bridges: dict[str, tuple[str, str]] = {}
        self.registered: dict[str, wire.Registered] = {}
        self._clock = clock
        self._listener = listener
        #: user → number, of phones that have one
        self._numbers: dict[str, str] = {}
        for user, phone in given.phones.items():
            with suppress(Refused):
                self._numbers[user] = self.plan.number(phone.number)
        self._spent = Path(given.folder) / "spent.json"

    def now(self) -> int:
        """The time, in milliseconds."""
        return self._clock.now_ms()

    def tell(self, event: SwitchEvent) -> None:
        """Tell the listener."""
        try:
            self._listener(event)
        except Exception:
            # The listener's fault must not cost the other calls their events.
            _log.exception("the switch's listener failed at %s", type(event).__name__)

    # Finding.

    def living(self, name: str) -> Leg | None:
        """A leg that is not ending."""
        leg = self.legs.get(name)
        return None if leg is None or leg.ending is not None else leg

    def check_up(self) -> None:
        """Raise ``Unavailable`` while a process is missing."""
        if not self.running.up:
            raise Unavailable("switch.down", "The switch is starting again.", retry_after_s=1.0)

    def alive(self, name: str) -> Leg:
        """A leg that can be commanded. Raises ``Refused`` or ``Unavailable``."""
        self.check_up()
        leg = self.living(name)
        if leg is None:
            raise gone(name)
        return leg

    def offered(self, name: str) -> Leg:
        """A leg that waits for an answer. Raises ``Refused``."""
        leg = self.alive(name)
        if not leg.inbound or leg.stage not in ("offered", "ringing"):
            raise Refused("call.stage", "Only a leg that was offered and is not answered can be answered or refused.")
        return leg

    def phone_of(self, to: str) -> str:
        """The phone that is called by its user's name, or by its number while it is registered; empty: none of ours."""
        if to in self.settings.phones:
            return to
        try:
            number = self.plan.number(to)
        except Refused:
            return ""
        return next((user for user in self.registered if self._numbers.get(user) == number), "")

    # Media.

    async def open(self, leg: Leg) -> None:
        """Get a dialled leg its ports. Raises ``Unavailable``."""
        leg.opened = asyncio.get_running_loop().create_future()
        self.running.say_media(wire.OpenLeg(leg.name))
        try:
            await asyncio.wait_for(asyncio.shield(leg.opened), _OPEN_S)
        except TimeoutError:
            raise Unavailable("switch.down", "The switch's media process does not answer.") from None
        if not leg.port and leg.ending is None:
            raise Unavailable("call.full", "The switch has no port left for the call's audio.")

    def takes(self, leg: Leg, described: str) -> bool:
        """Take what the phone says about its audio; whether there is something that both know."""
        try:
            leg.stream = sdp.read(described)
        except sdp.NotAcceptable:
            return False
        self.set_remote(leg)
        return True

    def set_remote(self, leg: Leg) -> None:
        """Tell the media process where the phone wants audio."""
        to = leg.stream
        assert to is not None
        trunk = self.settings.trunks.get(leg.source)
        listen = trunk.tones if trunk is not None else "auto"
        tones = listen == "always" or (listen == "auto" and to.key_type < 0)
        self.running.say_media(
            wire.SetRemote(leg.name, to.host, to.port, to.law, to.key_type, to.sends, to.hears, tones)
        )

    def describe(self, leg: Leg) -> str:
        """What we say about our audio: an answer where the phone has offered."""
        if leg.stream is None:
            return self.offer(leg)
        return sdp.answer(leg.stream, self._public, leg.port, leg.version)

    def offer(self, leg: Leg, direction: str = "sendrecv") -> str:
        """What we offer a phone."""
        return sdp.offer(self._public, leg.port, leg.version, direction=direction)

    @property
    def _public(self) -> str:
        return self.settings.public_address or self.settings.host

    # A leg's life.

    def was_answered(self, leg: Leg) -> None:
        """Both sides have agreed."""
        leg.stage = "answered"
        limit_s = self.settings.call_s_max
        self.later(leg, limit_s, lambda: self.end(leg, "too_long", "switch", why=f"calls last {limit_s} s at most"))
        if leg.rate:
            self.later(leg, _MINUTE_S, lambda: self._charge(leg))
        self.tell(LegAnswered(leg=leg.name, at_ms=self.now()))

    def end(self, leg: Leg, cause: Cause, by: By, *, why: str = "") -> None:
        """End a leg at whatever stage it is."""
        if leg.ending is None:
            self.running.say(wire.End(leg.name, status_of(cause), why))
            self.finish(leg, Ending(cause, by, 0, why))

    def finish(self, leg: Leg, ending: Ending) -> None:
        """Close what a leg has; ``LegEnded`` follows when its media is closed."""
        if leg.rate and leg.stage != "answered":
            self.plan.refund(leg.rate)
            self.keep_spending()
        leg.ending = ending
        leg.stage = "ending"
        leg.cancel_timers()
        self.leave(leg.bridge)
        if leg.opened is not None and not leg.opened.done():
            leg.opened.set_result(0)
        if self.running.hears:
            self.running.say_media(wire.CloseLeg(leg.name))
        else:
            self.gone(leg)

    def gone(self, leg: Leg) -> None:
        """Nothing of a leg is left."""
        if self.legs.pop(leg.name, None) is None:
            return
        leg.cancel_timers()
        ending = leg.ending or Ending("failed", "switch", 0, "")
        self.tell(
            LegEnded(
                leg=leg.name,
                at_ms=self.now(),
                cause=ending.cause,
                by=ending.by,
                status=ending.status,
                why=ending.why,
            )
        )

    def leave(self, bridge: str) -> None:
        """A bridge is over."""
        for each in self.bridges.pop(bridge, ()):
            if each in self.legs:
                self.legs[each].bridge = ""

    def later(self, leg: Leg, seconds: float, what: Callable[[], None]) -> None:
        """Do something unless the leg has ended by then."""
        leg.timers.append(asyncio.get_running_loop().call_later(seconds, what))

    # Money.

    def _charge(self, leg: Leg) -> None:
        assert leg.rate is not None
        try:
            self.plan.charge(leg.rate, self.now())
        except Refused as refused:
            self.end(leg, "not_allowed", "switch", why=refused.why)
            return
        self.keep_spending()
        self.later(leg, _MINUTE_S, lambda: self._charge(leg))

    def keep_spending(self) -> None:
        """Write down what the day has cost: a restart must not make it free."""
        with suppress(OSError):
            self._spent.write_bytes(msgspec.json.encode((self.plan.day, self.plan.spent)))

    def restore_spending(self) -> None:
        """Read it."""
        with suppress(OSError, msgspec.MsgspecError):
            self.plan.day, self.plan.spent = msgspec.json.decode(self._spent.read_bytes(), type=tuple[int, float])
