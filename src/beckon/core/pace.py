"""Pace: when the next piece of big work may begin, and how large it may be. Pure: time is handed in, in seconds.

Big work is what nobody waits for one by one: a campaign's way through all members, an import, what a million offers
have due at one midnight. It goes on in pieces, and between two pieces whoever waits goes first. Three things are kept:

*Size.* A piece takes ``piece_ms`` beyond what any turn costs (a sync to disk): what one member costs is measured as it
goes. While nobody else is there a piece is three times as large: fewer of them cost less.

*Share.* While events of people and partners come, a pause follows each piece, so that big work has ``share_percent`` of
the time at most. Where such an event waits for big work, and longer than ``goal_ms`` and than three times what others
wait who meet none (the machine may be slow, or busy), it has less: a tenth less each time, and a hundredth more each
time that one does not, between a tenth of the time and its share.

*Patience.* A piece waits for a moment in which nobody else does. Where there is none, because the machine is slow or
much comes, it goes along with others, after them, once it has waited ``PATIENCE_S`` beyond its pause.
"""

#: So long after the last event of people or partners, nobody is there, in seconds.
CALM_S = 1.0
#: How many times longer a piece may take then.
CALM_TIMES = 3
#: Big work waits this long for a moment of its own, and its pause is no longer than that, in seconds.
PATIENCE_S = 0.05
PAUSE_MAX_S = 1.0
#: Members, or rows, in one piece.
PIECE_MIN, PIECE_MAX, PIECE_FIRST = 8, 128, 16
SHARE_MIN = 0.1
#: How many times longer than others an event may wait for big work.
LONGER_MAX = 3
#: How much the newest measurement counts.
_NEWEST = 0.2
#: And where it is longer than what was known.
_LONGER = 0.04


class Pace:
    """How fast big work goes."""

    def __init__(self, *, piece_ms: int = 4, goal_ms: int = 20, share_percent: int = 50) -> None:
        self._piece_s = max(1, piece_ms) / 1000
        self._goal_ms = goal_ms
        self._share_max = min(100, max(1, share_percent)) / 100
        #: of the time, while others come
        self.share = self._share_max
        self._heard_s = -CALM_S
        self._free_s = 0.0
        self._ended_s = 0.0
        #: what a turn costs however little it does
        self._floor_s = 0.0
        #: what events wait that meet no big work, in milliseconds
        self._alone_ms = 0.0
        #: (kind of work, what of it) → seconds for each member or row
        self._costs: dict[tuple[str, str], float] = {}

    def heard(self, now_s: float, waited_ms: int) -> None:
        """An event of people or partners was turned; it had waited so long since it was accepted."""
        self._heard_s = now_s
        met = self._ended_s > now_s - waited_ms / 1000
        if not met:
            self._alone_ms += (waited_ms - self._alone_ms) * _NEWEST
        if met and waited_ms > max(self._goal_ms, LONGER_MAX * self._alone_ms):
            self.share = max(min(SHARE_MIN, self._share_max), self.share * 0.9)
        else:
            self.share = min(self._share_max, self.share + 0.01)

    def turned(self, took_s: float, *, big: bool) -> None:
        """A turn took so long: what those without big work take, the quicker ones rather, is what any turn costs."""
        if took_s < self._floor_s or not self._floor_s:
            self._floor_s += (took_s - self._floor_s) * (_NEWEST if self._floor_s else 1)
        elif not big:
            self._floor_s += (took_s - self._floor_s) * _LONGER

    def spent(self, now_s: float, took_s: float, kind: str, units: int, what: str = "") -> None:
        """Big work took so long: a piece of it with so many units, or (``what``) what followed from that piece."""
        cost = max(0.0, took_s - self._floor_s) / max(1, units)
        known = self._costs.get((kind, what))
        # A neighbour on the machine may have had the core meanwhile: a long piece says less than a short one.
        if known is None:
            self._costs[kind, what] = cost
        else:
            self._costs[kind, what] += (cost - known) * (_LONGER if cost > known else _NEWEST)
        self._paused(now_s, took_s)

    def went_along(self, now_s: float, kind: str, units: int, what: str = "") -> None:
        """Big work was done in a turn of others: it took what such a piece, or what follows from it, takes."""
        cost = self._costs.get((kind, what), 0.0)
        self._paused(now_s, cost * units)

    def _paused(self, now_s: float, took_s: float) -> None:
        self._ended_s = now_s
        if self.share < 1 and not self.calm(now_s):
            pause_s = max(now_s, self._free_s) - now_s + took_s * (1 - self.share) / self.share
            self._free_s = now_s + min(PAUSE_MAX_S, pause_s)

    def pause_s(self, now_s: float) -> float:
        """How long the next piece has to wait; 0: it may begin."""
        return 0.0 if self.calm(now_s) else max(0.0, self._free_s - now_s)

    def overdue(self, now_s: float, since_s: float) -> bool:
        """Whether work that waits since then has waited long enough for a moment of its own."""
        return now_s - max(since_s, self._free_s) > PATIENCE_S

    def calm(self, now_s: float) -> bool:
        """Whether nobody else is there."""
        return now_s - self._heard_s >= CALM_S

    def size(self, now_s: float, kind: str) -> int:
        """How many members or rows the next piece of this kind may have."""
        cost = max([cost for (of, _), cost in self._costs.items() if of == kind], default=0.0)
        if not cost:
            return PIECE_FIRST
        budget_s = self._piece_s * (CALM_TIMES if self.calm(now_s) else 1)
        return max(PIECE_MIN, min(PIECE_MAX, int(budget_s / cost)))
