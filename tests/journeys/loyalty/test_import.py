"""A file of members is imported: through the real server by the real command, and past a server that has its moods."""

import asyncio
import csv
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from beckon.core.errors import Unavailable
from beckon.core.exchange import Reply
from beckon.journeys.loyalty_offers import asked
from beckon.journeys.loyalty_offers.importing.command import lines_of
from beckon.journeys.loyalty_offers.importing.rows import FileProblem, Rows, WrongRow
from beckon.journeys.loyalty_offers.importing.sending import Sending, Stopped
from tests.journeys.loyalty.counter import WORKSPACE, Counter, opened

HEADER = "external_id,external_id_type,email,first_name,phone,opted_in,points,tier,tags\n"


@pytest.fixture
async def counter(tmp_path: Path, database_url: str) -> AsyncIterator[Counter]:
    async with opened(tmp_path / "fries", database_url) as open_one:
        yield open_one


async def command(counter: Counter, file: Path, *more: str, key: str = "") -> tuple[int, str]:
    """``beckon loyalty import``: its status, and all that it said."""
    asked = ("--url", counter.url, "--key", key or await counter.key(), "--batch", "40", *more)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "beckon", "loyalty", "import", str(file), *asked,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 300)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def members(counter: Counter) -> int:
    rows = await counter.beckon.database.fetch("SELECT count(*) FROM members WHERE workspace = ?", (WORKSPACE,))
    return int(rows[0][0] or 0)


async def test_a_file_becomes_members_and_the_same_file_again_changes_nothing(counter: Counter, tmp_path: Path):
    amanda = await counter.amanda()
    file = tmp_path / "members.csv"
    lines = [f"C{n},pos,bo{n}@example.com,Bo{n},+3247100{n:04d},yes,{n},,fries|vip\n" for n in range(150)]
    lines[7] = "C7,pos,bo7@example.com,Bo7,+32471000007,yes,70,golden,\n"
    lines[20] = "C20,pos,no mailbox,Bo20,,yes,0,,\n"
    lines[21] = "C21,pos,bo21@example.com,Bo21,,yes,0,platinum,\n"
    lines[22] = "C22,pos,bo22@example.com,Bo22,,perhaps,0,,\n"
    lines[23] = "C23,pos,amanda@example.com,Somebody else,,no,0,,\n"
    file.write_text(HEADER + "".join(lines))

    status, said = await command(counter, file)
    assert (status, "146 new, 0 known already, 4 not taken" in said) == (1, True), said
    bo = await counter.reading.find(WORKSPACE, "external:pos", "C7")
    assert bo is not None
    bo = await counter.member(bo.id)
    assert (bo.profile.first_name, bo.account.balance, bo.tier, bo.contact != "") == ("Bo7", 70, "golden", True)
    tagged = await counter.reading.find(WORKSPACE, "email", "bo8@example.com")
    assert tagged is not None
    assert (sorted(tagged.tags), tagged.profile.opted_in) == (["fries", "vip"], True)

    wrong = list(csv.DictReader((tmp_path / "members.errors.csv").read_text().splitlines()))
    assert [(row["line"], row["code"]) for row in sorted(wrong, key=lambda row: int(row["line"]))] == [
        ("22", "email.address"), ("23", "member.tier"), ("24", "import.opted_in"), ("25", "member.email"),
    ]  # fmt: skip

    count = await members(counter)
    status, said = await command(counter, file, "--errors", str(tmp_path / "again.csv"))
    assert (status, "0 new, 146 known already, 4 not taken" in said) == (1, True), said
    assert await members(counter) == count == 147
    assert (await counter.member(bo.id)).account.balance == 70
    assert (await counter.member(amanda.id)).profile.first_name == "Amanda"

    # What was wrong is mended in the error file itself, and imported from there.
    for row in wrong:
        row |= {"email": row["email"].replace("no mailbox", "bo20@example.com").replace("amanda", "other")}
        row |= {"opted_in": "no", "tier": ""}
    mended = tmp_path / "mended.csv"
    with mended.open("w", newline="") as out:
        writer = csv.DictWriter(out, wrong[0].keys())
        writer.writeheader()
        writer.writerows(wrong)
    status, said = await command(counter, mended)
    assert (status, "4 new, 0 known already, 0 not taken" in said) == (0, True), said


async def test_an_old_file_brings_nobody_back_who_was_forgotten_and_says_so(counter: Counter, tmp_path: Path):
    file = tmp_path / "members.csv"
    file.write_text(HEADER + "".join(f"C{n},pos,bo{n}@example.com,Bo{n},,yes,{n},,\n" for n in range(5)))
    assert (await command(counter, file))[0] == 0
    bo = await counter.reading.find(WORKSPACE, "external:pos", "C3")
    assert bo is not None
    await counter.ask("loyalty.forget_asked", asked.Forget(member=bo.id))
    status, said = await command(counter, file)
    assert (status, "0 new, 4 known already, 1 not taken" in said) == (1, True), said
    [wrong] = csv.DictReader((tmp_path / "members.errors.csv").read_text().splitlines())
    assert (wrong["line"], wrong["code"], wrong["email"]) == ("5", "member.forgotten", "bo3@example.com")
    assert "forgotten on" in wrong["why"]
    rows = await counter.beckon.database.fetch("SELECT body FROM members WHERE state = 'active'")
    assert not [body for (body,) in rows if "bo3@" in str(body)]


async def test_an_import_goes_on_where_it_is_told_to(counter: Counter, tmp_path: Path):
    file = tmp_path / "members.csv"
    file.write_text("email\n" + "".join(f"bo{n}@example.com\n" for n in range(60)))
    status, said = await command(counter, file, "--from-line", "52")
    assert (status, "10 rows" in said, await members(counter)) == (0, True, 10), said


async def test_what_stops_an_import_is_one_sentence(counter: Counter, tmp_path: Path):
    file = tmp_path / "members.csv"
    file.write_text("email,shoe\na@example.com,41\n")
    status, said = await command(counter, file)
    assert (status, "line 1" in said, "import.column_unknown" in said) == (2, True, True), said
    file.write_text("email\na@example.com\n")
    status, said = await command(counter, file, key="bk_nobodys")
    assert (status, "the server refuses" in said, "--from-line 2" in said) == (2, True, True), said
    file.write_bytes(b'email\na@example.com\n"b@example.com\n')
    status, said = await command(counter, file)
    assert (status, "line 3" in said, "never closed" in said, "1 new" in said) == (2, True, True, True), said


class Moody:
    """A server that answers as it likes."""

    def __init__(self, *moods: Reply | Exception) -> None:
        self.moods = list(moods)
        self.asked: list[list[str]] = []
        self.refuses = ""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10,
    ) -> Reply:
        mails = [one["profile"]["email"] for one in msgspec.json.decode(body)["members"]]
        self.asked.append(mails)
        if self.moods:
            mood = self.moods.pop(0)
            if isinstance(mood, Exception):
                raise mood
            return mood
        if self.refuses in mails:
            return reply(422, {"code": "request.fields", "detail": "no"})
        return reply(200, {"members": [{"member": "mem_1"} for _ in mails]})


def reply(status: int, body: Any, **headers: str) -> Reply:
    return Reply(status, headers, msgspec.json.encode(body))


class Run:
    """One import past a moody server, with a clock that only counts."""

    def __init__(self, server: Moody, batch: int = 4) -> None:
        self.wrong: list[WrongRow] = []
        self.waited: list[float] = []
        self.sending = Sending(
            server, "http://beckon.example/", "bk_1", in_flight=1, batch=batch,
            on_wrong=self.wrong.append, on_done=lambda done: None, pause=self._pause,
        )  # fmt: skip

    async def _pause(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.sending._quiet_until = 0.0

    async def __call__(self, count: int = 8, text: bytes = b"") -> Any:
        lines = text or b"email\n" + b"".join(b"m%d@b.be\n" % n for n in range(count))
        return await self.sending.run(Rows(lines.splitlines(keepends=True)))


async def test_a_busy_server_is_waited_for_as_long_as_it_asks():
    run = Run(Moody(reply(503, {"code": "intake.busy"}, **{"retry-after": "7"}), reply(429, {})))
    done = await run()
    assert (done.new, done.wrong, done.waited_s) == (8, 0, 8.0)
    assert run.waited[0] == pytest.approx(7, abs=1)


async def test_a_batch_whose_answer_was_lost_is_asked_for_again():
    server = Moody(Unavailable("http.connection_lost", "gone", doubtful=True))
    done = await Run(server)()
    assert (done.new, server.asked[0] == server.asked[1], len(server.asked)) == (8, True, 3)


async def test_one_row_that_the_server_cant_read_costs_only_itself():
    server = Moody()
    server.refuses = "m5@b.be"
    run = Run(server, batch=8)
    done = await run()
    assert (done.new, [(row.line, row.code) for row in run.wrong]) == (7, [(7, "request.fields")])


@pytest.mark.parametrize(
    ("mood", "why"),
    [
        (reply(403, {"code": "key.scope", "detail": "it lacks the scope"}), "key.scope"),
        (reply(404, {}), "http.404"),
        (reply(500, {"code": "internal.fault"}), "internal.fault"),
        (Reply(200, {}, b"<html>"), "can't be read"),
        (reply(200, {"members": []}), "another number"),
        (reply(200, {"members": "x"}), "another number"),
    ],
)
async def test_a_server_that_is_no_server_of_ours_stops_it(mood: Reply, why: str):
    run = Run(Moody(mood))
    with pytest.raises(Stopped, match=why):
        await run()
    assert run.sending.done.next_line == 2


async def test_what_came_before_a_broken_quote_is_imported():
    run = Run(Moody())
    with pytest.raises(FileProblem):
        await run(text=b'email\na@b.be\nb@b.be\n"c@b.be\n')
    assert (run.sending.done.new, run.sending.done.next_line) == (2, 4)


def test_a_line_without_an_end_takes_no_memory_without_an_end(tmp_path: Path):
    file = tmp_path / "long.csv"
    file.write_bytes(b"x" * 1_000_000)
    with file.open("rb") as opened_file:
        assert max(map(len, lines_of(opened_file))) < 70_000
