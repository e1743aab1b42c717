"""Small measures: how much a value weighs (the guard against values that double at every step), which word is near."""

from collections.abc import Collection
from decimal import Decimal
from difflib import get_close_matches
from math import isfinite
from typing import Any

from beckon.core.errors import Refused

#: What one value made by a step may weigh: about its size as JSON.
VALUE_WEIGHT_MAX = 262_144

#: How deep a value may nest.
VALUE_DEPTH_MAX = 40

#: Numbers beyond this many bits, or decimal digits, are no quantity of this world.
NUMBER_BITS_MAX = 128
NUMBER_DIGITS_MAX = 38


def weigh(value: Any, most: int = VALUE_WEIGHT_MAX, depth: int = VALUE_DEPTH_MAX) -> int:
    """About how many characters a value would take as JSON. Refuses what is heavier than ``most``, or deeper.

    Counts what is there twice as twice: a value that holds another many times is as heavy as its text would be.
    """
    kind = type(value)
    if kind is str:
        weight = len(value) + 2
    elif kind is bool or value is None:
        return 5
    elif kind is int:
        if value.bit_length() > NUMBER_BITS_MAX:
            raise _no_number()
        return 8
    elif kind is dict or kind is list or kind is tuple:
        if depth <= 0:
            raise Refused("value.too_deep", f"A value nests deeper than {VALUE_DEPTH_MAX} levels.")
        weight = 2 + 2 * len(value)
        if weight > most:
            raise _too_large()
        if kind is dict:
            for name, item in value.items():
                weight += len(name) if type(name) is str else 8
                weight += weigh(item, most - weight, depth - 1)
        else:
            for item in value:
                weight += weigh(item, most - weight, depth - 1)
    elif kind is range:
        weight = 8 * len(value)
    elif kind is Decimal:
        if not value.is_finite() or abs(value.adjusted()) > NUMBER_DIGITS_MAX:
            raise _no_number()
        return 8
    elif kind is float:
        if not isfinite(value):
            raise _no_number()
        return 8
    else:
        return 8
    if weight > most:
        raise _too_large()
    return weight


def _no_number() -> Refused:
    return Refused("value.too_large", f"A number is infinite, or has more than {NUMBER_DIGITS_MAX} digits.")


def _too_large() -> Refused:
    return Refused("value.too_large", f"A value is larger than {VALUE_WEIGHT_MAX // 1024} KiB.")


def closest(word: str, known: Collection[str]) -> str:
    """``; did you mean …?`` where a known word is near, else a full stop: the end of a sentence about ``word``."""
    near = get_close_matches(word[:80], sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else "."
