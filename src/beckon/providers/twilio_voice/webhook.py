"""What Twilio posts to us of calls: signed forms, read into our own words. Pure."""

from urllib.parse import parse_qsl

from beckon.core.errors import Refused
from beckon.core.exchange import WebhookRequest
from beckon.providers.provider import ID_MAX, as_id, check_form_signature, check_size
from beckon.providers.twilio_voice.settings import TwilioVoiceSettings
from beckon.telephony.documents import BY_SIP, Told
from beckon.telephony.switch import Cause

_SIZE_BYTES_MAX = 65_536
_FIELDS_MAX = 200
_KEYS_MAX = 64

#: The states that a call ends in.
_ENDED: dict[str, Cause] = {
    "completed": "normal",
    "busy": "busy",
    "no-answer": "no_answer",
    "canceled": "cancelled",
    "failed": "failed",
}


def read(request: WebhookRequest, settings: TwilioVoiceSettings) -> Told:
    """Verify and read one webhook. Raises ``Refused`` when it is forged or broken."""
    check_size(request.body, _SIZE_BYTES_MAX)
    try:
        fields = parse_qsl(
            request.body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX
        )
    except ValueError:
        raise Refused("webhook.not_form", "the webhook's body is no form") from None
    given = request.headers.get("x-twilio-signature", "")
    check_form_signature(given, request.url, fields, settings.auth_token)
    form = dict(fields)
    call = as_id(form.get("CallSid"))
    if not call or form.get("AccountSid", settings.account_sid) != settings.account_sid:
        raise Refused("webhook.not_ours", "the webhook is of another account, or of no call")
    what = request.query.get("what", "call")
    ours = request.query.get("ours", "")[:ID_MAX]
    if what == "recording":
        return _recording(form, call, ours)
    status = form.get("CallStatus", "")
    sip = _number(form.get("SipResponseCode", ""))
    cause = _ENDED.get(status, "normal")
    if cause == "failed":
        cause = BY_SIP.get(sip, "failed")
    return Told(
        what="status" if what == "status" else "next" if what == "next" else "call",
        call=call,
        ours=ours,
        document=_number(request.query.get("document", ""), -1),
        keys=(form.get("Digits", "") + form.get("FinishedOnKey", ""))[:_KEYS_MAX],
        state="ended" if status in _ENDED else {"ringing": "ringing", "in-progress": "answered"}.get(status, ""),  # type: ignore[arg-type]
        cause=cause,
        status=sip if status in _ENDED else 0,
        why=f"Twilio says {status}" if status in _ENDED and status != "completed" else "",
        caller=_caller(form.get("From", "")),
        called=form.get("To", "")[:ID_MAX],
    )


def _recording(form: dict[str, str], call: str, ours: str) -> Told:
    status = form.get("RecordingStatus", "")
    return Told(
        what="recording",
        call=call,
        ours=ours,
        recording=as_id(form.get("RecordingSid")),
        closed=status in ("completed", "absent", "failed"),
        failed=status in ("absent", "failed"),
        seconds=float(_number(form.get("RecordingDuration", ""))),
    )


def _caller(number: str) -> str:
    """The caller's number; Twilio's words for one that is withheld are none."""
    withheld = ("anonymous", "+266696687", "+86282452253", "+8656696", "+7378742833", "+2562533")
    return "" if number.lower() in withheld else number[:ID_MAX]


def _number(text: str, otherwise: int = 0) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else otherwise
