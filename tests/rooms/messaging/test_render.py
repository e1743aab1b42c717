"""What a message says on each channel."""

import time
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from beckon.core.errors import Refused, Unsupported
from beckon.core.message import Button, Rendered
from beckon.messaging.channel import Capabilities
from beckon.messaging.mail_page import readable_on
from beckon.messaging.render import render
from beckon.messaging.templates import Template
from beckon.settings import WorkspaceSettings
from tests.rooms.messaging.stage import (
    EMAIL,
    OEM,
    READY,
    SETTINGS,
    SMS,
    WHATSAPP,
    chosen,
    contact_of,
    short,
    template_of,
)

CAPABILITIES = {"oem_app": OEM, "whatsapp": WHATSAPP, "sms": SMS, "email": EMAIL}


def say(channel: str, template: Template | None = None, *, through: str = "", **more: object) -> Rendered:
    """Render the invitation for Ann, or what is asked for."""
    asked: dict[str, object] = {
        "choice": chosen(channel, through),
        "contact": contact_of(),
        "variables": {"slug": "8Fh2kQ"},
        "settings": SETTINGS,
        "capabilities": CAPABILITIES[channel],
        "link": short,
        **more,
    }
    if "text" not in asked and template is None:
        template = template_of()
    return render(template, **asked)  # type: ignore[arg-type]


def test_an_app_shows_the_button_with_the_short_link() -> None:
    said = say("oem_app")
    assert said.text == "Hello Ann, your visit to Garage Van Dijk is coming up."
    assert said.buttons == (Button("link", "Start check-in", short("https://check-in.example/c/8Fh2kQ")),)


def test_where_there_are_no_buttons_the_link_stands_in_the_text() -> None:
    said = say("sms")
    assert said.text.endswith("is coming up.\nStart check-in: https://beckon.example/go/0033")
    assert said.buttons == ()


def test_a_channels_own_words_are_said_there() -> None:
    said = say("sms", locale="nl-BE")
    assert said.text == "Garage Van Dijk: check nu in.\nCheck-in starten: https://beckon.example/go/0033"
    assert said.locale == "nl-BE"


def test_the_language_is_the_steps_then_the_contacts_then_the_workspaces() -> None:
    dutch = replace(contact_of(), locale="nl")
    assert say("oem_app", contact=dutch).locale == "nl-BE"
    assert say("oem_app", contact=dutch, locale="en").locale == "en"
    assert say("oem_app", settings=replace(SETTINGS, locale="nl")).locale == "nl-BE"
    assert say("oem_app", contact=replace(contact_of(), locale="pl")).locale == "en"


def test_whatsapp_gets_the_approved_template_with_its_parameters_and_the_links_code() -> None:
    said = say("whatsapp", through="checkin_invite", locale="nl-BE")
    assert said.template is not None
    assert (said.template.name, said.template.language) == ("service_checkin_invite", "nl")
    assert said.template.body_parameters == ("Ann", "Garage Van Dijk")
    assert said.template.button_parameters == ("0033",)
    assert said.buttons[0].url_suffix == "0033"
    assert said.text == "Dag Ann, binnenkort komt u langs bij Garage Van Dijk."


def test_an_approved_button_may_lead_straight_to_the_address_with_a_suffix_of_its_own() -> None:
    direct = template_of(
        "template: direct\nvariables: { slug: {} }\n"
        "locales: { en: { text: 'Please check in.', "
        "buttons: [ { text: Go, link: 'https://wvp.example/{{ slug }}' } ] } }\n"
        "channels: { whatsapp: { approved: { name: direct, languages: { en: en_US }, button: ['{{ slug }}'] } } }\n"
    )
    said = say("whatsapp", direct, through="direct")
    assert said.template is not None
    assert said.template.button_parameters == ("8Fh2kQ",)
    assert said.buttons[0].value == "https://wvp.example/8Fh2kQ"


def test_within_the_window_whatsapp_says_the_text_itself() -> None:
    said = say("whatsapp")
    assert said.template is None
    assert said.buttons[0].value == short("https://check-in.example/c/8Fh2kQ")


def test_a_parameter_is_one_line_and_never_empty() -> None:
    ann = replace(contact_of(), name="", fields={"first_name": "Ann\n\t   Maria"})
    said = say("whatsapp", template_of(READY), through="car_ready", contact=ann, variables={"plate": "1"})
    assert said.template is not None
    assert said.template.body_parameters == ("Ann Maria", "1")
    nobody = replace(contact_of(), name="")
    with pytest.raises(Unsupported) as raised:
        say("whatsapp", template_of(READY), through="car_ready", contact=nobody, variables={"plate": "1"})
    assert raised.value.code == "template.empty_parameter"


def test_free_text_through_a_template_fills_its_places_from_the_text() -> None:
    said = say(
        "whatsapp",
        template_of(READY),
        through="car_ready",
        text="Hello dear Bob, your car X-1 is ready to be collected.",
        variables={},
    )
    assert said.template is not None
    assert said.template.body_parameters == ("dear Bob", "X-1")
    assert said.text == "Hello dear Bob, your car X-1 is ready to be collected."


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(Refused) as refused:
        say("sms", variables={})
    assert (refused.value.code, refused.value.field) == ("template.missing_variable", "slug")
    with pytest.raises(Refused):
        say("sms", variables={"slug": ""})


def test_a_default_stands_in_for_what_was_not_given() -> None:
    nobody = replace(contact_of(), name="")
    assert say("oem_app", contact=nobody).text.startswith("Hello there,")


def test_there_must_be_something_to_say() -> None:
    with pytest.raises(Refused) as refused:
        render(None, choice=chosen("sms"), contact=contact_of(), settings=SETTINGS, capabilities=SMS, link=short)
    assert refused.value.code == "message.empty"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "/relative", "ftp://x.example", "https://a b", "", "data:,x"])
def test_a_button_leads_to_the_web_or_nowhere(url: str) -> None:
    free = template_of(
        "template: free\nvariables: { url: { default: '' } }\n"
        "locales: { en: { text: x, buttons: [ { text: Go, link: '{{ url }}' } ] } }\n"
    )
    with pytest.raises(Refused) as refused:
        say("sms", free, variables={"url": url})
    assert refused.value.code == "template.url"


def test_what_is_too_long_is_another_channels_to_say() -> None:
    with pytest.raises(Unsupported) as raised:
        say("sms", text="x" * 2_000)
    assert raised.value.code == "text.too_long"
    with pytest.raises(Unsupported):
        say("sms", capabilities=Capabilities(text_max=80))


def test_replies_and_pictures_that_a_channel_cannot_show_are_written_out() -> None:
    asked = template_of(
        "template: asked\nlocales:\n  en:\n    text: Shall we?\n"
        "    buttons: [ { text: 'Yes', reply: y }, { text: 'No', reply: n } ]\n"
        "    media: [ { kind: image, url: 'https://x.example/a.jpg', caption: Wear } ]\n"
    )
    assert say("sms", asked).text == "Shall we?\nWear: https://x.example/a.jpg\nYes / No"
    shown = say("oem_app", asked)
    assert [button.value for button in shown.buttons] == ["y", "n"]
    assert shown.media[0].url == "https://x.example/a.jpg"


def test_an_sms_has_no_letters_that_make_it_dear_by_accident() -> None:
    bill = template_of(
        "template: bill\nvariables: { amount: {} }\nlocales: { fr: { text: \"{{ amount | money: 'EUR' }}\" } }\n"
    )
    assert say("sms", bill, variables={"amount": 1234.5}).text == "1 234,50 €"


class _Page(HTMLParser):
    """Notes tags and links, to see that nothing was smuggled in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]


def test_a_mail_has_a_subject_a_page_and_the_plain_words() -> None:
    said = say("email")
    assert said.subject == "Check in, Ann"
    assert said.text.endswith("is coming up.")
    assert _Page(said.html).links == [short("https://check-in.example/c/8Fh2kQ")]
    assert "Garage Van Dijk" in said.html
    assert 'lang="en"' in said.html


def test_html_in_a_name_is_only_a_name() -> None:
    bad = "<script>alert('x')</script><a href='https://evil.example'>Ann</a>"
    said = say("email", contact=replace(contact_of(), name=bad, fields={"first_name": bad}))
    page = _Page(said.html)
    assert "script" not in page.tags
    assert page.links == [short("https://check-in.example/c/8Fh2kQ")]
    free = say("email", text=f"Hello {bad}")
    assert _Page(free.html).links == []


def test_no_header_is_smuggled_in_through_a_name() -> None:
    ann = replace(contact_of(), fields={"first_name": "Ann\r\nBcc: all@example.com"})
    assert say("email", contact=ann).subject == "Check in, Ann Bcc: all@example.com"


def test_a_templates_own_html_is_escaped_where_values_go_in() -> None:
    own = template_of(
        "template: own\nvariables: { a: {} }\nlocales:\n  en:\n    text: plain {{ a }}\n"
        "    channels: { email: { html: '<p>Hello <b>{{ a }}</b></p>' } }\n"
    )
    said = say("email", own, variables={"a": "<i>x"})
    assert "<p>Hello <b>&lt;i&gt;x</b></p>" in said.html
    assert said.text == "plain <i>x"


def test_a_colour_that_is_none_does_no_harm() -> None:
    said = say("email", settings=WorkspaceSettings(colour='red"><script>', values={"checkin_url": "https://x.example"}))
    assert "script" not in _Page(said.html).tags


@pytest.mark.parametrize(("colour", "text"), [("#000000", "#ffffff"), ("#ffffff", "#111111"), ("#ffee00", "#111111")])
def test_the_name_is_readable_on_the_brands_colour(colour: str, text: str) -> None:
    assert readable_on(colour) == text


def test_rendering_is_quick() -> None:
    template, ann = template_of(), contact_of()
    say("whatsapp", template, contact=ann, through="checkin_invite")
    started = time.process_time()
    for _ in range(2_000):
        say("whatsapp", template, contact=ann, through="checkin_invite")
    # 10 µs on a quiet machine; ten times that would be another design.
    assert time.process_time() - started < 0.4
