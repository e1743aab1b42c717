"""What the contract suite must know about one provider; ``tests/providers/<name>/contract.py`` says it as ``CASE``."""

import importlib
from collections.abc import Callable
from typing import Any

import msgspec

from beckon.core.exchange import Connections
from beckon.core.message import Rendered
from beckon.providers.registry import found


def _nothing(_: Any) -> None:
    """Nothing to prepare."""


def _wrong(_: str) -> str:
    return "wrong"


def _through(connections: Connections) -> Connections:
    """Nothing stands between."""
    return connections


class Case(msgspec.Struct, kw_only=True, frozen=True):
    """One provider, as the suite tries it."""

    #: a person's address on the channel
    address: str
    #: an address that is none
    bad_address: str
    #: every error code of the twin → the kind that it must become
    errors: dict[str, str]
    #: the header with the webhook's signature; empty: the party posts none
    signature_header: str = ""
    #: a signature of our own is good for so long; 0: the provider's scheme has no time in it
    replay_window_s: int = 0
    #: the receipts of a message that arrives, in order
    receipts: tuple[str, ...] = ("sent", "delivered")
    #: another value than the party's for a secret, as well written as it
    wrong_secret: Callable[[str], str] = _wrong
    #: what stands between the channel and an answer that is always the same: whoever wants a token first is given one
    behind: Callable[[Connections], Connections] = _through
    #: a second try of the same delivery is shown once
    idempotent: bool = False
    #: what the operator does with the party before the first message
    prepare: Callable[[Any], None] = _nothing
    #: an approved template, where the channel has them
    template: Rendered | None = None
    #: signed bodies that are broken
    broken: tuple[bytes, ...] = (b"", b"{", b'"\xff\xfe"', b"[" * 100_000, b"null", b"[]", b'{"a":1}')


def cases() -> dict[str, Case]:
    """Every provider's case; a provider without one fails the suite here."""
    return {name: importlib.import_module(f"tests.providers.{name}.contract").CASE for name in found()}
