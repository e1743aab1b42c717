"""Twilio's Messages API, pretended: form posts in, signed form posts out, STOP honoured as Twilio does."""

import base64
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import phonenumbers
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from beckon.core.ids import derived, fresh
from beckon.sandbox.twins.party import Party, Shown, ShownMedia

_SIZE_BYTES_MAX = 65_536
_REFERENCE = re.compile(r"[?&]reference=([\w-]{1,100})")
_STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
_START = frozenset({"START", "YES", "UNSTOP"})


class _Problem(Exception):
    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class Twin(Party):
    """One Twilio account with one number."""

    provider = "twilio_sms"
    mount = "/twilio"
    errors: ClassVar[dict[str, tuple[int, str]]] = {
        "20003": (401, "Authenticate"),
        "20404": (404, "The requested resource was not found"),
        "20429": (429, "Too Many Requests"),
        "20500": (500, "An internal server error has occurred"),
        "20503": (503, "Service unavailable"),
        "21211": (400, "Invalid 'To' Phone Number"),
        "21212": (400, "Invalid From Number (caller ID)"),
        "21408": (400, "Permission to send an SMS has not been enabled for the region"),
        "21602": (400, "Message body is required."),
        "21603": (400, "A 'From' phone number is required."),
        "21604": (400, "A 'To' phone number is required."),
        "21606": (400, "The 'From' phone number provided is not a valid message-capable Twilio phone number"),
        "21609": (400, "The 'StatusCallback' URL is not a valid URL"),
        "21610": (400, "Attempt to send to unsubscribed recipient"),
        "21611": (400, "This 'From' number has exceeded the maximum number of queued messages"),
        "21614": (400, "'To' number is not a valid mobile number"),
        "21617": (400, "The concatenated message body exceeds the 1600 character limit"),
        "30003": (400, "Unreachable destination handset"),
        "30005": (400, "Unknown destination handset"),
        "30007": (400, "Message filtered"),
    }

    number = "+3225550101"

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.account_sid = "AC" + derived("s", self._seed, "account")[2:].ljust(32, "0")
        self.app = Starlette(
            routes=[
                Route("/2010-04-01/Accounts/{sid}/Messages.json", self._messages, methods=["POST"]),
                Route("/2010-04-01/Accounts/{sid}/Messages/{message}.json", self._fetched, methods=["GET"]),
            ]
        )
        self._stopped: set[str] = set()
        self._callbacks: dict[str, str] = {}

    # What the person does.

    async def reply(self, person: str, text: str) -> str:
        """The person writes; gives the message's id. STOP makes Twilio itself refuse further messages."""
        return self.inbound(person, text)

    def inbound(self, person: str, text: str, media: tuple[ShownMedia, ...] = ()) -> str:
        """The person writes, with pictures."""
        message_id, now_ms = _sid("SM"), self.clock.now_ms()
        word = text.strip().upper()
        if word in _STOP:
            self._stopped.add(person)
        elif word in _START:
            self._stopped.discard(person)
        self.show(
            Shown(id=message_id, person=person, at_ms=now_ms, text=text, own=True, media=media, state="delivered")
        )
        fields = {
            "ToCountry": "BE",
            "SmsMessageSid": message_id,
            "NumMedia": str(len(media)),
            "SmsSid": message_id,
            "SmsStatus": "received",
            "Body": text,
            "To": self.number,
            "NumSegments": "1",
            "MessageSid": message_id,
            "AccountSid": self.account_sid,
            "From": person,
            "ApiVersion": "2010-04-01",
        }
        for index, item in enumerate(media):
            fields[f"MediaUrl{index}"] = item.url
            fields[f"MediaContentType{index}"] = f"{item.kind}/jpeg" if item.kind == "image" else item.kind
        if word in _STOP or word in _START:
            fields["OptOutType"] = "STOP" if word in _STOP else "START"
        self.post(urlencode(fields).encode(), self.sign)
        return message_id

    # Webhooks.

    def receipt(self, message: Shown, state: str, after_ms: int, code: str = "") -> None:
        """A status callback, to the address that came with the message."""
        url = self._callbacks.get(message.id)
        if url is None or state == "read":  # nobody knows who reads an SMS
            self.changed(message, state)
            return
        fields = {
            "SmsSid": message.id,
            "SmsStatus": "undelivered" if state == "failed" else state,
            "MessageStatus": "undelivered" if state == "failed" else state,
            "To": message.person,
            "MessageSid": message.id,
            "AccountSid": self.account_sid,
            "From": self.number,
            "ApiVersion": "2010-04-01",
        }
        if state == "failed":
            fields["ErrorCode"] = code or self.faults.fail_code or "30003"
        self.post(urlencode(fields).encode(), self.sign, url=url, after_ms=after_ms, shown=(message, state))

    def sign(self, url: str, body: bytes, _: int) -> Mapping[str, str]:
        """A webhook's headers."""
        fields = sorted(set(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)))
        signed = url + "".join(name + value for name, value in fields)
        proof = hmac.new(self.key("auth").encode(), signed.encode(), "sha1").digest()
        return {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "X-Twilio-Signature": base64.b64encode(proof).decode(),
            "I-Twilio-Idempotency-Token": fresh("it"),
            "User-Agent": "TwilioProxy/1.1",
        }

    # The API.

    def settings(self, base_url: str) -> dict[str, object]:
        """The settings that point the real provider here."""
        return {
            "base_url": base_url + self.mount,
            "account_sid": self.account_sid,
            "auth_token": self.key("auth"),
            "from_number": self.number,
            "webhook_url": self.webhook_url,
        }

    async def _messages(self, request: Request) -> Response:
        try:
            self._admit(request)
            body = await request.body()
            if len(body) > _SIZE_BYTES_MAX:
                raise self._problem(21617)
            form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
            message = self._accepted(form)
        except _Problem as problem:
            return self._failed(problem)
        self.show(message)
        self.plan_receipts(message)
        await self.slow()
        return JSONResponse(self._resource(message), 201)

    async def _fetched(self, request: Request) -> Response:
        try:
            self._admit(request)
            message = self.find(request.path_params["message"])
        except _Problem as problem:
            return self._failed(problem)
        except KeyError:
            return self._failed(self._problem(20404))
        return JSONResponse(self._resource(message))

    def _failed(self, problem: _Problem) -> Response:
        status = self.errors.get(str(problem.code), (400, ""))[0]
        headers = {"Retry-After": str(self.faults.retry_after_s)} if status in (429, 503) else None
        said = {
            "code": problem.code,
            "message": problem.words,
            "more_info": f"https://www.twilio.com/docs/errors/{problem.code}",
            "status": status,
        }
        return JSONResponse(said, status, headers=headers)

    def _problem(self, code: int, more: str = "") -> _Problem:
        return _Problem(code, f"{self.errors.get(str(code), (400, 'Error'))[1]}{more}")

    def _admit(self, request: Request) -> None:
        if self.faults.down:
            raise self._problem(20503)
        expected = base64.b64encode(f"{self.account_sid}:{self.key('auth')}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            raise self._problem(20003)
        if request.path_params["sid"] != self.account_sid:
            raise self._problem(20404)
        if self.faults.rate_limited:
            raise self._problem(20429)
        if self.faults.answer_code:
            raise self._problem(int(self.faults.answer_code))

    def _accepted(self, form: list[tuple[str, str]]) -> Shown:
        """Check a message as Twilio does; gives what the phone will show."""
        fields = dict(form)
        to, body, sender = fields.get("To", ""), fields.get("Body", ""), fields.get("From", "")
        media = [value for name, value in form if name == "MediaUrl"]
        if not to:
            raise self._problem(21604)
        if self.faults.number_invalid or not _is_number(to):
            raise self._problem(21211, f": {to}")
        if not sender and not fields.get("MessagingServiceSid"):
            raise self._problem(21603)
        if sender and sender != self.number:
            raise self._problem(21606, f": {sender}")
        if not body and not media:
            raise self._problem(21602)
        if len(body) > 1_600:
            raise self._problem(21617)
        callback = fields.get("StatusCallback", "")
        if callback and (urlsplit(callback).scheme not in ("http", "https") or not urlsplit(callback).hostname):
            raise self._problem(21609)
        if to in self._stopped:
            raise self._problem(21610)
        found = _REFERENCE.search(callback)
        message = Shown(
            id=_sid("SM"),
            person=to,
            at_ms=self.clock.now_ms(),
            text=body,
            media=tuple([ShownMedia("image", url) for url in media]),
            reference=found[1] if found else "",
            raw=fields,
        )
        if callback:
            self._callbacks[message.id] = callback
            if len(self._callbacks) > 100_000:
                self._callbacks.pop(next(iter(self._callbacks)))
        return message

    def _resource(self, message: Shown) -> dict[str, Any]:
        at = format_datetime(datetime.fromtimestamp(message.at_ms / 1000, tz=UTC))
        uri = f"/2010-04-01/Accounts/{self.account_sid}/Messages/{message.id}"
        states = {"accepted": "queued", "failed": "undelivered"}
        return {
            "account_sid": self.account_sid,
            "api_version": "2010-04-01",
            "body": message.text,
            "date_created": at,
            "date_sent": None,
            "date_updated": at,
            "direction": "inbound" if message.own else "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": message.person if message.own else self.number,
            "messaging_service_sid": None,
            "num_media": str(len(message.media)),
            "num_segments": str(-(-len(message.text) // 153) or 1),
            "price": None,
            "price_unit": "USD",
            "sid": message.id,
            "status": states.get(message.state, message.state),
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.number if message.own else message.person,
            "uri": f"{uri}.json",
        }


def _is_number(text: str) -> bool:
    try:
        return text.startswith("+") and phonenumbers.is_possible_number(phonenumbers.parse(text))
    except phonenumbers.NumberParseException:
        return False


def _sid(prefix: str) -> str:
    return prefix + derived("s", fresh("sid"))[2:].ljust(32, "0")
