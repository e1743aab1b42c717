"""Contacts by the API."""

import itertools

import httpx

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
