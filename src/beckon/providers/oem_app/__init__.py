"""A maker's own app, by configuration only: signed JSON out and in, mapped by Liquid. MyBMW is the first one."""

from beckon.messaging.channel import Provider, WebhookReply, WebhookRequest
from beckon.providers.oem_app import webhook
from beckon.providers.oem_app.channel import OemAppChannel
from beckon.providers.oem_app.dialects import dialect_of
from beckon.providers.oem_app.payloads import CAPABILITIES, NAME, Settings


def read_webhook(request: WebhookRequest, settings: Settings, workspace: str, now_ms: int) -> WebhookReply:
    """Verify and read one webhook in the words of the settings' dialect."""
    return webhook.read_webhook(request, settings, dialect_of(settings), workspace, now_ms)


PROVIDER = Provider(
    name=NAME,
    channel="oem_app",
    settings=Settings,
    secrets=Settings.SECRETS,
    capabilities=CAPABILITIES,
    open=OemAppChannel,
    read_webhook=read_webhook,
)
