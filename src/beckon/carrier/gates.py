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
#: Of the messages that a provider takes in a second: what one of a great many leaves in hand for others.
_LEFT_TO_OTHERS = 0.2
#: A longer pause than this is longer than a retry would wait: the next channel is asked instead.
_LONG_MS = 60_000

#: (workspace, provider)
Key = tuple[str, str]


class Gates:
    """One for each workspace's account with each provider."""

    def __init__(self, clock: Clock, places_max: int) -> None:
        self._clock = clock
        self._places_max = places_max
        self._big_places_max = max(1, places_max // 2)
        self._rates: dict[Key, Rate] = {}
        self._flying: dict[Key, int] = {}
        self._failures: dict[Key, int] = {}
        #: their provider is at its limit: they are chosen anew when it may be asked again; big work after all others
        self._held: dict[Key, deque[Item]] = {}
        self._big_held: dict[Key, deque[Item]] = {}

    def enter(self, provider: str, library: Library, *, big: bool = False) -> bool:
        """Whether a message may go to this provider now; it then takes a place, until ``leave``.

        ``big``: one of a great many leaves half of the places, and a fifth of a second's worth of messages, to others.
        """
        key = (library.workspace, provider)
        rate = self._rates.get(key)
        if rate is None:
            rate = self._rates[key] = Rate(library.settings.rates.get(provider, 0))
        if big and (self._held.get(key) or self._flying.get(key, 0) >= self._big_places_max):
            return False
        leave = rate.per_second * _LEFT_TO_OTHERS if big else 0
        if self._flying.get(key, 0) >= self._places_max or rate.take(self._clock.now_ms(), leave):
            return False
        self._flying[key] = self._flying.get(key, 0) + 1
        return True

    def leave(self, key: Key) -> None:
        """A place is free again."""
        self._flying[key] -= 1

    def hold(self, key: Key, item: Item) -> None:
        """Keep an item until its provider may be asked again."""
        (self._big_held if item.big else self._held).setdefault(key, deque()).append(item)

    def let_go(self, room: int) -> list[Item]:
        """Of what was held back: what may go now, or on another channel."""
        now = self._clock.now_ms()
        items: list[Item] = []
        for all_held, most, left in (
            (self._held, self._places_max, 0.0),
            (self._big_held, self._big_places_max, _LEFT_TO_OTHERS),
        ):
            for key, held in all_held.items():
                rate = self._rates[key]
                if left and self._held.get(key):
                    continue
                places = max(0, most - self._flying.get(key, 0))
                free = len(held) if self.long_pause(key) else min(places, rate.free(now, rate.per_second * left))
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
        return sum([len(held) for _, held in self._all_held()])

    @property
    def resting(self) -> bool:
        """Whether all that is held back waits for the end of a pause."""
        now = self._clock.now_ms()
        return all(self._rates[key].pause_left_ms(now) for key, held in self._all_held() if held)

    def waits_ms(self) -> list[int]:
        """For each provider that something is held back for, when to look again."""
        now = self._clock.now_ms()
        return [max(20, self._rates[key].pause_left_ms(now)) for key, held in self._all_held() if held]

    def _all_held(self) -> list[tuple[Key, deque[Item]]]:
        return [*self._held.items(), *self._big_held.items()]
