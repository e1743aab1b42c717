"""Peaks: how loud a recording is over its length, for the waveform: made once, and kept beside the recording."""

import wave
from pathlib import Path

import msgspec
import numpy as np

from beckon.journeys.call_processing.upkeep import peaks_beside

#: Columns of the waveform.
COLUMNS = 600
_CHANNELS_MAX = 2
#: Of full scale: speech rarely reaches it, so a quiet line is still seen.
_FULL = 32_768


class Peaks(msgspec.Struct, frozen=True):
    """The loudest moment of each column in hundredths of full scale, for each channel."""

    seconds: float
    channels: tuple[tuple[int, ...], ...]


def peaks_of(path: Path) -> bytes:
    """A recording's peaks as JSON; none of a file that is no recording of ours. Reads the file: not on the loop."""
    kept = peaks_beside(path)
    try:
        return kept.read_bytes()
    except OSError:
        pass
    made = msgspec.json.encode(_made(path))
    try:
        part = kept.with_suffix(".part")
        part.write_bytes(made)
        part.replace(kept)
    except OSError:
        pass  # the disk is full: it is made again the next time
    return made


def _made(path: Path) -> Peaks:
    try:
        with wave.open(str(path)) as file:
            channels, width, rate, count = (
                file.getnchannels(),
                file.getsampwidth(),
                file.getframerate(),
                file.getnframes(),
            )
            if width != 2 or not 1 <= channels <= _CHANNELS_MAX or not rate or not count:
                return Peaks(0.0, ())
            columns: list[list[int]] = [[] for _ in range(channels)]
            for number in range(COLUMNS):
                frames = (number + 1) * count // COLUMNS - number * count // COLUMNS
                samples = np.frombuffer(file.readframes(frames), "<i2")
                samples = samples[: len(samples) - len(samples) % channels].reshape(-1, channels).astype(np.int32)
                loudest = np.abs(samples).max(axis=0) if len(samples) else np.zeros(channels)
                for column, value in zip(columns, loudest, strict=True):
                    column.append(int(value) * 100 // _FULL)
            return Peaks(round(count / rate, 2), tuple(tuple(column) for column in columns))
    except (OSError, wave.Error, EOFError, ValueError):
        return Peaks(0.0, ())
