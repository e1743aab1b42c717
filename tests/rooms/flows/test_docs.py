"""The page on flows: its examples work, and it names every step, field and error code."""

import re
from pathlib import Path

import pytest

import beckon.flows
from beckon.flows.definition import parse_flow
from beckon.flows.forms import FLOW, HOURS, STEPS, WAIT
from beckon.flows.trial import run_trial

PAGE = (Path(__file__).parents[3] / "docs" / "flows.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CODES = sorted(
    {
        code
        for file in Path(beckon.flows.__file__).parent.glob("*.py")
        for code in re.findall(r'"((?:flow|trial|http)\.[a-z_]+)"', file.read_text(encoding="utf-8"))
    }
    - {"http.completed", "http.failed", "trial.failed"}
)


@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.startswith("contact:")])
def test_an_example_is_a_flow(block: str) -> None:
    text = block if "flow:" in block else f"flow: example\non: a.b\nsteps:\n{block}"
    assert parse_flow(text).steps


def test_the_example_test_passes() -> None:
    [story] = [block for block in BLOCKS if block.startswith("contact:")]
    result = run_trial(parse_flow(BLOCKS[0]), story)
    assert result.passed, result.report()


@pytest.mark.parametrize("code", CODES)
def test_an_error_code_is_on_the_page(code: str) -> None:
    assert f"`{code}`" in PAGE


@pytest.mark.parametrize(
    "word", sorted({*STEPS, *FLOW, *HOURS, *WAIT, *(name for form in STEPS.values() for name in form.fields)})
)
def test_a_word_of_the_language_is_on_the_page(word: str) -> None:
    inner = {form.main for form in STEPS.values() if form.main not in ("text", "inbox", "url")}
    if word not in inner:
        assert re.search(rf"(?<![a-z_]){word}(?![a-z_])", PAGE)
