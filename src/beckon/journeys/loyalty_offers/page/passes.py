"""Passes to a member's page: how long they hold, and the token that each of its forms carries. Pure.

A pass is the member's own token (``tokens``): whoever has it is let in until it is over, as with any signed link, so it
is short-lived where an app asks for one. A message's short link is a pass as well, as long as the link holds.
"""

import hashlib
import hmac

from beckon.core.clock import iso
from beckon.journeys.loyalty_offers.tokens import token_for
from beckon.journeys.part import JourneyParts

#: How long a pass that an app's backend asks for opens the page.
APP_MS = 15 * 60_000
#: The longest that one may ask for.
APP_MAX_MS = 24 * 3_600_000
#: How long one that a flow asks for does: it stands in a message.
MESSAGE_MS = 30 * 86_400_000


def form_token(key: bytes, pass_: str) -> str:
    """What every form of a page carries: only who sees the page knows it, and it is good for this pass alone."""
    return hmac.new(key, f"wallet form\x1f{pass_}".encode(), hashlib.sha256).hexdigest()[:32]


def page_of(parts: JourneyParts, workspace: str, member: str, until_ms: int) -> dict[str, str]:
    """The page's address with a fresh pass, and until when it opens."""
    token = token_for(workspace, member, parts.link_key, until_ms)
    return {"url": f"{parts.address}/wallet/{token}", "expires": iso(until_ms)}
