"""Attempts and receipts, in whatever order they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from beckon.core.delivery import TRANSITIONS, Attempt, Delivery, may_follow
from beckon.messaging.deliveries import ATTEMPTS_MAX, RECEIPTS_MAX, after_attempt, after_receipt, tried
from tests.rooms.messaging.stage import NOW_MS, chosen


def new(state: str = "queued") -> Delivery:
    """A delivery that nobody has handed over yet."""
    return Delivery(id="dlv_1", workspace="main", contact="con_ann", state=state, created_ms=NOW_MS)


def attempt(channel: str = "whatsapp", outcome: str = "sent", number: int = 1, why: str = "") -> Attempt:
    """One handing-over."""
    provider_id = f"{channel}-{number}" if outcome == "sent" else ""
    return Attempt(number, channel, f"{channel}_provider", NOW_MS + number, outcome, "", why, provider_id)


def sent(channel: str = "whatsapp") -> Delivery:
    """A delivery that is on its way."""
    return after_attempt(new(), attempt(channel), choice=chosen(channel))


def test_a_handed_over_message_is_sent_and_knows_its_providers_id() -> None:
    delivery = sent()
    assert (delivery.state, delivery.provider_id) == ("sent", "whatsapp-1")
    assert delivery.choice == chosen("whatsapp")
    assert delivery.changed_ms == NOW_MS + 1


@pytest.mark.parametrize(
    ("outcome", "retrying", "state"),
    [
        ("sent", False, "sent"),
        ("doubtful", False, "doubtful"),
        ("unavailable", True, "retrying"),
        ("unavailable", False, "failed"),
        ("refused", False, "failed"),
        ("unsupported", False, "failed"),
        ("misconfigured", False, "failed"),
    ],
)
def test_each_outcome_leads_to_its_state(outcome: str, retrying: bool, state: str) -> None:
    assert after_attempt(new("sending"), attempt(outcome=outcome), retrying=retrying).state == state


def test_receipts_lead_from_sent_to_read() -> None:
    delivery, changed, _ = after_receipt(sent(), "delivered", NOW_MS + 5)
    assert (delivery.state, changed) == ("delivered", True)
    delivery, changed, _ = after_receipt(delivery, "read", NOW_MS + 9)
    assert (delivery.state, changed) == ("read", True)


def test_a_receipt_that_comes_twice_changes_nothing_the_second_time() -> None:
    once, _, _ = after_receipt(sent(), "delivered", NOW_MS + 5)
    twice, changed, note = after_receipt(once, "delivered", NOW_MS + 5)
    assert twice is once
    assert (changed, note) == (False, "came again")


def test_delivered_after_read_is_only_noted() -> None:
    read, _, _ = after_receipt(sent(), "read", NOW_MS + 5)
    delivery, changed, note = after_receipt(read, "delivered", NOW_MS + 3)
    assert (delivery.state, changed, note) == ("read", False, "came after read")
    assert delivery.receipts[-1] == ("delivered", NOW_MS + 3, "came after read")


def test_a_receipt_that_overtakes_our_own_outcome_stands() -> None:
    early, changed, _ = after_receipt(new("sending"), "delivered", NOW_MS)
    assert changed
    assert after_attempt(early, attempt()).state == "delivered"


def test_a_receipt_clears_the_doubt() -> None:
    doubtful = after_attempt(new("sending"), attempt(outcome="doubtful"))
    assert doubtful.doubtful
    delivery, changed, _ = after_receipt(doubtful, "sent", NOW_MS + 2)
    assert (delivery.state, delivery.doubtful, changed) == ("sent", False, True)


def test_a_late_receipt_of_the_first_channel_counts_after_the_fallback() -> None:
    fallen_back = after_attempt(sent("whatsapp"), attempt("sms", number=2))
    delivery, changed, note = after_receipt(fallen_back, "read", NOW_MS + 9, provider_id="whatsapp-1")
    assert (delivery.state, changed) == ("read", True)
    assert note == "the attempt by whatsapp arrived after all"


def test_a_late_failure_of_the_first_channel_does_not_undo_the_fallback() -> None:
    fallen_back = after_attempt(sent("whatsapp"), attempt("sms", number=2))
    delivery, changed, note = after_receipt(
        fallen_back, "failed", NOW_MS + 9, provider_id="whatsapp-1", why="no such number"
    )
    assert (delivery.state, changed) == ("sent", False)
    assert note == "an earlier attempt by whatsapp failed: no such number"
    assert delivery.attempts[0].outcome == "failed"


def test_a_failure_after_delivered_changes_nothing() -> None:
    delivered, _, _ = after_receipt(sent(), "delivered", NOW_MS + 5)
    delivery, changed, _ = after_receipt(delivered, "failed", NOW_MS + 6, provider_id="whatsapp-1")
    assert (delivery.state, changed) == ("delivered", False)


def test_a_reported_failure_uses_its_channel_up_with_its_reason() -> None:
    delivery, changed, _ = after_receipt(
        sent(), "failed", NOW_MS + 5, provider_id="whatsapp-1", code="131026", why="not there"
    )
    assert (delivery.state, changed) == ("failed", True)
    assert tried(delivery) == {"whatsapp": "not there"}


def test_a_fallback_in_vain_leaves_the_first_message_on_its_way() -> None:
    delivery = after_attempt(sent("whatsapp"), attempt("sms", "refused", 2, "no such number"))
    assert delivery.state == "sent"
    assert tried(delivery) == {"whatsapp": "handed over, and no receipt came in time", "sms": "no such number"}


def test_a_channel_is_not_used_up_while_it_is_retried() -> None:
    delivery = after_attempt(new("sending"), attempt(outcome="unavailable"), retrying=True)
    assert tried(delivery) == {}
    given_up = after_attempt(delivery, attempt(outcome="unavailable", number=2, why="down"))
    assert tried(given_up) == {"whatsapp": "down"}


def test_a_person_who_sends_it_anew_has_all_channels_again() -> None:
    delivery = after_attempt(new("sending"), attempt(outcome="refused"))
    assert tried(delivery)
    assert tried(replace(delivery, fresh_from=len(delivery.attempts))) == {}


def test_a_receipt_for_what_was_given_up_counts() -> None:
    given_up = replace(sent(), state="undeliverable")
    delivery, changed, _ = after_receipt(given_up, "delivered", NOW_MS + 9, provider_id="whatsapp-1")
    assert (delivery.state, changed) == ("delivered", True)


def test_a_word_that_is_no_receipt_changes_nothing() -> None:
    delivery = sent()
    assert after_receipt(delivery, "exploded", NOW_MS)[:2] == (delivery, False)


def test_attempts_and_receipts_are_bounded() -> None:
    delivery = replace(new("sending"), fresh_from=0)
    for number in range(100):
        delivery = after_attempt(delivery, attempt(outcome="unavailable", number=number), retrying=True)
        delivery, _, _ = after_receipt(delivery, "sent", NOW_MS + number, provider_id="unknown")
    assert len(delivery.attempts) == ATTEMPTS_MAX
    assert len(delivery.receipts) == RECEIPTS_MAX
    assert delivery.attempts[0].number == 0
    assert delivery.attempts[-1].number == 99


receipts = st.lists(
    st.tuples(
        st.sampled_from(["sent", "delivered", "read", "failed"]),
        st.integers(0, 1_000),
        st.sampled_from(["", "whatsapp-1", "sms-2", "stranger"]),
    ),
    max_size=12,
)


@given(receipts, st.booleans())
def test_in_any_order_receipts_only_take_steps_of_the_table(come: list[tuple[str, int, str]], fallback: bool) -> None:
    delivery = sent("whatsapp")
    if fallback:
        delivery = after_attempt(delivery, attempt("sms", number=2))
    for state, at, provider_id in come:
        before = delivery.state
        delivery, changed, _ = after_receipt(delivery, state, NOW_MS + at, provider_id=provider_id)
        assert changed == (delivery.state != before)
        if changed:
            assert may_follow(before, delivery.state)
    reached = {state for state, _, _ in come} & {"delivered", "read"}
    if "read" in reached:
        assert delivery.state == "read"
    elif reached:
        assert delivery.state == "delivered"


@given(st.permutations([("sent", 1), ("delivered", 2), ("read", 3), ("delivered", 2), ("sent", 1)]))
def test_the_end_is_the_same_in_every_order(come: list[tuple[str, int]]) -> None:
    delivery = sent()
    for state, at in come:
        delivery, _, _ = after_receipt(delivery, state, NOW_MS + at)
    assert delivery.state == "read"


def test_every_state_can_be_reached() -> None:
    reached, waiting = {"queued"}, ["queued"]
    while waiting:
        for state in TRANSITIONS[waiting.pop()] - reached:
            reached.add(state)
            waiting.append(state)
    assert reached == set(TRANSITIONS)
