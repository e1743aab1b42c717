"""Two lists side by side: what was expected and what came, with as many pairs that fit as there can be. Pure."""

from collections.abc import Callable, Sequence
from typing import TypeVar

W = TypeVar("W")
F = TypeVar("F")


def aligned(wanted: Sequence[W], found: Sequence[F], fits: Callable[[W, F], bool]) -> list[tuple[W | None, F | None]]:
    """Pairs in order; None where one side has nothing that fits. The longest common sequence, by a table."""
    fit = [[fits(item, one) for one in found] for item in wanted]
    longest = [[0] * (len(found) + 1) for _ in range(len(wanted) + 1)]
    for row in range(len(wanted) - 1, -1, -1):
        for column in range(len(found) - 1, -1, -1):
            better = max(longest[row + 1][column], longest[row][column + 1])
            longest[row][column] = max(better, longest[row + 1][column + 1] + 1) if fit[row][column] else better
    pairs: list[tuple[W | None, F | None]] = []
    row = column = 0
    while row < len(wanted) or column < len(found):
        both = row < len(wanted) and column < len(found) and fit[row][column]
        if both and longest[row][column] == longest[row + 1][column + 1] + 1:
            pairs.append((wanted[row], found[column]))
            row, column = row + 1, column + 1
        elif row < len(wanted) and (column == len(found) or longest[row + 1][column] >= longest[row][column + 1]):
            pairs.append((wanted[row], None))
            row += 1
        else:
            pairs.append((None, found[column]))
            column += 1
    return pairs
