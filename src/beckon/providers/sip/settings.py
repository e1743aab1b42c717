"""The built-in switch's settings: where it listens, who may call, where calls may go, how much of it."""

from ipaddress import IPv4Network
from typing import ClassVar, Literal

import msgspec

from beckon.core.errors import Misconfigured
from beckon.providers.provider import ProviderSettings


class PhoneSettings(ProviderSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A phone that registers here under its user name."""

    SECRETS: ClassVar[tuple[str, ...]] = ("password",)

    password: str
    #: what other phones see; empty: the user name
    number: str = ""


class TrunkSettings(ProviderSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider of numbers, or another PBX."""

    SECRETS: ClassVar[tuple[str, ...]] = ("password", "incoming_password")

    #: its name or address, and its port
    host: str
    port: int = 5060
    #: our account there: for registration and for the calls that we make
    username: str = ""
    password: str = ""
    #: whether it wants us to register
    register: bool = False
    #: the addresses and networks that its calls come from; these need no password
    allow: tuple[str, ...] = ()
    #: what its calls from anywhere else must prove with ``username``; empty: those are refused
    incoming_password: str = ""
    #: the numbers that it carries, by prefix; the longest fit wins
    prefixes: tuple[str, ...] = ("",)
    #: numbers are sent with "+"
    plus: bool = True
    #: whether keys are listened for as tones inside the audio; auto: where it knows no telephone-event
    tones: Literal["auto", "always", "never"] = "auto"


class DialSettings(ProviderSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What calls by trunks may cost: a stolen password must not cost more than this."""

    #: numbers that may be called, by prefix in E.164; empty: none, phones that registered can always be called
    allowed: tuple[str, ...] = ()
    #: numbers that may not, though a shorter prefix allows them
    refused: tuple[str, ...] = ()
    #: calls begun in any minute
    calls_per_minute: int = 60
    #: prefix → what a minute costs, in any one currency; the longest fit wins
    rates: dict[str, float] = msgspec.field(default_factory=dict)
    #: what a minute costs where no prefix fits
    rate: float = 0.0
    #: the dearest minute that may be called; 0: no limit
    rate_max: float = 0.0
    #: what all calls of a day (UTC) may cost together; 0: no limit
    cost_per_day: float = 0.0


class SipSettings(ProviderSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The built-in switch."""

    SECRETS: ClassVar[tuple[str, ...]] = ()

    #: the address and UDP port that it listens on; port 0: any
    host: str = "127.0.0.1"
    port: int = 5060
    #: what phones are told to answer to, where that is another address; needed with 0.0.0.0
    public_address: str = ""
    realm: str = "beckon"
    #: user name → phone
    phones: dict[str, PhoneSettings] = msgspec.field(default_factory=dict)
    #: name → trunk
    trunks: dict[str, TrunkSettings] = msgspec.field(default_factory=dict)
    #: networks whose calls are taken without a password or a trunk
    open_to: tuple[str, ...] = ()
    dial: DialSettings = DialSettings()
    #: UDP ports for audio; each leg takes two
    rtp_first: int = 16_384
    rtp_last: int = 32_767
    #: where prompts and recordings lie
    folder: str = "voice"
    #: legs at the same time; more are refused with 503
    legs_max: int = 500
    #: the longest call, in seconds
    call_s_max: int = 4 * 3600
    #: a leg from which no audio came for so long ends, in seconds; 0: never
    silence_s: float = 60.0
    #: the longest recording, in seconds
    recording_s_max: float = 4 * 3600.0
    #: how espeak-ng is called, and how fast it speaks, in words a minute
    espeak: str = "espeak-ng"
    words_per_minute: int = 155


def check(settings: SipSettings) -> None:
    """Raise ``Misconfigured`` naming what can't work."""
    if settings.host == "0.0.0.0" and not settings.public_address:  # noqa: S104 - asked, not bound
        raise _wrong("public_address", "with host 0.0.0.0 the switch needs the address that phones can reach")
    if not 0 < settings.rtp_first < settings.rtp_last <= 65_535 or settings.rtp_last - settings.rtp_first < 3:
        raise _wrong("rtp_first", "rtp_first and rtp_last are a range of UDP ports")
    networks = [("open_to", settings.open_to)]
    networks += [(f"trunks.{name}.allow", trunk.allow) for name, trunk in settings.trunks.items()]
    for field, given in networks:
        for network in given:
            try:
                IPv4Network(network)
            except ValueError:
                raise _wrong(field, f"{network!r} is no IPv4 address or network") from None
    for name, trunk in settings.trunks.items():
        if trunk.register and not (trunk.username and trunk.password):
            raise _wrong(f"trunks.{name}", "a trunk that wants registration needs username and password")
        if name.startswith("phone:"):
            raise _wrong(f"trunks.{name}", "a trunk's name doesn't begin with phone:")


def _wrong(field: str, why: str) -> Misconfigured:
    return Misconfigured("sip.settings", why, field=f"switch.sip.{field}")
