"""Offered: what packages hold out to us, found and not registered: our own folders, and those of others.

A package in a folder of ours offers a name in capitals (``PROVIDER``, ``JOURNEY``), and so does a package of somebody
else that has our entry point.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from types import ModuleType

from beckon.core.errors import Misconfigured


def offered(thing: str, folder: ModuleType, points: Iterable[EntryPoint]) -> Iterator[tuple[str, object]]:
    """Every name with what is offered under it (None: nothing). Raises ``Misconfigured`` naming what can't be read."""
    for module in sorted(pkgutil.iter_modules(folder.__path__), key=lambda module: module.name):
        if module.ispkg:
            yield module.name, _offered(thing, f"{folder.__name__}.{module.name}", "")
    for point in sorted(points, key=lambda point: point.name):
        yield point.name, _offered(thing, point.module, point.attr)


def _offered(thing: str, module: str, attribute: str) -> object:
    try:
        return getattr(importlib.import_module(module), attribute or thing.upper(), None)
    except Exception as error:
        # A package of somebody else may fail in any way; the operator must know which one it is.
        raise Misconfigured(
            f"{thing}.broken", f"{module} can't be imported: {type(error).__name__}: {error}"
        ) from error
