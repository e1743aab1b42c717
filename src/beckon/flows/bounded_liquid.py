"""Liquid within limits: no files, no clock of its own, and a budget that loops, filters and output all draw on.

Every template is hostile until shown otherwise: a filter can square a text, a range can name a billion numbers. So
each render has ``FUEL`` units; a loop's turn costs one, a filter costs one and its operands' size; what a filter would
make is reckoned before it is made where it can multiply (``replace``, ``join``), and weighed afterwards everywhere.
"""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any, TextIO

from liquid import BoundTemplate, Environment, RenderContext
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import LiquidError, OutputStreamLimitError, UndefinedError
from liquid.filter import with_context
from liquid.undefined import FalsyStrictUndefined
from msgspec import json

from beckon.core.errors import Refused
from beckon.flows.timers import instant
from beckon.flows.weight import NUMBER_DIGITS_MAX, closest, weigh

#: The longest text with Liquid in it, as written.
SOURCE_CHARS_MAX = 8_000
#: The longest text that a template may make, in bytes.
OUTPUT_BYTES_MAX = 32_768
#: What one render may cost.
FUEL = 10_000
#: What one operand of a filter may weigh.
OPERAND_WEIGHT_MAX = 131_072

_LEFT_OUT = ("include", "render", "increment", "decrement", "ifchanged", "tablerow")


class Missing(FalsyStrictUndefined):
    """A name with nothing behind it: false in an ``if``, replaced by ``default``, an error everywhere else."""

    force_liquid_default = True

    def __eq__(self, other: object) -> bool:
        return other is None or other is False or isinstance(other, FalsyStrictUndefined)

    __hash__ = FalsyStrictUndefined.__hash__


class BoundedContext(RenderContext):
    """A render that runs out of fuel."""

    __slots__ = ("fuel", "zone")

    def __init__(self, template: BoundTemplate, **named: Any) -> None:
        super().__init__(template, **named)
        self.fuel = FUEL
        self.zone: tzinfo = UTC

    def spend(self, units: int) -> None:
        """Take from the budget; refuse when it is used up."""
        self.fuel -= units
        if self.fuel < 0:
            raise Refused(
                "flow.template_too_costly", f"The template costs more than {FUEL} loop turns and filter steps."
            )

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Pay for a loop before it begins (Liquid calls this at every loop, nested ones included)."""
        self.spend(length)


class _Template(BoundTemplate):
    context_class = BoundedContext


class _OutputNode(OutputNode):
    """An output statement that writes objects as JSON rather than in Python's own way."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(as_text(self.expression.evaluate(context)))


class _Output(Output):
    node_class = _OutputNode


class _BoundedEnvironment(Environment):
    block_nesting_limit = 12
    context_depth_limit = 12
    local_namespace_limit = 262_144
    output_stream_limit = OUTPUT_BYTES_MAX
    template_class = _Template


def as_text(value: Any) -> str:
    """A value as a template writes it: true and false in lower case, nothing for null, objects as JSON."""
    kind = type(value)
    if kind is str:
        return str(value)
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is dict:
        return json.encode(value).decode()
    if kind is list or kind is tuple:
        return "".join([as_text(item) for item in value])
    if kind is range:
        return f"{value.start}..{value.stop - 1}"
    return str(value)


def parse_liquid(source: str) -> BoundTemplate:
    """Parse a text with Liquid in it. Raises ``Refused`` with the place of the mistake."""
    if len(source) > SOURCE_CHARS_MAX:
        raise Refused("flow.text_too_long", f"The text is longer than {SOURCE_CHARS_MAX} characters.")
    try:
        return _ENVIRONMENT.from_string(source)
    except LiquidError as problem:
        raise Refused("flow.liquid_syntax", f"The Liquid in {_start(source)} is wrong: {_said(problem)}.") from None
    except RecursionError:
        raise Refused("flow.liquid_syntax", f"The Liquid in {_start(source)} nests too deep.") from None


def native_expression(template: BoundTemplate) -> FilteredExpression | None:
    """The expression of a template that is exactly one ``{{ … }}``; None: it is more, or less."""
    if len(template.nodes) == 1 and isinstance(template.nodes[0], OutputNode):
        expression = template.nodes[0].expression
        return expression if isinstance(expression, FilteredExpression) else None
    return None


def global_paths(template: BoundTemplate) -> list[tuple[str, ...]]:
    """The paths that a template reads from outside itself, as far as they are constant: ``("event", "data")``.

    Refuses a filter that there isn't: better when it is written than when it is sent.
    """
    analysis = template.analyze(include_partials=False)
    for name in analysis.filters:
        if name not in _ENVIRONMENT.filters:
            why = f"There is no filter called {name!r}{closest(name, _ENVIRONMENT.filters)}"
            raise Refused("flow.unknown_filter", why)
    paths = []
    for spans in analysis.globals.values():
        for variable in spans:
            path = []
            for segment in variable.segments:
                if not isinstance(segment, str):
                    break
                path.append(segment)
            paths.append(tuple(path))
    return paths


def evaluate(template: BoundTemplate, expression: FilteredExpression, scope: dict[str, Any], zone: tzinfo) -> Any:
    """The value of a template's only expression: an object, a number, a text."""
    context = BoundedContext(template, globals=scope)
    context.zone = zone
    try:
        value = expression.evaluate(context)
        if isinstance(value, FalsyStrictUndefined):
            raise Refused("flow.missing_value", f"{value.msg[:200]}.")
        return plain(value)
    except Exception as problem:
        raise _refusal(problem, str(template)) from None


def render(template: BoundTemplate, scope: dict[str, Any], zone: tzinfo) -> str:
    """The text that a template makes. Raises ``Refused``, whatever goes wrong in it."""
    context = BoundedContext(template, globals=scope)
    context.zone = zone
    buffer = template._get_buffer()
    try:
        template.render_with_context(context, buffer)
    except Exception as problem:
        raise _refusal(problem, str(template)) from None
    return buffer.getvalue()


def plain(value: Any) -> Any:
    """A value as JSON has it; Liquid's own kinds (ranges, decimals) become lists and numbers."""
    weigh(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise Refused("flow.liquid_failed", f"The expression gives a {type(value).__name__}, which is no value.")


def _refusal(problem: Exception, source: str) -> Refused:
    if isinstance(problem, Refused):
        return problem
    if isinstance(problem, UndefinedError):
        return Refused("flow.missing_value", f"{str(problem.args[0])[:200]} in {_start(source)}.")
    if isinstance(problem, OutputStreamLimitError):
        return Refused(
            "flow.text_too_long", f"The text made by {_start(source)} is longer than {OUTPUT_BYTES_MAX} bytes."
        )
    if isinstance(problem, LiquidError):
        return Refused("flow.liquid_failed", f"{_start(source)} fails: {_said(problem)}.")
    return Refused("flow.liquid_failed", f"{_start(source)} fails with {type(problem).__name__}.")


def _said(problem: LiquidError) -> str:
    return str(problem.args[0] if problem.args else type(problem).__name__)[:200].rstrip(".")


def _start(source: str) -> str:
    line = " ".join(source.split())
    return repr(line if len(line) <= 60 else line[:57] + "…")


def _bounded(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that pays for what it reads, and whose result is weighed."""
    takes_context = bool(getattr(original, "with_context", False))
    takes_environment = bool(getattr(original, "with_environment", False))
    reckon = _RECKONED.get(name)

    def bounded(value: Any, *given: Any, context: BoundedContext, **named: Any) -> Any:
        weight = _weigh_operand(value)
        for operand in given:
            weight += _weigh_operand(operand)
        for operand in named.values():
            weight += _weigh_operand(operand)
        context.spend(1 + weight // 256)
        if reckon is not None:
            reckon(value, *given)
        if takes_context:
            named["context"] = context
        if takes_environment:
            named["environment"] = context.env
        made = original(value, *given, **named)
        _weigh_operand(made)
        return made

    return with_context(bounded)


def _weigh_operand(value: Any) -> int:
    kind = type(value)
    if kind is str:
        if len(value) > OPERAND_WEIGHT_MAX:
            raise Refused("flow.text_too_long", f"A filter handles more than {OPERAND_WEIGHT_MAX} characters.")
        return len(value)
    if kind is Missing:
        return 1
    return weigh(value, OPERAND_WEIGHT_MAX)


def _reckon_replace(value: Any, old: Any = "", new: Any = "") -> None:
    text, part = as_text(value), as_text(old)
    count = text.count(part) if part else len(text) + 1
    if len(text) + count * len(as_text(new)) > OPERAND_WEIGHT_MAX:
        raise Refused("flow.text_too_long", f"replace makes more than {OPERAND_WEIGHT_MAX} characters.")


def _reckon_join(value: Any, glue: Any = " ") -> None:
    if isinstance(value, (list, tuple, range)) and len(value) * len(as_text(glue)) > OPERAND_WEIGHT_MAX:
        raise Refused("flow.text_too_long", f"join makes more than {OPERAND_WEIGHT_MAX} characters.")


def _reckon_number(value: Any, *given: Any) -> None:
    # A text such as 1e99999999 is a short number, until it is made whole.
    for operand in (value, *given):
        if isinstance(operand, str) and (len(operand) > NUMBER_DIGITS_MAX or "e" in operand.lower()):
            raise Refused("flow.value_too_large", f"{_start(operand)} is no number to reckon with.")


_RECKONED: dict[str, Callable[..., None]] = {
    "replace": _reckon_replace,
    "join": _reckon_join,
    **dict.fromkeys(
        ("abs", "at_least", "at_most", "ceil", "divided_by", "floor", "minus", "modulo", "plus", "round", "times"),
        _reckon_number,
    ),
}


@with_context
def _date(value: Any, form: Any = "%Y-%m-%d", *, context: BoundedContext) -> str:
    """Liquid's ``date`` in the contact's time zone; ``now`` is the run's clock, never the machine's."""
    if value is None or value == "":
        return ""
    if value in ("now", "today"):
        value = context.resolve("now")
    moment = datetime.fromtimestamp(instant(value, context.zone) / 1_000, context.zone)
    return moment.strftime(as_text(form)[:100])


def _as_json(value: Any) -> str:
    """Write a value as JSON."""
    return json.encode(plain(value)).decode()


def _build() -> Environment:
    environment = _BoundedEnvironment(undefined=Missing)
    for name in _LEFT_OUT:
        environment.tags.pop(name, None)
    environment.add_tag(_Output)
    environment.filters["date"] = _date
    environment.filters["json"] = _as_json
    for name, original in list(environment.filters.items()):
        environment.filters[name] = _bounded(name, original)
    return environment


_ENVIRONMENT = _build()
