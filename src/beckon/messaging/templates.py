"""Templates: one message, said in several languages and rendered for every channel. Read from YAML, checked, compiled.

.. code-block:: yaml

    template: checkin_invite
    purpose: transactional
    variables:
      slug: { required: true, example: 8Fh2kQ }
      workshop: { default: our workshop }
    locales:
      en:
        subject: Check in for your visit
        text: "Hello {{ contact.first_name }}, your visit is coming up."
        buttons:
          - { text: Start check-in, link: "{{ settings.checkin_url }}/{{ slug }}" }
      nl-BE: { text: … , channels: { sms: { text: … } } }
    channels:
      whatsapp:
        approved: { name: checkin_invite, state: approved, languages: { en: en_US, nl-BE: nl }, body: [ … ] }

A channel's own wording replaces subject, text, html, buttons or media one by one. Any text may use the template's
variables and ``contact``, ``settings``, ``locale``, ``time_zone`` and ``now``. Pure.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from beckon.core.errors import Refused
from beckon.core.liquid_text import Text, compile_text
from beckon.core.problems import Problem
from beckon.core.yaml_text import YamlProblem, read_yaml
from beckon.messaging.contacts import normalise_locale
from beckon.messaging.wording import (
    STATES,
    Approved,
    ButtonKind,
    ButtonWords,
    MediaKind,
    MediaWords,
    Template,
    TemplateProblems,
    Variable,
    Wording,
    state_of,
)

__all__ = ["GIVEN", "Problem", "Template", "TemplateProblems", "Variable", "parse_template", "state_of"]

#: Names that every text may use without declaring them.
GIVEN = frozenset({"contact", "settings", "locale", "time_zone", "now"})
#: Names that only the parameter of an approved button may use: ``link.code``, ``link.url``.
GIVEN_TO_BUTTONS = GIVEN | {"link"}
LOCALES_MAX = 64
CHANNELS_MAX = 16
BUTTONS_MAX = 10
MEDIA_MAX = 10
VARIABLES_MAX = 64
#: The longest text of a button that every channel shows.
BUTTON_TEXT_MAX = 25

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_APPROVED_NAME = re.compile(r"[a-z0-9_]{1,512}\Z")
_BUTTONS: tuple[ButtonKind, ...] = ("link", "reply")
_MEDIA: tuple[MediaKind, ...] = ("image", "video", "document", "audio")
_TOP = frozenset({"template", "title", "purpose", "brand", "variables", "locales", "channels"})
_VARIABLE = frozenset({"required", "default", "example"})
_SAID = frozenset({"subject", "text", "html", "buttons", "media"})
_APPROVED = frozenset({"name", "state", "languages", "body", "button"})


def parse_template(text: str, *, file: str = "") -> Template:
    """Read a template. Raises ``TemplateProblems`` with everything that is wrong, each with its line."""
    try:
        located = read_yaml(text)
    except YamlProblem as error:
        raise TemplateProblems((Problem(file, error.line, "", error.code, error.why),)) from None
    reading = _Reading(file, located.lines)
    template = reading.template(located.value, sha256(text.encode()).hexdigest()[:16])
    errors = tuple([problem for problem in reading.problems if problem.severity == "error"])
    if template is None or errors:
        raise TemplateProblems(errors)
    return template


class _Reading:
    """Reads one file, and notes what is wrong with it instead of stopping at the first mistake."""

    def __init__(self, file: str, lines: dict[str, int]) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._lines = lines
        self._variables: dict[str, Variable] = {}
        self._used: set[str] = set()

    def template(self, value: Any, version: str) -> Template | None:
        if not isinstance(value, dict):
            self._wrong("", "template.shape", "A template is an object with template, locales and variables.")
            return None
        self._only(value, _TOP, "")
        name = value.get("template")
        if not isinstance(name, str) or not _NAME.match(name):
            self._wrong("template", "template.name", "The name is lower case letters, digits and _, a letter first.")
            name = ""
        purpose = value.get("purpose", "transactional")
        if purpose not in ("transactional", "marketing"):
            self._wrong("purpose", "template.purpose", "The purpose is transactional or marketing.")
        self._variables = self._read_variables(value.get("variables") or {})
        brand = value.get("brand")
        if brand is not None and not (isinstance(brand, str) and brand.strip()):
            self._wrong("brand", "template.brand", "The brand is a text: whose mail it is.")
            brand = None
        wordings = self._read_wordings(value)
        approved = self._read_all_approved(value, wordings)
        for unused in sorted(self._variables.keys() - self._used):
            self._wrong(f"variables.{unused}", "template.unused", f"Nothing uses the variable {unused}.", "warning")
        if not wordings:
            return None
        return Template(
            name=name,
            title=str(value.get("title") or name),
            purpose=str(purpose),
            variables=self._variables,
            wordings=wordings,
            approved=approved,
            version=version,
            brand=self._compiled(brand, "brand") if brand is not None else None,
            file=self._file,
            warnings=tuple([problem for problem in self.problems if problem.severity == "warning"]),
        )

    def _read_variables(self, value: Any) -> dict[str, Variable]:
        variables: dict[str, Variable] = {}
        if not isinstance(value, dict) or len(value) > VARIABLES_MAX:
            self._wrong("variables", "template.variables", f"Variables are an object of {VARIABLES_MAX} names at most.")
            return variables
        for name, facts in value.items():
            path = f"variables.{name}"
            if not _NAME.match(name) or name in GIVEN_TO_BUTTONS:
                self._wrong(path, "template.variable_name", f"{name!r} can't be a variable's name.")
                continue
            facts = {} if facts is None else facts
            if not isinstance(facts, dict):
                self._wrong(path, "template.variable", "A variable says required, default and example.")
                continue
            self._only(facts, _VARIABLE, path)
            required = facts.get("required", "default" not in facts)
            if type(required) is not bool:
                self._wrong(f"{path}.required", "template.required", "required is true or false.")
                required = True
            if required and "default" in facts:
                self._wrong(path, "template.required", "A variable that is required needs no default.", "warning")
            variables[name] = Variable(name, required, facts.get("default", ""), facts.get("example"))
        return variables

    def _read_wordings(self, value: dict[str, Any]) -> dict[str, dict[str, Wording]]:
        locales = value.get("locales")
        if not isinstance(locales, dict) or not 0 < len(locales) <= LOCALES_MAX:
            self._wrong("locales", "template.locales", f"A template speaks 1 to {LOCALES_MAX} languages under locales.")
            return {}
        everywhere = self._channels(value.get("channels"), "channels")
        wordings: dict[str, dict[str, Wording]] = {}
        for tag, said in locales.items():
            path = f"locales.{tag}"
            try:
                locale = normalise_locale(tag)
            except Refused as error:
                self._wrong(path, error.code, error.why)
                continue
            if not isinstance(said, dict):
                self._wrong(path, "template.locale", "A language has at least a text.")
                continue
            self._only(said, _SAID | {"channels"}, path)
            own = self._channels(said.get("channels"), f"{path}.channels")
            base = {key: (said[key], f"{path}.{key}") for key in _SAID if key in said}
            wordings[locale] = {"": self._wording(locale, base, path)}
            for channel in sorted(everywhere.keys() | own.keys()):
                parts = base | everywhere.get(channel, {}) | own.get(channel, {})
                if len(parts) and parts != base:
                    wordings[locale][channel] = self._wording(locale, parts, path)
        return wordings

    def _channels(self, value: Any, path: str) -> dict[str, dict[str, tuple[Any, str]]]:
        """Each channel's own words with their paths; ``approved`` is read elsewhere."""
        if value is None:
            return {}
        if not isinstance(value, dict) or len(value) > CHANNELS_MAX:
            self._wrong(path, "template.channels", "Channels are an object: {sms: {text: …}}.")
            return {}
        found: dict[str, dict[str, tuple[Any, str]]] = {}
        for channel, said in value.items():
            here = f"{path}.{channel}"
            if not isinstance(said, dict):
                self._wrong(here, "template.channel", "A channel's own words are an object with text, subject …")
                continue
            self._only(said, _SAID | {"approved"} if path == "channels" else _SAID, here)
            found[channel] = {key: (said[key], f"{here}.{key}") for key in _SAID if key in said}
        return found

    def _wording(self, locale: str, parts: dict[str, tuple[Any, str]], path: str) -> Wording:
        text = parts.get("text")
        if text is None:
            self._wrong(path, "template.text", f"{locale} has no text.")
        return Wording(
            locale=locale,
            text=self._compiled(*text) if text is not None else compile_text(""),
            subject=self._compiled(*parts["subject"]) if "subject" in parts else None,
            html=self._compiled(*parts["html"], html=True) if "html" in parts else None,
            buttons=tuple(self._buttons(*parts["buttons"])) if "buttons" in parts else (),
            media=tuple(self._media(*parts["media"])) if "media" in parts else (),
        )

    def _buttons(self, value: Any, path: str) -> Iterable[ButtonWords]:
        for index, one in enumerate(self._list(value, path, BUTTONS_MAX)):
            here = f"{path}.{index}"
            kinds = [kind for kind in _BUTTONS if isinstance(one, dict) and kind in one]
            if len(kinds) != 1 or "text" not in one:
                self._wrong(here, "template.button", "A button has a text and either a link or a reply.")
                continue
            self._only(one, {"text", "link", "reply"}, here)
            text = self._compiled(one["text"], f"{here}.text")
            if text.constant is not None and len(text.constant) > BUTTON_TEXT_MAX:
                why = f"A button's text is longer than {BUTTON_TEXT_MAX} characters; some channels cut it."
                self._wrong(f"{here}.text", "template.button_text", why, "warning")
            yield ButtonWords(kinds[0], text, self._compiled(one[kinds[0]], f"{here}.{kinds[0]}"))

    def _media(self, value: Any, path: str) -> Iterable[MediaWords]:
        for index, one in enumerate(self._list(value, path, MEDIA_MAX)):
            here = f"{path}.{index}"
            kinds = [kind for kind in _MEDIA if isinstance(one, dict) and one.get("kind") == kind]
            if not kinds or "url" not in one:
                self._wrong(here, "template.media", f"Media have a url and a kind: {', '.join(_MEDIA)}.")
                continue
            self._only(one, {"kind", "url", "caption"}, here)
            caption = self._compiled(one["caption"], f"{here}.caption") if "caption" in one else None
            yield MediaWords(kinds[0], self._compiled(one["url"], f"{here}.url"), caption)

    def _read_all_approved(self, value: dict[str, Any], wordings: dict[str, dict[str, Wording]]) -> dict[str, Approved]:
        channels = value.get("channels")
        found: dict[str, Approved] = {}
        for channel, said in channels.items() if isinstance(channels, dict) else ():
            if isinstance(said, dict) and "approved" in said:
                approved = self._approved(said["approved"], f"channels.{channel}.approved", channel, wordings)
                if approved is not None:
                    found[channel] = approved
        return found

    def _approved(
        self, value: Any, path: str, channel: str, wordings: dict[str, dict[str, Wording]]
    ) -> Approved | None:
        if not isinstance(value, dict) or not _APPROVED_NAME.match(str(value.get("name"))):
            self._wrong(path, "template.approved", "approved has a name in lower case letters, digits and _.")
            return None
        self._only(value, _APPROVED, path)
        state = {True: "approved", False: "pending"}.get(value.get("state", "approved"), value.get("state", "approved"))
        if state not in STATES:
            self._wrong(f"{path}.state", "template.state", f"state is one of {', '.join(STATES)}.")
        languages = value.get("languages")
        if not isinstance(languages, dict) or not all(isinstance(code, str) for code in languages.values()):
            self._wrong(f"{path}.languages", "template.languages", "languages maps ours to the channel's: {en: en_US}.")
            languages = {}
        for tag in languages:
            if tag not in wordings:
                self._wrong(f"{path}.languages.{tag}", "template.language", f"The template has no text in {tag}.")
        body = {
            tag: self._body(value.get("body"), f"{path}.body", tag, wordings[tag].get(channel) or wordings[tag][""])
            for tag in languages
            if tag in wordings
        }
        if len({len(parameters) for parameters in body.values()}) > 1:
            counts = ", ".join([f"{tag} {len(parameters)}" for tag, parameters in body.items()])
            why = f"The languages' texts have different numbers of places ({counts}); the approved body has one."
            self._wrong(f"{path}.body" if "body" in value else path, "template.body", why)
        buttons = None
        if "button" in value:
            listed = self._list(value["button"], f"{path}.button", BUTTONS_MAX)
            buttons = tuple(
                [
                    self._compiled(one, f"{path}.button.{index}", given=GIVEN_TO_BUTTONS)
                    for index, one in enumerate(listed)
                ]
            )
        return Approved(str(value["name"]), str(state), dict(languages), body, buttons)

    def _body(self, value: Any, path: str, tag: str, wording: Wording) -> tuple[Text, ...]:
        """The approved body's parameters in one language: a list for all, one for each, or the text's own places."""
        own = places(wording.text)
        if value is None:
            return tuple([compile_text(one) for one in own])
        if isinstance(value, dict):
            value, path = value.get(tag), f"{path}.{tag}"
        listed = self._list(value, path, VARIABLES_MAX)
        body = tuple([self._compiled(one, f"{path}.{number}") for number, one in enumerate(listed)])
        filled = {one for text in body for one in places(text)}
        for one in own:
            if one not in filled:
                why = f"The text in {tag} has {one}, and no parameter of the approved body fills it."
                self._wrong(path, "template.body", why, "warning")
        return body

    def _compiled(self, value: Any, path: str, *, html: bool = False, given: frozenset[str] | set[str] = GIVEN) -> Text:
        if not isinstance(value, str):
            self._wrong(path, "template.text", "This is a text; put it in quotes.")
            return compile_text("")
        try:
            text = compile_text(value, html=html)
        except Refused as error:
            self._wrong(path, error.code, error.why)
            return compile_text("")
        for name in text.variables:
            self._used.add(name)
            if name not in self._variables and name not in given:
                self._wrong(path, "template.unknown_variable", f"{name} is used, but not declared under variables.")
        return text

    def _list(self, value: Any, path: str, most: int) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            self._wrong(path, "template.list", f"This is a list of {most} at most.")
            return []
        return value

    def _only(self, value: dict[str, Any], known: Iterable[str], path: str) -> None:
        for key in value:
            if key not in known:
                here = f"{path}.{key}" if path else key
                self._wrong(here, "template.unknown_key", f"{key!r} is not known here; there is {_listed(known)}.")

    def _wrong(self, path: str, code: str, why: str, severity: str = "error") -> None:
        here = path
        while here and here not in self._lines:
            here = here.rpartition(".")[0]
        self.problems.append(Problem(self._file, self._lines.get(here, 1), path, code, why, severity))


#: One place to fill in: what stands between ``{{`` and ``}}``.
PLACE = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)


def places(text: Text) -> list[str]:
    """The places of a text, each once, in order, written alike: ``{{ slug }}``."""
    found = {place(hit[1]): None for hit in PLACE.finditer(text.source)}
    return list(found)


def place(inside: str) -> str:
    """A place as it is always written: single blanks, so that two spellings of the same one compare equal."""
    quoted = "'" in inside or '"' in inside
    return "{{ " + " ".join((inside if quoted else inside.replace("|", " | ")).split()) + " }}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
