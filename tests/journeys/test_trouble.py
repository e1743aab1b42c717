"""Providers fail in every way they know, and the contact is reached all the same: once."""

from beckon.demo import Stage
from beckon.sandbox.scenarios import Edit
from tests.journeys.conftest import OpenStage
from tests.journeys.visit import DAY_MS, MINUTE_MS, ServiceVisit

IN_TEN_MINUTES = Edit(
    file="flows/service-checkin.yaml",
    replace="  - send: checkin_invite",
    by="  - send: checkin_invite\n    fallback_after: 10m",
)


async def test_a_provider_that_comes_back_takes_the_message_once(stage: Stage) -> None:
    visit = ServiceVisit(stage)
    visit.fault("oem_app", down=True)
    await visit.provider_says_checkin_start()
    assert visit.apps_with_messages() == []
    assert (await visit.newest_message()).state == "retrying"
    visit.well("oem_app")
    await visit.pass_time(MINUTE_MS)
    assert visit.apps_with_messages() == ["oem_app"]
    assert len(visit.messages("oem_app")) == 1
    assert await visit.tries() == ["oem_app unavailable", "oem_app sent"]


async def test_a_provider_that_stays_down_is_passed_over_after_its_last_try(stage: Stage) -> None:
    visit = ServiceVisit(stage)
    visit.fault("oem_app", down=True)
    await visit.provider_says_checkin_start()
    for _ in range(3):
        await visit.pass_time(5 * MINUTE_MS)
    assert visit.apps_with_messages() == ["whatsapp"]
    assert await visit.tries() == [*["oem_app unavailable"] * 4, "whatsapp sent"]


async def test_a_pause_that_a_provider_asks_for_is_kept(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("whatsapp", "sms"))
    visit.fault("whatsapp_cloud", rate_limited=True, retry_after_s=600)
    await visit.provider_says_checkin_start()
    visit.well("whatsapp_cloud")
    await visit.pass_time(9 * MINUTE_MS)
    assert visit.apps_with_messages() == []
    await visit.pass_time(MINUTE_MS)
    assert visit.apps_with_messages() == ["whatsapp"]
    assert await visit.tries() == ["whatsapp unavailable", "whatsapp sent"]


async def test_a_rejected_template_sends_the_message_to_the_next_channel(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("whatsapp", "sms"))
    visit.fault("whatsapp_cloud", template_rejected=True)
    await visit.provider_says_checkin_start()
    assert visit.apps_with_messages() == ["sms"]


async def test_a_number_that_is_not_on_whatsapp_sends_the_message_to_the_next_channel(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("whatsapp", "sms"))
    visit.fault("whatsapp_cloud", number_invalid=True)
    await visit.provider_says_checkin_start()
    assert visit.apps_with_messages() == ["sms"]
    assert await visit.tries() == ["whatsapp refused", "sms sent"]


async def test_a_message_that_fails_after_it_was_taken_goes_to_the_next_channel(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("whatsapp", "sms"))
    visit.fault("whatsapp_cloud", fail_later=True)
    await visit.provider_says_checkin_start()
    assert visit.apps_with_messages() == ["sms"]
    assert await visit.tries() == ["whatsapp failed", "sms sent"]


async def test_receipts_twice_and_out_of_order_change_nothing(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("whatsapp", "sms"))
    visit.fault("whatsapp_cloud", receipts="out_of_order")
    await visit.provider_says_checkin_start()
    assert (await visit.newest_message()).state == "delivered"
    visit.fault("whatsapp_cloud", receipts="duplicated")
    await visit.pass_time(MINUTE_MS)
    await visit.business_says("repair.started")
    assert (await visit.newest_message()).state == "delivered"
    assert visit.apps_with_messages() == ["whatsapp"]
    assert len(await visit.entries("message")) == 2


async def test_no_receipt_in_time_sends_the_message_to_the_next_channel(open_stage: OpenStage) -> None:
    visit = ServiceVisit(await open_stage(IN_TEN_MINUTES))
    visit.fault("oem_app", receipts="none")
    await visit.provider_says_checkin_start()
    await visit.pass_time(9 * MINUTE_MS)
    assert visit.messages("whatsapp") == []
    await visit.pass_time(MINUTE_MS)
    assert len(visit.messages("whatsapp")) == 1
    await visit.pass_time(DAY_MS // 2)
    assert visit.messages("sms") == []


async def test_a_late_receipt_cancels_the_fallback(open_stage: OpenStage) -> None:
    visit = ServiceVisit(await open_stage(IN_TEN_MINUTES))
    visit.fault("oem_app", receipts="late", late_ms=9 * MINUTE_MS)
    await visit.provider_says_checkin_start()
    assert (await visit.newest_message()).state == "sent"
    await visit.pass_time(9 * MINUTE_MS)
    assert (await visit.newest_message()).state == "delivered"
    await visit.pass_time(60 * MINUTE_MS)
    assert visit.apps_with_messages() == ["oem_app"]
