"""Retry and rates: whether, when, and how fast. Pure, so by tables and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.outbox.rates import Rate
from beckon.outbox.retry import GiveUp, Policy, Retry, decide

NOW_MS = 1_790_000_000_000
POLICY = Policy(attempts_max=5, first_delay_ms=2_000, delay_ms_max=300_000)


@pytest.mark.parametrize("kind", [Refused, Unsupported, Misconfigured])
def test_what_will_never_work_is_not_tried_again(kind: type[BeckonError]):
    assert decide(POLICY, kind("x", "it can't be"), 1, NOW_MS) == GiveUp("it can't be")


@pytest.mark.parametrize(("attempt", "delay_ms"), [(1, 2_000), (2, 4_000), (3, 8_000), (4, 16_000)])
def test_the_delay_doubles(attempt: int, delay_ms: int):
    assert decide(POLICY, Unavailable("x", "later"), attempt, NOW_MS) == Retry(NOW_MS + delay_ms)


def test_the_last_attempt_gives_up_and_says_how_often_it_tried():
    assert decide(POLICY, Unavailable("x", "no answer"), 5, NOW_MS) == GiveUp("no answer (tried 5 times)")


def test_a_longer_pause_that_the_other_side_asks_for_is_kept_and_a_shorter_one_is_not():
    assert decide(POLICY, Unavailable("x", "busy", retry_after_s=60), 1, NOW_MS) == Retry(NOW_MS + 60_000)
    assert decide(POLICY, Unavailable("x", "busy", retry_after_s=0.5), 1, NOW_MS) == Retry(NOW_MS + 2_000)


def test_one_attempt_means_none_after_it():
    assert isinstance(decide(Policy(attempts_max=1), Unavailable("x", "no"), 1, NOW_MS), GiveUp)


@given(st.integers(1, 60), st.integers(1, 100_000), st.integers(1, 60))
def test_no_delay_is_longer_than_the_longest(attempts_max: int, first_delay_ms: int, attempt: int):
    policy = Policy(attempts_max, first_delay_ms, 300_000)
    decision = decide(policy, Unavailable("x", "no"), attempt, NOW_MS)
    if attempt >= attempts_max:
        assert isinstance(decision, GiveUp)
    else:
        assert isinstance(decision, Retry)
        assert min(first_delay_ms, 300_000) <= decision.at_ms - NOW_MS <= 300_000


# Rates.


def test_without_a_limit_everything_goes():
    rate = Rate()
    assert [rate.take(NOW_MS) for _ in range(10_000)] == [0] * 10_000


def test_a_burst_is_one_second_s_worth_and_then_it_goes_at_the_rate():
    rate = Rate(5)
    assert [rate.take(NOW_MS) for _ in range(5)] == [0] * 5
    wait_ms = rate.take(NOW_MS)
    assert 200 <= wait_ms <= 202
    assert rate.take(NOW_MS + wait_ms) == 0
    assert rate.take(NOW_MS + wait_ms) > 0


def test_a_rate_below_one_a_second_still_lets_one_go():
    rate = Rate(0.1)
    assert rate.take(NOW_MS) == 0
    wait_ms = rate.take(NOW_MS)
    assert 9_900 <= wait_ms <= 10_001
    assert rate.take(NOW_MS + wait_ms) == 0


def test_a_long_rest_saves_no_more_than_one_second_s_worth():
    rate = Rate(3)
    assert rate.take(NOW_MS) == 0
    assert [rate.take(NOW_MS + 86_400_000) for _ in range(4)].count(0) == 3


def test_a_pause_holds_back_until_its_end_and_a_shorter_one_does_not_end_it():
    rate = Rate()
    rate.pause(NOW_MS, NOW_MS + 60_000, "it asked for it")
    rate.pause(NOW_MS, NOW_MS + 5_000, "it does not answer")
    assert rate.take(NOW_MS + 1_000) == 59_000
    assert rate.paused_why == "it asked for it"
    assert rate.take(NOW_MS + 60_000) == 0


def test_a_clock_that_is_set_back_does_not_hold_back_for_as_long():
    rate = Rate(2)
    assert [rate.take(NOW_MS) for _ in range(2)] == [0, 0]
    earlier = NOW_MS - 3_600_000
    assert rate.take(earlier) <= 501
    assert rate.take(earlier + 501) == 0


def test_a_pause_is_no_longer_for_a_clock_that_is_set_back():
    rate = Rate()
    rate.pause(NOW_MS, NOW_MS + 5_000, "it does not answer")
    earlier = NOW_MS - 3_600_000
    assert rate.take(earlier) == 5_000
    assert rate.take(earlier + 5_000) == 0


@given(
    per_second=st.floats(0.1, 1_000),
    steps=st.lists(st.integers(0, 5_000), min_size=1, max_size=200),
)
def test_over_any_time_no_more_goes_than_the_rate_and_one_burst(per_second: float, steps: list[int]):
    rate, now_ms, taken = Rate(per_second), NOW_MS, 0
    for step in steps:
        now_ms += step
        while rate.take(now_ms) == 0:
            taken += 1
    assert taken <= max(1.0, per_second) + (now_ms - NOW_MS) / 1000 * per_second + 1e-6


@given(per_second=st.floats(0.1, 1_000), takes=st.integers(1, 50))
def test_who_waits_as_long_as_is_said_may_go(per_second: float, takes: int):
    rate, now_ms = Rate(per_second), NOW_MS
    for _ in range(takes):
        wait_ms = rate.take(now_ms)
        if wait_ms:
            now_ms += wait_ms
            assert rate.take(now_ms) == 0
