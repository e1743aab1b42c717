"""Twilio behind ``Switch``: its documented webhooks, the documents that it is told, recordings."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable
from beckon.core.exchange import Reply, WebhookRequest
from beckon.providers.twilio_voice import payloads, webhook
from beckon.providers.twilio_voice.settings import TwilioVoiceSettings
from beckon.telephony.documents import Document, Hear, Join, Part, Press, Tape, Told, Turn, Wait
from beckon.telephony.switch import File, Keys, LegAnswered, LegOffered, PlaybackEnded, RecordingEnded, Say, Silence
from tests.providers.twilio_voice.twin import ACCOUNT, TOKEN, SpeaksTwilio, a_twilio, accepted

HOOK = "https://beckon.example/hooks/main/twilio_voice"
SETTINGS = TwilioVoiceSettings(account_sid=ACCOUNT, auth_token=TOKEN, hook_url=HOOK, voice="Polly.Lotte")
CALL = "CA1234567890abcdef1234567890abcdef"


def posted(fixture: bytes, query: str = "", **changes: str) -> WebhookRequest:
    url = f"{HOOK}?{query}" if query else HOOK
    body = fixture.strip()
    signature = RequestValidator(TOKEN).compute_signature(url, dict(parse_qsl(body.decode(), keep_blank_values=True)))
    headers = {"x-twilio-signature": signature, **changes}
    return WebhookRequest(method="POST", url=url, query=dict(parse_qsl(query)), headers=headers, body=body)


def test_documented_webhooks_are_read(fixture_bytes: Any) -> None:
    assert webhook.read(posted(fixture_bytes("incoming.txt")), SETTINGS) == Told(
        what="call", call=CALL, state="ringing", caller="+32470000001", called="+3221234567"
    )
    gathered = webhook.read(posted(fixture_bytes("gathered.txt"), "what=next&ours=leg&document=3"), SETTINGS)
    assert (gathered.what, gathered.ours, gathered.document, gathered.keys) == ("next", "leg", 3, "4711#")
    failed = webhook.read(posted(fixture_bytes("failed.txt"), "what=status&ours=leg"), SETTINGS)
    assert (failed.state, failed.cause, failed.status) == ("ended", "not_found", 404)
    recorded = webhook.read(posted(fixture_bytes("recorded.txt"), "what=recording&ours=r-1"), SETTINGS)
    assert (recorded.ours, recorded.seconds, recorded.closed, recorded.failed) == ("r-1", 7.0, True, False)


def test_what_is_not_signed_or_of_another_account_is_refused(fixture_bytes: Any) -> None:
    with pytest.raises(Refused):
        webhook.read(posted(fixture_bytes("incoming.txt"), **{"x-twilio-signature": "no"}), SETTINGS)
    other = fixture_bytes("incoming.txt").replace(b"AC000", b"AC999")
    with pytest.raises(Refused) as refused:
        webhook.read(posted(other), SETTINGS)
    assert refused.value.code == "webhook.not_ours"


def test_a_withheld_number_is_none(fixture_bytes: Any) -> None:
    body = fixture_bytes("incoming.txt").replace(b"From=%2B32470000001", b"From=%2B266696687")
    assert webhook.read(posted(body), SETTINGS).caller == ""


URL = f"{HOOK}?what=next&ours=leg&document=2"
AMP = URL.replace("&", "&amp;")
REDIRECT = f'<Redirect method="POST">{AMP}</Redirect>'
DOCUMENTS = [
    (
        Document(pieces=(Hear((Say("Hi <you> & \x00me.", "nl-BE"), Silence(1_400))),), next_url=URL),
        f'<Say language="nl-BE" voice="Polly.Lotte">Hi &lt;you&gt; &amp; me.</Say><Pause length="1" />{REDIRECT}',
    ),
    (
        Document(
            pieces=(Press("1w2"), Hear((File("https://a/b.wav"),), barge_in=True)),
            keys=Keys(keys_max=8, until="#", between_s=5),
            next_url=URL,
        ),
        f'<Play digits="1w2" /><Gather input="dtmf" action="{AMP}" method="POST" numDigits="8" finishOnKey="#" '
        f'timeout="2" actionOnEmptyResult="true"><Play>https://a/b.wav</Play></Gather>{REDIRECT}',
    ),
    (Document(answered=False, next_url=URL), f'<Pause length="1" />{REDIRECT}'),
    (
        Document(next_url=URL),
        f'<Gather input="dtmf" action="{AMP}" method="POST" numDigits="1" finishOnKey="" timeout="55" '
        f'actionOnEmptyResult="true" />{REDIRECT}',
    ),
    (
        Document(pieces=(Tape(f"{HOOK}?what=recording&ours=r"), Join("b-1")), next_url=URL),
        f'<Start><Recording channels="dual" recordingStatusCallback="{HOOK}?what=recording&amp;ours=r" '
        f'recordingStatusCallbackEvent="in-progress completed absent" /></Start><Dial action="{AMP}" method="POST">'
        '<Conference beep="false" startConferenceOnEnter="true" endConferenceOnExit="false" waitUrl="">b-1'
        "</Conference></Dial>",
    ),
    (Document(pieces=(Wait((File("https://a/t.wav"),)),), next_url=URL), f"<Play>https://a/t.wav</Play>{REDIRECT}"),
    (Document(pieces=(Turn(486),)), '<Reject reason="busy" />'),
    (Document(pieces=(Turn(603),)), '<Reject reason="rejected" />'),
    (Document(pieces=(Part(),)), "<Hangup />"),
]


@pytest.mark.parametrize(("document", "wire"), DOCUMENTS)
def test_documents_are_twiml_that_twilio_itself_would_write(document: Document, wire: str) -> None:
    body = payloads.twiml(document, SETTINGS)
    assert body.decode() == f'<?xml version="1.0" encoding="UTF-8"?><Response>{wire}</Response>'
    accepted(body)


def test_the_form_that_calls_a_phone() -> None:
    form = payloads.call_form(
        "+3225550101", SETTINGS, caller_id="+3221234567", ring_s=25.0, next_url=URL, status_url=f"{HOOK}?what=status"
    )
    assert parse_qsl(form.decode()) == [
        ("To", "+3225550101"), ("From", "+3221234567"), ("Url", URL), ("Method", "POST"), ("Timeout", "25"),
        ("StatusCallback", f"{HOOK}?what=status"), ("StatusCallbackMethod", "POST"),
        ("StatusCallbackEvent", "initiated"), ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"), ("StatusCallbackEvent", "completed"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"code": 20003}', Misconfigured),
        (400, b'{"code": 21210}', Misconfigured),
        (404, b"", Refused),
        (400, b'{"code": 21220}', Refused),
        (400, b'{"code": 21215}', Refused),
        (429, b"{}", Unavailable),
        (503, b"<html>", Unavailable),
        (200, b"no json", Unavailable),
    ],
)
def test_refusals_are_told_apart(status: int, body: bytes, kind: type[BeckonError]) -> None:
    with pytest.raises(kind):
        payloads.made(Reply(status, {}, body))


async def test_a_recording_is_fetched_with_our_password_from_twilio_and_nowhere_else(tmp_path: Path) -> None:
    async with a_twilio(folder=str(tmp_path)) as (exchange, heard):
        phone = exchange.call_in("+32470000001", "+3221234567")
        await heard.until(lambda: heard.of(LegOffered))
        await heard.switch.answer(phone.sid)
        await heard.switch.play(phone.sid, "p-1", (Say("Leave a message."),))
        await heard.until(lambda: heard.of(PlaybackEnded))
        await heard.switch.record("c-r1", phone.sid, max_s=30)
        await heard.until(lambda: any(one.startswith("record") for one in phone.heard))
        await heard.switch.stop_recording("c-r1")
        await heard.until(lambda: heard.of(RecordingEnded))
        [ended] = heard.of(RecordingEnded)
        assert (ended.recording, ended.seconds, ended.why) == ("c-r1", 12.0, "")
        assert Path(ended.path).read_bytes() == b"RIFF" + bytes(5_000)
        assert Path(ended.path).parent == tmp_path / "recordings"
        assert list((tmp_path / "recordings").iterdir()) == [Path(ended.path)]


async def test_a_bridge_is_recorded_from_its_first_word_by_the_document_that_joins(tmp_path: Path) -> None:
    async with a_twilio(folder=str(tmp_path), recording_size_bytes_max=1_000) as (exchange, heard):
        phone = exchange.call_in("+32470000001", "+3221234567")
        await heard.until(lambda: heard.of(LegOffered))
        await heard.switch.dial("c-l1", "+3225550101", caller_id="+3221234567")
        await heard.until(lambda: heard.of(LegAnswered))
        await heard.switch.answer(phone.sid)
        await heard.switch.bridge("c-b1", phone.sid, "c-l1")
        await heard.switch.record("c-r1", "c-b1")
        await heard.until(lambda: phone.room == "c-b1")
        assert [one.partition(" ")[0] for one in phone.heard] == ["record"]
        speaks = exchange.speaks
        assert isinstance(speaks, SpeaksTwilio)
        await exchange.hang_up_by(phone)
        await speaks.recorded(exchange, phone, "")
        await heard.until(lambda: heard.of(RecordingEnded))
        [ended] = heard.of(RecordingEnded)
        assert "larger than 1000 bytes" in ended.why
        assert ended.path.startswith(
            f"http://127.0.0.1:{exchange.port}/api/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE"
        )
        assert list((tmp_path / "recordings").iterdir()) == []


async def test_a_recording_of_nothing_says_so() -> None:
    async with a_twilio() as (exchange, heard):
        phone = exchange.call_in("+32470000001", "+3221234567")
        await heard.until(lambda: heard.of(LegOffered))
        await heard.switch.answer(phone.sid)
        await heard.switch.record("c-r1", phone.sid)
        await heard.until(lambda: phone.heard)
        speaks = exchange.speaks
        assert isinstance(speaks, SpeaksTwilio)
        await speaks.recorded(exchange, phone, "", "absent")
        await heard.until(lambda: heard.of(RecordingEnded))
        assert [(ended.path, ended.why) for ended in heard.of(RecordingEnded)] == [("", "nothing was recorded")]
