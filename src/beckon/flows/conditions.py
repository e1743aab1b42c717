"""What stands in a flow's texts and values, compiled once: constants, plain paths, Liquid, objects of these, and CEL.

Most of what people write is a constant or one dotted path, ``{{ event.data.visit }}``; these never reach Liquid (see
``core.liquid_text``). A YAML string that is exactly one ``{{ … }}`` is a *native expression*: it passes the value
itself on, an object or a number, and not its text. All of it is pure; what goes wrong is a ``Refused``.
"""

from collections.abc import Mapping
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from beckon.core.clock import iso
from beckon.core.contact import Contact
from beckon.core.errors import Refused
from beckon.core.liquid_text import Text, as_text
from beckon.core.liquid_text import compile_text as compile_liquid
from beckon.core.measures import closest, weigh
from beckon.core.timers import zone_of
from beckon.flows.bounded_cel import Condition

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
    "names_in",
    "render",
]

#: The names that every expression may use; saved results, set values and loop items come on top.
ROOTS = frozenset({"event", "contact", "run", "now"})

#: The longest text of a flow, in characters: it is a step's, not a page's.
SOURCE_CHARS_MAX = 8_000
#: The longest text that one may make, in characters.
OUTPUT_CHARS_MAX = 32_768

#: How deep objects may nest in a flow's text.
BUILT_DEPTH_MAX = 20

Path = tuple[str, ...]


class Scope(dict[str, Any]):
    """The names that expressions see; ``contact``, ``run`` and ``now`` are made when first asked for.

    So are ``time_zone`` and ``locale``, by which filters write days and amounts.
    """

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
        elif name == "time_zone":
            made = self.zone.key
        elif name == "locale":
            made = self["contact"].get("locale") or ""
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


class Liquid:
    """Text with Liquid in it; exactly one ``{{ … }}`` gives the value itself."""

    __slots__ = ("_text", "paths", "source")

    def __init__(self, source: str) -> None:
        self._text: Text = compile_liquid(source)
        self.source = source
        self.paths = self._text.paths

    def value(self, scope: Scope) -> Any:
        found = self._text.value(scope)
        kind = type(found)
        if kind is dict or kind is list:
            weigh(found)
        elif kind is str and len(found) > OUTPUT_CHARS_MAX and not self._text.native:
            raise _too_long()
        return found

    def text(self, scope: Scope) -> str:
        words = self._text.render(scope)
        if len(words) > OUTPUT_CHARS_MAX:
            raise _too_long()
        return words


class Built:
    """An object or a list with expressions in it."""

    __slots__ = ("_items", "names", "paths", "source")

    def __init__(self, items: dict[str, Expression] | list[Expression]) -> None:
        self._items = items
        #: what an object is made of, for the drawing.
        self.names = tuple(items) if isinstance(items, dict) else ()
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


def names_in(expression: Expression) -> tuple[str, ...]:
    """The names of the object that an expression gives, as far as they are written down."""
    if isinstance(expression, Constant):
        return tuple(map(str, expression.constant)) if isinstance(expression.constant, dict) else ()
    return expression.names if isinstance(expression, Built) else ()


def compile_text(source: str, names: frozenset[str]) -> Expression:
    """Compile a text with Liquid. Raises ``Refused`` for wrong syntax, and for names that no one will have set."""
    if len(source) > SOURCE_CHARS_MAX:
        raise Refused("text.too_long", f"The text is longer than {SOURCE_CHARS_MAX} characters.")
    if not _has_liquid(source):
        return Constant(source)
    expression = Liquid(source)
    for path in expression.paths:
        if path and path[0] not in names:
            raise Refused("flow.unknown_name", f"Nothing here is called {path[0]!r}{closest(path[0], names)}")
    return expression


def compile_value(raw: Any, names: frozenset[str], depth: int = BUILT_DEPTH_MAX) -> Expression:
    """Compile a value from YAML: texts are Liquid, objects and lists are built anew for each run."""
    if isinstance(raw, str):
        return compile_text(raw, names)
    if depth <= 0:
        raise Refused("value.too_deep", f"The value nests deeper than {BUILT_DEPTH_MAX} levels.")
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


def _too_long() -> Refused:
    return Refused("text.too_long", f"The text made is longer than {OUTPUT_CHARS_MAX} characters.")


def _has_liquid(source: str) -> bool:
    return "{{" in source or "{%" in source


def _all_constant(raw: Any) -> bool:
    if isinstance(raw, str):
        return not _has_liquid(raw)
    if isinstance(raw, dict):
        return all(_all_constant(item) for item in raw.values())
    return all(_all_constant(item) for item in raw) if isinstance(raw, list) else True
