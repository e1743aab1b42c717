"""``/v1/contacts``: whom the workspace knows, how to reach them, and what they allowed."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from beckon.core.clock import iso
from beckon.core.errors import Refused
from beckon.doors.api import lists
from beckon.doors.api.acts import contact_or_gone, known_contact, say
from beckon.doors.api.paging import ContactKey, Limit
from beckon.doors.api.parts import Ask, Operation, Page
from beckon.doors.api.shapes import (
    ConsentShown,
    ContactId,
    ContactShown,
    ForgettingShown,
    show_consent,
    show_contact,
)
from beckon.messaging.contacts import CHANNELS, Reference, read_reference

Short = Annotated[str, Meta(max_length=200)]
Tiny = Annotated[str, Meta(max_length=64)]

#: Keys of a reference that are no fields of the integrator's.
_OWN = frozenset(
    (
        *("id", "name", "first_name", "last_name", "firstname", "lastname", "email", "locale", "language"),
        *("time_zone", "addresses", "phone", "telephone", "mobile", "phone_number", *CHANNELS),
    )
)


class ContactsQuery(msgspec.Struct, frozen=True):
    """Which contacts: at this address, or with this piece of a name; without either, all."""

    #: a phone number in any habit of writing, a mail address, or the id that a channel has for the person.
    address: Short = ""
    name: Annotated[str, Meta(max_length=80)] = ""
    after: ContactKey = ""
    limit: Limit = 50


class ContactGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A contact as somebody knows them: at least one address, and what else is known."""

    name: Short = ""
    first_name: Short = ""
    last_name: Short = ""
    #: in any habit of writing; the workspace's region is meant where it has no country.
    phone: Tiny = ""
    email: Annotated[str, Meta(max_length=254)] = ""
    whatsapp: Short = ""
    oem_app: Short = ""
    #: other addresses: channel → the id that the channel has for the person.
    addresses: Annotated[dict[Tiny, Short], Meta(max_length=16)] = {}
    #: BCP 47: ``nl-BE``.
    locale: Annotated[str, Meta(max_length=20)] = ""
    #: IANA: ``Europe/Brussels``.
    time_zone: Tiny = ""
    #: free fields of the integrator.
    fields: Annotated[dict[Tiny, Annotated[str, Meta(max_length=512)]], Meta(max_length=32)] = {}


class ContactWritten(ContactGiven, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A contact to know from now on; what is not said stays as it is."""

    #: this contact's own order of channels; empty: the workspace's.
    channel_order: Annotated[list[Tiny], Meta(max_length=8)] | None = None


class ContactMeant(ContactGiven, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A contact by our id, or by what is known of them; who is not known yet becomes a contact."""

    id: ContactId | None = None


class ConsentGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the contact allows or forbids, and the proof: where and how they said so."""

    purpose: Literal["*", "transactional", "marketing"] = "marketing"
    #: a channel's name, or ``*`` for all.
    channel: Annotated[str, Meta(pattern=r"^(\*|[a-z][a-z0-9_]{0,63})$")] = "*"
    granted: bool
    proof: Annotated[str, Meta(min_length=1, max_length=300, pattern=r"\S")]


def reference_of(given: ContactGiven) -> dict[str, Any]:
    """A given contact as events write one. Raises ``Refused`` for free fields that are none."""
    words: dict[str, Any] = msgspec.to_builtins(given)
    words.pop("channel_order", None)
    fields = words.pop("fields", {})
    for name in fields:
        if name in _OWN or not name:
            raise Refused("contact.fields", f"{name[:64]!r} is no free field of a contact", field=f"fields.{name[:64]}")
    return {**fields, **words}


def read_given(ask: Ask[Any, Any], words: Any, *, field: str = "") -> Reference:
    """Whom these words mean, read as the wheel will read them. Raises ``Refused`` with the field of the request."""
    try:
        return read_reference(words, region=ask.library.settings.region, field=field or "contact")
    except Refused as error:
        at = error.field or ""
        if not field:
            at = at.removeprefix("contact").removeprefix(".")
        raise Refused(error.code, error.why, field=at or None) from error


async def list_contacts(ask: Ask[ContactsQuery, None]) -> Page[ContactShown]:
    """Contacts, the newest first."""
    query = ask.query
    if query.address:
        owner = await lists.owner_of(ask.parts.reader, ask.workspace, _pairs(ask, query.address))
        found = await lists.contact(ask.parts.reader, ask.workspace, owner) if owner else None
        fits = found is not None and query.name.lower() in found.name.lower()
        return Page([show_contact(found)] if found is not None and fits else [])
    page = await lists.contacts(ask.parts.reader, ask.workspace, name=query.name, after=query.after, limit=query.limit)
    return Page([show_contact(one) for one in page.items], page.next)


async def read_contact(ask: Ask[None, None]) -> ContactShown:
    """One contact."""
    return show_contact(await contact_or_gone(ask))


async def write_contact(ask: Ask[None, ContactWritten]) -> tuple[int, ContactShown]:
    """Know somebody by their addresses: a new contact, or more about one who is known."""
    words = reference_of(ask.body)
    reference = read_given(ask, words)
    pairs = [(address.channel, address.external_id) for address in reference.addresses]
    before = await lists.owner_of(ask.parts.reader, ask.workspace, pairs)
    await say(ask, "contact.changed", before or None, {"contact": words, **_order(ask)})
    owner = await lists.owner_of(ask.parts.reader, ask.workspace, pairs)
    found = await lists.contact(ask.parts.reader, ask.workspace, owner)
    if found is None:
        raise Refused("contact.unreachable", "nobody could be made of this")
    return (200 if before else 201), show_contact(found)


async def change_contact(ask: Ask[None, ContactWritten]) -> ContactShown:
    """Change what is known of a contact; addresses are added."""
    found = await known_contact(ask)
    words = {**reference_of(ask.body), "id": found.id}
    read_given(ask, words)
    await say(ask, "contact.changed", found.id, {"contact": words, **_order(ask)})
    return show_contact(await known_contact(ask))


async def list_consents(ask: Ask[None, None]) -> Page[ConsentShown]:
    """What the contact allowed and forbade, the newest last."""
    found = await known_contact(ask)
    return Page([show_consent(consent) for consent in found.consents])


async def write_consent(ask: Ask[None, ConsentGiven]) -> Page[ConsentShown]:
    """Note what the contact allowed or forbade."""
    found = await known_contact(ask)
    given = msgspec.to_builtins(ask.body)
    await say(ask, "consent.changed", found.id, {"contact": found.id, **given})
    return await list_consents(ask)  # type: ignore[arg-type]


async def forget_contact(ask: Ask[None, None]) -> tuple[int, ForgettingShown]:
    """Forget a contact, for good; who was forgotten already, is."""
    found = await contact_or_gone(ask)
    if not found.forgotten_ms:
        await say(ask, "contact.forget_asked", found.id, {"contact": found.id})
    shown = await read_forgetting(ask)
    return (202 if shown.done is None else 200), shown


async def read_forgetting(ask: Ask[None, None]) -> ForgettingShown:
    """How far it is."""
    found = await contact_or_gone(ask)
    shown = await lists.forgetting(ask.parts.reader, ask.workspace, found.id)
    if shown is None:
        raise Refused("contact.not_forgotten", "nobody asked to have this contact forgotten")
    asked_ms, done_ms = shown
    return ForgettingShown(contact=found.id, asked=iso(asked_ms), done=iso(done_ms) if done_ms else None)


def _order(ask: Ask[None, ContactWritten]) -> dict[str, Any]:
    order = ask.body.channel_order
    if order is None:
        return {}
    known = ask.library.settings.channels
    for name in order:
        if name not in known:
            raise Refused(
                "contact.channel_order", f"this workspace has the channels {', '.join(known)}", field="channel_order"
            )
    return {"channel_order": list(dict.fromkeys(order))}


def _pairs(ask: Ask[ContactsQuery, None], text: str) -> list[tuple[str, str]]:
    """The addresses that a text may be."""
    try:
        reference = read_reference(text, region=ask.library.settings.region)
        pairs = [(address.channel, address.external_id) for address in reference.addresses]
    except Refused:
        pairs = []
    return pairs + [(channel, text.strip()) for channel in CHANNELS]


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/contacts",
        name="list_contacts",
        tag="Contacts",
        summary="List or find contacts, the newest first",
        scope="read",
        act=list_contacts,
        query=ContactsQuery,
        answer=Page[ContactShown],
    ),
    Operation(
        method="POST",
        path="/v1/contacts",
        name="write_contact",
        tag="Contacts",
        summary="Know a contact by their addresses",
        words="Who has one of these addresses already is changed (200), otherwise there is a new contact (201).",
        scope="write",
        act=write_contact,
        body=ContactWritten,
        answer=ContactShown,
        status_too=201,
        refusals=(409,),
    ),
    Operation(
        method="GET",
        path="/v1/contacts/{contact}",
        name="read_contact",
        tag="Contacts",
        summary="One contact",
        scope="read",
        act=read_contact,
        answer=ContactShown,
    ),
    Operation(
        method="PATCH",
        path="/v1/contacts/{contact}",
        name="change_contact",
        tag="Contacts",
        summary="Change what is known of a contact",
        words="What is not said stays; addresses are added, none is taken away.",
        scope="write",
        act=change_contact,
        body=ContactWritten,
        answer=ContactShown,
    ),
    Operation(
        method="POST",
        path="/v1/contacts/{contact}/forget",
        name="forget_contact",
        tag="Contacts",
        summary="Forget a contact, for good",
        words=(
            "At once nobody has their name and addresses, what waits for them is withdrawn, and their flows end. What"
            " was written down of them follows in pieces: words, variables, links, recordings and their files. At the"
            " end the event `contact.forgotten` says so (200, `done`); until then the answer is 202. Counts, the"
            " ledger's sums and that an address said STOP stay, the latter as a keyed digest. It can't be taken back."
        ),
        scope="forget",
        act=forget_contact,
        answer=ForgettingShown,
        status=202,
        status_too=200,
    ),
    Operation(
        method="GET",
        path="/v1/contacts/{contact}/forget",
        name="read_forgetting",
        tag="Contacts",
        summary="How far the forgetting of a contact is",
        scope="read",
        act=read_forgetting,
        answer=ForgettingShown,
    ),
    Operation(
        method="GET",
        path="/v1/contacts/{contact}/consents",
        name="list_consents",
        tag="Contacts",
        summary="What a contact allowed and forbade, with the proof",
        scope="read",
        act=list_consents,
        answer=Page[ConsentShown],
    ),
    Operation(
        method="POST",
        path="/v1/contacts/{contact}/consents",
        name="write_consent",
        tag="Contacts",
        summary="Note what a contact allowed or forbade",
        scope="write",
        act=write_consent,
        body=ConsentGiven,
        answer=Page[ConsentShown],
        status=201,
    ),
)
