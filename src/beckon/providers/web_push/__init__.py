"""Web Push: notifications in any browser that subscribed, by VAPID, without an account anywhere."""

from beckon.messaging.channel import Provider
from beckon.providers.web_push.channel import WebPushChannel
from beckon.providers.web_push.payloads import CAPABILITIES, NAME, Settings

PROVIDER = Provider(
    name=NAME,
    channel="web_push",
    settings=Settings,
    secrets=Settings.SECRETS,
    capabilities=CAPABILITIES,
    open=WebPushChannel,
)
