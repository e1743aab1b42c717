"""Room: what one turn has loaded of loyalty, what it changes, and what it tells.

An identity map over members, sales, offers and promo codes, with a bounded memory of the newest: the wheel is the only
writer of these rows. Everything is loaded before the first event is taken: a handful of queries for all of a turn.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.core.recent import Recent
from beckon.journeys.loyalty_offers import told
from beckon.journeys.loyalty_offers.books import Book
from beckon.journeys.loyalty_offers.ledger import Entry
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.offer import OPEN, Offer
from beckon.journeys.loyalty_offers.sale import Sale
from beckon.journeys.part import Buried, Turn
from beckon.store.changes import Row
from beckon.store.database import Query, joined, within
from beckon.store.tables import LOYALTY_DUE, MEMBER_KEYS, MEMBERS, OFFERS, POINTS, PROMO_CODES, SALES
from beckon.workspaces import Library

_MINUTE_MS = 60_000
_encode = msgspec.json.Encoder().encode
_member = msgspec.json.Decoder(Member).decode
_sale = msgspec.json.Decoder(Sale).decode
_offer = msgspec.json.Decoder(Offer).decode
_entry = msgspec.json.Decoder(Entry).decode

#: (workspace, kind, word)
Key = tuple[str, str, str]


class Code(msgspec.Struct):
    """A single-use promo code, or what is left of it."""

    workspace: str
    code: str
    list: str
    uses: int = 0
    member: str = ""
    used_ms: int = 0


class Memory:
    """The newest rows of each kind, from turn to turn."""

    def __init__(self) -> None:
        self.members: Recent[Member] = Recent()
        #: key → member's id
        self.keys: Recent[str] = Recent(4 * 16_000)
        self.sales: Recent[Sale] = Recent(2_000)
        self.offers: Recent[Offer] = Recent()
        self.number = 0
        self.books: dict[str, Book] = {}
        #: what was read may not be what is written: everything is read again.
        self.stale = True

    def forget(self) -> None:
        """Believe the tables again."""
        for recent in (self.members, self.keys, self.sales, self.offers):
            recent.clear()
        self.books.clear()
        self.stale = True


def joint(*words: str) -> str:
    """Several words as one key of a memory."""
    return "\x1f".join(words)


class Room:
    """One turn's rows."""

    def __init__(self, turn: Turn, memory: Memory) -> None:
        self.turn = turn
        self.memory = memory
        self.now_ms = turn.now_ms
        self.members: dict[str, Member] = {}
        #: key → member's id, "": nobody
        self.keys: dict[Key, str] = {}
        self.sales: dict[tuple[str, str], Sale | None] = {}
        self.offers: dict[str, Offer] = {}
        self.codes: dict[tuple[str, str], Code] = {}
        #: the ledger's entries that a spending's reversal asks for
        self.entries: dict[int, Entry] = {}
        #: position → what is asked
        self.asked: dict[int, Any] = {}
        #: due rows of this turn: (due_ms, kind, subject)
        self.due: list[tuple[int, str, str]] = []
        #: round's id → members of its next piece
        self.pieces: dict[str, list[str]] = {}
        self.rounds: dict[str, Any] = {}
        #: members whom only a round looks at: they don't push others out of memory.
        self.passing: set[str] = set()
        #: (workspace, digest) → who was forgotten, and comes with a file
        self.buried: dict[tuple[str, str], Buried] = {}
        #: forgotten members of whom the next piece went in this turn, and more may be left
        self.forgetting: set[str] = set()
        #: what is told now is told of a great many.
        self.big = False
        self._members: set[str] = set()
        self._offers: set[str] = set()
        self._sales: set[tuple[str, str]] = set()
        self._books: set[str] = set()
        self.new_keys: dict[Key, str] = {}

    # Loading: a query for each kind, for all that is missing.

    async def find(self, keys: Iterable[Key]) -> None:
        """Whom these keys mean."""
        missing = []
        for key in keys:
            if key not in self.keys:
                known = self.memory.keys.get(joint(*key))
                if known is not None:
                    self.keys[key] = known
                else:
                    self.keys[key] = ""
                    missing.append(key)
        if missing:
            queries = joined("member_keys", "workspace, kind, word, member", ("workspace", "kind", "word"), missing)
            for rows in await self.turn.database.look_up(queries):
                for workspace, kind, word, member in rows:
                    self.keys[str(workspace), str(kind), str(word)] = str(member)

    async def load_sales(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Sales by (workspace, the till's id)."""
        missing = []
        for key in wanted:
            if key not in self.sales:
                self.sales[key] = self.memory.sales.get(joint(*key))
                if self.sales[key] is None:
                    missing.append(key)
        if missing:
            queries = joined("sales", "workspace, sale, body", ("workspace", "sale"), missing)
            for rows in await self.turn.database.look_up(queries):
                for workspace, sale, body in rows:
                    self.sales[str(workspace), str(sale)] = _sale(str(body))

    async def load_codes(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Promo codes by (workspace, folded code)."""
        missing = [key for key in dict.fromkeys(wanted) if key not in self.codes]
        if missing:
            queries = joined(
                "promo_codes", "workspace, code, list, uses, member, used_ms", ("workspace", "code"), missing
            )
            for rows in await self.turn.database.look_up(queries):
                for workspace, code, list_, uses, member, used_ms in rows:
                    self.codes[str(workspace), str(code)] = Code(
                        str(workspace), str(code), str(list_), int(uses or 0), str(member), int(used_ms or 0)
                    )

    async def load(self, members: Iterable[str] = (), offers: Iterable[str] = (), entries: Iterable[int] = ()) -> None:
        """Members, offers and the ledger's entries by id, in one go."""
        member_ids = self._missing(members, self.members, self.memory.members)
        offer_ids = self._missing(offers, self.offers, self.memory.offers)
        numbers = [number for number in dict.fromkeys(entries) if number and number not in self.entries]
        queries: list[Query] = []
        plan: list[str] = []
        for name, keys in (("members", member_ids), ("offers", offer_ids)):
            if keys:
                asked = within(f"SELECT body FROM {name} WHERE id IN ({{keys}})", keys)
                queries += asked
                plan += [name] * len(asked)
        if numbers:
            asked = within("SELECT body FROM points WHERE number IN ({keys})", numbers)
            queries += asked
            plan += ["points"] * len(asked)
        if not queries:
            return
        for name, rows in zip(plan, await self.turn.database.look_up(queries), strict=True):
            for (body,) in rows:
                if name == "members":
                    member = _member(str(body))
                    self.members[member.id] = member
                elif name == "offers":
                    offer = _offer(str(body))
                    self.offers[offer.id] = offer
                else:
                    entry = _entry(str(body))
                    self.entries[entry.number] = entry

    async def load_offers_of(self, members: Sequence[str]) -> None:
        """All offers that these members ever had: for forgetting them."""
        if not members:
            return
        for rows in await self.turn.database.look_up(
            within("SELECT body FROM offers WHERE member IN ({keys})", list(members))
        ):
            for (body,) in rows:
                offer = _offer(str(body))
                self.offers.setdefault(offer.id, self.memory.offers.get(offer.id) or offer)

    @staticmethod
    def _missing(wanted: Iterable[str], here: dict[str, Any], recent: "Recent[Any]") -> list[str]:
        missing = []
        for key in dict.fromkeys(wanted):
            if key and key not in here:
                known = recent.get(key)
                if known is not None:
                    here[key] = known
                else:
                    missing.append(key)
        return missing

    # Finding, within what was loaded.

    def member(self, workspace: str, asked: Any) -> Member:
        """The member who is meant. Raises ``Refused``: unknown, or forgotten."""
        id_ = asked.member or self.keys.get(
            (workspace, f"external:{asked.external[0]}", asked.external[1]) if asked.external else ("", "", ""), ""
        )
        member = self.members.get(id_)
        if member is None or member.workspace != workspace:
            raise Refused("member.unknown", "there is no such member", field="member")
        if member.state == "forgotten":
            raise Refused("member.forgotten", "this member was forgotten", field="member")
        return member

    def offer(self, workspace: str, id_: str) -> Offer:
        """An offer that was issued. Raises ``Refused``."""
        offer = self.offers.get(id_)
        if offer is None or offer.workspace != workspace:
            raise Refused("offer.unknown", "there is no such offer", field="offer")
        return offer

    def book(self, workspace: str) -> Book:
        """The workspace's counts."""
        self._books.add(workspace)
        return self.memory.books[workspace]

    # Changing.

    def put_member(self, member: Member) -> None:
        """Keep a new or changed member."""
        self.members[member.id] = member
        member.changed_ms = self.now_ms
        self._members.add(member.id)
        self.turn.topics.add((member.workspace, f"journey:member:{member.id}"))

    def put_key(self, key: Key, member: str) -> None:
        """From now on this key means this member; "" takes it away."""
        self.keys[key] = member
        self.new_keys[key] = member
        if member:
            self.turn.changes.upsert(MEMBER_KEYS, (*key, member))
        else:
            self.turn.changes.delete(MEMBER_KEYS, key)

    def put_sale(self, sale: Sale) -> None:
        """Keep a new or changed sale."""
        key = (sale.workspace, sale.sale)
        self.sales[key] = sale
        self._sales.add(key)

    def put_code(self, code: Code) -> None:
        """Keep a new or used promo code."""
        self.codes[code.workspace, code.code] = code
        self.turn.changes.upsert(
            PROMO_CODES, (code.workspace, code.code, code.list, code.uses, code.member, code.used_ms)
        )

    def put_offer(self, offer: Offer, member: Member | None) -> None:
        """Keep a new or changed offer, and the member's list of those that are open."""
        offer.changed_ms = self.now_ms
        self.offers[offer.id] = offer
        self._offers.add(offer.id)
        if member is not None:
            held = offer.id in member.offers
            if offer.state in OPEN and not held:
                member.offers.append(offer.id)
                self.put_member(member)
            elif offer.state not in OPEN and held:
                member.offers.remove(offer.id)
                self.put_member(member)

    def number(self) -> int:
        """The ledger's next number."""
        self.memory.number += 1
        return self.memory.number

    def enter(self, member: Member, entry: Entry) -> None:
        """Append an entry to the ledger."""
        self.entries[entry.number] = entry
        self.turn.changes.insert(
            POINTS,
            (
                entry.number,
                member.workspace,
                member.id,
                entry.previous,
                entry.at_ms,
                entry.kind,
                entry.amount,
                entry.balance,
                _encode(entry).decode(),
            ),
        )
        self.put_member(member)

    def due_at(self, before_ms: int, due_ms: int, kind: str, subject: str) -> int:
        """The one row that says what is due next for a subject, moved; gives its instant, to a full minute."""
        if due_ms:
            due_ms = -(-max(due_ms, self.now_ms) // _MINUTE_MS) * _MINUTE_MS
        if due_ms == before_ms:
            return due_ms
        if before_ms:
            self.turn.changes.delete(LOYALTY_DUE, (before_ms, kind, subject))
        if due_ms:
            self.turn.changes.upsert(LOYALTY_DUE, (due_ms, kind, subject))
            # One timer of the line for all that is due in the same minute.
            self.turn.set_timer(due_ms, "loyalty.due", "all")
        return due_ms

    def tell(self, library: Library, type_: str, mark: str, fields: dict[str, Any]) -> None:
        """Say that something happened; what is quiet only where somebody listens."""
        if type_ in told.QUIET and not heard(library, type_):
            return
        self.turn.emitted.append(told.told(library.workspace, type_, mark, self.now_ms, fields, big=self.big))

    # Writing.

    def write(self) -> None:
        """The rows that changed."""
        changes = self.turn.changes
        for id_ in self._members:
            member = self.members[id_]
            changes.upsert(MEMBERS, (id_, member.workspace, member.state, member.changed_ms, _encode(member).decode()))
        for id_ in self._offers:
            changes.upsert(OFFERS, offer_row(self.offers[id_]))
        for key in self._sales:
            sale = self.sales[key]
            assert sale is not None
            changes.upsert(SALES, (*key, sale.member, sale.state, sale.modified_ms, _encode(sale).decode()))
        for workspace in self._books:
            book = self.memory.books[workspace]
            self.turn.topics.update([(workspace, f"journey:campaign:{name}") for name in book.changed()])
            book.write(changes)

    def remember(self) -> None:
        """The turn is durable: keep its rows at hand."""
        memory = self.memory
        for id_, member in self.members.items():
            if id_ not in self.passing:
                memory.members.put(id_, member)
        for id_ in self._offers:
            memory.offers.put(id_, self.offers[id_])
        for key in self._sales:
            sale = self.sales[key]
            if sale is not None:
                memory.sales.put(joint(*key), sale)
        for key3, member_id in self.keys.items():
            if member_id:
                memory.keys.put(joint(*key3), member_id)
            elif key3 in self.new_keys:
                memory.keys.put(joint(*key3), "")
        for workspace in self._books:
            memory.books[workspace].written()


def heard(library: Library, type_: str) -> bool:
    """Whether a flow of the workspace begins with an event type or waits for it."""
    return bool(library.flows_on(type_)) or type_ in library.shapes


def offer_row(offer: Offer) -> Row:
    """An offer as its table has it."""
    return (
        offer.id,
        offer.workspace,
        offer.member,
        offer.definition,
        offer.campaign,
        offer.state,
        offer.issued_ms,
        offer.expires_ms,
        _encode(offer).decode(),
    )


def events_of(events: Sequence[Event], library_types: dict[str, Any]) -> dict[int, Any]:
    """What each event asks, by its position."""
    found: dict[int, Any] = {}
    for event in events:
        shape = library_types.get(event.type)
        if shape is not None:
            # Fresh from its door it is a value already; read back from the table it is plain JSON.
            found[event.position] = event.data if type(event.data) is shape else msgspec.convert(event.data, shape)
    return found
