"""The recordings that are under way: their tracks at the legs, and the second by second to the writer."""

from collections.abc import Callable, Iterable
from time import monotonic

from beckon.providers.sip import wire
from beckon.providers.sip.media.leg import Leg
from beckon.providers.sip.media.recorder import SPILL_S, Recording, Writer
from beckon.providers.sip.media.tracks import Track

#: ``after(seconds, what)``: do something later, in the loop.
After = Callable[[float, Callable[[float], None]], None]


class Recordings:
    """All of them."""

    def __init__(self, writer: Writer, after: After) -> None:
        self._writer = writer
        self._after = after
        self._under_way: dict[str, Recording] = {}

    def of_bridge(self, said: wire.StartRecording, one: Leg, other: Leg, now_s: float) -> None:
        """Record what both legs of a bridge say: the first on the left."""
        left, right = Track(one.law, now_s), Track(other.law, now_s)
        one.said += (left,)
        other.said += (right,)
        self._begin(said, (one, other), left, right, now_s)

    def of_leg(self, said: wire.StartRecording, leg: Leg, now_s: float) -> None:
        """Record what a leg says, and in stereo what it hears."""
        left = Track(leg.law, now_s)
        leg.said += (left,)
        right = None
        if said.stereo:
            right = Track(leg.law, now_s)
            leg.told += (right,)
        self._begin(said, (leg,), left, right, now_s)

    def end(self, name: str, why: str = "") -> None:
        """Close a recording; one that has ended already is no fault."""
        recording = self._under_way.pop(name, None)
        if recording is None:
            return
        recording.closed = True
        tracks = (recording.left, recording.right)
        for leg in recording.legs:
            leg.said = tuple(track for track in leg.said if track not in tracks)
            leg.told = tuple(track for track in leg.told if track not in tracks)
        chunk = recording.spill(monotonic(), last=True)
        if chunk is not None:
            self._writer.append(name, chunk)
        self._writer.close(name, why)

    def end_of(self, what: str) -> None:
        """A leg or a bridge is over, and its recordings with it."""
        for recording in [each for each in self._under_way.values() if each.of == what]:
            self.end(recording.name)

    def end_all(self, why: str) -> None:
        """Close all of them."""
        for name in list(self._under_way):
            self.end(name, why)

    def _begin(
        self, said: wire.StartRecording, legs: Iterable[Leg], left: Track, right: Track | None, now_s: float
    ) -> None:
        recording = Recording(said.recording, said.of, said.path, left, right, said.stereo, now_s)
        recording.legs = tuple(legs)
        self._under_way[said.recording] = recording
        self._writer.open(recording)
        self._after(SPILL_S, lambda later_s: self._spill(recording, later_s))
        if said.max_s > 0:
            self._after(said.max_s, lambda later_s: self._run_out(recording))

    def _run_out(self, recording: Recording) -> None:
        if not recording.closed:
            self.end(recording.name)

    def _spill(self, recording: Recording, now_s: float) -> None:
        if recording.closed:
            return
        chunk = recording.spill(now_s)
        if chunk is not None:
            self._writer.append(recording.name, chunk)
        self._after(SPILL_S, lambda later_s: self._spill(recording, later_s))
