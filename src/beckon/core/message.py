"""Message: what is to be said, before and after it is rendered for a channel."""

from typing import Any, Literal

import msgspec

Purpose = Literal["transactional", "marketing"]


class Button(msgspec.Struct, frozen=True):
    """Something to tap under a message."""

    kind: Literal["link", "reply"]
    text: str
    #: link: the whole URL, after signing.  reply: the payload that comes back.
    value: str
    #: link through an approved WhatsApp template: the part after the approved prefix.
    url_suffix: str = ""


class Media(msgspec.Struct, frozen=True):
    """A picture, video or document by its URL."""

    kind: Literal["image", "video", "document", "audio"]
    url: str
    caption: str = ""


class ApprovedTemplate(msgspec.Struct, frozen=True):
    """A template as WhatsApp knows it, with the parameters for this message in order."""

    name: str
    language: str
    body_parameters: tuple[str, ...] = ()
    #: one for each of ``Rendered.buttons``, in order: a link's suffix, a reply's payload; empty: the button takes none.
    button_parameters: tuple[str, ...] = ()
    header_media: Media | None = None


class Rendered(msgspec.Struct, kw_only=True, frozen=True):
    """A message as one channel will say it: all text final, nothing left to decide."""

    text: str
    subject: str = ""
    html: str = ""
    buttons: tuple[Button, ...] = ()
    media: tuple[Media, ...] = ()
    #: set only where the channel must send an approved template.
    template: ApprovedTemplate | None = None
    locale: str = "en"


class Outbound(msgspec.Struct, kw_only=True, frozen=True):
    """What a provider's channel is given to send."""

    #: stable over retries: providers that take an idempotency key get this one.
    delivery_id: str
    #: this try of the delivery, from 1.
    attempt: int
    #: the address on the channel (see ``Address``).
    to: str
    rendered: Rendered
    purpose: Purpose = "transactional"
    #: free facts for the provider (``List-Unsubscribe`` URL, call-back URL): see its README.
    extras: dict[str, Any] = {}


class Handed(msgspec.Struct, frozen=True):
    """The provider took the message: its own id for it, and the first state it gave."""

    provider_id: str
    state: str = "sent"
