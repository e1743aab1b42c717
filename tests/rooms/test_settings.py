"""Settings: what is misspelt or can't be is said by its name, with the nearest right one."""

from pathlib import Path

import pytest

from beckon.authoring import check_folder
from beckon.core.errors import Misconfigured
from beckon.settings import from_environment, strangers
from beckon.starting import write_example
from beckon.workspaces import read_settings


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("BECKON_PORT", "abc", "a whole number is needed"),
        ("BECKON_PORT", "0", "1 is the least"),
        ("BECKON_PORT", "99999", "65535 is the highest port"),
        ("BECKON_TURN_EVENTS_MAX", "0", "1 is the least"),
        ("BECKON_DRAIN_S", "-1", "0 is the least"),
        ("BECKON_LOG_LEVEL", "loud", "levels are debug, info, warning, error, critical"),
        ("BECKON_PUBLIC_URL", "beckon.example.com", "write the whole address, like https://beckon.example.com"),
    ],
)
def test_a_variable_that_can_not_be_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured) as refused:
        from_environment()
    assert refused.value.why == f"{variable}={value!r}: {why}"
    assert refused.value.field == variable


def test_a_misspelt_variable_is_said_with_the_right_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("BECKON_DATABSE_URL", "sqlite:///elsewhere.db")
    assert from_environment().database_url == ""
    assert caplog.messages == [
        "BECKON_DATABSE_URL is set, but there is no such setting; did you mean 'BECKON_DATABASE_URL'?"
    ]


def test_variables_that_others_read_are_no_slips(tmp_path: Path):
    file = tmp_path / "beckon.yaml"
    file.write_text("secrets: { dms: {env: BECKON_DMS_TOKEN} }\n")
    environment = {"BECKON_DMS_TOKEN": "x", "BECKON_KEY": "bk_x", "BECKON_PORT": "1", "PATH": "/bin"}
    assert list(strangers(environment, file)) == []
    assert [line.split()[0] for line in strangers(environment, tmp_path / "none.yaml")] == ["BECKON_DMS_TOKEN"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_example(tmp_path)
    return tmp_path


def with_line(folder: Path, line: str) -> Path:
    """The example, with one line of its settings as given."""
    file = folder / "beckon.yaml"
    key = line.partition(":")[0]
    kept = [old for old in file.read_text().splitlines() if not old.startswith(f"{key}:")]
    file.write_text("\n".join([*kept, line]))
    return folder


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("chanels: [sms]", "chanels is no setting; did you mean 'channels'?"),
        ("qqq: 1", "qqq is no setting; there are workspace, name, colour, "),
        ("telephony: { swich: {} }", "telephony.swich is no setting; did you mean 'switch'?"),
        ("pbx: { uis: { secrt: x } }", "pbx.NAME.secrt is no setting; did you mean 'secret'?"),
        ("pbx: { uis: {} }", "pbx.NAME.secret is missing"),
        ("allowed_hosts: x", "allowed_hosts: a list is needed here, not text"),
        ("attempts_max: some", "attempts_max: a whole number is needed here, not text"),
        ("attempts_max: 0", "attempts_max: 1 is the least"),
        ("rates: { smtp: -1 }", "rates.smtp: 0 is the least, which is no limit"),
        ("time_zone: Europe/Brussel", "time_zone: 'Europe/Brussel' is no time zone; write one like Europe/Brussels."),
        ("region: UK", "region: 'UK' is no country; write its two letters (ISO 3166), like BE or GB"),
        ("locale: all!", "locale: 'all!' is no language; write it like nl-BE"),
        ("colour: red", "colour: 'red' is no colour; write it like '#1f5eff'"),
        ("channels: [sms, sms]", "channels: name one channel at least, and each once"),
        ("doubtful: maybe", "doubtful: 'maybe' is neither resend nor hold"),
        ("workspace: Our Shop", "workspace: 'Our Shop' is no id; write 1 to 40 of a-z, 0-9, - and _"),
        ("name: {env: BECKON_NOT_SET}", "it wants the environment variable BECKON_NOT_SET, which is not set"),
    ],
)
def test_a_line_that_can_not_be_is_refused_by_its_file_and_name(folder: Path, line: str, why: str):
    with pytest.raises(Misconfigured) as refused:
        read_settings(with_line(folder, line))
    assert refused.value.why.startswith(f"{folder / 'beckon.yaml'}: {why}")


def test_a_misspelt_channel_is_found_by_flow_check(folder: Path):
    assert check_folder(with_line(folder, "channels: [whatsap, sms, voice]")) == [
        f"{folder / 'beckon.yaml'}: channels: there is no channel 'whatsap'; did you mean 'whatsapp'?"
        " [flow.unknown_channel]"
    ]
