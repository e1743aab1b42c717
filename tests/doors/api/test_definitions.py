"""Definitions by the API: uploaded, checked, versioned, drawn."""

import json
from pathlib import Path

import httpx

from tests.doors.api.served import VISIT_FLOW, Served, serving

YAML = {"Content-Type": "application/yaml"}

PING = """\
flow: ping
on: ping.said
key: "{{ event.id }}"
steps:
  - set: { said: "{{ event.data.word }}" }
"""


def put(client: httpx.Client, kind: str, name: str, text: str, **headers: str) -> httpx.Response:
    """Upload a text."""
    return client.put(f"/v1/definitions/{kind}/{name}", content=text.encode(), headers={**YAML, **headers})


def test_an_uploaded_flow_runs_at_once_and_keeps_its_versions(served: Served, client: httpx.Client) -> None:
    assert client.post("/v1/events", json={"type": "ping.said"}).json()["code"] == "event.type_unknown"
    assert put(client, "flow", "ping", PING).json()["problems"][0]["code"] == "flow.unknown_event_type"
    assert put(client, "schema", "ping.said", "{}").status_code == 201
    made = put(client, "flow", "ping", PING)
    assert made.status_code == 201, made.text
    first = made.json()
    assert (first["origin"], first["current"], first["text"]) == ("api", True, PING)
    assert client.post("/v1/events", json={"type": "ping.said", "data": {"word": "a"}}).status_code == 202
    served.settle()
    (run,) = client.get("/v1/runs", params={"flow": "ping"}).json()["items"]
    assert (run["status"], run["version"]) == ("done", first["version"])

    position = client.get("/v1/health").json()["position"]
    same = put(client, "flow", "ping", PING)
    assert (same.status_code, same.json()["version"]) == (200, first["version"])
    assert client.get("/v1/health").json()["position"] == position

    second = put(client, "flow", "ping", PING.replace("said:", "heard:")).json()
    versions = client.get("/v1/definitions/flow/ping/versions").json()["items"]
    assert {one["version"]: one["current"] for one in versions} == {first["version"]: False, second["version"]: True}
    old = client.get("/v1/definitions/flow/ping", params={"version": first["version"]}).json()
    assert old["text"] == PING
    assert client.get("/v1/definitions/flow/ping").json()["version"] == second["version"]


def test_a_flow_with_mistakes_is_refused_with_their_lines(client: httpx.Client) -> None:
    text = VISIT_FLOW.replace("send: invite", "send: invitation").replace("notify: service-advisors", "notify: nobody")
    refused = put(client, "flow", "visit", text)
    assert (refused.status_code, refused.json()["code"]) == (422, "definition.problems")
    lines = {problem["line"] for problem in refused.json()["problems"]}
    assert {
        number for number, line in enumerate(text.splitlines(), 1) if "invitation" in line or "nobody" in line
    } <= lines
    assert client.get("/v1/definitions/flow/visit").json()["text"] == VISIT_FLOW

    checked = client.post("/v1/flows/check", content=text.encode(), headers=YAML).json()
    assert checked["ok"] is False
    assert {problem["line"] for problem in checked["problems"]} == lines
    assert client.post("/v1/flows/check", content=VISIT_FLOW.encode(), headers=YAML).json()["ok"] is True


def test_templates_mappings_and_schemas_are_uploaded_too(served: Served, client: httpx.Client) -> None:
    template = "template: hello\nlocales: { en: { text: 'Hello {{ contact.name }}' } }\n"
    assert put(client, "template", "hello", template).status_code == 201
    asked = client.post("/v1/messages", json={"contact": {"name": "Ann", "phone": "+32473000001"}, "template": "hello"})
    assert asked.status_code == 202
    served.settle()
    assert served.sms.sent[-1].rendered.text == "Hello Ann"

    mapping = 'mapping: flat\nsource: https://flat.example\nevent: \'{ "type": "free.said", "id": n, "data": v }\'\n'
    assert put(client, "mapping", "flat", mapping).status_code == 201
    mapped = client.post("/v1/events", params={"mapping": "flat"}, json={"n": "7", "v": 1})
    assert (mapped.status_code, mapped.json()["id"]) == (202, "7")

    schema = {"type": "object", "required": ["n"]}
    assert put(client, "schema", "made.up", json.dumps(schema)).status_code == 201
    assert client.post("/v1/events", json={"type": "made.up", "data": {}}).json()["field"] == "data.n"
    assert client.post("/v1/events", json={"type": "made.up", "data": {"n": 1}}).status_code == 202

    kinds = [(one["kind"], one["name"]) for one in client.get("/v1/definitions", params={"limit": 200}).json()["items"]]
    assert {("template", "hello"), ("mapping", "flat"), ("schema", "made.up")} <= set(kinds)
    assert kinds == sorted(kinds)
    first = client.get("/v1/definitions", params={"limit": 2}).json()
    second = client.get("/v1/definitions", params={"limit": 2, "after": first["next"]}).json()
    assert [(one["kind"], one["name"]) for one in first["items"] + second["items"]] == kinds[:4]


def test_a_definition_that_does_not_fit_is_refused(client: httpx.Client) -> None:
    for kind, name, text, code in (
        ("flow", "other", VISIT_FLOW, "definition.name"),
        ("flow", "broken", "flow: [", "definition.problems"),
        ("template", "broken", "template: broken\nlocales: { en: { text: '{{ x' } }\n", "definition.problems"),
        ("mapping", "broken", "mapping: broken\nsource: s\nevent: '{{{'\n", "mapping.expression"),
        ("mapping", "lame", "mapping: lame\n", "mapping.form"),
        ("schema", "broken.said", '{"type": 7}', "schema.broken"),
        ("schema", "broken.said", "[", "schema.syntax"),
        ("schema", "message.sent", "{}", "event.type_reserved"),
        ("flow", "long", "#" * 140_000, "definition.too_large"),
    ):
        refused = put(client, kind, name, text)
        assert refused.json()["code"] == code, refused.text
        assert 400 <= refused.status_code < 500
        if name != "other":
            assert client.get(f"/v1/definitions/{kind}/{name}").status_code == 404
    assert put(client, "flow", "ping", PING, **{"Content-Type": "image/png"}).status_code == 415
    assert put(client, "picture", "x", "x").status_code == 404


def test_flows_are_drawn_and_their_language_is_published(client: httpx.Client) -> None:
    drawn = client.get("/v1/flows/visit/diagram.svg")
    assert drawn.text.startswith("<svg")
    assert "sandbox" in drawn.headers["content-security-policy"]
    assert client.get("/v1/flows/nothing/diagram.svg").status_code == 404
    assert client.get("/v1/flow.schema.json").json()["title"] == "Beckon flow"


def test_uploaded_settings_go_over_those_of_the_folder(served: Served, client: httpx.Client) -> None:
    text = "name: Garage Maes\nlocale: nl\ninboxes: { parts: { title: Parts } }\nchannels: [email, sms]\n"
    assert put(client, "settings", "workspace", text).status_code == 201
    settings = served.library().settings
    assert (settings.name, settings.locale, settings.channels) == ("Garage Maes", "nl", ("email", "sms"))
    assert settings.secrets == {"partner": "not-to-be-seen"}
    contact = client.post("/v1/contacts", json={"phone": "+32473000099"}).json()["id"]
    assert client.post(f"/v1/conversations/{contact}/assign", json={"inbox": "parts"}).status_code == 200

    assert put(client, "settings", "workspace", "name: Garage Peeters\n").status_code == 200
    assert served.library().settings.locale == "en", "the last upload counts, over the folder's"
    for text, code, field in (
        ("secrets: { partner: mine }", "settings.folder_only", "secrets"),
        ("providers: {}", "settings.folder_only", "providers"),
        ("allowed_hosts: ['169.254.169.254']", "settings.folder_only", "allowed_hosts"),
        ("name: { env: HOME }", "workspace.settings", None),
        ("time_zone: Mars/Base", "workspace.settings", "time_zone"),
        ("[]", "settings.form", None),
        ("a: [", "settings.yaml", None),
    ):
        refused = put(client, "settings", "workspace", text)
        assert (refused.status_code, refused.json()["code"], refused.json().get("field")) == (422, code, field)
    assert put(client, "settings", "another", "name: x").json()["code"] == "definition.name"


async def test_uploads_outlive_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        client = first.client("definitions")
        assert put(client, "settings", "workspace", "name: Garage Maes\n").status_code == 201
        assert put(client, "schema", "ping.said", "{}").status_code == 201
        assert put(client, "flow", "ping", PING).status_code == 201
        changed = VISIT_FLOW.replace("24h", "48h")
        assert put(client, "flow", "visit", changed).status_code == 200
    with serving(tmp_path) as second:
        library = second.library()
        assert library.settings.name == "Garage Maes"
        assert library.knows("ping.said")
        client = second.client("read")
        assert client.get("/v1/definitions/flow/visit").json()["text"] == changed
        assert library.flows["visit"].version == client.get("/v1/definitions/flow/visit").json()["version"]
