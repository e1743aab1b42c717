"""What a mail looks like, and what an SMTP server's answers mean. Pure.

Nothing that a template or a contact brings in can add a header: texts lose their line breaks, addresses with anything
odd in them are refused, and the standard library refuses the rest.
"""

import re
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from typing import ClassVar, Literal

import msgspec

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.message import Button, Outbound, Rendered
from beckon.messaging.channel import Capabilities
from beckon.providers.provider import ProviderSettings, extra, text_with_links

NAME = "smtp"

TEXT_MAX = 100_000
SUBJECT_MAX = 250

CAPABILITIES = Capabilities(
    text_max=TEXT_MAX,
    link_buttons=10,
    media=("image", "video", "document", "audio"),
    html=True,
)


class Settings(ProviderSettings, frozen=True, kw_only=True):
    """An account with an SMTP server: see README.md."""

    SECRETS: ClassVar[tuple[str, ...]] = ("password", "webhook_secret")

    host: str
    from_address: str
    port: int = 587
    #: starttls (port 587), tls (port 465), none (the sandbox, or a server on this machine)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    #: a file with the certificate authority of a server with a private one
    ca_file: str = ""
    username: str = ""
    password: str = ""
    from_name: str = ""
    reply_to: str = ""
    #: where bounces go; empty: from_address
    bounce_address: str = ""
    #: where mails that ask to unsubscribe go; empty: from_address
    unsubscribe_address: str = ""
    #: signs the bounces and answers that the mail server hands to our webhook
    webhook_secret: str = ""
    #: connections kept to the server
    connections_max: int = 2
    #: in seconds, for each step of the conversation with the server
    timeout_s: float = 20.0


class Mail(msgspec.Struct, frozen=True):
    """A mail, ready for the wire."""

    id: str
    reference: str
    sender: str
    recipient: str
    content: bytes
    #: an address has letters beyond ASCII
    utf8: bool


# A mailbox as people have them; quoted local parts and comments are left to the last century.
_MAILBOX = re.compile(r"[^\s\x00-\x1f\x7f<>()\[\],;:\\\"@]{1,64}@[^\s\x00-\x1f\x7f<>()\[\],;:\\\"@]{1,255}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+")
_URL = re.compile(r"https?://[^\s<>\"']+")
_POLICY = policy.SMTP.clone(cte_type="7bit")
_POLICY_UTF8 = policy.SMTPUTF8


def build(message: Outbound, settings: Settings, at_ms: int) -> Mail:
    """The whole mail. Raises ``Refused`` for an address that is none, ``Unsupported`` for a text that is too long."""
    rendered = message.rendered
    text = text_with_links(rendered)
    if not text or len(text) > TEXT_MAX or len(rendered.html) > 10 * TEXT_MAX:
        raise Unsupported(f"{NAME}.too_long", f"a mail has 1 to {TEXT_MAX} characters")
    recipient = mailbox(message.to, "to")
    sender = mailbox(settings.bounce_address or settings.from_address, "bounce_address")
    own = mailbox(settings.from_address, "from_address")
    id_ = f"{message.delivery_id}@{domain_of(own)}"
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = _named(settings.from_name, own)
    mail["To"] = _named("", recipient)
    mail["Subject"] = _one_line(rendered.subject or rendered.text.strip().partition("\n")[0])
    mail["Date"] = format_datetime(datetime.fromtimestamp(at_ms / 1000, tz=UTC))
    mail["Message-ID"] = f"<{id_}>"
    if settings.reply_to:
        mail["Reply-To"] = _named("", mailbox(settings.reply_to, "reply_to"))
    mail["Auto-Submitted"] = "auto-generated"
    if message.purpose == "marketing":
        _unsubscribing(mail, extra(message, "unsubscribe"), settings.unsubscribe_address or own)
    mail.set_content(text + "\n", charset="utf-8", cte="quoted-printable")
    mail.add_alternative(html_of(rendered), subtype="html", charset="utf-8", cte="quoted-printable")
    if _one_line(rendered.locale):
        # Last, since a body takes the Content- headers that stand before it along.
        mail["Content-Language"] = _one_line(rendered.locale)[:35]
    utf8 = not (recipient.isascii() and sender.isascii() and own.isascii())
    content = mail.as_bytes(policy=_POLICY_UTF8 if utf8 else _POLICY)
    return Mail(id_, message.delivery_id, sender, recipient, content, utf8)


def mailbox(text: str, field: str) -> str:
    """An address as the wire wants it, its domain in ASCII. Raises ``Refused``."""
    text = text.strip()
    local, _, domain = text.rpartition("@")
    if _MAILBOX.fullmatch(text) and not domain.startswith(("-", ".")) and ".." not in text:
        try:
            return f"{local}@{domain.encode('idna').decode() if not domain.isascii() else domain}"
        except UnicodeError:
            pass
    raise Refused(f"{NAME}.address", "the address is no mailbox like name@example.com", field=field)


def domain_of(address: str) -> str:
    """What stands behind the @."""
    return address.rpartition("@")[2].strip().lower()


def html_of(rendered: Rendered) -> str:
    """The HTML part: the given one, or one made of the text; links that it lacks are added as buttons."""
    if rendered.html:
        missing = [
            _link(button)
            for button in rendered.buttons
            if button.kind == "link" and not _has(rendered.html, button.value)
        ]
        if not missing:
            return rendered.html
        head, end, tail = rendered.html.rpartition("</body>")
        return f"{head}{''.join(missing)}{end}{tail}" if end else rendered.html + "".join(missing)
    paragraphs = [f"<p>{_linked(paragraph)}</p>" for paragraph in rendered.text.split("\n\n") if paragraph.strip()]
    for media in rendered.media:
        url, caption = escape(media.url, quote=True), escape(media.caption)
        if media.kind == "image":
            paragraphs.append(
                f'<p><img src="{url}" alt="{escape(media.caption, quote=True)}" style="max-width:100%"></p>'
            )
        else:
            paragraphs.append(f'<p><a href="{url}">{caption or url}</a></p>')
    paragraphs += [_link(button) for button in rendered.buttons if button.kind == "link"]
    language = escape(_one_line(rendered.locale or "en"), quote=True)
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"></head>'
        f'<body style="font-family:sans-serif;line-height:1.5;max-width:36em">{"".join(paragraphs)}</body></html>'
    )


def _has(html: str, url: str) -> bool:
    return url in html or escape(url, quote=True) in html


def _link(button: Button) -> str:
    url, text = escape(button.value, quote=True), escape(button.text or button.value)
    style = (
        "display:inline-block;padding:.7em 1.2em;border-radius:.4em;background:#1f5eff;color:#fff;text-decoration:none"
    )
    return f'<p><a href="{url}" style="{style}">{text}</a></p>'


def _linked(text: str) -> str:
    """Text as HTML, its addresses as links."""
    out, at = [], 0
    for hit in _URL.finditer(text):
        url = hit[0].rstrip(".,;:!?)")
        out.append(escape(text[at : hit.start()]))
        out.append(f'<a href="{escape(url, quote=True)}">{escape(url)}</a>')
        at = hit.start() + len(url)
    out.append(escape(text[at:]))
    return "".join(out).replace("\n", "<br>")


def _one_line(text: str) -> str:
    line = " ".join(_CONTROLS.sub(" ", text).split())
    return line if len(line) <= SUBJECT_MAX else line[: SUBJECT_MAX - 1] + "…"


def _named(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(_one_line(name), local, domain)


def _unsubscribing(mail: EmailMessage, url: str, address: str) -> None:
    """RFC 2369, and the one click of RFC 8058 where there is a secure URL for it."""
    ways = [f"<mailto:{address}?subject=unsubscribe>"]
    if url.startswith("https://") and not _CONTROLS.search(url) and not set(url) & set("<> ,"):
        ways.insert(0, f"<{url}>")
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail["List-Unsubscribe"] = ", ".join(ways)


# Answers.

_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_AUTH = {432, 530, 534, 535, 538}
_NOT_TODAY = {500, 501, 502, 503, 504, 555}


def failure(code: int, said: str, phase: str) -> BeckonError:
    """The error that a server's answer means. ``phase``: connect, auth, mail, rcpt, data.

    Servers repeat the person's address in their answers, so only the codes are kept.
    """
    found = _ENHANCED.search(said)
    status = f"{code} {found[1]}" if found else str(code)
    name = f"{NAME}.{code}"
    if 400 <= code < 500 and code not in _AUTH:
        return Unavailable(name, f"the mail server asks to try later ({status})")
    if code in _AUTH or phase == "auth":
        return Misconfigured(name, f"the mail server does not accept our user name and password ({status})")
    if phase in ("connect", "mail") or code in _NOT_TODAY:
        return Misconfigured(name, f"the mail server does not accept us as the sender ({status})")
    if phase == "rcpt":
        return Refused(name, f"the mail server refuses the recipient ({status})")
    if code == 552 or (found and found[1] in ("5.3.4", "5.2.3")):
        return Unsupported(name, f"the mail is too large for the mail server ({status})")
    return Refused(name, f"the mail server refuses the mail ({status})")
