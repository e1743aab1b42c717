"""Records over the API: one by one, many as CSV, each wrong line told of."""

import pytest

from tests.doors.api.served import Served


def test_a_record_is_put_read_changed_listed_and_removed(served: Served) -> None:
    client = served.client()
    put = client.put("/v1/records/roster/+32 470 00 00 01", json={"name": "Bo"})
    assert put.status_code == 200, put.text
    assert (put.json()["key"], put.json()["body"]) == ("32470000001", {"name": "Bo", "key": "32470000001"})
    client.put("/v1/records/roster/32470000001", json={"name": "Bob"})
    assert client.get("/v1/records/roster/+32470000001").json()["body"]["name"] == "Bob"
    client.put("/v1/records/roster/B-2", json={"name": "Cy"})
    first = client.get("/v1/records/roster", params={"limit": 1}).json()
    assert [one["key"] for one in first["items"]] == ["32470000001"]
    second = client.get("/v1/records/roster", params={"limit": 1, "after": first["next"]}).json()
    assert ([one["key"] for one in second["items"]], second["next"]) == (["B-2"], None)
    assert client.delete("/v1/records/roster/B-2").json()["body"]["name"] == "Cy"
    assert client.delete("/v1/records/roster/B-2").status_code == 404
    assert client.get("/v1/records/nothing").json()["items"] == []


@pytest.mark.parametrize(
    ("text", "taken", "problems"),
    [
        ('phone,name\n+32470000001,Bo\n+32470000002,"Cy, the second"\n', 2, []),
        ("\ufeffphone;name\r\n+32470000001;Bo\r\n\r\n", 1, []),
        ("name,phone\nBo,+32470000001\nCy\n,+32\nDi,\n", 2, [(3, "record.cells"), (5, "record.key")]),
        ("phone\n", 0, []),
    ],
)
def test_many_are_put_as_csv(served: Served, text: str, taken: int, problems: list[tuple[int, str]]) -> None:
    answer = served.client().post(
        "/v1/records/people", params={"key": "phone"}, content=text.encode(), headers={"Content-Type": "text/csv"}
    )
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["taken"] == taken
    assert [(one["line"], one["code"]) for one in said["problems"]] == problems
    assert said["refused"] == len(problems)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a,a\n1,2\n", "record.columns"),
        (",b\n1,2\n", "record.columns"),
        ("name\nBo\n", "record.columns"),
        ('phone,name\n"+32', "record.csv"),
        ("phone\n" + "1234567\n" * 10_001, "record.lines"),
        ("phone\n\x00", "request.characters"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_changes_nothing(served: Served, text: str, code: str) -> None:
    answer = served.client().post(
        "/v1/records/wrong", params={"key": "phone"}, content=text.encode(), headers={"Content-Type": "text/csv"}
    )
    assert (answer.status_code, answer.json()["type"]) == (422, f"/docs/errors#{code}")
    assert served.client().get("/v1/records/wrong").json()["items"] == []


def test_an_upload_is_text_and_a_record_is_an_object(served: Served) -> None:
    client = served.client()
    assert client.post("/v1/records/people", json={"a": 1}).status_code == 415
    assert client.put("/v1/records/people/1", json=[1]).status_code == 422
    assert client.put("/v1/records/people/1", json={str(n): n for n in range(101)}).status_code == 422
    assert client.put("/v1/records/people/1", json={"a": "x" * 20_000}).status_code == 413


def test_the_same_upload_again_with_its_idempotency_key_is_one(served: Served) -> None:
    client = served.client()
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "upload-1"}
    for _ in range(2):
        answer = client.post("/v1/records/once", content="k,v\na,1\n", headers=headers)
        assert answer.json()["taken"] == 1
    events = client.get("/v1/events", params={"type": "record.put"}).json()["items"]
    assert len([one for one in events if one["data"]["collection"] == "once"]) == 1


def test_records_belong_to_the_keys_workspace_and_scope(served: Served) -> None:
    client = served.client()
    client.put("/v1/records/couriers/mine", json={"a": 1})
    assert served.bare_client().get("/v1/records/couriers").status_code == 401
    only_read = served.client(scopes="read")
    assert only_read.put("/v1/records/couriers/mine", json={"a": 2}).status_code == 403
    outside = client.post("/v1/events", json={"type": "record.put", "data": {"collection": "x", "rows": []}})
    assert outside.status_code in (403, 404, 409, 422)
