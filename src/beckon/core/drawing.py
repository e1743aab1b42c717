"""Drawing: the pencil and the paper for diagrams: words measured and wrapped, icons, colours, lines."""

from xml.sax.saxutils import escape

#: Colours by role: (custom property, light, dark). A page that sets ``--flow-…`` has its own way.
COLOURS: dict[str, tuple[str, str, str]] = {
    "ink": ("--flow-ink", "#17202a", "#e8edf3"),
    "muted": ("--flow-muted", "#5b6877", "#9aa8b8"),
    "surface": ("--flow-surface", "#ffffff", "#1b222c"),
    "edge": ("--flow-edge", "#d8dee6", "#323d4b"),
    "line": ("--flow-line", "#aab5c2", "#55637a"),
    "frame": ("--flow-frame", "#f3f6f9", "#151b23"),
    "accent": ("--flow-accent", "#0b7a5f", "#3ecf9f"),
    "halo": ("--flow-halo", "#0b7a5f33", "#3ecf9f40"),
    "wrong": ("--flow-wrong", "#c0262d", "#ff7b7b"),
    "say": ("--flow-say", "#1859c9", "#7fb0ff"),
    "wait": ("--flow-wait", "#94590a", "#f0b65a"),
    "decide": ("--flow-decide", "#7a3fc2", "#c39bff"),
    "keep": ("--flow-keep", "#4a5a6c", "#a9b8c9"),
    "team": ("--flow-team", "#0b6e8a", "#66cfe8"),
    "do": ("--flow-do", "#a8326e", "#ff9acb"),
    "stop": ("--flow-stop", "#6b7280", "#9ca3af"),
}

#: Icons on a 20 × 20 field, drawn with a round pen.
ICONS: dict[str, str] = {
    "send": "M3 10 L17 3.5 L12.5 17 L9.5 11.5 Z M9.5 11.5 L17 3.5",
    "wait_for": "M5 3.5 H15 M5 16.5 H15 M6 3.5 C6 8 9.5 8.5 9.5 10 C9.5 11.5 6 12 6 16.5 "
    "M14 3.5 C14 8 10.5 8.5 10.5 10 C10.5 11.5 14 12 14 16.5",
    "wait": "M10 3 A7 7 0 1 1 9.99 3 M10 6 V10 L13 12",
    "if": "M10 3 L17 10 L10 17 L3 10 Z M8 8.6 C8 6.6 12 6.6 12 8.8 C12 10.2 10 10 10 11.4 M10 13.4 V13.5",
    "choose": "M10 3 V7 M10 7 C10 11 4.5 9.5 4.5 14 V16 M10 7 V16 M10 7 C10 11 15.5 9.5 15.5 14 V16",
    "for_each": "M4 9 A6 6 0 0 1 15.5 6.5 M15.8 3.4 V6.8 H12.4 M16 11 A6 6 0 0 1 4.5 13.5 M4.2 16.6 V13.2 H7.6",
    "note": "M4 3.5 H16 V12 L11.5 16.5 H4 Z M16 12 H11.5 V16.5 M7 7.2 H13 M7 10.2 H11",
    "post": "M3.5 4.5 H16.5 V13.5 H9 L5.5 16.5 V13.5 H3.5 Z M6.8 8 H13.2 M6.8 10.6 H11",
    "notify": "M5.5 14 V9 A4.5 4.5 0 0 1 14.5 9 V14 L16 15 H4 Z M8.5 17 H11.5",
    "assign": "M10 9.5 A3.1 3.1 0 1 1 10.01 9.5 M4 17 C4 13.4 6.6 12 10 12 C13.4 12 16 13.4 16 17",
    "call": "M7 5 L3 10 L7 15 M13 5 L17 10 L13 15 M11.2 4 L8.8 16",
    "http": "M10 3 A7 7 0 1 1 9.99 3 M3 10 H17 M10 3 C6.2 7 6.2 13 10 17 C13.8 13 13.8 7 10 3",
    "emit": "M11 2.5 L4.5 11.5 H9.5 L8.5 17.5 L15.5 8.5 H10.5 Z",
    "set": "M4 7 H16 M4 13 H16 M7.5 4.8 V9.2 M12.5 10.8 V15.2",
    "answer": "M8 5 L3.5 9.5 L8 14 M3.5 9.5 H12 A4.5 4.5 0 0 1 16.5 14 V16",
    "find": "M9 4 A5 5 0 1 1 8.99 4 M12.7 12.7 L16.5 16.5",
    "stop": "M6 3.5 H14 L17 7 V13 L14 16.5 H6 L3 13 V7 Z M7.5 10 H12.5",
    # steps of a call
    "say": "M3.5 8 V12 H6.5 L10.5 15.5 V4.5 L6.5 8 Z M13 7.5 C14.6 9 14.6 11 13 12.5 M15.2 5.4 C18 8 18 12 15.2 14.6",
    "gather": "M5 4.5 H5.1 M10 4.5 H10.1 M15 4.5 H15.1 M5 9 H5.1 M10 9 H10.1 M15 9 H15.1 M5 13.5 H5.1 M10 13.5 H10.1 "
    "M15 13.5 H15.1 M10 17 H10.1",
    "authorise": "M5 9 H15 V16.5 H5 Z M7 9 V6.5 A3 3 0 0 1 13 6.5 V9 M10 12 V13.8",
    "dial": "M6 3 L8.5 7 L6.8 9 C7.8 11.2 8.8 12.2 11 13.2 L13 11.5 L17 14 C16.4 16.4 14.6 17.4 12.4 16.8 "
    "C7.8 15.4 4.6 12.2 3.2 7.6 C2.6 5.4 3.6 3.6 6 3 Z",
    "record": "M10 4 A6 6 0 1 1 9.99 4 M10 8 A2 2 0 1 1 9.99 8",
    "voicemail": "M6 7 A3 3 0 1 1 5.99 7 M14 7 A3 3 0 1 1 13.99 7 M6 13 H14",
    "jump": "M4 5 V10 A3 3 0 0 0 7 13 H15.5 M12 9.5 L15.5 13 L12 16.5",
    "hang_up": "M3 12.5 C5 8.5 15 8.5 17 12.5 L14 14 L12.6 11.6 C11 11.2 9 11.2 7.4 11.6 L6 14 Z",
    "start": "M11 2.5 L4.5 11.5 H9.5 L8.5 17.5 L15.5 8.5 H10.5 Z",
    "done": "M4.5 10.5 L8.5 14.5 L15.5 6",
}

_NARROW = frozenset("iljtfrI.,:;'|!()[]{}/\\ ·-`")
_WIDE = frozenset("mwMW@%—…QGOD&")


def text_width(text: str, size: float, *, bold: bool = False, mono: bool = False) -> float:
    """About how wide a line of text is, a little too wide rather than too narrow."""
    if mono:
        return len(text) * size * 0.61
    units = 0.0
    for char in text:
        if char in _NARROW:
            units += 0.34
        elif char in _WIDE:
            units += 0.88
        elif char.isupper() or char.isdigit():
            units += 0.64
        elif ord(char) > 0x2E80:
            units += 1.05
        else:
            units += 0.545
    return units * size * (1.2 if bold else 1.07)


def wrap(text: str, size: float, width: float, lines_max: int, *, bold: bool = False, mono: bool = False) -> list[str]:
    """Break a text into lines that fit; what doesn't fit on the last ends in an ellipsis."""
    lines: list[str] = []
    line = ""
    words = [piece for word in text[:600].split() for piece in _pieces(word, size, width, bold, mono)]
    for word in words:
        longer = f"{line} {word}" if line else word
        if text_width(longer, size, bold=bold, mono=mono) <= width:
            line = longer
            continue
        if len(lines) == lines_max - 1:
            return [*lines, _cut(longer, size, width, bold, mono)]
        lines.append(line)
        line = word
    return [*lines, line] if line else lines


def _pieces(word: str, size: float, width: float, bold: bool, mono: bool) -> list[str]:
    """A word that is wider than a line, broken after a dot, a slash or an underscore, or anywhere."""
    if text_width(word, size, bold=bold, mono=mono) <= width:
        return [word]
    pieces, piece = [], ""
    for char in word:
        if text_width(piece + char, size, bold=bold, mono=mono) > width:
            cut = max(piece.rfind(mark) for mark in "._/-=?&,") + 1
            cut = cut if cut > len(piece) // 3 else len(piece)
            pieces.append(piece[:cut])
            piece = piece[cut:]
        piece += char
    return [part for part in [*pieces, piece] if part]


def _cut(text: str, size: float, width: float, bold: bool, mono: bool) -> str:
    while text and text_width(text + "…", size, bold=bold, mono=mono) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def safe(text: str) -> str:
    """Text for an element or a quoted attribute; what XML can't hold is left out."""
    kept = "".join(char if char >= " " or char in "\n\t" else " " for char in text if not _forbidden(char))
    return escape(kept, {'"': "&quot;", "'": "&#39;"})


def _forbidden(char: str) -> bool:
    return "\ud800" <= char <= "\udfff" or char in "\ufffe\uffff"


class Paper:
    """An SVG in the making: edges below, edges that were taken above them, cards on top."""

    def __init__(self) -> None:
        self._under: list[str] = []
        self._edges: list[str] = []
        self._taken: list[str] = []
        self._cards: list[str] = []

    def frame(self, x: float, y: float, width: float, height: float, label: str) -> None:
        """A frame around what is repeated."""
        shape = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="18"'
        colours = f'fill="{COLOURS["frame"][1]}" stroke="{COLOURS["line"][1]}" stroke-dasharray="5 5"'
        self._under.append(f'<rect class="bf-frame" {shape} {colours}/>')
        if label:
            self._under.append(self.words(x + 16, y + 22, [label], "bf-label", 11.5, "muted"))

    def edge(self, points: list[tuple[float, float]], taken: bool, *, arrow: bool = False, title: str = "") -> None:
        """A line through these points, its corners round."""
        kind = "accent" if taken else "line"
        width = "2.5" if taken else "1.5"
        about = f"<title>{safe(title)}</title>" if title else ""
        mark = f'class="bf-edge{" is-taken" if taken else ""}"'
        pen = f'fill="none" stroke="{COLOURS[kind][1]}" stroke-width="{width}" stroke-linecap="round"'
        drawn = f'<path {mark} d="{_rounded(points)}" {pen}>{about}</path>'
        if arrow:
            x, y = points[-1]
            tip = f"M{_n(x)} {_n(y)} l-4.5 -7.5 h9 Z"
            drawn += f'<path class="bf-tip{" is-taken" if taken else ""}" d="{tip}" fill="{COLOURS[kind][1]}"/>'
        (self._taken if taken else self._edges).append(drawn)

    def chip(self, x: float, y: float, text: str, taken: bool, title: str = "") -> None:
        """A label on an edge, centred at (x, y)."""
        line = wrap(text, 11, 150, 1)[0] if text.strip() else ""
        width = text_width(line, 11, bold=taken) + 18
        kind = "accent" if taken else "line"
        about = f"<title>{safe(title)}</title>" if title else ""
        self._cards.append(
            f'<g class="bf-chip{" is-taken" if taken else ""}">{about}'
            f'<rect x="{_n(x - width / 2)}" y="{_n(y - 10)}" width="{_n(width)}" height="20" rx="10" '
            f'fill="{COLOURS["surface"][1]}" stroke="{COLOURS[kind][1]}"/>'
            + self.words(
                x, y + 3.8, [line], "bf-chip-text", 11, "accent" if taken else "muted", middle=True, bold=taken
            )
            + "</g>"
        )

    def card(self, svg: str) -> None:
        """Something on top."""
        self._cards.append(svg)

    @staticmethod
    def words(
        x: float,
        y: float,
        lines: list[str],
        mark: str,
        size: float,
        colour: str,
        *,
        middle: bool = False,
        bold: bool = False,
        leading: float = 0,
    ) -> str:
        """Lines of text, the first on the baseline ``y``."""
        anchor = ' text-anchor="middle"' if middle else ""
        weight = ' font-weight="600"' if bold else ""
        spans = "".join(
            f'<tspan x="{_n(x)}" y="{_n(y + number * (leading or size * 1.35))}">{safe(line)}</tspan>'
            for number, line in enumerate(lines)
        )
        return f'<text class="{mark}" font-size="{size}" fill="{COLOURS[colour][1]}"{anchor}{weight}>{spans}</text>'

    def svg(self, box: tuple[float, float, float, float], title: str, dark: bool | None, styled: bool) -> str:
        """The whole picture."""
        x, y, width, height = (_n(number) for number in box)
        look = {None: "", True: " bf-dark", False: " bf-light"}[dark]
        style = f"<style>{STYLE}</style>" if styled else ""
        font = 'font-family="ui-sans-serif, system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="beckon-flow{look}" viewBox="{x} {y} {width} {height}" '
            f'role="img" aria-label="{safe(title)}" preserveAspectRatio="xMidYMin meet" {font} '
            f'style="max-width:{width}px;width:100%;height:auto;display:block">'
            f"{style}<title>{safe(title)}</title>"
            f"{''.join(self._under)}{''.join(self._edges)}{''.join(self._taken)}{''.join(self._cards)}</svg>"
        )


def icon(kind: str, x: float, y: float, colour: str, size: float = 20) -> str:
    """An icon, its upper left corner at (x, y)."""
    scale = f" scale({_n(size / 20)})" if size != 20 else ""
    return (
        f'<path class="bf-icon bf-{colour}" transform="translate({_n(x)} {_n(y)}){scale}" d="{ICONS[kind]}" '
        f'fill="none" stroke="{COLOURS[colour][1]}" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"/>'
    )


def straightened(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A line's points without the corners that are none."""
    kept = [points[0]]
    for point in points[1:]:
        if point != kept[-1]:
            kept.append(point)
    straight = [kept[0]]
    for number in range(1, len(kept) - 1):
        (ax, ay), (bx, by), (cx, cy) = straight[-1], kept[number], kept[number + 1]
        if not (ax == bx == cx or ay == by == cy):
            straight.append((bx, by))
    return [*straight, kept[-1]] if len(kept) > 1 else kept


def _rounded(points: list[tuple[float, float]], radius: float = 12) -> str:
    drawn = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for number in range(1, len(points) - 1):
        (ax, ay), (bx, by), (cx, cy) = points[number - 1], points[number], points[number + 1]
        before = min(radius, _distance(ax, ay, bx, by) / 2)
        after = min(radius, _distance(bx, by, cx, cy) / 2)
        sx, sy = _towards(bx, by, ax, ay, before)
        ex, ey = _towards(bx, by, cx, cy, after)
        drawn += f" L{_n(sx)} {_n(sy)} Q{_n(bx)} {_n(by)} {_n(ex)} {_n(ey)}"
    return drawn + f" L{_n(points[-1][0])} {_n(points[-1][1])}"


def _distance(ax: float, ay: float, bx: float, by: float) -> float:
    return abs(ax - bx) + abs(ay - by)


def _towards(x: float, y: float, tx: float, ty: float, length: float) -> tuple[float, float]:
    whole = _distance(x, y, tx, ty) or 1
    return x + (tx - x) * length / whole, y + (ty - y) * length / whole


def _n(number: float) -> str:
    return f"{number:.1f}".rstrip("0").rstrip(".")


def _style() -> str:
    """The style sheet: every colour a custom property, light, dark by the system, or as the page says."""

    def palette(dark: int) -> str:
        return "".join(f"--bf-{name}:var({page},{values[dark - 1]});" for name, (page, *values) in COLOURS.items())

    kinds = "".join(
        f".beckon-flow .bf-{name}{{stroke:var(--bf-{name})}}.beckon-flow .bf-tag-{name}{{fill:var(--bf-{name})}}"
        f".beckon-flow .bf-badge-{name}{{fill:var(--bf-{name})}}"
        for name in ("say", "wait", "decide", "keep", "team", "do", "stop", "accent", "wrong")
    )
    return (
        f".beckon-flow{{{palette(1)}}}"
        f"@media (prefers-color-scheme:dark){{.beckon-flow:not(.bf-light){{{palette(2)}}}}}"
        f".beckon-flow.bf-dark{{{palette(2)}}}"
        ".beckon-flow .bf-card{fill:var(--bf-surface);stroke:var(--bf-edge)}"
        ".beckon-flow .bf-title{fill:var(--bf-ink)}.beckon-flow .bf-mono{font-family:ui-monospace,SFMono-Regular,"
        "Menlo,Consolas,monospace}"
        ".beckon-flow .bf-detail,.beckon-flow .bf-label,.beckon-flow .bf-chip-text{fill:var(--bf-muted)}"
        ".beckon-flow .bf-frame{fill:var(--bf-frame);stroke:var(--bf-line)}"
        ".beckon-flow .bf-edge{stroke:var(--bf-line)}.beckon-flow .bf-tip{fill:var(--bf-line)}"
        ".beckon-flow .bf-edge.is-taken{stroke:var(--bf-accent)}.beckon-flow .bf-tip.is-taken{fill:var(--bf-accent)}"
        ".beckon-flow .bf-chip rect{fill:var(--bf-surface);stroke:var(--bf-line)}"
        ".beckon-flow .bf-chip.is-taken rect{stroke:var(--bf-accent)}"
        ".beckon-flow .bf-chip.is-taken .bf-chip-text{fill:var(--bf-accent)}"
        f"{kinds}"
        ".beckon-flow .bf-badge{fill-opacity:.13}"
        ".beckon-flow .is-taken>.bf-card{stroke:var(--bf-accent);stroke-width:1.5}"
        ".beckon-flow .bf-check{fill:var(--bf-accent)}.beckon-flow .bf-check-mark{stroke:var(--bf-surface)}"
        ".beckon-flow .is-current>.bf-card{stroke:var(--bf-accent);stroke-width:2.5}"
        ".beckon-flow .bf-halo{fill:none;stroke:var(--bf-halo);stroke-width:10}"
        ".beckon-flow .is-failed>.bf-card{stroke:var(--bf-wrong);stroke-width:2.5}"
        ".beckon-flow .is-passed-by{opacity:.55}"
        "@media (prefers-reduced-motion:no-preference){.beckon-flow .bf-halo{animation:bf-breathe 2s ease-in-out "
        "infinite}}@keyframes bf-breathe{0%,100%{opacity:.45}50%{opacity:1}}"
    )


#: What the picture looks like; a page with a strict content policy serves this as a file and asks for ``styled=False``.
STYLE = _style()
