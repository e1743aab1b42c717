"""Conversations and messages by the API."""

import itertools

import httpx
import pytest

from beckon.core.errors import Refused
from beckon.core.event import Event
from tests.doors.api.served import Served

_numbers = itertools.count(471_100_000)


@pytest.fixture
def contact(client: httpx.Client) -> str:
    """Somebody new."""
    made = client.post("/v1/contacts", json={"name": "Ann Maes", "phone": f"+32{next(_numbers)}"})
    return str(made.json()["id"])


@pytest.fixture(autouse=True)
def _working_channel(served: Served) -> None:
    served.sms.error = None


def test_an_answer_goes_out_and_stands_in_the_conversation(served: Served, client: httpx.Client, contact: str) -> None:
    answered = client.post(f"/v1/conversations/{contact}/messages", json={"text": "  Your car is ready.  "})
    assert answered.status_code == 202
    delivery = answered.json()
    assert (delivery["contact"], delivery["text"], delivery["author"]) == (
        contact,
        "Your car is ready.",
        "agent:api/tests",
    )
    served.settle()
    assert served.sms.sent[-1].rendered.text == "Your car is ready."
    shown = client.get(f"/v1/deliveries/{delivery['id']}").json()
    assert shown["state"] == "sent"
    assert shown["choice"]["channel"] == "sms"
    (entry,) = client.get(f"/v1/conversations/{contact}/entries").json()["items"]
    assert (entry["kind"], entry["delivery"], entry["body"]["text"]) == (
        "message",
        delivery["id"],
        "Your car is ready.",
    )


def test_a_template_reaches_somebody_who_was_not_known(served: Served, client: httpx.Client) -> None:
    number = f"+32{next(_numbers)}"
    body = {"contact": {"name": "Bob", "phone": number}, "template": "invite", "variables": {"slug": "x1"}}
    asked = client.post("/v1/messages", json=body)
    assert asked.status_code == 202
    served.settle()
    sent = served.sms.sent[-1]
    assert sent.to == number
    assert sent.rendered.text.startswith("Hello Bob, check in at our workshop.")
    assert client.get("/v1/contacts", params={"address": number}).json()["items"][0]["name"] == "Bob"


def test_a_text_reaches_a_phone_number_or_a_contact(served: Served, client: httpx.Client, contact: str) -> None:
    for given in (contact, {"id": contact}, f"+32{next(_numbers)}"):
        asked = client.post("/v1/messages", json={"contact": given, "text": "Hi"})
        assert asked.status_code == 202, asked.json()
        served.settle()
        assert client.get(f"/v1/deliveries/{asked.json()['id']}").json()["state"] == "sent"


def test_what_a_message_lacks_is_said_with_its_field(client: httpx.Client, contact: str) -> None:
    for body, code, field in (
        ({"contact": contact}, "message.content", "template"),
        ({"contact": contact, "text": "a", "template": "invite"}, "message.content", "template"),
        ({"contact": contact, "template": "nothing"}, "message.template", "template"),
        ({"contact": contact, "template": "invite"}, "message.variable", "variables.slug"),
        (
            {"contact": contact, "template": "invite", "variables": {"slug": "a", "slog": "b"}},
            "message.variable_unknown",
            "variables.slog",
        ),
        ({"contact": contact, "text": "a", "via": ["pigeon"]}, "message.via", "via"),
        ({"contact": "con_nobody", "text": "a"}, "message.contact", "contact"),
        ({"contact": {"phone": "12"}, "text": "a"}, "phone.length", "contact.phone"),
        ({"contact": contact, "text": "a", "purpose": "spam"}, "request.form", "purpose"),
        ({"text": "a"}, "request.field_missing", "contact"),
    ):
        refused = client.post("/v1/messages", json=body)
        assert refused.status_code == 422, (body, refused.text)
        assert (refused.json()["code"], refused.json().get("field")) == (code, field)


def test_the_team_works_on_a_conversation(client: httpx.Client, contact: str) -> None:
    path = f"/v1/conversations/{contact}"
    fresh = client.get(path).json()
    assert (fresh["state"], fresh["unread"], fresh["changed"]) == ("open", 0, None)
    assert client.post(f"{path}/notes", json={"text": "Called; no answer."}).status_code == 201
    assigned = client.post(f"{path}/assign", json={"inbox": "service-advisors"})
    assert assigned.json()["inbox"] == "service-advisors"
    assert client.post(f"{path}/close").json()["state"] == "closed"
    assert client.post(f"{path}/close").json()["state"] == "closed"
    assert client.post(f"{path}/reopen", json={}).json()["state"] == "open"
    entries = client.get(f"{path}/entries").json()["items"]
    assert [entry["kind"] for entry in entries][-2:] == ["status", "note"]
    assert entries[-1]["body"] == {"text": "Called; no answer."}

    listed = client.get("/v1/conversations", params={"inbox": "service-advisors", "state": "open"}).json()["items"]
    assert contact in [one["contact"] for one in listed]
    assert next(one for one in listed if one["contact"] == contact)["name"] == "Ann Maes"
    assert client.get("/v1/conversations", params={"inbox": "parts"}).json()["items"] == []
    assert client.post(f"{path}/assign", json={"inbox": "nowhere"}).json()["field"] == "inbox"
    assert client.post(f"{path}/assign", json={"agent": "per_nobody"}).json()["field"] == "agent"


def test_entries_come_in_pages(client: httpx.Client, contact: str) -> None:
    for number in range(5):
        client.post(f"/v1/conversations/{contact}/notes", json={"text": f"note {number}"})
    first = client.get(f"/v1/conversations/{contact}/entries", params={"limit": 3}).json()
    rest = client.get(f"/v1/conversations/{contact}/entries", params={"limit": 3, "after": first["next"]}).json()
    texts = [entry["body"]["text"] for entry in first["items"] + rest["items"]]
    assert texts == [f"note {number}" for number in (4, 3, 2, 1, 0)]
    assert rest["next"] is None


def test_a_message_that_failed_is_sent_again_on_request(served: Served, client: httpx.Client, contact: str) -> None:
    served.sms.error = Refused("sms.blocked", "the number is blocked")
    id_ = client.post("/v1/messages", json={"contact": contact, "text": "Hello"}).json()["id"]
    served.settle()
    failed = client.get(f"/v1/deliveries/{id_}").json()
    assert failed["state"] == "undeliverable"
    assert failed["attempts"][0]["why"] == "the number is blocked"
    assert {one["channel"] for one in failed["choice"]["passed_over"]} == {"sms", "email"}
    assert id_ in [one["id"] for one in client.get("/v1/deliveries", params={"state": "undeliverable"}).json()["items"]]

    served.sms.error = None
    assert client.post(f"/v1/deliveries/{id_}/resend").status_code == 202
    served.settle()
    assert client.get(f"/v1/deliveries/{id_}").json()["state"] == "sent"
    assert client.post("/v1/deliveries/dlv_nothing/resend").status_code == 404


def test_a_doubtful_message_is_sent_again_only_if_a_duplicate_is_accepted(
    served: Served, client: httpx.Client, contact: str
) -> None:
    id_ = client.post("/v1/messages", json={"contact": contact, "text": "Hello"}).json()["id"]
    served.settle()
    # As after a crash in the middle of handing it over.
    doubt = Event(
        workspace="main",
        source="beckon/outbox",
        id=f"{id_}.doubt",
        type="message.doubtful",
        time_ms=0,
        data={"delivery": id_, "attempt": 2, "why": "the server stopped"},
    )
    served.run(served.beckon.settle([doubt]))
    refused = client.post(f"/v1/deliveries/{id_}/resend", json={"accept_duplicate": False})
    assert (refused.status_code, refused.json()["code"]) == (409, "delivery.doubtful")
    assert client.post(f"/v1/deliveries/{id_}/resend", json={"accept_duplicate": True}).status_code == 202
    served.settle()
    assert client.get(f"/v1/deliveries/{id_}").json()["state"] == "sent"


def test_what_has_arrived_or_is_on_its_way_is_not_sent_again(
    served: Served, client: httpx.Client, contact: str
) -> None:
    id_ = client.post("/v1/messages", json={"contact": contact, "text": "Hello"}).json()["id"]
    served.settle()
    sent = len(served.sms.sent)
    refused = client.post(f"/v1/deliveries/{id_}/resend", json={"accept_duplicate": True})
    assert (refused.status_code, refused.json()["code"]) == (409, "delivery.state")
    # What has arrived stays arrived, whoever asks.
    arrived = Event(
        workspace="main",
        source="providers/twilio_sms/AC1",
        id=f"{id_}:delivered",
        type="message.delivered",
        time_ms=0,
        data={"delivery": id_, "provider": "twilio_sms", "provider_id": f"fake-{sent}-{id_}"},
    )
    asked = Event(
        workspace="main",
        source="beckon/console",
        id=f"{id_}.again",
        type="delivery.resend_asked",
        time_ms=0,
        data={"delivery": id_, "contact": contact, "accept_duplicate": True},
    )
    served.run(served.beckon.settle([arrived, asked]))
    served.settle()
    assert len(served.sms.sent) == sent
    assert client.get(f"/v1/deliveries/{id_}").json()["state"] == "delivered"
