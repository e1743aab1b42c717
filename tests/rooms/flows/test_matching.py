"""Keys: what is equal has the same, what is not has another; an event costs the same however many sleep."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.flows.matching import CONTACT, Shape, canonical, key_of, keys_of, wait_key
from tests.rooms.flows.stage import event_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (1, "1"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (10**30, "1" + "0" * 30),
        (1e22, repr(1e22)),
        (True, "true"),
        (False, "false"),
        ({"id": "con_1", "name": "Ann"}, "con_1"),
        (None, None),
        ("", None),
        ([], None),
        ({}, None),
        (float("nan"), None),
        (float("inf"), None),
        ("x" * 1_001, None),
        (10**50, None),
    ],
)
def test_values_are_compared_as_text(value: Any, text: str | None) -> None:
    assert canonical(value) == text


def test_a_wait_and_its_event_have_the_same_key() -> None:
    event = event_of("a.b", {"visit": 17, "car": {"plate": "1-ABC"}}, subject="s")
    shapes = [
        Shape("a.b", ("car.plate", "visit")),
        Shape("a.b", ("visit",)),
        Shape("a.b", (CONTACT,)),
        Shape("a.b", ("@subject",)),
        Shape("a.b", ("nothing",)),
        Shape("a.b", ("car.plate.x",)),
        Shape("c.d", ("visit",)),
    ]
    assert keys_of(shapes, event, "con_1") == [
        wait_key("wks", "a.b", [("visit", "17"), ("car.plate", "1-ABC")]),
        wait_key("wks", "a.b", [("visit", "17")]),
        wait_key("wks", "a.b", [(CONTACT, "con_1")]),
        wait_key("wks", "a.b", [("@subject", "s")]),
    ]
    assert keys_of(shapes, event_of("a.b", "no object"), "") == []


words = st.text(max_size=8)


@given(st.tuples(words, words, words, words), st.tuples(words, words, words, words))
def test_only_the_same_words_have_the_same_key(
    one: tuple[str, str, str, str], other: tuple[str, str, str, str]
) -> None:
    keys = [wait_key(workspace, kind, [(name, value)]) for workspace, kind, name, value in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


@given(st.dictionaries(st.sampled_from("abc"), st.text(min_size=1, max_size=5), min_size=1))
def test_the_order_of_names_does_not_matter(values: dict[str, str]) -> None:
    pairs = list(values.items())
    event = event_of("a.b", values)
    assert wait_key("wks", "a.b", pairs) == wait_key("wks", "a.b", pairs[::-1])
    assert key_of(Shape("a.b", tuple(sorted(values))), event, "") == wait_key("wks", "a.b", pairs)
