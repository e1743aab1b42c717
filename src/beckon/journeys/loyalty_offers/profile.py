"""Profile: what a customer says of themselves, checked and written one way, whichever door it came through. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers.member import Own
from beckon.messaging.contacts import normalise_email, normalise_locale, normalise_phone

NAME_MAX = 100
LINE_MAX = 200
PHONES_MAX = 10
CUSTOM_MAX = 100
CUSTOM_CHARS_MAX = 1_000
#: Numbers that every reader of JSON has exactly.
NUMBER_MAX = 1 << 53
ID_MAX = 200
TAG_MAX = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LENGTHS = {
    **dict.fromkeys(("first_name", "last_name"), NAME_MAX),
    **dict.fromkeys(("address", "city", "state", "country"), LINE_MAX),
    **dict.fromkeys(("zip", "gender"), 20),
}


def checked(fields: Mapping[str, Any], *, region: str, today: date, age_min: int) -> dict[str, Any]:
    """The fields that are said, as ``member.Profile`` has them. Raises ``Refused`` naming the wrong one."""
    made: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None:
            continue
        if name in _LENGTHS:
            made[name] = line(value, name, _LENGTHS[name])
        elif name == "email":
            made[name] = _named(normalise_email, value, "email") if value != "" else ""
        elif name == "born":
            made[name] = _born(value, today, age_min) if value != "" else ""
        elif name == "locale":
            made[name] = _named(normalise_locale, value, "locale") if value != "" else ""
        elif name == "opted_in":
            made[name] = _truth(value)
        elif name == "phones":
            made[name] = _phones(value, region)
        elif name == "custom":
            made[name] = _custom(value)
    return made


def line(value: Any, field: str, most: int) -> str:
    """One line of text. Raises ``Refused``: too long, or with signs that nobody types."""
    if type(value) is not str:
        raise Refused("profile.text", f"{field} is a text", field=field)
    text = value.strip()
    if len(text) > most:
        raise Refused("profile.too_long", f"{field} has {most} characters at most", field=field)
    if _CONTROL.search(text):
        raise Refused("profile.characters", f"{field} has characters that can't be shown", field=field)
    return text


def identifier(value: Any, field: str) -> str:
    """Another system's id, or a type of such ids."""
    text = line(value if type(value) is not int else str(value), field, ID_MAX)
    if not text:
        raise Refused("profile.empty", f"{field} is empty", field=field)
    return text


def tag(value: Any) -> str:
    """A tag."""
    text = line(value, "tags", TAG_MAX)
    if not text:
        raise Refused("profile.empty", "a tag is empty", field="tags")
    return text


def _born(value: Any, today: date, age_min: int) -> str:
    try:
        born = date.fromisoformat(str(value)[:10])
    except ValueError:
        raise Refused("profile.born", "the date of birth is written like 1990-12-31", field="dob") from None
    if born > today or born.year < 1900:
        raise Refused("profile.born", "nobody was born on that day", field="dob")
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if age < age_min:
        raise Refused("profile.age", f"members are at least {age_min} years old", field="dob")
    return born.isoformat()


def _truth(value: Any) -> bool:
    if type(value) is bool:
        return value
    if str(value).lower() in ("true", "1"):
        return True
    if str(value).lower() in ("false", "0"):
        return False
    raise Refused("profile.opted_in", "opted_in is true or false", field="opted_in")


def _phones(value: Any, region: str) -> list[dict[str, Any]]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > PHONES_MAX:
        raise Refused("profile.phones", f"phone numbers are a list of {PHONES_MAX} at most", field="phone_numbers")
    phones: list[dict[str, Any]] = []
    for one in value:
        if not isinstance(one, Mapping):
            raise Refused("profile.phones", "a phone number is an object", field="phone_numbers")
        number = one.get("number")
        if type(number) is not str:
            raise Refused("profile.phones", "a phone number is a text", field="phone_numbers")
        try:
            e164 = normalise_phone(number, region)
        except Refused as error:
            raise Refused(error.code, error.why, field="phone_numbers") from None
        flags = one.get("flags") or ()
        if not isinstance(flags, Sequence) or isinstance(flags, str) or len(flags) > 20:
            raise Refused("profile.phones", "preference_flags are a list of words", field="phone_numbers")
        phones.append(
            {
                "number": e164,
                "type": line(one.get("type") or "", "phone_numbers", 40),
                "flags": [line(flag, "phone_numbers", 40) for flag in flags],
                "verified": one.get("verified") is True,
            }
        )
    if len({phone["number"] for phone in phones}) != len(phones):
        raise Refused("profile.phones", "a phone number is there twice", field="phone_numbers")
    return phones


def _custom(value: Any) -> dict[str, Own]:
    if not isinstance(value, Mapping) or len(value) > CUSTOM_MAX:
        raise Refused("profile.custom", f"own fields are an object of {CUSTOM_MAX} at most", field="user_profile")
    custom: dict[str, Own] = {}
    for name, one in value.items():
        if one is not None:
            field = f"user_profile.{str(name)[:40]}"
            custom[line(name, "user_profile", NAME_MAX)] = _own(one, field)
    return custom


def _own(value: Any, field: str) -> Own:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if not -NUMBER_MAX <= value <= NUMBER_MAX:
            raise Refused("profile.custom", f"{field} is too large a number", field=field)
        return value
    if isinstance(value, list):
        if len(value) > CUSTOM_MAX:
            raise Refused("profile.custom", f"{field} is a list of {CUSTOM_MAX} at most", field=field)
        return [line(one, field, NAME_MAX) for one in value]
    if isinstance(value, Mapping):
        raise Refused("profile.custom", f"{field} is a text, a number, true or false, or a list of texts", field=field)
    return line(value, field, CUSTOM_CHARS_MAX)


def _named(read: Any, value: Any, field: str) -> str:
    if type(value) is not str:
        raise Refused("profile.text", f"{field} is a text", field=field)
    try:
        return str(read(value))
    except Refused as error:
        raise Refused(error.code, error.why, field=field) from None
