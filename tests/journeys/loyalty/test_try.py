from tests.journeys.loyalty.shop import Shop
import json


async def test_it(shop: Shop):
    user = await shop.sign_up(
        first_name="Amanda", locale="en-US", phone_numbers=[{"phone_number": "+32470123456", "phone_type": "mobile"}]
    )
    print(json.dumps(user, indent=1))
    print(json.dumps(await shop.call("GET", f"/priv/v1/apps/:api_key/users/{user['id']}/campaigns"), indent=1))
    print(json.dumps(await shop.send(user), indent=1))
    print(json.dumps(await shop.wallet(user), indent=1))
    await shop.rest()
    print(await shop.events("offer.issued"))
    print(await shop.events("event.failed"))
    await shop.later(20 * 86400000)
    print(await shop.events("offer.expiring"))
    await shop.later(20 * 86400000)
    print(await shop.events("offer.expired"))
