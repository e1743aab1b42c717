"""Firebase Cloud Messaging (HTTP v1): notifications in apps on Android and iOS."""

from beckon.messaging.channel import Provider
from beckon.providers.fcm.channel import FcmChannel
from beckon.providers.fcm.payloads import CAPABILITIES, NAME, Settings

PROVIDER = Provider(
    name=NAME,
    channel="fcm",
    settings=Settings,
    secrets=Settings.SECRETS,
    capabilities=CAPABILITIES,
    open=FcmChannel,
)
