"""Every provider reads its party's webhooks: receipts, messages, twice, late, forged, replayed and broken."""

import contextlib

import pytest

from beckon.core.errors import Misconfigured, Refused
from beckon.core.event import Event
from beckon.messaging.channel import WebhookRequest
from beckon.messaging.contacts import inbound
from tests.contracts.conftest import Stand, only

pytestmark = only(lambda provider: provider.read_webhook)


async def posted(stand: Stand) -> WebhookRequest:
    """A genuine webhook of the party's: a person wrote."""
    await stand.twin.reply(stand.case.address, "Is my car ready?")
    await stand.settle()
    return stand.posted[-1]


def changed(request: WebhookRequest, **changes: object) -> WebhookRequest:
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    return WebhookRequest(**{**fields, **changes})  # type: ignore[arg-type]


async def test_a_message_comes_in(stand: Stand):
    stand.twin.names[stand.case.address] = "Jan Peeters"
    sent = await stand.twin.reply(stand.case.address, "Is my car ready? ✓")
    await stand.settle()
    [event] = stand.events
    assert event.type == "message.received"
    assert event.workspace == "main"
    assert event.source.startswith(f"providers/{stand.provider.name}/")
    assert event.time_ms <= stand.clock.now_ms()
    assert event.data["channel"] == stand.provider.channel
    assert event.data["provider"] == stand.provider.name
    assert event.data["provider_id"] == sent == event.id
    assert event.data["text"] == "Is my car ready? ✓"
    [address] = inbound(event.data).addresses
    assert (address.channel, address.external_id) == (stand.provider.channel, stand.case.address)


@pytest.mark.parametrize("word", ["STOP", "start", "Stop."])
async def test_stop_and_start_come_as_messages(stand: Stand, word: str):
    await stand.twin.reply(stand.case.address, word)
    await stand.settle()
    assert [event.data["text"] for event in stand.of_type("message.received")] == [word]


async def test_the_party_is_answered_with_success(stand: Stand):
    await posted(stand)
    assert [reply.status for reply in stand.twin.answers] == [200]


async def test_receipts_come_in_order(stand: Stand):
    handed = await stand.send()
    await stand.settle()
    assert [event.type for event in stand.events] == [f"message.{state}" for state in stand.case.receipts]
    for event in stand.events:
        assert event.data["provider"] == stand.provider.name
        assert event.data["provider_id"] == handed.provider_id
    assert stand.twin.find(handed.provider_id).state == "delivered"


async def test_the_promised_receipts_come(stand: Stand):
    handed = await stand.send()
    await stand.settle()
    await stand.twin.read(handed.provider_id)
    await stand.settle()
    states = {event.type.removeprefix("message.") for event in stand.events}
    assert set(stand.channel.capabilities.receipts) <= states
    assert stand.twin.find(handed.provider_id).state == "read"


async def test_receipts_name_our_delivery(stand: Stand):
    await stand.open_window()
    message = stand.outbound()
    stand.twin.faults.fail_later = True
    await stand.channel.send(message)
    await stand.settle()
    assert stand.events
    assert {event.data["reference"] for event in stand.events} == {message.delivery_id}


async def test_receipts_out_of_order_are_told_as_they_come(stand: Stand):
    await stand.open_window()
    stand.twin.faults.receipts = "out_of_order"
    await stand.channel.send(stand.outbound())
    await stand.settle()
    assert [event.type for event in stand.events] == [f"message.{state}" for state in reversed(stand.case.receipts)]


async def test_a_receipt_twice_has_the_same_source_and_id(stand: Stand):
    await stand.open_window()
    stand.twin.faults.receipts = "duplicated"
    stand.twin.faults.fail_later = True
    await stand.channel.send(stand.outbound())
    await stand.settle()
    seen = [(event.source, event.id) for event in stand.events]
    assert len(seen) == 2 * len(set(seen)) > 0


async def test_late_receipts_come_late(stand: Stand):
    await stand.open_window()
    stand.twin.faults.receipts, stand.twin.faults.fail_later = "late", True
    await stand.channel.send(stand.outbound())
    await stand.settle()
    assert stand.events == []
    stand.clock.drag(stand.twin.faults.late_ms)
    await stand.settle()
    assert stand.events[-1].type == "message.failed"


async def test_without_receipts_nothing_comes(stand: Stand):
    await stand.open_window()
    stand.twin.faults.receipts = "none"
    await stand.channel.send(stand.outbound())
    await stand.settle()
    assert stand.events == []
    assert stand.twin.waiting == 0


async def test_a_later_failure_says_why_and_what_can_be_done(stand: Stand):
    await stand.open_window()
    stand.twin.faults.fail_later = True
    handed = await stand.channel.send(stand.outbound())
    await stand.settle()
    event = stand.of_type("message.failed")[-1]
    assert event.data["provider_id"] == handed.provider_id
    assert event.data["kind"] == "refused"
    assert event.data["code"].startswith(f"{stand.provider.name}.")
    assert event.data["why"]
    assert stand.case.address not in event.data["why"]
    assert stand.twin.find(handed.provider_id).state == "failed"


async def test_a_webhook_that_was_not_taken_comes_again_with_the_same_id(stand: Stand):
    stand.closed = True
    await stand.twin.reply(stand.case.address, "Hello?")
    await stand.settle()
    assert stand.events == []
    stand.closed = False
    stand.clock.drag(10_000)
    await stand.settle()
    [first] = stand.events
    again: tuple[Event, ...] = stand.read(stand.posted[-1]).events
    assert [(event.source, event.id) for event in again] == [(first.source, first.id)]


async def test_a_forged_webhook_is_refused(stand: Stand):
    request = await posted(stand)
    header = stand.case.signature_header.lower()
    given = request.headers[header]
    wrong = given[:-2] + ("AA" if given[-2:] != "AA" else "BB")
    for headers in (
        {name: value for name, value in request.headers.items() if name != header},
        {**request.headers, header: ""},
        {**request.headers, header: wrong},
        {**request.headers, header: given.upper() if given != given.upper() else given.lower()},
        {**request.headers, header: "é"},
        {**request.headers, header: "t=1,v1=" + "0" * 64},
    ):
        with pytest.raises(Refused):
            stand.read(changed(request, headers=headers))


async def test_a_changed_body_is_refused(stand: Stand):
    request = await posted(stand)
    body = request.body.replace(b"ready", b"towed", 1)
    assert body != request.body
    with pytest.raises(Refused):
        stand.read(changed(request, body=body))


async def test_a_signature_with_another_secret_is_refused(stand: Stand):
    request = await posted(stand)
    secrets = dict.fromkeys(stand.provider.secrets, "another")
    with pytest.raises(Refused):
        stand.read(request, stand.with_settings(**secrets))


async def test_without_a_secret_no_webhook_is_taken(stand: Stand):
    request = await posted(stand)
    secrets = dict.fromkeys(stand.provider.secrets, "")
    with pytest.raises((Misconfigured, Refused)):
        stand.read(request, stand.with_settings(**secrets))


async def test_a_replayed_webhook_is_refused_or_known(stand: Stand):
    request = await posted(stand)
    first = stand.read(request).events
    if stand.case.replay_window_s:
        stand.clock.drag(stand.case.replay_window_s * 1000 + 1000)
        with pytest.raises(Refused, match="ago"):
            stand.read(request)
    else:
        stand.clock.drag(7 * 24 * 3_600_000)
        assert [(event.source, event.id) for event in stand.read(request).events] == [
            (event.source, event.id) for event in first
        ]


async def test_a_broken_body_is_refused_or_empty_and_never_anything_else(stand: Stand):
    for body in stand.case.broken:
        with contextlib.suppress(Refused):
            assert stand.read(stand.signed(body)).events == (), body[:40]


async def test_a_huge_body_is_refused(stand: Stand):
    request = stand.signed(b'{"a":"' + b"x" * 5_000_000 + b'"}')
    with pytest.raises(Refused, match="larger"):
        stand.read(request)


async def test_unknown_fields_and_methods_do_no_harm(stand: Stand):
    request = await posted(stand)
    for method in ("GET", "HEAD", "PUT"):
        with contextlib.suppress(Refused):
            stand.read(changed(request, method=method))
