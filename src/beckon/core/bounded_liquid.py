"""Liquid within limits: the environments that every text with Liquid in it is read and rendered in. Pure.

Every template is hostile until shown otherwise: a filter can square a text, a range can name a billion numbers. So
each render has ``WORK_MAX`` units; a loop's turn costs one for each statement of the source, a filter costs one and
its operands' size; what a filter would make is reckoned before it is made where it can multiply (``replace``,
``join``, ``split``), and weighed afterwards everywhere. No files, no includes, no clock: ``now`` is the scope's.

Besides Liquid's own filters there are ``day``, ``time`` and ``money`` (see ``core.spoken``), which read ``locale`` and
``time_zone`` from the scope, and ``json``.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from liquid import BoundTemplate, Environment, RenderContext, escape
from liquid.ast import Node
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
from beckon.core.measures import NUMBER_DIGITS_MAX, closest, weigh

#: The longest text that comes out, in bytes; also the longest that a filter may take or make, in characters.
OUTPUT_MAX = 65_536
#: Items of a list that a filter takes or makes, and numbers in a range.
ITEMS_MAX = 1_000
#: What one operand of a filter may weigh.
OPERAND_WEIGHT_MAX = 131_072
#: What one render may cost.
WORK_MAX = 40_000
#: How deep blocks may nest.
NESTING_MAX = 12
#: Digits that ``round`` keeps.
ROUND_DIGITS_MAX = 20

_TAGS = frozenset(
    (
        *("#", "assign", "break", "capture", "case", "comment", "content", "continue", "cycle", "doc"),
        *("echo", "for", "if", "illegal", "liquid", "output", "unless"),
    )
)
# `safe` and `strip_html` promise more than they hold, `escapejs` has no place in a message, the url-safe base64 twins
# make bytes; `date` is ours, without a clock.
_LEFT_OUT = ("safe", "strip_html", "escapejs", "base64_url_safe_encode", "base64_url_safe_decode", "date")
_DIRECTIVES = re.compile(r"%[-]?[aAbBdHIjmMpSyYZz%]|[^%]")


class _Missing(FalsyStrictUndefined):
    """A name with nothing behind it: false in an ``if``, replaced by ``default``, an error everywhere else."""

    force_liquid_default = True

    def __eq__(self, other: object) -> bool:
        return other is None or other is False or isinstance(other, FalsyStrictUndefined)

    __hash__ = FalsyStrictUndefined.__hash__


class Context(RenderContext):
    """One render, with its budget, and without python-liquid's clock."""

    __slots__ = ("left", "statements")

    def __init__(self, template: BoundTemplate, **named: Any) -> None:
        super().__init__(template, **named)
        self.scope = ReadOnlyChainMap(self.locals, self.globals)
        self.left = WORK_MAX
        assert isinstance(template, _Template)
        self.statements = template.statements

    def spend(self, units: int) -> None:
        """Take from the budget; refuse when it is used up."""
        self.left -= units
        if self.left < 0:
            raise Refused("text.too_costly", f"The text costs more than {WORK_MAX} loop turns and filter steps.")

    def get_buffer(self, buf: Any = None) -> LimitedStringIO:
        """Where a block writes; all that it may still write is what the whole text may."""
        # `newline`: a line break stays the one that it is.
        return LimitedStringIO(OUTPUT_MAX - getattr(buf, "size", 0), newline="")

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Pay for a loop before it begins (Liquid calls this at every loop, nested ones included)."""
        self.spend(length * self.statements)


class _Template(BoundTemplate):
    context_class = Context

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.statements = sum(1 for _ in _walk(self.nodes)) or 1


class _OutputNode(OutputNode):
    """An output that writes objects as JSON rather than in Python's own way."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: Any) -> int:
        value = self.expression.evaluate(context)
        if isinstance(value, Undefined):
            raise missing(path_of(value))
        written = value if isinstance(value, str) else as_text(value)
        return int(buffer.write(str(escape(written)) if context.autoescape else written))


class _Output(Output):
    node_class = _OutputNode


class _Environment(Environment):
    block_nesting_limit = NESTING_MAX
    context_depth_limit = NESTING_MAX
    local_namespace_limit = 4 * OUTPUT_MAX
    output_stream_limit = OUTPUT_MAX
    template_class = _Template


def read(source: str, *, html: bool = False) -> tuple[BoundTemplate, tuple[tuple[str, ...], ...]]:
    """Parse a text; say also which paths it reads from its scope, as far as they are constant.

    Refuses a filter that there isn't: better when it is written than when it is sent.
    """
    try:
        template = (_HTML if html else _WORDS).from_string(source)
        _check(template, source)
        return template, _global_paths(template)
    except LiquidError as problem:
        raise Refused("text.syntax", _said(problem, source)) from None
    except RecursionError:
        raise Refused("text.syntax", f"The Liquid in {start_of(source)} nests too deep.") from None


def as_text(value: Any) -> str:
    """A value as a text shows it: true and false in lower case, nothing for null, objects as JSON."""
    kind = type(value)
    if kind is str:
        return str(value)
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is list or kind is tuple or kind is dict:
        weigh(value)
        return _joined(value)
    if kind is range:
        return f"{value.start}..{value.stop - 1}"
    return str(value)


def _joined(value: Any) -> str:
    kind = type(value)
    if kind is list or kind is tuple:
        return "".join([_joined(item) for item in value])
    return json.encode(value).decode() if kind is dict else as_text(value)


def plain(value: Any) -> Any:
    """A value as JSON has it; Liquid's own kinds (ranges, decimals) become lists and numbers."""
    weigh(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise Refused("text.fails", f"The expression gives a {type(value).__name__}, which is no value.")


def missing(path: str) -> Refused:
    """The refusal of a name with nothing behind it."""
    path = path[:200]
    return Refused("text.missing_variable", f"The text needs {path}, and it is not there.", field=path)


def path_of(undefined: Undefined) -> str:
    """The path that led to nothing."""
    hint = str(undefined.hint or undefined.name)
    return hint.removesuffix(" is undefined").strip("'\"")


def too_long(source: str) -> Refused:
    """The refusal of a text that grew too long."""
    return Refused("text.too_long", f"The text made by {start_of(source)} is longer than {OUTPUT_MAX} bytes.")


def refusal(problem: Exception, source: str) -> Refused:
    """What went wrong while a text was rendered, as we say it."""
    if isinstance(problem, Refused):
        return problem
    if isinstance(problem, UndefinedError):
        return missing(str(problem.args[0]).removesuffix(" is undefined").strip("'\""))
    if isinstance(problem, ResourceLimitError):
        return Refused("text.too_long", f"{start_of(source)} passes a limit: {problem.args[0]}.")
    if isinstance(problem, LiquidError):
        return Refused("text.fails", _said(problem, source))
    return Refused("text.fails", f"{start_of(source)} fails with {type(problem).__name__}.")


def start_of(source: str) -> str:
    """The start of a text, in quotes, for a sentence about it."""
    line = " ".join(source.split())
    return repr(line if len(line) <= 60 else line[:57] + "…")


def _said(problem: LiquidError, source: str) -> str:
    words = str(problem.args[0] if problem.args else type(problem).__name__)[:200].rstrip(".")
    try:
        place = problem.context()
    except ValueError:
        place = None
    return f"The Liquid in {start_of(source)} is wrong, line {place[0] if place else 1}: {words}."


def _walk(nodes: Any) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _walk(node.children(None, include_partials=False))


def _check(template: BoundTemplate, source: str) -> None:
    """Refuse unknown filters, and ranges whose ends aren't written out: Liquid would make the numbers uncounted."""
    known = template.env.filters
    waiting = [expression for node in _walk(template.nodes) for expression in node.expressions()]
    while waiting:
        expression = waiting.pop()
        waiting.extend(expression.children())
        for one in getattr(expression, "filters", None) or ():
            if one.name not in known:
                why = f"There is no filter called {one.name[:60]!r}{closest(one.name, known)}"
                raise Refused("text.unknown_filter", why)
            one.validate_filter_arguments(template.env)
        if isinstance(expression, RangeLiteral):
            start, stop = expression.start, expression.stop
            if not (isinstance(start, IntegerLiteral) and isinstance(stop, IntegerLiteral)):
                raise Refused("text.range", f"A range's ends must be written out, like (1..5), in {start_of(source)}.")
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


def _bounded(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that pays for what it takes and makes."""
    takes_context = bool(getattr(original, "with_context", False))
    takes_environment = bool(getattr(original, "with_environment", False))
    reckon = _RECKONED.get(name)

    def bounded(value: Any, *given: Any, context: Context, **named: Any) -> Any:
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
    if isinstance(value, Undefined):
        return 1
    if isinstance(value, (list, tuple, range)) and len(value) > ITEMS_MAX:
        raise Refused("text.too_long", f"A filter takes and makes {ITEMS_MAX} items at most.")
    return weigh(value, OPERAND_WEIGHT_MAX)


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


def _reckon_number(value: Any, *given: Any) -> None:
    # A text such as 1e99999999 is a short number, until it is made whole.
    for operand in (value, *given):
        if isinstance(operand, str) and (len(operand) > NUMBER_DIGITS_MAX or "e" in operand.lower()):
            raise Refused("text.number", f"{start_of(operand)} is no number to reckon with.")


def _reckon_round(value: Any, digits: Any = 0) -> None:
    _reckon_number(value, digits)
    if isinstance(digits, int) and abs(digits) > ROUND_DIGITS_MAX:
        raise Refused("text.number", f"round takes {ROUND_DIGITS_MAX} digits at most.")


_RECKONED: dict[str, Callable[..., None]] = {
    "replace": _reckon_replace,
    "join": _reckon_join,
    "split": _reckon_split,
    "round": _reckon_round,
    **dict.fromkeys(
        ("abs", "at_least", "at_most", "ceil", "divided_by", "floor", "minus", "modulo", "plus", "times"),
        _reckon_number,
    ),
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
    if isinstance(value, str) and value in ("now", "today"):
        value = context.resolve("now", default="")
    if value is None or value == "":
        return ""
    directives = "".join(_DIRECTIVES.findall(as_text(form)[:100]))
    return spoken.moment(value, _from_scope(context, "time_zone")).strftime(directives)


def _json(value: Any) -> str:
    return json.encode(plain(value)).decode()


def _from_scope(context: RenderContext, name: str) -> str:
    value = context.resolve(name, default="")
    return value if isinstance(value, str) else ""


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
