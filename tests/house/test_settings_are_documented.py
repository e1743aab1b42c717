"""Every setting has its line in docs/settings.md, with its name and its default; and no line is about a ghost."""

import re
from functools import cache

import msgspec
import pytest

from beckon import settings
from tests.house.repository import ROOT

PREFIX = "BECKON_"


def kinds() -> list[type[msgspec.Struct]]:
    """The classes that declare settings: the server's and a workspace's, and what lies in them."""
    declared = [
        kind for kind in vars(settings).values() if isinstance(kind, type) and kind.__module__ == settings.__name__
    ]
    return [kind for kind in declared if issubclass(kind, msgspec.Struct)]


def names() -> dict[str, object]:
    """Each setting as an operator writes it, and its default."""
    found: dict[str, object] = {}
    for kind in kinds():
        for field in msgspec.structs.fields(kind):
            name = f"{PREFIX}{field.name.upper()}" if kind is settings.ServerSettings else field.name
            found[name] = field.default
    return found


@cache
def lines() -> list[str]:
    """The page's lines."""
    return (ROOT / "docs" / "settings.md").read_text().splitlines()


def lines_about(name: str) -> list[str]:
    """The lines that name a setting, alone or at the end of a path: `inboxes.NAME.title`."""
    return [line for line in lines() if re.search(rf"`([^`]*\.)?{re.escape(name)}`", line)]


def test_there_are_settings():
    assert {"BECKON_DATABASE_URL", "BECKON_PORT"} <= names().keys()


@pytest.mark.parametrize("name", names())
def test_a_setting_is_documented(name: str):
    assert lines_about(name), f"docs/settings.md has no line with `{name}`"


@pytest.mark.parametrize(
    "name", [name for name, value in names().items() if isinstance(value, int | float | str) and value]
)
def test_its_default_is_documented(name: str):
    default = str(names()[name]).lower()
    said = [re.sub("(?<=[0-9])[_,](?=[0-9])", "", line.lower()) for line in lines_about(name)]
    assert any(default in line for line in said), f"the line about `{name}` doesn't say {default}"


def test_no_environment_variable_is_documented_that_is_not_read():
    documented = set(re.findall(rf"`({PREFIX}[A-Z_]+)`", "\n".join(lines())))
    assert documented <= names().keys()
