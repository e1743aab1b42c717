"""The check-in story as rows: what the console shows in its tests and screenshots.

Anna is reached over WhatsApp, checks in and is thanked; Marc's message falls back from WhatsApp to SMS; nobody can
reach Ingrid; Tom's mail is doubtful; Sofía wrote by herself and got an answer; a number without a name wrote last.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from beckon.core.clock import VirtualClock
from beckon.core.command import Notify, Post
from beckon.core.contact import Address, Consent, Contact
from beckon.core.delivery import Attempt, Choice, Delivery, PassedOver
from beckon.core.event import Event
from beckon.core.message import Button, Rendered
from beckon.flows.advance import Matched, Started, advance, begin
from beckon.flows.definition import Flow, parse_flow
from beckon.flows.run import Run, encode_run
from beckon.inbox import acts
from beckon.inbox.conversation import Conversation, add, apply, assign
from beckon.inbox.entries import Entry, entries_for, entry_for_notice, entry_for_post, message_entry
from beckon.store.changes import Changes, Row
from beckon.store.database import Database, open_database
from beckon.store.migrations import migrate
from beckon.store.tables import (
    ADDRESSES,
    APPROVALS,
    CONTACTS,
    CONVERSATIONS,
    DEFINITIONS,
    DELIVERIES,
    ENTRIES,
    JOURNAL,
    PEOPLE,
    RUNS,
)
from beckon.web.sessions import Person, person_row

WORKSPACE = "garage"
#: Friday 20 November 2026, 14:30 in Brussels.
NOW_MS = 1_795_181_400_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

EMAIL, PASSWORD = "lena@garage.example", "a long enough password"
LENA = Person("per_lena", WORKSPACE, EMAIL, "Lena Maes", "owner")
KARIM = Person("per_karim", WORKSPACE, "karim@garage.example", "Karim Haddad", "agent")
STRANGER = Person("per_other", "elsewhere", "zoe@elsewhere.example", "Zoë Vos", "owner")

CHECKIN = """\
flow: service-checkin-invite
on: checkin.start
key: "{{ event.data.visit }}"
steps:
  - send: checkin_invite
    to: "{{ event.data.contact }}"
    via: best
    with: { slug: "{{ event.data.slug }}" }
  - wait_for: checkin.finished
    match: { visit: "{{ event.data.visit }}" }
    timeout: 24h
    save: result
    on_timeout:
      - send: checkin_reminder
      - wait_for: checkin.finished
        match: { visit: "{{ event.data.visit }}" }
        timeout: 48h
        save: result
        on_timeout:
          - note: No check-in before the visit.
          - stop: expired
  - post: { results: "{{ result.data }}" }
  - notify: { inbox: service-advisors }
  - if: result.data.consent == true
    then:
      - send: checkin_confirmation
"""
STATUS = """\
flow: service-status
on: service.status
steps:
  - choose:
      - when: event.data.status == 'ready'
        then: [ { send: car_ready } ]
      - when: event.data.status == 'approval_needed'
        then: [ { send: approval_request }, { notify: { inbox: service-advisors } } ]
"""

#: every version that the story's workspace has had.
OLDER = CHECKIN.replace("24h", "12h")
FLOWS = (CHECKIN, STATUS, OLDER)

RESULTS = {
    "visit": "V-2041",
    "mileage": 48210,
    "wishes": ["Squeaking noise from the front left brake", "Wash the car, please"],
    "key_drop": "keybox",
    "consent": True,
    "tyres": {"season": "winter", "change_asked": True},
    "pickup": "2026-11-23T17:30:00+01:00",
    "remarks": "Please call me before any work above € 250.",
}

NO_APP = PassedOver("oem_app", "no_address", "The contact has not linked the MyBMW app.")


class Shop:
    """Rows in the making."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.changes = Changes()
        self._number = 0
        self._position = 0

    def contact(self, contact: Contact, **conversation: Any) -> "Talk":
        body = msgspec.json.encode(contact).decode()
        self.changes.insert(CONTACTS, (contact.id, WORKSPACE, contact.name, NOW_MS, body))
        for address in contact.addresses:
            self.changes.insert(ADDRESSES, (WORKSPACE, address.channel, address.external_id, contact.id))
        return Talk(self, contact, Conversation(contact.id, WORKSPACE, **conversation))

    def entry(self, entry: Entry) -> None:
        self._number += 1
        self.changes.insert(
            ENTRIES,
            (
                self._number,
                entry.workspace,
                entry.contact,
                entry.at_ms,
                entry.kind,
                entry.author,
                entry.delivery,
                entry.body,
            ),
        )

    def delivery(self, delivery: Delivery) -> None:
        choice = delivery.choice or Choice("", "", "")
        body = msgspec.json.encode(delivery).decode()
        self.changes.insert(
            DELIVERIES,
            (
                delivery.id,
                WORKSPACE,
                delivery.contact,
                delivery.state,
                choice.channel,
                choice.provider,
                delivery.created_ms,
                delivery.changed_ms,
                body,
            ),
        )

    def event(self, event: Event) -> Event:
        self._position += 1
        data = msgspec.json.encode(event.data).decode()
        event = msgspec.structs.replace(event, position=self._position, accepted_ms=event.time_ms + 40)
        self.changes.insert(
            JOURNAL,
            (
                event.position,
                event.workspace,
                event.source,
                event.id,
                event.type,
                event.subject,
                event.time_ms,
                event.accepted_ms,
                event.depth,
                data,
            ),
        )
        return event

    def run(self, run: Run) -> None:
        self.changes.insert(
            RUNS,
            (
                run.id,
                WORKSPACE,
                run.flow,
                run.version,
                run.key,
                run.contact,
                run.status,
                run.created_ms,
                run.changed_ms,
                encode_run(run).decode(),
            ),
        )

    async def close(self) -> None:
        await self.database.commit(self.changes)


class Talk:
    """One conversation in the making."""

    def __init__(self, shop: Shop, contact: Contact, conversation: Conversation) -> None:
        self.shop = shop
        self.contact = contact
        self.conversation = conversation

    def put(self, *entries: Entry) -> None:
        for entry in entries:
            self.shop.entry(entry)
        self.conversation = add(self.conversation, entries)

    def say(self, delivery: Delivery, rendered: Rendered, author: str) -> None:
        delivery.text = rendered.text
        self.shop.delivery(delivery)
        self.put(message_entry(delivery, author=author, at_ms=delivery.created_ms, rendered=rendered))

    def take(self, type: str, source: str, at_ms: int, data: dict[str, Any], delivery: Delivery | None = None) -> Event:
        event = self.shop.event(made(type, source, at_ms, data, subject=self.contact.id))
        entries = entries_for(event, self.contact.id, delivery)
        for entry in entries:
            self.shop.entry(entry)
        self.conversation = apply(self.conversation, event, entries)
        return event

    def post(self, kind: str, body: Any, at_ms: int, flow: str) -> None:
        command = Post(id="", workspace=WORKSPACE, kind=kind, body=body)
        self.put(entry_for_post(command, contact=self.contact.id, author=f"flow:{flow}", at_ms=at_ms))

    def notify(self, inbox: str, at_ms: int, flow: str) -> None:
        command = Notify(id="", workspace=WORKSPACE, inbox=inbox)
        self.put(entry_for_notice(command, contact=self.contact.id, author=f"flow:{flow}", at_ms=at_ms))
        self.conversation = assign(self.conversation, inbox=inbox, agent=self.conversation.agent)

    def done(self, **changed: Any) -> None:
        self.shop.changes.insert(CONVERSATIONS, msgspec.structs.replace(self.conversation, **changed).row())


def made(type: str, source: str, at_ms: int, data: dict[str, Any], subject: str | None = None) -> Event:
    """An event of the story."""
    return Event(
        workspace=WORKSPACE, source=source, id=f"{type}-{at_ms}", type=type, time_ms=at_ms, data=data, subject=subject
    )


def delivery(id: str, contact: str, at_ms: int, state: str, choice: Choice, **more: Any) -> Delivery:
    """A delivery of the story."""
    return Delivery(
        id=id,
        workspace=WORKSPACE,
        contact=contact,
        created_ms=at_ms,
        changed_ms=at_ms + 4_000,
        state=state,
        choice=choice,
        **more,
    )


async def open_story(url: str) -> Database:
    """A database with the whole story in it."""
    database = open_database(url)
    await database.open()
    await migrate(database)
    shop = Shop(database)
    for person in (LENA, KARIM, STRANGER):
        shop.changes.insert(PEOPLE, _row(person))
    flow = _definitions(shop)
    _anna(shop, flow)
    _marc(shop, flow)
    _ingrid(shop, flow)
    _tom(shop)
    _sofia(shop)
    _nameless(shop)
    _quiet(shop)
    await shop.close()
    return database


@lru_cache
def _row(person: Person) -> Row:
    return person_row(person, PASSWORD, NOW_MS - 30 * DAY)  # a hash takes its time: one for each person will do


def _definitions(shop: Shop) -> Flow:
    flow = parse_flow(CHECKIN)
    for text in (CHECKIN, STATUS):
        parsed = parse_flow(text)
        shop.changes.insert(
            DEFINITIONS, (WORKSPACE, "flow", parsed.name, parsed.version, text, "folder", 1, NOW_MS - 12 * DAY)
        )
    older = parse_flow(OLDER)
    shop.changes.insert(
        DEFINITIONS,
        (WORKSPACE, "flow", older.name, older.version, OLDER, "folder", 0, NOW_MS - 20 * DAY),
    )
    for name, language, state in (
        ("checkin_invite", "en_US", "approved"),
        ("checkin_invite", "nl", "approved"),
        ("checkin_reminder", "nl", "pending"),
        ("car_ready", "en_US", "rejected"),
    ):
        shop.changes.insert(APPROVALS, (WORKSPACE, "whatsapp_cloud", name, language, state, NOW_MS - 10 * DAY))
    return flow


def _run(shop: Shop, flow: Flow, contact: Contact, start: Event, *later: Event) -> Run:
    run = begin(flow, start, contact, start.time_ms, zone="Europe/Brussels")
    assert run is not None
    run = advance(flow, run, Started(), start.time_ms + 50, contact).run
    for event in later:
        run = advance(flow, run, Matched(event), event.time_ms + 50, contact).run
    shop.run(run)
    return run


def _anna(shop: Shop, flow: Flow) -> None:
    at = NOW_MS - 3 * HOUR
    contact = Contact(
        id="con_anna",
        workspace=WORKSPACE,
        name="Anna Peeters",
        locale="nl-BE",
        time_zone="Europe/Brussels",
        addresses=(
            Address("whatsapp", "32470123456"),
            Address("sms", "+32470123456"),
            Address("email", "anna.peeters@example.be"),
        ),
        consents=(
            Consent("transactional", "*", True, at - 200 * DAY, "service contract 4471, signed at the desk"),
            Consent("marketing", "sms", False, at - 40 * DAY, "keyword STOP in SMS SM81f2"),
        ),
        last_inbound_ms={"whatsapp": at + 30 * MINUTE},
        fields={"dms_id": "C-88231", "vehicle": "BMW i4 · 1-ABC-234"},
    )
    talk = shop.contact(contact)
    start = talk.take(
        "checkin.start",
        "https://dms.garage.example/visits",
        at,
        {"visit": "V-2041", "slug": "8Fh2kQ", "contact": {"id": contact.id, "name": "Anna Peeters"}},
    )
    invite = delivery(
        "dlv_anna_invite",
        contact.id,
        at + 1_000,
        "read",
        Choice(
            "whatsapp",
            "whatsapp_cloud",
            "First channel in the order with an address; the approved template checkin_invite matches the text.",
            (NO_APP,),
            "checkin_invite",
        ),
        template="checkin_invite",
        run="",
        provider_id="wamid.HBgLMzI0NzAxMjM0NTYVAgARGBI5",
        attempts=(
            Attempt(
                1, "whatsapp", "whatsapp_cloud", at + 2_000, "sent", provider_id="wamid.HBgLMzI0NzAxMjM0NTYVAgARGBI5"
            ),
        ),
        receipts=(("delivered", at + 5_000, ""), ("read", at + 9 * MINUTE, "")),
    )
    finished_at = at + 31 * MINUTE
    finish = made("checkin.finished", "https://wvp.example/checkins", finished_at, RESULTS, subject=contact.id)
    run = _run(shop, flow, contact, start, finish)
    invite.run = run.id
    talk.say(
        invite,
        Rendered(
            text="Dag Anna, je servicebeurt is op maandag 23 november om 8:30.\nCheck nu in.",
            buttons=(Button("link", "Start check-in", "https://go.garage.example/go/8Fh2kQ"),),
            locale="nl-BE",
        ),
        "flow:service-checkin-invite",
    )
    talk.take(
        "link.clicked",
        "beckon/links",
        at + 12 * MINUTE,
        {"link": "8Fh2kQ", "delivery": invite.id, "url": "https://checkin.wvp.example/8Fh2kQ"},
    )
    shop.event(finish)
    talk.post("results", RESULTS, finished_at, "service-checkin-invite")
    talk.notify("service-advisors", finished_at, "service-checkin-invite")
    thanks = delivery(
        "dlv_anna_thanks",
        contact.id,
        finished_at + 1_000,
        "delivered",
        Choice(
            "whatsapp",
            "whatsapp_cloud",
            "Anna wrote on WhatsApp within the last 24 hours: free text is allowed.",
            (NO_APP,),
        ),
        template="checkin_confirmation",
        run=run.id,
        provider_id="wamid.HBgLMzI0NzAxMjM0NTYVAgARGBIz",
        attempts=(Attempt(1, "whatsapp", "whatsapp_cloud", finished_at + 2_000, "sent", provider_id="wamid.HBgL"),),
        receipts=(("delivered", finished_at + 4_000, ""),),
    )
    talk.say(
        thanks,
        Rendered(text="Dank je, Anna! Je auto staat maandag als eerste op het schema.", locale="nl-BE"),
        "flow:service-checkin-invite",
    )
    talk.take(
        "message.received",
        "providers/whatsapp_cloud/104",
        at + 40 * MINUTE,
        {
            "channel": "whatsapp",
            "provider": "whatsapp_cloud",
            "from": "32470123456",
            "text": "Super! Kan ik een leenwagen krijgen?",
            "provider_id": "wamid.in1",
        },
    )
    actor = acts.Actor(WORKSPACE, KARIM.id, now_ms=at + 55 * MINUTE, once="n1")
    noted = shop.event(
        acts.noted(actor, contact.id, "Courtesy car: the white 118i is free on Monday. Ask her for the licence.")
    )
    entries = entries_for(noted, contact.id)
    talk.put(*entries)
    talk.done(unread=2)


def _marc(shop: Shop, flow: Flow) -> None:
    at = NOW_MS - 5 * HOUR
    contact = Contact(
        id="con_marc",
        workspace=WORKSPACE,
        name="Marc Dubois",
        locale="fr",
        addresses=(
            Address("whatsapp", "33612345678", "Not on WhatsApp: said by the provider on 20 Nov 2026."),
            Address("sms", "+33612345678"),
        ),
    )
    talk = shop.contact(contact)
    start = talk.take(
        "checkin.start",
        "https://dms.garage.example/visits",
        at,
        {"visit": "V-2042", "slug": "p9Xw2a", "contact": {"id": contact.id, "name": "Marc Dubois"}},
    )
    run = _run(shop, flow, contact, start)
    invite = delivery(
        "dlv_marc_invite",
        contact.id,
        at + 1_000,
        "delivered",
        Choice(
            "sms",
            "twilio_sms",
            "WhatsApp failed; SMS is next in the order.",
            (
                NO_APP,
                PassedOver("whatsapp", "131026", "The provider could not deliver it: the number is not on WhatsApp."),
            ),
        ),
        template="checkin_invite",
        run=run.id,
        provider_id="SM0d2c",
        attempts=(
            Attempt(
                1,
                "whatsapp",
                "whatsapp_cloud",
                at + 2_000,
                "refused",
                "131026",
                "Message undeliverable: the number is not on WhatsApp.",
            ),
            Attempt(
                2,
                "sms",
                "twilio_sms",
                at + 4_000,
                "unavailable",
                "http.503",
                "The provider answered 503 and asked to try again in 20 s.",
            ),
            Attempt(3, "sms", "twilio_sms", at + 25_000, "sent", provider_id="SM0d2c"),
        ),
        receipts=(("delivered", at + 31_000, ""),),
    )
    talk.say(
        invite,
        Rendered(
            text="Bonjour Marc, votre rendez-vous atelier approche. Enregistrez-vous : https://go.garage.example/go/p9Xw2a",
            locale="fr",
        ),
        "flow:service-checkin-invite",
    )
    talk.done(inbox="service-advisors")


def _ingrid(shop: Shop, flow: Flow) -> None:
    at = NOW_MS - 25 * MINUTE
    contact = Contact(
        id="con_ingrid",
        workspace=WORKSPACE,
        name="Ingrid Larsen",
        locale="no",
        addresses=(
            Address("whatsapp", "4791234567"),
            Address("email", "ingrid@example.no", "Hard bounce: mailbox unknown."),
        ),
    )
    talk = shop.contact(contact)
    start = talk.take(
        "checkin.start",
        "https://dms.garage.example/visits",
        at,
        {"visit": "V-2043", "slug": "Zt77bc", "contact": {"id": contact.id, "name": "Ingrid Larsen"}},
    )
    run = _run(shop, flow, contact, start)
    passed = (
        NO_APP,
        PassedOver(
            "whatsapp",
            "no_template",
            "The last message is older than 24 hours and no approved template in no or en matches the text.",
        ),
        PassedOver("sms", "no_address", "There is no mobile number."),
        PassedOver("email", "broken_address", "ingrid@example.no does not work: mailbox unknown."),
    )
    lost = delivery(
        "dlv_ingrid_invite",
        contact.id,
        at + 1_000,
        "undeliverable",
        Choice("", "", "", passed),
        template="checkin_invite",
        run=run.id,
    )
    talk.say(
        lost,
        Rendered(text="Hei Ingrid, bilen din er ventet til service i morgen. Sjekk inn her.", locale="no"),
        "flow:service-checkin-invite",
    )
    talk.take(
        "message.undeliverable",
        "beckon/outbox",
        at + 2_000,
        {"delivery": lost.id, "passed_over": msgspec.to_builtins(passed)},
        lost,
    )
    talk.done(inbox="service-advisors", unread=1)


def _tom(shop: Shop) -> None:
    at = NOW_MS - 50 * MINUTE
    contact = Contact(
        id="con_tom",
        workspace=WORKSPACE,
        name="Tom Becker",
        locale="de",
        addresses=(Address("email", "tom.becker@example.de"),),
    )
    talk = shop.contact(contact)
    unsure = delivery(
        "dlv_tom_ready",
        contact.id,
        at,
        "doubtful",
        Choice(
            "email",
            "smtp",
            "Last channel in the order, and the only one with an address.",
            (
                NO_APP,
                PassedOver("whatsapp", "no_address", "There is no WhatsApp number."),
                PassedOver("sms", "no_address", "There is no mobile number."),
            ),
        ),
        template="car_ready",
        doubtful=True,
        attempts=(
            Attempt(
                1,
                "email",
                "smtp",
                at + 1_000,
                "doubtful",
                "smtp.timeout",
                "The connection was lost after the message was written: the server may have it.",
            ),
        ),
    )
    talk.say(
        unsure,
        Rendered(
            subject="Ihr Fahrzeug ist fertig",
            text="Guten Tag Herr Becker, Ihr Fahrzeug steht zur Abholung bereit. Wir sind bis 18 Uhr für Sie da.",
            locale="de",
        ),
        "flow:service-status",
    )
    talk.done()


def _sofia(shop: Shop) -> None:
    at = NOW_MS - 26 * HOUR
    contact = Contact(
        id="con_sofia",
        workspace=WORKSPACE,
        name="Sofía García",
        locale="es",
        addresses=(Address("whatsapp", "34600111222"),),
        last_inbound_ms={"whatsapp": at},
    )
    talk = shop.contact(contact)
    talk.take(
        "message.received",
        "providers/whatsapp_cloud/104",
        at,
        {
            "channel": "whatsapp",
            "provider": "whatsapp_cloud",
            "from": "34600111222",
            "provider_id": "wamid.in2",
            "text": "Hola, ¿a qué hora puedo recoger el coche? <b>Gracias</b>",
            "media": [{"kind": "image", "id": "m1"}],
        },
    )
    answer = delivery(
        "dlv_sofia_answer",
        contact.id,
        at + 6 * MINUTE,
        "read",
        Choice("whatsapp", "whatsapp_cloud", "Sofía wrote 6 minutes ago: free text is allowed.", (NO_APP,)),
        provider_id="wamid.out9",
        attempts=(Attempt(1, "whatsapp", "whatsapp_cloud", at + 6 * MINUTE, "sent", provider_id="wamid.out9"),),
        receipts=(("read", at + 7 * MINUTE, ""),),
    )
    talk.say(answer, Rendered(text="Hola Sofía, estará listo a las 17:00. ¡Hasta luego!"), f"agent:{LENA.id}")
    talk.take("conversation.closed", acts.SOURCE, at + 30 * MINUTE, {"contact": contact.id, "by": LENA.id})
    talk.done()


def _nameless(shop: Shop) -> None:
    at = NOW_MS - 4 * MINUTE
    talk = shop.contact(
        Contact(
            id="con_new", workspace=WORKSPACE, addresses=(Address("sms", "+32485998877"),), last_inbound_ms={"sms": at}
        )
    )
    talk.take(
        "message.received",
        "providers/twilio_sms/AC1",
        at,
        {
            "channel": "sms",
            "provider": "twilio_sms",
            "from": "+32485998877",
            "text": "Is my car ready?",
            "provider_id": "SMin1",
        },
    )
    talk.done()


def _quiet(shop: Shop) -> None:
    names: Sequence[tuple[str, str]] = (
        ("Jonas Lindqvist", "Tack, vi ses på måndag!"),
        ("Giulia Ferrari", "Perfetto, grazie mille"),
        ("Pieter Janssens", "→ Uw wagen is klaar. U kunt hem ophalen tot 18 u."),
        ("Emma Schröder", "→ Ihre Rechnung über 412,50 € liegt bereit."),
        ("Louise Marchand-Vandenbroucke de la Fontaine", "→ Votre véhicule est prêt."),
        ("O'Connor & Sons <Fleet>", "Two more cars on Tuesday, 7:45 if possible"),
    )
    for index, (name, preview) in enumerate(names):
        contact = Contact(
            id=f"con_quiet{index}", workspace=WORKSPACE, name=name, addresses=(Address("sms", f"+3247000000{index}"),)
        )
        talk = shop.contact(contact)
        talk.done(preview=preview, changed_ms=NOW_MS - (2 + index) * DAY)


def clock() -> VirtualClock:
    """The story's clock, standing still."""
    return VirtualClock(NOW_MS)
