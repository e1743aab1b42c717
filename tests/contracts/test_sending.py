"""Every provider says what its capabilities promise, and its party takes it."""

import asyncio

import msgspec
import pytest

from beckon.core.errors import Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.message import Button, Media, Rendered
from tests.contracts.conftest import Stand, only


async def test_a_text_arrives_with_the_provider_s_id(stand: Stand):
    handed = await stand.send()
    [shown] = [message for message in stand.twin.messages(stand.case.address) if not message.own]
    assert shown.id == handed.provider_id
    assert handed.state == "sent"
    assert shown.text == "Your car is ready."


async def test_the_channel_is_the_one_that_the_provider_names(stand: Stand):
    assert stand.channel.name == stand.provider.channel
    assert stand.channel.provider == stand.provider.name == stand.twin.provider


@pytest.mark.parametrize("text", ["é", "日本語 🚗", "a\nb", "100 % &?=+#", "<b>&amp;</b>", "'\"\\", "٣"])
async def test_letters_of_all_kinds_arrive_as_they_are(stand: Stand, text: str):
    handed = await stand.send(Rendered(text=text, subject="Words"))
    assert stand.twin.find(handed.provider_id).text == text


@pytest.mark.parametrize("text", ["a\ud800b", "a\x00b", "\u202e", "\u2028x", "\ufeffx", "a\x1bb"])
async def test_odd_letters_are_carried_or_unsupported_and_nothing_else(stand: Stand, text: str):
    await stand.open_window()
    button = Button("link", text, f"https://garage.example/{text}")
    for rendered in (Rendered(text=text, subject=text), Rendered(text="x", subject="x", buttons=(button,))):
        try:
            await stand.channel.send(stand.outbound(rendered))
        except Unsupported as error:
            assert "letters" in error.code  # noqa: PT017 - both are fine, nothing else is


async def test_the_longest_text_arrives_whole(stand: Stand):
    text = "x" * stand.channel.capabilities.text_max
    handed = await stand.send(Rendered(text=text, subject="Long"))
    assert stand.twin.find(handed.provider_id).text == text


async def test_a_longer_text_is_unsupported(stand: Stand):
    await stand.open_window()
    with pytest.raises(Unsupported):
        await stand.channel.send(stand.outbound(Rendered(text="x" * (stand.channel.capabilities.text_max + 1))))


async def test_no_text_at_all_is_unsupported(stand: Stand):
    await stand.open_window()
    with pytest.raises(Unsupported):
        await stand.channel.send(stand.outbound(Rendered(text="")))


async def test_link_buttons_show_as_buttons(stand: Stand):
    count = stand.channel.capabilities.link_buttons
    links = [Button("link", f"Open {n}", f"https://garage.example/go/{n}?a=1&b=2") for n in range(count)]
    handed = await stand.send(Rendered(text="Ready.", subject="Ready", buttons=tuple(links)))
    shown = stand.twin.find(handed.provider_id)
    assert [(b.kind, b.text, b.value) for b in shown.buttons if b.kind == "link"] == [
        ("link", link.text, link.value) for link in links
    ]
    for index, link in enumerate(links):
        assert await stand.twin.receive_tap(shown.id, index) == link.value


@only(lambda provider: not provider.capabilities.link_buttons)
async def test_a_link_that_has_no_button_stands_in_the_text(stand: Stand):
    link = Button("link", "Open", "https://garage.example/go/1")
    handed = await stand.send(Rendered(text="Ready.", subject="Ready", buttons=(link,)))
    assert link.value in stand.twin.find(handed.provider_id).text


async def test_a_link_is_not_written_twice(stand: Stand):
    link = Button("link", "Open", "https://garage.example/go/1")
    handed = await stand.send(Rendered(text=f"Ready: {link.value}", subject="Ready", buttons=(link,)))
    assert stand.twin.find(handed.provider_id).text.count(link.value) == 1


@only(lambda provider: provider.capabilities.reply_buttons)
async def test_reply_buttons_come_back_with_their_payload(stand: Stand):
    count = stand.channel.capabilities.reply_buttons
    replies = [Button("reply", f"Yes {n}", f"yes-{n}") for n in range(count)]
    handed = await stand.send(Rendered(text="Is Tuesday fine?", subject="Tuesday", buttons=tuple(replies)))
    assert [b.text for b in stand.twin.find(handed.provider_id).buttons] == [reply.text for reply in replies]
    await stand.settle()
    stand.events.clear()
    await stand.twin.receive_tap(handed.provider_id, count - 1)
    await stand.settle()
    [event] = stand.events
    assert event.type == "message.received"
    assert event.data["reply"] == f"yes-{count - 1}"
    assert event.data["text"] == f"Yes {count - 1}"
    assert event.data["context"] == handed.provider_id


async def test_media_of_every_promised_kind_arrive(stand: Stand):
    for kind in stand.channel.capabilities.media:
        url = f"https://garage.example/{kind}"
        handed = await stand.send(Rendered(text="Look.", subject="Look", media=(Media(kind, url),)))  # type: ignore[arg-type]
        shown = stand.twin.find(handed.provider_id)
        assert url in [medium.url for medium in shown.media] or url in shown.html or url in shown.text


@only(lambda provider: provider.capabilities.html)
async def test_html_arrives_where_it_is_promised(stand: Stand):
    html = "<!doctype html><html><body><p>Ready, <b>Jan</b></p></body></html>"
    button = Button("link", "Open", "https://garage.example/go/1")
    handed = await stand.send(
        Rendered(text="Ready, Jan", subject="Réady\r\nBcc: x@y.example", html=html, buttons=(button,))
    )
    shown = stand.twin.find(handed.provider_id)
    assert "<p>Ready, <b>Jan</b></p>" in shown.html
    assert button.value in shown.html
    assert button.value in shown.text
    assert shown.subject == "Réady Bcc: x@y.example"


@only(lambda provider: provider.capabilities.session_window_s)
async def test_free_text_needs_the_window_where_there_is_one(stand: Stand):
    window_s = stand.channel.capabilities.session_window_s
    with pytest.raises(Unsupported):
        await stand.channel.send(stand.outbound())
    await stand.twin.reply(stand.case.address, "Hello")
    stand.clock.drag(window_s * 1000)
    await stand.channel.send(stand.outbound())
    stand.clock.drag(1)
    with pytest.raises(Unsupported):
        await stand.channel.send(stand.outbound())


@only(lambda provider: provider.capabilities.templates)
async def test_an_approved_template_needs_no_window(stand: Stand):
    assert stand.case.template is not None
    handed = await stand.channel.send(stand.outbound(stand.case.template))
    shown = stand.twin.find(handed.provider_id)
    assert shown.template == stand.case.template.template.name  # type: ignore[union-attr]
    assert shown.text == stand.case.template.text
    assert [(b.kind, b.text, b.value) for b in shown.buttons] == [
        (b.kind, b.text, b.value) for b in stand.case.template.buttons
    ]


@only(lambda provider: provider.capabilities.templates)
async def test_a_rejected_template_is_the_operator_s_affair(stand: Stand):
    stand.twin.faults.template_rejected = True
    with pytest.raises(Misconfigured):
        await stand.channel.send(stand.outbound(stand.case.template))


async def test_an_address_that_is_none_is_refused_before_anything_is_sent(stand: Stand):
    for bad in (stand.case.bad_address, "a\r\nBcc: x@y.example", "x" * 400, "\x00"):
        with pytest.raises(Refused) as refusal:
            await stand.channel.send(stand.outbound(to=bad))
        assert refusal.value.field == "to"
    assert stand.twin.people() == []


async def test_a_number_that_nobody_has_is_refused(stand: Stand):
    stand.twin.faults.number_invalid = True
    with pytest.raises(Refused):
        await stand.channel.send(stand.outbound(stand.case.template))


async def test_every_error_code_of_the_party_becomes_the_right_kind(stand: Stand):
    assert set(stand.case.errors) == set(stand.twin.errors)
    await stand.open_window()
    for code, kind in stand.case.errors.items():
        stand.twin.faults.answer_code = code
        with pytest.raises((Refused, Unavailable, Unsupported, Misconfigured)) as error:
            await stand.channel.send(stand.outbound())
        assert (code, error.value.kind) == (code, kind)
        assert error.value.code.startswith(f"{stand.provider.name}.")
        assert not getattr(error.value, "doubtful", False), code


async def test_a_party_that_is_down_is_tried_again_later(stand: Stand):
    stand.twin.faults.down = True
    with pytest.raises(Unavailable) as error:
        await stand.channel.send(stand.outbound())
    assert not error.value.doubtful
    assert stand.twin.people() == []
    stand.twin.faults.clear()
    await stand.send()


async def test_a_party_that_asks_to_wait_is_heard(stand: Stand):
    stand.twin.faults.rate_limited = True
    with pytest.raises(Unavailable) as error:
        await stand.channel.send(stand.outbound())
    assert not error.value.doubtful
    assert error.value.retry_after_s in (30.0, None)
    assert error.value.retry_after_s == 30.0 or stand.twin.app is None


async def test_no_answer_in_time_is_doubtful_and_the_party_knows_how_often_it_was_told(stand: Stand):
    await stand.open_window()
    channel = stand.open(stand.with_settings(timeout_s=1.0))
    stand.twin.faults.slow_ms = 600_000
    message = stand.outbound()
    with pytest.raises(Unavailable) as error:
        await channel.send(message)
    assert error.value.doubtful
    assert stand.twin.handed(message.delivery_id) == 1
    stand.twin.faults.clear()
    await stand.channel.send(message)
    assert stand.twin.handed(message.delivery_id) == (1 if stand.case.idempotent else 2)
    assert stand.twin.handed_all()[message.delivery_id] == stand.twin.handed(message.delivery_id)


async def test_a_wrong_key_is_the_operator_s_affair(stand: Stand):
    for name in stand.provider.secrets:
        given = stand.twin.settings("http://sandbox.test")
        if name not in given:
            continue
        channel = stand.open(stand.with_settings(**{name: stand.case.wrong_secret(str(given[name]))}))
        try:
            await channel.send(stand.outbound(stand.case.template))
        except Misconfigured:
            break
    else:
        pytest.fail("no secret is checked by the party")


async def test_settings_that_miss_something_say_which(stand: Stand):
    given = stand.twin.settings("http://sandbox.test")
    required = [f.name for f in msgspec.structs.fields(stand.provider.settings) if f.required]
    assert required
    for name in required:
        with pytest.raises(Misconfigured) as error:
            stand.open(msgspec.convert({**given, name: ""}, stand.provider.settings))
        assert name in str(error.value)


async def test_an_unknown_setting_is_named(stand: Stand):
    with pytest.raises(msgspec.ValidationError, match="colour"):
        stand.with_settings(colour="red")


async def test_many_messages_at_once_all_arrive(stand: Stand):
    await stand.open_window()
    await asyncio.gather(*[stand.channel.send(stand.outbound()) for _ in range(20)])
    assert len([m for m in stand.twin.messages(stand.case.address) if not m.own]) == 20
    assert set(stand.twin.handed_all().values()) == {1}
