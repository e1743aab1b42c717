"""FreeSWITCH as the switch: commanded over its event socket. See README.md."""

from beckon.core.clock import Clock
from beckon.providers.freeswitch.settings import FreeSwitchSettings
from beckon.telephony.switch import Capabilities, Listener, Switch, SwitchOffer

CAPABILITIES = Capabilities(
    prompts=frozenset({"say", "file", "tone", "silence"}),
    keys=frozenset({"rfc4733", "info", "inband"}),
    early_media=True,
    ringback=True,
    hold=True,
    recording="stereo",
    send_digits=True,
)


def _open(settings: FreeSwitchSettings, clock: Clock, listener: Listener) -> Switch:
    from beckon.providers.freeswitch.switch import FreeSwitch

    return FreeSwitch(settings, clock, listener, CAPABILITIES)


SWITCH = SwitchOffer(
    name="freeswitch",
    settings=FreeSwitchSettings,
    secrets=("password",),
    capabilities=CAPABILITIES,
    open=_open,
)
