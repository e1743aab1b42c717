"""Notifications in the pure rooms: addresses of devices, their own words, their title, and a device that is gone."""

from msgspec.structs import replace

from beckon.core.contact import Address
from beckon.core.delivery import Attempt, Choice, Delivery
from beckon.core.message import Rendered
from beckon.messaging.channel import Capabilities
from beckon.messaging.choose import Open, choose
from beckon.messaging.contacts import break_address, read_reference
from beckon.messaging.deliveries import tried
from beckon.messaging.render import render
from beckon.messaging.templates import parse_template
from tests.rooms.messaging.stage import NOW_MS, SETTINGS, contact_of, short

KEYS = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}
PUSH = Capabilities(text_max=1_000, link_buttons=2, title=True)
OFFER = """\
template: offer
locales:
  en:
    subject: An offer
    text: "Hello {{ contact.first_name }}, look."
    buttons: [ { text: Open, link: "https://fries.example" }, { text: Yes, reply: "yes" } ]
    channels:
      push: { subject: "For {{ contact.first_name }}", text: Look. }
      fcm: { text: Look in the app. }
  nl-BE:
    text: "Dag {{ contact.first_name }}, kijk."
"""


def say(channel: str, **more: object) -> Rendered:
    asked: dict[str, object] = {
        "choice": Choice(channel, channel, "first in the order", ()),
        "contact": contact_of(),
        "settings": SETTINGS,
        "capabilities": PUSH,
        "link": short,
    }
    return render(parse_template(OFFER), **{**asked, **more})  # type: ignore[arg-type]


def browser(name: str) -> str:
    return f"https://fcm.googleapis.com/fcm/send/{name}#{KEYS['p256dh']}.{KEYS['auth']}"


def test_a_contact_is_named_by_a_browsers_subscription_as_it_is() -> None:
    subscription = {"endpoint": "https://fcm.googleapis.com/fcm/send/a", "expirationTime": None, "keys": KEYS}
    written = read_reference({"web_push": subscription})
    assert written.addresses == (Address("web_push", browser("a")),)
    assert read_reference({"web_push": browser("a")}) == written
    assert read_reference({"addresses": {"web_push": subscription}}) == written


def test_an_apps_token_may_be_longer_than_other_addresses() -> None:
    [address] = read_reference({"fcm": "a" * 11 + ":" + "b" * 400}).addresses
    assert len(address.external_id) == 412


def test_words_for_push_are_those_of_browsers_and_apps_unless_they_have_their_own() -> None:
    assert (say("web_push").subject, say("web_push").text.partition("\n")[0]) == ("For Ann", "Look.")
    assert (say("fcm").subject, say("fcm").text.partition("\n")[0]) == ("An offer", "Look in the app.")
    assert say("oem_app", capabilities=Capabilities(text_max=1_000)).subject == ""


def test_a_notification_without_a_title_has_the_businesss_name() -> None:
    assert say("web_push", locale="nl-BE").subject == SETTINGS.name
    assert say("web_push", text="Your car is ready.").subject == SETTINGS.name


def test_a_device_that_is_gone_does_not_use_its_channel_up_and_choose_names_no_address() -> None:
    gone = Attempt(1, "web_push", "web_push", NOW_MS, "gone", "web_push.gone", "it has ended")
    delivery = Delivery(id="dlv_1", workspace="main", contact="con_ann", state="failed", attempts=(gone,))
    assert tried(delivery) == {}
    contact = replace(contact_of(), addresses=tuple([Address("web_push", browser(name)) for name in ("new", "old")]))
    channels = {"web_push": Open("web_push", PUSH)}
    contact = break_address(contact, "web_push", browser("new"), "it has ended")
    assert contact.address("web_push") == Address("web_push", browser("old"))
    assert choose(contact=contact, order=("web_push",), channels=channels, now_ms=NOW_MS).channel == "web_push"
    contact = break_address(contact, "web_push", browser("old"), "it has ended")
    choice = choose(contact=contact, order=("web_push",), channels=channels, now_ms=NOW_MS)
    assert [one.reason for one in choice.passed_over] == ["the newest browser does not work: it has ended"]
