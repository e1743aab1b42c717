"""FreeSWITCH behind ``Switch``: the courier's call as a real one told it, and what goes wrong on the socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from beckon.core.clock import VirtualClock
from beckon.core.errors import Misconfigured, Refused
from beckon.providers.freeswitch import SWITCH, words
from beckon.providers.freeswitch.settings import FreeSwitchSettings
from beckon.providers.freeswitch.switch import FreeSwitch
from beckon.providers.freeswitch.wire import BLOCK_BYTES_MAX, Blocks, written
from beckon.telephony.call import CallRecord
from beckon.telephony.calls import Calls, Chosen
from beckon.telephony.questions import Questions
from beckon.telephony.script_reading import parse_script
from beckon.telephony.switch import File, KeyPressed, LegEnded, LegOffered, Say, Silence, SwitchDown, SwitchUp, Tone
from tests.providers.freeswitch.recorded import Recorded, entries, recorded

SCRIPT = """
call: recorded
steps:
  - gather: order
    say: { file: hint.wav }
    max: 8
  - dial: "74957654321"
    record: true
"""


class Heard:
    """A switch and everything that it told."""

    def __init__(self, port: int, calls: Calls | None = None, **settings: Any) -> None:
        self.events: list[Any] = []
        self.clock = VirtualClock()
        self.calls = calls
        given = FreeSwitchSettings(port=port, password="proto-local-only", **settings)
        self.switch: FreeSwitch = SWITCH.open(given, self.clock, self._listen)  # type: ignore[assignment]

    def _listen(self, event: Any) -> None:
        self.events.append(event)
        if self.calls is not None:
            self.calls.listen(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, holds: Callable[[], object]) -> None:
        for _ in range(30_000):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError([type(event).__name__ for event in self.events])


@asynccontextmanager
async def open_switch(party: Recorded, **more: Any) -> AsyncIterator[Heard]:
    heard = Heard(party.port, **more)
    await heard.switch.start()
    try:
        yield heard
    finally:
        await heard.switch.close()


async def test_the_recorded_courier_call_is_followed_from_the_first_ring_to_the_recording() -> None:
    records: list[CallRecord] = []

    async def choose(offered: LegOffered) -> Chosen:
        return Chosen(workspace="main", script=parse_script(SCRIPT))

    async def finish(record: CallRecord) -> None:
        records.append(record)

    clock = VirtualClock()
    calls = Calls(clock, Questions(clock, None, {}, None, None), choose, finish)  # type: ignore[arg-type]
    async with recorded() as party:
        async with open_switch(party, calls=calls, dial_string="sofia/lo/{number}@127.0.0.1:5090") as heard:
            calls.use(heard.switch)
            await heard.until(lambda: records)
            await calls.close(5)
        [offered] = heard.of(LegOffered)
        assert (offered.caller, offered.called) == ("+74952345678", "+74951234567")
        assert "".join(event.key for event in heard.of(KeyPressed)) == "4711#"
        originate = next(command for command in party.commands if "originate" in command)
        assert "origination_caller_id_number=+74951234567" in originate, "the caller's number is masked"
        assert "74952345678" not in originate
        assert "sofia/lo/74957654321@127.0.0.1:5090 &park()" in originate
        assert any(command.startswith("api uuid_bridge") for command in party.commands)
        assert party.played.is_set()
    [record] = records
    assert (record.outcome, record.digits) == ("connected", {"order": "4711"})
    assert [leg.cause for leg in record.legs] == ["normal", "normal"]
    [recording] = record.recordings
    assert recording.path.endswith(f"{recording.id}.wav")
    assert len(heard.of(LegEnded)) == 2, "each leg ends once"


async def test_a_wrong_password_is_said_at_the_start() -> None:
    async with recorded() as party:
        party.rows = [
            {"k": "cmd", "c": "auth wrong"},
            {"k": "reply", "h": {"Content-Type": "command/reply", "Reply-Text": "-ERR invalid"}, "b": ""},
        ]
        heard = Heard(party.port)
        with pytest.raises(Misconfigured) as refused:
            await heard.switch.start()
        assert refused.value.code == "freeswitch.password"
        await heard.switch.close()


async def test_nobody_at_the_port_is_said_at_the_start() -> None:
    heard = Heard(1)
    with pytest.raises(Misconfigured) as refused:
        await heard.switch.start()
    assert refused.value.code == "freeswitch.unreachable"
    await heard.switch.close()


def begun() -> list[dict[str, Any]]:
    """The recording up to the call that is parked."""
    rows = entries()
    at = next(
        number for number, row in enumerate(rows) if row["k"] == "ev" and row["e"]["Event-Name"] == "CHANNEL_PARK"
    )
    return rows[: at + 1]


async def test_a_socket_that_goes_ends_every_leg_and_the_switch_comes_back() -> None:
    async with recorded(begun()) as party, open_switch(party) as heard:
        await heard.until(lambda: heard.of(LegOffered))
        party.rows = entries()[:4]
        await party.drop()
        await heard.until(lambda: heard.of(SwitchDown))
        [ended] = heard.of(LegEnded)
        assert (ended.cause, ended.by) == ("switch_down", "switch")
        assert heard.events.index(ended) < heard.events.index(heard.of(SwitchDown)[0])
        await heard.until(lambda: len(heard.of(SwitchUp)) == 2)
        with pytest.raises(Refused) as gone:
            await heard.switch.answer(ended.leg)
        assert gone.value.code == "call.leg_gone"


async def test_a_dial_that_comes_to_nothing_ends_its_leg_once() -> None:
    async with recorded(begun()) as party, open_switch(party) as heard:
        await heard.until(lambda: heard.of(LegOffered))
        await heard.switch.dial("call_1-l1", "+3225550101", caller_id="+3221234567")
        job = party.commands[-1].rpartition("Job-UUID: ")[2]
        for _ in range(2):
            party._event({"Event-Name": "BACKGROUND_JOB", "Job-UUID": job, "_body": "-ERR USER_BUSY\n"})
        await heard.until(lambda: heard.of(LegEnded))
        [ended] = heard.of(LegEnded)
        assert (ended.leg, ended.cause, ended.why) == ("call_1-l1", "busy", "USER_BUSY")


async def test_garbage_on_the_socket_is_survived() -> None:
    async with recorded(begun()) as party, open_switch(party) as heard:
        await heard.until(lambda: heard.of(LegOffered))
        party._event({"Event-Name": "NOBODY_KNOWS"})
        party.write("Content-Length: 4\nContent-Type: text/event-json\n\n{{{{")
        await heard.until(lambda: heard.of(SwitchDown))
        await heard.until(lambda: len(heard.of(SwitchUp)) == 2)


def test_blocks_are_cut_wherever_the_bytes_are() -> None:
    text = b"Content-Type: command/reply\nReply-Text: +OK a%20b\n\nContent-Type: api/response\nContent-Length: 6\n\n"
    text += b"+OK\n\nx"
    for size in (1, 3, 7, 1_000):
        blocks = Blocks()
        found = [block for at in range(0, len(text), size) for block in blocks.feed(text[at : at + size])]
        assert [block.reply for block in found] == ["+OK a b", "+OK\n\nx"]


@pytest.mark.parametrize(
    "text", [b"Content-Length: x\n\n", b"Content-Length: 99999999\n\n", b"a" * (BLOCK_BYTES_MAX + 1)]
)
def test_a_block_without_end_is_refused(text: bytes) -> None:
    with pytest.raises(Refused):
        Blocks().feed(text)


def test_no_word_of_ours_becomes_a_second_command() -> None:
    settings = FreeSwitchSettings(password="x")
    with pytest.raises(Refused):
        written("api status\n\napi shutdown")
    for number in ("+32,x=1", "1} &system(rm)", "1 2", "1\n2", "1|2"):
        with pytest.raises(Refused):
            words.originate(settings, "u", number, "", "", 30, "j")
    app, argument = words.prompt_argument(Say("Hello\n\nexit | there"), settings)
    assert "\n" not in words.execute("u", app, argument).partition("execute-app-arg: ")[2]
    assert argument.count("|") == 2


def test_prompts_as_freeswitch_reads_them() -> None:
    settings = FreeSwitchSettings(password="x")
    prompts = [File("a.wav"), File("/x/a.wav"), File("https://a/b.wav"), Tone((425.0,), 1_000), Silence(50), Say("Hi.")]
    assert [words.prompt_argument(prompt, settings)[1] for prompt in prompts] == [
        "/usr/share/freeswitch/prompts/a.wav", "/x/a.wav", "https://a/b.wav", "tone_stream://%(1000,0,425)",
        "silence_stream://50", "flite|slt|Hi.",
    ]  # fmt: skip


def test_causes_are_ours() -> None:
    assert words.cause_of("USER_BUSY") == "busy"
    assert words.cause_of("SOMETHING_NEW") == "failed"
