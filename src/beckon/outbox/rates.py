"""Rates: how fast a provider may be asked, and when it is left alone. Pure: time is handed in."""

#: Where there is no limit.
_ANY_NUMBER = 1_000_000


class Rate:
    """A token bucket: ``per_second`` on average, bursts of one second's worth. 0: no limit."""

    __slots__ = ("_at_ms", "_paused_at_ms", "_paused_until_ms", "_tokens", "paused_why", "per_second")

    def __init__(self, per_second: float = 0) -> None:
        self.per_second = per_second
        self._tokens = max(1.0, per_second)
        self._at_ms = 0
        self._paused_until_ms = 0
        self._paused_at_ms = 0
        self.paused_why = ""

    def take(self, now_ms: int, leave: float = 0) -> int:
        """0: go ahead, a token is taken. Else: milliseconds until one is there, or the pause ends.

        ``leave``: so many must be left over for others; where the bucket never holds more than one, none.
        """
        left_ms = self.pause_left_ms(now_ms)
        if left_ms or not self.per_second:
            return left_ms
        self._refill(now_ms)
        wanted = 1 + self._left(leave)
        if self._tokens >= wanted:
            self._tokens -= 1
            return 0
        return max(1, int((wanted - self._tokens) / self.per_second * 1000) + 1)

    def free(self, now_ms: int, leave: float = 0) -> int:
        """How many could be taken now, with so many left over."""
        if self.pause_left_ms(now_ms):
            return 0
        if not self.per_second:
            return _ANY_NUMBER
        self._refill(now_ms)
        return max(0, int(self._tokens - self._left(leave)))

    def _left(self, leave: float) -> float:
        return min(leave, max(1.0, self.per_second) - 1)

    def pause(self, now_ms: int, until_ms: int, why: str) -> None:
        """Leave the provider alone until then: it said so, or it does not answer."""
        if until_ms - now_ms > self.pause_left_ms(now_ms):
            self._paused_until_ms = until_ms
            self._paused_at_ms = now_ms
            self.paused_why = why

    def pause_left_ms(self, now_ms: int) -> int:
        """How long it is still left alone; 0: it isn't."""
        if now_ms < self._paused_at_ms:
            # The clock was set back: what is left of a pause is no longer than it was at its beginning.
            self._paused_until_ms -= self._paused_at_ms - now_ms
            self._paused_at_ms = now_ms
        return max(0, self._paused_until_ms - now_ms)

    def _refill(self, now_ms: int) -> None:
        full = max(1.0, self.per_second)
        self._tokens = min(full, self._tokens + max(0, now_ms - self._at_ms) / 1000 * self.per_second)
        self._at_ms = now_ms
