"""Contacts by the API."""

import asyncio
import itertools

import httpx

from tests.doors.api.served import Served

_numbers = itertools.count(470_100_000)


def phone() -> str:
    """A number that nobody has yet."""
    return f"+32{next(_numbers)}"


def test_a_contact_is_made_once_and_known_by_every_way_of_writing_the_number(client: httpx.Client) -> None:
    number = phone()
    made = client.post("/v1/contacts", json={"name": "Ann Maes", "phone": number, "fields": {"tier": "gold"}})
    assert made.status_code == 201
    contact = made.json()
    assert contact["id"].startswith("con_")
    assert contact["fields"] == {"tier": "gold"}
    assert {one["channel"]: one["external_id"] for one in contact["addresses"]} == {
        "sms": number,
        "whatsapp": number[1:],
    }

    again = client.post("/v1/contacts", json={"phone": f"0{number[3:]}", "email": "Ann@Example.com", "locale": "nl_be"})
    assert again.status_code == 200
    assert again.json()["id"] == contact["id"]
    assert again.json()["name"] == "Ann Maes"
    assert again.json()["locale"] == "nl-BE"
    assert client.get(f"/v1/contacts/{contact['id']}").json() == again.json()


def test_contacts_are_found_by_address_and_by_a_piece_of_their_name(client: httpx.Client) -> None:
    number = phone()
    made = client.post("/v1/contacts", json={"name": "Zacharias Quill", "phone": number}).json()
    for query in ({"address": number}, {"address": f"00{number[1:]}"}, {"address": number[1:]}, {"name": "RIAS qU"}):
        found = client.get("/v1/contacts", params=query).json()["items"]
        assert [one["id"] for one in found] == [made["id"]], query
    assert client.get("/v1/contacts", params={"address": "nobody@example.com"}).json() == {"items": [], "next": None}
    assert client.get("/v1/contacts", params={"name": "100%"}).json()["items"] == []


def test_pages_of_contacts_go_on_where_the_last_one_ended(client: httpx.Client) -> None:
    made = {client.post("/v1/contacts", json={"phone": phone()}).json()["id"] for _ in range(5)}
    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 2}
    for _ in range(50):
        page = client.get("/v1/contacts", params=query).json()
        assert len(page["items"]) <= 2
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert made <= set(seen)
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen, reverse=True)


def test_a_contact_is_changed_by_its_id(client: httpx.Client) -> None:
    id_ = client.post("/v1/contacts", json={"phone": phone()}).json()["id"]
    changed = client.patch(
        f"/v1/contacts/{id_}",
        json={
            "name": "Léa",
            "email": "lea@example.com",
            "time_zone": "Europe/Paris",
            "channel_order": ["email", "sms"],
        },
    )
    assert changed.status_code == 200
    contact = changed.json()
    assert (contact["name"], contact["time_zone"], contact["channel_order"]) == (
        "Léa",
        "Europe/Paris",
        ["email", "sms"],
    )
    assert {one["channel"] for one in contact["addresses"]} == {"sms", "whatsapp", "email"}
    assert client.patch("/v1/contacts/con_nobody", json={"name": "X"}).status_code == 404


def test_consent_is_noted_with_its_proof(client: httpx.Client) -> None:
    id_ = client.post("/v1/contacts", json={"phone": phone()}).json()["id"]
    path = f"/v1/contacts/{id_}/consents"
    assert client.get(path).json()["items"] == []
    given = {"purpose": "marketing", "channel": "sms", "granted": True, "proof": "signed form 12"}
    noted = client.post(path, json=given)
    assert noted.status_code == 201
    (consent,) = noted.json()["items"]
    assert {key: consent[key] for key in given} == given
    assert client.get(path).json() == noted.json()


def test_what_is_wrong_with_a_contact_is_said_with_its_field(client: httpx.Client) -> None:
    for body, field in (
        ({"phone": "call me"}, "phone"),
        ({"email": "ann@"}, "email"),
        ({"phone": phone(), "locale": "???"}, "locale"),
        ({"phone": phone(), "time_zone": "Mars/Base"}, "time_zone"),
        ({"phone": phone(), "fields": {"email": "x"}}, "fields.email"),
        ({"phone": phone(), "channel_order": ["pigeon"]}, "channel_order"),
        ({"phone": phone(), "favourite": "red"}, "favourite"),
        ({"phone": 470123456}, "phone"),
        ({"name": "Nobody to reach"}, None),
    ):
        refused = client.post("/v1/contacts", json=body)
        assert refused.status_code == 422, body
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json().get("field") == field, refused.json()


def test_a_contact_is_forgotten_by_a_key_that_may_and_is_gone_for_everybody(
    served: Served, client: httpx.Client
) -> None:
    number = phone()
    contact = client.post("/v1/contacts", json={"name": "Vera Nish", "phone": number}).json()["id"]
    path = f"/v1/contacts/{contact}"
    assert client.get(f"{path}/forget").json()["code"] == "contact.not_forgotten"
    refused = served.client("read write").post(f"{path}/forget")
    assert (refused.status_code, refused.json()["code"]) == (403, "key.scope")
    assert served.client("read write forget", workspace="other").post(f"{path}/forget").status_code == 404

    asked = client.post(f"{path}/forget", headers={"Idempotency-Key": "forget-1"})
    assert asked.status_code in (200, 202)
    assert asked.json()["contact"] == contact
    for _ in range(6_000):
        done = client.get(f"{path}/forget").json()
        if done["done"] is not None:
            break
        served.run(asyncio.sleep(0.01))
    assert done["done"] is not None
    assert done["asked"] == asked.json()["asked"]
    again = client.post(f"{path}/forget", headers={"Idempotency-Key": "forget-1"})
    assert (again.status_code, again.json()) == (200, done)
    assert client.post(f"{path}/forget").json() == done

    left = client.get(path).json()
    assert (left["name"], left["addresses"], left["fields"]) == ("", [], {})
    assert left["forgotten"] is not None
    for method, at, body in (
        ("PATCH", path, {"name": "Vera"}),
        ("POST", f"{path}/consents", {"granted": True, "proof": "said so"}),
        ("GET", f"{path}/consents", None),
        ("POST", "/v1/messages", {"contact": contact, "text": "hello"}),
    ):
        answer = client.request(method, at, json=body)
        assert (answer.status_code, answer.json()["code"]) == (410, "contact.gone"), at
    assert client.get("/v1/contacts", params={"address": number}).json()["items"] == []
    assert client.post("/v1/contacts/con_nobody/forget").status_code == 404
    # The number is free again.
    new = client.post("/v1/contacts", json={"phone": number})
    assert (new.status_code, new.json()["name"]) == (201, "")
