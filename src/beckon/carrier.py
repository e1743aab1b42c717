"""The carrier: carries out the commands that leave the process, and accepts their outcomes as events.

For a message: choose (best channel, and why not the others) → render → mark as in flight → hand over → outcome. Its row
leaves the outbox in the transaction that takes its outcome in, so a crash in between leaves exactly the messages that
were in flight, and those are marked doubtful.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from beckon.batch import Memory
from beckon.core.clock import Clock
from beckon.core.command import Call, Http, Send
from beckon.core.contact import Contact
from beckon.core.delivery import Choice, Delivery
from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.event import Event
from beckon.core.message import Handed, Outbound, Rendered
from beckon.intake.accept import Intake
from beckon.messaging.channel import Connections
from beckon.messaging.choose import Open, choose
from beckon.messaging.deliveries import tried
from beckon.messaging.render import render
from beckon.outbox.queue import Item, Queue, claim, removed, retried
from beckon.outbox.rates import Rate
from beckon.outbox.retry import Policy, Retry, decide, pause_ms
from beckon.providers.provider import retry_after_s
from beckon.store.changes import Changes
from beckon.store.database import Database, within
from beckon.store.tables import LINKS, OUTBOX, PROVIDER_IDS
from beckon.web.links import new_code
from beckon.workspaces import Library, Workspaces

log = logging.getLogger("beckon.carrier")

SOURCE = "beckon/outbox"
#: How long to leave a provider alone that does not answer at all.
_PAUSE_MS = 5_000
#: Failures in a row after which a provider is left alone for a while.
_FAILURES_MAX = 5
_STORE_PAUSE_S = 0.5
#: The longest id of a provider that is kept.
_ID_MAX = 1_024
#: Of an outcome that can't be kept whole, what says whose it is.
_IN_SHORT = frozenset({"delivery", "run", "command", "attempt", "channel", "provider"})

_contact = msgspec.json.Decoder(Contact).decode
_delivery = msgspec.json.Decoder(Delivery).decode
_plain = msgspec.to_builtins

#: An act that a ``call:`` step may name: (arguments, workspace) → result.
Act = Callable[[Mapping[str, Any], str], Awaitable[Any]]


class Ready(msgspec.Struct):
    """A message that is chosen and rendered, and waits for its turn."""

    item: Item
    library: Library
    delivery: Delivery
    choice: Choice
    rendered: Rendered
    to: str
    links: list[tuple[str, str]]
    #: where a marketing message's reader says no more; empty: it is none.
    stop_url: str = ""


class Carrier:
    """Carries out what the queue has ready. One for each database."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        workspaces: Workspaces,
        queue: Queue,
        memory: Memory,
        intake: Intake,
        connections: Connections,
        acts: Mapping[str, Act],
        address: str,
        link_key: bytes,
        in_flight_max: int = 512,
    ) -> None:
        self._database = database
        self._clock = clock
        self._workspaces = workspaces
        self._queue = queue
        self._memory = memory
        self._intake = intake
        self._connections = connections
        self._acts = acts
        self._address = address
        self._link_key = link_key
        self._in_flight_max = in_flight_max
        #: one that doesn't answer must leave room for the others.
        self._per_provider_max = max(1, in_flight_max // 2)
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rates: dict[tuple[str, str], Rate] = {}
        self._flying: dict[tuple[str, str], int] = {}
        self._failures: dict[tuple[str, str], int] = {}
        #: their provider is at its limit: they are chosen anew when it may be asked again
        self._held: dict[tuple[str, str], deque[Item]] = {}
        #: outcomes that are taken in together, with what happens to their rows
        self._outcomes: list[tuple[Item, Event]] = []
        self._ended = Changes()
        self._taking: asyncio.Task[None] | None = None
        #: it looks for what to do, and may be waiting for the table.
        self._pumping = False
        #: nothing new is begun any more.
        self._closing = False
        #: messages handed over so far, for the benchmarks.
        self.handed = 0

    def wake(self) -> None:
        """There is something to carry out, or the clock was dragged."""
        self._wake.set()

    async def recover(self, items: Sequence[Item]) -> None:
        """Judge what was in flight when the last process ended: it may have been handed over, or not."""
        changes = Changes()
        events = []
        for item in items:
            library = self._workspaces.get(item.workspace)
            item.attempt += 1
            hold = isinstance(item.command, Send) and library is not None and library.settings.doubtful == "hold"
            if hold:
                changes.delete(OUTBOX, (item.number,))
            else:
                item.state, item.due_ms = "ready", 0
                changes.upsert(OUTBOX, item.row())
            if isinstance(item.command, Send):
                why = "the server stopped while this message was being handed over; it may have arrived"
                fields = {"attempt": item.attempt, "why": why, "held": hold}
                events.append(self._event(item, "message.doubtful", fields, str(item.attempt)))
        if items:
            await self._intake.accept(events, alongside=changes, ours=True)

    async def run(self) -> None:
        """Carry until cancelled, or closed."""
        while not self._closing:
            self._wake.clear()
            self._pumping = True
            try:
                await self._pump()
            except Exception as error:
                if isinstance(error, Unavailable):
                    log.warning("the store is unavailable, the carrier waits: %s", error)
                else:
                    log.error("the carrier goes on after a defect", exc_info=error)
                self._queue.distrust()
                await asyncio.sleep(_STORE_PAUSE_S)
                self._wake.set()
            finally:
                self._pumping = False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._pause_s())

    async def close(self, drain_s: float) -> None:
        """Begin nothing more, and wait for what is in flight, but not for ever."""
        self._closing = True
        self._wake.set()
        loop = asyncio.get_running_loop()
        until = loop.time() + drain_s
        while loop.time() < until:
            under_way = {*self._tasks, *((self._taking,) if self._taking is not None else ())}
            if under_way:
                await asyncio.wait(under_way, timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            elif self._pumping:
                await asyncio.sleep(0.01)
            else:
                return
        left = [*self._tasks, *((self._taking,) if self._taking is not None else ())]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    @property
    def idle(self) -> bool:
        """Nothing in hand, nothing ready."""
        return not self._tasks and self._taking is None and not len(self._queue) and not any(self._held.values())

    @property
    def quiet(self) -> bool:
        """Nothing in hand, and what is ready is held back until its provider may be asked again."""
        now = self._clock.now_ms()
        if self._tasks or self._taking is not None or self._pumping or self._wake.is_set():
            return False
        if self._queue.wants_poll(now):
            return False
        held = [(key, len(waiting)) for key, waiting in self._held.items() if waiting]
        if not all(self._rates[key].pause_left_ms(now) for key, _ in held):
            return False
        return len(self._queue) == sum([count for _, count in held])

    def paused(self, workspace: str, provider: str) -> str | None:
        """Why a provider is left alone at the moment; None: it is not."""
        rate = self._rates.get((workspace, provider))
        if rate is not None and rate.pause_left_ms(self._clock.now_ms()):
            return rate.paused_why
        return None

    def _pause_s(self) -> float | None:
        now = self._clock.now_ms()
        dues = []
        if self._queue.next_due_ms is not None:
            dues.append(self._queue.next_due_ms - now)
        for key, held in self._held.items():
            if held:
                dues.append(max(20, self._rates[key].pause_left_ms(now)))
        # Half a minute at most: a clock that jumps is noticed, and nothing hot spins.
        return min(30.0, max(0.02, min(dues) / 1000)) if dues else None

    def admit(
        self,
        items: Iterable[Item],
        contacts: Mapping[str, Contact],
        deliveries: Mapping[str, Delivery],
        changes: Changes,
    ) -> list[Ready]:
        """Of a turn's new messages, those that may leave at once: they are written as in flight with the turn itself.

        Saves them a transaction of their own. What can't leave at once, or can't be said, goes the usual way.
        """
        room = 0 if self._closing else self._in_flight_max - len(self._tasks)
        offers: dict[str, dict[str, Open]] = {}
        admitted: list[Ready] = []
        #: contacts one of whose messages must wait: those after it must not overtake it
        waiting: set[str] = set()
        for item in items:
            if len(admitted) >= room:
                break
            library = self._workspaces.get(item.workspace)
            if library is None or item.state != "ready" or not isinstance(item.command, Send):
                continue
            if item.lane in waiting or not self._queue.admit(item):
                continue
            if item.workspace not in offers:
                offers[item.workspace] = self._offers(library)
            ready = self._ready_now(item, item.command, library, deliveries, contacts, offers[item.workspace])
            if ready is None:
                self._queue.dismiss(item)
                waiting.add(item.lane)
                continue
            item.state = "in_flight"
            self._note_links(ready, changes)
            admitted.append(ready)
        return admitted

    def launch(self, admitted: Iterable[Ready]) -> None:
        """The turn is durable: hand the admitted messages over."""
        for ready in admitted:
            self._task(self._carry_message(ready))

    def release(self, admitted: Iterable[Ready]) -> None:
        """The turn failed: nothing was written, nothing leaves."""
        for ready in admitted:
            self._flying[ready.item.workspace, ready.choice.provider] -= 1
            self._queue.dismiss(ready.item)

    def _ready_now(
        self,
        item: Item,
        command: Send,
        library: Library,
        deliveries: Mapping[str, Delivery],
        contacts: Mapping[str, Contact],
        offers: dict[str, Open],
    ) -> Ready | None:
        try:
            ready = self._chosen(item, command, library, deliveries[item.id], contacts[item.lane], offers)
        except Exception:
            return None  # the usual way says what is wrong
        return ready if isinstance(ready, Ready) and self._may_go(ready) else None

    async def _pump(self) -> None:
        while not self._closing:
            now = self._clock.now_ms()
            if self._queue.wants_poll(now):
                await self._queue.poll(now)
            room = self._in_flight_max - len(self._tasks)
            if room <= 0:
                return
            items = self._let_go(room, now)
            items += self._queue.take(room - len(items))
            if not items:
                return
            try:
                contacts, deliveries = await self._load(items)
            except BaseException:
                for item in items:
                    self._queue.back(item)
                raise
            launched = self._prepare(items, contacts, deliveries)
            if launched:
                await self._launch(launched)

    def _let_go(self, room: int, now: int) -> list[Item]:
        """Of what was held back for its provider's sake: what may go now, or on another channel."""
        items: list[Item] = []
        for key, held in self._held.items():
            places = self._per_provider_max - self._flying.get(key, 0)
            free = len(held) if self._long_pause(*key) else min(places, self._rates[key].free(now))
            for _ in range(min(free, len(held), room - len(items))):
                items.append(held.popleft())
        return items

    def _may_go(self, ready: Ready) -> bool:
        key = (ready.item.workspace, ready.choice.provider)
        rate = self._rate(key, ready.library)
        if self._flying.get(key, 0) >= self._per_provider_max or rate.take(self._clock.now_ms()):
            return False
        self._flying[key] = self._flying.get(key, 0) + 1
        return True

    def _rate(self, key: tuple[str, str], library: Library) -> Rate:
        rate = self._rates.get(key)
        if rate is None:
            rate = self._rates[key] = Rate(library.settings.rates.get(key[1], 0))
        return rate

    def _prepare(
        self, items: list[Item], contacts: Mapping[str, Contact], deliveries: Mapping[str, Delivery]
    ) -> list[Ready | Item]:
        """Choose and render; what can't be said at all has its outcome at once."""
        offers: dict[str, dict[str, Open]] = {}
        launched: list[Ready | Item] = []
        for item in items:
            library = self._workspaces.get(item.workspace)
            if not isinstance(item.command, Send):
                launched.append(item)
                continue
            delivery = deliveries.get(item.id)
            contact = contacts.get(item.lane)
            if library is None or delivery is None or contact is None:
                self._task(self._drop(item))
                continue
            if item.workspace not in offers:
                offers[item.workspace] = self._offers(library)
            try:
                ready = self._chosen(item, item.command, library, delivery, contact, offers[item.workspace])
            except Exception as caught:
                error = caught if isinstance(caught, BeckonError) else _defect(caught, item)
                self._undeliverable(item, delivery, _unsaid(delivery, error), error.code)
                continue
            if isinstance(ready, Choice):
                self._undeliverable(item, delivery, ready, "message.no_channel")
            elif self._may_go(ready):
                launched.append(ready)
            else:
                self._held.setdefault((item.workspace, ready.choice.provider), deque()).append(item)
        return launched

    async def _load(self, items: list[Item]) -> tuple[dict[str, Contact], dict[str, Delivery]]:
        contacts: dict[str, Contact] = {}
        deliveries: dict[str, Delivery] = {}
        contact_ids, delivery_ids = [], []
        for item in items:
            if isinstance(item.command, Send):
                contact = self._memory.contacts.get(item.lane)
                if contact is not None:
                    contacts[item.lane] = contact
                else:
                    contact_ids.append(item.lane)
                delivery = self._memory.deliveries.get(item.id)
                if delivery is not None:
                    deliveries[item.id] = delivery
                else:
                    delivery_ids.append(item.id)
        asked = []
        if contact_ids:
            asked += within("SELECT body FROM contacts WHERE id IN ({keys})", contact_ids)
        split = len(asked)
        if delivery_ids:
            asked += within("SELECT body FROM deliveries WHERE id IN ({keys})", delivery_ids)
        if asked:
            for index, rows in enumerate(await self._database.look_up(asked)):
                for (body,) in rows:
                    if index < split:
                        contact = _contact(str(body))
                        contacts[contact.id] = contact
                    else:
                        delivery = _delivery(str(body))
                        deliveries[delivery.id] = delivery
        return contacts, deliveries

    def _chosen(
        self,
        item: Item,
        command: Send,
        library: Library,
        delivery: Delivery,
        contact: Contact,
        offers: dict[str, Open],
    ) -> "Ready | Choice":
        now = self._clock.now_ms()
        template = library.template(command.template) if command.template else None
        used = tried(delivery)
        links: list[tuple[str, str]] = []

        def link(url: str) -> str:
            code = new_code(self._link_key)
            links.append((code, url))
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
        return Ready(item, library, delivery, choice, rendered, address.external_id, links, stop_url)

    def _offers(self, library: Library) -> dict[str, Open]:
        """The workspace's channels as ``choose`` wants to know them."""
        return {
            name: Open(channel.provider, channel.capabilities, self._long_pause(library.workspace, channel.provider))
            for name, channel in library.channels.items()
        }

    def _long_pause(self, workspace: str, provider: str) -> str | None:
        """A provider that is left alone for longer than a retry would wait is passed over, with the reason."""
        rate = self._rates.get((workspace, provider))
        if rate is not None and rate.pause_left_ms(self._clock.now_ms()) > 60_000:
            return rate.paused_why
        return None

    async def _launch(self, launched: "Sequence[Ready | Item]") -> None:
        items = [one if isinstance(one, Item) else one.item for one in launched]
        changes = claim(items)
        for one in launched:
            if isinstance(one, Ready):
                self._note_links(one, changes)
        try:
            await self._database.commit(changes)
        except Unavailable:
            self._give_back(launched)
            raise
        except Exception as error:
            await self._launch_refused(launched, error)
            return
        for one in launched:
            self._task(self._carry_message(one) if isinstance(one, Ready) else self._carry_command(one))

    async def _launch_refused(self, launched: "Sequence[Ready | Item]", error: Exception) -> None:
        """Something among this can't be written: it must not hold up its neighbours, so each goes on its own."""
        if len(launched) > 1:
            for index, one in enumerate(launched):
                try:
                    await self._launch([one])
                except Unavailable:
                    self._give_back(launched[index + 1 :])
                    raise
            return
        (one,) = launched
        if isinstance(one, Ready):
            self._flying[one.item.workspace, one.choice.provider] -= 1
            named = error if isinstance(error, BeckonError) else _defect(error, one.item)
            self._undeliverable(one.item, one.delivery, _unsaid(one.delivery, named), named.code)
        else:
            self._failed(one, error if isinstance(error, BeckonError) else _defect(error, one))

    def _give_back(self, launched: "Sequence[Ready | Item]") -> None:
        """Nothing was written: they wait as before."""
        for one in launched:
            if isinstance(one, Ready):
                self._flying[one.item.workspace, one.choice.provider] -= 1
            item = one if isinstance(one, Item) else one.item
            item.state = "ready"
            self._queue.back(item)

    def _note_links(self, ready: Ready, changes: Changes) -> None:
        """The message's short links are durable before anybody can tap them."""
        expires_ms = self._clock.now_ms() + ready.library.settings.link_hours * 3_600_000
        for code, url in ready.links:
            changes.insert(
                LINKS, (code, ready.item.workspace, ready.delivery.contact, ready.delivery.id, url, expires_ms)
            )

    def _task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a command's outcome was lost to this process", exc_info=task.exception())
            self._queue.distrust()
        self._wake_for_more()

    def _wake_for_more(self) -> None:
        """A place is free: wake the pump, if there is anything to put there."""
        if self._queue.has_work or any(self._held.values()):
            self._wake.set()

    async def _carry_message(self, ready: Ready) -> None:
        item, delivery, choice = ready.item, ready.delivery, ready.choice
        key = (item.workspace, choice.provider)
        outbound = Outbound(
            delivery_id=item.id,
            attempt=item.attempt + 1,
            to=ready.to,
            rendered=ready.rendered,
            purpose="marketing" if delivery.purpose == "marketing" else "transactional",
            # Signed requests carry an instant: that of the clock which governs everything.
            extras={
                "address": self._address,
                "workspace": item.workspace,
                "now_ms": self._clock.now_ms(),
                **({"unsubscribe": ready.stop_url} if ready.stop_url else {}),
            },
        )
        try:
            handed = await ready.library.channels[choice.channel].send(outbound)
        except BeckonError as error:
            await self._not_handed(ready, error)
            return
        except Exception as error:
            log.exception("the channel %s failed in a way that it may not", choice.provider)
            await self._not_handed(
                ready, Unavailable("channel.defect", f"the channel failed: {type(error).__name__}", doubtful=True)
            )
            return
        finally:
            self._flying[key] -= 1
        self._failures.pop(key, None)
        self.handed += 1
        fields = self._fields(ready)
        fields["provider_id"] = _id_of(handed)
        self._outcome(item, "message.sent", fields)

    async def _not_handed(self, ready: Ready, error: BeckonError) -> None:
        item, now = ready.item, self._clock.now_ms()
        key = (item.workspace, ready.choice.provider)
        settings = ready.library.settings
        fields = self._fields(ready)
        fields |= {"kind": error.kind, "code": error.code, "why": error.why}
        if isinstance(error, Unavailable):
            fields["doubtful"] = error.doubtful
            self._failing(key, error, now)
        elif isinstance(error, Misconfigured):
            log.error("%s needs the operator: %s", ready.choice.provider, error)
        policy = Policy(attempts_max=settings.attempts_max, first_delay_ms=settings.first_delay_ms)
        decision = decide(policy, error, item.attempt + 1, now)
        if isinstance(decision, Retry):
            fields["retry_at_ms"] = decision.at_ms
            event = self._event(item, "message.retrying", fields, str(item.attempt + 1))
            try:
                await self._accept([event], retried(item, decision.at_ms))
            except BeckonError as unkept:
                # What the channel said can't be kept: that it failed is.
                self._outcome(item, "message.failed", {**self._fields(ready), "code": unkept.code, "why": unkept.why})
                return
            self._queue.later(item)
            self._wake.set()
        else:
            fields["why"] = decision.reason
            self._outcome(item, "message.failed", fields)

    def _failing(self, key: tuple[str, str], error: Unavailable, now: int) -> None:
        rate = self._rates[key]
        if error.retry_after_s is not None:
            rate.pause(now, now + pause_ms(error), f"{key[1]} asked for a pause: {error.why}")
            return
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        if failures >= _FAILURES_MAX:
            self._failures[key] = 0
            rate.pause(now, now + _PAUSE_MS, f"{key[1]} does not answer: {error.why}")

    def _undeliverable(self, item: Item, delivery: Delivery, choice: Choice, code: str) -> None:
        """No channel is left, or the message can't be said at all."""
        command = item.command
        fields = {
            "delivery": item.id,
            "run": command.run,
            "command": command.id,
            "choice": _plain(choice),
            "passed_over": _plain(choice.passed_over),
            "code": code,
            "why": choice.reason,
            "text": delivery.text,
        }
        # A fallback that finds no further channel leaves the message on its way by the one before.
        kept = delivery.state == "sent"
        self._outcome(item, "message.not_forwarded" if kept else "message.undeliverable", fields)

    async def _drop(self, item: Item) -> None:
        log.error("the outbox holds a message that belongs to nobody: %s", item.id)
        await self._accept([], removed(item))
        self._queue.done(item)

    async def _carry_command(self, item: Item) -> None:
        command = item.command
        try:
            if isinstance(command, Http):
                fields = await self._http(command, item)
                type_ = "http.completed"
            elif isinstance(command, Call):
                fields = {"result": await self._call(command)}
                type_ = "call.completed"
            else:
                return
        except Exception as caught:
            error = caught if isinstance(caught, BeckonError) else _defect(caught, item)
            library = self._workspaces.get(item.workspace)
            attempts = command.attempts_max if isinstance(command, Http) else 5
            first = library.settings.first_delay_ms if library is not None else 2_000
            decision = decide(Policy(attempts, first), error, item.attempt + 1, self._clock.now_ms())
            if isinstance(decision, Retry):
                await self._accept([], retried(item, decision.at_ms))
                self._queue.later(item)
                self._wake.set()
            else:
                self._failed(item, error, decision.reason)
            return
        fields |= {"run": command.run, "command": command.id}
        self._outcome(item, type_, fields)

    def _failed(self, item: Item, error: BeckonError, why: str = "") -> None:
        """A command that isn't a message came to nothing."""
        command = item.command
        fields = {"kind": error.kind, "code": error.code, "why": why or error.why}
        fields |= {"run": command.run, "command": command.id}
        self._outcome(item, "http.failed" if isinstance(command, Http) else "call.failed", fields)

    async def _http(self, command: Http, item: Item) -> dict[str, Any]:
        library = self._workspaces.get(item.workspace)
        if library is None:
            raise Refused("http.workspace", "the workspace is gone")
        headers = {"User-Agent": "Beckon", "Idempotency-Key": command.id, **command.headers}
        if command.secret:
            headers["Authorization"] = library.secret(command.secret)
        body = b""
        if command.body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = msgspec.json.encode(command.body)
        reply = await library.outside.request(
            command.method, command.url, headers=headers, body=body, timeout_s=command.timeout_ms / 1000
        )
        if reply.status == 429 or reply.status >= 500:
            raise Unavailable(
                "http.status", f"the answer is {reply.status}", retry_after_s=retry_after_s(reply.headers)
            )
        if reply.status >= 400:
            raise Refused("http.status", f"the answer is {reply.status}")
        return {"status": reply.status, "body": _kept(reply.body)}

    async def _call(self, command: Call) -> Any:
        library = self._workspaces.get(command.workspace)
        act = self._acts.get(command.act) or (library.acts.get(command.act) if library is not None else None)
        if act is None:
            raise Misconfigured("call.act", f"there is no act named {command.act!r}")
        try:
            result = await asyncio.wait_for(act(command.arguments, command.workspace), 60)
            msgspec.json.encode(result)  # what can't be kept is the act's failure, not the outcome's loss
            return result
        except TimeoutError as error:
            raise Unavailable("call.timeout", f"{command.act} took longer than 60 s", doubtful=True) from error
        except BeckonError:
            raise
        except Exception as error:
            log.exception("the act %s failed", command.act)
            raise Refused("call.failed", f"{command.act} failed: {type(error).__name__}") from error

    # Outcomes.

    def _fields(self, ready: Ready) -> dict[str, Any]:
        item, command = ready.item, ready.item.command
        fields = {
            "delivery": item.id,
            "run": command.run,
            "command": command.id,
            "attempt": item.attempt + 1,
            "channel": ready.choice.channel,
            "provider": ready.choice.provider,
            "choice": _plain(ready.choice),
            "text": ready.rendered.text,
        }
        if ready.rendered.buttons:
            # For the team's view: what there is to tap.
            fields["buttons"] = _plain(ready.rendered.buttons)
        return fields

    def _event(self, item: Item, type_: str, fields: dict[str, Any], mark: str) -> Event:
        return Event(
            workspace=item.workspace,
            source=SOURCE,
            id=f"{item.id}.{item.number}.{type_.partition('.')[2]}.{mark}",
            type=type_,
            time_ms=self._clock.now_ms(),
            data={"delivery": item.id, **fields} if isinstance(item.command, Send) else fields,
            subject=item.lane if item.lane.startswith("con_") else None,
        )

    def _outcome(self, item: Item, type_: str, fields: dict[str, Any]) -> None:
        """The command is done: its event goes in, its row goes away, with all others of this moment."""
        event = self._event(item, type_, fields, str(item.attempt + 1))
        self._outcomes.append((item, event))
        _end(self._ended, item, event)
        if self._taking is None:
            self._taking = asyncio.ensure_future(self._take_in())

    async def _take_in(self) -> None:
        await asyncio.sleep(0)
        try:
            while self._outcomes:
                outcomes, self._outcomes = self._outcomes, []
                changes, self._ended = self._ended, Changes()
                try:
                    await self._accept([event for _, event in outcomes], changes)
                except BeckonError:
                    # What can't be kept of one outcome must not cost the others theirs.
                    for item, event in outcomes:
                        await self._accept_in_short(item, event)
                for item, _ in outcomes:
                    self._queue.done(item)
                self._wake_for_more()
        finally:
            self._taking = None

    async def _accept_in_short(self, item: Item, event: Event) -> None:
        """Take one outcome in; where what it says can't be kept, that it happened."""
        try:
            await self._accept([event], _end(Changes(), item, event))
        except BeckonError as error:
            log.error("what the outcome of %s says can't be kept: %s", item.id, error)
            fields = {key: value for key, value in event.data.items() if key in _IN_SHORT}
            fields |= {"code": error.code, "why": error.why}
            type_ = event.type.replace(".completed", ".failed")
            await self._accept([msgspec.structs.replace(event, type=type_, data=fields)], removed(item))

    async def _accept(self, events: list[Event], changes: Changes) -> None:
        """Take the outcome in, however long the store needs: it must not be lost while the process lives."""
        while True:
            try:
                await self._intake.accept(events, alongside=changes, ours=True)
                return
            except Unavailable as error:
                log.warning("an outcome waits for the store: %s", error)
                await asyncio.sleep(_STORE_PAUSE_S)


def _end(changes: Changes, item: Item, event: Event) -> Changes:
    """The row goes away, and what the provider calls the message is kept, so that its receipts find it."""
    changes.delete(OUTBOX, (item.number,))
    if event.type == "message.sent" and event.data["provider_id"]:
        row = (item.workspace, event.data["provider"], event.data["provider_id"], item.id)
        changes.insert_new(PROVIDER_IDS, row)
    return changes


def _id_of(handed: Handed) -> str:
    """The provider's id; a channel from elsewhere may give anything, and the message is handed over all the same."""
    id_ = getattr(handed, "provider_id", None)
    if type(id_) is str and len(id_) <= _ID_MAX and id_.isprintable():
        return id_
    log.error("the channel gave no id that can be kept: the message will have no receipts")
    return ""


def _defect(error: Exception, item: Item) -> Refused:
    """A failure that nobody foresaw: the command has an outcome all the same, and its run goes on."""
    log.error("a command failed in a way that it may not: %s", item.id, exc_info=error)
    return Refused("command.defect", f"it failed with {type(error).__name__}; see the log")


def _kept(body: bytes) -> Any:
    """An answer's JSON; where it is none, or says what we can't keep, its beginning as text."""
    try:
        answer = msgspec.json.decode(body) if body else None
        msgspec.json.encode(answer)
        return answer
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError):
        return body[:65_536].decode("utf-8", "replace")


def _unsaid(delivery: Delivery, error: BeckonError) -> Choice:
    """No choice: the message can't be rendered, so no channel will ever carry it."""
    return Choice("", "", error.why, delivery.choice.passed_over if delivery.choice else ())
