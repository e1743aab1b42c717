"""One service visit as the story tests tell it: what each party does, and what each of them saw."""

from typing import Any

from beckon.core.delivery import Delivery
from beckon.demo import Stage
from beckon.inbox.entries import Error, Received, Results
from beckon.inbox.reading import ShownEntry
from beckon.sandbox.cast import Answer, Opened
from beckon.sandbox.people import CHANNELS, Customer
from beckon.sandbox.playing import answers_of, link_of
from beckon.sandbox.twins.party import Shown
from beckon.sandbox.wvp.app import start_data

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class ServiceVisit:
    """A workshop visit provider, a contact with some channels, and the dealer's team."""

    def __init__(self, stage: Stage, has: tuple[str, ...] = CHANNELS, number: int = 1, locale: str = "en") -> None:
        self.stage = stage
        self.cast = stage.cast
        self.contact = Customer(name="Anna Janssens", has=has, number=number, locale=locale)
        self.visit = self.cast.plan(
            self.contact, visit=f"visit-{number}", vehicle={"make": "BMW", "model": "320d", "plate": "1-ABC-234"}
        )

    # What the business system and the workshop visit provider do.

    async def provider_says_checkin_start(self) -> Answer:
        """A: the WVP sends checkin.start."""
        answer = await self.cast.say("checkin.start", start_data(self.visit))
        await self.cast.quiet()
        return answer

    async def business_says(self, type_: str, **data: Any) -> Answer:
        """The business system posts another event of the visit."""
        about = {"visit": self.visit.visit, "contact": self.contact.contact()}
        answer = await self.cast.say(type_, {**about, **data})
        await self.cast.quiet()
        return answer

    async def again(self, answer: Answer) -> Answer:
        """The very same event is posted once more."""
        repeated = await self.cast.post(answer.sent)
        await self.cast.quiet()
        return repeated

    # What the contact does and sees.

    def messages(self, channel: str) -> list[Shown]:
        """What the business wrote in this app of the contact's phone."""
        return [message for message in self.cast.on_phone(self.contact, channel) if not message.own]

    def apps_with_messages(self) -> list[str]:
        """The apps in which the business wrote anything."""
        return [channel for channel in CHANNELS if self.messages(channel)]

    async def contact_taps_the_button(self, channel: str) -> Opened:
        """E: the contact clicks the newest message's button."""
        page = await self.cast.open(link_of(self.messages(channel)[-1]))
        await self.cast.quiet()
        return page

    async def contact_completes_the_checkin(self, page: Opened) -> Opened:
        """F: the contact goes through the app that the button opened."""
        done = await self.cast.check_in(page.url, answers_of(self.contact))
        await self.cast.quiet()
        return done

    async def contact_writes(self, channel: str, text: str) -> None:
        """The contact writes to the dealer."""
        await self.cast.write(self.contact, channel, text)
        await self.cast.quiet()

    async def contact_reads(self, channel: str) -> None:
        """The contact opens the app."""
        await self.cast.read(self.contact, channel)
        await self.cast.quiet()

    # What the team does and sees.

    async def advisor_replies(self, text: str) -> None:
        """A service advisor answers from the console."""
        assert await self.cast.reply(self.contact, text) in (200, 303)
        await self.cast.quiet()

    async def entries(self, kind: str = "") -> list[ShownEntry]:
        """The conversation as the team reads it."""
        talk = await self.cast.conversation(self.contact)
        return [entry for entry in (talk.entries if talk else ()) if kind in ("", entry.kind)]

    async def errors(self) -> list[Error]:
        """The error messages in the conversation."""
        return [entry.body for entry in await self.entries("error") if isinstance(entry.body, Error)]

    async def results(self) -> list[dict[str, Any]]:
        """The results messages in the conversation, field by field."""
        return [entry.body.fields for entry in await self.entries("results") if isinstance(entry.body, Results)]

    async def received(self) -> list[str]:
        """What the contact wrote, as the team reads it."""
        return [entry.body.text for entry in await self.entries("received") if isinstance(entry.body, Received)]

    async def inbox(self) -> str:
        """The team inbox in which the conversation stands."""
        talk = await self.cast.conversation(self.contact)
        return talk.conversation.inbox if talk else ""

    async def newest_message(self) -> Delivery:
        """The newest message with its choice and its attempts."""
        return (await self.cast.deliveries(self.contact))[-1]

    async def passed_over(self) -> dict[str, str]:
        """Which channels the newest message passed over, each with its reason."""
        choice = (await self.newest_message()).choice
        return {one.channel: one.reason for one in choice.passed_over} if choice else {}

    async def tries(self) -> list[str]:
        """The newest message's attempts: ``whatsapp sent``."""
        return [f"{one.channel} {one.outcome}" for one in (await self.newest_message()).attempts]

    # Time and trouble.

    async def pass_time(self, ms: int) -> None:
        """The clock is dragged forward."""
        await self.cast.drag(ms)

    def fault(self, provider: str, **faults: Any) -> None:
        """Something goes wrong at a provider from now on."""
        for name, value in faults.items():
            assert hasattr(self.cast.twins[provider].faults, name)
            setattr(self.cast.twins[provider].faults, name, value)

    def well(self, provider: str) -> None:
        """The provider is well again."""
        self.cast.twins[provider].faults.clear()
