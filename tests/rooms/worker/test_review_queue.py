"""Lanes: one message at a time to each contact, in order, and no lane stands still for ever."""

from pathlib import Path

from beckon.core.errors import Unavailable
from tests.rooms.worker.line import line


async def test_a_message_that_was_asked_for_while_another_is_retried_leaves_after_it(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url) as made:
        made.sms.acts = [Unavailable("sms.down", "down")]
        await made.tell("1", "first")
        await made.rest()
        await made.tell("2", "second")
        await made.rest()
        assert made.sms.texts == ["first"]
        await made.later(1_000)
        assert made.sms.texts == ["first", "first", "second"]


async def test_messages_leave_in_order_when_one_of_them_is_retried_and_more_come(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url) as made:
        made.sms.acts = [Unavailable("sms.down", "down")]
        await made.beckon.intake.accept(
            [
                made.event("tell.start", {"key": str(n), "text": str(n), "contact": {"phone": "+32470123456"}})
                for n in (1, 2)
            ]
        )
        await made.rest()
        await made.tell("3", "3")
        await made.rest()
        made.beckon.queue.distrust()
        made.beckon.wake()
        await made.rest()
        await made.later(1_000)
        assert made.sms.texts == ["1", "1", "2", "3"]


async def test_a_fallback_that_is_withdrawn_while_it_is_retried_frees_its_lane(
    database_url: str, tmp_path: Path
) -> None:
    flow = """\
flow: tell
on: tell.start
key: "{{ event.data.key }}"
steps:
  - send: { text: "{{ event.data.text }}" }
    to: "{{ event.data.contact }}"
    fallback_after: 10m
"""
    async with line(tmp_path, database_url, files={"flows/tell.yaml": flow}) as made:
        await made.tell("1", "first")
        await made.rest()
        made.email.acts = [Unavailable("smtp.down", "down")]
        await made.later(600_000)
        assert len(made.email.sent) == 1
        await made.receipt("twilio_sms-1", "delivered")
        await made.rest()
        await made.tell("2", "second")
        await made.rest()
        assert made.sms.texts == ["first", "second"]
        await made.later(600_000)
        assert len(made.email.sent) == 1 + 1, "the second has no receipt and falls back; the first does not"


async def test_a_message_that_waits_keeps_its_place_when_the_next_could_leave_at_once(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, more="rates: { twilio_sms: 1 }\n") as made:
        await made.tell("0", "zero", {"phone": "+32470000000"})
        await made.rest()
        # The one second's message is spent: the text waits, the mail could go.
        data = {"contact": {"phone": "+32470123456", "email": "ann@example.com"}}
        asked = [
            made.event("message.asked", {**data, "text": text, "via": [via]})
            for text, via in (("by sms", "sms"), ("by mail", "email"))
        ]
        await made.beckon.intake.accept(asked)
        await made.until(lambda: len(made.beckon.queue) == 2 and made.beckon.wheel.quiet)
        for _ in range(20):
            made.beckon.wake()
            await made.until(lambda: True)
        assert made.email.texts == []
        made.clock.drag(1_000)
        made.beckon.wake()
        await made.until(lambda: made.email.texts == ["by mail"])
        assert made.sms.texts == ["zero", "by sms"]


async def test_a_delivery_that_is_sent_again_after_a_restart_has_an_outcome_of_its_own(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url) as made:
        await made.say("message.asked", {"contact": {"phone": "+32470123456"}, "text": "hello"})
        await made.rest()
        clock = made.clock
    async with line(tmp_path, database_url, clock=clock) as made:
        (delivery,) = await made.deliveries()
        made.sms.sent = [None]  # the provider's ids go on  # type: ignore[list-item]
        await made.say("delivery.resend_asked", {"delivery": delivery.id, "contact": delivery.contact})
        await made.rest()
        (delivery,) = await made.deliveries()
        assert len(made.sms.sent) == 2
        assert [attempt.outcome for attempt in delivery.attempts] == ["sent", "sent"]
        assert delivery.queued_number == 0
