"""Writes that the wheel does not turn in time are said to be under way, and may be repeated."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from beckon.core.clock import VirtualClock
from beckon.core.errors import Unavailable
from beckon.core.event import Event
from beckon.doors.api.acts import say
from beckon.doors.api.keys import Key
from beckon.doors.api.parts import ApiParts, Ask
from beckon.intake.accept import Accepted


async def test_a_write_that_waits_too_long_says_so() -> None:
    said: list[Event] = []

    async def settle(events: Sequence[Event]) -> Sequence[Accepted]:
        said.extend(events)
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    nothing: Any = None
    parts = ApiParts(
        reader=nothing,
        settle=settle,
        workspaces=nothing,
        keys=nothing,
        clock=VirtualClock(),
        facts=nothing,
        health=nothing,
        body_size_bytes_max=1,
        settle_s=0.01,
    )
    ask = Ask(
        parts=parts,
        key=Key("main", "tests", frozenset()),
        library=nothing,
        operation="note",
        path={"contact": "con_1"},
        query=None,
        body=None,
        once="k",
    )
    for _ in range(2):
        with pytest.raises(Unavailable) as late:
            await say(ask, "agent.noted", "con_1", {"text": "a"})
        assert late.value.code == "api.slow"
        assert late.value.retry_after_s is not None
    assert said[0].id == said[1].id, "repeated with the same key, it is the same event"
    assert said[0].source == "beckon/api"
