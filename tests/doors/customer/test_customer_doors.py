"""The customer's doors: a signed link opens its page and is counted once; messages stop when a person says so."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from beckon.core.clock import VirtualClock
from beckon.core.contact import Contact
from beckon.core.delivery import Choice, Delivery
from beckon.core.errors import BeckonError, Unavailable
from beckon.core.event import Event
from beckon.doors.customer import CustomerDoor, Facts, StoredLinks, routes
from beckon.doors.customer.acts import SAME_CLICK_MS, clicked, safe_url
from beckon.store.changes import Changes
from beckon.store.database import open_database
from beckon.store.migrations import migrate
from beckon.store.tables import CONTACTS, DELIVERIES, LINKS
from beckon.web import problems, static
from beckon.web.links import Link, new_code
from beckon.web.locales import LOCALES
from beckon.workspaces import Workspaces

KEY = b"k" * 32
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
HOUR_MS = 3_600_000


class Book:
    """A book of links in memory."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.said = Facts(business="Garage Vermeulen", locale="", channel="email")
        self.looked_up: list[str] = []
        self.clicks: list[Link] = []
        self.stops: list[tuple[str, str, str]] = []
        self.down = False

    async def find_link(self, code: str) -> Link | None:
        self.looked_up.append(code)
        return self.links.get(code)

    async def facts(self, link: Link) -> Facts:
        return self.said

    async def clicked(self, link: Link, now_ms: int) -> None:
        if self.down:
            raise Unavailable("intake.full", "Later.")
        self.clicks.append(link)

    async def stopped(self, link: Link, purpose: str, channel: str, how: str, now_ms: int) -> None:
        self.stops.append((purpose, channel, how))


class Street:
    """The doors, and a customer in front of them."""

    def __init__(self) -> None:
        self.book = Book()
        self.clock = VirtualClock()
        self.app = Starlette(
            routes=[
                *routes(CustomerDoor(book=self.book, key=KEY, clock=self.clock)),
                *static.routes(),
            ],
            exception_handlers={BeckonError: problems.on_error},
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app), base_url="http://b", headers={"user-agent": SAFARI}
        )

    def link(self, url: str = "https://checkin.example/abc?x=1#y") -> str:
        code = new_code(KEY)
        self.book.links[code] = Link(
            code=code,
            workspace="main",
            contact="con_1",
            delivery="dlv_1",
            url=url,
            expires_ms=self.clock.now_ms() + HOUR_MS,
        )
        return code


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    opened = Street()
    yield opened
    await opened.client.aclose()


async def test_a_tap_opens_the_page_and_is_counted(street: Street):
    code = street.link()
    answer = await street.client.get(f"/go/{code}")
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://checkin.example/abc?x=1#y"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert [link.code for link in street.book.clicks] == [code]


@pytest.mark.parametrize(
    "headers",
    [{"user-agent": "WhatsApp/2.23"}, {"user-agent": "Slackbot-LinkExpanding 1.0"}, {"sec-purpose": "prefetch"}],
)
async def test_a_preview_sees_the_page_but_is_no_click(street: Street, headers: dict[str, str]):
    answer = await street.client.get(f"/go/{street.link()}", headers=headers)
    assert answer.status_code == 302
    assert (await street.client.head(f"/go/{street.link()}")).status_code == 302
    assert street.book.clicks == []


async def test_a_guessed_code_is_refused_without_a_look(street: Street):
    for code in ("x", "0" * 18, "é" * 18, "%2e%2e", new_code(b"another key")):
        for path in (f"/go/{code}", f"/stop/{code}"):
            answer = await street.client.get(path)
            assert answer.status_code == 404
            assert "find this page" in answer.text
    assert street.book.looked_up == []


async def test_a_code_of_ours_without_a_row_is_unknown(street: Street):
    assert (await street.client.get(f"/go/{new_code(KEY)}")).status_code == 404


@pytest.mark.parametrize("locale", LOCALES)
async def test_an_expired_link_says_so_in_the_contacts_language(street: Street, locale: str):
    street.book.said = Facts(business="Garage Vermeulen", locale=locale)
    code = street.link()
    street.clock.drag(HOUR_MS)
    answer = await street.client.get(f"/go/{code}", headers={"accept-language": "pt"})
    assert answer.status_code == 410
    assert f'<html lang="{locale}">' in answer.text
    assert "Garage Vermeulen" in answer.text
    assert street.book.clicks == []


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "//evil.example/",
        "/console",
        "https:/x",
        "https://",
        "http:\\\\evil.example",
        "https://a.example/\r\nSet-Cookie: x=1",
        "https://a.example/ b",
        "file:///etc/passwd",
        "",
        "https://[::1",
        "https://a.example/" + "x" * 5_000,
    ],
)
async def test_a_row_with_anything_but_a_web_address_leads_nowhere(street: Street, url: str):
    assert safe_url(url) is None
    answer = await street.client.get(f"/go/{street.link(url)}")
    assert answer.status_code == 404
    assert "location" not in answer.headers


async def test_nothing_in_the_request_changes_where_a_link_leads(street: Street):
    code = street.link("https://checkin.example/abc")
    answer = await street.client.get(
        f"/go/{code}?url=https://evil.example&next=//evil", headers={"host": "evil.example"}
    )
    assert answer.headers["location"] == "https://checkin.example/abc"


async def test_a_click_that_cannot_be_counted_still_opens_the_page(street: Street):
    street.book.down = True
    assert (await street.client.get(f"/go/{street.link()}")).status_code == 302


async def test_looking_at_the_stop_page_stops_nothing(street: Street):
    code = street.link()
    for method in ("GET", "HEAD"):
        assert (await street.client.request(method, f"/stop/{code}")).status_code == 200
    page = (await street.client.get(f"/stop/{code}")).text
    assert "No messages by e-mail at all" in page
    assert street.book.stops == []


@pytest.mark.parametrize(
    ("choice", "stop"),
    [
        ("offers", ("marketing", "*", "unsubscribe page, offers")),
        ("channel", ("*", "email", "unsubscribe page, all messages")),
    ],
)
async def test_a_person_chooses_what_stops(street: Street, choice: str, stop: tuple[str, str, str]):
    answer = await street.client.post(f"/stop/{street.link()}", data={"stop": choice})
    assert answer.status_code == 200
    assert "That’s done" in answer.text
    assert street.book.stops == [stop]


@pytest.mark.parametrize(("purpose", "stopped"), [("marketing", "marketing"), ("transactional", "*")])
async def test_a_mail_program_unsubscribes_with_one_click_even_after_the_links_time(
    street: Street, purpose: str, stopped: str
):
    street.book.said = Facts(channel="email", purpose=purpose)
    code = street.link()
    street.clock.drag(1_000 * HOUR_MS)
    answer = await street.client.post(
        f"/stop/{code}", data={"List-Unsubscribe": "One-Click"}, headers={"user-agent": "mail-provider"}
    )
    assert answer.status_code == 204
    assert street.book.stops == [(stopped, "email", "one-click unsubscribe")]


async def test_a_mail_program_may_send_its_click_as_multipart(street: Street):
    body = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = await street.client.post(f"/stop/{street.link()}", content=body, headers=kind)
    assert answer.status_code == 204
    assert len(street.book.stops) == 1
    broken = await street.client.post(
        f"/stop/{street.link()}", content=b"--x", headers={"content-type": "multipart/form-data"}
    )
    assert broken.status_code == 400


async def test_a_form_that_says_nothing_stops_nothing(street: Street):
    code = street.link()
    for form in ({}, {"stop": "everything"}, {"List-Unsubscribe": "maybe"}):
        assert (await street.client.post(f"/stop/{code}", data=form)).status_code == 400
    big = await street.client.post(f"/stop/{code}", data={"stop": "x" * 5_000})
    assert big.status_code == 413
    assert street.book.stops == []


def test_a_second_tap_at_once_is_the_same_click():
    link = Link(code="c", workspace="main", contact="con_1", delivery="dlv_1", url="https://x.example", expires_ms=0)
    first = clicked(link, 10 * SAME_CLICK_MS)
    assert clicked(link, 10 * SAME_CLICK_MS + 500).id == first.id
    assert clicked(link, 11 * SAME_CLICK_MS).id != first.id
    assert first.type == "link.clicked"
    assert first.data == {"link": "c", "contact": "con_1", "delivery": "dlv_1", "url": "https://x.example"}


async def test_the_stored_links_are_found_with_their_facts_and_acts_are_accepted(database_url: str):
    database = open_database(database_url)
    await database.open()
    await migrate(database)
    link = Link(
        code=new_code(KEY), workspace="main", contact="con_1", delivery="dlv_1", url="https://x.example", expires_ms=9
    )
    contact = Contact(id="con_1", workspace="main", locale="fr")
    delivery = Delivery(
        id="dlv_1", workspace="main", contact="con_1", purpose="marketing", choice=Choice("sms", "twilio_sms", "")
    )
    changes = Changes()
    changes.insert(LINKS, link.row())
    changes.insert(CONTACTS, ("con_1", "main", "", 0, msgspec.json.encode(contact).decode()))
    body = msgspec.json.encode(delivery).decode()
    changes.insert(DELIVERIES, ("dlv_1", "main", "con_1", "sent", "sms", "twilio_sms", 0, 0, body))
    await database.commit(changes)
    accepted: list[Event] = []

    async def accept(events: Any) -> None:
        accepted.extend(events)

    book = StoredLinks(database, Workspaces(), accept)
    assert await book.find_link(link.code) == link
    assert await book.find_link(new_code(KEY)) is None
    assert await book.facts(link) == Facts(business="", locale="fr", channel="sms", purpose="marketing")
    lost = msgspec.structs.replace(link, contact="con_9", delivery="dlv_9")
    assert await book.facts(lost) == Facts()
    await book.clicked(link, 5)
    await book.stopped(link, "marketing", "*", "one-click unsubscribe", 6)
    await database.close()
    assert [event.type for event in accepted] == ["link.clicked", "consent.changed"]
    stop = accepted[1].data
    assert (stop["purpose"], stop["channel"], stop["granted"]) == ("marketing", "*", False)
    assert link.code in stop["proof"]
