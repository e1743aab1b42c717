"""The dial plan: which numbers may be called by trunks, how many a minute, and what they may cost in a day. Pure.

A begun minute is charged before it is spoken; a call whose next minute nobody pays for ends.
"""

from collections import deque

from beckon.core.errors import Misconfigured, Refused
from beckon.providers.sip.settings import DialSettings, TrunkSettings

_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_DIGITS_MAX = 18


class DialPlan:
    """The limits, and what has been used of them."""

    def __init__(self, settings: DialSettings, trunks: dict[str, TrunkSettings]) -> None:
        self._settings = settings
        self._trunks = trunks
        self._begun: deque[int] = deque()
        self.day = 0
        self.spent = 0.0

    def number(self, to: str) -> str:
        """A number as the plan knows it: "+" and digits. Raises ``Refused``."""
        digits = "".join(each for each in to if each not in " ()-./").removeprefix("+")
        if not (digits.isascii() and digits.isdecimal()) or not 2 < len(digits) <= _DIGITS_MAX:
            raise Refused("call.number", "That is no number that can be called.")
        return f"+{digits}"

    def trunk(self, number: str, via: str) -> str:
        """The trunk for a number. Raises ``Refused`` or ``Misconfigured`` where there is none."""
        if via:
            if via not in self._trunks:
                raise Misconfigured("call.trunk", f"there is no trunk named {via}")
            return via
        fits = [
            (len(prefix), name)
            for name, trunk in self._trunks.items()
            for prefix in trunk.prefixes
            if _fits(number, prefix)
        ]
        if not fits:
            raise Refused("call.no_route", "No trunk carries that number.")
        return min(fits, key=lambda fit: -fit[0])[1]

    def begin(self, number: str, now_ms: int) -> float:
        """Allow a call, and charge its first minute; what a minute costs. Raises ``Refused``."""
        settings = self._settings
        allowed = max((len(prefix) for prefix in settings.allowed if _fits(number, prefix)), default=-1)
        refused = max((len(prefix) for prefix in settings.refused if _fits(number, prefix)), default=-1)
        if allowed < 0 or refused >= allowed:
            raise Refused("call.not_allowed", "The dial plan does not allow that number.")
        rate = self.rate(number)
        if settings.rate_max > 0 and rate > settings.rate_max:
            raise Refused("call.too_dear", "A minute to that number costs more than the dial plan allows.")
        while self._begun and now_ms - self._begun[0] >= _MINUTE_MS:
            self._begun.popleft()
        if len(self._begun) >= settings.calls_per_minute:
            raise Refused("call.too_many", f"More than {settings.calls_per_minute} calls were begun within a minute.")
        self.charge(rate, now_ms)
        self._begun.append(now_ms)
        return rate

    def charge(self, rate: float, now_ms: int) -> None:
        """Charge one more minute. Raises ``Refused`` where the day's budget is spent."""
        day = now_ms // _DAY_MS
        if day != self.day:
            self.day, self.spent = day, 0.0
        limit = self._settings.cost_per_day
        if limit > 0 and self.spent + rate > limit:
            raise Refused("call.budget_spent", "What calls may cost in a day is spent.")
        self.spent += rate

    def refund(self, rate: float) -> None:
        """Nobody answered: the first minute was not spoken."""
        self.spent = max(0.0, self.spent - rate)

    def rate(self, number: str) -> float:
        """What a minute to a number costs."""
        fits = [(len(prefix), rate) for prefix, rate in self._settings.rates.items() if _fits(number, prefix)]
        return max(fits)[1] if fits else self._settings.rate


def _fits(number: str, prefix: str) -> bool:
    return number.startswith(prefix if not prefix or prefix.startswith("+") else f"+{prefix}")
