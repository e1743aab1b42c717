"""Finds the providers: the folders beside this file, and packages that offer the entry point ``beckon.providers``."""

from importlib.metadata import entry_points

import msgspec

import beckon.providers
from beckon.core.errors import Misconfigured
from beckon.core.offered import offered
from beckon.messaging.channel import Provider

GROUP = "beckon.providers"
#: A server with more providers than this has something else wrong with it.
_PROVIDERS_MAX = 200


def found() -> dict[str, Provider]:
    """Every provider by its name. Raises ``Misconfigured`` naming the one that can't be used."""
    providers: dict[str, Provider] = {}
    for name, provider in offered("provider", beckon.providers, entry_points(group=GROUP)):
        _add(providers, name, provider)
    return providers


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
