"""The API's documents: ``/openapi.json``, and as plain pages ``/docs/api`` and ``/docs/errors``."""

from starlette.routing import BaseRoute


def routes() -> list[BaseRoute]:
    return []
