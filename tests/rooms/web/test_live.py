"""Live streams: what changed, once, bounded, and a refresh after a break."""

import asyncio
from contextlib import aclosing

import pytest
from starlette.requests import Request

from beckon.core.errors import Refused, Unavailable
from beckon.web import live
from beckon.web.live import PENDING_MAX, Hub, Subscription


def request(last_event_id: str = "", at: str = "") -> Request:
    headers = [(b"last-event-id", last_event_id.encode())] if last_event_id else []
    query = f"at={at}".encode() if at else b""
    return Request({"type": "http", "method": "GET", "path": "/live", "headers": headers, "query_string": query})


async def test_a_page_hears_of_its_own_topics_and_workspace_only():
    hub = Hub()
    stream = hub.subscribe("main", ["conversations"])
    hub.publish("main", ["deliveries"], 1)
    hub.publish("other", ["conversations"], 2)
    hub.publish("main", ["conversations"], 3)
    assert await taken(stream) == [("conversations", 3)]
    stream.close()


async def test_many_changes_to_one_topic_are_one_event():
    hub = Hub()
    stream = hub.subscribe("main", ["a", "b"])
    for position in range(1, 1001):
        hub.publish("main", ["a"], position)
    hub.publish("main", ["b"], 1001)
    assert await taken(stream) == [("a", 1000), ("b", 1001)]
    stream.close()


async def test_whoever_has_read_up_to_a_mark_has_read_all_before_it():
    hub = Hub()
    stream = hub.subscribe("main", ["a", "b"])
    for position, topic in ((1, "a"), (2, "b"), (3, "a")):
        hub.publish("main", [topic], position)
    [(first, mark), (second, _)] = await stream.take()
    assert (first, second) == ("b", "a")
    stream.close()
    assert "refresh" in (await events(hub, mark, 2))[1]  # the break came between the two


async def test_a_slow_reader_of_everything_gets_one_refresh_instead_of_a_long_list():
    hub = Hub()
    stream = hub.subscribe("main", ["*"])
    for position in range(PENDING_MAX + 10):
        hub.publish("main", [f"contact:{position}"], position)
    assert await taken(stream) == [("refresh", PENDING_MAX + 9)]
    stream.close()


async def test_nothing_new_gives_an_empty_answer_after_the_heartbeat():
    stream = Hub().subscribe("main", ["a"])
    assert await stream.take(0.01) == []
    stream.close()


async def test_too_many_pages_of_a_workspace_are_refused_until_one_closes():
    hub = Hub(streams_per_workspace_max=2)
    first, second = hub.subscribe("main", ["a"]), hub.subscribe("main", ["a"])
    with pytest.raises(Unavailable) as refused:
        hub.subscribe("main", ["a"])
    assert refused.value.code == "live.full"
    hub.subscribe("other", ["a"]).close()
    first.close()
    hub.subscribe("main", ["a"]).close()
    second.close()
    assert len(hub) == 0


def test_a_stream_has_a_bounded_number_of_topics():
    with pytest.raises(Refused):
        Hub().subscribe("main", [])
    with pytest.raises(Refused):
        Hub().subscribe("main", [str(number) for number in range(33)])


async def taken(stream: Subscription) -> list[tuple[str, int]]:
    """What changed, by the journal's position."""
    return [(topic, int(mark.partition(".")[0])) for topic, mark in await stream.take()]


async def events(hub: Hub, last_event_id: str, count: int, at: str = "") -> list[str]:
    response = live.stream(request(last_event_id, at), hub, "main", ["a"])
    out: list[str] = []
    async with aclosing(response.body_iterator) as parts:  # type: ignore[type-var]
        async for part in parts:
            out.append(bytes(part).decode())
            if len(out) == count:
                break
    return out


async def test_a_first_connection_is_greeted_with_the_mark():
    hub = Hub()
    hub.publish("main", ["a"], 41)
    mark = hub.mark("main")
    assert mark.startswith("41.")
    assert await events(hub, "", 2) == ["retry: 2000\n\n", f"id: {mark}\nevent: hello\ndata: \n\n"]
    assert len(hub) == 0, "a page that left is forgotten"


async def test_after_a_break_in_which_something_happened_the_page_is_told_to_refresh():
    hub = Hub()
    hub.publish("main", ["a"], 40)
    before = hub.mark("main")
    hub.publish("main", ["a"], 41)
    now = hub.mark("main")
    assert (await events(hub, before, 2))[1] == f"id: {now}\nevent: refresh\ndata: \n\n"
    assert "hello" in (await events(hub, now, 2))[1]


async def test_what_changes_without_an_event_is_a_change_too():
    hub = Hub()
    hub.publish("main", ["a"], 41)
    before = hub.mark("main")
    hub.publish("main", ["a"], 41)  # a timer was due: the journal is where it was
    assert "refresh" in (await events(hub, before, 2))[1]
    assert "refresh" in (await events(hub, "", 2, at=before))[1]


async def test_what_changed_between_a_pages_reading_and_its_listening_is_told():
    hub = Hub()
    hub.publish("other", ["a"], 41)
    read = hub.mark("main")
    assert "hello" in (await events(hub, "", 2, at=read))[1]
    hub.publish("other", ["a"], 42)
    assert "hello" in (await events(hub, "", 2, at=read))[1], "another workspace's change is none of ours"
    hub.publish("main", ["a"], 43)
    assert "refresh" in (await events(hub, "", 2, at=read))[1]
    assert "hello" in (await events(hub, hub.mark("main"), 2, at=read))[1], "the break is later than the page"


async def test_after_our_own_restart_a_returning_page_refreshes():
    before, after = Hub(), Hub()
    for hub in (before, after):
        hub.publish("main", ["a"], 17)
    assert "refresh" in (await events(after, before.mark("main"), 2))[1]


@pytest.mark.parametrize("said", ["17", "x", "17.x.y", "17." + "9" * 5_000, "1.2.3.4", ".", "\u00b2.\u00b2.\u00b2"])
async def test_a_mark_that_is_none_is_answered_with_a_refresh(said: str):
    hub = Hub()
    assert hub.changed_since("main", said)
    assert hub.changed_since("main", said + "." + hub.mark("main").rpartition(".")[2])


async def test_what_no_event_tells_of_reaches_open_pages_and_those_that_come_later():
    hub = Hub()
    hub.publish("main", ["a"], 41)
    before = hub.mark("main")
    stream = hub.subscribe("main", ["a"])
    hub.nudge("main", "a")
    assert await taken(stream) == [("a", 41)]
    stream.close()
    assert "refresh" in (await events(hub, before, 2))[1]
    assert "refresh" in (await events(hub, "", 2, at=before))[1]
    assert "hello" in (await events(hub, "", 2, at=hub.mark("main")))[1]


async def test_a_change_reaches_an_open_stream_and_closing_the_hub_ends_it():
    hub = Hub()
    response = live.stream(request(), hub, "main", ["a"])
    parts = response.body_iterator
    assert [await anext(parts) for _ in range(2)]
    waiting = asyncio.ensure_future(anext(parts))
    await asyncio.sleep(0)
    hub.publish("main", ["a"], 7)
    assert await waiting == f"id: {hub.mark('main')}\nevent: change\ndata: a\n\n".encode()
    hub.close()
    with pytest.raises(Unavailable):
        hub.subscribe("main", ["a"])
    assert [part async for part in parts] in ([], [b": still here\n\n"])


def test_a_line_break_cannot_forge_an_event():
    assert live.event("change", "a\n\nid: 9\ndata: x", "1") == b"id: 1\nevent: change\ndata: a  id: 9 data: x\n\n"
