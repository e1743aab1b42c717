"""The carrier loses no outcome and stops for nobody, whatever a message, a provider or the store does."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from beckon.core.clock import SystemClock
from beckon.core.errors import Refused, Unavailable
from beckon.core.message import Handed, Outbound
from tests.rooms.worker.line import ANN, BOB, FakeChannel, line
from tests.rooms.worker.test_review_wheel import AWAY, once, once_read

LATER = """\
flow: later
on: later.start
key: "{{ event.data.key }}"
steps:
  - send: { text: "{{ event.data.key }}" }
    to: "{{ event.data.contact }}"
    at: "{{ event.data.at }}"
"""


async def test_a_message_that_breaks_the_renderer_is_undeliverable_and_others_leave(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url) as made:
        made.library.templates["broken"] = SimpleNamespace(purpose="transactional")
        await made.say("message.asked", {"contact": ANN, "template": "broken"})
        await made.rest()
        await made.tell("1", "hello")
        await made.rest()
        assert made.sms.texts == ["hello"]
        states = {delivery.template: delivery.state for delivery in await made.deliveries()}
        assert states == {"broken": "undeliverable", "": "sent"}
        assert await made.events("event.failed") == []


async def test_a_scheduled_message_leaves_once_though_the_store_fails_when_its_time_has_come(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, files={"flows/later.yaml": LATER}) as made:
        at = made.clock.now_ms() + 600_000
        await made.say("later.start", {"key": "later", "contact": ANN, "at": at})
        await made.rest()
        assert made.sms.texts == []
        made.beckon.wheel.memory.forget()
        made.store.before_read = once_read(AWAY, "FROM deliveries WHERE id")
        await made.later(600_000)
        assert made.sms.texts == ["later"]
        await made.later(600_000)
        assert made.sms.texts == ["later"]


async def test_a_claim_that_fails_half_way_is_made_again(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url, files={"flows/later.yaml": LATER}) as made:
        at = made.clock.now_ms() + 600_000
        for name, contact in (("a", ANN), ("b", BOB)):
            await made.say("later.start", {"key": name, "contact": contact, "at": at})
        await made.rest()
        made.store.before_write = once(AWAY, "SET state = 'in_flight'")
        await made.later(600_000)
        assert sorted(made.sms.texts) == ["a", "b"]


async def test_a_claim_that_the_store_refuses_costs_only_the_message_that_it_refuses(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, files={"flows/later.yaml": LATER}) as made:
        at = made.clock.now_ms() + 600_000
        for name, contact in (("a", ANN), ("b", BOB)):
            await made.say("later.start", {"key": name, "contact": contact, "at": at})
        await made.rest()
        made.store.before_write = once(Refused("store.value", "no"), "SET state = 'in_flight'")
        await made.later(600_000)
        assert sorted(made.sms.texts) == ["a", "b"]


class Careless(FakeChannel):
    """A channel from elsewhere that breaks its promise."""

    def __init__(self, gives: Any) -> None:
        super().__init__("sms", "twilio_sms")
        self.gives = gives

    async def send(self, message: Outbound) -> Handed:
        self.sent.append(message)
        await asyncio.sleep(0)
        if len(self.sent) == 1:
            return self.gives  # type: ignore[no-any-return]
        return Handed(f"good-{len(self.sent)}")


@pytest.mark.parametrize("gives", [Handed(None), Handed("half \ud800"), None, Handed(7)])  # type: ignore[arg-type]
async def test_an_answer_that_can_not_be_kept_costs_no_other_message_its_outcome(
    database_url: str, tmp_path: Path, gives: Any
) -> None:
    async with line(tmp_path, database_url) as made:
        made.library.channels["sms"] = careless = Careless(gives)
        await made.beckon.intake.accept(
            [
                made.event("tell.start", {"key": str(number), "text": str(number), "contact": {"phone": phone}})
                for number, phone in enumerate(("+32470000001", "+32470000002", "+32470000003"))
            ]
        )
        await made.rest()
        await made.later(60_000)
        await made.later(60_000)
        assert {str(number) for number in range(3)} == set(careless.texts)
        deliveries = await made.deliveries()
        assert [delivery.state for delivery in deliveries if delivery.text in ("1", "2")] == ["sent", "sent"]
        assert all(delivery.queued_number == 0 for delivery in deliveries)
        assert await made.rows("SELECT id FROM outbox") == []


@pytest.mark.parametrize(
    "url", [f"http://{'a' * 70}.example/", "http://[::1", "http://x:99999/", "http://127.0.0.1:9/"]
)
async def test_a_web_call_that_can_not_even_be_tried_fails_and_says_so(
    database_url: str, tmp_path: Path, url: str, network_refusals: list[str]
) -> None:
    flow = """\
flow: web
on: web.start
key: "{{ event.data.key }}"
steps:
  - http: { method: POST, url: "{{ event.data.url }}" }
    save: answer
"""
    async with line(tmp_path, database_url, files={"flows/web.yaml": flow}) as made:
        await made.say("web.start", {"key": "1", "url": url, "contact": ANN})
        for _ in range(8):
            await made.rest()
            await made.later(60_000)
        run = (await made.runs())["1"]
        assert run.status == "failed", run.status


async def test_a_web_call_is_tried_again_though_the_store_was_away_when_that_was_noted(
    database_url: str, tmp_path: Path
) -> None:
    steps = """\
left = [1, 2]

async def flaky():
    from beckon.core.errors import Unavailable
    if left:
        left.pop()
        raise Unavailable("partner.down", "down")
    return "done"
"""
    flow = """\
flow: act
on: act.start
key: "{{ event.data.key }}"
steps:
  - call: partner.flaky
    save: answer
"""
    files = {"flows/act.yaml": flow, "steps/partner.py": steps}
    async with line(tmp_path, database_url, files=files) as made:
        made.store.before_write = once(AWAY, "INTO outbox", "ON CONFLICT (number)")
        await made.say("act.start", {"key": "1", "contact": ANN})
        for _ in range(4):
            await made.rest()
            await made.later(60_000)
        assert (await made.runs())["1"].status == "done"


@pytest.mark.parametrize("asked_s", [1e300, float("inf"), -5.0])
async def test_a_provider_that_asks_for_a_pause_without_end_is_asked_again(
    database_url: str, tmp_path: Path, asked_s: float
) -> None:
    async with line(tmp_path, database_url) as made:
        made.sms.acts = [Unavailable("sms.rate", "slow down", retry_after_s=asked_s)]
        await made.tell("1", "hello", {"phone": "+32470123456"})
        await made.rest()
        for _ in range(60):
            await made.later(3_600_000)
        assert made.sms.texts == ["hello", "hello"]


async def test_a_message_whose_hand_over_timed_out_is_marked_doubtful(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url) as made:
        made.sms.acts = [Unavailable("http.timeout", "no answer in time", doubtful=True)]
        await made.tell("1", "hello")
        await made.rest()
        (delivery,) = await made.deliveries()
        assert (delivery.state, delivery.doubtful) == ("retrying", True)
        await made.later(60_000)
        (delivery,) = await made.deliveries()
        assert (delivery.state, delivery.doubtful) == ("sent", True)


async def test_a_message_that_was_held_for_its_provider_does_not_leave_after_a_stop(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, more="rates: { twilio_sms: 1 }\n") as made:
        await made.tell("0", "zero", {"phone": "+32470000000"})
        await made.tell("1", "one", {"phone": "+32470123456"})
        await made.until(lambda: made.sms.texts == ["zero"] and made.beckon.wheel.quiet)
        received = {
            "channel": "sms",
            "provider": "twilio_sms",
            "from": "+32470123456",
            "text": "STOP",
            "provider_id": "1",
        }
        await made.say("message.received", received)
        await made.until(lambda: made.beckon.wheel.quiet)
        made.clock.drag(60_000)
        made.beckon.wake()
        await made.rest()
        assert made.sms.texts == ["zero"]


async def test_a_closing_server_hands_over_what_it_has_in_hand_and_nothing_more(
    database_url: str, tmp_path: Path
) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    async with line(tmp_path, database_url, in_flight_max=1, drain_s=1) as made:
        made.sms.acts = [first, second]
        for number in range(3):
            await made.tell(str(number), str(number), {"phone": f"+3247000000{number}"})
        await made.until(lambda: len(made.sms.sent) == 1 and made.beckon.wheel.quiet)
        made.library.channels = {"sms": made.sms}
        closing = asyncio.ensure_future(made.close())
        for _ in range(5):
            await asyncio.sleep(0)
        first.set()
        await closing
        clock = made.clock
    async with line(tmp_path, database_url, clock=clock) as made:
        await made.rest()
        assert sorted(made.sms.texts) == ["1", "2"]
        assert not any(delivery.doubtful for delivery in await made.deliveries())


async def test_what_a_turn_is_just_writing_is_handed_over_before_the_server_is_closed(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, drain_s=60) as made:
        await made.rest()
        written = asyncio.Event()
        await made.tell("1", "hello", {"phone": "+32470123456"})
        made.store.writing = written
        await made.until(lambda: made.beckon.database._writing is not None)
        made.library.channels = {"sms": made.sms}
        closing = asyncio.ensure_future(made.close())
        for _ in range(20):
            await asyncio.sleep(0)
        written.set()
        await closing
        assert made.sms.texts == ["hello"]
        clock = made.clock
    async with line(tmp_path, database_url, clock=clock) as made:
        await made.rest()
        assert made.sms.texts == []
        assert [delivery.state for delivery in await made.deliveries()] == ["sent"]
        assert await made.events("message.doubtful") == []


async def test_a_crowd_for_one_provider_does_not_keep_another_waiting(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url, more="rates: { twilio_sms: 1 }\n", in_flight_max=4) as made:
        events = [
            made.event("message.asked", {"contact": {"phone": f"+3247{number:07d}"}, "text": "sms"})
            for number in range(100)
        ]
        events.append(made.event("message.asked", {"contact": {"email": "ann@example.com"}, "text": "mail"}))
        await made.beckon.intake.accept(events)
        await made.until(lambda: made.email.texts == ["mail"])
        assert made.sms.texts == ["sms"]


async def test_an_act_that_a_crash_cut_short_is_done_again_and_its_run_goes_on(
    database_url: str, tmp_path: Path
) -> None:
    steps = """\
import asyncio
times = []

async def slow():
    times.append(1)
    if HANG:
        await asyncio.Event().wait()
    return "done"
"""
    flow = """\
flow: act
on: act.start
key: "{{ event.data.key }}"
steps:
  - call: partner.slow
    save: answer
"""
    files = {"flows/act.yaml": flow, "steps/partner.py": "HANG = True\n" + steps}
    async with line(tmp_path, database_url, files=files, drain_s=0) as made:
        await made.say("act.start", {"key": "1", "contact": ANN})
        await made.until(lambda: made.beckon.carrier and made.beckon.carrier._tasks)
        clock = made.clock
    files["steps/partner.py"] = "HANG = False\n" + steps
    async with line(tmp_path, database_url, files=files, clock=clock) as made:
        await made.rest()
        run = (await made.runs())["1"]
        assert (run.status, run.variables["answer"]) == ("done", "done")
        assert await made.rows("SELECT id FROM outbox") == []


async def test_a_message_is_tried_again_by_itself_when_its_time_has_come(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url, clock=SystemClock()) as made:
        made.sms.acts = [Unavailable("sms.down", "down")]
        await made.tell("1", "hello")
        await made.until(lambda: len(made.sms.sent) == 2)  # nobody wakes the carrier, but the carrier
