"""Prompts made ready: each becomes a file of µ-law in the cache, named by what it was made from, and is made once."""

import asyncio
import os
from hashlib import sha256
from pathlib import Path

import numpy as np

from beckon.core.errors import Refused, Unsupported
from beckon.providers.sip.media.tones import sine
from beckon.providers.sip.speech.audio import from_wav
from beckon.providers.sip.speech.speaker import Speaker
from beckon.telephony.switch import PROMPTS_MAX, SAY_CHARS_MAX, File, Prompt, Say, Silence, Tone

_FILE_BYTES_MAX = 64 * 1024 * 1024
_MILLISECONDS_MAX = 120_000
#: What the cache may hold after a start, in bytes: some ten hours.
_CACHE_BYTES_MAX = 256 * 1024 * 1024


class Prompts:
    """The cache, and who fills it."""

    def __init__(self, folder: Path, speaker: Speaker) -> None:
        self._folder = folder
        self._speaker = speaker
        self._making: dict[str, asyncio.Task[None]] = {}

    def open(self) -> None:
        """Make the folder, and forget what was used longest ago where there is too much."""
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = sorted(self._folder.glob("*.ulaw"), key=lambda path: -path.stat().st_mtime)
        total = 0
        for path in kept:
            total += path.stat().st_size
            if total > _CACHE_BYTES_MAX:
                path.unlink(missing_ok=True)

    async def ready(self, prompts: tuple[Prompt, ...]) -> tuple[str, ...]:
        """The prompts' files in order. Raises one of the four kinds."""
        if not 0 < len(prompts) <= PROMPTS_MAX:
            raise Refused("prompt.count", f"A playback has 1 to {PROMPTS_MAX} prompts.")
        return tuple([await self._one(prompt) for prompt in prompts])

    async def _one(self, prompt: Prompt) -> str:
        key = self._key(prompt)
        path = self._folder / f"{key}.ulaw"
        if not path.exists():
            task = self._making.get(key)
            if task is None:
                task = self._making[key] = asyncio.create_task(self._make(prompt, path))
                task.add_done_callback(lambda _: self._making.pop(key, None))
            # Shielded: who gives up must not take it from others who wait for the same.
            await asyncio.shield(task)
        return str(path)

    def _key(self, prompt: Prompt) -> str:
        if isinstance(prompt, Say):
            words = ("say", self._speaker.name, prompt.text, prompt.locale, prompt.voice)
        elif isinstance(prompt, File):
            if prompt.path.startswith(("http://", "https://")):
                raise Unsupported("prompt.remote", "The built-in switch plays files of its own machine.")
            try:
                found = Path(prompt.path).stat()
            except OSError as error:
                raise Refused("prompt.missing", f"A prompt's file can't be read: {error.strerror}.") from None
            words = ("file", str(Path(prompt.path).resolve()), str(found.st_mtime_ns), str(found.st_size), "")
        elif isinstance(prompt, Tone):
            words = ("tone", " ".join(map(str, prompt.hertz)), str(prompt.duration_ms), "", "")
        else:
            words = ("silence", str(prompt.duration_ms), "", "", "")
        return sha256("\x1f".join(words).encode("utf-8", "replace")).hexdigest()[:32]

    async def _make(self, prompt: Prompt, path: Path) -> None:
        if isinstance(prompt, Say):
            if not prompt.text.strip() or len(prompt.text) > SAY_CHARS_MAX:
                raise Refused("prompt.text", f"A spoken text has 1 to {SAY_CHARS_MAX} characters.")
            spoken = await self._speaker.speak(prompt.text, prompt.locale, prompt.voice)
            audio = await asyncio.to_thread(from_wav, spoken.wav)
        elif isinstance(prompt, File):
            audio = await asyncio.to_thread(_read, prompt.path)
        else:
            audio = await asyncio.to_thread(_made, prompt)
        await asyncio.to_thread(_write, path, audio)


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            wav = file.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise Refused("prompt.missing", f"A prompt's file can't be read: {error.strerror}.") from None
    return from_wav(wav)


def _made(prompt: Tone | Silence) -> bytes:
    if not 0 < prompt.duration_ms <= _MILLISECONDS_MAX:
        raise Refused("prompt.length", f"A tone or a pause takes 1 to {_MILLISECONDS_MAX} ms.")
    if isinstance(prompt, Silence):
        return b"\xff" * (prompt.duration_ms * 8)
    if not 0 < len(prompt.hertz) <= 4 or not np.all((np.array(prompt.hertz) > 20) & (np.array(prompt.hertz) < 4_000)):
        raise Refused("prompt.tone", "A tone has one to four frequencies between 20 and 4000 Hz.")
    return sine(prompt.hertz, prompt.duration_ms)


def _write(path: Path, audio: bytes) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(audio)
    part.replace(path)
