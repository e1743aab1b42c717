"""Guests: who opens a member's page, by a pass or a message's short link; and the notice for whoever is not let in."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from beckon.core.clock import Clock
from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.page.look import HEX
from beckon.journeys.loyalty_offers.page.passes import form_token
from beckon.journeys.loyalty_offers.page.speech import Speech
from beckon.journeys.loyalty_offers.reading import Reading
from beckon.journeys.loyalty_offers.tokens import read_token
from beckon.journeys.part import JourneyParts
from beckon.web.links import CODE_LENGTH, COLUMNS, Link, code_is_ours
from beckon.web.locales import ENDONYMS, choose_locale, match, read_catalogue
from beckon.web.pages import page
from beckon.web.static import folders

#: The customer doors' own words, for their notice.
_NOTICES = read_catalogue(folders("locales")["customer"])
#: Nobody else learns a pass from a link on the page, and no search engine keeps it.
HEADERS = {"Referrer-Policy": "same-origin", "X-Robots-Tag": "noindex, nofollow"}


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """A member on their page."""

    #: as it stands in the address.
    pass_: str
    workspace: str
    #: with the page's language, so that texts come in it.
    member: Member
    business: str
    #: the business's, as ``rrggbb``; empty: it has none that is one.
    colour: str
    currency: str
    locale: str
    #: the language that was chosen, to be kept from page to page: ``?lang=fr``; empty: none was.
    query: str
    token: str
    now_ms: int
    say: Speech

    @property
    def home(self) -> str:
        """The page's address, without its query."""
        return f"/wallet/{self.pass_}"

    def at(self, path: str = "", **query: str) -> str:
        """An address below the page's own, in its language."""
        more = "&".join(f"{name}={value}" for name, value in query.items() if value)
        asked = "&".join(part for part in (self.query.removeprefix("?"), more) if part)
        return self.home + path + (f"?{asked}" if asked else "")


class Refusal(Exception):
    """Not let in: ``screen`` of the notice, and its status."""

    def __init__(self, screen: str, status: int) -> None:
        super().__init__(screen)
        self.screen = screen
        self.status = status


class Guests:
    """Lets members in."""

    def __init__(self, parts: JourneyParts, reading: Reading) -> None:
        self._parts = parts
        self._clock: Clock = parts.clock
        self._reading = reading

    async def enter(self, request: Request) -> Guest:
        """Who opens the page. Raises ``Refusal``: forged, over, or nobody any more."""
        text = str(request.path_params["pass"])
        now_ms = self._clock.now_ms()
        found = await self._by_link(text, now_ms) if len(text) == CODE_LENGTH else await self._by_pass(text, now_ms)
        if found is None or found.state == "forgotten":
            raise Refusal("unknown", 404)
        library = self._parts.workspaces.get(found.workspace)
        if library is None:
            raise Refusal("unknown", 404)
        settings, rules = library.settings, self._reading.rules(found.workspace)
        chosen = match(request.query_params.get("lang", ""), ENDONYMS)
        locale = choose_locale(
            chosen,
            found.profile.locale,
            accept_language=request.headers.get("accept-language", ""),
            default=choose_locale(settings.locale),
        )
        profile = msgspec.structs.replace(found.profile, locale=locale)
        colour = settings.colour.removeprefix("#").lower()
        return Guest(
            pass_=text,
            workspace=found.workspace,
            member=msgspec.structs.replace(found, profile=profile),
            business=rules.programme.title or settings.name,
            colour=colour if HEX.fullmatch(colour) else "",
            currency=rules.currency,
            locale=locale,
            query=f"?lang={chosen}" if chosen else "",
            token=form_token(self._parts.link_key, text),
            now_ms=now_ms,
            say=Speech(locale, settings.time_zone, now_ms),
        )

    async def _by_pass(self, text: str, now_ms: int) -> Member | None:
        try:
            workspace, member = read_token(text, self._parts.link_key, now_ms)
        except Refused as error:
            if error.code == "pass.expired":
                raise Refusal("gone", 410) from None
            return None
        return await self._reading.member(workspace, member)

    async def _by_link(self, code: str, now_ms: int) -> Member | None:
        if not code_is_ours(code, self._parts.link_key):
            return None
        rows = await self._parts.reader.fetch(f"SELECT {', '.join(COLUMNS)} FROM links WHERE code = ?", (code,))
        if not rows:
            return None
        link = msgspec.convert(dict(zip(COLUMNS, rows[0], strict=True)), Link)
        if link.expired(now_ms):
            raise Refusal("gone", 410)
        return await self._reading.find(link.workspace, "contact", link.contact)


def notice(request: Request, refusal: Refusal) -> Response:
    """The customers' notice page: the same as for any other link that doesn't work."""
    locale = choose_locale(request.query_params.get("lang"), accept_language=request.headers.get("accept-language", ""))

    def say(key: str) -> str:
        text = _NOTICES.text(locale, key, business=_NOTICES.text(locale, "business"))
        return text[:1].upper() + text[1:]

    context: dict[str, Any] = {"say": say, "screen": refusal.screen, "locale": locale, "languages": ENDONYMS}
    return page(request, "customer/notice.html", status=refusal.status, headers=HEADERS, code="", **context)
