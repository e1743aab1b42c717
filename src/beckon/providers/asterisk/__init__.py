"""Asterisk as the switch: commanded over its REST interface, heard over its WebSocket. See README.md."""

from beckon.core.clock import Clock
from beckon.providers.asterisk.settings import AsteriskSettings
from beckon.telephony.switch import Capabilities, Listener, Switch, SwitchOffer

CAPABILITIES = Capabilities(
    prompts=frozenset({"file", "tone", "silence"}),
    keys=frozenset({"rfc4733", "info", "inband"}),
    ringback=True,
    hold=True,
    recording="mono",
    send_digits=True,
)


def _open(settings: AsteriskSettings, clock: Clock, listener: Listener) -> Switch:
    from beckon.providers.asterisk.switch import Asterisk

    return Asterisk(settings, clock, listener, CAPABILITIES)


SWITCH = SwitchOffer(
    name="asterisk",
    settings=AsteriskSettings,
    secrets=("password",),
    capabilities=CAPABILITIES,
    open=_open,
)
