"""The seed's story: the integrator recipe of the service check-in, A to H, and what may come in between."""

import msgspec
import pytest

from beckon.demo import Stage
from beckon.sandbox.scenarios import Edit
from tests.journeys.conftest import OpenStage
from tests.journeys.visit import DAY_MS, HOUR_MS, ServiceVisit


@pytest.mark.parametrize(
    ("channel", "has"),
    [("oem_app", ("oem_app", "whatsapp", "sms", "email")), ("whatsapp", ("whatsapp", "sms"))],
)
async def test_the_story_from_a_to_h(stage: Stage, channel: str, has: tuple[str, ...]) -> None:
    visit = ServiceVisit(stage, has=has)

    # A: WVP sends checkin.start event to trigger check-in notification
    answer = await visit.provider_says_checkin_start()
    assert answer.status == 202

    # B: Check-In invitation is sent to upstream provider, to the preferred channel
    assert visit.apps_with_messages() == [channel]
    assert (await visit.newest_message()).state == "delivered"

    # C, D: Contact is notified, opens the app; the conversation shows the Start Check-In invite
    await visit.contact_reads(channel)
    assert (await visit.newest_message()).state == "read"
    assert visit.messages(channel)[-1].buttons[0].text == "Start check-in"

    # E: Contact clicks button, opens WVP Check-In app at the consumer-specific URL
    page = await visit.contact_taps_the_button(channel)
    assert page.status == 200
    assert page.url == visit.cast.wvp.url(visit.visit)
    assert len(await visit.entries("click")) == 1

    # F: Contact completes checkin
    done = await visit.contact_completes_the_checkin(page)
    assert done.url.endswith("/done")

    # G: WVP sends checkin.finished event, processed into a Check In results message
    (results,) = await visit.results()
    assert results["visit"] == "visit-1"
    assert results["mileage"] == 45_300
    assert results["note"] == "A rattling noise at the front, above 80 km/h."
    assert results["key_drop"]["kind"] == "box"
    assert results["consent"]["terms"]["granted"] is True

    # H: Service Advisors are notified
    assert await visit.inbox() == "service-advisors"
    assert len(await visit.entries("notice")) == 1

    # and the dealership's confirmation goes out as a template message
    assert "thank you for checking in" in visit.messages(channel)[-1].text
    kinds = [entry.kind for entry in await visit.entries()]
    assert kinds == ["message", "click", "results", "notice", "message"]


async def test_an_invitation_that_nobody_answers_is_followed_by_one_reminder_and_a_note(stage: Stage) -> None:
    visit = ServiceVisit(stage)
    await visit.provider_says_checkin_start()
    await visit.pass_time(DAY_MS - HOUR_MS)
    assert len(visit.messages("oem_app")) == 1
    await visit.pass_time(HOUR_MS)
    assert len(visit.messages("oem_app")) == 2
    assert visit.messages("oem_app")[-1].buttons[0].text == "Check in now"
    await visit.pass_time(2 * DAY_MS)
    assert len(visit.messages("oem_app")) == 2
    assert len(await visit.entries("note")) == 1
    assert await visit.results() == []
    (run,) = await visit.cast.runs(visit.contact)
    assert (run.status, run.ended) == ("stopped", "expired")


async def test_the_same_event_twice_invites_once(stage: Stage) -> None:
    visit = ServiceVisit(stage)
    first = await visit.provider_says_checkin_start()
    second = await visit.again(first)
    assert (second.status, second.body["duplicate"]) == (202, True)
    await visit.provider_says_checkin_start()
    assert len(visit.messages("oem_app")) == 1
    assert len(await visit.cast.runs(visit.contact)) == 1


async def test_a_checkin_that_is_finished_twice_comes_home_once(stage: Stage) -> None:
    visit = ServiceVisit(stage)
    await visit.provider_says_checkin_start()
    finished = await visit.business_says("checkin.finished", mileage=45_300)
    await visit.again(finished)
    await visit.business_says("checkin.finished", mileage=45_301)
    assert [one["mileage"] for one in await visit.results()] == [45_300]
    assert len(await visit.entries("notice")) == 1


async def test_a_result_for_another_visit_does_not_end_this_one(stage: Stage) -> None:
    anna, other = ServiceVisit(stage, number=1), ServiceVisit(stage, number=2)
    await anna.provider_says_checkin_start()
    await other.provider_says_checkin_start()
    await other.business_says("checkin.finished", mileage=12)
    assert await anna.results() == []
    assert [run.status for run in await anna.cast.runs(anna.contact)] == ["waiting"]
    assert [run.status for run in await other.cast.runs(other.contact)] == ["done"]


async def test_the_confirmation_can_be_switched_off(open_stage: OpenStage) -> None:
    quiet = Edit(file="flows/service-checkin.yaml", replace="confirm: true", by="confirm: false")
    visit = ServiceVisit(await open_stage(quiet))
    await visit.provider_says_checkin_start()
    await visit.business_says("checkin.finished", mileage=45_300)
    assert len(visit.messages("oem_app")) == 1
    assert len(await visit.results()) == 1


async def test_an_old_link_says_that_it_is_old_and_counts_as_no_click(open_stage: OpenStage) -> None:
    short = Edit(file="beckon.yaml", replace="region: BE", by="link_hours: 1\nregion: BE")
    visit = ServiceVisit(await open_stage(short))
    await visit.provider_says_checkin_start()
    await visit.pass_time(HOUR_MS)
    page = await visit.contact_taps_the_button("oem_app")
    assert page.status == 410
    assert await visit.entries("click") == []


async def test_a_contact_reads_the_invitation_in_their_own_language(stage: Stage) -> None:
    visit = ServiceVisit(stage, has=("whatsapp",), locale="nl-BE")
    await visit.provider_says_checkin_start()
    (invitation,) = visit.messages("whatsapp")
    assert invitation.text.startswith("Dag Anna, ")
    page = await visit.contact_taps_the_button("whatsapp")
    assert 'lang="nl-BE"' in page.text


async def test_a_partners_own_json_starts_the_checkin_through_a_mapping(stage: Stage) -> None:
    visit = ServiceVisit(stage)
    native = {
        "event": "tjekvik.checkin.invite",
        "event_id": "tj-1",
        "occurred_at": "2026-09-15T08:00:00Z",
        "appointment": {"id": "visit-1", "starts_at": "2026-09-18T08:30:00+02:00", "advisor": {"name": "Anouk"}},
        "customer": {
            "first_name": "Anna",
            "last_name": "Janssens",
            "mobile": "0" + visit.contact.address("sms").removeprefix("+32"),
            "language": "en",
        },
        "checkin": {"slug": visit.visit.slug},
    }
    reply = await stage.cast.parts.connections.request(
        "POST",
        f"{stage.address}/v1/events?mapping=tjekvik",
        headers={"authorization": f"Bearer {stage.cast.parts.api_key}", "content-type": "application/json"},
        body=msgspec.json.encode(native),
    )
    await stage.cast.quiet()
    assert reply.status == 202
    (invitation,) = visit.messages("whatsapp")
    page = await visit.contact_taps_the_button("whatsapp")
    assert invitation.template == "service_checkin_invite"
    assert page.url == visit.cast.wvp.url(visit.visit)
