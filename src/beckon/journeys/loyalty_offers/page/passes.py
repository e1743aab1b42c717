"""Passes: the signed word in a wallet's address that says whose it is, and until when. Pure.

``{workspace}.{member}.{expiry}.{signature}``: whoever has it is let in until it expires, as with any signed link, so it
is short-lived where an app asks for one. A forged one is refused by arithmetic, before any look-up.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode

import msgspec

#: How long a pass that an app asked for opens the page.
APP_MS = 15 * 60_000
#: How long one that a flow asked for does: it stands in a message.
MESSAGE_MS = 30 * 86_400_000
#: No pass is good for longer.
LIFE_MAX_MS = 90 * 86_400_000
PASS_MAX = 240
_SIGNATURE_BYTES = 18
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Pass(msgspec.Struct, frozen=True):
    """Whom a pass lets in, and until when."""

    workspace: str
    member: str
    expires_ms: int


def write_pass(key: bytes, workspace: str, member: str, expires_ms: int) -> str:
    """The pass that lets a member in until an instant (to the second)."""
    words = f"{workspace}.{member}.{_number(expires_ms // 1000)}"
    return f"{words}.{_signature(key, words)}"


def read_pass(key: bytes, text: str) -> Pass | None:
    """What a pass says, where we signed it; whether it has expired is for the caller to see. None: it is forged."""
    if len(text) > PASS_MAX or not text.isascii():
        return None
    words, _, signature = text.rpartition(".")
    if not hmac.compare_digest(_signature(key, words), signature):
        return None
    workspace, member, expires = words.rsplit(".", 2)
    return Pass(workspace, member, int(expires, 36) * 1000)


def form_token(key: bytes, pass_: str) -> str:
    """What every form of a page carries: only who sees the page knows it, and it is good for this pass alone."""
    return hmac.new(key, f"wallet form\x1f{pass_}".encode(), hashlib.sha256).hexdigest()[:32]


def _signature(key: bytes, words: str) -> str:
    digest = hmac.new(key, f"wallet\x1f{words}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode()


def _number(value: int) -> str:
    out = ""
    while value:
        value, place = divmod(value, 36)
        out = _DIGITS[place] + out
    return out or "0"
