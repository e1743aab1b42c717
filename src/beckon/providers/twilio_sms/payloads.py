"""What is said to Twilio, and what its answers mean. Pure."""

import re
from typing import ClassVar
from urllib.parse import quote, urlencode

import msgspec

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.message import Handed, Outbound, Rendered
from beckon.messaging.channel import Capabilities, Reply
from beckon.providers.provider import ProviderSettings, extra, retry_after_s, text_with_links, unexplained, unreadable

NAME = "twilio_sms"

#: Twilio's own limit; a carrier charges for each 70 or 160 characters of it.
TEXT_MAX = 1_600
MEDIA_MAX = 10

CAPABILITIES = Capabilities(text_max=TEXT_MAX, receipts=("delivered",))


class Settings(ProviderSettings, frozen=True, kw_only=True):
    """A Twilio account and its sender: see README.md."""

    SECRETS: ClassVar[tuple[str, ...]] = ("auth_token", "api_key_secret")

    account_sid: str
    #: also proves that a webhook is Twilio's
    auth_token: str
    #: where set, requests are made with this API key instead of the auth token
    api_key_sid: str = ""
    api_key_secret: str = ""
    #: E.164, a short code, or a sender's name
    from_number: str = ""
    #: instead of from_number
    messaging_service_sid: str = ""
    #: where receipts go; empty: this server's own webhook
    webhook_url: str = ""
    #: pictures and videos are sent as MMS instead of links (USA and Canada)
    mms: bool = False
    base_url: str = "https://api.twilio.com"
    #: in seconds
    timeout_s: float = 10.0


_E164 = re.compile(r"\+[1-9]\d{5,14}", re.ASCII)


def build(message: Outbound, settings: Settings) -> bytes:
    """The request's form. Raises ``Refused`` for a wrong address, ``Unsupported`` for a text that is too long."""
    if not _E164.fullmatch(message.to):
        raise Refused(f"{NAME}.address", "the address is no phone number like +3225551234", field="to")
    rendered = message.rendered
    media = [item.url for item in rendered.media][:MEDIA_MAX] if settings.mms else []
    if media:
        rendered = Rendered(text=rendered.text, buttons=rendered.buttons)
    text = text_with_links(rendered)
    if len(text) > TEXT_MAX or not (text or media):
        raise Unsupported(f"{NAME}.too_long", f"a text has 1 to {TEXT_MAX} characters by SMS, its links among them")
    fields = [("To", message.to)]
    if settings.messaging_service_sid:
        fields.append(("MessagingServiceSid", settings.messaging_service_sid))
    if settings.from_number:
        fields.append(("From", settings.from_number))
    if text:
        fields.append(("Body", text))
    fields += [("MediaUrl", url) for url in media]
    callback = _callback(message, settings)
    if callback:
        fields.append(("StatusCallback", callback))
    return urlencode(fields).encode()


def _callback(message: Outbound, settings: Settings) -> str:
    """Where receipts go. Our delivery's id rides along: a hand-over whose answer was lost still finds its delivery."""
    url = settings.webhook_url
    if not url:
        address, workspace = extra(message, "address"), extra(message, "workspace")
        if not address or not workspace:
            return ""
        url = f"{address}/hooks/{quote(workspace)}/{NAME}"
    return f"{url}{'&' if '?' in url else '?'}reference={quote(message.delivery_id)}"


class _Taken(msgspec.Struct):
    sid: str
    status: str = "queued"


class _Failed(msgspec.Struct):
    code: int


_taken = msgspec.json.Decoder(_Taken).decode
_failed = msgspec.json.Decoder(_Failed).decode


def read_reply(reply: Reply) -> Handed:
    """Twilio's answer to a message. Raises the kind of error that its code belongs to."""
    if 200 <= reply.status < 300:
        try:
            taken = _taken(reply.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise unreadable(NAME) from None
        return Handed(taken.sid, "sent")
    try:
        code = _failed(reply.body).code
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise unexplained(NAME, reply) from None
    raise failure(code, reply.status, retry_after_s(reply.headers))


#: Twilio's codes by what one can do about them, in our words: its own hold the person's number.
_REFUSED = {
    21211: "the number is no valid phone number",
    21265: "the number is a short code",
    21266: "sender and recipient are the same number",
    21408: "the account may not write to this country",
    21604: "the number is missing",
    21610: "the person has unsubscribed from this sender with STOP",
    21612: "no route from this sender to this number",
    21614: "the number is no mobile phone",
    21635: "the number is a landline",
    30003: "the phone can't be reached",
    30004: "the person or the carrier blocked the message",
    30005: "the number is unknown or no longer in service",
    30006: "the number is a landline, or its carrier can't be reached",
    30007: "the carrier filtered the message as unwanted",
    30008: "the carrier gave no reason",
    30011: "the carrier can't take pictures",
    30018: "the carrier wants a registered sender",
}
_UNAVAILABLE = {
    20429: "the account sends faster than Twilio allows",
    14107: "the account sends faster than Twilio allows",
    20500: "Twilio has an internal problem",
    20503: "Twilio is down",
    21611: "the sender's queue is full",
    30001: "the sender's queue is full",
    30017: "the carrier's network is congested",
    30022: "the carrier's limit for this sender is reached",
}
_UNSUPPORTED = {
    21602: "the text is empty",
    21617: "the text is longer than 1600 characters",
    21620: "a picture's address is not valid",
    21623: "there are too many pictures",
    30019: "the picture is too large",
}
_MISCONFIGURED = {
    20003: "Twilio does not accept our account or key",
    20404: "Twilio knows no such account",
    20005: "the account is not active",
    21212: "the sender is no valid number",
    21603: "the sender is missing",
    21606: "the sender's number can't send SMS or is not ours",
    21608: "a trial account writes to verified numbers only",
    21609: "the address for receipts is not valid",
    21659: "the sender is no number of Twilio's",
    21660: "the sender belongs to another account",
    21661: "the sender can't send SMS",
    21703: "the messaging service has no sender",
    21705: "there is no such messaging service",
    30002: "the account is suspended",
    30034: "the sender is not registered with the carriers",
}


def failure(code: int, status: int = 400, pause_s: float | None = None) -> BeckonError:
    """The error that a code of Twilio's means, in an answer or in a receipt."""
    name = f"{NAME}.{code}"
    if code in _UNAVAILABLE or status == 429:
        return Unavailable(
            name, f"{_UNAVAILABLE.get(code, 'Twilio asks to slow down')} ({code})", retry_after_s=pause_s
        )
    if code in _UNSUPPORTED:
        return Unsupported(name, f"{_UNSUPPORTED[code]} ({code})")
    if code in _REFUSED:
        return Refused(name, f"{_REFUSED[code]} ({code})")
    if code in _MISCONFIGURED or status in (401, 403):
        return Misconfigured(name, f"{_MISCONFIGURED.get(code, 'Twilio does not accept our account or key')} ({code})")
    if status >= 500:
        return Unavailable(name, f"Twilio answered HTTP {status} with code {code}", retry_after_s=pause_s)
    return Refused(name, f"Twilio refused the message with code {code}")
