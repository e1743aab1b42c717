"""Finds tones in what was heard or recorded."""

import wave
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 8_000


def loudest(samples: "array[int] | NDArray[np.int16]") -> float:
    """The frequency of the loudest sine; 0 where it is quiet."""
    found = np.asarray(samples, dtype=np.float64)
    if not len(found) or np.abs(found).max() < 300:
        return 0.0
    spectrum = np.abs(np.fft.rfft(found * np.hanning(len(found)), 4 * len(found)))
    spectrum[: len(spectrum) * 60 // (RATE // 2)] = 0
    return float(spectrum.argmax()) * RATE / (4 * len(found))


def channels(path: str) -> list[NDArray[np.int16]]:
    """A recording's channels."""
    with wave.open(path) as file:
        assert file.getframerate() == RATE
        assert file.getsampwidth() == 2
        count = file.getnchannels()
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return [frames[at::count] for at in range(count)]


def stretches(samples: NDArray[np.int16], hertz: float, window: int = 400) -> list[tuple[int, int]]:
    """From where to where a tone is heard without a hole, in windows of 50 ms, as sample positions."""
    heard = [abs(loudest(samples[at : at + window]) - hertz) < 30 for at in range(0, len(samples) - window + 1, window)]
    out: list[tuple[int, int]] = []
    start: int | None = None
    for at, found in enumerate([*heard, False]):
        if found and start is None:
            start = at
        elif not found and start is not None:
            out.append((start * window, at * window))
            start = None
    return out


def longest(samples: NDArray[np.int16], hertz: float) -> tuple[int, int]:
    """Where a tone is heard for the longest time: a phone of others may stutter on a busy machine."""
    return max(stretches(samples, hertz), key=lambda stretch: stretch[1] - stretch[0])


def holes(samples: NDArray[np.int16], level: int = 200, shortest: int = 80) -> int:
    """How many stretches of 10 ms and more are silent."""
    quiet = np.abs(samples.astype(np.int32)) < level
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    return int(((edges[1::2] - edges[::2]) >= shortest).sum())


def write_wav(path: Path, samples: NDArray[np.int16], rate: int = RATE) -> None:
    """A mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
