"""Bounces and answers: raw mails that the mail server hands to our webhook, signed. Pure.

We run no mail server of our own: whichever receives mail for the sender's address pipes it to
``POST /hooks/{workspace}/smtp`` with ``X-Beckon-Signature`` (see README.md). A delivery status notification (RFC 3464)
becomes a receipt, a person's mail a message; automatic answers and newsletters are passed over.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr
from hashlib import sha256
from html.parser import HTMLParser

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable
from beckon.core.event import Event
from beckon.messaging.channel import WebhookReply, WebhookRequest
from beckon.providers.provider import ID_MAX, NAME_MAX, TEXT_MAX, Says, as_id, check_signature_of, check_size
from beckon.providers.smtp.payloads import NAME, Settings

_PARTS_MAX = 100
_MEDIA_MAX = 20
_ATTRIBUTION = re.compile(r"^(?:-{2,}.*-{2,}|_{5,}|(?:On|Le|Am|Op|Il|El|Den)\b.*[:：])\s*$", re.IGNORECASE)
_REFERENCE = re.compile(r"dlv_[0-9a-z]{1,64}", re.ASCII)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


def read_webhook(request: WebhookRequest, settings: Settings, workspace: str, now_ms: int) -> WebhookReply:
    """Verify and read one mail. Raises ``Refused`` when it is forged or no mail."""
    check_size(request.body)
    if not settings.webhook_secret:
        raise Misconfigured(f"{NAME}.settings", "without the setting webhook_secret no webhook can be trusted")
    check_signature_of(request, settings.webhook_secret, now_ms)
    try:
        mail = message_from_bytes(request.body, policy=policy.compat32)
        says = Says(NAME, "email", settings.from_address, workspace, now_ms)
        if mail.get_content_type() == "multipart/report" or _part(mail, "message/delivery-status") is not None:
            return WebhookReply(events=tuple(_bounce(mail, says)))
        return WebhookReply(events=tuple(_answer(mail, request.body, says)))
    except (RecursionError, LookupError, ValueError, AttributeError, TypeError):
        # The standard library's parser has many ways to stumble over a hostile mail.
        raise Refused("webhook.not_mail", "the webhook's body is no mail that can be read") from None


# Bounces.


def _bounce(mail: Message, says: Says) -> Iterator[Event]:
    report = _part(mail, "message/delivery-status")
    original = _original_id(mail)
    if report is None or not original:
        return
    blocks = report.get_payload()
    found = _REFERENCE.match(original)
    reference = found[0] if found else ""
    for block in blocks[:_PARTS_MAX] if isinstance(blocks, list) else []:
        if not isinstance(block, Message):
            continue
        action = _header(block, "Action").lower().partition(";")[0].strip()
        status = _STATUS.search(_header(block, "Status"))
        if action == "failed":
            yield says.failure(original, _failure(status[0] if status else ""), says.now_ms, reference=reference)
            return
        if action == "delivered":
            yield says.receipt(original, "delivered", says.now_ms, reference=reference)
            return


def _failure(status: str) -> BeckonError:
    """An enhanced status code in words: never the report's own, which repeat the address."""
    told = f" ({status})" if status else ""
    code = f"{NAME}.bounce_{status.replace('.', '_')}" if status else f"{NAME}.bounce"
    if status.startswith("4."):
        return Unavailable(code, f"the mail could not be delivered in time{told}")
    if status.startswith("5.1.") or status == "5.2.1":
        return Refused(code, f"there is no such mailbox{told}")
    if status == "5.2.2":
        return Refused(code, f"the mailbox is full{told}")
    if status.startswith("5.7."):
        return Refused(code, f"the mail was refused for reasons of policy{told}")
    return Refused(code, f"the mail came back{told}")


def _original_id(mail: Message) -> str:
    """The Message-ID of the mail that came back: the report carries the mail or its headers."""
    for kind in ("message/rfc822", "message/global"):
        part = _part(mail, kind)
        if part is not None:
            inner = part.get_payload()
            if isinstance(inner, list) and inner and isinstance(inner[0], Message):
                return _id_of(_header(inner[0], "Message-ID"))
    part = _part(mail, "text/rfc822-headers")
    if part is not None:
        return _id_of(_header(message_from_bytes(_bytes(part), policy=policy.compat32), "Message-ID"))
    return ""


# Answers.


def _answer(mail: Message, raw: bytes, says: Says) -> Iterator[Event]:
    name, sender = parseaddr(_header(mail, "From"))
    sender = sender.strip()
    if "@" not in sender or len(sender) > ID_MAX or any(character <= " " for character in sender) or _automatic(mail):
        return
    text, media = _content(mail)
    yield says.received(
        _id_of(_header(mail, "Message-ID")) or sha256(raw).hexdigest(),
        sender.lower(),
        text,
        says.now_ms,
        name=name[:NAME_MAX],
        subject=_header(mail, "Subject")[:500],
        context=_id_of(_header(mail, "In-Reply-To")),
        media=media,
    )


def _automatic(mail: Message) -> bool:
    """Whether a machine wrote it: answering an absence note would start a conversation of machines."""
    said = _header(mail, "Auto-Submitted").lower()
    return (
        (said not in ("", "no"))
        or _header(mail, "Precedence").lower() in ("bulk", "list", "junk", "auto_reply")
        or mail.get("X-Autoreply") is not None
        or mail.get("X-Auto-Response-Suppress") is not None
        or mail.get("List-Id") is not None
        or _header(mail, "Return-Path") == "<>"
    )


def _content(mail: Message) -> tuple[str, list[dict[str, str]]]:
    plain, html = "", ""
    media: list[dict[str, str]] = []
    for index, part in enumerate(mail.walk()):
        if index > _PARTS_MAX:
            break
        kind = part.get_content_type()
        file = part.get_filename()
        if file or part.get_content_disposition() == "attachment":
            main = part.get_content_maintype()
            if len(media) < _MEDIA_MAX:
                media.append(
                    {
                        "kind": main if main in ("image", "video", "audio") else "document",
                        "id": as_id(_decoded(file or "attachment")),
                        "mime": kind[:100],
                    }
                )
        elif kind == "text/plain" and not plain:
            plain = _words(part)
        elif kind == "text/html" and not html:
            html = _words(part)
    return (_unquoted(plain) if plain.strip() else _text_of(html))[:TEXT_MAX], media


def _unquoted(text: str) -> str:
    """The newly written part of an answer: without the quoted mail below it."""
    lines = text.replace("\r\n", "\n").split("\n")
    for index, line in enumerate(lines):
        following = next((later for later in lines[index + 1 :] if later.strip()), "")
        if line.startswith(">") or (
            _ATTRIBUTION.match(line) and (following.startswith(">") or line.startswith(("-", "_")))
        ):
            kept = "\n".join(lines[:index]).strip()
            return kept or text.strip()
    return text.strip()


class _Words(HTMLParser):
    """Collects what a reader sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "head", "title"):
            self._hidden += 1
        elif tag in ("br", "p", "div", "tr", "li", "h1", "h2", "h3"):
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "head", "title"):
            self._hidden = max(0, self._hidden - 1)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def _text_of(html: str) -> str:
    reader = _Words()
    reader.feed(html[: 4 * TEXT_MAX])
    reader.close()
    lines = [" ".join(line.split()) for line in "".join(reader.words).split("\n")]
    return "\n".join([line for line in lines if line])


# Reading mails.


def _part(mail: Message, kind: str) -> Message | None:
    for index, part in enumerate(mail.walk()):
        if index > _PARTS_MAX:
            break
        if part.get_content_type() == kind:
            return part
    return None


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _words(part: Message) -> str:
    charset = part.get_content_charset() or "utf-8"
    try:
        return _bytes(part).decode(charset, "replace")
    except LookupError:
        return _bytes(part).decode("utf-8", "replace")


def _header(mail: Message, name: str) -> str:
    return _decoded(str(mail.get(name, "")))


def _decoded(text: str) -> str:
    """A header in readable letters, on one line."""
    with suppress(LookupError, ValueError):
        text = str(make_header(decode_header(text[:5_000])))
    return " ".join(text.encode("utf-8", "replace").decode().split())


def _id_of(text: str) -> str:
    return as_id(text.strip().partition(" ")[0].strip("<>"))
