"""Reaching a contact: retries, fallbacks, receipts in any order, pauses, doubts, and the words when nothing is left."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beckon.core.errors import Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.message import Outbound
from tests.rooms.worker.stage import (
    ANN,
    BY_SMS,
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    SEND,
    Line,
    line,
    visit,
)

FALLBACK = """\
flow: fallback
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - send: invite
    fallback_after: 10m
"""
AWAITED = """\
flow: awaited
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - send: invite
    on_undeliverable:
      - note: "call them"
      - stop: unreached
  - note: "reached"
"""


def channels(here: Line) -> list[str]:
    """The channels over which messages went, in order."""
    return [channel for channel, _ in here.handed]


async def until(holds: Callable[[], bool]) -> None:
    """Return as soon as this holds; fail when it does not in time."""
    async with asyncio.timeout(300):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def sent_id(here: Line, number: int = -1) -> str:
    """What the provider calls the message of an attempt."""
    return (await here.delivery()).attempts[number].provider_id


# Retries and giving up.


async def test_an_unavailable_provider_is_tried_again_and_the_wait_doubles(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        here.channels["sms"].answers.extend([Unavailable("x.away", "not now"), Unavailable("x.away", "not now")])
        await here.says("visit.start", visit(1, BY_SMS))
        assert (await here.delivery()).state == "retrying"
        await here.passes(2 * SECOND_MS - 1)
        assert len(here.handed) == 1
        await here.passes(1)
        assert len(here.handed) == 2
        await here.passes(4 * SECOND_MS - 1)
        assert len(here.handed) == 2
        await here.passes(1)
        delivery = await here.delivery()
        assert delivery.state == "sent"
        assert [attempt.outcome for attempt in delivery.attempts] == ["unavailable", "unavailable", "sent"]
        assert [message.attempt for _, message in here.handed] == [1, 2, 3]
        assert {message.delivery_id for _, message in here.handed} == {delivery.id}
        assert len(await here.entries("message")) == 1


async def test_a_provider_that_stays_away_is_given_up_and_the_next_channel_is_asked(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        here.channels["whatsapp"].always = Unavailable("x.away", "down for today")
        await here.says("visit.start", visit(1))
        for _ in range(6):
            await here.passes(5 * SECOND_MS)
        assert channels(here) == ["whatsapp"] * 3 + ["sms"]
        delivery = await here.delivery()
        assert delivery.state == "sent"
        assert delivery.choice is not None
        passed = {one.channel: one.reason for one in delivery.choice.passed_over}
        assert "down for today" in passed["whatsapp"]


@pytest.mark.parametrize(
    "error",
    [
        Refused("whatsapp.131026", "the number is not on WhatsApp"),
        Unsupported("whatsapp.kind", "it can't say this"),
        Misconfigured("whatsapp.token", "the token is wrong"),
    ],
    ids=["refused", "unsupported", "misconfigured"],
)
async def test_what_will_not_work_goes_to_the_next_channel_at_once(error: Any, database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        here.channels["whatsapp"].always = error
        await here.says("visit.start", visit(1))
        assert channels(here) == ["whatsapp", "sms"]
        delivery = await here.delivery()
        assert [attempt.outcome for attempt in delivery.attempts] == [error.kind, "sent"]
        assert delivery.attempts[0].code == error.code


async def test_where_no_channel_is_left_the_conversation_says_so_with_every_reason(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        for name in ("whatsapp", "sms", "email"):
            here.channels[name].always = Refused(f"{name}.no", f"{name} says no")
        await here.says("visit.start", visit(1))
        assert channels(here) == ["whatsapp", "sms", "email"]
        delivery = await here.delivery()
        assert delivery.state == "undeliverable"
        [error] = await here.entries("error")
        assert "No suitable media channel" in error["text"]
        reasons = {one["channel"]: one["reason"] for one in error["passed_over"]}
        assert set(reasons) == {"oem_app", "whatsapp", "sms", "email"}
        assert "sms says no" in reasons["sms"]


async def test_a_contact_without_any_address_gets_an_error_entry_and_the_team_sees_it(
    database_url: str, tmp_path: Path
):
    async with line(database_url, tmp_path, SEND) as here:
        await here.says("visit.start", visit(1, {"id": "customer-9", "name": "Nobody"}))
        assert here.handed == []
        assert (await here.delivery()).state == "undeliverable"
        assert len(await here.entries("error")) == 1
        [(unread,)] = await here.rows("SELECT unread FROM conversations")
        assert unread == 1


@pytest.mark.parametrize(("works", "note", "ended"), [(False, "call them", "unreached"), (True, "reached", "")])
async def test_a_flow_may_wait_for_what_becomes_of_its_message(
    works: bool, note: str, ended: str, database_url: str, tmp_path: Path
):
    async with line(database_url, tmp_path, AWAITED) as here:
        if not works:
            here.channels["sms"].always = Refused("sms.no", "no")
        await here.says("visit.start", visit(1, BY_SMS))
        assert [entry["text"] for entry in await here.entries("note")] == [note]
        assert (await here.run()).ended == ended


async def test_a_channel_that_breaks_its_promise_costs_only_its_own_message(database_url: str, tmp_path: Path):
    async def breaks(message: Outbound) -> str:
        raise KeyError("a defect of the channel")

    async with line(database_url, tmp_path, SEND) as here:
        here.channels["sms"].answers.append(breaks)
        await here.says("visit.start", visit(1, BY_SMS))
        assert (await here.delivery()).state == "retrying"
        await here.passes(2 * SECOND_MS)
        delivery = await here.delivery()
        assert (delivery.state, delivery.doubtful) == ("sent", True)


# Receipts.


async def test_receipts_move_a_delivery_on_and_never_back(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        await here.says("visit.start", visit(1))
        provider_id = await sent_id(here)
        states = []
        for state in ("delivered", "delivered", "read", "sent", "delivered", "failed"):
            await here.receipt(
                state, provider_id, id_=f"{state}{len(states)}", time_ms=here.clock.now_ms() + len(states)
            )
            states.append((await here.delivery()).state)
        assert states == ["delivered", "delivered", "read", "read", "read", "read"]
        assert [state for state, _, _ in (await here.delivery()).receipts] == [
            "delivered", "delivered", "read", "sent", "delivered", "failed",
        ]  # fmt: skip
        assert channels(here) == ["whatsapp"]


async def test_a_receipt_that_is_delivered_twice_is_one(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        await here.says("visit.start", visit(1))
        provider_id = await sent_id(here)
        for _ in range(3):
            await here.receipt("delivered", provider_id)
        assert len((await here.delivery()).receipts) == 1
        assert len(await here.events("message.delivered")) == 1


@pytest.mark.parametrize("order", [("read", "delivered"), ("delivered", "read"), ("failed", "delivered")])
async def test_receipts_that_overtake_our_own_outcome_count_in_any_order(
    order: tuple[str, str], database_url: str, tmp_path: Path
):
    async with line(database_url, tmp_path, SEND) as here:
        handed, go_on = asyncio.Event(), asyncio.Event()

        async def slow(message: Outbound) -> str:
            handed.set()
            await go_on.wait()
            return "wamid.1"

        here.channels["whatsapp"].answers.append(slow)
        await here.beckon.intake.accept([here.event("visit.start", visit(1))])
        await handed.wait()
        for state in order:
            event = here.event(
                f"message.{state}",
                {"provider": "whatsapp_cloud", "provider_id": "wamid.1"},
                id_=state,
                source="providers/x",
            )
            [answer] = await here.beckon.intake.accept([event])
            await here.beckon.wheel.settled(answer.position)
        assert (await here.delivery()).receipts == ()
        go_on.set()
        await here.quiet()
        assert (await here.delivery()).state == {"failed": "delivered"}.get(order[0], "read")
        assert (await here.waiting())["outbox"] == 0
        assert await here.rows("SELECT match_key FROM early") == []


async def test_a_receipt_that_overtook_its_outcome_waits_for_it_across_a_crash(database_url: str, tmp_path: Path):
    """The message was handed over, the server died before it knew; the receipt came first, the re-send after it."""
    async with line(database_url, tmp_path, SEND) as here:
        handed = asyncio.Event()

        async def never(message: Outbound) -> str:
            handed.set()
            await asyncio.Event().wait()
            return ""

        here.channels["whatsapp"].answers.append(never)
        await here.beckon.intake.accept([here.event("visit.start", visit(1))])
        await handed.wait()
        event = here.event(
            "message.delivered", {"provider": "whatsapp_cloud", "provider_id": "wamid.2"}, id_="r", source="providers/x"
        )
        [answer] = await here.beckon.intake.accept([event])
        await here.beckon.wheel.settled(answer.position)
        await here.crash()

        async def again(message: Outbound) -> str:
            return "wamid.2"

        here.channels["whatsapp"].answers.append(again)
        await here.open()
        await here.quiet()
        delivery = await here.delivery()
        assert delivery.state == "delivered"
        assert channels(here) == ["whatsapp", "whatsapp"]


async def test_a_failure_that_is_told_later_goes_to_the_next_channel(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        await here.says("visit.start", visit(1))
        await here.receipt("failed", await sent_id(here), code="131026", why="not on WhatsApp")
        assert channels(here) == ["whatsapp", "sms"]
        delivery = await here.delivery()
        assert [(one.channel, one.outcome) for one in delivery.attempts] == [("whatsapp", "failed"), ("sms", "sent")]
        assert delivery.choice is not None
        assert any("not on WhatsApp" in one.reason for one in delivery.choice.passed_over)


# Fallback when no receipt comes.


async def test_without_a_receipt_in_time_the_next_channel_is_asked_and_no_channel_twice(
    database_url: str, tmp_path: Path
):
    async with line(database_url, tmp_path, FALLBACK) as here:
        await here.says("visit.start", visit(1))
        await here.passes(10 * MINUTE_MS - 1)
        assert channels(here) == ["whatsapp"]
        await here.passes(1)
        assert channels(here) == ["whatsapp", "sms"]
        for _ in range(5):
            await here.passes(10 * MINUTE_MS)
        assert channels(here) == ["whatsapp", "sms", "email"]
        assert (await here.delivery()).state == "sent"
        assert await here.entries("error") == []
        assert await here.waiting() == {"waits": 0, "timers": 0, "outbox": 0}


async def test_a_receipt_in_time_ends_the_fallback(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, FALLBACK) as here:
        await here.says("visit.start", visit(1))
        await here.passes(9 * MINUTE_MS)
        await here.receipt("delivered", await sent_id(here))
        assert (await here.waiting())["timers"] == 0
        await here.passes(HOUR_MS)
        assert channels(here) == ["whatsapp"]


async def test_a_late_receipt_withdraws_a_fallback_that_waits_for_its_next_try(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, FALLBACK) as here:
        here.channels["sms"].answers.append(Unavailable("x.429", "too many", retry_after_s=30))
        await here.says("visit.start", visit(1))
        await here.passes(10 * MINUTE_MS)
        assert channels(here) == ["whatsapp", "sms"]
        await here.says("visit.start", visit(2))
        assert channels(here) == ["whatsapp", "sms"], "the next message waits behind it"
        await here.receipt("delivered", (await here.deliveries())[0].attempts[0].provider_id)
        assert channels(here) == ["whatsapp", "sms", "whatsapp"]
        await here.passes(MINUTE_MS)
        assert channels(here) == ["whatsapp", "sms", "whatsapp"]
        assert [delivery.state for delivery in await here.deliveries()] == ["delivered", "sent"]


async def test_a_fallback_that_was_queued_is_withdrawn_by_a_receipt_before_it_leaves(database_url: str, tmp_path: Path):
    """Another message to the same contact is being handed over: the fallback waits behind it, and a receipt comes."""
    async with line(database_url, tmp_path, FALLBACK) as here:
        await here.says("visit.start", visit(1))
        provider_id = await sent_id(here)
        handed, go_on = asyncio.Event(), asyncio.Event()

        async def slow(message: Outbound) -> str:
            handed.set()
            await go_on.wait()
            return ""

        here.channels["whatsapp"].answers.append(slow)
        here.clock.drag(10 * MINUTE_MS - 1)
        await here.beckon.intake.accept([here.event("visit.start", visit(2))])
        await handed.wait()
        here.clock.drag(1)
        here.beckon.wake()
        await until(lambda: len(here.beckon.queue) == 2)
        event = here.event(
            "message.delivered",
            {"provider": "whatsapp_cloud", "provider_id": provider_id},
            id_="late",
            source="providers/x",
        )
        [answer] = await here.beckon.intake.accept([event])
        await here.beckon.wheel.settled(answer.position)
        go_on.set()
        await here.quiet()
        assert channels(here) == ["whatsapp", "whatsapp"]
        assert (await here.waiting())["outbox"] == 0


async def test_a_fallback_survives_a_restart(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, FALLBACK) as here:
        await here.says("visit.start", visit(1))
        await here.crash()
        await here.open()
        await here.passes(10 * MINUTE_MS)
        assert channels(here) == ["whatsapp", "sms"]
        await here.restart()
        await here.receipt("delivered", await sent_id(here, 0))
        await here.passes(HOUR_MS)
        assert channels(here) == ["whatsapp", "sms"]
        assert (await here.delivery()).state == "delivered"


# Rates and pauses.


async def test_a_rate_limit_is_kept(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND, more="rates: { twilio_sms: 2 }\n") as here:
        contacts = [{"sms": f"+3247000000{number}"} for number in range(6)]
        await here.beckon.intake.accept([here.event("visit.start", visit(n, one)) for n, one in enumerate(contacts)])
        for expected in (2, 3, 4, 5, 6):
            await until(lambda: len(here.handed) >= expected)  # noqa: B023
            await here.beckon.wheel.settled(here.beckon.journal.position)
            assert len(here.handed) == expected
            here.clock.drag(500)
            here.beckon.wake()


async def test_a_provider_that_asks_for_a_pause_gets_it_and_the_others_go_on(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        here.channels["sms"].answers.append(Unavailable("sms.429", "too many requests", retry_after_s=50))
        contacts = [{"sms": f"+3247000000{number}"} for number in range(4)]
        await here.says("visit.start", visit(0, contacts[0]))
        for number in (1, 2, 3):
            await here.says("visit.start", visit(number, contacts[number]))
        await here.says("visit.start", visit("mail", {"email": "ben@example.com"}))
        assert channels(here) == ["sms", "email"]
        assert "too many requests" in (here.beckon.carrier.paused("main", "twilio_sms") or "")  # type: ignore[union-attr]
        await here.passes(49 * SECOND_MS)
        assert channels(here) == ["sms", "email"]
        await here.passes(SECOND_MS)
        assert channels(here).count("sms") == 5


async def test_a_pause_longer_than_a_minute_is_a_reason_to_pass_the_channel_over(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        here.channels["whatsapp"].answers.append(Unavailable("whatsapp.429", "slow down", retry_after_s=600))
        await here.says("visit.start", visit(1))
        await here.says("visit.start", visit(2, {"name": "Cem", "phone": "+32470777777"}))
        assert channels(here) == ["whatsapp", "sms"]
        choice = next(one.choice for one in await here.deliveries() if one.state == "sent")
        assert choice is not None
        assert any("slow down" in one.reason for one in choice.passed_over)


async def test_a_provider_that_fails_five_times_in_a_row_is_left_alone_for_a_while(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        here.channels["sms"].always = Unavailable("x.away", "no answer")
        contacts = [{"sms": f"+3247000000{number}"} for number in range(5)]
        for number, contact in enumerate(contacts):
            await here.says("visit.start", visit(number, contact))
        assert len(here.handed) == 5
        await here.says("visit.start", visit(9, BY_SMS))
        assert len(here.handed) == 5, "it is left alone"
        here.channels["sms"].always = None
        for _ in range(4):
            await here.passes(5 * SECOND_MS)
        assert {delivery.state for delivery in await here.deliveries()} == {"sent"}


# Doubt.


async def crash_in_flight(here: Line, contact: Any = None) -> None:
    """Crash while a message is being handed over."""
    handed = asyncio.Event()

    async def never(message: Outbound) -> str:
        handed.set()
        await asyncio.Event().wait()
        return ""

    here.channels["sms"].answers.append(never)
    await here.beckon.intake.accept([here.event("visit.start", visit(1, contact or BY_SMS))])
    await handed.wait()
    await here.crash()


async def test_a_message_in_flight_at_a_crash_is_sent_again_and_marked(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        await crash_in_flight(here)
        await here.open()
        await here.quiet()
        delivery = await here.delivery()
        assert channels(here) == ["sms", "sms"]
        assert (delivery.state, delivery.doubtful) == ("sent", True)
        assert [one.outcome for one in delivery.attempts] == ["doubtful", "sent"]
        assert len(await here.events("message.doubtful")) == 1


async def test_where_the_workspace_says_hold_a_doubtful_message_waits_for_a_person(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND, more="doubtful: hold\n") as here:
        await crash_in_flight(here)
        await here.open()
        await here.quiet()
        assert channels(here) == ["sms"]
        delivery = await here.delivery()
        assert (delivery.state, delivery.doubtful) == ("doubtful", True)
        await here.says("delivery.resend_asked", {"delivery": delivery.id, "contact": delivery.contact})
        assert channels(here) == ["sms"], "who doesn't accept that it may arrive twice gets nothing"
        fields = {"delivery": delivery.id, "contact": delivery.contact, "accept_duplicate": True}
        await here.says("delivery.resend_asked", fields)
        assert channels(here) == ["sms", "sms"]
        assert (await here.delivery()).state == "sent"


async def test_a_time_out_leaves_a_doubt_and_a_receipt_takes_it_away(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        here.channels["sms"].answers.append(Unavailable("http.timeout", "no answer in time", doubtful=True))
        await here.says("visit.start", visit(1, BY_SMS))
        assert (await here.delivery()).doubtful
        await here.passes(2 * SECOND_MS)
        assert (await here.delivery()).state == "sent"
        await here.receipt("delivered", await sent_id(here), channel="sms")
        delivery = await here.delivery()
        assert (delivery.state, delivery.doubtful) == ("delivered", False)


async def test_an_undeliverable_message_is_sent_again_when_a_person_asks_on_every_channel_anew(
    database_url: str, tmp_path: Path
):
    async with line(database_url, tmp_path, SEND) as here:
        here.channels["sms"].always = Refused("sms.30003", "unreachable")
        await here.says("visit.start", visit(1, BY_SMS))
        delivery = await here.delivery()
        assert delivery.state == "undeliverable"
        here.channels["sms"].always = None
        ask = {"delivery": delivery.id, "contact": delivery.contact}
        await here.says("delivery.resend_asked", ask)
        assert (await here.delivery()).state == "sent"
        await here.receipt("delivered", await sent_id(here), channel="sms")
        await here.says("delivery.resend_asked", ask)
        assert channels(here) == ["sms", "sms"], "what has arrived is not sent again"
        assert (await here.delivery()).state == "delivered"


# Whom, when, and whether at all.


async def test_quiet_hours_put_a_message_off_to_the_contact_s_morning(database_url: str, tmp_path: Path):
    flow = """\
flow: morning
on: visit.start
steps:
  - send: invite
    at: { between: "11:00-20:00" }
"""
    async with line(database_url, tmp_path, flow) as here:  # it is 10:00 in Brussels
        await here.says("visit.start", visit(1))
        assert here.handed == []
        assert (await here.delivery()).state == "scheduled"
        await here.passes(HOUR_MS - 1)
        assert here.handed == []
        await here.restart()
        await here.passes(1)
        assert channels(here) == ["whatsapp"]
        assert (await here.delivery()).state == "sent"


async def test_a_message_may_go_to_somebody_else(database_url: str, tmp_path: Path):
    flow = """\
flow: partner
on: visit.start
steps:
  - send: invite
    to: { name: "Parts desk", sms: "+32 470 88 88 88" }
  - send: invite
    to: "{{ event.data.contact }}"
  - send: invite
    to: con_nobody
  - note: "all asked"
"""
    async with line(database_url, tmp_path, flow) as here:
        await here.says("visit.start", visit(1))
        assert {(channel, message.to) for channel, message in here.handed} == {
            ("sms", "+32470888888"),
            ("whatsapp", "32470123456"),
        }
        assert len(await here.rows("SELECT id FROM contacts")) == 2
        [error] = await here.entries("error")
        assert "nobody is known" in error["text"]
        assert (await here.run()).status == "done"


async def test_stop_closes_a_channel_and_start_opens_it_again(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        said = {"channel": "sms", "provider": "twilio_sms", "from": BY_SMS["sms"], "provider_id": "SM1"}
        await here.says("message.received", {**said, "text": "Stop!"}, source="providers/twilio_sms/1")
        await here.says("visit.start", visit(1, BY_SMS))
        assert here.handed == []
        delivery = await here.delivery()
        assert delivery.state == "undeliverable"
        assert delivery.choice is not None
        sms = next(one for one in delivery.choice.passed_over if one.channel == "sms")
        assert "STOP" in sms.reason
        await here.says("message.received", {**said, "text": "start", "provider_id": "SM2"}, source="providers/x")
        await here.says("visit.start", visit(2, BY_SMS))
        assert channels(here) == ["sms"]
        assert [entry["text"] for entry in await here.entries("status")] == [
            "stopped messages on sms",
            "allowed again messages on sms",
        ]


async def test_an_agent_s_reply_goes_out_where_the_contact_wrote(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path) as here:
        await here.says(
            "message.received",
            {
                "channel": "whatsapp",
                "provider": "whatsapp_cloud",
                "from": "32470123456",
                "text": "Hi",
                "provider_id": "w1",
            },
            source="providers/whatsapp_cloud/1",
        )
        [(contact,)] = await here.rows("SELECT id FROM contacts")
        await here.says(
            "agent.replied", {"contact": contact, "text": "Good morning!", "agent": "per_1"}, source="console"
        )
        [(channel, message)] = here.handed
        assert (channel, message.rendered.text, message.rendered.template) == ("whatsapp", "Good morning!", None)
        assert [entry["kind"] for entry in await here.entries()] == ["received", "message"]
        assert (await here.entries("message"))[0]["author"] == "agent:per_1"
        await here.passes(25 * HOUR_MS)
        await here.says(
            "agent.replied", {"contact": contact, "text": "Still there?", "agent": "per_1"}, source="console"
        )
        assert len(here.handed) == 1, "outside the 24 hours, and this contact has no other address"
        assert (await here.entries("error"))[0]["message"] == "Still there?"


async def test_one_person_is_one_contact_whatever_they_are_called_by(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        await here.says("visit.start", visit(1, "0032 470 12 34 56"))
        await here.says("visit.start", visit(2, {"phone": "+32470123456", "email": "Ann@EXAMPLE.com"}))
        await here.says("visit.start", visit(3, "Ann@example.com"))
        await here.accept(
            here.event("visit.start", visit(4, ANN | {"email": "Ann@example.com"})),
            here.event("visit.start", visit(5, "+32 (0)470 12.34.56")),
        )
        assert len(await here.rows("SELECT id FROM contacts")) == 1
        assert len({delivery.contact for delivery in await here.deliveries()}) == 1
