"""What is said to browsers: sealed as RFC 8291 wants it, read by an independent peer, and what push services answer."""

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

import http_ece
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.message import Button, Media, Outbound, Rendered
from beckon.messaging.channel import Reply
from beckon.messaging.devices import ADDRESS_MAX, ENDPOINT_MAX, Subscription, subscription_of
from beckon.outbox.connections import PooledConnections
from beckon.providers.web_push.payloads import (
    PLAIN_BYTES_MAX,
    Settings,
    build,
    headers_of,
    is_known,
    private_key_of,
    public_key_of,
    read_address,
    read_reply,
    seal,
    signed_pass,
)
from beckon.sandbox.twins.web_push import address_of
from beckon.starting import make_vapid_key
from tests.contracts.conftest import Stand

P256DH = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SETTINGS = Settings(
    vapid_private_key="q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94", subject="mailto:operator@garage.example"
)


def octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def key_of(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(octets(text), "big"), ec.SECP256R1())


def outbound(text: str = "Your offer is here.", **more: Any) -> Outbound:
    to = f"https://fcm.googleapis.com/fcm/send/c1KrmpTuRm#{P256DH}.{AUTH}"
    fields = {"delivery_id": "dlv_000000000000000000000001", "attempt": 1, "to": to, **more}
    return Outbound(rendered=fields.pop("rendered", None) or Rendered(text=text, subject="Fancy Fries"), **fields)


def test_the_example_of_rfc_8291_comes_out_to_the_letter():
    subscription = Subscription("https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV", P256DH, AUTH)
    sealed = seal(
        b"When I grow up, I want to be a watermelon",
        subscription,
        salt=octets("DGv6ra1nlYgDCS1FRnbzlw"),
        key=key_of("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
    )
    assert base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@given(plain=st.binary(min_size=1, max_size=PLAIN_BYTES_MAX), salt=st.binary(min_size=16, max_size=16))
def test_an_independent_peer_reads_what_was_sealed(plain: bytes, salt: bytes):
    browser = key_of("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")
    subscription = Subscription("https://push.example/1", public_key_of(browser), AUTH)
    sealed = seal(plain, subscription, salt=salt, key=key_of("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
    assert len(sealed) <= 4_096
    assert http_ece.decrypt(sealed, private_key=browser, auth_secret=octets(AUTH), version="aes128gcm") == plain


def test_a_notification_in_its_documented_shape(fixture_bytes: Callable[[str], bytes]):
    rendered = Rendered(
        text="20 % off large fries until Friday.",
        subject="An offer for you, Amanda",
        buttons=(
            Button("link", "See the offer", "https://b.example/go/abc"),
            Button("link", "All offers", "https://b.example/go/def"),
            Button("link", "Terms", "https://b.example/go/ghi"),
        ),
        media=(Media("image", "https://b.example/fries.jpg"),),
        locale="nl-BE",
    )
    assert json.loads(build(outbound(rendered=rendered))) == json.loads(fixture_bytes("notification.json"))


def test_the_pass_is_signed_for_the_push_service_and_shown_for_half_a_day():
    key = private_key_of(SETTINGS)
    said = signed_pass(key, public_key_of(key), "https://fcm.googleapis.com", SETTINGS.subject, 1_700_000_000_000)
    token, public = said.removeprefix("vapid t=").split(", k=")
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), octets(public))
    options = {"verify_exp": False}
    claims = jwt.decode(token, point, algorithms=["ES256"], audience="https://fcm.googleapis.com", options=options)
    assert claims == {
        "aud": "https://fcm.googleapis.com",
        "exp": 1_700_043_200,
        "sub": "mailto:operator@garage.example",
    }


def test_an_offer_does_not_wake_a_device_that_saves_its_battery():
    transactional, marketing = [
        headers_of(outbound(purpose=purpose), SETTINGS, "vapid …") for purpose in ("transactional", "marketing")
    ]
    assert (transactional["Urgency"], marketing["Urgency"]) == ("high", "normal")
    assert transactional["TTL"] == "86400"
    assert transactional["Topic"] == "dlv_000000000000000000000001"
    assert "Topic" not in headers_of(outbound(delivery_id="d" * 33), SETTINGS, "")


def test_a_text_that_is_too_long_in_bytes_is_unsupported():
    with pytest.raises(Unsupported):
        build(outbound("\N{PARTY POPPER}" * 1_000))


@pytest.mark.parametrize(
    ("endpoint", "known"),
    [
        ("https://fcm.googleapis.com/fcm/send/abc", True),
        ("https://updates.push.services.mozilla.com/wpush/v2/gAAA", True),
        ("https://web.push.apple.com/QGx", True),
        ("https://wns2-par02p.notify.windows.com/w/?token=BQ%3d", True),
        ("https://FCM.googleapis.com/fcm/send/abc", True),
        ("http://fcm.googleapis.com/fcm/send/abc", False),
        ("https://fcm.googleapis.com:8443/fcm/send/abc", False),
        ("https://fcm.googleapis.com@evil.example/abc", False),
        ("https://fcm.googleapis.com.evil.example/abc", False),
        ("https://evilpush.apple.com/abc", False),
        ("https://push.apple.com.evil/abc", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("http://localhost/", False),
        ("https://[::1]/", False),
    ],
)
def test_we_post_to_push_services_that_are_known_and_nowhere_else(endpoint: str, known: bool):
    address = f"{endpoint}#{P256DH}.{AUTH}"
    if known:
        assert read_address(address, SETTINGS).endpoint == endpoint
    else:
        with pytest.raises(Refused) as refusal:
            read_address(address, SETTINGS)
        assert refusal.value.field == "to"


def test_further_push_services_are_settings():
    assert is_known("https://push.garage.example", ("https://push.garage.example",))
    assert is_known("http://127.0.0.1:8080", ("http://127.0.0.1:8080",))
    assert not is_known("http://127.0.0.1:80", ("http://127.0.0.1:8080",))
    assert not is_known("", ("https://*.example",))


@pytest.mark.parametrize("key", ["wrong", "A" * 43, "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94AAAA", "é", " "])
def test_a_key_that_is_none_is_the_operator_s_affair(key: str):
    with pytest.raises(Misconfigured, match="beckon key vapid"):
        private_key_of(Settings(vapid_private_key=key, subject="mailto:a@b.example"))


def test_a_subscription_is_read_as_the_browser_writes_it_and_as_the_address_that_it_becomes():
    written = {
        "endpoint": "https://fcm.googleapis.com/fcm/send/c1KrmpTuRm",
        "expirationTime": None,
        "keys": {"p256dh": P256DH + "=", "auth": AUTH + "=="},
    }
    found = subscription_of(written)
    assert found.address == f"https://fcm.googleapis.com/fcm/send/c1KrmpTuRm#{P256DH}.{AUTH}"
    assert subscription_of(found.address) == found
    assert found.origin == "https://fcm.googleapis.com"
    assert len(found.address) < ADDRESS_MAX


@pytest.mark.parametrize(
    "value",
    [
        None, 7, "", "x", [], {}, {"endpoint": "https://push.example/1"},
        {"endpoint": "https://push.example/1", "keys": {"p256dh": P256DH}},
        {"endpoint": "https://push.example/1", "keys": {"p256dh": "short", "auth": AUTH}},
        {"endpoint": "https://push.example/1", "keys": {"p256dh": "C" + P256DH[1:], "auth": AUTH}},
        {"endpoint": "https://push.example/1", "keys": {"p256dh": P256DH, "auth": AUTH + "x"}},
        {"endpoint": "https://push.example/1", "keys": {"p256dh": [P256DH], "auth": AUTH}},
        {"endpoint": "javascript:alert(1)", "keys": {"p256dh": P256DH, "auth": AUTH}},
        {"endpoint": "https://", "keys": {"p256dh": P256DH, "auth": AUTH}},
        {"endpoint": "https://a:b:c/", "keys": {"p256dh": P256DH, "auth": AUTH}},
        {"endpoint": "https://push.example/a b", "keys": {"p256dh": P256DH, "auth": AUTH}},
        {"endpoint": "https://push.example/" + "a" * ENDPOINT_MAX, "keys": {"p256dh": P256DH, "auth": AUTH}},
    ],
)  # fmt: skip
def test_what_is_no_subscription_is_refused(value: object):
    with pytest.raises(Refused) as refusal:
        subscription_of(value, "data.contact.web_push")
    assert (refusal.value.code, refusal.value.field) == ("push.subscription", "data.contact.web_push")


def test_keys_that_are_no_point_of_the_curve_are_gone_for_good():
    off_curve = "B" + "A" * 86
    with pytest.raises(Refused) as refusal:
        seal(
            b"x", Subscription("https://push.example/1", off_curve, AUTH), salt=b"0" * 16, key=private_key_of(SETTINGS)
        )
    assert refusal.value.gone


@pytest.mark.parametrize(
    ("status", "body", "kind", "gone"),
    [
        (404, b"", Refused, True),
        (410, b'{"errno":106}', Refused, True),
        (400, b'{"reason":"BadTtl"}', Refused, False),
        (400, b'{"reason":"VapidPkHashMismatch"}', Misconfigured, False),
        (401, b"", Misconfigured, False),
        (403, b"the VAPID credentials do not correspond", Misconfigured, False),
        (406, b"", Unavailable, False),
        (413, b"", Unsupported, False),
        (429, b"", Unavailable, False),
        (500, b"", Unavailable, False),
        (503, b"", Unavailable, False),
    ],
)
def test_what_push_services_answer(status: int, body: bytes, kind: type[BeckonError], gone: bool):
    with pytest.raises(kind) as error:
        read_reply(Reply(status, {"retry-after": "7"}, body), outbound())
    assert getattr(error.value, "gone", False) is gone
    if kind is Unavailable:
        assert error.value.retry_after_s == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("headers", "id_"),
    [
        ({"location": "https://push.example/message/m-1"}, "m-1"),
        ({"location": "https://fcm.googleapis.com/0:1718%2531bd/"}, "0:1718%2531bd"),
        ({"apns-id": "4B5C"}, "dlv_000000000000000000000001"),
    ],
)
def test_the_push_service_s_name_for_a_message_or_ours_where_it_has_none(headers: dict[str, str], id_: str):
    assert read_reply(Reply(201, headers, b""), outbound()).provider_id == id_


async def test_one_pass_serves_many_messages_and_a_dragged_clock_renews_it(stand: Stand):
    seen: list[str] = []
    request = stand.connections.request

    async def watched(method: str, url: str, *, headers: Any = None, **more: Any) -> Reply:
        seen.append(headers["Authorization"])
        return await request(method, url, headers=headers, **more)

    stand.connections.request = watched  # type: ignore[method-assign]
    channel = stand.open(stand.settings)
    for forward_ms in (0, 3_600_000, 7 * 3_600_000, 30 * 24 * 3_600_000):
        stand.clock.drag(forward_ms)
        await channel.send(stand.outbound())
    assert len(set(seen)) == 3
    assert seen[0] == seen[1]


async def test_a_message_goes_over_a_real_connection(stand: Stand):
    """The pooled connections write a request that the push service can read."""
    config = uvicorn.Config(stand.twins.app, port=0, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    running = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0)
    base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    connections = PooledConnections()
    channel = stand.open(stand.with_settings(**stand.twin.settings(base)), connections)
    try:
        for _ in range(2):
            handed = await channel.send(stand.outbound(to=address_of(base, "ann")))
        assert [message.id for message in stand.twin.messages("ann")][-1] == handed.provider_id
    finally:
        await connections.close()
        server.should_exit = True
        await running


async def test_the_twin_turns_away_what_a_push_service_would(stand: Stand):
    other = stand.with_settings(vapid_private_key="yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    with pytest.raises(Misconfigured):
        await stand.open(other).send(stand.outbound())
    extras = {"now_ms": stand.clock.now_ms() - 13 * 3_600_000}
    late = Outbound(delivery_id="dlv_1", attempt=1, to=stand.case.address, rendered=Rendered(text="x"), extras=extras)
    with pytest.raises(Misconfigured):  # a pass from long ago
        await stand.open(stand.settings).send(late)
    mixed = stand.outbound(to=f"{stand.case.address.partition('#')[0]}#{P256DH}.{AUTH}")
    with pytest.raises(Refused):  # sealed for another device
        await stand.channel.send(mixed)
    assert stand.twin.people() == []


def test_the_command_makes_a_key_that_the_provider_takes():
    private, public = make_vapid_key()
    key = private_key_of(Settings(vapid_private_key=private, subject="mailto:a@b.example"))
    assert public_key_of(key) == public
    assert len({make_vapid_key()[0] for _ in range(3)}) == 3
