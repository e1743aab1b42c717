"""Recordings on their way to disk: a second at a time, by a thread of its own, with a header that is always right.

So a kill -9 costs the last second and a half at most, and a slow disk holds up no voice. While it is written a
recording's name ends in ``.part``; closed, it has its own.
"""

import os
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from beckon.providers.sip.media.g711 import interleaved, mixed
from beckon.providers.sip.media.leg import Leg
from beckon.providers.sip.media.rtp import SAMPLES_A_SECOND
from beckon.providers.sip.media.tracks import Track
from beckon.providers.sip.media.wav import HEADER_BYTES, header
from beckon.providers.sip.wire import Recorded

#: How often a recording goes to disk.
SPILL_S = 1.0
#: How late a packet may come and still be heard.
_LATE_S = 0.4
PART = ".part"


class Recording:
    """One recording, as the loop sees it."""

    def __init__(self, name: str, of: str, path: str, left: Track, right: Track | None, stereo: bool, now_s: float):
        self.name = name
        self.of = of
        self.path = Path(path)
        self.left = left
        self.right = right
        self.stereo = stereo
        self.began_s = now_s
        #: whose words it holds
        self.legs: tuple[Leg, ...] = ()
        self.closed = False
        self._done = 0

    def spill(self, now_s: float, *, last: bool = False) -> "Chunk | None":
        """What is old enough to be complete; at the ``last`` everything."""
        until = int((now_s - self.began_s) * SAMPLES_A_SECOND)
        if not last:
            until -= int(_LATE_S * SAMPLES_A_SECOND)
        if until <= self._done:
            return None
        self._done = until
        left = self.left.take(until)
        if self.right is None:
            return Chunk(left, self.left.law, None, self.left.law)
        return Chunk(left, self.left.law, self.right.take(until), self.right.law)


class Chunk:
    """Samples of both sides, of equal length."""

    __slots__ = ("left", "left_law", "right", "right_law")

    def __init__(self, left: bytes, left_law: int, right: bytes | None, right_law: int) -> None:
        self.left, self.left_law, self.right, self.right_law = left, left_law, right, right_law

    def frames(self, stereo: bool) -> bytes:
        """As a WAV file holds them."""
        if self.right is not None and not stereo:
            return mixed(self.left, self.left_law, self.right, self.right_law)
        return interleaved(self.left, self.left_law, self.right, self.right_law)


class _File:
    """One file that grows."""

    def __init__(self, path: Path, channels: int) -> None:
        self.path = path
        self._channels = channels
        self._audio_bytes = 0
        self.why = ""
        self._descriptor = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(path.with_name(path.name + PART), flags, 0o600)
            os.pwrite(self._descriptor, header(channels, 0), 0)
        except OSError as error:
            self._fail(error)

    @property
    def seconds(self) -> float:
        return self._audio_bytes / (2 * self._channels) / SAMPLES_A_SECOND

    def append(self, frames: bytes) -> None:
        """The samples first, then the header that counts them."""
        if self._descriptor < 0 or self.why:
            return
        try:
            _write_all(self._descriptor, frames, HEADER_BYTES + self._audio_bytes)
            self._audio_bytes += len(frames)
            os.pwrite(self._descriptor, header(self._channels, self._audio_bytes), 0)
        except OSError as error:
            self._fail(error)

    def close(self) -> str:
        """Give it its name; the path, or nothing where nothing was recorded."""
        if self._descriptor < 0:
            return ""
        part = self.path.with_name(self.path.name + PART)
        try:
            os.close(self._descriptor)
            if not self._audio_bytes:
                part.unlink(missing_ok=True)
                return ""
            part.rename(self.path)
        except OSError as error:  # somebody took the file, or the folder, away
            self._fail(error)
            return ""
        return str(self.path)

    def _fail(self, error: OSError) -> None:
        self.why = f"the recording could not be written: {error.strerror or type(error).__name__}"


class Writer:
    """The thread that writes."""

    def __init__(self, tell: Callable[[Recorded], None]) -> None:
        self._tell = tell
        self._jobs: SimpleQueue[tuple[str, str, object]] = SimpleQueue()
        self._files: dict[str, tuple[_File, bool]] = {}
        self._thread = Thread(target=self._run, name="recordings", daemon=True)
        self._thread.start()

    def open(self, recording: Recording) -> None:
        """Begin a file."""
        self._jobs.put(("open", recording.name, recording))

    def append(self, name: str, chunk: Chunk) -> None:
        """Add to it."""
        self._jobs.put(("append", name, chunk))

    def close(self, name: str, why: str) -> None:
        """End it; ``Recorded`` is told when it lies there."""
        self._jobs.put(("close", name, why))

    def join(self) -> None:
        """Until all that was asked for is on disk."""
        self._jobs.put(("end", "", None))
        self._thread.join()

    def _run(self) -> None:
        while True:
            job, name, what = self._jobs.get()
            if job == "end":
                return
            if isinstance(what, Recording):
                stereo = what.stereo and what.right is not None
                self._files[name] = (_File(what.path, 2 if stereo else 1), stereo)
            elif isinstance(what, Chunk):
                file, stereo = self._files[name]
                file.append(what.frames(stereo))
            else:
                file, _ = self._files.pop(name)
                path = file.close()
                self._tell(Recorded(name, path, file.seconds, file.why or str(what)))


def _write_all(descriptor: int, frames: bytes, at: int) -> None:
    view = memoryview(frames)
    while view:
        written = os.pwrite(descriptor, view, at)
        at += written
        view = view[written:]
