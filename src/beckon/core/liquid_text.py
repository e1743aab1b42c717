"""Text with Liquid in it, within limits: compiled once, rendered often, hostile until shown otherwise. Pure.

``compile_text(source)`` gives a ``Text``; ``Text.render(scope)`` the words; ``Text.value(scope)`` the object where the
whole source is one ``{{ … }}``. A constant costs nothing, a text of plain paths a microsecond; everything else goes
through python-liquid with a budget (see ``core.bounded_liquid``).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate, escape
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.output import OutputNode
from liquid.output import LimitedStringIO
from liquid.undefined import Undefined

from beckon.core.bounded_liquid import (
    OUTPUT_MAX,
    Context,
    as_text,
    missing,
    path_of,
    plain,
    read,
    refusal,
    start_of,
    too_long,
)
from beckon.core.errors import Refused

__all__ = ["OUTPUT_MAX", "SOURCE_MAX", "Text", "as_text", "compile_text"]

#: The longest source, in characters.
SOURCE_MAX = 16_384
#: `{{` and `{%` in one source, and blanks in a row: where an opening isn't closed, or blanks follow it, the time of
#: python-liquid's lexer grows with their square and cube.
OPENINGS_MAX = 300
BLANKS_MAX = 200
#: Compiled texts that are kept.
KEPT_MAX = 4_096

_PLAIN = re.compile(
    r"\{\{-?\s*([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)\s*"
    r"(?:\|\s*default:\s*(?:'([^'{}]*)'|\"([^\"{}]*)\")\s*)?-?\}\}"
)
_LITERALS = frozenset({"true", "false", "nil", "null", "empty", "blank"})
_SPECIAL = frozenset({"size", "first", "last"})
_BLANKS = re.compile(rf"\s{{{BLANKS_MAX}}}")


class Text:
    """A compiled text. Made by ``compile_text``."""

    __slots__ = ("_pieces", "_template", "constant", "html", "native", "paths", "source", "variables")

    def __init__(self, source: str, html: bool) -> None:
        self.source = source
        #: values are escaped as they are put in.
        self.html = html
        #: the text itself where nothing is to be put in; else None.
        self.constant: str | None = None
        #: what it reads from the scope: ``("event", "data", "slug")``, as far as the names are constant.
        self.paths: tuple[tuple[str, ...], ...] = ()
        #: the first names of ``paths``, sorted.
        self.variables: tuple[str, ...] = ()
        #: words, and paths with what stands in where there is nothing (None: an error).
        self._pieces: tuple[str | tuple[tuple[str, ...], str | None], ...] = ()
        self._template: BoundTemplate | None = None
        #: what gives the value itself, where the source is one ``{{ … }}``; else None.
        self.native: tuple[str, ...] | FilteredExpression | None = None

    def render(self, scope: Mapping[str, Any]) -> str:
        """The words. Raises ``Refused`` for a missing variable (``field``: its path) or a limit that was passed."""
        if self.constant is not None:
            return self.constant
        if not self._pieces:
            return self._rendered(scope)
        out = []
        for piece in self._pieces:
            if isinstance(piece, str):
                out.append(piece)
                continue
            path, default = piece
            value: Any = scope
            try:
                for name in path:
                    value = value[name]
            except (KeyError, TypeError, IndexError):
                if default is None:
                    raise missing(".".join(path)) from None
                value = None
            if default is not None and (value is None or value is False or value in ("", [], {})):
                out.append(default)
                continue
            text = value if type(value) is str else as_text(value)
            out.append(str(escape(text)) if self.html else text)
        whole = "".join(out)
        if len(whole) > OUTPUT_MAX:
            raise too_long(self.source)
        return whole

    def value(self, scope: Mapping[str, Any]) -> Any:
        """The object itself where the source is one ``{{ … }}`` and nothing else; else the words."""
        native = self.native
        if native is None:
            return self.render(scope)
        if type(native) is tuple:
            value: Any = scope
            for name in native:
                try:
                    value = value[name]
                except (KeyError, TypeError, IndexError):
                    raise missing(".".join(native)) from None
            return value
        assert self._template is not None
        assert isinstance(native, FilteredExpression)
        try:
            value = native.evaluate(Context(self._template, globals=scope))
        except Exception as problem:
            raise refusal(problem, self.source) from None
        if isinstance(value, Undefined):
            raise missing(path_of(value))
        return plain(value)

    def _rendered(self, scope: Mapping[str, Any]) -> str:
        assert self._template is not None
        template = self._template
        buffer = LimitedStringIO(OUTPUT_MAX, newline="")
        try:
            template.render_with_context(Context(template, globals=scope), buffer)
        except Exception as problem:
            raise refusal(problem, self.source) from None
        return buffer.getvalue()


@lru_cache(maxsize=KEPT_MAX)
def compile_text(source: str, *, html: bool = False) -> Text:
    """Read a text with Liquid in it. ``html``: values are escaped. Raises ``Refused`` that names the line."""
    if len(source) > SOURCE_MAX:
        raise Refused("text.too_long", f"The text is longer than {SOURCE_MAX} characters.")
    text = Text(source, html)
    if "{{" not in source and "{%" not in source:
        text.constant = source
        return text
    if source.count("{{") + source.count("{%") > OPENINGS_MAX:
        raise Refused("text.too_long", f"The text has more than {OPENINGS_MAX} places to fill in.")
    if _read_pieces(text):
        return text
    _check_shape(source)
    template, text.paths = read(source, html=html)
    text._template = template
    text.variables = tuple(sorted({path[0] for path in text.paths if path}))
    if len(template.nodes) == 1 and isinstance(template.nodes[0], OutputNode):
        expression = template.nodes[0].expression
        text.native = expression if isinstance(expression, FilteredExpression) else None
    return text


def _check_shape(source: str) -> None:
    """Refuse what python-liquid's lexer would be long about."""
    for opening, closing in (("{{", "}}"), ("{%", "%}")):
        if source.rfind(opening) > source.rfind(closing):
            raise Refused("text.syntax", f"{start_of(source)}: a {opening} of its Liquid is not closed by {closing}.")
    if _BLANKS.search(source):
        raise Refused("text.too_long", f"The text has more than {BLANKS_MAX} blanks in a row.")


def _read_pieces(text: Text) -> bool:
    """Take the quick way if the source has nothing but plain paths in it."""
    if "{%" in text.source or text.source.count("{{") != text.source.count("}}"):
        return False
    pieces: list[str | tuple[tuple[str, ...], str | None]] = []
    at = 0
    for hit in _PLAIN.finditer(text.source):
        # `{{-` takes the blanks around it away: left to Liquid.
        if hit[0].startswith("{{-") or hit[0].endswith("-}}"):
            return False
        path = tuple(hit[1].split("."))
        if path[0] in _LITERALS or not _SPECIAL.isdisjoint(path[1:]):
            return False
        if hit.start() > at:
            pieces.append(text.source[at : hit.start()])
        default = hit[2] if hit[2] is not None else hit[3]
        # The author's own words are HTML already where the text is.
        pieces.append((path, default))
        at = hit.end()
    if at < len(text.source):
        pieces.append(text.source[at:])
    if any(type(piece) is str and ("{{" in piece or "}}" in piece) for piece in pieces):
        return False
    text._pieces = tuple(pieces)
    text.paths = tuple(dict.fromkeys(piece[0] for piece in pieces if type(piece) is tuple))
    text.variables = tuple(sorted({path[0] for path in text.paths}))
    if len(pieces) == 1 and type(pieces[0]) is tuple and pieces[0][1] is None:
        text.native = pieces[0][0]
    return True
