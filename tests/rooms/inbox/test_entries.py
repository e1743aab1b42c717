"""What events, commands and deliveries put into a conversation."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.core.command import Notify, Post
from beckon.core.delivery import Choice, Delivery, PassedOver
from beckon.core.event import Event
from beckon.core.message import Button, Rendered
from beckon.inbox import entries as room
from beckon.inbox.entries import (
    BODIES,
    BODY_BYTES_MAX,
    FIELDS_MAX,
    PREVIEW_MAX,
    TEXT_MAX,
    Error,
    Message,
    Note,
    Received,
    Results,
    entries_for,
    entry_for_notice,
    entry_for_post,
    message_entry,
    read_body,
)


def said(type: str, data: object, **more: object) -> Event:
    return Event(workspace="w", source="s", id="1", type=type, time_ms=1_000, data=data, **more)  # type: ignore[arg-type]


def post(kind: str, body: object) -> room.Entry:
    command = Post(id="c", workspace="w", kind=kind, body=body)
    return entry_for_post(command, contact="con_1", author="flow:f", at_ms=5)


DELIVERY = Delivery(
    id="dlv_1",
    workspace="w",
    contact="con_1",
    choice=Choice("sms", "twilio_sms", "only one", (PassedOver("whatsapp", "no_address", "There is no number."),)),
    text="Your car is ready",
    created_ms=9,
)


def test_a_message_keeps_its_words_its_buttons_and_its_delivery() -> None:
    rendered = Rendered(
        text="Hello\nAnna",
        subject="Visit",
        buttons=(Button("link", "Go", "https://x.example/1"), Button("reply", "No", "p")),
    )
    entry = message_entry(DELIVERY, author="flow:f", at_ms=7, rendered=rendered)
    body = read_body(entry.kind, entry.body)
    assert isinstance(body, Message)
    assert (entry.kind, entry.delivery, body.channel, body.subject) == ("message", "dlv_1", "sms", "Visit")
    assert [(button.kind, button.url) for button in body.buttons] == [("link", "https://x.example/1"), ("reply", "")]
    assert entry.preview == "→ Hello Anna"


def test_a_message_that_no_channel_could_say_still_stands_there() -> None:
    entry = message_entry(DELIVERY, author="agent:p", at_ms=7)
    assert read_body(entry.kind, entry.body) == Message(delivery="dlv_1", text="Your car is ready")


def test_what_a_contact_writes_becomes_an_entry_of_theirs() -> None:
    (entry,) = entries_for(
        said("message.received", {"channel": "whatsapp", "text": "Hi", "media": [{"kind": "image", "id": "m"}, "odd"]}),
        "con_1",
    )
    body = read_body(entry.kind, entry.body)
    assert isinstance(body, Received)
    assert (entry.author, body.channel, body.text, len(body.media)) == ("contact", "whatsapp", "Hi", 1)
    assert entry.preview == "Hi"


def test_a_picture_without_words_has_a_preview_all_the_same() -> None:
    (entry,) = entries_for(said("message.received", {"channel": "sms", "media": [{"kind": "image"}]}), "con_1")
    assert entry.preview == "[image]"


def test_a_message_that_nobody_could_carry_is_an_error_with_each_channels_reason() -> None:
    passed = [{"channel": "whatsapp", "code": "no_template", "reason": "No approved template matches."}]
    (entry,) = entries_for(
        said("message.undeliverable", {"delivery": "dlv_1", "passed_over": passed}), "con_1", DELIVERY
    )
    body = read_body(entry.kind, entry.body)
    assert isinstance(body, Error)
    assert body.text.startswith("No suitable media channel could be determined")
    assert body.passed_over == (PassedOver("whatsapp", "no_template", "No approved template matches."),)
    assert body.message == "Your car is ready"


def test_an_error_takes_its_reasons_from_the_delivery_where_the_event_has_none() -> None:
    (entry,) = entries_for(said("message.undeliverable", {"delivery": "dlv_1"}), "con_1", DELIVERY)
    body = read_body(entry.kind, entry.body)
    assert isinstance(body, Error)
    assert DELIVERY.choice is not None
    assert body.passed_over == DELIVERY.choice.passed_over


@pytest.mark.parametrize("type", ["message.sent", "message.delivered", "checkin.start", "agent.replied"])
def test_most_events_put_nothing_into_a_conversation(type: str) -> None:
    assert entries_for(said(type, {"delivery": "dlv_1", "text": "x"}), "con_1", DELIVERY) == ()


def test_an_event_about_nobody_puts_nothing_anywhere() -> None:
    assert entries_for(said("message.received", {"text": "Hi"}), "") == ()


def test_acts_of_the_team_name_who_acted() -> None:
    (note,) = entries_for(said("agent.noted", {"text": "Call her", "by": "per_1"}), "con_1")
    (closed,) = entries_for(said("conversation.closed", {"by": "per_1"}), "con_1")
    (given_,) = entries_for(
        said("conversation.assigned", {"inbox": "parts", "agent": "per_2", "agent_name": "Kim"}), "con_1"
    )
    assert (note.kind, note.author, note.preview) == ("note", "agent:per_1", "")
    assert (closed.kind, closed.author) == ("status", "agent:per_1")
    assert given_.author == "system"
    assert "Kim" in given_.body
    assert "parts" in given_.body


def test_results_are_kept_field_by_field() -> None:
    entry = post("results", {"mileage": 48210, "consent": True, "wishes": ["wash"]})
    assert read_body(entry.kind, entry.body) == Results(fields={"mileage": 48210, "consent": True, "wishes": ["wash"]})
    assert entry.preview == "Results: mileage 48210"


def test_results_that_are_no_object_are_kept_too() -> None:
    assert read_body("results", post("results", "all fine").body) == Results(fields={"result": "all fine"})


def test_results_beyond_the_limits_are_cut_and_say_so() -> None:
    many = read_body("results", post("results", {f"f{n}": n for n in range(FIELDS_MAX + 1)}).body)
    assert isinstance(many, Results)
    assert (len(many.fields), many.cut) == (FIELDS_MAX, True)
    entry = post("results", {"small": 1, "large": "x" * (BODY_BYTES_MAX + 1)})
    large = read_body("results", entry.body)
    assert isinstance(large, Results)
    assert (large.fields, large.cut) == ({"small": 1}, True)
    assert len(entry.body) < BODY_BYTES_MAX


def test_notes_statuses_and_errors_of_a_flow_keep_their_words() -> None:
    assert read_body("note", post("note", {"text": "No check-in"}).body) == Note(text="No check-in")
    assert post("status", "moved on").kind == "status"
    assert post("error", "It broke").preview == "Error: It broke"


def test_a_notice_names_the_inbox() -> None:
    command = Notify(id="c", workspace="w", inbox="service-advisors", text="Look")
    entry = entry_for_notice(command, contact="con_1", author="flow:f", at_ms=1)
    assert (entry.kind, entry.preview) == ("notice", "Look")
    assert "service-advisors" in entry.body


def test_a_sources_clock_that_runs_ahead_does_not_put_an_entry_into_the_future() -> None:
    event = said("message.received", {"text": "Hi"}, accepted_ms=600)
    assert entries_for(event, "con_1")[0].at_ms == 600


def test_what_cant_be_read_is_shown_as_an_error_and_not_as_a_fault() -> None:
    assert isinstance(read_body("hologram", "{}"), Error)
    assert isinstance(read_body("message", "{broken"), Error)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)


@given(type=st.sampled_from(sorted(room.TYPES)), data=json_values)
def test_no_data_whatever_breaks_an_entry(type: str, data: object) -> None:
    for entry in entries_for(said(type, data), "con_1"):
        assert entry.kind in BODIES
        assert len(entry.preview) <= PREVIEW_MAX + 2
        assert msgspec.json.decode(entry.body)
        assert "can't be shown" not in getattr(read_body(entry.kind, entry.body), "text", "")


@given(kind=st.sampled_from(["note", "results", "status", "error"]), body=json_values)
def test_no_body_whatever_breaks_a_post(kind: str, body: object) -> None:
    entry = post(kind, body)
    assert entry.kind == kind
    assert len(entry.body) <= BODY_BYTES_MAX


def test_a_long_text_is_cut() -> None:
    (entry,) = entries_for(said("message.received", {"text": "x" * (TEXT_MAX + 5)}), "con_1")
    body = read_body(entry.kind, entry.body)
    assert isinstance(body, Received)
    assert len(body.text) == TEXT_MAX
    assert body.text.endswith("…")
