"""Live pages: server-sent events that say *what* changed, never how. The page asks again for the regions it
shows.

An event's data is the topic (``conversations``, ``contact:con_…``). What a slow reader hasn't taken yet is kept
as a set of topics, so that nothing piles up: many changes to one topic are one event. After a break the browser
sends ``Last-Event-ID``; when anything happened since, it gets one ``refresh``.

An event's id is a *mark*: the journal's position, and which change of this process it was, since what changes
without an event (a timer, a clock that is dragged) leaves the position where it is. A page carries the mark of
before it was read, so that nothing is lost between its reading and its listening.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

from starlette.requests import Request
from starlette.responses import StreamingResponse

from beckon.core import ids
from beckon.core.errors import Refused, Unavailable

STREAMS_PER_WORKSPACE_MAX = 256
TOPICS_MAX = 32
#: Topics that wait for a reader of ``*``; beyond it they become one ``refresh``.
PENDING_MAX = 64
HEARTBEAT_S = 15.0
#: What the browser waits before it comes back.
RETRY_MS = 2_000

EVERYTHING = "*"
_REFRESH = "refresh"
_DIGITS_MAX = 18


class Subscription:
    """One open stream: the topics it wants, and those that changed since it was last read."""

    def __init__(self, hub: "Hub", workspace: str, topics: frozenset[str]) -> None:
        self.workspace = workspace
        self.topics = topics
        self._hub = hub
        self._pending: dict[str, str] = {}
        self._wake = asyncio.Event()
        self.closed = False

    def put(self, topic: str, mark: str) -> None:
        """Note that ``topic`` changed."""
        if _REFRESH in self._pending or (len(self._pending) >= PENDING_MAX and topic not in self._pending):
            self._pending = {_REFRESH: mark}
        else:
            # Last in line: whoever has read up to a mark has read all that came before it.
            self._pending.pop(topic, None)
            self._pending[topic] = mark
        self._wake.set()

    async def take(self, timeout_s: float = HEARTBEAT_S) -> list[tuple[str, str]]:
        """What changed, as (topic, mark) in the marks' order; empty after ``timeout_s`` without a change, or when
        closed."""
        if not self._pending and not self.closed:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return []
        self._wake.clear()
        taken, self._pending = self._pending, {}
        return list(taken.items())

    def close(self) -> None:
        """End the stream."""
        self.closed = True
        self._wake.set()
        self._hub.forget(self)


class Hub:
    """Publish and subscribe within this process, by workspace and topic."""

    def __init__(self, *, streams_per_workspace_max: int = STREAMS_PER_WORKSPACE_MAX) -> None:
        self._streams: dict[str, set[Subscription]] = {}
        self._positions: dict[str, int] = {}
        self._max = streams_per_workspace_max
        #: Which process counts: after a restart nobody knows what happened before.
        self._name = ids.fresh("hub").removeprefix("hub_")
        self._count = 0
        #: The number of each workspace's last change.
        self._changes: dict[str, int] = {}
        self._closed = False

    def publish(self, workspace: str, topics: Iterable[str], position: int) -> None:
        """Say that these topics changed with the event at ``position``. Never waits."""
        self._positions[workspace] = max(position, self._positions.get(workspace, 0))
        self._count += 1
        self._changes[workspace] = self._count
        streams = self._streams.get(workspace)
        if not streams:
            return
        mark = self.mark(workspace)
        for topic in topics:
            for stream in streams:
                if topic in stream.topics or EVERYTHING in stream.topics:
                    stream.put(topic, mark)

    def nudge(self, workspace: str, topic: str) -> None:
        """Say that a topic changed of which no event tells: something that is under way. Never waits."""
        self.publish(workspace, (topic,), self.position(workspace))

    def position(self, workspace: str) -> int:
        """The last position that was published for this workspace since the start; 0: none."""
        return self._positions.get(workspace, 0)

    def mark(self, workspace: str) -> str:
        """What whoever reads the store from now on has seen of this workspace. To be asked before the first read."""
        return f"{self.position(workspace)}.{self._count}.{self._name}"

    def changed_since(self, workspace: str, mark: str) -> bool:
        """Whether anything may have changed in this workspace since ``mark`` was taken."""
        _, _, told = mark.partition(".")
        number, _, name = told.partition(".")
        if name != self._name or not number.isdecimal() or len(number) > _DIGITS_MAX:
            return True
        return int(number) < self._changes.get(workspace, 0)

    def subscribe(self, workspace: str, topics: Iterable[str]) -> Subscription:
        """Open a stream. Raises ``Unavailable`` when the workspace has too many, ``Refused`` for too many
        topics."""
        wanted = frozenset(topics)
        if not wanted or len(wanted) > TOPICS_MAX:
            raise Refused("live.topics", f"A stream has 1 to {TOPICS_MAX} topics.", field="topic")
        streams = self._streams.setdefault(workspace, set())
        if self._closed or len(streams) >= self._max:
            raise Unavailable("live.full", "Too many pages are open in this workspace.", retry_after_s=10)
        stream = Subscription(self, workspace, wanted)
        streams.add(stream)
        return stream

    def forget(self, stream: Subscription) -> None:
        """Take a stream out."""
        streams = self._streams.get(stream.workspace)
        if streams is not None:
            streams.discard(stream)
            if not streams:
                del self._streams[stream.workspace]

    def close(self) -> None:
        """End all streams: to be called as soon as the server is asked to stop, so that it needn't wait
        for them."""
        self._closed = True
        for streams in list(self._streams.values()):
            for stream in list(streams):
                stream.close()

    def __len__(self) -> int:
        return sum(map(len, self._streams.values()))


def stream(
    request: Request, hub: Hub, workspace: str, topics: Iterable[str], *, heartbeat_s: float = HEARTBEAT_S
) -> StreamingResponse:
    """The open response for one page. The caller has checked who asks and what they may see."""
    subscription = hub.subscribe(workspace, topics)
    # After a break the browser knows more than its page did.
    seen = request.headers.get("last-event-id") or request.query_params.get("at", "")
    # Changed during a break, or between the page's reading and its first listening; or we were restarted.
    missed = bool(seen) and hub.changed_since(workspace, seen)
    greeting = event(_REFRESH if missed else "hello", "", hub.mark(workspace))
    return StreamingResponse(
        _lines(subscription, greeting, heartbeat_s),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"},
    )


async def _lines(subscription: Subscription, greeting: bytes, heartbeat_s: float) -> AsyncIterator[bytes]:
    try:
        yield f"retry: {RETRY_MS}\n\n".encode()
        yield greeting
        while not subscription.closed:
            changed = await subscription.take(heartbeat_s)
            if not changed:
                yield b": still here\n\n"
            for topic, mark in changed:
                yield event(_REFRESH, "", mark) if topic == _REFRESH else event("change", topic, mark)
    finally:
        subscription.close()


def event(name: str, text: str, mark: str) -> bytes:
    """One server-sent event; a line break in ``text`` can't end it early."""
    one_line = text.replace("\r", " ").replace("\n", " ")
    return f"id: {mark}\nevent: {name}\ndata: {one_line}\n\n".encode()
