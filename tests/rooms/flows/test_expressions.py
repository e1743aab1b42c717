"""Texts, values and conditions: what they give, and that the quick ways give the same as the slow ones."""

from typing import Any

import pytest

from beckon.core.contact import Address, Contact
from beckon.flows.bounded_cel import cut_out
from beckon.flows.conditions import (
    ROOTS,
    Scope,
    compile_condition,
    compile_text,
    compile_value,
    contact_words,
    render,
)

DATA: dict[str, Any] = {
    "visit": "V-17",
    "n": 3,
    "x": 1.5,
    "yes": True,
    "none": None,
    "list": ["a", "b"],
    "object": {"a": 1, "b": [1, 2]},
    "at": "2026-03-29T01:30:00Z",
    "a-b": "dash",
}
NOW_MS = 1_795_165_200_000


def scope(**contact: Any) -> Scope:
    return Scope({"event": {"data": DATA, "type": "x.y"}}, now_ms=NOW_MS, contact=contact)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("plain", "plain"),
        ("{ not liquid }", "{ not liquid }"),
        (5, 5),
        (None, None),
        ("{{ event.data.visit }}", "V-17"),
        ("{{event.data.n}}", 3),
        ("{{ event.data.x }}", 1.5),
        ("{{ event.data.yes }}", True),
        ("{{ event.data.none }}", None),
        ("{{ event.data.list }}", ["a", "b"]),
        ("{{ event.data.object }}", {"a": 1, "b": [1, 2]}),
        ("{{ event.data.a-b }}", "dash"),
        ("{{ event.data.list.size }}", 2),
        ("{{ event.data.list[1] }}", "b"),
        ("{{ event.data.list | first }}", "a"),
        ("{{ event.data.object.b | last }}", 2),
        ("{{ event.data.n | plus: 1 }}", 4),
        ("{{ event.data.nothing | default: 7 }}", 7),
        ("{{ event.data.nothing.at.all | default: 'x' }}", "x"),
        ("{{ true }}", True),
        (" {{ event.data.n }} ", " 3 "),
        ("{{ event.data.n }}{{ event.data.n }}", "33"),
        ("a{{ event.data.none }}b{{ event.data.yes }}", "abtrue"),
        ("{{ event.data.object }}!", '{"a":1,"b":[1,2]}!'),
        ("{{ event.data.object }}{% comment %}{% endcomment %}", '{"a":1,"b":[1,2]}'),
        ("{{- event.data.n -}} ", 3),
        ("{% if event.data.nothing %}a{% else %}b{% endif %}", "b"),
        ("{% if event.data.none == nil %}nil{% endif %}", "nil"),
        ("{% for i in event.data.list %}{{ i }};{% endfor %}", "a;b;"),
        ("{{ event.data.at | date: '%H:%M' }}", "03:30"),
        ("{{ 'now' | date: '%Y-%m-%d %H:%M' }}", "2026-11-20 10:00"),
        ("{{ now | date: '%d' }}", "20"),
        ("{{ event.data.object | json }}", '{"a":1,"b":[1,2]}'),
        ({"a": "{{ event.data.n }}", "b": ["{{ event.data.visit }}", 1]}, {"a": 3, "b": ["V-17", 1]}),
        ({"a": [1, {"b": "c"}]}, {"a": [1, {"b": "c"}]}),
    ],
)
def test_values_are_what_they_say(raw: Any, value: Any) -> None:
    made = compile_value(raw, ROOTS).value(scope(time_zone="Europe/Brussels"))
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ event.data.visit }}",
        "{{ event.data.n }} of {{ event.data.yes }}{{ event.data.none }}",
        "a {{ event.data.x }}",
    ],
)
def test_the_quick_way_writes_what_liquid_writes(text: str) -> None:
    quick = compile_text(text, ROOTS)
    slow = compile_text(text + "{% comment %}{% endcomment %}", ROOTS)
    assert quick.text(scope()) == slow.text(scope())


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ("event.data.n == 3", True),
        ("event.data.n > 2.5 && event.data.visit == 'V-17'", True),
        ("has(event.data.nothing)", False),
        ("has(event.data.object.a) && event.data.object.a == 1", True),
        ("event.data.none == null", True),
        ("event.data.list.exists(x, x == 'b')", True),
        ("event.data['visit'].startsWith('V-')", True),
        ("event.data.visit.matches('^V-[0-9]+$')", True),
        ("size(event.data.list) == 2 && event.type == 'x.y'", True),
        ("contact.locale == 'nl-BE'", True),
        ("now > timestamp('2026-11-20T08:59:00Z') && now.getHours('Europe/Brussels') == 10", True),
        ("event.data.yes", True),
        ("'event.data.zzz' == 'x'", False),
        (True, True),
    ],
)
def test_conditions_hold_or_do_not(source: Any, holds: bool) -> None:
    assert compile_condition(source, ROOTS).holds(scope(locale="nl-BE"), NOW_MS) is holds


def test_a_condition_is_given_only_what_it_names() -> None:
    whole = {"event": {"data": {"a": {"b": 1}, "big": "x" * 10_000}}, "run": {"key": "k"}}
    assert cut_out(whole, (("event", "data", "a", "b"),)) == {"event": {"data": {"a": {"b": 1}}}}
    assert cut_out(whole, (("event", "data", "no", "b"),)) == {"event": {"data": {}}}
    assert cut_out(whole, (("event", "data", "a", "b", "c"),)) == {"event": {"data": {"a": {"b": 1}}}}
    assert cut_out(whole, (("gone", "x"), ("run",))) == {"run": {"key": "k"}}
    assert whole["event"]["data"]["a"] == {"b": 1}


def test_a_contact_is_seen_by_its_addresses_and_fields() -> None:
    contact = Contact(
        id="con_1",
        workspace="w",
        name="Ann Peters",
        addresses=(Address("sms", "+32470000000"), Address("email", "ann@example.org"), Address("sms", "+31600000000")),
        fields={"car": "i4"},
    )
    words = contact_words(contact)
    assert (words["first_name"], words["phone"], words["email"], words["car"]) == (
        "Ann",
        "+32470000000",
        "ann@example.org",
        "i4",
    )
    assert words["channels"] == ["email", "sms"]


def test_one_off_texts_are_rendered_by_the_same_rules() -> None:
    assert render("Hello {{ name | upcase }}", {"name": "ann"}) == "Hello ANN"


def test_names_that_nobody_sets_are_found_when_the_text_is_read() -> None:
    with pytest.raises(Exception, match="did you mean 'event'"):
        compile_text("{{ evnt.data.visit | upcase }}", ROOTS)
    assert compile_text("{% assign x = event.data.n %}{{ x }}", ROOTS).text(scope()) == "3"
