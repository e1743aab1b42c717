"""pywa, which we didn't write, agrees: with our payloads, with the twin's answers, signatures and webhooks."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from pywa import utils
from pywa_async import WhatsApp, errors
from pywa_async import types as theirs
from pywa_async.types import templates

from beckon.core.message import Button, Media, Rendered
from beckon.sandbox.twins.whatsapp_cloud import Twin
from tests.contracts.conftest import Stand


@pytest.fixture
async def pywa(stand: Stand) -> AsyncIterator[WhatsApp]:
    """Their client, its requests ending at the twin."""
    assert isinstance(stand.twin, Twin)
    keys = stand.twin.settings("http://sandbox.test")

    async def to_the_twin(request: httpx.Request) -> None:
        request.url = httpx.URL("http://sandbox.test/whatsapp" + request.url.raw_path.decode())
        request.headers["host"] = "sandbox.test"

    session = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=stand.twins.app), event_hooks={"request": [to_the_twin]}
    )
    client = WhatsApp(
        phone_id=str(keys["phone_number_id"]),
        token=str(keys["access_token"]),
        session=session,
        server=None,
        verify_token=str(keys["verify_token"]),
        app_secret=str(keys["app_secret"]),
        api_version=23.0,
    )
    yield client
    await session.aclose()


def raw(stand: Stand, message_id: str) -> dict[str, Any]:
    payload = dict(stand.twin.find(message_id).raw)
    payload.pop("biz_opaque_callback_data", None)
    return payload


async def test_their_text_and_ours_are_the_same(stand: Stand, pywa: WhatsApp):
    await stand.open_window()
    sent = await pywa.send_message(to=stand.case.address, text="Ready.")
    handed = await stand.channel.send(stand.outbound(Rendered(text="Ready.")))
    assert _without_defaults(raw(stand, sent.id)) == _without_defaults(raw(stand, handed.provider_id))


async def test_their_buttons_and_ours_are_the_same(stand: Stand, pywa: WhatsApp):
    await stand.open_window()
    url = "https://garage.example/go/1"
    sent = await pywa.send_message(
        to=stand.case.address, text="Ready.", buttons=theirs.URLButton(title="Open", url=url)
    )
    handed = await stand.channel.send(stand.outbound(Rendered(text="Ready.", buttons=(Button("link", "Open", url),))))
    assert _without_defaults(raw(stand, sent.id)) == _without_defaults(raw(stand, handed.provider_id))
    sent = await pywa.send_message(
        to=stand.case.address,
        text="Fine?",
        buttons=[theirs.Button(title="Yes", callback_data="yes"), theirs.Button(title="No", callback_data="no")],
    )
    buttons = (Button("reply", "Yes", "yes"), Button("reply", "No", "no"))
    handed = await stand.channel.send(stand.outbound(Rendered(text="Fine?", buttons=buttons)))
    assert _without_defaults(raw(stand, sent.id)) == _without_defaults(raw(stand, handed.provider_id))


async def test_their_picture_and_ours_are_the_same(stand: Stand, pywa: WhatsApp):
    await stand.open_window()
    url = "https://garage.example/car.jpg"
    sent = await pywa.send_image(to=stand.case.address, image=url, caption="Ready.")
    handed = await stand.channel.send(stand.outbound(Rendered(text="Ready.", media=(Media("image", url),))))
    assert _without_defaults(raw(stand, sent.id)) == _without_defaults(raw(stand, handed.provider_id))


async def test_their_template_and_ours_are_the_same(stand: Stand, pywa: WhatsApp):
    sent = await pywa.send_template(
        to=stand.case.address,
        name="checkin_invite",
        language=templates.TemplateLanguage.ENGLISH_US,
        params=[
            templates.BodyText.params("Jan", "Tuesday"),
            templates.URLButton.params(url_variable="k3y", index=0),
            templates.QuickReplyButton.params(callback_data="later", index=1),
        ],
    )
    handed = await stand.channel.send(stand.outbound(stand.case.template))
    ours, others = raw(stand, handed.provider_id), raw(stand, sent.id)
    for payload in (ours, others):
        for component in payload["template"]["components"]:
            component["type"] = component["type"].lower()
            component["index"] = str(component.get("index", ""))
            component["sub_type"] = str(component.get("sub_type", "")).lower()
    assert _without_defaults(others) == _without_defaults(ours)


async def test_their_client_reads_the_twin_s_errors(stand: Stand, pywa: WhatsApp):
    with pytest.raises(errors.ReEngagementMessage):
        await pywa.send_message(to=stand.case.address, text="Ready.")
    stand.twin.faults.template_rejected = True
    with pytest.raises(errors.TemplateNotExists):
        await pywa.send_template(
            to=stand.case.address, name="checkin_invite", language=templates.TemplateLanguage.ENGLISH_US, params=[]
        )
    stand.twin.faults.rate_limited = True
    with pytest.raises(errors.RateLimitHit):
        await pywa.send_message(to=stand.case.address, text="Ready.")


async def test_their_signature_check_takes_the_twin_s_webhooks_and_no_other(stand: Stand, pywa: WhatsApp):
    await stand.twin.reply(stand.case.address, "Hello")
    await stand.settle()
    request = stand.posted[-1]
    signature = request.headers["x-hub-signature-256"]
    assert await pywa.webhook_update_validator(request.body, signature) is None
    assert await pywa.webhook_update_validator(request.body + b" ", signature) is not None
    assert utils.webhook_updates_validator("other", request.body, signature) is False


async def test_their_parser_reads_the_twin_s_messages(stand: Stand, pywa: WhatsApp):
    stand.twin.names[stand.case.address] = "Jan"
    await stand.twin.reply(stand.case.address, "Hello")
    await stand.settle()
    message = theirs.Message.from_update(pywa, _update(stand.posted[-1].body))
    [event] = stand.events
    assert message.id == event.id
    assert message.text == event.data["text"] == "Hello"
    assert message.from_user.wa_id == event.data["from"]
    assert message.from_user.name == event.data["name"]
    assert message.from_user.bsuid == event.data["user_id"]


async def test_their_parser_reads_the_twin_s_taps(stand: Stand, pywa: WhatsApp):
    handed = await stand.send(Rendered(text="Fine?", buttons=(Button("reply", "Yes", "yes"),)))
    await stand.twin.receive_tap(handed.provider_id, 0)
    await stand.settle()
    button = theirs.CallbackButton.from_update(pywa, _update(stand.posted[-1].body))
    assert button.data == stand.events[-1].data["reply"] == "yes"
    assert button.title == "Yes"


async def test_their_parser_reads_the_twin_s_statuses(stand: Stand, pywa: WhatsApp):
    await stand.open_window()
    stand.twin.faults.fail_later = True
    handed = await stand.channel.send(stand.outbound())
    await stand.settle()
    statuses = [theirs.MessageStatus.from_update(pywa, _update(request.body)) for request in stand.posted]
    assert [str(status.status.value) for status in statuses] == ["sent", "failed"]
    assert {status.id for status in statuses} == {handed.provider_id}
    assert isinstance(statuses[1].error, errors.MessageUndeliverable)


async def test_their_parser_reads_the_twin_s_template_states(stand: Stand, pywa: WhatsApp):
    assert isinstance(stand.twin, Twin)
    await stand.twin.review("checkin_invite", "en_US", "REJECTED", "INVALID_FORMAT")
    await stand.settle()
    update = templates.TemplateStatusUpdate.from_update(pywa, _update(stand.posted[-1].body))
    assert update.template_name == stand.events[-1].data["template"] == "checkin_invite"
    assert stand.events[-1].data["state"] == "rejected"


def _update(body: bytes) -> Any:
    return msgspec.json.decode(body)


def _without_defaults(payload: Any) -> Any:
    """Without what means the same when it is left out."""
    if isinstance(payload, dict):
        kept = {key: _without_defaults(value) for key, value in payload.items()}
        return {key: value for key, value in kept.items() if value not in (None, False, "", [], {})}
    return [_without_defaults(item) for item in payload] if isinstance(payload, list) else payload
