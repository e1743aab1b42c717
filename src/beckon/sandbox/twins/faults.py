"""What goes wrong with a pretended party, as data: the demo's fault panel and the tests set it live."""

from typing import Literal

import msgspec

Receipts = Literal["ordered", "out_of_order", "duplicated", "late", "none"]


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All well, until a field says otherwise."""

    #: answers 503 (mail: hangs up at once)
    down: bool = False
    #: answers 429 (mail: 450) and asks to wait
    rate_limited: bool = False
    retry_after_s: int = 30
    #: knows no approved template
    template_rejected: bool = False
    #: says of every recipient that there is no such one
    number_invalid: bool = False
    #: takes the message, then keeps the answer back for so long, in milliseconds
    slow_ms: int = 0
    receipts: Receipts = "ordered"
    #: how late ``late`` receipts are, in milliseconds
    late_ms: int = 600_000
    #: takes the message, and says later that it failed
    fail_later: bool = False
    #: the party's own code for ``fail_later``; empty: its usual one
    fail_code: str = ""
    #: answers every message with this code of its own
    answer_code: str = ""
    #: the time between a message's receipts, in milliseconds
    pace_ms: int = 0

    def clear(self) -> None:
        """All well again."""
        for field in msgspec.structs.fields(self):
            setattr(self, field.name, field.default)

    def plan(self, states: tuple[str, ...]) -> list[tuple[int, str]]:
        """When each receipt leaves, in milliseconds from now, in the order in which they leave."""
        if self.receipts == "none":
            return []
        if self.receipts == "out_of_order":
            states = tuple(reversed(states))
        elif self.receipts == "duplicated":
            states = tuple([state for state in states for _ in range(2)])
        start_ms = self.late_ms if self.receipts == "late" else 0
        return [(start_ms + index * self.pace_ms, state) for index, state in enumerate(states)]
