"""Channel: what every way to reach a contact looks like from inside, and what a provider's folder must offer."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, runtime_checkable

import msgspec

from beckon.core.event import Event
from beckon.core.exchange import Connections, Reply, WebhookRequest
from beckon.core.message import Handed, Outbound

__all__ = [
    "Capabilities",
    "Channel",
    "Connections",
    "Provider",
    "Reply",
    "Subscribable",
    "WebhookReply",
    "WebhookRequest",
]


class Capabilities(msgspec.Struct, kw_only=True, frozen=True):
    """What a channel can say, as data, so that ``choose`` can explain itself."""

    #: the longest text, in characters, that is sent as it is.
    text_max: int
    #: how many buttons of each kind; 0: links are written into the text instead.
    link_buttons: int = 0
    reply_buttons: int = 0
    media: tuple[str, ...] = ()
    #: outside the session window it only says approved templates.
    templates: bool = False
    #: how long after the contact's last message free text is allowed, in seconds; 0: always.
    session_window_s: int = 0
    #: which receipts come back: delivered, read.
    receipts: tuple[str, ...] = ()
    #: has a subject line and HTML.
    html: bool = False
    #: it is heard, not read: links and pictures are left out, since nobody can tap what is spoken.
    spoken: bool = False
    #: has a title over its text: the template's subject.
    title: bool = False
    #: a contact's addresses on it are devices of theirs: a message goes to every one that works.
    devices: bool = False


class Channel(Protocol):
    """One account with one provider, ready to send."""

    #: the channel that it carries: whatsapp, sms, email, oem_app.
    name: str
    #: the provider's folder name.
    provider: str
    capabilities: Capabilities

    async def send(self, message: Outbound) -> Handed:
        """Hand one message over. Raises one of the four kinds of ``core.errors``; never anything else."""
        ...


@runtime_checkable
class Subscribable(Protocol):
    """A channel that a browser subscribes to: it wants our public key for that."""

    #: the VAPID public key, as ``applicationServerKey`` wants it.
    public_key: str

    def takes(self, address: str) -> bool:
        """Whether this is an address that we would send to."""
        ...


class WebhookReply(msgspec.Struct, kw_only=True, frozen=True):
    """The events read from a webhook, and what to answer (a challenge, TwiML); default 200 and nothing."""

    events: tuple[Event, ...] = ()
    status: int = 200
    content_type: str = "text/plain"
    body: bytes = b""


class Provider(msgspec.Struct, kw_only=True, frozen=True):
    """A provider's folder, as its ``__init__`` offers it under the name ``PROVIDER``."""

    name: str
    channel: str
    #: a frozen ``msgspec.Struct``: every setting, its default, its unit.
    settings: type[Any]
    #: the names of the settings that are secrets; each is a plain ``str``.
    secrets: tuple[str, ...]
    capabilities: Capabilities
    #: open a channel with these settings.
    open: Callable[[Any, Connections], Channel]
    #: verify and read one webhook: ``(request, settings, workspace, now_ms)``. Raises ``Refused`` when it is forged.
    read_webhook: Callable[[WebhookRequest, Any, str, int], WebhookReply] | None = None
    #: end what ``open`` began (connections of its own); None: nothing to end.
    close: Callable[[Channel], Awaitable[None]] | None = None
