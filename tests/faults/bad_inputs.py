"""The table of bad inputs: what is sent, and what is answered. ``test_bad_inputs`` sends them, one after the other."""

import base64
import gzip
import hashlib
import hmac
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx

from beckon.web.links import new_code
from tests.doors.api.served import PHONE, Served

LINK_KEY = b"the tests' own secret key"
BODY_MAX = 200_000
APP_SECRET = "whatsapp's secret"
WEBHOOK_KEY = "the maker's key"
TWILIO_TOKEN = "twilio's token"
NOWHERE = "http://127.0.0.1:9"

PROVIDERS = f"""\
providers:
  whatsapp_cloud:
    {{ phone_number_id: "1", access_token: x, app_secret: "{APP_SECRET}", verify_token: right, base_url: "{NOWHERE}" }}
  twilio_sms: {{ account_sid: AC1, auth_token: "{TWILIO_TOKEN}", from_number: "+3225551234", base_url: "{NOWHERE}" }}
  oem_app: {{ base_url: "{NOWHERE}", api_key: x, signing_key: x, webhook_key: "{WEBHOOK_KEY}", account: dealer }}
"""

JSON = {"Content-Type": "application/json"}


class Hands(NamedTuple):
    """What a row is sent with."""

    served: Served
    client: httpx.Client


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object; empty where it is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


class Row(NamedTuple):
    """One bad input: its name, how it is sent, and what is answered."""

    name: str
    send: Callable[[Hands], Answer]
    status: int
    code: str | None
    field: str | None = None
    #: what else must hold of the answer.
    check: Callable[[Answer, Hands], None] = lambda answer, hands: None


def answer_of(response: httpx.Response) -> Answer:
    """A client's answer."""
    return Answer(response.status_code, dict(response.headers), response.content)


# Ways of sending.


def event(body: Any, **headers: str) -> Callable[[Hands], Answer]:
    """POST /v1/events; bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request("POST", "/v1/events", content, **headers)


def said(data: Any = None, type: str = "free.said", **more: Any) -> dict[str, Any]:
    """A bare event that nothing is wrong with but what is given."""
    return {"type": type, "data": data, **more}


def visit(**fields: Any) -> Callable[[Hands], Answer]:
    """``visit.start``, wrong in these fields; a field that is None is left out."""
    whole = {"visit": "bad", "slug": "s", "contact": PHONE, **fields}
    return event(said({name: value for name, value in whole.items() if value is not None}, "visit.start"))


def request(
    method: str, path: str, content: bytes | Iterator[bytes] = b"", **headers: str
) -> Callable[[Hands], Answer]:
    """Any request; a header's name is written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def send(hands: Hands) -> Answer:
        given = [(name, text.encode("latin-1")) for name, text in ({**JSON, **named} if content else named).items()]
        return answer_of(hands.client.request(method, path, content=content, headers=given))

    return send


def without_key(path: str = "/v1/events", **headers: str) -> Callable[[Hands], Answer]:
    """POST with other headers than the client's own key."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def send(hands: Hands) -> Answer:
        return answer_of(hands.served.bare_client().post(path, json=said(), headers=named))

    return send


def raw(text: bytes) -> Callable[[Hands], Answer]:
    """Bytes on a socket, with %K for a key; what comes back until the server closes or has answered."""

    def send(hands: Hands) -> Answer:
        host, _, port = hands.served.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(text.replace(b"%K", hands.served.token().encode()))
            received = b""
            while b"\r\n\r\n" not in received or not _whole(received):
                piece = connection.recv(65_536)
                if not piece:
                    break
                received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(int(first.split(" ")[1]), headers, body)

    return send


def _whole(received: bytes) -> bool:
    head, _, body = received.lower().partition(b"\r\n\r\n")
    length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
    return bool(length) and len(body) >= int(length)


def put(kind: str, name: str, text: str) -> Callable[[Hands], Answer]:
    """Upload a definition."""
    return request("PUT", f"/v1/definitions/{kind}/{name}", text.encode(), Content_Type="application/yaml")


def flow(*steps: str, on: str = "free.said") -> str:
    """A flow's text."""
    return "\n".join(["flow: hostile", f"on: {on}", "steps:", *(f"  - {step}" for step in steps), ""])


def chunked(size: int) -> Callable[[Hands], Answer]:
    """A body in chunks, without saying how long it is."""

    def send(hands: Hands) -> Answer:
        pieces = (b"x" * 10_000 for _ in range(size // 10_000 + 1))
        return answer_of(hands.client.post("/v1/events", content=pieces, headers=JSON))

    return send


def whatsapp(body: bytes, secret: str = APP_SECRET, signed: bytes | None = None) -> Callable[[Hands], Answer]:
    """A webhook of WhatsApp's, signed over ``signed`` (or what is sent)."""
    digest = hmac.new(secret.encode(), body if signed is None else signed, hashlib.sha256).hexdigest()
    return request("POST", "/hooks/main/whatsapp_cloud", body, X_Hub_Signature_256=f"sha256={digest}")


def oem(body: bytes, *, age_s: int = 0, key: str = WEBHOOK_KEY) -> Callable[[Hands], Answer]:
    """A webhook of the maker's, signed ``age_s`` seconds ago."""

    def send(hands: Hands) -> Answer:
        at_s = hands.served.beckon.clock.now_ms() // 1000 - age_s
        digest = hmac.new(key.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()
        return request("POST", "/hooks/main/oem_app", body, X_Dealer_Signature=f"t={at_s},v1={digest}")(hands)

    return send


def link(*, expired_by_ms: int = 0, key: bytes = LINK_KEY, kept: bool = True) -> Callable[[Hands], Answer]:
    """A customer's link: expired, or signed with another key, or never made."""

    def send(hands: Hands) -> Answer:
        code = new_code(key)
        beckon = hands.served.beckon

        async def keep() -> None:
            from beckon.store.changes import Changes
            from beckon.store.tables import LINKS

            changes = Changes()
            expires = beckon.clock.now_ms() - expired_by_ms
            changes.insert(LINKS, (code, "main", "con_0", "dlv_0", "https://target.example/secret", expires))
            await beckon.database.commit(changes)

        if kept:
            hands.served.run(keep())
        return answer_of(hands.client.get(f"/go/{code}"))

    return send


# What else must hold.


def shows_nothing_of(*words: str) -> Callable[[Answer, Hands], None]:
    """The answer repeats none of these words."""

    def check(answer: Answer, hands: Hands) -> None:
        for word in words:
            assert word.encode() not in answer.body, word

    return check


def problems_at(*lines: int) -> Callable[[Answer, Hands], None]:
    """The problems of a definition stand at these lines."""

    def check(answer: Answer, hands: Hands) -> None:
        assert {problem["line"] for problem in answer.json()["problems"]} == set(lines), answer.body

    return check


def each(*wanted: int | str) -> Callable[[Answer, Hands], None]:
    """A batch's answers: a status, or a refusal's code."""

    def check(answer: Answer, hands: Hands) -> None:
        said = [one["status"] if one["status"] == 202 else one["code"] for one in answer.json()["events"]]
        assert said == list(wanted), answer.body

    return check


def _deep(levels: int) -> bytes:
    return b'{"type":"free.said","data":' + b"[" * levels + b"]" * levels + b"}"


def _basic(words: str) -> str:
    return "Basic " + base64.b64encode(words.encode()).decode()


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n" for before, after in zip("abcdef", "bcdefg", strict=True)
)

JSON_ROWS = [
    Row("no body", event(b""), 400, "request.json"),
    Row("JSON that is cut off", event(b'{"type":"free.said","data":{"a":'), 400, "request.json"),
    Row("JSON with single quotes", event(b"{'type': 'free.said'}"), 400, "request.json"),
    Row("JSON with a comma too many", event(b'{"type":"free.said",}'), 400, "request.json"),
    Row("two JSON documents", event(b'{"type":"free.said"}{"type":"free.said"}'), 400, "request.json"),
    Row("NaN", event(b'{"type":"free.said","data":NaN}'), 400, "request.json"),
    Row("a number beyond all floats", event(b'{"type":"free.said","data":1e999}'), 400, "request.json"),
    Row(
        "a whole number of 10,000 digits",
        event(b'{"type":"free.said","data":' + b"9" * 10_000 + b"}"),
        400,
        "request.json",
    ),
    Row("bytes that are no UTF-8", event(b'{"type":"free.said","data":"\xff\xfe"}'), 400, "request.json"),
    Row("an overlong UTF-8 slash", event(b'{"type":"free.said","data":"\xc0\xaf"}'), 400, "request.json"),
    Row("UTF-16", event('{"type":"free.said"}'.encode("utf-16")), 400, "request.json"),
    Row("half a surrogate pair in the data", event(b'{"type":"free.said","data":"\\ud800"}'), 400, "request.json"),
    Row("half a surrogate pair in the id", event(b'{"type":"free.said","id":"\\udc00x"}'), 400, "request.json"),
    Row("half a surrogate pair in the type", event(b'{"type":"free.\\ud800"}'), 400, "request.json"),
    Row("NUL in the data", event(b'{"type":"free.said","data":{"a":["\\u0000"]}}'), 422, "event.characters"),
    Row("NUL in a name of the data", event(b'{"type":"free.said","data":{"a\\u0000":1}}'), 422, "event.characters"),
    Row("NUL in the id", event(b'{"type":"free.said","id":"a\\u0000"}'), 422, "event.characters"),
    Row("NUL after backslashes", event(b'{"type":"free.said","data":"\\\\\\u0000"}'), 422, "event.characters"),
    Row("a NUL byte", event(b'{"type":"free.said","data":"\x00"}'), 400, "request.json"),
    Row("nesting one level too deep", event(_deep(32)), 422, "event.nesting"),
    Row("nesting 90,000 levels deep", event(_deep(90_000)), 422, "event.nesting"),
    Row("brackets that never close", event(b"[" * 100_000), 422, "event.nesting"),
    Row("a text instead of an object", event(b'"free.said"'), 422, "event.form"),
    Row("null", event(b"null"), 422, "event.form"),
]

EVENT_ROWS = [
    Row("no type", event({"data": 1}), 422, "event.field_missing", "type"),
    Row("a type that is a number", event({"type": 7}), 422, "event.form", "type"),
    Row("an empty type", event({"type": ""}), 422, "event.length", "type"),
    Row("a type in capitals", event({"type": "Free.Said"}), 422, "event.type", "type"),
    Row("a type of 200 letters", event({"type": "a" * 200}), 422, "event.length", "type"),
    Row("a type that nobody knows", event({"type": "nobody.knows"}), 422, "event.type_unknown", "type"),
    Row("a type of ours", event({"type": "message.received"}), 422, "event.type_reserved", "type"),
    Row("an upload by event", event({"type": "definition.uploaded"}), 422, "event.type_reserved", "type"),
    Row("a stop by event", event({"type": "run.stop_asked"}), 422, "event.type_reserved", "type"),
    Row("a consent by event", event({"type": "consent.changed"}), 422, "event.type_reserved", "type"),
    Row("a source of ours", event(said(source="beckon/outbox")), 422, "event.source_reserved", "source"),
    Row("a provider's source", event(said(source="providers/smtp/x")), 422, "event.source_reserved", "source"),
    Row("a line break in the source", event(said(source="a\r\nb")), 422, "event.characters", "source"),
    Row("an id of 300 letters", event(said(id="i" * 300)), 422, "event.length", "id"),
    Row("an empty id", event(said(id="")), 422, "event.length", "id"),
    Row("an id that is an object", event(said(id={})), 422, "event.form", "id"),
    Row("a misspelt field", event({"type": "free.said", "dta": 1}), 422, "event.field_unknown", "dta"),
    Row("CloudEvents 0.3", event(said(specversion="0.3", source="s", id="1")), 422, "event.specversion", "specversion"),
    Row("a time without an offset", event(said(time="2026-11-20T10:00:00")), 422, "event.time", "time"),
    Row("a time that is none", event(said(time="tomorrow")), 422, "event.time", "time"),
    Row("a time in the year 9999", event(said(time="9999-12-31T23:59:59Z")), 422, "event.time", "time"),
    Row("data that lacks a field", visit(slug=None), 422, "event.data", "data.slug"),
    Row("data with a wrong type", visit(mileage="many"), 422, "event.data", "data.mileage"),
    Row("data with a number out of range", visit(mileage=10**30), 422, "event.data", "data.mileage"),
    Row("data with a text too long", visit(visit="v" * 201), 422, "event.data", "data.visit"),
    Row("a phone number of letters", visit(contact={"phone": "call me"}), 422, "phone.letters", "data.contact.phone"),
    Row("a phone number that can't exist", visit(contact="+999123456789"), 422, "phone.number", "data.contact"),
    Row("a phone number as a number", visit(contact={"phone": 32470123456}), 422, "phone.text", "data.contact.phone"),
    Row("a mail address that is none", visit(contact={"email": "a@b@c"}), 422, "email.address", "data.contact.email"),
    Row("a contact who can't be reached", visit(contact={"name": "Ann"}), 422, "contact.unreachable", "data.contact"),
    Row("a contact that is a list", visit(contact=[PHONE]), 422, "contact.shape", "data.contact"),
    Row(
        "a locale that is none",
        visit(contact={"phone": PHONE, "locale": "klingon!"}),
        422,
        "locale.tag",
        "data.contact.locale",
    ),
    Row(
        "a time zone that leads out of its folder",
        visit(contact={"phone": PHONE, "time_zone": "../../etc/passwd"}),
        422,
        "time.zone",
        "data.contact.time_zone",
    ),
    Row(
        "a contact of a hundred fields",
        visit(contact={"phone": PHONE, **{f"f{number}": "x" for number in range(100)}}),
        422,
        "contact.fields",
        "data.contact",
    ),
    Row(
        "an address with a line break",
        visit(contact={"oem_app": "a\nb"}),
        422,
        "contact.address",
        "data.contact.oem_app",
    ),
]

HTTP_ROWS = [
    Row("a body over the limit", event(said("x" * BODY_MAX)), 413, "request.too_large"),
    Row("chunks over the limit", chunked(BODY_MAX), 413, "request.too_large"),
    Row(
        "a compressed body",
        event(gzip.compress(json.dumps(said()).encode()), Content_Encoding="gzip"),
        415,
        "request.media_type",
    ),
    Row("plain text", event(said(), Content_Type="text/plain"), 415, "request.media_type"),
    Row(
        "a form", event(b"type=free.said", Content_Type="application/x-www-form-urlencoded"), 415, "request.media_type"
    ),
    Row("a form of parts", event(b"--x--", Content_Type="multipart/form-data; boundary=x"), 415, "request.media_type"),
    Row("a media type that is none", event(said(), Content_Type="json"), 415, "request.media_type"),
    Row("a query that is not known", request("POST", "/v1/events?dry_run=1", b"{}"), 422, "request.query", "dry_run"),
    Row("a query that is no UTF-8", request("GET", "/v1/contacts?name=%ff"), 400, "request.malformed"),
    Row("NUL in a query", request("GET", "/v1/contacts?name=%00"), 422, "request.characters", "name"),
    Row("a page that is none", request("GET", "/v1/runs?after=1'--"), 422, "request.form", "after"),
    Row("a page of 10,000", request("GET", "/v1/runs?limit=10000"), 422, "request.form", "limit"),
    Row("a path that leads out", request("GET", "/v1/definitions/flow/..%2f..%2fbeckon.yaml"), 404, "http.not_found"),
    Row("a static file that leads out", request("GET", "/static/x/web/..%2f..%2fapp.py"), 404, "http.not_found"),
    Row("NUL in a path", request("GET", "/v1/contacts/con_%00"), 404, "http.not_found"),
    Row("SQL in a path", request("GET", "/v1/runs/run_1'%20OR%20'1'='1"), 404, "http.not_found"),
    Row("a method that is not possible", request("DELETE", "/v1/contacts"), 405, "http.method"),
    Row(
        "a body that comes too slowly",
        raw(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %K\r\nContent-Length: 100\r\n\r\n{"),
        408,
        "request.slow",
    ),
    Row("a request that is no HTTP", raw(b"HELLO WORLD\r\n\r\n"), 400, None),
    Row("a length that is none", raw(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"), 400, None),
]

BATCH_ROWS = [
    Row("an empty batch", event([]), 422, "event.batch_empty"),
    Row("a batch of 101", event([said()] * 101), 422, "event.batch_size"),
    Row(
        "a batch that is an object",
        event(said(), Content_Type="application/cloudevents-batch+json"),
        422,
        "event.batch",
    ),
    Row(
        "a batch of good and bad",
        event(
            [
                said(1),
                {"type": "nobody.knows"},
                7,
                said(id=""),
                said({"contact": {"phone": "x"}}),
                said(2),
                {"type": "visit.start", "data": {}},
                said(3, source="beckon/x"),
            ]
        ),
        207,
        None,
        check=each(
            202,
            "event.type_unknown",
            "event.form",
            "event.length",
            "phone.letters",
            202,
            "event.data",
            "event.source_reserved",
        ),
    ),
    Row(
        "a binary event without an id",
        event(b"{}", ce_type="free.said", ce_source="s", ce_specversion="1.0"),
        422,
        "event.header",
        "ce-id",
    ),
    Row(
        "a structured event without a source",
        event({"specversion": "1.0", "type": "free.said", "id": "1"}, Content_Type="application/cloudevents+json"),
        422,
        "event.field_missing",
        "source",
    ),
    Row(
        "data in base64",
        event(
            {"specversion": "1.0", "type": "free.said", "id": "1", "source": "s", "data_base64": "AA=="},
            Content_Type="application/cloudevents+json",
        ),
        422,
        "event.data_base64",
        "data_base64",
    ),
    Row(
        "a mapping that is not there",
        request("POST", "/v1/events?mapping=nothing", b"{}"),
        404,
        "mapping.unknown",
        "mapping",
    ),
    Row(
        "a body that the mapping can't read",
        request("POST", "/v1/events?mapping=partner", b"[]"),
        422,
        "event.data",
        "data.visit",
    ),
    Row("a mapping that never ends", request("POST", "/v1/events?mapping=endless", b"{}"), 422, "mapping.failed"),
    Row("a mapping that gives no event", request("POST", "/v1/events?mapping=nonsense", b"{}"), 422, "mapping.result"),
]


def _twice_with_another_body(hands: Hands) -> Answer:
    once = {"Idempotency_Key": "bad-input"}
    first = event(said("first"), **once)(hands)
    assert first.status == 202
    return event(said("second"), **once)(hands)


def _lacking_scope(hands: Hands) -> Answer:
    return answer_of(hands.served.client("read write definitions").post("/v1/events", json=said()))


KEY_ROWS = [
    Row("an Idempotency-Key with another body", _twice_with_another_body, 422, "idempotency.mismatch"),
    Row(
        "an Idempotency-Key of 300 letters",
        event(said(), Idempotency_Key="k" * 300),
        400,
        "idempotency.malformed",
        "Idempotency-Key",
    ),
    Row("an empty Idempotency-Key", event(said(), Idempotency_Key=""), 400, "idempotency.malformed", "Idempotency-Key"),
    Row("no key", without_key(), 401, "auth.missing"),
    Row("a key that is guessed", without_key(Authorization="Bearer bk_guess"), 401, "auth.unknown"),
    Row("a key of 10,000 letters", without_key(Authorization="Bearer " + "k" * 10_000), 401, "auth.missing"),
    Row("a password", without_key(Authorization=_basic("admin:admin")), 401, "auth.missing"),
    Row("SQL as a key", without_key(Authorization="Bearer ' OR 1=1 --"), 401, "auth.unknown"),
    Row("a key without the scope", _lacking_scope, 403, "key.scope"),
]

_RECEIVED = b'{"object":"whatsapp_business_account","entry":[]}'

WEBHOOK_ROWS = [
    Row("a webhook that nobody set up", request("POST", "/hooks/main/pigeon", b"{}"), 404, "hook.unknown"),
    Row("a webhook of nobody's workspace", request("POST", "/hooks/nobody/oem_app", b"{}"), 404, "hook.unknown"),
    Row(
        "a webhook without a signature", request("POST", "/hooks/main/whatsapp_cloud", _RECEIVED), 401, "webhook.forged"
    ),
    Row("a webhook with another's signature", whatsapp(_RECEIVED, secret="guessed"), 401, "webhook.forged"),
    Row("a webhook that was changed on its way", whatsapp(_RECEIVED + b" ", signed=_RECEIVED), 401, "webhook.forged"),
    Row("a signed webhook that is no JSON", whatsapp(b"{"), 422, "webhook.not_json"),
    Row(
        "a signature that is no ASCII",
        request("POST", "/hooks/main/whatsapp_cloud", _RECEIVED, X_Hub_Signature_256="sha256=\u00e9\u00e9"),
        401,
        "webhook.forged",
    ),
    Row(
        "a verification with another word",
        request("GET", "/hooks/main/whatsapp_cloud?hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=123"),
        401,
        "webhook.forged",
        check=shows_nothing_of("123"),
    ),
    Row(
        "an SMS that Twilio did not send",
        request(
            "POST",
            "/hooks/main/twilio_sms",
            b"From=%2B32470&Body=STOP",
            Content_Type="application/x-www-form-urlencoded",
            X_Twilio_Signature="AAAA",
        ),
        401,
        "webhook.forged",
    ),
    Row("a webhook that is replayed after an hour", oem(b"{}", age_s=3_600), 401, "webhook.replayed"),
    Row("a webhook from the future", oem(b"{}", age_s=-3_600), 401, "webhook.replayed"),
    Row("a maker's webhook with another's key", oem(b"{}", key="guessed"), 401, "webhook.forged"),
    Row("a webhook of 5 MB", whatsapp(b" " * 5_000_000), 413, "request.too_large"),
]

LINK_ROWS = [
    Row("a link that is guessed", request("GET", "/go/0123456789abcdefgh"), 404, None),
    Row("a link that is too short", request("GET", "/go/abc"), 404, None),
    Row(
        "a link signed with another key", link(key=b"another key"), 404, None, check=shows_nothing_of("target.example")
    ),
    Row("a link that was never made", link(kept=False), 404, None),
    Row("a link that has expired", link(expired_by_ms=1), 410, None, check=shows_nothing_of("target.example")),
    Row("stopping by a guessed link", request("POST", "/stop/0123456789abcdefgh", b"stop=channel"), 404, None),
]

DEFINITION_ROWS = [
    Row("a flow that is no YAML", put("flow", "hostile", "flow: [x"), 422, "definition.problems"),
    Row(
        "a flow with a step that is not known",
        put("flow", "hostile", flow("explode: now")),
        422,
        "definition.problems",
        "steps.0",
        problems_at(4),
    ),
    Row(
        "a flow with a template that is not there",
        put("flow", "hostile", flow("note: a", "send: nothing")),
        422,
        "definition.problems",
        "steps.1",
        problems_at(5),
    ),
    Row(
        "a flow that makes objects by tags",
        put("flow", "hostile", "flow: !!python/object/apply:os.system [ls]\n"),
        422,
        "definition.problems",
        check=problems_at(1),
    ),
    Row("aliases of aliases of aliases", put("flow", "hostile", ALIASES), 422, "definition.problems"),
    Row(
        "a flow that nests 40 deep",
        put("flow", "hostile", flow("if: " + "[" * 40 + "]" * 40)),
        422,
        "definition.problems",
    ),
    Row(
        "Liquid that is not closed",
        put("flow", "hostile", flow('note: "{{ event.data"')),
        422,
        "definition.problems",
        "steps.0.text",
    ),
    Row(
        "Liquid that reads files",
        put("flow", "hostile", flow("note: \"{% include '/etc/passwd' %}\"")),
        422,
        "definition.problems",
        "steps.0.text",
        check=shows_nothing_of("root:"),
    ),
    Row(
        "CEL that is none",
        put("flow", "hostile", flow('if: "event.data ="\n    then: [{note: a}]')),
        422,
        "definition.problems",
        "steps.0.condition",
    ),
    Row(
        "CEL that loops in loops in loops",
        put(
            "flow",
            "hostile",
            flow('if: "[1].all(a, [1].all(b, [1].all(c, [1].all(d, [1].all(e, true)))))"\n    then: [{note: a}]'),
        ),
        422,
        "definition.problems",
        "steps.0.condition",
    ),
    Row(
        "a template whose text has no end",
        put("template", "hostile", "template: hostile\nlocales: { en: { text: '{{ contact' } }\n"),
        422,
        "definition.problems",
        "locales.en.text",
    ),
    Row(
        "a mapping in no language",
        put("mapping", "hostile", "mapping: hostile\nsource: s\nlanguage: perl\nevent: x\n"),
        422,
        "mapping.language",
        "language",
    ),
    Row(
        "a schema that fetches another",
        put("schema", "hostile.said", '{"$ref": "http://169.254.169.254/"}'),
        422,
        "schema.broken",
    ),
    Row("a schema for a type of ours", put("schema", "message.sent", "{}"), 422, "event.type_reserved", "name"),
    Row("a definition of 150,000 letters", put("flow", "hostile", "#" * 150_000), 413, "definition.too_large"),
    Row(
        "a definition that is a picture",
        request("PUT", "/v1/definitions/flow/hostile", b"\x89PNG", Content_Type="image/png"),
        415,
        "request.media_type",
    ),
    Row(
        "a definition that is no UTF-8",
        request("PUT", "/v1/definitions/flow/hostile", b"\xff", Content_Type="application/yaml"),
        400,
        "request.malformed",
    ),
]

MESSAGE_ROWS = [
    Row(
        "a template without its variable",
        request("POST", "/v1/messages", json.dumps({"contact": PHONE, "template": "invite"}).encode()),
        422,
        "message.variable",
        "variables.slug",
    ),
    Row(
        "a message without words",
        request("POST", "/v1/messages", json.dumps({"contact": PHONE, "text": " \n "}).encode()),
        422,
        "message.content",
        "template",
    ),
    Row(
        "a message of 5,000 letters",
        request("POST", "/v1/messages", json.dumps({"contact": PHONE, "text": "x" * 5_000}).encode()),
        422,
        "request.form",
        "text",
    ),
    Row(
        "a message to nobody",
        request("POST", "/v1/messages", json.dumps({"contact": "con_nobody", "text": "x"}).encode()),
        422,
        "message.contact",
        "contact",
    ),
    Row(
        "NUL in a message",
        request("POST", "/v1/messages", b'{"contact": "+32470123456", "text": "a\\u0000b"}'),
        422,
        "request.characters",
    ),
    Row(
        "half a surrogate pair in a note",
        request("POST", "/v1/conversations/con_0/notes", b'{"text": "\\ud800"}'),
        400,
        "request.json",
    ),
    Row(
        "a consent without a proof",
        request("POST", "/v1/contacts/con_0/consents", b'{"granted": true}'),
        422,
        "request.field_missing",
        "proof",
    ),
]

ROWS = [
    *JSON_ROWS,
    *EVENT_ROWS,
    *HTTP_ROWS,
    *BATCH_ROWS,
    *KEY_ROWS,
    *WEBHOOK_ROWS,
    *LINK_ROWS,
    *DEFINITION_ROWS,
    *MESSAGE_ROWS,
]
