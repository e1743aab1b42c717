"""Tests of one provider at a time stand on the contract suite's stand."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from tests.contracts.conftest import Stand

HERE = Path(__file__).parent


@pytest.fixture
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    """The provider whose folder the test lies in, before its twin."""
    one = Stand(request.path.parent.name)
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
def fixture_bytes(request: pytest.FixtureRequest) -> Callable[[str], bytes]:
    """A payload in the party's documented shape, beside the test. JSON is written small."""

    def load(name: str) -> bytes:
        file = request.path.parent / "fixtures" / name
        content = file.read_bytes()
        return msgspec.json.encode(msgspec.json.decode(content)) if file.suffix == ".json" else content

    return load
