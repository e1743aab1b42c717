"""Every setting, its default, its unit.

Two kinds: the server's, from the environment (``BECKON_…``), and a workspace's, from ``beckon.yaml`` in its folder.
``docs/settings.md`` has a line for each; a test holds it to that.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from phonenumbers import SUPPORTED_REGIONS

from beckon.core.errors import BeckonError, Misconfigured
from beckon.core.measures import closest
from beckon.core.spoken import zone

log = logging.getLogger("beckon.settings")

_PREFIX = "BECKON_"
#: Variables of ours that are no settings of the server: a command's key, a benchmark's database.
_OTHERS = frozenset({"BECKON_KEY", "BECKON_BENCH_DATABASE_URL"})
_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
#: Numbers that may be nought: it means at once, or never.
_MAY_BE_NOUGHT = frozenset({"drain_s", "key_cache_s", "maintenance_s"})
_PORT_MAX = 65_535

_AT = re.compile(r" - at `\$\.?([^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]+)`")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_EXPECTED = re.compile(r"Expected `([a-z]+)(?: \| null)?`, got `([a-z]+)`")
#: msgspec's words for a kind of value, and those of somebody who writes YAML.
_KINDS = {
    "array": "a list", "object": "names with values", "str": "text", "int": "a whole number", "float": "a number",
    "bool": "true or false", "null": "nothing",
}  # fmt: skip


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
    """Read ``BECKON_…``; a variable that is no setting is said aloud. Raises ``Misconfigured`` naming the variable."""
    given: dict[str, object] = {}
    for field in msgspec.structs.fields(ServerSettings):
        variable = f"{_PREFIX}{field.name.upper()}"
        value = os.environ.get(variable)
        if value is None:
            continue
        try:
            given[field.name] = msgspec.convert(value, field.type, strict=False)
        except msgspec.ValidationError as error:
            raise _no_value(variable, value, "a whole number is needed") from error
        why = _why_not(field.name, given[field.name])
        if why:
            raise _no_value(variable, value, why)
    settings = msgspec.convert(given, ServerSettings)
    for line in strangers(os.environ, Path(settings.workspace) / "beckon.yaml"):
        log.warning(line)
    return settings


def _no_value(variable: str, value: str, why: str) -> Misconfigured:
    return Misconfigured("settings.value", f"{variable}={value[:80]!r}: {why}", field=variable)


def _why_not(name: str, value: object) -> str:
    """Why a server's setting can't have this value; empty: it can."""
    if isinstance(value, int) and value < (name not in _MAY_BE_NOUGHT):
        return f"{0 if name in _MAY_BE_NOUGHT else 1} is the least"
    if name == "port" and isinstance(value, int) and value > _PORT_MAX:
        return f"{_PORT_MAX} is the highest port"
    if name == "log_level" and str(value).lower() not in _LOG_LEVELS:
        return f"levels are {', '.join(_LOG_LEVELS)}"
    if name == "public_url" and value:
        url = urlsplit(str(value))
        if url.scheme not in ("http", "https") or not url.netloc:
            return "write the whole address, like https://beckon.example.com"
    return ""


def strangers(environment: Mapping[str, str], workspace_file: Path) -> Iterator[str]:
    """A sentence for each variable ``BECKON_…`` that nobody reads: most likely a slip of the pen.

    ``workspace_file`` may name some itself, as ``{env: BECKON_…}``.
    """
    known = {f"{_PREFIX}{field.name.upper()}" for field in msgspec.structs.fields(ServerSettings)} | _OTHERS
    unknown = sorted(name for name in environment if name.startswith(_PREFIX) and name not in known)
    if not unknown:
        return
    try:
        named = workspace_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        named = ""
    for name in unknown:
        if name not in named:
            yield f"{name} is set, but there is no such setting{closest(name, known)}"


def misfit(error: msgspec.ValidationError, kind: type[msgspec.Struct], path: str = "") -> str:
    """What does not fit in settings of this ``kind``, which stand at ``path``: the place, what is wrong, and the
    nearest right name."""
    text = str(error)
    at = _AT.search(text)
    inside = at[1].replace("[...]", ".NAME") if at else ""
    where = ".".join(part for part in (path, inside) if part)
    unknown = _UNKNOWN.search(text)
    if unknown:
        names = _names_at(kind, inside)
        near = closest(unknown[1], names)
        options = f"; there are {', '.join(names)}" if near == "." and names else near
        return f"{'.'.join(filter(None, (where, unknown[1])))} is no setting{options}"
    missing = _MISSING.search(text)
    if missing:
        return f"{'.'.join(filter(None, (where, missing[1])))} is missing"
    expected = _EXPECTED.search(text)
    if expected:
        wanted, got = (_KINDS.get(word, word) for word in expected.groups())
        return f"{where or 'the file'}: {wanted} is needed here, not {got}"
    return f"{where}: {_AT.sub('', text)}" if where else text


def _names_at(kind: type[msgspec.Struct], inside: str) -> list[str]:
    """The names that may stand at a place in these settings; none where that is not known."""
    for word in filter(None, re.split(r"[.\[]", inside)):
        if word == "NAME":
            continue
        field = next((one for one in msgspec.structs.fields(kind) if one.name == word), None)
        inner = next((one for one in _structs_in(field.type if field else None)), None)
        if inner is None:
            return []
        kind = inner
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def _structs_in(kind: object) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in getattr(kind, "__args__", ()):
        yield from _structs_in(inner)


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


_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_WORKSPACE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def settled(settings: WorkspaceSettings) -> WorkspaceSettings:
    """These settings, when every value can be lived with. Raises ``Misconfigured`` naming the one that can't."""
    for name, why in _unfit(settings):
        raise Misconfigured("workspace.settings", f"{name}: {why}", field=name)
    return settings


def _unfit(settings: WorkspaceSettings) -> Iterator[tuple[str, str]]:
    if not _WORKSPACE.fullmatch(settings.workspace):
        yield "workspace", f"{settings.workspace!r} is no id; write 1 to 40 of a-z, 0-9, - and _"
    if not _COLOUR.fullmatch(settings.colour):
        yield "colour", f"{settings.colour!r} is no colour; write it like '#1f5eff'"
    if not _LOCALE.fullmatch(settings.locale):
        yield "locale", f"{settings.locale!r} is no language; write it like nl-BE"
    if settings.region and settings.region not in SUPPORTED_REGIONS:
        yield "region", f"{settings.region!r} is no country; write its two letters (ISO 3166), like BE or GB"
    try:
        zone(settings.time_zone)
    except BeckonError as error:
        yield "time_zone", error.why
    if not settings.channels or len(set(settings.channels)) < len(settings.channels):
        yield "channels", "name one channel at least, and each once"
    if settings.doubtful not in ("resend", "hold"):
        yield "doubtful", f"{settings.doubtful!r} is neither resend nor hold"
    for name, least in (("attempts_max", 1), ("first_delay_ms", 0), ("link_hours", 1)):
        if getattr(settings, name) < least:
            yield name, f"{least} is the least"
    for provider, rate in settings.rates.items():
        if not rate >= 0:
            yield f"rates.{provider}", "0 is the least, which is no limit"
