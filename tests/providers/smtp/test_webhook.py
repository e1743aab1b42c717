"""Bounces and answers, as mail servers write them, become our events."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.messaging.channel import WebhookRequest
from beckon.providers.provider import timed_signature
from beckon.providers.smtp import read_webhook
from beckon.providers.smtp.payloads import Settings

NOW_MS = 1_790_000_000_000
SETTINGS = Settings(host="mx.garage.example", from_address="service@garage.example", webhook_secret="secret")
Load = Callable[[str], bytes]


def read(body: bytes) -> tuple[Event, ...]:
    headers = {"x-beckon-signature": timed_signature("secret", body, NOW_MS)}
    request = WebhookRequest(method="POST", url="https://b.example/h", query={}, headers=headers, body=body)
    return read_webhook(request, SETTINGS, "main", NOW_MS).events


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    ("name", "provider_id", "code", "why"),
    [
        (
            "bounce_postfix.eml",
            "dlv_00aa11bb22cc33dd44ee55ff@garage.example",
            "smtp.bounce_5_1_1",
            "there is no such mailbox (5.1.1)",
        ),
        ("bounce_full.eml", "dlv_1@garage.example", "smtp.bounce_5_2_2", "the mailbox is full (5.2.2)"),
    ],
)
def test_a_bounce_is_a_failure(fixture_bytes: Load, ending: bytes, name: str, provider_id: str, code: str, why: str):
    [event] = read(fixture_bytes(name).replace(b"\n", ending))
    assert event.type == "message.failed"
    assert event.id == f"{provider_id}:failed"
    assert event.source == "providers/smtp/service@garage.example"
    assert event.data == {
        "provider": "smtp",
        "provider_id": provider_id,
        "reference": provider_id.partition("@")[0],
        "code": code,
        "why": why,
        "kind": "refused",
    }


def test_an_answer_is_a_message_without_what_it_quotes(fixture_bytes: Load):
    [event] = read(fixture_bytes("answer.eml"))
    assert event.id == "CAF=abc123@mail.example"
    assert event.data == {
        "channel": "email",
        "provider": "smtp",
        "from": "jan@mail.example",
        "name": "Jan Péeters",
        "subject": "Re: Your car ✓",
        "provider_id": event.id,
        "context": "dlv_1@garage.example",
        "text": "Thanks, I\x92ll come at café time.\n\nJan",
        "media": [{"kind": "image", "id": "dent.jpg", "mime": "image/jpeg"}],
    }


def test_html_is_read_as_a_person_reads_it(fixture_bytes: Load):
    [event] = read(fixture_bytes("html_only.eml"))
    assert event.data["text"] == "Is hij klaar?\nGroetjes & dank\nAn"


def test_an_unknown_charset_is_read_as_far_as_it_goes(fixture_bytes: Load):
    [event] = read(fixture_bytes("odd_charset.eml"))
    assert event.data["text"] == "Café"


@pytest.mark.parametrize("name", ["absent.eml", "newsletter.eml", "delayed.eml"])
def test_what_a_machine_wrote_is_passed_over(fixture_bytes: Load, name: str):
    assert read(fixture_bytes(name)) == ()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Yes\n\nOp 20 nov. 2026 schreef Garage:\n> hi", "Yes"),
        ("Ja\n\nAm 20.11.2026 schrieb Garage:\n\n> hi", "Ja"),
        ("Yes\n-----Original Message-----\nFrom: x", "Yes"),
        ("Yes\n> quoted", "Yes"),
        ("> only a quote", "> only a quote"),
        ("On Tuesday I come:\nat nine", "On Tuesday I come:\nat nine"),
    ],
)
def test_what_is_quoted_is_left_out(text: str, kept: str):
    mail = f"From: jan@mail.example\nMessage-ID: <q@x>\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"
    [event] = read(mail.encode())
    assert event.data["text"] == kept


def test_a_mail_without_an_id_gets_the_same_one_each_time():
    mail = b"From: jan@mail.example\n\nHello\n"
    assert read(mail)[0].id == read(mail)[0].id != ""


HEADER = some.sampled_from(
    [
        *("From", "Content-Type", "Content-Transfer-Encoding", "Message-ID", "Subject", "In-Reply-To"),
        *("Content-Disposition", "Auto-Submitted", "Return-Path"),
    ]
)
WORDS = some.sampled_from(
    [
        *("jan@mail.example", "multipart/report; boundary=b", "message/delivery-status", "message/rfc822"),
        *("text/html; charset=utf-7", "=?utf-8?Q?=FF?=", "=?x?B?!?=", "base64", "attachment; filename*=utf-8''%FF"),
        *("multipart/mixed", "<<>>", '"', "(", "text/plain; charset=rot13", "a" * 2_000),
    ]
)


@settings(max_examples=400, deadline=None)
@given(some.lists(some.tuples(HEADER, WORDS | some.text(max_size=20)), max_size=8), some.binary(max_size=200) | WORDS)
def test_no_mail_makes_it_stumble(headers: list[tuple[str, str]], body: Any):
    head = "".join(f"{name}: {value}\n" for name, value in headers).encode("utf-8", "replace")
    content = body if isinstance(body, bytes) else body.encode()
    with suppress(Refused):
        for event in read(head + b"\n--b\n\n" + content):
            assert event.id
            assert str(event.data).encode()
