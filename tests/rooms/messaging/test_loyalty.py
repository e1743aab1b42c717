"""The loyalty folder's messages: templates in eight languages, flows and their trials, the example programme."""

from pathlib import Path

import pytest

from beckon.core.delivery import Choice
from beckon.flows.check import Library, TemplateFacts, check
from beckon.flows.definition import Flow, parse_flow
from beckon.flows.trial import run_trial
from beckon.journeys.journey import found
from beckon.messaging.channel import Capabilities
from beckon.messaging.render import render
from beckon.messaging.templates import Template, parse_template
from beckon.settings import WorkspaceSettings
from tests.rooms.messaging.stage import EMAIL, OEM, SMS, WHATSAPP, contact_of, short
from tests.rooms.messaging.test_service_checkin import GSM, LOCALES, examples

JOURNEY = found()["loyalty_offers"]
PUSH = Capabilities(text_max=1_500, link_buttons=2, title=True)
CHANNELS = {"fcm": PUSH, "oem_app": OEM, "whatsapp": WHATSAPP, "sms": SMS, "email": EMAIL}
SETTINGS = WorkspaceSettings(
    name="Garage Van Dijk", values={"programme": "Fancy Fries", "offers_url": "https://fries.example/wallet/{link}"}
)


def chosen(channel: str, template: str = "") -> Choice:
    """A choice that was made."""
    return Choice(channel, channel, "first in the order", (), template)


def files(part: str) -> list[Path]:
    """The journey's files of one kind."""
    return sorted((JOURNEY.folder / part).glob("*.yaml"))


TEMPLATES: list[Template] = [parse_template(file.read_text(), file=file.name) for file in files("templates")]
FLOWS: list[Flow] = [parse_flow(file.read_text(), file=file.name) for file in files("flows")]

each_template = pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)


@each_template
def test_a_template_speaks_eight_languages_without_a_warning(template: Template) -> None:
    assert template.locales == LOCALES
    assert template.warnings == ()
    english = template.wording("", "en").text.source
    assert [locale for locale in LOCALES if template.wording("", locale).text.source == english] == ["en"]


@each_template
@pytest.mark.parametrize("locale", LOCALES)
def test_a_template_can_be_said_on_every_channel_in_every_language(template: Template, locale: str) -> None:
    said = {
        channel: render(
            template,
            choice=chosen(channel, template.name if channel == "whatsapp" else ""),
            contact=contact_of(),
            variables=examples(template),
            settings=SETTINGS,
            capabilities=capabilities,
            locale=locale,
            link=short,
        )
        for channel, capabilities in CHANNELS.items()
    }
    assert all(one.locale == locale and "{" not in one.text for one in said.values())
    approved = said["whatsapp"].template
    assert approved is not None
    assert all(parameter for parameter in approved.body_parameters)
    assert all(len(button.text) <= 20 for button in said["whatsapp"].buttons)
    assert "Fancy Fries" in said["sms"].text
    letters = len(said["sms"].text)
    assert letters <= (160 if GSM.issuperset(said["sms"].text) else 153), f"{letters}: {said['sms'].text}"
    # The mail is Fancy Fries', whoever else the workspace speaks for.
    assert ">Fancy Fries<" in said["email"].html
    assert "Garage Van Dijk" not in said["email"].html
    # What a lock screen shows is short.
    assert len(said["fcm"].subject) <= 60
    assert len(said["fcm"].text) <= 120


@pytest.mark.parametrize(
    ("days", "words"), [(10, "10 days left"), (2, "2 days left"), (1, "1 day left"), (0, "Last day")]
)
def test_how_long_an_offer_is_left_is_said_as_people_say_it(days: int, words: str) -> None:
    template = next(one for one in TEMPLATES if one.name == "offer_expiring")
    said = render(
        template,
        choice=chosen("fcm"),
        contact=contact_of(),
        variables={**examples(template), "days": days},
        settings=SETTINGS,
        capabilities=PUSH,
        locale="en",
        link=short,
    )
    assert said.subject == f"{words}: 20% off Mobile Tuesdays"


def test_an_advertisement_needs_consent_and_what_is_owed_does_not() -> None:
    purposes = {template.name: template.purpose for template in TEMPLATES}
    marketing = {name for name, purpose in purposes.items() if purpose == "marketing"}
    assert marketing == {"offer_issued", "tier_reached", "campaign_message"}


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_flow_has_no_problem_in_its_workspace(flow: Flow) -> None:
    library = Library(
        templates={
            template.name: TemplateFacts(
                required=frozenset(template.variables_needed),
                optional=frozenset(template.variables) - frozenset(template.variables_needed),
            )
            for template in TEMPLATES
        },
        event_types=JOURNEY.event_types,
        inboxes={"service-advisors"},
        acts=JOURNEY.act_names,
        secrets=(),
        channels=("web_push", "fcm", "oem_app", "whatsapp", "sms", "email"),
    )
    assert check(flow, library) == ()


@pytest.mark.parametrize("file", files("tests"), ids=lambda file: file.stem)
def test_the_flows_pass_their_own_trials(file: Path) -> None:
    result = run_trial(FLOWS, file.read_text(), file=file.name)
    assert result.passed, result.report()


def test_the_example_programme_can_be_read_and_its_campaigns_name_offers_that_exist() -> None:
    made = {
        kind.kind: [kind.parse(file.read_text()) for file in files(kind.pattern.partition("/")[0])]
        for kind in JOURNEY.kinds
    }
    [programme] = made["programme"]
    assert (programme.title, programme.currency, programme.remind_offers) == ("Fancy Fries", "USD", "10d")
    offers = {offer.offer for offer in made["offer"]}
    assert {"mobile-tuesday", "snack-box", "large-fries"} <= offers
    assert {campaign.gives.offer for campaign in made["campaign"] if campaign.gives.offer} <= offers
    for shown in (*made["offer"], *[one for one in made["campaign"] if one.shown != "hidden"]):
        assert set(shown.titles) == set(shown.blurbs) == set(LOCALES)
