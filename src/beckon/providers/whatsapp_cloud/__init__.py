"""WhatsApp through Meta's Cloud API: templates, buttons and media out; messages, receipts and template states in."""

from beckon.messaging.channel import Provider
from beckon.providers.whatsapp_cloud.channel import WhatsAppChannel
from beckon.providers.whatsapp_cloud.payloads import CAPABILITIES, NAME, Settings
from beckon.providers.whatsapp_cloud.webhook import read_webhook

PROVIDER = Provider(
    name=NAME,
    channel="whatsapp",
    settings=Settings,
    secrets=Settings.SECRETS,
    capabilities=CAPABILITIES,
    open=WhatsAppChannel,
    read_webhook=read_webhook,
)
