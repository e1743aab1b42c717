"""The pump: takes what the queue has ready, marks it as in flight, and has it carried out."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from beckon.batch import Memory
from beckon.carrier.choosing import Choosing, Ready, unsaid
from beckon.carrier.commands import Commands
from beckon.carrier.gates import Gates
from beckon.carrier.messages import Messages
from beckon.carrier.outcomes import Outcomes, defect
from beckon.core.clock import Clock, steady_s
from beckon.core.command import Send
from beckon.core.contact import Contact
from beckon.core.delivery import Choice, Delivery
from beckon.core.errors import BeckonError, Unavailable
from beckon.intake.accept import Intake
from beckon.journeys.part import JourneyAct
from beckon.messaging.choose import Open
from beckon.outbox.queue import Item, Queue, claim, removed
from beckon.pacing import Pacer
from beckon.store.changes import Changes
from beckon.store.database import Database, within
from beckon.store.tables import OUTBOX
from beckon.workspaces import Library, Workspaces

log = logging.getLogger("beckon.carrier")

_STORE_PAUSE_S = 0.5

_contact = msgspec.json.Decoder(Contact).decode
_delivery = msgspec.json.Decoder(Delivery).decode


def _big(item: Item) -> bool:
    return item.big


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
        acts: Mapping[str, JourneyAct],
        address: str,
        link_key: bytes,
        in_flight_max: int = 512,
        big_in_flight_max: int = 64,
        pacer: Pacer | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._workspaces = workspaces
        self._queue = queue
        self._memory = memory
        self._intake = intake
        self._in_flight_max = in_flight_max
        self._big_max = big_in_flight_max
        self._pacer = pacer
        # A provider that doesn't answer must leave room for the others.
        self._gates = gates = Gates(clock, max(1, in_flight_max // 2))
        self.outcomes = outcomes = Outcomes(intake, clock, queue, self._wake_for_more, self.wake)
        self._choosing = Choosing(clock, gates, address, link_key)
        self._messages = Messages(clock, gates, outcomes, address)
        self._commands = Commands(clock, workspaces, outcomes, acts)
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        #: it looks for what to do, and may be waiting for the table.
        self._pumping = False
        #: nothing new is begun any more.
        self._closing = False

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
                events.append(self.outcomes.event(item, "message.doubtful", fields, str(item.attempt)))
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

    def begin_nothing(self) -> None:
        """Begin nothing more: ``run`` ends with what it is just claiming."""
        self._closing = True
        self._wake.set()

    async def close(self, drain_s: float) -> None:
        """Begin nothing more, and wait for what is in flight, but not for ever."""
        self.begin_nothing()
        loop = asyncio.get_running_loop()
        until = loop.time() + drain_s
        while loop.time() < until:
            under_way = {*self._tasks, *((self.outcomes.taking,) if self.outcomes.taking is not None else ())}
            if under_way:
                await asyncio.wait(under_way, timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            elif self._pumping:
                await asyncio.sleep(0.01)
            else:
                return
        left = [*self._tasks, *((self.outcomes.taking,) if self.outcomes.taking is not None else ())]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    @property
    def idle(self) -> bool:
        """Nothing in hand, nothing ready."""
        return not self._tasks and self.outcomes.taking is None and not len(self._queue) and not self._gates.held

    @property
    def quiet(self) -> bool:
        """Nothing in hand, and what is ready is held back until its provider may be asked again."""
        now = self._clock.now_ms()
        if self._tasks or self.outcomes.taking is not None or self._pumping or self._wake.is_set():
            return False
        if self._queue.wants_poll(now):
            return False
        return self._gates.resting and len(self._queue) == self._gates.held

    def paused(self, workspace: str, provider: str) -> str | None:
        """Why a provider is left alone at the moment; None: it is not."""
        return self._gates.paused((workspace, provider))

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
            if item.lane in waiting or (item.big and self._queue.big_in_hand >= self._big_max):
                waiting.add(item.lane)
                continue
            if not self._queue.admit(item):
                waiting.add(item.lane)
                continue
            if item.workspace not in offers:
                offers[item.workspace] = self._choosing.offers(library)
            ready = self._ready_now(item, item.command, library, deliveries, contacts, offers[item.workspace])
            if ready is None:
                self._queue.dismiss(item)
                waiting.add(item.lane)
                continue
            item.state = "in_flight"
            self._choosing.note_links(ready, changes)
            admitted.append(ready)
        return admitted

    def launch(self, admitted: Iterable[Ready]) -> None:
        """The turn is durable: hand the admitted messages over."""
        for ready in admitted:
            self._task(self._messages.carry(ready))

    def release(self, admitted: Iterable[Ready]) -> None:
        """The turn failed: nothing was written, nothing leaves."""
        for ready in admitted:
            self._gates.leave(ready.key)
            self._queue.dismiss(ready.item)

    def _pause_s(self) -> float | None:
        now = self._clock.now_ms()
        dues = self._gates.waits_ms()
        if self._queue.next_due_ms is not None:
            dues.append(self._queue.next_due_ms - now)
        if self._pacer is not None and self._queue.big_waits and self._queue.big_in_hand < self._big_max:
            dues.append(self._pacer.messages_wait_ms)
        # Half a minute at most: a clock that jumps is noticed, and nothing hot spins.
        return min(30.0, max(0.02, min(dues) / 1000)) if dues else None

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
            ready = self._choosing.chosen(item, command, library, deliveries[item.id], contacts[item.lane], offers)
        except Exception:
            return None  # the usual way says what is wrong
        enters = isinstance(ready, Ready) and self._gates.enter(ready.choice.provider, ready.library, big=item.big)
        return ready if isinstance(ready, Ready) and enters else None

    def _big_room(self) -> int:
        """How much of big work may be begun now."""
        room = self._big_max - self._queue.big_in_hand
        if self._pacer is None or not self._queue.big_waits:
            return room
        return self._pacer.messages(room)

    async def _pump(self) -> None:
        while not self._closing:
            now = self._clock.now_ms()
            for _ in range(2):  # big work is read after everything else
                if self._queue.wants_poll(now):
                    await self._queue.poll(now)
            room = self._in_flight_max - len(self._tasks)
            if room <= 0:
                return
            began_s = steady_s()
            items = self._gates.let_go(room)
            items += self._queue.take(room - len(items), self._big_room())
            items.sort(key=_big)  # others have the provider's next places
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
            if self._pacer is not None:
                self._pacer.handed_over(sum([item.big for item in items]), len(items), began_s)

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
            if contact.forgotten_ms:
                gone = Choice("", "", "the contact was forgotten")
                self._messages.undeliverable(item, msgspec.structs.replace(delivery, text=""), gone, "contact.gone")
                continue
            if item.workspace not in offers:
                offers[item.workspace] = self._choosing.offers(library)
            try:
                ready = self._choosing.chosen(item, item.command, library, delivery, contact, offers[item.workspace])
            except Exception as caught:
                error = caught if isinstance(caught, BeckonError) else defect(caught, item)
                self._messages.undeliverable(item, delivery, unsaid(delivery, error), error.code)
                continue
            if isinstance(ready, Choice):
                self._messages.undeliverable(item, delivery, ready, "message.no_channel")
            elif self._gates.enter(ready.choice.provider, ready.library, big=item.big):
                launched.append(ready)
            else:
                self._gates.hold(ready.key, item)
        return launched

    async def _launch(self, launched: "Sequence[Ready | Item]") -> None:
        items = [one if isinstance(one, Item) else one.item for one in launched]
        changes = claim(items)
        for one in launched:
            if isinstance(one, Ready):
                self._choosing.note_links(one, changes)
        try:
            await self._database.commit(changes)
        except Unavailable:
            self._give_back(launched)
            raise
        except Exception as error:
            await self._launch_refused(launched, error)
            return
        for one in launched:
            self._task(self._messages.carry(one) if isinstance(one, Ready) else self._commands.carry(one))

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
            self._gates.leave(one.key)
            named = error if isinstance(error, BeckonError) else defect(error, one.item)
            self._messages.undeliverable(one.item, one.delivery, unsaid(one.delivery, named), named.code)
        else:
            self._commands.failed(one, error if isinstance(error, BeckonError) else defect(error, one))

    def _give_back(self, launched: "Sequence[Ready | Item]") -> None:
        """Nothing was written: they wait as before."""
        for one in launched:
            if isinstance(one, Ready):
                self._gates.leave(one.key)
            item = one if isinstance(one, Item) else one.item
            item.state = "ready"
            self._queue.back(item)

    async def _drop(self, item: Item) -> None:
        log.error("the outbox holds a message that belongs to nobody: %s", item.id)
        await self.outcomes.accept([], removed(item))
        self._queue.done(item)

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
        if self._queue.has_work or self._gates.held:
            self._wake.set()
