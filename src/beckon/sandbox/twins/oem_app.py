"""A maker's app, pretended: MyBMW's dealer messages as ``providers/oem_app/mybmw.yaml`` describes them."""

import hmac
from typing import Any, ClassVar, NoReturn

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from beckon.core.clock import iso
from beckon.core.ids import fresh
from beckon.sandbox.twins.party import Party, Shown, ShownButton, ShownMedia

_SIZE_BYTES_MAX = 262_144
_SKEW_S_MAX = 300
_TEXT_MAX = 2_000
_KNOWN_KEYS_MAX = 10_000


class _Action(msgspec.Struct):
    type: str
    label: str
    value: str


class _Attachment(msgspec.Struct):
    type: str
    url: str
    caption: str = ""


class _Content(msgspec.Struct):
    text: str
    title: str = ""
    actions: list[_Action] = []
    attachments: list[_Attachment] = []


class _Recipient(msgspec.Struct):
    userId: str


class _Message(msgspec.Struct):
    reference: str
    recipient: _Recipient
    content: _Content
    category: str
    language: str = ""


class _Problem(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Twin(Party):
    """One dealer at one maker."""

    provider = "oem_app"
    mount = "/oem"
    errors: ClassVar[dict[str, tuple[int, str]]] = {
        "USER_UNKNOWN": (404, "There is no such user."),
        "USER_OPTED_OUT": (409, "The user does not want messages of this dealer."),
        "USER_UNREACHABLE": (409, "The user has removed the app."),
        "INVALID_REQUEST": (400, "The request does not fit the contract."),
        "CONTENT_TOO_LONG": (413, "The text is too long."),
        "ACTION_NOT_ALLOWED": (422, "The action is not allowed."),
        "THROTTLED": (429, "Too many messages."),
        "MAINTENANCE": (503, "The service is being maintained."),
        "DEALER_NOT_ENABLED": (403, "The dealer is not enabled."),
        "SIGNATURE_INVALID": (401, "The signature is missing, wrong or too old."),
        "KEY_INVALID": (401, "The key is not valid."),
    }

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.app = Starlette(routes=[Route("/v1/messages", self._messages, methods=["POST"])])
        #: idempotency key → the answer that was given
        self._known: dict[str, str] = {}

    # What the person does.

    async def reply(self, person: str, text: str) -> str:
        """The person writes in the app; gives the message's id."""
        return self._wrote(person, text, {})

    async def tapped(self, message: Shown, button: ShownButton) -> None:
        """A reply button was tapped."""
        self._wrote(message.person, button.text, {"actionValue": button.value, "inReplyTo": message.id})

    def _wrote(self, person: str, text: str, more: dict[str, str]) -> str:
        message_id, now_ms = fresh("msg"), self.clock.now_ms()
        self.show(Shown(id=message_id, person=person, at_ms=now_ms, text=text, own=True, state="delivered"))
        self._notify(
            {
                "type": "MESSAGE",
                "messageId": message_id,
                "userId": person,
                "userName": self.names.get(person, "Jan Peeters"),
                "text": text,
                "at": iso(now_ms),
                **more,
            }
        )
        return message_id

    # Webhooks.

    def receipt(self, message: Shown, state: str, after_ms: int, code: str = "") -> None:
        """A status, as the maker posts it."""
        event = {
            "type": "STATUS",
            "messageId": message.id,
            "reference": message.reference,
            "status": state.upper(),
            "at": iso(self.clock.now_ms() + after_ms),
        }
        if state == "failed":
            event["code"] = code or self.faults.fail_code or "USER_UNREACHABLE"
        self._notify(event, after_ms=after_ms, shown=(message, state))

    def _notify(self, event: dict[str, str], *, after_ms: int = 0, shown: tuple[Shown, str] | None = None) -> None:
        self.post(msgspec.json.encode({"events": [event]}), self.sign, after_ms=after_ms, shown=shown)

    def sign(self, _: str, body: bytes, now_ms: int) -> dict[str, str]:
        """A webhook's headers."""
        return {
            "Content-Type": "application/json",
            "X-Dealer-Signature": _signed(self.key("hook"), body, now_ms // 1000),
        }

    # The API.

    def settings(self, base_url: str) -> dict[str, object]:
        """The settings that point the real provider here."""
        return {
            "base_url": base_url + self.mount,
            "api_key": self.key("key"),
            "signing_key": self.key("sign"),
            "webhook_key": self.key("hook"),
            "account": "dealer-31337",
            "dialect": "mybmw",
        }

    async def _messages(self, request: Request) -> Response:
        body = await request.body()
        try:
            self._admit(request, body)
            message, again = self._accepted(body, request.headers.get("idempotency-key", ""))
        except _Problem as problem:
            status, words = self.errors.get(problem.code, (400, ""))
            headers = {"Retry-After": str(self.faults.retry_after_s)} if status in (429, 503) else None
            return JSONResponse({"code": problem.code, "message": words}, status, headers=headers)
        if not again:
            self.show(message)
            self.plan_receipts(message)
        await self.slow()
        return JSONResponse({"messageId": message.id, "status": "ACCEPTED"}, 202)

    def _admit(self, request: Request, body: bytes) -> None:
        if self.faults.down:
            raise _Problem("MAINTENANCE")
        if request.headers.get("authorization") != f"Bearer {self.key('key')}":
            raise _Problem("KEY_INVALID")
        given = request.headers.get("x-dealer-signature", "")
        at = given.partition(",")[0].removeprefix("t=")
        if not at.isdigit() or not hmac.compare_digest(given, _signed(self.key("sign"), body, int(at))):
            raise _Problem("SIGNATURE_INVALID")
        if abs(self.clock.now_ms() // 1000 - int(at)) > _SKEW_S_MAX:
            raise _Problem("SIGNATURE_INVALID")
        if self.faults.rate_limited:
            raise _Problem("THROTTLED")
        if self.faults.answer_code:
            raise _Problem(self.faults.answer_code)

    def _accepted(self, body: bytes, key: str) -> tuple[Shown, bool]:
        """Check a message as the maker does; True: it was here before, and is shown once."""
        try:
            message = msgspec.json.decode(body[: _SIZE_BYTES_MAX + 1], type=_Message)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise _Problem("INVALID_REQUEST") from None
        if self.faults.number_invalid or not message.recipient.userId:
            raise _Problem("USER_UNKNOWN")
        _check(message)
        if key and key in self._known and self._known[key] in self._by_id:
            return self.find(self._known[key]), True
        shown = Shown(
            id=fresh("msg"),
            person=message.recipient.userId,
            at_ms=self.clock.now_ms(),
            text=message.content.text,
            subject=message.content.title,
            buttons=tuple(
                [
                    ShownButton("link" if action.type == "OPEN_URL" else "reply", action.label, action.value)
                    for action in message.content.actions
                ]
            ),
            media=tuple(
                [ShownMedia(item.type.lower(), item.url, item.caption) for item in message.content.attachments]
            ),
            reference=message.reference,
            raw=msgspec.to_builtins(message),
        )
        if key:
            self._known[key] = shown.id
            if len(self._known) > _KNOWN_KEYS_MAX:
                self._known.pop(next(iter(self._known)))
        return shown, False


def _check(message: _Message) -> None:
    content = message.content
    if not content.text.strip() or message.category not in ("SERVICE", "MARKETING") or not message.reference:
        _refuse("INVALID_REQUEST")
    if len(content.text) > _TEXT_MAX:
        _refuse("CONTENT_TOO_LONG")
    for action in content.actions:
        if action.type not in ("OPEN_URL", "REPLY") or not action.label.strip() or len(content.actions) > 6:
            _refuse("ACTION_NOT_ALLOWED")
        if action.type == "OPEN_URL" and not action.value.startswith(("https://", "http://")):
            _refuse("ACTION_NOT_ALLOWED")
    for attachment in content.attachments:
        if attachment.type not in ("IMAGE", "VIDEO", "DOCUMENT") or not attachment.url.startswith(
            ("https://", "http://")
        ):
            _refuse("INVALID_REQUEST")


def _refuse(code: str) -> NoReturn:
    raise _Problem(code)


def _signed(key: str, body: bytes, at_s: int) -> str:
    proof = hmac.new(key.encode(), f"{at_s}.".encode() + body, "sha256").hexdigest()
    return f"t={at_s},v1={proof}"
