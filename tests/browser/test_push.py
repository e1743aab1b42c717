"""Notifications in a real browser: switched on and off on the customer's page, shown and opened by the worker."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from beckon.core.clock import DraggableClock
from beckon.demo import Stage, staged
from beckon.demo.stage import PROVIDERS
from beckon.sandbox.scenarios import Edit
from beckon.sandbox.twins.web_push import address_of
from beckon.store.changes import Changes
from beckon.store.tables import LINKS
from beckon.web.links import new_code
from tests.kit.switches import until

READY = """\
flow: car-ready
on: car.ready
key: "{{ event.id }}"
steps:
  - send: car_ready
    via: [web_push, email]
"""
TEMPLATE = """\
template: car_ready
locales:
  en:
    subject: Your car is ready
    text: "Hello {{ contact.first_name }}, you can collect it today."
    buttons:
      - { text: See the invoice, link: "https://garage.example/invoice" }
      - { text: Find us, link: "https://garage.example/map" }
"""
#: A browser without a network subscribes nowhere: the subscription is the pretended push service's, all else is real.
SUBSCRIBES = """
  let held = JSON.parse(sessionStorage.getItem("held"));
  const key = () => Uint8Array.from(window.keyBytes ?? []).buffer;
  const made = (json) => ({ ...json, toJSON: () => json, options: { applicationServerKey: key() },
    unsubscribe: async () => { held = null; sessionStorage.removeItem("held"); return true; } });
  PushManager.prototype.getSubscription = async () => held && made(held);
  PushManager.prototype.subscribe = async function (options) {
    window.keyBytes = [...options.applicationServerKey];
    held = SUBSCRIPTION;
    sessionStorage.setItem("held", JSON.stringify(held));
    return made(held);
  };
"""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    edits = (
        Edit(file="flows/car-ready.yaml", text=READY),
        Edit(file="templates/car_ready.yaml", text=TEMPLATE),
        Edit(file="beckon.yaml", replace="[oem_app, whatsapp, sms, email]", by="[web_push, email]"),
    )
    async with staged(tmp_path / "demo", clock=DraggableClock(), edits=edits) as opened:
        yield opened


async def said(stage: Stage) -> None:
    """The car is ready, and everything that follows has happened."""
    contact = {"name": "Ann Peeters", "email": "ann@mail.example"}
    await stage.cast.say("car.ready", {"contact": contact})
    await stage.cast.quiet()


async def link_of(stage: Stage) -> str:
    """The address of the page behind a link that was sent to Ann."""
    await said(stage)
    rows = await stage.beckon.database.fetch("SELECT code FROM links LIMIT 1", ())
    return f"{stage.address}/push/{rows[0][0]}"


def subscription_of(stage: Stage, device: str) -> dict[str, Any]:
    endpoint, _, keys = address_of(stage.address + PROVIDERS, device).partition("#")
    p256dh, _, auth = keys.partition(".")
    return {"endpoint": endpoint, "keys": {"p256dh": p256dh, "auth": auth}}


async def allowed(page: Page, stage: Stage) -> None:
    subscription = json.dumps(subscription_of(stage, "anns-phone"))
    await page.context.grant_permissions(["notifications"], origin=stage.address)
    await page.add_init_script(SUBSCRIBES.replace("SUBSCRIPTION", subscription))


async def pushed(page: Page, data: dict[str, Any] | str, stage: Stage) -> None:
    """What the push service hands to the browser, handed to it."""
    tools = await page.context.new_cdp_session(page)
    found: list[str] = []
    tools.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.extend([one["registrationId"] for one in event["registrations"]]),
    )
    await tools.send("ServiceWorker.enable")
    await until(lambda: found)
    text = data if isinstance(data, str) else json.dumps(data)
    await tools.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": stage.address, "registrationId": found[-1], "data": text},
    )
    await tools.detach()


async def notifications(page: Page, count: int) -> list[dict[str, Any]]:
    """What this browser shows, once it shows so many."""
    script = """async (count) => {
      const registration = await navigator.serviceWorker.getRegistration("/push/");
      const shown = await registration.getNotifications();
      return shown.length === count && shown.map((one) => ({
        title: one.title, body: one.body, tag: one.tag, lang: one.lang, actions: one.actions.map((act) => act.title),
      }));
    }"""
    handle = await page.wait_for_function(script, arg=count)
    return await handle.json_value()  # type: ignore[no-any-return]


async def opened_by(context: BrowserContext, action: str) -> list[str]:
    """The addresses that the worker opens when the notification, or one of its buttons, is tapped."""
    [worker] = context.service_workers
    return await worker.evaluate(  # type: ignore[no-any-return]
        """async (action) => {
          const opened = [];
          self.clients.openWindow = async (url) => { opened.push(url); return null; };
          const [notification] = await self.registration.getNotifications();
          self.dispatchEvent(new NotificationEvent("notificationclick", { notification, action }));
          return opened;
        }""",
        action,
    )


async def test_a_person_switches_messages_on_gets_one_opens_it_and_switches_them_off(phone: Page, stage: Stage) -> None:
    url = await link_of(stage)
    await allowed(phone, stage)
    await phone.goto(url)
    await expect(phone.get_by_role("heading", name="Messages on this device")).to_be_visible()
    await phone.get_by_role("button", name="Show messages here").click()
    await expect(phone.get_by_text("are shown on this device")).to_be_visible()

    await said(stage)
    [message] = stage.cast.party("web_push").messages("anns-phone")
    await pushed(phone, message.raw, stage)
    assert await notifications(phone, 1) == [
        {
            "title": "Your car is ready",
            "body": "Hello Ann, you can collect it today.",
            "tag": message.reference,
            "lang": "en",
            "actions": ["See the invoice", "Find us"],
        }
    ]
    # The same message again, as a second try would bring it, takes its place.
    await pushed(phone, message.raw, stage)
    assert len(await notifications(phone, 1)) == 1
    assert await opened_by(phone.context, "1") == [message.buttons[1].value]

    # Whatever comes, something is shown, and nothing but web addresses is opened.
    await pushed(phone, "no JSON", stage)
    assert [one["title"] for one in await notifications(phone, 1)] == ["127.0.0.1"]
    assert await opened_by(phone.context, "") == []
    await pushed(phone, {"title": "Odd", "tag": "odd", "url": "javascript:alert(1)", "actions": {"0": 1}}, stage)
    await notifications(phone, 1)
    assert await opened_by(phone.context, "") == []

    await phone.reload()
    await phone.get_by_role("button", name="Stop on this device").click()
    await expect(phone.get_by_role("button", name="Show messages here")).to_be_visible()
    await stage.cast.quiet()
    await said(stage)
    assert len(stage.cast.party("web_push").messages("anns-phone")) == 1


async def test_a_subscription_that_the_browser_changes_by_itself_is_said_by_the_worker(
    phone: Page, stage: Stage
) -> None:
    url = await link_of(stage)
    await allowed(phone, stage)
    await phone.goto(url)
    await phone.get_by_role("button", name="Show messages here").click()
    await expect(phone.get_by_text("are shown on this device")).to_be_visible()
    [worker] = phone.context.service_workers
    await worker.evaluate(
        """async ([oldSubscription, newSubscription]) => {
          const event = new ExtendableEvent("pushsubscriptionchange");
          const { promise, resolve } = Promise.withResolvers();
          event.waitUntil = (work) => work.then(resolve);
          self.dispatchEvent(Object.assign(event, { oldSubscription, newSubscription }));
          await promise;
        }""",
        [subscription_of(stage, "anns-phone"), subscription_of(stage, "anns-phone-later")],
    )
    await stage.cast.quiet()
    await said(stage)
    counts = [len(stage.cast.party("web_push").messages(device)) for device in ("anns-phone", "anns-phone-later")]
    assert counts == [0, 1]


async def test_a_browser_that_can_t_says_so_and_one_that_may_not_says_how(phone: Page, stage: Stage) -> None:
    url = await link_of(stage)
    await phone.add_init_script("delete window.PushManager")
    await phone.goto(url)
    await expect(phone.get_by_text("This browser can’t show messages")).to_be_visible()
    await expect(phone.get_by_role("button")).to_have_count(0)


async def test_a_page_can_be_put_on_the_home_screen(phone: Page, stage: Stage) -> None:
    url = await link_of(stage)
    await phone.goto(url)
    place = await phone.locator("link[rel=manifest]").get_attribute("href")
    answer = await phone.request.get(f"{stage.address}{place}")
    said_ = await answer.json()
    assert answer.headers["content-type"] == "application/manifest+json"
    assert said_["name"] == "Garage Van Dijk"
    assert (said_["start_url"], said_["scope"], said_["display"]) == (
        url.removeprefix(stage.address),
        "/push/",
        "standalone",
    )
    worker = await phone.request.get(f"{stage.address}/push/worker.js")
    assert worker.headers["content-type"].startswith("text/javascript")
    assert worker.headers["cache-control"] == "no-cache"


async def test_a_link_that_is_none_or_has_expired_leads_to_no_switch(phone: Page, stage: Stage) -> None:
    code = new_code(stage.beckon._link_key)
    changes = Changes()
    changes.insert(LINKS, (code, "main", "con_1", "dlv_1", "https://x.example", 1))
    await stage.beckon.database.commit(changes)
    assert (await phone.goto(f"{stage.address}/push/{code}")).status == 410  # type: ignore[union-attr]
    assert (await phone.goto(f"{stage.address}/push/nobody")).status == 404  # type: ignore[union-attr]
    refused = await phone.request.post(f"{stage.address}/push/{code}", data={"fcm": "abcdefgh:APA91bABCDEFGHIJKL"})
    assert (refused.status, (await refused.json())["code"]) == (410, "push.expired")
    unknown = await phone.request.post(f"{stage.address}/push/nobody", data={})
    assert (unknown.status, (await unknown.json())["code"]) == (404, "push.unknown")
    form = await phone.request.post(f"{stage.address}/push/{code}", form={"fcm": "x"})
    assert form.status == 415
