"""Rates: how fast a provider may be asked, and when it is left alone. Pure: time is handed in."""


class Rate:
    """A token bucket: ``per_second`` on average, bursts of one second's worth. 0: no limit."""

    __slots__ = ("_at_ms", "_paused_at_ms", "_tokens", "paused_until_ms", "paused_why", "per_second")

    def __init__(self, per_second: float = 0) -> None:
        self.per_second = per_second
        self._tokens = max(1.0, per_second)
        self._at_ms = 0
        self.paused_until_ms = 0
        self._paused_at_ms = 0
        self.paused_why = ""

    def take(self, now_ms: int) -> int:
        """0: go ahead, a token is taken. Else: milliseconds until one is there, or the pause ends."""
        if now_ms < self._paused_at_ms:
            # The clock was set back: what is left of a pause is no longer than it was at its beginning.
            self.paused_until_ms -= self._paused_at_ms - now_ms
            self._paused_at_ms = now_ms
        if now_ms < self.paused_until_ms:
            return self.paused_until_ms - now_ms
        if not self.per_second:
            return 0
        full = max(1.0, self.per_second)
        self._tokens = min(full, self._tokens + max(0, now_ms - self._at_ms) / 1000 * self.per_second)
        self._at_ms = now_ms
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, int((1 - self._tokens) / self.per_second * 1000) + 1)

    def pause(self, now_ms: int, until_ms: int, why: str) -> None:
        """Leave the provider alone until then: it said so, or it does not answer."""
        if until_ms > self.paused_until_ms:
            self.paused_until_ms = until_ms
            self._paused_at_ms = now_ms
            self.paused_why = why
