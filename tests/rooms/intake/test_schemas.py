"""Schemas: an event's data is what its type promises, or the field that isn't is named, and its value is not."""

from typing import Any

import pytest

from beckon.core.errors import Misconfigured, Refused
from beckon.intake.schemas import Schema

VISIT = {
    "type": "object",
    "required": ["visit", "contact"],
    "additionalProperties": False,
    "properties": {
        "visit": {"type": "string", "minLength": 1, "maxLength": 20},
        "contact": {"type": "object", "properties": {"email": {"type": "string", "format": "email"}}},
        "mileage": {"type": "integer", "minimum": 0},
        "wishes": {"type": "array", "items": {"enum": ["wash", "tyres"]}, "maxItems": 3},
        "at": {"type": "string", "format": "date-time"},
    },
}


@pytest.mark.parametrize(
    "data",
    [
        {"visit": "V-1", "contact": {}},
        {"visit": "V-1", "contact": {"email": "ann@example.com"}, "mileage": 0, "wishes": ["wash"]},
        {"visit": "V-1", "contact": {}, "at": "2026-11-20T13:22:56Z"},
    ],
)
def test_data_that_fits_is_let_through(data: Any):
    Schema("checkin.start", VISIT).check(data)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"contact": {}}, "data.visit"),
        ({"visit": "V-1"}, "data.contact"),
        ({"visit": "", "contact": {}}, "data.visit"),
        ({"visit": "V" * 21, "contact": {}}, "data.visit"),
        ({"visit": 17, "contact": {}}, "data.visit"),
        ({"visit": "V-1", "contact": "Ann"}, "data.contact"),
        ({"visit": "V-1", "contact": {"email": "no mailbox"}}, "data.contact.email"),
        ({"visit": "V-1", "contact": {}, "mileage": -1}, "data.mileage"),
        ({"visit": "V-1", "contact": {}, "mileage": 1.5}, "data.mileage"),
        ({"visit": "V-1", "contact": {}, "wishes": ["wash", "gold"]}, "data.wishes.1"),
        ({"visit": "V-1", "contact": {}, "wishes": ["wash"] * 4}, "data.wishes"),
        ({"visit": "V-1", "contact": {}, "at": "yesterday"}, "data.at"),
        ({"visit": "V-1", "contact": {}, "more": 1}, "data"),
        (None, "data"),
        ([], "data"),
        ("text", "data"),
    ],
)
def test_the_field_that_is_wrong_is_named(data: Any, field: str):
    with pytest.raises(Refused) as caught:
        Schema("checkin.start", VISIT).check(data)
    assert (caught.value.code, caught.value.field) == ("event.data", field)
    assert caught.value.why.startswith(f"{field}: ")


def test_the_value_that_is_wrong_stays_out_of_the_sentence():
    with pytest.raises(Refused) as caught:
        Schema("checkin.start", VISIT).check({"visit": 1, "contact": {"email": "private words"}})
    assert "private" not in caught.value.why


def test_a_sentence_has_an_end():
    schema = Schema("x", {"enum": ["a" * 1_000]})
    with pytest.raises(Refused) as caught:
        schema.check("b")
    assert len(caught.value.why) < 300


@pytest.mark.parametrize(
    "document",
    [
        {"type": "thing"},
        {"properties": 5},
        {"pattern": "("},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"allOf": {}},
    ],
)
def test_a_document_that_is_no_schema_is_refused_and_nothing_is_fetched(document: dict[str, Any]):
    with pytest.raises(Misconfigured) as caught:
        Schema("checkin.start", document)
    assert caught.value.code == "schema.broken"
    assert "checkin.start" in caught.value.why


def test_a_schema_may_refer_to_itself():
    schema = Schema("tree", {"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": False})
    deep: dict[str, Any] = {}
    for _ in range(30):
        deep = {"child": deep}
    schema.check(deep)
    with pytest.raises(Refused):
        schema.check({"child": {"other": 1}})


def test_a_hostile_pattern_does_not_hold_up_the_door():
    schema = Schema("x", {"type": "string", "pattern": "^(a+)+$"})
    with pytest.raises(Refused):
        schema.check("a" * 5_000 + "!")
