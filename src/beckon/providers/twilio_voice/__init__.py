"""Twilio as the switch: it asks by webhooks and is answered with TwiML; REST for what can't wait. See README.md."""

from beckon.core.clock import Clock
from beckon.providers.twilio_voice.settings import TwilioVoiceSettings
from beckon.telephony.switch import Capabilities, Listener, Switch, SwitchOffer

CAPABILITIES = Capabilities(
    prompts=frozenset({"say", "file", "tone", "silence"}),
    hold=True,
    recording="stereo",
    send_digits=True,
    by_document=True,
)


def _open(settings: TwilioVoiceSettings, clock: Clock, listener: Listener) -> Switch:
    from beckon.providers.twilio_voice.vendor import Twilio
    from beckon.telephony.document_switch import DocumentSwitch

    return DocumentSwitch(Twilio(settings), clock, listener, CAPABILITIES, folder=settings.folder)


SWITCH = SwitchOffer(
    name="twilio_voice",
    settings=TwilioVoiceSettings,
    secrets=TwilioVoiceSettings.SECRETS,
    capabilities=CAPABILITIES,
    open=_open,
)
