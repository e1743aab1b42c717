"""Rows: a CSV file of members as what the API takes, one line after the other; what is wrong names its line. Pure.

UTF-8, with or without a byte order mark; commas, semicolons or tabs, as the header has them. A row that can't be taken
is one ``WrongRow`` and the next goes on; what makes the rest of the file a guess (a quote that is never closed, another
encoding, columns that nobody knows) ends it with a ``FileProblem``.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

#: One line of the file, one field, one record (which may have line breaks within quotes).
LINE_BYTES_MAX = 65_536
FIELD_MAX = 2_000
RECORD_LINES_MAX = 50
COLUMNS_MAX = 120
TAGS_MAX = 50
_POINTS_MAX = 10**9

#: What the columns are called; ``custom.NAME`` beside them is kept as a field of the integrator's own.
COLUMNS = (
    *("external_id", "external_id_type", "email", "first_name", "last_name", "phone", "locale", "opted_in", "dob"),
    *("gender", "address", "city", "state", "zip", "country", "points", "tier", "tags", "consent"),
)
#: What an error file has before the row's own columns: it can be mended and imported as it is.
OF_ERRORS = ("line", "code", "why")
_CUSTOM = "custom."
_YES = frozenset({"1", "true", "yes", "y", "t", "oui", "ja", "si", "sí", "sì"})
_NO = frozenset({"", "0", "false", "no", "n", "f", "non", "nein", "nee", "nej", "nei"})
#: column → the profile's field
_PROFILE = {
    "email": "email", "first_name": "first_name", "last_name": "last_name", "locale": "locale", "dob": "born",
    "gender": "gender", "address": "address", "city": "city", "state": "state", "zip": "zip", "country": "country",
}  # fmt: skip


class FileProblem(Exception):
    """The file can't be read, or not any further."""

    def __init__(self, line: int, code: str, why: str) -> None:
        super().__init__(f"line {line}: {why} [{code}]")
        self.line = line
        self.code = code
        self.why = why


class GoodRow(msgspec.Struct, frozen=True):
    """A row as the API takes it: the body of one sign-up."""

    line: int
    #: how many bytes of the file are read with it.
    end: int
    values: tuple[str, ...]
    member: dict[str, Any]


class WrongRow(msgspec.Struct, frozen=True):
    """A row that can't be taken, and why."""

    line: int
    end: int
    values: tuple[str, ...]
    code: str
    why: str


Row = GoodRow | WrongRow


class _Lines:
    """The file's lines as text, counted; what is wrong with a line is kept for its record."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.number = 0
        self.end = 0
        #: where the record under way began, and what is wrong within it.
        self.first = 1
        self.wrong: tuple[str, str] | None = None

    def begin(self) -> None:
        self.first = self.number + 1
        self.wrong = None

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.end += len(line)
        if self.number - self.first >= RECORD_LINES_MAX:
            raise FileProblem(
                self.first, "import.quote", f"a quote is opened and not closed within {RECORD_LINES_MAX} lines"
            )
        if len(line) > LINE_BYTES_MAX:
            raise FileProblem(self.number, "import.line_too_long", f"the line is longer than {LINE_BYTES_MAX} bytes")
        if self.number == 1:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise FileProblem(1, "import.encoding", "the file is UTF-16: save it as UTF-8")
            line = line.removeprefix(b"\xef\xbb\xbf")
        if b"\0" in line:
            self.wrong = ("import.nul", "the line has a NUL byte")
            line = line.replace(b"\0", b"")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            self.wrong = ("import.encoding", f"byte {error.start + 1} of line {self.number} is no UTF-8")
            return line.decode(errors="replace")


class Rows:
    """A file's rows. ``header`` is there as soon as it is made. Raises ``FileProblem``."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = _Lines(lines)
        first = next(self._lines, "")
        if self._lines.wrong is not None:
            raise FileProblem(1, *self._lines.wrong)
        self._delimiter = max(",;\t", key=first.count)
        self.header = _header(first, self._delimiter)
        self._places = [(place, name) for place, name in enumerate(self.header) if name not in OF_ERRORS]

    @property
    def own_places(self) -> list[int]:
        """The places of the columns that are the file's own, not an error file's."""
        return [place for place, _ in self._places]

    def __iter__(self) -> Iterator[Row]:
        lines = self._lines
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        columns = len(self.header)
        while True:
            lines.begin()
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if lines.first > lines.number:  # the end of the file, within a quote
                    return
                if "end of data" in str(error):
                    raise FileProblem(lines.first, "import.quote", "a quote is opened and never closed") from error
                if "new-line" in str(error):
                    wrong = ("import.line_end", "a line ends with a carriage return alone: save it with \\n or \\r\\n")
                else:
                    wrong = ("import.quote", f"a quote is out of place: {error}")
                yield WrongRow(lines.first, lines.end, (), *wrong)
                continue
            if not values:
                continue  # an empty line
            row = tuple(values)
            if lines.wrong is not None:
                yield WrongRow(lines.first, lines.end, row, *lines.wrong)
            elif len(values) != columns:
                why = f"the row has {len(values)} columns, the header {columns}"
                yield WrongRow(lines.first, lines.end, row[: columns + 1], "import.columns", why)
            else:
                yield self._row(row)

    def _row(self, values: tuple[str, ...]) -> Row:
        line, end = self._lines.first, self._lines.end
        said: dict[str, str] = {}
        for place, name in self._places:
            value = values[place].strip()
            if len(value) > FIELD_MAX:
                why = f"{name} is longer than {FIELD_MAX} characters"
                return WrongRow(line, end, values, "import.field_too_long", why)
            if value:
                said[name] = value
        try:
            return GoodRow(line, end, values, _member(said))
        except ValueError as error:
            code, why = error.args
            return WrongRow(line, end, values, code, why)


def _header(text: str, delimiter: str) -> tuple[str, ...]:
    if not text.strip():
        raise FileProblem(1, "import.header", "the file is empty: its first line names the columns")
    try:
        names = [name.strip().lower() for name in next(csv.reader([text], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise FileProblem(1, "import.header", f"the header can't be read: {error}") from error
    if len(names) > COLUMNS_MAX:
        raise FileProblem(1, "import.header", f"there are more than {COLUMNS_MAX} columns")
    unknown = [name for name in names if not _known(name)]
    if unknown:
        raise FileProblem(
            1,
            "import.column_unknown",
            f"nobody knows the column {unknown[0][:60]!r}; there are {', '.join(COLUMNS)} and custom.NAME",
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileProblem(1, "import.column_twice", f"the column {twice[0]!r} is there twice")
    if not {"email", "external_id"} & set(names):
        raise FileProblem(1, "import.column_missing", "there is neither a column email nor a column external_id")
    return tuple(names)


def _known(name: str) -> bool:
    return name in COLUMNS or name in OF_ERRORS or (name.startswith(_CUSTOM) and len(name) > len(_CUSTOM))


def _member(said: dict[str, str]) -> dict[str, Any]:
    """One row as the API takes a sign-up. Raises ``ValueError(code, why)``."""
    if "email" not in said and "external_id" not in said:
        raise ValueError("import.nobody", "the row has neither an email nor an external_id")
    profile: dict[str, Any] = {field: said[name] for name, field in _PROFILE.items() if name in said}
    if "phone" in said:
        profile["phones"] = [{"number": said["phone"]}]
    if "opted_in" in said:
        profile["opted_in"] = _yes_or_no(said["opted_in"])
    custom = {name.removeprefix(_CUSTOM): value for name, value in said.items() if name.startswith(_CUSTOM)}
    if custom:
        profile["custom"] = custom
    member: dict[str, Any] = {"profile": profile}
    if "external_id" in said:
        member["external"] = {said.get("external_id_type", "external_id"): said["external_id"]}
    for name, read in _OTHERS.items():
        if name in said:
            member[name] = read(said[name])
    return member


def _yes_or_no(text: str) -> bool:
    word = text.casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError("import.opted_in", f"opted_in is yes or no, not {text[:20]!r}")


def _points(text: str) -> int:
    digits = text.removesuffix(".0")
    if not (digits.isascii() and digits.isdigit() and int(digits[:20]) <= _POINTS_MAX):
        raise ValueError("import.points", f"points are a whole number from 0 to {_POINTS_MAX}, not {text[:20]!r}")
    return int(digits)


def _tags(text: str) -> list[str]:
    tags = [tag.strip() for tag in text.split("|") if tag.strip()]
    if len(tags) > TAGS_MAX:
        raise ValueError("import.tags", f"there are more than {TAGS_MAX} tags")
    return tags


_OTHERS: dict[str, Callable[[str], Any]] = {"points": _points, "tier": str, "tags": _tags, "consent": str}
