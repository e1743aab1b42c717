"""The little Markdown that our documents use, as HTML: headings, paragraphs, fenced code, lists, tables, bold."""

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

_CELL = re.compile(r"(?<!\\)\|")
_MARKED = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


def html(text: str, *, level: int = 1) -> Markup:
    """A document as HTML; ``level``: the number of its highest headings. Everything is escaped."""
    return Markup("\n").join(_blocks(text.splitlines(), level))


def inline(text: str) -> Markup:
    """One line's words: what stands in backticks is code, what stands in double stars is bold."""
    out, at = Markup(), 0
    for found in _MARKED.finditer(text):
        out += escape(text[at : found.start()])
        out += (
            Markup("<code>{}</code>").format(found[1]) if found[1] else Markup("<strong>{}</strong>").format(found[2])
        )
        at = found.end()
    return out + escape(text[at:])


def _blocks(lines: list[str], level: int) -> Iterator[Markup]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("```"):
            end = next((after for after in range(at + 1, len(lines)) if lines[after].startswith("```")), len(lines))
            yield Markup("<pre><code>{}</code></pre>").format("\n".join(lines[at + 1 : end]))
            at = end + 1
        elif line.startswith("#"):
            marks, _, words = line.partition(" ")
            depth = min(6, len(marks) - 1 + level)
            yield Markup('<h{} id="{}">{}</h{}>').format(depth, _anchor(words), inline(words), depth)
            at += 1
        elif line.startswith("|"):
            end = _end(lines, at, "|")
            yield _table(lines[at:end])
            at = end
        elif line.startswith("- "):
            end = _end(lines, at, "- ")
            items = Markup().join(Markup("<li>{}</li>").format(inline(one[2:])) for one in lines[at:end])
            yield Markup("<ul>{}</ul>").format(items)
            at = end
        elif line.strip():
            end = next((after for after in range(at, len(lines)) if not lines[after].strip()), len(lines))
            yield Markup("<p>{}</p>").format(inline(" ".join(lines[at:end])))
            at = end
        else:
            at += 1


def _table(lines: list[str]) -> Markup:
    head, _, *rows = [[cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1]] for line in lines]
    titles = Markup().join(Markup("<th>{}</th>").format(inline(cell)) for cell in head)
    body = Markup().join(_row(cells) for cells in rows)
    return Markup(
        '<div class="table-wrap"><table class="table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(titles, body)


def _row(cells: list[str]) -> Markup:
    """A row; one that begins with code can be linked to by it."""
    said = Markup().join(Markup("<td>{}</td>").format(inline(cell)) for cell in cells)
    first = cells[0]
    if first.startswith("`") and first.endswith("`") and first.count("`") == 2:
        return Markup('<tr id="{}">{}</tr>').format(first[1:-1], said)
    return Markup("<tr>{}</tr>").format(said)


def _anchor(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _end(lines: list[str], at: int, start: str) -> int:
    while at < len(lines) and lines[at].startswith(start):
        at += 1
    return at
