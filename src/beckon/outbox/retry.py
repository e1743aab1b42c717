"""Retry: whether and when a command that failed is tried again. Pure."""

import msgspec

from beckon.core.errors import BeckonError, Unavailable

#: A longer pause than this is not believed, whoever asks for it.
PAUSE_MS_MAX = 3_600_000


class Policy(msgspec.Struct, frozen=True):
    """How often, and how long between: the delay doubles from ``first_delay_ms`` up to ``delay_ms_max``."""

    attempts_max: int = 5
    first_delay_ms: int = 2_000
    delay_ms_max: int = 300_000


class Retry(msgspec.Struct, frozen=True):
    """Try again at this instant."""

    at_ms: int


class GiveUp(msgspec.Struct, frozen=True):
    """Don't try this again, and why."""

    reason: str


def decide(policy: Policy, error: BeckonError, attempt: int, now_ms: int) -> Retry | GiveUp:
    """What follows attempt number ``attempt`` (from 1) that failed with ``error``.

    Only ``Unavailable`` is tried again; its ``retry_after_s`` is obeyed where it is longer than our own delay.
    """
    if not isinstance(error, Unavailable):
        return GiveUp(error.why)
    if attempt >= policy.attempts_max:
        return GiveUp(f"{error.why} (tried {attempt} times)")
    delay = min(policy.first_delay_ms * (1 << (attempt - 1)), policy.delay_ms_max)
    return Retry(now_ms + max(delay, pause_ms(error)))


def pause_ms(error: Unavailable) -> int:
    """How long the other side asks to be left alone; 0: it doesn't say."""
    asked_s = error.retry_after_s
    return int(min(asked_s * 1000, PAUSE_MS_MAX)) if asked_s is not None and asked_s > 0 else 0
