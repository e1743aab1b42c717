"""The service visit's folder: its templates in eight languages, its flows, its schemas, a partner's mapping."""

from pathlib import Path

import pytest

from beckon.core.errors import Refused
from beckon.flows.check import Library, TemplateFacts, check
from beckon.flows.definition import Flow, parse_flow
from beckon.flows.trial import run_trial
from beckon.intake.mappings import parse_mapping
from beckon.intake.schemas import Schema
from beckon.journeys.journey import found
from beckon.messaging.recognise import match_text
from beckon.messaging.render import render
from beckon.messaging.templates import Template, parse_template
from tests.rooms.messaging.stage import EMAIL, OEM, SETTINGS, SMS, WHATSAPP, chosen, contact_of, short

JOURNEY = found()["service_checkin"]
LOCALES = ("en", "fr", "de", "nl-BE", "it", "es", "sv", "no")
#: One SMS has 160 characters of these, or 70 of any.
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà^{}\\[~]|€"
)


def files(part: str) -> list[Path]:
    """The journey's files of one kind."""
    return sorted((JOURNEY.folder / part).glob("*.yaml"))


TEMPLATES: list[Template] = [parse_template(file.read_text(), file=file.name) for file in files("templates")]
FLOWS: list[Flow] = [parse_flow(file.read_text(), file=file.name) for file in files("flows")]

each_template = pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)


def examples(template: Template) -> dict[str, object]:
    """A template's variables with their examples."""
    return {name: variable.example for name, variable in template.variables.items()}


def test_the_four_flows_of_a_service_visit_are_there() -> None:
    assert [flow.name for flow in FLOWS] == [
        "payment-information",
        "service-checkin",
        "service-status",
        "service-video",
    ]


@each_template
def test_a_template_speaks_eight_languages_without_a_warning(template: Template) -> None:
    assert template.locales == LOCALES
    assert template.warnings == ()


@each_template
@pytest.mark.parametrize("locale", LOCALES)
def test_a_template_can_be_said_on_every_channel_in_every_language(template: Template, locale: str) -> None:
    said = {}
    for channel, capabilities in (("oem_app", OEM), ("whatsapp", WHATSAPP), ("sms", SMS), ("email", EMAIL)):
        said[channel] = render(
            template,
            choice=chosen(channel, template.name if channel == "whatsapp" else ""),
            contact=contact_of(),
            variables=examples(template),
            settings=SETTINGS,
            capabilities=capabilities,
            locale=locale,
            link=short,
        )
        assert said[channel].locale == locale
        assert "{{" not in said[channel].text
    approved = said["whatsapp"].template
    assert approved is not None
    assert all(parameter for parameter in approved.body_parameters)
    assert all(len(button.text) <= 20 for button in said["whatsapp"].buttons)
    assert "Garage Van Dijk" in said["sms"].text
    letters = len(said["sms"].text)
    plain = GSM.issuperset(said["sms"].text)
    assert letters <= (160 if plain else 153), f"{letters} characters: {said['sms'].text}"
    assert said["email"].subject


@each_template
def test_nobody_is_greeted_by_an_empty_name(template: Template) -> None:
    stranger = contact_of(phone="+32470123456")
    for locale in LOCALES:
        said = render(
            template,
            choice=chosen("oem_app"),
            contact=stranger,
            variables=examples(template),
            settings=SETTINGS,
            capabilities=OEM,
            locale=locale,
            link=short,
        )
        assert " ," not in said.text
        assert " !" not in said.text[:12] or locale == "fr"


def test_a_confirmation_typed_by_hand_is_recognised_as_its_template() -> None:
    text = "Dag Ann, Garage Van Dijk is met de werken aan uw wagen begonnen. We laten u weten zodra hij klaar is."
    match = match_text(text, TEMPLATES, "nl-BE")
    assert match is not None
    assert (match.template.name, match.locale) == ("repair_started", "nl-BE")


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
        acts=(),
        secrets=(),
        channels=("oem_app", "whatsapp", "sms", "email"),
    )
    assert check(flow, library) == ()


@pytest.mark.parametrize("file", files("tests"), ids=lambda file: file.stem)
def test_the_flows_pass_their_own_trials(file: Path) -> None:
    result = run_trial(FLOWS, file.read_text(), file=file.name)
    assert result.passed, result.report()


def test_every_event_of_a_visit_has_a_schema_and_a_flow_or_a_wait() -> None:
    used = {type_ for flow in FLOWS for type_ in (*flow.on, *(shape.event_type for shape in flow.shapes))}
    assert used <= JOURNEY.event_types.keys()
    # These two only inform: nothing waits for them.
    assert JOURNEY.event_types.keys() - used == {"checkin.opened", "video.sent"}


def test_the_schemas_take_what_partners_say_and_name_what_is_wrong() -> None:
    start = Schema("checkin.start", JOURNEY.event_types["checkin.start"])
    start.check({"visit": "V-1", "slug": "8Fh2kQ", "contact": {"phone": "0470", "email": None, "gender": None}})
    start.check({"visit": "V-1", "slug": "8Fh2kQ", "contact": "con_ann"})
    for broken in (
        {"slug": "a", "contact": "con_ann"},
        {"visit": "", "slug": "a", "contact": "con_ann"},
        {"visit": "V-1", "slug": "../admin?x", "contact": "con_ann"},
        {"visit": "V-1", "slug": "a", "contact": 7},
        {"visit": "V-1", "slug": "a", "contact": "c", "appointment": {"at": "tomorrow"}},
    ):
        with pytest.raises(Refused) as refused:
            start.check(broken)
        assert str(refused.value.field).startswith("data")


def test_a_partners_json_becomes_the_event_that_starts_the_check_in() -> None:
    mapping = parse_mapping((JOURNEY.folder / "mappings" / "tjekvik.yaml").read_text())
    mapped = mapping.apply(
        {
            "event": "tjekvik.checkin.invite",
            "event_id": "e-1",
            "occurred_at": "2026-03-02T09:00:00Z",
            "appointment": {"id": "A-1", "starts_at": "2026-03-03T09:30:00+01:00", "jobs": [{"title": "Oil"}]},
            "customer": {"first_name": "Ann", "last_name": "Peeters", "mobile": "0032470123456", "email": None},
            "checkin": {"url": "https://app.example/c/8Fh2kQ"},
        }
    )
    assert (mapped.type, mapped.id) == ("checkin.start", "e-1")
    assert mapped.data == {
        "visit": "A-1",
        "slug": "8Fh2kQ",
        "contact": {"name": "Ann Peeters", "first_name": "Ann", "phone": "0032470123456"},
        "appointment": {"at": "2026-03-03T09:30:00+01:00", "work": ["Oil"]},
    }
    Schema(mapped.type, JOURNEY.event_types[mapped.type]).check(mapped.data)
