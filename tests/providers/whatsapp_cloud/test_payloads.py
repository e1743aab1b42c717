"""What is said to Meta, word for word; and what doesn't fit is written into the text, shortened, or passed on."""

from typing import Any

import pytest

from beckon.core.errors import Refused, Unsupported
from beckon.core.message import ApprovedTemplate, Button, Media, Outbound, Rendered
from beckon.messaging.channel import Reply
from beckon.providers.whatsapp_cloud.payloads import build, read_reply

LINK = Button("link", "Start check-in", "https://garage.example/go/k3y")
YES, NO = Button("reply", "Yes", "yes"), Button("reply", "No", "no")
IMAGE = Media("image", "https://garage.example/car.jpg", "Your car")


def said(rendered: Rendered, to: str = "32475123456") -> dict[str, Any]:
    payload = build(Outbound(delivery_id="dlv_1", attempt=1, to=to, rendered=rendered))
    head = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "32475123456",
        "biz_opaque_callback_data": "dlv_1",
    }
    assert {key: payload.pop(key) for key in head} == head
    kind = payload.pop("type")
    assert list(payload) == [kind]
    return {kind: payload[kind]}


def test_a_text():
    assert said(Rendered(text="Ready.")) == {"text": {"body": "Ready."}}
    assert said(Rendered(text="See https://x.example")) == {
        "text": {"body": "See https://x.example", "preview_url": True}
    }


@pytest.mark.parametrize("to", ["32475123456", "+32475123456", "+32 (475) 12-34-56"])
def test_phone_numbers_are_digits(to: str):
    said(Rendered(text="Ready."), to)


@pytest.mark.parametrize("to", ["BE.13491208655302741918", "US.ENT.11815799212886844830"])
def test_a_user_id_goes_into_its_own_field(to: str):
    payload = build(Outbound(delivery_id="dlv_1", attempt=1, to=to, rendered=Rendered(text="Ready.")))
    assert payload["recipient"] == to
    assert "to" not in payload


@pytest.mark.parametrize("to", ["", "jan", "123", "1" * 16, "٣٢٤٧٥١٢٣٤٥٦", "be.123", "BE.", "BE.1/2", "32475123456\n"])
def test_an_address_that_is_none_is_refused(to: str):
    with pytest.raises(Refused):
        build(Outbound(delivery_id="dlv_1", attempt=1, to=to, rendered=Rendered(text="Ready.")))


def test_an_approved_template():
    template = ApprovedTemplate(
        name="checkin_invite",
        language="en_US",
        body_parameters=("Jan", "Tuesday\n3  March"),
        button_parameters=("k3y", "later", ""),
        header_media=IMAGE,
    )
    assert said(Rendered(text="x", template=template, buttons=(LINK, Button("reply", "Not now", "later"), LINK))) == {
        "template": {
            "name": "checkin_invite",
            "language": {"code": "en_US"},
            "components": [
                {"type": "header", "parameters": [{"type": "image", "image": {"link": IMAGE.url}}]},
                {
                    "type": "body",
                    "parameters": [{"type": "text", "text": "Jan"}, {"type": "text", "text": "Tuesday 3 March"}],
                },
                {
                    "type": "button",
                    "sub_type": "url",
                    "index": "0",
                    "parameters": [{"type": "text", "text": "k3y"}],
                },
                {
                    "type": "button",
                    "sub_type": "quick_reply",
                    "index": "1",
                    "parameters": [{"type": "payload", "payload": "later"}],
                },
            ],
        }
    }


def test_a_template_without_variables_has_no_components():
    assert said(Rendered(text="x", template=ApprovedTemplate("hello", "nl"))) == {
        "template": {"name": "hello", "language": {"code": "nl"}}
    }


@pytest.mark.parametrize("parameter", ["", " ", "\n"])
def test_an_empty_variable_can_t_be_said(parameter: str):
    with pytest.raises(Unsupported, match="empty"):
        said(Rendered(text="x", template=ApprovedTemplate("hello", "nl", (parameter,))))


def test_one_link_is_a_button():
    assert said(Rendered(text="Check in.", buttons=(LINK,))) == {
        "interactive": {
            "type": "cta_url",
            "body": {"text": "Check in."},
            "action": {
                "name": "cta_url",
                "parameters": {"display_text": "Start check-in", "url": LINK.value},
            },
        }
    }


def test_two_links_are_written_into_the_text():
    other = Button("link", "Prices", "https://garage.example/prices")
    assert said(Rendered(text="Check in.", buttons=(LINK, other))) == {
        "text": {
            "body": f"Check in.\nStart check-in: {LINK.value}\nPrices: {other.value}",
            "preview_url": True,
        }
    }


def test_a_long_text_keeps_its_link_in_the_text():
    text = "x" * 1_025
    assert said(Rendered(text=text, buttons=(LINK,)))["text"]["body"] == f"{text}\nStart check-in: {LINK.value}"


def test_reply_buttons_beside_a_link():
    interactive = said(Rendered(text="Fine?", buttons=(YES, LINK, NO), media=(IMAGE,)))["interactive"]
    assert interactive["type"] == "button"
    assert interactive["body"]["text"] == f"Fine?\nStart check-in: {LINK.value}"
    assert [button["reply"] for button in interactive["action"]["buttons"]] == [
        {"id": "yes", "title": "Yes"},
        {"id": "no", "title": "No"},
    ]
    assert interactive["header"] == {"type": "image", "image": {"link": IMAGE.url}}


def test_a_long_button_is_shortened():
    button = Button("link", "Start the check-in for your visit", LINK.value)
    shown = said(Rendered(text="Hi", buttons=(button,)))["interactive"]["action"]["parameters"]["display_text"]
    assert shown == "Start the check-in…"
    assert len(shown) <= 20


def test_too_many_reply_buttons_can_t_be_said():
    with pytest.raises(Unsupported):
        said(Rendered(text="Fine?", buttons=(YES, NO, Button("reply", "a", "a"), Button("reply", "b", "b"))))


def test_media_have_the_text_as_caption():
    assert said(Rendered(text="Ready.", media=(IMAGE,))) == {"image": {"link": IMAGE.url, "caption": "Ready."}}
    assert said(Rendered(text="", media=(IMAGE,))) == {"image": {"link": IMAGE.url, "caption": "Your car"}}
    assert said(Rendered(text="", media=(Media("audio", IMAGE.url),))) == {"audio": {"link": IMAGE.url}}
    second = Media("document", "https://garage.example/bill.pdf", "Bill")
    assert said(Rendered(text="Ready.", media=(IMAGE, second))) == {
        "image": {"link": IMAGE.url, "caption": f"Ready.\nBill: {second.url}"}
    }


def test_audio_with_words_is_a_link():
    audio = Media("audio", "https://garage.example/a.ogg")
    assert said(Rendered(text="Listen.", media=(audio,)))["text"]["body"] == f"Listen.\n{audio.url}"


@pytest.mark.parametrize(
    ("status", "state"),
    [("accepted", "sent"), ("held_for_quality_assessment", "held_for_quality_assessment"), ("paused", "paused")],
)
def test_the_first_state_is_told(status: str, state: str):
    body = f'{{"messages":[{{"id":"wamid.X","message_status":"{status}","new_field":1}}],"contacts":[]}}'.encode()
    handed = read_reply(Reply(200, {}, body))
    assert (handed.provider_id, handed.state) == ("wamid.X", state)
