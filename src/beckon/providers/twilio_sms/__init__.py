"""SMS through Twilio's Messages API: texts out; texts, keywords and receipts in."""

from beckon.messaging.channel import Provider
from beckon.providers.twilio_sms.channel import TwilioChannel
from beckon.providers.twilio_sms.payloads import CAPABILITIES, NAME, Settings
from beckon.providers.twilio_sms.webhook import read_webhook

PROVIDER = Provider(
    name=NAME,
    channel="sms",
    settings=Settings,
    secrets=Settings.SECRETS,
    capabilities=CAPABILITIES,
    open=TwilioChannel,
    read_webhook=read_webhook,
)
