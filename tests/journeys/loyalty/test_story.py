"""Amanda and Fancy Fries: the seed's seven steps over plain HTTP in the vendor's shapes; golden files hold them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.loyalty.sessionm_client import SessionM
from tests.journeys.loyalty.shop import DAY_MS, Shop, item

GOLDEN = Path(__file__).parent / "golden"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Steps:
    """Requests and answers of the story, as golden files have them: ids that differ each time are numbered."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._ids: dict[str, str] = {}

    async def step(self, name: str, method: str, path: str, body: Any = None) -> Any:
        """One request: it and its answer are as the golden file says."""
        answer = await self.shop.client.request(method, path, json=body)
        seen = {
            "request": f"{method} {path}",
            "body": body,
            "status": answer.status_code,
            "answer": answer.json(),
        }
        said = _UUID.sub(self._numbered, json.dumps(seen, indent=2, ensure_ascii=False)) + "\n"
        file = GOLDEN / f"{name}.json"
        assert file.exists(), f"no golden file {file.name}; it would be:\n{said}"
        assert said == file.read_text(), f"{file.name} says something else"
        return answer.json()

    def _numbered(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found[0], f"<id {len(self._ids) + 1}>")


async def test_the_seven_steps_are_as_the_golden_files_say(shop: Shop):
    steps = Steps(shop)
    app = "/priv/v1/apps/app"
    # 1. Amanda signs up.
    user = (
        await steps.step(
            "1-sign-up",
            "POST",
            f"{app}/users",
            {
                "user": {
                    "external_id": "amanda-1",
                    "external_id_type": "crm",
                    "email": "amanda@example.com",
                    "first_name": "Amanda",
                    "last_name": "Fry",
                    "opted_in": True,
                    "dob": "1990-05-17",
                    "gender": "f",
                    "address": "1 Potato Lane",
                    "city": "Boston",
                    "state": "MA",
                    "zip": "02110",
                    "country": "USA",
                    "locale": "en-us",
                    "phone_numbers": [
                        {
                            "phone_number": "+1 617 555 0100",
                            "phone_type": "mobile",
                            "preference_flags": ["primary"],
                            "verified_ownership": True,
                        }
                    ],
                    "user_profile": {"favourite": "curly"},
                }
            },
        )
    )["user"]
    # 2. The welcome: an event that a flow sends the mail for; the consent stands with its proof.
    await shop.rest()
    [welcome] = await shop.events("member.signed_up")
    assert (welcome["first_name"], welcome["opted_in"], welcome["imported"]) == ("Amanda", True, False)
    assert welcome["contact"]["email"] == "amanda@example.com"
    [contact] = await shop.beckon.database.fetch("SELECT body FROM contacts")
    assert '"purpose":"marketing","channel":"*","granted":true' in str(contact[0])
    assert "opted_in at sign-up" in str(contact[0])
    # 3. She looks at campaigns and offers, in three forms.
    await steps.step("3-campaigns", "GET", f"{app}/users/{user['id']}/campaigns")
    # As the seed writes the route: without the id's type.
    by_external = await shop.call("GET", f"{app}/external/users/amanda-1/campaigns", status=200)
    token = (await shop.call("POST", f"{app}/users/{user['id']}/auth_token", status=200))["auth_token"]
    by_token = await shop.call("GET", f"{app}/campaigns?auth_token={token}", status=200)
    by_id = await shop.call("GET", f"{app}/users/{user['id']}/campaigns", status=200)
    assert by_external == by_token == by_id
    await steps.step("3-all-campaigns", "GET", f"{app}/campaigns")
    # 4. Two kinds of fries for $18 complete a campaign.
    request = shop.transaction(
        user,
        "request-1",
        transaction_id="T-amanda-1",
        payments=[
            {
                "payment_id": "P1",
                "amount": 18.0,
                "type": "CREDIT",
                "user_id": user["id"],
                "user_id_type": "SessionM_ID",
            }
        ],
    )
    await steps.step("4-send-transaction", "POST", "/api/2.0/send_transaction", request)
    # 5. The offer is in her wallet, under both mounts.
    asks = {"retailer_id": "fancy-fries", "user_id": user["id"], "skip": 0, "take": 10, "culture": "en-US"}
    wallet = await steps.step("5-wallet", "POST", "/api/2.0/offers/get_user_offers", asks)
    assert await shop.call("POST", "/offers/api/2.0/offers/get_user_offers", asks, status=200) == wallet
    # 6. Told: the offer was issued. 7. Ten days before it expires, told once.
    [issued] = await shop.events("offer.issued")
    assert (issued["title"], issued["campaign"], issued["days_left"]) == ("Snack box", "two-kinds", 30)
    await shop.later(19 * DAY_MS)
    assert await shop.events("offer.expiring") == []
    await shop.later(DAY_MS * 2)
    [expiring] = await shop.events("offer.expiring")
    assert (expiring["offer"], expiring["days_left"]) == (issued["offer"], 9)
    await shop.later(DAY_MS)
    assert len(await shop.events("offer.expiring")) == 1
    await shop.later(10 * DAY_MS)
    [expired] = await shop.events("offer.expired")
    assert expired["offer"] == issued["offer"]
    assert (await shop.wallet(user))["user_offers"] == []


async def test_an_app_that_knows_only_the_vendors_shapes_finds_its_way(shop: Shop):
    """The client is the standard library's; it was written from the vendor's documents alone."""
    app = SessionM(shop.url, "app", shop.key)
    user_id = await app.register("bo@example.com", "Bo", "Fry", "crm-77")
    assert await app.available_points(user_id) == 25
    assert "Two kinds of fries" in await app.campaign_names(user_id)
    lines = [("pulled-pork-fries", 1, 9.0), ("curly-fries", 1, 9.0)]
    modified = shop.at(-60)
    assert await app.buy("app-1", "T-app-1", user_id, lines, modified) == "OK"
    assert await app.buy("app-1", "T-app-1", user_id, lines, modified) == "OK", "the same request again"
    assert await app.available_points(user_id) == 25 + 180 + 50
    [(offer_id, name, ends)] = await app.wallet(user_id)
    assert (name, ends[:10]) == ("Snack box", "2026-12-26")
    assert await app.store_names(user_id) == ["The last one", "Large fries", "Snack box"]
    bought = await app.purchase("app-2", user_id, "Large fries")
    assert await app.available_points(user_id) == 155
    taken_off = await app.lock("app-3", bought, "T-app-2", [("curly-fries", 2, 4.5)], shop.at(-30), user_id)
    assert taken_off == 2.0
    assert sorted(name for _, name, _ in await app.wallet(user_id)) == ["Snack box"], "what is locked is not issued"
    discount = {"user_offer_id": bought, "amount": taken_off}
    await app.buy("app-4", "T-app-2", user_id, [("curly-fries", 2, 4.5)], shop.at(-20), discount)
    assert [one for one, _, _ in await app.wallet(user_id)] == [offer_id]
    assert await app.available_points(user_id) == 155 + 70
    # She brings all of it back: the points go, the offer comes again.
    await app.buy("app-5", "T-app-2", user_id, [], shop.at(-10))
    assert await app.available_points(user_id) == 155
    assert sorted(one for one, _, _ in await app.wallet(user_id)) == sorted([offer_id, bought])


@pytest.mark.parametrize("path", ["/api/2.0/offers/get_user_offers", "/offers/api/2.0/offers/get_user_offers"])
async def test_both_mounts_ask_who_is_there(shop: Shop, path: str):
    answer = await shop.client.post(path, json={"user_id": "x"}, headers={"Authorization": ""})
    assert answer.status_code == 401
    assert answer.json()["errors"]["code"] == "access_denied"
    assert set(answer.json()["errors"]) == {"code", "type", "message", "raw_message"}


async def test_a_basket_of_many_lines_is_discounted_line_by_line(shop: Shop):
    user = await shop.sign_up()
    issued = await shop.call(
        "POST",
        "/offers/api/2.0/offers/acquisition/issue",
        {"user_id": user["id"], "offer_id": "mobile-tuesday"},
        status=200,
    )
    offer = issued["payload"]["user_offer"]["id"]
    items = [item(number, "cola", 3.33) for number in range(3)]
    answer = await shop.send(user, items=items, discounts=[{"user_offer_id": offer}])
    assert [one["amount"] for one in answer["payload"]["discounts"]] == [0.67, 0.67, 0.66]
    assert answer["payload"]["total"] == 7.99
