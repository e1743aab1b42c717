"""Recognise: which approved template a free text is, word for word, and what stands in its places. Pure.

Outside WhatsApp's window only approved templates may be sent, so a text that an agent typed or a system passed on is
compared with them: ``Hello Ann, your car is ready.`` is ``Hello {{ contact.first_name }}, your car is ready.`` with Ann
in its place. Found by an index, not by trying each: a text's words lead to the few templates that share a rare one,
and those are compared piece by piece. No regular expression is run over the text, so none can go wrong.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from beckon.core.liquid_text import Text
from beckon.messaging.contacts import locale_chain
from beckon.messaging.templates import PLACE, place, places
from beckon.messaging.wording import Template

#: A longer text is no template of WhatsApp's.
TEXT_MAX = 4_096
#: Letters and digits that a template must have of its own, or it would be recognised in anything.
OWN_LETTERS_MIN = 10
#: Positions tried for a template in which one place stands twice.
TRIES_MAX = 2_000

_WORD = re.compile(r"\w+")


class Match(msgspec.Struct, frozen=True):
    """A free text that is an approved template: its language, and what stands in each place (``{{ slug }}`` → text)."""

    template: Template
    locale: str
    values: dict[str, str]


class _Pattern(msgspec.Struct, frozen=True, eq=False):
    """A wording taken apart: ``literals[0] places[0] literals[1] …``; one literal more than places."""

    template: Template
    locale: str
    literals: tuple[str, ...]
    places: tuple[str, ...]
    letters: int
    repeats: bool


class Index:
    """The wordings of approved templates on one channel, by the rarest word of each."""

    def __init__(self, templates: Iterable[Template], channel: str) -> None:
        patterns = [pattern for template in templates for pattern in _patterns(template, channel)]
        common = Counter(word for pattern in patterns for word in _inner_words(pattern))
        self._by_word: dict[str, list[_Pattern]] = {}
        self._always: list[_Pattern] = []
        for pattern in patterns:
            words = sorted(_inner_words(pattern), key=lambda word: (common[word], -len(word), word))
            if words:
                self._by_word.setdefault(words[0], []).append(pattern)
            else:
                self._always.append(pattern)

    def match(self, text: str, locale: str) -> Match | None:
        """The template that this text is; of several, the one with most words of its own, in the reader's language."""
        if len(text) > TEXT_MAX:
            return None
        written = " ".join(text.split())
        candidates = list(self._always)
        for word in set(_WORD.findall(written)) & self._by_word.keys():
            candidates += self._by_word[word]
        chain = locale_chain(locale)
        candidates.sort(key=lambda one: (-one.letters, _rank(one.locale, chain), one.template.name))
        for pattern in candidates:
            values = _fit(pattern, written)
            if values is not None:
                return Match(pattern.template, pattern.locale, values)
        return None


@lru_cache(maxsize=64)
def index_of(templates: tuple[Template, ...], channel: str) -> Index:
    """The index over these templates."""
    return Index(templates, channel)


def match_text(text: str, templates: Iterable[Template], locale: str, *, channel: str = "whatsapp") -> Match | None:
    """Which of these templates a free text is. None: it is none of them."""
    return index_of(tuple(templates), channel).match(text, locale)


def _patterns(template: Template, channel: str) -> Iterable[_Pattern]:
    approved = template.approved.get(channel)
    if approved is None:
        return
    for locale in approved.languages:
        by_channel = template.wordings[locale]
        wording = by_channel.get(channel) or by_channel[""]
        if any(button.value.constant is None or button.text.constant is None for button in wording.buttons):
            # Where a button leads can't be read from the text.
            continue
        pattern = _taken_apart(template, locale, wording.text)
        needed = {one for text in approved.body[locale] for one in places(text)}
        if pattern is not None and needed <= set(pattern.places):
            yield pattern


def _taken_apart(template: Template, locale: str, text: Text) -> _Pattern | None:
    if "{%" in text.source:
        return None
    pieces = PLACE.split(text.source)
    literals = [_single_blanks(piece) for piece in pieces[::2]]
    literals[0] = literals[0].lstrip()
    literals[-1] = literals[-1].rstrip()
    holes = tuple([place(piece) for piece in pieces[1::2]])
    letters = sum(len(word) for literal in literals for word in _WORD.findall(literal))
    # Two places with nothing between: where one ends can't be told.
    if letters < OWN_LETTERS_MIN or not all(literals[1:-1]):
        return None
    return _Pattern(template, locale, tuple(literals), holes, letters, len(set(holes)) < len(holes))


def _single_blanks(piece: str) -> str:
    """A literal with every run of blanks as one, at its edges too: they part it from what stands in its places."""
    inner = " ".join(piece.split())
    if not inner:
        return " " if piece else ""
    return " " * piece[0].isspace() + inner + " " * piece[-1].isspace()


def _inner_words(pattern: _Pattern) -> set[str]:
    """The words that stand whole in any text of this pattern: not those that touch a place."""
    found: set[str] = set()
    last = len(pattern.literals) - 1
    for number, literal in enumerate(pattern.literals):
        for hit in _WORD.finditer(literal):
            if (hit.start() > 0 or number == 0) and (hit.end() < len(literal) or number == last):
                found.add(hit[0])
    return found


def _rank(locale: str, chain: tuple[str, ...]) -> int:
    return chain.index(locale) if locale in chain else len(chain)


def _fit(pattern: _Pattern, text: str) -> dict[str, str] | None:
    """What stands in the places if ``text`` is of this pattern."""
    literals, holes = pattern.literals, pattern.places
    if not holes:
        return {} if text == literals[0] else None
    if not (text.startswith(literals[0]) and text.endswith(literals[-1])):
        return None
    end = len(text) - len(literals[-1])
    values: dict[str, str] = {}
    tries = TRIES_MAX if pattern.repeats else 0

    def fits(number: int, at: int) -> bool:
        nonlocal tries
        name = holes[number]
        final = number == len(holes) - 1
        known = values.get(name)
        if final:
            value = text[at:end].strip()
            if not value or known not in (None, value):
                return False
            values[name] = value
            return True
        after = literals[number + 1]
        found = text.find(after, at + 1, end)
        # Without repeats the leftmost way is as good as any: it leaves the most for the rest.
        while found >= 0:
            value = text[at:found].strip()
            if value and known in (None, value):
                values[name] = value
                if fits(number + 1, found + len(after)):
                    return True
                if known is None:
                    del values[name]
            if value and not pattern.repeats:
                return False
            tries -= 1
            if pattern.repeats and tries < 0:
                return False
            found = text.find(after, found + 1, end)
        return False

    return values if fits(0, len(literals[0])) else None
