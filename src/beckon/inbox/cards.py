"""Cards: how the fields of a results entry are laid out for reading. Pure.

A journey declares the cards that it knows (``Card``); fields that no card names are shown all the same, after
the named ones, with their names made readable. Nothing that came in is hidden.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

#: How deep nested objects are laid out, and how many items of a list.
DEPTH_MAX = 4
ITEMS_MAX = 50
TEXT_MAX = 2_000

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


class Field(msgspec.Struct, frozen=True):
    """How one field is called on a card. ``unit`` follows a number: ``km``."""

    name: str
    label: str
    unit: str = ""
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


def lay_out(fields: Mapping[str, Any], cards: Sequence[Card] = ()) -> Laid:
    """The rows for these results by the first card that fits, or by their own names."""
    card = next((card for card in cards if card.needs <= fields.keys()), None)
    if card is None:
        return Laid("Results", _rows(fields, 0))
    named = {field.name: field for field in card.fields}
    rows = [Row(field.label, _value(fields[field.name], 0, field)) for field in card.fields if field.name in fields]
    rest = {name: value for name, value in fields.items() if name not in named and name not in card.quiet}
    return Laid(card.title, (*rows, *_rows(rest, 0)))


def readable(name: str) -> str:
    """A field's name for people: ``key_drop`` → ``Key drop``, ``licensePlate`` → ``License plate``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").strip()
    if not parted:
        return name
    words = parted.split()
    return " ".join([words[0][:1].upper() + words[0][1:], *(w if w.isupper() else w.lower() for w in words[1:])])


def _rows(fields: Mapping[str, Any], depth: int, inside: Field | None = None) -> tuple[Row, ...]:
    return tuple(Row(readable(str(name)), _value(value, depth, inside)) for name, value in fields.items())


def _value(value: Any, depth: int, field: Field | None) -> Value:
    if value is None or value in ("", [], {}):
        return Value("empty")
    if isinstance(value, bool):
        return Value("yes" if value else "no")
    if isinstance(value, int | float):
        return Value("text", _number(value) + (f" {field.unit}" if field and field.unit else ""))
    if isinstance(value, str):
        return _text(value, field)
    if depth >= DEPTH_MAX:
        return Value("text", "…")
    if isinstance(value, Mapping):
        if isinstance(value.get("granted"), bool):
            # A consent: the card says what was decided; the words that were agreed to stay in the event.
            return Value("yes" if value["granted"] else "no")
        words = Field(field.name, field.label, words=field.words) if field is not None and field.words else None
        return Value("fields", rows=_rows(dict(list(value.items())[:ITEMS_MAX]), depth + 1, words))
    return Value("list", items=tuple(_value(item, depth + 1, field) for item in list(value)[:ITEMS_MAX]))


def _text(value: str, field: Field | None) -> Value:
    if field is not None and value in field.words:
        return Value("text", field.words[value])
    if value.startswith(("https://", "http://")) and " " not in value:
        return Value("link", value[:TEXT_MAX])
    if _INSTANT.match(value):
        try:
            return Value("text", f"{datetime.fromisoformat(value):%-d %b %Y, %H:%M}")
        except ValueError:
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


def _number(value: int | float) -> str:
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}".rstrip("0").rstrip(".").replace(",", "\u202f")
    # A narrow gap reads the same in all eight locales, unlike a comma or a point.
    return f"{int(value):,}".replace(",", "\u202f")
