"""Retry: whether and when a command that failed is tried again. Pure."""

import msgspec

from beckon.core.errors import BeckonError, Unavailable


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
    if error.retry_after_s is not None:
        delay = max(delay, int(error.retry_after_s * 1000))
    return Retry(now_ms + delay)
