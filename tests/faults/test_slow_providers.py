"""A provider that is slow, dead, or mad costs the others nothing, and the door least of all."""

import asyncio
from pathlib import Path

from beckon.core.errors import Unavailable
from beckon.core.message import Outbound
from tests.rooms.worker.stage import SECOND_MS, SEND, FakeChannel, line, visit

#: More than may be in flight with one provider, and more than in all.
CROWD = 1_500


def by_sms(number: int) -> dict[str, str]:
    """Somebody who can be reached by SMS alone."""
    return {"sms": f"+3247{number:07d}"}


def by_mail(number: int) -> dict[str, str]:
    """Somebody who can be reached by mail alone."""
    return {"email": f"p{number}@example.com"}


async def sent_in_time(channel: FakeChannel, count: int) -> None:
    """Return when the channel has had so many messages."""
    async with asyncio.timeout(300):
        while len(channel.sent) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def test_a_provider_that_never_answers_holds_up_neither_the_door_nor_the_others(
    database_url: str, tmp_path: Path
):
    answers = asyncio.Event()

    async def hangs(message: Outbound) -> str:
        await answers.wait()
        return ""

    async with line(database_url, tmp_path, SEND) as here:
        sms, email = here.channels["sms"], here.channels["email"]
        sms.always = hangs
        await here.beckon.intake.accept([here.event("visit.start", visit(n, by_sms(n))) for n in range(CROWD)])
        await here.beckon.wheel.settled(here.beckon.journal.position)
        await sent_in_time(sms, 1)
        async with asyncio.timeout(300):  # nobody lets the provider answer meanwhile: the door waits for nobody
            for number in range(20):
                await here.beckon.intake.accept([here.event("visit.start", visit(f"m{number}", by_mail(number)))])
        await sent_in_time(email, 20)
        assert sms.busy_max < CROWD, "one provider takes no more than its share"
        assert len(sms.busy) == sms.busy_max
        answers.set()
        sms.always = None
        await here.quiet()
        assert len(sms.sent) == CROWD
        assert {delivery.state for delivery in await here.deliveries()} == {"sent"}


async def test_a_provider_that_is_down_is_asked_now_and_then_and_the_others_go_on(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        sms, email = here.channels["sms"], here.channels["email"]
        sms.always = Unavailable("sms.down", "no answer")
        both = [here.event("visit.start", visit(n, by_sms(n))) for n in range(300)]
        both += [here.event("visit.start", visit(f"m{n}", by_mail(n))) for n in range(300)]
        await here.beckon.intake.accept(both)
        await sent_in_time(email, 300)
        assert len(sms.sent) < 600
        sms.always = None
        for _ in range(10):
            await here.passes(5 * SECOND_MS)
        states = [delivery.state for delivery in await here.deliveries()]
        assert set(states) <= {"sent", "undeliverable"}
        assert len(email.sent) == 300
        assert (await here.waiting())["outbox"] == 0


async def test_a_provider_that_answers_nonsense_costs_only_its_own_messages(database_url: str, tmp_path: Path):
    async def mad(message: Outbound) -> str:
        raise RecursionError("the provider's folder is broken")

    async with line(database_url, tmp_path, SEND) as here:
        sms, email = here.channels["sms"], here.channels["email"]
        sms.always = mad
        events = [here.event("visit.start", visit(n, by_sms(n))) for n in range(20)]
        events += [here.event("visit.start", visit(f"m{n}", by_mail(n))) for n in range(20)]
        await here.beckon.intake.accept(events)
        await sent_in_time(email, 20)
        for _ in range(12):
            await here.passes(10 * SECOND_MS)
        states = {delivery.id: delivery.state for delivery in await here.deliveries()}
        assert sorted(states.values()) == ["sent"] * 20 + ["undeliverable"] * 20
        assert len(await here.entries("error")) == 20
