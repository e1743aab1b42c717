"""Call scripts: read with every problem at its line, checked, described by a schema, drawn, and true to their docs."""

import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beckon.core.yaml_text import read_yaml
from beckon.telephony.call import Decision
from beckon.telephony.script_check import Library, check, check_text
from beckon.telephony.script_drawing import draw
from beckon.telephony.script_forms import CONNECTING, SCRIPT, STEPS
from beckon.telephony.script_reading import ScriptProblems, parse_script
from beckon.telephony.script_schema import script_schema, script_schema_text
from beckon.telephony.script_trial import run_trial
from beckon.telephony.switch import Capabilities
from tests.rooms.telephony.stage import FOLDER, courier_script
from tests.rooms.telephony.test_advance import EVERYTHING

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "calls.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COURIER = (FOLDER / "scripts" / "courier.yaml").read_text(encoding="utf-8")
VALIDATOR = jsonschema_rs.Draft202012Validator(script_schema())


def test_the_couriers_script_passes_its_tests() -> None:
    trials = run_trial(courier_script(), (FOLDER / "script_tests" / "courier.yaml").read_text(encoding="utf-8"))
    assert len(trials) > 10
    for trial in trials:
        assert trial.passed, "\n".join([trial.name, *trial.difference])


def test_the_couriers_script_has_nothing_wrong_with_it() -> None:
    known = Library(secrets=(), files=(), dialects=("uis",), settings=("reception", "dispatcher"))
    assert check(courier_script(), known) == ()


WRONG = [
    ("- say: Hello", "call: a\n", "script.missing_field"),
    ("- shout: Hello.", "", "script.unknown_step"),
    ("- say: ''", "", "script.form"),
    ("- say: Hello {{ nobody }}.", "", "script.unknown_name"),
    ("- say: Hello.\n  tone: high", "", "script.unknown_field"),
    ("- say: Hello.\n  jump: there", "", "script.form"),
    ("- play: ../secret", "", "script.file"),
    ("- gather: caller\n  max: 3", "", "script.reserved_name"),
    ("- gather: a\n  max: 99", "", "script.form"),
    ("- gather: a\n  max: 1\n  min: 2", "", "script.form"),
    ("- gather: a\n  within: 20", "", "script.duration"),
    ("- gather: a\n  within: 1h", "", "script.duration"),
    ("- gather: a\n  until: '##'", "", "script.key"),
    ("- menu: { x: [] }", "", "script.key"),
    ("- menu: {}", "", "script.form"),
    ("- ask: flow\n  method: GET\n  form: json", "", "script.form"),
    ("- ask: flow\n  codes: { one: [] }", "", "script.form"),
    ("- ask: flow\n  send: [caller, phone]", "", "script.form"),
    ("- dial: B o", "", "call.number"),
    ("- dial: '+3225550101'\n  accept: 1", "", "script.form"),
    ("- dial: '+3225550101'\n  caller_id: me", "", "call.number"),
    ("- hours: whenever", "", "script.hours"),
    ("- hours: 09:00-10:00\n  zone: Mars", "", "script.time_zone"),
    ("- say: A.\n  name: x\n- say: B.\n  name: x", "", "script.twice"),
    ("- record: everything", "", "script.form"),
    ("- hang_up:\n  say: [1, 2, 3, 4, 5, 6, 7, 8, 9]", "", "script.form"),
    ("- just a word", "", "script.form"),
    ("- say: A.\n- say", "", "script.form"),
    ("- say: {english: A.\n", "", "yaml.syntax"),
]


@pytest.mark.parametrize(("steps", "head", "code"), WRONG)
def test_what_is_wrong_is_said_with_its_line(steps: str, head: str, code: str) -> None:
    text = head or "call: a\nsteps:\n" + "\n".join(f"  {line}" for line in steps.splitlines())
    with pytest.raises(ScriptProblems) as problems:
        parse_script(text)
    assert code in {problem.code for problem in problems.value.problems}
    assert all(problem.line >= 1 and problem.why for problem in problems.value.problems)


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(ScriptProblems) as problems:
        parse_script("call: a\nsteps:\n  - shout: x\n  - gather: a\n    max: 0\n  - jump:\n")
    assert [problem.line for problem in problems.value.problems] == [3, 5, 6]


CHECKED = [
    ("- jump: there", "script.unknown_target", 3),
    ("- ask: https://a.example/", "script.no_backup", 3),
    ("- gather: a\n  until: ''", "script.no_limits", 3),
    ("- hang_up:\n- say: Never.", "script.unreachable", 4),
    ("- menu: { 1: [ { hang_up: a } ] }\n  on_nothing: [ { hang_up: b } ]\n- say: A.\n- say: B.",
     "script.unreachable", 5),
    ("- name: a\n  say: Round.\n- jump: a", "script.no_way_out", 3),
    ("- record: call", "script.no_consent", 3),
    ("- authorise: pin", "script.unknown_secret", 3),
    ("- play: gone.wav", "script.unknown_file", 3),
    ("- ask: flow\n  dialect: zadarma\n  backup: []", "script.unknown_dialect", 3),
    ("- ask: flow\n  digits: order\n  backup: []", "script.unknown_name", 4),
    ("- say: '{{ settings.gone }}'", "script.unknown_setting", 3),
    ("- dial: '+3225550101'\n  record: true", "script.unsupported", 3),
    ("- voicemail: a", "script.unsupported", 3),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "code", "line"), CHECKED)
def test_what_would_go_wrong_is_found_without_a_call(steps: str, code: str, line: int) -> None:
    text = "call: a\nsteps:\n" + "\n".join(f"  {row}" for row in steps.splitlines())
    switch = Capabilities(recording="none", record_leg=False)
    library = Library(secrets=(), files=(), dialects=("uis",), settings=("reception",), switch=switch)
    found = [problem for problem in check_text(text, library) if problem.code == code]
    assert [problem.line for problem in found[:1]] == [line], check_text(text, library)
    assert len(found) == 1


def test_a_script_without_a_library_is_checked_for_itself_only() -> None:
    assert (
        check_text("call: a\nsteps: [ { authorise: pin, max: 4 }, { play: a.wav }, { say: '{{ settings.x }}' } ]") == ()
    )


def test_comments_and_order_leave_the_version_as_it_is() -> None:
    assert parse_script(COURIER).version == parse_script(f"# A comment.\n{COURIER}").version
    assert parse_script(COURIER).version != parse_script(COURIER.replace("max: 10", "max: 9")).version


# Schema and docs ------------------------------------------------------------------------------------------------------


def test_the_committed_schema_is_fresh() -> None:
    """After a change write what ``script_schema_text`` gives into docs/call.schema.json."""
    assert (DOCS / "call.schema.json").read_text(encoding="utf-8") == script_schema_text()


@pytest.mark.parametrize("text", [COURIER, EVERYTHING, *[block for block in BLOCKS if "\ncall: " in block]])
def test_the_schema_takes_what_the_parser_takes(text: str) -> None:
    jsonschema_rs.meta.validate(script_schema())
    parse_script(text)
    assert [error.message for error in VALIDATOR.iter_errors(_keys_as_text(read_yaml(text).value))] == []


@pytest.mark.parametrize(
    "steps", ["- shout: a", "- say: a\n  tone: b", "- gather: a\n  max: 99", "- record: all", "- menu: {}"]
)
def test_the_schema_refuses_what_the_parser_refuses(steps: str) -> None:
    text = "call: a\nsteps:\n" + "\n".join(f"  {row}" for row in steps.splitlines())
    with pytest.raises(ScriptProblems):
        parse_script(text)
    assert not VALIDATOR.is_valid(read_yaml(text).value)


def _keys_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _keys_as_text(item) for key, item in value.items()}
    return [_keys_as_text(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "word",
    sorted({*STEPS, *SCRIPT, *CONNECTING, *(name for form in STEPS.values() for name in form.fields)}),
)
def test_a_word_of_the_language_is_on_the_page(word: str) -> None:
    assert re.search(rf"(?<![a-z_]){word}(?![a-z_])", PAGE)


def test_the_pages_example_passes_its_test() -> None:
    [example] = [block for block in BLOCKS if "call: reception" in block]
    [story] = [block for block in BLOCKS if "tests:" in block]
    [trial] = run_trial(parse_script(example), story)
    assert trial.passed, "\n".join(trial.difference)


def test_a_trial_that_differs_says_in_what() -> None:
    script = parse_script("call: a\nsteps: [ { say: Hello. }, { hang_up: bye } ]")
    [trial] = run_trial(script, "tests: [ { given: [], expect: [ { say: Goodbye. }, { ends: connected } ] } ]")
    assert not trial.passed
    assert trial.difference == (
        "- say: Goodbye.", "+ say: Hello.", "+ hang_up: ", "- ends: connected", "+ ends: finished",
    ) or "+ say: Hello." in trial.difference  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "tests: []",
        "tests: [ 5 ]",
        "tests: [ { given: [] } ]",
        "tests: [ { given: [ { sings: true } ], expect: [] } ]",
        "tests: [ { given: [ { replies: {} } ], expect: [] } ]",
        "tests: [ { given: [ { busy: '+32' } ], expect: [] } ]",
        "tests: [ { given: [], expect: [ { shout: a } ] } ]",
        "tests: [ { given: [], expect: [ { say: a, loud: b } ] } ]",
        "tests: [ { given: [], expect: [], colour: red } ]",
        "tests: [ { at: soon, given: [], expect: [] } ]",
        "{",
    ],
)
def test_a_trial_that_makes_no_sense_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ScriptProblems):
        run_trial(parse_script("call: a\nsteps: [ { say: Hello. } ]"), text)


# Drawing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [COURIER, EVERYTHING, "call: a\nsteps: []"])
def test_a_script_is_drawn_with_every_step_in_it(text: str) -> None:
    script = parse_script(text)
    svg = draw(script)
    root = fromstring(svg)
    drawn = {element.get("data-step") for element in root.iter() if element.get("data-step")}
    assert drawn == set(script.by_path)
    left, top, width, height = (float(number) for number in root.get("viewBox", "").split())
    for card in root.iter("{http://www.w3.org/2000/svg}rect"):
        x, y = float(card.get("x", 0)), float(card.get("y", 0))
        assert left <= x <= left + width - float(card.get("width", 0))
        assert top <= y <= top + height - float(card.get("height", 0))


def test_no_two_cards_of_a_drawing_lie_on_each_other() -> None:
    root = fromstring(draw(parse_script(EVERYTHING)))
    boxes = [
        tuple(float(rect.get(name, 0)) for name in ("x", "y", "width", "height"))
        for group in root.iter("{http://www.w3.org/2000/svg}g")
        if group.get("data-step")
        for rect in group
        if rect.get("class") == "bf-card"
    ]
    for number, (x, y, width, height) in enumerate(boxes):
        for ax, ay, awidth, aheight in boxes[number + 1 :]:
            assert x + width <= ax or ax + awidth <= x or y + height <= ay or ay + aheight <= y


def test_the_path_that_a_call_took_is_lit_up_with_its_reasons() -> None:
    script = parse_script(COURIER)
    taken = [
        Decision("steps.0", 0, "backup", "no <answer> in time [ask.timeout]", "backup"),
        Decision("steps.1", 0, "open"),
    ]
    root = fromstring(draw(script, taken=taken, current="steps.1.open.0"))
    states = {element.get("data-step"): element.get("class", "") for element in root.iter() if element.get("data-step")}
    assert "is-taken" in states["steps.0"]
    assert "is-current" in states["steps.1.open.0"]
    assert "is-passed-by" in states["steps.0.codes.1.0"]
    titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any("no <answer> in time" in title for title in titles)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("call: as{}[]-\n'\"#1&*!|>?sayjumpdialname,{{}}%"), max_size=120))
def test_no_text_makes_the_parser_fall_over(text: str) -> None:
    try:
        script = parse_script(f"call: a\nsteps:\n  - say: A.\n{text}")
    except ScriptProblems:
        return
    fromstring(draw(script))
    check(script)
