"""What every path does the same way: methods, unknown paths, bodies, Idempotency-Keys."""

import itertools

import httpx
import pytest

from tests.doors.api.served import Served

_numbers = itertools.count(475_000_000)


@pytest.fixture
def contact(client: httpx.Client) -> str:
    """Somebody new."""
    return str(client.post("/v1/contacts", json={"phone": f"+32{next(_numbers)}"}).json()["id"])


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/v1/contacts/ann", "/v1/events/0", "/v1/runs/run_x/y"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_a_problem_with_details(client: httpx.Client, path: str, method: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "http.not_found")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/events", "GET, HEAD, OPTIONS, POST"),
        ("/v1/contacts", "GET, HEAD, OPTIONS, POST"),
        ("/v1/messages", "OPTIONS, POST"),
        ("/v1/definitions/flow/visit", "GET, HEAD, OPTIONS, PUT"),
    ],
)
def test_a_method_that_is_not_possible_is_answered_with_those_that_are(
    client: httpx.Client, path: str, allow: str
) -> None:
    for method in ("DELETE", "TRACE"):
        refused = client.request(method, path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allow)
        assert refused.json()["code"] == "http.method"
    asked = client.options(path)
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, allow, b"")


def test_head_is_a_get_without_its_body(client: httpx.Client) -> None:
    got, headed = client.get("/v1/contacts"), client.head("/v1/contacts")
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-length"] == got.headers["content-length"]


def test_a_query_is_read_strictly(client: httpx.Client) -> None:
    for query, field in (
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.0", "limit"),
        ("limit=1&limit=2", "limit"),
        ("unread=yes", "unread"),
        ("colour=red", "colour"),
        ("after=yesterday", "after"),
        ("state=ajar", "state"),
        ("inbox=%00", "inbox"),
    ):
        refused = client.get(f"/v1/conversations?{query}")
        assert (refused.status_code, refused.json().get("field")) == (422, field), query
    assert client.get("/v1/conversations?inbox=%ff").status_code == 400


def test_a_repeated_write_with_the_same_key_is_done_once(served: Served, client: httpx.Client, contact: str) -> None:
    once = {"Idempotency-Key": "reply-1"}
    path = f"/v1/conversations/{contact}/messages"
    first = client.post(path, json={"text": "Hello"}, headers=once)
    second = client.post(path, json={"text": "Hello"}, headers=once)
    served.settle()
    third = client.post(path, json={"text": "Hello"}, headers=once)
    assert first.status_code == second.status_code == third.status_code == 202
    assert first.json()["id"] == second.json()["id"] == third.json()["id"]
    listed = client.get("/v1/deliveries", params={"contact": contact}).json()["items"]
    assert len(listed) == 1

    other = client.post(path, json={"text": "Something else"}, headers=once)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")
    without = client.post(path, json={"text": "Hello"})
    assert without.json()["id"] != first.json()["id"]


def test_stopping_and_resending_may_be_repeated_with_the_same_key(served: Served, client: httpx.Client) -> None:
    event = {"type": "visit.start", "data": {"visit": "once", "slug": "s", "contact": f"+32{next(_numbers)}"}}
    client.post("/v1/events", json=event)
    served.settle()
    run = next(one for one in client.get("/v1/runs").json()["items"] if one["key"] == "once")["id"]
    once = {"Idempotency-Key": "stop-1"}
    stops = [client.post(f"/v1/runs/{run}/stop", json={"reason": "x"}, headers=once) for _ in range(2)]
    assert [stop.status_code for stop in stops] == [200, 200]
    assert stops[0].json() == stops[1].json()


def test_an_event_with_the_same_idempotency_key_is_accepted_once(client: httpx.Client) -> None:
    once = {"Idempotency-Key": "event-1"}
    event = {"type": "free.said", "data": 1}
    first = client.post("/v1/events", json=event, headers=once)
    again = client.post("/v1/events", json=event, headers=once)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    position = first.json()["position"]
    assert client.get(f"/v1/events/{position}").json()["id"] == first.json()["id"]
    later = client.get("/v1/events", params={"type": "free.said", "after": position}).json()["items"]
    assert first.json()["id"] not in [one["id"] for one in later]
    mismatch = client.post("/v1/events", json={"type": "free.said", "data": 2}, headers=once)
    assert (mismatch.status_code, mismatch.json()["code"]) == (422, "idempotency.mismatch")


def test_a_batch_with_the_same_idempotency_key_is_accepted_once(client: httpx.Client) -> None:
    once = {"Idempotency-Key": "batch-1"}
    batch = [{"type": "free.said", "data": number} for number in range(3)]
    before = client.get("/v1/health").json()["position"]
    first = client.post("/v1/events", json=batch, headers=once).json()
    again = client.post("/v1/events", json=batch, headers=once).json()
    assert [one["id"] for one in first["events"]] == [one["id"] for one in again["events"]]
    assert client.get("/v1/health").json()["position"] == before + 3
