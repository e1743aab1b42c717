"""``/v1/messages``: reach somebody with a template or a text, without a flow."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from beckon.core.errors import Refused
from beckon.doors.api import lists
from beckon.doors.api.acts import delivery_of, known_delivery, say
from beckon.doors.api.contacts import ContactMeant, read_given, reference_of
from beckon.doors.api.parts import Ask, Operation
from beckon.doors.api.shapes import DeliveryShown, show_delivery
from beckon.inbox.acts import REPLY_MAX
from beckon.messaging.choose import BEST

Via = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
    Meta(min_length=1, max_length=8, description="channels in order; `best` stands for the usual order"),
]


class MessageAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom to reach, and with what: a template or a text, one of the two."""

    #: a contact's id, a phone number, a mail address, or what is known of the person.
    contact: Annotated[str, Meta(min_length=3, max_length=254)] | ContactMeant
    #: the name of a template of the workspace.
    template: Annotated[str, Meta(max_length=64)] = ""
    text: Annotated[str, Meta(max_length=REPLY_MAX)] = ""
    #: values for the template's variables.
    variables: Annotated[dict[Annotated[str, Meta(max_length=64)], Any], Meta(max_length=64)] = {}
    via: Via = (BEST,)
    purpose: Literal["transactional", "marketing"] = "transactional"
    #: BCP 47; empty: the contact's.
    locale: Annotated[str, Meta(max_length=20)] = ""


async def send_message(ask: Ask[None, MessageAsked]) -> DeliveryShown:
    """Reach somebody; the delivery says over which channel, and how far it came."""
    given = ask.body
    contact: Any = given.contact if isinstance(given.contact, str) else _meant(given.contact)
    reference = read_given(ask, contact, field="contact")
    if reference.id:
        known = await lists.contact(ask.parts.reader, ask.workspace, reference.id)
        if known is None:
            raise Refused("message.contact", "there is no contact of that id", field="contact")
        if known.forgotten_ms:
            raise Refused("contact.gone", "this contact was forgotten", field="contact")
    fields: dict[str, Any] = {
        "contact": contact,
        "via": known_channels(ask, given.via),
        "purpose": given.purpose,
        **_content(ask),
    }
    if given.locale:
        fields["locale"] = given.locale
    event = await say(ask, "message.asked", reference.id or None, fields)
    return show_delivery(await known_delivery(ask, delivery_of(event)))


def known_channels(ask: Ask[Any, Any], via: Sequence[str]) -> list[str]:
    """The channels, each once. Raises ``Refused`` for one that the workspace has not."""
    known = ask.library.settings.channels
    for name in via:
        if name != BEST and name not in known:
            raise Refused("message.via", f"channels here are best, {', '.join(known)}", field="via")
    return list(dict.fromkeys(via))


def _meant(given: ContactMeant) -> dict[str, Any]:
    words = reference_of(given)
    if given.id is not None:
        words["id"] = given.id
    return words


def _content(ask: Ask[None, MessageAsked]) -> dict[str, Any]:
    given = ask.body
    if bool(given.template) == bool(given.text.strip()):
        raise Refused("message.content", "a message has a template or a text, one of the two", field="template")
    if not given.template:
        if given.variables:
            raise Refused("message.variables", "only a template has variables", field="variables")
        return {"text": given.text.strip()}
    template = ask.library.template(given.template)
    if template is None:
        raise Refused("message.template", f"there is no template named {given.template!r}", field="template")
    unknown = sorted(set(given.variables) - set(template.variables))
    if unknown:
        raise Refused(
            "message.variable_unknown",
            f"the template has no variable {unknown[0][:64]!r}",
            field=f"variables.{unknown[0][:64]}",
        )
    for name in template.variables_needed:
        if given.variables.get(name) in (None, ""):
            raise Refused("message.variable", f"the template needs the variable {name}", field=f"variables.{name}")
    return {"template": given.template, "variables": given.variables}


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/messages",
        name="send_message",
        tag="Messages",
        summary="Reach a contact with a template or a text, on the best channel",
        words="Taken, not yet sent: the delivery says over which channel it went, why not over the others, and how "
        "far it came.",
        scope="write",
        act=send_message,
        body=MessageAsked,
        answer=DeliveryShown,
        status=202,
        refusals=(410,),
    ),
)
