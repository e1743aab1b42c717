"""Delivery: one message on its way to one contact, over one or, after a fallback, several channels."""

from typing import Any

import msgspec

#: What may follow what. Receipts come late, twice and out of order: a state that may not follow is ignored, and
#: noted on the delivery. The picture in the docs and a property test come from this table.
TRANSITIONS: dict[str, frozenset[str]] = {
    # delivered and read: the receipt of an earlier attempt, which a re-send or a retry had given up.
    "queued": frozenset({"sending", "scheduled", "cancelled", "undeliverable", "delivered", "read"}),
    "scheduled": frozenset({"queued", "sending", "cancelled", "undeliverable"}),
    "sending": frozenset({"sent", "retrying", "doubtful", "delivered", "read", "failed", "undeliverable"}),
    "doubtful": frozenset({"sending", "sent", "retrying", "delivered", "read", "failed", "undeliverable"}),
    "retrying": frozenset({"sending", "cancelled", "undeliverable", "delivered", "read"}),
    "sent": frozenset({"delivered", "read", "failed", "sending"}),
    "failed": frozenset({"sending", "undeliverable", "delivered", "read"}),
    "delivered": frozenset({"read"}),
    "read": frozenset(),
    "undeliverable": frozenset({"sending", "queued", "delivered", "read"}),
    "cancelled": frozenset({"queued"}),
}

#: States after which nothing more is done unless a person asks for it.
FINAL = frozenset({"delivered", "read", "undeliverable", "cancelled"})


#: States in which nothing has reached the contact, or nobody knows: a person may have it sent again.
RESENDABLE = frozenset({"failed", "undeliverable", "cancelled", "doubtful"})


def may_follow(before: str, after: str) -> bool:
    """Whether a delivery in state ``before`` may go to ``after``."""
    return after in TRANSITIONS[before]


class PassedOver(msgspec.Struct, frozen=True, omit_defaults=True):
    """A channel that was not chosen, and why, in words for the team."""

    channel: str
    code: str
    reason: str


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """The channel that a message takes (none: ``channel`` is empty), and why not the ones before it."""

    channel: str
    provider: str
    reason: str
    passed_over: tuple[PassedOver, ...] = ()
    #: the approved template that carries it, by its name in our workspace; empty: free text.
    template: str = ""


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One handing-over to a provider, and how it ended."""

    number: int
    channel: str
    provider: str
    at_ms: int
    #: sent, refused, gone (the address is nobody's any more), unavailable, unsupported, misconfigured, doubtful
    outcome: str
    code: str = ""
    why: str = ""
    provider_id: str = ""


class Delivery(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The record of one message: its choice, its attempts, its receipts."""

    id: str
    workspace: str
    contact: str
    run: str = ""
    #: the template's name; empty: free text.
    template: str = ""
    purpose: str = "transactional"
    state: str = "queued"
    #: set when a crash or a time-out left it unknown whether a provider has the message.
    doubtful: bool = False
    choice: Choice | None = None
    attempts: tuple[Attempt, ...] = ()
    provider_id: str = ""
    created_ms: int = 0
    changed_ms: int = 0
    #: (state, at_ms, note) as they came, bounded.
    receipts: tuple[tuple[str, int, str], ...] = ()
    #: the words as the contact sees them, for the team's view.
    text: str = ""
    #: the flow that asked for it; the agent who wrote it: ``flow:<name>``, ``agent:<id>``.
    author: str = ""
    #: it stands in the conversation already.
    entered: bool = False
    #: the timer of ``fallback_after`` that runs; 0: none.
    fallback_due_ms: int = 0
    #: the number of its row in the outbox; 0: none. What is not yet in flight can be withdrawn.
    queued_number: int = 0
    #: attempts before this index don't count as tried: a person asked to send it anew.
    fresh_from: int = 0
    #: the ``send`` command, so that a fallback or a re-send asks for the same again.
    command: Any = None
