"""Desk: what one act of a turn works with, and the few moves that many acts share."""

import msgspec

from beckon.core.clock import iso
from beckon.journeys.loyalty_offers import ledger
from beckon.journeys.loyalty_offers.books import Book
from beckon.journeys.loyalty_offers.ledger import Entry
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.room import Room, heard
from beckon.journeys.loyalty_offers.rules import Rules
from beckon.journeys.loyalty_offers.told import reached
from beckon.workspaces import Library


class Desk(msgspec.Struct, frozen=True):
    """One workspace's acts within one turn."""

    room: Room
    library: Library
    rules: Rules
    book: Book
    now_ms: int
    #: days since 1970, UTC
    day: int

    @property
    def workspace(self) -> str:
        """Whose programme it is."""
        return self.library.workspace

    def give(
        self,
        member: Member,
        points: int,
        *,
        sale: str = "",
        campaign: str = "",
        why: str = "",
        expires_ms: int = 0,
        at_once: bool = False,
    ) -> Entry:
        """Points for a member, pending as long as the programme says (``at_once``: not)."""
        rules = self.rules
        entry = ledger.earn(
            member.account,
            self.room.number(),
            points,
            self.now_ms,
            available_ms=0 if at_once or not rules.pending_ms else self.now_ms + rules.pending_ms,
            expires_ms=expires_ms or rules.points_expire(self.now_ms),
        )
        entry.sale, entry.campaign, entry.why = sale, campaign, why
        self.room.enter(member, entry)
        if rules.programme.tier_by == "points":
            self.qualify(member, points)
        self.tell_points("points.earned", member, entry)
        return entry

    def take(self, member: Member, points: int, *, why: str = "", offer: str = "") -> Entry:
        """Points that a member spends. Raises ``Refused`` where there are too few."""
        entry = ledger.spend(member.account, self.room.number(), points, self.now_ms)
        entry.why, entry.offer = why, offer
        self.room.enter(member, entry)
        self.tell_points("points.spent", member, entry)
        return entry

    def take_back(self, member: Member, of: int, points: int, *, sale: str = "", why: str = "") -> Entry:
        """Earned points that are taken back."""
        entry = ledger.take_back(member.account, self.room.number(), of, points, self.now_ms)
        entry.sale, entry.why = sale, why
        self.room.enter(member, entry)
        if self.rules.programme.tier_by == "points":
            self.qualify(member, -points)
        self.tell_points("points.reversed", member, entry)
        return entry

    def give_back(self, member: Member, spending: Entry, points: int, *, why: str = "", offer: str = "") -> Entry:
        """Spent points that are given back; those of lots that are over expire at once."""
        entry = ledger.give_back(member.account, self.room.number(), spending, points, self.now_ms)
        entry.why, entry.offer = why, offer
        self.room.enter(member, entry)
        self.tell_points("points.reversed", member, entry)
        self.expire(member)
        return entry

    def expire(self, member: Member) -> None:
        """Points whose time is over go."""
        entry = ledger.expire(member.account, self.room.memory.number + 1, self.now_ms)
        if entry is not None:
            self.room.number()
            self.room.enter(member, entry)
            self.tell_points("points.expired", member, entry)

    def tell_points(self, type_: str, member: Member, entry: Entry) -> None:
        """Say that points moved."""
        if type_ != "points.expired" and not heard(self.library, type_):
            return
        fields = {
            "member": member.id,
            "contact": reached(member),
            "points": abs(entry.amount),
            "balance": entry.balance,
            "available": max(0, ledger.available(member.account, self.now_ms)),
            "why": entry.why,
            "campaign": entry.campaign,
            "sale": entry.sale,
        }
        self.room.tell(self.library, type_, str(entry.number), fields)

    def settle_due(self, member: Member) -> None:
        """What is due next for a member's points: a reminder, their expiry, the end of the window for returns."""
        if not member.account.lots and not member.due_ms:
            return
        instants = []
        expires_ms, _ = ledger.next_expiry(member.account)
        if expires_ms:
            instants.append(expires_ms)
        remind_ms = ledger.reminder(member.account, member.reminded_ms, self.rules.remind_points_ms)
        if remind_ms:
            instants.append(max(self.now_ms, remind_ms))
        if self.rules.pending_ms and heard(self.library, "points.released"):
            instants += [lot.available_ms for lot in member.account.lots if lot.available_ms > self.now_ms]
        due_ms = self.room.due_at(member.due_ms, min(instants, default=0), "member", member.id)
        if due_ms != member.due_ms:
            member.due_ms = due_ms
            self.room.put_member(member)

    def qualify(self, member: Member, amount: int) -> None:
        """Count for the tier, and see which it is now."""
        if not self.rules.tiers:
            return
        year = str(self.rules.local(self.now_ms).year) if self.rules.programme.tier_period == "year" else "ever"
        member.qualifying[year] = max(0, member.qualifying.get(year, 0) + amount)
        while len(member.qualifying) > 3:
            del member.qualifying[min(member.qualifying)]
        self.put_tier(member, tier_for(self.rules, member, self.now_ms))

    def put_tier(self, member: Member, tier: str) -> None:
        """The member's tier from now on; where it changes, it is told."""
        before = member.tier
        if tier == before:
            return
        order = {one.tier: index for index, (_, one) in enumerate(self.rules.tiers, 1)}
        titles = {one.tier: one.title or one.tier for _, one in self.rules.tiers}
        member.tier, member.tier_since_ms = tier, self.now_ms
        self.room.put_member(member)
        up = order.get(tier, 0) > order.get(before, 0)
        fields = {
            "member": member.id,
            "contact": reached(member),
            "tier": tier,
            "title": titles.get(tier, tier),
            "before": before,
        }
        if before or tier:
            type_ = "tier.reached" if up else "tier.lost"
            self.room.tell(self.library, type_, f"{member.id}:{tier}:{self.now_ms}", fields)


def tier_for(rules: Rules, member: Member, now_ms: int) -> str:
    """The highest tier that is reached: by this year's or last year's sum, so that it holds to the next year's end."""
    if not rules.tiers:
        return member.tier
    if rules.programme.tier_period == "year":
        year = rules.local(now_ms).year
        count = max(member.qualifying.get(str(year), 0), member.qualifying.get(str(year - 1), 0))
    else:
        count = member.qualifying.get("ever", 0)
    found = ""
    for reached_at, tier in rules.tiers:
        if count >= reached_at:
            found = tier.tier
    return found


def shown_instant(at_ms: int) -> str:
    """RFC 3339; empty: never."""
    return iso(at_ms) if at_ms else ""
