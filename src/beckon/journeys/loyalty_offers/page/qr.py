"""A code as a QR symbol: inline SVG, drawn without a style, so that the page's policy may stay strict. Pure."""

from functools import lru_cache

import segno
from markupsafe import Markup

_CODE_MAX = 200


@lru_cache(maxsize=512)
def qr(code: str, label: str) -> Markup:
    """The symbol for a code, with its quiet zone; ``label`` says it to who can't see it.

    Level M: a till's scanner reads it off a scratched screen. Raises ``ValueError`` for what is too long, or
    not ASCII: scanners only guess at those letters.
    """
    if not 0 < len(code) <= _CODE_MAX or not code.isascii():
        raise ValueError(f"a code has 1 to {_CODE_MAX} ASCII characters")
    symbol = segno.make_qr(code, error="m", boost_error=False)
    size = symbol.symbol_size(border=4)[0]
    # Runs of dark modules in a row, one path for all: a few hundred bytes.
    path = []
    for y, row in enumerate(symbol.matrix_iter(border=4)):
        x = 0
        cells = list(row)
        while x < size:
            if not cells[x]:
                x += 1
                continue
            end = x
            while end < size and cells[end]:
                end += 1
            path.append(f"M{x} {y}h{end - x}v1h{x - end}z")
            x = end
    return Markup(
        '<svg class="qr" viewBox="0 0 {size} {size}" role="img" aria-label="{label}" shape-rendering="crispEdges">'
        '<rect width="{size}" height="{size}" fill="#fff"/><path d="{path}" fill="#000"/></svg>'
    ).format(size=size, label=label, path="".join(path))
