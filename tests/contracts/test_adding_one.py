"""A new provider is a folder: found by scanning, held by the suite, and no list is edited."""

import importlib
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import msgspec
import pytest

import beckon.providers
from beckon.core.errors import Misconfigured, Refused
from beckon.providers import registry, scaffold
from beckon.sandbox import twins

ROOT = Path(__file__).resolve().parents[2]

# Lets the four packages also lie in another folder, as they would after `beckon new provider` in a checkout.
PLUGIN = """
import os
import beckon.providers, beckon.sandbox.twins
import tests.providers
root = os.environ["NEW_PROVIDER_ROOT"]
beckon.providers.__path__.append(f"{root}/src/beckon/providers")
beckon.sandbox.twins.__path__.append(f"{root}/src/beckon/sandbox/twins")
tests.providers.__path__.append(f"{root}/tests/providers")
"""


def test_the_four_are_found_with_their_twins():
    assert {"oem_app", "smtp", "twilio_sms", "whatsapp_cloud"} <= registry.found().keys()
    assert registry.found().keys() == twins.found().keys()
    assert {provider.channel for provider in registry.found().values()} >= {"oem_app", "whatsapp", "sms", "email"}


@pytest.mark.parametrize("name", ["acme_chat", "zz", "a2345678901234567890abcd"])
def test_what_a_scaffold_writes_is_tidy(tmp_path: Path, name: str):
    code = [str(path) for path in scaffold.write(tmp_path, name) if path.suffix == ".py"]
    first_party = "lint.isort.known-first-party=['beckon','tests']"
    for command in (["check", "--config", first_party], ["format", "--check"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *command, "--config", str(ROOT / "pyproject.toml"), *code]
        linted = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert linted.returncode == 0, linted.stdout + linted.stderr


def test_a_scaffolded_provider_passes_the_suite(tmp_path: Path):
    written = scaffold.write(tmp_path, "acme_chat")
    assert all(path.is_file() and path.is_relative_to(tmp_path) for path in written)
    (tmp_path / "new_provider_paths.py").write_text(PLUGIN)
    tests = ["tests/contracts", str(tmp_path / "tests/providers/acme_chat/test_payloads.py"), "-k", "acme_chat"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "new_provider_paths", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={**os.environ, "NEW_PROVIDER_ROOT": str(tmp_path), "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-1_000:]
    assert int(done.stdout.rsplit(" passed", 1)[0].rsplit(maxsplit=1)[-1]) > 60


def test_a_scaffold_overwrites_nothing(tmp_path: Path):
    scaffold.write(tmp_path, "acme_chat")
    with pytest.raises(Refused, match="already there"):
        scaffold.write(tmp_path, "acme_chat")


@pytest.mark.parametrize("name", ["", "Acme", "acme-chat", "../acme", "class", "1st", "_acme", "a" * 25, "äcme", "a b"])
def test_a_name_that_can_t_be_one_is_refused(tmp_path: Path, name: str):
    with pytest.raises(Refused):
        scaffold.write(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_an_installed_package_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    [init, *_] = scaffold.write(tmp_path, "acme_chat")
    monkeypatch.setattr(beckon.providers, "__path__", [*beckon.providers.__path__])
    importlib.invalidate_caches()
    beckon.providers.__path__.append(str(init.parents[1]))
    outside = importlib.import_module("beckon.providers.acme_chat")
    beckon.providers.__path__.pop()
    point = EntryPoint("acme_chat", "beckon.providers.acme_chat:PROVIDER", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([point] if group == registry.GROUP else []))
    assert registry.found()["acme_chat"] is outside.PROVIDER


@pytest.mark.parametrize(
    ("value", "name", "why"),
    [
        ("beckon.providers.smtp:PROVIDER", "post", "calls itself smtp"),
        ("beckon.providers.smtp:PROVIDER", "smtp", "two providers"),
        ("no.such.package:PROVIDER", "ghost", "can't be imported"),
        ("beckon.providers.smtp:NAME", "odd", "no PROVIDER"),
    ],
)
def test_a_package_that_is_no_provider_is_named(monkeypatch: pytest.MonkeyPatch, value: str, name: str, why: str):
    point = EntryPoint(name, value, registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([point]))
    with pytest.raises(Misconfigured, match=why):
        registry.found()


def test_every_provider_s_readme_has_every_setting_and_its_default():
    folder = Path(registry.__file__).parent
    for name, provider in registry.found().items():
        readme = (folder / name / "README.md").read_text()
        for field in msgspec.structs.fields(provider.settings):
            lines = [line for line in readme.splitlines() if line.startswith(f"| `{field.name}` |")]
            assert len(lines) == 1, f"{name}: {field.name}"
            assert f"| {_said(field.default)} |" in lines[0], f"{name}: {field.name}"
            assert ("(a secret)" in lines[0]) == (field.name in provider.secrets), f"{name}: {field.name}"


def _said(default: object) -> str:
    if default is msgspec.NODEFAULT:
        return "–"
    if isinstance(default, bool):
        return "`yes`" if default else "`no`"
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{default}`" if default != "" else ""
