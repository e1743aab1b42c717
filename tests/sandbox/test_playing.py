"""Playing scenarios: what differs is reported as different, and what can't be read is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from beckon.core.errors import Misconfigured
from beckon.demo import staged
from beckon.sandbox.people import Customer
from beckon.sandbox.playing import Line, duration_ms, play
from beckon.sandbox.scenarios import Edit, Scenario, read_scenarios, scenarios

WRONG = """
- scenario: all wrong
  title: Every check of this one differs
  customer: { has: [sms] }
  steps:
    - step: It is said to go by the maker's app
      start: true
      answer: { status: 500 }
      phone: [{ on: oem_app, says: Hello, count: 1 }, { on: sms, says: no such words }]
      silent: [sms]
      delivery: { channel: oem_app, because: nobody knows, state: read, passed: { sms: why }, attempts: [], count: 2 }
      entry: [{ kind: results, count: 1 }, { kind: message, says: [no such words] }]
      run: { flow: service-checkin, status: done }
      inbox: nowhere
    - step: A button that isn't there
      tap: email
"""


async def lines_of(scenario: Scenario, folder: Path) -> list[Line]:
    async with staged(folder) as stage:
        return [line async for line in play(scenario, stage.cast)]


async def test_every_kind_of_check_can_differ(tmp_path: Path) -> None:
    (scenario,) = read_scenarios(WRONG, "wrong.yaml")
    first, second = await lines_of(scenario, tmp_path)
    assert not first.ok
    expected, seen = first.expected.split("; "), first.seen.split("; ")
    assert len(expected) == len(seen) == 12
    assert all(wanted != was for wanted, was in zip(expected, seen, strict=True))
    assert "answered 202" in seen
    assert "nothing on oem_app" in seen
    assert not second.ok
    assert "has no link" in second.seen


def test_a_run_with_a_difference_exits_with_one(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "import beckon.demo.running as demo\n"
        "from beckon.sandbox.scenarios import read_scenarios\n"
        f"wrong = read_scenarios({WRONG!r}, 'wrong.yaml')\n"
        "demo.scenarios = lambda: {one.scenario: one for one in wrong}\n"
        "sys.exit(demo.play_headless(as_json=True))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    *lines, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["ok"] for line in lines] == [False, False]
    assert summary["ok"] is False
    assert summary["failed"] == ["all wrong"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- { scenario: a, title: b, steps: [{ step: c, jump: true }] }", "unknown field `jump`"),
        ("- { scenario: a, title: b }", "missing required field `steps`"),
        ("- { scenario: a, title: b, steps: [{ step: c, phone: [{ says: d }] }] }", "missing required field `on`"),
        ("- scenario: [", "line"),
    ],
)
def test_a_scenario_that_cant_be_read_says_where(text: str, words: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        read_scenarios(text, "mine.yaml")
    assert "mine.yaml" in caught.value.why
    assert words in caught.value.why


def test_an_edit_of_a_text_that_isnt_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "beckon.yaml").write_text("name: one\n")
    Edit(file="beckon.yaml", replace="one", by="two").apply(tmp_path)
    assert (tmp_path / "beckon.yaml").read_text() == "name: two\n"
    with pytest.raises(Misconfigured):
        Edit(file="beckon.yaml", replace="one", by="two").apply(tmp_path)


def test_durations_have_a_unit() -> None:
    assert [duration_ms(text) for text in ("5s", "10m", "24h", "31d")] == [5_000, 600_000, 86_400_000, 2_678_400_000]
    with pytest.raises(ValueError, match="no duration"):
        duration_ms("24")


def test_a_customer_is_named_by_what_they_have() -> None:
    def said(*has: str) -> set[str]:
        return set(Customer(name="Anna Janssens", number=7, has=has).contact()) - {"name", "first_name", "locale"}

    assert said("oem_app", "whatsapp", "sms", "email") == {"oem_app", "phone", "email"}
    assert said("whatsapp") == {"whatsapp"}
    assert said("sms") == {"sms"}
    assert said() == {"id"}


def test_the_scenarios_cover_the_whole_preference_order_and_every_fault() -> None:
    steps = [step for scenario in scenarios().values() for step in scenario.steps]
    chosen = {step.delivery.channel for step in steps if step.delivery}
    assert {"oem_app", "whatsapp", "sms", "email", "none"} <= chosen
    faults = {name for step in steps for given in step.fault.values() for name in given}
    assert {
        "down",
        "rate_limited",
        "template_rejected",
        "number_invalid",
        "fail_later",
        "receipts",
        "slow_ms",
    } <= faults
    flows = {step.run.flow for step in steps if step.run}
    assert {"service-checkin", "service-video", "service-status", "payment-information"} <= flows
