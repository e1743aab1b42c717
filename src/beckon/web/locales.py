"""Locales: message catalogues, one JSON file for each language, and the choice among them.

A catalogue's keys are flat (``mileage.title``); values are texts with ``{names}`` or lists of texts (months).
A key that a locale lacks comes from the next one of its chain: nl-BE → nl → en.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from beckon.core.errors import Misconfigured

#: The languages that customer pages speak.
LOCALES = ("en", "fr", "de", "nl-BE", "it", "es", "sv", "no")
DEFAULT = "en"

#: What each language calls itself.
ENDONYMS = {
    "en": "English",
    "fr": "Français",
    "de": "Deutsch",
    "nl-BE": "Nederlands",
    "it": "Italiano",
    "es": "Español",
    "sv": "Svenska",
    "no": "Norsk",
}

_ACCEPT_LANGUAGE_MAX = 500
_NAMES = re.compile(r"\{([a-z_]+)\}")

Words = dict[str, str | list[str]]


class Catalogue:
    """The texts of one area in all its locales."""

    def __init__(self, words: dict[str, Words], *, default: str = DEFAULT) -> None:
        self.words = words
        self.default = default
        self.locales = tuple(locale for locale in LOCALES if locale in words)

    def text(self, locale: str, key: str, **values: object) -> str:
        """The text for ``key``, its ``{names}`` filled in. Raises ``KeyError`` where no locale of the
        chain has it."""
        found = self._find(locale, key)
        if not isinstance(found, str):
            raise KeyError(f"{key!r} is a list")
        if not values:
            return found
        return _NAMES.sub(lambda hit: str(values.get(hit[1], hit[0])), found)

    def texts(self, locale: str, key: str) -> Sequence[str]:
        """A list of texts, such as the months."""
        found = self._find(locale, key)
        return [found] if isinstance(found, str) else found

    def has(self, key: str) -> bool:
        """Whether the default locale knows ``key``."""
        return key in self.words[self.default]

    def _find(self, locale: str, key: str) -> str | list[str]:
        for one in (*chain(locale), self.default):
            found = self.words.get(one, {}).get(key)
            if found is not None:
                return found
        raise KeyError(f"no text {key!r} in {locale!r} or what it falls back to")

    def faults(self) -> list[str]:
        """What keeps the catalogue from being complete: missing and surplus keys, other ``{names}``, empty
        texts."""
        found: list[str] = []
        model = self.words[self.default]
        for locale, words in self.words.items():
            found += [f"{locale}: {key} is missing" for key in model if key not in words]
            found += [f"{locale}: {key} is not in {self.default}" for key in words if key not in model]
            for key, value in words.items():
                if key in model and _shape(value) != _shape(model[key]):
                    found.append(f"{locale}: {key} has other names or another length than in {self.default}")
                if not value or (isinstance(value, str) and not value.strip()):
                    found.append(f"{locale}: {key} is empty")
        return found


def _shape(value: str | list[str]) -> object:
    return len(value) if isinstance(value, list) else frozenset(_NAMES.findall(value))


def read_catalogue(folder: Path) -> Catalogue:
    """Read ``{locale}.json`` files. Raises ``Misconfigured`` for a broken one or when ``en.json`` is
    missing."""
    words: dict[str, Words] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            words[path.stem] = msgspec.json.decode(path.read_bytes(), type=Words)
        except msgspec.DecodeError as error:
            raise Misconfigured("locale.broken", f"{path.name} is no flat object of texts: {error}") from None
    if DEFAULT not in words:
        raise Misconfigured("locale.missing", f"{folder} has no {DEFAULT}.json")
    return Catalogue(words)


def chain(locale: str) -> tuple[str, ...]:
    """The locale and what it falls back to: ``nl-BE`` → (nl-BE, nl); ``nl`` → (nl, nl-BE), for want of a
    plain one."""
    known = match(locale, LOCALES)
    language = locale.split("-")[0]
    out = [locale, language]
    if known is not None:
        out.append(known)
    return tuple(dict.fromkeys(out))


def match(wanted: str, available: Iterable[str]) -> str | None:
    """The available locale that serves ``wanted``: itself, its language, or another region of it; None:
    none does."""
    wanted = wanted.strip().replace("_", "-")[:35].lower()
    if not wanted:
        return None
    # Norwegian goes by three names.
    language = {"nb": "no", "nn": "no"}.get(wanted.split("-")[0], wanted.split("-")[0])
    by_lower = {one.lower(): one for one in available}
    if wanted in by_lower:
        return by_lower[wanted]
    if language in by_lower:
        return by_lower[language]
    for lower, one in by_lower.items():
        if lower.split("-")[0] == language:
            return one
    return None


def accepted(header: str) -> list[str]:
    """The languages of an Accept-Language header, best first; what can't be read is left out."""
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(header[:_ACCEPT_LANGUAGE_MAX].split(",")):
        tag, _, rest = part.partition(";")
        try:
            quality = float(rest.strip().removeprefix("q=")) if rest.strip() else 1.0
        except ValueError:
            continue
        if quality > 0 and tag.strip() not in ("", "*"):
            wanted.append((-quality, place, tag.strip()))
    return [tag for _, _, tag in sorted(wanted)]


def choose_locale(
    *wanted: str | None, accept_language: str = "", available: Iterable[str] = LOCALES, default: str = DEFAULT
) -> str:
    """The first of ``wanted`` that is available, else the browser's, else ``default``."""
    available = tuple(available)
    for one in (*wanted, *accepted(accept_language)):
        found = match(one, available) if one else None
        if found is not None:
            return found
    return default
