"""The wheel: what an event starts and wakes, once, in order, across restarts."""

import asyncio
from pathlib import Path

import pytest

from beckon.core.event import Event
from tests.rooms.worker.stage import (
    ANN,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    SEND,
    Line,
    line,
    visit,
)

WAITING = """\
flow: waiting
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - send: invite
    with: { slug: "{{ event.data.visit }}" }
  - wait_for: visit.finished
    match: { visit: "{{ event.data.visit }}" }
    timeout: 24h
    save: result
    on_timeout:
      - note: "nobody came"
      - stop: expired
  - post: { results: "{{ result.data }}" }
  - notify: service-advisors
"""


async def test_an_event_becomes_a_message_and_its_outcome_stands_on_the_delivery(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        await here.says("visit.start", visit(17))
        [(channel, message)] = here.handed
        assert (channel, message.to, message.rendered.text) == (
            "whatsapp", "32470123456", "Hello Ann, check in: V-17",
        )  # fmt: skip
        delivery = await here.delivery()
        assert (delivery.state, delivery.provider_id) == ("sent", f"whatsapp-{delivery.id}-1")
        assert [attempt.outcome for attempt in delivery.attempts] == ["sent"]
        assert [passed.channel for passed in delivery.choice.passed_over] == ["oem_app"]  # type: ignore[union-attr]
        assert (await here.run()).status == "done"
        assert [entry["kind"] for entry in await here.entries()] == ["message"]
        assert await here.waiting() == {"waits": 0, "timers": 0, "outbox": 0}


async def test_the_same_event_again_changes_nothing(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        first = await here.says("visit.start", visit(17), id_="v17")
        entries, deliveries = await here.entries(), await here.deliveries()
        again = await here.says("visit.start", visit(17), id_="v17")
        assert (again.position, again.duplicate) == (first.position, True)
        assert len(here.handed) == 1
        assert (await here.entries(), await here.deliveries()) == (entries, deliveries)


async def test_another_event_of_the_same_key_starts_no_second_run(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        await here.says("visit.start", visit(17))
        await here.says("visit.start", visit(17))
        await here.accept(*[here.event("visit.start", visit(18)) for _ in range(5)])
        assert sorted(run.key for run in await here.runs()) == ["V-17", "V-18"]
        assert len(here.handed) == 2


async def test_a_result_wakes_the_run_that_waits_for_it_and_no_other(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        for number in (1, 2, 3):
            await here.says("visit.start", visit(number, {"phone": f"+3247012345{number}"}))
        await here.says("visit.finished", {"visit": "V-2", "mileage": 12_000})
        assert {run.key: run.status for run in await here.runs()} == {
            "V-1": "waiting", "V-2": "done", "V-3": "waiting",
        }  # fmt: skip
        [results] = await here.entries("results")
        assert results["fields"]["mileage"] == 12_000
        assert len(await here.entries("notice")) == 1
        assert await here.waiting() == {"waits": 2, "timers": 2, "outbox": 0}


async def test_a_result_before_its_wait_counts_if_it_came_after_the_run_began(database_url: str, tmp_path: Path):
    flow = WAITING.replace("  - wait_for:", "  - wait: 10m\n  - wait_for:")
    async with line(database_url, tmp_path, flow) as here:
        await here.says("visit.finished", {"visit": "V-1", "mileage": 1})  # before the run: of another time
        await here.says("visit.start", visit(1))
        await here.says("visit.finished", {"visit": "V-1", "mileage": 2})
        assert (await here.run()).status == "waiting"
        await here.passes(10 * MINUTE_MS)
        assert (await here.run()).status == "done"
        [results] = await here.entries("results")
        assert results["fields"]["mileage"] == 2
        assert await here.waiting() == {"waits": 0, "timers": 0, "outbox": 0}


async def test_a_result_in_the_same_turn_as_its_start_counts(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.accept(
            here.event("visit.start", visit(1)), here.event("visit.finished", {"visit": "V-1", "mileage": 5})
        )
        assert (await here.run()).status == "done"
        assert len(await here.entries("results")) == 1


async def test_one_result_answers_one_wait_of_a_run(database_url: str, tmp_path: Path):
    flow = """\
flow: twice
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - wait_for: visit.finished
    match: { visit: "{{ event.data.visit }}" }
    timeout: 1h
    save: one
  - wait_for: visit.finished
    match: { visit: "{{ event.data.visit }}" }
    timeout: 1h
    save: two
  - note: "{{ one.data.n }} {{ two.data.n }}"
"""
    async with line(database_url, tmp_path, flow) as here:
        await here.says("visit.start", visit(1))
        await here.says("visit.finished", {"visit": "V-1", "n": 1})
        assert (await here.run()).status == "waiting"
        await here.says("visit.finished", {"visit": "V-1", "n": 2})
        assert [entry["text"] for entry in await here.entries("note")] == ["1 2"]


async def test_a_wait_ends_at_its_time_not_before(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.says("visit.start", visit(1))
        await here.passes(DAY_MS - 1)
        assert (await here.run()).status == "waiting"
        await here.passes(1)
        run = await here.run()
        assert (run.status, run.ended) == ("stopped", "expired")
        assert [entry["text"] for entry in await here.entries("note")] == ["nobody came"]
        await here.says("visit.finished", {"visit": "V-1"})
        assert await here.entries("results") == []
        assert await here.waiting() == {"waits": 0, "timers": 0, "outbox": 0}


async def test_a_result_that_came_in_time_counts_also_where_the_wheel_was_late(database_url: str, tmp_path: Path):
    """The event was accepted before the deadline, the wheel turns both afterwards."""
    async with line(database_url, tmp_path, WAITING, turn_events_max=5) as here:
        await here.says("visit.start", visit(1))
        await here.close()
        await here.open(start=False)
        here.clock.drag(DAY_MS - SECOND_MS)
        await here.beckon.intake.accept(
            [here.event("visit.other", {}) for _ in range(40)] + [here.event("visit.finished", {"visit": "V-1"})]
        )
        here.clock.drag(HOUR_MS)
        here.beckon.start()
        await here.quiet()
        assert (await here.run()).status == "done"


async def test_a_thousand_timers_at_one_instant_all_fire_once(database_url: str, tmp_path: Path):
    flow = 'flow: sleep\non: visit.start\nkey: "{{ event.data.visit }}"\nsteps:\n  - wait: 1h\n  - note: woke\n'
    async with line(database_url, tmp_path, flow) as here:
        await here.accept(*[here.event("visit.start", visit(number)) for number in range(1_200)])
        assert (await here.waiting())["timers"] == 1_200
        await here.passes(HOUR_MS)
        assert len(await here.entries("note")) == 1_200
        assert await here.waiting() == {"waits": 0, "timers": 0, "outbox": 0}


async def test_messages_to_one_contact_go_out_in_the_order_in_which_they_were_asked_for(
    database_url: str, tmp_path: Path
):
    async with line(database_url, tmp_path, SEND) as here:
        contacts = [{"name": f"C{number}", "sms": f"+3247000000{number}"} for number in range(5)]
        gate = asyncio.Event()

        async def slow(message: object) -> str:
            await gate.wait()
            return ""

        here.channels["sms"].answers.extend([slow] * 5)
        events = [here.event("visit.start", visit(number, contacts[number % 5])) for number in range(60)]
        await here.beckon.intake.accept(events[:30])
        await here.beckon.intake.accept(events[30:])
        gate.set()
        await here.quiet()
        for contact in contacts:
            said = [message.rendered.text for _, message in here.handed if message.to == contact["sms"]]
            numbers = [int(text.rpartition("-")[2]) for text in said]
            assert numbers == sorted(numbers)
            assert len(numbers) == 12


async def test_a_message_behind_one_that_is_retried_waits_for_it(database_url: str, tmp_path: Path):
    from beckon.core.errors import Unavailable

    async with line(database_url, tmp_path, SEND) as here:
        ben = {"name": "Ben", "sms": "+32470999999"}
        here.channels["sms"].answers.append(Unavailable("x", "not now"))
        await here.says("visit.start", visit(1, ben))
        await here.says("visit.start", visit(2, ben))
        await here.says("visit.start", visit(3, ben))
        assert [text[-3:] for text in here.channels["sms"].texts()] == ["V-1"]
        await here.passes(2_000)
        assert [text[-3:] for text in here.channels["sms"].texts()] == ["V-1", "V-1", "V-2", "V-3"]


# Restarts.


async def test_a_restart_in_the_middle_loses_nothing_and_repeats_nothing(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.says("visit.start", visit(1))
        await here.restart()
        await here.quiet()
        assert len(here.handed) == 1
        await here.says("visit.finished", {"visit": "V-1", "mileage": 3})
        assert (await here.run()).status == "done"
        await here.restart()
        await here.says("visit.start", visit(1))
        await here.quiet()
        assert len(here.handed) == 1
        assert len(await here.entries("results")) == 1


async def test_events_that_were_accepted_and_not_turned_are_turned_after_a_restart(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.close()
        await here.open(start=False)
        await here.beckon.intake.accept([here.event("visit.start", visit(number)) for number in range(30)])
        await here.crash()
        await here.open()
        await here.quiet()
        assert len(await here.runs()) == 30
        assert len(here.handed) == 30


async def test_a_timer_that_was_due_while_nobody_served_fires_at_the_start(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.says("visit.start", visit(1))
        await here.crash()
        here.clock.drag(3 * DAY_MS)
        await here.open()
        await here.quiet()
        assert (await here.run()).ended == "expired"


async def test_a_crash_at_any_turn_leaves_a_line_that_goes_on(database_url: str, tmp_path: Path):
    """Killed again and again in the middle of work; in the end every run is done and each message went out once."""
    async with line(database_url, tmp_path, SEND, turn_events_max=3) as here:
        for number in range(12):
            await here.beckon.intake.accept(
                [
                    here.event("visit.start", visit(f"{number}-{n}", {"sms": f"+324700{number:02d}{n:03d}"}))
                    for n in range(6)
                ]
            )
            for _ in range(number):
                await asyncio.sleep(0)
            await here.crash()
            await here.open()
        await here.quiet()
        runs = await here.runs()
        assert len(runs) == 72
        assert {run.status for run in runs} == {"done"}
        sent = [message.delivery_id for _, message in here.handed]
        deliveries = {delivery.id: delivery for delivery in await here.deliveries()}
        assert set(sent) == set(deliveries)
        twice = {id_ for id_ in sent if sent.count(id_) > 1}
        unmarked = [id_ for id_ in twice if not any(one.outcome == "doubtful" for one in deliveries[id_].attempts)]
        assert unmarked == []
        assert (await here.waiting())["outbox"] == 0


# Definitions.


async def upload(here: Line, kind: str, name: str, text: str) -> None:
    """What the API's door hands in."""
    from beckon.workspaces import version_of

    await here.says(
        "definition.uploaded", {"kind": kind, "name": name, "version": version_of(kind, text), "text": text}
    )


async def test_a_run_keeps_the_version_that_it_began_with_across_a_restart(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.says("visit.start", visit("old"))
        await upload(here, "flow", "waiting", WAITING.replace("post: { results:", "note: new  # {"))
        newer = WAITING.replace('  - post: { results: "{{ result.data }}" }\n', '  - note: "the new way"\n')
        await upload(here, "flow", "waiting", newer)
        await here.says("visit.start", visit("new"))
        await here.restart()
        await here.says("visit.finished", {"visit": "V-old", "n": 1})
        await here.says("visit.finished", {"visit": "V-new", "n": 2})
        assert [entry["fields"]["n"] for entry in await here.entries("results")] == [1]
        assert [entry["text"] for entry in await here.entries("note")] == ["the new way"]
        versions = {run.key: run.version for run in await here.runs()}
        assert versions["V-old"] != versions["V-new"]


async def test_a_run_of_a_version_that_nobody_can_read_any_more_ends_with_a_reason(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, WAITING) as here:
        await here.says("visit.start", visit(1))
        await here.close()
        workspace = tmp_path / "workspace" / "flows" / "flow0.yaml"
        workspace.write_text(WAITING + '  - note: "another version"\n')
        await here.open()
        await here.rows("SELECT 1")
        from beckon.store.changes import Changes

        changes = Changes()
        changes.execute("DELETE FROM definitions WHERE version = ?", ((await here.run()).version,))
        await here.beckon.database.commit(changes)
        await here.restart()
        await here.says("visit.finished", {"visit": "V-1"})
        run = await here.run()
        assert run.status == "failed"
        assert run.error is not None
        assert run.error.code == "flow.version"
        assert (await here.waiting()) == {"waits": 0, "timers": 0, "outbox": 0}


# Flows that lead to flows.

EMITS = """\
flow: emits
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - emit: visit.other
    data: { visit: "{{ event.data.visit }}", n: 1 }
"""
ENDLESS = """\
flow: endless
on: visit.other
steps:
  - emit: visit.other
    data: { visit: "{{ event.data.visit }}", n: 2 }
"""


async def test_what_a_flow_says_starts_other_flows(database_url: str, tmp_path: Path):
    other = 'flow: other\non: visit.other\nsteps:\n  - note: "{{ event.data.n }}"\n'
    async with line(database_url, tmp_path, EMITS, other) as here:
        await here.says("visit.start", visit(1))
        assert [entry["text"] for entry in await here.entries("note")] == ["1"]
        [event] = await here.events("visit.other")
        assert (event.source, event.depth) == ("beckon/flows", 1)


async def test_flows_that_chase_each_other_are_stopped_and_the_team_is_told(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, EMITS, ENDLESS) as here:
        await here.says("visit.start", visit(1))
        said = await here.events("visit.other")
        assert [event.depth for event in said] == list(range(1, 17))
        [error] = await here.entries("error")
        assert "visit.other" in error["text"]


# What is beyond the wheel.


async def test_a_poison_event_is_passed_over_and_said_and_all_others_go_their_way(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with line(database_url, tmp_path, SEND) as here:
        effects = here.beckon.wheel._effects
        take = effects.take

        def poisoned(batch: object, event: Event) -> None:
            take(batch, event)  # type: ignore[arg-type]
            if event.id == "poison":
                raise ZeroDivisionError("a defect of ours")

        monkeypatch.setattr(effects, "take", poisoned)
        events = [here.event("visit.start", visit(number)) for number in range(3)]
        poison = here.event("visit.start", visit("poison"), id_="poison")
        await here.accept(*events[:2], poison, *events[2:])
        assert sorted(run.key for run in await here.runs()) == ["V-0", "V-1", "V-2"]
        assert len(here.handed) == 3
        [said] = await here.events("event.failed")
        [(position,)] = await here.rows("SELECT position FROM journal WHERE id = 'poison'")
        assert said.data["position"] == position
        assert "ZeroDivisionError" in said.data["why"]
        await here.restart()
        await here.says("visit.start", visit("after"))
        assert len(here.handed) == 4
        assert len(await here.events("event.failed")) == 1


async def test_a_poison_timer_is_passed_over_and_all_others_fire(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    flow = 'flow: sleep\non: visit.start\nkey: "{{ event.data.visit }}"\nsteps:\n  - wait: 1h\n  - note: woke\n'
    async with line(database_url, tmp_path, flow) as here:
        await here.accept(*[here.event("visit.start", visit(number)) for number in range(4)])
        poison = (await here.runs())[1].id
        effects = here.beckon.wheel._effects
        fire = effects.fire

        def poisoned(batch: object, due_ms: int, kind: str, subject: str) -> None:
            if subject == poison:
                raise ZeroDivisionError("a defect of ours")
            fire(batch, due_ms, kind, subject)  # type: ignore[arg-type]

        monkeypatch.setattr(effects, "fire", poisoned)
        await here.passes(HOUR_MS)
        assert len(await here.entries("note")) == 3
        assert (await here.waiting())["timers"] == 0


async def test_events_that_concern_nobody_cost_nothing_and_stay_in_the_journal(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        await here.accept(*[here.event("visit.other", {"n": number, "contact": ANN}) for number in range(50)])
        assert await here.runs() == []
        assert len(await here.events("visit.other")) == 50
        assert await here.rows("SELECT id FROM contacts") == []


async def test_an_event_of_a_workspace_that_is_not_served_here_waits_in_the_journal(database_url: str, tmp_path: Path):
    async with line(database_url, tmp_path, SEND) as here:
        await here.accept(
            Event(workspace="elsewhere", source="x", id="1", type="visit.start", time_ms=1, data=visit(1))
        )
        await here.says("visit.start", visit(2))
        assert len(here.handed) == 1
        assert [run.workspace for run in await here.runs()] == ["main"]
