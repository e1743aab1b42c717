"""What jambonz posts to us: signed JSON, read into our own words. Pure."""

from typing import Any

from beckon.core.errors import Refused
from beckon.core.exchange import WebhookRequest
from beckon.providers.jambonz.settings import JambonzSettings
from beckon.providers.provider import (
    ID_MAX,
    REPLAY_WINDOW_S,
    as_id,
    as_object,
    check_size,
    check_timed_signature,
    read_json,
)
from beckon.telephony.documents import BY_SIP, Told
from beckon.telephony.switch import Cause

#: A new call's webhook holds the INVITE.
_SIZE_BYTES_MAX = 262_144
_KEYS_MAX = 64

_ENDED: dict[str, Cause] = {"completed": "normal", "failed": "failed", "busy": "busy", "no-answer": "no_answer"}
_STATES = {"ringing": "ringing", "early-media": "ringing", "in-progress": "answered"}


def read(request: WebhookRequest, settings: JambonzSettings, now_ms: int) -> Told:
    """Verify and read one webhook. Raises ``Refused`` when it is forged or broken."""
    check_size(request.body, _SIZE_BYTES_MAX)
    given = request.headers.get("jambonz-signature", "")
    check_timed_signature(given, settings.webhook_secret, request.body, now_ms, REPLAY_WINDOW_S)
    said = as_object(read_json(request.body))
    call = as_id(said.get("call_sid"))
    if not call or said.get("account_sid", settings.account_sid) != settings.account_sid:
        raise Refused("webhook.not_ours", "the webhook is of another account, or of no call")
    what = request.query.get("what", "call")
    status = _text(said, "call_status")
    sip = said.get("sip_status")
    sip = sip if type(sip) is int and 0 <= sip < 1_000 else 0
    cause = _ENDED.get(status, "normal")
    if cause == "failed":
        cause = BY_SIP.get(sip, "failed")
    return Told(
        what="status" if what == "status" else "next" if what == "next" else "call",
        call=call,
        ours=request.query.get("ours", "")[:ID_MAX],
        document=_number(request.query.get("document", "")),
        keys=_keys(said, request.query),
        state="ended" if status in _ENDED else _STATES.get(status, ""),  # type: ignore[arg-type]
        cause=cause,
        status=sip if status in _ENDED else 0,
        why=_text(said, "sip_reason")[:200] if status in _ENDED and status != "completed" else "",
        caller=_international(_text(said, "from")),
        called=_international(_text(said, "to")),
    )


def _keys(said: dict[str, Any], query: dict[str, str]) -> str:
    """The keys; fewer than were wanted were ended by the key for that, or by as long a pause."""
    digits = _text(said, "digits")[:_KEYS_MAX]
    ended = said.get("reason") == "dtmfDetected" and len(digits) < _number(query.get("max", ""))
    return digits + (query.get("until", "")[:1] if ended else "")


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return value[:ID_MAX] if type(value) is str else ""


def _international(number: str) -> str:
    """Carriers leave the + out."""
    return f"+{number}" if number.isascii() and number.isdigit() and len(number) >= 8 else number


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else -1
