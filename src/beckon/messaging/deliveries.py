"""Deliveries: what an attempt or a receipt makes of a delivery. Pure.

Receipts come late, twice and out of order, and for an attempt that a fallback has overtaken. What may follow what is
the table in ``core.delivery``; a receipt that may not is kept with a note, and changes nothing. An attempt that its
provider reports as failed later on is marked so, and its channel isn't tried again.
"""

from typing import TypeVar

import msgspec

from beckon.core.delivery import Attempt, Choice, Delivery, may_follow

#: Attempts and receipts that a delivery keeps: the first and the newest ones.
ATTEMPTS_MAX = 32
RECEIPTS_MAX = 24

#: What a provider reports, and what it means for the delivery.
RECEIPTS = frozenset({"sent", "delivered", "read", "failed"})

_T = TypeVar("_T")
_REACHED = frozenset({"delivered", "read"})
_OUTCOME_WORDS = {
    "sent": "handed over, and no receipt came in time",
    "refused": "refused",
    "unavailable": "the provider did not take it",
    "unsupported": "this channel can't say it",
    "misconfigured": "the provider's settings need the operator",
    "failed": "the provider could not deliver it",
}


def after_attempt(
    delivery: Delivery, attempt: Attempt, *, choice: Choice | None = None, retrying: bool = False
) -> Delivery:
    """The delivery after a message was handed over, or wasn't.

    ``retrying``: the same channel is tried again later. A receipt that overtook this outcome stands: delivered stays
    delivered. An attempt that a fallback makes in vain leaves an earlier message on its way: sent stays sent.
    """
    attempts = _bounded((*delivery.attempts, attempt), ATTEMPTS_MAX)
    dropped = len(delivery.attempts) + 1 - len(attempts)
    changes: dict[str, object] = {
        "attempts": attempts,
        "fresh_from": max(0, delivery.fresh_from - dropped),
        "choice": choice or delivery.choice,
        "changed_ms": max(delivery.changed_ms, attempt.at_ms),
    }
    if attempt.outcome == "sent":
        changes["provider_id"] = attempt.provider_id
    if attempt.outcome == "doubtful":
        changes["doubtful"] = True
    state = _state_after(delivery, attempt, retrying)
    if state != delivery.state:
        changes["state"] = state
    return msgspec.structs.replace(delivery, **changes)


def after_receipt(
    delivery: Delivery, state: str, at_ms: int, *, provider_id: str = "", code: str = "", why: str = ""
) -> tuple[Delivery, bool, str]:
    """The delivery after a receipt, whether that changed its state, and a note for the team.

    ``provider_id`` tells which attempt the receipt is about; empty: the last one.
    """
    if state not in RECEIPTS:
        return delivery, False, f"{state[:40]} is no receipt that we know"
    about = _attempt_of(delivery, provider_id)
    last = _last_handed(delivery)
    note = why or code
    if state == "failed" and about is not None and about != last:
        note = f"an earlier attempt by {delivery.attempts[about].channel} failed" + (f": {note}" if note else "")
        changed = False
    elif state == delivery.state:
        note, changed = "came again", False
    elif not may_follow(delivery.state, state):
        note, changed = f"came after {delivery.state}", False
    else:
        changed = True
        if state in _REACHED and about is not None and about != last:
            note = f"the attempt by {delivery.attempts[about].channel} arrived after all"
    changes: dict[str, object] = {}
    if not any(one[0] == state and one[1] == at_ms for one in delivery.receipts):
        changes["receipts"] = _bounded((*delivery.receipts, (state, at_ms, note)), RECEIPTS_MAX)
    if changed:
        changes |= {"state": state, "changed_ms": max(delivery.changed_ms, at_ms)}
        if delivery.doubtful:
            # The provider speaks of it: it was handed over.
            changes["doubtful"] = False
    if state == "failed" and about is not None and delivery.attempts[about].outcome in ("sent", "doubtful"):
        failed = msgspec.structs.replace(delivery.attempts[about], outcome="failed", code=code, why=why)
        changes["attempts"] = (*delivery.attempts[:about], failed, *delivery.attempts[about + 1 :])
    return (msgspec.structs.replace(delivery, **changes) if changes else delivery), changed, note


def tried(delivery: Delivery) -> dict[str, str]:
    """The channels that this delivery has used up, each with what came of it: none is tried twice.

    A channel is not used up while the same attempt is being retried on it, while nobody knows whether it went out, or
    because one of the contact's addresses on it is gone: there may be another, and ``choose`` knows.
    """
    used: dict[str, str] = {}
    going_on = delivery.state in ("retrying", "doubtful")
    last = delivery.attempts[-1].channel if delivery.attempts else ""
    for attempt in delivery.attempts[delivery.fresh_from :]:
        if attempt.outcome in ("doubtful", "gone") or (
            going_on and attempt.channel == last and attempt.outcome == "unavailable"
        ):
            continue
        used[attempt.channel] = attempt.why or _OUTCOME_WORDS.get(attempt.outcome, attempt.outcome)
    return used


def _state_after(delivery: Delivery, attempt: Attempt, retrying: bool) -> str:
    before = delivery.state
    if before in _REACHED:
        return before
    if attempt.outcome in ("sent", "doubtful"):
        return attempt.outcome
    if retrying:
        return "retrying"
    earlier = delivery.attempts[delivery.fresh_from :]
    return "sent" if any(one.outcome == "sent" for one in earlier) else "failed"


def _attempt_of(delivery: Delivery, provider_id: str) -> int | None:
    if not provider_id:
        return _last_handed(delivery)
    for number in range(len(delivery.attempts) - 1, -1, -1):
        if delivery.attempts[number].provider_id == provider_id:
            return number
    return None


def _last_handed(delivery: Delivery) -> int | None:
    """The newest attempt that reached a provider, or may have."""
    for number in range(len(delivery.attempts) - 1, -1, -1):
        if delivery.attempts[number].outcome in ("sent", "doubtful", "failed"):
            return number
    return None


def _bounded(values: tuple[_T, ...], most: int) -> tuple[_T, ...]:
    return values if len(values) <= most else (*values[: most // 2], *values[-(most - most // 2) :])
