"""What Meta checks before it takes a message: templates and their variables, buttons, media, lengths."""

import re
from typing import Any

import msgspec

from beckon.messaging.templates import Template
from beckon.sandbox.twins.party import Shown, ShownButton, ShownMedia

_HOLE = re.compile(r"\{\{\s*(\d+)\s*\}\}")


class RegisteredButton(msgspec.Struct, frozen=True):
    """A button of an approved template: ``url`` (with {{1}} at its end where it varies) or ``quick_reply``."""

    kind: str
    text: str
    url: str = ""


class RegisteredTemplate(msgspec.Struct, kw_only=True, frozen=True):
    """A template as Meta knows it: its body has {{1}}, {{2}} … for the variables."""

    name: str
    language: str
    body: str
    buttons: tuple[RegisteredButton, ...] = ()
    #: image, video or document over the text
    header: str = ""
    #: APPROVED, PENDING, REJECTED, PAUSED, DISABLED
    status: str = "APPROVED"


class Problem(Exception):
    def __init__(self, code: int, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


def template_message(content: dict[str, Any], template: RegisteredTemplate | None, shown: Shown) -> None:
    """Check an approved template's message, and fill in what the phone shows."""
    name, language = content.get("name"), content.get("language")
    code = language.get("code") if type(language) is dict else None
    if template is None or template.status not in ("APPROVED", "PAUSED", "DISABLED"):
        raise Problem(132001, f"template name ({name}) does not exist in {code}")
    if template.status != "APPROVED":
        raise Problem(132015 if template.status == "PAUSED" else 132016, "")
    components = content.get("components", [])
    if type(components) is not list or not all(type(component) is dict for component in components):
        raise Problem(100, "components must be an array of objects.")
    components = [_lower(component) for component in components]
    shown.template = template.name
    shown.text = _filled(template.body, _body_parameters(template, components))
    shown.buttons = _template_buttons(template, components)
    shown.media = _template_header(template, components)


def registrations(template: Template, address: str) -> list[RegisteredTemplate]:
    """A workspace's template as its operator would have had it approved: {{1}} for each variable of its body.

    ``address``: where short links lead, ``{address}/go/{{1}}``.
    """
    approved = template.approved.get("whatsapp")
    if approved is None:
        return []
    found = []
    for locale, language in approved.languages.items():
        wordings = template.wordings.get(locale, {})
        wording = wordings.get("whatsapp") or wordings.get("")
        if wording is None:
            continue
        body = wording.text.source
        for index, parameter in enumerate(approved.body.get(locale, ())):
            body = body.replace(parameter.source, f"{{{{{index + 1}}}}}", 1)
        found.append(
            RegisteredTemplate(
                name=approved.name,
                language=language,
                body=body,
                header=wording.media[0].kind if wording.media else "",
                buttons=tuple(
                    [
                        RegisteredButton("url", button.text.source, f"{address}/go/{{{{1}}}}")
                        if button.kind == "link"
                        else RegisteredButton("quick_reply", button.text.source)
                        for button in wording.buttons
                    ]
                ),
                status=approved.state.upper(),
            )
        )
    return found


def _lower(component: dict[str, Any]) -> dict[str, Any]:
    """Meta reads a component's type in capitals or not."""
    words: dict[str, Any] = {name: str(component[name]).lower() for name in ("type", "sub_type") if name in component}
    return {**component, **words}


def _filled(body: str, parameters: list[str]) -> str:
    return _HOLE.sub(lambda hole: parameters[int(hole[1]) - 1], body)


def _body_parameters(template: RegisteredTemplate, components: list[dict[str, Any]]) -> list[str]:
    expected = max([int(number) for number in _HOLE.findall(template.body)], default=0)
    given = [parameter for part in components if part.get("type") == "body" for parameter in part.get("parameters", [])]
    if len(given) != expected:
        raise Problem(
            132000,
            f"body: number of localizable_params ({len(given)}) does not match"
            f" the expected number of params ({expected})",
        )
    texts = []
    for parameter in given:
        text = parameter.get("text") if type(parameter) is dict and parameter.get("type") == "text" else None
        if type(text) is not str:
            raise Problem(132012, "body: the parameter is not of type text")
        if not text.strip():
            raise Problem(131008, "The parameter text is required.")
        if "\n" in text or "\t" in text or "     " in text:
            raise Problem(100, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces")
        texts.append(text)
    if len(template.body) + sum(map(len, texts)) > 1_024 + 6 * expected:
        raise Problem(132000, "the text becomes too long")
    return texts


def _template_buttons(template: RegisteredTemplate, components: list[dict[str, Any]]) -> tuple[ShownButton, ...]:
    given: dict[int, dict[str, Any]] = {}
    for part in components:
        if part.get("type") == "button":
            index = part.get("index")
            if not str(index).isdigit() or int(str(index)) >= len(template.buttons):
                raise Problem(132000, f"buttons: there is no button at index {index}")
            given[int(str(index))] = part
    shown = []
    for index, button in enumerate(template.buttons):
        part = given.get(index, {})
        parameters = part.get("parameters") or [{}]
        if part and part.get("sub_type") != button.kind:
            raise Problem(132012, f"buttons: the button at index {index} is of type {button.kind}")
        if button.kind == "url":
            suffix = parameters[0].get("text", "")
            if bool(_HOLE.search(button.url)) != bool(suffix):
                raise Problem(131008, f"buttons: Button at index {index} of type Url requires a parameter")
            shown.append(ShownButton("link", button.text, _HOLE.sub(str(suffix).replace("\\", ""), button.url)))
        else:
            shown.append(ShownButton("reply", button.text, parameters[0].get("payload") or button.text))
    return tuple(shown)


def _template_header(template: RegisteredTemplate, components: list[dict[str, Any]]) -> tuple[ShownMedia, ...]:
    parts = [part for part in components if part.get("type") == "header"]
    if not template.header:
        if parts:
            raise Problem(132012, "header: the template has none")
        return ()
    parameters = parts[0].get("parameters") if parts else None
    if not parameters or parameters[0].get("type") != template.header:
        raise Problem(132012, f"header: Format mismatch, expected {template.header.upper()}, received UNKNOWN")
    return (medium(template.header, parameters[0].get(template.header) or {}),)


def medium(kind: str, content: dict[str, Any]) -> ShownMedia:
    link = content.get("link")
    if type(link) is not str or not link.startswith(("https://", "http://")):
        raise Problem(131008, f"The parameter {kind}['link'] is required.")
    caption = content.get("caption", "")
    if caption:
        if kind == "audio":
            raise Problem(131009, "audio has no caption.")
        limited(caption, 1_024, f"{kind}.caption")
    return ShownMedia(kind, link, caption)


def interactive(content: dict[str, Any], shown: Shown) -> None:
    body, action, kind = content.get("body"), content.get("action"), content.get("type")
    if type(body) is not dict or type(action) is not dict:
        raise Problem(131008, "The parameters interactive.body and interactive.action are required.")
    limited(body.get("text"), 1_024, "interactive.body.text")
    shown.text = body["text"]
    header = content.get("header")
    if type(header) is dict and header.get("type") in ("image", "video", "document"):
        shown.media = (medium(header["type"], header.get(header["type"]) or {}),)
    elif header is not None and not (type(header) is dict and header.get("type") == "text"):
        raise Problem(131009, "interactive.header is not valid.")
    if kind == "cta_url":
        parameters = action.get("parameters") or {}
        limited(parameters.get("display_text"), 20, "display_text")
        if not str(parameters.get("url", "")).startswith(("https://", "http://")) or action.get("name") != "cta_url":
            raise Problem(131009, "interactive.action.parameters.url is not a URL.")
        shown.buttons = (ShownButton("link", parameters["display_text"], parameters["url"]),)
    elif kind == "button":
        buttons = action.get("buttons")
        if type(buttons) is not list or not 1 <= len(buttons) <= 3:
            raise Problem(131009, "interactive.action.buttons must have 1 to 3 buttons.")
        for button in buttons:
            reply = button.get("reply") or {}
            limited(reply.get("title"), 20, "button title")
            limited(reply.get("id"), 256, "button id")
            shown.buttons += (ShownButton("reply", reply["title"], reply["id"]),)
        if len({button.value for button in shown.buttons}) != len(buttons):
            raise Problem(131009, "Duplicated button ids.")
    else:
        raise Problem(131009, f"interactive.type {kind} is not valid.")


def limited(text: Any, limit: int, name: str) -> None:
    if type(text) is not str or not text.strip():
        raise Problem(131008, f"The parameter {name} is required.")
    if len(text) > limit:
        raise Problem(131009, f"{name} must be at most {limit} characters long.")
