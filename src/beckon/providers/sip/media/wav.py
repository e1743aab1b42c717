"""WAV files of 16-bit samples: a header that is kept right while the file grows, and the repair of one that isn't."""

import os
import struct
from pathlib import Path

_HEADER = struct.Struct("<4sL4s4sLHHLLHH4sL")
HEADER_BYTES = 44
_RATE = 8_000


def header(channels: int, audio_bytes: int) -> bytes:
    """The 44 bytes in front of the samples."""
    frame = 2 * channels
    return _HEADER.pack(
        b"RIFF",
        min(36 + audio_bytes, 0xFFFFFFFF),
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        _RATE,
        _RATE * frame,
        frame,
        16,
        b"data",
        min(audio_bytes, 0xFFFFFFFF),
    )


def repair(path: Path) -> float:
    """Make the header of a file that was cut off say what is there; the seconds that it holds, 0 where it is none."""
    with path.open("r+b") as file:
        found = file.read(HEADER_BYTES)
        if len(found) < HEADER_BYTES or found[:4] != b"RIFF" or found[8:16] != b"WAVEfmt ":
            return 0.0
        channels = int(_HEADER.unpack(found)[6])
        if channels not in (1, 2):
            return 0.0
        frame = 2 * channels
        size = file.seek(0, os.SEEK_END) - HEADER_BYTES
        whole = size - size % frame
        file.truncate(HEADER_BYTES + whole)
        file.seek(0)
        file.write(header(channels, whole))
    return float(whole / frame / _RATE)
