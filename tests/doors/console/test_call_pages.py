"""Pages about calls: the list, a call with its path, recordings for those who may listen, comments and marks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from beckon.journeys.call_processing.kept import decode
from tests.journeys.test_calls_kept import ANN, TELEPHONY, begun, desk, over, rows, switch_of, talk
from tests.kit.switches import until
from tests.kit.team import Desk, at_desk, two_voices
from tests.rooms.worker.stage import Line


@pytest.fixture
async def called(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Line, Desk, str]]:
    """A call that was recorded, and the owner at the desk."""
    async with desk(database_url, tmp_path) as on, at_desk(on.beckon) as owner:
        switch_of(on).wav = two_voices()
        yield on, owner, await talk(on)


async def recording_of(on: Line) -> str:
    return str((await on.rows("SELECT id FROM recordings"))[0][0])


async def test_the_list_and_the_call_with_its_path(called: tuple[Line, Desk, str]) -> None:
    on, owner, id_ = called
    listed = (await owner.get("/console/calls")).text
    assert f"/console/calls/{id_}" in listed
    assert "Connected" in listed
    assert "+32 470 12 34 56" in listed
    assert id_ in (await owner.get("/console/calls?outcome=connected")).text
    assert id_ not in (await owner.get("/console/calls?outcome=failed")).text
    assert id_ not in (await owner.get("/console/calls?outcome=now")).text
    one = await owner.get(f"/console/calls/{id_}")
    assert one.status_code == 200
    for words in ("<svg", "Took 4711", "The path it took", "call-player", "4711", "hung up"):
        assert words in one.text
    assert " style=" not in one.text, "the page's policy allows no style"
    assert (await owner.get("/console/calls/call_of_nobody")).status_code == 404
    thread = await owner.get(f"/console/conversations/{(await rows(on))[0]['contact']}")
    assert "Called us" in thread.text
    assert f"/console/calls/{id_}/player" in thread.text
    players = await owner.get(f"/console/calls/{id_}/player")
    assert players.text.count("<call-player") == 1
    assert "<html" not in players.text


async def test_the_scripts_are_drawn_and_say_which_numbers_have_them(called: tuple[Line, Desk, str]) -> None:
    _, owner, id_ = called
    page = (await owner.get("/console/calls/scripts")).text
    for words in ("<svg", "Your order, please.", "+32 2 123 45 67", 'aria-current="page"><b>desk</b>'):
        assert words in page
    assert (await owner.get("/console/calls/scripts?name=desk")).status_code == 200
    assert (await owner.get("/console/calls/scripts?name=nowhere")).status_code == 404
    assert "/console/calls/scripts?name=desk" in (await owner.get(f"/console/calls/{id_}")).text
    assert "/console/calls/scripts" in (await owner.get("/console/calls")).text


async def test_a_call_under_way_shows_where_it_stands(tmp_path: Path) -> None:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path) as on, at_desk(on.beckon) as owner:
        switch = switch_of(on)
        leg = switch.offer(ANN, "+3221234567")
        await until(lambda: leg in switch.answered)
        await begun(on)
        [row] = await rows(on)
        page = (await owner.get(f"/console/calls/{row['id']}")).text
        assert "Under way" in page
        assert row["id"] in (await owner.get("/console/calls?outcome=now")).text
        switch.hang_up_by(leg)
        await over(on)
        assert "Hung up" in (await owner.get(f"/console/calls/{row['id']}")).text


async def test_the_page_of_a_call_hears_of_its_steps_and_of_no_other_call(tmp_path: Path) -> None:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path) as on, at_desk(on.beckon) as owner:
        switch = switch_of(on)
        mine, other = switch.offer(ANN, "+3221234567"), switch.offer("+32470999999", "+3221234567")
        await until(lambda: {mine, other} <= switch.answered)
        await begun(on)
        id_ = next(row["id"] for row in await rows(on) if ANN in row["body"])
        page = (await owner.get(f"/console/calls/{id_}")).text
        assert f"topic=journey%3Acall%3A{id_}" in page
        stream = on.beckon.hub.subscribe("main", [f"journey:call:{id_}"])
        switch.hang_up_by(other)
        await until(lambda: len(on.beckon.beside[0].calls.under_way) == 1)  # type: ignore[attr-defined]
        await on.quiet()
        assert await stream.take(0) == []
        switch.press(mine, "4")
        assert [topic for topic, _ in await stream.take(60)] == [f"journey:call:{id_}"]
        switch.hang_up_by(mine)
        await over(on)
        assert [topic for topic, _ in await stream.take(60)] == [f"journey:call:{id_}"]
        stream.close()


async def test_a_recording_is_sent_in_parts_and_whoever_listens_is_noted_once(called: tuple[Line, Desk, str]) -> None:
    on, owner, id_ = called
    base = f"/console/calls/{id_}/recordings/{await recording_of(on)}"
    whole = await owner.get(f"{base}/audio")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/wav")
    assert whole.content == two_voices()
    assert whole.headers["cache-control"].startswith("private")
    part = await owner.get(f"{base}/audio", headers={"Range": "bytes=44-99"})
    assert (part.status_code, len(part.content)) == (206, 56)
    assert part.headers["content-range"] == f"bytes 44-99/{len(two_voices())}"
    beyond = await owner.get(f"{base}/audio", headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416
    await owner.get(f"{base}/audio", headers={"Range": "bytes=0-"})
    kept = decode((await rows(on))[0]["body"])
    assert [one.by for one in kept.listened] == [owner.person.id]
    page = (await owner.get(f"/console/calls/{id_}")).text
    assert "Who listened" in page


async def test_peaks_show_who_spoke_when_and_are_made_once(called: tuple[Line, Desk, str]) -> None:
    on, owner, id_ = called
    recording = await recording_of(on)
    peaks = (await owner.get(f"/console/calls/{id_}/recordings/{recording}/peaks")).json()
    left, right = peaks["channels"]
    assert (peaks["seconds"], len(left), len(right)) == (3.0, 600, 600)
    assert min(left[:299]) > 40
    assert max(left[301:]) == 0
    assert max(right[:299]) == 0
    assert min(right[301:]) > 20
    kept = switch_of(on).folder / f"{recording}.peaks"
    kept.write_bytes(b'{"seconds":1,"channels":[]}')
    again = (await owner.get(f"/console/calls/{id_}/recordings/{recording}/peaks")).json()
    assert again["seconds"] == 1


@pytest.mark.parametrize("wav", [b"RIFF", b"RIFF" + b"\x00" * 60, two_voices()[:50], b"\xff" * 1_000])
async def test_a_broken_recording_has_no_waveform_and_breaks_nothing(tmp_path: Path, wav: bytes) -> None:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path) as on, at_desk(on.beckon) as owner:
        switch_of(on).wav = wav
        id_ = await talk(on)
        peaks = await owner.get(f"/console/calls/{id_}/recordings/{await recording_of(on)}/peaks")
        assert peaks.status_code == 200
        assert peaks.json()["channels"] == [] or max(map(max, peaks.json()["channels"])) <= 100


async def test_only_those_who_may_listen_do(called: tuple[Line, Desk, str]) -> None:
    on, owner, id_ = called
    base = f"/console/calls/{id_}/recordings/{await recording_of(on)}"
    async with at_desk(on.beckon, "agent", "Bram") as agent, at_desk(on.beckon, "listener", "Cleo") as listener:
        assert (await agent.get(f"/console/calls/{id_}")).status_code == 200
        assert "<call-player" not in (await agent.get(f"/console/calls/{id_}")).text
        assert "may not listen" in (await agent.get(f"/console/calls/{id_}/player")).text
        for what in ("audio", "peaks"):
            assert (await agent.get(f"{base}/{what}")).status_code == 403
            assert (await listener.get(f"{base}/{what}")).status_code == 200
        refused = await agent.post(f"/console/calls/{id_}/mark", mark="good")
        assert refused.status_code == 403
        refused = await listener.post(f"/console/calls/{id_}/forget", sure="yes")
        assert refused.status_code == 403
    kept = decode((await rows(on))[0]["body"])
    assert len(kept.listened) == 1
    owner.client.cookies.clear()
    assert (await owner.get(f"{base}/audio")).status_code == 303


async def test_agents_may_listen_where_the_settings_say_so(tmp_path: Path) -> None:
    more = TELEPHONY.replace("  caller_id", "  listeners: [listener, agent]\n  caller_id")
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path, more=more) as on:
        switch_of(on).wav = two_voices()
        id_ = await talk(on)
        async with at_desk(on.beckon, "agent") as agent:
            sound = f"/console/calls/{id_}/recordings/{await recording_of(on)}/audio"
            assert (await agent.get(sound)).status_code == 200


async def test_comments_and_marks_by_form_and_what_is_wrong_with_them(called: tuple[Line, Desk, str]) -> None:
    on, owner, id_ = called
    recording = await recording_of(on)
    base = f"/console/calls/{id_}"
    said = {"recording": recording, "moment": "1:02.5", "text": "Kind <b>words</b>", "once": "one"}
    assert (await owner.post(f"{base}/comment", **said)).status_code == 303
    assert (await owner.post(f"{base}/comment", **said)).status_code == 303
    assert (await owner.post(f"{base}/mark", mark="middling", word="a little loud")).status_code == 303
    page = (await owner.get(base)).text
    assert page.count("Kind &lt;b&gt;words&lt;/b&gt;") == 2, "once below the player, once on the timeline"
    assert 'data-moment="62.5"' in page
    assert "commented at 1:02" in page
    assert "a little loud" in page
    assert id_ in (await owner.get("/console/calls?mark=middling")).text
    assert id_ not in (await owner.get("/console/calls?mark=bad")).text
    for fields in (
        {**said, "text": ""},
        {**said, "text": "x" * 1_001},
        {**said, "moment": "soon"},
        {**said, "moment": "-1"},
        {**said, "moment": "nan"},
        {**said, "moment": "99999999"},
        {**said, "recording": "another"},
    ):
        assert (await owner.post(f"{base}/comment", **fields)).status_code in (404, 422), fields
    assert (await owner.post(f"{base}/mark", mark="splendid")).status_code == 422
    assert (await owner.post(f"{base}/mark", mark="good", word="x" * 201)).status_code == 422
    assert (await owner.post("/console/calls/call_of_nobody/mark", mark="good")).status_code == 404
    forged = await owner.client.post(f"{base}/mark", data={"mark": "bad", "csrf": "no"})
    assert forged.status_code == 403
    assert len(decode((await rows(on))[0]["body"]).comments) == 1


async def test_an_owner_has_calls_forgotten_and_says_so_twice(called: tuple[Line, Desk, str]) -> None:
    on, owner, id_ = called
    assert (await owner.post(f"/console/calls/{id_}/forget")).status_code == 422
    assert (await owner.post(f"/console/calls/{id_}/forget", sure="yes")).status_code == 303
    assert await rows(on) == []
    assert (await owner.get(f"/console/calls/{id_}")).status_code == 404
    assert "Nobody has called yet" in (await owner.get("/console/calls")).text


async def test_many_calls_are_shown_page_by_page(tmp_path: Path) -> None:
    async with desk(f"sqlite:///{tmp_path}/db", tmp_path) as on, at_desk(on.beckon) as owner:
        await on.accept(
            *[
                on.event(
                    "call.finished",
                    {"id": f"call_{n:03}", "workspace": "main", "script": "desk", "version": "1", "direction": "in",
                     "caller": "", "called": "1", "started_ms": 1_000 * n, "ended_ms": 1_000 * n + 5,
                     "outcome": "failed"},
                )
                for n in range(1, 121)
            ]
        )  # fmt: skip
        seen: list[str] = []
        url = "/console/calls?outcome=failed"
        for _ in range(3):
            page = (await owner.get(url)).text
            seen += [part.split('"')[0] for part in page.split('<tr id="')[1:]]
            url = page.split('aria-label="Pages"><a class="button" data-size="small" href="')[-1].split('"')[0]
            url = url.replace("&amp;", "&")
        assert len(seen) == len(set(seen)) == 120
        assert "Number withheld" in page
        for after in ("x", ".", "1.", "'--", "99999999999999999999.x"):
            assert (await owner.get("/console/calls", params={"after": after})).status_code == 200
