"""Reading: what pages, panels and doors show of members, wallets, the store and campaigns. Nothing here changes."""

from typing import Any

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers import earning, ledger, rounds
from beckon.journeys.loyalty_offers.books import ALL_DAYS, figures
from beckon.journeys.loyalty_offers.definitions import OfferDefinition
from beckon.journeys.loyalty_offers.desk import tier_for
from beckon.journeys.loyalty_offers.earning import REASONS, Totals
from beckon.journeys.loyalty_offers.ledger import Entry
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.offer import OPEN, Offer
from beckon.journeys.loyalty_offers.rounds import Round, round_from
from beckon.journeys.loyalty_offers.rules import NEVER_MS, Rules, rules_from
from beckon.journeys.loyalty_offers.sale import Sale
from beckon.journeys.loyalty_offers.told import text_in
from beckon.journeys.part import JourneyParts
from beckon.store.database import Database, within
from beckon.workspaces import Workspaces

#: Days of a campaign's chart.
DAYS_MAX = 366
LIST_MAX = 1_000
#: Kinds of keys (email, phone, external:crm …) that a search goes through.
KINDS_MAX = 40
#: The type of another system's id where none was said.
EXTERNAL_ID = "external:external_id"
#: Whom a word means, whatever kind of key it is: a step of the index for each kind that there is.
_OF_ANY_TYPE = f"""
WITH RECURSIVE kinds (kind, number) AS (
 SELECT min(kind), 1 FROM member_keys WHERE workspace = ?
 UNION ALL
 SELECT (SELECT min(k.kind) FROM member_keys k WHERE k.workspace = ? AND k.kind > kinds.kind), number + 1
 FROM kinds WHERE kinds.kind IS NOT NULL AND number < {KINDS_MAX})
SELECT k.kind, k.member FROM kinds JOIN member_keys k ON k.workspace = ? AND k.kind = kinds.kind AND k.word = ?
"""
_member = msgspec.json.Decoder(Member).decode
_offer = msgspec.json.Decoder(Offer).decode
_sale = msgspec.json.Decoder(Sale).decode
_entry = msgspec.json.Decoder(Entry).decode


class Held(msgspec.Struct, frozen=True):
    """An offer in a wallet, with its texts in the member's language."""

    offer: Offer
    title: str
    blurb: str
    #: None: its definition is not there any more.
    definition: OfferDefinition | None


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """An offer of the rewards store, as one member sees it."""

    definition: OfferDefinition
    title: str
    blurb: str
    price: int
    #: until when it is sold; 0: for ever.
    ends_ms: int
    affordable: bool
    #: a code of ``earning.REASONS``, or ``points`` or ``store_tier``; empty: it can be bought.
    code: str
    why_not: str


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What stands to a member's credit."""

    balance: int
    available: int
    pending: int
    owed: int
    #: what expires next, and when; 0: nothing does.
    expiring_points: int
    expiring_ms: int
    tier: str
    tier_title: str
    #: the tier above, and what is missing for it, in minor units or points; empty: there is none.
    next_tier: str
    to_next: int
    tier_by: str
    currency: str
    decimals: int


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as one member sees it."""

    name: str
    title: str
    blurb: str
    shown: str
    starts_ms: int
    ends_ms: int
    #: whether it would be met by a purchase that fits; else the code and the sentence of why not.
    may: bool
    code: str
    why: str
    opted_in: bool
    needs_opt_in: bool
    payload: dict[str, Any]
    image: str


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a campaign."""

    name: str
    title: str
    #: not_started, running, paused, ended, removed
    state: str
    reached: int
    issued: int
    redeemed: int
    points: int
    #: in minor units
    cost: int
    budget: int
    currency: str
    decimals: int
    skipped: dict[str, int]
    #: (days since 1970, reached, issued, redeemed, points, cost), the oldest first
    days: tuple[tuple[int, int, int, int, int, int], ...]


class Reading:
    """Reads loyalty's rows."""

    def __init__(self, reader: Database, workspaces: Workspaces, clock: Clock) -> None:
        self._reader = reader
        self._workspaces = workspaces
        self._clock = clock
        self._rules: dict[str, tuple[int, str, Rules]] = {}

    @classmethod
    def of(cls, parts: JourneyParts) -> "Reading":
        """From what a journey is handed."""
        return cls(parts.reader, parts.workspaces, parts.clock)

    def rules(self, workspace: str) -> Rules:
        """A workspace's definitions, ready."""
        library = self._workspaces.get(workspace)
        if library is None:
            return rules_from({}, "")
        zone = library.settings.time_zone
        known = self._rules.get(workspace)
        if known is None or known[:2] != (library.taken, zone):
            known = (library.taken, zone, rules_from(library.defined, zone))
            self._rules[workspace] = known
        return known[2]

    async def member(self, workspace: str, id: str) -> Member | None:
        """A member by id; None: nobody, or somebody of another workspace."""
        rows = await self._reader.fetch("SELECT body FROM members WHERE id = ? AND workspace = ?", (id, workspace))
        return _member(str(rows[0][0])) if rows else None

    async def find(self, workspace: str, kind: str, word: str) -> Member | None:
        """A member by a key: ``email``, ``phone``, ``contact``, ``external:<type>``."""
        rows = await self._reader.fetch(
            "SELECT m.body FROM member_keys k JOIN members m ON m.id = k.member"
            " WHERE k.workspace = ? AND k.kind = ? AND k.word = ?",
            (workspace, kind, word.casefold() if kind == "email" else word),
        )
        return _member(str(rows[0][0])) if rows else None

    async def find_external(self, workspace: str, id: str) -> str:
        """Whom another system's id means where its type is not said: a member's id; empty: nobody.

        Of several, the one who has it as the type ``external_id``. Raises ``Refused`` where that says nothing either.
        """
        rows = await self._reader.fetch(_OF_ANY_TYPE, (workspace, workspace, workspace, id))
        found = {str(kind): str(member) for kind, member in rows if str(kind).startswith("external:")}
        if EXTERNAL_ID in found:
            return found[EXTERNAL_ID]
        if len(set(found.values())) > 1:
            types = ", ".join([kind.partition(":")[2] for kind in sorted(found)])
            raise Refused(
                "member.ambiguous", f"several members have this id, as {types}: say its type", field="external_id"
            )
        return next(iter(found.values()), "")

    async def offer(self, workspace: str, id: str) -> Offer | None:
        """An offer that was issued."""
        rows = await self._reader.fetch("SELECT body FROM offers WHERE id = ? AND workspace = ?", (id, workspace))
        return _offer(str(rows[0][0])) if rows else None

    async def wallet(self, member: Member) -> list[Held]:
        """The offers that are issued or locked and have not expired, the one that expires first first."""
        if not member.offers:
            return []
        now = self._clock.now_ms()
        found = await self._reader.fetch_all(within("SELECT body FROM offers WHERE id IN ({keys})", member.offers))
        offers = {offer.id: offer for rows in found for offer in [_offer(str(row[0])) for row in rows]}
        held = [
            self.held(member, offer)
            for offer in offers.values()
            if offer.state in OPEN and (not offer.expires_ms or offer.expires_ms > now)
        ]
        return sorted(held, key=lambda one: (one.offer.expires_ms or NEVER_MS, one.offer.issued_ms, one.offer.id))

    async def past(self, member: Member, limit: int = 50) -> list[Held]:
        """The offers that are redeemed, expired or revoked, the newest first."""
        rows = await self._reader.fetch(
            "SELECT body FROM offers WHERE member = ? ORDER BY id DESC LIMIT ?", (member.id, min(limit, LIST_MAX))
        )
        offers = [_offer(str(row[0])) for row in rows]
        return [self.held(member, offer) for offer in offers if offer.state not in OPEN]

    def held(self, member: Member, offer: Offer) -> Held:
        """An offer with its texts."""
        rule = self.rules(member.workspace).offers.get(offer.definition)
        if rule is None:
            return Held(offer, offer.definition, "", None)
        definition, locale = rule.definition, member.profile.locale
        return Held(
            offer,
            text_in(definition.titles, locale, definition.title),
            text_in(definition.blurbs, locale, definition.blurb),
            definition,
        )

    async def store(self, member: Member) -> list[Sold]:
        """What the rewards store sells, the cheapest first; what can't be bought says why."""
        rules, now = self.rules(member.workspace), self._clock.now_ms()
        rows = await self._reader.fetch(
            "SELECT definition, issued FROM offer_counts WHERE workspace = ?", (member.workspace,)
        )
        issued = {str(definition): int(count or 0) for definition, count in rows}
        have = ledger.available(member.account, now)
        sold = []
        for name, rule in rules.offers.items():
            definition = rule.definition
            if definition.price is None or now < rule.starts_ms or now >= rule.ends_ms:
                continue
            code = ""
            if definition.tiers and member.tier not in definition.tiers:
                code = "store_tier"
            elif definition.stock is not None and issued.get(name, 0) >= definition.stock:
                code = "stock"
            elif definition.member_max is not None and member.had.get(name, 0) >= definition.member_max:
                code = "offer_member"
            elif have < definition.price:
                code = "points"
            sold.append(
                Sold(
                    definition=definition,
                    title=text_in(definition.titles, member.profile.locale, definition.title),
                    blurb=text_in(definition.blurbs, member.profile.locale, definition.blurb),
                    price=definition.price,
                    ends_ms=rule.ends_ms if rule.ends_ms < NEVER_MS else 0,
                    affordable=have >= definition.price,
                    code=code,
                    why_not=_STORE_REASONS.get(code) or REASONS.get(code, ""),
                )
            )
        return sorted(sold, key=lambda one: (one.price, one.definition.offer))

    def balance(self, member: Member) -> Balance:
        """What stands to a member's credit now."""
        rules, now = self.rules(member.workspace), self._clock.now_ms()
        account = member.account
        expiring_ms, expiring = ledger.next_expiry(account)
        tier = tier_for(rules, member, now)
        titles = {one.tier: one.title or one.tier for _, one in rules.tiers}
        period = str(rules.local(now).year) if rules.programme.tier_period == "year" else "ever"
        reached = member.qualifying.get(period, 0)
        above = next(((at, one) for at, one in rules.tiers if at > reached and _higher(rules, one.tier, tier)), None)
        return Balance(
            balance=account.balance,
            available=max(0, ledger.available(account, now)),
            pending=ledger.pending(account, now),
            owed=account.owed,
            expiring_points=expiring,
            expiring_ms=expiring_ms,
            tier=tier,
            tier_title=titles.get(tier, tier),
            next_tier=above[1].title or above[1].tier if above else "",
            to_next=above[0] - reached if above else 0,
            tier_by=rules.programme.tier_by,
            currency=rules.currency,
            decimals=rules.decimals,
        )

    async def ledger(self, member: Member, limit: int = 50, before: int = 0) -> list[Entry]:
        """The member's entries, the newest first; ``before``: those before this number."""
        start = before or member.account.last
        rows = await self._reader.fetch(
            "WITH RECURSIVE chain (number, previous, body, steps) AS ("
            " SELECT number, previous, body, 1 FROM points WHERE number = ? AND member = ?"
            " UNION ALL"
            " SELECT p.number, p.previous, p.body, c.steps + 1 FROM chain c JOIN points p ON p.number = c.previous"
            " WHERE c.steps < ?)"
            " SELECT body FROM chain ORDER BY steps",
            (start, member.id, min(limit, LIST_MAX) + bool(before)),
        )
        return [_entry(str(row[0])) for row in rows][1 if before else 0 :]

    async def sale(self, workspace: str, sale: str) -> Sale | None:
        """A transaction as it stands, with what it gave and what was skipped."""
        rows = await self._reader.fetch("SELECT body FROM sales WHERE workspace = ? AND sale = ?", (workspace, sale))
        return _sale(str(rows[0][0])) if rows else None

    async def campaigns_for(self, member: Member) -> list[Open]:
        """The campaigns that are under way or about to be, as this member sees them; hidden ones are left out."""
        rules, now = self.rules(member.workspace), self._clock.now_ms()
        totals = await self._totals(member.workspace)
        facts = earning.facts_at(rules, now)
        found = []
        for name, rule in rules.campaigns.items():
            campaign = rule.campaign
            if campaign.shown == "hidden" or now >= rule.ends_ms:
                continue
            bare = msgspec.structs.replace(
                rule,
                campaign=msgspec.structs.replace(campaign, on="round", opt_in=False),
                timed=False,
            )
            code = earning.why_not(bare, facts, member, totals.get(name, Totals()))
            if not code and earning.over_budget(rule, totals.get(name, Totals()), 0):
                code = "budget"
            found.append(
                Open(
                    name=name,
                    title=text_in(campaign.titles, member.profile.locale, campaign.title),
                    blurb=text_in(campaign.blurbs, member.profile.locale, campaign.blurb),
                    shown=campaign.shown,
                    starts_ms=rule.starts_ms,
                    ends_ms=rule.ends_ms if rule.ends_ms < NEVER_MS else 0,
                    may=not code,
                    code=code,
                    why=REASONS.get(code, ""),
                    opted_in=name in member.opted,
                    needs_opt_in=campaign.opt_in,
                    payload=campaign.payload,
                    image=campaign.image,
                )
            )
        return found

    async def figures(self, workspace: str, days: int = 90) -> list[Figures]:
        """What came of every campaign, by name; ``days``: of the newest days only."""
        rules, now = self.rules(workspace), self._clock.now_ms()
        since = now // 86_400_000 - min(days, DAYS_MAX) + 1
        columns = "day, campaign, reached, issued, redeemed, points, cost, skipped"
        rows = await self._reader.fetch(
            f"SELECT {columns} FROM campaign_days WHERE workspace = ? AND (day = ? OR day >= ?) ORDER BY day, campaign",
            (workspace, ALL_DAYS, since),
        )
        sums = {str(row[1]): figures(row[2:]) for row in rows if row[0] == ALL_DAYS}
        by_day: dict[str, list[tuple[int, int, int, int, int, int]]] = {}
        for row in rows:
            if row[0] != ALL_DAYS:
                numbers = [int(one or 0) for one in (row[0], *row[2:7])]
                by_day.setdefault(str(row[1]), []).append(tuple(numbers))  # type: ignore[arg-type]
        found = []
        for name in sorted({*rules.campaigns, *sums}):
            rule = rules.campaigns.get(name)
            total = sums.get(name) or figures((0, 0, 0, 0, 0, "{}"))
            found.append(
                Figures(
                    name=name,
                    title=rule.campaign.title if rule is not None else name,
                    state=_state(rule, now),
                    reached=total.reached,
                    issued=total.issued,
                    redeemed=total.redeemed,
                    points=total.points,
                    cost=total.cost,
                    budget=rule.budget if rule is not None else 0,
                    currency=rules.currency,
                    decimals=rules.decimals,
                    skipped=total.skipped,
                    days=tuple(by_day.get(name, ())),
                )
            )
        return found

    async def rounds(self, workspace: str, campaign: str, limit: int = 20) -> list[Round]:
        """A campaign's ways through all members, the newest first."""
        rows = await self._reader.fetch(
            f"SELECT {rounds.COLUMNS} FROM campaign_rounds WHERE workspace = ? AND campaign = ?"
            " ORDER BY id DESC LIMIT ?",
            (workspace, campaign, min(limit, LIST_MAX)),
        )
        return [round_from(row) for row in rows]

    async def _totals(self, workspace: str) -> dict[str, Totals]:
        rows = await self._reader.fetch(
            "SELECT campaign, reached, cost FROM campaign_days WHERE workspace = ? AND day = ?", (workspace, ALL_DAYS)
        )
        return {str(campaign): Totals(int(reached or 0), int(cost or 0)) for campaign, reached, cost in rows}


async def key_kinds(reader: Database, workspace: str) -> list[str]:
    """The kinds of keys that there are (email, phone, external:crm …): a step of the index for each."""
    kinds: list[str] = []
    while len(kinds) < KINDS_MAX:
        rows = await reader.fetch(
            "SELECT kind FROM member_keys WHERE workspace = ? AND kind > ? ORDER BY kind LIMIT 1",
            (workspace, kinds[-1] if kinds else ""),
        )
        if not rows:
            break
        kinds.append(str(rows[0][0]))
    return kinds


_STORE_REASONS = {
    "points": "there are too few points for it",
    "store_tier": "it is for members of another tier",
}


def _higher(rules: Rules, tier: str, than: str) -> bool:
    order = [one.tier for _, one in rules.tiers]
    return order.index(tier) > (order.index(than) if than in order else -1)


def _state(rule: Any, now_ms: int) -> str:
    if rule is None:
        return "removed"
    if rule.campaign.paused:
        return "paused"
    if now_ms < rule.starts_ms:
        return "not_started"
    return "ended" if now_ms >= rule.ends_ms else "running"
