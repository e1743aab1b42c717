"""Who may what: keys, scopes, and the wall between workspaces."""

import itertools
import re

import httpx
import pytest

from beckon.doors.api.parts import Operation
from beckon.doors.api.table import OPERATIONS
from tests.doors.api.served import ALL_SCOPES, Served

_numbers = itertools.count(474_000_000)
PATHS = {
    "contact": "con_0",
    "run": "run_0",
    "delivery": "dlv_0",
    "position": "1",
    "kind": "flow",
    "name": "visit",
    "collection": "couriers",
    "key": "C-1",
}


def address(operation: Operation, **names: str) -> str:
    """The operation's path with names in it."""
    return re.sub(r"\{([a-z]+)\}", lambda found: {**PATHS, **names}[found[1]], operation.path)


def ask(client: httpx.Client, operation: Operation, **names: str) -> httpx.Response:
    """Ask for an operation, with a body that is read where it has one."""
    content = "flow: x" if operation.body is str else "{}"
    media = operation.body_media[0] if operation.body is str else "application/json"
    given = {} if operation.method == "GET" else {"content": content, "headers": {"Content-Type": media}}
    return client.request(operation.method, address(operation, **names), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_nothing_is_open_without_a_key_and_its_scope(served: Served, operation: Operation) -> None:
    without = ask(served.bare_client(), operation)
    assert (without.status_code, without.json()["code"]) == (401, "auth.missing")
    assert without.headers["www-authenticate"].startswith("Bearer")
    wrong = ask(served.bare_client({"Authorization": "Bearer bk_guessed"}), operation)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "auth.unknown")
    others = " ".join(scope for scope in ALL_SCOPES.split() if scope != operation.scope)
    lacking = ask(served.client(others), operation)
    assert (lacking.status_code, lacking.json()["code"]) == (403, "key.scope")
    enough = ask(served.client(operation.scope), operation)
    assert enough.status_code not in (401, 403)


def test_a_key_is_taken_from_its_own_header_too(served: Served) -> None:
    assert served.bare_client({"X-API-Key": served.token("read")}).get("/v1/health").status_code == 200


def test_a_revoked_key_works_no_longer(served: Served) -> None:
    client = served.client("read", label="short-lived")
    assert client.get("/v1/health").status_code == 200

    async def revoke() -> None:
        from beckon.store.changes import Changes

        changes = Changes()
        changes.execute("UPDATE api_keys SET revoked_ms = 1 WHERE label = ?", ("short-lived",))
        await served.beckon.database.commit(changes)

    served.run(revoke())
    assert client.get("/v1/health").json()["code"] == "auth.unknown"


@pytest.fixture(scope="module")
def theirs(served: Served) -> dict[str, str]:
    """Ids of everything that the workspace ``other`` has."""
    client = served.client(workspace="other", label="theirs")
    contact = client.post("/v1/contacts", json={"name": "Secret Person", "phone": "+32474999999"}).json()["id"]
    delivery = client.post("/v1/messages", json={"contact": contact, "text": "secret words"}).json()["id"]
    event = client.post(
        "/v1/events",
        json={"type": "visit.start", "data": {"visit": "secret visit", "slug": "s", "contact": contact}},
    ).json()
    client.put(
        "/v1/definitions/template/secret",
        content="template: secret\nlocales: { en: { text: secret words } }\n",
        headers={"Content-Type": "application/yaml"},
    )
    served.settle()
    run = client.get("/v1/runs").json()["items"][0]["id"]
    found = {"contact": contact, "delivery": delivery, "run": run, "position": str(event["position"])}
    for operation in OPERATIONS:  # their own key sees all of it
        names = re.findall(r"\{([a-z]+)\}", operation.path)
        if operation.method == "GET" and names and set(names) <= set(found) and operation.name != "read_forgetting":
            assert ask(client, operation, **found).status_code == 200, operation.name
    return found


@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if re.search(r"\{(contact|run|delivery|position)\}", operation.path)],
    ids=lambda operation: operation.name,
)
def test_what_belongs_to_another_workspace_is_not_there(
    client: httpx.Client, theirs: dict[str, str], operation: Operation
) -> None:
    body = {"text": "x", "granted": True, "proof": "x"}
    allowed = {"messages": ["text"], "notes": ["text"], "consents": ["granted", "proof"]}
    keys = allowed.get(operation.path.rsplit("/", 1)[-1], [])
    if operation.method == "GET":
        answer = client.get(address(operation, **theirs))
    else:
        answer = client.request(operation.method, address(operation, **theirs), json={key: body[key] for key in keys})
    assert answer.status_code == 404, answer.text
    assert answer.json()["code"].endswith(".not_found")
    assert "Secret Person" not in answer.text
    assert "secret words" not in answer.text


def test_no_list_shows_anything_of_another_workspace(client: httpx.Client, theirs: dict[str, str]) -> None:
    for operation in OPERATIONS:
        if operation.method == "GET" and "{" not in operation.path and operation.media == "application/json":
            for query in (
                ({"limit": 200}, {"limit": 200, "order": "newest_first"}) if "events" in operation.path else ({},)
            ):
                text = client.get(operation.path, params=query).text  # type: ignore[arg-type]
                assert "Secret Person" not in text, operation.name
                assert "secret words" not in text, operation.name
                if operation.name != "list_events":  # somebody here may have guessed an id and said it
                    assert not any(theirs[name] in text for name in ("contact", "delivery", "run")), operation.name
    assert client.get("/v1/contacts", params={"address": "+32474999999"}).json()["items"] == []
    assert client.get("/v1/runs", params={"contact": theirs["contact"]}).json()["items"] == []
    assert client.get("/v1/deliveries", params={"contact": theirs["contact"]}).json()["items"] == []
    assert client.get("/v1/definitions/template/secret").status_code == 404


def test_an_event_reaches_nobody_of_another_workspace(
    served: Served, client: httpx.Client, theirs: dict[str, str]
) -> None:
    own = served.client(workspace="other", label="theirs")
    before = own.get(f"/v1/conversations/{theirs['contact']}/entries").json()
    run = own.get(f"/v1/runs/{theirs['run']}").json()
    assert client.post("/v1/messages", json={"contact": theirs["contact"], "text": "hello"}).status_code == 422
    visit = f"W{next(_numbers)}"
    for fields in (
        {"visit": visit, "slug": "s", "contact": theirs["contact"]},
        {"visit": f"{visit}b", "slug": "s", "contact": "+32474111111", "delivery": theirs["delivery"]},
    ):
        assert client.post("/v1/events", json={"type": "visit.start", "data": fields}).status_code == 202
    client.post("/v1/events", json={"type": "visit.finished", "data": {"visit": "secret visit"}})
    served.settle()
    assert own.get(f"/v1/conversations/{theirs['contact']}/entries").json() == before
    assert own.get(f"/v1/runs/{theirs['run']}").json() == run
    ours = client.get("/v1/runs", params={"limit": 200}).json()["items"]
    assert all(one["contact"] != theirs["contact"] for one in ours)


def test_workspaces_may_use_the_same_names_and_ids(served: Served, client: httpx.Client) -> None:
    other = served.client(workspace="other", label="same")
    event = {"type": "free.said", "source": "s", "id": "the-same", "data": {"contact": "+32474222222"}}
    first, second = client.post("/v1/events", json=event).json(), other.post("/v1/events", json=event).json()
    assert first["position"] != second["position"]
    assert "duplicate" not in second
    made = [one.post("/v1/contacts", json={"phone": "+32474222222"}) for one in (client, other)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json()["id"] != made[1].json()["id"]
    for one in (client, other):
        answer = one.post(
            "/v1/messages", json={"contact": "+32474222222", "text": "hi"}, headers={"Idempotency-Key": "k"}
        )
        assert answer.status_code == 202
