"""What apps and tills of the vendor's really send: their habits work here as they are."""

from typing import Any

import pytest

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.asking import Asking, mark_of
from beckon.journeys.loyalty_offers.sessionm_words import from_uuid
from beckon.store.changes import Changes
from tests.journeys.loyalty.shop import DAY_MS, Shop

SEND = "/api/2.0/send_transaction"
USERS = "/priv/v1/apps/:api_key/users"


async def test_another_systems_id_is_found_without_its_type(shop: Shop):
    """An app signs up with its own type of ids; its till says External_ID, its pages ask /external/users/{id}."""
    user = await shop.sign_up(external_id="loyal-7", external_id_type="crm")
    by_id = await shop.call("GET", f"{USERS}/{user['id']}/campaigns", status=200)
    path = "/priv/v1/apps/:api_key/external/users/loyal-7"
    assert await shop.call("GET", f"{path}/campaigns", status=200) == by_id
    assert (await shop.call("GET", path, status=200))["user"]["id"] == user["id"]
    paid = [{"payment_id": "p", "amount": 18, "type": "CASH", "user_id": "loyal-7", "user_id_type": "External_ID"}]
    answer = await shop.call("POST", SEND, shop.transaction(user, payments=paid), status=200)
    assert answer["payload"]["user_id"] == user["id"]
    looked = {"request_payload": {"user_lookup_code": "loyal-7", "user_lookup_type": "External_ID"}}
    assert (await shop.call("POST", "/api/2.0/lookup", looked, status=200))["payload"]["user"]["id"] == user["id"]


async def test_an_id_that_two_systems_gave_is_the_untyped_ones_or_must_say_its_type(shop: Shop):
    crm = await shop.sign_up(external_id="77", external_id_type="crm")
    path = "/priv/v1/apps/:api_key/external/users/77"
    assert (await shop.call("GET", path, status=200))["user"]["id"] == crm["id"]
    till = await shop.sign_up(external_id="77", external_id_type="till")
    answer = await shop.call("GET", path, status=200)
    assert (answer["status"], answer["errors"]["code"]) == ("error", "member_ambiguous")
    assert "crm, till" in answer["errors"]["message"]
    assert (await shop.call("GET", f"{path}?external_id_type=till", status=200))["user"]["id"] == till["id"]
    plain = await shop.sign_up(external_id="77")
    assert (await shop.call("GET", path, status=200))["user"]["id"] == plain["id"]


async def test_a_till_that_names_no_categories_completes_a_campaign_of_categories(shop: Shop):
    """The programme says which items are fries, by their ids."""
    user = await shop.sign_up()
    answer = await shop.send(user)
    assert len(answer["payload"]["user_offer_ids"]) == 1
    sale = answer["payload"]["transaction_id"]
    stands = await shop.client.get(f"/v1/loyalty/sales/{sale}", headers={"Authorization": f"Bearer {shop.key}"})
    assert [one["categories"] for one in stands.json()["items"]] == [["fries"], ["fries"]]


async def test_one_reference_for_many_users_gives_each_their_points_once(shop: Shop):
    """Scripts that adjust points give every deposit the same words as its reference."""
    ann, bob = await shop.sign_up(), await shop.sign_up()

    def deposit(user: dict[str, Any], amount: float) -> dict[str, Any]:
        detail = {"amount": amount, "reference_id": "Adjusted", "reference_type": "Adjusted", "point_source_id": "x"}
        return {"retailer_id": "r", "user_id": user["id"], "deposit_details": [detail]}

    path = "/incentives/api/1.0/user_points/deposit"
    for user, amount in ((ann, 12.0), (bob, 15.0), (ann, 12.0)):
        await shop.call("POST", path, deposit(user, amount), status=200)
    assert [await shop.points(user) for user in (ann, bob)] == [25 + 12, 25 + 15]
    refused = await shop.call("POST", path, deposit(ann, 13.0), status=400)
    assert refused["errors"]["code"] == "request_other"


async def test_a_request_that_comes_again_after_its_answer_was_forgotten_is_told_so(shop: Shop):
    """A till sends its backlog again: nothing is done twice, and it is not told to go on asking."""
    user = await shop.sign_up()
    parts = shop.beckon._for_journeys(shop.beckon._console())
    given = asked.Points(member=from_uuid("mem", user["id"]), points=10)
    given.mark = mark_of(given)

    async def deposit(answer_s: float) -> dict[str, Any]:
        asking = Asking(parts, answer_s)
        return await asking.ask("fries", "loyalty.points_asked", given, source="till", id="again")

    assert await deposit(60) == await deposit(60)
    await shop.later(8 * DAY_MS)
    changes = Changes()
    changes.execute("DELETE FROM answers")
    await shop.beckon.database.commit(changes)
    with pytest.raises(Refused) as refused:
        await deposit(0.05)
    assert refused.value.code == "request.done_before"
    assert await shop.points(user) == 25 + 10


async def test_a_request_that_comes_again_after_its_member_was_forgotten_is_told_so_at_once(shop: Shop):
    user = await shop.sign_up()
    asking = Asking(shop.beckon._for_journeys(shop.beckon._console()), 600)
    given = asked.Points(member=from_uuid("mem", user["id"]), points=10)
    given.mark = mark_of(given)
    await asking.ask("fries", "loyalty.points_asked", given, source="till", id="again")
    await shop.call("DELETE", f"{USERS}/{user['id']}", status=200)
    await shop.later(60_000)
    with pytest.raises(Refused) as refused:
        await asking.ask("fries", "loyalty.points_asked", given, source="till", id="again")
    assert refused.value.code == "request.done_before"


async def test_culture_says_the_language_of_names(shop: Shop):
    user = await shop.sign_up(locale="en-us")
    await shop.send(user)
    asks = {"retailer_id": "r", "user_id": user["id"], "skip": 0, "take": 10}
    for culture, name in (("fr-FR", "Boîte snack"), ("nl-NL", "Snackdoos"), ("", "Snack box"), ("?", "Snack box")):
        answer = await shop.call("POST", "/api/2.0/offers/get_user_offers", {**asks, "culture": culture}, status=200)
        assert [one["name"] for one in answer["payload"]["user_offers"]] == [name], culture
        assert answer["payload"]["user"]["locale"] == "en-US", "the user's own language is what it was"
    sold = await shop.call(
        "POST",
        "/api/2.0/offers/rewardstores/get_reward_store_offers",
        {"user_id": user["id"], "culture": "fr-FR"},
        status=200,
    )
    assert "Boîte snack" in [one["name"] for one in sold["payload"]["reward_stores"][0]["offers"]]


async def test_own_fields_come_back_as_they_were_said(shop: Shop):
    said = {"brand": ["vrg", "kr"], "size": 42, "share": 0.5, "vip": True, "note": "likes curly"}
    user = await shop.sign_up(user_profile=said)
    assert user["user_profile"] == said
    answer = await shop.call("POST", USERS, {"user": {"email": "x@example.com", "user_profile": {"deep": {"a": 1}}}})
    assert (answer["errors"]["code"], answer["errors"]["field"]) == ("profile_custom", "user_profile.deep")


async def test_instants_come_as_tills_write_them(shop: Shop):
    user = await shop.sign_up()
    for number, instant in enumerate(
        ("2026-11-26 09:30:00.000", "2026-11-26 09:30:00.2727288Z", "2026-11-26T09:30:00+01:00", "2026-11-26T09:30:00")
    ):
        answer = await shop.send(user, transaction_id=f"at-{number}", open_time=instant, modified_time=instant)
        assert answer["status"] == "OK", (instant, answer)


CORE = {"code", "message"}
DOMAIN = {"code", "type", "message", "raw_message"}


@pytest.mark.parametrize(
    ("method", "path", "status", "shape"),
    [
        ("GET", "/priv/v1/apps/app/nothing", 404, CORE),
        ("PATCH", "/priv/v1/apps/app/users", 405, CORE),
        ("GET", "/api/2.0/send_transaction", 405, DOMAIN),
        ("GET", "/api/2.0/offers/get_user_offers", 405, DOMAIN),
        ("POST", "/api/2.0/nothing", 404, DOMAIN),
        ("POST", "/offers/api/2.0/offers/nothing", 404, DOMAIN),
        ("PUT", "/incentives/api/1.0/user_points/balance", 405, DOMAIN),
    ],
)
async def test_what_is_not_there_is_said_in_the_dialects_shape(
    shop: Shop, method: str, path: str, status: int, shape: set[str]
):
    answer = await shop.client.request(method, path, json={})
    assert answer.status_code == status
    assert (answer.json()["status"], set(answer.json()["errors"])) == ("error", shape)
    assert ("allow" in answer.headers) == (status == 405)
