"""The seed's preference order: the maker's app, WhatsApp, SMS, email, and the error message in the conversation."""

from beckon.demo import Stage
from beckon.sandbox.scenarios import Edit
from tests.journeys.conftest import OpenStage
from tests.journeys.visit import DAY_MS, HOUR_MS, ServiceVisit

READY = "Hello Anna, good news: your car is ready. You can collect it at Garage Van Dijk during our opening hours."


async def test_the_makers_app_is_preferred_and_nothing_is_sent_anywhere_else(stage: Stage) -> None:
    visit = ServiceVisit(stage)
    await visit.provider_says_checkin_start()
    assert visit.apps_with_messages() == ["oem_app"]
    (invitation,) = visit.messages("oem_app")
    assert invitation.text.startswith("Hello Anna, your visit to Garage Van Dijk is coming up.")
    assert [(button.kind, button.text) for button in invitation.buttons] == [("link", "Start check-in")]
    assert await visit.passed_over() == {}


async def test_without_the_app_the_template_that_matches_is_sent_by_whatsapp(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("whatsapp", "sms", "email"))
    await visit.provider_says_checkin_start()
    assert visit.apps_with_messages() == ["whatsapp"]
    (invitation,) = visit.messages("whatsapp")
    assert invitation.template == "service_checkin_invite"
    assert [button.text for button in invitation.buttons] == ["Start check-in"]
    assert invitation.buttons[0].value.startswith(f"{stage.address}/go/")
    assert await visit.passed_over() == {"oem_app": "the customer has no account in the app"}


async def test_within_the_24_hour_window_the_text_itself_is_sent_by_whatsapp(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("whatsapp", "sms", "email"))
    await visit.contact_writes("whatsapp", "Can I bring the winter tyres?")
    await visit.pass_time(23 * HOUR_MS)
    await visit.advisor_replies("Of course, put them in the boot.")
    assert visit.apps_with_messages() == ["whatsapp"]
    assert [(one.text, one.template) for one in visit.messages("whatsapp")] == [
        ("Of course, put them in the boot.", "")
    ]
    assert await visit.received() == ["Can I bring the winter tyres?"]


async def test_outside_the_window_a_text_that_matches_an_approved_template_is_sent_as_that_template(
    stage: Stage,
) -> None:
    visit = ServiceVisit(stage, has=("whatsapp", "sms", "email"))
    await visit.contact_writes("whatsapp", "Is it ready?")
    await visit.pass_time(2 * DAY_MS)
    await visit.advisor_replies(READY)
    assert visit.apps_with_messages() == ["whatsapp"]
    (sent,) = visit.messages("whatsapp")
    assert sent.template == "service_vehicle_ready"
    assert sent.text == READY


async def test_outside_the_window_without_a_matching_template_the_text_is_sent_as_an_sms(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("whatsapp", "sms", "email"))
    await visit.business_says("repair.started")
    await visit.contact_writes("whatsapp", "Thank you!")
    await visit.pass_time(DAY_MS + HOUR_MS)
    await visit.advisor_replies("The part has arrived. Shall we see you on Thursday?")
    assert [one.text for one in visit.messages("sms")] == ["The part has arrived. Shall we see you on Thursday?"]
    assert len(visit.messages("whatsapp")) == 1
    assert not visit.messages("email")
    passed = await visit.passed_over()
    assert "no approved template matches this text" in passed["whatsapp"]
    assert "25 h ago" in passed["whatsapp"] or "a day ago" in passed["whatsapp"] or "1 day ago" in passed["whatsapp"]


async def test_if_no_whatsapp_is_available_the_text_is_sent_as_an_sms(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("sms", "email"))
    await visit.provider_says_checkin_start()
    assert visit.apps_with_messages() == ["sms"]
    (invitation,) = visit.messages("sms")
    assert f"{stage.address}/go/" in invitation.text
    assert list(await visit.passed_over()) == ["oem_app", "whatsapp"]


async def test_if_no_sms_is_available_an_email_is_sent_if_possible(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("email",))
    await visit.provider_says_checkin_start()
    assert visit.apps_with_messages() == ["email"]
    (invitation,) = visit.messages("email")
    assert invitation.subject == "Check in for your visit"
    assert "Start check-in" in [button.text for button in invitation.buttons]
    assert list(await visit.passed_over()) == ["oem_app", "whatsapp", "sms"]


async def test_an_error_message_is_inserted_if_no_suitable_media_channel_could_be_determined(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=())
    answer = await visit.provider_says_checkin_start()
    assert answer.status == 202
    assert visit.apps_with_messages() == []
    (error,) = await visit.errors()
    assert "No suitable media channel could be determined" in error.text
    assert {one.channel: one.reason for one in error.passed_over} == {
        "oem_app": "the customer has no account in the app",
        "whatsapp": "the customer has no WhatsApp number",
        "sms": "the customer has no phone number",
        "email": "the customer has no mail address",
    }


async def test_when_every_channel_was_tried_in_vain_the_error_message_says_what_each_one_answered(stage: Stage) -> None:
    visit = ServiceVisit(stage)
    for provider in ("oem_app", "whatsapp_cloud", "twilio_sms", "smtp"):
        visit.fault(provider, number_invalid=True)
    await visit.provider_says_checkin_start()
    assert visit.apps_with_messages() == []
    assert await visit.tries() == ["oem_app refused", "whatsapp refused", "sms refused", "email refused"]
    (error,) = await visit.errors()
    assert [one.channel for one in error.passed_over] == ["oem_app", "whatsapp", "sms", "email"]
    assert all(one.reason.startswith("tried before: ") for one in error.passed_over)


async def test_the_order_is_the_workspaces_own(open_stage: OpenStage) -> None:
    order = Edit(file="beckon.yaml", replace="[oem_app, whatsapp, sms, email]", by="[email, sms, whatsapp, oem_app]")
    visit = ServiceVisit(await open_stage(order))
    await visit.provider_says_checkin_start()
    assert visit.apps_with_messages() == ["email"]


async def test_a_contact_who_stopped_a_channel_is_reached_on_the_next_until_they_start_it_again(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("whatsapp", "sms"))
    await visit.provider_says_checkin_start()
    await visit.contact_writes("whatsapp", "STOP")
    await visit.business_says("repair.started")
    assert len(visit.messages("whatsapp")) == 1
    assert len(visit.messages("sms")) == 1
    assert "the customer stopped messages here" in (await visit.passed_over())["whatsapp"]
    await visit.contact_writes("whatsapp", "Start")
    await visit.pass_time(HOUR_MS)
    await visit.business_says("checkout.prepared")
    assert [one.template for one in visit.messages("whatsapp")] == ["service_checkin_invite", "service_vehicle_ready"]
    assert len(visit.messages("sms")) == 1
