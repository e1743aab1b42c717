"""What is said to Meta, and what its answers mean. Pure.

What doesn't fit a message of WhatsApp's (a second link beside a button, a button's text of 30 characters) is written
into the text or shortened rather than lost; what can't be said at all is ``Unsupported``, so that the next channel may.
"""

import re
from typing import Any, ClassVar

import msgspec

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.message import ApprovedTemplate, Button, Handed, Media, Outbound, Rendered
from beckon.messaging.channel import Capabilities, Reply
from beckon.providers.provider import (
    ProviderSettings,
    retry_after_s,
    scrubbed,
    text_with_links,
    unexplained,
    unreadable,
)

NAME = "whatsapp_cloud"

TEXT_MAX = 4_096
#: The text above buttons, and under a picture.
BODY_MAX = 1_024
BUTTON_TEXT_MAX = 20
REPLY_PAYLOAD_MAX = 256
REPLY_BUTTONS_MAX = 3
WINDOW_S = 24 * 60 * 60

CAPABILITIES = Capabilities(
    text_max=TEXT_MAX,
    link_buttons=1,
    reply_buttons=REPLY_BUTTONS_MAX,
    media=("image", "video", "document", "audio"),
    templates=True,
    session_window_s=WINDOW_S,
    receipts=("delivered", "read"),
)


class Settings(ProviderSettings, frozen=True, kw_only=True):
    """A phone number of a WhatsApp Business account: see README.md."""

    SECRETS: ClassVar[tuple[str, ...]] = ("access_token", "app_secret", "verify_token")

    phone_number_id: str
    access_token: str
    #: proves that a webhook is Meta's; without it no webhook is taken
    app_secret: str = ""
    #: a word of yours that Meta's verification repeats
    verify_token: str = ""
    #: the WhatsApp Business account; where set, other accounts' webhooks are passed over
    business_account_id: str = ""
    base_url: str = "https://graph.facebook.com"
    version: str = "v23.0"
    #: in seconds
    timeout_s: float = 10.0


_BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}", re.ASCII)
_NO_PHONE = re.compile(r"[ ().+-]")
_BLANKS = re.compile(r"\s+")
_VIEWED = {"image", "video", "document"}


# Out.


def build(message: Outbound) -> dict[str, Any]:
    """The request's JSON. Raises ``Refused`` for an address that is none, ``Unsupported`` for what can't be said."""
    payload: dict[str, Any] = {"messaging_product": "whatsapp", "recipient_type": "individual"}
    to = message.to
    if to.isascii() and to.isdigit() and 7 <= len(to) <= 15:
        payload["to"] = to
    else:
        payload |= _recipient(to)
    rendered = message.rendered
    if rendered.template is not None:
        payload["type"] = "template"
        payload["template"] = _template(rendered.template, rendered.buttons)
    else:
        payload |= _free(rendered)
    # Meta gives it back with every status: a hand-over whose answer was lost still finds its delivery.
    payload["biz_opaque_callback_data"] = message.delivery_id
    return payload


def _recipient(to: str) -> dict[str, str]:
    if _BSUID.fullmatch(to):
        return {"recipient": to}
    digits = _NO_PHONE.sub("", to)
    if digits.isascii() and digits.isdigit() and 7 <= len(digits) <= 15:
        return {"to": digits}
    raise Refused(f"{NAME}.address", "the address is neither a phone number nor a WhatsApp user id", field="to")


def _template(template: ApprovedTemplate, buttons: tuple[Button, ...]) -> dict[str, Any]:
    components: list[dict[str, Any]] = []
    if template.header_media is not None:
        media = template.header_media
        components.append({"type": "header", "parameters": [{"type": media.kind, media.kind: {"link": media.url}}]})
    if template.body_parameters:
        components.append({"type": "body", "parameters": [_parameter(text) for text in template.body_parameters]})
    for index, value in enumerate(template.button_parameters):
        if not value:
            continue  # a button without a variable takes no component
        if index < len(buttons) and buttons[index].kind == "reply":
            kind, parameter = "quick_reply", {"type": "payload", "payload": value[:REPLY_PAYLOAD_MAX]}
        else:
            kind, parameter = "url", {"type": "text", "text": value}
        components.append({"type": "button", "sub_type": kind, "index": str(index), "parameters": [parameter]})
    said: dict[str, Any] = {"name": template.name, "language": {"code": template.language}}
    if components:
        said["components"] = components
    return said


def _parameter(text: str) -> dict[str, str]:
    """A variable of the body: Meta refuses line breaks, tabs, blanks in a row, and nothing at all."""
    if "\n" in text or "\t" in text or "  " in text or "\r" in text:
        text = _BLANKS.sub(" ", text)
    if not text or text == " ":
        raise Unsupported(f"{NAME}.empty_parameter", "an approved template can't be sent with an empty variable")
    return {"type": "text", "text": text}


def _free(rendered: Rendered) -> dict[str, Any]:
    """Free text: a text, an interactive message for buttons, or media with a caption."""
    links = [button for button in rendered.buttons if button.kind == "link"]
    replies = [button for button in rendered.buttons if button.kind == "reply"]
    if not rendered.buttons and not rendered.media:
        return _text(rendered.text)
    media = rendered.media[0] if rendered.media else None
    if replies:
        if len(replies) > REPLY_BUTTONS_MAX:
            raise Unsupported(f"{NAME}.buttons", f"WhatsApp shows {REPLY_BUTTONS_MAX} reply buttons at most")
        text = text_with_links(_without(rendered, media))
        if len(text) > BODY_MAX:
            raise Unsupported(f"{NAME}.too_long", f"the text over reply buttons is longer than {BODY_MAX} characters")
        action: dict[str, Any] = {"buttons": [_reply_button(button) for button in replies]}
        return _interactive("button", text, action, media)
    if len(links) == 1:
        text = text_with_links(_without(rendered, media, links[0]))
        if 0 < len(text) <= BODY_MAX and len(rendered.media) <= 1:
            parameters = {"display_text": _short(links[0].text or "Open"), "url": links[0].value}
            return _interactive("cta_url", text, {"name": "cta_url", "parameters": parameters}, media)
    if media is not None:
        caption = text_with_links(_without(rendered, media)) or media.caption
        if len(caption) <= BODY_MAX and media.kind != "audio":
            shown: dict[str, Any] = {"link": media.url}
            if caption:
                shown["caption"] = caption
            return {"type": media.kind, media.kind: shown}
        if not caption:
            return {"type": media.kind, media.kind: {"link": media.url}}
    return _text(text_with_links(rendered))


def _text(text: str) -> dict[str, Any]:
    if not text or len(text) > TEXT_MAX:
        raise Unsupported(f"{NAME}.too_long", f"a text has 1 to {TEXT_MAX} characters on WhatsApp")
    body: dict[str, Any] = {"body": text}
    if "http" in text:
        body["preview_url"] = True
    return {"type": "text", "text": body}


def _interactive(kind: str, text: str, action: dict[str, Any], media: Media | None) -> dict[str, Any]:
    interactive: dict[str, Any] = {"type": kind, "body": {"text": text}, "action": action}
    if media is not None:
        if media.kind in _VIEWED:
            interactive["header"] = {"type": media.kind, media.kind: {"link": media.url}}
        else:
            raise Unsupported(f"{NAME}.media", f"WhatsApp can't show {media.kind} over buttons")
    return {"type": "interactive", "interactive": interactive}


def _without(rendered: Rendered, media: Media | None, link: Button | None = None) -> Rendered:
    """What is left to be written into the text when the first media and this link have a place of their own."""
    return Rendered(
        text=rendered.text,
        buttons=tuple([button for button in rendered.buttons if button is not link]),
        media=rendered.media[1:] if media is not None else (),
    )


def _reply_button(button: Button) -> dict[str, Any]:
    return {"type": "reply", "reply": {"id": button.value[:REPLY_PAYLOAD_MAX], "title": _short(button.text)}}


def _short(text: str) -> str:
    return text if len(text) <= BUTTON_TEXT_MAX else text[: BUTTON_TEXT_MAX - 1].rstrip() + "…"


# In: answers.


class _Message(msgspec.Struct):
    id: str
    message_status: str = "accepted"


class _Taken(msgspec.Struct):
    messages: list[_Message]


class _Details(msgspec.Struct):
    details: str = ""


class _Error(msgspec.Struct):
    code: int = -1
    error_data: _Details | str | None = None


class _Failed(msgspec.Struct):
    error: _Error


_taken = msgspec.json.Decoder(_Taken).decode
_failed = msgspec.json.Decoder(_Failed).decode


def read_reply(reply: Reply) -> Handed:
    """Meta's answer to a message. Raises the kind of error that its code belongs to."""
    if 200 <= reply.status < 300:
        try:
            message = _taken(reply.body).messages[0]
        except (msgspec.MsgspecError, UnicodeDecodeError, IndexError, RecursionError):
            raise unreadable(NAME) from None
        return Handed(message.id, "sent" if message.message_status == "accepted" else message.message_status)
    try:
        error = _failed(reply.body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise unexplained(NAME, reply) from None
    details = error.error_data.details if isinstance(error.error_data, _Details) else ""
    raise failure(error.code, details, reply.status, retry_after_s(reply.headers))


#: Meta's codes by what one can do about them, in our words: its own may hold numbers and names.
_REFUSED = {
    130472: "Meta holds this person out of the message as part of an experiment",
    130497: "Meta does not let this account write to that country",
    131008: "Meta misses a part of the message",
    131009: "Meta says that a value of the message is not valid",
    131021: "sender and recipient are the same number",
    131026: "WhatsApp can't deliver to this person: no account, old app, or terms not accepted",
    131030: "the test number may not write to this person: add the number to its list",
    131049: "Meta did not deliver it, to keep marketing messages few for this person",
    131050: "this person stopped marketing messages",
    131053: "Meta could not fetch or use the media",
    137000: "the person's WhatsApp identity changed",
}
_UNAVAILABLE = {
    1: "Meta has an unknown problem",
    2: "Meta's service is down or overloaded",
    4: "the app calls Meta too often",
    80007: "the account calls Meta too often",
    130429: "the number sends faster than Meta allows",
    131000: "Meta has an unknown problem",
    131016: "Meta's service is unavailable",
    131048: "Meta limits this number, because messages were blocked or reported as spam",
    131056: "too many messages to the same person in a short time",
    131057: "the account is in maintenance",
    131064: "the account reached its messaging limit",
    135000: "Meta has an unknown problem",
}
_UNSUPPORTED = {
    131047: "the 24 hour window is closed: only an approved template may be sent",
    131051: "WhatsApp does not know this type of message",
    131062: "this message can't be sent to a WhatsApp user id, only to a phone number",
}
_MISCONFIGURED = {
    0: "Meta does not accept our access token",
    3: "the app lacks a capability or permission",
    10: "the app lacks a permission",
    33: "the phone number id does not exist, or the access token may not use it",
    190: "the access token has expired or was revoked",
    368: "Meta blocked the account for breaking a policy",
    131005: "the access token may not send from this number",
    131031: "Meta locked the account",
    131037: "the number's display name is not approved",
    131042: "the account has a problem with its payment method",
    131045: "the phone number is not registered",
    131063: "marketing templates are switched off for this account",
    132000: "the number of variables differs from the approved template",
    132001: "there is no approved template of this name in this language",
    132005: "the template's text becomes too long",
    132007: "the template's content breaks a policy",
    132008: "a variable's format differs from the approved template",
    132012: "a variable's format differs from the approved template",
    132015: "the template is paused for low quality",
    132016: "the template is disabled for low quality",
    132018: "the template's variables have a mistake",
    133010: "the phone number is not registered",
}
#: Codes for which Meta's details are worth an operator's while: they count, and name no person.
_TOLD = range(132000, 133000)


def failure(code: int, details: str = "", status: int = 400, pause_s: float | None = None) -> BeckonError:
    """The error that a code of Meta's means, in an answer or in a status of a message that failed later."""
    name = f"{NAME}.{code}"
    if code in _UNAVAILABLE:
        return Unavailable(name, f"{_UNAVAILABLE[code]} ({code})", retry_after_s=pause_s)
    if code in _UNSUPPORTED:
        return Unsupported(name, f"{_UNSUPPORTED[code]} ({code})")
    if code in _REFUSED:
        return Refused(name, f"{_REFUSED[code]} ({code})")
    if code in _MISCONFIGURED or 200 <= code < 300:
        why = _MISCONFIGURED.get(code, "the app lacks a permission")
        told = f": {scrubbed(details)}" if details and code in _TOLD else ""
        return Misconfigured(name, f"{why} ({code}){told}")
    if status == 429 or status >= 500:
        return Unavailable(name, f"Meta answered HTTP {status} with code {code}", retry_after_s=pause_s)
    if status in (401, 403):
        return Misconfigured(name, f"Meta answered HTTP {status} with code {code}")
    return Refused(name, f"Meta refused the message with code {code}")
