"""Texts with Liquid in them: what they say, and what they refuse before it hurts."""

import contextlib
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.core.errors import Refused
from beckon.core.liquid_text import OUTPUT_MAX, SOURCE_MAX, compile_text

SCOPE = {
    "event": {"data": {"slug": "a/b", "n": 3, "items": [1, 2], "none": None, "name": "<b>Ann</b>"}},
    "locale": "nl-BE",
    "time_zone": "Europe/Brussels",
    "long": "a" * 60_000,
    "many": list(range(5_000)),
}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("hello", "hello"),
        ("", ""),
        ("a } b { c", "a } b { c"),
        ("{{ event.data.slug }}", "a/b"),
        ("{{event.data.n}} + {{ event.data.n }}", "3 + 3"),
        ("[{{ event.data.none }}]", "[]"),
        ("{{ event.data.items }}", "12"),
        ("{{ event.data.nope | default: 'x' }}", "x"),
        ('{{ event.data.none|default:"x" }}!', "x!"),
        ("{{ event.data.n | default: 'x' }}", "3"),
        ("{{ event.data.items.size }}", "2"),
        ("{{ event['data'].slug }}", "a/b"),
        ("{% if event.data.nope %}yes{% else %}no{% endif %}", "no"),
        ("{% for one in event.data.items %}{{ one }},{% endfor %}", "1,2,"),
        ("{% for one in (1..3) %}{{ one }}{% endfor %}", "123"),
        ("x {{- event.data.n -}} y", "x3y"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{{ '2026-03-03T08:30:00Z' | day }}, {{ '2026-03-03T08:30:00Z' | time }}", "dinsdag 3 maart, 09:30"),
        ("{{ 1234.5 | money: 'EUR' }}", "€\u00a01.234,50"),
        ("{{ '2026-03-03T23:30:00Z' | date: '%d/%m/%Y %H:%M' }}", "04/03/2026 00:30"),
        ("{{ event.data | json }}", '{"slug":"a/b","n":3,"items":[1,2],"none":null,"name":"<b>Ann</b>"}'),
    ],
)
def test_a_text_says_what_its_places_hold(source: str, said: str) -> None:
    assert compile_text(source).render(SCOPE) == said


def test_a_source_that_is_one_place_gives_the_value_itself() -> None:
    assert compile_text("{{ event.data.items }}").value(SCOPE) == [1, 2]
    assert compile_text("{{ event.data.n | plus: 2 }}").value(SCOPE) == 5
    assert compile_text("n: {{ event.data.n }}").value(SCOPE) == "n: 3"
    assert compile_text("7").value(SCOPE) == "7"


@pytest.mark.parametrize(
    "source", ["{{ event.data.nope }}", "{{ event.data.nope }}!", "{{ event.data.nope | upcase }}"]
)
def test_a_missing_variable_is_named(source: str) -> None:
    with pytest.raises(Refused) as refused:
        compile_text(source).render(SCOPE)
    assert (refused.value.code, refused.value.field) == ("text.missing_variable", "event.data.nope")


def test_a_text_tells_what_it_reads() -> None:
    text = compile_text("{{ a.b }}{% for x in c %}{{ x.y }}{% endfor %}{% assign d = 1 %}{{ d | plus: e }}")
    assert text.paths == (("a", "b"), ("c",), ("e",))
    assert text.variables == ("a", "c", "e")


def test_values_in_html_are_escaped_whatever_way_they_take() -> None:
    for source in (
        "{{ event.data.name }}",
        "{{ event.data.name | append: '' }}",
        "{% capture x %}{{ event.data.name }}{% endcapture %}{{ x }}",
        "{% assign x = event.data.name %}{{ x }}",
    ):
        assert compile_text(source, html=True).render(SCOPE) == "&lt;b&gt;Ann&lt;/b&gt;", source


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{% include 'x' %}", "text.syntax"),
        ("{% render 'x' %}", "text.syntax"),
        ("{% if %}", "text.syntax"),
        ("{{ x | nofilter }}", "text.unknown_filter"),
        ("{{ x", "text.syntax"),
        ("{% if x %}" * 20 + "{% endif %}" * 20, "text.syntax"),
        ("x" * (SOURCE_MAX + 1), "text.too_long"),
        ("{{" * 3_000 + "}}", "text.too_long"),
        ("{{" + " " * 8_000 + "x | upcase }}", "text.too_long"),
        ("{% for i in (1..1000000000) reversed %}{% endfor %}", "text.range"),
        ("{% for i in (1..many) %}{% endfor %}", "text.range"),
        ("{{ (1..99999999) | join: 'x' }}", "text.range"),
    ],
)
def test_what_would_go_wrong_is_refused_when_it_is_read(source: str, code: str) -> None:
    started = time.process_time()
    with pytest.raises(Refused) as refused:
        compile_text(source)
    assert refused.value.code == code
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{{ long | append: long }}", "text.too_long"),
        ("{{ long }}{{ long }}", "text.too_long"),
        ("{{ long | replace: 'a', long }}", "text.too_long"),
        ("{{ long | split: '' }}", "text.too_long"),
        ("{{ many | join: ', ' }}", "text.too_long"),
        ("{% assign a = 'aa' %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}", "text.too_long"),
        ("{% assign a = 9 %}{% for i in (1..99) %}{% assign a = a | times: a %}{% endfor %}{{ a }}", "value.too_large"),
        ("{% for i in (1..900) %}{% for j in (1..900) %}{% endfor %}{% endfor %}", "text.too_costly"),
        ("{% for i in (1..900) %}{% for j in (1..900) %}{{ long | size }}{% endfor %}{% endfor %}", "text.too_costly"),
        ("{{ 5 | round: 99999999 }}", "text.number"),
        ("{{ 1 | divided_by: 0 }}", "text.fails"),
        ("{{ 'soon' | day }}", "time.instant"),
        ("{{ 'x' | money: 'EUR' }}", "money.amount"),
        ("{{ now }}", "text.missing_variable"),
        ("{{ event.__class__ }}", "text.missing_variable"),
        ("{{ event.data.slug.upper }}", "text.missing_variable"),
    ],
)
def test_what_costs_too_much_or_is_not_there_ends_the_rendering(source: str, code: str) -> None:
    text = compile_text(source)
    started = time.process_time()
    with pytest.raises(Refused) as refused:
        text.render(SCOPE)
    assert refused.value.code == code
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("limit", [1_000, 10_000])
@pytest.mark.parametrize(
    "source",
    [
        "{{ a" + "[a" * 2_000 + "]" * 2_000 + " }}",
        "{% if " + "a and " * 2_500 + "a %}{% endif %}",
        "{{ a" + ".b" * 7_000,
    ],
)
def test_what_nests_deep_is_refused_or_rendered_whatever_the_interpreter_allows(source: str, limit: int) -> None:
    # Some libraries raise the interpreter's limit when they are imported.
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        compile_text.cache_clear()
        with contextlib.suppress(Refused):
            compile_text(source).render({"a": {"a": 1}})
    finally:
        sys.setrecursionlimit(before)


def test_the_machines_clock_is_not_to_be_had() -> None:
    assert compile_text("{{ 'now' | date: '%Y' }}").render({"now": "2031-01-01T00:00:00Z"}) == "2031"
    assert compile_text("{{ 'now' | date: '%Y' }}").render({}) == ""


pieces = st.sampled_from(
    [
        *("{{", "}}", "{%", "%}", " ", "-", "\n", "é", "event", ".data", ".slug", "[0]", "|", "append:", "'x'"),
        *(
            "if",
            "endif",
            "for",
            "in",
            "(1..3)",
            "assign",
            "=",
            "capture",
            "raw",
            "endraw",
            "size",
            "times:",
            "9",
            "day",
        ),
    ]
)


@given(st.lists(pieces, max_size=25).map("".join))
def test_any_source_says_something_or_is_refused(source: str) -> None:
    try:
        said = compile_text(source).render(SCOPE)
    except Refused:
        return
    assert len(said) <= OUTPUT_MAX


sources = st.sampled_from(["{{ a.b }}", "x {{ a.b }} y", "{{ a.b | default: 'z' }}"])


@given(sources, st.text() | st.integers() | st.none() | st.booleans())
def test_the_quick_way_says_what_liquid_says(source: str, value: object) -> None:
    scope = {"a": {"b": value}}
    slow = compile_text(source + "{% comment %}{% endcomment %}")
    assert compile_text(source).render(scope) == slow.render(scope)
