"""Session windows and how long ago something was."""

import pytest
from msgspec.structs import replace

from beckon.messaging.windows import ago, closes_ms, is_open, last_message
from tests.rooms.messaging.stage import HOUR_MS, NOW_MS, contact_of


@pytest.mark.parametrize(
    ("passed_ms", "said"),
    [
        (0, "just now"),
        (-5_000, "just now"),
        (12 * 60_000, "12 min ago"),
        (26 * HOUR_MS, "26 h ago"),
        (47 * HOUR_MS, "47 h ago"),
        (72 * HOUR_MS, "3 days ago"),
    ],
)
def test_how_long_ago_is_said_in_words(passed_ms: int, said: str) -> None:
    assert ago(NOW_MS - passed_ms, NOW_MS) == said


def test_a_channel_without_a_window_is_always_open() -> None:
    assert is_open(contact_of(), "sms", 0, NOW_MS)


def test_a_window_opens_with_the_contacts_word_and_only_there() -> None:
    ann = replace(contact_of(), last_inbound_ms={"whatsapp": NOW_MS})
    assert is_open(ann, "whatsapp", 86_400, NOW_MS + 24 * HOUR_MS - 1)
    assert not is_open(ann, "whatsapp", 86_400, NOW_MS + 24 * HOUR_MS)
    assert not is_open(ann, "messenger", 86_400, NOW_MS)
    assert closes_ms(ann, "whatsapp", 86_400) == NOW_MS + 24 * HOUR_MS


def test_who_never_wrote_is_said_so() -> None:
    assert last_message(contact_of(), "whatsapp", NOW_MS) == "the customer has not written here yet"
