"""The messages around a loyalty programme, as the seed tells them: who is told what, when, where, and once."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from beckon.core.delivery import Delivery
from beckon.demo import Stage
from beckon.sandbox.people import Customer
from beckon.sandbox.playing import link_of
from beckon.sandbox.scenarios import Edit
from beckon.sandbox.shop import Exchange, Sold
from beckon.sandbox.twins.party import Shown
from tests.journeys.conftest import OpenStage
from tests.journeys.visit import DAY_MS, HOUR_MS

PHONE = ("fcm", "whatsapp", "sms", "email")
TWO_KINDS = {"pulled-pork-fries": 1, "curly-fries": 1}


class Member:
    """Amanda with her phone, the shop that knows only the vendor's API, and the clock."""

    def __init__(self, stage: Stage, has: Sequence[str] = PHONE, locale: str = "en") -> None:
        self.stage = stage
        self.cast = stage.cast
        self.shop = stage.cast.shop
        self.customer = Customer(name="Amanda Jones", number=1, has=tuple(has), locale=locale)
        self.user = ""

    async def signs_up(self, *, opted_in: bool = True, **contact: Any) -> Exchange:
        """Step 1: in the app, which then says its device; ``contact``: what else is known of her."""
        exchange = await self.shop.sign_up(self.customer, opted_in=opted_in)
        assert exchange.ok, exchange.body
        self.user = exchange.body["user"]["id"]
        await self.cast.quiet()
        if "fcm" in self.customer.has:
            assert (await self.shop.register_device(self.customer)).status in (200, 201)
        if contact:
            about = {"email": self.customer.address("email"), **contact}
            assert (await self.api("POST", "/v1/contacts", about)).status_code == 200
        await self.cast.quiet()
        return exchange

    async def buys(self, basket: dict[str, int] | None = None, offers: Sequence[str] = ()) -> Sold:
        """Step 4: at the till."""
        sold = self.shop.ring_up(self.user, TWO_KINDS if basket is None else basket, offers)
        exchange = await self.shop.pay(sold)
        assert exchange.ok, exchange.body
        await self.cast.quiet()
        return sold

    async def wallet(self) -> dict[str, str]:
        """Step 5: offer's name → its id."""
        answer = await self.shop.wallet(self.user)
        return {one["name"]: one["id"] for one in answer.payload["user_offers"]}

    async def later(self, ms: int) -> None:
        """Time goes by."""
        await self.cast.drag(ms)

    def told(self, channel: str) -> list[str]:
        """What an app of her phone says: titles where it has them."""
        return [one.subject or one.text for one in self.shown(channel)]

    def shown(self, channel: str) -> list[Shown]:
        return [one for one in self.cast.on_phone(self.customer, channel) if not one.own]

    async def newest(self) -> Delivery:
        return (await self.cast.deliveries(self.customer))[-1]

    async def api(self, method: str, path: str, said: Any = None) -> httpx.Response:
        """A request of the shop's backend to the API in our own words."""
        async with httpx.AsyncClient(
            base_url=self.stage.address, headers={"authorization": f"Bearer {self.cast.parts.api_key}"}
        ) as client:
            answer = await client.request(method, path, json=said)
        await self.cast.quiet()
        return answer


async def test_the_seeds_seven_steps(stage: Stage) -> None:
    amanda = Member(stage)
    # 1, 2: she signs up and receives the welcome email
    await amanda.signs_up()
    assert amanda.told("email") == ["Welcome to Fancy Fries"]
    # its button leads to her own page, without a password
    page = await amanda.cast.open(link_of(amanda.shown("email")[-1]))
    assert (page.status, "Hello Amanda" in page.text) == (200, True)
    # 3: she reviews the campaigns and offers that are available to her
    campaigns = (await amanda.shop.campaigns(amanda.user)).body["campaigns"]
    assert {"Taste two kinds", "Double points at lunch"} == {one["name"] for one in campaigns["tiles"]}
    assert {"Snack box weekend", "Large fries with the code CURLY"} == {one["name"] for one in campaigns["promotions"]}
    # 4: two kinds of fries for $18 complete a campaign
    sold = await amanda.buys()
    assert str(sold.subtotal) == "18.00"
    # 5: the offer is in her wallet
    assert list(await amanda.wallet()) == ["20% off Mobile Tuesdays"]
    # 6: a push tells of its issuance
    assert amanda.told("fcm") == ["New: 20% off Mobile Tuesdays"]
    # 7: a push tells of its expiration, ten days before
    await amanda.later(9 * DAY_MS)
    assert len(amanda.told("fcm")) == 1
    await amanda.later(DAY_MS)
    assert amanda.told("fcm") == ["New: 20% off Mobile Tuesdays", "10 days left: 20% off Mobile Tuesdays"]
    assert amanda.shown("fcm")[-1].text == "Yours until Monday 5 October."
    page = await amanda.cast.open(link_of(amanda.shown("fcm")[-1]))
    assert "10 days left" in page.text
    # nothing more, on no other channel
    await amanda.later(15 * DAY_MS)
    assert len(amanda.told("fcm")) == 2
    assert amanda.told("whatsapp") == amanda.told("sms") == []
    assert len(amanda.told("email")) == 1


async def test_each_message_goes_once_for_each_offer_whatever_is_said_again(stage: Stage) -> None:
    amanda = Member(stage)
    await amanda.signs_up()
    again = await amanda.shop.sign_up(amanda.customer, opted_in=True)
    assert again.error[0] in ("email_not_unique", "external_id_not_unique")
    sold = amanda.shop.ring_up(amanda.user, TWO_KINDS)
    first = await amanda.shop.pay(sold)
    assert first.ok
    # the same request, and the same sale in another request
    assert (await amanda.shop.say(first.method, first.path, first.sent)).body == first.body
    await amanda.shop.pay(sold)
    await amanda.cast.quiet()
    assert amanda.told("fcm") == ["New: 20% off Mobile Tuesdays"]
    # over the limit of the campaign: bought again, not given again
    await amanda.buys()
    await amanda.later(10 * DAY_MS)
    await amanda.later(5 * DAY_MS)
    assert amanda.told("fcm") == ["New: 20% off Mobile Tuesdays", "10 days left: 20% off Mobile Tuesdays"]
    assert amanda.told("email") == ["Welcome to Fancy Fries"]


async def test_an_offer_that_is_used_or_taken_back_while_its_message_waits_for_the_morning_is_not_spoken_of(
    stage: Stage,
) -> None:
    amanda = Member(stage)
    await amanda.signs_up()
    # Issued at eleven at night, taken back with the sale at midnight: in the morning there is nothing to tell.
    await amanda.later(13 * HOUR_MS)
    sold = await amanda.buys()
    assert amanda.told("fcm") == []
    await amanda.later(HOUR_MS)
    sold.voided, sold.times = True, 2
    assert (await amanda.shop.pay(sold)).ok
    await amanda.later(12 * HOUR_MS)
    assert await amanda.wallet() == {}
    assert amanda.told("fcm") == []
    # Issued by day; its reminder falls due at midnight, and it is used before the morning.
    await amanda.buys()
    assert amanda.told("fcm") == ["New: 20% off Mobile Tuesdays"]
    await amanda.later(9 * DAY_MS + 14 * HOUR_MS)
    run = (await amanda.cast.runs(amanda.customer))[-1]
    assert (run.flow, run.status) == ("offer-expiring", "waiting")
    [offer] = (await amanda.wallet()).values()
    await amanda.buys({"lemonade": 1}, [offer])
    run = (await amanda.cast.runs(amanda.customer))[-1]
    assert (run.flow, run.status, run.ended) == ("offer-expiring", "stopped", "gone before the morning")
    await amanda.later(12 * HOUR_MS)
    assert len(amanda.told("fcm")) == 1


async def test_quiet_hours_are_those_of_where_the_member_lives(stage: Stage) -> None:
    amanda = Member(stage)
    # Ten in the morning in Brussels is four in New York.
    await amanda.signs_up(time_zone="America/New_York")
    assert amanda.told("email") == ["Welcome to Fancy Fries"], "who signs up is awake"
    await amanda.buys()
    assert amanda.told("fcm") == []
    await amanda.later(4 * HOUR_MS - 60_000)
    assert amanda.told("fcm") == []
    await amanda.later(60_000)
    assert amanda.told("fcm") == ["New: 20% off Mobile Tuesdays"]


async def test_without_consent_to_marketing_only_what_is_owed_is_said(stage: Stage) -> None:
    amanda = Member(stage)
    await amanda.signs_up(opted_in=False)
    assert amanda.told("email") == ["Welcome to Fancy Fries"]
    await amanda.buys()
    assert amanda.told("fcm") == []
    refused = await amanda.newest()
    assert (refused.template, refused.state, refused.purpose) == ("offer_issued", "undeliverable", "marketing")
    assert refused.choice is not None
    reasons = {one.channel: one.reason for one in refused.choice.passed_over}
    assert {channel for channel, reason in reasons.items() if "refused marketing" in reason} == set(PHONE)
    # What she asks for with a code, or buys with points, is answered all the same, and its end is told of.
    assert (await amanda.shop.claim(amanda.user, "CURLY")).ok
    await amanda.cast.quiet()
    assert amanda.told("fcm") == ["Large fries on us"]
    await amanda.later(10 * DAY_MS)
    assert amanda.told("fcm") == ["Large fries on us", "10 days left: Large fries on us"]
    # She changes her mind in the app.
    path = f"/priv/v1/apps/main/users/{amanda.user}"
    assert (await amanda.shop.say("PUT", path, {"user": {"opted_in": True}})).ok
    await amanda.cast.quiet()
    await amanda.buys({"bucket": 2})  # it is a Friday: the weekend's campaign
    assert amanda.told("fcm")[2:] == ["New: Free snack box"]


async def test_levels_points_and_campaigns_speak_too(open_stage: OpenStage) -> None:
    stage = await open_stage(
        Edit(file="programme/fancy-fries.yaml", replace="months: 12", by="days: 40"),
    )
    amanda = Member(stage)
    await amanda.signs_up()
    await amanda.buys({"bucket": 4})
    assert "You are Golden now" in amanda.told("fcm")
    # A campaign goes through all members when it is started; a second start of the same day says nothing twice.
    for _ in range(2):
        answer = await amanda.api("POST", "/v1/loyalty/campaigns/loaded-week/rounds", {})
        assert answer.status_code < 500
        await amanda.later(60_000)
    assert amanda.told("fcm").count("Loaded fries week") == 1
    # Points live for forty days here; a month before their end she is told, once.
    await amanda.later(9 * DAY_MS)
    assert not [title for title in amanda.told("fcm") if "expire soon" in title]
    await amanda.later(3 * DAY_MS)
    await amanda.later(2 * DAY_MS)
    assert [title for title in amanda.told("fcm") if "expire soon" in title] == ["560 points expire soon"]


async def test_who_comes_with_an_import_is_not_welcomed(stage: Stage) -> None:
    amanda = Member(stage, has=("email",))
    said = {"profile": {"email": amanda.customer.address("email"), "first_name": "Amanda"}, "points": 120}
    answer = await amanda.api("POST", "/v1/loyalty/members/batch", {"members": [said]})
    assert answer.status_code < 300, answer.text
    await amanda.later(DAY_MS)
    assert amanda.told("email") == []
    assert await amanda.cast.runs(amanda.customer) == []


@pytest.mark.parametrize(
    ("locale", "title"),
    [("nl-BE", "Nieuw: 20% korting op mobiele dinsdag"), ("sv", "Nytt: 20 % på mobiltisdag")],
)
async def test_a_member_is_told_in_their_own_language(stage: Stage, locale: str, title: str) -> None:
    member = Member(stage, locale=locale)
    await member.signs_up()
    await member.buys()
    assert member.told("fcm") == [title]
