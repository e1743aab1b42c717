"""The legs, playbacks and recordings of a switch that is told what to do by documents, and which document is next."""

import asyncio

import msgspec

from beckon.telephony.documents import Audible, Document, Hear, Join, Part, Piece, Press, Tape, Turn, Wait
from beckon.telephony.switch import Cause, Keys

#: How often what a waiting leg hears stands in one document.
_LOOPS = 6


class Playback(msgspec.Struct):
    """Something that is heard, or that waits to be."""

    id: str
    prompts: tuple[Audible, ...]
    barge_in: bool
    began_ms: int = 0


class Taping(msgspec.Struct):
    """One recording."""

    id: str
    leg: str
    call: str
    began_ms: int
    #: the vendor's id; empty: not known yet
    vendor: str = ""


class DocumentLeg:
    """One phone's half of a call, the document that it follows and what is to stand in its next one."""

    def __init__(self, leg: str, call: str, *, came_in: bool) -> None:
        self.id = leg
        #: the vendor's id; empty: not known yet
        self.call = call
        self.came_in = came_in
        self.ringing = False
        self.answered = False
        #: it follows a document that can be exchanged for another
        self.live = False
        self.ended = False
        self.ended_by_us: Cause | None = None
        self.turned_away = 0
        #: counts the documents: whoever asks on behalf of an older one is late
        self.document = 0
        self.heard_from_s = 0.0
        #: webhooks that wait for their answer
        self.asks = 0
        self.changing = False
        self.wake = asyncio.Event()
        self.queue: list[Playback | Press] = []
        self.tapes: list[Tape] = []
        self.playing: Playback | None = None
        self.waits: tuple[Audible, ...] | None = None
        self.keys: Keys | None = None
        #: the room that it is to join, and the one that it has joined, while it waits outside too
        self.joins = ""
        self.joined = ""
        #: the document under way is the one that led it into the room
        self.inside = False

    def compose(self, next_url: str, now_ms: int) -> Document:
        """Its next document: takes from the queue what is in it."""
        self.wake.clear()
        self.document += 1
        self.inside = False
        pieces: list[Piece] = []
        if self.ended:
            pieces = [Turn(self.turned_away) if self.turned_away else Part()]
        elif self.answered:
            pieces = self._pieces(now_ms)
            self.live = True
        return self.rest(next_url, tuple(pieces))

    def rest(self, next_url: str, pieces: tuple[Piece, ...] = ()) -> Document:
        """The document under way, with these pieces or with nothing but waiting."""
        url = f"{next_url}&document={self.document}"
        return Document(pieces=pieces, keys=self.keys, answered=self.answered, next_url=url)

    def _pieces(self, now_ms: int) -> list[Piece]:
        pieces: list[Piece] = [*self.tapes]
        self.tapes.clear()
        while self.queue and isinstance(self.queue[0], Press):
            pieces.append(self.queue.pop(0))  # type: ignore[arg-type]
        if self.joins:
            self.joined, self.joins = self.joins, ""
            self.inside = True
            pieces.append(Join(self.joined))
        elif self.queue:
            playback = self.queue.pop(0)
            assert isinstance(playback, Playback)
            playback.began_ms = now_ms
            self.playing = playback
            pieces.append(Hear(playback.prompts, playback.barge_in))
        elif self.waits:
            pieces.append(Wait(self.waits * _LOOPS))
        return pieces

    def silence(self) -> list[Playback]:
        """Take away everything that is heard or waits to be; what that was."""
        gone = [self.playing] if self.playing is not None else []
        gone += [one for one in self.queue if isinstance(one, Playback)]
        self.playing = None
        self.queue = [one for one in self.queue if isinstance(one, Press)]
        return gone

    def drop(self, playback: str) -> tuple[Playback, bool] | None:
        """Take away one playback; whether it was being heard."""
        if self.playing is not None and self.playing.id == playback:
            gone, self.playing = self.playing, None
            return gone, True
        for one in self.queue:
            if isinstance(one, Playback) and one.id == playback:
                self.queue.remove(one)
                return one, False
        return None
