"""The pretended parties as one: mounted, pointed at, settled, bounded."""

import asyncio

import httpx
import msgspec
import pytest

from beckon.core.clock import VirtualClock
from beckon.messaging.channel import Reply
from beckon.messaging.templates import parse_template
from beckon.providers.registry import found
from beckon.sandbox.twins import Twins
from beckon.sandbox.twins.faults import Faults
from beckon.sandbox.twins.party import MESSAGES_MAX, TRIES_MAX, Shown
from beckon.sandbox.twins.whatsapp_cloud import registrations
from tests.contracts.connections import AnsweringConnections

HOOK = "http://hooks.test/hooks/main/{provider}"


def stand(status: int = 200, **more: object) -> Twins:
    connections = AnsweringConnections(Reply(status, {}, b""))
    return Twins(connections=connections, clock=VirtualClock(), webhook_url=HOOK, **more)  # type: ignore[arg-type]


async def test_settings_fit_every_provider():
    twins = stand()
    await twins.start()
    try:
        given = twins.provider_settings("http://127.0.0.1:8080/sandbox/")
        assert given.keys() == found().keys()
        for name, provider in found().items():
            msgspec.convert(given[name], provider.settings)
        assert given["whatsapp_cloud"]["base_url"] == "http://127.0.0.1:8080/sandbox/whatsapp"
        assert given["smtp"]["port"]
    finally:
        await twins.stop()


async def test_http_parties_are_mounted_side_by_side():
    twins = stand()
    transport = httpx.ASGITransport(app=twins.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox.test") as client:
        answers = {
            "/whatsapp/v23.0/1/messages": 401,
            "/twilio/2010-04-01/Accounts/AC1/Messages.json": 401,
            "/oem/v1/messages": 401,
            "/webpush/send/ann": 401,
            "/fcm/v1/projects/garage-vermeulen/messages:send": 401,
            "/fcm/token": 400,
            "/nobody": 404,
        }
        for path, status in answers.items():
            assert (await client.post(path, content=b"{}")).status_code == status


def test_the_same_seed_gives_the_same_keys_and_another_one_others():
    one, same, other, fresh = stand(seed="a"), stand(seed="a"), stand(seed="b"), stand()
    keys = [twins["oem_app"].settings("")["api_key"] for twins in (one, same, other, fresh)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert one["oem_app"].key("key") != one["whatsapp_cloud"].key("key")


async def test_the_page_hears_of_every_change():
    heard: list[tuple[str, str]] = []
    twins = stand(on_change=lambda provider, person: heard.append((provider, person)))
    await twins["twilio_sms"].reply("+32475123456", "Hi")
    assert heard == [("twilio_sms", "+32475123456")]


async def test_the_background_posts_what_falls_due():
    twins = stand()
    running = asyncio.ensure_future(twins.run())
    await twins["twilio_sms"].reply("+32475123456", "Hi")
    for _ in range(1_000):
        if twins["twilio_sms"].answers:
            break
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [reply.status for reply in twins["twilio_sms"].answers] == [200]


async def test_a_webhook_that_nobody_takes_is_given_up_in_the_end():
    twins = stand(status=500)
    twin = twins["twilio_sms"]
    await twin.reply("+32475123456", "Hi")
    for tried in range(1, TRIES_MAX + 1):
        assert await twins.settle() == 1
        assert len(twin.answers) == tried
        twin.clock.drag(3_600_000)  # type: ignore[attr-defined]
    assert await twins.settle() == 0
    assert twin.waiting == 0


def test_old_messages_make_room():
    twin = stand()["twilio_sms"]
    for number in range(MESSAGES_MAX + 5):
        twin.show(Shown(id=f"m{number}", person="+32475123456", at_ms=0, text="", reference=f"dlv_{number}"))
    assert [twin.messages("+32475123456")[0].id, len(twin.messages("+32475123456"))] == ["m5", MESSAGES_MAX]
    with pytest.raises(KeyError):
        twin.find("m0")
    assert twin.handed("dlv_0") == 1
    assert twin.people() == ["+32475123456"]


def test_faults_are_data():
    faults = msgspec.convert({"receipts": "duplicated", "pace_ms": 5}, Faults)
    assert faults.plan(("sent", "delivered")) == [(0, "sent"), (5, "sent"), (10, "delivered"), (15, "delivered")]
    faults.clear()
    assert faults == Faults()
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"receipts": "odd"}, Faults)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"explodes": True}, Faults)


def test_a_workspace_s_template_is_registered_with_holes_for_its_variables():
    template = parse_template(
        """
        template: checkin_invite
        variables:
          slug: { required: true, example: 8Fh2kQ }
        locales:
          en:
            text: "Hello {{ contact.first_name }}, check in with {{ slug }}."
            buttons:
              - { text: Start check-in, link: "https://wvp.example/{{ slug }}" }
              - { text: Not now, reply: later }
        channels:
          whatsapp:
            approved:
              name: checkin_invite_v2
              state: approved
              languages: { en: en_US }
              body: ["{{ contact.first_name }}", "{{ slug }}"]
        """
    )
    [registered] = registrations(template, "https://b.example")
    assert (registered.name, registered.language, registered.status) == ("checkin_invite_v2", "en_US", "APPROVED")
    assert registered.body == "Hello {{1}}, check in with {{2}}."
    assert [(button.kind, button.text, button.url) for button in registered.buttons] == [
        ("url", "Start check-in", "https://b.example/go/{{1}}"),
        ("quick_reply", "Not now", ""),
    ]
