"""What must not be: each answered by one clear error in the dialect's shape, and nothing has changed."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.journeys.loyalty.shop import DAY_MS, Shop, basic, item

#: (how it is asked, given the users and what they hold) → (method, path, body)
Ask = Callable[["Cast"], tuple[str, str, Any]]
USERS = "/priv/v1/apps/:api_key/users"
SEND = "/api/2.0/send_transaction"
ISSUE = "/offers/api/2.0/offers/acquisition/issue"
REDEEM = "/offers/api/2.0/offers/redemption/manual_redeem"
WALLET = "/api/2.0/offers/get_user_offers"
BUY = "/api/2.0/offers/rewardstores/purchase_offer"
DEPOSIT = "/incentives/api/1.0/user_points/deposit"
SPEND = "/incentives/api/1.0/user_points/spend"


class Cast:
    """Two users with an offer each, one of them redeemed, one expired; a sale, one returned, one voided."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.ann: dict[str, Any] = {}
        self.bob: dict[str, Any] = {}
        self.offers: dict[str, str] = {}
        self.forgotten = ""

    async def enter(self) -> None:
        """Everybody takes their place."""
        shop = self.shop
        self.ann = await shop.sign_up(email="ann@example.com", external_id="ann")
        self.bob = await shop.sign_up(email="bob@example.com", external_id="bob")
        gone = await shop.sign_up(email="gone@example.com", external_id="gone")
        await shop.rest()
        await shop.call("DELETE", f"{USERS}/{gone['id']}", status=200)
        self.forgotten = gone["id"]
        for name, user, more in (
            ("anns", self.ann, {}),
            ("bobs", self.bob, {}),
            ("used", self.ann, {}),
            ("old", self.ann, {"expiration_date": shop.at(60)}),
        ):
            body = {"user_id": user["id"], "offer_id": "mobile-tuesday", **more}
            answer = await shop.call("POST", ISSUE, body, status=200)
            self.offers[name] = answer["payload"]["user_offer"]["id"]
        await shop.call("POST", REDEEM, {"user_offer_id": self.offers["used"]}, status=200)
        for name, more in (
            ("sold", {}),
            ("voided", {"is_voided": True}),
        ):
            opened = {"transaction_id": name, "open_time": shop.at(-400)}
            answer = await shop.send(self.ann, modified_time=shop.at(-60), **opened)
            assert answer["status"] == "OK"
            if more:
                answer = await shop.send(self.ann, modified_time=shop.at(-30), **opened, **more)
                assert answer["status"] == "OK"
        answer = await shop.send(self.ann, "said before", transaction_id="before")
        assert answer["status"] == "OK"

    def sale(self, **payload: Any) -> Any:
        """A transaction of Ann's."""
        return self.shop.transaction(self.ann, **payload)

    def envelope(self, **more: Any) -> Any:
        """A transaction of Ann's, with another envelope."""
        return {**self.sale(), **more}


def send(**payload: Any) -> Ask:
    """A transaction that must not be."""
    return lambda cast: ("POST", SEND, cast.sale(**payload))


def user(**fields: Any) -> Ask:
    """A sign-up that must not be."""
    return lambda cast: ("POST", USERS, {"user": {"email": "new@example.com", **fields}})


def post(path: str, make: Callable[[Cast], Any]) -> Ask:
    """A request that must not be."""
    return lambda cast: ("POST", path, make(cast))


def pay(**payment: Any) -> list[Any]:
    """Payments."""
    return [{"payment_id": "p", "amount": 18, "type": "CASH", **payment}]


BAD: dict[str, tuple[Ask, int, str]] = {
    # Users.
    "a mailbox that is none": (user(email="ann at example"), 200, "email_address"),
    "a mailbox that another has": (user(email="ANN@example.com"), 200, "email_not_unique"),
    "an id that another has": (user(external_id="ann"), 200, "external_id_not_unique"),
    "a child": (user(dob="2014-11-27"), 200, "age_restricted"),
    "born tomorrow": (user(dob="2026-11-27"), 200, "profile_born"),
    "a date of birth that is none": (user(dob="yesterday"), 200, "profile_born"),
    "an overlong name": (user(first_name="x" * 101), 200, "profile_too_long"),
    "a name with control characters": (user(first_name="A\x07nn"), 200, "profile_characters"),
    "a name that turns around": (user(last_name="\u202egnirts"), 200, "profile_characters"),
    "a name that is no text": (user(first_name={"a": 1}), 200, "profile_text"),
    "a name with a NUL": (user(first_name="A\x00"), 200, "request_characters"),
    "a number that is none": (user(phone_numbers=[{"phone_number": "12"}]), 200, "phone_length"),
    "a number that is there twice": (
        user(phone_numbers=[{"phone_number": "+32470123456"}, {"phone_number": "0032 470 12 34 56"}]),
        200,
        "profile_phones",
    ),
    "numbers that are no list": (user(phone_numbers="+32470123456"), 200, "profile_phones"),
    "a language that is none": (user(locale="klingon!"), 200, "locale_tag"),
    "opted in, perhaps": (user(opted_in="perhaps"), 200, "profile_opted_in"),
    "nobody at all": (lambda cast: ("POST", USERS, {"user": {}}), 200, "profile_empty"),
    "no user": (lambda cast: ("POST", USERS, {}), 200, "request_fields"),
    "a user who is not there": (lambda cast: ("GET", f"{USERS}/{cast.offers['anns']}", None), 404, "user_not_found"),
    "a user whose id is none": (lambda cast: ("GET", f"{USERS}/1;drop", None), 404, "user_not_found"),
    "a user who was forgotten": (lambda cast: ("GET", f"{USERS}/{cast.forgotten}", None), 404, "user_not_found"),
    "forgetting twice": (lambda cast: ("DELETE", f"{USERS}/{cast.forgotten}", None), 404, "user_not_found"),
    "a change to another's mailbox": (
        lambda cast: ("PUT", f"{USERS}/{cast.ann['id']}", {"user": {"email": "bob@example.com"}}),
        200,
        "email_not_unique",
    ),
    "a state that is none": (
        lambda cast: ("PUT", f"{USERS}/{cast.ann['id']}", {"user": {"account_status": "famous"}}),
        200,
        "member_state",
    ),
    "another app's key": (
        lambda cast: ("GET", f"/priv/v1/apps/other/users/{cast.ann['id']}", None),
        401,
        "invalid_api_key",
    ),
    "a pass that was not given": (
        lambda cast: ("GET", "/priv/v1/apps/:api_key/campaigns?auth_token=fries.mem_1.9999999999999.0", None),
        401,
        "invalid_auth_token",
    ),
    "a page before the first": (
        lambda cast: ("GET", f"{USERS}/{cast.ann['id']}/campaigns?page=0", None),
        200,
        "request_page",
    ),
    "an empty tag": (lambda cast: ("POST", f"{USERS}/{cast.ann['id']}/tags", {"tags": [" "]}), 200, "profile_empty"),
    "a code that is none": (
        lambda cast: ("POST", f"{USERS}/{cast.ann['id']}/promo_codes/claims", {"promo_code": "GUESSED-1"}),
        200,
        "code_unknown",
    ),
    # Transactions.
    "no request id": (lambda cast: ("POST", SEND, cast.envelope(request_id="")), 400, "request_id"),
    "a request id without end": (lambda cast: ("POST", SEND, cast.envelope(request_id="x" * 300)), 400, "request_id"),
    "a request id with other words": (
        lambda cast: ("POST", SEND, cast.shop.transaction(cast.ann, "said before", subtotal=1)),
        400,
        "request_other",
    ),
    "no payload": (lambda cast: ("POST", SEND, {"request_id": "x"}), 400, "request_fields"),
    "a negative subtotal": (send(subtotal=-18), 400, "sale_negative"),
    "a negative price": (send(items=[{**item(1, "a", 5), "unit_price": -5}]), 400, "sale_negative"),
    "a negative line": (send(items=[{**item(1, "a", 5), "subtotal": -5}]), 400, "sale_negative"),
    "a negative payment": (
        lambda cast: ("POST", SEND, cast.sale(payments=pay(amount=-1, user_id=cast.ann["id"]))),
        400,
        "sale_negative",
    ),
    "less than nothing of it": (send(items=[{**item(1, "a", 5), "quantity": 0}]), 400, "sale_quantity"),
    "tenths of a cent": (send(subtotal=17.999), 400, "money_decimals"),
    "more money than there is": (send(subtotal=1e15), 400, "money_size"),
    "a currency that nobody knows": (send(currency="XXQ"), 400, "money_currency"),
    "another currency": (send(currency="EUR"), 400, "sale_currency"),
    "an instant that is none": (send(modified_time="now"), 400, "request_instant"),
    "no instant": (send(modified_time=None, open_time=None), 400, "request_instant"),
    "a till whose clock is ahead": (
        lambda cast: ("POST", SEND, cast.sale(modified_time=cast.shop.at(3_600))),
        400,
        "sale_future",
    ),
    "changed before it was opened": (
        lambda cast: ("POST", SEND, cast.sale(open_time=cast.shop.at(0), modified_time=cast.shop.at(-60))),
        400,
        "sale_order",
    ),
    "nobody's transaction": (send(payments=[]), 400, "sale_nobody"),
    "two users' transaction": (
        lambda cast: (
            "POST",
            SEND,
            cast.sale(payments=[*pay(user_id=cast.ann["id"]), *pay(user_id=cast.bob["id"])]),
        ),
        400,
        "sale_two_members",
    ),
    "a transaction of somebody who is not there": (send(payments=pay(user_id="x")), 404, "user_not_found"),
    "a transaction of somebody who was forgotten": (
        lambda cast: ("POST", SEND, cast.sale(payments=pay(user_id=cast.forgotten))),
        404,
        "user_not_found",
    ),
    "a line that is there twice": (send(items=[item(1, "a", 5), item(1, "b", 5)]), 400, "sale_line_twice"),
    "a transaction id without end": (send(transaction_id="x" * 300), 400, "request_too_long"),
    "a basket without end": (send(items=[item(number, "a", 1) for number in range(501)]), 400, "sale_too_long"),
    "the return of another's sale": (
        lambda cast: (
            "POST",
            SEND,
            cast.shop.transaction(cast.bob, transaction_id="sold", items=[], modified_time=cast.shop.at(0)),
        ),
        400,
        "sale_other_member",
    ),
    "returned twice": (
        lambda cast: ("POST", SEND, cast.sale(transaction_id="voided", items=[], modified_time=cast.shop.at(0))),
        400,
        "sale_voided",
    ),
    "modified_time going back": (
        lambda cast: (
            "POST",
            SEND,
            cast.sale(transaction_id="sold", items=[], open_time=cast.shop.at(-500), modified_time=cast.shop.at(-181)),
        ),
        400,
        "sale_older",
    ),
    "changed, and modified_time is not": (
        lambda cast: (
            "POST",
            SEND,
            cast.sale(
                transaction_id="sold",
                items=[item(1, "a", 5)],
                open_time=cast.shop.at(-500),
                modified_time=cast.shop.at(-180),
            ),
        ),
        400,
        "sale_older",
    ),
    "opened again": (
        lambda cast: ("POST", SEND, cast.sale(transaction_id="sold", is_closed=False)),
        400,
        "sale_closed",
    ),
    "another's offer": (
        lambda cast: ("POST", SEND, cast.sale(discounts=[{"user_offer_id": cast.offers["bobs"]}])),
        400,
        "offer_other_member",
    ),
    "an offer that was used": (
        lambda cast: ("POST", SEND, cast.sale(discounts=[{"user_offer_id": cast.offers["used"]}])),
        400,
        "offer_state",
    ),
    "an offer twice": (
        lambda cast: ("POST", SEND, cast.sale(discounts=[{"user_offer_id": cast.offers["anns"]}] * 2)),
        400,
        "sale_offer_twice",
    ),
    "more off than the offer gives": (
        lambda cast: ("POST", SEND, cast.sale(discounts=[{"user_offer_id": cast.offers["anns"], "amount": 9}])),
        400,
        "sale_discount",
    ),
    "an offer that is not there": (send(discounts=[{"user_offer_id": "x"}]), 404, "offer_unknown"),
    # Offers and points.
    "an expired offer": (post(REDEEM, lambda cast: {"user_offer_id": cast.offers["old"]}), 400, "offer_expired"),
    "unlocking what is not locked": (
        post(
            "/api/2.0/unlock",
            lambda cast: {"request_id": "u", "request_payload": {"user_offer_id": cast.offers["anns"]}},
        ),
        400,
        "offer_state",
    ),
    "reinstating what was not used": (
        post(
            "/api/2.0/reinstate",
            lambda cast: {"request_id": "v", "request_payload": {"user_offer_id": cast.offers["anns"]}},
        ),
        400,
        "offer_state",
    ),
    "an offer that nobody defined": (
        post(ISSUE, lambda cast: {"user_id": cast.ann["id"], "offer_id": "gold"}),
        400,
        "offer_undefined",
    ),
    "an offer that would have expired": (
        post(
            ISSUE,
            lambda cast: {
                "user_id": cast.ann["id"],
                "offer_id": "snack-box",
                "expiration_date": cast.shop.at(-3_600),
            },
        ),
        400,
        "offer_expired",
    ),
    "bought without the points": (
        post(BUY, lambda cast: {"user_id": cast.bob["id"], "offer_id": "large-fries"}),
        400,
        "points_short",
    ),
    "bought, and not for sale": (
        post(BUY, lambda cast: {"user_id": cast.ann["id"], "offer_id": "mobile-tuesday"}),
        400,
        "store_unknown",
    ),
    "bought less than one": (
        post(BUY, lambda cast: {"user_id": cast.ann["id"], "offer_id": "large-fries", "quantity": 0}),
        400,
        "store_quantity",
    ),
    "a negative deposit": (
        post(DEPOSIT, lambda cast: {"user_id": cast.ann["id"], "amount": -5}),
        400,
        "points_negative",
    ),
    "half a point": (post(DEPOSIT, lambda cast: {"user_id": cast.ann["id"], "amount": 0.5}), 400, "points_whole"),
    "more points than can be": (
        post(DEPOSIT, lambda cast: {"user_id": cast.ann["id"], "amount": 10**13}),
        400,
        "points_size",
    ),
    "more points than one has": (
        post(SPEND, lambda cast: {"user_id": cast.bob["id"], "amount": 26}),
        400,
        "points_short",
    ),
    "a wallet without end": (
        post(WALLET, lambda cast: {"user_id": cast.ann["id"], "take": 10_000}),
        400,
        "request_page",
    ),
    "the wallet of nobody": (post(WALLET, lambda cast: {"user_id": "x"}), 404, "user_not_found"),
}


@pytest.fixture
async def cast(shop: Shop) -> Cast:
    """The shop with everybody in their place."""
    made = Cast(shop)
    await made.enter()
    await shop.later(120_000)  # the offer that was issued for a minute is over
    return made


async def test_each_is_refused_in_the_dialects_shape_and_nothing_changes(cast: Cast):
    before = await state(cast)
    wrong = []
    for name, (ask, status, code) in BAD.items():
        method, path, body = ask(cast)
        answer = await cast.shop.client.request(method, path.replace(":api_key", "app"), json=body)
        said = answer.json()
        errors = said.get("errors", {})
        shape = {"code", "message"} if path.startswith("/priv/") else {"code", "type", "message", "raw_message"}
        if (answer.status_code, said["status"], errors.get("code")) != (status, "error", code):
            wrong.append((name, status, code, answer.status_code, answer.text[:300]))
        elif set(errors) - {"field"} != shape or not errors["message"].endswith("."):
            wrong.append((name, "shape", answer.text[:300]))
    assert wrong == [], "\n".join(map(str, wrong))
    assert await state(cast) == before


async def state(cast: Cast) -> Any:
    """What a refusal must leave as it is."""
    counts = []
    for table in ("points", "sales", "offers", "member_keys"):
        counts.append((await cast.shop.beckon.database.fetch(f"SELECT count(*) FROM {table}"))[0][0])
    return counts, await cast.shop.points(cast.ann), await cast.shop.points(cast.bob)


def test_there_are_at_least_forty_of_them():
    assert len(BAD) >= 40


async def test_who_is_not_known_is_told_so(shop: Shop):
    for given in ("", "Basic !!!", "Bearer bk_x", basic("app", "bk_wrong"), basic("app", ""), basic("other", shop.key)):
        for path in (SEND, WALLET, USERS.replace(":api_key", "app")):
            answer = await shop.client.post(path, json={}, headers={"Authorization": given})
            assert answer.status_code == 401, given
            assert answer.json()["errors"]["code"] in ("access_denied", "invalid_api_key")
            assert answer.headers["www-authenticate"].startswith("Basic")


async def test_what_is_no_request_is_told_so(shop: Shop):
    for body in (b"{", b"[]", b"\xff", b'{"request_id":1}', b"[" * 100_000):
        for path in (SEND, WALLET, USERS.replace(":api_key", "app")):
            answer = await shop.client.post(path, content=body)
            assert answer.status_code in (200, 400)
            assert answer.json()["status"] == "error"
            shape = {"code", "message"} if path.startswith("/priv/") else {"code", "type", "message", "raw_message"}
            assert set(answer.json()["errors"]) - {"field"} == shape


async def test_who_guesses_codes_is_locked_out_and_let_in_again(shop: Shop):
    user = await shop.sign_up()
    path = f"{USERS}/{user['id']}/promo_codes/claims"
    outcomes = [await claim(shop, path, f"GUESS-{number}") for number in range(5)]
    assert outcomes == ["code_unknown"] * 5
    assert await claim(shop, path, "FRIES-2026") == "code_locked_out"
    await shop.later(61 * 60_000)
    assert await claim(shop, path, "fries 2026") == "ok"
    assert await claim(shop, path, "FRIES-2026") == "code_used"
    assert await shop.points(user) == 25 + 7


async def claim(shop: Shop, path: str, code: str) -> str:
    """The outcome of saying a code."""
    answer = await shop.call("POST", path, {"promo_code": code})
    return str(answer.get("errors", {}).get("code", "ok"))


async def test_who_is_suspended_buys_nothing_and_redeems_nothing(shop: Shop):
    user = await shop.sign_up()
    await shop.call("PUT", f"{USERS}/{user['id']}", {"user": {"account_status": "suspended"}}, status=200)
    for path, body in (
        (SEND, shop.transaction(user)),
        (ISSUE, {"user_id": user["id"], "offer_id": "snack-box"}),
        (DEPOSIT, {"user_id": user["id"], "amount": 5}),
    ):
        answer: Any = await shop.call("POST", path, body, status=400)
        assert answer["errors"]["code"] == "not_available"


async def test_what_expired_can_neither_be_spent_nor_used_even_before_its_timer(shop: Shop):
    user = await shop.sign_up()
    await shop.call(
        "POST",
        DEPOSIT,
        {"user_id": user["id"], "deposit_details": [{"amount": 100, "expiration_date": shop.at(60)}]},
        status=200,
    )
    shop.clock.drag(61_000)  # no wake: no timer has fired
    assert await shop.points(user) == 25
    answer = await shop.call("POST", SPEND, {"user_id": user["id"], "amount": 26}, status=400)
    assert answer["errors"]["code"] == "points_short"
    await shop.later(400 * DAY_MS)
    assert await shop.points(user) == 0
