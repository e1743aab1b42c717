"""Sending: rows to the API in batches, a few at a time, as fast as the server likes and no faster.

Whoever is there already, by the other system's id or the mailbox, is known and stays as they are: the same file again,
or a batch whose answer was lost, changes nothing. A server that is busy says so (503, Retry-After) and
all wait. What a batch can't be taken for is looked for by halves, so that one bad row costs only itself.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from beckon.core.errors import Unavailable
from beckon.core.exchange import Connections, Reply
from beckon.journeys.loyalty_offers.importing.rows import FileProblem, GoodRow, Row, WrongRow

#: Rows in one request, and bytes of it: the server's own limits are above both.
BATCH_MAX = 500
_BATCH_BYTES_MAX = 400_000
IN_FLIGHT_MAX = 16
TIMEOUT_S = 60.0
#: The server may be away this long before we give up.
AWAY_MAX_S = 300.0
_WAIT_MAX_S = 60.0

_encode = msgspec.json.Encoder(order="deterministic").encode


class Stopped(Exception):
    """The import can't go on: the server refuses the key, or is away."""


class Done(msgspec.Struct):
    """How far an import is."""

    rows: int = 0
    new: int = 0
    known: int = 0
    wrong: int = 0
    #: how many bytes of the file, up to the first row that isn't done.
    bytes: int = 0
    #: where to begin again: every line before it is done.
    next_line: int = 2
    #: how long the server asked us to wait, in seconds.
    waited_s: float = 0.0


class _Batch(msgspec.Struct, frozen=True):
    rows: tuple[Row, ...]
    body: bytes

    @property
    def good(self) -> list[GoodRow]:
        return [row for row in self.rows if isinstance(row, GoodRow)]


class Sending:
    """One import. ``on_wrong`` is told of each row that was not taken, ``on_done`` after each batch."""

    def __init__(
        self,
        connections: Connections,
        url: str,
        key: str,
        *,
        in_flight: int = 2,
        batch: int = BATCH_MAX,
        on_wrong: Callable[[WrongRow], None],
        on_done: Callable[[Done], None],
        pause: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._connections = connections
        self._url = f"{url.rstrip('/')}/v1/loyalty/members/batch"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._in_flight = max(1, min(in_flight, IN_FLIGHT_MAX))
        self._batch = max(1, min(batch, BATCH_MAX))
        self._on_wrong = on_wrong
        self._on_done = on_done
        self._pause = pause
        self.done = Done()
        #: batch's number → its rows, done out of order: what is before the first gap is done.
        self._finished: dict[int, _Batch] = {}
        self._gone = 0
        #: nobody asks before this instant.
        self._quiet_until = 0.0

    async def run(self, rows: Iterable[Row], from_line: int = 2) -> Done:
        """Send everything from a line on. Raises ``Stopped``, and what reading the rows raises."""
        batches = enumerate(_cut(rows, self._batch, from_line))
        self.done.next_line = from_line
        workers = [asyncio.create_task(self._work(batches)) for _ in range(self._in_flight)]
        try:
            ended, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            if any(isinstance(worker.exception(), FileProblem) for worker in ended):
                await asyncio.wait(workers)  # the others finish what they have
        finally:
            for worker in workers:
                worker.cancel()
            told = await asyncio.gather(*workers, return_exceptions=True)
        for error in told:
            if isinstance(error, Exception):
                raise error
        return self.done

    async def _work(self, batches: "Iterator[tuple[int, _Batch]]") -> None:
        for number, batch in batches:  # each worker takes the next
            for row in batch.rows:
                if isinstance(row, WrongRow):
                    self._wrong(row)
            if batch.good:
                await self._send(batch.good, batch.body)
            self._finish(number, batch)

    async def _send(self, rows: Sequence[GoodRow], body: bytes) -> None:
        reply = await self._ask(body)
        if reply.status in (200, 201):
            for row, said in zip(rows, _answers(reply, len(rows)), strict=True):
                error = said.get("error")
                if error:
                    why = str(error.get("detail") or error.get("why") or "")
                    self._wrong(WrongRow(row.line, row.end, row.values, str(error.get("code", "")), why))
                elif said.get("known") is True:
                    self.done.known += 1
                else:
                    self.done.new += 1
            return
        code, why = _refusal(reply)
        if reply.status not in (400, 413, 422):
            raise Stopped(f"the server refuses: {why} [{code}]")
        if len(rows) == 1:
            self._wrong(WrongRow(rows[0].line, rows[0].end, rows[0].values, code, why))
            return
        half = len(rows) // 2
        for part in (rows[:half], rows[half:]):
            await self._send(part, _body(part))

    async def _ask(self, body: bytes) -> Reply:
        """The server's answer, however long it is busy; not for ever where it is away."""
        away_since, wait_s = 0.0, 1.0
        while True:
            while (left := self._quiet_until - time.monotonic()) > 0:
                await self._pause(left)
            try:
                reply = await self._connections.request(
                    "POST", self._url, headers=self._headers, body=body, timeout_s=TIMEOUT_S
                )
            except Unavailable as error:
                now = time.monotonic()
                away_since = away_since or now
                if now - away_since > AWAY_MAX_S:
                    raise Stopped(f"the server is away: {error.why}") from error
                await self._pause(wait_s)
                wait_s = min(wait_s * 2, 30.0)
                continue
            if reply.status not in (429, 502, 503, 504):
                return reply
            away_since = 0.0
            asked_s = min(_WAIT_MAX_S, max(0.5, _seconds(reply.headers.get("retry-after", ""))))
            self.done.waited_s += asked_s
            self._quiet_until = max(self._quiet_until, time.monotonic() + asked_s)

    def _wrong(self, row: WrongRow) -> None:
        self.done.wrong += 1
        self._on_wrong(row)

    def _finish(self, number: int, batch: _Batch) -> None:
        self.done.rows += len(batch.rows)
        self._finished[number] = batch
        while self._gone in self._finished:
            last = self._finished.pop(self._gone).rows[-1]
            self._gone += 1
            self.done.bytes = last.end
            self.done.next_line = last.line + 1
        self._on_done(self.done)


def _cut(rows: Iterable[Row], most: int, from_line: int) -> Iterator[_Batch]:
    """Batches of the rows from a line on."""
    waiting: list[Row] = []
    size = 0
    try:
        for row in rows:
            waiting.append(row)
            size += sum(map(len, row.values)) + 200
            if len(waiting) >= most or size >= _BATCH_BYTES_MAX:
                yield from _whole(waiting, from_line)
                waiting, size = [], 0
    except FileProblem:
        yield from _whole(waiting, from_line)  # what came before the problem is as good as ever
        raise
    yield from _whole(waiting, from_line)


def _whole(rows: list[Row], from_line: int) -> Iterator[_Batch]:
    left = [row for row in rows if row.line >= from_line]
    if left:
        yield _Batch(tuple(left), _body([row for row in left if isinstance(row, GoodRow)]))


def _body(rows: Sequence[GoodRow]) -> bytes:
    return _encode({"members": [row.member for row in rows]})


def _answers(reply: Reply, count: int) -> list[dict[str, Any]]:
    try:
        said = msgspec.json.decode(reply.body)["members"]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Stopped("the server's answer can't be read: is it a Beckon of this version?") from error
    if not isinstance(said, list) or len(said) != count:
        raise Stopped("the server answered for another number of rows")
    return [one if isinstance(one, dict) else {} for one in said]


def _refusal(reply: Reply) -> tuple[str, str]:
    try:
        body = msgspec.json.decode(reply.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return f"http.{reply.status}", f"status {reply.status}"
    return str(body.get("code") or f"http.{reply.status}"), str(body.get("detail") or f"status {reply.status}")


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 1.0
