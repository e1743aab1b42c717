"""Signed codes: ours are known, all others are refused without a look-up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.web.links import CODE_LENGTH, Link, code_is_ours, derived_code, new_code

KEY = b"k" * 32


def test_a_code_is_ours_under_its_own_key_only():
    code = new_code(KEY)
    assert code_is_ours(code, KEY)
    assert not code_is_ours(code, b"another key")


def test_codes_are_fresh_and_made_for_addresses():
    codes = {new_code(KEY) for _ in range(500)}
    assert len(codes) == 500
    assert all(len(code) == CODE_LENGTH and code.isalnum() and code == code.lower() for code in codes)


def test_the_same_words_always_get_the_same_code():
    assert derived_code(KEY, "dlv_1", "0") == derived_code(KEY, "dlv_1", "0")
    assert derived_code(KEY, "dlv_1", "0") != derived_code(KEY, "dlv_1", "1")
    assert derived_code(KEY, "dlv_1", "0") != derived_code(b"other", "dlv_1", "0")
    assert code_is_ours(derived_code(KEY, "dlv_1"), KEY)


def test_changing_any_letter_breaks_the_code():
    code = new_code(KEY)
    for place, letter in enumerate(code):
        other = "0" if letter != "0" else "1"
        assert not code_is_ours(code[:place] + other + code[place + 1 :], KEY)


@given(st.text(max_size=40))
def test_no_text_is_ours_by_chance(text: str):
    assert not code_is_ours(text, KEY)


@pytest.mark.parametrize(
    "text", ["", "é" * CODE_LENGTH, "A" * CODE_LENGTH, "0" * (CODE_LENGTH - 1), "../../etc/passwd"]
)
def test_what_has_another_shape_is_refused(text: str):
    assert not code_is_ours(text, KEY)


def test_a_link_is_over_from_its_instant_on():
    link = Link(code="c", workspace="w", contact="con_1", delivery="dlv_1", url="https://x.example", expires_ms=100)
    assert not link.expired(99)
    assert link.expired(100)
    assert link.row() == ("c", "w", "con_1", "dlv_1", "https://x.example", 100)
