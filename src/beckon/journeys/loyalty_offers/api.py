"""``/v1/loyalty``: members, points, offers and campaigns in our own words, with problem details where it goes wrong."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from beckon.core.errors import BeckonError, Refused
from beckon.journeys.loyalty_offers import api_shapes as shapes
from beckon.journeys.loyalty_offers import asked, profile
from beckon.journeys.loyalty_offers.asking import Asking, mark_of
from beckon.journeys.loyalty_offers.member import Member, Profile
from beckon.journeys.loyalty_offers.money import exponent, minor
from beckon.journeys.loyalty_offers.page.passes import APP_MAX_MS, APP_MS, page_of
from beckon.journeys.loyalty_offers.reading import LIST_MAX, Reading
from beckon.journeys.loyalty_offers.sale import ITEMS_MAX, Item, Redeemed, SaleAsked
from beckon.journeys.loyalty_offers.sessionm_words import instant
from beckon.journeys.part import JourneyParts
from beckon.web.bodies import read_body
from beckon.web.problems import on_fault, problem

log = logging.getLogger("beckon.loyalty")

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_encode = msgspec.json.Encoder().encode
_ROOT = "/v1/loyalty"
#: Members of an import in one event: some milliseconds' work.
_EVENT_MEMBERS = 8
_ACTS = "lock|unlock|redeem|reinstate|revoke"

Text = Annotated[str, Meta(max_length=200)]
T = TypeVar("T")


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    """What is said beyond the known is a mistake."""


class _NewMember(_Strict):
    profile: dict[str, Any] = {}
    external: dict[str, Text] = {}
    tags: Annotated[list[Text], Meta(max_length=50)] = []
    #: what the customer agreed to, in their words: the proof.
    consent: Text = ""
    addresses: dict[str, Text] = {}


class _Brought(_NewMember):
    """Who comes from another programme, with what they had there."""

    points: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    tier: Text = ""


class _Members(_Strict):
    members: Annotated[list[_Brought], Meta(min_length=1, max_length=asked.MEMBERS_MAX)]


class _Changes(_Strict):
    profile: dict[str, Any] = {}
    external: dict[str, Text] = {}
    state: Text = ""
    consent: Text = ""


class _Points(_Strict):
    points: int
    why: Text = ""
    expires: Text = ""


class _Offer(_Strict):
    offer: Text
    why: Text = ""
    expires: Text = ""


class _Bought(_Strict):
    quantity: int = 1


class _Done(_Strict):
    by: Text = ""
    why: Text = ""
    member: Text = ""


class _Code(_Strict):
    code: Annotated[str, Meta(max_length=100)]


class _Codes(_Strict):
    list: Text
    codes: Annotated[tuple[str, ...], Meta(min_length=1, max_length=asked.CODES_MAX)]


class _Tags(_Strict):
    add: Annotated[list[Text], Meta(max_length=100)] = []
    remove: Annotated[list[Text], Meta(max_length=100)] = []
    ttl_s: Annotated[int, Meta(ge=0, le=315_360_000)] = 0


class _Item(_Strict):
    item: Text
    price: int | float | str
    quantity: int | float = 1
    amount: int | float | str | None = None
    line: Text = ""
    categories: Annotated[list[Text], Meta(max_length=20)] = []


class _Used(_Strict):
    offer: Text
    amount: int | float | str | None = None


class _Sale(_Strict):
    modified: Text
    member: Text = ""
    external: tuple[Text, Text] | None = None
    items: Annotated[list[_Item], Meta(max_length=ITEMS_MAX)] = []
    amount: int | float | str | None = None
    currency: Text = ""
    closed: bool = True
    voided: bool = False
    opened: Text = ""
    store: Text = ""
    channel: Text = ""
    offers: Annotated[list[_Used], Meta(max_length=50)] = []


class _Nothing(_Strict):
    """Nothing to say."""


class _PageAsked(_Strict):
    minutes: Annotated[int, Meta(ge=1, le=APP_MAX_MS // 60_000)] = APP_MS // 60_000


class Desk(msgspec.Struct, frozen=True):
    """One request, allowed."""

    api: "LoyaltyApi"
    request: Request
    workspace: str
    label: str
    body: bytes

    def read(self, shape: type[T]) -> T:
        """The body. Raises ``Refused`` naming the field."""
        if b"\\u0000" in self.body:
            raise Refused("request.characters", "a text has a NUL character in it")
        try:
            return msgspec.json.decode(self.body or b"{}", type=shape)
        except msgspec.ValidationError as error:
            why, _, path = str(error).partition(" - at `$")
            raise Refused("request.fields", why[:200], field=path.rstrip("`").lstrip(".") or None) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused("request.json", "the body is no JSON") from error

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])[:200]

    def query(self, name: str) -> str:
        """A parameter."""
        return self.request.query_params.get(name, "")[:300]

    def limit(self) -> int:
        """How many are wanted."""
        text = self.query("limit") or "50"
        if not text.isdigit() or not 1 <= int(text) <= LIST_MAX:
            raise Refused("request.page", f"limit is 1 to {LIST_MAX}", field="limit")
        return int(text)

    @property
    def once(self) -> str:
        """The request's id: its ``Idempotency-Key``."""
        return self.request.headers.get("idempotency-key", "")

    async def ask(self, type_: str, given: Any, *, subject: str | None = None) -> dict[str, Any]:
        """What the turn answers; the ``Idempotency-Key`` is the request's id."""
        once = self.once
        if once:
            given.mark = mark_of(given)
        answer = await self.api.asking.ask(self.workspace, type_, given, source=self.label, id=once, subject=subject)
        return {name: value for name, value in answer.items() if name != "mark"}

    async def member(self) -> Member:
        """The member of the path."""
        found = await self.api.reading.member(self.workspace, self.path("member"))
        if found is None or found.state == "forgotten":
            raise Refused("member.unknown", "there is no such member", field="member")
        return found

    def profile(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A profile's fields, checked."""
        known = set(Profile.__struct_fields__)
        for name in fields:
            if name not in known:
                raise Refused("request.fields", f"a profile has no field {name[:40]!r}", field=f"profile.{name[:40]}")
        library = self.api.parts.workspaces.get(self.workspace)
        now = datetime.fromtimestamp(self.api.parts.clock.now_ms() / 1000, UTC)
        return profile.checked(
            fields,
            region=library.settings.region if library is not None else "",
            today=now.date(),
            age_min=self.api.reading.rules(self.workspace).programme.age_min,
        )


View = Callable[[Desk], Awaitable[Any]]


class LoyaltyApi:
    """What the API's views share."""

    def __init__(self, parts: JourneyParts) -> None:
        self.parts = parts
        self.asking = Asking(parts)
        self.reading = Reading.of(parts)

    def endpoint(self, view: View, scope: str) -> Callable[[Request], Awaitable[Response]]:
        """A view as a route's endpoint."""

        async def answer(request: Request) -> Response:
            try:
                given = request.headers.get("authorization", "")
                if not given and "x-api-key" in request.headers:
                    given = f"Bearer {request.headers['x-api-key']}"
                allowed = await self.parts.allow(given, scope)
                body = (
                    b"" if request.method == "GET" else await read_body(request.receive, self.parts.body_size_bytes_max)
                )
                said = await view(Desk(self, request, allowed.workspace, allowed.label, body))
                status, said = said if isinstance(said, tuple) else (200, said)
                return Response(_encode(said), status, media_type="application/json", headers=_HEADERS)
            except BeckonError as error:
                return problem(error)
            except Exception as error:
                log.exception("%s failed", request.url.path[:200])
                return await on_fault(request, error)

        return answer


# Members.


def _brought(desk: Desk, body: _Brought) -> asked.SignUp:
    given = _sign_up(desk, body)
    given.points, given.tier = body.points, body.tier
    return given


def _sign_up(desk: Desk, body: _NewMember) -> asked.SignUp:
    fields = desk.profile(body.profile)
    external = {
        profile.identifier(type_, "external"): profile.identifier(id_, "external")
        for type_, id_ in body.external.items()
    }
    if not fields.get("email") and not external and not fields.get("phones"):
        raise Refused("profile.empty", "a member has an email, a phone number or an external id", field="profile")
    return asked.SignUp(
        profile=msgspec.convert(fields, Profile),
        external=external,
        tags=tuple([profile.tag(tag) for tag in body.tags]),
        consent=body.consent,
        addresses=body.addresses,
    )


async def post_member(desk: Desk) -> Any:
    """Sign up."""
    answer = await desk.ask("loyalty.sign_up_asked", _sign_up(desk, desk.read(_NewMember)))
    return 201, shapes.member(desk.api.reading, await _known(desk, answer["member"]))


async def post_members(desk: Desk) -> Any:
    """Sign up many at once: each on its own."""
    body = desk.read(_Members)
    good: list[asked.SignUp] = []
    answers: list[dict[str, Any] | None] = []
    for one in body.members:
        try:
            good.append(_brought(desk, one))
            answers.append(None)
        except Refused as error:
            answers.append({"error": {"code": error.code, "why": error.why, "field": error.field}})
    made = iter(await _asked_in_pieces(desk, good))
    return {"members": [next(made) if one is None else one for one in answers]}


async def _asked_in_pieces(desk: Desk, members: Sequence[asked.SignUp]) -> list[dict[str, Any]]:
    """What the turns answer for each: an import is big work, so others go between two pieces.

    Which members one event has is always the same, whatever the size of the pieces: a request that comes again finds
    the answers of its first time.
    """
    answers: list[dict[str, Any]] = []
    mark = mark_of(asked.ManySignUps(members=tuple(members))) if desk.once else ""
    while len(answers) < len(members):
        async with desk.api.parts.piece("loyalty.members") as size:
            starts = range(len(answers), min(len(members), len(answers) + max(size, _EVENT_MEMBERS)), _EVENT_MEMBERS)
            said = await asyncio.gather(
                *[
                    desk.api.asking.ask(
                        desk.workspace,
                        "loyalty.members_asked",
                        asked.ManySignUps(members=tuple(members[start : start + _EVENT_MEMBERS]), mark=mark),
                        source=desk.label,
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
    """Find by mailbox, number, contact or external id."""
    for kind in ("email", "phone", "contact"):
        if desk.query(kind):
            found = await desk.api.reading.find(desk.workspace, kind, desk.query(kind))
            break
    else:
        if not desk.query("external_id"):
            raise Refused("request.fields", "say email, phone, contact or external_id", field="email")
        type_ = desk.query("external_type") or "external_id"
        found = await desk.api.reading.find(desk.workspace, f"external:{type_}", desk.query("external_id"))
    if found is None:
        raise Refused("member.unknown", "there is no such member")
    return shapes.member(desk.api.reading, found)


async def get_member(desk: Desk) -> Any:
    """One member."""
    return shapes.member(desk.api.reading, await desk.member())


async def patch_member(desk: Desk) -> Any:
    """Change what is said."""
    body, member = desk.read(_Changes), await desk.member()
    given = asked.Change(
        member=member.id,
        fields=desk.profile(body.profile),
        externals={profile.identifier(type_, "external"): id_ for type_, id_ in body.external.items()},
        state=body.state,
        consent=body.consent,
    )
    await desk.ask("loyalty.change_asked", given)
    return shapes.member(desk.api.reading, await _known(desk, member.id))


async def delete_member(desk: Desk) -> Any:
    """Forget, for good."""
    member = await desk.member()
    return await desk.ask("loyalty.forget_asked", asked.Forget(member=member.id), subject=member.contact or None)


async def post_page(desk: Desk) -> Any:
    """A signed address of the member's own page, for an app to open: short-lived, for whoever has it."""
    body, member = desk.read(_PageAsked), await desk.member()
    until_ms = desk.api.parts.clock.now_ms() + body.minutes * 60_000
    return 201, page_of(desk.api.parts, desk.workspace, member.id, until_ms)


async def post_tags(desk: Desk) -> Any:
    """Add and remove tags."""
    body, member = desk.read(_Tags), await desk.member()
    given = asked.Tag(
        member=member.id,
        add=tuple([profile.tag(tag) for tag in body.add]),
        remove=tuple(body.remove),
        ttl_ms=body.ttl_s * 1000,
    )
    return await desk.ask("loyalty.tags_asked", given)


async def _known(desk: Desk, id_: str) -> Member:
    found = await desk.api.reading.member(desk.workspace, id_)
    if found is None:
        raise Refused("member.unknown", "there is no such member", field="member")
    return found


# Points, wallet, store.


async def get_wallet(desk: Desk) -> Any:
    """The wallet, and the balance."""
    member = await desk.member()
    held = await desk.api.reading.wallet(member)
    return {"items": [shapes.held(one) for one in held], "balance": shapes.balance(desk.api.reading.balance(member))}


async def get_past(desk: Desk) -> Any:
    """Offers that were used, expired or taken back."""
    return {"items": [shapes.held(one) for one in await desk.api.reading.past(await desk.member(), desk.limit())]}


async def get_points(desk: Desk) -> Any:
    """The ledger, the newest first."""
    member, limit = await desk.member(), desk.limit()
    before = desk.query("before")
    entries = await desk.api.reading.ledger(member, limit, int(before) if before.isdigit() else 0)
    more = entries[-1].number if len(entries) == limit and entries[-1].previous else None
    return {
        "items": [shapes.entry(one) for one in entries],
        "before": more,
        "balance": shapes.balance(desk.api.reading.balance(member)),
    }


async def post_points(desk: Desk) -> Any:
    """A deposit, or (below 0) spending."""
    body = desk.read(_Points)
    given = asked.Points(
        member=desk.path("member"), points=body.points, why=body.why, expires_ms=instant(body.expires, "expires")
    )
    return await desk.ask("loyalty.points_asked", given)


async def get_store(desk: Desk) -> Any:
    """The rewards store."""
    return {"items": [shapes.sold(one) for one in await desk.api.reading.store(await desk.member())]}


async def post_store(desk: Desk) -> Any:
    """Buy from the rewards store."""
    body = desk.read(_Bought)
    given = asked.Buy(member=desk.path("member"), definition=desk.path("offer"), quantity=body.quantity)
    return await desk.ask("loyalty.buy_asked", given)


async def post_offer(desk: Desk) -> Any:
    """Issue an offer."""
    body = desk.read(_Offer)
    given = asked.Issue(
        member=desk.path("member"),
        definition=body.offer,
        why=body.why,
        expires_ms=instant(body.expires, "expires"),
    )
    return 201, await desk.ask("loyalty.issue_asked", given)


async def get_offer(desk: Desk) -> Any:
    """One offer."""
    offer = await desk.api.reading.offer(desk.workspace, desk.path("offer"))
    if offer is None:
        raise Refused("offer.unknown", "there is no such offer", field="offer")
    member = await desk.api.reading.member(desk.workspace, offer.member)
    return shapes.held(desk.api.reading.held(member or Member(id=offer.member, workspace=desk.workspace), offer))


async def act_on_offer(desk: Desk) -> Any:
    """Lock, unlock, redeem, reinstate, revoke."""
    body = desk.read(_Done)
    given = asked.Act(offer=desk.path("offer"), act=desk.path("act"), member=body.member, by=body.by, why=body.why)
    return await desk.ask("loyalty.offer_asked", given)


# Codes, sales, campaigns.


async def post_code(desk: Desk) -> Any:
    """Say a promo code."""
    body = desk.read(_Code)
    return await desk.ask("loyalty.code_asked", asked.Code(member=desk.path("member"), code=body.code))


async def post_codes(desk: Desk) -> Any:
    """Add single-use codes to a list."""
    body = desk.read(_Codes)
    return await desk.ask("loyalty.codes_asked", asked.MakeCodes(list=body.list, codes=body.codes))


async def put_sale(desk: Desk) -> Any:
    """Record a sale, or what became of it."""
    body, rules = desk.read(_Sale), desk.api.reading.rules(desk.workspace)
    decimals = exponent(body.currency) if body.currency else rules.decimals
    items = tuple([_item(one, index, decimals) for index, one in enumerate(body.items)])
    given = SaleAsked(
        sale=desk.path("sale"),
        member=body.member,
        external=body.external,
        store=body.store,
        channel=body.channel,
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
    return await desk.ask("loyalty.transaction_asked", given)


def _item(one: _Item, index: int, decimals: int) -> Item:
    quantity = round(one.quantity * 1000)
    if not 0 < quantity <= 10**9:
        raise Refused("sale.quantity", "a quantity is more than 0", field="items")
    price = _amount(one.price, decimals, "items")
    subtotal = price * quantity // 1000 if one.amount is None else _amount(one.amount, decimals, "items")
    return Item(one.line or str(index + 1), one.item, quantity, price, subtotal, tuple(one.categories))


def _amount(value: int | float | str, decimals: int, field: str) -> int:
    amount = minor(value, decimals, field)
    if amount < 0:
        raise Refused("sale.negative", f"{field} is not negative", field=field)
    return amount


async def get_sale(desk: Desk) -> Any:
    """A sale, with what it gave and what was skipped."""
    sale = await desk.api.reading.sale(desk.workspace, desk.path("sale"))
    if sale is None:
        raise Refused("sale.unknown", "there is no such sale", field="sale")
    return shapes.sale(sale)


async def get_campaigns_of(desk: Desk) -> Any:
    """Campaigns as a member sees them."""
    return {"items": [shapes.campaign_of(one) for one in await desk.api.reading.campaigns_for(await desk.member())]}


async def put_opt_in(desk: Desk) -> Any:
    """Say yes to a campaign, or take it back."""
    yes = desk.request.method == "PUT"
    given = asked.OptIn(member=desk.path("member"), campaign=desk.path("campaign"), yes=yes)
    return await desk.ask("loyalty.opt_in_asked", given)


async def get_campaigns(desk: Desk) -> Any:
    """Every campaign with its sums."""
    return {"items": [shapes.figures(one) for one in await desk.api.reading.figures(desk.workspace, 1)]}


async def get_campaign(desk: Desk) -> Any:
    """One campaign, day by day."""
    for one in await desk.api.reading.figures(desk.workspace):
        if one.name == desk.path("campaign"):
            return shapes.figures(one, days=True)
    raise Refused("campaign.unknown", "there is no such campaign", field="campaign")


async def get_rounds(desk: Desk) -> Any:
    """A campaign's ways through all members."""
    return {"items": await desk.api.reading.rounds(desk.workspace, desk.path("campaign"))}


async def post_round(desk: Desk) -> Any:
    """Have a campaign go through all members."""
    desk.read(_Nothing)
    return 202, await desk.ask("loyalty.round_asked", asked.Round(campaign=desk.path("campaign")))


async def delete_round(desk: Desk) -> Any:
    """Stop it."""
    return await desk.ask("loyalty.round_asked", asked.Round(campaign=desk.path("campaign"), stop=True))


_MEMBER = f"{_ROOT}/members/{{member}}"
#: (method, path, scope, view)
OPERATIONS: tuple[tuple[str, str, str, View], ...] = (
    ("POST", f"{_ROOT}/members", "write", post_member),
    ("GET", f"{_ROOT}/members", "read", find_member),
    ("POST", f"{_ROOT}/members/batch", "write", post_members),
    ("GET", _MEMBER, "read", get_member),
    ("PATCH", _MEMBER, "write", patch_member),
    ("DELETE", _MEMBER, "write", delete_member),
    ("POST", f"{_MEMBER}/page", "write", post_page),
    ("POST", f"{_MEMBER}/tags", "write", post_tags),
    ("GET", f"{_MEMBER}/wallet", "read", get_wallet),
    ("GET", f"{_MEMBER}/offers", "read", get_past),
    ("POST", f"{_MEMBER}/offers", "write", post_offer),
    ("GET", f"{_MEMBER}/points", "read", get_points),
    ("POST", f"{_MEMBER}/points", "write", post_points),
    ("GET", f"{_MEMBER}/store", "read", get_store),
    ("POST", f"{_MEMBER}/store/{{offer}}", "write", post_store),
    ("POST", f"{_MEMBER}/codes", "write", post_code),
    ("GET", f"{_MEMBER}/campaigns", "read", get_campaigns_of),
    ("PUT", f"{_MEMBER}/campaigns/{{campaign}}", "write", put_opt_in),
    ("DELETE", f"{_MEMBER}/campaigns/{{campaign}}", "write", put_opt_in),
    ("GET", f"{_ROOT}/offers/{{offer}}", "read", get_offer),
    ("POST", f"{_ROOT}/offers/{{offer}}/{{act}}", "write", act_on_offer),
    ("PUT", f"{_ROOT}/sales/{{sale}}", "events", put_sale),
    ("GET", f"{_ROOT}/sales/{{sale}}", "read", get_sale),
    ("POST", f"{_ROOT}/codes", "write", post_codes),
    ("GET", f"{_ROOT}/campaigns", "read", get_campaigns),
    ("GET", f"{_ROOT}/campaigns/{{campaign}}", "read", get_campaign),
    ("GET", f"{_ROOT}/campaigns/{{campaign}}/rounds", "read", get_rounds),
    ("POST", f"{_ROOT}/campaigns/{{campaign}}/rounds", "write", post_round),
    ("DELETE", f"{_ROOT}/campaigns/{{campaign}}/rounds", "write", delete_round),
)


def routes(parts: JourneyParts) -> Sequence[BaseRoute]:
    """All routes of ``/v1/loyalty``."""
    api = LoyaltyApi(parts)
    return [Route(path, api.endpoint(view, scope), methods=[method]) for method, path, scope, view in OPERATIONS]
