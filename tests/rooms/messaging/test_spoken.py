"""Days, times and amounts in the reader's words."""

import pytest

from beckon.core.errors import Refused
from beckon.core.spoken import day, money, time

LOCALES = ("en", "fr", "de", "nl-BE", "it", "es", "sv", "no")


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en", "Tuesday 3 March"),
        ("fr", "mardi 3 mars"),
        ("de", "Dienstag, 3. März"),
        ("nl-BE", "dinsdag 3 maart"),
        ("it", "martedì 3 marzo"),
        ("es", "martes, 3 de marzo"),
        ("sv", "tisdag 3 mars"),
        ("no", "tirsdag 3. mars"),
        ("nb-NO", "tirsdag 3. mars"),
        ("pl", "Tuesday 3 March"),
    ],
)
def test_a_day_is_said_in_the_readers_language(locale: str, said: str) -> None:
    assert day("2026-03-03T09:30:00+01:00", locale, "Europe/Brussels") == said


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en", "€1,234.50"),
        ("fr", "1\u202f234,50\u00a0€"),
        ("de", "1.234,50\u00a0€"),
        ("nl-BE", "€\u00a01.234,50"),
        ("it", "1.234,50\u00a0€"),
        ("es", "1.234,50\u00a0€"),
        ("sv", "1\u00a0234,50\u00a0€"),
        ("no", "1\u00a0234,50\u00a0€"),
    ],
)
def test_an_amount_is_written_as_the_reader_writes_it(locale: str, said: str) -> None:
    assert money("1234.5", "EUR", locale) == said


def test_currencies_have_their_signs_and_their_cents() -> None:
    assert money(1234, "SEK", "sv") == "1\u00a0234,00\u00a0kr"
    assert money(1234.5, "JPY", "en") == "JPY\u00a01,234"
    assert money(-5, "GBP", "en") == "-£5.00"
    assert money(5, "", "de") == "5,00"


def test_an_instant_is_told_on_the_readers_clock() -> None:
    assert time("2026-07-03T07:30:00Z", "Europe/Brussels") == "09:30"
    assert time("2026-07-03T07:30:00Z", "") == "07:30"
    assert time("2026-07-03T09:30:00", "Europe/Brussels") == "09:30"
    assert time(1_783_063_800_000, "Europe/Brussels") == "09:30"
    assert day("2026-07-03", "en", "America/New_York") == "Friday 3 July"


@pytest.mark.parametrize("value", ["soon", "", "2026-13-01", True, 10**18, "9" * 100])
def test_what_is_no_instant_is_refused(value: object) -> None:
    with pytest.raises(Refused):
        day(value, "en", "UTC")


@pytest.mark.parametrize("value", ["abc", "", "NaN", "Infinity", 10**16, None])
def test_what_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(Refused):
        money(value, "EUR", "en")


def test_every_language_names_all_days_and_months() -> None:
    for locale in LOCALES:
        said = {day(f"2026-{month:02d}-{date:02d}", locale, "UTC") for month in range(1, 13) for date in range(1, 8)}
        assert len(said) == 84
