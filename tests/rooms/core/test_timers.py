"""Durations, instants, business hours, quiet hours, and the nights on which clocks change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.core.clock import from_iso, iso
from beckon.core.errors import Refused
from beckon.core.timers import (
    DAY_MS,
    Week,
    add_open,
    instant,
    is_open,
    next_clock,
    next_open,
    outside,
    parse_duration,
    parse_week,
    say_duration,
    zone_of,
)

BRUSSELS = ZoneInfo("Europe/Brussels")


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("10m", 600_000),
        ("24h", 86_400_000),
        ("2d", 172_800_000),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        ("1.5h", 5_400_000),
        ("90s", 90_000),
        ("500ms", 500),
        ("1w", 604_800_000),
        ("PT10M", 600_000),
        ("P1DT2H", 93_600_000),
        ("P2W", 1_209_600_000),
    ],
)
def test_durations_are_read(text: str, duration_ms: int) -> None:
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize(
    "text", ["", "10", "m", "10 minutes", "-5m", "1y", "P", "PT", "P1M", "P1DT", "401d", "9" * 30 + "d", "1h1"]
)
def test_other_texts_are_no_duration(text: str) -> None:
    with pytest.raises(Refused):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration_ms", "said"),
    [(500, "500 ms"), (90_000, "1 min 30 s"), (86_400_000, "24 h"), (172_800_000, "2 d"), (180_000_000, "2 d 2 h")],
)
def test_durations_are_said(duration_ms: int, said: str) -> None:
    assert say_duration(duration_ms) == said


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("2026-11-20T13:22:56Z", "2026-11-20T13:22:56.000Z"),
        ("2026-11-20T13:22:56+02:00", "2026-11-20T11:22:56.000Z"),
        ("2026-11-20T13:22", "2026-11-20T12:22:00.000Z"),
        ("2026-11-20", "2026-11-19T23:00:00.000Z"),
        (1_795_165_200, "2026-11-20T09:00:00.000Z"),
        (1_795_165_200_000, "2026-11-20T09:00:00.000Z"),
    ],
)
def test_instants_are_read_in_the_contacts_time_zone(value: object, at: str) -> None:
    assert iso(instant(value, BRUSSELS)) == at


@pytest.mark.parametrize("value", ["tomorrow", "", "2026-13-01", True, None, [], -1, 10**15, float("nan")])
def test_other_values_are_no_instant(value: object) -> None:
    with pytest.raises(Refused):
        instant(value, BRUSSELS)


@pytest.mark.parametrize(
    ("now", "week", "then"),
    [
        ("2026-11-20T09:00:00Z", "Mon-Fri 09:00-18:00", "2026-11-20T09:00:00.000Z"),  # open
        ("2026-11-20T17:30:00Z", "Mon-Fri 09:00-18:00", "2026-11-23T08:00:00.000Z"),  # Friday evening
        ("2026-11-20T07:30:00Z", "Mon-Fri 09:00-18:00", "2026-11-20T08:00:00.000Z"),
        ("2026-11-20T22:30:00Z", "22:00-06:00", "2026-11-20T22:30:00.000Z"),  # over midnight
        ("2026-11-20T06:30:00Z", "22:00-06:00", "2026-11-20T21:00:00.000Z"),
        ("2026-11-20T09:00:00Z", "Sun 10:00-12:00, Sat 10:00-11:00", "2026-11-21T09:00:00.000Z"),
        ("2026-11-20T09:00:00Z", "Sat-Mon 10:00-24:00", "2026-11-21T09:00:00.000Z"),
        ("2026-03-28T22:00:00Z", "02:30-04:00", "2026-03-29T01:30:00.000Z"),  # 02:30 does not exist that night
        ("2026-10-24T22:00:00Z", "02:30-04:00", "2026-10-25T00:30:00.000Z"),  # 02:30 exists twice
    ],
)
def test_the_next_open_hour(now: str, week: str, then: str) -> None:
    assert iso(next_open(from_iso(now), parse_week(week), BRUSSELS)) == then


def test_quiet_hours_are_the_others() -> None:
    quiet = parse_week("21:00-08:00")
    assert iso(next_open(from_iso("2026-11-20T20:30:00Z"), outside(quiet), BRUSSELS)) == "2026-11-21T07:00:00.000Z"
    assert iso(next_open(from_iso("2026-11-20T12:30:00Z"), outside(quiet), BRUSSELS)) == "2026-11-20T12:30:00.000Z"
    with pytest.raises(Refused):
        outside(parse_week("00:00-24:00"))


@pytest.mark.parametrize(
    "text", ["", "9-18", "09:00", "09:00-09:00", "Foo 09:00-10:00", "25:00-26:00", "Mon 1 2", "24:00-01:00", ","]
)
def test_other_texts_are_no_hours(text: str) -> None:
    with pytest.raises(Refused):
        parse_week(text)


def test_business_hours_are_counted_over_the_weekend() -> None:
    week = parse_week("Mon-Fri 09:00-18:00")
    friday = from_iso("2026-11-20T15:00:00Z")  # 16:00 in Brussels
    assert iso(add_open(friday, 4 * 3_600_000, week, BRUSSELS)) == "2026-11-23T10:00:00.000Z"
    assert iso(add_open(friday, 2 * 3_600_000, week, BRUSSELS)) == "2026-11-20T17:00:00.000Z"


def test_a_time_of_day_keeps_its_hour_over_the_change_of_clocks() -> None:
    before = from_iso("2026-03-28T12:00:00Z")
    assert iso(next_clock(before, 9 * 60, BRUSSELS)) == "2026-03-29T07:00:00.000Z"
    assert iso(next_clock(before - 6 * 3_600_000, 9 * 60, BRUSSELS)) == "2026-03-28T08:00:00.000Z"


def test_an_unknown_time_zone_falls_back() -> None:
    assert zone_of({"time_zone": "Mars/Olympus"}, "Europe/Brussels").key == "Europe/Brussels"
    assert zone_of({"time_zone": "../../etc/passwd"}, "").key == "UTC"
    assert zone_of(None, "").key == "UTC"


spans = st.tuples(st.integers(0, 1_439), st.integers(0, 1_440)).filter(lambda span: span[0] != span[1])
weeks = st.lists(st.tuples(st.sampled_from(["", "Mon-Fri ", "Sat-Mon ", "Wed "]), spans), min_size=1, max_size=3).map(
    lambda parts: ", ".join(f"{days}{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for days, (a, b) in parts)
)
moments = st.integers(from_iso("2026-01-01T00:00:00Z"), from_iso("2027-01-01T00:00:00Z"))
zones = st.sampled_from(["Europe/Brussels", "UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]).map(
    ZoneInfo
)


@given(weeks, moments, zones)
def test_the_next_open_moment_is_open_and_none_was_missed(text: str, at_ms: int, zone: ZoneInfo) -> None:
    week = parse_week(text)
    then = next_open(at_ms, week, zone)
    assert then >= at_ms
    assert is_open(then, week, zone)
    if then > at_ms:
        for missed in range(at_ms, then, max((then - at_ms) // 40, 60_000)):
            assert not is_open(missed, week, zone)


@given(weeks, moments)
def test_a_moment_is_either_open_or_quiet(text: str, at_ms: int) -> None:
    week = parse_week(text)
    try:
        free = outside(week)
    except Refused:
        assert is_open(at_ms, week, BRUSSELS)
        return
    assert is_open(at_ms, week, BRUSSELS) != is_open(at_ms, free, BRUSSELS)


@given(weeks, moments, st.integers(1, 10 * DAY_MS))
def test_open_time_is_never_shorter_than_time(text: str, at_ms: int, duration_ms: int) -> None:
    week: Week = parse_week(text)
    try:
        then = add_open(at_ms, duration_ms, week, BRUSSELS)
    except Refused:
        return  # a week with a minute in it: reckoned for years, and given up
    assert then >= at_ms + duration_ms


def test_open_time_of_every_hour_is_time() -> None:
    start = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp() * 1_000)
    assert add_open(start, 5 * DAY_MS, parse_week("00:00-24:00"), UTC) == start + 5 * DAY_MS
