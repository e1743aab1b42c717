"""Drawing call scripts as SVG: top down, ways side by side, the path that a call took lit up with its reasons. Pure.

A *block* knows how far it reaches left and right of its *spine*, the line on which a call comes in and goes out.
Sequences stack blocks on one spine; the ways of a step spread below its card, and come together again below.
"""

from collections.abc import Callable, Sequence

import msgspec

from beckon.core.clock import iso
from beckon.core.drawing import STYLE, Paper, icon, safe, straightened, text_width, wrap
from beckon.telephony import script as made
from beckon.telephony.call import Decision
from beckon.telephony.script import Script, Step, Steps
from beckon.telephony.script_check import goes_past
from beckon.telephony.script_words import card_words, way_label

__all__ = ["STYLE", "draw"]

_CARD = 236.0
_GAP = 34.0
_SIDE = 34.0
_TITLE = 13.5
_DETAIL = 11.5
_LEFT = 54.0

#: Each kind's icon, colour role, and what it is called.
_LOOKS: dict[type[Step], tuple[str, str, str]] = {
    made.Speak: ("say", "say", "Say"),
    made.Gather: ("gather", "wait", "Keys"),
    made.Menu: ("gather", "decide", "Menu"),
    made.Authorise: ("authorise", "wait", "Authorise"),
    made.Ask: ("http", "do", "Ask"),
    made.Dial: ("dial", "team", "Connect"),
    made.Transfer: ("dial", "team", "Transfer"),
    made.Record: ("record", "keep", "Record"),
    made.Voicemail: ("voicemail", "keep", "Voicemail"),
    made.Hours: ("wait", "decide", "Hours"),
    made.Branch: ("choose", "decide", "Branch"),
    made.Jump: ("jump", "stop", "Go to"),
    made.HangUp: ("hang_up", "stop", "Hang up"),
}


class _Block(msgspec.Struct, frozen=True):
    left: float
    right: float
    height: float
    #: puts it on paper with its spine at x, its top at y.
    paint: Callable[[float, float], None]
    #: whether a call can come out at its lower end.
    flows_out: bool = True


def draw(
    script: Script, *, taken: Sequence[Decision] = (), current: str = "", dark: bool | None = None, styled: bool = True
) -> str:
    """Draw a script; with a call's decisions, where it went. ``current``: where it stands. All text is escaped."""
    return _Artist(script, taken, current).picture(dark, styled)


class _Artist:
    def __init__(self, script: Script, taken: Sequence[Decision], current: str) -> None:
        self.script = script
        self.paper = Paper()
        self.current = current
        self.told: dict[str, list[Decision]] = {}
        for decision in taken:
            if decision.step:
                self.told.setdefault(decision.step, []).append(decision)
        self.alive = bool(taken) or bool(current)

    def picture(self, dark: bool | None, styled: bool) -> str:
        """Put everything on paper: the steps, and beside them the script's backup."""
        columns = [("a call", self.script.steps)]
        if self.script.backup:
            columns.append(("whatever can't be done", self.script.backup))
        x = 24.0
        tallest = 0.0
        for label, steps in columns:
            entered = bool(steps) and self._visited(steps[0].path)
            head, body = self._pill(label, "start", entered), self._sequence(steps)
            left, right = max(head.left, body.left), max(head.right, body.right)
            spine, y = x + left, 20.0
            head.paint(spine, y)
            y += head.height
            if steps:
                self.paper.edge([(spine, y), (spine, y + _GAP - 2)], entered, arrow=True)
                body.paint(spine, y + _GAP)
                y += _GAP + body.height
            if body.flows_out:
                tail = self._pill("hang up", "done", False)
                self.paper.edge([(spine, y), (spine, y + _GAP - 2)], False, arrow=True)
                tail.paint(spine, y + _GAP)
                y += _GAP + tail.height
            tallest = max(tallest, y)
            x = spine + right + 48
        about = f": {self.script.description}" if self.script.description else ""
        return self.paper.svg((0, 0, x - 24, tallest + 20), f"Call script {self.script.name}{about}", dark, styled)

    # What a call did -------------------------------------------------------------------------------------------------

    def _visited(self, path: str) -> bool:
        return path in self.told or path == self.current

    def _went(self, step: Step, branch: str) -> bool:
        return any(one.branch == branch for one in self.told.get(step.path, ()))

    def _why(self, step: Step, branch: str) -> str:
        reasons = [one.why or one.what for one in self.told.get(step.path, ()) if one.branch == branch]
        return "; ".join(dict.fromkeys(reasons))[:400]

    def _left_by(self, step: Step) -> bool:
        after = self.script.after[step.path]
        return self._visited(step.path) and bool(after) and self._visited(after)

    # Blocks ----------------------------------------------------------------------------------------------------------

    def _sequence(self, steps: Steps) -> _Block:
        blocks = [self._block(step) for step in steps]
        if not blocks:
            return _Block(24, 24, 12, lambda x, y: None)

        def paint(x: float, y: float) -> None:
            for number, block in enumerate(blocks):
                block.paint(x, y)
                y += block.height
                if number + 1 < len(blocks):
                    if block.flows_out:
                        self.paper.edge([(x, y), (x, y + _GAP - 2)], self._left_by(steps[number]), arrow=True)
                    y += _GAP

        height = sum(block.height for block in blocks) + _GAP * (len(blocks) - 1)
        left, right = max(block.left for block in blocks), max(block.right for block in blocks)
        return _Block(left, right, height, paint, blocks[-1].flows_out)

    def _block(self, step: Step) -> _Block:
        card = self._card(step)
        branches = list(step.branches())
        if not branches:
            return card
        named = {name for name, _inside in branches}
        straight = goes_past(step) and not (named <= {"open", "closed"} or "else" in named)
        ways: list[tuple[str, Steps]] = ([("next", ())] if straight else []) + branches
        return self._spread(step, card, ways)

    def _spread(self, step: Step, card: _Block, branches: list[tuple[str, Steps]]) -> _Block:
        """Ways side by side below their card."""
        ways = [(name, inside, self._sequence(inside)) for name, inside in branches]
        widths = [max(way.left, 60) + max(way.right, 60) for _name, _inside, way in ways]
        total = sum(widths) + _SIDE * (len(ways) - 1)
        spines, edge = [], 0.0
        for (_name, _inside, way), width in zip(ways, widths, strict=True):
            spines.append(edge + max(way.left, 60))
            edge += width + _SIDE
        centre = (spines[0] + spines[-1]) / 2
        spines = [spine - centre for spine in spines]
        lead, fall = 22.0, 44.0
        tallest = max(way.height for _name, _inside, way in ways)
        flows_out = any(way.flows_out for _name, _inside, way in ways)
        height = card.height + lead + fall + tallest + (26 if flows_out else 4)

        def paint(x: float, y: float) -> None:
            rail = y + card.height + lead
            top, low = rail + fall, y + height - 12
            for (name, inside, way), spine in zip(ways, spines, strict=True):
                went, why = self._went(step, name), self._why(step, name)
                entry = [(x, y + card.height), (x, rail), (x + spine, rail), (x + spine, top - 2)]
                self.paper.edge(straightened(entry), went, arrow=bool(inside), title=why)
                way.paint(x + spine, top)
                if way.flows_out:
                    start = top + way.height if inside else top - 2
                    out = [(x + spine, start), (x + spine, low), (x, low), (x, y + height)]
                    came_out = went and (self._left_by(inside[-1]) if inside else self._left_by(step))
                    self.paper.edge(straightened(out), came_out)
                self.paper.chip(x + spine, rail + 18, way_label(step, name), went, why)
            card.paint(x, y)

        left = max(card.left, centre)
        return _Block(left, max(card.right, total - centre), height, paint, flows_out)

    # Cards -----------------------------------------------------------------------------------------------------------

    def _pill(self, text: str, kind: str, lit: bool) -> _Block:
        width = text_width(text, 13, bold=True) + 58

        def paint(x: float, y: float) -> None:
            box = f'x="{x - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="36" rx="18"'
            self.paper.card(
                f'<g class="bf-pill{" is-taken" if lit else ""}">'
                f'<rect class="bf-card" {box} fill="#ffffff" stroke="#d8dee6"/>'
                + icon("dial" if kind == "start" else "hang_up", x - width / 2 + 14, y + 9, "accent", 18)
                + Paper.words(x - width / 2 + 40, y + 22.5, [text], "bf-title", 13, "ink", bold=True)
                + "</g>"
            )

        return _Block(width / 2, width / 2, 36, paint)

    def _card(self, step: Step) -> _Block:
        look, colour, tag = _LOOKS[type(step)]
        title, mono, details = card_words(step)
        room = _CARD - _LEFT - 16
        title_lines = wrap(title, _TITLE, room, 3, bold=not mono, mono=mono) or ["…"]
        detail_lines = [line for detail in details for line in wrap(detail, _DETAIL, room, 2)][:4]
        height = max(62.0, 34 + len(title_lines) * 18 + len(detail_lines) * 15.5 + 10)

        def paint(x: float, y: float) -> None:
            left = x - _CARD / 2
            state = self._state(step)
            box = f'x="{left:.1f}" y="{y:.1f}" width="{_CARD:.1f}" height="{height:.1f}" rx="14"'
            badge = f'x="{left + 12:.1f}" y="{y + 13:.1f}" width="32" height="32" rx="9"'
            halo = f'<rect class="bf-halo" {box} fill="none" stroke="#0b7a5f33" stroke-width="10"/>'
            self.paper.card(
                f'<g class="bf-step{state}" data-step="{safe(step.path)}" data-kind="{step.kind}">'
                f"<title>{safe(self._story(step))}</title>"
                + (halo if "is-current" in state else "")
                + f'<rect class="bf-card" {box} fill="#ffffff" stroke="#d8dee6"/>'
                f'<rect class="bf-badge bf-badge-{colour}" {badge} fill="#5b6877" fill-opacity=".13"/>'
                + icon(look, left + 18, y + 19, colour)
                + f'<text class="bf-tag-{colour}" x="{left + _LEFT:.1f}" y="{y + 22:.1f}" font-size="10" '
                f'font-weight="700" letter-spacing=".8" fill="#5b6877">{safe(tag.upper())}</text>'
                + Paper.words(
                    left + _LEFT,
                    y + 41,
                    title_lines,
                    "bf-title bf-mono" if mono else "bf-title",
                    _TITLE - 1 if mono else _TITLE,
                    "ink",
                    bold=not mono,
                    leading=18,
                )
                + Paper.words(
                    left + _LEFT,
                    y + 41 + len(title_lines) * 18 - 1,
                    detail_lines,
                    "bf-detail",
                    _DETAIL,
                    "muted",
                    leading=15.5,
                )
                + "</g>"
            )

        flows_out = not isinstance(step, made.Jump | made.HangUp)
        return _Block(_CARD / 2, _CARD / 2, height, paint, flows_out)

    def _state(self, step: Step) -> str:
        if step.path == self.current:
            return " is-current"
        if step.path in self.told:
            return " is-taken"
        return " is-passed-by" if self.alive else ""

    def _story(self, step: Step) -> str:
        lines = []
        for one in self.told.get(step.path, ())[:20]:
            at = iso(one.at_ms)[11:19]
            lines.append(f"{at} UTC · {one.what}" + (f" — {one.why}" if one.why else ""))
        return "\n".join(lines) or f"line {step.line}"
