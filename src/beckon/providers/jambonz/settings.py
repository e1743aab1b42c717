"""jambonz' settings: its REST interface, the account, where webhooks come in."""

from typing import ClassVar

from beckon.providers.provider import ProviderSettings


class JambonzSettings(ProviderSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One jambonz account: see README.md."""

    SECRETS: ClassVar[tuple[str, ...]] = ("api_key", "webhook_secret")

    #: the REST interface, with its version
    url: str = "https://jambonz.cloud/api/v1"
    account_sid: str
    api_key: str
    #: the account's webhook secret: proves that a webhook is of our jambonz
    webhook_secret: str
    #: where jambonz reaches us: https://beckon.example/hooks/main/jambonz
    hook_url: str
    #: the application whose voices calls that we make have; empty: the account's
    application_sid: str = ""
    #: what a dialled phone sees where a script names nothing
    caller_id: str = ""
    #: a carrier by name; empty: jambonz chooses
    trunk: str = ""
    #: where phones register: a name is dialled as NAME@sip_realm
    sip_realm: str = ""
    #: who speaks, as in jambonz' speech settings
    voice_vendor: str = "default"
    #: in seconds
    timeout_s: float = 8.0
