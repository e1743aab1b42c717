"""Render: what a message says on the chosen channel, all text final. Pure, but for the links that ``link`` makes.

Buttons that a channel can't show are written into the text; a mail gets a page; WhatsApp's approved template gets its
parameters. Raises ``Refused`` for a missing variable, ``Unsupported`` for what this channel can't say: another one may.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from beckon.core.contact import Contact
from beckon.core.delivery import Choice
from beckon.core.errors import Refused, Unsupported
from beckon.core.message import ApprovedTemplate, Button, Media, Rendered
from beckon.messaging.channel import Capabilities
from beckon.messaging.mail_page import as_html, mail_page
from beckon.messaging.recognise import match_text
from beckon.messaging.templates import PLACE, place
from beckon.messaging.wording import Approved, Template, Wording

SUBJECT_MAX = 200
#: Characters of a URL behind a button.
URL_MAX = 2_048
#: Characters of a parameter of an approved template.
PARAMETER_MAX = 1_024

_SCHEMES = ("https://", "http://")


class Brand(Protocol):
    """What a message needs of the workspace's settings."""

    @property
    def name(self) -> str: ...
    @property
    def colour(self) -> str: ...
    @property
    def locale(self) -> str: ...
    @property
    def time_zone(self) -> str: ...
    @property
    def values(self) -> dict[str, str]: ...


def render(
    template: Template | None,
    *,
    choice: Choice,
    text: str = "",
    contact: Contact,
    variables: Mapping[str, Any] | None = None,
    settings: Brand,
    capabilities: Capabilities,
    locale: str = "",
    link: Callable[[str], str],
) -> Rendered:
    """The message as ``choice.channel`` says it.

    ``template`` with its ``variables``, or a free ``text`` (with ``choice.template`` where it was recognised as one).
    ``link`` signs and shortens a button's URL. ``locale``: the step's; else the contact's, else the workspace's.
    """
    if text:
        reader = locale or contact.locale or settings.locale
        return _free(text, template, choice, settings, capabilities, reader)
    if template is None:
        raise Refused("message.empty", "There is nothing to say: no text, and no template of that name.", field="text")
    reader = template.pick(locale or contact.locale or settings.locale, settings.locale)
    wording = template.wording(choice.channel, reader, settings.locale)
    scope = scope_for(template, contact, variables or {}, settings, reader)
    said = _plain(wording.text.render(scope))
    buttons, parameters = _buttons(template, wording, choice, scope, link)
    media = _media(wording, scope)
    approved = None
    if choice.template:
        terms = template.approved.get(choice.channel)
        if terms is None or reader not in terms.languages:
            why = f"The template {template.name} is not registered on {choice.channel} in {reader}."
            raise Unsupported("template.language", why)
        body = tuple([_parameter(one.render(scope), one.source) for one in terms.body[reader]])
        header = media[0] if media else None
        approved = ApprovedTemplate(terms.name, terms.languages[reader], body, tuple(parameters), header)
        return Rendered(text=said, buttons=tuple(buttons), media=media, template=approved, locale=reader)
    shown = said if capabilities.html else _written(said, buttons, media, capabilities)
    if len(shown) > capabilities.text_max:
        why = f"The text has {len(shown)} characters, and {capabilities.text_max} is the most on {choice.channel}."
        raise Unsupported("text.too_long", why)
    if not capabilities.html:
        title = _line(wording.subject.render(scope)) if capabilities.title and wording.subject is not None else ""
        return Rendered(
            text=shown,
            subject=title or (settings.name if capabilities.title else ""),
            buttons=_shown(buttons, capabilities),
            media=tuple([one for one in media if one.kind in capabilities.media]),
            locale=reader,
        )
    subject = _line(wording.subject.render(scope)) if wording.subject is not None else _subject_of(said, settings)
    html = mail_page(
        body=wording.html.render(scope) if wording.html is not None else as_html(said),
        buttons=buttons,
        media=media,
        subject=subject,
        brand=_line(template.brand.render(scope)) if template.brand is not None else settings.name,
        colour=settings.colour,
        locale=reader,
    )
    plain = _written(said, buttons, media, capabilities)
    return Rendered(text=plain, subject=subject, html=html, buttons=tuple(buttons), media=media, locale=reader)


def scope_for(
    template: Template, contact: Contact, variables: Mapping[str, Any], settings: Brand, locale: str
) -> dict[str, Any]:
    """The names that a template's texts may use. Raises ``Refused`` naming a required variable that is missing."""
    scope: dict[str, Any] = {
        "contact": contact_scope(contact),
        "settings": {"name": settings.name, "colour": settings.colour, **settings.values},
        "locale": locale,
        "time_zone": contact.time_zone or settings.time_zone,
    }
    for name, variable in template.variables.items():
        value = variables.get(name)
        if value is None or value == "":
            if variable.required:
                why = f"The template {template.name} needs {name}, and it was not given."
                raise Refused("template.missing_variable", why, field=name)
            value = variable.default
        scope[name] = value
    if "now" in variables:
        scope["now"] = variables["now"]
    return scope


def contact_scope(contact: Contact) -> dict[str, Any]:
    """A contact as texts see one; ``first_name`` is the name's first word where nobody gave it."""
    fields = contact.fields
    first = fields.get("first_name") or contact.name.partition(" ")[0]
    return {**fields, "id": contact.id, "name": contact.name, "first_name": first, "locale": contact.locale}


def _free(
    text: str,
    template: Template | None,
    choice: Choice,
    settings: Brand,
    capabilities: Capabilities,
    locale: str,
) -> Rendered:
    """A free text, as it is; through an approved template where it was recognised as one."""
    if choice.template and template is not None:
        match = match_text(text, (template,), locale, channel=choice.channel)
        if match is None:
            raise Unsupported("template.match", f"The text is not the template {template.name} any more.")
        terms = template.approved[choice.channel]
        body = tuple([_parameter(_filled(one.source, match.values), one.source) for one in terms.body[match.locale]])
        wording = template.wording(choice.channel, match.locale)
        # Only buttons without variables are recognised: their links are the approved ones, and can't be shortened.
        buttons = [Button(one.kind, one.text.render({}), one.value.render({})) for one in wording.buttons]
        parameters = tuple([one.value if one.kind == "reply" else "" for one in buttons])
        approved = ApprovedTemplate(terms.name, terms.languages[match.locale], body, parameters)
        return Rendered(text=text, buttons=tuple(buttons), template=approved, locale=match.locale)
    if len(text) > capabilities.text_max:
        why = f"The text has {len(text)} characters, and {capabilities.text_max} is the most on {choice.channel}."
        raise Unsupported("text.too_long", why)
    if not capabilities.html:
        return Rendered(text=text, subject=settings.name if capabilities.title else "", locale=locale)
    subject = _subject_of(text, settings)
    html = mail_page(
        body=as_html(text), buttons=(), media=(), subject=subject, brand=settings.name, colour=settings.colour,
        locale=locale,
    )  # fmt: skip
    return Rendered(text=text, subject=subject, html=html, locale=locale)


def _filled(source: str, values: Mapping[str, str]) -> str:
    """A parameter's source with what the free text has in its places."""
    return PLACE.sub(lambda hit: values[place(hit[1])], source)


def _buttons(
    template: Template,
    wording: Wording,
    choice: Choice,
    scope: dict[str, Any],
    link: Callable[[str], str],
) -> tuple[list[Button], list[str]]:
    """The buttons, and for an approved template the parameter of each."""
    terms: Approved | None = template.approved.get(choice.channel) if choice.template else None
    buttons: list[Button] = []
    parameters: list[str] = []
    for number, words in enumerate(wording.buttons):
        label = _line(words.text.render(scope))
        value = words.value.render(scope)
        if words.kind == "reply":
            buttons.append(Button("reply", label, value))
            parameters.append(value)
            continue
        url = value.strip()
        if len(url) > URL_MAX or not url.startswith(_SCHEMES) or url.split() != [url]:
            raise Refused("template.url", f"The button {label!r} leads to {url[:80]!r}, which is no web address.")
        if terms is None:
            buttons.append(Button("link", label, link(url)))
            continue
        if terms.buttons is not None:
            own = terms.buttons[number] if number < len(terms.buttons) else None
            if own is not None and "link" not in own.variables:
                # The approved button leads straight to the address: its suffix is ours to say, its click isn't seen.
                suffix = own.render(scope)
                buttons.append(Button("link", label, url, suffix))
                parameters.append(suffix)
                continue
        short = link(url)
        code = short.rpartition("/")[2]
        if terms.buttons is not None and number < len(terms.buttons):
            code = terms.buttons[number].render({**scope, "link": {"url": short, "code": code}})
        buttons.append(Button("link", label, short, code))
        parameters.append(code)
    return buttons, parameters


def _media(wording: Wording, scope: dict[str, Any]) -> tuple[Media, ...]:
    found = []
    for one in wording.media:
        url = one.url.render(scope).strip()
        if not url:
            continue
        if len(url) > URL_MAX or not url.startswith(_SCHEMES):
            raise Refused("template.url", f"The {one.kind} is at {url[:80]!r}, which is no web address.")
        found.append(Media(one.kind, url, one.caption.render(scope) if one.caption is not None else ""))
    return tuple(found)


def _written(said: str, buttons: list[Button], media: tuple[Media, ...], capabilities: Capabilities) -> str:
    """The text with what the channel can't show written under it: media, links, then replies to choose from."""
    if capabilities.spoken:
        return said
    lines = [said]
    for one in media:
        if one.kind not in capabilities.media:
            lines.append(f"{one.caption}: {one.url}" if one.caption else one.url)
    links, replies = _left_out(buttons, capabilities)
    lines += [f"{button.text}: {button.value}" for button in links]
    if replies:
        lines.append(" / ".join([button.text for button in replies]))
    return "\n".join(lines) if len(lines) > 1 else said


def _left_out(buttons: list[Button], capabilities: Capabilities) -> tuple[list[Button], list[Button]]:
    links = [button for button in buttons if button.kind == "link"][capabilities.link_buttons :]
    replies = [button for button in buttons if button.kind == "reply"][capabilities.reply_buttons :]
    return links, replies


def _shown(buttons: list[Button], capabilities: Capabilities) -> tuple[Button, ...]:
    if not buttons or not (capabilities.link_buttons or capabilities.reply_buttons):
        return ()
    links = [button for button in buttons if button.kind == "link"][: capabilities.link_buttons]
    replies = [button for button in buttons if button.kind == "reply"][: capabilities.reply_buttons]
    return (*links, *replies)


def _parameter(value: str, source: str) -> str:
    """A parameter as WhatsApp takes it: one line, single blanks, not empty."""
    line = " ".join(value.split())
    if not line:
        raise Unsupported("template.empty_parameter", f"{source} is empty here, and the approved template needs it.")
    return line[:PARAMETER_MAX]


def _plain(text: str) -> str:
    # No-break spaces would make an SMS of 70 characters out of one of 160.
    return text.replace("\u00a0", " ").replace("\u202f", " ").strip()


def _line(text: str) -> str:
    """One line: no header can be smuggled in through a name."""
    return " ".join(text.split())[:SUBJECT_MAX]


def _subject_of(text: str, settings: Brand) -> str:
    first = _line(text.strip().partition("\n")[0])
    return first if 0 < len(first) <= 78 else settings.name
