"""The registrar: which phone is where, until when. Pure but for the clock that is handed in."""

from collections.abc import Callable

import msgspec

#: A registration that is asked for lasts at least and at most so long, in seconds.
EXPIRES_MIN = 60
EXPIRES_MAX = 600
EXPIRES_USUAL = 120


class Binding(msgspec.Struct, frozen=True):
    """Where a phone is: its contact as it told, and the address that its request came from."""

    contact: str
    host: str
    port: int
    until_s: float


class Registrar:
    """One phone a user: the one that registered last."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._bindings: dict[str, Binding] = {}

    def register(self, user: str, contact: str, host: str, port: int, seconds: int) -> None:
        """Remember, or with 0 seconds forget."""
        if seconds <= 0:
            self._bindings.pop(user, None)
        else:
            self._bindings[user] = Binding(contact, host, port, self._now_s() + seconds)

    def addresses(self) -> list[tuple[str, int]]:
        """Where all phones are."""
        now_s = self._now_s()
        return [(each.host, each.port) for each in self._bindings.values() if each.until_s > now_s]

    def find(self, user: str) -> Binding | None:
        """Where the phone is now."""
        binding = self._bindings.get(user)
        if binding is not None and binding.until_s <= self._now_s():
            del self._bindings[user]
            return None
        return binding
