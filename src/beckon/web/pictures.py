"""Pictures: a diagram inside a page. Its style comes as a file, since no page may carry one of its own."""

import re

from markupsafe import Markup

_SHEET = re.compile(r"<style>.*?</style>", re.DOTALL)
_OWN = re.compile(r"^(<svg\b[^>]*?) style=\"[^\"]*\"")
_WIDTH = re.compile(r"viewBox=\"\S+ \S+ ([\d.]+) ")
#: Of the drawing's own size: what doesn't fit is scrolled, so that its words stay readable.
_SCALE = 0.8


def for_page(svg: str | None) -> Markup | None:
    """The diagram without the styles that it brings along; ``drawing.css`` says the same."""
    if svg is None:
        return None
    width = _WIDTH.search(svg)
    size = f' width="{float(width[1]) * _SCALE:.0f}"' if width else ""
    return Markup(_OWN.sub(rf"\1{size}", _SHEET.sub("", svg), count=1))  # noqa: S704 -- our own diagram, its texts escaped
