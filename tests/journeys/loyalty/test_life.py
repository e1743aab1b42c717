"""What becomes of members, points and offers: returns, expiry, reminders, rounds, forgetting, restarts."""

from pathlib import Path
from typing import Any

from beckon.core.errors import Unavailable
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.member import Member, Profile
from tests.journeys.loyalty.shop import DAY_MS, Shop, item, opened
from tests.journeys.loyalty.test_races import issued

USERS = "/priv/v1/apps/:api_key/users"


async def kept(shop: Shop, user: dict[str, Any]) -> Member:
    """The member as the table has them."""
    found = await shop.reading.find("fries", "external:external_id", user["external_id"])
    assert found is not None
    return found


async def ledger_holds(shop: Shop, member: Member) -> list[tuple[str, int]]:
    """(kind, amount) of a member's ledger, the first first; its sum is the balance, and what the lots have left."""
    entries = (await shop.reading.ledger(member, 1_000))[::-1]
    assert sum(entry.amount for entry in entries) == member.account.balance
    assert sum(lot.left for lot in member.account.lots) - member.account.owed == member.account.balance
    return [(entry.kind, entry.amount) for entry in entries]


async def test_a_return_in_part_takes_back_in_proportion_and_the_offer_with_it(shop: Shop):
    user = await shop.sign_up()
    await shop.send(user, transaction_id="T", open_time=shop.at(-600), modified_time=shop.at(-300))
    assert await shop.points(user) == 25 + 230
    back: dict[str, Any] = {"transaction_id": "T", "open_time": shop.at(-600), "items": [item(1, "curly-fries", 9)]}
    answer = await shop.send(user, modified_time=shop.at(-200), **back)
    assert (answer["payload"]["total"], answer["payload"]["points_awarded"]) == (9.0, 115)
    assert await shop.points(user) == 25 + 115
    assert (await shop.wallet(user))["total_records"] == 0, "what was bought no longer earns the offer"
    await shop.rest()
    [revoked] = await shop.events("offer.revoked")
    assert revoked["why"] == "the purchase was returned"
    await shop.send(user, modified_time=shop.at(-100), **{**back, "items": [], "is_voided": True})
    member = await kept(shop, user)
    assert await ledger_holds(shop, member) == [("earn", 25), ("earn", 230), ("reverse", -115), ("reverse", -115)]
    assert (member.purchases, member.money) == (0, 0)
    # The campaign was taken back, so it can be met again.
    assert (await shop.send(user))["payload"]["points_awarded"] == 230


async def test_who_returns_what_is_spent_owes_the_points(shop: Shop):
    user = await shop.sign_up()
    await shop.send(user, transaction_id="T", open_time=shop.at(-600), modified_time=shop.at(-300))
    bought = {"user_id": user["id"], "offer_id": "snack-box"}
    await shop.call("POST", "/api/2.0/offers/rewardstores/purchase_offer", bought, status=200)
    await shop.send(user, transaction_id="T", open_time=shop.at(-600), modified_time=shop.at(-200), items=[])
    member = await kept(shop, user)
    assert (member.account.balance, member.account.owed) == (-125, 125)
    await ledger_holds(shop, member)
    assert await shop.points(user) == 0
    await shop.send(user, items=[item(1, "cola", 20)])
    assert await shop.points(user) == 75


async def test_a_revoked_offer_gives_its_price_back(shop: Shop):
    user = await shop.sign_up()
    await shop.send(user)
    asks = {"user_id": user["id"], "offer_id": "large-fries"}
    bought = await shop.call("POST", "/api/2.0/offers/rewardstores/purchase_offer", asks, status=200)
    assert await shop.points(user) == 155
    revoke = {"user_offer_id": bought["payload"]["user_offer"]["id"], "reason": "by mistake"}
    await shop.call("POST", "/offers/api/2.0/offers/acquisition/revoke", revoke, status=200)
    assert await shop.points(user) == 255
    await ledger_holds(shop, await kept(shop, user))


async def test_points_are_reminded_of_once_and_expire_by_themselves(shop: Shop):
    user = await shop.sign_up()
    await shop.later(DAY_MS)
    await shop.send(user)
    await shop.later(334 * DAY_MS)
    assert await shop.events("points.expiring") == []
    await shop.later(3 * DAY_MS)
    [first] = await shop.events("points.expiring")
    assert (first["points"], first["days_left"]) == (255, 27), "all that expires within the month"
    await shop.later(40 * DAY_MS)
    assert len(await shop.events("points.expiring")) == 1
    assert [one["points"] for one in await shop.events("points.expired")] == [255]
    member = await kept(shop, user)
    assert [kind for kind, _ in await ledger_holds(shop, member)] == ["earn", "earn", "expire"]
    assert member.account.balance == 0
    assert await shop.beckon.database.fetch("SELECT * FROM loyalty_due WHERE kind = 'member'") == []


async def test_an_offer_that_is_used_is_never_reminded_of(shop: Shop):
    user = await shop.sign_up()
    offer = await issued(shop, user, "mobile-tuesday")
    await shop.call("POST", "/offers/api/2.0/offers/redemption/manual_redeem", {"user_offer_id": offer}, status=200)
    await shop.later(60 * DAY_MS)
    assert await shop.events("offer.expiring") == []
    assert await shop.events("offer.expired") == []
    # The till takes it back after its end: too late.
    envelope = {"request_id": "r1", "request_payload": {"user_offer_id": offer}}
    answer = await shop.call("POST", "/api/2.0/reinstate", envelope, status=400)
    assert answer["errors"]["code"] == "offer_expired"


async def test_very_many_things_due_at_once_are_one_timer_and_leave_in_pieces(shop: Shop):
    people = [
        asked.SignUp(profile=Profile(email=f"m{number}@example.com"), external={"external_id": f"m{number}"})
        for number in range(499)
    ]
    answer = await shop.ask("loyalty.members_asked", asked.ManySignUps(members=tuple(people)))
    assert len({one["member"] for one in answer["members"]}) == 499
    assert (await shop.ask("loyalty.round_asked", asked.Round(campaign="everybody")))["state"] == "running"
    await shop.rest()
    [done] = await shop.reading.rounds("fries", "everybody")
    assert (done.state, done.looked, done.reached) == ("done", 499, 499)
    [finished] = await shop.events("campaign.finished")
    assert finished["reached"] == 499
    timers = await shop.beckon.database.fetch("SELECT count(*) FROM big_timers WHERE kind = 'loyalty.due'")
    assert timers == [(1,)], "all of them expire at the same minute"
    assert await shop.beckon.database.fetch("SELECT count(*) FROM loyalty_due") == [(499,)]
    await shop.later(21 * DAY_MS)
    assert len(await shop.events("offer.expiring")) == 499
    await shop.later(20 * DAY_MS)
    assert len(await shop.events("offer.expired")) == 499
    assert await shop.beckon.database.fetch("SELECT count(*) FROM loyalty_due") == [(0,)]
    # Who has had it is passed over the second time.
    await shop.ask("loyalty.round_asked", asked.Round(campaign="everybody"))
    await shop.rest()
    again = (await shop.reading.rounds("fries", "everybody"))[0]
    assert (again.state, again.reached, again.skipped) == ("done", 0, {"limit_member": 499})


async def test_a_round_is_stopped_and_runs_once_at_a_time(shop: Shop):
    await shop.sign_up()
    first = await shop.ask("loyalty.round_asked", asked.Round(campaign="everybody"))
    await shop.rest()
    assert first["campaign"] == "everybody"
    stopped = await shop.ask("loyalty.round_asked", asked.Round(campaign="everybody", stop=True))
    assert stopped["error"]["code"] == "round.none", "one piece was all of it"
    wrong = await shop.ask("loyalty.round_asked", asked.Round(campaign="two-kinds"))
    assert wrong["error"]["code"] == "round.kind"


async def test_forgetting_leaves_numbers_and_nobody(shop: Shop):
    user = await shop.sign_up(
        email="vanish@example.com",
        first_name="Vera",
        last_name="Nish",
        phone_numbers=[{"phone_number": "+32470998877"}],
    )
    await shop.send(user)
    await shop.rest()
    before = await kept(shop, user)
    assert before.contact.startswith("con_")
    other = await shop.sign_up()
    await shop.call("DELETE", f"{USERS}/{user['id']}", status=200)
    await shop.rest()
    for _ in range(12):
        await shop.later(1_000)  # what was written down goes piece by piece
    for table in ("members", "member_keys", "contacts", "addresses", "entries", "sales", "offers", "points", "journal"):
        for row in await shop.beckon.database.fetch(f"SELECT * FROM {table}"):
            text = " ".join(map(str, row)).lower()
            for word in ("vanish", "vera", "nish", "470998877"):
                assert word not in text, f"{table}: {text[:300]}"
    rows = await shop.beckon.database.fetch("SELECT amount FROM points WHERE member = ?", (before.id,))
    assert sum(int(row[0] or 0) for row in rows) == before.account.balance
    await shop.call("GET", f"{USERS}/{user['id']}", status=404)
    assert await shop.points(other) == 25
    # The mailbox is free again.
    await shop.sign_up(email="vanish@example.com")


async def test_a_family_with_one_phone_number_stays_two_people(shop: Shop):
    phone = [{"phone_number": "+32470112233"}]
    one = await shop.sign_up(first_name="One", phone_numbers=phone)
    two = await shop.sign_up(first_name="Two", phone_numbers=phone)
    await shop.rest()
    first, second = await kept(shop, one), await kept(shop, two)
    assert first.contact
    assert second.contact not in ("", first.contact)
    found = await shop.reading.find("fries", "phone", "+32470112233")
    assert found is not None
    assert found.id == first.id


async def test_a_tier_is_reached_and_raises_the_rate(shop: Shop):
    user = await shop.sign_up()
    await shop.send(user, items=[item(1, "cola", 100)])
    await shop.rest()
    [reached] = await shop.events("tier.reached")
    assert (reached["tier"], reached["title"], reached["before"]) == ("silver", "Silver", "bronze")
    answer = await shop.send(user, items=[item(1, "cola", 10)])
    assert answer["payload"]["points_awarded"] == 150
    tiers = await shop.call("GET", f"{USERS}/{user['id']}/tiers", status=200)
    assert tiers["tier_details"]["tier"] == "Silver"


async def test_a_request_is_remembered_over_a_restart(tmp_path: Path, database_url: str):
    folder = tmp_path / "fries"
    async with opened(folder, database_url) as shop:
        user = await shop.sign_up()
        request = shop.transaction(user, "once")
        first = await shop.call("POST", "/api/2.0/send_transaction", request, status=200)
        key = shop.key
    async with opened(folder, database_url, key=key) as shop:
        shop.clock.drag(60_000)
        assert await shop.call("POST", "/api/2.0/send_transaction", request, status=200) == first
        assert await shop.points(user) == 255
        request["request_payload"]["subtotal"] = 17
        answer = await shop.call("POST", "/api/2.0/send_transaction", request, status=400)
        assert answer["errors"]["code"] == "request_other"
        # What was counted is counted on, and the ledger goes on after its end.
        assert (await shop.send(user, items=[item(1, "cola", 1)]))["payload"]["points_awarded"] == 10
        await ledger_holds(shop, await kept(shop, user))


async def test_a_turn_that_fails_leaves_nothing_behind(shop: Shop):
    user = await shop.sign_up()
    part = next(part for part in shop.beckon.wheel._effects._parts if part.name == "loyalty_offers")
    write, failures = part.write, []

    def breaks(turn: Any) -> None:
        write(turn)
        if not failures:
            failures.append(1)
            raise Unavailable("store.unavailable", "the store is away for a moment")

    part.write = breaks  # type: ignore[method-assign]
    answer = await shop.send(user)
    assert answer["status"] == "OK"
    assert failures == [1]
    member = await kept(shop, user)
    assert await ledger_holds(shop, member) == [("earn", 25), ("earn", 230)]


async def test_our_own_api_says_the_same_in_our_words(shop: Shop):
    bearer = {"Authorization": f"Bearer {shop.key}"}

    async def call(method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = await shop.client.request(
            method,
            f"/v1/loyalty/{path}",
            json=body,
            headers={**bearer, **{k.replace("_", "-"): v for k, v in headers.items()}},
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    body = {"profile": {"email": "eve@example.com", "first_name": "Eve", "opted_in": True}, "external": {"crm": "9"}}
    member = await call("POST", "members", body, 201)
    id_ = member["id"]
    assert member["balance"]["available"] == 25
    assert (await call("GET", "members?email=EVE@example.com"))["id"] == id_
    assert (await call("GET", "members?external_type=crm&external_id=9"))["id"] == id_
    assert (await call("GET", "members?email=nobody@example.com", status=404))["code"] == "member.unknown"
    changed = await call("PATCH", f"members/{id_}", {"profile": {"locale": "nl-be"}})
    assert changed["profile"]["locale"] == "nl-BE"
    sale = {
        "member": id_,
        "modified": shop.at(0),
        "items": [
            {"item": "pork-fries", "price": "9.00", "categories": ["fries"]},
            {"item": "curly-fries", "price": 9, "categories": ["fries"]},
        ],
    }
    said = await call("PUT", "sales/S1", sale, Idempotency_Key="k1")
    assert (said["total"], said["points"], said["skipped"]["day"]) == (1800, 230, ["mobile"])
    assert await call("PUT", "sales/S1", sale, Idempotency_Key="k1") == said
    shown = await call("GET", "sales/S1")
    assert shown["given"][1] == {"campaign": "two-kinds", "points": 50, "offer": said["offers"][0]}
    wallet = await call("GET", f"members/{id_}/wallet")
    assert [one["title"] for one in wallet["items"]] == ["Snackdoos"], "in the member's language"
    await call("POST", f"offers/{said['offers'][0]}/lock", {"by": "till"})
    assert (await call("GET", f"offers/{said['offers'][0]}"))["state"] == "locked"
    assert (await call("POST", f"offers/{said['offers'][0]}/reinstate", {}, 409))["code"] == "offer.state"
    await call("POST", f"members/{id_}/store/large-fries", {})
    ledger = await call("GET", f"members/{id_}/points?limit=2")
    assert [one["amount"] for one in ledger["items"]] == [-100, 230]
    older = await call("GET", f"members/{id_}/points?limit=2&before={ledger['before']}")
    assert [one["amount"] for one in older["items"]] == [25]
    await call("PUT", f"members/{id_}/campaigns/two-kinds", {})
    campaigns = await call("GET", f"members/{id_}/campaigns")
    assert {one["campaign"]: one["opted_in"] for one in campaigns["items"]} == {"two-kinds": True, "mobile": False}
    assert (await call("POST", f"members/{id_}/tags", {"add": ["vip"]}))["tags"] == ["vip"]
    figures = await call("GET", "campaigns/two-kinds")
    assert (figures["reached"], figures["issued"], figures["points"], len(figures["days"])) == (1, 1, 50, 1)
    many = {"members": [{"profile": {"email": "a@example.com"}}, {"profile": {"email": "eve@example.com"}}, {}]}
    outcomes = (await call("POST", "members/batch", many))["members"]
    assert [one.get("error", {}).get("code", "ok") for one in outcomes] == ["ok", "ok", "profile.empty"]
    assert [one.get("known", False) for one in outcomes] == [False, True, False]
    assert (await call("POST", "members", {"profile": {"nickname": "x"}}, 422))["code"] == "request.field_unknown"
    assert (await call("DELETE", f"members/{id_}"))["member"] == id_
    assert (await call("GET", f"members/{id_}", status=404))["code"] == "member.unknown"


async def test_definitions_are_uploaded_and_hold_at_once(shop: Shop):
    bearer = {"Authorization": f"Bearer {shop.key}", "Content-Type": "application/yaml"}
    text = "campaign: extra\ntitle: Extra\ngives: { points: 3 }\n"
    answer = await shop.client.put("/v1/definitions/campaign/extra", content=text, headers=bearer)
    assert answer.status_code == 201, answer.text
    user = await shop.sign_up()
    assert (await shop.send(user, items=[item(1, "cola", 1)]))["payload"]["points_awarded"] == 13
    answer = await shop.client.put("/v1/definitions/campaign/extra", content=text + "days: [noday]\n", headers=bearer)
    assert (answer.status_code, answer.json()["problems"][0]["line"]) == (422, 4)
