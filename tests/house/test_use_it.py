"""What the README says under "Use it" works as it stands there, typed by somebody who has nothing yet."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from beckon.bench.place import free_port, wait_for
from tests.house.repository import ROOT
from tests.kit.processes import dies_with_parent

WAIT_S = 300


def readme() -> list[str]:
    """The commands under "Use it", one a line."""
    text = (ROOT / "README.md").read_text().partition("## Use it")[2]
    return text.split("```")[1].replace("\\\n", " ").strip().splitlines()


def run(line: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """One ``beckon …`` of the README, to its end."""
    words = line.partition("#")[0].split()
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=WAIT_S, check=False,
    )  # fmt: skip


@contextmanager
def served(folder: Path, port: int, **environment: str) -> Iterator[httpx.Client]:
    """``beckon serve``, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "beckon", "serve"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "BECKON_PORT": str(port), **environment}, preexec_fn=dies_with_parent(),
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S, trust_env=False) as client:
            wait_for(port, WAIT_S)
            yield client
    finally:
        process.terminate()
        process.wait(WAIT_S)


def test_what_the_readme_says_under_use_it(tmp_path: Path) -> None:
    _, init, serve, curl = readme()
    made = run(init, tmp_path)
    assert made.returncode == 0, made.stderr
    said = dict(re.findall(r"^(API key|Owner|Password)[^:]*: +(\S+)$", made.stdout, re.MULTILINE))
    assert said.keys() == {"API key", "Owner", "Password"}
    variable, _, command = serve.partition(" ")
    assert command == "beckon serve"
    name, _, folder = variable.partition("=")
    with served(tmp_path, free_port(), **{name: folder}) as client:
        path = urlsplit(re.search(r"http://\S+", curl)[0]).path  # type: ignore[index]
        body = json.loads(re.search(r"-d '(.+)'", curl)[1])  # type: ignore[index]
        answer = client.post(path, json=body, headers={"Authorization": f"Bearer {said['API key']}"})
        assert answer.status_code == 202, answer.text
        form = {"email": said["Owner"], "password": said["Password"]}
        signed_in = client.post("/console/sign-in", data=form)
        assert signed_in.status_code == 303, signed_in.text
    assert not list(tmp_path.glob("*.db")), "the store lies in the workspace's folder, not where one happened to stand"


@pytest.mark.parametrize("command", ["serve", "key new", "key revoke dms"])
def test_a_folder_that_is_no_workspace_is_said_and_nothing_is_made_in_it(tmp_path: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()
    done = run(f"beckon {command}", tmp_path, BECKON_WORKSPACE="empty", BECKON_PORT=str(free_port()))
    assert done.returncode != 0
    assert "empty has no beckon.yaml; run: beckon init empty" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_key_is_made_and_revoked_by_its_label(tmp_path: Path) -> None:
    assert run("beckon init shop", tmp_path).returncode == 0
    inside = {"BECKON_WORKSPACE": "shop"}
    assert run("beckon key new --label dms", tmp_path, **inside).stdout.startswith("bk_")
    assert run("beckon key revoke dms", tmp_path, **inside).stdout == "Revoked: 1\n"
    again = run("beckon key revoke dms", tmp_path, **inside)
    assert (again.returncode, again.stderr) == (2, "beckon: no key in use has the label 'dms' [key.unknown]\n")


def test_a_file_that_can_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("flow: a\non: a.b\nsteps:\n  - note: a\n")
    done = run("beckon flow draw a.yaml -o nowhere/a.svg", tmp_path)
    assert (done.returncode, done.stderr) == (2, "beckon: nowhere/a.svg: No such file or directory\n")
    (tmp_path / "a.yaml").write_text("flow: A b\nstep: []\n")
    wrong = run("beckon flow draw a.yaml", tmp_path)
    assert wrong.returncode == 2
    assert "a.yaml:2: Nothing here is called 'step'; did you mean 'steps'? [flow.unknown_field]" in wrong.stderr
    assert len(wrong.stderr.splitlines()) > 2
