"""The member's page: ``/wallet/{pass}``. What is ready to redeem, what points buy, campaigns to join, a promo code.

Everything works without JavaScript: each act is a form whose answer is a redirect, or the same page with what was
wrong. A form carries a token of its pass and the id of its request, so that a second tap is the same request.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from beckon.core.errors import BeckonError, Refused
from beckon.core.ids import fresh
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.asking import Asking, mark_of
from beckon.journeys.loyalty_offers.offer import CART, OPEN, Offer
from beckon.journeys.loyalty_offers.page.guests import HEADERS, Guest, Guests, Refusal, notice
from beckon.journeys.loyalty_offers.page.look import HEX, sheet
from beckon.journeys.loyalty_offers.page.qr import qr
from beckon.journeys.loyalty_offers.page.speech import grouped
from beckon.journeys.loyalty_offers.reading import Reading, Sold
from beckon.journeys.part import JourneyParts
from beckon.web.bodies import read_body
from beckon.web.locales import ENDONYMS
from beckon.web.pages import page
from beckon.web.problems import status_of
from beckon.web.sessions import require_same_origin

_FORM_BYTES_MAX = 4_096
_CODE_MAX = 64
_ENTRIES = 30
_ONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
SAID = frozenset({"bought", "lock", "unlock", "code", "in", "out"})

View = Callable[["WalletDoor", Request, Guest], Awaitable[Response]]


class WalletDoor:
    """What the page's views share."""

    def __init__(self, parts: JourneyParts) -> None:
        self.reading = Reading.of(parts)
        self.asking = Asking(parts)
        self.guests = Guests(parts, self.reading)

    async def ask(self, guest: Guest, form: "Form", type_: str, given: Any) -> dict[str, Any]:
        """What the turn answers; a request that came before has the answer of its first time."""
        given.mark = mark_of(given)
        source = f"page/{guest.member.id}"
        return await self.asking.ask(
            guest.workspace, type_, given, source=source, id=form.once, subject=guest.member.contact or None
        )


class Form:
    """A form that our own page made: its fields, and its request's id."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self.once = self.text("once")

    def text(self, name: str, most: int = 200) -> str:
        """A field, at most so many characters of it."""
        value = self._fields.get(name)
        return "".join(filter(str.isprintable, value))[:most].strip() if isinstance(value, str) else ""


def routes(parts: JourneyParts) -> list[BaseRoute]:
    """The page's routes."""
    door = WalletDoor(parts)

    def route(path: str, view: View, method: str) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return await view(door, request, await door.guests.enter(request))
            except Refusal as refusal:
                return notice(request, refusal)

        return Route(f"/wallet/{{pass}}{path}", endpoint, methods=[method])

    return [
        # Before the pages: no pass is called so.
        Route("/wallet/look/{colour}.css", send_look, methods=["GET"]),
        route("", show_wallet, "GET"),
        route("/history", show_history, "GET"),
        route("/code", take_code, "POST"),
        route("/code", go_home, "GET"),
        route("/campaigns/{name}", join, "POST"),
        route("/campaigns/{name}", go_home, "GET"),
        route("/store/{name}", show_buying, "GET"),
        route("/store/{name}", buy, "POST"),
        route("/offers/{offer}", show_offer, "GET"),
        route("/offers/{offer}", act_on_offer, "POST"),
        route("/offers/{offer}/state", tell_state, "GET"),
    ]


# Looking.


async def send_look(request: Request) -> Response:
    """``GET /wallet/look/{colour}.css``: the business's colour as a sheet; the same address says the same for ever."""
    colour = str(request.path_params["colour"])
    if not HEX.fullmatch(colour):
        raise HTTPException(404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(sheet(colour), media_type="text/css", headers=headers)


async def show_wallet(door: WalletDoor, request: Request, guest: Guest) -> Response:
    """``GET /wallet/{pass}``"""
    return await _wallet(door, request, guest)


async def go_home(door: WalletDoor, request: Request, guest: Guest) -> Response:
    """``GET`` of what is only sent: a tab that was opened again on a form's answer."""
    return _go(guest.at())


async def show_history(door: WalletDoor, request: Request, guest: Guest) -> Response:
    """``GET …/history``: the points' ledger, and the offers that are over."""
    entries = await door.reading.ledger(guest.member, _ENTRIES)
    past = await door.reading.past(guest.member, _ENTRIES)
    return _page(request, guest, "history", entries=entries, past=past)


async def show_offer(door: WalletDoor, request: Request, guest: Guest) -> Response:
    """``GET …/offers/{offer}``: the code for the till, and the cart."""
    return await _offer(door, request, guest)


async def tell_state(door: WalletDoor, request: Request, guest: Guest) -> Response:
    """``GET …/offers/{offer}/state``: one word, for the page's script, which looks again when it changes."""
    offer = await _find(door, request, guest)
    return Response(_state(offer), media_type="text/plain", headers={"Cache-Control": "no-store"})


async def show_buying(door: WalletDoor, request: Request, guest: Guest) -> Response:
    """``GET …/store/{name}``: the price, what is left after it, and the button."""
    return await _buying(door, request, guest)


# Acting.


async def take_code(door: WalletDoor, request: Request, guest: Guest) -> Response:
    """``POST …/code``: a promo code."""
    typed = ""
    try:
        form = await _form(request, guest)
        typed = form.text("code", _CODE_MAX)
        if not typed:
            raise Refused("code.empty", "the code is missing", field="code")
        await door.ask(guest, form, "loyalty.code_asked", asked.Code(member=guest.member.id, code=typed))
    except BeckonError as error:
        return await _wallet(door, request, guest, error=error, typed=typed)
    return _go(guest.at(said="code"))


async def join(door: WalletDoor, request: Request, guest: Guest) -> Response:
    """``POST …/campaigns/{name}``: say yes to a campaign, or take it back."""
    try:
        form = await _form(request, guest)
        yes = form.text("yes") == "1"
        given = asked.OptIn(member=guest.member.id, campaign=_name(request), yes=yes)
        await door.ask(guest, form, "loyalty.opt_in_asked", given)
    except BeckonError as error:
        return await _wallet(door, request, guest, error=error)
    return _go(guest.at(said="in" if yes else "out"))


async def buy(door: WalletDoor, request: Request, guest: Guest) -> Response:
    """``POST …/store/{name}``: points for an offer."""
    try:
        form = await _form(request, guest)
        sold = await _sold(door, request, guest)
        if form.text("price") != str(sold.price):
            raise Refused("offer.state", "the price is another than the page said")
        given = asked.Buy(member=guest.member.id, definition=sold.definition.offer)
        answer = await door.ask(guest, form, "loyalty.buy_asked", given)
    except BeckonError as error:
        return await _buying(door, request, guest, error=error)
    return _go(guest.at(f"/offers/{answer['offer']}", said="bought"))


async def act_on_offer(door: WalletDoor, request: Request, guest: Guest) -> Response:
    """``POST …/offers/{offer}``: into the cart, or out of it."""
    offer = await _find(door, request, guest)
    try:
        form = await _form(request, guest)
        act = form.text("act")
        if act not in ("lock", "unlock"):
            raise Refused("form.malformed", "the form says lock or unlock", field="act")
        if offer.state == "locked" and offer.locked_by != CART:
            raise Refused("offer.locked", "a till holds the offer", field="act")
        given = asked.Act(member=guest.member.id, offer=offer.id, act=act, by=CART)
        await door.ask(guest, form, "loyalty.offer_asked", given)
    except BeckonError as error:
        return await _offer(door, request, guest, error=error)
    return _go(guest.at(f"/offers/{offer.id}", said=act))


# The pages.


async def _wallet(
    door: WalletDoor, request: Request, guest: Guest, *, error: BeckonError | None = None, typed: str = ""
) -> Response:
    member, reading = guest.member, door.reading
    campaigns = [one for one in await reading.campaigns_for(member) if one.needs_opt_in and (one.may or one.opted_in)]
    balance = reading.balance(member)
    tiers = reading.rules(guest.workspace).tiers
    whole = next((at for at, tier in tiers if balance.next_tier == (tier.title or tier.tier)), 1)
    return await _shown(
        door, request, guest, "wallet", error,
        ready=await reading.wallet(member),
        # What can be had comes first.
        store=sorted(await reading.store(member), key=lambda sold: bool(sold.code)),
        balance=balance,
        tier_whole=whole,
        tier_done=max(0, whole - balance.to_next),
        campaigns=campaigns,
        typed=typed,
    )  # fmt: skip


async def _offer(door: WalletDoor, request: Request, guest: Guest, *, error: BeckonError | None = None) -> Response:
    offer = await _find(door, request, guest)
    held = door.reading.held(guest.member, offer)
    return await _shown(
        door, request, guest, "offer", error,
        held=held, offer=offer, state=_state(offer), grouped=grouped(offer.id),
        symbol=qr(offer.id, f"{guest.say('offer.show')}: {offer.id}"),
    )  # fmt: skip


async def _buying(door: WalletDoor, request: Request, guest: Guest, *, error: BeckonError | None = None) -> Response:
    sold = await _sold(door, request, guest)
    balance = door.reading.balance(guest.member)
    return await _shown(door, request, guest, "buying", error, sold=sold, balance=balance)


async def _shown(
    door: WalletDoor, request: Request, guest: Guest, name: str, error: BeckonError | None, **context: Any
) -> Response:
    wrong = ""
    if error is not None:
        locked_until_ms = 0
        if error.code == "code.locked_out":
            again = await door.reading.member(guest.workspace, guest.member.id)
            locked_until_ms = again.locked_until_ms if again is not None else 0
        wrong = guest.say.wrong(error, locked_until_ms)
    status = status_of(error) if error is not None else 200
    about_code = error is not None and error.code.startswith("code.")
    return _page(request, guest, name, status=status, wrong=wrong, wrong_code=about_code, **context)


def _page(request: Request, guest: Guest, name: str, *, status: int = 200, wrong: str = "", **context: Any) -> Response:
    said = request.query_params.get("said", "")
    return page(
        request,
        f"loyalty_offers/{name}.html",
        status=status,
        headers=HEADERS,
        frame_ancestors="'self'",
        locale=guest.locale,
        now_ms=guest.now_ms,
        guest=guest,
        # Where another language is asked for: a form of the wallet is no page of its own.
        here=guest.home if name == "wallet" else request.url.path,
        say=guest.say,
        said=said if said in SAID and not wrong else "",
        wrong=wrong,
        once=fresh("once"),
        languages=ENDONYMS,
        **context,
    )


# Reading what was sent.


async def _form(request: Request, guest: Guest) -> Form:
    """The form's fields. Raises ``Refused`` for one that another site made, or that is not ours."""
    require_same_origin(request)
    body = await read_body(request.receive, _FORM_BYTES_MAX)

    async def again() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        form = Form(await Request(request.scope, again).form(max_files=0, max_fields=10))
    except HTTPException as error:
        raise Refused("form.malformed", f"The form can't be read: {error.detail}") from None
    if not hmac.compare_digest(form.text("token").encode(), guest.token.encode()) or not _ONCE.fullmatch(form.once):
        raise Refused("session.csrf", "This form is too old. Please load the page again.")
    return form


async def _find(door: WalletDoor, request: Request, guest: Guest) -> Offer:
    """The offer that the path names, of this member. Raises ``Refusal``."""
    offer = await door.reading.offer(guest.workspace, str(request.path_params["offer"])[:80])
    if offer is None or offer.member != guest.member.id:
        raise Refusal("unknown", 404)
    return offer


async def _sold(door: WalletDoor, request: Request, guest: Guest) -> Sold:
    name = _name(request)
    for sold in await door.reading.store(guest.member):
        if sold.definition.offer == name:
            return sold
    raise Refusal("unknown", 404)


def _name(request: Request) -> str:
    return str(request.path_params["name"])[:100]


def _state(offer: Offer) -> str:
    """What the page shows of an offer: ``issued``, ``cart``, ``till``, or that it is over."""
    if offer.state not in OPEN:
        return offer.state
    if offer.state == "locked":
        return "cart" if offer.locked_by == CART else "till"
    return "issued"


def _go(url: str) -> Response:
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store", **HEADERS})
