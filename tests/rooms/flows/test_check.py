"""The checker: what a workspace can say of a flow before it runs."""

import json
from pathlib import Path

import pytest

from beckon.authoring import check_folder
from beckon.flows.check import Library, TemplateFacts, check_text
from beckon.flows.schema_paths import stray_path
from tests.rooms.flows.stage import indent

HEAD = "flow: a\non: checkin.start\nsteps:\n"
START = {
    "type": "object",
    "properties": {"visit": {"type": "string"}, "slug": {}, "contact": {"$ref": "#/$defs/person"}},
    "$defs": {"person": {"properties": {"phone": {}, "name": {}}}},
}
FINISHED = {"type": "object", "properties": {"visit": {}, "mileage": {}}, "additionalProperties": False}
LIBRARY = Library(
    templates={
        "checkin_invite": TemplateFacts(required=frozenset({"slug"}), optional=frozenset({"hint"})),
        "plain": TemplateFacts(),
        "letter": TemplateFacts(channels=frozenset({"email"})),
    },
    event_types={"checkin.start": START, "checkin.finished": FINISHED, "visit.any": None},
    inboxes={"service-advisors"},
    acts={"cases.file"},
    secrets={"dms"},
    channels=("whatsapp", "sms"),
)


def problems(steps: str, head: str = "", library: Library = LIBRARY) -> list[tuple[str, int, str]]:
    text = f"flow: a\non: checkin.start\n{head}\nsteps:\n{indent(steps)}\n"
    return [(problem.code, problem.line, problem.why) for problem in check_text(text, library, file="a.yaml")]


def test_a_flow_without_fault_has_no_problems() -> None:
    assert not problems("""
        - send: checkin_invite
          via: [sms, best]
          with: { slug: "{{ event.data.slug }}", hint: "{{ contact.first_name }}" }
        - wait_for: checkin.finished
          match: { visit: "{{ event.data.visit }}" }
          timeout: 24h
          save: result
          on_timeout: [ { stop: expired } ]
        - if: result.data.mileage > 100 && event.data.contact.phone != ''
          then: [ { call: cases.file, with: { a: "{{ result.data.mileage }}" } } ]
        - set: { a: 1, b: "{{ a }}" }
        - for_each: "{{ result.data.mileage }}"
          as: mile
          do: [ { note: "{{ mile }} {{ b }}" } ]
        - wait_for: message.received
          timeout: 1h
        - http: { url: "https://x.example", secret: dms }
        - notify: service-advisors
    """)


@pytest.mark.parametrize(
    ("steps", "code", "line", "words"),
    [
        ("- send: checkin_invit\n  with: {slug: a}", "flow.unknown_template", 5, "did you mean 'checkin_invite'"),
        ("- send: checkin_invite", "flow.missing_variable", 5, "needs 'slug'; add it to `with`"),
        (
            "- send: checkin_invite\n  with:\n    slug: a\n    hnit: b",
            "flow.unknown_variable",
            8,
            "did you mean 'hint'",
        ),
        ("- send: plain\n  via: [fax]", "flow.unknown_channel", 6, "No provider carries 'fax'"),
        ("- send: letter", "flow.unreachable_contact", 5, "reaches nobody"),
        ("- send: plain\n  via: [email]", "flow.unknown_channel", 6, "No provider carries 'email'"),
        ("- wait_for: checkin.finishd\n  timeout: 1h", "flow.unknown_event_type", 5, "did you mean 'checkin.finished'"),
        ("- wait_for: checkin.finished", "flow.wait_forever", 5, "no time-out"),
        (
            "- wait_for: checkin.finished\n  match: {vist: a}\n  timeout: 1h",
            "flow.unknown_path",
            6,
            "did you mean 'visit'",
        ),
        ("- wait_for: checkin.finished\n  where: it.data.milage > 1\n  timeout: 1h", "flow.unknown_path", 6, "mileage"),
        ("- note: '{{ event.data.slog }}'", "flow.unknown_path", 5, "did you mean 'slug'"),
        ("- note: '{{ event.data.contact.fone }}'", "flow.unknown_path", 5, "did you mean 'phone'"),
        ("- note: '{{ event.dat.slug }}'", "flow.unknown_path", 5, "did you mean 'data'"),
        ("- if: event.data.slog == 'a'\n  then: []", "flow.unknown_path", 5, "did you mean 'slug'"),
        ("- notify: service-advisers", "flow.unknown_inbox", 5, "did you mean 'service-advisors'"),
        ("- assign: sales", "flow.unknown_inbox", 5, "no inbox called 'sales'"),
        ("- call: cases.fil", "flow.unknown_act", 5, "did you mean 'cases.file'"),
        ("- http: {url: 'https://x', secret: dsm}", "flow.unknown_secret", 5, "did you mean 'dms'"),
        ("- emit: visit.none", "flow.unknown_event_type", 5, "did you mean 'visit.any'"),
        ("- emit: message.delivered", "flow.reserved_event_type", 5, "said by Beckon itself"),
        ("- http: dms.example/visits", "flow.url", 5, "it begins with https://"),
        ("- wait: { until: '25:99' }", "flow.instant", 5, "write it like 09:00 or 2026-11-20T13:22:56Z"),
        ("- send: plain\n  at: tomorrow", "flow.instant", 6, "'tomorrow' is no instant"),
        ("- send: plain\n  at: { instant: soon }", "flow.instant", 6, "'soon' is no instant"),
        ("- stop: a\n- note: b", "flow.unreachable", 6, "ended before, at line 5"),
        (
            "- if: event.data.slug == 'a'\n  then: [{stop: a}]\n  else: [{stop: b}]\n- note: c",
            "flow.unreachable",
            8,
            "No run",
        ),
        ("- if: 'true'\n  then: []\n  else:\n    - note: a", "flow.unreachable", 7, "always true"),
        ("- if: 'false'\n  then:\n    - note: a", "flow.unreachable", 6, "always false"),
        (
            "- choose:\n    - {when: 'true', then: []}\n    - {when: has(event.data.slug), then: []}",
            "flow.unreachable",
            7,
            "all",
        ),
        ("- choose:\n    - {when: 'true', then: []}\n  else: [{note: a}]", "flow.unreachable", 7, "`else`"),
        ("- choose:\n    - {when: 'false', then: []}", "flow.unreachable", 6, "never true"),
        (
            "- note: '{{ r.data }}'\n- wait_for: visit.any\n  save: r\n  timeout: 1h",
            "flow.not_kept_yet",
            5,
            "further down",
        ),
        (
            "- for_each: '{{ event.data.visit }}'\n  as: v\n  do: [{note: '{{ v }}'}]\n- note: '{{ v }}'",
            "flow.not_kept_yet",
            8,
            "inside its for_each",
        ),
        (
            "- call: cases.file\n  save: c\n  on_error: [{note: '{{ c.error.why }}{{ d }}'}]\n- set: {d: 1}",
            "flow.not_kept_yet",
            7,
            "'d' is read here",
        ),
    ],
)
def test_what_the_workspace_does_not_know_is_said(steps: str, code: str, line: int, words: str) -> None:
    found = problems(steps)
    assert [(problem[0], problem[1]) for problem in found] == [(code, line)], found
    assert words in found[0][2]


def test_a_flow_about_nobody_can_reach_and_wait_for_nobody() -> None:
    found = problems("- send: plain\n- wait_for: visit.any\n  timeout: 1h", head="contact:")
    assert [problem[0] for problem in found] == ["flow.no_contact", "flow.no_contact"]


def test_a_workspace_without_channels_reaches_nobody() -> None:
    found = problems("- send: plain", library=Library(channels=()))
    assert [problem[0] for problem in found] == ["flow.unreachable_contact"]


def test_what_is_not_known_is_not_checked() -> None:
    assert not problems("- send: x\n- notify: y\n- call: z.z\n- note: '{{ event.data.q }}'", library=Library())


def test_a_flow_that_cannot_be_read_is_all_there_is_to_say() -> None:
    assert [problem[0] for problem in problems("- sned: x")] == ["flow.unknown_step"]


def test_unknown_types_that_begin_a_flow_are_found() -> None:
    text = "flow: a\non: [checkin.start, checkin.strat]\nsteps: []\n"
    [problem] = check_text(text, LIBRARY)
    assert (problem.code, problem.line) == ("flow.unknown_event_type", 2)


def test_a_closed_schema_makes_an_error_and_an_open_one_a_warning() -> None:
    text = "flow: a\non: checkin.finished\nsteps: [{note: '{{ event.data.x }}'}]\n"
    assert [problem.severity for problem in check_text(text, LIBRARY)] == ["error"]
    opened = Library(event_types={"checkin.finished": START})
    assert [problem.severity for problem in check_text(text, opened)] == ["warning"]


def test_schemas_that_go_in_circles_or_elsewhere_say_nothing() -> None:
    circle = {"properties": {"a": {"$ref": "#"}}, "allOf": [{"$ref": "#"}]}
    assert stray_path(circle, ("a", "a", "b")) is None
    assert stray_path({"properties": {"a": {"$ref": "https://x.example/s"}}}, ("a", "b")) is None
    assert (
        stray_path({"properties": {"a": {"anyOf": [{"properties": {"b": {}}}, {"type": "null"}]}}}, ("a", "b")) is None
    )
    stray = stray_path({"properties": {"a": {"anyOf": [{"properties": {"b": {}}}]}}}, ("a", "c"))
    assert stray is not None
    assert stray.known == ("b",)
    assert stray_path({"patternProperties": {"^x": {}}, "properties": {"a": {}}}, ("b",)) is None
    assert stray_path({"type": "object"}, ("b",)) is None


@pytest.mark.parametrize(
    ("via", "severity"), [("[web_push, best]", "warning"), ("[web_push, sms]", "warning"), ("web_push", "error")]
)
def test_a_channel_that_nobody_carries_is_only_a_warning_where_others_follow(via: str, severity: str) -> None:
    text = f"flow: a\non: checkin.start\nsteps:\n  - send: plain\n    via: {via}\n"
    found = [problem for problem in check_text(text, LIBRARY) if problem.code == "flow.unknown_channel"]
    assert [problem.severity for problem in found] == [severity]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("event.data.slug ==", "at column 19: it ends too early, something is missing."),
        ("(event.data.slug == 'a'", "it ends too early, something is missing."),
        ("event.data.slug = 'a'", "at column 17: one = compares nothing, write == instead."),
        ("event.data.slug == 'a' and true", "at column 24: 'and' is written &&."),
        ("event.data.slug == 'a' or true", "'or' is written ||."),
        ("event.data.slug == 'a')", "at column 23: ')' does not belong here."),
        ("1 + 'a' == 2", "at column 3: + can't be used with int and string."),
        ("size(3) == 1", "size(…) can't be used with int."),
    ],
)
def test_what_is_wrong_with_a_condition_is_said_in_words(condition: str, words: str) -> None:
    [problem] = check_text(HEAD + f"  - if: {json.dumps(condition)}\n    then: [ {{ note: a }} ]\n", Library())
    assert problem.code == "flow.cel_syntax"
    assert problem.why.endswith(words)


@pytest.mark.parametrize(
    ("condition", "kind"), [("event.data.n + 1", "a number"), ("'a'", "a text"), ("[1]", "a list")]
)
def test_a_condition_that_is_no_question_is_said_to_give_what_it_gives(condition: str, kind: str) -> None:
    [problem] = check_text(HEAD + f"  - if: {json.dumps(condition)}\n    then: [ {{ note: a }} ]\n", Library())
    assert (problem.code, problem.why.split(" gives ")[1]) == ("flow.not_yes_or_no", f"{kind}, not yes or no.")


def test_what_only_beckon_says_is_reserved_whatever_its_end() -> None:
    text = HEAD + "  - emit: delivery.made_up\n"
    [problem] = check_text(
        text, Library(event_types={"checkin.start": None, "delivery.made_up": None}, own_types=("delivery.",))
    )
    assert problem.code == "flow.reserved_event_type"


FOLDER = (
    HEAD
    + """  - send: { text: hello }
    via: [whatsap, sms]
  - call: desk.fil
  - emit: message.sent
  - wait_for: checkin.finished
    match: { visit: "{{ event.data.visit }}" }
"""
)


def test_a_folder_is_checked_against_what_stands_in_it_and_without_its_secrets(tmp_path: Path) -> None:
    settings = "providers: { twilio_sms: { auth_token: {env: NOT_SET_HERE} } }\n"
    (tmp_path / "beckon.yaml").write_text(settings)
    for folder in ("flows", "steps"):
        (tmp_path / folder).mkdir()
    (tmp_path / "flows" / "x.yaml").write_text(FOLDER)
    (tmp_path / "steps" / "desk.py").write_text("raise SystemExit\nasync def file(visit): ...\n")
    x = tmp_path / "flows" / "x.yaml"
    assert check_folder(tmp_path) == [
        f"{x}:5: warning: No provider carries 'whatsap' here; did you mean 'whatsapp'? [flow.unknown_channel]",
        f"{x}:6: There is no act called 'desk.fil'; did you mean 'desk.file'? [flow.unknown_act]",
        f"{x}:7: 'message.sent' is said by Beckon itself; a flow may not say it. [flow.reserved_event_type]",
        f"{x}:8: warning: This wait has no time-out: add timeout, and on_timeout for what then. [flow.wait_forever]",
    ]
    x.write_text(FOLDER.replace("[whatsap, sms]", "[web_push, email]").replace("desk.fil", "desk.file"))
    assert any("reaches nobody" in line or "No provider carries" in line for line in check_folder(tmp_path))
    (tmp_path / "beckon.yaml").write_text("name: A\n")
    x.write_text(FOLDER)
    assert "There is no channel 'whatsap'; did you mean 'whatsapp'?" in check_folder(tmp_path)[0]
