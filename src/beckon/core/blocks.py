"""Blocks: what flows and call scripts are drawn of. Pure.

A *block* knows how far it reaches left and right of its *spine*, the line on which a run (or a call) comes in and goes
out, and how to put itself on paper. Sequences stack blocks on one spine. Ways spread side by side below their card;
what happens on the side (a time-out, an error) hangs to the right and comes back. Where the *room* is too narrow for
that, ways stand below each other, indented as in an outline: they are entered from a rail on the left and left by a
rail on the right. So nothing ever crosses, and a picture is as wide as its page.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from beckon.core.drawing import COLOURS, Paper, icon, safe, straightened, text_width, wrap

#: No page, or one that may be scrolled.
ANY_ROOM = float("inf")

_GAP = 34.0
_LEAD, _FALL = 22.0, 44.0
_INDENT, _RAIL = 28.0, 14.0
_TEXT_LEFT = 54.0
_TITLE, _DETAIL = 13.5, 11.5
_TITLE_LEADING, _DETAIL_LEADING = 18.0, 15.5
_EDGE, _EDGE_NARROW = 24.0, 6.0
_TRIES, _STEP = 6, 48.0


class Block(NamedTuple):
    """Something with a spine: how far it reaches to each side, how tall it is, and how it is put on paper."""

    left: float
    right: float
    height: float
    #: puts it on paper with its spine at x, its top at y.
    paint: Callable[[float, float], None]
    #: whether a run can come out at its lower end.
    flows_out: bool = True

    @property
    def width(self) -> float:
        """From its left edge to its right one."""
        return self.left + self.right


NOTHING = Block(24, 24, 12, lambda x, y: None)


class Way(NamedTuple):
    """One way below a card: what stands on it, and what a run had to do with it."""

    block: Block
    empty: bool
    label: str
    went: bool
    #: whether a run went in and came out at its end.
    came_out: bool
    why: str


class Face(NamedTuple):
    """What a step's card shows. ``state``: the classes that say what a run did here; ``story``: its tooltip."""

    path: str
    kind: str
    icon: str
    colour: str
    tag: str
    title: str
    mono: bool
    details: Sequence[str]
    state: str
    story: str


class Layout:
    """Puts blocks together, for one picture. ``card_width``, ``side`` (between neighbours): in the picture's units."""

    def __init__(self, card_width: float, side: float) -> None:
        self.paper = Paper()
        self._card_width = card_width
        self._side = side
        self._half = card_width / 4  # of a way, at least

    def sequence(self, blocks: Sequence[Block], lit: Callable[[int], bool]) -> Block:
        """Blocks below each other. ``lit``: whether a run went on from the block of this number."""
        if not blocks:
            return NOTHING

        def paint(x: float, y: float) -> None:
            for number, block in enumerate(blocks):
                block.paint(x, y)
                y += block.height
                if number + 1 < len(blocks):
                    if block.flows_out:
                        self.link(x, y, lit(number))
                    y += _GAP

        height = sum(block.height for block in blocks) + _GAP * (len(blocks) - 1)
        return Block(
            max(block.left for block in blocks), max(block.right for block in blocks), height, paint,
            blocks[-1].flows_out,
        )  # fmt: skip

    def link(self, x: float, y: float, lit: bool) -> float:
        """An arrow down to what stands below; where that begins."""
        self.paper.edge([(x, y), (x, y + _GAP - 2)], lit, arrow=True)
        return y + _GAP

    @staticmethod
    def fitting(block_in: Callable[[float], Block], room: float) -> Block:
        """A block for so much room. One of its parts may reach far to the left and another to the right, so that each
        fits and all together do not: then they are drawn anew for less."""
        narrower = room
        for _ in range(_TRIES):
            block = block_in(narrower)
            if block.width <= room:
                break
            narrower -= max(block.width - room, _STEP)
        return block

    def spread(self, card: Block, ways_in: Callable[[float], Sequence[Way]], room: float) -> Block:
        """Ways side by side below their card, or below each other where ``room`` is too narrow for that.

        ``ways_in``: the ways, each drawn for so much room.
        """
        ways = ways_in(ANY_ROOM)
        block = self._side_by_side(card, ways)
        if block.width <= room:
            return block
        share = (room - self._side * (len(ways) - 1)) / len(ways)
        if share >= self._card_width:
            block = self._side_by_side(card, ways_in(share))
            if block.width <= room:
                return block
        return self._outlined(card, ways_in(_inside(room)), None)

    def aside(self, card: Block, way_in: Callable[[float], Way], straight: bool, room: float) -> Block:
        """A way that hangs to the right of its card and comes back to the spine below, or below it where ``room`` is
        too narrow. ``straight``: whether a run went on without it."""
        beside = room - card.width - self._side
        if beside >= self._card_width:
            block = self._beside(card, way_in(beside), straight)
            if block.width <= room:
                return block
        return self._outlined(card, [way_in(_inside(room))], straight)

    def framed(self, card: Block, body: Block, label: str, went: bool, left_by: bool, why: str) -> Block:
        """A body inside a dashed frame below its card: done once for each item."""
        left, right = max(body.left, 90) + 22, max(body.right, 90) + 22
        inner = card.height + _GAP
        height = inner + 36 + body.height + 20

        def paint(x: float, y: float) -> None:
            top = y + card.height + 18
            self.paper.frame(x - left, top, left + right, y + height - top, label)
            entry = [(x, y + card.height), (x, y + inner + 34)]
            self.paper.edge(entry, went, arrow=body is not NOTHING, title=why)
            card.paint(x, y)
            body.paint(x, y + inner + 36)
            if body.flows_out:
                self.paper.edge([(x, y + height - 20), (x, y + height)], left_by)

        return Block(max(left, card.left), max(right, card.right), height, paint)

    def _side_by_side(self, card: Block, ways: Sequence[Way]) -> Block:
        halves = [(max(way.block.left, self._half), max(way.block.right, self._half)) for way in ways]
        total = sum(left + right for left, right in halves) + self._side * (len(ways) - 1)
        spines, edge = [], 0.0
        for left, right in halves:
            spines.append(edge + left)
            edge += left + right + self._side
        centre = (spines[0] + spines[-1]) / 2
        tallest = max(way.block.height for way in ways)
        flows_out = any(way.block.flows_out for way in ways)
        height = card.height + _LEAD + _FALL + tallest + (26 if flows_out else 4)

        def paint(x: float, y: float) -> None:
            rail = y + card.height + _LEAD
            top, low = rail + _FALL, y + height - 12
            for way, place in zip(ways, spines, strict=True):
                spine = x + place - centre
                entry = [(x, y + card.height), (x, rail), (spine, rail), (spine, top - 2)]
                self.paper.edge(straightened(entry), way.went, arrow=not way.empty, title=way.why)
                way.block.paint(spine, top)
                if way.block.flows_out:
                    start = top - 2 if way.empty else top + way.block.height
                    out = [(spine, start), (spine, low), (x, low), (x, y + height)]
                    self.paper.edge(straightened(out), way.came_out)
                self.paper.chip(spine, rail + 18, way.label, way.went, way.why)
            card.paint(x, y)

        return Block(max(card.left, centre), max(card.right, total - centre), height, paint, flows_out)

    def _beside(self, card: Block, way: Way, straight: bool) -> Block:
        column = way.block
        shift = card.right + self._side + max(column.left, 60)
        drop = card.height / 2 + 42
        height = max(card.height, drop + column.height + (26 if column.flows_out else 4))

        def paint(x: float, y: float) -> None:
            middle, top, spine = y + card.height / 2, y + drop, x + shift
            entry = [(x + card.right, middle), (spine, middle), (spine, top - 2)]
            self.paper.edge(entry, way.went, arrow=not way.empty, title=way.why)
            column.paint(spine, top)
            card.paint(x, y)
            if height > card.height:
                self.paper.edge([(x, y + card.height), (x, y + height)], straight)
            if column.flows_out:
                low = y + height - 12
                back = [(spine, top + column.height), (spine, low), (x, low), (x, y + height)]
                self.paper.edge(back, way.came_out)
            self.paper.chip(spine, middle, way.label, way.went, way.why)

        return Block(max(card.left, column.left - shift), shift + max(column.right, 70), height, paint)

    def _outlined(self, card: Block, ways: Sequence[Way], straight: bool | None) -> Block:
        """Ways below each other. ``straight``: whether a run went past all of them; None: no run can."""
        indent = _INDENT - card.left
        flows_out = straight is not None or any(way.block.flows_out for way in ways)
        reach = max(indent + max(way.block.width, self._card_width / 2) for way in ways)
        back = reach + _RAIL  # the rail on which ways come back
        heights = [_LEAD if way.empty else _LEAD + _FALL - 10 + way.block.height for way in ways]
        height = card.height + sum(heights) + _RAIL * len(ways) + (30 if flows_out else 4)

        def paint(x: float, y: float) -> None:
            rail, low = x - card.left + _RAIL, y + height - 12
            below = y + card.height
            if straight is not None:
                self.paper.edge([(rail, below), (rail, low), (x, low), (x, y + height)], straight)
            at = below
            for way, tall in zip(ways, heights, strict=True):
                spine, middle = x + indent + (self._card_width / 2 if way.empty else way.block.left), at + _LEAD
                top = at + tall - (0 if way.empty else way.block.height)
                entry = [(rail, below), (rail, middle), (spine, middle)]
                if not way.empty:
                    entry.append((spine, top - 2))
                self.paper.edge(entry, way.went, arrow=not way.empty, title=way.why)
                if not way.empty:
                    way.block.paint(spine, top)
                at += tall
                if way.block.flows_out:
                    out = [
                        (spine, at if not way.empty else middle),
                        (spine, at + _RAIL / 2),
                        (x + back, at + _RAIL / 2),
                    ]
                    if way.empty:
                        out = [(spine, middle), (x + back, middle)]
                    self.paper.edge([*out, (x + back, low), (x, low), (x, y + height)], way.came_out)
                self.paper.chip(spine, middle, way.label, way.went, way.why)
                at += _RAIL
            card.paint(x, y)

        right = back if any(way.block.flows_out for way in ways) else reach
        return Block(card.left, max(card.right, right), height, paint, flows_out)

    # Cards -----------------------------------------------------------------------------------------------------------

    def pill(self, text: str, mark: str, colour: str, lit: bool) -> Block:
        """Where a run comes in, or goes out."""
        line = wrap(text, 13, 300, 1, bold=True)[0]
        width = text_width(line, 13, bold=True) + 58

        def paint(x: float, y: float) -> None:
            box = f'x="{x - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="36" rx="18"'
            self.paper.card(
                f'<g class="bf-pill{" is-taken" if lit else ""}">{_surface(box)}'
                + icon(mark, x - width / 2 + 14, y + 9, colour, 18)
                + Paper.words(x - width / 2 + 40, y + 22.5, [line], "bf-title", 13, "ink", bold=True)
                + "</g>"
            )

        return Block(width / 2, width / 2, 36, paint)

    def card(self, face: Face, *, flows_out: bool) -> Block:
        """A step."""
        room = self._card_width - _TEXT_LEFT - 16
        title = wrap(face.title, _TITLE, room, 3, bold=not face.mono, mono=face.mono) or ["…"]
        details = [line for detail in face.details for line in wrap(detail, _DETAIL, room, 2)][:4]
        height = max(62.0, 34 + len(title) * _TITLE_LEADING + len(details) * _DETAIL_LEADING + 10)

        def paint(x: float, y: float) -> None:
            self.paper.card(self._card_svg(face, title, details, x - self._card_width / 2, y, height))

        return Block(self._card_width / 2, self._card_width / 2, height, paint, flows_out)

    def _card_svg(self, face: Face, title: list[str], details: list[str], left: float, y: float, height: float) -> str:
        box = f'x="{left:.1f}" y="{y:.1f}" width="{self._card_width:.1f}" height="{height:.1f}" rx="14"'
        badge = f'x="{left + 12:.1f}" y="{y + 13:.1f}" width="32" height="32" rx="9"'
        text_left = left + _TEXT_LEFT
        looks = "bf-title bf-mono" if face.mono else "bf-title"
        size = _TITLE - 1 if face.mono else _TITLE
        parts = [
            f'<g class="bf-step{face.state}" data-step="{safe(face.path)}" data-kind="{face.kind}">',
            f"<title>{safe(face.story)}</title>",
            f'<rect class="bf-halo" {box} fill="none" stroke="#0b7a5f33" stroke-width="10"/>'
            if "is-current" in face.state
            else "",
            _surface(box),
            f'<rect class="bf-badge bf-badge-{face.colour}" {badge} fill="#5b6877" fill-opacity=".13"/>',
            icon(face.icon, left + 18, y + 19, face.colour),
            f'<text class="bf-tag-{face.colour}" x="{text_left:.1f}" y="{y + 22:.1f}" font-size="10" '
            f'font-weight="700" letter-spacing=".8" fill="#5b6877">{safe(face.tag.upper())}</text>',
            Paper.words(text_left, y + 41, title, looks, size, "ink", bold=not face.mono, leading=_TITLE_LEADING),
        ]
        if details:
            below = y + 41 + len(title) * _TITLE_LEADING
            parts.append(Paper.words(text_left, below, details, "bf-detail", _DETAIL, "muted", leading=_DETAIL_LEADING))
        if "is-taken" in face.state and "is-failed" not in face.state:
            parts.append(_check_mark(left + self._card_width - 22, y + 18))
        return "".join(parts) + "</g>"


def edge_for(room: float) -> float:
    """How much paper stays free at each side of a picture that has so much room."""
    return _EDGE if room == ANY_ROOM else _EDGE_NARROW


def _inside(room: float) -> float:
    return room - _INDENT - _RAIL


def _surface(box: str) -> str:
    return f'<rect class="bf-card" {box} fill="{COLOURS["surface"][1]}" stroke="{COLOURS["edge"][1]}"/>'


def _check_mark(x: float, y: float) -> str:
    return (
        f'<circle class="bf-check" cx="{x:.1f}" cy="{y:.1f}" r="8" fill="#0b7a5f"/>'
        f'<path class="bf-check-mark" d="M{x - 3.4:.1f} {y + 0.2:.1f} l2.5 2.6 l4.4 -5" fill="none" stroke="#ffffff" '
        'stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/>'
    )
