"""Acts of the team as events, and results laid out for reading."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.core.errors import Refused
from beckon.inbox import acts
from beckon.inbox.cards import DEPTH_MAX, Card, Field, Value, lay_out, readable


def actor(once: str = "o1") -> acts.Actor:
    return acts.Actor("w", "per_1", now_ms=5, once=once)


def test_the_same_form_sent_twice_is_one_event() -> None:
    assert acts.replied(actor(), "c", "Hi").id == acts.replied(actor(), "c", "Hi").id
    assert acts.replied(actor(), "c", "Hi").id != acts.replied(actor("o2"), "c", "Hi").id
    assert acts.replied(actor(), "c", "Hi").id != acts.noted(actor(), "c", "Hi").id


def test_a_reply_asks_for_a_free_text_on_the_best_channel() -> None:
    event = acts.replied(actor(), "con_1", "  Hello\n")
    command = acts.reply_command(event)
    assert (command.text, command.to, command.contact, command.via) == ("Hello", "con_1", "con_1", ("best",))
    assert command.id == acts.reply_command(event).id
    assert acts.reply_author(event) == "agent:per_1"


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (acts.REPLY_MAX + 1)])
def test_an_empty_or_endless_reply_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        acts.replied(actor(), "c", text)
    assert caught.value.field == "text"


def test_a_reply_event_without_words_asks_for_nothing() -> None:
    with pytest.raises(Refused):
        acts.reply_command(acts.closed(actor(), "c"))


CARD = Card(
    "Check-in",
    frozenset({"visit", "mileage"}),
    (Field("mileage", "Mileage", "km"), Field("key_drop", "Key", words={"keybox": "In the key box"})),
    frozenset({"visit"}),
)


def test_a_card_names_its_fields_in_its_order_and_hides_nothing_else() -> None:
    laid = lay_out({"extra_wish": "wash", "key_drop": "keybox", "visit": "V-1", "mileage": 48210}, (CARD,))
    assert laid.title == "Check-in"
    assert [(row.label, row.value.text) for row in laid.rows] == [
        ("Mileage", "48\u202f210 km"),
        ("Key", "In the key box"),
        ("Extra wish", "wash"),
    ]


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({"visit": "V", "total": 412.5, "currency": "EUR"}, [("Total", "412.50 EUR")]),
        ({"visit": "V", "total": 1200, "currency": "EUR"}, [("Total", "1\u202f200.00 EUR")]),
        ({"visit": "V", "total": 48210, "currency": "mi"}, [("Total", "48\u202f210 mi")]),
        ({"visit": "V", "total": 12}, [("Total", "12")]),
        ({"visit": "V", "total": "12", "currency": "EUR"}, [("Total", "12"), ("Currency", "EUR")]),
        ({"visit": "V", "total": 12, "currency": "of it all"}, [("Total", "12"), ("Currency", "of it all")]),
    ],
)
def test_a_number_is_read_with_the_unit_that_another_field_says(
    fields: dict[str, object], rows: list[tuple[str, str]]
) -> None:
    card = Card("Paid", frozenset({"visit"}), (Field("total", "Total", unit_from="currency"),), frozenset({"visit"}))
    assert [(row.label, row.value.text) for row in lay_out(fields, (card,)).rows] == rows


def test_results_that_no_card_knows_go_by_their_own_names() -> None:
    laid = lay_out(
        {"licensePlate": "1-ABC-234", "ok": True, "no": False, "when": "2026-11-23T08:30:00+01:00", "gone": None}
    )
    assert laid.title == "Results"
    assert [(row.label, row.value.kind, row.value.text) for row in laid.rows] == [
        ("License plate", "text", "1-ABC-234"),
        ("Ok", "yes", ""),
        ("No", "no", ""),
        ("When", "text", "23 Nov 2026, 07:30"),
        ("Gone", "empty", ""),
    ]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("2026-11-26T23:15:00Z", "27 Nov 2026, 00:15"),
        ("2026-11-23T08:30:00+01:00", "23 Nov 2026, 08:30"),
        ("2026-11-23T08:30", "23 Nov 2026, 08:30"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
    ],
)
def test_an_instant_is_read_by_the_workspaces_clock(said: str, read: str) -> None:
    laid = lay_out({"at": said}, zone=ZoneInfo("Europe/Brussels"))
    assert laid.rows[0].value.text == read


def test_only_web_addresses_become_links() -> None:
    kinds = [
        lay_out({"u": url}).rows[0].value.kind for url in ("https://x.example/a", "javascript:alert(1)", "http://a b")
    ]
    assert kinds == ["link", "text", "text"]


def test_depth_is_bounded() -> None:
    deep: object = "end"
    for _ in range(DEPTH_MAX + 3):
        deep = {"in": deep}
    laid = lay_out({"deep": deep})

    def depth(value: Value) -> int:
        return 1 + max((depth(row.value) for row in value.rows), default=0)

    assert depth(laid.rows[0].value) <= DEPTH_MAX + 1


@given(
    st.dictionaries(
        st.text(max_size=12),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=6,
    )
)
def test_any_results_can_be_laid_out(fields: dict[str, object]) -> None:
    assert len(lay_out(fields, (CARD,)).rows) <= len(fields)


def test_names_are_made_readable() -> None:
    assert [readable(name) for name in ("key_drop", "service-advisors", "VIN", "_", "dms ID")] == [
        "Key drop", "Service advisors", "VIN", "_", "Dms ID",
    ]  # fmt: skip
