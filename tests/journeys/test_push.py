"""A member's devices: subscribed behind a signed link, told first, forgotten when they are gone, silent at night."""

from typing import Any

import httpx
import msgspec
import pytest

from beckon.core.delivery import Delivery
from beckon.demo import Stage
from beckon.demo.stage import PROVIDERS
from beckon.inbox.entries import Message, read_body
from beckon.sandbox.scenarios import Edit
from beckon.sandbox.twins.fcm import token_of
from beckon.sandbox.twins.party import Shown
from beckon.sandbox.twins.web_push import Twin, address_of
from beckon.store.changes import Changes
from beckon.store.tables import LINKS
from beckon.web.links import new_code
from tests.journeys.conftest import OpenStage
from tests.journeys.visit import DAY_MS, HOUR_MS

ISSUED = """\
flow: gift-given
on: gift.given
key: "{{ event.data.offer }}"
steps:
  - send: gift_given
    via: [web_push, fcm, email]
    with: { offer: "{{ event.data.name }}", url: "https://fries.example/wallet" }
    at: { between: "09:00-20:00" }
  - wait_for: gift.taken
    match: { offer: "{{ event.data.offer }}" }
    timeout: 10d
    on_timeout:
      - send: gift_given
        via: [web_push, fcm, email]
        with: { offer: "{{ event.data.name }}", url: "https://fries.example/wallet" }
      - stop: expired
"""
OFFER = """\
template: gift_given
purpose: marketing
variables:
  offer: { required: true }
  url: { required: true }
locales:
  en:
    subject: A present from Fancy Fries
    text: "Hello {{ contact.first_name }}, {{ offer }} is waiting in your wallet. It is yours for the next ten days."
    buttons: [ { text: See the offer, link: "{{ url }}" } ]
    channels:
      push: { subject: "{{ offer }} for you", text: "Waiting in your wallet." }
"""
WORKSPACE = (
    Edit(file="flows/gift-given.yaml", text=ISSUED),
    Edit(file="templates/gift_given.yaml", text=OFFER),
    Edit(file="beckon.yaml", replace="[oem_app, whatsapp, sms, email]", by="[web_push, fcm, whatsapp, sms, email]"),
)
MAIL = "amanda@mail.example"
YES = {"marketing": {"granted": True, "text": "I want offers"}}


class Member:
    """Amanda, her devices, and the shop that tells her of offers."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.offers = 0

    async def is_issued_an_offer(self, *, consent: Any = YES, **contact: Any) -> Delivery:
        """The shop says so; gives what became of the message."""
        self.offers += 1
        await self.stage.cast.drag(1_000)  # the newest message is the one of the newest instant
        data = {
            "offer": f"offer-{self.offers}",
            "name": "20 % off fries",
            "contact": {"name": "Amanda Ellis", "email": MAIL, **contact},
        }
        answer = await self.stage.cast.say("gift.given", {**data, "consent": consent} if consent else data)
        assert answer.status == 202, answer.body
        await self.stage.cast.quiet()
        return (await self.deliveries())[-1]

    async def deliveries(self) -> list[Delivery]:
        rows = await self.stage.beckon.database.fetch("SELECT body FROM deliveries ORDER BY created_ms, id", ())
        return [msgspec.json.decode(str(row[0]), type=Delivery) for row in rows]

    async def outcomes(self, delivery: Delivery) -> list[dict[str, Any]]:
        """What came of a message's hand-overs."""
        rows = await self.stage.beckon.database.fetch("SELECT data FROM journal WHERE type = 'message.sent'", ())
        said = [msgspec.json.decode(str(row[0])) for row in rows]
        return [one for one in said if one["delivery"] == delivery.id]

    async def journal(self, type_: str) -> int:
        rows = await self.stage.beckon.database.fetch("SELECT count(*) FROM journal WHERE type = ?", (type_,))
        return int(rows[0][0] or 0)

    async def code(self) -> str:
        """The code of the newest link that was sent to her."""
        rows = await self.stage.beckon.database.fetch("SELECT code FROM links ORDER BY expires_ms DESC LIMIT 1", ())
        return str(rows[0][0])

    def device(self, name: str) -> str:
        return address_of(self.stage.address + PROVIDERS, name)

    def subscription(self, name: str) -> dict[str, Any]:
        endpoint, _, keys = self.device(name).partition("#")
        p256dh, _, auth = keys.partition(".")
        return {"endpoint": endpoint, "expirationTime": None, "keys": {"p256dh": p256dh, "auth": auth}}

    async def tells(self, method: str, said: object, code: str = "") -> httpx.Response:
        """A device of hers says that it wants messages, or wants none."""
        async with httpx.AsyncClient(base_url=self.stage.address) as client:
            answer = await client.request(method, f"/push/{code or await self.code()}", json=said)
        await self.stage.cast.quiet()
        return answer

    def sees(self, channel: str, device: str) -> list[Shown]:
        return self.stage.cast.party(channel).messages(device)


@pytest.fixture
async def member(open_stage: OpenStage) -> Member:
    return Member(await open_stage(*WORKSPACE))


def reasons(delivery: Delivery) -> dict[str, str]:
    assert delivery.choice is not None
    return {one.channel: one.reason for one in delivery.choice.passed_over}


async def test_a_browser_that_subscribed_behind_a_link_is_told_first(member: Member) -> None:
    first = await member.is_issued_an_offer()
    assert first.choice is not None
    assert first.choice.channel == "email"
    assert reasons(first) == {
        "web_push": "the customer has no browser that shows our messages",
        "fcm": "the customer has no app that shows our messages",
    }
    answer = await member.tells("POST", member.subscription("amanda-laptop"))
    assert answer.status_code == 204, answer.text
    second = await member.is_issued_an_offer()
    assert second.choice is not None
    assert (second.choice.channel, second.state) == ("web_push", "sent")
    [shown] = member.sees("web_push", "amanda-laptop")
    assert (shown.subject, shown.text) == ("20 % off fries for you", "Waiting in your wallet.")
    assert [button.text for button in shown.buttons] == ["See the offer"]
    # A tap opens the signed short link, which is a click.
    clicks = await member.journal("link.clicked")
    async with httpx.AsyncClient(headers={"user-agent": "Mozilla/5.0 Chrome/140"}) as client:
        opened = await client.get(shown.buttons[0].value)
    await member.stage.cast.quiet()
    assert (opened.status_code, opened.headers["location"]) == (302, "https://fries.example/wallet")
    assert await member.journal("link.clicked") == clicks + 1


async def test_a_subscription_that_has_ended_is_marked_and_the_next_device_and_channel_are_asked(
    member: Member,
) -> None:
    await member.is_issued_an_offer(fcm=token_of("amanda"))
    for device in ("amanda-old", "amanda-new"):
        assert (await member.tells("POST", member.subscription(device))).status_code == 204
    await member.is_issued_an_offer()
    assert [len(member.sees("web_push", device)) for device in ("amanda-old", "amanda-new")] == [1, 1]
    # Both are gone: each is asked once, then the app.
    member.stage.cast.party("web_push").faults.number_invalid = True
    third = await member.is_issued_an_offer()
    assert [(one.channel, one.outcome) for one in third.attempts] == [
        ("web_push", "gone"),
        ("web_push", "gone"),
        ("fcm", "sent"),
    ]
    assert third.state == "sent"
    assert len(member.sees("fcm", token_of("amanda"))) == 2
    # From now on nobody asks them again, even where the push service would take it.
    member.stage.cast.party("web_push").faults.clear()
    fourth = await member.is_issued_an_offer()
    assert [one.channel for one in fourth.attempts] == ["fcm"]
    assert reasons(fourth)["web_push"] == (
        "the newest browser does not work: the subscription has ended: removed, or not allowed any more"
    )
    # The page that is opened again says the same subscription anew: it works again.
    assert (await member.tells("POST", member.subscription("amanda-new"))).status_code == 204
    fifth = await member.is_issued_an_offer()
    assert [one.channel for one in fifth.attempts] == ["web_push"]


async def test_a_message_is_shown_on_every_device_once_and_one_that_is_gone_is_let_go(member: Member) -> None:
    await member.is_issued_an_offer()
    code = await member.code()
    devices = ("desk", "laptop", "tablet")
    for device in devices:
        assert (await member.tells("POST", member.subscription(device), code)).status_code == 204
    second = await member.is_issued_an_offer()
    assert [(one.channel, one.outcome) for one in second.attempts] == [("web_push", "sent")]
    assert [len(member.sees("web_push", device)) for device in devices] == [1, 1, 1]
    # One in the middle has ended: the others show the message, nobody asks for it again, and it is not asked any more.
    push = member.stage.cast.party("web_push")
    assert isinstance(push, Twin)
    push.ended.add("laptop")
    third = await member.is_issued_an_offer()
    assert [(one.channel, one.outcome) for one in third.attempts] == [("web_push", "sent")]
    assert [len(member.sees("web_push", device)) for device in devices] == [2, 1, 2]
    [said] = await member.outcomes(third)
    assert (said["devices"], [one["to"] for one in said["devices_gone"]]) == (2, [member.device("laptop")])
    push.ended.clear()
    await member.is_issued_an_offer()
    assert [len(member.sees("web_push", device)) for device in devices] == [3, 1, 3]


async def test_the_team_reads_the_title_that_the_device_shows(member: Member) -> None:
    await member.is_issued_an_offer(fcm=token_of("amanda"))
    rows = await member.stage.beckon.database.fetch("SELECT body FROM entries WHERE kind = 'message'")
    [entry] = [read_body("message", str(row[0])) for row in rows]
    assert isinstance(entry, Message)
    assert (entry.subject, entry.text) == ("20 % off fries for you", "Waiting in your wallet.")


async def test_a_device_shows_the_messages_of_whoever_said_it_last(member: Member) -> None:
    await member.is_issued_an_offer()
    await member.tells("POST", member.subscription("kitchen-tablet"))
    ben = {"name": "Ben Ellis", "email": "ben@mail.example"}
    await member.is_issued_an_offer(**ben)
    await member.tells("POST", member.subscription("kitchen-tablet"))
    hers, his = await member.is_issued_an_offer(), await member.is_issued_an_offer(**ben)
    assert [one.attempts[-1].channel for one in (hers, his)] == ["email", "web_push"]
    assert reasons(hers)["web_push"] == "the newest browser does not work: somebody else uses this device now"
    assert len(member.sees("web_push", "kitchen-tablet")) == 1


async def test_an_app_that_was_removed_is_not_asked_again(member: Member) -> None:
    await member.is_issued_an_offer(fcm=token_of("amanda"))
    [shown] = member.sees("fcm", token_of("amanda"))
    assert (shown.subject, shown.text) == ("20 % off fries for you", "Waiting in your wallet.")
    member.stage.cast.party("fcm").faults.number_invalid = True
    second = await member.is_issued_an_offer()
    assert [(one.channel, one.outcome) for one in second.attempts] == [("fcm", "gone"), ("email", "sent")]
    third = await member.is_issued_an_offer(fcm=token_of("amanda"))
    assert [one.channel for one in third.attempts] == ["email"]


async def test_a_device_that_is_switched_off_is_told_nothing_more(member: Member) -> None:
    await member.is_issued_an_offer()
    code = await member.code()
    await member.tells("POST", member.subscription("amanda-laptop"), code)
    assert (await member.tells("DELETE", member.subscription("amanda-laptop"), code)).status_code == 204
    second = await member.is_issued_an_offer()
    assert [one.channel for one in second.attempts] == ["email"]
    assert reasons(second)["web_push"] == "the newest browser does not work: switched off on the device"
    # An app says its token at the same door.
    assert (await member.tells("POST", {"fcm": token_of("amanda")}, code)).status_code == 204
    assert [one.channel for one in (await member.is_issued_an_offer()).attempts] == ["fcm"]


async def test_an_offer_needs_the_consent_for_it_on_a_device_too(member: Member) -> None:
    delivery = await member.is_issued_an_offer(consent=None, fcm=token_of("amanda"))
    assert delivery.state == "undeliverable"
    assert reasons(delivery)["fcm"] == "the customer has not agreed to marketing"
    assert member.sees("fcm", token_of("amanda")) == []


async def test_an_offer_at_night_waits_for_the_morning_and_a_redeemed_one_is_never_reminded_of(
    member: Member,
) -> None:
    cast = member.stage.cast
    await cast.drag(13 * HOUR_MS)  # 22:00 in Brussels
    asleep = await member.is_issued_an_offer(fcm=token_of("amanda"))
    assert asleep.state == "scheduled"
    assert member.sees("fcm", token_of("amanda")) == []
    await cast.drag(11 * HOUR_MS)
    assert len(member.sees("fcm", token_of("amanda"))) == 1
    about = {"contact": {"name": "Amanda Ellis", "email": MAIL}}
    await member.is_issued_an_offer(fcm=token_of("amanda"))
    assert len(member.sees("fcm", token_of("amanda"))) == 2
    await cast.say("gift.taken", {**about, "offer": "offer-2"})
    await cast.quiet()
    await cast.drag(11 * DAY_MS)
    # Of two offers the one that was not redeemed is reminded of, once.
    assert len(member.sees("fcm", token_of("amanda"))) == 3


async def test_a_run_that_is_stopped_calls_off_what_waits_for_the_morning(member: Member) -> None:
    cast, stage = member.stage.cast, member.stage
    await cast.drag(13 * HOUR_MS)  # 22:00 in Brussels
    asleep = await member.is_issued_an_offer(fcm=token_of("amanda"))
    kept = await member.is_issued_an_offer(fcm=token_of("amanda"))
    key = {"authorization": f"Bearer {cast.parts.api_key}"}
    async with httpx.AsyncClient(base_url=stage.address, headers=key) as client:
        stopped = await client.post(f"/v1/runs/{asleep.run}/stop", json={"reason": "revoked"})
        assert stopped.status_code == 200, stopped.text
        await cast.quiet()
        assert (await client.get(f"/v1/deliveries/{asleep.id}")).json()["state"] == "cancelled"
    await cast.drag(11 * HOUR_MS)
    assert {one.id: one.state for one in await member.deliveries()} == {asleep.id: "cancelled", kept.id: "sent"}
    assert len(member.sees("fcm", token_of("amanda"))) == 1


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"endpoint": "https://169.254.169.254/", "keys": {}}, 422, "push.subscription"),
        ([], 400, "request.json"),
        ({}, 422, "push.subscription"),
        ({"fcm": ""}, 422, "contact.address"),
        ({"fcm": 7}, 422, "contact.address"),
        ({"fcm": "x" * 2_000}, 422, "contact.address"),
        ({"fcm": "a\nb"}, 422, "contact.address"),
    ],
)
async def test_what_is_no_device_is_refused_with_a_reason(stage: Stage, said: object, status: int, code: str) -> None:
    """Needs no workspace of its own: the door refuses before anything is looked up."""
    link = new_code(stage.beckon._link_key)
    changes = Changes()
    changes.insert(LINKS, (link, "main", "con_1", "dlv_1", "https://x.example", 2**60))
    await stage.beckon.database.commit(changes)
    async with httpx.AsyncClient(base_url=stage.address) as client:
        answer = await client.post(f"/push/{link}", json=said)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
