"""Mail through any SMTP server: text and HTML out; bounces and answers in, handed to our webhook by the mail server."""

from beckon.messaging.channel import Provider
from beckon.providers.smtp.channel import SmtpChannel, close
from beckon.providers.smtp.payloads import CAPABILITIES, NAME, Settings
from beckon.providers.smtp.webhook import read_webhook

PROVIDER = Provider(
    name=NAME,
    channel="email",
    settings=Settings,
    secrets=Settings.SECRETS,
    capabilities=CAPABILITIES,
    open=SmtpChannel,
    read_webhook=read_webhook,
    close=close,
)
