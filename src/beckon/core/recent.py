"""Recent: what was used last, by key, as much of it as there is room for."""

from collections import OrderedDict
from typing import Generic, TypeVar

#: Rows of one kind that stay at hand between turns.
RECENT_MAX = 16_000

T = TypeVar("T")


class Recent(Generic[T]):
    """The newest values by key, bounded: the oldest go first."""

    __slots__ = ("_max", "_values")

    def __init__(self, maximum: int = RECENT_MAX) -> None:
        self._values: OrderedDict[str, T] = OrderedDict()
        self._max = maximum

    def get(self, key: str) -> T | None:
        return self._values.get(key)

    def put(self, key: str, value: T) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._max:
            self._values.popitem(last=False)

    def clear(self) -> None:
        self._values.clear()
