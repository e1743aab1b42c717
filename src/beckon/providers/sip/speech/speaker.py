"""Speaker: who says a text. espeak-ng comes with every Debian; another engine needs only this Protocol."""

import asyncio
import re
import shutil
from typing import Protocol

import msgspec

from beckon.core.errors import Misconfigured, Unavailable

_SECONDS_MAX = 30.0
_WAV_BYTES_MAX = 64 * 1024 * 1024
_VOICE = re.compile(r"[A-Za-z0-9+_/-]{1,60}")
#: BCP 47 → espeak-ng's own names, where they differ.
_NAMES = {"en": "en-gb", "nb": "nb", "no": "nb", "pt-br": "pt-br", "zh": "cmn", "zh-cn": "cmn", "nl-be": "nl"}


class Spoken(msgspec.Struct, frozen=True):
    """A text as a WAV file's bytes."""

    wav: bytes


class Speaker(Protocol):
    """Says texts."""

    #: part of the cache's key: what was said by one speaker isn't played for another
    name: str

    async def speak(self, text: str, locale: str, voice: str) -> Spoken:
        """Say a text. Raises ``Misconfigured`` or ``Unavailable``."""
        ...


class Espeak:
    """espeak-ng, run as a process for each text that was not said before."""

    def __init__(self, command: str, words_per_minute: int) -> None:
        self._command = command
        self._words_per_minute = words_per_minute
        self.name = f"espeak-ng {words_per_minute}"

    async def speak(self, text: str, locale: str, voice: str) -> Spoken:
        """Say a text; the text goes in by standard input, where it can't be taken for an option."""
        command = shutil.which(self._command)
        if command is None:
            raise Misconfigured(
                "speaker.missing",
                f"{self._command} is not installed, and prompts are spoken by it; on Debian: apt-get install espeak-ng",
            )
        name = voice if voice and _VOICE.fullmatch(voice) else _voice(locale)
        process = await asyncio.create_subprocess_exec(
            command,
            *("-v", name, "-s", str(self._words_per_minute), "-b", "1", "--stdin", "--stdout"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            wav, said = await asyncio.wait_for(process.communicate(text.encode()), _SECONDS_MAX)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise Unavailable("speaker.slow", f"the speaker took longer than {_SECONDS_MAX:.0f} s") from None
        if process.returncode or not wav.startswith(b"RIFF") or len(wav) > _WAV_BYTES_MAX:
            words = said.decode(errors="replace").strip()[:200]
            raise Unavailable("speaker.failed", f"the speaker failed (voice {name}): {words}")
        return Spoken(wav)


def _voice(locale: str) -> str:
    tag = locale.lower().replace("_", "-")
    language = tag.partition("-")[0]
    found = _NAMES.get(tag) or _NAMES.get(language) or language
    return found if _VOICE.fullmatch(found) else "en-gb"
