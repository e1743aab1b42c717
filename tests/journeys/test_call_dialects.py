"""The vendors' documented requests and replies, and that theirs accept ours: jambonz' schema, Twilio's own package."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.twiml.voice_response import VoiceResponse

from beckon.core.errors import BeckonError, Refused, Unsupported
from beckon.journeys.call_processing.dialect import Asked, Door, PbxRequest, fields_of, verify_timed
from beckon.journeys.call_processing.jambonz import JambonzAnswering
from beckon.journeys.call_processing.twiml import TwimlAnswering
from beckon.journeys.call_processing.uis import UisAnswering, UisAsking
from beckon.telephony import instructions as told
from beckon.telephony.answers import NAMES, read_answer
from beckon.telephony.instructions import Instruction
from beckon.telephony.orders import Ask
from tests.house.repository import ROOT

GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = ROOT / ".venv" / "npm" / "node_modules" / "@jambonz" / "schema"
REQUESTS = json.loads((GOLDEN / "uis_requests.json").read_text())
REPLIES = json.loads((GOLDEN / "uis_replies.json").read_text())
DOOR = Door("https://beckon.example/calls/main/pbx/secret")
ASKED = Asked(call="1", session="1", caller="+32470000001", called="+3221234567")

ANSWERS: list[dict[str, Any]] = [
    {"say": "Hello <b>& you</b>."},
    {"say": ["One.", "Two."], "play": ["https://a.example/a.wav", "b.wav"], "locale": "nl-BE"},
    {"say": "Type.", "gather": {"max": 10, "min": 2, "until": "#", "between": 3, "within": 15}},
    {"say": "Type.", "gather": {"max": 4, "until": ""}, "code": 1},
    {"gather": True},
    {"phones": ["+3225550101"], "hint": "A courier: \"Bo\" & co.", "record": True, "ring": 20},
    {"phones": ["+3225550101"], "caller_id": "+3221234567"},
    {"phones": ["+3225550101", "+3225550102"], "at_once": True, "hint_file": "courier.wav"},
    {"phones": ["+3225550101", "+3225550102"], "say": "One moment."},
    {"record": True, "say": "This is recorded."},
    {"redirect": "https://other.example/verbs"},
    {"hang_up": "bye"},
    {"say": "Goodbye.", "hang_up": True},
]  # fmt: skip


@pytest.mark.parametrize("golden", REQUESTS, ids=lambda golden: golden["name"])
def test_a_documented_request_of_uis_is_read(golden: dict[str, Any]) -> None:
    headers = {"content-type": golden["content_type"]} if "content_type" in golden else {}
    request = PbxRequest(
        method=golden["method"], url="https://pbx/", query=golden.get("query", ""), headers=headers,
        body=golden.get("body", "").encode(),
    )  # fmt: skip
    assert msgspec.structs.asdict(UisAnswering().read(request)) == golden["asked"]


@pytest.mark.parametrize("golden", REPLIES, ids=lambda golden: golden["name"])
def test_a_documented_reply_of_uis_is_understood(golden: dict[str, Any]) -> None:
    instructions, _others = UisAsking().read(json.dumps(golden["reply"]).encode())
    assert json.loads(msgspec.json.encode(instructions)) == golden["instructions"]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"text"', b"{", b"\xff", b'{"phones": {"a": 1}}', b'{"phones": [""]}',
             b'{"phones": ["1"]}', b'{"text": 5}', b'{"returned_code": 1.5}', b'{"returned_code": true}',
             b'{"returned_code": "1e999"}', b'{"text": "' + b"x" * 3_000 + b'"}', b"[" * 2_000],
)  # fmt: skip
def test_a_reply_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        UisAsking().read(body)
    assert refused.value.code in ("ask.bad_json", "ask.bad_answer")


@settings(max_examples=150, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["phones", "text", "message_name", "operator_text", "operator_media", "returned_code", "x"]),
        inner, max_size=4)), max_leaves=8))  # fmt: skip
def test_no_reply_raises_anything_else(reply: Any) -> None:
    try:
        instructions, _others = UisAsking().read(json.dumps(reply).encode())
    except Refused:
        return
    assert all(isinstance(one, told.Speak | told.Dial | told.Code) for one in instructions)


def test_a_question_of_ours_is_read_by_our_own_answering_side() -> None:
    facts = {"call": "c", "started": "2026-11-20T13:22:56.000Z", "digits": "", "caller": "+74952345678",
             "called": "+74951234567", "session": "s", "direction": "in"}  # fmt: skip
    for method, form in (("GET", "query"), ("POST", "query"), ("POST", "form"), ("POST", "json")):
        ask = Ask(ask="a", url="https://x/y", dialect="uis", method=method, form=form, told=tuple(facts.items()))
        written = UisAsking().write(ask)
        request = PbxRequest(
            method=written.method, url=written.url, query=written.url.partition("?")[2],
            headers={name.lower(): value for name, value in written.headers.items()}, body=written.body,
        )  # fmt: skip
        fields = {name: str(value) for name, value in fields_of(request).items()}
        assert fields["input_result"] == "None"
        assert fields["numa"] == "74952345678"
        assert UisAnswering().read(request) == Asked(
            call="c", session="s", caller="+74952345678", called="+74951234567", started="1795180976"
        )


UIS_ANSWERS = [
    ({}, {}),
    ({"code": 2}, {"returned_code": 2}),
    ({"phones": ["+74951112233"], "hint": "A courier."}, {"phones": ["74951112233"], "operator_text": "A courier."}),
    ({"phones": ["201"], "play": "hello.wav", "say": "no"}, {"phones": ["201"], "message_name": "hello.wav"}),
    ({"phones": ["201"], "hint_file": "c.wav", "code": 1},
     {"phones": ["201"], "operator_message": "c.wav", "returned_code": 1}),
    ({"say": ["One.", "Two."], "code": 3, "hang_up": True}, {"text": "One. Two.", "returned_code": 3}),
    ({"say": "Type.", "gather": True, "code": 1}, {"returned_code": 1}),
    ({"phones": ["+74951112233"], "record": True}, {"phones": ["74951112233"]}),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "wire"), UIS_ANSWERS)
def test_an_answer_as_the_uis_object(answer: dict[str, Any], wire: dict[str, Any]) -> None:
    rendered = UisAnswering().render(read_answer(answer), ASKED, DOOR)
    assert (rendered.status, json.loads(rendered.body)) == (200, wire)


@pytest.mark.parametrize(
    "answer", [{"hang_up": True}, {"gather": True}, {"redirect": "x"}, {"play": ["a.wav", "b.wav"]}]
)
def test_what_uis_cannot_be_told_is_said(answer: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        UisAnswering().render(read_answer(answer), ASKED, DOOR)


def _jambonz_schema() -> jsonschema_rs.Draft202012Validator:
    resources = []
    for file in SCHEMAS.rglob("*.schema.json"):
        if "node_modules" not in file.relative_to(SCHEMAS).parts:
            document = json.loads(file.read_text())
            resources.append((document["$id"], document))
    registry = jsonschema_rs.Registry(resources)
    root = json.loads((SCHEMAS / "jambonz-app.schema.json").read_text())
    return jsonschema_rs.Draft202012Validator(root, registry=registry)


@pytest.fixture(scope="module")
def jambonz() -> jsonschema_rs.Draft202012Validator:
    assert SCHEMAS.is_dir(), "make set-up-dev brings @jambonz/schema"
    return _jambonz_schema()


@pytest.mark.parametrize("answer", ANSWERS)
def test_jambonz_own_schema_accepts_what_we_answer(answer: dict[str, Any], jambonz: Any) -> None:
    verbs = json.loads(JambonzAnswering().render(read_answer(answer), ASKED, DOOR).body)
    assert [error.message for error in jambonz.iter_errors(verbs)] == []
    for verb in verbs:
        # The schema lets unknown properties pass: ours are among those that it names.
        named = json.loads((SCHEMAS / "verbs" / f"{verb['verb']}.schema.json").read_text())["properties"]
        assert set(verb) <= set(named), verb


def test_jambonz_schema_would_find_a_mistake(jambonz: Any) -> None:
    assert not jambonz.is_valid([{"verb": "play"}])
    assert not jambonz.is_valid([{"verb": "dial", "target": [{"type": "fax"}]}])
    assert not jambonz.is_valid([])


@pytest.mark.parametrize("answer", ANSWERS)
def test_twilios_own_package_makes_the_same_document_of_what_we_answer(answer: dict[str, Any]) -> None:
    """Every verb, noun and attribute of ours is one of theirs: rebuilt by their classes, the document is the same."""
    from xml.etree.ElementTree import canonicalize, fromstring

    body = TwimlAnswering().render(read_answer(answer), ASKED, DOOR).body.decode()
    response = VoiceResponse()
    _rebuild(response, fromstring(body))
    assert canonicalize(str(response)) == canonicalize(body)


_SNAKE = {"callerId": "caller_id", "finishOnKey": "finish_on_key", "numDigits": "num_digits",
          "actionOnEmptyResult": "action_on_empty_result", "answerOnBridge": "answer_on_bridge"}  # fmt: skip


def _rebuild(parent: Any, element: Any) -> None:
    import inspect

    for child in element:
        make = getattr(parent, {"Number": "number"}.get(child.tag, child.tag.lower()))
        named = {_SNAKE.get(name, name): value for name, value in child.attrib.items()}
        known = inspect.signature(make).parameters
        assert set(named) <= set(known), (child.tag, named)
        text = {"Say": "message", "Play": "url", "Redirect": "url", "Number": "phone_number"}.get(child.tag)
        made = make(**named, **({text: child.text} if text else {}))
        _rebuild(made, child)


@pytest.mark.parametrize("dialect", [JambonzAnswering(), TwimlAnswering()])
def test_a_code_alone_says_nothing_to_a_pbx_without_codes(dialect: Any) -> None:
    with pytest.raises(Unsupported):
        dialect.render(read_answer({"code": 1}), ASKED, DOOR)
    dialect.render(read_answer({"code": 1, "say": "Hello."}), ASKED, DOOR)
    dialect.render((), ASKED, DOOR)


def test_the_hint_travels_in_the_url() -> None:
    answer = read_answer({"phones": ["+3225550101"], "hint": "Order 7 & 8?", "hint_file": "a.wav", "locale": "nl"})
    [dial] = json.loads(JambonzAnswering().render(answer, ASKED, DOOR).body)
    assert dial["confirmHook"].startswith(f"{DOOR.url}/hint?")
    assert parse_qsl(dial["confirmHook"].partition("?")[2]) == [
        ("play", "a.wav"),
        ("say", "Order 7 & 8?"),
        ("locale", "nl"),
    ]


@pytest.mark.parametrize("header", ["", "t=1", "v1=ab", "t=x,v1=ab", "t=1700000000,v1=", "t=1700000000,v1=é", "=,=,="])
def test_a_header_that_is_no_signature_is_refused(header: str) -> None:
    with pytest.raises(Refused):
        verify_timed(header, "secret", lambda at: at, 1_700_000_000)


ANYTHING = (
    st.none() | st.booleans() | st.integers(-5, 99) | st.text(max_size=20) | st.lists(st.text(max_size=12), max_size=3)
)

PLAIN_WRONG = [
    {"phone": "+3225550101"},
    {"phones": ["abc"]},
    {"phones": ["+3225550101"] * 17},
    {"say": " "},
    {"say": "x" * 3_000},
    {"gather": {"maximum": 3}},
    {"gather": {"max": 99}},
    {"gather": {"max": 1, "min": 2}},
    {"gather": {"until": "##"}},
    {"gather": {"within": 0}},
    {"gather": 5},
    {"code": "x"},
    {"code": 1.5},
    {"ring": 500, "phones": ["+3225550101"]},
    {"caller_id": "Bo", "phones": ["+3225550101"]},
    {"say": ["x"] * 40},
]


@pytest.mark.parametrize("answer", PLAIN_WRONG)
def test_a_plain_answer_that_cannot_be_carried_out_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        read_answer(answer)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING))
def test_whatever_an_answer_holds_is_rendered_or_refused(answer: dict[str, Any]) -> None:
    try:
        instructions: tuple[Instruction, ...] = read_answer(answer)
    except Refused:
        return
    for dialect in (UisAnswering(), JambonzAnswering(), TwimlAnswering()):
        try:
            rendered = dialect.render(instructions, ASKED, DOOR)
        except BeckonError:
            continue
        if dialect.name == "twiml":
            from xml.etree.ElementTree import fromstring

            fromstring(rendered.body)
        else:
            json.loads(rendered.body)
