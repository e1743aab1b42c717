"""Runs and the journal by the API."""

import itertools

import httpx

from tests.doors.api.served import Served

_numbers = itertools.count(1)


def start(client: httpx.Client, **more: object) -> str:
    """Begin a visit; its key."""
    visit = f"R{next(_numbers)}"
    fields = {"visit": visit, "slug": "s", "contact": {"phone": f"+324721{next(_numbers):05d}"}, **more}
    accepted = client.post("/v1/events", json={"type": "visit.start", "data": fields})
    assert accepted.status_code == 202, accepted.text
    return visit


def run_of(served: Served, client: httpx.Client, visit: str) -> dict[str, object]:
    """The run of a visit."""
    served.settle()
    runs = client.get("/v1/runs", params={"flow": "visit"}).json()["items"]
    return next(run for run in runs if run["key"] == visit)


def test_a_run_shows_its_history_and_what_it_waits_for(served: Served, client: httpx.Client) -> None:
    run = run_of(served, client, start(client))
    detail = client.get(f"/v1/runs/{run['id']}").json()
    assert detail["status"] == "waiting"
    assert detail["waiting"][0]["events"] == ["visit.finished"]
    assert detail["waiting"][0]["deadline"].endswith("Z")
    assert detail["history"][0]["step"] == "steps.0"
    assert detail["variables"]["event"]["type"] == "visit.start"
    listed = client.get("/v1/runs", params={"status": "waiting", "contact": str(run["contact"])}).json()["items"]
    assert [one["id"] for one in listed] == [run["id"]]


def test_a_run_is_drawn_with_its_path(served: Served, client: httpx.Client) -> None:
    run = run_of(served, client, start(client))
    drawn = client.get(f"/v1/runs/{run['id']}/diagram.svg")
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    assert drawn.text.startswith("<svg")
    assert drawn.text != client.get("/v1/flows/visit/diagram.svg").text


def test_a_stopped_run_takes_no_further_step(served: Served, client: httpx.Client) -> None:
    visit = start(client)
    run = run_of(served, client, visit)
    stopped = client.post(f"/v1/runs/{run['id']}/stop", json={"reason": "the visit was cancelled"})
    assert stopped.status_code == 200
    assert (stopped.json()["status"], stopped.json()["ended"]) == ("stopped", "the visit was cancelled")
    assert stopped.json()["waiting"] == []
    client.post("/v1/events", json={"type": "visit.finished", "data": {"visit": visit}})
    served.settle()
    assert client.get(f"/v1/runs/{run['id']}").json()["status"] == "stopped"
    kinds = client.get(f"/v1/conversations/{run['contact']}/entries").json()["items"]
    assert "results" not in [entry["kind"] for entry in kinds]

    again = client.post(f"/v1/runs/{run['id']}/stop")
    assert (again.status_code, again.json()["code"]) == (409, "run.state")


def test_results_come_home_into_the_conversation(served: Served, client: httpx.Client) -> None:
    visit = start(client)
    client.post("/v1/events", json={"type": "visit.finished", "data": {"visit": visit, "mileage": 48210}})
    run = run_of(served, client, visit)
    assert run["status"] == "done"
    entries = client.get(f"/v1/conversations/{run['contact']}/entries").json()["items"]
    results = next(entry for entry in entries if entry["kind"] == "results")
    assert results["body"]["fields"]["mileage"] == 48210
    assert client.get(f"/v1/conversations/{run['contact']}").json()["inbox"] == "service-advisors"


def test_the_journal_is_a_feed_that_goes_on(served: Served, client: httpx.Client) -> None:
    feed = client.get("/v1/events", params={"type": "free.said", "limit": 200}).json()
    while feed["items"]:
        feed = client.get("/v1/events", params={"type": "free.said", "after": feed["next"]}).json()
    here = feed["next"]
    said = [
        client.post("/v1/events", json={"type": "free.said", "source": "feed", "data": number}).json()["position"]
        for number in range(3)
    ]
    page = client.get("/v1/events", params={"type": "free.said", "source": "feed", "after": here, "limit": 2}).json()
    assert [event["position"] for event in page["items"]] == said[:2]
    rest = client.get("/v1/events", params={"type": "free.said", "source": "feed", "after": page["next"]}).json()
    assert [event["data"] for event in rest["items"]] == [2]
    newest = client.get("/v1/events", params={"order": "newest_first", "source": "feed", "limit": 2}).json()
    assert [event["data"] for event in newest["items"]] == [2, 1]

    one = client.get(f"/v1/events/{said[0]}").json()
    assert (one["type"], one["source"], one["data"]) == ("free.said", "feed", 0)
    assert client.get("/v1/events/999999999").status_code == 404
