"""Prompt URLs: what a vendor fetches from us to play it: files that a script named, tones as they are asked for.

Nothing is kept of them: the URL says what it is, and a proof that we made it.
"""

import hmac
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from beckon.core.errors import Refused
from beckon.telephony.documents import Audible
from beckon.telephony.switch import File, Prompt, Tone

_RATE = 8_000
_SIZE_BYTES_MAX = 16 * 1024 * 1024
_TONE_MS_MAX = 60_000
_LOUD = 8_000
_TYPES = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg"}


def audible(prompt: Prompt, hook_url: str, secret: str) -> Audible:
    """A prompt as somebody elsewhere can hear it."""
    if isinstance(prompt, File) and "://" not in prompt.path:
        return File(_signed(hook_url, secret, "prompt", prompt.path))
    if isinstance(prompt, Tone):
        hertz = "+".join(f"{one:g}" for one in prompt.hertz)
        return File(_signed(hook_url, secret, "tone", f"{hertz}*{prompt.duration_ms}"))
    return prompt


def fetched(query: Mapping[str, str], secret: str) -> tuple[bytes, str]:
    """The bytes of a prompt, and their media type. Blocks. Raises ``Refused`` for what is none of ours."""
    for kind, made in (("prompt", _file), ("tone", _tone)):
        value = query.get(kind, "")
        if value and hmac.compare_digest(query.get("proof", "").encode(), _proof(secret, kind, value).encode()):
            return made(value)
    raise Refused("http.not_found", "there is nothing here")


def _signed(hook_url: str, secret: str, kind: str, value: str) -> str:
    return f"{hook_url}?{urlencode({kind: value, 'proof': _proof(secret, kind, value)})}"


def _proof(secret: str, kind: str, value: str) -> str:
    return hmac.new(secret.encode(), f"{kind}:{value}".encode("utf-8", "replace"), "sha256").hexdigest()[:40]


def _file(path: str) -> tuple[bytes, str]:
    file = Path(path)
    try:
        if file.stat().st_size > _SIZE_BYTES_MAX:
            raise Refused("http.not_found", "the prompt is too large")
        return file.read_bytes(), _TYPES.get(file.suffix.lower(), "application/octet-stream")
    except (OSError, ValueError):
        raise Refused("http.not_found", "there is no such prompt") from None


def _tone(value: str) -> tuple[bytes, str]:
    hertz, _star, length = value.partition("*")
    waves = [2 * math.pi * float(one) / _RATE for one in hertz.split("+")]
    count = _RATE * min(int(length), _TONE_MS_MAX) // 1_000
    loud = _LOUD / len(waves)
    samples = [int(sum(loud * math.sin(wave * at) for wave in waves)) for at in range(count)]
    sound = struct.pack(f"<{count}h", *samples)
    shape = struct.pack("<IHHIIHH", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    inside = b"WAVEfmt " + shape + b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", len(inside)) + inside, "audio/wav"
