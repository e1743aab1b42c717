"""The providers' parties, pretended: the same wire formats, checks and receipts, with faults to switch on.

``Twins`` builds all of them from one configuration; a module of this folder with a class ``Twin`` is one of them.
"""

import asyncio
import importlib
import pkgutil
from collections.abc import Callable
from contextlib import suppress

from starlette.applications import Starlette
from starlette.routing import Mount

from beckon.core.clock import Clock
from beckon.core.ids import secret
from beckon.messaging.channel import Connections
from beckon.sandbox.twins.party import Party

_ROUNDS_MAX = 20


def found() -> dict[str, type[Party]]:
    """Every twin by its provider's name."""
    twins: dict[str, type[Party]] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        twin = getattr(importlib.import_module(f"{__name__}.{module.name}"), "Twin", None)
        if isinstance(twin, type) and issubclass(twin, Party):
            twins[twin.provider] = twin
    return twins


class Twins:
    """All pretended parties, as one."""

    def __init__(
        self,
        *,
        connections: Connections,
        clock: Clock,
        webhook_url: str,
        seed: str = "",
        on_change: Callable[[str, str], None] | None = None,
    ) -> None:
        """``webhook_url``: where they post to, with ``{provider}`` in it. ``on_change``: (provider, person)."""
        seed = seed or secret()
        self._twins: dict[str, Party] = {}
        for name, kind in found().items():
            self._twins[name] = kind(
                connections=connections,
                clock=clock,
                webhook_url=webhook_url.replace("{provider}", name),
                seed=seed,
                on_change=_told(on_change, name),
            )
        self.app = Starlette(
            routes=[Mount(twin.mount, app=twin.app) for twin in self._twins.values() if twin.app is not None]
        )

    def __getitem__(self, provider: str) -> Party:
        return self._twins[provider]

    def names(self) -> list[str]:
        """The providers that have a twin."""
        return list(self._twins)

    def provider_settings(self, base_url: str) -> dict[str, dict[str, object]]:
        """Each provider's settings, once started; ``base_url``: where ``app`` is mounted."""
        return {name: twin.settings(base_url.rstrip("/")) for name, twin in self._twins.items()}

    async def start(self) -> None:
        """Begin to listen where a party isn't HTTP."""
        for twin in self._twins.values():
            await twin.start()

    async def stop(self) -> None:
        """End what ``start`` began."""
        for twin in self._twins.values():
            await twin.stop()

    async def settle(self) -> int:
        """Post every webhook whose time has come; gives their number."""
        posted = 0
        for _ in range(_ROUNDS_MAX):
            now = sum([await twin.settle() for twin in self._twins.values()])
            posted += now
            if not now:
                break
        return posted

    async def run(self) -> None:
        """Post webhooks as they fall due, until cancelled."""
        tasks = [asyncio.ensure_future(twin.run()) for twin in self._twins.values()]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)


def _told(on_change: Callable[[str, str], None] | None, provider: str) -> Callable[[str], None] | None:
    if on_change is None:
        return None
    return lambda person: on_change(provider, person)
