"""The stage on which the stories are told: the real server, the twins of the providers and the check-in app."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from beckon.demo import Stage, staged
from beckon.sandbox.scenarios import Edit

OpenStage = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def open_stage(tmp_path: Path, database_url: str) -> AsyncIterator[OpenStage]:
    """Opens a stage on SQLite and on PostgreSQL: ``await open_stage(Edit(…))`` changes the example workspace first."""
    async with AsyncExitStack() as stages:

        async def opened(*edits: Edit) -> Stage:
            return await stages.enter_async_context(
                staged(tmp_path / "workspace", database_url=database_url, edits=edits)
            )

        yield opened


@pytest.fixture
async def stage(open_stage: OpenStage) -> Stage:
    """A stage with the example workspace as ``beckon init`` writes it."""
    return await open_stage()
