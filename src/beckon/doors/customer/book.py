"""The book of links, as these doors need it, and the one over the database."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from beckon.core.contact import Contact
from beckon.core.delivery import Delivery
from beckon.core.event import Event
from beckon.doors.customer import acts
from beckon.messaging.channel import Subscribable
from beckon.store.database import Database
from beckon.web.links import COLUMNS, Link
from beckon.workspaces import Workspaces

_contact = msgspec.json.Decoder(Contact).decode
_delivery = msgspec.json.Decoder(Delivery).decode


class Facts(msgspec.Struct, frozen=True):
    """What the pages say about a link's message."""

    business: str = ""
    locale: str = ""
    #: on which channel the message went out; empty: not known.
    channel: str = ""
    purpose: str = "transactional"


class LinkBook(Protocol):
    """Finds links, and takes what customers do with them."""

    async def find_link(self, code: str) -> Link | None: ...

    async def facts(self, link: Link) -> Facts: ...

    async def clicked(self, link: Link, now_ms: int) -> None: ...

    async def stopped(self, link: Link, purpose: str, channel: str, how: str, now_ms: int) -> None: ...

    def push_key(self, link: Link) -> str: ...

    def takes(self, link: Link, channel: str, address: str) -> bool: ...

    async def device(self, link: Link, channel: str, address: str, why: str, now_ms: int) -> None: ...


class StoredLinks:
    """The links of the database; acts go to ``accept`` as everything does."""

    def __init__(
        self,
        database: Database,
        workspaces: Workspaces,
        accept: Callable[[Sequence[Event]], Awaitable[object]],
    ) -> None:
        self._database = database
        self._workspaces = workspaces
        self._accept = accept

    async def find_link(self, code: str) -> Link | None:
        """The link's row; the signature was checked before."""
        sql = f"SELECT {', '.join(COLUMNS)} FROM links WHERE code = ?"
        rows = await self._database.fetch(sql, (code,))
        return msgspec.convert(dict(zip(COLUMNS, rows[0], strict=True)), Link) if rows else None

    async def facts(self, link: Link) -> Facts:
        """The business's name, the contact's language, the message's channel."""
        contacts, deliveries = await self._database.fetch_all(
            (
                ("SELECT body FROM contacts WHERE id = ?", (link.contact,)),
                ("SELECT body FROM deliveries WHERE id = ?", (link.delivery,)),
            )
        )
        library = self._workspaces.get(link.workspace)
        locale = _contact(str(contacts[0][0])).locale if contacts else ""
        delivery = _delivery(str(deliveries[0][0])) if deliveries else None
        return Facts(
            business=library.settings.name if library else "",
            locale=locale or (library.settings.locale if library else ""),
            channel=delivery.choice.channel if delivery and delivery.choice else "",
            purpose=delivery.purpose if delivery else "transactional",
        )

    async def clicked(self, link: Link, now_ms: int) -> None:
        """Accept ``link.clicked``."""
        await self._accept([acts.clicked(link, now_ms)])

    async def stopped(self, link: Link, purpose: str, channel: str, how: str, now_ms: int) -> None:
        """Accept ``consent.changed``."""
        await self._accept([acts.stopped(link, purpose, channel, how, now_ms)])

    def push_key(self, link: Link) -> str:
        """The key that browsers subscribe with; empty: this business pushes to none."""
        channel = self._channel(link, "web_push")
        return channel.public_key if isinstance(channel, Subscribable) else ""

    def takes(self, link: Link, channel: str, address: str) -> bool:
        """Whether this business sends to such a device."""
        found = self._channel(link, channel)
        return found is not None and (not isinstance(found, Subscribable) or found.takes(address))

    async def device(self, link: Link, channel: str, address: str, why: str, now_ms: int) -> None:
        """Accept ``contact.changed``."""
        await self._accept([acts.device_changed(link, channel, address, why, now_ms)])

    def _channel(self, link: Link, name: str) -> object:
        """The workspace's channel of this name; None: it has none."""
        library = self._workspaces.get(link.workspace)
        return library.channels.get(name) if library is not None else None
