"""What is said to Firebase and to Google's sign-in, in their documented shapes, and what their answers mean."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.message import Button, Media, Outbound, Rendered
from beckon.messaging.channel import Reply
from beckon.providers.fcm.payloads import Settings, account_of, build, read_reply, read_token, token_request
from beckon.sandbox.twins.fcm import Twin
from tests.contracts.conftest import Stand

TOKEN = "cR1Yx8mKQ0a:APA91bH3x" + "Xy_-1" * 26
SETTINGS = Settings(service_account="{}")
NOW_MS = 1_700_000_000_000


def outbound(text: str = "Your offer is here.", **more: Any) -> Outbound:
    fields = {"delivery_id": "dlv_000000000000000000000001", "attempt": 1, "to": TOKEN, **more}
    return Outbound(rendered=fields.pop("rendered", None) or Rendered(text=text, subject="Fancy Fries"), **fields)


def key_file(**changes: object) -> str:
    given = json.loads(str(Twin.settings(_TWIN, "https://oauth2.googleapis.com")["service_account"]))
    return json.dumps({**given, **changes})


class _NoConnections:
    """Nobody is called."""


_TWIN = Twin(connections=_NoConnections(), clock=None, webhook_url="", seed="keys")


def test_a_message_in_its_documented_shape(fixture_bytes: Callable[[str], bytes]):
    rendered = Rendered(
        text="20 % off large fries until Friday.",
        subject="An offer for you, Amanda",
        buttons=(
            Button("link", "See the offer", "https://b.example/go/abc"),
            Button("link", "Terms", "https://b.example/go/ghi"),
        ),
        media=(Media("image", "https://b.example/fries.jpg"),),
    )
    said = build(outbound(rendered=rendered, purpose="marketing"), SETTINGS)
    assert said == json.loads(fixture_bytes("message.json"))


def test_what_is_asked_for_is_urgent_and_an_offer_is_not():
    said = build(outbound(), SETTINGS)["message"]
    assert (said["android"]["priority"], said["apns"]["headers"]["apns-priority"]) == ("HIGH", "10")


def test_the_service_account_signs_for_a_token_and_an_independent_peer_verifies_it():
    account = account_of(Settings(service_account=key_file()))
    url, headers, body = token_request(account, NOW_MS)
    assert url == "https://oauth2.googleapis.com/fcm/token"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    form = parse_qs(body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    [signed] = form["assertion"]
    head, _, _ = signed.rpartition(".")
    proof = jwt.utils.base64url_decode(signed.rpartition(".")[2])
    account.key.public_key().verify(proof, head.encode(), PKCS1v15(), SHA256())  # raises where it is not
    claims = msgspec.json.decode(jwt.utils.base64url_decode(head.partition(".")[2]))
    assert claims == {
        "iss": "beckon@garage-vermeulen.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/fcm/token",
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    }
    assert jwt.get_unverified_header(signed)["kid"] == account.private_key_id


def _elliptic() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"private_key": "no key"},
        {"private_key": _elliptic()},
        {"project_id": "../../other"},
        {"project_id": 7},
        {"token_uri": "file:///etc/passwd"},
        {"client_email": None},
    ],
)
def test_a_key_file_that_is_none_is_the_operator_s_affair(changes: dict[str, object]):
    with pytest.raises(Misconfigured, match="service_account") as error:
        account_of(Settings(service_account=key_file(**changes)))
    assert error.value.field == "providers.fcm.service_account"


@pytest.mark.parametrize("text", ["{", "[]", "null", "/etc/fcm.json", "\ud800"])
def test_what_is_no_key_file_at_all_is_the_operator_s_affair(text: str):
    with pytest.raises(Misconfigured):
        account_of(Settings(service_account=text))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(400, {}, b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'), Misconfigured),
        (Reply(401, {}, b'{"error":"invalid_client"}'), Misconfigured),
        (Reply(401, {}, b"<html>"), Misconfigured),
        (Reply(200, {}, b"{}"), Unavailable),
        (Reply(200, {}, b'{"access_token":"a\\nb"}'), Unavailable),
        (Reply(429, {"retry-after": "7"}, b""), Unavailable),
        (Reply(502, {}, b"<html>"), Unavailable),
        (Reply(503, {}, b'{"error":"backend_error"}'), Unavailable),
    ],
)
def test_without_a_token_no_message_was_sent(reply: Reply, kind: type[BeckonError]):
    with pytest.raises(kind) as error:
        read_token(reply)
    assert not getattr(error.value, "doubtful", False)


def test_a_token_is_good_for_as_long_as_it_says():
    assert read_token(Reply(200, {}, b'{"access_token":"ya29.x","expires_in":3599}')) == ("ya29.x", 3599)
    assert read_token(Reply(200, {}, b'{"access_token":"ya29.x","expires_in":-1}')) == ("ya29.x", 3600)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("unregistered.json", Refused, "fcm.unregistered"),
        ("bad_token.json", Refused, "fcm.invalid_argument"),
        ("bad_argument.json", Refused, "fcm.invalid_argument"),
        ("sender_id_mismatch.json", Misconfigured, "fcm.sender_id_mismatch"),
        ("quota_exceeded.json", Unavailable, "fcm.quota_exceeded"),
        ("third_party_auth_error.json", Misconfigured, "fcm.third_party_auth_error"),
        ("unauthenticated.json", Misconfigured, "fcm.unauthenticated"),
    ],
)
def test_errors_in_their_documented_shapes(
    fixture_bytes: Callable[[str], bytes], name: str, kind: type[BeckonError], code: str
):
    body = fixture_bytes(name)
    status = json.loads(body)["error"]["code"]
    with pytest.raises(kind) as error:
        read_reply(Reply(status, {"retry-after": "60"}, body))
    assert error.value.code == code
    assert getattr(error.value, "gone", False) is (name in ("unregistered.json", "bad_token.json"))
    if kind is Unavailable:
        assert error.value.retry_after_s == 60  # type: ignore[attr-defined]


def test_google_s_name_for_a_message():
    said = b'{"name":"projects/myproject-b5ae1/messages/0:1500415314455276%31bd1c9631bd1c96"}'
    assert read_reply(Reply(200, {}, said)).provider_id == "0:1500415314455276%31bd1c9631bd1c96"


def test_a_text_that_is_too_long_in_bytes_is_unsupported():
    link = Button("link", "See the offer", "https://b.example/go/" + "a" * 100)
    rendered = Rendered(text="\N{PARTY POPPER}" * 1_000, buttons=(link,))
    with pytest.raises(Unsupported):
        build(outbound(rendered=rendered), SETTINGS)


async def test_many_messages_share_one_token_until_its_end(stand: Stand):
    twin = stand.twin
    assert isinstance(twin, Twin)
    await asyncio.gather(*[stand.channel.send(stand.outbound()) for _ in range(10)])
    assert twin.tokens_given == 1
    stand.clock.drag(3_530_000)
    await stand.channel.send(stand.outbound())
    assert twin.tokens_given == 1
    stand.clock.drag(20_000)
    await stand.channel.send(stand.outbound())
    assert twin.tokens_given == 2


async def test_a_token_that_was_taken_back_is_asked_for_anew(stand: Stand):
    twin = stand.twin
    assert isinstance(twin, Twin)
    await stand.channel.send(stand.outbound())
    twin.expire_tokens()
    with pytest.raises(Misconfigured):
        await stand.channel.send(stand.outbound())
    await stand.channel.send(stand.outbound())
    assert twin.tokens_given == 2


async def test_a_stranger_s_signature_gets_no_token(stand: Stand):
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    given = json.loads(str(stand.twin.settings("http://sandbox.test")["service_account"]))
    stranger = stand.open(stand.with_settings(service_account=json.dumps({**given, "private_key": pem})))
    with pytest.raises(Misconfigured, match="invalid_grant"):
        await stranger.send(stand.outbound())
    assert stand.twin.people() == []
