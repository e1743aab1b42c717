"""What is played to a leg: files of G.711 µ-law, kept in memory while they are used again and again."""

from collections import OrderedDict
from pathlib import Path

from beckon.providers.sip.media.g711 import ULAW, turn
from beckon.providers.sip.media.rtp import FRAME, SAMPLES_A_SECOND

#: All prompts in memory together: more than an hour of them.
_MEMORY_BYTES_MAX = 32 * 1024 * 1024
#: One file: half an hour.
_FILE_BYTES_MAX = 1_800 * SAMPLES_A_SECOND


class Playback:
    """Audio for one leg, and how far it is."""

    __slots__ = ("again", "at", "audio", "barge_in", "name")

    def __init__(self, name: str, audio: bytes, *, barge_in: bool = False, again: bool = False) -> None:
        self.name = name
        self.audio = audio
        self.barge_in = barge_in
        #: from the beginning when it ends
        self.again = again
        self.at = 0

    @property
    def played_ms(self) -> int:
        """How much was sent."""
        return min(self.at, len(self.audio)) * 1000 // SAMPLES_A_SECOND

    def next(self, silence: bytes) -> bytes | None:
        """The next 20 ms; None at the end."""
        at = self.at
        audio = self.audio
        if at >= len(audio):
            if not self.again or not audio:
                return None
            at = 0
        self.at = at + FRAME
        frame = audio[at : at + FRAME]
        return frame if len(frame) == FRAME else frame + silence * (FRAME - len(frame))


class Shelf:
    """Files by path and law, the least used ones forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0

    def read(self, files: tuple[str, ...], law: int) -> bytes:
        """The files one after the other. Raises ``OSError``."""
        return b"".join([self._one(path, law) for path in files])

    def _one(self, path: str, law: int) -> bytes:
        kept = self._kept.get((path, law))
        if kept is not None:
            self._kept.move_to_end((path, law))
            return kept
        with Path(path).open("rb") as file:
            audio = turn(file.read(_FILE_BYTES_MAX), ULAW, law)
        self._kept[path, law] = audio
        self._bytes += len(audio)
        while self._bytes > _MEMORY_BYTES_MAX and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return audio
