"""Finds the providers: the folders beside this file, and packages that offer the entry point ``beckon.providers``."""

import importlib
import pkgutil
from importlib.metadata import entry_points

import msgspec

import beckon.providers
from beckon.core.errors import Misconfigured
from beckon.messaging.channel import Provider

GROUP = "beckon.providers"
#: A server with more providers than this has something else wrong with it.
_PROVIDERS_MAX = 200


def found() -> dict[str, Provider]:
    """Every provider by its name. Raises ``Misconfigured`` naming the one that can't be used."""
    providers: dict[str, Provider] = {}
    for module in sorted(pkgutil.iter_modules(beckon.providers.__path__), key=lambda module: module.name):
        if module.ispkg:
            _add(providers, module.name, _offered(f"beckon.providers.{module.name}"))
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        _add(providers, point.name, _offered(point.module, point.attr or "PROVIDER"))
    return providers


def _offered(module: str, attribute: str = "PROVIDER") -> object:
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except Exception as error:
        # A package of somebody else may fail in any way; the operator must know which one it is.
        raise Misconfigured(
            "provider.broken", f"{module} can't be imported: {type(error).__name__}: {error}"
        ) from error


def _add(providers: dict[str, Provider], name: str, provider: object) -> None:
    if not isinstance(provider, Provider):
        raise Misconfigured("provider.broken", f"the provider {name} offers no PROVIDER")
    if provider.name != name:
        raise Misconfigured("provider.name", f"the provider {name} calls itself {provider.name}")
    if name in providers or len(providers) >= _PROVIDERS_MAX:
        raise Misconfigured("provider.twice", f"there are two providers named {name}, or too many")
    fields = {field.name for field in msgspec.structs.fields(provider.settings)}
    if not set(provider.secrets) <= fields:
        raise Misconfigured("provider.secrets", f"the provider {name} names secrets that are no settings")
    providers[name] = provider
