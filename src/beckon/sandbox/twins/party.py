"""What all pretended parties share: what they show on the person's phone, and webhooks that wait to be posted.

A webhook is posted by ``settle`` once its time has come by the clock, so tests never sleep; the demo runs ``run`` in
the background. A webhook that isn't taken is posted again later, as the real ones do.
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import msgspec
from starlette.types import ASGIApp

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError
from beckon.core.ids import derived, secret
from beckon.messaging.channel import Connections, Reply
from beckon.sandbox.twins.faults import Faults

#: People whose messages are kept, and messages of each.
PEOPLE_MAX = 10_000
MESSAGES_MAX = 200
#: Deliveries whose hand-overs are counted.
COUNTED_MAX = 100_000
#: Webhooks that may wait, tries of one, and the wait before the second try (it doubles).
WAITING_MAX = 100_000
TRIES_MAX = 10
_FIRST_PAUSE_MS = 1_000
#: Webhooks posted by one ``settle``: two parties that answer one another come to an end.
_POSTS_MAX = 10_000
#: How often the clock is looked at while something waits: it may be dragged.
_LOOK_S = 0.2
_ANSWERS_MAX = 100


class ShownButton(msgspec.Struct, frozen=True):
    """A button on the phone. ``value``: a link's URL, a reply's payload."""

    kind: str
    text: str
    value: str


class ShownMedia(msgspec.Struct, frozen=True):
    """A picture, video or document on the phone."""

    kind: str
    url: str
    caption: str = ""


class Shown(msgspec.Struct, kw_only=True):
    """One message as the person sees it."""

    #: the party's id for it
    id: str
    #: the person: what the channel calls the address
    person: str
    at_ms: int
    text: str
    #: the person wrote it
    own: bool = False
    subject: str = ""
    html: str = ""
    buttons: tuple[ShownButton, ...] = ()
    media: tuple[ShownMedia, ...] = ()
    #: accepted, sent, delivered, read, failed
    state: str = "accepted"
    template: str = ""
    #: our delivery's id
    reference: str = ""
    #: what came over the wire, for the curious
    raw: Any = None

    @property
    def arrived(self) -> bool:
        """Whether the person has it on the phone."""
        return self.own or self.state in ("delivered", "read")


class _Waiting(msgspec.Struct, order=True):
    """A webhook that waits for its time."""

    due_ms: int
    number: int
    url: str
    body: bytes
    sign: Callable[[str, bytes, int], Mapping[str, str]]
    #: what the person's phone shows from then on
    shown: tuple[Shown, str] | None
    tries: int = 0


class Party:
    """A pretended party. A subclass speaks its wire format."""

    #: the provider that talks to it
    provider: ClassVar[str]
    #: where its API is mounted; empty: it isn't HTTP
    mount: ClassVar[str] = ""
    #: its API; None: it isn't HTTP
    app: ASGIApp | None = None
    #: its own error codes: HTTP status (or SMTP reply code) and words
    errors: ClassVar[dict[str, tuple[int, str]]] = {}

    def __init__(
        self,
        *,
        connections: Connections,
        clock: Clock,
        webhook_url: str,
        seed: str = "",
        on_change: Callable[[str], None] | None = None,
    ) -> None:
        """``seed``: the same one gives the same keys; empty: fresh ones. ``on_change`` is told the person."""
        self.connections = connections
        self.clock = clock
        self.webhook_url = webhook_url
        self.on_change = on_change or _nobody
        self.faults = Faults()
        self.names: dict[str, str] = {}
        #: our server's newest answers to webhooks
        self.answers: list[Reply] = []
        self._seed = seed or secret()
        self._people: OrderedDict[str, list[Shown]] = OrderedDict()
        self._by_id: dict[str, Shown] = {}
        self._handed: OrderedDict[str, int] = OrderedDict()
        self._waiting: list[_Waiting] = []
        self._number = 0
        self._settling = asyncio.Lock()
        self._wake = asyncio.Event()

    # What a person sees and does.

    def messages(self, person: str) -> list[Shown]:
        """What the person's phone shows, the oldest first."""
        return list(self._people.get(self.known_as(person), ()))

    def known_as(self, person: str) -> str:
        """How this party calls a person."""
        return person

    def people(self) -> list[str]:
        """Everybody who has messages here."""
        return list(self._people)

    def find(self, message_id: str) -> Shown:
        """One message. Raises ``KeyError``."""
        return self._by_id[message_id]

    def handed(self, reference: str) -> int:
        """How often a delivery of ours was handed over here."""
        return self._handed.get(reference, 0)

    def handed_all(self) -> dict[str, int]:
        """How often each delivery was handed over here."""
        return dict(self._handed)

    async def reply(self, person: str, text: str) -> str:
        """The person writes; gives the message's id."""
        raise NotImplementedError

    async def receive_tap(self, message_id: str, index: int) -> str:
        """The person taps a button: a link's URL is given back, a reply goes on its way."""
        button = self.find(message_id).buttons[index]
        if button.kind == "link":
            return button.value
        await self.tapped(self.find(message_id), button)
        return ""

    async def tapped(self, message: Shown, button: ShownButton) -> None:
        """A reply button was tapped."""
        await self.reply(message.person, button.text)

    async def read(self, message_id: str) -> None:
        """The person reads a message of ours."""
        message = self.find(message_id)
        if message.state not in ("read", "failed"):
            self.receipt(message, "read", 0 if self.faults.receipts != "late" else self.faults.late_ms)

    # What the subclass does with a message that it took.

    def show(self, message: Shown) -> None:
        """Put a message on the person's phone."""
        person = message.person
        shown = self._people.setdefault(person, [])
        self._people.move_to_end(person)
        shown.append(message)
        self._by_id[message.id] = message
        if len(shown) > MESSAGES_MAX:
            self._by_id.pop(shown.pop(0).id, None)
        if len(self._people) > PEOPLE_MAX:
            for old in self._people.popitem(last=False)[1]:
                self._by_id.pop(old.id, None)
        if message.reference:
            self._handed[message.reference] = self._handed.pop(message.reference, 0) + 1
            if len(self._handed) > COUNTED_MAX:
                self._handed.popitem(last=False)
        self.on_change(person)

    def plan_receipts(self, message: Shown) -> None:
        """Schedule what will be said of a message that was taken."""
        states = ("sent", "failed") if self.faults.fail_later else ("sent", "delivered")
        plan = self.faults.plan(states)
        if not plan:
            self.changed(message, states[-1])
        for after_ms, state in plan:
            self.receipt(message, state, after_ms)

    def receipt(self, message: Shown, state: str, after_ms: int, code: str = "") -> None:
        """Schedule a receipt; a subclass writes it. ``code``: why it failed, in the party's own codes."""
        raise NotImplementedError

    def changed(self, message: Shown, state: str) -> None:
        """The phone shows the message in its new state; a state never goes back."""
        rank = ("accepted", "sent", "delivered", "read", "failed")
        if rank.index(state) > rank.index(message.state):
            message.state = state
            self.on_change(message.person)

    # Webhooks.

    def post(
        self,
        body: bytes,
        sign: Callable[[str, bytes, int], Mapping[str, str]],
        *,
        url: str = "",
        after_ms: int = 0,
        shown: tuple[Shown, str] | None = None,
    ) -> None:
        """Schedule a webhook; ``sign`` gives its headers from URL, body and instant."""
        if len(self._waiting) >= WAITING_MAX:
            return
        self._number += 1
        url = url or self.webhook_url
        heapq.heappush(self._waiting, _Waiting(self.clock.now_ms() + after_ms, self._number, url, body, sign, shown))
        self._wake.set()

    async def settle(self) -> int:
        """Post every webhook whose time has come; gives their number."""
        posted = 0
        async with self._settling:
            while self._waiting and self._waiting[0].due_ms <= self.clock.now_ms() and posted < _POSTS_MAX:
                posted += 1
                await self._post(heapq.heappop(self._waiting))
        return posted

    @property
    def waiting(self) -> int:
        """Webhooks that wait for their time."""
        return len(self._waiting)

    async def run(self) -> None:
        """Post webhooks as they fall due, until cancelled."""
        while True:
            await self.settle()
            self._wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _LOOK_S if self._waiting else None)

    async def _post(self, webhook: _Waiting) -> None:
        if webhook.shown is not None:
            self.changed(*webhook.shown)
        headers = webhook.sign(webhook.url, webhook.body, self.clock.now_ms())
        try:
            reply = await self.connections.request("POST", webhook.url, headers=headers, body=webhook.body)
        except BeckonError:
            reply = None
        if reply is not None:
            self.answers = [*self.answers[1 - _ANSWERS_MAX :], reply]
            if reply.status < 300:
                return
        webhook.tries += 1
        if webhook.tries < TRIES_MAX:
            webhook.due_ms = self.clock.now_ms() + (_FIRST_PAUSE_MS << webhook.tries)
            heapq.heappush(self._waiting, webhook)

    # Odds and ends.

    def key(self, name: str) -> str:
        """One of this party's own keys."""
        return derived(name, self._seed, self.provider)

    def settings(self, base_url: str) -> dict[str, object]:
        """The settings that point the real provider here; ``base_url``: where the sandbox is mounted."""
        raise NotImplementedError

    async def slow(self) -> None:
        """Keep the answer back: a slow network is slow in real time, whatever the clock says."""
        if self.faults.slow_ms:
            await asyncio.sleep(self.faults.slow_ms / 1000)

    async def start(self) -> None:
        """Begin to listen, where it isn't an app that somebody else serves."""

    async def stop(self) -> None:
        """End what ``start`` began."""


def _nobody(_: str) -> None:
    """Nobody looks."""
