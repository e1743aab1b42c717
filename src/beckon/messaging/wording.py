"""Wordings: a compiled template, as what it says in each language on each channel. See ``templates`` for the file."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import msgspec

from beckon.core.liquid_text import Text
from beckon.core.problems import Problem, Problems
from beckon.messaging.contacts import locale_chain

#: What WhatsApp may say of a template. Only ``approved`` lets it be sent.
STATES = ("approved", "pending", "rejected", "paused", "disabled")

#: Channels that say the same where a template has no words for the one or the other: ``channels: {push: {text: …}}``.
FAMILIES = {"web_push": "push", "fcm": "push"}

ButtonKind = Literal["link", "reply"]
MediaKind = Literal["image", "video", "document", "audio"]


class TemplateProblems(Problems):
    """A template that can't be taken."""


class Variable(msgspec.Struct, frozen=True):
    """What a template asks for."""

    name: str
    required: bool = False
    default: Any = ""
    #: for previews and for WhatsApp's approval.
    example: Any = None


class ButtonWords(msgspec.Struct, frozen=True, eq=False):
    """A button before it is rendered. ``value``: the URL of a link, the payload of a reply."""

    kind: ButtonKind
    text: Text
    value: Text


class MediaWords(msgspec.Struct, frozen=True, eq=False):
    """A picture, video or document before it is rendered."""

    kind: MediaKind
    url: Text
    caption: Text | None = None


class Wording(msgspec.Struct, frozen=True, eq=False):
    """What is said in one language on one channel."""

    locale: str
    text: Text
    subject: Text | None = None
    html: Text | None = None
    buttons: tuple[ButtonWords, ...] = ()
    media: tuple[MediaWords, ...] = ()


class Approved(msgspec.Struct, frozen=True, eq=False):
    """The template as WhatsApp has approved it."""

    #: its name at WhatsApp.
    name: str
    #: what the file says of its state; the provider's word counts more.
    state: str
    #: our locale → WhatsApp's language code.
    languages: dict[str, str]
    #: our locale → its body's parameters, in order.
    body: dict[str, tuple[Text, ...]]
    #: a parameter for each button, in order; None: the code of the button's short link, or a reply's payload.
    buttons: tuple[Text, ...] | None = None


class Template(msgspec.Struct, frozen=True, eq=False):
    """A compiled template. Two are the same when their names and versions are."""

    name: str
    title: str
    purpose: str
    variables: dict[str, Variable]
    #: locale → channel (``""``: any other) → wording.
    wordings: dict[str, dict[str, Wording]]
    #: by channel; WhatsApp is the one that wants it.
    approved: dict[str, Approved]
    #: digest of the file's text.
    version: str
    #: whose mail it is; None: the workspace's name.
    brand: Text | None = None
    file: str = ""
    #: problems of severity ``warning``.
    warnings: tuple[Problem, ...] = ()

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and (self.name, self.version) == (other.name, other.version)

    @property
    def locales(self) -> tuple[str, ...]:
        """The languages it speaks."""
        return tuple(self.wordings)

    @property
    def variables_needed(self) -> tuple[str, ...]:
        """The variables that must be given, sorted."""
        return tuple(sorted(name for name, variable in self.variables.items() if variable.required))

    def pick(self, locale: str, default: str = "en") -> str:
        """The language in which it is said to a reader of ``locale``: nl-BE → nl → the default's → en → its first."""
        return _pick(self.locales, locale, default)

    def wording(self, channel: str, locale: str, default: str = "en") -> Wording:
        """What it says on this channel to a reader of ``locale``."""
        by_channel = self.wordings[_pick(tuple(self.wordings), locale, default)]
        return by_channel.get(channel) or by_channel.get(FAMILIES.get(channel, channel)) or by_channel[""]


@lru_cache(maxsize=4_096)
def _pick(locales: tuple[str, ...], locale: str, default: str) -> str:
    for wanted in locale_chain(locale, default):
        if wanted in locales:
            return wanted
        for one in locales:
            # For want of plain Dutch, a reader of nl-NL gets nl-BE rather than English.
            if one.partition("-")[0] == wanted:
                return one
    return locales[0]


def state_of(approved: Approved, provider: str, language: str, approvals: Mapping[tuple[str, str, str], str]) -> str:
    """WhatsApp's word on a template in a language: the provider's, where it gave one, else the file's."""
    return approvals.get((provider, approved.name, language), approved.state)
