"""``/v1/loyalty``: members, points, offers and campaigns in our own words; ``api_table`` says at which paths."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers import api_forms as forms
from beckon.journeys.loyalty_offers import api_shapes as shapes
from beckon.journeys.loyalty_offers import asked, profile
from beckon.journeys.loyalty_offers.asking import REQUEST_ID_MAX, Asking, mark_of
from beckon.journeys.loyalty_offers.member import Member, Profile
from beckon.journeys.loyalty_offers.money import exponent, minor
from beckon.journeys.loyalty_offers.page.passes import page_of
from beckon.journeys.loyalty_offers.reading import Reading
from beckon.journeys.loyalty_offers.sale import Item, Redeemed, SaleAsked
from beckon.journeys.loyalty_offers.sessionm_words import instant
from beckon.journeys.part import Asked, JourneyParts
from beckon.messaging.contacts import normalise_phone
from beckon.web.operations import Page

#: Members of an import in one event: some milliseconds' work.
_EVENT_MEMBERS = 8

T = TypeVar("T")


class Desk(msgspec.Struct, frozen=True):
    """One request, read and allowed."""

    parts: JourneyParts
    asking: Asking
    reading: Reading
    asked: Asked

    @property
    def workspace(self) -> str:
        """The key's."""
        return self.asked.workspace

    @property
    def region(self) -> str:
        """For phone numbers without a country."""
        library = self.parts.workspaces.get(self.workspace)
        return library.settings.region if library is not None else ""

    def path(self, name: str) -> str:
        """A part of the path."""
        return self.asked.path[name]

    def body(self, form: type[T]) -> T:
        """What was said; where nothing was, what the form says then."""
        given: T = form() if self.asked.body is None else self.asked.body
        return given

    @property
    def once(self) -> str:
        """The request's id: its ``Idempotency-Key``, or what stands for one that is too long."""
        once = self.asked.once
        return once if len(once) <= REQUEST_ID_MAX else f"key:{blake2b(once.encode(), digest_size=32).hexdigest()}"

    async def ask(self, type_: str, given: Any, *, subject: str | None = None) -> dict[str, Any]:
        """What the turn answers; the ``Idempotency-Key`` is the request's id."""
        if self.once:
            given.mark = mark_of(given)
        return await self.asking.ask(
            self.workspace, type_, given, source=self.asked.label, id=self.once, subject=subject
        )

    async def member(self) -> Member:
        """The member of the path."""
        found = await self.reading.member(self.workspace, self.path("member"))
        if found is None or found.state == "forgotten":
            raise Refused("member.unknown", "there is no such member", field="member")
        return found

    def profile(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A profile's fields, checked."""
        known = set(Profile.__struct_fields__)
        for name in fields:
            if name not in known:
                raise Refused("request.field_unknown", f"a profile has no field {name[:40]!r}", field="profile")
        now = datetime.fromtimestamp(self.parts.clock.now_ms() / 1000, UTC)
        return profile.checked(
            fields,
            region=self.region,
            today=now.date(),
            age_min=self.reading.rules(self.workspace).programme.age_min,
        )


def desk(parts: JourneyParts) -> Callable[[Asked], Desk]:
    """What the operations are handed."""
    asking, reading = Asking(parts), Reading.of(parts)
    return lambda asked: Desk(parts, asking, reading, asked)


# Members.


def _sign_up(desk: Desk, body: forms.NewMember | forms.BroughtMember) -> asked.SignUp:
    said = body.profile if isinstance(body.profile, dict) else msgspec.to_builtins(body.profile)
    fields = desk.profile(said)
    external = {
        profile.identifier(type_, "external"): profile.identifier(id_, "external")
        for type_, id_ in body.external.items()
    }
    if not fields.get("email") and not external and not fields.get("phones"):
        raise Refused("profile.empty", "a member has an email, a phone number or an external id", field="profile")
    given = asked.SignUp(
        profile=msgspec.convert(fields, Profile),
        external=external,
        tags=tuple([profile.tag(tag) for tag in body.tags]),
        consent=profile.line(body.consent, "consent", 200),
        addresses={
            profile.identifier(channel, "addresses"): profile.line(address, "addresses", 200)
            for channel, address in body.addresses.items()
        },
    )
    if isinstance(body, forms.BroughtMember):
        given.points, given.tier = body.points, body.tier
    return given


async def post_member(desk: Desk) -> Any:
    """Sign up."""
    answer = await desk.ask("loyalty.sign_up_asked", _sign_up(desk, desk.asked.body))
    return 201, shapes.member(desk.reading, await _known(desk, answer["member"]))


async def post_members(desk: Desk) -> Any:
    """Sign up many at once: each on its own."""
    body: forms.BroughtMembers = desk.asked.body
    good: list[asked.SignUp] = []
    answers: list[dict[str, Any] | None] = []
    for one in body.members:
        try:
            good.append(_sign_up(desk, one))
            answers.append(None)
        except Refused as error:
            answers.append({"error": {"code": error.code, "why": error.why, "field": error.field}})
    made = iter(await _asked_in_pieces(desk, good))
    every = [next(made) if one is None else one for one in answers]
    return msgspec.convert({"members": every}, shapes.MembersTaken)


async def _asked_in_pieces(desk: Desk, members: Sequence[asked.SignUp]) -> list[dict[str, Any]]:
    """What the turns answer for each: an import is big work, so others go between two pieces.

    Which members one event has is always the same, whatever the size of the pieces: a request that comes again finds
    the answers of its first time.
    """
    answers: list[dict[str, Any]] = []
    mark = mark_of(asked.ManySignUps(members=tuple(members))) if desk.once else ""
    while len(answers) < len(members):
        async with desk.parts.piece("loyalty.members") as size:
            starts = range(len(answers), min(len(members), len(answers) + max(size, _EVENT_MEMBERS)), _EVENT_MEMBERS)
            said = await asyncio.gather(
                *[
                    desk.asking.ask(
                        desk.workspace,
                        "loyalty.members_asked",
                        asked.ManySignUps(members=tuple(members[start : start + _EVENT_MEMBERS]), mark=mark),
                        source=desk.asked.label,
                        id=desk.once,
                        part=start,
                        big=True,
                    )
                    for start in starts
                ]
            )
        answers += [one for answer in said for one in answer["members"]]
    return answers


async def find_member(desk: Desk) -> Any:
    """Find by mailbox, number, contact or another system's id."""
    said: forms.MemberQuery = desk.asked.query
    found = None
    if said.email:
        found = await desk.reading.find(desk.workspace, "email", said.email)
    elif said.phone:
        # A plus in a query is a blank to whoever does not write %2B.
        number = f"+{said.phone[1:]}" if said.phone.startswith(" ") else said.phone
        found = await desk.reading.find(desk.workspace, "phone", normalise_phone(number, desk.region))
    elif said.contact:
        found = await desk.reading.find(desk.workspace, "contact", said.contact)
    elif said.external_id and said.external_type:
        found = await desk.reading.find(desk.workspace, f"external:{said.external_type}", said.external_id)
    elif said.external_id:
        id_ = await desk.reading.find_external(desk.workspace, said.external_id)
        found = await desk.reading.member(desk.workspace, id_)
    else:
        raise Refused("request.field_missing", "say email, phone, contact or external_id", field="email")
    if found is None:
        raise Refused("member.unknown", "there is no such member")
    return shapes.member(desk.reading, found)


async def get_member(desk: Desk) -> Any:
    """One member."""
    return shapes.member(desk.reading, await desk.member())


async def patch_member(desk: Desk) -> Any:
    """Change what is said."""
    body: forms.MemberChanges = desk.asked.body
    member = await desk.member()
    given = asked.Change(
        member=member.id,
        fields=desk.profile(msgspec.to_builtins(body.profile)),
        externals={
            profile.identifier(type_, "external"): profile.line(id_, "external", 200)
            for type_, id_ in body.external.items()
        },
        state=body.state,
        consent=profile.line(body.consent, "consent", 200),
    )
    await desk.ask("loyalty.change_asked", given)
    return shapes.member(desk.reading, await _known(desk, member.id))


async def delete_member(desk: Desk) -> Any:
    """Forget, for good."""
    member = await desk.member()
    answer = await desk.ask("loyalty.forget_asked", asked.Forget(member=member.id), subject=member.contact or None)
    return msgspec.convert(answer, shapes.MemberForgotten)


async def post_page(desk: Desk) -> Any:
    """A signed address of the member's own page, for an app to open: short-lived, for whoever has it."""
    member = await desk.member()
    until_ms = desk.parts.clock.now_ms() + desk.body(forms.PageAsked).minutes * 60_000
    return msgspec.convert(page_of(desk.parts, desk.workspace, member.id, until_ms), shapes.MemberLink)


async def post_tags(desk: Desk) -> Any:
    """Add and remove tags."""
    body: forms.TagChanges = desk.asked.body
    given = asked.Tag(
        member=desk.path("member"),
        add=tuple([profile.tag(tag) for tag in body.add]),
        remove=tuple(body.remove),
        ttl_ms=body.ttl_s * 1000,
    )
    return msgspec.convert(await desk.ask("loyalty.tags_asked", given), shapes.MemberTags)


async def _known(desk: Desk, id_: str) -> Member:
    found = await desk.reading.member(desk.workspace, id_)
    if found is None:
        raise Refused("member.unknown", "there is no such member", field="member")
    return found


# Points, wallet, store.


async def get_wallet(desk: Desk) -> Any:
    """The wallet, and the balance."""
    member = await desk.member()
    return shapes.WalletShown(
        items=[shapes.held(one) for one in await desk.reading.wallet(member)],
        balance=shapes.balance(desk.reading.balance(member)),
    )


async def get_past(desk: Desk) -> Any:
    """Offers that were used, expired or taken back."""
    return Page([shapes.held(one) for one in await desk.reading.past(await desk.member(), desk.asked.query.limit)])


async def get_points(desk: Desk) -> Any:
    """The ledger, the newest first."""
    member, said = await desk.member(), desk.asked.query
    entries = await desk.reading.ledger(member, said.limit, said.before)
    more = entries[-1].number if len(entries) == said.limit and entries[-1].previous else None
    return shapes.PointsShown(
        items=[shapes.entry(one) for one in entries],
        before=more,
        balance=shapes.balance(desk.reading.balance(member)),
    )


async def post_points(desk: Desk) -> Any:
    """A deposit, or (below 0) spending."""
    body: forms.PointsMove = desk.asked.body
    given = asked.Points(
        member=desk.path("member"),
        points=body.points,
        why=profile.line(body.why, "why", 200),
        expires_ms=instant(body.expires, "expires"),
    )
    return msgspec.convert(await desk.ask("loyalty.points_asked", given), shapes.PointsMoved)


async def get_store(desk: Desk) -> Any:
    """The rewards store."""
    return Page([shapes.sold(one) for one in await desk.reading.store(await desk.member())])


async def post_store(desk: Desk) -> Any:
    """Buy from the rewards store."""
    quantity = desk.body(forms.Quantity).quantity
    given = asked.Buy(member=desk.path("member"), definition=desk.path("name"), quantity=quantity)
    answer = await desk.ask("loyalty.buy_asked", given)
    answer["offers"] = [_moved(one) for one in answer["offers"]]
    return msgspec.convert(_moved(answer), shapes.OffersBought)


async def post_offer(desk: Desk) -> Any:
    """Issue an offer."""
    body: forms.OfferToIssue = desk.asked.body
    given = asked.Issue(
        member=desk.path("member"),
        definition=body.offer,
        why=profile.line(body.why, "why", 200),
        expires_ms=instant(body.expires, "expires"),
    )
    return msgspec.convert(_moved(await desk.ask("loyalty.issue_asked", given)), shapes.OfferMoved)


def _moved(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "expires": answer["expires"] or None}


async def get_offer(desk: Desk) -> Any:
    """One offer."""
    offer = await desk.reading.offer(desk.workspace, desk.path("offer"))
    if offer is None:
        raise Refused("offer.unknown", "there is no such offer", field="offer")
    member = await desk.reading.member(desk.workspace, offer.member)
    return shapes.held(desk.reading.held(member or Member(id=offer.member, workspace=desk.workspace), offer))


async def act_on_offer(desk: Desk) -> Any:
    """Lock, unlock, redeem, reinstate, revoke."""
    body = desk.body(forms.OfferAct)
    given = asked.Act(
        offer=desk.path("offer"),
        act=desk.path("act"),
        member=body.member,
        by=profile.line(body.by, "by", 200),
        why=profile.line(body.why, "why", 200),
    )
    return msgspec.convert(_moved(await desk.ask("loyalty.offer_asked", given)), shapes.OfferMoved)


# Codes, sales, campaigns.


async def post_code(desk: Desk) -> Any:
    """Say a promo code."""
    given = asked.Code(member=desk.path("member"), code=profile.line(desk.asked.body.code, "code", 100))
    return msgspec.convert(await desk.ask("loyalty.code_asked", given), shapes.CodeTaken)


async def post_codes(desk: Desk) -> Any:
    """Add single-use codes to a list."""
    body: forms.PromoCodes = desk.asked.body
    given = asked.MakeCodes(list=profile.line(body.list, "list", 100), codes=body.codes)
    return msgspec.convert(await desk.ask("loyalty.codes_asked", given), shapes.CodesMade)


async def put_sale(desk: Desk) -> Any:
    """Record a sale, or what became of it."""
    body: forms.SaleSaid = desk.asked.body
    rules = desk.reading.rules(desk.workspace)
    decimals = exponent(body.currency) if body.currency else rules.decimals
    items = tuple([_item(one, index, decimals) for index, one in enumerate(body.items)])
    if len({one.line for one in items}) != len(items):
        raise Refused("sale.line_twice", "two items have the same line", field="items")
    given = SaleAsked(
        sale=desk.path("sale"),
        member=body.member,
        external=body.external,
        store=profile.line(body.store, "store", 200),
        channel=profile.line(body.channel, "channel", 200),
        currency=body.currency,
        closed=body.closed,
        voided=body.voided,
        at_ms=instant(body.opened, "opened"),
        modified_ms=instant(body.modified, "modified"),
        subtotal=sum([one.subtotal for one in items])
        if body.amount is None
        else _amount(body.amount, decimals, "amount"),
        items=items,
        redeemed=tuple(
            [
                Redeemed(one.offer, None if one.amount is None else _amount(one.amount, decimals, "offers"))
                for one in body.offers
            ]
        ),
    )
    if not given.modified_ms:
        raise Refused("request.instant", "say when the sale was changed last", field="modified")
    return msgspec.convert(await desk.ask("loyalty.transaction_asked", given), shapes.SaleDone)


def _item(one: forms.SaleItem, index: int, decimals: int) -> Item:
    quantity = round(one.quantity * 1000)
    price = _amount(one.price, decimals, "items")
    subtotal = price * quantity // 1000 if one.amount is None else _amount(one.amount, decimals, "items")
    line, item = profile.line(one.line, "items", 200), profile.line(one.item, "items", 200)
    return Item(line or str(index + 1), item, quantity, price, subtotal, tuple(one.categories))


def _amount(value: int | float | str, decimals: int, field: str) -> int:
    amount = minor(value, decimals, field)
    if amount < 0:
        raise Refused("sale.negative", f"{field} is not negative", field=field)
    return amount


async def get_sale(desk: Desk) -> Any:
    """A sale, with what it gave and what was skipped."""
    sale = await desk.reading.sale(desk.workspace, desk.path("sale"))
    if sale is None:
        raise Refused("sale.unknown", "there is no such sale", field="sale")
    return shapes.sale(sale)


async def get_campaigns_of(desk: Desk) -> Any:
    """Campaigns as a member sees them."""
    return Page([shapes.campaign_of(one) for one in await desk.reading.campaigns_for(await desk.member())])


async def put_opt_in(desk: Desk) -> Any:
    """Say yes to a campaign."""
    return await _opt_in(desk, yes=True)


async def delete_opt_in(desk: Desk) -> Any:
    """Take it back."""
    return await _opt_in(desk, yes=False)


async def _opt_in(desk: Desk, *, yes: bool) -> Any:
    given = asked.OptIn(member=desk.path("member"), campaign=desk.path("name"), yes=yes)
    return msgspec.convert(await desk.ask("loyalty.opt_in_asked", given), shapes.OptedIn)


async def get_campaigns(desk: Desk) -> Any:
    """Every campaign with its sums."""
    return Page([shapes.figures(one) for one in await desk.reading.figures(desk.workspace, 1)])


async def get_campaign(desk: Desk) -> Any:
    """One campaign, day by day."""
    for one in await desk.reading.figures(desk.workspace):
        if one.name == desk.path("name"):
            return shapes.figures(one, days=True)
    raise Refused("campaign.unknown", "there is no such campaign", field="campaign")


async def get_rounds(desk: Desk) -> Any:
    """A campaign's ways through all members."""
    return Page([shapes.round_of(one) for one in await desk.reading.rounds(desk.workspace, desk.path("name"))])


async def post_round(desk: Desk) -> Any:
    """Have a campaign go through all members."""
    answer = await desk.ask("loyalty.round_asked", asked.Round(campaign=desk.path("name")))
    return msgspec.convert(answer, shapes.RoundMoved)


async def delete_round(desk: Desk) -> Any:
    """Stop it."""
    answer = await desk.ask("loyalty.round_asked", asked.Round(campaign=desk.path("name"), stop=True))
    return msgspec.convert(answer, shapes.RoundMoved)
