"""Diagram: a flow as SVG, top down, the path that a run took lit up with its reasons. ``core.blocks`` lays it out."""

from collections.abc import Sequence

from beckon.core.blocks import ANY_ROOM, Block, Face, Layout, Way, edge_for
from beckon.core.clock import iso
from beckon.core.drawing import STYLE
from beckon.flows import steps as made
from beckon.flows.card_words import branch_label, card_words
from beckon.flows.definition import Flow
from beckon.flows.run import FINAL, Failure, Run, Taken

__all__ = ["STYLE", "draw", "draw_run"]

_CARD = 248.0
_SIDE = 40.0

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
    room: float = ANY_ROOM,
) -> str:
    """Draw a flow; with ``taken`` and ``current``, where a run went and stands.

    ``ended``: the run came out at the end. ``dark``: None follows the reader's system or the page, True and False
    insist. ``styled``: False leaves the style sheet out (a page serves ``STYLE`` itself). ``room``: how wide it may be,
    in its own units, of which a card has 248; what is nested too deeply for that is wider. All text is escaped.
    """
    artist = _Artist(flow, taken, current, ended, failed, room)
    return artist.picture(dark, styled)


def draw_run(flow: Flow, run: Run, *, dark: bool | None = None, styled: bool = True, room: float = ANY_ROOM) -> str:
    """Draw a flow with one run's path in it."""
    current = run.pointer if run.status not in FINAL else None
    done = run.status == "done"
    return draw(
        flow, taken=run.history, current=current, ended=done, failed=run.error, dark=dark, styled=styled, room=room
    )


class _Artist:
    def __init__(
        self, flow: Flow, taken: Sequence[Taken], current: str | None, ended: bool, failed: Failure | None, room: float
    ) -> None:
        self.flow = flow
        self.room = room
        self.layout = Layout(_CARD, _SIDE)
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
        edge = edge_for(self.room)
        head = self.layout.pill(", ".join(self.flow.on), "start", "accent", self.alive)
        body = self.layout.fitting(lambda room: self._sequence(self.flow.steps, room), self.room - 2 * edge)
        tail = self.layout.pill("end", "done", "accent" if self.ended else "stop", self.ended)
        left = max(head.left, body.left, tail.left) + edge
        right = max(head.right, body.right, tail.right) + edge
        y = 20.0
        head.paint(0, y)
        y += head.height
        if self.flow.steps:
            y = self.layout.link(0, y, self._visited(self.flow.steps[0].path))
            body.paint(0, y)
            y += body.height
        if body.flows_out:
            y = self.layout.link(0, y, self.ended)
            tail.paint(0, y)
            y += tail.height
        title = f"Flow {self.flow.name}" + (f": {self.flow.description}" if self.flow.description else "")
        return self.layout.paper.svg((-left, 0, left + right, y + 20), title, dark, styled)

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

    def _sequence(self, steps: made.Steps, room: float) -> Block:
        def lit(number: int) -> bool:
            return self._left_by(steps[number]) and self._visited(steps[number + 1].path)

        return self.layout.sequence([self._block(step, room) for step in steps], lit)

    def _block(self, step: made.Step, room: float) -> Block:
        card = self._card(step)
        if isinstance(step, made.If | made.Choose):

            def ways_in(room: float) -> list[Way]:
                return [
                    self._way(step, name, inside, room, came_out=self._left_by(step))
                    for name, inside in step.branches()
                ]

            return self.layout.spread(card, ways_in, room)
        if isinstance(step, made.ForEach):
            body = self._sequence(step.do, room - 44)
            label, why = f"for each {step.item_name}", self._why(step, "do")
            return self.layout.framed(card, body, label, self._went(step, "do"), self._left_by(step), why)
        side = step.branches()
        if not side:
            return card
        name, inside = side[0]
        return self.layout.aside(card, lambda room: self._way(step, name, inside, room), self._straight(step), room)

    def _way(self, step: made.Step, name: str, inside: made.Steps, room: float, *, came_out: bool = True) -> Way:
        return Way(
            self._sequence(inside, room),
            empty=not inside,
            label=branch_label(step, name),
            went=self._went(step, name),
            came_out=came_out and self._came_out(step, name, inside),
            why=self._why(step, name),
        )

    def _straight(self, step: made.Step) -> bool:
        after = self.flow.after[step.path]
        return self._went(step, "next") and (self._visited(after) if after else self.ended)

    def _card(self, step: made.Step) -> Block:
        colour, tag = _LOOKS[step.kind]
        title, mono, details = card_words(step)
        face = Face(
            step.path, step.kind, step.kind, colour, tag, title, mono, details, self._state(step), self._story(step)
        )
        return self.layout.card(face, flows_out=not isinstance(step, made.Stop))

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
