"""The API's tests share one server for each module."""

from collections.abc import Iterator

import httpx
import pytest

from tests.doors.api.served import Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The module's server."""
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Served) -> httpx.Client:
    """A client that may do everything in the workspace ``main``."""
    return served.client()
