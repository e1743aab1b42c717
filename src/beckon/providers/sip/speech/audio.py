"""Recorded audio as G.711: WAV files of any usual rate and width, brought to 8 kHz without aliases. Pure."""

import io
import wave

import numpy as np
from numpy.typing import NDArray

from beckon.core.errors import Refused
from beckon.providers.sip.media.g711 import ULAW, encode_one

_RATE = 8_000
_RATES_MAX = 192_000
_SECONDS_MAX = 1_800
#: Half the length of the filter, in samples of the lower rate.
_REACH = 16

_CODES = np.array([encode_one(sample, ULAW) for sample in range(-32_768, 32_768, 4)], dtype=np.uint8)


def from_wav(wav: bytes) -> bytes:
    """A WAV file as µ-law at 8 kHz. Raises ``Refused`` where it is none that can be played."""
    try:
        with wave.open(io.BytesIO(_honest(wav))) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            if not 4_000 <= rate <= _RATES_MAX or width not in (1, 2, 3, 4) or not 1 <= channels <= 8:
                raise Refused("prompt.format", "The prompt is no WAV file of a usual rate and width.")
            frames = file.readframes(_SECONDS_MAX * rate)
    except (wave.Error, EOFError):
        raise Refused("prompt.format", "The prompt is no WAV file of PCM samples.") from None
    samples = _samples(frames[: len(frames) - len(frames) % (width * channels)], width)
    mono = samples.reshape(-1, channels).mean(axis=1)
    return to_ulaw(resampled(mono, rate))


def to_ulaw(samples: NDArray[np.float64]) -> bytes:
    """Samples between -1 and 1 as µ-law."""
    whole = np.clip(np.rint(samples * 32_767), -32_768, 32_767).astype(np.int32)
    return bytes(_CODES[(whole + 32_768) >> 2])


def resampled(samples: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Samples at 8 kHz: each is a weighted sum of its neighbours (a windowed sinc), so that nothing folds back."""
    if rate == _RATE or not len(samples):
        return samples
    count = len(samples) * _RATE // rate
    step = rate / _RATE
    cut = min(1.0, _RATE / rate) * 0.94
    reach = int(np.ceil(_REACH * max(1.0, step)))
    padded = np.concatenate([np.zeros(reach), samples, np.zeros(reach + 1)])
    taps = np.arange(-reach + 1, reach + 1)
    out = np.empty(count)
    for start in range(0, count, 8_192):  # a piece at a time: the table of neighbours is large
        at = np.arange(start, min(start + 8_192, count)) * step
        whole = np.floor(at).astype(np.int64)
        distance = taps[None, :] - (at - whole)[:, None]
        window = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / reach, -1, 1))
        weights = cut * np.sinc(cut * distance) * window
        out[start : start + len(at)] = (padded[(whole + reach)[:, None] + taps[None, :]] * weights).sum(axis=1)
    return out


def _samples(frames: bytes, width: int) -> NDArray[np.float64]:
    if width == 1:
        return (np.frombuffer(frames, np.uint8).astype(np.float64) - 128) / 128
    if width == 3:
        packed = np.frombuffer(frames, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(packed), 4), np.uint8)
        wide[:, 1:] = packed
        return wide.reshape(-1).view("<i4").astype(np.float64) / 2**31
    kind, scale = ("<i2", 2**15) if width == 2 else ("<i4", 2**31)
    return np.frombuffer(frames, kind).astype(np.float64) / scale


def _honest(wav: bytes) -> bytes:
    """A file whose header was written before its length was known (as on a pipe), with a header that says it."""
    at = wav.find(b"data", 12, 4_096)
    if at < 0 or len(wav) < at + 8:
        return wav
    there = len(wav) - at - 8
    if int.from_bytes(wav[at + 4 : at + 8], "little") <= there:
        return wav
    return (
        wav[:4] + (len(wav) - 8).to_bytes(4, "little") + wav[8 : at + 4] + there.to_bytes(4, "little") + wav[at + 8 :]
    )
