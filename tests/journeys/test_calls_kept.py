"""Calls from the switch to the contact's thread: what is kept, what a crash leaves, messages that are calls."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from beckon.core.errors import Refused, Unavailable, Unsupported
from beckon.core.message import Button, Outbound, Rendered
from beckon.journeys.call_processing.kept import decode
from beckon.journeys.call_processing.part import FOR_EVER_MS
from beckon.telephony.switch import Say, SwitchOffer
from tests.kit.switches import IN_MEMORY, Taping, until
from tests.rooms.worker.stage import BY_SMS, DAY_MS, Line, line, visit

ANN, STORE, DESK = "+32470123456", "+3221234567", "+3221110000"
SCRIPT = """\
call: desk
steps:
  - gather: order
    say: Your order, please.
    max: 4
  - dial: "{{ settings.desk }}"
    record: true
    otherwise: [ { voicemail: desk, say: Nobody is here. } ]
"""
TELEPHONY = f"""\
telephony:
  switch: {{ fake: {{}} }}
  numbers: {{ "{STORE}": desk }}
  caller_id: "{STORE}"
values: {{ desk: "{DESK}" }}
"""
CALLED = """\
flow: called
on: visit.start
key: "{{ event.data.visit }}"
steps:
  - send: invite
    via: [voice, sms]
    with: { slug: "{{ event.data.visit }}" }
  - wait_for: message.received
    timeout: 2h
    save: said
"""
ASKED = """\
template: invite
purpose: transactional
variables:
  slug: { default: none }
locales:
  en:
    text: "Your car {{ slug }} is ready. Is five o'clock fine?"
    buttons:
      - { text: Yes, reply: "yes" }
      - { text: Later, reply: later }
      - { text: Look, link: "https://garage.example/look" }
"""


@asynccontextmanager
async def desk(
    url: str,
    folder: Path,
    *flows: str,
    more: str = TELEPHONY,
    script: str = SCRIPT,
    switches: Mapping[str, SwitchOffer] | None = IN_MEMORY,
    **files: str,
) -> AsyncIterator[Line]:
    """A line with a desk that can be called."""
    given = {"scripts/desk.yaml": script, **{f"templates/{name}.yaml": text for name, text in files.items()}}
    async with line(url, folder, *flows, files=given, more=more, switches=switches) as on:
        on.rests = False
        yield on


def switch_of(on: Line) -> Taping:
    switch = on.beckon.beside[0].switch  # type: ignore[attr-defined]
    assert isinstance(switch, Taping)
    return switch


async def begun(on: Line) -> None:
    """Wait until the calls under way have been told of."""
    await until(lambda: on.beckon.beside[0].quiet)  # type: ignore[attr-defined]
    await on.quiet()


async def over(on: Line) -> None:
    await until(lambda: not on.beckon.beside[0].calls._tasks)  # type: ignore[attr-defined]
    await on.quiet()


async def rows(on: Line) -> list[dict[str, Any]]:
    names = ("id", "contact", "script", "direction", "outcome", "started_ms", "ended_ms", "body")
    found = await on.rows(f"SELECT {', '.join(names)} FROM calls ORDER BY started_ms, id")
    return [dict(zip(names, row, strict=True)) for row in found]


async def talk(on: Line, caller: str = ANN) -> str:
    """Somebody calls, types an order's number and talks with the desk for half a minute; the call's id."""
    switch = switch_of(on)
    leg = switch.offer(caller, STORE)
    await until(lambda: leg in switch.answered)
    switch.press(leg, "4711")
    await until(lambda: switch.bridges and switch.recording)
    on.clock.drag(30_000)
    switch.hang_up_by(leg)
    await over(on)
    return str((await rows(on))[-1]["id"])


async def test_a_call_is_kept_and_stands_in_the_thread_of_a_new_contact(database_url: str, tmp_path: Path) -> None:
    async with desk(database_url, tmp_path) as on:
        switch_of(on).wav = b"RIFF"
        id_ = await talk(on)
        [row] = await rows(on)
        assert (row["script"], row["direction"], row["outcome"]) == ("desk", "in", "connected")
        [(contact, body)] = await on.rows("SELECT id, body FROM contacts")
        assert row["contact"] == contact
        assert ANN in body
        record = decode(row["body"]).record
        assert (record.talked_ms, record.digits) == (30_000, {"order": "4711"})
        assert [leg.number for leg in record.legs] == [ANN, DESK]
        [entry] = await on.entries("call")
        assert (entry["author"], entry["call"], entry["outcome"], entry["talked_s"]) == (
            "contact",
            id_,
            "connected",
            30,
        )
        assert entry["digits"] == "order 4711"
        assert {one["what"] for one in entry["decisions"]} >= {"took 4711", "the call ended"}
        assert ANN not in str(entry)
        [(recording, until_ms, path)] = await on.rows("SELECT id, keep_until_ms, path FROM recordings")
        assert entry["recordings"] == [{"id": recording, "what": "conversation", "seconds": 1}]
        assert until_ms == record.ended_ms + 90 * DAY_MS
        assert Path(path).read_bytes() == b"RIFF"


async def test_whoever_called_before_is_the_same_contact_and_hears_their_language(
    database_url: str, tmp_path: Path
) -> None:
    script = SCRIPT.replace("Your order, please.", "{ en: Your order., nl: Uw bestelling. }")
    async with desk(database_url, tmp_path) as on:
        on.library.take("script", "desk", script)
        await on.says("contact.changed", {"contact": {"name": "Ann", "phone": ANN, "locale": "nl-BE"}})
        await talk(on)
        await talk(on)
        assert len({row["contact"] for row in await rows(on)}) == 1
        said = [prompt for told in switch_of(on).commands("play") for prompt in told.details[1]]  # type: ignore[union-attr]
        assert said[0] == Say("Uw bestelling.", "nl")


async def test_a_withheld_number_is_nobody_s_and_kept_all_the_same(database_url: str, tmp_path: Path) -> None:
    async with desk(database_url, tmp_path) as on:
        await talk(on, "anonymous")
        [row] = await rows(on)
        assert (row["contact"], row["outcome"]) == ("", "connected")
        assert await on.rows("SELECT 1 FROM contacts") == []


async def test_a_call_whose_server_died_ends_with_a_reason_and_what_was_recorded(
    database_url: str, tmp_path: Path
) -> None:
    async with desk(database_url, tmp_path) as on:
        switch = switch_of(on)
        leg = switch.offer(ANN, STORE)
        await until(lambda: leg in switch.answered)
        switch.press(leg, "4711")
        await until(lambda: switch.recording)
        await begun(on)
        [row] = await rows(on)
        assert (row["outcome"], row["ended_ms"]) == ("", 0)
        [recording] = switch.recording
        calls = on.beckon.beside[0].calls  # type: ignore[attr-defined]
        for task in calls._tasks:
            task.cancel()
        await asyncio.wait(calls._tasks)
        await on.crash()
        (switch.folder / f"{recording}.wav").write_bytes(b"RIFF")
        await on.open()
        await on.quiet()
        [row] = await rows(on)
        assert (row["outcome"], row["ended_ms"]) == ("failed", on.clock.now_ms())
        assert decode(row["body"]).record.why == "the server ended during the call"
        assert await on.rows("SELECT id FROM recordings") == [(recording,)]
        [entry] = await on.entries("call")
        assert entry["why"] == "the server ended during the call"
        await on.restart()
        await on.quiet()
        assert len(await on.events("call.finished")) == 1


async def test_comments_marks_and_who_listened_are_kept(database_url: str, tmp_path: Path) -> None:
    async with desk(database_url, tmp_path) as on:
        id_ = await talk(on)
        about = {"call": id_, "recording": f"{id_}-r1", "by": "per_1"}
        await on.says("call.commented", {**about, "moment_ms": 1500, "text": "Kind words"}, id_="c1")
        await on.says("call.commented", {**about, "moment_ms": 1500, "text": "Kind words"}, id_="c1")
        await on.says("call.marked", {**about, "mark": "good", "word": "calm"})
        await on.says("call.listened", about)
        await on.says("call.marked", {**about, "call": "call_of_nobody", "mark": "bad"})
        kept = decode((await rows(on))[0]["body"])
        assert [(one.moment_ms, one.text) for one in kept.comments] == [(1500, "Kind words")]
        assert kept.mark is not None
        assert (kept.mark.mark, kept.mark.word) == ("good", "calm")
        assert [one.by for one in kept.listened] == ["per_1"]


async def test_recordings_go_when_their_time_is_over_the_file_and_the_row(database_url: str, tmp_path: Path) -> None:
    async with desk(database_url, tmp_path) as on:
        switch_of(on).wav = b"RIFF"
        await talk(on)
        [(path,)] = await on.rows("SELECT path FROM recordings")
        peaks = Path(path).with_suffix(".peaks")
        peaks.write_text("[]")
        await on.beckon.maintenance.round()
        assert Path(path).exists()
        on.clock.drag(91 * DAY_MS)
        await on.beckon.maintenance.round()
        assert not Path(path).exists()
        assert not peaks.exists()
        assert await on.rows("SELECT 1 FROM recordings") == []
        assert len(await rows(on)) == 1, "that it was called stays"


async def test_recordings_may_be_kept_for_ever(tmp_path: Path) -> None:
    more = TELEPHONY.replace("  caller_id", "  recordings_days: 0\n  caller_id")
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path, more=more) as on:
        await talk(on)
        assert await on.rows("SELECT keep_until_ms FROM recordings") == [(FOR_EVER_MS,)]


async def test_a_forgotten_contact_leaves_no_call_no_recording_and_no_word_in_the_journal(
    database_url: str, tmp_path: Path
) -> None:
    async with desk(database_url, tmp_path) as on:
        switch_of(on).wav = b"RIFF"
        await talk(on)
        await talk(on, "+32470999999")
        contact = (await rows(on))[0]["contact"]
        [path] = [row[0] for row in await on.rows("SELECT path FROM recordings WHERE contact = ?", contact)]
        await on.says("call.forgotten", {"contact": contact, "by": "per_1"})
        await on.beckon.maintenance.round()
        assert not Path(path).exists()
        assert [row["contact"] == contact for row in await rows(on)] == [False]
        assert len(await on.rows("SELECT 1 FROM recordings")) == 1
        assert len(await on.entries("call")) == 1
        told = await on.events("call.started") + await on.events("call.finished")
        assert len(told) == 4
        assert [ANN in str(event.data) for event in told] == [False] * 4


# Messages that are calls ----------------------------------------------------------------------------------------------


async def answered(on: Line, number: str) -> str:
    """The phone is picked up, and the message was said; the leg."""
    switch = switch_of(on)
    await until(lambda: number in switch.legs.values() and switch.leg_of(number) in switch.answered)
    leg = switch.leg_of(number)
    await until(lambda: leg in switch.playing.values() or not switch.hears)
    return leg


async def test_a_message_that_is_a_call_is_delivered_when_heard_and_read_when_confirmed(
    database_url: str, tmp_path: Path
) -> None:
    async with desk(database_url, tmp_path, CALLED) as on:
        switch = switch_of(on)
        await on.says("visit.start", visit(1, {"name": "Ben", "phone": ANN}))
        await until(lambda: len(switch.commands("play")) == 2)
        [dial] = switch.commands("dial")
        assert dial.details == (ANN, STORE)
        first, menu = (told.details[1] for told in switch.commands("play"))
        assert first == (Say("Hello Ben, check in: V-1", "en"),)
        assert menu == (Say("To confirm, press 1. To hear this again, press 9.", "en"),)
        switch.press(switch.leg_of(ANN), "9")
        await until(lambda: len(switch.commands("play")) == 4)
        switch.press(switch.leg_of(ANN), "1")
        await over(on)
        delivery = await on.delivery()
        assert (delivery.state, delivery.choice.channel) == ("read", "voice")  # type: ignore[union-attr]
        assert await on.events("message.received") == []
        [row] = await rows(on)
        assert (row["direction"], row["outcome"], row["script"]) == ("out", "finished", "voice-message")
        assert decode(row["body"]).delivery == delivery.id
        assert len(await on.entries("call")) == 1
        assert len(await on.rows("SELECT 1 FROM contacts")) == 1


async def test_reply_buttons_have_keys_and_the_reply_comes_back_to_the_flow(database_url: str, tmp_path: Path) -> None:
    async with desk(database_url, tmp_path, CALLED, invite=ASKED) as on:
        switch = switch_of(on)
        await on.says("visit.start", visit(1, {"name": "Ben", "phone": ANN}))
        await until(lambda: len(switch.commands("play")) == 2)
        menu = switch.commands("play")[1].details[1][0].text  # type: ignore[index]
        assert menu == "For Yes, press 1. For Later, press 2. To hear this again, press 9."
        assert "http" not in str(switch.commands("play")), "nobody can tap a link that is spoken"
        switch.press(switch.leg_of(ANN), "2")
        await over(on)
        [said] = await on.events("message.received")
        assert (said.data["reply"], said.data["channel"], said.data["text"]) == ("later", "voice", "Later")
        run = await on.run()
        assert run.status == "done"
        assert run.variables["said"]["data"]["reply"] == "later"
        assert len(await on.rows("SELECT 1 FROM contacts")) == 1


@pytest.mark.parametrize(("fate", "why"), [("busy", "busy"), ("no_answer", "no answer"), ("declined", "declined")])
async def test_a_phone_that_nobody_takes_leaves_the_message_to_the_next_channel(
    tmp_path: Path, fate: str, why: str
) -> None:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path, CALLED) as on:
        switch_of(on).phones[BY_SMS["sms"]] = fate
        await on.says("visit.start", visit(1, BY_SMS))
        await over(on)
        await until(lambda: on.channels["sms"].sent)
        await on.quiet()
        delivery = await on.delivery()
        assert delivery.choice is not None
        assert delivery.choice.channel == "sms"
        assert why in str(delivery.choice.passed_over)
        assert await on.rows("SELECT channel FROM addresses") == [("sms",)], "being called says nothing of WhatsApp"


async def test_who_hangs_up_before_the_message_is_said_has_not_had_it(tmp_path: Path) -> None:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path, CALLED) as on:
        switch = switch_of(on)
        switch.hears = False
        await on.says("visit.start", visit(1, BY_SMS))
        await until(lambda: switch.commands("play"))
        switch.hang_up_by(switch.leg_of(BY_SMS["sms"]))
        await over(on)
        await until(lambda: on.channels["sms"].sent)
        assert "hung up before" in str((await on.events("message.failed"))[0].data)


async def test_who_hangs_up_after_it_has_had_it(tmp_path: Path) -> None:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path, CALLED) as on:
        switch = switch_of(on)
        await on.says("visit.start", visit(1, BY_SMS))
        await until(lambda: len(switch.commands("play")) == 2)
        switch.hang_up_by(switch.leg_of(BY_SMS["sms"]))
        await over(on)
        assert (await on.delivery()).state == "delivered"
        assert on.channels["sms"].sent == []


async def test_a_call_with_a_message_whose_server_died_leaves_it_to_the_next_channel(
    database_url: str, tmp_path: Path
) -> None:
    async with desk(database_url, tmp_path, CALLED) as on:
        switch = switch_of(on)
        switch.hears = False
        await on.says("visit.start", visit(1, BY_SMS))
        await until(lambda: switch.commands("play"))
        await begun(on)
        calls = on.beckon.beside[0].calls  # type: ignore[attr-defined]
        for task in calls._tasks:
            task.cancel()
        await asyncio.wait(calls._tasks)
        await on.crash()
        await on.open()
        await until(lambda: on.channels["sms"].sent)
        await on.quiet()
        assert (await on.delivery()).choice.channel == "sms"  # type: ignore[union-attr]


def outbound(text: str = "Ready.", to: str = ANN, now_ms: int = 1_795_165_200_000, **more: Any) -> Outbound:
    extras = {"now_ms": now_ms}
    return Outbound(delivery_id="dlv_1", attempt=1, to=to, rendered=Rendered(text=text), extras=extras, **more)


async def test_what_cannot_be_said_by_phone_is_said_so(tmp_path: Path) -> None:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path) as on:
        channel = on.library.channels["voice"]
        night_ms = 1_795_165_200_000 + 14 * 3_600_000
        for message, error in (
            (outbound(""), Unsupported),
            (outbound("🚗 …"), Unsupported),
            (outbound("x" * 1_201), Unsupported),
            (outbound("a\ud800b"), Unsupported),
            (outbound(to="anna"), Refused),
            (outbound(to="0470123456"), Refused),
            (outbound(now_ms=night_ms), Unsupported),
        ):
            with pytest.raises(error):
                await channel.send(message)
        assert switch_of(on).commands("dial") == []
        handed = await channel.send(outbound())
        assert handed.provider_id.startswith("call_")
        again = await channel.send(msgspec.structs.replace(outbound(), attempt=2))
        assert again.provider_id == handed.provider_id, "the same message does not make the phone ring twice"


async def test_a_full_house_asks_for_patience(tmp_path: Path) -> None:
    more = TELEPHONY.replace("  caller_id", "  calls_max: 1\n  calling_hours: ''\n  caller_id")
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path, more=more) as on:
        switch_of(on).hears = False
        channel = on.library.channels["voice"]
        await channel.send(outbound(now_ms=0))
        await until(lambda: switch_of(on).commands("play"))
        with pytest.raises(Unavailable):
            await channel.send(
                Outbound(
                    delivery_id="dlv_2", attempt=1, to=ANN,
                    rendered=Rendered(text="Hello", buttons=(Button("reply", "Yes", "y"),)),
                )
            )  # fmt: skip
