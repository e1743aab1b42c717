"""Answers: the check-in's steps and what each accepts. Pure: typed text in, values and faults out.

A fault is the key of a text in the catalogue with its values, so that it is said in the customer's language.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import phonenumbers
from phonenumbers import ValidationResult

STEPS = ("contact", "mileage", "wishes", "key", "consent", "review")

WISHES = (
    "wash",
    "replacement_car",
    "tyres",
    "wipers",
    "air_conditioning",
    "noise",
    "brakes",
    "battery",
    "call_first",
)
KEY_DROPS = ("counter", "box", "home")
CONSENTS = ("terms", "updates", "marketing")

#: The fields of each step and how many characters of each are kept.
FIELDS: dict[str, dict[str, int]] = {
    "contact": {"name": 100, "phone": 40, "email": 254},
    "mileage": {"mileage": 20, "unit": 2, "mileage_sure": 20},
    "wishes": {"wish": 200, "note": 1_000},
    "key": {"key_drop": 10, "address": 300},
    "consent": {"terms": 3, "updates": 3, "marketing": 3},
    "review": {},
}
MILEAGE_MAX = 2_000_000
_DIGITS_MAX = 15

_MAILBOX = re.compile(r"[^\s@<>(),;:\\\"\[\]]{1,64}@([A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}")
_NUMBER = re.compile(r"(\d{1,3}(?:[ .,'’\u00a0\u202f]\d{3})+|\d+)(?:[.,]\d{1,2})?(?:\s*(?:km|kms|mi|miles|mil))?", re.I)

#: Slips of the finger in the part behind the @.
_SLIPS = {
    "gmial.com": "gmail.com",
    "gmai.com": "gmail.com",
    "gmal.com": "gmail.com",
    "gamil.com": "gmail.com",
    "gmail.co": "gmail.com",
    "gmail.con": "gmail.com",
    "hotmial.com": "hotmail.com",
    "hotmai.com": "hotmail.com",
    "hotmail.con": "hotmail.com",
    "outlok.com": "outlook.com",
    "outlook.con": "outlook.com",
    "yaho.com": "yahoo.com",
    "yahoo.con": "yahoo.com",
    "icloud.con": "icloud.com",
}


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one field: a text's key, and its values."""

    key: str
    values: dict[str, str] = {}


class Rules(msgspec.Struct, frozen=True):
    """What the checks need to know of the visit."""

    #: whose national numbers are understood: ISO 3166, ``BE``.
    region: str = "BE"
    unit: str = "km"
    #: at the last visit; 0: not known.
    last_mileage: int = 0


class Checked(msgspec.Struct, frozen=True):
    """The values of a step, and its faults by the field."""

    values: dict[str, Any]
    faults: dict[str, Fault]


def keep(step: str, form: Mapping[str, list[str]]) -> dict[str, str]:
    """The step's fields of a sent form, cut to size; what wasn't ticked is empty."""
    kept: dict[str, str] = {}
    for name, size in FIELDS[step].items():
        values = form.get(name, [])
        if name == "wish":
            kept[name] = " ".join(one for one in WISHES if one in values)
        else:
            kept[name] = _clean(values[0])[:size] if values else ""
    return kept


def written_ms(form: Mapping[str, list[str]]) -> int:
    """When the browser wrote this form, by its own clock; 0: it doesn't say."""
    said = form.get("written", [""])[0]
    return int(said) if said.isdecimal() and len(said) <= _DIGITS_MAX else 0


def check(step: str, typed: Mapping[str, str], rules: Rules) -> Checked:
    """Check one step."""
    faults: dict[str, Fault] = {}
    values = _CHECKS[step](typed, rules, faults)
    return Checked(values, faults)


def _contact(typed: Mapping[str, str], rules: Rules, faults: dict[str, Fault]) -> dict[str, Any]:
    name = typed.get("name", "").strip()
    phone, email = typed.get("phone", "").strip(), typed.get("email", "").strip()
    if not name:
        faults["name"] = Fault("wrong.name_missing")
    if not phone and not email:
        faults["phone"] = Fault("wrong.reach_missing")
    values = {"name": name, "phone": "", "email": ""}
    if phone:
        read = read_phone(phone, rules.region)
        if isinstance(read, Fault):
            faults["phone"] = read
        else:
            values["phone"] = read
    if email:
        wrong = _email_fault(email)
        if wrong:
            faults["email"] = wrong
        else:
            values["email"] = email
    return values


def read_phone(text: str, region: str) -> str | Fault:
    """The number as E.164, or what is wrong with it."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            return Fault("wrong.phone_country")
        return Fault("wrong.phone_bad")
    match phonenumbers.is_possible_number_with_reason(number):
        case ValidationResult.TOO_SHORT | ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            return Fault("wrong.phone_short")
        case ValidationResult.TOO_LONG:
            return Fault("wrong.phone_long")
        case ValidationResult.INVALID_COUNTRY_CODE:
            return Fault("wrong.phone_country")
        case ValidationResult.IS_POSSIBLE:
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Fault("wrong.phone_bad")


def _email_fault(email: str) -> Fault | None:
    if "@" not in email:
        return Fault("wrong.email_at")
    mailbox, _, domain = email.rpartition("@")
    slip = _SLIPS.get(domain.lower())
    if slip:
        return Fault("wrong.email_slip", {"guess": f"{mailbox}@{slip}"})
    if len(email) > 254 or not _MAILBOX.fullmatch(email) or ".." in email or mailbox.startswith("."):
        return Fault("wrong.email_bad")
    return None


def _mileage(typed: Mapping[str, str], rules: Rules, faults: dict[str, Fault]) -> dict[str, Any]:
    text = typed.get("mileage", "").strip()
    unit = typed.get("unit", "") or rules.unit
    values: dict[str, Any] = {"mileage": 0, "mileage_unit": unit if unit in ("km", "mi") else rules.unit}
    if not text:
        faults["mileage"] = Fault("wrong.mileage_missing")
        return values
    found = _NUMBER.fullmatch(text)
    if found is None:
        faults["mileage"] = Fault("wrong.mileage_bad")
        return values
    number = int(re.sub(r"\D", "", found[1]))
    if number > MILEAGE_MAX:
        faults["mileage"] = Fault("wrong.mileage_high")
        return values
    values["mileage"] = number
    # Only what was meant for this very number counts as "yes, it is right".
    lower = values["mileage_unit"] == rules.unit and number < rules.last_mileage
    if lower and typed.get("mileage_sure") != str(number):
        faults["mileage"] = Fault("wrong.mileage_lower", {"number": str(number), "last": str(rules.last_mileage)})
    return values


def _wishes(typed: Mapping[str, str], rules: Rules, faults: dict[str, Fault]) -> dict[str, Any]:
    chosen = typed.get("wish", "").split()
    return {"wishes": [one for one in WISHES if one in chosen], "note": typed.get("note", "").strip()}


def _key(typed: Mapping[str, str], rules: Rules, faults: dict[str, Fault]) -> dict[str, Any]:
    kind, address = typed.get("key_drop", ""), typed.get("address", "").strip()
    if kind not in KEY_DROPS:
        faults["key_drop"] = Fault("wrong.key_missing")
        return {"kind": ""}
    if kind != "home":
        return {"kind": kind}
    if len(address) < 6:
        faults["address"] = Fault("wrong.address_missing")
    return {"kind": kind, "address": address}


def _consent(typed: Mapping[str, str], rules: Rules, faults: dict[str, Fault]) -> dict[str, Any]:
    values = {name: typed.get(name) == "yes" for name in CONSENTS}
    if not values["terms"]:
        faults["terms"] = Fault("wrong.terms_missing")
    return values


def _review(typed: Mapping[str, str], rules: Rules, faults: dict[str, Fault]) -> dict[str, Any]:
    return {}


_CHECKS: dict[str, Callable[[Mapping[str, str], Rules, dict[str, Fault]], dict[str, Any]]] = {
    "contact": _contact,
    "mileage": _mileage,
    "wishes": _wishes,
    "key": _key,
    "consent": _consent,
    "review": _review,
}


def _clean(text: str) -> str:
    """Text without control characters, which no keyboard types; line breaks stay."""
    text = text.replace("\r\n", "\n")
    return "".join(letter for letter in text if letter == "\n" or (letter.isprintable() or letter in "\u00a0\u202f"))
