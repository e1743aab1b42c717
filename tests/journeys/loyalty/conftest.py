"""The shop, over both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.loyalty.shop import Shop, opened


@pytest.fixture
async def shop(tmp_path: Path, database_url: str) -> AsyncIterator[Shop]:
    """Fancy Fries, served."""
    async with opened(tmp_path / "fries", database_url) as made:
        yield made
