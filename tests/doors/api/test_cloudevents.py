"""An independent client: the CloudEvents SDK posts in all its forms, and the journal has what it said."""

import itertools
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

_numbers = itertools.count(1)

SOURCE = "https://dms.example/visits?site=é"
SUBJECT = "visite n° 7 « freins »"


def made(**changes: Any) -> CloudEvent:
    """An event as the SDK makes it."""
    attributes = {
        "type": "free.said",
        "source": SOURCE,
        "id": f"sdk/{next(_numbers)} ü",
        "specversion": "1.0",
        "subject": SUBJECT,
        "time": datetime(2026, 11, 20, 13, 22, 56, 789000, tzinfo=UTC),
        "datacontenttype": "application/json",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        **changes,
    }
    return CloudEvent(attributes, {"words": "één", "number": 7})


def post(client: httpx.Client, message: HTTPMessage) -> httpx.Response:
    """Post what the SDK wrote."""
    return client.post("/v1/events", content=message.body, headers=dict(message.headers))


@pytest.mark.parametrize("write", [to_structured_event, to_binary_event])
def test_the_journal_has_what_the_sdk_said(client: httpx.Client, write: Any) -> None:
    event = made()
    accepted = post(client, write(event))
    assert accepted.status_code == 202, accepted.text
    assert accepted.json()["id"] == event.get_id()
    kept = client.get(f"/v1/events/{accepted.json()['position']}").json()
    assert kept["source"] == SOURCE
    assert kept["subject"] == SUBJECT
    assert kept["time"] == "2026-11-20T13:22:56.789Z"
    assert kept["data"] == event.get_data()


def test_the_same_event_in_another_form_is_a_duplicate(client: httpx.Client) -> None:
    event = made()
    first = post(client, to_structured_event(event)).json()
    second = post(client, to_binary_event(event)).json()
    assert second == {**first, "duplicate": True}


def test_a_batch_of_the_sdk_is_answered_event_by_event(client: httpx.Client) -> None:
    events = [made(), made(type="nobody.knows"), made()]
    written = b"[" + b",".join(JSONFormat().write(event) for event in events) + b"]"
    answer = client.post(
        "/v1/events", content=written, headers={"Content-Type": "application/cloudevents-batch+json; charset=utf-8"}
    )
    assert answer.status_code == 207
    body = answer.json()
    assert (body["accepted"], body["refused"]) == (2, 1)
    assert [one["status"] for one in body["events"]] == [202, 422, 202]
    assert body["events"][1]["code"] == "event.type_unknown"
    assert [body["events"][at]["id"] for at in (0, 2)] == [events[0].get_id(), events[2].get_id()]

    again = client.post("/v1/events", content=written, headers={"Content-Type": "application/cloudevents-batch+json"})
    assert [one.get("duplicate") for one in again.json()["events"]] == [True, None, True]


def test_a_binary_event_without_data_has_none(client: httpx.Client) -> None:
    headers = {"ce-type": "free.said", "ce-source": "s", "ce-id": f"empty-{next(_numbers)}", "ce-specversion": "1.0"}
    accepted = client.post("/v1/events", headers=headers)
    assert accepted.status_code == 202, accepted.text
    assert client.get(f"/v1/events/{accepted.json()['position']}").json()["data"] is None


def test_data_that_is_no_json_is_refused(client: httpx.Client) -> None:
    structured = to_structured_event(
        CloudEvent({**made().get_attributes(), "datacontenttype": "image/png"}, b"\x89PNG")
    )
    assert post(client, structured).json()["code"] == "event.data_base64"
    binary = to_binary_event(CloudEvent({**made().get_attributes(), "datacontenttype": "text/plain"}, "words"))
    assert post(client, binary).json()["code"] == "request.media_type"
