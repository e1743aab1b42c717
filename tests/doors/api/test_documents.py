"""The API's documents: readable without a script, complete, and the same as those in docs/."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from beckon.doors.api.markdown import html
from beckon.doors.api.pages import ERRORS
from beckon.doors.api.table import OPERATIONS
from beckon.journeys.journey import described, found
from tests.doors.api.served import Served
from tests.house.repository import PACKAGE, ROOT

#: The calls that say a code, and at which of their arguments.
SAYS = {
    "Refused": 0,
    "Unavailable": 0,
    "Unsupported": 0,
    "Misconfigured": 0,
    "YamlProblem": 0,
    "_fail": 1,
    "_problem": 1,
    "_wrong": 1,
    "known": 1,
    "PassedOver": 1,
    "_resume_failed": 2,
    "Problem": 3,
    "_undeliverable": 3,
}
#: Only in this module does ``say`` say a code.
CHECKER = PACKAGE / "flows" / "check.py"
#: Codes that ``forms.misfit`` puts together: of events, and of all other requests.
PUT_TOGETHER = {
    f"{family}.{word}" for family in ("event", "request") for word in ("form", "field_missing", "field_unknown")
}

CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
#: What a placeholder in an f-string may stand for.
HOLE = "*"


def codes() -> Iterator[tuple[str, str]]:
    """Every code that the package says, and where; a placeholder is a star."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            at = 1 if name == "say" and path == CHECKER else SAYS.get(name)
            if at is not None and at < len(node.args):
                code = written(node.args[at])
                if code is not None and CODE.fullmatch(code.replace(HOLE, "x")) and path.name != "forms.py":
                    yield code, f"{path.relative_to(ROOT)}:{node.lineno}"
    yield from ((code, "forms.py") for code in PUT_TOGETHER)


def written(node: ast.expr) -> str | None:
    """A text as it stands in the code."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
    return None


def documented() -> set[str]:
    """Every code that the document explains."""
    return set(re.findall(r"^\| `([a-z0-9_.*]+)` \|", ERRORS.read_text(), re.MULTILINE))


def test_every_code_that_is_said_is_explained():
    known = documented()
    missing = {code: where for code, where in codes() if code not in known}
    assert not missing, "add these to src/beckon/doors/api/errors.md"
    assert len(known) > 250


def test_every_explanation_is_about_a_code_that_is_said():
    """A ghost in the document misleads. Some codes are said in other ways than by raising."""
    said = {code for code, _ in codes()}
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    ghosts = {code for code in documented() - said if f'"{code}"' not in text}
    assert not ghosts


def test_every_explanation_says_what_to_do():
    for line in ERRORS.read_text().splitlines():
        if line.startswith("| `"):
            _, code, means, todo, _ = re.split(r"(?<!\\)\|", line)
            assert means.strip().endswith("."), code
            assert todo.strip().endswith("."), code


def test_the_errors_of_docs_are_those_of_the_package():
    assert (ROOT / "docs" / "errors.md").read_text() == ERRORS.read_text(), f"copy {ERRORS} to docs/errors.md"


def test_the_guide_names_every_operation():
    guide = (ROOT / "docs" / "api.md").read_text()
    missing = [f"{one.method} {one.path}" for one in OPERATIONS if f"`{one.method} {one.path}`" not in guide]
    assert not missing, "add these to docs/api.md"
    promised = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /v1/[^`?]*)`", guide))
    assert promised == {f"{one.method} {one.path}" for one in OPERATIONS}


def test_a_page_of_docs_names_every_operation_that_a_journey_adds():
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    every = {f"{one.method} {one.path}" for one in described(found())}
    assert every
    assert [one for one in every if f"`{one}`" not in pages] == []


@pytest.mark.parametrize("path", ["/docs/api", "/docs/errors"])
def test_a_document_is_a_page_without_scripts(served: Served, path: str):
    page = served.bare_client().get(path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    assert not re.search(r'(?:src|href|action)="(?!/|#)', page.text), "nothing of anybody else's"
    sheets = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.text)
    assert len(sheets) == 2
    assert all(served.bare_client().get(sheet).status_code == 200 for sheet in sheets)


def test_the_page_of_errors_can_be_linked_to_by_code(served: Served):
    problem = served.bare_client().get("/v1/contacts").json()
    path, _, anchor = problem["type"].partition("#")
    assert f'<tr id="{anchor}">' in served.bare_client().get(path).text


def test_the_page_of_the_api_has_every_operation(served: Served):
    text = served.bare_client().get("/docs/api").text
    for one in (*OPERATIONS, *described(found())):
        assert f'id="{one.name}"' in text
        assert one.path in text


def test_markup_in_a_document_is_escaped():
    said = html(
        "# A <b>\n\n`<i>` **<u>** <s>\n\n| `<x>` | a \\| b |\n| --- | --- |\n| `c.d` | <y> |\n\n```\n<pre>\n```\n- <li>"
    )
    assert re.findall(r"<(?!/?(?:h1|p|code|strong|div|table|thead|tbody|tr|th|td|pre|ul|li)\b)", said) == []
    assert "a | b" in said
    assert '<tr id="c.d">' in said


def test_the_package_carries_its_documents():
    assert ERRORS.is_relative_to(PACKAGE)
    assert Path(ERRORS.parent / "templates" / "operations.html").exists()
