"""Shelf: a workspace's definitions as the console shows them: diagrams, problems, previews."""

from collections.abc import Mapping, Sequence

from beckon.authoring import facts_of
from beckon.core.blocks import ANY_ROOM
from beckon.core.contact import Address, Contact
from beckon.core.delivery import Choice
from beckon.core.errors import BeckonError
from beckon.core.message import Rendered
from beckon.doors.console.parts import FlowProblem, TemplatePreview
from beckon.doors.console.parts import Template as ShownTemplate
from beckon.flows.check import check
from beckon.flows.diagram import draw
from beckon.flows.run import Failure, Taken
from beckon.messaging.render import render
from beckon.messaging.templates import Template
from beckon.workspaces import Library

#: Characters of a template's words in the list.
_WORDS_MAX = 120


class Shelf:
    """One workspace's library, for reading."""

    def __init__(self, library: Library) -> None:
        self._library = library

    @property
    def name(self) -> str:
        return self._library.settings.name

    @property
    def time_zone(self) -> str:
        return self._library.settings.time_zone

    @property
    def inboxes(self) -> Mapping[str, str]:
        return {name: inbox.title for name, inbox in self._library.settings.inboxes.items()}

    @property
    def channel_order(self) -> Sequence[str]:
        return self._library.settings.channels

    def drawing(
        self,
        flow: str,
        version: str,
        taken: Sequence[Taken | str] = (),
        current: str = "",
        *,
        ended: bool = False,
        failed: Failure | None = None,
        room: float = ANY_ROOM,
    ) -> str | None:
        """The diagram, as wide as ``room``, the path taken, the current step and the one that failed marked; None: no
        such version."""
        found = self._library.flow(flow, version)
        if found is None:
            return None
        path = tuple(one if isinstance(one, Taken) else Taken(step=one, at_ms=0, what="") for one in taken)
        return draw(found, taken=path, current=current or None, ended=ended, failed=failed, room=room)

    def problems(self, flow: str) -> Sequence[FlowProblem]:
        """What is wrong with the current version of a flow."""
        found = self._library.flows.get(flow)
        if found is None:
            return ()
        return [
            FlowProblem(problem.severity, problem.code, problem.why, problem.path or f"line {problem.line}")
            for problem in check(found, facts_of(self._library))
        ]

    def starts_on(self, flow: str) -> Sequence[str]:
        """The types of event that start the flow."""
        found = self._library.flows.get(flow)
        return found.on if found is not None else ()

    def templates(self) -> Sequence[ShownTemplate]:
        """Every template, in order of name."""
        return [
            ShownTemplate(
                name=template.name,
                purpose=template.purpose,
                locales=template.locales,
                variables=tuple(template.variables),
                words=self._words(template),
                approval=next((one.state for one in template.approved.values()), ""),
            )
            for _, template in sorted(self._library.templates.items())
        ]

    def previews(self, template: str, locale: str) -> Sequence[TemplatePreview]:
        """The template with example values, for each channel of the workspace."""
        found = self._library.templates.get(template)
        if found is None:
            return ()
        return [self._preview(found, channel, locale) for channel in self._library.settings.channels]

    def _words(self, template: Template) -> str:
        for channel in self._library.settings.channels:
            preview = self._preview(template, channel, self._library.settings.locale)
            if preview.rendered is not None:
                return _beginning(preview.rendered.text)
        return ""

    def _preview(self, template: Template, channel: str, locale: str) -> TemplatePreview:
        offered = self._library.channels.get(channel)
        if offered is None:
            return TemplatePreview(channel, locale, None, "this workspace has no provider for it")
        try:
            rendered: Rendered = render(
                template,
                choice=Choice(channel, offered.provider, ""),
                contact=_SOMEBODY,
                variables={
                    name: variable.example if variable.example is not None else variable.default or f"‹{name}›"
                    for name, variable in template.variables.items()
                },
                settings=self._library.settings,
                capabilities=offered.capabilities,
                locale=locale,
                link=lambda url: url,
            )
        except BeckonError as error:
            return TemplatePreview(channel, locale, None, error.why)
        return TemplatePreview(channel, locale, rendered)


def _beginning(text: str) -> str:
    return text if len(text) <= _WORDS_MAX else text[:_WORDS_MAX].rpartition(" ")[0] + " …"


_SOMEBODY = Contact(
    id="con_example",
    workspace="",
    name="Amélie Dubois",
    addresses=(
        Address("whatsapp", "32470000000"),
        Address("sms", "+32470000000"),
        Address("email", "amelie@example.com"),
        Address("oem_app", "app-1"),
    ),
)
