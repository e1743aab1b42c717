"""Meta's webhooks in their documented shapes become our events."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.messaging.channel import WebhookRequest
from beckon.providers.provider import hex_signature
from beckon.providers.whatsapp_cloud import read_webhook
from beckon.providers.whatsapp_cloud.payloads import Settings

NOW_MS = 1_790_000_000_000
AT_MS = 1_789_999_990_000
SETTINGS = Settings(
    phone_number_id="106540352242922",
    access_token="token",
    app_secret="secret",
    verify_token="our word",
    business_account_id="102290129340398",
)
Load = Callable[[str], bytes]


def read(body: bytes) -> tuple[Event, ...]:
    headers = {"x-hub-signature-256": "sha256=" + hex_signature("secret", body)}
    request = WebhookRequest(method="POST", url="https://b.example/hooks", query={}, headers=headers, body=body)
    return read_webhook(request, SETTINGS, "main", NOW_MS).events


def challenge(**query: str) -> Any:
    request = WebhookRequest(method="GET", url="https://b.example/hooks", query=query, headers={}, body=b"")
    return read_webhook(request, SETTINGS, "main", NOW_MS)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("text", {"text": "Is my car ready?", "context": "wamid.OURS"}),
        ("button", {"text": "Not now", "reply": "later", "context": "wamid.OURS"}),
        ("button_reply", {"text": "Yes", "reply": "yes-1", "context": "wamid.OURS"}),
        ("list_reply", {"text": "09:00", "reply": "slot-9"}),
        ("flow_reply", {"text": "Sent", "reply": '{"km":4200}'}),
        ("image", {"text": "The dent", "media": [{"kind": "image", "id": "1003383421387256", "mime": "image/jpeg"}]}),
        (
            "document",
            {
                "text": "",
                "media": [
                    {
                        "kind": "document",
                        "id": "1003383421387257",
                        "mime": "application/pdf",
                        "name": "service-book.pdf",
                    }
                ],
            },
        ),
        (
            "voice",
            {"text": "", "media": [{"kind": "audio", "id": "1003383421387258", "mime": "audio/ogg; codecs=opus"}]},
        ),
        ("sticker", {"text": "", "media": [{"kind": "image", "id": "1003383421387259", "mime": "image/webp"}]}),
        ("location", {"text": "Home, Grote Markt 1 (geo:50.8503,4.3517)"}),
        ("contacts", {"text": "An Peeters: +32 475 65 43 21"}),
        ("reaction", {"text": "👍", "context": "wamid.OURS"}),
        ("order", {"text": "An order of 1 items. Please"}),
        ("unsupported", {"text": "(a message that WhatsApp does not pass on)"}),
    ],
)
def test_what_a_person_sends_is_readable(fixture_bytes: Load, name: str, fields: dict[str, Any]):
    [event] = read(fixture_bytes(f"{name}.json"))
    assert (event.type, event.time_ms) == ("message.received", AT_MS)
    assert event.source == "providers/whatsapp_cloud/106540352242922"
    assert event.data == {
        "channel": "whatsapp",
        "provider": "whatsapp_cloud",
        "from": "32475123456",
        "name": "Jan Peeters",
        "user_id": "BE.13491208655302741918",
        "provider_id": event.id,
        **fields,
    }


def test_a_person_without_a_phone_number_is_the_user_id(fixture_bytes: Load):
    [event] = read(fixture_bytes("username_only.json"))
    assert event.data["from"] == event.data["user_id"] == "BE.13491208655302741918"
    assert event.data["name"] == "Jan"


@pytest.mark.parametrize("name", ["system", "account_error", "other_number"])
def test_what_is_nobody_s_message_is_passed_over(fixture_bytes: Load, name: str):
    assert read(fixture_bytes(f"{name}.json")) == ()


def test_several_messages_and_statuses_in_one_webhook_are_all_read(fixture_bytes: Load):
    events = read(fixture_bytes("several.json"))
    assert [event.id for event in events] == ["wamid.ONE", "wamid.OURS:sent", "wamid.TWO", "wamid.THREE"]


def test_statuses_become_receipts(fixture_bytes: Load):
    [sent] = read(fixture_bytes("sent.json"))
    assert sent.type == "message.sent"
    assert sent.data == {"provider": "whatsapp_cloud", "provider_id": "wamid.OURS", "reference": "dlv_1"}
    events = read(fixture_bytes("delivered_and_read.json"))
    assert [(event.type, event.id, event.time_ms) for event in events] == [
        ("message.read", "wamid.OURS:read", NOW_MS - 5_000),
        ("message.delivered", "wamid.OURS:delivered", NOW_MS - 7_000),
        ("message.read", "wamid.OTHER:read", NOW_MS - 5_000),
    ]


def test_a_failure_says_what_can_be_done_and_names_nobody(fixture_bytes: Load):
    [window] = read(fixture_bytes("failed_window.json"))
    assert window.data["kind"] == "unsupported"
    assert window.data["code"] == "whatsapp_cloud.131047"
    assert window.data["reference"] == "dlv_1"
    assert "approved template" in window.data["why"]
    assert "3247" not in window.data["why"]
    [undeliverable] = read(fixture_bytes("failed_undeliverable.json"))
    assert undeliverable.data["kind"] == "refused"


@pytest.mark.parametrize(
    ("name", "language", "state"),
    [("approved", "en_US", "approved"), ("rejected", "nl", "rejected"), ("paused", "en_US", "paused")],
)
def test_a_template_s_state_is_told(fixture_bytes: Load, name: str, language: str, state: str):
    [event] = read(fixture_bytes(f"template_{name}.json"))
    assert (event.type, event.time_ms) == ("template.status", AT_MS)
    why = {"why": "INVALID_FORMAT"} if state == "rejected" else {}
    assert event.data == {
        "provider": "whatsapp_cloud",
        "template": "checkin_invite",
        "language": language,
        "state": state,
        **why,
    }


def test_who_stops_marketing_in_whatsapp_has_withdrawn_consent(fixture_bytes: Load):
    [event] = read(fixture_bytes("marketing_stopped.json"))
    assert event.type == "consent.changed"
    assert event.data["contact"] == {"whatsapp": "32475123456"}
    assert event.data["granted"] is False
    assert (event.data["purpose"], event.data["channel"]) == ("marketing", "whatsapp")
    assert event.data["proof"]


def test_the_challenge_is_echoed_for_the_right_word_only():
    right = {"hub.mode": "subscribe", "hub.verify_token": "our word", "hub.challenge": "1158201444"}
    assert challenge(**right).body == b"1158201444"
    for change in ({"hub.verify_token": "another"}, {"hub.verify_token": ""}, {"hub.mode": "unsubscribe"}):
        with pytest.raises(Refused):
            challenge(**{**right, **change})
    with pytest.raises(Refused):
        challenge()


ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.dictionaries(
            some.sampled_from(
                [
                    "entry",
                    "changes",
                    "value",
                    "field",
                    "messages",
                    "statuses",
                    "contacts",
                    "id",
                    "type",
                    "text",
                    "body",
                    "errors",
                    "code",
                    "status",
                    "timestamp",
                    "metadata",
                    "phone_number_id",
                    "interactive",
                    "location",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(root=ANYTHING, value=ANYTHING, message=ANYTHING)
def test_no_signed_json_whatever_makes_it_stumble(root: Any, value: Any, message: Any):
    import msgspec

    read(msgspec.json.encode(root))
    metadata = {"phone_number_id": "106540352242922"}
    for content in ({"messages": [message]}, {"statuses": [message]}, {"messages": message, "contacts": value}):
        change = {"field": "messages", "value": {"metadata": metadata, **content}}
        for event in read(msgspec.json.encode({"entry": [{"id": "102290129340398", "changes": [change]}]})):
            assert event.id
            assert event.data["provider_id"]
