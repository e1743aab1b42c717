"""Hostile Liquid, CEL and YAML: each is refused with a code, quickly and without eating the machine."""

import time
from typing import Any

import pytest

from beckon.core.errors import Refused
from beckon.core.yaml_text import YamlProblem, read_yaml
from beckon.flows.conditions import ROOTS, Scope, compile_condition, compile_text, compile_value
from beckon.flows.definition import FlowProblems, parse_flow

BIG = "x" * 60_000
DATA: dict[str, Any] = {
    "visit": "V-17",
    "n": 3,
    "l": list(range(1_000)),
    "big": BIG,
    "names": ["ann"] * 500,
    "deep": {},
    "sums": ["1e99999999"],
}
level = DATA["deep"]
for _ in range(200):
    level["deep"] = {}
    level = level["deep"]

#: Of this thread's processor, so that neighbours do not count: what is not refused beforehand takes many more.
SECONDS_MAX = 3.0


def scope() -> Scope:
    return Scope({"event": {"data": DATA}}, now_ms=1_795_165_200_000)


def refused_code(attempt: Any) -> str:
    started = time.thread_time()
    with pytest.raises(Refused) as caught:
        attempt()
    assert time.thread_time() - started < SECONDS_MAX
    assert len(str(caught.value)) < 1_000
    return caught.value.code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{% for i in (1..100000000) %}x{% endfor %}", "text.range"),
        ("{% for i in (1..101) %}{% for j in (1..101) %}x{% endfor %}{% endfor %}", "text.too_costly"),
        ("{% for i in (1..6000) %}{% endfor %}{% for i in (1..6000) %}{% endfor %}", "text.range"),
        ("{% for i in event.data.l %}{% for n in event.data.l %}{% endfor %}{% endfor %}", "text.too_costly"),
        ("{{ (1..100000000) | join: ',' }}", "text.range"),
        ("{% assign x = (1..9000000) | reverse %}{{ x }}", "text.range"),
        ("{{ 'aaaaaaaaaa'" + " | replace: 'a', 'aaaaaaaaaa'" * 12 + " }}", "text.too_long"),
        ("{{ event.data.big | replace: '', event.data.big }}", "text.too_long"),
        ("{{ event.data.names | join: event.data.big }}", "text.too_long"),
        (
            "{% assign x = 'aaaaaaaa' %}{% for i in (1..99) %}{% assign x = x | append: x %}{% endfor %}",
            "text.too_long",
        ),
        ("{% capture x %}{{ event.data.big }}{% endcapture %}{{ x }}{{ x }}", "text.too_long"),
        ("{{ event.data.big }}{{ event.data.big }}", "text.too_long"),
        (
            "{% for i in (1..999) %}{{ event.data.visit | append: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}",
            "text.too_long",
        ),
        ("{% for i in (1..900) %}{{ event.data.big | upcase | size }}{% endfor %}", "text.too_costly"),
        (
            "{% assign n = 99999999999 %}{% for i in (1..99) %}{% assign n = n | times: n %}{% endfor %}",
            "value.too_large",
        ),
        ("{{ 1e308 | times: 1e308 }}", "flow.unknown_name"),
        (
            "{{ 99999999999999999999999999999999999999999999999999999999999999999999999999999999999999 }}",
            "value.too_large",
        ),
        ("{{ '1e99999999' | ceil }}", "text.number"),
        ("{{ '1e99999999' | plus: 1 }}", "text.number"),
        ("{{ 9 | round: 999999999999 | times: '1e9999999' }}", "text.number"),
        ("{{ event.data.sums | sum | floor }}", "text.fails"),
        ("{{ 5 | divided_by: 0 }}", "text.fails"),
        ("{{ event.data.deep }}", "value.too_deep"),
        ("{{ event.data.visit.__class__ }}", "text.missing_variable"),
        ("{{ event.__init__.__globals__ }}", "text.missing_variable"),
        ("{{ event['__class__']['__mro__'] }}", "text.missing_variable"),
        ("{{ event.data.nothing.at.all }}", "text.missing_variable"),
        ("{{ event.data.nothing | upcase }}", "text.missing_variable"),
        ("{{ event.data.visit | date: '%H' }}", "time.instant"),
        ("{% include 'secrets' %}", "text.syntax"),
        ("{% render '/etc/passwd' %}", "text.syntax"),
        ("{% if true %}", "text.syntax"),
        ("{{ event.data.visit | no_such_filter }}", "text.unknown_filter"),
        ("{{ evnt.data.visit }}", "flow.unknown_name"),
        ("{{ 'x' | append }}", "text.fails"),
        ("{" * 7_999, "text.too_long"),
        ("{%" * 299, "text.syntax"),
        ("{{ event" + "[event" * 1_100 + "]" * 1_100 + " }}", "text.syntax"),
        ("{% if " + "true and " * 850 + "true %}{% endif %}", "text.syntax"),
        ("{% if true %}" * 20 + "{% endif %}" * 20, "text.syntax"),
        ("{{" + " " * 7_900 + "event.data.n | upcase }}", "text.too_long"),
        ("{{" * 3_000 + "}}", "text.too_long"),
        ("x" * 8_001, "text.too_long"),
        ("{{ x }}" * 301, "text.too_long"),
    ],
)
def test_hostile_liquid_is_refused(text: str, code: str) -> None:
    assert refused_code(lambda: compile_text(text, ROOTS).value(scope())) == code


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("event.data.l.all(x, event.data.l.all(y, x + y >= 0))", "flow.expression_too_costly"),
        ("event.data.l.exists(x, event.data.l.exists(y, event.data.l.exists(z, x < 0)))", "flow.expression_too_costly"),
        ("['a'].map(x, x + x).map(x, x + x).size() == 1", "flow.expression_too_costly"),
        ("event.data.l" + ".filter(x, true)" * 5 + ".size() == 1", "flow.expression_too_costly"),
        ("event.data.big.matches('(x+x+)+y') || event.data.nothing", "flow.missing_value"),
        ("event.data.names.all(x, (x + x + x + x + x + x + x + x).matches('(a+)+$'))", "flow.expression_too_costly"),
        ("'a'.matches('((a{1000}){1000}){1000}')", "flow.cel_failed"),
        ("'a'.matches(event.data.visit + '(((')", "flow.cel_failed"),
        ("(" * 400 + "true" + ")" * 400, "flow.cel_syntax"),
        ("[" * 400 + "]" * 400 + " == []", "flow.cel_syntax"),
        ("+".join(["1"] * 400) + " == 400", "flow.cel_syntax"),
        ("true" + " " * 1_000, "flow.expression_too_costly"),
        ("event.data.big + event.data.big == '' || size(event.data) > 10", "value.too_large"),
        ("event.data.deep == null", "value.too_deep"),
        ("event.data.n / 0 == 1", "flow.cel_failed"),
        ("event.data.n + 9223372036854775807 > 0", "flow.cel_failed"),
        ("event.data.n + 'a' == 'b'", "flow.cel_failed"),
        ("event.__class__ == null", "flow.missing_value"),
        ("event.data.nothing == 1", "flow.missing_value"),
        ("event.data.n", "flow.not_yes_or_no"),
        ("'yes'", "flow.not_yes_or_no"),
        ("1 + 'a' == 2", "flow.cel_syntax"),
        ("evnt.data.n == 1", "flow.unknown_name"),
        ("__import__('os') == 1", "flow.unknown_name"),
        ("{{ event.data.n }} == 1", "flow.cel_syntax"),
        ("", "flow.cel_syntax"),
        ("\x00", "flow.cel_syntax"),
        ("event.data.n ==", "flow.cel_syntax"),
    ],
)
def test_hostile_cel_is_refused(source: str, code: str) -> None:
    assert refused_code(lambda: compile_condition(source, ROOTS).holds(scope(), 0)) == code


@pytest.mark.parametrize("value", [2**70, "\ud800", float("nan")])
def test_cel_stands_odd_values(value: object) -> None:
    condition = compile_condition("event.data.v == 1", ROOTS)
    with pytest.raises(Refused) as caught:
        condition.holds(Scope({"event": {"data": {"v": value}}}, now_ms=0), 0)
    assert caught.value.code in ("flow.cel_failed", "value.too_large")


def test_a_value_that_holds_another_many_times_is_as_heavy_as_its_text() -> None:
    many = {f"k{number}": "{{ event.data.big }}" for number in range(10)}
    assert refused_code(lambda: compile_value(many, ROOTS).value(scope())) == "value.too_large"


def test_a_value_may_not_nest_without_end() -> None:
    raw: Any = "{{ event.data.n }}"
    for _ in range(30):
        raw = [raw]
    assert refused_code(lambda: compile_value(raw, ROOTS)) == "value.too_deep"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [" + "[" * 100, "yaml.too_deep"),
        ("[" * 60_000, "yaml.too_deep"),
        ("{" * 60_000, "yaml.key"),
        ("- " * 50_000, "yaml.too_deep"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8)),
            "yaml.too_large",
        ),
        ("a: *a", "yaml.alias"),
        ("a: &a [*a]", "yaml.alias"),
        ("a: !!python/object/apply:os.system ['true']", "yaml.tag"),
        ("a: !include /etc/passwd", "yaml.tag"),
        ("a: 1\na: 2", "yaml.twice"),
        ("a: 1\n---\nb: 2", "yaml.documents"),
        ("<<: {a: 1}", "yaml.key"),
        ("? [a, b]\n: c", "yaml.key"),
        ("a: 'b", "yaml.syntax"),
        ("\tkey: x", "yaml.syntax"),
        ("a: \x00", "yaml.syntax"),
        ("x" * 131_073, "yaml.too_long"),
        ("- a\n" * 20_001, "yaml.too_large"),
        ("%YAML 9.9\n---\na: b: c", "yaml.syntax"),
    ],
)
def test_hostile_yaml_is_refused(text: str, code: str) -> None:
    started = time.thread_time()
    with pytest.raises(YamlProblem) as caught:
        read_yaml(text)
    assert caught.value.code == code
    assert time.thread_time() - started < 2 * SECONDS_MAX
    with pytest.raises(FlowProblems):
        parse_flow(text)
