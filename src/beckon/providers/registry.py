"""Finds the providers: the folders beside this file, and packages that offer the entry point ``beckon.providers``.

A folder offers a ``PROVIDER`` (it carries messages), a ``SWITCH`` (it carries calls; packages of others by the entry
point ``beckon.switches``), or both.
"""

from importlib.metadata import entry_points

import msgspec

import beckon.providers
from beckon.core.errors import Misconfigured
from beckon.core.offered import offered
from beckon.messaging.channel import Provider
from beckon.telephony.switch import SwitchOffer

GROUP = "beckon.providers"
SWITCH_GROUP = "beckon.switches"
#: A server with more providers than this has something else wrong with it.
_PROVIDERS_MAX = 200


def found() -> dict[str, Provider]:
    """Every provider by its name. Raises ``Misconfigured`` naming the one that can't be used."""
    providers: dict[str, Provider] = {}
    carries_calls = {name for name, switch in offered("switch", beckon.providers, ()) if switch is not None}
    for name, provider in offered("provider", beckon.providers, entry_points(group=GROUP)):
        if provider is not None or name not in carries_calls:
            _add(providers, name, provider)
    return providers


def found_switches() -> dict[str, SwitchOffer]:
    """Every switch by its name. Raises ``Misconfigured`` naming the one that can't be used."""
    switches: dict[str, SwitchOffer] = {}
    for name, switch in offered("switch", beckon.providers, entry_points(group=SWITCH_GROUP)):
        if switch is None:
            continue
        if not isinstance(switch, SwitchOffer) or switch.name != name or name in switches:
            raise Misconfigured("switch.broken", f"the switch {name} offers no SWITCH of that name")
        fields = {field.name for field in msgspec.structs.fields(switch.settings)}
        if not set(switch.secrets) <= fields:
            raise Misconfigured("switch.broken", f"the switch {name} names secrets that are no settings")
        switches[name] = switch
    return switches


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
