"""Asterisk's settings: where its REST interface is, how numbers are dialled, where files lie."""

from typing import ClassVar

from beckon.providers.provider import ProviderSettings


class AsteriskSettings(ProviderSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Asterisk."""

    SECRETS: ClassVar[tuple[str, ...]] = ("password",)

    #: the REST interface, as in http.conf
    url: str = "http://127.0.0.1:8088/ari"
    #: the user of ari.conf
    username: str = "beckon"
    password: str
    #: the application's name in the dial plan: Stasis(beckon)
    app: str = "beckon"
    #: how a number is dialled; {number} stands for it
    endpoint: str = "PJSIP/{number}@trunk"
    #: numbers are dialled with "+"
    plus: bool = True
    #: the folder of recorded prompts, below Asterisk's sounds; without the language
    prompts_folder: str = "beckon"
    #: the folder where Asterisk leaves recordings: both machines must see it
    recordings_folder: str = "/var/spool/asterisk/recording"
    #: where words become a WAV file: http://tts.example/say?text={text}&locale={locale}; empty: it can't speak
    speak_url: str = ""
    #: the longest recording, in seconds
    recording_s_max: int = 14_400
