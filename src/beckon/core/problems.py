"""Problem: what is wrong with a file that somebody wrote, where, and what to do about it."""

import msgspec

from beckon.core.errors import Refused


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: the file, the line (from 1), the path in the file, a stable code, one clear sentence."""

    file: str
    line: int
    path: str
    code: str
    why: str
    #: ``error``: the file is not taken; ``warning``: it is, and may not do what was meant.
    severity: str = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else f"line {self.line}"
        only = "warning: " if self.severity == "warning" else ""
        return f"{place}: {only}{self.why} [{self.code}]"


class Problems(Refused):
    """A file that can't be taken; ``problems`` says all that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(first.code, f"{first.why} Line {first.line}{more}.", field=first.path or None)
        self.problems = problems
