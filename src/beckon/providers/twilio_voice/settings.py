"""Twilio's settings as a switch: the account, the number that calls out, where webhooks come in."""

from typing import ClassVar

from beckon.providers.provider import ProviderSettings


class TwilioVoiceSettings(ProviderSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Twilio account: see README.md."""

    SECRETS: ClassVar[tuple[str, ...]] = ("auth_token", "api_key_secret")

    account_sid: str
    #: also proves that a webhook is Twilio's
    auth_token: str
    #: where set, requests are made with this API key instead of the auth token
    api_key_sid: str = ""
    api_key_secret: str = ""
    #: where Twilio reaches us: https://beckon.example/hooks/main/twilio_voice
    hook_url: str
    #: what a dialled phone sees where a script names nothing; a number of the account
    caller_id: str = ""
    #: one of Twilio's voices for all languages; empty: its own for each language
    voice: str = ""
    #: where recordings are put; empty: they stay with Twilio, and their URL is told
    folder: str = ""
    #: the largest recording that is fetched, in bytes
    recording_size_bytes_max: int = 268_435_456
    base_url: str = "https://api.twilio.com"
    #: in seconds
    timeout_s: float = 8.0
