"""Contacts: reading whom an event means, from any habit of writing, and what a newer event changes. Pure.

An event names its contact by our id (``con_…``), by one address (``+32 470 12 34 56``, ``ann@example.com``), or by an
object: ``{name, phone, email, whatsapp, oem_app, locale, time_zone, …}``. A phone number is an address twice: E.164 for
``sms``, its digits for ``whatsapp`` (where nothing says otherwise). Any other plain value is a field of the contact.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
import phonenumbers

from beckon.core import spoken
from beckon.core.contact import Address, Contact
from beckon.core.errors import Refused
from beckon.messaging.devices import subscription_of

#: Channels that a reference may name as a key of its own.
CHANNELS = ("oem_app", "whatsapp", "sms", "email", "web_push", "fcm", "slack", "voice")
#: Not a channel: the id that the event's source has for a person who can be reached nowhere, so that there is somebody
#: whose conversation says so. Anybody else is known by their addresses: two sources may both have a customer 9.
EXTERNAL = "external"

PHONE_MAX = 64
EMAIL_MAX = 254
EXTERNAL_ID_MAX = 200
#: An app's registration token at Google.
TOKEN_MAX = 1_024
NAME_MAX = 200
FIELDS_MAX = 32
FIELD_NAME_MAX = 64
FIELD_MAX = 512
#: Addresses that one contact keeps; the oldest go first.
ADDRESSES_MAX = 16
#: Normalised numbers and mailboxes that are remembered.
KEPT_MAX = 16_384

_BY_NAME = frozenset(CHANNELS)
_PHONE_KEYS = ("phone", "telephone", "mobile", "phone_number")
_OWN = frozenset(
    (
        *("id", "name", "first_name", "last_name", "firstname", "lastname", "email", "locale", "language"),
        *("time_zone", "addresses", *_PHONE_KEYS, *CHANNELS),
    )
)

_E164 = re.compile(r"\+([1-9]\d{7,14})\Z", re.ASCII)
_DIGITS = re.compile(r"\d{7,15}\Z", re.ASCII)
_EXTENSION = re.compile(r"(?:;ext=|\s*(?:ext|x|#)\.?\s*)\d{1,9}\Z", re.IGNORECASE)
_LOCAL = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,64}\Z")
_DOMAIN = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]\Z")
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|\d{3}))?\Z", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Reference(msgspec.Struct, frozen=True):
    """Whom an event means: our own id, or addresses and what is said about the person with them."""

    id: str = ""
    addresses: tuple[Address, ...] = ()
    name: str = ""
    locale: str = ""
    time_zone: str = ""
    fields: dict[str, str] = {}


@lru_cache(maxsize=KEPT_MAX)
def normalise_phone(text: str, region: str) -> str:
    """A phone number in E.164, from any habit of writing. ``region`` (ISO 3166) is for those without a country.

    Takes ``+33 6 12 …``, ``0033 6 …``, ``+33 (0)6 …``, ``06 12 …`` with its region, ``tel:`` URIs and digits of any
    width. Raises ``Refused`` with a code and a sentence; the caller knows the field.
    """
    plain = _E164.match(text)
    if plain is not None and _is_whole(plain[1]):
        return text
    if len(text) > PHONE_MAX:
        raise Refused("phone.too_long", f"A phone number has {PHONE_MAX} characters at most.")
    written = unicodedata.normalize("NFKC", text).strip()
    if written[:4].lower() == "tel:":
        written = written[4:]
    written = _EXTENSION.sub("", written.partition(";")[0] if ";phone-context" in written else written)
    if any(letter.isalpha() for letter in written):
        raise Refused("phone.letters", f"{text!r} has letters in it; write a phone number in digits.")
    digits = "".join([str(unicodedata.digit(sign)) for sign in written if unicodedata.digit(sign, -1) >= 0])
    if not 6 <= len(digits) <= 19:
        raise Refused("phone.length", f"{text!r} is no phone number: it has {len(digits)} digits.")
    abroad = written.lstrip("( ").startswith("+")
    if not abroad and digits.startswith("00"):
        abroad, written = True, "+" + digits[2:]
    if not abroad and not region:
        raise Refused("phone.region", f"{text!r} has no country; write it like +32470123456.")
    number = _parsed(written, None if abroad else region)
    if number is None and not abroad:
        # 33612345678: someone's database dropped the plus.
        number = _parsed("+" + digits, None, strict=True)
    if number is None:
        raise Refused("phone.number", f"{text!r} is no phone number that can exist.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _parsed(written: str, region: str | None, *, strict: bool = False) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    holds = phonenumbers.is_valid_number if strict else phonenumbers.is_possible_number
    return number if holds(number) else None


def _is_whole(digits: str) -> bool:
    """Whether digits are a country's code and a number of a length that it has, with no trunk zero between."""
    for size in (1, 2, 3):
        lengths = _lengths(digits[:size])
        if lengths is not None:
            return len(digits) - size in lengths and digits[size] != "0"
    return False


@lru_cache(maxsize=1_110)
def _lengths(code: str) -> frozenset[int] | None:
    """How many digits follow this country code; None: no country has it."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code))
    if regions is None:
        return None
    found: set[int] = set()
    for region in regions:
        facts = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
        if facts is not None and facts.general_desc is not None:
            found.update(facts.general_desc.possible_length)
    return frozenset(found)


@lru_cache(maxsize=KEPT_MAX)
def normalise_email(text: str) -> str:
    """A mailbox with its domain in lower case. Raises ``Refused``."""
    written = text.strip()
    if written[:7].lower() == "mailto:":
        written = written[7:]
    if len(written) > EMAIL_MAX:
        raise Refused("email.too_long", f"A mail address has {EMAIL_MAX} characters at most.")
    local, at, domain = written.rpartition("@")
    domain = domain.lower()
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            domain = ""
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    if not at or dots or not _LOCAL.match(local) or not _DOMAIN.match(domain):
        raise Refused("email.address", f"{text[:80]!r} is no mail address.")
    return f"{local}@{domain}"


@lru_cache(maxsize=1_024)
def normalise_locale(text: str) -> str:
    """A language tag as BCP 47 writes it: ``nl_be`` → ``nl-BE``. Raises ``Refused``."""
    found = _LOCALE.match(text.strip()[:20])
    if found is None:
        raise Refused("locale.tag", f"{text[:40]!r} is no language; write one like nl-BE.")
    parts = [found[1].lower(), (found[2] or "").title(), (found[3] or "").upper()]
    return "-".join([part for part in parts if part])


@lru_cache(maxsize=1_024)
def locale_chain(locale: str, default: str = "en") -> tuple[str, ...]:
    """What is tried, best first: ``nl-BE`` → ``("nl-BE", "nl", "en")``. Norwegian goes by three names."""
    chain: list[str] = []
    for one in (locale, default, "en"):
        while one:
            chain.append(one)
            if one in ("nb", "nn"):
                chain.append("no")
            one = one.rpartition("-")[0]
    return tuple(dict.fromkeys(chain))


def read_reference(value: Any, *, region: str = "", field: str = "data.contact") -> Reference:
    """Whom ``value`` means. Raises ``Refused`` naming the field that is wrong."""
    if type(value) is str:
        return _from_text(value, region, field)
    if type(value) is not dict and not isinstance(value, Mapping):
        raise Refused("contact.shape", "A contact is an id, an address, or an object with phone or email.", field=field)
    id_ = value.get("id")
    if type(id_) is str and id_.startswith("con_"):
        given = Reference(id=_short(id_, f"{field}.id"))
        return given if len(value) == 1 else _with_facts(given, value, region, field)
    return _with_facts(Reference(), value, region, field)


def inbound(data: Mapping[str, Any], *, region: str = "") -> Reference:
    """Who wrote: the contact of a ``message.received`` event. Raises ``Refused``."""
    channel, sender = data.get("channel"), data.get("from")
    if type(channel) is not str or not channel or type(sender) is not str or not sender:
        raise Refused("message.from", "A received message says its channel and who wrote it.", field="data.from")
    name = data.get("name")
    address = _address(channel, sender, region, "data.from")
    return Reference(addresses=(address,), name=_text(name, NAME_MAX) if type(name) is str else "")


def merge(contact: Contact, reference: Reference, now_ms: int) -> Contact:
    """The contact with what a newer event adds or changes; the very same object where it changes nothing.

    The newer event's addresses come first; one that is known to be broken stays so: that someone repeats a number does
    not make it work.
    """
    changes: dict[str, Any] = {}
    known = {(address.channel, address.external_id): address for address in contact.addresses}
    named = {(address.channel, address.external_id): address for address in reference.addresses}
    if not named.keys() <= known.keys():
        first = [known.get(key, address) for key, address in named.items()]
        rest = [address for key, address in known.items() if key not in named]
        changes["addresses"] = (*first, *rest)[:ADDRESSES_MAX]
    if reference.name and reference.name != contact.name:
        changes["name"] = reference.name
    if reference.locale and reference.locale != contact.locale:
        changes["locale"] = reference.locale
    if reference.time_zone and reference.time_zone != contact.time_zone:
        changes["time_zone"] = reference.time_zone
    if reference.fields and not reference.fields.items() <= contact.fields.items():
        changes["fields"] = dict(list({**contact.fields, **reference.fields}.items())[-FIELDS_MAX:])
    return msgspec.structs.replace(contact, **changes) if changes else contact


def break_address(contact: Contact, channel: str, external_id: str, reason: str) -> Contact:
    """The contact, with the address marked as one that does not work, and why (``reason`` empty: it works again)."""
    addresses = tuple(
        [
            msgspec.structs.replace(address, broken=reason or None)
            if (address.channel, address.external_id) == (channel, external_id)
            else address
            for address in contact.addresses
        ]
    )
    return contact if addresses == contact.addresses else msgspec.structs.replace(contact, addresses=addresses)


def _from_text(value: str, region: str, field: str) -> Reference:
    if value.startswith("con_"):
        return Reference(id=_short(value, field))
    if "@" in value:
        return Reference(addresses=(Address("email", _named(normalise_email, value, field)),))
    if value[:1] in "+0123456789(" or value.startswith("tel:"):
        return Reference(addresses=_phone(value, region, field))
    raise Refused("contact.shape", f"{value[:40]!r} is no contact's id, phone number or mail address.", field=field)


def _with_facts(given: Reference, value: Mapping[str, Any], region: str, field: str) -> Reference:
    addresses: dict[str, Address] = {}
    for key in _PHONE_KEYS:
        phone = value.get(key)
        if phone is not None and phone != "":
            for address in _phone(phone, region, f"{field}.{key}"):
                addresses.setdefault(address.channel, address)
            break
    named = () if _BY_NAME.isdisjoint(value) else [channel for channel in CHANNELS if channel in value]
    for channel in named:
        external_id = value[channel]
        if external_id is not None and external_id != "":
            addresses[channel] = _address(channel, external_id, region, f"{field}.{channel}")
    others = value.get("addresses")
    if others:
        for channel, external_id in _pairs(others, f"{field}.addresses"):
            addresses[channel] = _address(channel, external_id, region, f"{field}.addresses.{channel}")
    own_id = value.get("id")
    if not given.id and not addresses and type(own_id) in (str, int) and own_id != "":
        addresses[EXTERNAL] = Address(EXTERNAL, _short(str(own_id), f"{field}.id"))
    if not addresses and not given.id:
        raise Refused("contact.unreachable", "The contact has no phone, email or other address.", field=field)
    locale = value.get("locale") or value.get("language") or ""
    zone = value.get("time_zone") or ""
    return Reference(
        id=given.id,
        addresses=tuple(addresses.values()),
        name=_name(value),
        locale=_named(normalise_locale, locale, f"{field}.locale") if locale else "",
        time_zone=_named(_zone, zone, f"{field}.time_zone") if zone else "",
        fields=_fields(value, field),
    )


def _phone(value: Any, region: str, field: str) -> tuple[Address, Address]:
    if type(value) is not str:
        raise Refused("phone.text", "Write a phone number as a text: a number loses its zeros.", field=field)
    number = _numbered(value, region, field)
    return Address("sms", number), Address("whatsapp", number[1:])


def _address(channel: str, value: Any, region: str, field: str) -> Address:
    """An address as its channel writes it."""
    if channel == "web_push":
        return Address(channel, subscription_of(value, field).address)
    if type(value) is not str:
        raise Refused("contact.address", f"An address on {channel} is a text.", field=field)
    if channel == "email":
        return Address(channel, _named(normalise_email, value, field))
    if channel in ("sms", "voice"):
        return Address(channel, _numbered(value, region, field))
    if channel == "whatsapp":
        if _DIGITS.match(value):
            return Address(channel, value)
        if value[:1] in "+0(" or value.startswith("tel:"):
            return Address(channel, _numbered(value, region, field)[1:])
    return Address(channel, _short(value, field, TOKEN_MAX if channel == "fcm" else EXTERNAL_ID_MAX))


def _numbered(value: str, region: str, field: str) -> str:
    try:
        return normalise_phone(value, region)
    except Refused as error:
        raise Refused(error.code, error.why, field=field) from None


def _named(read: Any, value: Any, field: str) -> str:
    if type(value) is not str:
        raise Refused("contact.text", "This is a text.", field=field)
    try:
        return str(read(value))
    except Refused as error:
        raise Refused(error.code, error.why, field=field) from None


def _zone(name: str) -> str:
    spoken.zone(name)
    return name


def _pairs(others: Any, field: str) -> list[tuple[str, Any]]:
    """``{channel: id}`` or ``[{channel, external_id}]``."""
    if isinstance(others, Mapping):
        pairs = [(str(channel), external_id) for channel, external_id in others.items()]
    elif isinstance(others, list) and all(isinstance(one, Mapping) for one in others):
        pairs = [(str(one.get("channel", "")), one.get("external_id")) for one in others]
    else:
        raise Refused("contact.addresses", "Addresses are an object: {channel: id}.", field=field)
    if len(pairs) > ADDRESSES_MAX or not all(0 < len(channel) <= FIELD_NAME_MAX for channel, _ in pairs):
        raise Refused(
            "contact.addresses", f"A contact has {ADDRESSES_MAX} addresses at most, each by channel.", field=field
        )
    return pairs


def _short(value: str, field: str, most: int = EXTERNAL_ID_MAX) -> str:
    value = value.strip()
    if not value or len(value) > most or _CONTROL.search(value) or "\n" in value or "\t" in value:
        raise Refused("contact.address", f"An address has 1 to {most} visible characters.", field=field)
    return value


def _text(value: str, most: int) -> str:
    if len(value) <= most and value.isprintable() and value == value.strip() and "  " not in value:
        return value  # as nearly every name is written
    return " ".join(_CONTROL.sub("", value[: most * 2]).split())[:most]


def _name(value: Mapping[str, Any]) -> str:
    name = value.get("name")
    if type(name) is not str or not name.strip():
        given = [value.get("first_name") or value.get("firstname"), value.get("last_name") or value.get("lastname")]
        name = " ".join([part for part in given if type(part) is str])
    return _text(name, NAME_MAX) if name else ""


def _fields(value: Mapping[str, Any], field: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for key, one in () if _OWN.issuperset(value) else value.items():
        if key in _OWN:
            continue
        if type(one) is bool:
            one = "true" if one else "false"
        elif type(one) is int or type(one) is float:
            one = str(one)
        # Nested objects and nulls are the event's, not the contact's.
        if type(one) is str and len(key) <= FIELD_NAME_MAX:
            fields[key] = one[:FIELD_MAX]
    own_id = value.get("id")
    if type(own_id) in (str, int) and not str(own_id).startswith("con_"):
        fields["external_id"] = str(own_id)[:FIELD_MAX]
    for key, alias in (("first_name", "firstname"), ("last_name", "lastname")):
        one = value.get(key) or value.get(alias)
        if type(one) is str and one.strip():
            fields[key] = _text(one, NAME_MAX)
    if len(fields) > FIELDS_MAX:
        raise Refused("contact.fields", f"A contact has {FIELDS_MAX} fields of its own at most.", field=field)
    return fields
