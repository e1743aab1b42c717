"""What a partner posts to us, mapped by its dialect. Pure.

The dialect's ``inbound`` gives a list of

    {"event": "received", "id", "from", "text", "name", "reply", "context", "media", "at"}
    {"event": "sent" | "delivered" | "read" | "failed", "id", "reference", "code", "at"}

``at`` is an instant (RFC 3339); another ``event``, such as ``""``, is passed over.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from beckon.core.clock import from_iso
from beckon.core.errors import Misconfigured, Refused
from beckon.core.event import Event
from beckon.core.liquid_text import compile_text
from beckon.messaging.channel import WebhookReply, WebhookRequest
from beckon.providers.oem_app.payloads import NAME, Dialect, Settings, failure
from beckon.providers.provider import (
    ID_MAX,
    NAME_MAX,
    Says,
    as_id,
    as_list,
    as_object,
    as_text,
    check_size,
    check_timed_signature,
    instant_ms,
    read_json,
)

_SIZE_BYTES_MAX = 262_144
_MEDIA_MAX = 10


def read_webhook(
    request: WebhookRequest, settings: Settings, dialect: Dialect, workspace: str, now_ms: int
) -> WebhookReply:
    """Verify and read one webhook. Raises ``Refused`` when it is forged, replayed or broken."""
    check_size(request.body, _SIZE_BYTES_MAX)
    if not settings.webhook_key:
        raise Misconfigured(f"{NAME}.settings", "without the setting webhook_key no webhook can be trusted")
    given = request.headers.get(dialect.signature_header.lower(), "")
    check_timed_signature(given, settings.webhook_key, request.body, now_ms, settings.replay_window_s)
    body = read_json(request.body)
    try:
        mapped = msgspec.json.decode(compile_text(dialect.inbound).render({"body": body}))
    except (Refused, msgspec.DecodeError, RecursionError):
        # Signed, but not in the shape that the dialect describes.
        raise Refused("webhook.not_mapped", f"the dialect {dialect.title} can't read the webhook") from None
    says = Says(NAME, "oem_app", settings.account, workspace, now_ms)
    return WebhookReply(
        events=tuple(_events(as_list(mapped), dialect, says)), content_type="application/json", body=b"{}"
    )


def _events(mapped: list[Any], dialect: Dialect, says: Says) -> Iterator[Event]:
    for item in map(as_object, mapped):
        kind, provider_id = as_text(item.get("event"), 20), as_id(item.get("id"))
        if not provider_id:
            continue
        at_ms = _instant(item.get("at"), says.now_ms)
        reference = as_text(item.get("reference"), ID_MAX)
        if kind == "received":
            sender = as_text(item.get("from"), ID_MAX)
            if sender:
                yield says.received(
                    provider_id,
                    sender,
                    as_text(item.get("text")),
                    at_ms,
                    name=as_text(item.get("name"), NAME_MAX),
                    reply=as_text(item.get("reply"), 4_000),
                    context=as_id(item.get("context")),
                    media=[_medium(as_object(medium)) for medium in as_list(item.get("media"))[:_MEDIA_MAX]],
                )
        elif kind in ("sent", "delivered", "read"):
            yield says.receipt(provider_id, kind, at_ms, reference=reference)
        elif kind == "failed":
            yield says.failure(provider_id, failure(as_text(item.get("code"), 60), dialect), at_ms, reference=reference)


def _medium(medium: dict[str, Any]) -> dict[str, str]:
    kept = {name: as_text(medium.get(name), 2_000) for name in ("kind", "url", "id", "mime", "name")}
    return {name: value for name, value in kept.items() if value}


def _instant(value: Any, now_ms: int) -> int:
    try:
        at_ms = from_iso(as_text(value, 40))
    except (ValueError, OverflowError):
        return now_ms
    # The same doubt as for seconds: nobody's clock is ahead of ours.
    return at_ms if instant_ms(str(at_ms // 1000), now_ms) == at_ms // 1000 * 1000 else now_ms
