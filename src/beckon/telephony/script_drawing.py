"""Drawing call scripts as SVG: top down, the path that a call took lit up with its reasons. Pure.

``core.blocks`` lays it out.
"""

from collections.abc import Sequence

from beckon.core.blocks import ANY_ROOM, Block, Face, Layout, Way, edge_for
from beckon.core.clock import iso
from beckon.core.drawing import STYLE
from beckon.telephony import script as made
from beckon.telephony.call import Decision
from beckon.telephony.script import Script, Step, Steps
from beckon.telephony.script_check import goes_past
from beckon.telephony.script_words import card_words, way_label

__all__ = ["STYLE", "draw"]

_CARD = 236.0
_SIDE = 34.0
#: Between the script and its backup.
_APART = 48.0

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


def draw(
    script: Script,
    *,
    taken: Sequence[Decision] = (),
    current: str = "",
    dark: bool | None = None,
    styled: bool = True,
    room: float = ANY_ROOM,
) -> str:
    """Draw a script; with a call's decisions, where it went. ``current``: where it stands. All text is escaped.

    ``room``: how wide it may be, in its own units, of which a card has 236; what is nested too deeply is wider.
    """
    return _Artist(script, taken, current, room).picture(dark, styled)


class _Artist:
    def __init__(self, script: Script, taken: Sequence[Decision], current: str, room: float) -> None:
        self.script = script
        self.room = room
        self.layout = Layout(_CARD, _SIDE)
        self.current = current
        self.told: dict[str, list[Decision]] = {}
        for decision in taken:
            if decision.step:
                self.told.setdefault(decision.step, []).append(decision)
        self.alive = bool(taken) or bool(current)

    def picture(self, dark: bool | None, styled: bool) -> str:
        """Put everything on paper: the steps, and beside them (or below) the script's backup."""
        columns = [("a call", self.script.steps)]
        if self.script.backup:
            columns.append(("whatever can't be done", self.script.backup))
        edge = edge_for(self.room)
        room = self.room - 2 * edge
        parts = [self._column(label, steps, ANY_ROOM) for label, steps in columns]
        beside = sum(part.width for part in parts) + _APART * (len(parts) - 1) <= room
        if not beside:
            parts = [self._column(label, steps, room) for label, steps in columns]
        width = height = 0.0
        for part in parts:
            if beside:
                x, y = width + part.left, 0.0
                width += part.width + _APART
                height = max(height, part.height)
            else:
                x, y = part.left, height
                width = max(width, part.width + _APART)
                height += part.height + _APART / 2
            part.paint(edge + x, 20 + y)
        about = f": {self.script.description}" if self.script.description else ""
        box = (0, 0, width - _APART + 2 * edge, height + 40)
        return self.layout.paper.svg(box, f"Call script {self.script.name}{about}", dark, styled)

    def _column(self, label: str, steps: Steps, room: float) -> Block:
        """Steps from where a call comes in to where it goes out."""
        entered = bool(steps) and self._visited(steps[0].path)
        head, body = (
            self.layout.pill(label, "dial", "accent", entered),
            self.layout.fitting(lambda room: self._sequence(steps, room), room),
        )
        tail = self.layout.pill("hang up", "hang_up", "accent", False)
        blocks = [head, *([body] if steps else []), *([tail] if body.flows_out else [])]
        return self.layout.sequence(blocks, lambda number: entered and number == 0 and bool(steps))

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

    def _sequence(self, steps: Steps, room: float) -> Block:
        return self.layout.sequence(
            [self._block(step, room) for step in steps], lambda number: self._left_by(steps[number])
        )

    def _block(self, step: Step, room: float) -> Block:
        card = self._card(step)
        branches = list(step.branches())
        if not branches:
            return card
        named = {name for name, _inside in branches}
        straight = goes_past(step) and not (named <= {"open", "closed"} or "else" in named)
        ways: list[tuple[str, Steps]] = ([("next", ())] if straight else []) + branches
        return self.layout.spread(
            card, lambda room: [self._way(step, name, inside, room) for name, inside in ways], room
        )

    def _way(self, step: Step, name: str, inside: Steps, room: float) -> Way:
        went = self._went(step, name)
        return Way(
            self._sequence(inside, room),
            empty=not inside,
            label=way_label(step, name),
            went=went,
            came_out=went and (self._left_by(inside[-1]) if inside else self._left_by(step)),
            why=self._why(step, name),
        )

    def _card(self, step: Step) -> Block:
        look, colour, tag = _LOOKS[type(step)]
        title, mono, details = card_words(step)
        face = Face(step.path, step.kind, look, colour, tag, title, mono, details, self._state(step), self._story(step))
        return self.layout.card(face, flows_out=not isinstance(step, made.Jump | made.HangUp))

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
