"""What is said to Twilio, field for field."""

from urllib.parse import parse_qsl

import pytest

from beckon.core.errors import Misconfigured, Refused, Unsupported
from beckon.core.message import Button, Media, Outbound, Rendered
from beckon.messaging.channel import Reply
from beckon.providers.twilio_sms.channel import TwilioChannel
from beckon.providers.twilio_sms.payloads import Settings, build, failure, read_reply
from tests.contracts.connections import AppConnections

SETTINGS = Settings(account_sid="AC1", auth_token="secret", from_number="+3225550101")


def said(rendered: Rendered, settings: Settings = SETTINGS, **extras: str) -> list[tuple[str, str]]:
    message = Outbound(delivery_id="dlv_1", attempt=1, to="+32475123456", rendered=rendered, extras=extras)
    return parse_qsl(build(message, settings).decode(), strict_parsing=True)


def test_a_text_with_receipts_to_this_server():
    assert said(Rendered(text="Ready ✓"), address="https://b.example", workspace="main") == [
        ("To", "+32475123456"),
        ("From", "+3225550101"),
        ("Body", "Ready ✓"),
        ("StatusCallback", "https://b.example/hooks/main/twilio_sms?reference=dlv_1"),
    ]


def test_receipts_can_go_elsewhere():
    settings = Settings(account_sid="AC1", auth_token="s", from_number="G", webhook_url="https://proxy.example/t?x=1")
    assert said(Rendered(text="Ready"), settings)[-1] == (
        "StatusCallback",
        "https://proxy.example/t?x=1&reference=dlv_1",
    )


def test_a_messaging_service_sends_instead_of_a_number():
    settings = Settings(account_sid="AC1", auth_token="s", messaging_service_sid="MG1")
    assert said(Rendered(text="Ready"), settings) == [
        ("To", "+32475123456"),
        ("MessagingServiceSid", "MG1"),
        ("Body", "Ready"),
    ]


def test_pictures_are_links_unless_mms_is_on():
    rendered = Rendered(text="Look", media=(Media("image", "https://g.example/1.jpg", "Dent"),))
    assert ("Body", "Look\nDent: https://g.example/1.jpg") in said(rendered)
    settings = Settings(account_sid="AC1", auth_token="s", from_number="+1", mms=True)
    fields = said(rendered, settings)
    assert ("Body", "Look") in fields
    assert ("MediaUrl", "https://g.example/1.jpg") in fields
    assert TwilioChannel(settings, AppConnections()).capabilities.media
    assert not TwilioChannel(SETTINGS, AppConnections()).capabilities.media


def test_a_link_counts_for_the_length():
    link = Button("link", "Open", "https://g.example/" + "x" * 60)
    with pytest.raises(Unsupported):
        said(Rendered(text="x" * 1_560, buttons=(link,)))


@pytest.mark.parametrize(
    "to", ["", "32475123456", "+0475123456", "+32 475", "+324751234567890123", "+٣٢٤٧٥١٢٣٤", "+32475123456\n"]
)
def test_an_address_that_is_none_is_refused(to: str):
    with pytest.raises(Refused):
        build(Outbound(delivery_id="d", attempt=1, to=to, rendered=Rendered(text="x")), SETTINGS)


def test_a_sender_is_needed():
    with pytest.raises(Misconfigured, match="from_number"):
        TwilioChannel(Settings(account_sid="AC1", auth_token="s"), AppConnections())


def test_a_trailing_slash_in_the_base_url_does_no_harm():
    settings = Settings(account_sid="AC1", auth_token="s", from_number="+1", base_url="https://api.twilio.com/")
    assert TwilioChannel(settings, AppConnections())._url.startswith("https://api.twilio.com/2010-04-01/")


def test_the_sid_is_the_provider_s_id():
    assert read_reply(Reply(201, {}, b'{"sid":"SM1","status":"queued","new":1}')).provider_id == "SM1"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [(99999, 400, "refused"), (99999, 401, "misconfigured"), (99999, 429, "unavailable"), (99999, 500, "unavailable")],
)
def test_an_unknown_code_is_read_by_its_status(code: int, status: int, kind: str):
    assert failure(code, status).kind == kind
