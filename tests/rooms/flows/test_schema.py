"""The JSON Schema for editors: fresh, valid, and of one mind with the parser."""

from pathlib import Path

import jsonschema_rs
import pytest

from beckon.core.yaml_text import read_yaml
from beckon.flows.definition import FlowProblems, parse_flow
from beckon.flows.forms import STEPS
from beckon.flows.schema import flow_schema, flow_schema_text
from tests.rooms.flows.test_diagram import ALL
from tests.rooms.flows.test_steps import INVITE

VALIDATOR = jsonschema_rs.Draft202012Validator(flow_schema())
GOOD = "flow: a\non: x.y\nsteps:\n"


def test_the_committed_schema_is_fresh() -> None:
    """After a change: ``python -c "from beckon.flows.schema import *; print(flow_schema_text(), end='')"``."""
    committed = Path(__file__).parents[3] / "docs" / "flow.schema.json"
    assert committed.read_text() == flow_schema_text()


def test_the_schema_is_a_schema_and_names_every_step() -> None:
    jsonschema_rs.meta.validate(flow_schema())
    assert set(STEPS) <= set(flow_schema()["$defs"])


@pytest.mark.parametrize(
    "text",
    [
        GOOD + INVITE,
        GOOD + ALL,
        "flow: a\non: [x.y, z.z]\nif: 'true'\nkey: '{{ event.id }}'\ncontact:\npurpose: marketing\ntime_zone: UTC\n"
        "limits: {steps: 9}\ndescription: d\nsteps: []",
        GOOD + "- send:\n  text: a\n  at: {between: '09:00-10:00'}\n  name: n",
        GOOD + "- send: {template: a, via: [sms, email], with: '{{ event.data }}'}\n- stop:\n- stop: a",
        GOOD + "- wait_for: [a.b, c.d]\n  match: it.data.x == 1\n  timeout: PT1H",
        GOOD + "- wait: {for: 1h, hours: 'Mon 09:00-10:00'}",
        GOOD
        + "- notify: {inbox: a, text: b}\n- assign: {agent: a}\n- http: {url: x, await: false}\n- emit: {type: a.b}",
    ],
)
def test_what_the_parser_takes_the_schema_takes(text: str) -> None:
    parse_flow(text)
    assert [error.message for error in VALIDATOR.iter_errors(read_yaml(text).value)] == []


@pytest.mark.parametrize(
    "text",
    [
        "flow: a\nsteps: []",
        "flow: a b\non: x\nsteps: []",
        "flow: a\non: x\nsteps: []\nmore: 1",
        GOOD + "- sned: a",
        GOOD + "- send: a\n  vai: sms",
        GOOD + "- send: a\n  purpose: fun",
        GOOD + "- send: a\n  fallback_after: soon",
        GOOD + "- wait_for: 'A B'",
        GOOD + "- if: 'true'",
        GOOD + "- choose: []",
        GOOD + "- post: {result: 1}",
        GOOD + "- for_each: a\n  do: []\n  max: 0",
        GOOD + "- notify: {inbx: a}",
        GOOD + "- send: a\n  note: b",
    ],
)
def test_what_the_schema_refuses_the_parser_refuses(text: str) -> None:
    assert list(VALIDATOR.iter_errors(read_yaml(text).value))
    with pytest.raises(FlowProblems):
        parse_flow(text)
