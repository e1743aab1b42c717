"""The cast: everybody who takes part in the sandbox, what each does and what each sees.

The business system posts events with an API key, the customer reads and taps on a phone of four apps, the team reads
its conversation, the clock is dragged. All of it goes over real HTTP (and SMTP) between the server and the twins; only
what the team sees is read from the store, as the console reads it.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from beckon.core import ids
from beckon.core.clock import Clock, iso
from beckon.core.delivery import Delivery
from beckon.core.exchange import Connections, Reply
from beckon.flows.run import Run, decode_run
from beckon.inbox.reading import Reader, Thread, thread
from beckon.sandbox.people import CHANNELS, PROVIDER_OF, Customer
from beckon.sandbox.shop import Shop
from beckon.sandbox.store import COURIERS, ORDERS, Store
from beckon.sandbox.telephones import Telephones
from beckon.sandbox.twins import Twins
from beckon.sandbox.twins.party import Party, Shown
from beckon.sandbox.wvp import Visit, Wvp

#: What the business system calls itself.
SOURCE = "https://dms.garage.example/visits"
_REDIRECTS_MAX = 8
_ROWS_MAX = 50

_delivery = msgspec.json.Decoder(Delivery).decode


class MovableClock(Clock):
    """A clock that can be dragged forward."""

    def drag(self, forward_ms: int) -> None: ...


class Parts(msgspec.Struct, kw_only=True, frozen=True):
    """What the composition hands in."""

    #: where the server listens: ``http://127.0.0.1:8080``.
    address: str
    #: the path under which the twins are mounted there.
    mounted: str
    api_key: str
    workspace: str
    clock: Clock
    #: moves the clock; the server is told afterwards.
    drag: Callable[[int], None]
    reader: Reader
    connections: Connections
    twins: Twins
    wvp: Wvp
    #: waits until nothing moves any more.
    quiet: Callable[[], Awaitable[None]]
    #: the phones, and the switch between them.
    telephones: Telephones
    #: the system that the switch asks about couriers.
    store: Store
    #: a signed-in session of the team: (cookie, CSRF token).
    sign_in: Callable[[], Awaitable[tuple[str, str]]]


class Answer(msgspec.Struct, frozen=True):
    """What the server said to an event, and the event as it was sent."""

    status: int
    body: Any
    sent: dict[str, Any]


class Opened(msgspec.Struct, frozen=True):
    """A page as the customer's browser ended up on it."""

    url: str
    status: int
    text: str


class Cast:
    """Everybody, and the clock."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.twins = parts.twins
        self.wvp = parts.wvp
        self.clock = parts.clock
        self.telephones = parts.telephones
        self.store = parts.store
        self.shop = Shop(
            address=parts.address,
            connections=parts.connections,
            api_key=parts.api_key,
            workspace=parts.workspace,
            clock=parts.clock,
        )
        self._session: tuple[str, str] | None = None

    # The business system.

    def event(self, type_: str, data: Mapping[str, Any], *, id_: str = "") -> dict[str, Any]:
        """An event as the business system writes it: a CloudEvent."""
        return {
            "specversion": "1.0",
            "id": id_ or ids.fresh("evt"),
            "source": SOURCE,
            "type": type_,
            "time": iso(self.clock.now_ms()),
            "data": dict(data),
        }

    async def post(self, event: Mapping[str, Any]) -> Answer:
        """Post an event to ``/v1/events``; gives the answer, whatever it is."""
        reply = await self._request(
            "POST",
            f"{self.parts.address}/v1/events",
            headers={
                "content-type": "application/cloudevents+json; charset=utf-8",
                "authorization": f"Bearer {self.parts.api_key}",
            },
            body=msgspec.json.encode(event),
        )
        try:
            body: Any = msgspec.json.decode(reply.body) if reply.body else None
        except msgspec.DecodeError:
            body = reply.body.decode("utf-8", "replace")
        return Answer(reply.status, body, dict(event))

    async def say(self, type_: str, data: Mapping[str, Any], *, id_: str = "") -> Answer:
        """Write an event and post it."""
        return await self.post(self.event(type_, data, id_=id_))

    async def load_store(self) -> None:
        """The store's couriers and orders, as records."""
        for name, rows in (("couriers", COURIERS), ("orders", ORDERS)):
            text = "\n".join([",".join(rows[0]), *[",".join(row.values()) for row in rows]])
            await self._request(
                "POST",
                f"{self.parts.address}/v1/records/{name}",
                headers={"content-type": "text/csv", "authorization": f"Bearer {self.parts.api_key}"},
                body=text.encode(),
            )

    # The customer.

    @property
    def origin(self) -> str:
        """Where the parties are mounted: browsers subscribe at their push service there."""
        return self.parts.address + self.parts.mounted

    def party(self, channel: str) -> Party:
        """The twin that carries a channel."""
        return self.twins[PROVIDER_OF[channel]]

    def on_phone(self, customer: Customer, channel: str) -> list[Shown]:
        """What one app of the customer's phone shows, the oldest first; messages under way don't show yet."""
        shown = self.party(channel).messages(customer.address(channel))
        return [message for message in shown if message.arrived]

    async def write(self, customer: Customer, channel: str, text: str) -> None:
        """The customer writes to the business."""
        party = self.party(channel)
        address = customer.address(channel)
        party.names[address] = customer.name
        await party.reply(address, text)

    async def read(self, customer: Customer, channel: str) -> None:
        """The customer opens an app and reads what is new."""
        party = self.party(channel)
        for message in self.on_phone(customer, channel):
            if not message.own and message.state == "delivered":
                await party.read(message.id)

    async def open(self, url: str) -> Opened:
        """The customer's browser opens a URL and goes where it is sent on to, within the sandbox."""
        for _ in range(_REDIRECTS_MAX):
            reply = await self._request("GET", url, headers=_BROWSER)
            if reply.status not in (301, 302, 303, 307, 308):
                break
            url = self._next(url, reply)
        return Opened(url, reply.status, reply.body.decode("utf-8", "replace"))

    async def check_in(self, url: str, answers: Mapping[str, Mapping[str, Any]]) -> Opened:
        """The customer goes through the check-in app that ``url`` opened: one form for each step, in order."""
        page = await self.open(url)
        for step, fields in answers.items():
            home = self.wvp.config.public_url
            slug = page.url.removeprefix(home).strip("/").partition("/")[0]
            form = urlencode({**fields, "go": "next"}, doseq=True).encode()
            reply = await self._request(
                "POST",
                f"{home}/{slug}/{step}",
                headers={**_BROWSER, "content-type": "application/x-www-form-urlencoded"},
                body=form,
            )
            if reply.status != 303:
                return Opened(page.url, reply.status, reply.body.decode("utf-8", "replace"))
            page = await self.open(self._next(f"{home}/{slug}/{step}", reply))
        return page

    # The team.

    async def contact_of(self, customer: Customer) -> str:
        """The contact that this customer is in Beckon; empty: nobody knows them yet."""
        pairs = [(channel, customer.address(channel)) for channel in customer.has]
        if not pairs:
            pairs = [("external", f"customer-{customer.number}")]
        for channel, external_id in pairs:
            rows = await self.parts.reader.fetch(
                "SELECT contact FROM addresses WHERE workspace = ? AND channel = ? AND external_id = ?",
                (self.parts.workspace, channel, external_id),
            )
            if rows:
                return str(rows[0][0])
        return ""

    async def conversation(self, customer: Customer) -> Thread | None:
        """The conversation as the team sees it; None: there is none yet."""
        contact = await self.contact_of(customer)
        return await thread(self.parts.reader, self.parts.workspace, contact) if contact else None

    async def deliveries(self, customer: Customer) -> list[Delivery]:
        """The messages to this customer, the oldest first."""
        contact = await self.contact_of(customer)
        rows = await self.parts.reader.fetch(
            "SELECT d.body, (SELECT min(e.number) FROM entries e WHERE e.contact = d.contact AND e.delivery = d.id)"
            " FROM deliveries d WHERE d.contact = ? AND d.workspace = ? ORDER BY d.created_ms DESC LIMIT ?",
            (contact, self.parts.workspace, _ROWS_MAX),
        )
        # Of two at the same instant, the one that entered the conversation later, or not at all, is newer.
        found = [(_delivery(str(body)), int(number or 0) or 2**62) for body, number in rows]
        return [one for one, _ in sorted(found, key=lambda pair: (pair[0].created_ms, pair[1]))]

    async def runs(self, customer: Customer) -> list[Run]:
        """The flows under way or done for this customer, the oldest first."""
        contact = await self.contact_of(customer)
        rows = await self.parts.reader.fetch(
            "SELECT body FROM runs WHERE contact = ? AND workspace = ? ORDER BY created_ms DESC LIMIT ?",
            (contact, self.parts.workspace, _ROWS_MAX),
        )
        return [decode_run(str(row[0])) for row in reversed(rows)]

    async def reply(self, customer: Customer, text: str) -> int:
        """A service advisor answers from the console; gives the page's status."""
        if self._session is None:
            self._session = await self.parts.sign_in()
        cookie, csrf = self._session
        contact = await self.contact_of(customer)
        reply = await self._request(
            "POST",
            f"{self.parts.address}/console/conversations/{contact}/reply",
            headers={"cookie": cookie, "content-type": "application/x-www-form-urlencoded"},
            body=urlencode({"csrf": csrf, "once": ids.fresh("once"), "text": text}).encode(),
        )
        return reply.status

    # Time.

    async def quiet(self) -> None:
        """Wait until nothing moves any more."""
        await self.parts.quiet()

    async def drag(self, forward_ms: int) -> None:
        """Move the clock forward, and wait until all that was due is done."""
        self.parts.drag(forward_ms)
        await self.quiet()

    # Odds and ends.

    def plan(self, customer: Customer, *, visit: str = "", at_ms: int = 0, **words: Any) -> Visit:
        """The workshop plans a visit of this customer: in three days where nobody says when."""
        at_ms = at_ms or self.clock.now_ms() + 3 * 24 * 3_600_000
        appointment = {"at": iso(at_ms), **words.pop("appointment", {})}
        return self.wvp.plan_visit(visit=visit, contact=customer.contact(), appointment=appointment, **words)

    async def _request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        return await self.parts.connections.request(method, url, headers=headers, body=body, timeout_s=20)

    def _next(self, url: str, reply: Reply) -> str:
        target = urljoin(url, reply.headers.get("location", ""))
        if urlsplit(target).netloc != urlsplit(self.parts.address).netloc:
            raise ValueError(f"the browser was sent out of the sandbox, to {target[:200]}")
        return target


def cookie_pair(header: str) -> str:
    """The ``name=value`` of a Set-Cookie header, as a browser sends it back."""
    jar = SimpleCookie(header)
    return "; ".join([f"{name}={morsel.value}" for name, morsel in jar.items()])


def pretty(event: Mapping[str, Any]) -> str:
    """An event as people read it."""
    return json.dumps(event, indent=2, ensure_ascii=False)


_BROWSER = {
    "user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.5 Mobile/15E148 Safari/604.1",
    "accept": "text/html,application/xhtml+xml",
    "accept-language": "en",
}

__all__ = ["CHANNELS", "Answer", "Cast", "Opened", "Parts"]
