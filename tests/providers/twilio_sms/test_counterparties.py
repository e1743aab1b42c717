"""twilio's own client and validator, which we didn't write, agree with ours and with the twin."""

from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from beckon.core.errors import BeckonError
from beckon.core.message import Rendered
from tests.contracts.conftest import Stand


class ToTheTwin(AsyncHttpClient):
    """Their client's way out, ending at the twin."""

    def __init__(self, stand: Stand) -> None:
        super().__init__(None, True, None)
        self._transport = httpx.ASGITransport(app=stand.twins.app)

    async def request(  # type: ignore[override]
        self,
        method: str,
        uri: str,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        auth: Any = None,
        **_: Any,
    ) -> Response:
        async with httpx.AsyncClient(transport=self._transport) as client:
            url = uri.replace("https://api.twilio.com", "http://sandbox.test/twilio")
            answer = await client.request(method, url, params=params, data=data, headers=headers, auth=auth)
        return Response(answer.status_code, answer.text, dict(answer.headers))


@pytest.fixture
def client(stand: Stand) -> Client:
    return Client(stand.settings.account_sid, stand.settings.auth_token, http_client=ToTheTwin(stand))


async def test_their_client_s_message_and_ours_are_the_same(stand: Stand, client: Client):
    sent = await client.messages.create_async(
        to=stand.case.address,
        from_=stand.settings.from_number,
        body="Ready ✓ & paid",
        status_callback=f"{stand.settings.webhook_url}?reference=dlv_x",
    )
    handed = await stand.channel.send(stand.outbound(Rendered(text="Ready ✓ & paid"), delivery="dlv_x"))
    assert stand.twin.find(str(sent.sid)).raw == stand.twin.find(handed.provider_id).raw
    assert sent.status == "queued"


async def test_their_client_follows_a_message(stand: Stand, client: Client):
    handed = await stand.send()
    await stand.settle()
    fetched = await client.messages(handed.provider_id).fetch_async()
    assert (fetched.status, fetched.to, fetched.body) == ("delivered", stand.case.address, "Your car is ready.")


async def test_their_client_reads_the_twin_s_errors(stand: Stand, client: Client):
    for code in ("21610", "21211", "20429"):
        stand.twin.faults.answer_code = code
        with pytest.raises(TwilioRestException) as error:
            await client.messages.create_async(to=stand.case.address, from_=stand.settings.from_number, body="x")
        assert error.value.code == int(code)


async def test_who_wrote_stop_is_refused_until_start(stand: Stand):
    await stand.send()
    await stand.twin.reply(stand.case.address, "Stop")
    with pytest.raises(BeckonError, match="unsubscribed"):
        await stand.send()
    await stand.twin.reply(stand.case.address, "START")
    await stand.send()


async def test_their_validator_takes_the_twin_s_webhooks_and_no_other(stand: Stand):
    validator = RequestValidator(stand.settings.auth_token)
    await stand.twin.reply(stand.case.address, "Is it ready? é & =")
    await stand.send()
    await stand.settle()
    assert len(stand.posted) == 3
    for request in stand.posted:
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        given = request.headers["x-twilio-signature"]
        assert validator.validate(request.url, fields, given)
        assert not validator.validate(request.url, {**fields, "Body": "forged"}, given)
        assert not validator.validate(request.url + "x", fields, given)


@pytest.mark.parametrize("port", ["", ":8443", ":443"])
async def test_a_webhook_signed_by_their_code_is_taken_by_ours(stand: Stand, port: str):
    """They sign whatever URL they were given, with its port or without it."""
    validator = RequestValidator(stand.settings.auth_token)
    fields = {"MessageSid": "SM9", "From": stand.case.address, "Body": "Hé", "SmsStatus": "received"}
    request = stand.signed(httpx.Request("POST", "http://x", data=fields).content)
    url = f"https://hooks.test{port}/hooks/main/twilio_sms"
    request.headers["x-twilio-signature"] = validator.compute_signature(url, fields)
    for seen in (url, "https://hooks.test/hooks/main/twilio_sms") if port in ("", ":443") else (url,):
        seen_request = type(request)(method="POST", url=seen, query={}, headers=request.headers, body=request.body)
        assert [event.data["text"] for event in stand.read(seen_request).events] == ["Hé"]
