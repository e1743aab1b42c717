"""What events change: receipts find home, results find their wait, nothing is sent twice, nobody sees another's."""

import asyncio
from pathlib import Path
from typing import Any

from beckon.core.errors import Refused, Unavailable
from beckon.store.changes import Changes
from tests.rooms.worker.line import ANN, Line, line
from tests.rooms.worker.test_review_wheel import AWAY, once

TELL = """\
flow: tell
on: tell.start
key: "{{ event.data.key }}"
steps:
  - send: { text: "{{ event.data.text }}" }
    to: "{{ event.data.contact }}"
    fallback_after: 10m
"""
FILES = {"flows/tell.yaml": TELL}


async def test_a_message_that_was_held_after_a_crash_can_be_sent_again(database_url: str, tmp_path: Path) -> None:
    never = asyncio.Event()
    async with line(tmp_path, database_url, drain_s=0) as made:
        made.sms.acts = [never]
        await made.tell("1", "hello")
        await made.until(lambda: made.sms.sent)
        clock = made.clock
    async with line(tmp_path, database_url, clock=clock, more="doubtful: hold\n") as made:
        await made.rest()
        (delivery,) = await made.deliveries()
        assert (delivery.state, delivery.doubtful, made.sms.texts) == ("doubtful", True, [])
        asked = {"delivery": delivery.id, "contact": delivery.contact, "accept_duplicate": True}
        await made.say("delivery.resend_asked", asked)
        await made.rest()
        assert made.sms.texts == ["hello"]


async def test_a_failure_that_is_told_while_the_fallback_is_being_handed_over_sends_it_once(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, files=FILES) as made:
        await made.tell("1", "hello")
        await made.rest()
        gate = asyncio.Event()
        made.email.acts = [gate]
        made.clock.drag(600_000)
        made.beckon.wake()
        await made.until(lambda: made.email.sent)
        await made.receipt("twilio_sms-1", "failed", code="30003")
        await made.until(lambda: made.beckon.wheel.quiet)
        gate.set()
        await made.rest()
        assert (made.sms.texts, made.email.texts) == (["hello"], ["hello"])
        (delivery,) = await made.deliveries()
        assert [attempt.outcome for attempt in delivery.attempts] == ["failed", "sent"]
        assert (delivery.state, delivery.queued_number) == ("sent", 0)


async def test_a_failure_that_overtakes_the_hand_over_it_is_about_makes_the_fallback(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, files=FILES) as made:
        gate, busy = asyncio.Event(), asyncio.Event()
        made.sms.acts = [gate]
        await made.tell("1", "hello")
        await made.until(lambda: made.sms.sent)
        # The wheel is busy with somebody else while both the receipt and the outcome come in.
        made.store.held = ("addresses t", busy)
        await made.tell("2", "other", {"phone": "+32470999999"})
        await made.until(made.store.holding.is_set)
        await made.receipt("twilio_sms-1", "failed", code="30003")
        before = made.beckon.journal.position
        gate.set()
        await made.until(lambda: made.beckon.journal.position > before)
        busy.set()
        await made.rest()
        assert made.email.texts == ["hello"]


async def test_a_receipt_that_waits_for_its_hand_over_survives_a_turn_that_fails(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, files=FILES) as made:
        gate = asyncio.Event()
        made.sms.acts = [gate]
        await made.tell("1", "hello")
        await made.until(lambda: made.sms.sent)
        await made.receipt("twilio_sms-1", "delivered")
        await made.until(lambda: made.beckon.wheel.quiet)
        made.store.before_write = once(AWAY, "INTO deliveries")
        gate.set()
        await made.rest()
        (delivery,) = await made.deliveries()
        assert delivery.state == "delivered"
        assert await made.rows("SELECT match_key FROM early") == []
        await made.later(600_000)
        assert made.email.texts == []


async def test_receipts_of_messages_that_are_not_ours_do_not_crowd_out_ours(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url, files=FILES) as made:
        made.beckon.wheel._effects.receipts.orphans_max = 3
        for number in range(5):
            await made.receipt(f"somebody-elses-{number}", "delivered")
        gate = asyncio.Event()
        made.sms.acts = [gate]
        await made.tell("1", "hello")
        await made.until(lambda: made.sms.sent)
        await made.receipt("twilio_sms-1", "delivered")
        await made.until(lambda: made.beckon.wheel.quiet)
        assert len(await made.rows("SELECT match_key FROM early")) == 3
        gate.set()
        await made.rest()
        (delivery,) = await made.deliveries()
        assert delivery.state == "delivered"


async def test_a_receipt_finds_the_message_whose_hand_over_was_never_answered_by_our_own_reference(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, database_url, files=FILES) as made:
        made.sms.acts = [Unavailable("http.timeout", "no answer", doubtful=True)]
        await made.tell("1", "hello")
        await made.rest()
        (delivery,) = await made.deliveries()
        await made.receipt("nobody-told-us", "delivered", reference=delivery.id)
        await made.rest()
        (delivery,) = await made.deliveries()
        assert (delivery.state, delivery.queued_number) == ("delivered", 0)
        await made.later(600_000)
        assert made.sms.texts == ["hello"]


async def test_another_workspace_s_receipt_changes_nothing(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url, files=FILES) as made:
        made.beckon.workspaces._libraries["other"] = other = made.library
        gate = asyncio.Event()
        made.sms.acts = [gate]
        await made.tell("1", "hello")
        await made.until(lambda: made.sms.sent)
        stranger: dict[str, Any] = {"workspace": "other", "source": "providers/twilio_sms/2", "id": "x"}
        await made.say("message.delivered", {"provider": "twilio_sms", "provider_id": "twilio_sms-1"}, **stranger)
        (delivery,) = await made.deliveries()
        known = {"provider": "twilio_sms", "provider_id": "?", "reference": delivery.id}
        await made.say("message.delivered", known, **{**stranger, "id": "y"})
        await made.until(lambda: made.beckon.wheel.quiet)
        gate.set()
        await made.rest()
        (delivery,) = await made.deliveries()
        assert delivery.state == "sent"
        assert other.workspace == "main"


async def test_a_run_is_not_moved_by_another_workspace_s_outcome(database_url: str, tmp_path: Path) -> None:
    flow = """\
flow: act
on: act.start
key: "{{ event.data.key }}"
steps:
  - call: nobody.knows
    timeout: 1h
    on_error: [ { stop: failed } ]
"""
    async with line(tmp_path, database_url, files={"flows/act.yaml": flow}, started=False) as made:
        made.beckon.workspaces._libraries["other"] = made.library
        await made.say("act.start", {"key": "1", "contact": ANN})
        while await made.beckon.wheel.turn():
            pass
        run = (await made.runs())["1"]
        said = {"run": run.id, "command": run.waiting[0].command, "result": "forged"}
        await made.say("call.completed", said, workspace="other")
        while await made.beckon.wheel.turn():
            pass
        assert (await made.runs())["1"].status == "waiting"


MANY = """\
flow: many
on: many.start
key: "{{ event.data.key }}"
limits: { steps: 1000, items: 100 }
steps:
  - wait: 1h
  - for_each: "{{ event.data.items }}"
    as: item
    do:
      - wait_for: thing.done
        match: { key: "{{ event.data.key }}" }
        timeout: 1h
        on_timeout: [ { stop: late } ]
"""


async def results(made: Line, key: str, count: int) -> None:
    for number in range(count):
        await made.say("thing.done", {"key": key, "number": number})


async def test_any_number_of_results_that_came_early_counts_each_once(database_url: str, tmp_path: Path) -> None:
    async with line(tmp_path, database_url, files={"flows/many.yaml": MANY}) as made:
        items = list(range(90))
        await made.say("many.start", {"key": "enough", "items": items, "contact": ANN})
        await made.say("many.start", {"key": "one short", "items": items, "contact": ANN})
        await made.rest()
        await results(made, "enough", 90)
        await results(made, "one short", 89)
        await made.rest()
        await made.later(3_600_000)
        runs = await made.runs()
        assert (runs["enough"].status, runs["enough"].ended) == ("done", "")
        assert runs["one short"].status == "waiting", runs["one short"].ended
        waits = await made.rows("SELECT run FROM waits")
        assert waits == [(runs["one short"].id,)]


async def test_a_run_whose_flow_can_not_be_read_any_more_fails_and_says_so(database_url: str, tmp_path: Path) -> None:
    flow = """\
flow: sleep
on: sleep.start
key: "{{ event.data.key }}"
steps:
  - wait: 10m
  - note: "woken"
"""
    async with line(tmp_path, database_url, files={"flows/sleep.yaml": flow}) as made:
        await made.say("sleep.start", {"key": "K", "contact": ANN})
        await made.rest()
        clock = made.clock
    (tmp_path / "main/flows/sleep.yaml").write_text(flow.replace("woken", "awake"))
    async with line(
        tmp_path, database_url, clock=clock, files={"flows/sleep.yaml": flow.replace("woken", "awake")}, started=False
    ) as made:
        changes = Changes()
        changes.execute("UPDATE definitions SET body = 'flow: [' WHERE kind = 'flow' AND current = 0")
        await made.beckon.database.commit(changes)
        made.library._versions = {key: flow for key, flow in made.library._versions.items() if key[0] != "sleep"}
        made.beckon.start()
        await made.tell("1", "hello")
        await made.later(600_000)
        assert made.sms.texts == ["hello"]
        run = (await made.runs())["K"]
        assert run.status == "failed"
        assert run.error is not None
        assert run.error.code == "flow.version"


async def test_a_timer_that_can_not_be_turned_is_told_of(database_url: str, tmp_path: Path) -> None:
    flow = """\
flow: sleep
on: sleep.start
key: "{{ event.data.key }}"
steps:
  - wait: 10m
  - note: "woken"
"""
    async with line(tmp_path, database_url, files={"flows/sleep.yaml": flow}) as made:
        await made.say("sleep.start", {"key": "K", "contact": ANN})
        await made.rest()
        made.store.before_write = once(Refused("store.value", "no"), "INTO entries")
        await made.later(600_000)
        run = (await made.runs())["K"]
        (failed,) = await made.events("event.failed")
        assert failed["run"] == run.id


async def test_an_awaited_message_without_a_reader_is_undeliverable_at_once(database_url: str, tmp_path: Path) -> None:
    flow = """\
flow: reach
on: reach.start
key: "{{ event.data.key }}"
steps:
  - send: { text: hello }
    to: "{{ event.data.to }}"
    on_undeliverable: [ { stop: unreached } ]
"""
    async with line(tmp_path, database_url, files={"flows/reach.yaml": flow}) as made:
        for key, to in (("unreadable", {"phone": "12"}), ("nobody", "con_nobody")):
            await made.say("reach.start", {"key": key, "to": to, "contact": ANN})
        await made.rest()
        runs = await made.runs()
        assert {key: run.ended for key, run in runs.items()} == {"unreadable": "unreached", "nobody": "unreached"}


async def test_an_event_that_more_runs_wait_for_than_it_may_wake_says_so(database_url: str, tmp_path: Path) -> None:
    flow = """\
flow: crowd
on: crowd.start
key: "{{ event.data.key }}"
steps:
  - wait_for: crowd.done
    match: { all: "x" }
    timeout: 1h
"""
    async with line(tmp_path, database_url, files={"flows/crowd.yaml": flow}) as made:
        await made.beckon.intake.accept([made.event("crowd.start", {"key": str(number)}) for number in range(1_003)])
        await made.rest()
        await made.say("crowd.done", {"all": "x"})
        await made.rest()
        statuses = await made.rows("SELECT status, count(*) FROM runs GROUP BY status ORDER BY status")
        assert statuses == [("done", 1_000), ("waiting", 3)]
        (failed,) = await made.events("event.failed")
        assert failed["code"] == "event.too_many_runs"
