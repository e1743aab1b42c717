"""Third-party code comes by name and hash; where from is the machine's affair."""

import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.repository import ROOT, files, short

# Put together here, so that this file doesn't name them either.
REGISTRY_HOSTS = [
    ".".join(words).encode()
    for words in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
    ]
]
LOCKS = {
    "requirements.lock": ["project"],
    "requirements-dev.lock": ["project", "dev"],
    "requirements-build.lock": ["build"],
    "requirements-node.lock": ["node"],
}


def locked(name: str) -> dict[str, list[str]]:
    """By package: its lines in a lock."""
    packages: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=\S)", (ROOT / name).read_text().strip()):
        lines = [line.strip(" \\") for line in block.splitlines()]
        packages[canonicalize_name(lines[0].partition("==")[0])] = lines
    return packages


def asked_for(groups: list[str]) -> list[Requirement]:
    """What pyproject asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = {"project": project["project"]["dependencies"], **project["dependency-groups"]}
    return [Requirement(line) for group in groups for line in lists[group]]


def test_no_file_names_a_registry():
    found = [short(path) for path in files() if any(host in path.read_bytes() for host in REGISTRY_HOSTS)]
    assert not found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_what_the_project_asks_for(name: str):
    packages = locked(name)
    for requirement in asked_for(LOCKS[name]):
        package = canonicalize_name(requirement.name)
        assert package in packages, f"{requirement} is not in {name}: run `make lock`"
        version = packages[package][0].partition("==")[2].split()[0]
        assert requirement.specifier.contains(version), f"{name} has {version}, not {requirement}: run `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_no_addresses(name: str):
    for package, lines in locked(name).items():
        assert "==" in lines[0], package
        assert "://" not in "".join(lines), package
        assert len(lines) > 1, package
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines[1:]), package


def test_tests_run_on_the_versions_that_customers_run():
    dev = locked("requirements-dev.lock")
    assert all(
        dev[package][0].split()[0] == lines[0].split()[0] for package, lines in locked("requirements.lock").items()
    )


def test_front_end_packages_are_pinned_and_hashed_without_addresses():
    asked = json.loads((ROOT / "package.json").read_text())["dependencies"]
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for name, version in asked.items():
        held = packages[f"node_modules/{name}"]
        assert held["version"] == version
        assert held["integrity"].startswith("sha512-")
    assert not [name for name, held in packages.items() if "resolved" in held]


@pytest.mark.parametrize("kind", ["dependencies", "dev", "build", "node"])
def test_lists_of_dependencies_are_sorted(kind: str):
    names = [requirement.name for requirement in asked_for(["project" if kind == "dependencies" else kind])]
    assert names == sorted(names)
