"""What stands in a flow's texts and values, compiled once: constants, plain paths, Liquid, objects of these, and CEL.

Most of what people write is a constant or one dotted path, ``{{ event.data.visit }}``; these never reach Liquid. A
YAML string that is exactly one ``{{ … }}`` is a *native expression*: it passes the value itself on, an object or a
number, and not its text. Everything here is pure; whatever goes wrong is a ``Refused`` with a code.
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from beckon.core.clock import iso
from beckon.core.contact import Contact
from beckon.core.errors import Refused
from beckon.flows import bounded_liquid
from beckon.flows.bounded_cel import Condition
from beckon.flows.bounded_liquid import OUTPUT_BYTES_MAX, as_text
from beckon.flows.timers import zone_of
from beckon.flows.weight import closest, weigh

__all__ = [
    "ROOTS",
    "Condition",
    "Constant",
    "Expression",
    "Scope",
    "compile_condition",
    "compile_text",
    "compile_value",
    "contact_words",
    "render",
]

#: The names that every expression may use; saved results, set values and loop items come on top.
ROOTS = frozenset({"event", "contact", "run", "now"})

#: Liquid tags in one text: reading them costs their number times the text's length.
TAGS_MAX = 300

#: How deep objects may nest in a flow's text.
BUILT_DEPTH_MAX = 20

_LITERALS = frozenset({"true", "false", "nil", "null", "empty", "blank"})
_SPECIAL = frozenset({"size", "first", "last"})
_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_OUTPUT = re.compile(rf"\{{\{{-?\s*({_NAME}(?:\.{_NAME})*)\s*-?\}}\}}")
_ANY_TAG = re.compile(r"\{\{|\{%")

Path = tuple[str, ...]


class Scope(dict[str, Any]):
    """The names that expressions see; ``contact``, ``run`` and ``now`` are made when first asked for."""

    __slots__ = ("_contact", "_run_words", "_zone", "_zone_name", "now_ms")

    def __init__(
        self,
        names: Mapping[str, Any],
        *,
        now_ms: int,
        contact: Contact | Mapping[str, Any] | None = None,
        run_words: Mapping[str, Any] | None = None,
        zone: str = "UTC",
    ) -> None:
        super().__init__(names)
        self.now_ms = now_ms
        self._contact = contact
        self._run_words = run_words
        self._zone_name = zone
        self._zone: ZoneInfo | None = None

    def __missing__(self, name: str) -> Any:
        if name == "contact":
            made: Any = contact_words(self._contact)
        elif name == "run":
            made = dict(self._run_words or {})
        elif name == "now":
            made = iso(self.now_ms)
        else:
            raise KeyError(name)
        self[name] = made
        return made

    @property
    def zone(self) -> ZoneInfo:
        """The contact's time zone, else the workspace's."""
        if self._zone is None:
            self._zone = zone_of(self["contact"], self._zone_name)
        return self._zone


def contact_words(contact: Contact | Mapping[str, Any] | None) -> dict[str, Any]:
    """A contact as expressions see it: ``contact.first_name``, ``contact.phone``, ``contact.channels`` …"""
    if contact is None:
        return {}
    if not isinstance(contact, Contact):
        return dict(contact)
    addresses = {address.channel: address.external_id for address in reversed(contact.addresses)}
    return {
        **contact.fields,
        "id": contact.id,
        "name": contact.name,
        "first_name": contact.fields.get("first_name") or contact.name.partition(" ")[0],
        "locale": contact.locale,
        "time_zone": contact.time_zone,
        "phone": addresses.get("sms", ""),
        "email": addresses.get("email", ""),
        "whatsapp": addresses.get("whatsapp", ""),
        "channels": sorted(addresses),
        "fields": contact.fields,
    }


class Expression(Protocol):
    """Something in a flow that has a value once a run is there."""

    #: as it was written, for the drawing and the checker.
    source: str
    #: the paths that it reads.
    paths: tuple[Path, ...]

    def value(self, scope: Scope) -> Any:
        """Its value: text, number, object …"""
        ...

    def text(self, scope: Scope) -> str:
        """Its value as text."""
        ...


class Constant:
    """The same value for every run."""

    __slots__ = ("constant", "paths", "source", "words")

    def __init__(self, constant: Any) -> None:
        self.constant = constant
        self.words = as_text(constant)
        self.source = self.words
        self.paths: tuple[Path, ...] = ()

    def value(self, scope: Scope) -> Any:
        return self.constant

    def text(self, scope: Scope) -> str:
        return self.words


class Dotted:
    """One plain path: ``{{ event.data.visit }}``."""

    __slots__ = ("_first", "_rest", "paths", "source")

    def __init__(self, path: Path, source: str = "") -> None:
        self._first = path[0]
        self._rest = path[1:]
        self.paths: tuple[Path, ...] = (path,)
        self.source = source or "{{ " + ".".join(path) + " }}"

    def value(self, scope: Scope) -> Any:
        try:
            found = scope[self._first]
            for name in self._rest:
                found = found[name]
        except (KeyError, TypeError, IndexError):
            why = f"{'.'.join(self.paths[0])} is missing."
            raise Refused("flow.missing_value", why) from None
        kind = type(found)
        if kind is dict or kind is list:
            weigh(found)
        return found

    def text(self, scope: Scope) -> str:
        found = self.value(scope)
        return found if type(found) is str else as_text(found)


class Mixed:
    """Text with plain paths in it: ``Hello {{ event.data.name }}!``"""

    __slots__ = ("_parts", "paths", "source")

    def __init__(self, parts: tuple[str | Dotted, ...], source: str) -> None:
        self._parts = parts
        self.source = source
        self.paths = tuple(part.paths[0] for part in parts if not isinstance(part, str))

    def value(self, scope: Scope) -> str:
        text = "".join([part if type(part) is str else part.text(scope) for part in self._parts])  # type: ignore[union-attr]
        if len(text) > OUTPUT_BYTES_MAX:
            raise Refused("flow.text_too_long", f"The text is longer than {OUTPUT_BYTES_MAX} characters.")
        return text

    text = value


class Liquid:
    """Text with any Liquid in it; exactly one ``{{ … }}`` gives the value itself."""

    __slots__ = ("_native", "_template", "paths", "source")

    def __init__(self, source: str) -> None:
        self._template = bounded_liquid.parse_liquid(source)
        self._native = bounded_liquid.native_expression(self._template)
        self.source = source
        self.paths = tuple(bounded_liquid.global_paths(self._template))

    def value(self, scope: Scope) -> Any:
        if self._native is not None:
            return bounded_liquid.evaluate(self._template, self._native, scope, scope.zone)
        return bounded_liquid.render(self._template, scope, scope.zone)

    def text(self, scope: Scope) -> str:
        return bounded_liquid.render(self._template, scope, scope.zone)


class Built:
    """An object or a list with expressions in it."""

    __slots__ = ("_items", "paths", "source")

    def __init__(self, items: dict[str, Expression] | list[Expression]) -> None:
        self._items = items
        inner = list(items.values()) if isinstance(items, dict) else items
        self.paths = tuple(path for item in inner for path in item.paths)
        self.source = "…"

    def value(self, scope: Scope) -> Any:
        made: Any
        if isinstance(self._items, dict):
            made = {name: item.value(scope) for name, item in self._items.items()}
        else:
            made = [item.value(scope) for item in self._items]
        weigh(made)
        return made

    def text(self, scope: Scope) -> str:
        return as_text(self.value(scope))


def compile_text(source: str, names: frozenset[str]) -> Expression:
    """Compile a text with Liquid. Raises ``Refused`` for wrong syntax, and for names that no one will have set."""
    if "{" not in source or _ANY_TAG.search(source) is None:
        return Constant(_fitting(source))
    expression = _plain_parts(_fitting(source)) or Liquid(source)
    for path in expression.paths:
        _known(path, names, source)
    return expression


def compile_value(raw: Any, names: frozenset[str], depth: int = BUILT_DEPTH_MAX) -> Expression:
    """Compile a value from YAML: texts are Liquid, objects and lists are built anew for each run."""
    if isinstance(raw, str):
        return compile_text(raw, names)
    if depth <= 0:
        raise Refused("flow.value_too_deep", f"The value nests deeper than {BUILT_DEPTH_MAX} levels.")
    if isinstance(raw, dict):
        built: Built = Built({str(name): compile_value(item, names, depth - 1) for name, item in raw.items()})
    elif isinstance(raw, list):
        built = Built([compile_value(item, names, depth - 1) for item in raw])
    else:
        return Constant(raw)
    return Constant(raw) if _all_constant(raw) else built


def compile_condition(source: Any, names: frozenset[str]) -> Condition:
    """Compile a condition in CEL (``true`` and ``false`` may stand there as such)."""
    if isinstance(source, bool):
        source = "true" if source else "false"
    if not isinstance(source, str):
        raise Refused("flow.cel_syntax", "A condition is a text in CEL, like event.data.mileage > 1000.")
    if "{{" in source:
        why = "A condition is CEL, not Liquid: write event.data.visit without the braces."
        raise Refused("flow.cel_syntax", why)
    return Condition(source, names)


def render(template: str, scope: Mapping[str, Any], *, now_ms: int = 0) -> str:
    """Render one text at once. Flows compile theirs; this is for one-off texts and for trying things out."""
    names = ROOTS | frozenset(scope)
    made = scope if isinstance(scope, Scope) else Scope(scope, now_ms=now_ms)
    return compile_text(template, names).text(made)


def _known(path: Path, names: frozenset[str], source: str) -> None:
    if path and path[0] not in names:
        raise Refused("flow.unknown_name", f"Nothing here is called {path[0]!r}{closest(path[0], names)}")


def _fitting(source: str) -> str:
    if len(source) > bounded_liquid.SOURCE_CHARS_MAX:
        why = f"The text is longer than {bounded_liquid.SOURCE_CHARS_MAX} characters."
        raise Refused("flow.text_too_long", why)
    if source.count("{{") + source.count("{%") > TAGS_MAX:
        raise Refused("flow.text_too_long", f"The text has more than {TAGS_MAX} Liquid tags.")
    return source


def _plain_parts(source: str) -> Expression | None:
    """A path, or text with paths; None where Liquid itself is needed."""
    parts: list[str | Dotted] = []
    end = 0
    for found in _OUTPUT.finditer(source):
        path = tuple(found[1].split("."))
        trims = found[0].startswith("{{-") or found[0].endswith("-}}")
        if trims or path[0] in _LITERALS or not _SPECIAL.isdisjoint(path[1:]):
            return None
        if found.start() > end:
            parts.append(source[end : found.start()])
        parts.append(Dotted(path))
        end = found.end()
    if end < len(source):
        parts.append(source[end:])
    if any(isinstance(part, str) and _ANY_TAG.search(part) for part in parts):
        return None
    if len(parts) == 1 and isinstance(parts[0], Dotted):
        return parts[0]
    return Mixed(tuple(parts), source)


def _all_constant(raw: Any) -> bool:
    if isinstance(raw, str):
        return _ANY_TAG.search(raw) is None
    if isinstance(raw, dict):
        return all(_all_constant(item) for item in raw.values())
    return all(_all_constant(item) for item in raw) if isinstance(raw, list) else True
