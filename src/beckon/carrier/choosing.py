"""Choosing: on which channel a message leaves, and the words in which it does."""

import msgspec

from beckon.carrier.gates import Gates
from beckon.core.clock import Clock
from beckon.core.command import Send
from beckon.core.contact import Contact
from beckon.core.delivery import Choice, Delivery
from beckon.core.errors import BeckonError, Refused, Unsupported
from beckon.core.message import Rendered
from beckon.messaging.choose import Open, choose
from beckon.messaging.deliveries import tried
from beckon.messaging.render import render
from beckon.outbox.queue import Item
from beckon.store.changes import Changes
from beckon.store.tables import LINKS
from beckon.web.links import new_code
from beckon.workspaces import Library

#: To how many devices of one contact a message goes.
DEVICES_MAX = 10


class Ready(msgspec.Struct):
    """A message that is chosen and rendered, and waits for its turn."""

    item: Item
    library: Library
    delivery: Delivery
    choice: Choice
    rendered: Rendered
    to: str
    links: list[tuple[str, str]]
    #: the contact's other devices on a channel of devices, the newest first.
    also: tuple[str, ...] = ()
    #: where a marketing message's reader says no more; empty: it is none.
    stop_url: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The gate that it goes through."""
        return self.item.workspace, self.choice.provider


class Choosing:
    """Chooses and renders."""

    def __init__(self, clock: Clock, gates: Gates, address: str, link_key: bytes) -> None:
        self._clock = clock
        self._gates = gates
        self._address = address
        self._link_key = link_key

    def chosen(
        self,
        item: Item,
        command: Send,
        library: Library,
        delivery: Delivery,
        contact: Contact,
        offers: dict[str, Open],
    ) -> "Ready | Choice":
        """The message, ready to leave; or why no channel carries it. Raises ``Refused`` where it can't be said."""
        now = self._clock.now_ms()
        template = library.template(command.template) if command.template else None
        used = tried(delivery)
        links: list[tuple[str, str]] = []

        def link(url: str) -> str:
            code = new_code(self._link_key)
            # A page of a journey that is opened by the link's own code has it in its address.
            links.append((code, url.replace("{link}", code)))
            return f"{self._address}/go/{code}"

        # Once for each channel at most: one that can't say the message is passed over, and the next is asked.
        for _ in range(len(offers) + 1):
            choice = choose(
                contact=contact,
                order=contact.channel_order or library.settings.channels,
                via=command.via,
                content=template,
                text=command.text,
                templates=library.templates,
                variables=command.variables,
                purpose=command.purpose,
                channels=offers,
                approvals=library.approvals,
                tried=used,
                now_ms=now,
                locale=command.locale or contact.locale or library.settings.locale,
            )
            if not choice.channel:
                return choice
            links.clear()
            try:
                rendered = render(
                    library.template(choice.template) if choice.template else template,
                    choice=choice,
                    text=command.text,
                    contact=contact,
                    variables=command.variables,
                    settings=library.settings,
                    capabilities=library.channels[choice.channel].capabilities,
                    locale=command.locale,
                    link=link,
                )
                break
            except Unsupported as error:
                used[choice.channel] = error.why
        else:
            return choice
        address = contact.address(choice.channel)
        if address is None:
            raise Refused("message.address", f"the contact has no address on {choice.channel}")
        stop_url = ""
        if delivery.purpose == "marketing":
            # Any code of ours opens the page where this reader says no more.
            stop_url = link(self._address).replace("/go/", "/stop/")
        also: tuple[str, ...] = ()
        if library.channels[choice.channel].capabilities.devices:
            devices = contact.devices(choice.channel, DEVICES_MAX)
            also = tuple([one for one in devices if one != address.external_id])
        return Ready(item, library, delivery, choice, rendered, address.external_id, links, also, stop_url)

    def offers(self, library: Library) -> dict[str, Open]:
        """The workspace's channels as ``choose`` wants to know them."""
        return {
            name: Open(
                channel.provider, channel.capabilities, self._gates.long_pause((library.workspace, channel.provider))
            )
            for name, channel in library.channels.items()
        }

    def note_links(self, ready: Ready, changes: Changes) -> None:
        """The message's short links are durable before anybody can tap them."""
        expires_ms = self._clock.now_ms() + ready.library.settings.link_hours * 3_600_000
        for code, url in ready.links:
            changes.insert(
                LINKS, (code, ready.item.workspace, ready.delivery.contact, ready.delivery.id, url, expires_ms)
            )


def unsaid(delivery: Delivery, error: BeckonError) -> Choice:
    """No choice: the message can't be rendered, so no channel will ever carry it."""
    return Choice("", "", error.why, delivery.choice.passed_over if delivery.choice else ())
