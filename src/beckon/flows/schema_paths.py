"""Whether a path can be there, as far as a JSON Schema says. Knows what people write in schemas of events; no more."""

from typing import Any

import msgspec

#: How many schemas one path may lead through: references may go in circles.
LOOKS_MAX = 200

#: What Liquid adds to lists and texts.
_LIQUID_WORDS = frozenset({"size", "first", "last"})


class Stray(msgspec.Struct, frozen=True):
    """The word of a path that a schema doesn't know, and those that it knows in its place."""

    word: str
    known: tuple[str, ...]
    #: the schema forbids what it doesn't name.
    closed: bool


def stray_path(schema: dict[str, Any], path: tuple[str, ...]) -> Stray | None:
    """The first word of ``path`` that leads out of the schema; None: it fits, or the schema doesn't say."""
    here = [schema]
    for word in path:
        if word in _LIQUID_WORDS:
            return None
        found: list[dict[str, Any]] = []
        known: set[str] = set()
        closed = False
        looks = _Looks(schema)
        for part in here:
            for view in looks.views(part):
                properties = view.get("properties")
                if isinstance(properties, dict):
                    known.update(properties)
                    if isinstance(properties.get(word), dict):
                        found.append(properties[word])
                    elif properties.get(word) is True:
                        return None
                extra = view.get("additionalProperties", True)
                closed = closed or extra is False
                if isinstance(extra, dict) or "patternProperties" in view:
                    return None
        if looks.spent or not known:
            return None
        if not found:
            return Stray(word, tuple(sorted(known)), closed)
        here = found
    return None


class _Looks:
    """Follows references and combinations, so many and no more."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._left = LOOKS_MAX
        self.spent = False

    def views(self, schema: Any) -> list[dict[str, Any]]:
        """A schema together with all that it refers to or combines."""
        views, stack = [], [schema]
        while stack:
            part = stack.pop()
            self._left -= 1
            if self._left < 0:
                self.spent = True
                break
            if not isinstance(part, dict):
                continue
            views.append(part)
            if isinstance(part.get("$ref"), str):
                stack.append(self._referred(part["$ref"]))
            for word in ("allOf", "anyOf", "oneOf"):
                if isinstance(part.get(word), list):
                    stack.extend(part[word])
            stack.extend(part[word] for word in ("then", "else") if word in part)
        return views

    def _referred(self, reference: str) -> Any:
        if not reference.startswith("#"):
            self.spent = True  # a schema elsewhere: nothing is known
            return None
        found: Any = self._root
        for word in reference[1:].split("/")[1:]:
            word = word.replace("~1", "/").replace("~0", "~")
            found = found.get(word) if isinstance(found, dict) else None
        return found
