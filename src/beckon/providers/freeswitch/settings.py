"""FreeSWITCH's settings: where its event socket is, how numbers are dialled, where files lie."""

from typing import ClassVar

from beckon.providers.provider import ProviderSettings


class FreeSwitchSettings(ProviderSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One FreeSWITCH."""

    SECRETS: ClassVar[tuple[str, ...]] = ("password",)

    #: the event socket's address and port
    host: str = "127.0.0.1"
    port: int = 8021
    #: the event socket's password
    password: str
    #: how a number is dialled; {number} stands for it
    dial_string: str = "sofia/gateway/trunk/{number}"
    #: numbers are dialled with "+"
    plus: bool = True
    #: the folder where FreeSWITCH finds recorded prompts
    prompts_folder: str = "/usr/share/freeswitch/prompts"
    #: the folder where FreeSWITCH leaves recordings: both machines must see it
    recordings_folder: str = "/var/lib/freeswitch/recordings"
    #: the engine and the voice that speak: mod_flite has them
    tts_engine: str = "flite"
    tts_voice: str = "slt"
    #: the longest recording, in seconds
    recording_s_max: int = 14_400
