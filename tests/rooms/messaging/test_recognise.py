"""Free text recognised as an approved template."""

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from beckon.messaging.recognise import Index, match_text
from beckon.messaging.render import render
from beckon.messaging.templates import Template
from tests.rooms.messaging.stage import READY, SETTINGS, SMS, chosen, contact_of, short, template_of


def simple(name: str, text: str, body: str = "") -> Template:
    """A template with one English text, approved."""
    return template_of(
        f"template: {name}\nvariables: {{ a: {{ default: '' }}, b: {{ default: '' }} }}\n"
        f"locales:\n  en:\n    text: {text!r}\n"
        f"channels: {{ whatsapp: {{ approved: {{ name: {name}, languages: {{ en: en_US }}{body} }} }} }}\n"
    )


def test_a_text_gives_the_template_and_what_stands_in_its_places() -> None:
    match = match_text("Hello Ann, your car 1-ABC-123 is ready to be collected.", [template_of(READY)], "en")
    assert match is not None
    assert (match.template.name, match.locale) == ("car_ready", "en")
    assert match.values == {"{{ contact.first_name }}": "Ann", "{{ plate }}": "1-ABC-123"}


def test_blanks_and_line_breaks_do_not_matter() -> None:
    text = "  Hello  Ann,\nyour car\t1-ABC-123 is ready\n\nto be collected. "
    assert match_text(text, [template_of(READY)], "en") is not None


@pytest.mark.parametrize(
    "text",
    [
        "Hello Ann, your car 1-ABC-123 is ready to be collected",
        "Hello Ann, your car  is ready to be collected.",
        "hello Ann, your car 1-ABC is ready to be collected.",
        "Oh! Hello Ann, your car 1-ABC is ready to be collected.",
        "Hello Ann, your car 1-ABC is ready to be collected. Bring cash.",
        "",
        "x" * 5_000,
    ],
)
def test_a_text_that_differs_in_a_word_is_not_the_template(text: str) -> None:
    assert match_text(text, [template_of(READY)], "en") is None


def test_the_language_is_the_texts_own() -> None:
    match = match_text("Bonjour Ann, votre voiture 1-ABC est prête.", [template_of(READY)], "en")
    assert match is not None
    assert match.locale == "fr"


def test_the_template_with_more_words_of_its_own_wins() -> None:
    wide = simple("wide", "Your car {{ a }}.")
    narrow = simple("narrow", "Your car is ready at {{ a }}.")
    for order in ([wide, narrow], [narrow, wide]):
        match = match_text("Your car is ready at five.", order, "en")
        assert match is not None
        assert match.template.name == "narrow"


def test_a_place_that_stands_twice_holds_the_same_both_times() -> None:
    twice = simple("twice", "Welcome {{ a }}! Are you still {{ a }} today?")
    assert match_text("Welcome Ann! Are you still Ann today?", [twice], "en") is not None
    assert match_text("Welcome Ann! Are you still Bob today?", [twice], "en") is None
    tricky = match_text("Welcome x! Are you still y! Are you still x! Are you still y today?", [twice], "en")
    assert tricky is not None
    assert tricky.values == {"{{ a }}": "x! Are you still y"}


def test_templates_that_no_text_can_be_recognised_as_are_left_out() -> None:
    anything = simple("anything", "{{ a }}")
    side_by_side = simple("side", "Your car is ready {{ a }}{{ b }}")
    logic = simple("logic", "{% if a %}Your car is ready today{% endif %}")
    more_than_said = simple("more", "Your car is ready today.", ", body: ['{{ a }}']")
    pending = simple("linked", "Your car is ready today.").approved
    assert pending
    found = [
        match_text("Your car is ready today.", [one], "en") for one in (anything, side_by_side, logic, more_than_said)
    ]
    assert found == [None, None, None, None]


def test_a_template_whose_button_needs_a_variable_is_not_recognised() -> None:
    with_link = template_of(
        "template: linked\nvariables: { slug: {} }\n"
        "locales: { en: { text: 'Please check in for your visit.', "
        "buttons: [ { text: Go, link: 'https://x.example/{{ slug }}' } ] } }\n"
        "channels: { whatsapp: { approved: { name: linked, languages: { en: en_US } } } }\n"
    )
    assert match_text("Please check in for your visit.", [with_link], "en") is None


def test_the_one_of_a_thousand_is_found_quickly() -> None:
    many = [simple(f"t{n}", f"Your visit number{n} on {{{{ a }}}} is confirmed.") for n in range(1_000)]
    index = Index(many, "whatsapp")
    match = index.match("Your visit number777 on Friday is confirmed.", "en")
    assert match is not None
    assert match.template.name == "t777"
    started = time.process_time()
    for _ in range(100):
        index.match("Your visit number777 on Friday is confirmed.", "en")
    assert time.process_time() - started < 0.5


def test_a_hostile_text_takes_no_longer_than_its_length() -> None:
    places = " a ".join(["{{ a }}", "{{ b }}"] * 8)
    hostile = simple("hostile", f"The quick brown {places} fox.")
    text = "The quick brown " + "a " * 2_000 + "dog."
    started = time.process_time()
    assert match_text(text, [hostile], "en") is None
    assert match_text(text.replace("dog", "x fox"), [hostile], "en") is None
    assert time.process_time() - started < 1.0


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@given(words, words)
def test_a_rendered_template_is_always_recognised_as_itself(name: str, plate: str) -> None:
    assume(name.strip() and plate.strip())
    ready = template_of(READY)
    ann = contact_of(first_name="Ann", phone="+32470123456")
    ann.fields["first_name"] = name
    for locale in ("en", "fr"):
        said = render(
            ready,
            choice=chosen("sms"),
            contact=ann,
            variables={"plate": plate},
            settings=SETTINGS,
            capabilities=SMS,
            locale=locale,
            link=short,
        )
        match = match_text(said.text, [ready], locale)
        assert match is not None
        assert match.locale == locale
        again = ready.wording("whatsapp", locale).text.source
        for place, value in match.values.items():
            again = again.replace(place, value)
        # A blank before a comma is not kept: WhatsApp's parameters have none at their ends.
        assert "".join(again.split()) == "".join(said.text.split())
