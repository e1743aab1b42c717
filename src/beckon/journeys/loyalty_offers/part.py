"""Part: loyalty within the wheel's turn: what is asked is decided in order, what is due is done, in one transaction.

What is refused is an answer like any other. The acts decide before they change anything; the two that note something
with a refusal (a wrong promo code) say so.

Timers: nothing of a member or an offer has a timer of its own. ``loyalty_due`` has one row for each that something is
due for, to the minute, and one timer of the line (``loyalty.due``) stands for all of a minute: when it fires, a piece
is read by the table's key, and where more is left it fires again in the next turn. So a million offers that expire at
the same midnight are one timer, and events go on between two pieces.
"""

from collections.abc import Callable, Sequence
from typing import Any

from beckon.core.contact import Contact
from beckon.core.errors import BeckonError
from beckon.core.event import Event
from beckon.journeys.loyalty_offers import asked, codes, forgetting, joining, purchases, rounds, wallet
from beckon.journeys.loyalty_offers.asked import ASKED
from beckon.journeys.loyalty_offers.books import Book
from beckon.journeys.loyalty_offers.desk import Desk
from beckon.journeys.loyalty_offers.room import Key, Memory, Room, events_of
from beckon.journeys.loyalty_offers.rules import DAY_MS, Rules, fold, rules_from
from beckon.journeys.loyalty_offers.sale import SaleAsked
from beckon.journeys.part import Turn
from beckon.store.changes import Row
from beckon.store.database import Database
from beckon.store.tables import LOYALTY_DUE
from beckon.workspaces import Library

NAME = "loyalty_offers"
_LINKED = ("member.signed_up", "member.changed")


class LoyaltyPart:
    """Loyalty's part in a turn."""

    name = NAME
    types = frozenset(ASKED) | frozenset(_LINKED)
    timers = frozenset({"loyalty.due", rounds.TIMER, forgetting.TIMER})
    big_timers = frozenset({"loyalty.due", rounds.TIMER})

    def __init__(self) -> None:
        self._memory = Memory()
        self._rules: dict[str, tuple[int, str, Rules]] = {}

    async def open(self, database: Database) -> None:
        """Find the ledger's end; a workspace's counts are read with its first event."""
        self._memory.forget()
        rows = await database.fetch("SELECT max(number) FROM points")
        self._memory.number = int(rows[0][0] or 0)
        self._memory.stale = False

    def forget(self) -> None:
        """The turn was not written: believe the tables again."""
        self._memory.forget()

    # Loading.

    async def load(self, turn: Turn, events: Sequence[Event], timers: Sequence[Row]) -> None:
        """What these events and timers touch, in a handful of queries."""
        if self._memory.stale:
            await self.open(turn.database)
        room = Room(turn, self._memory)
        turn.rooms[NAME] = room
        room.asked = events_of(events, ASKED)
        wanted = _Wanted()
        for event in events:
            given = room.asked.get(event.position)
            if given is not None:
                wanted.ask(event.workspace, given)
            elif isinstance(event.data, dict):
                wanted.members.add(str(event.data.get("member", "")))
                contact = turn.contact(event)
                if contact is not None:
                    wanted.keys.add((event.workspace, "contact", contact.id))
        await self._load_buried(room, events)
        await self._due(room, timers, wanted)
        leaving = [str(subject) for _, kind, subject in timers if kind == forgetting.TIMER]
        wanted.members.update(leaving)
        await self._fetch(room, wanted)
        asked_for = {event.workspace for event in events} | {member.workspace for member in room.members.values()}
        if any(isinstance(given, asked.Round) for given in room.asked.values()):
            for one in await rounds.running(turn.database, asked_for):
                room.rounds[one.id] = one
        due_rounds = [str(subject) for _, kind, subject in timers if kind == rounds.TIMER]
        if due_rounds:
            await rounds.load(room, due_rounds)
        asked_for |= {one.workspace for one in room.rounds.values()}
        await self._open_books(turn, asked_for)
        for id_ in leaving:
            member = room.members.get(id_)
            if member is not None and member.state == "forgotten":
                done = await forgetting.piece(room, member, forgetting.ROWS_MAX)
                if done:
                    room.forgetting.add(id_)

    async def _load_buried(self, room: Room, events: Sequence[Event]) -> None:
        """Who was forgotten among those whom a file brings."""
        digests: set[tuple[str, str]] = set()
        for event in events:
            given, library = room.asked.get(event.position), room.turn.workspaces.get(event.workspace)
            if isinstance(given, asked.ManySignUps) and library is not None and library.tombs:
                for one in given.members:
                    digests.update(forgetting.digests_of(library, one))
        if digests:
            room.buried.update(await room.turn.buried(digests))

    async def _due(self, room: Room, timers: Sequence[Row], wanted: "_Wanted") -> None:
        if any(kind == "loyalty.due" for _, kind, _ in timers):
            rows = await room.turn.database.look_up(
                (
                    (
                        "SELECT due_ms, kind, subject FROM loyalty_due WHERE due_ms <= ?"
                        " ORDER BY due_ms, kind, subject LIMIT ?",
                        (room.now_ms, room.turn.piece),
                    ),
                )
            )
            room.due = [(int(due_ms or 0), str(kind), str(subject)) for due_ms, kind, subject in rows[0]]
            for _, kind, subject in room.due:
                (wanted.offers if kind == "offer" else wanted.members).add(subject)

    async def _fetch(self, room: Room, wanted: "_Wanted") -> None:
        await room.find(wanted.keys)
        await room.load_sales(wanted.sales)
        await room.load_codes(wanted.codes)
        for key in wanted.sales:
            sale = room.sales.get(key)
            if sale is not None:
                wanted.offers.update([given.offer for given in sale.given if given.offer])
                wanted.offers.update(sale.discounts)
        members = wanted.members | {room.keys[key] for key in wanted.keys}
        await room.load(members=members, offers=wanted.offers)
        forgotten = [
            id_
            for id_ in {*wanted.forgotten, *[room.keys.get(key, "") for key in wanted.forgotten_keys]}
            if id_ in room.members
        ]
        await room.load_offers_of(forgotten)
        await room.load(
            members=[offer.member for offer in room.offers.values()],
            entries=[offer.price_entry for offer in room.offers.values()],
        )
        # What must go with a member who is forgotten, or moves with one who changes.
        keys: list[Key] = []
        for id_ in {*forgotten, *wanted.changed, *[room.keys.get(key, "") for key in wanted.changed_keys]}:
            member = room.members.get(id_)
            if member is not None:
                keys += forgetting.keys_of(member)
                if member.contact:
                    keys.append((member.workspace, "contact", member.contact))
        await room.find(keys)

    async def _open_books(self, turn: Turn, workspaces: set[str]) -> None:
        today = turn.now_ms // DAY_MS
        for workspace in workspaces:
            book = self._memory.books.get(workspace)
            if book is None:
                book = Book(workspace)
                await book.open(turn.database, today)
                self._memory.books[workspace] = book
            await book.turn_to(turn.database, today)

    # Taking.

    def take(self, turn: Turn, library: Library, event: Event) -> None:
        """Decide what one event asks, and answer."""
        room: Room = turn.rooms[NAME]
        desk = self._desk(room, library)
        room.big = event.big
        given = room.asked.get(event.position)
        if given is None:
            joining.linked(desk, event, turn.contact(event))
            return
        try:
            answer = self._act(desk, event, given)
        except BeckonError as error:
            forgetting.mention(room, event, given, {})
            turn.answer(
                event,
                {
                    "mark": given.mark,
                    "error": {"kind": error.kind, "code": error.code, "why": error.why, "field": error.field},
                },
            )
            return
        forgetting.mention(room, event, given, answer)
        turn.answer(event, {"mark": given.mark, **answer})

    def _act(self, desk: Desk, event: Event, given: Any) -> dict[str, Any]:
        if event.type == "loyalty.transaction_asked":
            return purchases.transaction_asked(desk, given)
        if event.type in _WITH_POSITION:
            return _WITH_POSITION[event.type](desk, given, event.position)
        return _ACTS[event.type](desk, given)

    def fire(self, turn: Turn, due_ms: int, kind: str, subject: str) -> None:
        """A minute has come in which something is due, or a round's next piece."""
        room: Room = turn.rooms[NAME]
        if kind == forgetting.TIMER:
            if subject in room.forgetting:
                turn.set_timer(turn.now_ms + forgetting.BREATH_MS, kind, subject)
            return
        room.big = True
        if kind == rounds.TIMER:
            one = room.rounds.get(subject)
            library = rounds.library_of(room, one.workspace) if one is not None else None
            if one is not None and library is not None:
                rounds.piece(self._desk(room, library), one)
            return
        rows, room.due = room.due, []
        for due, what, id_ in rows:
            turn.changes.delete(LOYALTY_DUE, (due, what, id_))
            offer = room.offers.get(id_) if what == "offer" else None
            member = room.members.get(offer.member if offer is not None else id_)
            library = rounds.library_of(room, member.workspace) if member is not None else None
            if library is None or member is None:
                continue
            desk = self._desk(room, library)
            if offer is not None:
                if offer.due_ms == due:
                    wallet.due(desk, offer, member)
            elif what == "member" and member.due_ms == due:
                joining.due(desk, member)
        if len(rows) >= turn.piece:
            turn.set_timer(turn.now_ms, "loyalty.due", "all")

    def _desk(self, room: Room, library: Library) -> Desk:
        return Desk(
            room,
            library,
            self.rules_of(library),
            room.book(library.workspace),
            room.now_ms,
            room.now_ms // DAY_MS,
        )

    def rules_of(self, library: Library) -> Rules:
        """The workspace's definitions, ready; made anew when one was taken."""
        known = self._rules.get(library.workspace)
        zone = library.settings.time_zone
        if known is None or known[0] != library.taken or known[1] != zone:
            known = (library.taken, zone, rules_from(library.defined, zone))
            self._rules[library.workspace] = known
        return known[2]

    # Writing.

    def write(self, turn: Turn) -> None:
        """Add the changed rows to the turn's."""
        turn.rooms[NAME].write()

    async def erase(self, turn: Turn, library: Library, contact: Contact, most: int) -> int:
        """The member who is this contact, then their words; who else had the contact's number is left without one."""
        if self._memory.stale:
            await self.open(turn.database)
        room: Room = turn.rooms.setdefault(NAME, Room(turn, self._memory))
        key = (library.workspace, "contact", contact.id)
        await room.find([key])
        id_ = room.keys[key]
        if not id_:
            return await forgetting.strangers(room, library, contact.id, most)
        wanted = _Wanted()
        wanted.members.add(id_)
        wanted.forgotten.add(id_)
        await self._fetch(room, wanted)
        member = room.members.get(id_)
        if member is not None and member.state != "forgotten":
            await self._open_books(turn, {library.workspace})
            forgetting.forget(self._desk(room, library), member)
            return 1
        done = await forgetting.piece(room, member, most) if member is not None else 0
        if not done:
            room.put_key(key, "")
            done = 1
        return done

    def remember(self, turn: Turn) -> None:
        """The turn is durable: keep its rows at hand."""
        turn.rooms[NAME].remember()


_ACTS: dict[str, Callable[[Desk, Any], dict[str, Any]]] = {
    "loyalty.forget_asked": forgetting.forget_asked,
    "loyalty.tags_asked": joining.tags_asked,
    "loyalty.points_asked": joining.points_asked,
    "loyalty.issue_asked": wallet.issue_asked,
    "loyalty.buy_asked": wallet.buy_asked,
    "loyalty.offer_asked": wallet.offer_asked,
    "loyalty.code_asked": codes.code_asked,
    "loyalty.codes_asked": codes.codes_asked,
    "loyalty.opt_in_asked": joining.opt_in_asked,
    "loyalty.round_asked": rounds.round_asked,
}
_WITH_POSITION: dict[str, Callable[[Desk, Any, int], dict[str, Any]]] = {
    "loyalty.sign_up_asked": joining.sign_up_asked,
    "loyalty.members_asked": joining.members_asked,
    "loyalty.change_asked": joining.change_asked,
}


class _Wanted:
    """What a turn's events name, before anything is loaded."""

    def __init__(self) -> None:
        self.keys: set[Key] = set()
        self.members: set[str] = set()
        self.offers: set[str] = set()
        self.sales: set[tuple[str, str]] = set()
        self.codes: set[tuple[str, str]] = set()
        self.changed: set[str] = set()
        self.changed_keys: set[Key] = set()
        self.forgotten: set[str] = set()
        self.forgotten_keys: set[Key] = set()

    def ask(self, workspace: str, given: Any) -> None:
        """Note what one event names."""
        if isinstance(given, SaleAsked):
            self._who(workspace, given)
            self.sales.add((workspace, given.sale))
            for one in given.redeemed:
                self.offers.add(one.offer)
        elif isinstance(given, asked.SignUp):
            self.keys.update(forgetting.sign_up_keys(workspace, given))
        elif isinstance(given, asked.ManySignUps):
            for member in given.members:
                self.keys.update(forgetting.sign_up_keys(workspace, member))
        elif isinstance(given, asked.MakeCodes):
            self.codes.update([(workspace, fold(code)) for code in given.codes])
        elif isinstance(given, asked.Who):
            key = self._who(workspace, given)
            if isinstance(given, asked.Act):
                self.offers.add(given.offer)
            elif isinstance(given, asked.Code):
                self.codes.add((workspace, fold(given.code[:200])))
            elif isinstance(given, asked.Change):
                (self.changed_keys.add(key) if key else self.changed.add(given.member))
                self.keys.update([(workspace, f"external:{type_}", one) for type_, one in given.externals.items()])
                if given.fields.get("email"):
                    self.keys.add((workspace, "email", str(given.fields["email"]).casefold()))
                for phone in given.fields.get("phones") or ():
                    self.keys.add((workspace, "phone", str(phone.get("number", ""))))
                    break
            elif isinstance(given, asked.Forget):
                (self.forgotten_keys.add(key) if key else self.forgotten.add(given.member))

    def _who(self, workspace: str, given: Any) -> Key | None:
        if given.member:
            self.members.add(given.member)
            return None
        if given.external is None:
            return None
        key: Key = (workspace, f"external:{given.external[0]}", given.external[1])
        self.keys.add(key)
        return key
