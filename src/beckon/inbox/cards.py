"""Cards: how the fields of a results entry are laid out for reading. Pure.

A journey declares the cards that it knows (``Card``); fields that no card names are shown all the same, after
the named ones, with their names made readable. Nothing that came in is hidden.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Any

import msgspec

#: How deep nested objects are laid out, and how many items of a list.
DEPTH_MAX = 4
ITEMS_MAX = 50
TEXT_MAX = 2_000

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_UNIT = re.compile(r"[^\W\d_]{1,8}\Z")
#: A currency's code: its amounts have two places, whole ones too.
_CURRENCY = re.compile(r"[A-Z]{3}\Z")
_AMOUNT_MAX = 1e15


class Field(msgspec.Struct, frozen=True):
    """How one field is called on a card. ``unit`` follows a number: ``km``."""

    name: str
    label: str
    unit: str = ""
    #: the field that says the unit, where it differs from visit to visit; it gets no line of its own.
    unit_from: str = ""
    #: words for particular values: ``{"keybox": "In the key box"}``.
    words: dict[str, str] = {}


class Card(msgspec.Struct, frozen=True):
    """A card: it is taken for results that have all the fields in ``needs``."""

    title: str
    needs: frozenset[str]
    fields: tuple[Field, ...]
    #: fields that are left to the raw view: ids that say nothing to a person.
    quiet: frozenset[str] = frozenset()


class Value(msgspec.Struct, frozen=True):
    """A value ready to be shown. ``kind``: text, yes, no, link, list, fields, empty."""

    kind: str
    text: str = ""
    items: tuple["Value", ...] = ()
    rows: tuple["Row", ...] = ()


class Row(msgspec.Struct, frozen=True):
    """One line of a card."""

    label: str
    value: Value


class Laid(msgspec.Struct, frozen=True):
    """A card with its rows, ready to be shown."""

    title: str
    rows: tuple[Row, ...]


def lay_out(fields: Mapping[str, Any], cards: Sequence[Card] = (), zone: tzinfo = UTC) -> Laid:
    """The rows for these results by the first card that fits, or by their own names; instants in this time zone."""
    card = next((card for card in cards if card.needs <= fields.keys()), None)
    if card is None:
        return Laid("Results", _rows(fields, 0, zone))
    shown: set[str] = set(card.quiet)
    rows: list[Row] = []
    for field in card.fields:
        if field.name in fields:
            shown.add(field.name)
            unit = _unit(fields, field)
            if unit:
                shown.add(field.unit_from)
                field = msgspec.structs.replace(field, unit=unit)
            rows.append(Row(field.label, _value(fields[field.name], 0, zone, field)))
    rest = {name: value for name, value in fields.items() if name not in shown}
    return Laid(card.title, (*rows, *_rows(rest, 0, zone)))


def _unit(fields: Mapping[str, Any], field: Field) -> str:
    """The unit that another field says, where both make sense together."""
    number, unit = fields[field.name], fields.get(field.unit_from)
    if isinstance(number, int | float) and not isinstance(number, bool) and isinstance(unit, str):
        return unit if _UNIT.match(unit) else ""
    return ""


def readable(name: str) -> str:
    """A field's name for people: ``key_drop`` → ``Key drop``, ``licensePlate`` → ``License plate``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").strip()
    if not parted:
        return name
    words = parted.split()
    return " ".join([words[0][:1].upper() + words[0][1:], *(w if w.isupper() else w.lower() for w in words[1:])])


def _rows(fields: Mapping[str, Any], depth: int, zone: tzinfo, inside: Field | None = None) -> tuple[Row, ...]:
    return tuple(Row(readable(str(name)), _value(value, depth, zone, inside)) for name, value in fields.items())


def _value(value: Any, depth: int, zone: tzinfo, field: Field | None) -> Value:
    if value is None or value in ("", [], {}):
        return Value("empty")
    if isinstance(value, bool):
        return Value("yes" if value else "no")
    if isinstance(value, int | float):
        unit = field.unit if field is not None else ""
        written = f"{value:,.2f}".replace(",", "\u202f") if _is_amount(value, unit) else _number(value)
        return Value("text", f"{written} {unit}" if unit else written)
    if isinstance(value, str):
        return _text(value, zone, field)
    if depth >= DEPTH_MAX:
        return Value("text", "…")
    if isinstance(value, Mapping):
        if isinstance(value.get("granted"), bool):
            # A consent: the card says what was decided; the words that were agreed to stay in the event.
            return Value("yes" if value["granted"] else "no")
        words = Field(field.name, field.label, words=field.words) if field is not None and field.words else None
        return Value("fields", rows=_rows(dict(list(value.items())[:ITEMS_MAX]), depth + 1, zone, words))
    return Value("list", items=tuple(_value(item, depth + 1, zone, field) for item in list(value)[:ITEMS_MAX]))


def _text(value: str, zone: tzinfo, field: Field | None) -> Value:
    if field is not None and value in field.words:
        return Value("text", field.words[value])
    if value.startswith(("https://", "http://")) and " " not in value:
        return Value("link", value[:TEXT_MAX])
    if _INSTANT.match(value):
        try:
            at = datetime.fromisoformat(value)
            return Value("text", f"{at if at.tzinfo is None else at.astimezone(zone):%-d %b %Y, %H:%M}")
        except (ValueError, OverflowError):
            return Value("text", value[:TEXT_MAX])
    if _DAY.match(value):
        try:
            return Value("text", f"{date.fromisoformat(value):%-d %b %Y}")
        except ValueError:
            return Value("text", value)
    text = value[:TEXT_MAX]
    if field is not None and field.unit and value.replace(" ", "").isdigit():
        text = f"{_number(int(value.replace(' ', '')))} {field.unit}"
    return Value("text", text)


def _is_amount(value: int | float, unit: str) -> bool:
    return _CURRENCY.match(unit) is not None and abs(value) < _AMOUNT_MAX


def _number(value: int | float) -> str:
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}".rstrip("0").rstrip(".").replace(",", "\u202f")
    # A narrow gap reads the same in all eight locales, unlike a comma or a point.
    return f"{int(value):,}".replace(",", "\u202f")
