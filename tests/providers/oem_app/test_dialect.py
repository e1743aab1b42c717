"""A partner's API is settings: MyBMW's file, and one that an operator writes into beckon.yaml."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from beckon.core.errors import Misconfigured, Refused, Unsupported
from beckon.core.message import Button, Media, Outbound, Rendered
from beckon.messaging.channel import Reply, WebhookReply, WebhookRequest
from beckon.providers.oem_app import PROVIDER, read_webhook
from beckon.providers.oem_app.dialects import dialect_of
from beckon.providers.oem_app.payloads import Settings, build, read_reply
from beckon.providers.provider import timed_signature
from tests.contracts.connections import AnsweringConnections

NOW_MS = 1_790_000_000_000
MYBMW = Settings(base_url="https://oem.example", api_key="k", signing_key="s", webhook_key="hook", account="dealer-1")
OWN = {
    "base_url": "https://other.example",
    "api_key": "k",
    "signing_key": "s",
    "webhook_key": "hook",
    "dialect": {
        "title": "Other maker",
        "path": "/chat",
        "key_header": "X-Api-Key",
        "key_prefix": "",
        "signature_header": "X-Proof",
        "outbound": '{"id": {{ message.delivery_id | json }}, "msg": {{ message.text | json }}}',
        "taken": "{{ reply.result.id }}",
        "error": "{{ reply.error }}",
        "errors": {"GONE": "refused", "SLOW": "unavailable"},
        "inbound": '[{"event": {{ body.what | json }}, "id": {{ body.id | json }}, "from": {{ body.who | json }}, '
        '"text": {{ body.said | json }}}]',
        "capabilities": {"text_max": 100},
    },
}
Load = Callable[[str], bytes]


def said(rendered: Rendered, given: Settings = MYBMW, **more: Any) -> Any:
    message = Outbound(delivery_id="dlv_1", attempt=1, to="gcid-7a1f", rendered=rendered, **more)
    return msgspec.json.decode(build(message, dialect_of(given)))


def read(
    body: bytes, given: Settings = MYBMW, *, header: str = "x-dealer-signature", at_ms: int = NOW_MS
) -> WebhookReply:
    headers = {header: timed_signature("hook", body, at_ms)}
    request = WebhookRequest(method="POST", url="https://b.example/h", query={}, headers=headers, body=body)
    return read_webhook(request, given, "main", NOW_MS)


def test_mybmw_s_message():
    rendered = Rendered(
        text='Hello "Jan"\n{{ not.liquid }}',
        subject="Visit",
        locale="nl-BE",
        buttons=(Button("link", "Start", "https://g.example/go/1?a=1&b=2"), Button("reply", "Later", "later")),
        media=(Media("image", "https://g.example/1.jpg", "Car"),),
    )
    assert said(rendered, purpose="marketing") == {
        "reference": "dlv_1",
        "recipient": {"userId": "gcid-7a1f"},
        "category": "MARKETING",
        "language": "nl-BE",
        "content": {
            "title": "Visit",
            "text": 'Hello "Jan"\n{{ not.liquid }}',
            "actions": [
                {"type": "OPEN_URL", "label": "Start", "value": "https://g.example/go/1?a=1&b=2"},
                {"type": "REPLY", "label": "Later", "value": "later"},
            ],
            "attachments": [{"type": "IMAGE", "url": "https://g.example/1.jpg", "caption": "Car"}],
        },
    }


@settings(max_examples=100, deadline=None)
@given(some.text(min_size=1, max_size=200))
def test_no_text_breaks_out_of_the_json(text: str):
    try:
        assert said(Rendered(text=text))["content"]["text"] == text
    except UnicodeEncodeError:
        pytest.fail("a lone surrogate is no text")


def test_mybmw_s_events(fixture_bytes: Load):
    events = read(fixture_bytes("events.json")).events
    assert [(event.id, event.type, event.time_ms - NOW_MS) for event in events] == [
        ("msg_in", "message.received", -10_000),
        ("msg_tap", "message.received", -10_000),
        ("msg_1:sent", "message.sent", -10_000),
        ("msg_1:delivered", "message.delivered", -9_000),
        ("msg_1:read", "message.read", 0),
        ("msg_2:failed", "message.failed", 0),
        ("msg_3:failed", "message.failed", -10_000),
    ]
    assert {event.source for event in events} == {"providers/oem_app/dealer-1"}
    assert events[0].data == {
        "channel": "oem_app",
        "provider": "oem_app",
        "from": "gcid-7a1f",
        "name": "Jan Peeters",
        "text": 'Is it "ready"?\nThanks {{ x }}',
        "provider_id": "msg_in",
    }
    assert (events[1].data["reply"], events[1].data["context"]) == ("yes-1", "msg_1")
    assert events[5].data["code"] == "oem_app.user_opted_out"
    assert "32475" not in events[6].data["why"] + events[6].data["code"]


def test_an_operator_s_own_dialect_needs_no_code():
    own = msgspec.convert(OWN, Settings)
    assert said(Rendered(text="Hi"), own) == {"id": "dlv_1", "msg": "Hi"}
    assert PROVIDER.open(own, AnsweringConnections(Reply(200, {}, b""))).capabilities.text_max == 100
    assert read_reply(Reply(200, {}, b'{"result":{"id":42}}'), dialect_of(own)).provider_id == "42"
    with pytest.raises(Refused):
        read_reply(Reply(400, {}, b'{"error":"GONE"}'), dialect_of(own))
    body = b'{"what":"received","id":"7","who":"u1","said":"Hello"}'
    [event] = read(body, own, header="x-proof").events
    assert (event.data["from"], event.data["text"]) == ("u1", "Hello")


def test_what_the_app_does_not_show_is_unsupported():
    links = tuple([Button("link", str(n), "https://g.example") for n in range(4)])
    for rendered in (
        Rendered(text="x" * 2_001),
        Rendered(text=""),
        Rendered(text="x", buttons=links),
        Rendered(text="x", media=(Media("audio", "https://g.example/a"),)),
    ):
        with pytest.raises(Unsupported):
            said(rendered)


@pytest.mark.parametrize(
    "outbound", ["{", "not json", "{{ message.missing }}", '{"a": {{ message.text }}}', "{% for %}"]
)
def test_a_dialect_that_gives_no_json_is_the_operator_s_affair(outbound: str):
    own = msgspec.convert({**OWN, "dialect": {**OWN["dialect"], "outbound": outbound}}, Settings)  # type: ignore[dict-item]
    with pytest.raises(Misconfigured, match="Other maker"):
        said(Rendered(text="Hi"), own)


@pytest.mark.parametrize("name", ["", "nobody", "../smtp/x", "mybmw.yaml", "a" * 500])
def test_an_unknown_dialect_is_named(name: str):
    with pytest.raises(Misconfigured, match="no dialect"):
        dialect_of(msgspec.structs.replace(MYBMW, dialect=name))


def test_every_dialect_of_the_folder_can_be_read():
    folder = Path(dialect_of.__code__.co_filename).parent
    names = [file.stem for file in folder.glob("*.yaml")]
    assert "mybmw" in names
    for name in names:
        assert said(Rendered(text="Hi"), msgspec.structs.replace(MYBMW, dialect=name))


@pytest.mark.parametrize("late_s", [-301, 301])
def test_a_webhook_outside_the_window_is_refused(late_s: int):
    with pytest.raises(Refused, match="ago"):
        read(b'{"events":[]}', at_ms=NOW_MS - late_s * 1000)
    assert read(b'{"events":[]}', at_ms=NOW_MS - (abs(late_s) - 1) * 1000).events == ()


@pytest.mark.parametrize("body", [b'{"events":[{"type":"MESSAGE"}]}', b'{"events":5}', b'{"events":"x"}', b"{}"])
def test_a_signed_body_in_another_shape_is_refused_or_empty(body: bytes):
    with suppress(Refused):
        assert read(body).events == ()
