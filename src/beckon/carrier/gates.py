"""Gates: how many messages a provider is handed at once and in a second, and when it is left alone."""

from collections import deque

from beckon.core.clock import Clock
from beckon.core.errors import Unavailable
from beckon.outbox.queue import Item
from beckon.outbox.rates import Rate
from beckon.outbox.retry import pause_ms
from beckon.workspaces import Library

#: How long to leave a provider alone that does not answer at all.
_PAUSE_MS = 5_000
#: Failures in a row after which a provider is left alone for a while.
_FAILURES_MAX = 5
#: A longer pause than this is longer than a retry would wait: the next channel is asked instead.
_LONG_MS = 60_000

#: (workspace, provider)
Key = tuple[str, str]


class Gates:
    """One for each workspace's account with each provider."""

    def __init__(self, clock: Clock, places_max: int) -> None:
        self._clock = clock
        self._places_max = places_max
        self._rates: dict[Key, Rate] = {}
        self._flying: dict[Key, int] = {}
        self._failures: dict[Key, int] = {}
        #: their provider is at its limit: they are chosen anew when it may be asked again
        self._held: dict[Key, deque[Item]] = {}

    def enter(self, provider: str, library: Library) -> bool:
        """Whether a message may go to this provider now; it then takes a place, until ``leave``."""
        key = (library.workspace, provider)
        rate = self._rates.get(key)
        if rate is None:
            rate = self._rates[key] = Rate(library.settings.rates.get(provider, 0))
        if self._flying.get(key, 0) >= self._places_max or rate.take(self._clock.now_ms()):
            return False
        self._flying[key] = self._flying.get(key, 0) + 1
        return True

    def leave(self, key: Key) -> None:
        """A place is free again."""
        self._flying[key] -= 1

    def hold(self, key: Key, item: Item) -> None:
        """Keep an item until its provider may be asked again."""
        self._held.setdefault(key, deque()).append(item)

    def let_go(self, room: int) -> list[Item]:
        """Of what was held back: what may go now, or on another channel."""
        now = self._clock.now_ms()
        items: list[Item] = []
        for key, held in self._held.items():
            places = self._places_max - self._flying.get(key, 0)
            free = len(held) if self.long_pause(key) else min(places, self._rates[key].free(now))
            for _ in range(min(free, len(held), room - len(items))):
                items.append(held.popleft())
        return items

    def failed(self, key: Key, error: Unavailable) -> None:
        """The provider did not take a message: after a few, or where it asks for that, it is left alone."""
        now, rate = self._clock.now_ms(), self._rates[key]
        if error.retry_after_s is not None:
            rate.pause(now, now + pause_ms(error), f"{key[1]} asked for a pause: {error.why}")
            return
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        if failures >= _FAILURES_MAX:
            self._failures[key] = 0
            rate.pause(now, now + _PAUSE_MS, f"{key[1]} does not answer: {error.why}")

    def worked(self, key: Key) -> None:
        """The provider took a message."""
        self._failures.pop(key, None)

    def paused(self, key: Key) -> str | None:
        """Why a provider is left alone at the moment; None: it is not."""
        rate = self._rates.get(key)
        return rate.paused_why if rate is not None and rate.pause_left_ms(self._clock.now_ms()) else None

    def long_pause(self, key: Key) -> str | None:
        """Why a provider is left alone for so long that it is passed over; None: it is not."""
        rate = self._rates.get(key)
        return rate.paused_why if rate is not None and rate.pause_left_ms(self._clock.now_ms()) > _LONG_MS else None

    @property
    def held(self) -> int:
        """How many items are held back."""
        return sum([len(held) for held in self._held.values()])

    @property
    def resting(self) -> bool:
        """Whether all that is held back waits for the end of a pause."""
        now = self._clock.now_ms()
        return all(self._rates[key].pause_left_ms(now) for key, held in self._held.items() if held)

    def waits_ms(self) -> list[int]:
        """For each provider that something is held back for, when to look again."""
        now = self._clock.now_ms()
        return [max(20, self._rates[key].pause_left_ms(now)) for key, held in self._held.items() if held]
