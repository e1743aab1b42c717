"""Writes a new provider's folder, its twin and its tests, which pass the contract suite as they are.

What is written is a working provider of a made-up party: texts out by a JSON POST with a bearer key; texts and receipts
in by webhooks signed with HMAC-SHA256. One file after the other is then changed into the real party's words.
"""

import keyword
import re
from importlib.resources import files
from pathlib import Path

from beckon.core.errors import Refused

NAME_MAX = 24
_PLACE = "beckon.providers"
_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{NAME_MAX - 1}}}", re.ASCII)
_IMPORT = re.compile(r"^from beckon\.\S+ import (?:\([^)]*\)|[^\n(]*)\n", re.MULTILINE)
_IMPORTS = re.compile(rf"(?:{_IMPORT.pattern})+", re.MULTILINE)
#: where each text of ``new/`` goes, from the repository's root
_FILES = {
    "init": "src/beckon/providers/{name}/__init__.py",
    "channel": "src/beckon/providers/{name}/channel.py",
    "payloads": "src/beckon/providers/{name}/payloads.py",
    "webhook": "src/beckon/providers/{name}/webhook.py",
    "readme": "src/beckon/providers/{name}/README.md",
    "twin": "src/beckon/sandbox/twins/{name}.py",
    "tests_init": "tests/providers/{name}/__init__.py",
    "contract": "tests/providers/{name}/contract.py",
    "test_payloads": "tests/providers/{name}/test_payloads.py",
}


def write(folder: Path, name: str) -> list[Path]:
    """Write the files of a provider ``name`` into the repository ``folder``; gives them in the order to read them.

    Raises ``Refused`` for a name that can't be one, or when a file is already there: nothing is overwritten.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        why = f"a provider's name is a word like acme_chat: {NAME_MAX} lower-case letters, digits and _ at most"
        raise Refused("provider.name", why, field="name")
    places = {text: folder / place.format(name=name) for text, place in _FILES.items()}
    for place in places.values():
        if place.exists():
            raise Refused("provider.exists", f"{place} is already there", field="name")
    title = name.replace("_", " ").capitalize()
    for text, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        content = files(_PLACE).joinpath("new", f"{text}.txt").read_text(encoding="utf-8")
        content = content.replace("%name%", name).replace("%title%", title)
        place.write_text(_IMPORTS.sub(_sorted, content), encoding="utf-8")
    return list(places.values())


def _sorted(imports: re.Match[str]) -> str:
    """Where a module stands among the imports depends on the new name."""
    return "".join(sorted(_IMPORT.findall(imports[0]), key=lambda line: line.split()[1]))
