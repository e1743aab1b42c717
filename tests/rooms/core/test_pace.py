"""Pace: how large a piece of big work is, what pause follows it, and what makes it give way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.core.pace import CALM_S, CALM_TIMES, PATIENCE_S, PIECE_FIRST, PIECE_MAX, PIECE_MIN, SHARE_MIN, Pace


def learned(pace: Pace, *, floor_s: float = 0.001, each_s: float = 0.0001, at_s: float = 100.0) -> None:
    """A hundred pieces of so much for each member, and what any turn costs besides."""
    for _ in range(100):
        pace.turned(floor_s, big=False)
        size = pace.size(at_s, "round")
        pace.spent(at_s, floor_s + size * each_s, "round", size)


def test_a_piece_takes_what_it_may_beyond_what_any_turn_costs():
    pace = Pace(piece_ms=4)
    assert pace.size(100.0, "round") == PIECE_FIRST
    learned(pace)
    pace.heard(100.0, 1)
    assert pace.size(100.1, "round") == pytest.approx(40, abs=1)
    assert pace.size(100.1, "another") == PIECE_FIRST
    assert pace.size(100.0 + CALM_S, "round") == pytest.approx(40 * CALM_TIMES, abs=3)


def test_a_slow_disk_makes_no_smaller_pieces():
    quick, slow = Pace(), Pace()
    learned(quick, floor_s=0.001)
    learned(slow, floor_s=0.1)
    for pace in (quick, slow):
        pace.heard(100.0, 1)
    assert abs(quick.size(100.1, "round") - slow.size(100.1, "round")) <= 2


@pytest.mark.parametrize(("each_s", "size"), [(1.0, PIECE_MIN), (0.0000001, PIECE_MAX)])
def test_a_piece_has_a_least_and_a_most(each_s: float, size: int):
    pace = Pace()
    learned(pace, each_s=each_s)
    assert pace.size(100.1, "round") == size


def test_while_others_come_a_pause_follows_each_piece_and_nobody_there_means_none():
    pace = Pace(share_percent=25)
    pace.heard(10.0, 1)
    pace.spent(10.0, 0.01, "round", 16)
    assert pace.pause_s(10.0) == pytest.approx(0.03)
    pace.spent(10.0, 0.01, "round", 16, "told")
    assert pace.pause_s(10.0) == pytest.approx(0.06), "what followed from it counts as well"
    assert pace.pause_s(10.06) == 0
    assert pace.pause_s(10.0 + CALM_S) == 0
    pace.spent(20.0, 0.01, "round", 16)
    assert pace.pause_s(20.0) == 0


def test_work_that_finds_no_moment_goes_along_after_its_pause_and_some_patience():
    pace = Pace(share_percent=50)
    pace.heard(10.0, 1)
    pace.spent(10.0, 0.2, "round", 16)
    assert not pace.overdue(10.2, since_s=10.0)
    assert pace.overdue(10.2 + PATIENCE_S + 0.001, since_s=10.0)
    assert not pace.overdue(10.2 + PATIENCE_S + 0.001, since_s=10.22)


def test_events_that_wait_for_big_work_make_it_give_way_and_others_that_wait_do_not():
    pace = Pace(goal_ms=20, share_percent=50)
    for number in range(50):
        pace.heard(10.0 + number, 100)  # a busy machine, and no big work at all
    assert pace.share == 0.5
    for _ in range(50):
        pace.spent(100.0, 0.01, "round", 16)
        pace.heard(100.0, 250)  # it met big work, and waited no three times as long
    assert pace.share == 0.5
    for _ in range(50):
        pace.spent(200.0, 0.01, "round", 16)
        pace.heard(200.0, 500)
    assert pace.share == SHARE_MIN
    for number in range(50):
        pace.heard(300.0 + number, 5)
    assert pace.share == 0.5


@given(
    st.lists(
        st.tuples(st.sampled_from(("heard", "turned", "spent", "went")), st.floats(0, 5), st.floats(0, 5)), max_size=60
    ),
    st.integers(1, 100),
)
def test_whatever_happens_pieces_pauses_and_shares_stay_in_their_bounds(
    steps: list[tuple[str, float, float]], share_percent: int
):
    pace, now_s = Pace(share_percent=share_percent), 10.0
    for what, passes_s, took_s in steps:
        now_s += passes_s
        if what == "heard":
            pace.heard(now_s, int(took_s * 1000))
        elif what == "turned":
            pace.turned(took_s, big=False)
        elif what == "spent":
            pace.spent(now_s, took_s, "round", 8)
        else:
            pace.went_along(now_s, "round", 8)
        assert PIECE_MIN <= pace.size(now_s, "round") <= PIECE_MAX
        assert 0 <= pace.pause_s(now_s) <= 1.0001
        assert min(SHARE_MIN, share_percent / 100) <= pace.share <= share_percent / 100
        assert pace.overdue(now_s + 1.0 + PATIENCE_S * 2, since_s=now_s)
