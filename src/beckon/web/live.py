"""Live pages: server-sent events that say *what* changed, never how. The page asks again for the regions it
shows.

An event's id is the journal's position and its data the topic (``conversations``, ``contact:con_…``). What a
slow reader hasn't taken yet is kept as a set of topics, so that nothing piles up: many changes to one topic
are one event. After a break the browser sends ``Last-Event-ID``; when anything happened since, it gets one
``refresh``. What no event tells of (a call's next step) is *nudged*: it has no position of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

from starlette.requests import Request
from starlette.responses import StreamingResponse

from beckon.core.errors import Refused, Unavailable

STREAMS_PER_WORKSPACE_MAX = 256
TOPICS_MAX = 32
#: Topics that wait for a reader of ``*``; beyond it they become one ``refresh``.
PENDING_MAX = 64
#: Topics of which it is remembered that they were nudged.
NUDGED_MAX = 1_000
HEARTBEAT_S = 15.0
#: What the browser waits before it comes back.
RETRY_MS = 2_000

EVERYTHING = "*"
_REFRESH = "refresh"


class Subscription:
    """One open stream: the topics it wants, and those that changed since it was last read."""

    def __init__(self, hub: "Hub", workspace: str, topics: frozenset[str]) -> None:
        self.workspace = workspace
        self.topics = topics
        self._hub = hub
        self._pending: dict[str, int] = {}
        self._wake = asyncio.Event()
        self.closed = False

    def put(self, topic: str, position: int) -> None:
        """Note that ``topic`` changed."""
        if len(self._pending) >= PENDING_MAX and topic not in self._pending:
            self._pending = {_REFRESH: position}
        elif _REFRESH in self._pending:
            self._pending[_REFRESH] = position
        else:
            self._pending[topic] = position
        self._wake.set()

    async def take(self, timeout_s: float = HEARTBEAT_S) -> list[tuple[str, int]]:
        """What changed, as (topic, position); empty after ``timeout_s`` without a change, or when closed."""
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
        #: (workspace, topic): nudged since it was published last, the latest at the end
        self._nudged: dict[tuple[str, str], None] = {}
        self._max = streams_per_workspace_max
        self._closed = False

    def publish(self, workspace: str, topics: Iterable[str], position: int) -> None:
        """Say that these topics changed with the event at ``position``. Never waits."""
        self._positions[workspace] = max(position, self._positions.get(workspace, 0))
        if self._nudged:
            topics = tuple(topics)
            for topic in topics:
                self._nudged.pop((workspace, topic), None)
        streams = self._streams.get(workspace)
        if not streams:
            return
        for topic in topics:
            for stream in streams:
                if topic in stream.topics or EVERYTHING in stream.topics:
                    stream.put(topic, position)

    def nudge(self, workspace: str, topic: str) -> None:
        """Say that a topic changed of which no event tells: something that is under way. Never waits.

        The position doesn't tell a page whether it has seen that: whoever listens later is told to look again, until
        an event about this topic is published.
        """
        self.publish(workspace, (topic,), self.position(workspace))
        self._nudged[workspace, topic] = None
        if len(self._nudged) > NUDGED_MAX:
            del self._nudged[next(iter(self._nudged))]

    def nudged(self, workspace: str, topics: Iterable[str]) -> bool:
        """Whether one of these was nudged since it was published last."""
        return any((workspace, topic) in self._nudged for topic in topics)

    def position(self, workspace: str) -> int:
        """The last position that was published for this workspace since the start; 0: none."""
        return self._positions.get(workspace, 0)

    @property
    def latest(self) -> int:
        """The last position that was published for anybody: what a page that is made now has seen."""
        return max(self._positions.values(), default=0)

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
    return StreamingResponse(
        _lines(
            subscription,
            hub,
            request.headers.get("last-event-id", ""),
            request.query_params.get("at", ""),
            heartbeat_s,
        ),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"},
    )


async def _lines(
    subscription: Subscription, hub: Hub, last_event_id: str, seen: str, heartbeat_s: float
) -> AsyncIterator[bytes]:
    try:
        yield f"retry: {RETRY_MS}\n\n".encode()
        position = hub.position(subscription.workspace)
        nudged = hub.nudged(subscription.workspace, subscription.topics)
        if last_event_id and (nudged or last_event_id != str(position)):
            # Also after our own restart, when the hub doesn't know what happened before.
            yield event(_REFRESH, "", position)
        elif not last_event_id and seen.isdigit() and (nudged or int(seen[:19]) < position):
            # Something changed between the page's making and its first listening.
            yield event(_REFRESH, "", position)
        else:
            yield event("hello", "", position)
        while not subscription.closed:
            changed = await subscription.take(heartbeat_s)
            if not changed:
                yield b": still here\n\n"
            for topic, at in changed:
                yield event(_REFRESH, "", at) if topic == _REFRESH else event("change", topic, at)
    finally:
        subscription.close()


def event(name: str, text: str, position: int) -> bytes:
    """One server-sent event; a line break in ``text`` can't end it early."""
    one_line = text.replace("\r", " ").replace("\n", " ")
    return f"id: {position}\nevent: {name}\ndata: {one_line}\n\n".encode()
