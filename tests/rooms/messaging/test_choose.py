"""The best channel, and the words for why not the ones before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from beckon.core.contact import Contact
from beckon.core.delivery import Choice
from beckon.messaging.choose import Open, choose, words
from beckon.messaging.consent import apply_keyword
from beckon.messaging.contacts import break_address
from tests.rooms.messaging.stage import CHANNELS, HOUR_MS, NOW_MS, ORDER, READY, WHATSAPP, contact_of, template_of

EVERYWHERE = {"name": "Ann", "phone": "+32470123456", "email": "ann@example.com", "oem_app": "bmw-77"}


def pick(contact: Contact | None = None, **more: object) -> Choice:
    """Choose for Ann among all channels."""
    asked: dict[str, object] = {
        "contact": contact or contact_of(),
        "order": ORDER,
        "channels": CHANNELS,
        "now_ms": NOW_MS,
        "locale": "en",
        **more,
    }
    return choose(**asked)  # type: ignore[arg-type]


def reasons(choice: Choice) -> dict[str, str]:
    """Why each channel was passed over."""
    return {one.channel: one.reason for one in choice.passed_over}


def wrote(hours_ago: int) -> Contact:
    """Ann, who last wrote on WhatsApp so long ago."""
    return replace(contact_of(), last_inbound_ms={"whatsapp": NOW_MS - hours_ago * HOUR_MS})


def test_the_makers_app_comes_first() -> None:
    choice = pick(contact_of(**EVERYWHERE), content=template_of())
    assert (choice.channel, choice.provider, choice.passed_over) == ("oem_app", "oem_app", ())


def test_then_whatsapp_with_the_approved_template() -> None:
    choice = pick(content=template_of())
    assert (choice.channel, choice.template) == ("whatsapp", "checkin_invite")
    assert reasons(choice) == {"oem_app": "the customer has no account in the app"}


def test_free_text_goes_by_whatsapp_within_24_hours() -> None:
    choice = pick(wrote(3), text="Shall we wash it too?")
    assert (choice.channel, choice.template) == ("whatsapp", "")
    assert choice.reason == "free text: last message from the customer 3 h ago"


def test_outside_the_window_without_a_matching_template_it_goes_by_sms() -> None:
    choice = pick(wrote(26), text="Shall we wash it too?")
    assert choice.channel == "sms"
    assert words(choice.passed_over[1]) == (
        "WhatsApp: last message from the customer 26 h ago and no approved template matches this text"
    )


def test_a_text_that_is_an_approved_template_goes_as_that_template_outside_the_window() -> None:
    ready = template_of(READY)
    text = "Hello Ann, your car 1-ABC-123 is ready to be collected."
    choice = pick(wrote(48), text=text, templates={"car_ready": ready})
    assert (choice.channel, choice.template) == ("whatsapp", "car_ready")


def test_without_a_phone_it_goes_by_email() -> None:
    choice = pick(contact_of(email="ann@example.com"), text="Hello")
    assert choice.channel == "email"
    assert reasons(choice)["sms"] == "the customer has no phone number"


def test_where_nothing_can_carry_it_the_choice_is_empty_and_says_why() -> None:
    choice = pick(contact_of(id="77"), text="Hello")
    assert (choice.channel, choice.provider) == ("", "")
    assert list(reasons(choice)) == list(ORDER)


def test_the_window_closes_after_24_hours_to_the_millisecond() -> None:
    open_ = replace(contact_of(), last_inbound_ms={"whatsapp": NOW_MS - 24 * HOUR_MS + 1})
    shut = replace(contact_of(), last_inbound_ms={"whatsapp": NOW_MS - 24 * HOUR_MS})
    assert pick(open_, text="x").channel == "whatsapp"
    assert pick(shut, text="x").channel == "sms"


def test_a_template_that_is_not_approved_yet_is_said_as_free_text_or_passed_over() -> None:
    approvals = {("whatsapp_cloud", "service_checkin_invite", "en_US"): "paused"}
    assert pick(wrote(2), content=template_of(), approvals=approvals).template == ""
    choice = pick(content=template_of(), approvals=approvals)
    assert choice.channel == "sms"
    assert reasons(choice)["whatsapp"] == (
        "the customer has not written here yet and the template checkin_invite (en_US) is paused"
    )


def test_the_approval_is_asked_for_the_language_that_will_be_said() -> None:
    approvals = {("whatsapp_cloud", "service_checkin_invite", "nl"): "rejected"}
    assert pick(content=template_of(), approvals=approvals, locale="nl-BE").channel == "sms"
    assert pick(content=template_of(), approvals=approvals, locale="en").channel == "whatsapp"


def test_a_reader_of_another_language_is_judged_by_the_workspaces() -> None:
    approvals = {("whatsapp_cloud", "service_checkin_invite", "nl"): "rejected"}
    assert pick(content=template_of(), approvals=approvals, locale="pl").channel == "whatsapp"
    assert pick(content=template_of(), approvals=approvals, locale="pl", locale_default="nl").channel == "sms"


def test_the_providers_word_counts_more_than_the_file() -> None:
    pending = template_of(READY.replace("name: car_ready, ", "name: car_ready, state: pending, "))
    approvals = {("whatsapp_cloud", "car_ready", "en_US"): "approved"}
    assert pick(content=pending).channel == "sms"
    assert pick(content=pending, approvals=approvals).channel == "whatsapp"


def test_a_broken_address_is_passed_over_with_its_reason() -> None:
    ann = break_address(contact_of(), "sms", "+32470123456", "the number does not exist")
    choice = pick(ann, text="x", via=("sms", "email"))
    assert choice.channel == "email"
    assert reasons(choice)["sms"] == "+32470123456 does not work: the number does not exist"


def test_a_second_address_serves_where_the_first_is_broken() -> None:
    ann = break_address(contact_of(), "sms", "+32470123456", "gone")
    ann = replace(ann, addresses=(*ann.addresses, replace(ann.addresses[0], external_id="+32499000000", broken=None)))
    assert pick(ann, text="x", via=("sms",)).channel == "sms"


def test_a_paused_provider_is_passed_over_with_its_reason() -> None:
    channels = {**CHANNELS, "whatsapp": Open("whatsapp_cloud", WHATSAPP, "it asked for a pause")}
    choice = pick(content=template_of(), channels=channels)
    assert choice.channel == "sms"
    assert reasons(choice)["whatsapp"] == "whatsapp_cloud is paused: it asked for a pause"


def test_a_channel_that_the_workspace_does_not_have_is_passed_over() -> None:
    channels = {"email": CHANNELS["email"]}
    choice = pick(text="x", channels=channels)
    assert choice.channel == "email"
    assert reasons(choice)["sms"] == "this workspace has no provider for it"


def test_a_stop_is_respected_on_its_channel() -> None:
    ann = apply_keyword(contact_of(), "sms", "stop", NOW_MS, "SM1")
    choice = pick(ann, text="x")
    assert choice.channel == "email"
    assert "stopped messages here" in reasons(choice)["sms"]


def test_marketing_goes_nowhere_without_consent() -> None:
    choice = pick(content=template_of(), purpose="marketing")
    assert choice.channel == ""
    assert choice.passed_over[1].code == "consent.missing"


def test_a_text_that_is_too_long_for_sms_goes_on() -> None:
    choice = pick(text="x" * 2_000)
    assert choice.channel == "email"
    assert "2000 characters" in reasons(choice)["sms"]


def test_no_channel_is_tried_twice() -> None:
    choice = pick(content=template_of(), tried={"whatsapp": "the number is not on WhatsApp"})
    assert choice.channel == "sms"
    assert reasons(choice)["whatsapp"] == "tried before: the number is not on WhatsApp"


def test_a_step_may_name_its_channels_and_best_stands_for_the_usual_order() -> None:
    assert pick(text="x", via=("email",)).channel == "email"
    assert pick(text="x", via=("email", "best")).channel == "email"
    assert pick(contact_of(phone="+32470123456"), text="x", via=("email", "best")).channel == "sms"
    assert pick(contact_of(phone="+32470123456"), text="x", via=("email",)).channel == ""


def test_the_order_is_the_callers_to_give() -> None:
    assert pick(text="x", order=("email", "sms")).channel == "email"


@given(
    st.permutations(ORDER),
    st.sets(st.sampled_from(ORDER)),
    st.sets(st.sampled_from(ORDER)),
    st.booleans(),
)
def test_every_channel_before_the_chosen_one_has_its_reason(
    order: list[str], missing: set[str], tried: set[str], with_template: bool
) -> None:
    channels = {name: offer for name, offer in CHANNELS.items() if name not in missing}
    content = {"content": template_of()} if with_template else {"text": "Hello"}
    choice = pick(contact_of(**EVERYWHERE), order=order, channels=channels, tried=dict.fromkeys(tried, "x"), **content)
    before = order[: order.index(choice.channel)] if choice.channel else order
    assert [one.channel for one in choice.passed_over] == before
    assert all(one.reason and one.code for one in choice.passed_over)
    assert choice.channel not in missing | tried


@pytest.mark.parametrize("name", ["oem_app", "whatsapp", "sms", "email"])
def test_with_one_channel_the_choice_is_that_channel(name: str) -> None:
    choice = pick(contact_of(**EVERYWHERE), content=template_of(), order=(name,))
    assert choice.channel == name
