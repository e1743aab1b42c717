"""WhatsApp's Cloud API, pretended: as strict with templates, the 24 hours and limits as Meta's own."""

import base64
import hmac
import re
from typing import Any, ClassVar

import msgspec
import phonenumbers
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from beckon.core.ids import derived, fresh
from beckon.sandbox.twins.party import Party, Shown, ShownButton
from beckon.sandbox.twins.whatsapp_checks import (
    Problem,
    RegisteredButton,
    RegisteredTemplate,
    interactive,
    limited,
    medium,
    registrations,
    template_message,
)

__all__ = ["RegisteredButton", "RegisteredTemplate", "Twin", "registrations"]

WINDOW_MS = 24 * 60 * 60 * 1000
_SIZE_BYTES_MAX = 262_144
_PHONE = re.compile(r"[1-9]\d{6,14}", re.ASCII)
_BSUID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,130}", re.ASCII)
_MEDIA = ("image", "video", "document", "audio", "sticker")


class Twin(Party):
    """One phone number of one WhatsApp Business account."""

    provider = "whatsapp_cloud"
    mount = "/whatsapp"
    errors: ClassVar[dict[str, tuple[int, str]]] = {
        "2": (503, "Service temporarily unavailable"),
        "33": (400, "Unsupported post request. Object does not exist"),
        "100": (400, "Invalid parameter"),
        "190": (401, "Invalid OAuth access token - Cannot parse access token"),
        "368": (403, "Temporarily blocked for policies violations"),
        "80007": (400, "Rate limit issues"),
        "130429": (429, "Rate limit hit"),
        "131000": (500, "Something went wrong"),
        "131005": (403, "Access denied"),
        "131008": (400, "Required parameter is missing"),
        "131009": (400, "Parameter value is not valid"),
        "131016": (503, "Service unavailable"),
        "131026": (400, "Message undeliverable"),
        "131030": (400, "Recipient phone number not in allowed list"),
        "131042": (400, "Business eligibility payment issue"),
        "131047": (400, "Re-engagement message"),
        "131048": (400, "Spam rate limit hit"),
        "131049": (400, "This message was not delivered to maintain healthy ecosystem engagement."),
        "131050": (400, "User has stopped marketing messages"),
        "131051": (400, "Message type unknown"),
        "131056": (400, "(Business Account, Consumer Account) pair rate limit hit"),
        "132000": (400, "Number of parameters does not match the expected number of params"),
        "132001": (404, "Template name does not exist in the translation"),
        "132012": (400, "Parameter format does not match format in the created template"),
        "132015": (400, "Template is Paused"),
        "132016": (400, "Template is disabled"),
    }

    phone_number_id = "106540352242922"
    business_account_id = "102290129340398"
    version = "v23.0"
    display_number = "3225550100"

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.templates: dict[tuple[str, str], RegisteredTemplate] = {}
        self.app = Starlette(
            routes=[
                Route("/{version}/{number}/messages", self._messages, methods=["POST"]),
                Route("/{version}/{account}/message_templates", self._listed, methods=["GET"]),
            ]
        )
        self._last_inbound_ms: dict[str, int] = {}
        #: people who hide their phone number: they are their user id
        self.hidden: set[str] = set()

    # What the operator does in Meta's pages.

    def register(self, template: RegisteredTemplate) -> None:
        """Know a template from now on."""
        self.templates[template.name, template.language] = template

    async def review(self, name: str, language: str, status: str, reason: str = "NONE") -> None:
        """Change a template's state (APPROVED, REJECTED, PAUSED …) and tell our webhook."""
        template = self.templates[name, language]
        self.register(msgspec.structs.replace(template, status=status))
        value = {
            "event": status,
            "message_template_id": int(derived("t", name, language)[2:14], 16),
            "message_template_name": name,
            "message_template_language": language,
            "message_template_category": "UTILITY",
            "reason": reason,
        }
        self._notify(value, field="message_template_status_update")

    # What the person does.

    def known_as(self, person: str) -> str:
        """By phone number, also where it hides; without the plus sign."""
        person = person.removeprefix("+")
        if _BSUID.fullmatch(person):
            return next((known for known in self._people if self.user_id(known) == person), person)
        return person

    @staticmethod
    def user_id(person: str) -> str:
        """The person's business-scoped user id."""
        if _BSUID.fullmatch(person):
            return person
        try:
            region = phonenumbers.region_code_for_number(phonenumbers.parse(f"+{person}")) or "BE"
        except phonenumbers.NumberParseException:
            region = "BE"
        return f"{region if len(region) == 2 and region.isalpha() else 'BE'}.{int(derived('u', person)[2:16], 16)}"

    async def reply(self, person: str, text: str) -> str:
        """The person writes; gives the message's id."""
        return self.inbound(person, {"type": "text", "text": {"body": text}}, text)

    async def tapped(self, message: Shown, button: ShownButton) -> None:
        """A reply button was tapped: an approved template's answers otherwise than an interactive message's."""
        if message.template:
            part = {"type": "button", "button": {"payload": button.value, "text": button.text}}
        else:
            chosen = {"type": "button_reply", "button_reply": {"id": button.value, "title": button.text}}
            part = {"type": "interactive", "interactive": chosen}
        self.inbound(message.person, {**part, "context": {"from": self.display_number, "id": message.id}}, button.text)

    def inbound(self, person: str, content: dict[str, Any], text: str = "") -> str:
        """The person sends any content that WhatsApp knows; gives the message's id."""
        person = self.known_as(person)
        message_id, now_ms = _wamid(), self.clock.now_ms()
        self._last_inbound_ms[person] = now_ms
        self.show(Shown(id=message_id, person=person, at_ms=now_ms, text=text, own=True, state="delivered"))
        message = {"from_user_id": self.user_id(person), "id": message_id, "timestamp": str(now_ms // 1000), **content}
        if not self._hides(person):
            message["from"] = person
        self._notify({"contacts": [self._contact(person)], "messages": [message]})
        return message_id

    # Webhooks.

    def receipt(self, message: Shown, state: str, after_ms: int, code: str = "") -> None:
        """A status, as Meta posts it."""
        status: dict[str, Any] = {
            "id": message.id,
            "status": state,
            "timestamp": str((self.clock.now_ms() + after_ms) // 1000),
            "recipient_user_id": self.user_id(message.person),
        }
        if not self._hides(message.person):
            status["recipient_id"] = message.person
        if message.reference:
            status["biz_opaque_callback_data"] = message.reference
        if state == "failed":
            code = code or self.faults.fail_code or "131026"
            words = self.errors.get(code, (400, "Message undeliverable"))[1]
            status["errors"] = [
                {"code": int(code), "title": words, "message": words, "error_data": {"details": f"{words}."}}
            ]
        else:
            kind = "utility" if message.template else "service"
            status["pricing"] = {"billable": False, "pricing_model": "PMP", "category": kind, "type": "regular"}
        self._notify(
            {"contacts": [self._contact(message.person)], "statuses": [status]},
            after_ms=after_ms,
            shown=(message, state),
        )

    def _notify(
        self,
        value: dict[str, Any],
        *,
        field: str = "messages",
        after_ms: int = 0,
        shown: tuple[Shown, str] | None = None,
    ) -> None:
        if field == "messages":
            metadata = {"display_phone_number": self.display_number, "phone_number_id": self.phone_number_id}
            value = {"messaging_product": "whatsapp", "metadata": metadata, **value}
        entry: dict[str, Any] = {"id": self.business_account_id, "changes": [{"value": value, "field": field}]}
        if field != "messages":
            entry["time"] = self.clock.now_ms() // 1000
        body = msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})
        self.post(body, self.sign, after_ms=after_ms, shown=shown)

    def sign(self, _: str, body: bytes, __: int) -> dict[str, str]:
        """A webhook's headers."""
        proof = hmac.new(self.key("app").encode(), body, "sha256").hexdigest()
        return {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": f"sha256={proof}",
            "User-Agent": "facebookexternalua",
        }

    def _contact(self, person: str) -> dict[str, Any]:
        contact: dict[str, Any] = {
            "profile": {"name": self.names.get(person, "Jan Peeters")},
            "user_id": self.user_id(person),
        }
        if not self._hides(person):
            contact["wa_id"] = person
        return contact

    def _hides(self, person: str) -> bool:
        return person in self.hidden or not _PHONE.fullmatch(person)

    # The API.

    def settings(self, base_url: str) -> dict[str, object]:
        """The settings that point the real provider here."""
        return {
            "base_url": base_url + self.mount,
            "version": self.version,
            "phone_number_id": self.phone_number_id,
            "business_account_id": self.business_account_id,
            "access_token": self.key("tok"),
            "app_secret": self.key("app"),
            "verify_token": self.key("vfy"),
        }

    async def _messages(self, request: Request) -> Response:
        try:
            self._admit(request)
            payload = self._payload(await request.body())
            if payload.get("status") == "read":
                return JSONResponse({"success": True})
            message, closed = self._accepted(payload)
        except Problem as problem:
            return self._failed(problem)
        self.show(message)
        if closed:
            self.receipt(message, "failed", self.faults.pace_ms, "131047")
        else:
            self.plan_receipts(message)
        await self.slow()
        said: dict[str, Any] = {"id": message.id}
        if message.template:
            said["message_status"] = "accepted"
        contact = {"input": payload.get("to") or payload.get("recipient"), "user_id": self.user_id(message.person)}
        if not self._hides(message.person):
            contact["wa_id"] = message.person
        return JSONResponse({"messaging_product": "whatsapp", "contacts": [contact], "messages": [said]})

    async def _listed(self, request: Request) -> Response:
        try:
            self._admit(request, number=False)
        except Problem as problem:
            return self._failed(problem)
        name = request.query_params.get("name", "")
        listed = [
            {"id": derived("t", t.name, t.language)[2:], "name": t.name, "language": t.language, "status": t.status}
            for t in self.templates.values()
            if name in t.name
        ]
        return JSONResponse({"data": listed})

    def _failed(self, problem: Problem) -> Response:
        status, words = self.errors.get(str(problem.code), (400, "Invalid parameter"))
        error = {
            "message": f"(#{problem.code}) {words}",
            "type": "OAuthException",
            "code": problem.code,
            "error_data": {"messaging_product": "whatsapp", "details": problem.details or words},
            "fbtrace_id": fresh("fb")[3:],
        }
        headers = {"Retry-After": str(self.faults.retry_after_s)} if status in (429, 503) else None
        return JSONResponse({"error": error}, status, headers=headers)

    def _admit(self, request: Request, *, number: bool = True) -> None:
        faults = self.faults
        if faults.down:
            raise Problem(131016, "")
        if request.headers.get("authorization", "") != f"Bearer {self.key('tok')}":
            raise Problem(190, "")
        if number and request.path_params["number"] != self.phone_number_id:
            raise Problem(33, "")
        if faults.rate_limited:
            raise Problem(130429, "")
        if number and faults.answer_code:
            raise Problem(int(faults.answer_code), "")

    @staticmethod
    def _payload(body: bytes) -> dict[str, Any]:
        try:
            payload = msgspec.json.decode(body) if len(body) <= _SIZE_BYTES_MAX else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            payload = None
        if type(payload) is not dict or payload.get("messaging_product") != "whatsapp":
            raise Problem(100, "The parameter messaging_product is required.")
        return payload

    def _accepted(self, payload: dict[str, Any]) -> tuple[Shown, bool]:
        """Check a message as Meta does; gives what the phone shows, and whether the closed window is noticed late."""
        person = self._recipient(payload)
        if self.faults.number_invalid:
            raise Problem(131026, "Message undeliverable")
        kind = payload.get("type", "text")
        content = payload.get(kind) if type(kind) is str else None
        if type(content) is not dict:
            raise Problem(131008, f"The parameter {kind} is required.")
        reference = payload.get("biz_opaque_callback_data", "")
        if type(reference) is not str or len(reference) > 512:
            raise Problem(131009, "biz_opaque_callback_data is longer than 512 characters.")
        shown = Shown(id=_wamid(), person=person, at_ms=self.clock.now_ms(), text="", reference=reference, raw=payload)
        if kind == "template":
            template_message(content, self._registered(content), shown)
            return shown, False
        if kind == "text":
            limited(content.get("body"), 4_096, "text.body")
            shown.text = content["body"]
        elif kind == "interactive":
            interactive(content, shown)
        elif kind in _MEDIA:
            shown.media = (medium(kind, content),)
            shown.text = content.get("caption", "")
        else:
            raise Problem(131051, "Unsupported message type.")
        closed = self.clock.now_ms() - self._last_inbound_ms.get(person, -WINDOW_MS - 1) > WINDOW_MS
        if closed and not self.faults.fail_later:
            raise Problem(131047, "More than 24 hours have passed since the customer last replied to this number.")
        return shown, closed

    def _recipient(self, payload: dict[str, Any]) -> str:
        to, recipient = payload.get("to"), payload.get("recipient")
        if type(to) is str and to:
            digits = re.sub(r"[\s().+-]", "", to)
            if not _PHONE.fullmatch(digits):
                raise Problem(131009, "The parameter to is not a phone number.")
            return digits
        if type(recipient) is str and _BSUID.fullmatch(recipient):
            return self.known_as(recipient)
        raise Problem(131008, "The parameter to is required.")

    def _registered(self, content: dict[str, Any]) -> RegisteredTemplate | None:
        language = content.get("language")
        code = language.get("code") if type(language) is dict else None
        return None if self.faults.template_rejected else self.templates.get((str(content.get("name")), str(code)))


def _wamid() -> str:
    return "wamid." + base64.b64encode(fresh("HBgL").encode()).decode()
