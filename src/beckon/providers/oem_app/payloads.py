"""A partner's dialect: how our message becomes its JSON, and what its answers mean. Pure.

A dialect is data: a path, header names, a table of error codes and Liquid texts, which see

``message``  delivery_id, to, text, subject, locale, purpose, buttons [{kind, text, value}],
             media [{kind, url, caption}]
``reply``    the partner's answer (``taken``, ``error``)
``body``     what the partner posted to us (``inbound``): the text gives a list of {event, id, …}, see ``webhook``
"""

from typing import Any, ClassVar, Literal

import msgspec

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.liquid_text import compile_text
from beckon.core.message import Handed, Outbound
from beckon.messaging.channel import Capabilities, Reply
from beckon.providers.provider import ProviderSettings, as_text, retry_after_s, unexplained, unreadable

NAME = "oem_app"

ADDRESS_MAX = 256

Kind = Literal["refused", "unavailable", "unsupported", "misconfigured"]


class Can(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a partner's app shows."""

    text_max: int = 2_000
    link_buttons: int = 0
    reply_buttons: int = 0
    media: tuple[str, ...] = ()
    receipts: tuple[str, ...] = ()


class Dialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partner's contract as data."""

    title: str
    path: str
    outbound: str
    taken: str
    inbound: str
    error: str = ""
    errors: dict[str, Kind] = {}
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    signature_header: str = "X-Beckon-Signature"
    capabilities: Can = Can()

    @property
    def can(self) -> Capabilities:
        """Its capabilities as ``choose`` reads them."""
        can = self.capabilities
        return Capabilities(
            text_max=can.text_max,
            link_buttons=can.link_buttons,
            reply_buttons=can.reply_buttons,
            media=can.media,
            receipts=can.receipts,
        )


CAPABILITIES = Capabilities(
    text_max=2_000,
    link_buttons=3,
    reply_buttons=3,
    media=("image", "video", "document"),
    receipts=("delivered", "read"),
)


class Settings(ProviderSettings, frozen=True, kw_only=True):
    """An account with a maker: see README.md."""

    SECRETS: ClassVar[tuple[str, ...]] = ("api_key", "signing_key", "webhook_key")

    base_url: str
    api_key: str
    #: signs what we send
    signing_key: str
    #: signs what the maker posts to us
    webhook_key: str = ""
    #: the dealer's name at the maker: part of the events' source
    account: str = "default"
    #: a YAML file of this folder by its name, or a whole dialect
    dialect: str | Dialect = "mybmw"
    #: a webhook that was signed longer ago is refused, in seconds
    replay_window_s: int = 300
    #: in seconds
    timeout_s: float = 10.0


def build(message: Outbound, dialect: Dialect) -> bytes:
    """The request's JSON. Raises ``Refused`` for an address that is none, ``Unsupported`` for what can't be said."""
    to, rendered, can = message.to, message.rendered, dialect.capabilities
    if not 0 < len(to) <= ADDRESS_MAX or any(character <= " " or character == "\x7f" for character in to):
        raise Refused(f"{NAME}.address", "the address is no user id of the app", field="to")
    if not 0 < len(rendered.text) <= can.text_max:
        raise Unsupported(f"{NAME}.too_long", f"a text has 1 to {can.text_max} characters in {dialect.title}")
    for kind, limit in (("link", can.link_buttons), ("reply", can.reply_buttons)):
        if sum([button.kind == kind for button in rendered.buttons]) > limit:
            raise Unsupported(f"{NAME}.buttons", f"{dialect.title} shows {limit} {kind} buttons at most")
    if not {media.kind for media in rendered.media} <= set(can.media):
        raise Unsupported(f"{NAME}.media", f"{dialect.title} does not show such media")
    words = {
        "delivery_id": message.delivery_id,
        "to": to,
        "text": rendered.text,
        "subject": rendered.subject,
        "locale": rendered.locale,
        "purpose": message.purpose,
        "buttons": [{"kind": b.kind, "text": b.text, "value": b.value} for b in rendered.buttons],
        "media": [{"kind": m.kind, "url": m.url, "caption": m.caption} for m in rendered.media],
    }
    # Half a letter is the message's fault, not the dialect's: it is noticed before the dialect has a part in it.
    msgspec.json.encode(words)
    try:
        return msgspec.json.encode(msgspec.json.decode(compile_text(dialect.outbound).render({"message": words})))
    except (Refused, msgspec.DecodeError, RecursionError) as error:
        why = error.why if isinstance(error, Refused) else "it gives no JSON"
        raise Misconfigured(
            f"{NAME}.outbound", f"the dialect {dialect.title}: outbound: {why}", field="dialect"
        ) from None


def read_reply(reply: Reply, dialect: Dialect) -> Handed:
    """The partner's answer to a message. Raises the kind of error that its code belongs to."""
    try:
        said: Any = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = None
    if 200 <= reply.status < 300:
        provider_id = _value(dialect.taken, said)
        if not provider_id:
            raise unreadable(NAME)
        return Handed(provider_id)
    code = _value(dialect.error, said)
    if code not in dialect.errors:
        raise unexplained(NAME, reply)
    raise failure(code, dialect, retry_after_s(reply.headers))


def failure(code: str, dialect: Dialect, pause_s: float | None = None) -> BeckonError:
    """The error that a code of the partner's means, in an answer or in a receipt."""
    kind = dialect.errors.get(code, "refused")
    # An unknown code is the partner's text: it goes no further than its letters.
    word = "".join([c for c in code[:60] if c.isascii() and (c.isalpha() or c in "_-.")]) or "unknown"
    name, why = f"{NAME}.{word.lower()}", f"{dialect.title} says {word}"
    if kind == "unavailable":
        return Unavailable(name, why, retry_after_s=pause_s)
    if kind == "unsupported":
        return Unsupported(name, why)
    if kind == "misconfigured":
        return Misconfigured(name, why)
    return Refused(name, why)


def _value(text: str, reply: Any) -> str:
    """What a text of the dialect finds in an answer; nothing where it finds nothing."""
    try:
        return as_text(compile_text(text).value({"reply": reply if type(reply) is dict else {}}), 500)
    except Refused:
        return ""
