"""Files are named in the words of the domain, and say in a sentence what they are."""

import ast
from pathlib import Path

from tests.house.repository import PACKAGE, files, modules, short

# These say what any file could be.
EMPTY_WORDS = {"base", "common", "data", "handler", "helper", "info", "manager", "misc", "process", "service", "util"}


def test_no_file_or_folder_has_a_name_that_says_nothing():
    found = {
        short(path)
        for path in files()
        if path.is_relative_to(PACKAGE)
        for part in path.relative_to(PACKAGE).parts
        for word in [Path(part).stem.lower().strip("_")]
        if {word, word.removesuffix("s")} & EMPTY_WORDS
    }
    assert not found, "name these for what they hold"


def test_every_module_says_what_it_is():
    silent = [short(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent, "begin these with a docstring of one sentence"


def test_every_module_of_the_kit_says_what_it_is():
    kit = [path for path in files() if path.suffix == ".py" and not path.is_relative_to(PACKAGE)]
    shared = [path for path in kit if "kit" in path.parts or path.name == "conftest.py" or "tools" in path.parts]
    assert not [short(path) for path in shared if not ast.get_docstring(ast.parse(path.read_text()))]
