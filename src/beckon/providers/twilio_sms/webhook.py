"""What Twilio posts to us: receipts and texts, as signed forms. Pure.

STOP and START come as messages like any other: consent is decided elsewhere. Twilio is answered with an empty TwiML.
"""

from urllib.parse import parse_qsl

from beckon.core.errors import Misconfigured, Refused
from beckon.core.event import Event
from beckon.messaging.channel import WebhookReply, WebhookRequest
from beckon.providers.provider import ID_MAX, NAME_MAX, Says, as_id, check_form_signature, check_size
from beckon.providers.twilio_sms.payloads import NAME, Settings, failure

_SIZE_BYTES_MAX = 262_144
_FIELDS_MAX = 200
_MEDIA_MAX = 10
_EMPTY_TWIML = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'


def read_webhook(request: WebhookRequest, settings: Settings, workspace: str, now_ms: int) -> WebhookReply:
    """Verify and read one webhook. Raises ``Refused`` when it is forged or broken."""
    check_size(request.body, _SIZE_BYTES_MAX)
    if not settings.auth_token:
        raise Misconfigured(f"{NAME}.settings", "without the setting auth_token no webhook can be trusted")
    fields = _form(request.body)
    given = request.headers.get("x-twilio-signature", "")
    check_form_signature(given, request.url, fields, settings.auth_token)
    form = dict(fields)
    says = Says(NAME, "sms", settings.account_sid, workspace, now_ms)
    if form.get("AccountSid", settings.account_sid) != settings.account_sid:
        event = None
    elif form.get("MessageStatus", form.get("SmsStatus", "received")) in ("received", "receiving"):
        event = _message(form, says)
    else:
        event = _receipt(form, request.query.get("reference", "")[:ID_MAX], says)
    return WebhookReply(events=(event,) if event is not None else (), content_type="text/xml", body=_EMPTY_TWIML)


def _form(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise Refused("webhook.not_form", "the webhook's body is no form") from None


def _receipt(form: dict[str, str], reference: str, says: Says) -> Event | None:
    said, provider_id = form.get("MessageStatus", ""), as_id(form.get("MessageSid") or form.get("SmsSid"))
    if not provider_id:
        return None
    if said in ("sent", "delivered", "read"):
        return says.receipt(provider_id, said, says.now_ms, reference=reference)
    if said in ("failed", "undelivered", "canceled"):
        code = form.get("ErrorCode", "")
        number = int(code) if code.isascii() and code.isdigit() and len(code) <= 6 else 30008
        return says.failure(provider_id, failure(number), says.now_ms, reference=reference)
    return None  # queued, sending, scheduled …: nothing has happened yet


def _message(form: dict[str, str], says: Says) -> Event | None:
    provider_id, sender = as_id(form.get("MessageSid") or form.get("SmsSid")), form.get("From", "")
    if not provider_id or not sender or ":" in sender:
        return None  # `whatsapp:+32…` and the like belong to other channels
    text = form.get("Body", "")
    if not text and form.get("Latitude"):
        text = f"geo:{form['Latitude'][:30]},{form.get('Longitude', '')[:30]}"
    return says.received(
        provider_id,
        sender[:ID_MAX],
        text,
        says.now_ms,
        name=form.get("ProfileName", "")[:NAME_MAX],
        media=_media(form),
        reply=form.get("ButtonPayload", "")[:4_000],
    )


def _media(form: dict[str, str]) -> list[dict[str, str]]:
    found = []
    for index in range(_MEDIA_MAX):
        url = form.get(f"MediaUrl{index}", "")
        if url.startswith(("https://", "http://")):
            mime = form.get(f"MediaContentType{index}", "")[:100]
            kind = mime.partition("/")[0]
            found.append(
                {"kind": kind if kind in ("image", "video", "audio") else "document", "url": url[:2_000], "mime": mime}
            )
    return found
