"""Races: two hundred want the same at the same time; one has it. Through the HTTP doors, on both databases."""

from collections import Counter
from typing import Any

from tests.journeys.loyalty.shop import Said, Shop, item

CROWD = 200


def codes(answers: list[Said]) -> Counter[str]:
    """How often each outcome came."""
    return Counter(answer.json.get("errors", {}).get("code", "ok") for answer in answers)


async def test_the_last_offer_is_issued_once(shop: Shop):
    users = [await shop.sign_up() for _ in range(20)]
    answers = await shop.crowd(
        "/offers/api/2.0/offers/acquisition/issue",
        [
            {"user_id": users[number % 20]["id"], "offer_id": "last-one", "request_id": f"last-{number}"}
            for number in range(CROWD)
        ],
    )
    assert codes(answers) == {"ok": 1, "offer_not_issued": CROWD - 1}
    wallets = [await shop.wallet(user) for user in users]
    assert sum(wallet["total_records"] for wallet in wallets) == 1


async def test_one_offer_is_redeemed_once_whoever_asks(shop: Shop):
    user = await shop.sign_up()
    offer = await issued(shop, user, "mobile-tuesday")
    answers = await shop.crowd(
        "/offers/api/2.0/offers/redemption/manual_redeem",
        [{"user_offer_id": offer, "request_id": f"redeem-{number}"} for number in range(CROWD)],
    )
    assert codes(answers) == {"ok": 1, "offer_state": CROWD - 1}
    await shop.rest()
    assert len(await shop.events("offer.redeemed")) == 1


async def test_one_offer_is_used_by_one_of_two_hundred_transactions(shop: Shop):
    user = await shop.sign_up()
    offer = await issued(shop, user, "mobile-tuesday")
    answers = await shop.crowd(
        "/api/2.0/send_transaction",
        [
            shop.transaction(user, items=[item(1, "cola", 10)], discounts=[{"user_offer_id": offer}])
            for _ in range(CROWD)
        ],
    )
    assert codes(answers) == {"ok": 1, "offer_state": CROWD - 1}
    member = await shop.reading.find("fries", "external:external_id", user["external_id"])
    assert member is not None
    assert (member.purchases, member.money) == (1, 800)


async def test_the_last_unit_of_a_budget_is_given_once(shop: Shop):
    users = [await shop.sign_up() for _ in range(20)]
    answers = await shop.crowd(
        "/api/2.0/send_transaction",
        [shop.transaction(users[number % 20], channel="BUDGET", items=[item(1, "cola", 1)]) for number in range(CROWD)],
    )
    assert codes(answers) == {"ok": CROWD}
    points = Counter(answer.json["payload"]["points_awarded"] for answer in answers)
    assert points == {1010: 1, 10: CROWD - 1}
    [figures] = [one for one in await shop.reading.figures("fries") if one.name == "one-dollar"]
    assert (figures.reached, figures.points, figures.cost, figures.budget) == (1, 1000, 100, 100)
    assert figures.skipped == {"budget": CROWD - 1}


async def test_the_same_request_is_done_once_and_answered_alike(shop: Shop):
    user = await shop.sign_up()
    body = shop.transaction(user, "the same")
    answers = await shop.crowd("/api/2.0/send_transaction", [body] * CROWD)
    assert codes(answers) == {"ok": CROWD}
    assert len({answer.body for answer in answers}) == 1
    assert await shop.points(user) == 25 + 230
    assert (await shop.wallet(user))["total_records"] == 1


async def test_points_are_spent_once_however_many_want_them(shop: Shop):
    user = await shop.sign_up()
    await shop.call(
        "POST",
        "/incentives/api/1.0/user_points/deposit",
        {"user_id": user["id"], "deposit_details": [{"amount": 75, "reference_id": "d1"}]},
        status=200,
    )
    answers = await shop.crowd(
        "/incentives/api/1.0/user_points/spend",
        [{"user_id": user["id"], "amount": 10, "request_id": f"s{number}"} for number in range(CROWD)],
    )
    assert codes(answers) == {"ok": 10, "points_short": CROWD - 10}
    assert await shop.points(user) == 0


async def test_two_hundred_want_the_same_mailbox(shop: Shop):
    answers = await shop.crowd("/priv/v1/apps/:api_key/users", [{"user": {"email": "one@example.com"}}] * CROWD)
    assert codes(answers) == {"ok": 1, "email_not_unique": CROWD - 1}


async def test_a_single_use_code_is_taken_once(shop: Shop):
    users = [await shop.sign_up() for _ in range(20)]
    made = await shop.client.post(
        "/v1/loyalty/codes",
        json={"list": "boxes", "codes": ["ABCD-EFGH-1"]},
        headers={"Authorization": f"Bearer {shop.key}"},
    )
    assert made.json() == {"list": "boxes", "made": 1}
    answers = [
        answer
        for user in users
        for answer in await shop.crowd(
            f"/priv/v1/apps/:api_key/users/{user['id']}/promo_codes/claims", [{"promo_code": "abcd efgh 1"}]
        )
    ]
    assert codes(answers) == {"ok": 1, "code_used": 19}


async def issued(shop: Shop, user: dict[str, Any], name: str) -> str:
    """An offer's id."""
    answer = await shop.call(
        "POST",
        "/offers/api/2.0/offers/acquisition/issue",
        {"user_id": user["id"], "offer_id": name},
        status=200,
    )
    return str(answer["payload"]["user_offer"]["id"])
