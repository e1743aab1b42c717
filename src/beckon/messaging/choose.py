"""Choose: the best channel for one message, and why not the ones before it. Pure.

In the order that the workspace, the contact or the step wants (OEM app, WhatsApp, SMS, email where nobody does),
the first channel that can carry the message now. WhatsApp carries an approved template when the message is one, by name
or word for word, and free text within 24 hours of the last message received. Where nothing can carry it, the ``Choice``
is empty and its reasons become the error entry in the conversation.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from beckon.core.contact import Contact
from beckon.core.delivery import Choice, PassedOver
from beckon.messaging import consent, windows
from beckon.messaging.channel import Capabilities
from beckon.messaging.recognise import match_text
from beckon.messaging.wording import Template, state_of

#: The order where nobody says otherwise.
ORDER = ("oem_app", "whatsapp", "sms", "email")
#: The place of the usual order in a step's ``via``.
BEST = "best"

#: How people call a channel.
LABELS = {
    "oem_app": "OEM app",
    "whatsapp": "WhatsApp",
    "sms": "SMS",
    "email": "Email",
    "web_push": "Web push",
    "voice": "Voice call",
    "fcm": "App push",
}
_ADDRESS_WORDS = {
    "oem_app": "account in the app",
    "whatsapp": "WhatsApp number",
    "sms": "phone number",
    "email": "mail address",
    "voice": "phone number",
    "web_push": "browser that shows our messages",
    "fcm": "app that shows our messages",
}
#: An address on these is a long machine word, and names nobody.
_UNREADABLE = {"web_push": "the newest browser", "fcm": "the newest app"}


class Open(msgspec.Struct, frozen=True):
    """A channel that the workspace has: who carries it, what it can say, and why it is paused (None: it isn't)."""

    provider: str
    capabilities: Capabilities
    paused: str | None = None


def choose(
    *,
    contact: Contact,
    order: Sequence[str] = ORDER,
    via: Sequence[str] = (BEST,),
    content: Template | None = None,
    text: str = "",
    templates: Mapping[str, Template] | None = None,
    variables: Mapping[str, Any] | None = None,
    purpose: str = "transactional",
    channels: Mapping[str, Open],
    approvals: Mapping[tuple[str, str, str], str] | None = None,
    tried: Mapping[str, str] | None = None,
    now_ms: int,
    locale: str = "",
    locale_default: str = "en",
) -> Choice:
    """The channel that this message takes, with the reason, and each channel passed over before it, with its reason.

    ``content`` is the template asked for; ``text`` a free text, compared with ``templates`` where only those may be
    sent. ``tried``: channels that this delivery has used up, each with what came of it. ``locale`` is the reader's,
    ``locale_default`` the workspace's: ``render`` must be given the same, since approvals differ by language.
    """
    passed: list[PassedOver] = []
    for channel in expand(via, order):
        offer = channels.get(channel)
        if offer is None:
            passed.append(PassedOver(channel, "channel.missing", "this workspace has no provider for it"))
            continue
        against = _against(contact, channel, offer, purpose, text, tried, now_ms)
        if against is not None:
            passed.append(against)
            continue
        capabilities = offer.capabilities
        if not capabilities.templates:
            return Choice(channel, offer.provider, _because(channel, passed), tuple(passed))
        found = _through_template(
            contact, channel, offer, content, text, templates or {}, approvals or {}, now_ms, locale, locale_default
        )
        if isinstance(found, PassedOver):
            passed.append(found)
            continue
        name, reason = found
        return Choice(channel, offer.provider, reason, tuple(passed), name)
    return Choice("", "", "no channel can carry this message now", tuple(passed))


def expand(via: Sequence[str], order: Sequence[str]) -> Iterable[str]:
    """The channels to try, each once: a step's own, with the usual order where it says ``best``."""
    if len(via) == 1 and via[0] == BEST:
        return order
    wanted: dict[str, None] = {}
    for one in via or (BEST,):
        wanted.update(dict.fromkeys(order) if one == BEST else {one: None})
    return wanted


def words(passed: PassedOver) -> str:
    """A channel that was passed over, as a line for the team: ``WhatsApp: last message … 26 h ago and …``."""
    return f"{LABELS.get(passed.channel, passed.channel)}: {passed.reason}"


def _against(
    contact: Contact,
    channel: str,
    offer: Open,
    purpose: str,
    text: str,
    tried: Mapping[str, str] | None,
    now_ms: int,
) -> PassedOver | None:
    """What speaks against a channel whatever the message's form."""
    if tried and channel in tried:
        return PassedOver(channel, "channel.tried", f"tried before: {tried[channel]}")
    address = contact.address(channel)
    if address is None:
        wanted = _ADDRESS_WORDS.get(channel, "address on it")
        return PassedOver(channel, "address.missing", f"the customer has no {wanted}")
    if address.broken is not None:
        named = _UNREADABLE.get(channel, address.external_id)
        return PassedOver(channel, "address.broken", f"{named} does not work: {address.broken}")
    if contact.consents or purpose != "transactional":
        forbidden = consent.allowed(contact, channel, purpose, now_ms)
        if forbidden is not None:
            return PassedOver(channel, "consent.missing", forbidden)
    if offer.paused is not None:
        return PassedOver(channel, "provider.paused", f"{offer.provider} is paused: {offer.paused}")
    if len(text) > offer.capabilities.text_max:
        why = f"the text has {len(text)} characters, and {offer.capabilities.text_max} is the most here"
        return PassedOver(channel, "text.too_long", why)
    return None


def _through_template(
    contact: Contact,
    channel: str,
    offer: Open,
    content: Template | None,
    text: str,
    templates: Mapping[str, Template],
    approvals: Mapping[tuple[str, str, str], str],
    now_ms: int,
    locale: str,
    locale_default: str,
) -> tuple[str, str] | PassedOver:
    """(template or nothing, reason) for a channel that says only approved templates outside its window."""
    if content is not None:
        no_template = _not_approved(content, content.pick(locale, locale_default), channel, offer.provider, approvals)
        if no_template is None:
            return content.name, f"the approved template {content.name}"
    else:
        match = match_text(text, templates.values(), locale, channel=channel)
        if match is None:
            no_template = "no approved template matches this text"
        else:
            no_template = _not_approved(match.template, match.locale, channel, offer.provider, approvals)
            if no_template is None:
                return match.template.name, f"the text is the approved template {match.template.name}"
    since = windows.last_message(contact, channel, now_ms)
    if windows.is_open(contact, channel, offer.capabilities.session_window_s, now_ms):
        return "", f"free text: {since}" if offer.capabilities.session_window_s else "free text"
    return PassedOver(channel, "window.closed", f"{since} and {no_template}")


def _not_approved(
    template: Template, locale: str, channel: str, provider: str, approvals: Mapping[tuple[str, str, str], str]
) -> str | None:
    """Why a template can't be sent as an approved one in this language; None: it can."""
    approved = template.approved.get(channel)
    if approved is None:
        return f"the template {template.name} is not registered there"
    language = approved.languages.get(locale)
    if language is None:
        return f"the template {template.name} is not registered there in {locale}"
    state = state_of(approved, provider, language, approvals)
    return None if state == "approved" else f"the template {template.name} ({language}) is {state}"


def _because(channel: str, passed: list[PassedOver]) -> str:
    if not passed:
        return "first in the order"
    return "next in the order" if len(passed) == 1 else f"number {len(passed) + 1} in the order"
