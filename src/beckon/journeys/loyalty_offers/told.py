"""Told: what loyalty says happened, as events that flows begin with, wait for, or are cancelled by. Pure.

Each names its member and, as ``contact``, whom it is about: our contact's id, or the addresses as long as the line has
not found the contact. An event's id is made of what it speaks of, so that nothing is told twice, whatever is turned
again. Types in ``QUIET`` are only told where a flow of the workspace listens: the ledger has them anyway, and a
purchase should not cost an event more for nobody.
"""

from typing import Any

from beckon.core.clock import iso
from beckon.core.event import Event
from beckon.journeys.loyalty_offers.definitions import OfferDefinition
from beckon.journeys.loyalty_offers.member import Member, name_of
from beckon.journeys.loyalty_offers.offer import Offer
from beckon.web.locales import match

SOURCE = "beckon/loyalty"

QUIET = frozenset(
    {
        *("sale.recorded", "points.earned", "points.spent", "points.reversed", "points.released"),
        *("offer.locked", "offer.unlocked", "campaign.met"),
    }
)
TYPES = QUIET | {
    *("member.signed_up", "member.changed", "member.forgotten", "points.expiring", "points.expired"),
    *("offer.issued", "offer.expiring", "offer.expired", "offer.redeemed", "offer.revoked", "offer.reinstated"),
    *("tier.reached", "tier.lost", "campaign.message", "campaign.finished"),
}
#: What only we say: a door refuses types that begin so.
OWN_TYPES = ("loyalty.", "member.", "points.", "offer.", "tier.", "campaign.", "sale.recorded")


def contact_of(member: Member, addresses: dict[str, str] | None = None, *, phone: bool = True) -> Any:
    """Whom an event about this member is about: everything that the profile says of how to reach them.

    ``phone``: whether their number leads to them; where a family shares one, it leads to the first of them only.
    """
    profile = member.profile
    about: dict[str, Any] = {"id": member.contact} if member.contact else {}
    if profile.email:
        about["email"] = profile.email
    if profile.phones and phone:
        about["phone"] = profile.phones[0].number
    name = name_of(profile)
    if name:
        about["name"] = name
    if profile.locale:
        about["locale"] = profile.locale
    about.update(addresses or {})
    if not about.keys() & {"id", "email", "phone"} and not addresses:
        about["id"] = next(iter(member.external.values()), member.id)
    return about


def reached(member: Member) -> Any:
    """The contact, as an event names it that adds nothing to what is known.

    As long as it is not found, the mailbox says who it is: a number may be a family's.
    """
    return member.contact or contact_of(member, phone=not member.profile.email)


def text_in(texts: dict[str, str], locale: str, default: str) -> str:
    """The text for a locale: ``nl-BE`` → ``nl`` → another region's Dutch → the English one → the default."""
    found = match(locale, texts) if texts and locale else None
    return texts[found] if found is not None else texts.get("en", default)


def about_offer(offer: Offer, definition: OfferDefinition | None, member: Member, now_ms: int) -> dict[str, Any]:
    """What every event about an offer carries."""
    locale = member.profile.locale
    title, blurb = (definition.title, definition.blurb) if definition is not None else (offer.definition, "")
    return {
        "member": member.id,
        "contact": reached(member),
        "offer": offer.id,
        "definition": offer.definition,
        "title": text_in(definition.titles, locale, title) if definition is not None else title,
        "blurb": text_in(definition.blurbs, locale, blurb) if definition is not None else blurb,
        "state": offer.state,
        "campaign": offer.campaign,
        "cause": offer.cause,
        "issued": iso(offer.issued_ms),
        "expires": last_moment(offer.expires_ms) if offer.expires_ms else "",
        "days_left": days_left(offer.expires_ms, now_ms) if offer.expires_ms else None,
    }


def days_left(until_ms: int, now_ms: int) -> int:
    """Whole days until an instant: on the last day it is 0."""
    return max(0, (until_ms - now_ms) // 86_400_000)


def last_moment(until_ms: int) -> str:
    """An end, as its last second: at midnight the day before is meant, and a reader of the date should read that."""
    return iso(until_ms - 1_000)


def told(workspace: str, type_: str, mark: str, at_ms: int, fields: dict[str, Any], *, big: bool = False) -> Event:
    """One event of ours; ``mark`` is what makes it this one: ``(offer, kind)`` is told once."""
    return Event(
        workspace=workspace,
        source=SOURCE,
        id=f"{type_}:{mark}",
        type=type_,
        time_ms=at_ms,
        data=fields,
        big=big,
    )
