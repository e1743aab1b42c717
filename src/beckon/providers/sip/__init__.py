"""The built-in switch: SIP phones and trunks over UDP, with prompts, keys, bridges and recordings. See README.md."""

from beckon.core.clock import Clock
from beckon.providers.sip.capabilities import CAPABILITIES
from beckon.providers.sip.settings import SipSettings
from beckon.telephony.switch import Listener, Switch, SwitchOffer


def _open(settings: SipSettings, clock: Clock, listener: Listener) -> Switch:
    # Only who opens a switch needs what it is made with.
    from beckon.providers.sip.switch import SipSwitch

    return SipSwitch(settings, clock, listener)


SWITCH = SwitchOffer(
    name="sip",
    settings=SipSettings,
    secrets=("phones", "trunks"),
    capabilities=CAPABILITIES,
    open=_open,
)
