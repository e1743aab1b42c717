"""The check-in app without a browser: the way through, and everything that a person or a machine may do beside it."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from beckon.core.errors import Refused, Unavailable
from beckon.sandbox.wvp.answers import STEPS
from beckon.web.locales import LOCALES
from tests.sandbox.checkin import ANSWERS, NOW_MS, Provider


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    opened = Provider()
    yield opened
    await opened.wvp.close()


async def send(client: httpx.AsyncClient, slug: str, step: str, **form: Any) -> httpx.Response:
    """Post a step as its form does; with nothing else given, the usual answers."""
    return await client.post(f"/{slug}/{step}", data=form or ANSWERS[step] or {"go": "next"})


async def walk(client: httpx.AsyncClient, slug: str, *steps: str) -> httpx.Response:
    answer = await client.get(f"/{slug}")
    for step in steps or STEPS:
        answer = await send(client, slug, step)
    return answer


async def test_a_customer_checks_in_and_beckon_hears_it_once(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        answer = await walk(client, visit.slug)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/{visit.slug}/done")
        assert "You are checked in" in (await client.get(f"/{visit.slug}/done")).text
        for _ in range(3):  # a second tap, a reload, the back button
            assert (await send(client, visit.slug, "review")).headers["location"] == f"/{visit.slug}/done"
        assert (await client.get(f"/{visit.slug}")).headers["location"] == f"/{visit.slug}/done"
        assert (await client.get(f"/{visit.slug}/key")).headers["location"] == f"/{visit.slug}/done"
    await provider.wvp.reporter.settled()

    (event,) = provider.listener.said("checkin.finished")
    assert event["specversion"] == "1.0"
    assert event["source"] == "sandbox/wvp"
    assert event["subject"] == "V-1001"
    text = "I ask Garage Vermeulen to carry out the planned work, and agree that my details are used for this visit."
    data = event["data"]
    assert data["consent"].pop("marketing")["granted"] is False
    assert data["consent"].pop("updates")["granted"] is True
    assert data == {
        "visit": "V-1001",
        "contact": {
            "name": "Anna Janssens",
            "phone": "+32470123457",
            "email": "anna@example.com",
            "locale": "en",
        },
        "mileage": 45_300,
        "mileage_unit": "km",
        "wishes": ["Car wash", "I hear a noise"],
        "note": "Rattles when cold",
        "key_drop": {"kind": "box", "code": visit.box_code},
        "consent": {
            "terms": {"granted": True, "text": text, "locale": "en", "at": "2026-11-20T10:00:00.000Z"},
        },
        "finished_at": "2026-11-20T10:00:00.000Z",
    }
    sent = provider.listener.headers[-1]
    assert sent["authorization"] == "Bearer bk_test"
    assert sent["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert sent["url"] == "http://beckon.example/v1/events"


async def test_opening_is_reported_once_and_a_preview_is_no_opening(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        await client.get(f"/{visit.slug}", headers={"user-agent": "WhatsApp/2.23.20.0 A"})
        await client.head(f"/{visit.slug}")
        await provider.wvp.reporter.settled()
        assert provider.listener.posted == []
        await client.get(f"/{visit.slug}")
        await client.get(f"/{visit.slug}")
    await provider.wvp.reporter.settled()
    (event,) = provider.listener.posted
    assert event["type"] == "checkin.opened"
    assert event["data"]["visit"] == "V-1001"


async def test_what_the_business_knows_is_filled_in(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        start = (await client.get(f"/{visit.slug}")).text
        for words in ("Hello Anna", "Aurora Estate 2.0", "1-ABC-234", "Wednesday 25 November, 08:30", "Annual service"):
            assert words in start
        contact = (await client.get(f"/{visit.slug}/contact")).text
        assert 'value="Anna Janssens"' in contact
        assert 'value="+32 470 12 34 56"' in contact
        assert "42,800" in (await client.get(f"/{visit.slug}/mileage")).text


async def test_a_wrong_answer_is_explained_at_its_field_and_kept(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        answer = await send(client, visit.slug, "contact", name="", phone="0470 1", email="anna@gmial.com")
        assert answer.status_code == 303
        page = (await client.get(answer.headers["location"])).text
        assert "<title>Error: How can we reach you?" in page
        assert page.count('aria-invalid="true"') == 3
        for field in ("name", "phone", "email"):
            assert f'id="{field}-wrong"' in page
        assert "Do you mean anna@gmail.com?" in page
        assert 'value="0470 1"' in page
        assert "wrong" not in (await client.get(f"/{visit.slug}/contact")).text, "not before it is sent"


async def test_changing_the_language_loses_nothing_and_checks_nothing(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        form = {"name": "Anna", "phone": "04", "email": "half@", "lang": "de"}
        answer = await send(client, visit.slug, "contact", **form)
        page = (await client.get(answer.headers["location"])).text
        assert '<html lang="de">' in page
        assert "Wie erreichen wir Sie?" in page
        assert 'value="04"' in page
        assert 'value="half@"' in page
        assert "data-wrong" not in page
        assert 'lang="de"' in (await client.get(f"/{visit.slug}")).text, "the choice stays"


@pytest.mark.parametrize("locale", LOCALES)
async def test_every_page_speaks_every_language(provider: Provider, locale: str):
    visit = provider.plan(visit=f"V-{locale}")
    async with provider.client() as client:
        await client.get(f"/{visit.slug}?lang={locale}")
        for step in STEPS:
            page = await client.get(f"/{visit.slug}/{step}")
            assert page.status_code == 200
            assert f'<html lang="{locale}">' in page.text
            assert page.headers["content-language"] == locale
            # A key or a name that wasn't filled in would show as such.
            shown = re.sub(r"<[^>]*>", "", page.text.split("<main", 1)[1])
            assert not re.search(r"\{[a-z_]+\}|\b(wish|key|short|review)\.[a-z_]+", shown)
        await walk(client, visit.slug)
        assert (await client.get(f"/{visit.slug}/done")).status_code == 200
    await provider.wvp.reporter.settled()
    result = provider.listener.said("checkin.finished")[-1]["data"]
    assert result["contact"]["locale"] == locale
    assert result["wishes"] == ["Car wash", "I hear a noise"], "the team reads its own language"


async def test_the_language_is_the_customers_then_the_businesss_then_the_browsers(provider: Provider):
    known = provider.plan(visit="A", contact={"name": "A", "locale": "sv"})
    unknown = provider.plan(visit="B", contact={"name": "B"})
    async with provider.client(**{"accept-language": "it-IT,it;q=0.9"}) as client:
        assert '<html lang="sv">' in (await client.get(f"/{known.slug}")).text
        assert '<html lang="it">' in (await client.get(f"/{unknown.slug}")).text
        assert '<html lang="nl-BE">' in (await client.get(f"/{known.slug}?lang=nl")).text
        assert '<html lang="nl-BE">' in (await client.get(f"/{known.slug}?lang=xx")).text


async def test_a_browser_language_that_was_shown_is_the_one_that_is_reported(provider: Provider):
    visit = provider.plan(contact={"name": "B", "phone": "+32470123456"})
    async with provider.client(**{"accept-language": "it-IT"}) as client:
        await walk(client, visit.slug)
    await provider.wvp.reporter.settled()
    (event,) = provider.listener.said("checkin.finished")
    assert event["data"]["contact"]["locale"] == "it"
    assert event["data"]["consent"]["terms"]["text"].startswith("Incarico")


async def test_back_keeps_what_was_typed_and_goes_to_the_step_before(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        answer = await send(client, visit.slug, "wishes", note="half a th", go="back")
        assert answer.headers["location"] == f"/{visit.slug}/mileage"
        assert "half a th" in (await client.get(f"/{visit.slug}/wishes")).text
        answer = await send(client, visit.slug, "contact", name="", go="back")
        assert answer.headers["location"] == f"/{visit.slug}"


async def test_typing_is_kept_in_the_background_without_a_page(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        answer = await send(client, visit.slug, "mileage", mileage="45", go="keep")
        assert (answer.status_code, answer.content) == (204, b"")
        assert 'value="45"' in (await client.get(f"/{visit.slug}/mileage")).text


async def test_what_was_kept_in_the_background_never_undoes_what_was_written_later(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        await send(client, visit.slug, "mileage", mileage="45300", written="1700000002000")
        await send(client, visit.slug, "mileage", mileage="45", go="keep", written="1700000001000")
        assert visit.typed["mileage"] == "45300"
        await send(client, visit.slug, "wishes", note="It", go="keep", written="1700000001000")
        assert visit.typed["note"] == "It", "another step has its own order"
        await send(client, visit.slug, "mileage", mileage="45310", go="keep", written="1700000003000")
        assert visit.typed["mileage"] == "45310"
        for odd in ("", "x", "-1", "9" * 400):
            await send(client, visit.slug, "mileage", mileage="45320", written=odd)
            assert visit.typed["mileage"] == "45320"


async def test_the_review_leads_to_a_step_and_back_and_never_sends_what_is_missing(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        answer = await send(client, visit.slug, "review")
        assert answer.headers["location"] == f"/{visit.slug}/mileage?check=1&return=1#wrong"
        page = (await client.get(f"/{visit.slug}/mileage?return=1")).text
        assert 'name="return"' in page
        answer = await send(client, visit.slug, "mileage", mileage="45300", unit="km", **{"return": "1"})
        assert answer.headers["location"] == f"/{visit.slug}/review"
        assert "Not answered yet" in (await client.get(f"/{visit.slug}/review")).text
    assert visit.finished_ms == 0


async def test_hostile_text_is_shown_as_text(provider: Provider):
    hostile = "<script>alert(1)</script>\"'{{7*7}}"
    visit = provider.plan(contact={"name": hostile}, vehicle={"model": hostile})
    async with provider.client() as client:
        await send(client, visit.slug, "wishes", note=hostile)
        for path in ("", "/contact", "/wishes", "/review"):
            page = (await client.get(f"/{visit.slug}{path}")).text
            assert "<script>alert" not in page
            assert "49" not in re.sub(r"<[^>]*>", "", page)


@pytest.mark.parametrize("slug", ["x", "0" * 18, "favicon.ico", "%2e%2e", "visits2", "é"])
async def test_an_unknown_slug_has_a_decent_page(provider: Provider, slug: str):
    async with provider.client() as client:
        for path in (f"/{slug}", f"/{slug}/contact", f"/{slug}/done"):
            page = await client.get(path)
            assert page.status_code == 404
            assert "We can&#39;t find this check-in" in page.text
            assert "tel:+3291234567" in page.text


async def test_an_unknown_step_has_a_decent_page(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        assert (await client.get(f"/{visit.slug}/payment")).status_code == 404
        assert (await client.post(f"/{visit.slug}/payment", data={"a": "b"})).status_code == 404


async def test_after_its_time_a_check_in_is_closed_but_a_finished_one_can_still_be_seen(provider: Provider):
    late, done = provider.plan(visit="A"), provider.plan(visit="B")
    async with provider.client() as client:
        await walk(client, done.slug)
        provider.clock.drag(late.expires_ms - NOW_MS)
        for answer in (await client.get(f"/{late.slug}"), await send(client, late.slug, "contact")):
            assert answer.status_code == 410
            assert "This check-in has closed" in answer.text
        assert (await client.get(f"/{done.slug}/done")).status_code == 200


async def test_a_form_is_bounded_and_of_its_own_kind(provider: Provider):
    visit = provider.plan()
    path = f"/{visit.slug}/wishes"
    kind = {"content-type": "application/x-www-form-urlencoded"}
    async with provider.client() as client:
        assert (await client.post(path, content=b"note=" + b"x" * 17_000, headers=kind)).status_code == 413
        assert (await client.post(path, content=b"&".join([b"a=1"] * 100), headers=kind)).status_code == 400
        assert (await client.post(path, content=b"note=\xff\xfe", headers=kind)).status_code == 400
        assert (await client.post(path, content=b"note=%ff", headers=kind)).status_code == 400
        assert (await client.post(path, json={"note": "x"})).status_code == 415
        assert (await client.post(path, files={"note": b"x"})).status_code == 415
        assert (await client.put(path)).status_code == 405
    assert visit.typed == {}


async def test_the_business_plans_a_visit_over_http_and_starts_it(provider: Provider):
    plan = {
        "visit": "V-7",
        "contact": {"first_name": "Anna", "last_name": "J", "phone": "+32470123456", "oem_app": "drv_1"},
        "appointment": {"at": "2026-11-25T08:30:00+01:00"},
        "start": True,
    }
    async with provider.client(authorization="Bearer dms-key") as client:
        answer = await client.post("/visits", json=plan)
        assert answer.status_code == 201
        again = await client.post("/visits", json=plan)
    assert again.json() == answer.json() | {"started": False}
    await provider.wvp.reporter.settled()
    (event,) = provider.listener.said("checkin.start")
    assert event["data"]["visit"] == "V-7"
    assert event["data"]["slug"] == answer.json()["slug"]
    assert event["data"]["contact"]["oem_app"] == "drv_1"
    assert event["data"]["appointment"]["at"] == "2026-11-25T08:30:00+01:00"


@pytest.mark.parametrize("token", [None, "Bearer wrong", "Basic dms-key", "Bearer "])
async def test_nobody_else_plans_visits(provider: Provider, token: str | None):
    async with provider.client(**({"authorization": token} if token else {})) as client:
        answer = await client.post("/visits", json={"visit": "x"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_without_a_business_key_nobody_plans_visits_over_http():
    closed = Provider(business_key="")
    async with closed.client(authorization="Bearer ") as client:
        assert (await client.post("/visits", json={})).status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, None),
        (b"[]", 400, None),
        (b'{"visit": 5}', 422, "visit"),
        (b'{"appointment": {"at": "tomorrow"}}', 422, "appointment.at"),
        (b'{"appointment": {"at": "2026-11-25T08:30:00"}}', 422, "appointment.at"),
        (b'{"vehicle": {"mileage": -4}}', 422, "vehicle.mileage"),
        (b'{"mileage_unit": "leagues"}', 422, "mileage_unit"),
        (b'{"contact": {"name": "' + b"x" * 200 + b'"}}', 422, "contact"),
        (b'{"visit": "' + b"x" * 70_000 + b'"}', 413, None),
    ],
)
async def test_a_bad_plan_is_refused_by_its_field(provider: Provider, body: bytes, status: int, field: str | None):
    async with provider.client(authorization="Bearer dms-key") as client:
        answer = await client.post("/visits", content=body)
    assert answer.status_code == status
    assert answer.json().get("field") == field


async def test_a_report_is_tried_again_until_it_is_taken_and_keeps_its_id(provider: Provider):
    visit = provider.plan()
    provider.listener.script = [503, 429, Unavailable("http.timeout", "Too slow."), 202]
    provider.wvp.start_checkin(visit)
    await provider.wvp.reporter.settled()
    assert provider.listener.tries == 4
    assert len(provider.listener.posted) == 1
    (report,) = provider.wvp.reporter.kept
    assert (report.state, report.tries) == ("taken", 4)
    assert provider.wvp.start_checkin(visit) is False, "said once"


async def test_reports_keep_their_order_while_the_other_side_is_down(provider: Provider):
    visit = provider.plan()
    provider.listener.script = [503, 503, 503]
    provider.wvp.start_checkin(visit)
    async with provider.client() as client:
        await walk(client, visit.slug)
    await provider.wvp.reporter.settled()
    assert [event["type"] for event in provider.listener.posted] == [
        "checkin.start",
        "checkin.opened",
        "checkin.finished",
    ]


async def test_a_report_that_is_refused_is_kept_with_its_reason_and_blocks_nothing(provider: Provider):
    provider.listener.script = [422, Refused("x.y", "No such host.")]
    for name in ("A", "B", "C"):
        provider.wvp.start_checkin(provider.plan(visit=name))
    await provider.wvp.reporter.settled()
    first, second, third = provider.wvp.reporter.kept
    assert (first.state, second.state, third.state) == ("refused", "refused", "taken")
    assert "422" in first.why
    assert "said no" in first.why


async def test_the_appointment_can_be_put_into_a_calendar(provider: Provider):
    visit = provider.plan(appointment={"at": "2026-11-25T08:30:00+01:00", "place": "A; B, C", "street": "é" * 80})
    async with provider.client() as client:
        answer = await client.get(f"/{visit.slug}/visit.ics")
    assert answer.headers["content-type"].startswith("text/calendar")
    assert "DTSTART:20261125T073000Z\r\n" in answer.text
    assert "A\\; B\\, C" in answer.text.replace("\r\n ", "")
    assert max(len(line.encode()) for line in answer.text.split("\r\n")) <= 75


async def test_pages_carry_the_headers_that_keep_them_to_themselves(provider: Provider):
    visit = provider.plan()
    async with provider.client() as client:
        headers = (await client.get(f"/{visit.slug}")).headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert headers["cache-control"] == "private, no-cache"
    assert headers["referrer-policy"] == "same-origin"


async def test_mounted_under_a_path_the_app_stays_there(provider: Provider):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    visit = provider.plan()
    outer = Starlette(routes=[Mount("/wvp", app=provider.app)])
    transport = httpx.ASGITransport(app=outer)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert f'href="/wvp/{visit.slug}/contact"' in (await client.get(f"/wvp/{visit.slug}")).text
        answer = await send(client, visit.slug and f"wvp/{visit.slug}", "mileage", mileage="45300")
    assert answer.headers["location"] == f"/wvp/{visit.slug}/wishes"


def test_only_so_many_visits_are_kept(monkeypatch: pytest.MonkeyPatch):
    from beckon.sandbox.wvp import visits

    monkeypatch.setattr(visits, "VISITS_MAX", 3)
    provider = Provider()
    planned = [provider.plan(visit=f"V-{number}") for number in range(5)]
    assert [provider.wvp.visits.at(visit.slug) is not None for visit in planned] == [False, False, True, True, True]
    assert provider.wvp.visits.named("V-0") is None
