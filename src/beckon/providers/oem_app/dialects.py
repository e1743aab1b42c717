"""Finds a partner's dialect: a YAML file of this folder by its name, or the settings' own."""

from functools import lru_cache
from importlib.resources import files

import msgspec

from beckon.core.errors import Misconfigured
from beckon.core.yaml_text import YamlProblem, read_yaml
from beckon.providers.oem_app.payloads import NAME, Dialect, Settings


def dialect_of(settings: Settings) -> Dialect:
    """The dialect that the settings name or hold. Raises ``Misconfigured``."""
    return _named(settings.dialect) if isinstance(settings.dialect, str) else settings.dialect


@lru_cache(maxsize=32)
def _named(name: str) -> Dialect:
    file = files("beckon.providers.oem_app").joinpath(f"{name[:60]}.yaml")
    if not name.isidentifier() or len(name) > 60 or not file.is_file():
        raise Misconfigured(f"{NAME}.dialect", f"there is no dialect {name[:40]!r}", field="dialect")
    try:
        return msgspec.convert(read_yaml(file.read_text(encoding="utf-8")).value, Dialect)
    except (YamlProblem, msgspec.ValidationError) as problem:
        raise Misconfigured(
            f"{NAME}.dialect", f"the dialect {name} can't be read: {problem}", field="dialect"
        ) from None
