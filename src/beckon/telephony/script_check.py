"""Check: what is wrong with a call script, found without a call: jumps to nowhere, steps out of reach, loops.

``parse_script`` has already refused what is wrong in itself. What a ``Library`` doesn't know (None) is not checked.
"""

from collections.abc import Collection, Iterator

import msgspec

from beckon.core.liquid_text import Text
from beckon.core.measures import closest
from beckon.core.problems import Problem
from beckon.telephony import script as made
from beckon.telephony.script import Script, Step
from beckon.telephony.script_reading import ScriptProblems, parse_script
from beckon.telephony.switch import Capabilities


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace knows. None: not known, so not checked."""

    secrets: Collection[str] | None = None
    #: recorded prompts.
    files: Collection[str] | None = None
    dialects: Collection[str] | None = None
    #: the free values that texts may read as ``settings.…``.
    settings: Collection[str] | None = None
    #: what the switch can do.
    switch: Capabilities | None = None


def check_text(text: str, library: Library | None = None, *, file: str = "") -> tuple[Problem, ...]:
    """Everything that is wrong with a script's text, in order of line; empty: nothing."""
    try:
        script = parse_script(text, file=file)
    except ScriptProblems as problems:
        return problems.problems
    return check(script, library)


def check(script: Script, library: Library | None = None) -> tuple[Problem, ...]:
    """Everything that is wrong with a script, in order of line; empty: nothing."""
    checker = _Checker(script, library or Library())
    for step in script.by_path.values():
        checker.step(step)
    checker.ways()
    return tuple(sorted(set(checker.problems), key=lambda problem: (problem.line, problem.path, problem.code)))


def goes_past(step: Step) -> bool:
    """Whether a call can go from a step straight to the one after it."""
    if isinstance(step, made.Jump | made.HangUp):
        return False
    if isinstance(step, made.Menu):
        return step.on_nothing is None or any(not inside for _name, inside in step.branches())
    if isinstance(step, made.Hours | made.Branch):
        return any(not inside for _name, inside in step.branches())
    return True


class _Checker:
    def __init__(self, script: Script, library: Library) -> None:
        self.script = script
        self.library = library
        self.problems: list[Problem] = []

    def say(self, path: str, code: str, why: str, severity: str = "error") -> None:
        place = path
        while place and place not in self.script.lines:
            place = place.rpartition(".")[0]
        self.problems.append(Problem(self.script.file, self.script.lines.get(place, 1), path, code, why, severity))

    def known(self, path: str, code: str, what: str, name: str, names: Collection[str] | None) -> None:
        if names is not None and name not in names:
            self.say(path, code, f"There is no {what} called {name[:60]!r}{closest(name, names)}")

    def step(self, step: Step) -> None:
        path, library = step.path, self.library
        if isinstance(step, made.Jump):
            self.known(path, "script.unknown_target", "step", step.to, self.script.named)
        elif isinstance(step, made.Ask):
            if step.backup is None and self.script.backup is None:
                why = "This ask has no backup: say what happens when the other side is slow, dead or wrong."
                self.say(path, "script.no_backup", why)
            self.known(path, "script.unknown_dialect", "dialect", step.dialect, library.dialects)
            if step.secret:
                self.known(f"{path}.secret", "script.unknown_secret", "secret", step.secret, library.secrets)
            if step.digits and step.digits not in self.script.names:
                self.known(f"{path}.digits", "script.unknown_name", "gather", step.digits, self.script.names)
        elif isinstance(step, made.Gather):
            if not step.keys_max and not step.until:
                self.say(path, "script.no_limits", "Nothing but time ends this: give it max, or a key with until.")
            elif not step.keys_max:
                self.say(path, "script.no_limits", "Give it max: the most keys that make sense.", "warning")
        elif isinstance(step, made.Authorise):
            for name in step.secrets:
                self.known(path, "script.unknown_secret", "secret", name, library.secrets)
        elif isinstance(step, made.Record) and step.what == "call" and not step.say:
            why = "Nobody is told that the call is recorded: add say, with the reason."
            self.say(path, "script.no_consent", why, "warning")
        for prompt in _prompts(step):
            for words in prompt:
                if words.file:
                    self.known(path, "script.unknown_file", "prompt", words.file, library.files)
                for _locale, text in words.texts:
                    self._settings(path, text.paths)
        for text in _texts(step):
            self._settings(path, text.paths)
        if library.switch is not None:
            self._supported(step, library.switch)

    def _settings(self, path: str, paths: tuple[tuple[str, ...], ...]) -> None:
        for read in paths:
            if len(read) > 1 and read[0] == "settings":
                self.known(path, "script.unknown_setting", "setting", read[1], self.library.settings)

    def _supported(self, step: Step, switch: Capabilities) -> None:
        records = isinstance(step, made.Record) and step.what == "call"
        connecting = getattr(step, "connecting", None)
        if (records or (connecting is not None and connecting.record)) and switch.recording == "none":
            self.say(step.path, "script.unsupported", "The switch can't record.")
        if isinstance(step, made.Voicemail) and not switch.record_leg:
            self.say(step.path, "script.unsupported", "The switch can't record a single phone: no voicemail.")
        for prompt in _prompts(step):
            for words in prompt:
                kind = "file" if words.file else "say"
                if kind not in switch.prompts:
                    self.say(step.path, "script.unsupported", f"The switch plays no prompts of the kind {kind!r}.")

    # Ways ------------------------------------------------------------------------------------------------------------

    def ways(self) -> None:
        """Which steps no call reaches, and from which none comes to an end."""
        script = self.script
        onward = {path: tuple(self._onward(step)) for path, step in script.by_path.items()}
        first = [steps[0].path for steps in (script.steps, script.backup or ()) if steps]
        reached = _closure(first, onward)
        for path in script.by_path:
            outer = _outer(path, script)
            if path not in reached and (outer is None or outer in reached):
                before = path.rpartition(".")
                earlier = f"{before[0]}.{int(before[2]) - 1}" if before[2].isdigit() and int(before[2]) else ""
                if not earlier or earlier in reached:  # say it once for a row of them
                    self.say(path, "script.unreachable", "No call comes here: what stands before it leads elsewhere.")
        backward: dict[str, list[str]] = {}
        ends = []
        for path, targets in onward.items():
            if not targets or "" in targets:
                ends.append(path)
            for target in targets:
                backward.setdefault(target, []).append(path)
        ending = _closure(ends, {path: tuple(sources) for path, sources in backward.items()})
        stuck = [path for path in script.by_path if path in reached and path not in ending]
        if stuck:
            self.say(stuck[0], "script.no_way_out", "From here no way leads to an end: every one comes back.")

    def _onward(self, step: Step) -> Iterator[str]:
        """Where a call can go from a step; empty text: it ends."""
        if isinstance(step, made.HangUp):
            yield ""
        elif isinstance(step, made.Jump):
            target = self.script.named.get(step.to)
            yield "" if target is None else target
        else:
            for _name, inside in step.branches():
                if inside:
                    yield inside[0].path
            if goes_past(step):
                yield self.script.after[step.path]


def _closure(first: list[str], edges: dict[str, tuple[str, ...]]) -> set[str]:
    seen: set[str] = set()
    stack = list(first)
    while stack:
        path = stack.pop()
        if path not in seen:
            seen.add(path)
            stack += edges.get(path, ())
    return seen


def _outer(path: str, script: Script) -> str | None:
    """The step that a step stands in."""
    while "." in path:
        path = path.rpartition(".")[0]
        if path in script.by_path:
            return path
    return None


def _prompts(step: Step) -> Iterator[made.Prompt]:
    connecting = getattr(step, "connecting", None)
    for owner in (step, connecting):
        for name in ("prompt", "say", "again", "filler", "hint"):
            prompt = getattr(owner, name, None)
            if prompt:
                yield prompt


def _texts(step: Step) -> Iterator[Text]:
    if isinstance(step, made.Dial):
        yield from step.numbers
    elif isinstance(step, made.Ask):
        yield step.url
    elif isinstance(step, made.Branch):
        yield step.value
    connecting = getattr(step, "connecting", None)
    if connecting is not None and connecting.caller_id is not None:
        yield connecting.caller_id
