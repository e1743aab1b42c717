"""jambonz behind ``Switch``: its documented webhooks, and the verbs that it is told."""

import hmac
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.exchange import Reply, WebhookRequest
from beckon.providers.jambonz import payloads, webhook
from beckon.providers.jambonz.settings import JambonzSettings
from beckon.telephony.documents import Document, Hear, Join, Part, Press, Told, Turn, Wait
from beckon.telephony.switch import File, Keys, LegOffered, Say, Silence
from tests.providers.jambonz.twin import ACCOUNT, SECRET, a_jambonz, accepted

HOOK = "https://beckon.example/hooks/main/jambonz"
SETTINGS = JambonzSettings(account_sid=ACCOUNT, api_key="key", webhook_secret=SECRET, hook_url=HOOK)
CALL = "1f1c9bd8-6b5c-4b52-9a62-3c9a4e7a0a11"
NOW_S = 1_790_000_000


def posted(body: bytes, query: str = "", at_s: int = NOW_S, secret: str = SECRET) -> WebhookRequest:
    proof = hmac.new(secret.encode(), b"%d." % at_s + body, "sha256").hexdigest()
    headers = {"jambonz-signature": f"t={at_s},v1={proof}"}
    return WebhookRequest(method="POST", url=HOOK, query=dict(parse_qsl(query)), headers=headers, body=body)


def test_documented_webhooks_are_read(fixture_bytes: Any) -> None:
    new = webhook.read(posted(fixture_bytes("session_new.json")), SETTINGS, NOW_S * 1_000)
    assert new == Told(what="call", call=CALL, caller="+32470000001", called="+3221234567")
    query = "what=next&ours=leg&document=3&max=8&until=%23"
    gathered = webhook.read(posted(fixture_bytes("gathered.json"), query), SETTINGS, NOW_S * 1_000)
    assert (gathered.what, gathered.ours, gathered.document, gathered.keys) == ("next", "leg", 3, "4711#")
    full = webhook.read(posted(fixture_bytes("gathered.json"), query.replace("8", "4")), SETTINGS, NOW_S * 1_000)
    assert full.keys == "4711", "as many as were wanted: no key had to end them"
    ended = webhook.read(posted(fixture_bytes("busy.json"), "what=status&ours=leg"), SETTINGS, NOW_S * 1_000)
    assert (ended.state, ended.cause, ended.status, ended.why) == ("ended", "declined", 603, "Decline")


def test_what_is_not_signed_old_or_of_another_account_is_refused(fixture_bytes: Any) -> None:
    body = fixture_bytes("session_new.json")
    wrong = [
        posted(body, secret="other"),
        posted(body, at_s=NOW_S - 301),
        posted(body.replace(b"fef61e75", b"00000000")),
        posted(b"[]"),
        posted(b"{"),
    ]
    for request in wrong:
        with pytest.raises(Refused):
            webhook.read(request, SETTINGS, NOW_S * 1_000)


URL = f"{HOOK}?what=next&ours=leg&document=2"
ACTION = {"url": URL, "method": "POST"}
ANSWER = {"verb": "answer"}
REDIRECT = {"verb": "redirect", "actionHook": ACTION}


def gather(**more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "verb": "gather",
        "input": ["digits"],
        "minDigits": 1,
        "maxDigits": 1,
        "interDigitTimeout": 2.5,
        "timeout": 55,
        "dtmfBargein": True,
        "listenDuringPrompt": True,
        "actionHook": {"url": f"{URL}&max=1&until=", "method": "POST"},
    }
    return made | more


def said(text: str) -> dict[str, Any]:
    return {"text": text, "synthesizer": {"vendor": "default", "language": "nl"}}


DOCUMENTS: list[tuple[Document, list[dict[str, Any]]]] = [
    (Document(next_url=URL), [ANSWER, gather(), REDIRECT]),
    (Document(answered=False, next_url=URL), [{"verb": "pause", "length": 1}, REDIRECT]),
    (
        Document(pieces=(Press("12"), Hear((Say("Hallo.", "nl"), Silence(1_400)))), next_url=URL),
        [
            ANSWER,
            {"verb": "dtmf", "dtmf": "12", "duration": 160},
            {"verb": "say", **said("Hallo.")},
            {"verb": "pause", "length": 1},
            REDIRECT,
        ],
    ),
    (
        Document(
            pieces=(Hear((File("https://a.example/a.wav"), Say("Een.", "nl"), Say("Twee.", "nl")), barge_in=True),),
            keys=Keys(keys_max=8, until="#", between_s=4.0),
            next_url=URL,
        ),
        [
            ANSWER,
            {"verb": "play", "url": "https://a.example/a.wav"},
            gather(
                maxDigits=8,
                interDigitTimeout=4.0,
                timeout=4.0,
                finishOnKey="#",
                say=said("Een. Twee."),
                actionHook={"url": f"{URL}&max=8&until=%23", "method": "POST"},
            ),
            REDIRECT,
        ],
    ),
    (
        Document(pieces=(Join("b-1"),), next_url=URL),
        [
            ANSWER,
            {
                "verb": "conference",
                "name": "b-1",
                "beep": False,
                "startConferenceOnEnter": True,
                "endConferenceOnExit": False,
                "actionHook": ACTION,
            },
            REDIRECT,
        ],
    ),
    (
        Document(pieces=(Wait((File("https://a.example/t.wav"),)),), next_url=URL),
        [ANSWER, {"verb": "play", "url": "https://a.example/t.wav"}, REDIRECT],
    ),
    (Document(pieces=(Turn(486),)), [{"verb": "sip:decline", "status": 486}]),
    (Document(pieces=(Part(),)), [{"verb": "hangup"}]),
]


@pytest.mark.parametrize(("document", "wire"), DOCUMENTS)
def test_documents_are_verbs_that_jambonz_own_schema_accepts(document: Document, wire: list[dict[str, Any]]) -> None:
    verbs = payloads.verbs(document, SETTINGS)
    assert verbs == wire
    accepted(json.dumps(verbs).encode())


def test_whom_it_calls() -> None:
    def body(to: str, **more: Any) -> Any:
        settings = JambonzSettings(account_sid=ACCOUNT, api_key="k", webhook_secret="s", hook_url=HOOK, **more)
        return payloads.call_body(
            to, settings, caller_id="+3221234567", caller_name="", ring_s=25.0, next_url=URL, status_url=HOOK
        )

    assert body("+3225550101") == {
        "from": "+3221234567",
        "to": {"type": "phone", "number": "+3225550101"},
        "call_hook": ACTION,
        "call_status_hook": {"url": HOOK, "method": "POST"},
        "timeout": 25,
    }
    assert body("+3225550101", trunk="bics")["to"]["trunk"] == "bics"
    assert body("sip:a@b.example")["to"] == {"type": "sip", "sipUri": "sip:a@b.example"}
    assert body("desk", sip_realm="shop.example")["to"] == {"type": "user", "name": "desk@shop.example"}
    with pytest.raises(Refused):
        body("desk")


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Misconfigured), (404, Refused), (400, Refused), (429, Unavailable), (500, Unavailable)]
)
def test_refusals_are_told_apart(status: int, kind: type[BeckonError]) -> None:
    with pytest.raises(kind):
        payloads.made(Reply(status, {}, b""))
    with pytest.raises(Unavailable):
        payloads.made(Reply(201, {}, b"{}"))


async def test_it_records_nothing_and_says_so() -> None:
    async with a_jambonz() as (exchange, heard):
        phone = exchange.call_in("+32470000001", "+3221234567")
        await heard.until(lambda: heard.of(LegOffered))
        with pytest.raises(Unsupported):
            await heard.switch.record("c-r1", phone.sid)
