"""Who may sign in: people come, get a new password, change their role and go, beside a running server."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from beckon import people
from beckon.app import Beckon, running
from beckon.cli import cli
from beckon.core.errors import Refused
from beckon.settings import ServerSettings
from beckon.starting import write_example

ANN, BO = "ann@garage.example", "bo@garage.example"
HOME = "/console/conversations"


@pytest.fixture
async def server(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Beckon]:
    """A server, and commands that are typed beside it."""
    write_example(tmp_path / "shop")
    monkeypatch.setenv("BECKON_WORKSPACE", str(tmp_path / "shop"))
    monkeypatch.setenv("BECKON_DATABASE_URL", database_url)
    async with running(ServerSettings(workspace=str(tmp_path / "shop"), database_url=database_url)) as beckon:
        yield beckon


def browser(beckon: Beckon) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(beckon.app), base_url="http://beckon")


async def signs_in(client: httpx.AsyncClient, email: str, password: str) -> bool:
    answer = await client.post("/console/sign-in", data={"email": email, "password": password})
    return answer.status_code == 303


async def is_in(client: httpx.AsyncClient) -> bool:
    return (await client.get(HOME)).status_code == 200


async def test_a_second_person_signs_in_with_the_password_that_was_shown(server: Beckon):
    await people.add(ANN, role="owner")
    made = await people.add(" Bo@Garage.example ", role="agent", name="Bo Claes")
    assert [(one.email, one.role, one.name) for one in await people.listed()] == [
        (ANN, "owner", "ann"), (BO, "agent", "Bo Claes"),
    ]  # fmt: skip
    async with browser(server) as client:
        assert await signs_in(client, BO, made.password)
        assert "Bo Claes" in (await client.get(HOME)).text


async def test_a_new_password_ends_that_persons_sessions_and_nobody_elses(server: Beckon):
    ann, bo = await people.add(ANN, role="owner"), await people.add(BO, role="agent")
    async with browser(server) as at_desk, browser(server) as at_home, browser(server) as of_ann:
        assert await signs_in(at_desk, BO, bo.password)
        assert await signs_in(at_home, BO, bo.password)
        assert await signs_in(of_ann, ANN, ann.password)
        fresh = await people.new_password(BO)
        assert not await is_in(at_desk)
        assert not await is_in(at_home)
        assert await is_in(of_ann)
        assert not await signs_in(at_desk, BO, bo.password)
        assert await signs_in(at_desk, BO, fresh.password)


async def test_who_is_removed_is_out_at_once_and_for_good(server: Beckon):
    await people.add(ANN, role="owner")
    bo = await people.add(BO, role="agent")
    async with browser(server) as client:
        assert await signs_in(client, BO, bo.password)
        await people.remove(BO)
        assert not await is_in(client)
        assert not await signs_in(client, BO, bo.password)
    assert [one.email for one in await people.listed()] == [ANN]
    again = await people.add(BO, role="listener")
    assert again.person.id != bo.person.id


async def test_one_owner_stays(server: Beckon):
    await people.add(ANN, role="owner")
    for act in (people.remove(ANN), people.new_role(ANN, "agent")):
        with pytest.raises(Refused, match="only owner") as refused:
            await act
        assert refused.value.code == "person.last_owner"
    await people.add(BO, role="agent")
    await people.new_role(BO, "owner")
    await people.new_role(ANN, "agent")
    assert [(one.email, one.role) for one in await people.listed()] == [(ANN, "agent"), (BO, "owner")]


async def test_a_password_of_ones_own_is_taken_when_it_is_long_enough(server: Beckon):
    await people.add(ANN, role="owner", password="ten letters")
    async with browser(server) as client:
        assert await signs_in(client, ANN, "ten letters")
    with pytest.raises(Refused, match="10 to 200"):
        await people.new_password(ANN, "short")


@pytest.mark.parametrize(
    ("email", "role", "code"),
    [
        ("bo", "agent", "person.email"),
        ("bo@", "agent", "person.email"),
        ("b o@garage.example", "agent", "person.email"),
        ("b@" + "o" * 260, "agent", "person.email"),
        (BO, "boss", "person.role"),
        (ANN.upper(), "agent", "person.exists"),
    ],
)
async def test_whom_nobody_could_sign_in_as_is_refused(server: Beckon, email: str, role: str, code: str):
    await people.add(ANN, role="owner")
    with pytest.raises(Refused) as refused:
        await people.add(email, role=role)
    assert refused.value.code == code
    assert len(await people.listed()) == 1


async def test_whom_nobody_knows_is_said(server: Beckon):
    for act in (people.new_password(BO), people.remove(BO), people.new_role(BO, "agent")):
        with pytest.raises(Refused, match="beckon people list") as refused:
            await act
        assert refused.value.code == "person.unknown"


async def test_one_mailbox_signs_in_to_one_workspace(server: Beckon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    await people.add(ANN, role="owner")
    write_example(tmp_path / "other")
    file = tmp_path / "other" / "beckon.yaml"
    file.write_text(file.read_text().replace("workspace: main", "workspace: other"))
    monkeypatch.setenv("BECKON_WORKSPACE", str(tmp_path / "other"))
    assert os.environ["BECKON_DATABASE_URL"]
    assert await people.listed() == []
    with pytest.raises(Refused, match="in the workspace 'main'"):
        await people.add(ANN, role="owner")
    with pytest.raises(Refused, match="nobody signs in as"):
        await people.remove(ANN)


async def test_what_a_person_types_and_reads(server: Beckon):
    def typed(line: str, asked: str = "") -> str:
        done = CliRunner().invoke(cli, line.split(), input=asked)
        return str(done.exception) if isinstance(done.exception, Refused) else done.output

    async def says(line: str, asked: str = "") -> str:
        return await asyncio.to_thread(typed, line, asked)

    assert "beckon people add you@example.com --role owner" in await says("people list")
    added = await says(f"people add {ANN} --role owner --name Ann")
    assert re.fullmatch(rf"{ANN} signs in as Ann, owner\.\nPassword \(shown once\): +\S{{10,}}\n", added)
    asked = await says(f"people add {BO} --ask", "of my own\nof my own\n")
    assert asked == "A password has 10 to 200 characters. [password.length]"
    asked = await says(f"people add {BO} --ask", "of my own choice\nof my own choice\n")
    assert asked.endswith(f"{BO} signs in as bo, agent.\n")
    assert await says("people list") == f"{ANN}  owner     Ann\n{BO}   agent     bo\n"
    assert (await says(f"people password {BO}")).startswith(f"{BO} has a new password and is signed out everywhere.\n")
    assert await says(f"people role {BO} listener") == f"{BO} is now listener.\n"
    assert await says(f"people remove {BO}") == f"{BO} is signed out everywhere and can't sign in any more.\n"
    assert await says(f"people remove {ANN}") == (
        f"{ANN} is the only owner; first: beckon people role SOMEBODY owner [person.last_owner]"
    )
