"""Templates from YAML: what they hold, how they fall back, and what is said about a broken one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.messaging.templates import TemplateProblems, parse_template, places
from beckon.messaging.wording import state_of
from tests.rooms.messaging.stage import INVITE, READY, template_of


def problems(text: str) -> list[tuple[int, str]]:
    """(line, code) of everything that is wrong."""
    with pytest.raises(TemplateProblems) as raised:
        parse_template(text, file="x.yaml")
    return [(one.line, one.code) for one in raised.value.problems]


def test_a_template_knows_its_languages_and_what_it_needs() -> None:
    invite = template_of()
    assert invite.locales == ("en", "nl-BE")
    assert invite.variables_needed == ("slug",)
    assert invite.purpose == "transactional"
    assert invite.warnings == ()


@pytest.mark.parametrize(
    ("locale", "default", "said"),
    [
        ("nl-BE", "en", "nl-BE"),
        ("nl-NL", "en", "nl-BE"),
        ("nl", "en", "nl-BE"),
        ("en-GB", "en", "en"),
        ("fr", "nl", "nl-BE"),
        ("fr", "de", "en"),
        ("", "", "en"),
    ],
)
def test_a_reader_gets_their_language_or_the_nearest(locale: str, default: str, said: str) -> None:
    assert template_of().pick(locale, default) == said


def test_a_channels_own_words_replace_only_what_they_name() -> None:
    sms = template_of().wording("sms", "nl-BE")
    assert sms.text.source == "{{ settings.name }}: check nu in."
    assert len(sms.buttons) == 1
    assert template_of().wording("sms", "en").text.source.startswith("Hello")


def test_the_parameters_of_an_approved_body_are_the_places_of_each_languages_text() -> None:
    approved = template_of().approved["whatsapp"]
    assert [text.source for text in approved.body["nl-BE"]] == [
        "{{ contact.first_name | default: 'beste klant' }}",
        "{{ settings.name }}",
    ]


def test_approvals_come_from_the_provider_first() -> None:
    approved = template_of(READY).approved["whatsapp"]
    assert state_of(approved, "whatsapp_cloud", "fr", {}) == "approved"
    assert state_of(approved, "whatsapp_cloud", "fr", {("whatsapp_cloud", "car_ready", "fr"): "paused"}) == "paused"
    assert state_of(approved, "other", "fr", {("whatsapp_cloud", "car_ready", "fr"): "paused"}) == "approved"


def test_the_version_follows_the_text() -> None:
    assert template_of().version == template_of().version
    assert template_of(INVITE + "\n# more\n").version != template_of().version
    assert template_of() == template_of()
    assert hash(template_of()) == hash(template_of())


def test_a_broken_template_says_all_that_is_wrong_with_its_lines() -> None:
    assert problems(
        "template: Bad Name\n"
        "purpose: anything\n"
        "variables: { slug: 3, contact: {} }\n"
        "locales:\n"
        "  klingon dialect: {}\n"
        "  en:\n"
        "    txt: hello\n"
        '    text: "{{ slug | nofilter }}"\n'
        "    buttons:\n"
        "      - { text: Go }\n"
        '      - { text: Go, link: "{{ undeclared }}" }\n'
        "    media: [ { kind: hologram, url: x } ]\n"
    ) == [
        (1, "template.name"),
        (2, "template.purpose"),
        (3, "template.variable"),
        (3, "template.variable_name"),
        (5, "locale.tag"),
        (7, "template.unknown_key"),
        (8, "text.unknown_filter"),
        (10, "template.button"),
        (11, "template.unknown_variable"),
        (12, "template.media"),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "template.shape"),
        ("- a\n", "template.shape"),
        ("template: a\n", "template.locales"),
        ("template: a\nlocales: {}\n", "template.locales"),
        ("template: a\nlocales: { en: hello }\n", "template.locale"),
        ("template: a\nlocales: { en: { text: 3 } }\n", "template.text"),
        ("template: a\nlocales: { en: { subject: x } }\n", "template.text"),
        ("template: a\nlocales: { en: { text: x } }\nchannels: [sms]\n", "template.channels"),
        ("template: a\nlocales: { en: { text: x } }\nchannels: { sms: hello }\n", "template.channel"),
        ("template: a\nlocales: { en: { text: '{{ x' } }\n", "text.syntax"),
        ("template: a\nlocales: { en: { text: \"{% include 'x' %}\" } }\n", "text.syntax"),
        ("template: a\nlocales: { en: { text: x } }\nlocales: {}\n", "yaml.twice"),
        ("template: !!python/object:os.system a\n", "yaml.tag"),
        ("template: [\n", "yaml.syntax"),
    ],
)
def test_each_mistake_has_its_code(text: str, code: str) -> None:
    assert code in [found for _, found in problems(text)]


@pytest.mark.parametrize(
    ("approved", "code"),
    [
        ("{ languages: { en: en_US } }", "template.approved"),
        ("{ name: Bad-Name, languages: { en: en_US } }", "template.approved"),
        ("{ name: a, state: maybe, languages: { en: en_US } }", "template.state"),
        ("{ name: a, languages: { xx: xx } }", "template.language"),
        ("{ name: a, languages: en }", "template.languages"),
        ("{ name: a, languages: { en: en_US }, body: x }", "template.list"),
        ("{ name: a, languages: { en: en_US, fr: fr } }", "template.body"),
        ("{ name: a, languages: { en: en_US }, extra: 1 }", "template.unknown_key"),
    ],
)
def test_what_is_wrong_with_an_approval_is_said(approved: str, code: str) -> None:
    text = (
        "template: a\nlocales:\n  en: { text: 'Dear {{ contact.name }}' }\n  fr: { text: bonjour }\n"
        f"channels: {{ whatsapp: {{ approved: {approved} }} }}\n"
    )
    assert code in [found for _, found in problems(text)]


def test_a_place_that_no_parameter_fills_is_warned_of() -> None:
    text = READY.replace("fr: fr } }", 'fr: fr }, body: ["{{ contact.first_name }}"] }')
    assert [one.code for one in template_of(text).warnings] == ["template.body", "template.body"]


def test_a_variable_that_nothing_uses_is_warned_of() -> None:
    text = "template: a\nvariables: { b: { default: 1 } }\nlocales: { en: { text: hello } }\n"
    assert [one.code for one in template_of(text).warnings] == ["template.unused"]


def test_two_spellings_of_a_place_are_the_same_place() -> None:
    text = template_of("template: a\nlocales: { en: { text: '{{contact.name|upcase}} {{  contact.name | upcase }}' } }")
    assert places(text.wording("sms", "en").text) == ["{{ contact.name | upcase }}"]


@given(st.text(max_size=300))
def test_any_text_is_a_template_or_has_problems(text: str) -> None:
    try:
        parse_template(text)
    except TemplateProblems as raised:
        found = raised.problems
    else:
        found = ()
    assert all(one.line >= 1 and one.why for one in found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("ab{}|% ", max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["template", "locales", "en", "text", "buttons", "link", "channels", "whatsapp", "approved", "name"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_any_shape_of_yaml_is_a_template_or_has_problems(value: object) -> None:
    import msgspec

    try:
        parse_template(msgspec.json.encode(value).decode())
    except TemplateProblems as raised:
        assert raised.problems  # noqa: PT017
