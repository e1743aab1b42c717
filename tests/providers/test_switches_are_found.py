"""Switches are found beside the providers, and a folder that carries only calls is no broken provider."""

import importlib
from importlib.metadata import EntryPoint

import pytest

from beckon.core.errors import Misconfigured
from beckon.providers import registry
from beckon.telephony.switch import SwitchOffer


def test_the_built_in_switch_is_found_and_is_no_channel():
    switches = registry.found_switches()
    assert switches["sip"].capabilities.recording == "stereo"
    assert "sip" not in registry.found()


def test_a_switch_is_opened_from_its_offer(tmp_path):
    from beckon.core.clock import SystemClock

    offer = registry.found_switches()["sip"]
    switch = offer.open(offer.settings(folder=str(tmp_path)), SystemClock(), lambda event: None)
    assert (switch.name, switch.capabilities) == (offer.name, offer.capabilities)


@pytest.mark.parametrize(
    ("name", "offered", "why"),
    [
        ("sip2", SwitchOffer, "offers no SWITCH"),
        ("pbx", "beckon.providers.sip:SWITCH", "offers no SWITCH of that name"),
        ("sip", "beckon.providers.sip:SWITCH", "offers no SWITCH of that name"),
    ],
)
def test_a_switch_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, offered: object, why: str):
    value = offered if isinstance(offered, str) else "beckon.telephony.switch:SwitchOffer"
    point = EntryPoint(name, value, registry.SWITCH_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.SWITCH_GROUP else [])
    with pytest.raises(Misconfigured, match=why):
        registry.found_switches()


def test_looking_for_switches_does_not_load_what_only_an_open_one_needs():
    import subprocess
    import sys

    code = (
        "import sys; from beckon.providers import registry; registry.found(); registry.found_switches();"
        "sys.exit(bool({'numpy', 'sippy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_offer_says_what_it_is_named():
    assert importlib.import_module("beckon.providers.sip").SWITCH.name == "sip"
