"""Diagram: a flow as SVG, top down, branches side by side, the path that a run took lit up with its reasons.

A *block* knows how far it reaches left and right of its *spine*, the line on which a run comes in and goes out, and
how to put itself on paper. Sequences stack blocks on one spine. ``if`` and ``choose`` spread their ways below the card;
what happens on the side (time-out, error) hangs to the right and comes back. So nothing ever crosses.
"""

from collections.abc import Callable, Sequence

from beckon.core.clock import iso
from beckon.core.drawing import STYLE, Paper, icon, safe, straightened, text_width, wrap
from beckon.flows import steps as made
from beckon.flows.card_words import branch_label, card_words
from beckon.flows.definition import Flow
from beckon.flows.run import FINAL, Failure, Run, Taken

__all__ = ["STYLE", "draw", "draw_run"]

_CARD = 248.0
_GAP = 34.0
_SIDE = 40.0
_TITLE = 13.5
_DETAIL = 11.5
_TEXT_LEFT = 54.0

#: Each kind's colour role, and what it is called.
_LOOKS: dict[str, tuple[str, str]] = {
    "send": ("say", "Send"),
    "wait_for": ("wait", "Wait for"),
    "wait": ("wait", "Wait"),
    "if": ("decide", "If"),
    "choose": ("decide", "Choose"),
    "for_each": ("decide", "For each"),
    "note": ("keep", "Note"),
    "post": ("keep", "Post"),
    "notify": ("team", "Notify"),
    "assign": ("team", "Assign"),
    "call": ("do", "Call"),
    "http": ("do", "HTTP"),
    "emit": ("do", "Emit"),
    "answer": ("say", "Answer"),
    "find": ("do", "Find"),
    "set": ("keep", "Set"),
    "stop": ("stop", "Stop"),
}


def draw(
    flow: Flow,
    *,
    taken: Sequence[Taken] = (),
    current: str | None = None,
    ended: bool = False,
    failed: Failure | None = None,
    dark: bool | None = None,
    styled: bool = True,
) -> str:
    """Draw a flow; with ``taken`` and ``current``, where a run went and stands.

    ``ended``: the run came out at the end. ``dark``: None follows the reader's system or the page, True and False
    insist. ``styled``: False leaves the style sheet out (a page serves ``STYLE`` itself). All text is escaped.
    """
    artist = _Artist(flow, taken, current, ended, failed)
    return artist.picture(dark, styled)


def draw_run(flow: Flow, run: Run, *, dark: bool | None = None, styled: bool = True) -> str:
    """Draw a flow with one run's path in it."""
    current = run.pointer if run.status not in FINAL else None
    done = run.status == "done"
    return draw(flow, taken=run.history, current=current, ended=done, failed=run.error, dark=dark, styled=styled)


class _Block:
    """Something with a spine: how far it reaches to each side, how tall it is, and how it is put on paper."""

    def __init__(
        self, left: float, right: float, height: float, paint: Callable[[float, float], None], flows_out: bool = True
    ) -> None:
        self.left = left
        self.right = right
        self.height = height
        #: put it on paper with its spine at x, its top at y.
        self.paint = paint
        #: whether a run can come out at its lower end.
        self.flows_out = flows_out


class _Artist:
    def __init__(
        self, flow: Flow, taken: Sequence[Taken], current: str | None, ended: bool, failed: Failure | None
    ) -> None:
        self.flow = flow
        self.paper = Paper()
        self.current = current
        self.ended = ended
        self.failed = failed
        self.told: dict[str, list[Taken]] = {}
        for entry in taken:
            if entry.step:
                self.told.setdefault(entry.step, []).append(entry)
        self.alive = bool(taken) or bool(current)

    def picture(self, dark: bool | None, styled: bool) -> str:
        """Put everything on paper."""
        head = self._pill(", ".join(self.flow.on), "start", self.alive)
        body = self._sequence(self.flow.steps, "")
        tail = self._pill("end", "done", self.ended)
        left = max(head.left, body.left, tail.left) + 24
        right = max(head.right, body.right, tail.right) + 24
        y = 20.0
        head.paint(0, y)
        y += head.height
        if self.flow.steps:
            self.paper.edge([(0, y), (0, y + _GAP - 2)], self._visited(self.flow.steps[0].path), arrow=True)
            y += _GAP
            body.paint(0, y)
            y += body.height
        if body.flows_out:
            self.paper.edge([(0, y), (0, y + _GAP - 2)], self.ended, arrow=True)
            tail.paint(0, y + _GAP)
            y += _GAP + tail.height
        title = f"Flow {self.flow.name}" + (f": {self.flow.description}" if self.flow.description else "")
        return self.paper.svg((-left, 0, left + right, y + 20), title, dark, styled)

    # What a run did --------------------------------------------------------------------------------------------------

    def _visited(self, path: str) -> bool:
        return path in self.told or path == self.current

    def _went(self, step: made.Step, branch: str) -> bool:
        return any(entry.branch == branch for entry in self.told.get(step.path, ()))

    def _why(self, step: made.Step, branch: str) -> str:
        reasons = [entry.why or entry.what for entry in self.told.get(step.path, ()) if entry.branch == branch]
        return "; ".join(dict.fromkeys(reasons))[:400]

    def _left_by(self, step: made.Step) -> bool:
        """Whether a run came out below this step."""
        after = self.flow.after[step.path]
        on = self._visited(after) if after else self.ended
        told = self.told.get(step.path)
        if not told or not on:
            return False
        if step.branches():
            return any(self._came_out(step, name, inside) for name, inside in step.branches()) or self._went(
                step, "next"
            )
        return True

    def _came_out(self, step: made.Step, branch: str, inside: made.Steps) -> bool:
        """Whether a run went into a branch and came out at its end."""
        return self._went(step, branch) and (self._left_by(inside[-1]) if inside else True)

    # Blocks ----------------------------------------------------------------------------------------------------------

    def _sequence(self, steps: made.Steps, lead: str) -> _Block:
        blocks = [self._block(step) for step in steps]
        if not blocks:
            return _Block(24, 24, 12, lambda x, y: None)

        def paint(x: float, y: float) -> None:
            for number, block in enumerate(blocks):
                block.paint(x, y)
                y += block.height
                if number + 1 < len(blocks):
                    if block.flows_out:
                        taken = self._left_by(steps[number]) and self._visited(steps[number + 1].path)
                        self.paper.edge([(x, y), (x, y + _GAP - 2)], taken, arrow=True)
                    y += _GAP

        height = sum(block.height for block in blocks) + _GAP * (len(blocks) - 1)
        left, right = max(block.left for block in blocks), max(block.right for block in blocks)
        return _Block(left, right, height, paint, blocks[-1].flows_out)

    def _block(self, step: made.Step) -> _Block:
        card = self._card(step)
        if isinstance(step, (made.If, made.Choose)):
            return self._spread(step, card)
        if isinstance(step, made.ForEach):
            return self._framed(step, card)
        side = step.branches()
        return self._aside(step, card, *side[0]) if side else card

    def _aside(self, step: made.Step, card: _Block, branch: str, inside: made.Steps) -> _Block:
        """A branch that hangs to the right of its card and comes back to the spine below."""
        column = self._sequence(inside, branch)
        shift = card.right + _SIDE + max(column.left, 60)
        drop = card.height / 2 + 42
        height = max(card.height, drop + column.height + (26 if column.flows_out else 4))
        went = self._went(step, branch)

        def paint(x: float, y: float) -> None:
            middle = y + card.height / 2
            top = y + drop
            why = self._why(step, branch)
            entry = [(x + card.right, middle), (x + shift, middle), (x + shift, top - 2)]
            self.paper.edge(entry, went, arrow=bool(inside), title=why)
            column.paint(x + shift, top)
            card.paint(x, y)
            if y + height > y + card.height:
                self.paper.edge([(x, y + card.height), (x, y + height)], self._straight(step))
            if column.flows_out:
                low = y + height - 12
                back = [(x + shift, top + column.height), (x + shift, low), (x, low), (x, y + height)]
                self.paper.edge(back, self._came_out(step, branch, inside))
            self.paper.chip(x + shift, middle, branch_label(step, branch), went, why)

        reach = shift + max(column.right, 70)
        return _Block(max(card.left, column.left - shift), reach, height, paint)

    def _straight(self, step: made.Step) -> bool:
        after = self.flow.after[step.path]
        return self._went(step, "next") and (self._visited(after) if after else self.ended)

    def _spread(self, step: made.If | made.Choose, card: _Block) -> _Block:
        """Ways side by side below their card."""
        ways = [(name, inside, self._sequence(inside, name)) for name, inside in step.branches()]
        widths = [max(way.left, 64) + max(way.right, 64) for _name, _inside, way in ways]
        total = sum(widths) + _SIDE * (len(ways) - 1)
        spines, edge = [], 0.0
        for (_name, _inside, way), width in zip(ways, widths, strict=True):
            spines.append(edge + max(way.left, 64))
            edge += width + _SIDE
        centre = (spines[0] + spines[-1]) / 2
        spines = [spine - centre for spine in spines]
        lead, fall = 22.0, 44.0
        tallest = max(way.height for _name, _inside, way in ways)
        flows_out = any(way.flows_out for _name, _inside, way in ways)
        height = card.height + lead + fall + tallest + (26 if flows_out else 4)

        def paint(x: float, y: float) -> None:
            rail = y + card.height + lead
            top = rail + fall
            low = y + height - 12
            for (name, inside, way), spine in zip(ways, spines, strict=True):
                went, why = self._went(step, name), self._why(step, name)
                entry = [(x, y + card.height), (x, rail), (x + spine, rail), (x + spine, top - 2)]
                self.paper.edge(straightened(entry), went, arrow=bool(inside), title=why)
                way.paint(x + spine, top)
                if way.flows_out:
                    end = [(x + spine, top + way.height), (x + spine, low), (x, low), (x, y + height)]
                    start = end if inside else [(x + spine, top - 2), *end[1:]]
                    self.paper.edge(straightened(start), self._came_out(step, name, inside) and self._left_by(step))
                self.paper.chip(x + spine, rail + 18, branch_label(step, name), went, why)
            card.paint(x, y)

        left = max(card.left, centre)
        return _Block(left, max(card.right, total - centre), height, paint, flows_out)

    def _framed(self, step: made.ForEach, card: _Block) -> _Block:
        """A body inside a dashed frame: done once for each item."""
        body = self._sequence(step.do, "do")
        left, right = max(body.left, 90) + 22, max(body.right, 90) + 22
        inner = card.height + _GAP
        height = inner + 36 + body.height + 20

        def paint(x: float, y: float) -> None:
            top = y + card.height + 18
            self.paper.frame(x - left, top, left + right, y + height - top, f"for each {step.item_name}")
            went = self._went(step, "do")
            entry = [(x, y + card.height), (x, y + inner + 34)]
            self.paper.edge(entry, went, arrow=bool(step.do), title=self._why(step, "do"))
            card.paint(x, y)
            body.paint(x, y + inner + 36)
            if body.flows_out:
                self.paper.edge([(x, y + height - 20), (x, y + height)], self._left_by(step))

        return _Block(max(left, card.left), max(right, card.right), height, paint)

    # Cards -----------------------------------------------------------------------------------------------------------

    def _pill(self, text: str, kind: str, lit: bool) -> _Block:
        line = wrap(text, 13, 300, 1, bold=True)[0]
        width = text_width(line, 13, bold=True) + 58
        colour = "accent" if kind == "start" or lit else "stop"

        def paint(x: float, y: float) -> None:
            box = f'x="{x - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="36" rx="18"'
            self.paper.card(
                f'<g class="bf-pill{" is-taken" if lit else ""}">'
                f'<rect class="bf-card" {box} fill="#ffffff" stroke="#d8dee6"/>'
                + icon(kind, x - width / 2 + 14, y + 9, colour, 18)
                + Paper.words(x - width / 2 + 40, y + 22.5, [line], "bf-title", 13, "ink", bold=True)
                + "</g>"
            )

        return _Block(width / 2, width / 2, 36, paint)

    def _card(self, step: made.Step) -> _Block:
        colour, tag = _LOOKS[step.kind]
        title, mono, details = card_words(step)
        room = _CARD - _TEXT_LEFT - 16
        title_lines = wrap(title, _TITLE, room, 3, bold=not mono, mono=mono) or ["…"]
        detail_lines = [line for detail in details for line in wrap(detail, _DETAIL, room, 2)][:4]
        height = max(62.0, 34 + len(title_lines) * 18 + len(detail_lines) * 15.5 + 10)

        def paint(x: float, y: float) -> None:
            self.paper.card(self._card_svg(step, colour, tag, title_lines, mono, detail_lines, x, y, height))

        return _Block(_CARD / 2, _CARD / 2, height, paint, not isinstance(step, made.Stop))

    def _card_svg(
        self,
        step: made.Step,
        colour: str,
        tag: str,
        title: list[str],
        mono: bool,
        details: list[str],
        x: float,
        y: float,
        height: float,
    ) -> str:
        left = x - _CARD / 2
        state = self._state(step)
        box = f'x="{left:.1f}" y="{y:.1f}" width="{_CARD:.1f}" height="{height:.1f}" rx="14"'
        parts = [
            f'<g class="bf-step{state}" data-step="{safe(step.path)}" data-kind="{step.kind}">',
            f"<title>{safe(self._story(step))}</title>",
            f'<rect class="bf-halo" {box} fill="none" stroke="#0b7a5f33" stroke-width="10"/>'
            if "is-current" in state
            else "",
            f'<rect class="bf-card" {box} fill="#ffffff" stroke="#d8dee6"/>',
            f'<rect class="bf-badge bf-badge-{colour}" x="{left + 12:.1f}" y="{y + 13:.1f}" width="32" height="32" '
            f'rx="9" fill="#5b6877" fill-opacity=".13"/>',
            icon(step.kind, left + 18, y + 19, colour),
            _tag(left + _TEXT_LEFT, y + 22, tag, colour),
            Paper.words(
                left + _TEXT_LEFT,
                y + 41,
                title,
                "bf-title bf-mono" if mono else "bf-title",
                _TITLE - 1 if mono else _TITLE,
                "ink",
                bold=not mono,
                leading=18,
            ),
        ]
        below = y + 41 + (len(title) - 1) * 18 + 18
        if details:
            parts.append(Paper.words(left + _TEXT_LEFT, below, details, "bf-detail", _DETAIL, "muted", leading=15.5))
        if "is-taken" in state and "is-failed" not in state:
            parts.append(_check_mark(left + _CARD - 22, y + 18))
        return "".join(parts) + "</g>"

    def _state(self, step: made.Step) -> str:
        if self.failed is not None and self.failed.step == step.path:
            return " is-taken is-failed"
        if step.path == self.current:
            return " is-current"
        if step.path in self.told:
            return " is-taken"
        return " is-passed-by" if self.ended or (self.alive and self.current is None) else ""

    def _story(self, step: made.Step) -> str:
        """What a run did here, line by line: the tooltip."""
        lines = []
        for entry in self.told.get(step.path, ())[-12:]:
            at = iso(entry.at_ms)[:19].replace("T", " ")
            lines.append(f"{at} UTC · {entry.what}" + (f" — {entry.why}" if entry.why else ""))
        return "\n".join(lines) or f"line {step.line}"


def _tag(x: float, y: float, text: str, colour: str) -> str:
    return (
        f'<text class="bf-tag-{colour}" x="{x:.1f}" y="{y:.1f}" font-size="10" font-weight="700" letter-spacing=".8" '
        f'fill="#5b6877">{safe(text.upper())}</text>'
    )


def _check_mark(x: float, y: float) -> str:
    return (
        f'<circle class="bf-check" cx="{x:.1f}" cy="{y:.1f}" r="8" fill="#0b7a5f"/>'
        f'<path class="bf-check-mark" d="M{x - 3.4:.1f} {y + 0.2:.1f} l2.5 2.6 l4.4 -5" fill="none" stroke="#ffffff" '
        'stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/>'
    )
