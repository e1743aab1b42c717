"""The check-in's answers: what each field takes, and what is said when it doesn't."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.sandbox.wvp import answers
from beckon.sandbox.wvp.answers import FIELDS, STEPS, Fault, Rules, check, keep, read_phone
from beckon.sandbox.wvp.screens import WORDS, Speech

RULES = Rules(region="BE", unit="km", last_mileage=42_800)


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("0470 12 34 56", "BE", "+32470123456"),
        ("+32 470/12.34.56", "BE", "+32470123456"),
        ("0032 470 12 34 56", "BE", "+32470123456"),
        ("+32 (0)470 12 34 56", "BE", "+32470123456"),
        ("0033 6 12 34 56 78", "BE", "+33612345678"),
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("070-123 45 67", "SE", "+46701234567"),
    ],
)
def test_a_number_is_understood_however_it_is_written(text: str, region: str, number: str):
    assert read_phone(text, region) == number


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("0470 12", "wrong.phone_short"),
        ("0470 12 34 56 78 90 12", "wrong.phone_long"),
        ("+999 470 12 34 56", "wrong.phone_country"),
        ("call me", "wrong.phone_bad"),
        ("１２", "wrong.phone_short"),
    ],
)
def test_a_number_that_cannot_be_right_is_explained(text: str, key: str):
    assert read_phone(text, "BE") == Fault(key)


@pytest.mark.parametrize(
    "email", ["anna@example.com", "a.b+c@sub.example.co.uk", "ünï@example.com", "x@xn--bcher-kva.example"]
)
def test_real_mailboxes_are_taken(email: str):
    assert check("contact", {"name": "A", "email": email}, RULES).faults == {}


@pytest.mark.parametrize(
    ("email", "fault"),
    [
        ("anna", Fault("wrong.email_at")),
        ("anna@", Fault("wrong.email_bad")),
        ("anna@example", Fault("wrong.email_bad")),
        ("an na@example.com", Fault("wrong.email_bad")),
        ("anna@example..com", Fault("wrong.email_bad")),
        ("<script>@example.com", Fault("wrong.email_bad")),
        ("a@b@example.com", Fault("wrong.email_bad")),
        ("anna@gmial.com", Fault("wrong.email_slip", {"guess": "anna@gmail.com"})),
        ("anna@hotmail.con", Fault("wrong.email_slip", {"guess": "anna@hotmail.com"})),
    ],
)
def test_a_mailbox_that_cannot_be_right_is_explained(email: str, fault: Fault):
    assert check("contact", {"name": "A", "email": email}, RULES).faults == {"email": fault}


def test_a_name_and_one_way_to_be_reached_are_needed():
    faults = check("contact", {}, RULES).faults
    assert faults == {"name": Fault("wrong.name_missing"), "phone": Fault("wrong.reach_missing")}
    assert check("contact", {"name": "A", "phone": "0470 12 34 56"}, RULES).faults == {}


@pytest.mark.parametrize(
    ("text", "mileage"),
    [
        ("45300", 45_300),
        ("45.300", 45_300),
        ("45,300 km", 45_300),
        ("45 300", 45_300),
        ("45\u202f300", 45_300),
        ("45'300", 45_300),
        ("45300,7", 45_300),
        ("1.045.300 KM", 1_045_300),
    ],
)
def test_a_mileage_is_understood_however_it_is_written(text: str, mileage: int):
    checked = check("mileage", {"mileage": text}, RULES)
    assert checked.faults == {}
    assert checked.values == {"mileage": mileage, "mileage_unit": "km"}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "wrong.mileage_missing"),
        ("a lot", "wrong.mileage_bad"),
        ("-5", "wrong.mileage_bad"),
        ("45.30.0", "wrong.mileage_bad"),
        ("9999999", "wrong.mileage_high"),
        ("4530", "wrong.mileage_lower"),
    ],
)
def test_a_mileage_that_cannot_be_right_is_explained(text: str, key: str):
    assert check("mileage", {"mileage": text}, RULES).faults["mileage"].key == key


def test_a_lower_mileage_is_taken_when_it_is_confirmed_for_that_very_number():
    assert check("mileage", {"mileage": "4530", "mileage_sure": "4530"}, RULES).faults == {}
    assert check("mileage", {"mileage": "453", "mileage_sure": "4530"}, RULES).faults
    assert check("mileage", {"mileage": "30000", "unit": "mi"}, RULES).faults == {}, "another unit can't be compared"


def test_a_key_at_home_needs_an_address():
    assert check("key", {"key_drop": "home", "address": "  "}, RULES).faults == {
        "address": Fault("wrong.address_missing")
    }
    assert check("key", {"key_drop": "home", "address": "Kerkstraat 1, Gent"}, RULES).faults == {}
    assert check("key", {"key_drop": "box", "address": "left over"}, RULES).values == {"kind": "box"}
    assert check("key", {"key_drop": "under the mat"}, RULES).faults == {"key_drop": Fault("wrong.key_missing")}


def test_only_the_order_is_needed_and_nothing_is_agreed_unasked():
    assert check("consent", {}, RULES).faults == {"terms": Fault("wrong.terms_missing")}
    checked = check("consent", {"terms": "yes"}, RULES)
    assert checked.faults == {}
    assert checked.values == {"terms": True, "updates": False, "marketing": False}


def test_known_wishes_alone_are_kept():
    typed = keep("wishes", {"wish": ["noise", "wash", "<script>", "noise"], "note": ["x" * 5_000]})
    assert typed == {"wish": "wash noise", "note": "x" * 1_000}
    assert check("wishes", typed, RULES).values["wishes"] == ["wash", "noise"]


@given(st.dictionaries(st.sampled_from([name for names in FIELDS.values() for name in names]), st.lists(st.text())))
def test_whatever_is_typed_is_cut_to_size_and_checked_without_an_error(form: dict[str, list[str]]):
    for step in STEPS:
        typed = keep(step, form)
        assert set(typed) == set(FIELDS[step])
        assert all(len(value) <= FIELDS[step][name] for name, value in typed.items())
        for fault in check(step, typed, RULES).faults.values():
            assert Speech("fr", "Garage").fault(fault)


def test_every_fault_step_wish_and_choice_can_be_said():
    import inspect
    import re

    source = inspect.getsource(answers)
    keys = set(re.findall(r'"(wrong\.[a-z_]+)"', source))
    keys |= {f"short.{step}" for step in STEPS} | {f"wish.{wish}" for wish in answers.WISHES}
    keys |= {f"key.{kind}" for kind in answers.KEY_DROPS} | {f"consent.{name}" for name in answers.CONSENTS}
    assert len(keys) > 30
    assert [key for key in sorted(keys) if not WORDS.has(key)] == []


def test_a_result_says_dates_and_numbers_in_the_customers_language():
    at: Any = 1_795_591_800_000  # 2026-11-25T08:30+01:00
    assert Speech("en", "G").when(at, "Europe/Brussels") == "Wednesday 25 November, 08:30"
    assert Speech("fr", "G").when(at, "Europe/Brussels") == "mercredi 25 novembre à 08:30"
    assert Speech("de", "G").when(at, "Europe/Brussels") == "Mittwoch, 25. November, 08:30 Uhr"
    assert Speech("de", "G").distance(45_300, "km") == "45.300\u00a0km"
    assert Speech("en", "G").distance(45_300, "mi") == "45,300\u00a0mi"
