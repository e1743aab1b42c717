"""What Meta posts to us: messages, statuses, template states, marketing preferences. Pure.

A webhook holds several of them, twice, late and out of order; fields that we don't know are passed over. A person is
their wa_id, or their business-scoped user id where the phone number is not shown.
"""

from collections.abc import Iterator
from typing import Any

from beckon.core.errors import Misconfigured, Refused
from beckon.core.event import Event
from beckon.messaging.channel import WebhookReply, WebhookRequest
from beckon.providers.provider import (
    EVENTS_MAX,
    ID_MAX,
    NAME_MAX,
    Says,
    as_id,
    as_list,
    as_object,
    as_text,
    check_size,
    equal,
    forged,
    hex_signature,
    instant_ms,
    read_json,
)
from beckon.providers.whatsapp_cloud.payloads import NAME, Settings, failure

_STATES = {"sent": "sent", "delivered": "delivered", "read": "read", "played": "read"}
_TEMPLATE_STATES = {
    "APPROVED": "approved",
    "REINSTATED": "approved",
    "UNARCHIVED": "approved",
    "REJECTED": "rejected",
    "PAUSED": "paused",
    "DISABLED": "disabled",
    "DELETED": "disabled",
    "PENDING_DELETION": "disabled",
    "ARCHIVED": "disabled",
    "PENDING": "pending",
    "IN_APPEAL": "pending",
}
_MEDIA = {
    "image": "image",
    "video": "video",
    "document": "document",
    "audio": "audio",
    "voice": "audio",
    "sticker": "image",
}


def read_webhook(request: WebhookRequest, settings: Settings, workspace: str, now_ms: int) -> WebhookReply:
    """Verify and read one webhook. Raises ``Refused`` when it is forged or broken."""
    if request.method == "GET":
        return _verified(request, settings)
    check_size(request.body)
    if not settings.app_secret:
        raise Misconfigured(f"{NAME}.settings", "without the setting app_secret no webhook can be trusted")
    given = request.headers.get("x-hub-signature-256", "")
    if not equal(given, "sha256=" + hex_signature(settings.app_secret, request.body)):
        raise forged()
    root = as_object(read_json(request.body))
    events: list[Event] = []
    for entry in as_list(root.get("entry")):
        events.extend(_read_entry(as_object(entry), settings, workspace, now_ms))
        if len(events) > EVENTS_MAX:
            raise Refused("webhook.too_many", f"the webhook holds more than {EVENTS_MAX} events")
    return WebhookReply(events=tuple(events))


def _verified(request: WebhookRequest, settings: Settings) -> WebhookReply:
    """Meta asks once whether the URL is ours: the challenge is echoed for the right word."""
    given = request.query.get("hub.verify_token", "")
    if (
        not settings.verify_token
        or request.query.get("hub.mode") != "subscribe"
        or not equal(given, settings.verify_token)
    ):
        raise forged()
    return WebhookReply(body=request.query.get("hub.challenge", "")[:ID_MAX].encode())


def _read_entry(entry: dict[str, Any], settings: Settings, workspace: str, now_ms: int) -> Iterator[Event]:
    if settings.business_account_id and as_text(entry.get("id")) not in ("", settings.business_account_id):
        return
    says = Says(NAME, "whatsapp", settings.phone_number_id, workspace, now_ms)
    for change in as_list(entry.get("changes")):
        field, value = as_object(change).get("field"), as_object(as_object(change).get("value"))
        if field == "messages":
            number = as_text(as_object(value.get("metadata")).get("phone_number_id"))
            if number == settings.phone_number_id:
                yield from _statuses(value, says)
                yield from _messages(value, says)
        elif field == "message_template_status_update":
            yield from _template_status(value, entry.get("time"), says)
        elif field == "user_preferences":
            yield from _preferences(value, says)


# Statuses.


def _statuses(value: dict[str, Any], says: Says) -> Iterator[Event]:
    for status in map(as_object, as_list(value.get("statuses"))):
        provider_id, said = as_id(status.get("id")), as_text(status.get("status"))
        if not provider_id:
            continue
        at_ms = instant_ms(status.get("timestamp"), says.now_ms)
        reference = as_text(status.get("biz_opaque_callback_data"), ID_MAX)
        if said in _STATES:
            yield says.receipt(provider_id, _STATES[said], at_ms, reference=reference)
        elif said == "failed":
            error = as_object(next(iter(as_list(status.get("errors"))), None))
            code = error.get("code")
            details = as_text(as_object(error.get("error_data")).get("details"), 1_000)
            why = failure(code if type(code) is int else 131000, details)
            yield says.failure(provider_id, why, at_ms, reference=reference)


# Messages.


def _messages(value: dict[str, Any], says: Says) -> Iterator[Event]:
    contacts = [as_object(contact) for contact in as_list(value.get("contacts"))]
    for message in map(as_object, as_list(value.get("messages"))):
        provider_id = as_id(message.get("id"))
        contact = _contact_of(message, contacts)
        user_id = as_text(message.get("from_user_id") or contact.get("user_id"), ID_MAX)
        sender = as_text(message.get("from") or contact.get("wa_id"), ID_MAX) or user_id
        content = _content(message)
        if not provider_id or not sender or content is None:
            continue
        text, more = content
        profile = as_object(contact.get("profile"))
        yield says.received(
            provider_id,
            sender,
            text,
            instant_ms(message.get("timestamp"), says.now_ms),
            name=as_text(profile.get("name") or profile.get("username"), NAME_MAX),
            user_id=user_id,
            **{"context": as_id(as_object(message.get("context")).get("id")), **more},
        )


def _contact_of(message: dict[str, Any], contacts: list[dict[str, Any]]) -> dict[str, Any]:
    for contact in contacts:
        for theirs, ours in (("user_id", "from_user_id"), ("wa_id", "from")):
            if contact.get(theirs) and contact.get(theirs) == message.get(ours):
                return contact
    return contacts[0] if len(contacts) == 1 else {}


def _content(message: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The message as text, reply and media; None: nothing that a team would read."""
    kind = as_text(message.get("type"), 50)
    part = as_object(message.get(kind))
    if kind == "text":
        return as_text(part.get("body")), {}
    if kind == "button":
        return as_text(part.get("text")), {"reply": as_text(part.get("payload"), 4_000)}
    if kind == "interactive":
        return _answer(part)
    if kind in _MEDIA:
        return as_text(part.get("caption")), {"media": [_medium(kind, part)]}
    if kind == "location":
        return _place(part), {}
    if kind == "contacts":
        people = [_person(as_object(person)) for person in as_list(message.get("contacts"))[:20]]
        return "\n".join([person for person in people if person]), {}
    if kind == "reaction":
        return as_text(part.get("emoji"), 50), {"context": as_id(part.get("message_id"))}
    if kind == "order":
        count = len(as_list(part.get("product_items")))
        return f"An order of {count} items. {as_text(part.get('text'))}".rstrip(), {}
    if kind in ("unsupported", "unknown"):
        return "(a message that WhatsApp does not pass on)", {}
    return None


def _answer(part: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    kind = as_text(part.get("type"), 50)
    chosen = as_object(part.get(kind))
    if kind in ("button_reply", "list_reply"):
        return as_text(chosen.get("title")), {"reply": as_text(chosen.get("id"), 4_000)}
    if kind == "nfm_reply":
        return as_text(chosen.get("body")), {"reply": as_text(chosen.get("response_json"))}
    return None


def _medium(kind: str, part: dict[str, Any]) -> dict[str, str]:
    medium = {
        "kind": _MEDIA[kind],
        "id": as_id(part.get("id")),
        "url": as_text(part.get("url"), 2_000),
        "mime": as_text(part.get("mime_type"), 100),
        "name": as_text(part.get("filename"), NAME_MAX),
    }
    return {key: value for key, value in medium.items() if value}


def _place(part: dict[str, Any]) -> str:
    words = [as_text(part.get("name"), NAME_MAX), as_text(part.get("address"), 500)]
    where = f"{as_text(part.get('latitude'), 30)},{as_text(part.get('longitude'), 30)}"
    said = ", ".join([word for word in words if word])
    return f"{said} (geo:{where})" if said else f"geo:{where}"


def _person(person: dict[str, Any]) -> str:
    name = as_text(as_object(person.get("name")).get("formatted_name"), NAME_MAX)
    phones = [as_text(as_object(phone).get("phone"), 40) for phone in as_list(person.get("phones"))[:5]]
    return ": ".join([part for part in (name, ", ".join([phone for phone in phones if phone])) if part])


# What isn't about one message.


def _template_status(value: dict[str, Any], time: Any, says: Says) -> Iterator[Event]:
    said = as_text(value.get("event"), 50).upper()
    name, language = (
        as_text(value.get("message_template_name"), 512),
        as_text(value.get("message_template_language"), 20),
    )
    if said not in _TEMPLATE_STATES or not name:
        return
    at_ms = instant_ms(time, says.now_ms)
    fields = {
        "provider": NAME,
        "template": name,
        "language": language,
        "state": _TEMPLATE_STATES[said],
        "why": "" if value.get("reason") in (None, "NONE") else as_text(value.get("reason"), 500),
    }
    yield says.event(as_id(f"template:{name}:{language}:{said}:{as_text(time, 20)}"), "template.status", at_ms, fields)


def _preferences(value: dict[str, Any], says: Says) -> Iterator[Event]:
    """A person stopped or resumed marketing messages in WhatsApp's own settings."""
    for preference in map(as_object, as_list(value.get("user_preferences"))):
        said, person = preference.get("value"), as_text(preference.get("wa_id") or preference.get("user_id"), ID_MAX)
        if preference.get("category") != "marketing_messages" or said not in ("stop", "resume") or not person:
            continue
        at_ms = instant_ms(preference.get("timestamp"), says.now_ms)
        fields = {
            "contact": {"whatsapp": person},
            "purpose": "marketing",
            "channel": "whatsapp",
            "granted": said == "resume",
            "proof": f"marketing messages: {said}, in WhatsApp's settings",
        }
        yield says.event(as_id(f"preference:{person}:{said}:{at_ms}"), "consent.changed", at_ms, fields)
