"""Every setting, its default, its unit.

Two kinds: the server's, from the environment (``BECKON_…``), and a workspace's, from ``beckon.yaml`` in its folder.
``docs/settings.md`` has a line for each; a test holds it to that.
"""

import os
from pathlib import Path

import msgspec

from beckon.core.errors import Misconfigured


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from the environment: ``database_url`` is ``BECKON_DATABASE_URL``, and so on."""

    #: sqlite:///path or postgresql://user:password@host/database; empty: beckon.db in the workspace's folder
    database_url: str = ""
    #: the folder that ``beckon init`` wrote
    workspace: str = "."
    host: str = "127.0.0.1"
    port: int = 8080
    #: how the outside reaches this server: in links, in webhooks' signatures; empty: http://{host}:{port}
    public_url: str = ""
    #: signs links and cookies; empty: made once and kept beside the workspace as .secret
    secret_key: str = ""
    #: one request's body, in bytes
    body_size_bytes_max: int = 1_048_576
    #: events in one batch request
    batch_events_max: int = 1_000
    #: events that the wheel turns in one transaction
    turn_events_max: int = 256
    #: commands carried out at the same time; one provider gets half of these places at most
    in_flight_max: int = 512
    #: of these, commands that big work led to (a campaign, an import)
    big_in_flight_max: int = 64
    #: what one piece of big work may take while others wait, in milliseconds
    big_piece_ms: int = 4
    #: the share of the time that big work has at most while others' events come, in percent
    big_share_percent: int = 50
    #: how long others' events may wait for their turn, in milliseconds: where they wait longer, big work has less
    big_goal_ms: int = 20
    #: how long a closed server waits for what is in flight, in seconds
    drain_s: int = 10
    #: how long an API key's look-up is believed, in seconds: a revoked key works that much longer at most
    key_cache_s: int = 10
    #: the wait between two rounds of forgetting what has served its time, in seconds; 0: nothing is forgotten
    maintenance_s: int = 60
    #: how long an event may answer a wait that begins after it, in days
    early_days: int = 60
    #: how long the answer to a request with an Idempotency-Key is kept, in days
    idempotency_days: int = 7
    #: how long a link's page still says that the link is over, and still lets a customer stop messages, in days
    links_days: int = 365
    #: how long a provider's word on a message finds it, in days
    receipts_days: int = 90
    #: log lines below this are not written: debug, info, warning, error
    log_level: str = "info"

    @property
    def store_url(self) -> str:
        """Where everything is kept."""
        return self.database_url or f"sqlite:///{Path(self.workspace) / 'beckon.db'}"

    @property
    def address(self) -> str:
        """The public URL without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


def from_environment() -> ServerSettings:
    """Read ``BECKON_…``. Raises ``Misconfigured`` naming the variable."""
    given: dict[str, object] = {}
    for field in msgspec.structs.fields(ServerSettings):
        variable = f"BECKON_{field.name.upper()}"
        value = os.environ.get(variable)
        if value is None:
            continue
        try:
            given[field.name] = msgspec.convert(value, field.type, strict=False)
        except msgspec.ValidationError as error:
            raise Misconfigured("settings.value", f"{variable}={value!r}: {error}", field=variable) from error
    return msgspec.convert(given, ServerSettings)


class InboxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team's inbox."""

    title: str = ""


class PbxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PBX that asks us what to do with its calls."""

    #: stands in the URL that it asks: 16 characters at least
    secret: str
    #: what its requests are signed with, where its dialect has signatures
    sign: str = ""
    #: addresses or networks from which it asks; empty: any
    addresses: tuple[str, ...] = ()


class TelephonySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The calls of our own switch: which one, who is called there, and what is kept of it."""

    #: one switch's folder name → its settings: phones, trunks, limits
    switch: dict[str, dict[str, object]] = {}
    #: the call script of each number that calls are taken for; "*": any other
    numbers: dict[str, str] = {}
    #: the number that phones see which we call; empty: the trunk's own
    caller_id: str = ""
    #: calls at once; further callers hear that we are busy
    calls_max: int = 200
    #: roles that may listen to recordings; owners always may
    listeners: tuple[str, ...] = ("listener",)
    #: how long recordings are kept, in days; 0: for ever
    recordings_days: int = 90
    #: when people are called with messages; empty: at any hour
    calling_hours: str = "Mon-Sun 08:00-21:00"
    #: what a call that carries a message says after it, by locale, instead of our own words; {key} is the key to press
    confirm: dict[str, str] = {}


class WorkspaceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read from ``beckon.yaml``."""

    #: the workspace's id: short, lower case; API keys and rows belong to it
    workspace: str = "main"
    #: the business's name, as customers read it
    name: str = "Our workshop"
    #: the colour of mails and customer pages, as #rrggbb
    colour: str = "#1f5eff"
    #: BCP 47; the last resort of a contact's locale chain before en
    locale: str = "en"
    #: IANA
    time_zone: str = "Europe/Brussels"
    #: ISO 3166, for phone numbers that are written without a country
    region: str = "BE"
    #: the order in which channels are tried
    channels: tuple[str, ...] = ("oem_app", "whatsapp", "sms", "email")
    #: provider's folder name → its settings; secrets are written as {env: NAME}
    providers: dict[str, dict[str, object]] = {}
    #: a provider's limits: messages a second; 0: none
    rates: dict[str, float] = {}
    #: tries of one message on one channel before the next channel
    attempts_max: int = 4
    #: the wait before the second try, in milliseconds; it doubles
    first_delay_ms: int = 2_000
    #: what becomes of a message of which a crash left unknown whether it was handed over: resend, hold
    doubtful: str = "resend"
    #: how long a message's short links work, in hours
    link_hours: int = 24 * 30
    #: teams
    inboxes: dict[str, InboxSettings] = msgspec.field(
        default_factory=lambda: {"service-advisors": InboxSettings(title="Service advisors")}
    )
    #: hosts that http: steps may call though their addresses are not public: host or host:port
    allowed_hosts: tuple[str, ...] = ()
    #: secrets that http: steps use by name; written as {env: NAME}
    secrets: dict[str, str] = {}
    #: PBXs that ask what to do with their calls, by dialect: uis, jambonz, twiml
    pbx: dict[str, PbxSettings] = {}
    #: the calls of our own switch
    telephony: TelephonySettings = TelephonySettings()
    #: free values for templates and flows: {{ settings.checkin_url }}
    values: dict[str, str] = {}
