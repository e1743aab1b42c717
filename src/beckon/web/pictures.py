"""Pictures: a diagram inside a page. Its style comes as a file, since no page may carry one of its own."""

import re
from collections.abc import Callable

from markupsafe import Markup

_SHEET = re.compile(r"<style>.*?</style>", re.DOTALL)
_OWN = re.compile(r"^(<svg\b[^>]*?) style=\"[^\"]*\"")
_WIDTH = re.compile(r"viewBox=\"\S+ \S+ ([\d.]+) ")
#: Of the drawing's own size: its words stay readable.
_SCALE = 0.8
#: How much room a page has for a diagram, in the diagram's units: beside another column on a desk, and in a hand.
DESK, HAND = 827.0, 405.0


def for_both(draw: Callable[[float], str | None]) -> Markup | None:
    """The diagram as wide as a page on a desk, and as narrow as one in a hand: ``console.css`` shows the one that fits.

    ``draw`` draws it for so much room; None: there is nothing to draw.
    """
    desk, hand = draw(DESK), draw(HAND)
    if desk is None or hand is None:
        return None
    if desk == hand:
        return Markup('<div class="drawings">{}</div>').format(_region("", desk))
    return Markup('<div class="drawings">{}{}</div>').format(_region("desk", desk), _region("hand", hand))


def _region(room: str, svg: str) -> Markup:
    return Markup('<div class="drawing" tabindex="0" role="group" aria-label="Diagram"{}>{}</div>').format(
        Markup(' data-for="{}"').format(room) if room else "", for_page(svg)
    )


def for_page(svg: str | None, scale: float = _SCALE) -> Markup | None:
    """The diagram without the styles that it brings along; ``drawing.css`` says the same."""
    if svg is None:
        return None
    width = _WIDTH.search(svg)
    size = f' width="{float(width[1]) * scale:.0f}"' if width else ""
    return Markup(_OWN.sub(rf"\1{size}", _SHEET.sub("", svg), count=1))  # noqa: S704 -- our own diagram, its texts escaped
