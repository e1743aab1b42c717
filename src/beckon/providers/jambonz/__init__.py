"""jambonz as the switch: it asks by webhooks and is answered with verbs; REST for what can't wait. See README.md."""

from beckon.core.clock import Clock
from beckon.providers.jambonz.settings import JambonzSettings
from beckon.telephony.switch import Capabilities, Listener, Switch, SwitchOffer

CAPABILITIES = Capabilities(
    prompts=frozenset({"say", "file", "tone", "silence"}),
    hold=True,
    recording="none",
    record_leg=False,
    send_digits=True,
    by_document=True,
)


def _open(settings: JambonzSettings, clock: Clock, listener: Listener) -> Switch:
    from beckon.providers.jambonz.vendor import Jambonz
    from beckon.telephony.document_switch import DocumentSwitch

    return DocumentSwitch(Jambonz(settings), clock, listener, CAPABILITIES)


SWITCH = SwitchOffer(
    name="jambonz",
    settings=JambonzSettings,
    secrets=JambonzSettings.SECRETS,
    capabilities=CAPABILITIES,
    open=_open,
)
