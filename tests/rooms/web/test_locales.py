"""Locales: the choice, the fallback, and that every catalogue is complete."""

from pathlib import Path

import pytest

from beckon.core.errors import Misconfigured
from beckon.web.locales import (
    ENDONYMS,
    LOCALES,
    Catalogue,
    accepted,
    chain,
    choose_locale,
    match,
    read_catalogue,
)
from beckon.web.static import folders


@pytest.mark.parametrize("area", sorted(folders("locales")))
def test_every_catalogue_says_everything_in_all_eight_languages(area: str):
    catalogue = read_catalogue(folders("locales")[area])
    assert catalogue.locales == LOCALES
    assert catalogue.faults() == []


def test_there_are_catalogues_to_check_and_every_language_has_a_name():
    assert {"wvp", "customer"} <= set(folders("locales"))
    assert set(ENDONYMS) == set(LOCALES)


def test_faults_name_what_is_missing_surplus_different_and_empty():
    broken = Catalogue(
        {
            "en": {"a": "Hello {name}", "b": "B", "c": ["x", "y"], "d": "D"},
            "fr": {"a": "Bonjour {nom}", "c": ["x"], "d": " ", "e": "E"},
        }
    )
    assert sorted(broken.faults()) == [
        "fr: a has other names or another length than in en",
        "fr: b is missing",
        "fr: c has other names or another length than in en",
        "fr: d is empty",
        "fr: e is not in en",
    ]


@pytest.mark.parametrize(
    ("wanted", "served"),
    [
        ("fr", "fr"),
        ("fr-CH", "fr"),
        ("nl", "nl-BE"),
        ("nl-NL", "nl-BE"),
        ("nl_BE", "nl-BE"),
        ("NL-be", "nl-BE"),
        ("nb-NO", "no"),
        ("nn", "no"),
        ("en-GB", "en"),
        ("pt", None),
        ("", None),
        ("x" * 500, None),
    ],
)
def test_a_locale_is_served_by_itself_its_language_or_a_region_of_it(wanted: str, served: str | None):
    assert match(wanted, LOCALES) == served


def test_the_browsers_languages_come_by_their_weight():
    assert accepted("fr;q=0.5, de-AT, en;q=0.8, *;q=0.1") == ["de-AT", "en", "fr"]
    assert accepted("fr;q=oops, ;;, de;q=0") == []
    assert accepted("") == []


def test_what_was_chosen_goes_before_the_browser_and_that_before_the_default():
    assert choose_locale("sv", accept_language="fr") == "sv"
    assert choose_locale(None, "", "pt", accept_language="pt-BR, it;q=0.3") == "it"
    assert choose_locale(None, accept_language="pt") == "en"


def test_a_text_falls_back_from_the_region_to_the_language_to_english():
    assert chain("nl-BE") == ("nl-BE", "nl")
    catalogue = Catalogue({"en": {"a": "A", "b": "B", "c": "C"}, "nl": {"b": "B nl"}, "nl-BE": {"c": "C be"}})
    assert [catalogue.text("nl-BE", key) for key in "abc"] == ["A", "B nl", "C be"]
    with pytest.raises(KeyError):
        catalogue.text("nl-BE", "d")


def test_names_are_filled_in_and_nothing_else_is_touched():
    catalogue = Catalogue({"en": {"a": "{name} pays {sum} {__class__}"}})
    assert catalogue.text("en", "a", name="{sum}", sum="5") == "{sum} pays 5 {__class__}"


def test_a_broken_catalogue_is_named(tmp_path: Path):
    (tmp_path / "en.json").write_text('{"a": {"deep": 1}}')
    with pytest.raises(Misconfigured, match=r"en\.json"):
        read_catalogue(tmp_path)
    (tmp_path / "en.json").unlink()
    with pytest.raises(Misconfigured, match=r"no en\.json"):
        read_catalogue(tmp_path)
