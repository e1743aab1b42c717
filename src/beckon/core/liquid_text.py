"""Text with Liquid in it, within limits: compiled once, rendered often, hostile until shown otherwise. Pure.

``compile_text(source)`` gives a ``Text``; ``Text.render(scope)`` the words; ``Text.value(scope)`` the object where the
whole source is one ``{{ … }}``. A constant costs nothing, a text of plain paths a microsecond; everything else goes
through python-liquid with a budget: a loop's turn costs one for each statement of the source, a filter costs one and
its operands' size. No files, no includes, no clock: ``now`` is what the scope says.

Besides Liquid's own filters there are ``day``, ``time`` and ``money`` (see ``core.spoken``), which read ``locale`` and
``time_zone`` from the scope, and ``json``.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate, Environment, RenderContext, escape
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions.primitive import IntegerLiteral, RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import LiquidError, ResourceLimitError, UndefinedError
from liquid.filter import with_context
from liquid.output import LimitedStringIO
from liquid.undefined import FalsyStrictUndefined, Undefined
from liquid.utils import ReadOnlyChainMap
from msgspec import json

from beckon.core import spoken
from beckon.core.errors import Refused

#: The longest source, in characters.
SOURCE_MAX = 16_384
#: The longest text that comes out, in bytes; also the longest that a filter may make, in characters.
OUTPUT_MAX = 65_536
#: Items of a list that a filter takes or makes, and numbers in a range.
ITEMS_MAX = 1_000
#: `{{` and `{%` in one source, and blanks in a row: where an opening isn't closed, or blanks follow it, the time of
#: python-liquid's lexer grows with their square and cube.
OPENINGS_MAX = 400
BLANKS_MAX = 200
#: What one render may cost.
WORK_MAX = 50_000
#: How deep blocks may nest.
NESTING_MAX = 12
#: Bits of a number.
NUMBER_BITS_MAX = 128
#: Compiled texts that are kept.
KEPT_MAX = 4_096

_TAGS = frozenset(
    (
        *("#", "assign", "break", "capture", "case", "comment", "content", "continue", "cycle", "doc"),
        *("echo", "for", "if", "illegal", "liquid", "output", "unless"),
    )
)
# `safe` and `strip_html` promise more than they hold, `escapejs` has no place in a message, the url-safe base64 twins
# make bytes; `date` is ours, without a clock.
_LEFT_OUT = ("safe", "strip_html", "escapejs", "base64_url_safe_encode", "base64_url_safe_decode", "date")

_PLAIN = re.compile(
    r"\{\{-?\s*([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)\s*"
    r"(?:\|\s*default:\s*(?:'([^'{}]*)'|\"([^\"{}]*)\")\s*)?-?\}\}"
)
_WORDS_OF_LIQUID = frozenset({"true", "false", "nil", "null", "empty", "blank", "size", "first", "last"})
_BLANKS = re.compile(rf"\s{{{BLANKS_MAX}}}")
_DIRECTIVES = re.compile(r"%[-]?[aAbBdHIjmMpSyYZz%]|[^%]")


class Text:
    """A compiled text. Made by ``compile_text``."""

    __slots__ = ("_native", "_pieces", "_template", "constant", "html", "paths", "source", "variables")

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
        self._native: tuple[str, ...] | FilteredExpression | None = None

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
                    raise _missing(".".join(path)) from None
                value = None
            if default is not None and (value is None or value is False or value in ("", [], {})):
                out.append(default)
                continue
            text = value if type(value) is str else as_text(value)
            out.append(str(escape(text)) if self.html else text)
        whole = "".join(out)
        if len(whole) > OUTPUT_MAX:
            raise _too_long(self.source)
        return whole

    def value(self, scope: Mapping[str, Any]) -> Any:
        """The object itself where the source is one ``{{ … }}`` and nothing else; else the words."""
        native = self._native
        if native is None:
            return self.render(scope)
        if type(native) is tuple:
            value: Any = scope
            for name in native:
                try:
                    value = value[name]
                except (KeyError, TypeError, IndexError):
                    raise _missing(".".join(native)) from None
            return value
        assert self._template is not None
        assert isinstance(native, FilteredExpression)
        try:
            value = native.evaluate(_Context(self._template, globals=scope))
        except Exception as problem:
            raise _refusal(problem, self.source) from None
        if isinstance(value, Undefined):
            raise _missing(_path_of(value))
        return _plain(value)

    def _rendered(self, scope: Mapping[str, Any]) -> str:
        assert self._template is not None
        template = self._template
        buffer = LimitedStringIO(OUTPUT_MAX, newline="")
        try:
            template.render_with_context(_Context(template, globals=scope), buffer)
        except Exception as problem:
            raise _refusal(problem, self.source) from None
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
    if _read_pieces(text):
        return text
    _check_shape(source)
    try:
        template = (_HTML if html else _WORDS).from_string(source)
        _check(template)
        text.paths = _global_paths(template)
    except LiquidError as problem:
        raise Refused("text.syntax", _said(problem, source)) from None
    except RecursionError:
        raise Refused("text.syntax", f"{_start(source)} nests too deep.") from None
    text._template = template
    text.variables = tuple(sorted({path[0] for path in text.paths}))
    if len(template.nodes) == 1 and isinstance(template.nodes[0], OutputNode):
        expression = template.nodes[0].expression
        text._native = expression if isinstance(expression, FilteredExpression) else None
    return text


def as_text(value: Any) -> str:
    """A value as a text shows it: true and false in lower case, nothing for null, objects as JSON."""
    kind = type(value)
    if kind is str:
        return str(value)
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is list or kind is tuple:
        return "".join([as_text(item) for item in value])
    if kind is dict:
        return json.encode(value).decode()
    if kind is range:
        return f"{value.start}..{value.stop - 1}"
    return str(value)


def _check_shape(source: str) -> None:
    """Refuse what python-liquid's lexer would be long about."""
    if source.count("{{") + source.count("{%") > OPENINGS_MAX:
        raise Refused("text.too_long", f"The text has more than {OPENINGS_MAX} places to fill in.")
    for opening, closing in (("{{", "}}"), ("{%", "%}")):
        if source.rfind(opening) > source.rfind(closing):
            raise Refused("text.syntax", f"{_start(source)}: a {opening} is not closed by {closing}.")
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
        if not _WORDS_OF_LIQUID.isdisjoint(path):
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
        text._native = pieces[0][0]
    return True


class _Missing(FalsyStrictUndefined):
    """A name with nothing behind it: false in an ``if``, replaced by ``default``, an error everywhere else."""

    force_liquid_default = True

    def __eq__(self, other: object) -> bool:
        return other is None or other is False or isinstance(other, FalsyStrictUndefined)

    __hash__ = FalsyStrictUndefined.__hash__


class _Context(RenderContext):
    """One render, with its budget, and without python-liquid's clock."""

    __slots__ = ("left", "statements")

    def __init__(self, template: BoundTemplate, **named: Any) -> None:
        super().__init__(template, **named)
        self.scope = ReadOnlyChainMap(self.locals, self.globals)
        self.left = WORK_MAX
        assert isinstance(template, _Template)
        self.statements = template.statements

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise Refused("text.too_costly", f"The text costs more than {WORK_MAX} loop turns and filter steps.")

    def get_buffer(self, buf: Any = None) -> LimitedStringIO:
        # `newline`: a line break stays the one that it is.
        return LimitedStringIO(OUTPUT_MAX - getattr(buf, "size", 0), newline="")

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self.spend(length * self.statements)


class _Template(BoundTemplate):
    context_class = _Context

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.statements = sum(1 for _ in _walk(self.nodes)) or 1


class _OutputNode(OutputNode):
    """An output that writes objects as JSON rather than in Python's own way."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: Any) -> int:
        value = self.expression.evaluate(context)
        if isinstance(value, Undefined):
            raise _missing(_path_of(value))
        written = value if isinstance(value, str) else as_text(value)
        return int(buffer.write(str(escape(written)) if context.autoescape else written))


class _Output(Output):
    node_class = _OutputNode


class _Environment(Environment):
    block_nesting_limit = NESTING_MAX
    context_depth_limit = NESTING_MAX * 2
    local_namespace_limit = 4 * OUTPUT_MAX
    output_stream_limit = OUTPUT_MAX
    template_class = _Template


def _walk(nodes: Any) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _walk(node.children(None, include_partials=False))


def _check(template: BoundTemplate) -> None:
    """Refuse unknown filters, and ranges whose ends aren't written out: Liquid would make the numbers uncounted."""
    waiting = [expression for node in _walk(template.nodes) for expression in node.expressions()]
    while waiting:
        expression = waiting.pop()
        waiting.extend(expression.children())
        for one in getattr(expression, "filters", None) or ():
            one.validate_filter_arguments(template.env)
        if isinstance(expression, RangeLiteral):
            start, stop = expression.start, expression.stop
            if not (isinstance(start, IntegerLiteral) and isinstance(stop, IntegerLiteral)):
                raise Refused("text.range", "A range's ends must be written out, like (1..5).")
            if stop.value - start.value >= ITEMS_MAX:
                raise Refused("text.range", f"A range may hold {ITEMS_MAX} numbers at most.")


def _global_paths(template: BoundTemplate) -> tuple[tuple[str, ...], ...]:
    found: dict[tuple[str, ...], None] = {}
    for places in template.analyze(include_partials=False).globals.values():
        for variable in places:
            path: list[str] = []
            for segment in variable.segments:
                if not isinstance(segment, str):
                    break
                path.append(segment)
            found[tuple(path)] = None
    return tuple(found)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    kind = type(value)
    if value is None or kind in (str, int, bool, dict, list, float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (tuple, range)):
        return list(value)
    return as_text(value)


def _bounded(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that pays for what it takes and makes."""
    takes_context = bool(getattr(original, "with_context", False))
    takes_environment = bool(getattr(original, "with_environment", False))
    reckon = _RECKONED.get(name)

    def bounded(value: Any, *given: Any, context: _Context, **named: Any) -> Any:
        weight = _weight(value)
        for operand in (*given, *named.values()):
            weight += _weight(operand)
        context.spend(1 + weight // 64)
        if reckon is not None:
            reckon(value, *given)
        if takes_context:
            named["context"] = context
        if takes_environment:
            named["environment"] = context.env
        made = original(value, *given, **named)
        context.spend(_weight(made) // 64)
        return made

    return with_context(bounded)


def _weight(value: Any) -> int:
    if isinstance(value, str):
        if len(value) > OUTPUT_MAX:
            raise Refused("text.too_long", f"A filter takes and makes {OUTPUT_MAX} characters at most.")
        return len(value)
    if isinstance(value, (int, Decimal)):
        if abs(value) >> NUMBER_BITS_MAX if isinstance(value, int) else abs(value.adjusted()) > NUMBER_BITS_MAX // 3:
            raise Refused("text.number", f"A number in a text has {NUMBER_BITS_MAX} bits at most.")
        return 1
    if isinstance(value, (list, tuple, range)):
        if len(value) > ITEMS_MAX:
            raise Refused("text.too_long", f"A filter takes and makes {ITEMS_MAX} items at most.")
        return 16 * len(value)
    return 1


def _reckon_replace(value: Any, old: Any = "", new: Any = "") -> None:
    text, part = as_text(value), as_text(old)
    count = text.count(part) if part else len(text) + 1
    if len(text) + count * len(as_text(new)) > OUTPUT_MAX:
        raise Refused("text.too_long", f"replace makes more than {OUTPUT_MAX} characters.")


def _reckon_join(value: Any, glue: Any = " ") -> None:
    if isinstance(value, (list, tuple, range)):
        size = len(value) * len(as_text(glue)) + sum(len(item) if isinstance(item, str) else 20 for item in value)
        if size > OUTPUT_MAX:
            raise Refused("text.too_long", f"join makes more than {OUTPUT_MAX} characters.")


def _reckon_split(value: Any, by: Any = " ") -> None:
    if as_text(value).count(as_text(by)) >= ITEMS_MAX if by else len(as_text(value)) > ITEMS_MAX:
        raise Refused("text.too_long", f"split makes more than {ITEMS_MAX} items.")


def _reckon_round(_value: Any, digits: Any = 0) -> None:
    if isinstance(digits, int) and abs(digits) > 20:
        raise Refused("text.number", "round takes 20 digits at most.")


_RECKONED: dict[str, Callable[..., None]] = {
    "replace": _reckon_replace,
    "join": _reckon_join,
    "split": _reckon_split,
    "round": _reckon_round,
}


@with_context
def _day(value: Any, *, context: RenderContext) -> str:
    return spoken.day(value, _from_scope(context, "locale"), _from_scope(context, "time_zone"))


@with_context
def _time(value: Any, *, context: RenderContext) -> str:
    return spoken.time(value, _from_scope(context, "time_zone"))


@with_context
def _money(value: Any, currency: Any = "", *, context: RenderContext) -> str:
    return spoken.money(value, as_text(currency), _from_scope(context, "locale"))


@with_context
def _date(value: Any, form: Any = "%Y-%m-%d", *, context: RenderContext) -> str:
    """Liquid's ``date`` in the reader's time zone; ``now`` is the scope's, never the machine's."""
    if value in ("now", "today"):
        value = context.resolve("now")
    if value is None or value == "" or isinstance(value, Undefined):
        return ""
    directives = "".join(_DIRECTIVES.findall(as_text(form)[:100]))
    return spoken.moment(value, _from_scope(context, "time_zone")).strftime(directives)


def _json(value: Any) -> str:
    return json.encode(_plain(value)).decode()


def _from_scope(context: RenderContext, name: str) -> str:
    value = context.resolve(name, default="")
    return value if isinstance(value, str) else ""


def _missing(path: str) -> Refused:
    path = path[:200]
    return Refused("text.missing_variable", f"The text needs {path}, and it is not there.", field=path)


def _path_of(undefined: Undefined) -> str:
    hint = str(undefined.hint or undefined.name)
    return hint.removesuffix(" is undefined").strip("'\"")


def _too_long(source: str) -> Refused:
    return Refused("text.too_long", f"The text made by {_start(source)} is longer than {OUTPUT_MAX} bytes.")


def _refusal(problem: Exception, source: str) -> Refused:
    if isinstance(problem, Refused):
        return problem
    if isinstance(problem, UndefinedError):
        return _missing(str(problem.args[0]).removesuffix(" is undefined").strip("'\""))
    if isinstance(problem, ResourceLimitError):
        return Refused("text.too_long", f"{_start(source)} passes a limit: {problem.args[0]}.")
    if isinstance(problem, LiquidError):
        return Refused("text.fails", _said(problem, source))
    return Refused("text.fails", f"{_start(source)} fails with {type(problem).__name__}.")


def _said(problem: LiquidError, source: str) -> str:
    words = str(problem.args[0] if problem.args else type(problem).__name__)[:200].rstrip(".")
    try:
        place = problem.context()
    except ValueError:
        place = None
    return f"{_start(source)}, line {place[0] if place else 1}: {words}."


def _start(source: str) -> str:
    line = " ".join(source.split())
    return repr(line if len(line) <= 60 else line[:57] + "…")


def _build(*, html: bool) -> Environment:
    environment = _Environment(undefined=_Missing, autoescape=html)
    for name in set(environment.tags) - _TAGS:
        del environment.tags[name]
    environment.add_tag(_Output)
    for name in _LEFT_OUT:
        environment.filters.pop(name, None)
    environment.filters |= {"date": _date, "day": _day, "time": _time, "money": _money, "json": _json}
    for name, original in list(environment.filters.items()):
        environment.filters[name] = _bounded(name, original)
    return environment


_WORDS = _build(html=False)
_HTML = _build(html=True)
