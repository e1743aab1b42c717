"""Mappings: a partner's JSON becomes our event by an expression; a hostile one is stopped in time."""

import sys
import time
from typing import Any

import pytest

from beckon.core.errors import BeckonError, Misconfigured, Refused
from beckon.intake.mappings import Mapped, Mapping, parse_mapping

NATIVE = {
    "id": "n-1",
    "visit": {"ref": "V-17", "link": "abc", "when": "2026-11-20T13:22:56Z"},
    "customer": {"first": "Ann", "last": 'Peters "the fast"', "mobile": "+32470123456"},
    "lines": [{"price": 10.5, "count": 2}, {"price": 4, "count": 1}],
}
JSONATA = """\
mapping: tjekvik
source: https://tjekvik.example
event: |
  {
    "type": "checkin.start",
    "id": id,
    "time": visit.when,
    "data": {
      "visit": visit.ref,
      "contact": { "name": customer.(first & " " & last), "phone": customer.mobile },
      "total": $sum(lines.(price * count))
    }
  }
"""
LIQUID = """\
mapping: syntec
source: https://syntec.example
language: liquid
event: |
  { "type": "checkin.start", "id": {{ body.id | json }},
    "data": { "visit": {{ body.visit.ref | json }},
              "contact": { "name": {{ body.customer.last | json }} } } }
"""


def jsonata_of(expression: str) -> Mapping:
    """A mapping with this expression."""
    return Mapping("test", "https://test.example", "jsonata", expression)


def liquid_of(text: str) -> Mapping:
    """A mapping with this text."""
    return Mapping("test", "https://test.example", "liquid", text)


def test_jsonata_turns_native_json_into_an_event():
    mapping = parse_mapping(JSONATA)
    assert (mapping.name, mapping.source, mapping.language) == ("tjekvik", "https://tjekvik.example", "jsonata")
    assert mapping.apply(NATIVE) == Mapped(
        type="checkin.start",
        id="n-1",
        time="2026-11-20T13:22:56Z",
        data={
            "visit": "V-17",
            "contact": {"name": 'Ann Peters "the fast"', "phone": "+32470123456"},
            "total": 25,
        },
    )


def test_liquid_turns_native_json_into_an_event_with_every_value_quoted():
    assert parse_mapping(LIQUID).apply(NATIVE) == Mapped(
        type="checkin.start", id="n-1", data={"visit": "V-17", "contact": {"name": 'Peters "the fast"'}}
    )


def test_a_mapping_may_be_used_again_and_again_and_remembers_nothing():
    mapping = jsonata_of('($n := $exists($n) ? $n + 1 : 1; {"type": "a.b", "data": {"n": $n, "x": x}})')
    assert [mapping.apply({"x": number}).data for number in range(3)] == [{"n": 1, "x": number} for number in range(3)]


@pytest.mark.parametrize("native", [None, [], {}, "text", 5, {"visit": None}, [NATIVE, NATIVE]])
def test_a_body_of_another_shape_is_refused_or_leaves_gaps(native: Any):
    for mapping in (parse_mapping(JSONATA), parse_mapping(LIQUID)):
        try:
            assert isinstance(mapping.apply(native), Mapped)
        except Refused as error:
            refused = error
        else:
            continue
        assert refused.code.startswith(("mapping.", "text."))


@pytest.mark.parametrize(
    "expression",
    [
        '"just a text"', "5", "null", "[]", '{"data": {}}', '{"type": 5}', '{"type": "a.b", "more": 1}',
        '{"type": "a.b", "id": 5}', "nothing.here", '[{"type": "a.b"}, {"type": "a.c"}]',
    ],
)  # fmt: skip
def test_a_result_that_is_no_event_is_refused(expression: str):
    with pytest.raises(Refused) as caught:
        jsonata_of(expression).apply(NATIVE)
    assert caught.value.code == "mapping.result"


@pytest.mark.parametrize("text", ["no JSON", '{"type": ', "", '{"type": "a.b"} {"type": "a.b"}', "{'type': 'a.b'}"])
def test_liquid_that_writes_no_json_is_refused(text: str):
    with pytest.raises(Refused) as caught:
        liquid_of(text).apply(NATIVE)
    assert caught.value.code == "mapping.result"


def test_a_value_can_not_break_out_of_its_quotes():
    mapping = liquid_of('{ "type": "a.b", "data": {{ body.x | json }} }')
    evil = '"}, "type": "agent.replied", "data": {"text": "'
    assert mapping.apply({"x": evil}) == Mapped(type="a.b", data=evil)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ('$replace("0470 / 12.34", /[^0-9]/, "")', "04701234"),
        ('$contains("Hello", /hello/i)', True),
        ('$split("a, b;c", /[,;] ?/)', ["a", "b", "c"]),
        ('$match("V-17 and V-18", /V-([0-9]+)/).groups[0]', ["17", "18"]),
        ('$replace("John Smith", /(\\w+)\\s(\\w+)/, "$2, $1")', "Smith, John"),
        ('$count($match("a\nb\na", /^a/m))', 2),
    ],
)
def test_regular_expressions_are_at_hand(expression: str, result: Any):
    assert jsonata_of('{"type": "a.b", "data": ' + expression + "}").apply({}).data == result


# Hostile expressions.

HOSTILE = {
    "without end": "($f := function($x){$f($x + 1)}; $f(0))",
    "deep": "($f := function($x){1 + $f($x + 1)}; $f(0))",
    "two that call each other": "($f := function($x){$g($x)}; $g := function($x){$f($x)}; $f(0))",
    "a long range": "[1..10000000]",
    "ranges in ranges": "[1..3000].[1..3000]",
    "a doubling text": '($d := function($s, $n){$n = 0 ? $s : $d($s & $s, $n - 1)}; $d("x", 60))',
    "a hostile pattern": '$match("' + "a" * 40 + '!", /(a+)+$/)',
    "a huge pattern": '$match("a", /((a{500}){500}){500}/)',
    "a wide reduce": "$reduce([1..500000], function($a, $b){$a + $b})",
    "evaluated text": '$eval("$eval(\\"1+1\\")")',
}


@pytest.mark.parametrize("expression", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_expression_is_stopped_in_time(expression: str):
    started = time.thread_time()
    with pytest.raises(BeckonError) as caught:
        jsonata_of('{"type": "a.b", "data": ' + expression + "}.nowhere").apply(NATIVE)
    assert caught.value.code.startswith("mapping.")
    assert time.thread_time() - started < 3, "it held up everybody"


HOSTILE_LIQUID = {
    "a loop of loops": "{% for a in (1..1000) %}{% for b in (1..1000) %}x{% endfor %}{% endfor %}" * 10,
    "a long range": "{% for a in (1..100000000) %}x{% endfor %}",
    "a doubling text": "{% assign s = 'x' %}" + "{% assign s = s | append: s %}" * 60 + "{{ s }}",
    "many tags": "{{ a }}" * 10_000,
}


@pytest.mark.parametrize("text", HOSTILE_LIQUID.values(), ids=HOSTILE_LIQUID.keys())
def test_a_hostile_text_is_stopped_in_time(text: str):
    started = time.thread_time()
    with pytest.raises(BeckonError):
        liquid_of('{"type": "a.b", "data": "' + text + '"}').apply(NATIVE)
    assert time.thread_time() - started < 3, "it held up everybody"


def test_the_interpreter_s_own_limit_stays_as_it_was():
    before = sys.getrecursionlimit()
    jsonata_of('{"type": "a.b"}').apply({})
    assert sys.getrecursionlimit() == before


# Reading the file.


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "mapping.form"),
        ("[]", "mapping.form"),
        ("mapping: x", "mapping.form"),
        ("mapping: x\nsource: y\nevent: '{}'\nmore: 1", "mapping.form"),
        ("mapping: x\nsource: y\nevent: '{'", "mapping.expression"),
        ("mapping: x\nsource: y\nevent: '$match(a, /(/)'", "mapping.expression"),
        ("mapping: x\nsource: y\nevent: '$match(a, /(?<=a)b/)'", "mapping.expression"),
        ("mapping: x\nsource: y\nlanguage: liquid\nevent: '{{ a | nothing }}'", "mapping.expression"),
        ("mapping: x\nsource: y\nlanguage: liquid\nevent: '{% if %}'", "mapping.expression"),
        ("mapping: x\nsource: y\nlanguage: python\nevent: '1'", "mapping.language"),
        ("mapping: [", "mapping.yaml"),
        ("mapping: !!python/object:os.system x", "mapping.yaml"),
    ],
)
def test_a_file_that_is_no_mapping_says_why(text: str, code: str):
    with pytest.raises(Misconfigured) as caught:
        parse_mapping(text, file="mappings/x.yaml")
    assert caught.value.code == code
