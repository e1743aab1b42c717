"""A track: what one side said, placed by its RTP time stamps, so that jitter, loss and order leave no trace in time.

A new source, or a time stamp that contradicts the clock, is placed anew by its arrival.
"""

from beckon.providers.sip.media.g711 import SILENCE, turn
from beckon.providers.sip.media.rtp import SAMPLES_A_SECOND

_WRAP = 0xFFFFFFFF
_HALF = 0x80000000
#: How far a time stamp may contradict the clock, in samples: two seconds.
_DOUBT = 2 * SAMPLES_A_SECOND
#: From this distance on it is asked whether it does.
_LEAP = SAMPLES_A_SECOND // 5


class Track:
    """The samples of one side that are not yet on disk."""

    __slots__ = ("_began_s", "_buffer", "_shift", "_silence", "_source", "_start", "law")

    def __init__(self, law: int, began_s: float) -> None:
        self.law = law
        self._began_s = began_s
        self._silence = SILENCE[law]
        self._buffer = bytearray()
        self._start = 0
        self._shift = 0
        self._source = -1

    @property
    def end(self) -> int:
        """Samples from the beginning to the last one that came."""
        return self._start + len(self._buffer)

    def place(self, source: int, time_stamp: int, audio: bytes, law: int, now_s: float) -> None:
        """Put a packet's audio where its time stamp says."""
        if law != self.law:
            audio = turn(audio, law, self.law)
        if source != self._source:
            self._source = source
            self._shift = (self._arrival(now_s) - time_stamp) & _WRAP
        at = self._at(time_stamp)
        gap = at - self.end
        if not -_LEAP < gap < _LEAP and abs(at - self._arrival(now_s)) > _DOUBT:
            self._shift = (self._arrival(now_s) - time_stamp) & _WRAP
            at = self._at(time_stamp)
            gap = at - self.end
        if gap == 0:
            self._buffer += audio
            return
        index = at - self._start
        if index < 0:  # that part is on disk already
            audio = audio[-index:]
            index = 0
        if gap > 0:
            self._buffer += self._silence * gap
        self._buffer[index : index + len(audio)] = audio

    def take(self, until: int) -> bytes:
        """The samples up to there, with silence where none came."""
        count = until - self._start
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._start = until
        return taken + self._silence * (count - len(taken))

    def _at(self, time_stamp: int) -> int:
        at = (time_stamp + self._shift) & _WRAP
        return at - _WRAP - 1 if at >= _HALF else at

    def _arrival(self, now_s: float) -> int:
        return int((now_s - self._began_s) * SAMPLES_A_SECOND)
