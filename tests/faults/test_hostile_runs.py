"""Hostile inside: addresses that lead inwards, costly texts, markup, endless flows."""

import itertools
import json
import socket
import threading
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from beckon.starting import new_person
from beckon.web.sessions import COOKIE
from tests.doors.api.served import Served, serving
from tests.faults.test_bad_inputs import Keeper

#: What names lead to here: the tests reach no real name server.
NAMES = {
    "localhost": ["127.0.0.1"],
    "inside.example": ["127.0.0.1"],
    "both.example": ["93.184.216.34", "127.0.0.1"],
    "metadata.internal": ["169.254.169.254"],
    "inside6.example": ["::1"],
    "2130706433": ["127.0.0.1"],
    "0x7f000001": ["127.0.0.1"],
    "017700000001": ["127.0.0.1"],
    "127.1": ["127.0.0.1"],
}

FLOWS = {
    "flows/fetch.yaml": """\
flow: fetch
on: fetch.asked
key: "{{ event.data.n }}"
steps:
  - http: "{{ event.data.url }}"
    attempts: 1
    timeout: 2s
    secret: partner
    save: answer
  - set: { got: "{{ answer.status }}" }
""",
    "flows/costly.yaml": """\
flow: costly
on: costly.asked
key: "{{ event.data.n }}"
steps:
  - set:
      text: "{% for a in (1..1000) %}{% for b in (1..1000) %}{{ a }}{% endfor %}{% endfor %}"
""",
    "flows/growing.yaml": """\
flow: growing
on: growing.asked
key: "{{ event.data.n }}"
steps:
  - set: { text: "{% for a in (1..900) %}{{ event.data.text }}{% endfor %}" }
""",
    "flows/judging.yaml": """\
flow: judging
on: judging.asked
key: "{{ event.data.n }}"
steps:
  - if: "event.data.list.all(a, event.data.list.all(b, event.data.list.all(c, a + b + c >= 0)))"
    then: [ { set: { fine: "yes" } } ]
""",
    "flows/comparing.yaml": """\
flow: comparing
on: comparing.asked
key: "{{ event.data.n }}"
steps:
  - if: event.data.mileage > 1000
    then: [ { set: { much: "yes" } } ]
""",
    "flows/each.yaml": """\
flow: each
on: each.asked
key: "{{ event.data.n }}"
steps:
  - for_each: "{{ event.data.list }}"
    as: one
    do: [ { set: { latest: "{{ one }}" } } ]
""",
    "flows/endless.yaml": """\
flow: endless
on: endless.said
steps:
  - emit: endless.said
    data: { again: true }
""",
    "flows/keyed.yaml": """\
flow: keyed
on: keyed.asked
key: "{{ event.data.key }}"
steps:
  - set: { n: "{{ event.data.n }}" }
""",
    "flows/lacking.yaml": """\
flow: lacking
on: lacking.asked
key: "{{ event.data.n }}"
steps:
  - send: invite
    to: "{{ event.data.contact }}"
    with: { slug: "{{ event.data.slug }}" }
""",
    "flows/leading.yaml": """\
flow: leading
on: leading.asked
key: "{{ event.data.n }}"
steps:
  - send: anywhere
    to: "{{ event.data.contact }}"
    with: { url: "{{ event.data.url }}" }
  - note: "{{ event.data.url }}"
""",
    "templates/anywhere.yaml": """\
template: anywhere
variables: { url: { required: true, example: "https://x.example" } }
locales:
  en: { text: Look, buttons: [ { text: Open, link: "{{ url }}" } ] }
""",
}
TYPES = ("fetch", "costly", "growing", "judging", "comparing", "each", "keyed", "lacking", "leading")
FILES = {**FLOWS, **{f"schemas/{name}.asked.json": "{}" for name in TYPES}, "schemas/endless.said.json": "{}"}

MARKUP = "<img src=x onerror=alert(1)>\"'&{{ settings }}{% raw %}"


class Trap:
    """A listener inside, which nobody may reach; and a partner who may be reached, and sends on to it."""

    def __init__(self) -> None:
        self.touched = 0
        self.inside, self.partner = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        self.port = self.inside.getsockname()[1]
        self.allowed = self.partner.getsockname()[1]
        self.threads = [
            threading.Thread(target=self._answer, args=(server,), daemon=True) for server in (self.inside, self.partner)
        ]
        for thread in self.threads:
            thread.start()

    def _answer(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                if server is self.inside:
                    self.touched += 1
                connection.recv(65_536)
                where = f"http://127.0.0.1:{self.port}/inside"
                connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())

    def close(self) -> None:
        for server in (self.inside, self.partner):
            server.shutdown(socket.SHUT_RDWR)
            server.close()
        for thread in self.threads:
            thread.join(5)


class Ground(NamedTuple):
    """A server, a client of it, and the trap inside."""

    served: Served
    client: httpx.Client
    trap: Trap
    numbers: Iterator[int]

    def turn(self, name: str, **fields: Any) -> dict[str, Any]:
        """Say ``name.asked`` and let everything come to rest; the run that it began."""
        number = f"{name}-{next(self.numbers)}"
        body = {"type": f"{name}.asked", "data": {"n": number, **fields}}
        accepted = self.client.post("/v1/events", json=body)
        assert accepted.status_code == 202, accepted.text
        self.served.settle()
        runs = self.client.get("/v1/runs", params={"flow": name}).json()["items"]
        assert runs, "no run began"
        detail: dict[str, Any] = self.client.get(f"/v1/runs/{runs[0]['id']}").json()
        return detail


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    trap = Trap()
    more = f"allowed_hosts: ['127.0.0.1:{trap.allowed}']\n"
    with serving(tmp_path_factory.mktemp("served"), more=more, files=FILES) as served:

        async def look_up(host: str, port: int, **options: Any) -> list[Any]:
            host.encode("idna")
            plain = unicodedata.normalize("NFKC", host)
            found = NAMES.get(plain, [plain])
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

        async def prepare() -> None:
            import asyncio

            asyncio.get_running_loop().getaddrinfo = look_up  # type: ignore[method-assign,assignment]

        served.run(prepare())
        yield Ground(served, served.client(), trap, itertools.count(1))
    trap.close()


@pytest.fixture(scope="module")
def keeper(ground: Ground) -> Keeper:
    return Keeper(ground.served, ground.client)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:%P/",
        "http://localhost:%P/",
        "http://LOCALHOST:%P/",
        "http://user:password@127.0.0.1:%P/",
        "http://example.com@127.0.0.1:%P/",
        "http://127.1:%P/",
        "http://2130706433:%P/",
        "http://0x7f000001:%P/",
        "http://017700000001:%P/",
        "http://[::1]:%P/",
        "http://[::ffff:127.0.0.1]:%P/",
        "http://[::ffff:7f00:1]:%P/",
        "http://[2002:7f00:1::]:%P/",
        "http://[64:ff9b::7f00:1]:%P/",
        "http://0.0.0.0:%P/",
        "http://[::]:%P/",
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.internal/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
        "http://inside.example:%P/",
        "http://inside6.example:%P/",
        "http://both.example:%P/",
        "https://inside.example:%P/",
    ],
)
def test_no_step_calls_an_address_inside(ground: Ground, keeper: Keeper, url: str):
    run = ground.turn("fetch", url=url.replace("%P", str(ground.trap.port)))
    assert (run["status"], run["error"]["code"]) == ("failed", "http.private_address")
    assert ground.trap.touched == 0
    assert "not-to-be-seen" not in json.dumps(run)
    keeper.lets_through()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1:%P/",
        "//127.0.0.1:%P/",
        "127.0.0.1:%P",
        "http://",
        "http://:%P/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http://[::1",
        "http://example.com/a b",
        "http://example.com/\r\nX-Secret: 1",
        f"http://{'a' * 300}/",
        "http://a..b/",
        "http://①②⑦.⓪.⓪.①:%P/",
    ],
)
def test_what_is_no_web_address_is_not_called(ground: Ground, keeper: Keeper, url: str):
    run = ground.turn("fetch", url=url.replace("%P", str(ground.trap.port)))
    assert run["status"] == "failed"
    assert run["error"]["code"] in ("flow.url", "http.url", "http.header")
    assert ground.trap.touched == 0
    keeper.lets_through()


def test_a_redirect_is_not_followed(ground: Ground, keeper: Keeper):
    run = ground.turn("fetch", url=f"http://127.0.0.1:{ground.trap.allowed}/")
    assert (run["status"], run["variables"]["got"]) == ("done", 302)
    assert ground.trap.touched == 0
    keeper.lets_through()


@pytest.mark.parametrize(
    ("name", "fields", "codes"),
    [
        ("costly", {}, {"text.too_costly"}),
        ("growing", {"text": "x" * 1_000}, {"text.too_long", "value.too_large"}),
        ("judging", {"list": list(range(300))}, {"flow.expression_too_costly"}),
        ("comparing", {"mileage": "many"}, {"flow.cel_failed", "flow.missing_value"}),
        ("comparing", {}, {"flow.missing_value"}),
        ("comparing", {"mileage": {"a": []}}, {"flow.cel_failed"}),
        ("each", {"list": list(range(20_000))}, {"flow.too_many_items"}),
        ("each", {"list": "no list"}, {"flow.no_list"}),
        ("keyed", {"key": "k" * 5_000}, {"flow.key"}),
        ("keyed", {"key": ""}, {"flow.key"}),
        ("lacking", {"contact": "+32478000001"}, {"flow.missing_value", "text.missing_variable"}),
    ],
)
def test_a_run_that_can_not_go_on_ends_with_a_named_error(
    ground: Ground, keeper: Keeper, name: str, fields: dict[str, Any], codes: set[str]
):
    run = ground.turn(name, **fields)
    assert run["status"] == "failed"
    assert run["error"]["code"] in codes, run["error"]
    assert len(run["error"]["why"]) > 10
    keeper.lets_through()


def test_flows_that_lead_to_themselves_come_to_an_end(ground: Ground, keeper: Keeper):
    assert ground.client.post("/v1/events", json={"type": "endless.said"}).status_code == 202
    ground.served.settle()
    said = ground.client.get("/v1/events", params={"type": "endless.said", "limit": 200}).json()["items"]
    assert 1 < len(said) <= 20
    keeper.lets_through()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", " ", "//evil.example", "https://a b"])
def test_a_button_leads_to_web_addresses_only(ground: Ground, keeper: Keeper, url: str):
    contact = {"phone": f"+3247810{next(ground.numbers):04d}"}
    before = len(ground.served.sms.sent)
    ground.turn("leading", url=url, contact=contact)
    assert len(ground.served.sms.sent) == before
    known = ground.client.get("/v1/contacts", params={"address": contact["phone"]}).json()["items"][0]["id"]
    (delivery,) = ground.client.get("/v1/deliveries", params={"contact": known}).json()["items"]
    assert delivery["state"] == "undeliverable"
    kinds = [one["kind"] for one in ground.client.get(f"/v1/conversations/{known}/entries").json()["items"]]
    assert "error" in kinds, "the team sees that it was not sent"
    keeper.lets_through()


def test_liquid_inside_what_somebody_wrote_is_words(ground: Ground, keeper: Keeper):
    contact = {"name": "{{ settings }}{% for a in (1..9) %}x{% endfor %}", "phone": "+32478200001"}
    asked = ground.client.post(
        "/v1/messages", json={"contact": contact, "template": "invite", "variables": {"slug": "{{7|times:7}}"}}
    )
    assert asked.status_code == 202
    ground.served.settle()
    text = ground.served.sms.sent[-1].rendered.text
    assert contact["name"] in text
    assert "49" not in text.partition("check in")[0]
    keeper.lets_through()


def test_markup_is_escaped_wherever_the_team_reads_it(ground: Ground, keeper: Keeper):
    served, client = ground.served, ground.client
    phone = "+32478300001"
    run = ground.turn(
        "leading", url=f"https://x.example/{MARKUP}".replace(" ", ""), contact={"name": MARKUP, "phone": phone}
    )
    contact = client.get("/v1/contacts", params={"address": phone}).json()["items"][0]
    assert contact["name"] == " ".join(MARKUP.split())
    client.post(f"/v1/conversations/{contact['id']}/notes", json={"text": MARKUP})
    client.post(f"/v1/conversations/{contact['id']}/messages", json={"text": MARKUP})
    keyed = ground.turn("keyed", key=MARKUP)
    served.settle()

    async def sign_in() -> str:
        person = await new_person(
            served.beckon.database, "main", "owner@garage.example", "a long password", role="owner", name=MARKUP
        )
        return await served.beckon.sessions.open_for(person)

    browser = served.bare_client({"Cookie": f"{COOKIE}={served.run(sign_in())}"})
    event = client.get("/v1/events", params={"type": "leading.asked", "order": "newest_first"}).json()["items"][0]
    paths = [
        "/console/conversations",
        f"/console/conversations/{contact['id']}",
        "/console/runs",
        f"/console/runs/{run['id']}",
        f"/console/runs/{keyed['id']}",
        "/console/deliveries",
        "/console/events",
        f"/console/events/{event['position']}",
        f"/console/conversations?search={MARKUP[:20]}",
    ]
    shown = 0
    for path in paths:
        page = browser.get(path)
        assert page.status_code == 200, path
        assert page.headers["content-type"].startswith("text/html")
        assert "<img src=x" not in page.text, path
        assert (
            "'unsafe-inline'"
            not in page.headers["content-security-policy"].partition("script-src")[2].partition(";")[0]
        )
        shown += "&lt;img src=x" in page.text
    assert shown >= 6, "the words themselves are shown, escaped"
    for drawn in (f"/v1/runs/{run['id']}/diagram.svg", f"/v1/runs/{keyed['id']}/diagram.svg"):
        assert "<img" not in client.get(drawn).text
    missing = browser.get(f"/{MARKUP}")
    assert "<img" not in missing.text or missing.headers["content-type"] == "application/problem+json"
    keeper.lets_through()


def test_after_all_of_them_nothing_is_lost(keeper: Keeper):
    keeper.lets_through()
    keeper.lost_nothing()
