"""Twilio's webhooks in their documented shapes become our events."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from beckon.core.errors import Refused
from beckon.messaging.channel import WebhookReply, WebhookRequest
from beckon.providers.provider import form_signature as signature
from beckon.providers.twilio_sms import read_webhook
from beckon.providers.twilio_sms.payloads import Settings

NOW_MS = 1_790_000_000_000
SETTINGS = Settings(account_sid="AC00000000000000000000000000000001", auth_token="secret", from_number="+3225550101")
URL = "https://beckon.example/hooks/main/twilio_sms"
SENT = {"MessageSid": "SM5", "MessageStatus": "sent", "AccountSid": SETTINGS.account_sid}
Load = Callable[[str], bytes]


def read(fields: dict[str, str], *, url: str = URL, signed_url: str = "", **query: str) -> WebhookReply:
    full = url + ("?" + urlencode(query) if query else "")
    headers = {"x-twilio-signature": signature(signed_url or full, list(fields.items()), "secret")}
    body = urlencode(fields).encode()
    request = WebhookRequest(method="POST", url=full, query=query, headers=headers, body=body)
    return read_webhook(request, SETTINGS, "main", NOW_MS)


def test_a_text_comes_in_and_is_answered_with_empty_twiml(fixture_bytes: Load):
    reply = read(msgspec.json.decode(fixture_bytes("inbound.json")))
    assert (reply.status, reply.content_type) == (200, "text/xml")
    assert reply.body == b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
    [event] = reply.events
    assert event.id == "SM00000000000000000000000000000001"
    assert event.source == "providers/twilio_sms/AC00000000000000000000000000000001"
    assert event.data == {
        "channel": "sms",
        "provider": "twilio_sms",
        "from": "+32475123456",
        "provider_id": event.id,
        "text": "Is my car ready? & when?",
    }


def test_pictures_come_in_with_their_kinds(fixture_bytes: Load):
    [event] = read(msgspec.json.decode(fixture_bytes("inbound_media.json"))).events
    assert [(medium["kind"], medium["mime"]) for medium in event.data["media"]] == [
        ("image", "image/jpeg"),
        ("document", "application/pdf"),
    ]
    assert event.data["text"] == ""


def test_stop_comes_in_as_a_message(fixture_bytes: Load):
    [event] = read(msgspec.json.decode(fixture_bytes("inbound_stop.json"))).events
    assert (event.type, event.data["text"]) == ("message.received", "STOP")


def test_another_channel_s_message_is_passed_over(fixture_bytes: Load):
    assert read(msgspec.json.decode(fixture_bytes("inbound_whatsapp.json"))).events == ()


def test_another_account_s_webhook_is_passed_over():
    assert read({**SENT, "AccountSid": "AC2"}).events == ()


@pytest.mark.parametrize(
    ("said", "type_"),
    [
        *[(word, None) for word in ("queued", "accepted", "scheduled", "sending", "partially_delivered", "new-word")],
        ("sent", "message.sent"),
        ("delivered", "message.delivered"),
        ("read", "message.read"),
        ("failed", "message.failed"),
        ("undelivered", "message.failed"),
        ("canceled", "message.failed"),
    ],
)
def test_each_status_becomes_its_receipt(said: str, type_: str | None):
    events = read({**SENT, "MessageStatus": said}, reference="dlv_1").events
    assert [event.type for event in events] == ([type_] if type_ else [])
    for event in events:
        assert event.id == f"SM5:{event.type.removeprefix('message.')}"
        assert event.data["provider_id"] == "SM5"
        assert event.data["reference"] == "dlv_1"


def test_a_failure_says_why(fixture_bytes: Load):
    [event] = read(msgspec.json.decode(fixture_bytes("undelivered.json"))).events
    assert event.data["code"] == "twilio_sms.30005"
    assert event.data["kind"] == "refused"
    assert event.data["why"] == "the number is unknown or no longer in service (30005)"


@pytest.mark.parametrize(
    ("seen", "signed"),
    [
        (URL, "https://beckon.example:443/hooks/main/twilio_sms"),
        ("https://beckon.example:443/hooks/main/twilio_sms", URL),
        ("https://beckon.example:8443/hooks/main/twilio_sms", URL),
        ("http://beckon.example/hooks", "http://beckon.example:80/hooks"),
        ("http://[::1]:8080/hooks", "http://[::1]/hooks"),
    ],
)
def test_the_signature_fits_with_the_port_or_without_it(seen: str, signed: str):
    assert read(SENT, url=seen, signed_url=signed).events


@pytest.mark.parametrize("signed", ["https://evil.example/hooks/main/twilio_sms", URL + "/", URL + "?reference=dlv_2"])
def test_a_signature_for_another_url_is_refused(signed: str):
    with pytest.raises(Refused):
        read(SENT, signed_url=signed)


@settings(max_examples=200, deadline=None)
@given(
    some.dictionaries(
        some.sampled_from(
            [
                "MessageSid",
                "SmsSid",
                "MessageStatus",
                "SmsStatus",
                "ErrorCode",
                "From",
                "Body",
                "AccountSid",
                "MediaUrl0",
                "Latitude",
            ]
        ),
        some.text(max_size=30).filter(lambda text: "\ud800" not in text),
    )
)
def test_no_signed_form_makes_it_stumble(fields: dict[str, str]):
    for event in read(fields).events:
        assert event.id


def test_a_repeated_field_is_signed_once() -> None:
    fields: Any = [("A", "1"), ("A", "1"), ("B", "2")]
    assert signature(URL, fields, "secret") == signature(URL, [("A", "1"), ("B", "2")], "secret")
