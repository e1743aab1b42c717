"""Twilio's end: its REST interface and webhooks, signed by its own package; every document rebuilt by its classes."""

import inspect
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree.ElementTree import Element, canonicalize, fromstring

from starlette.requests import Request
from starlette.responses import Response
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import VoiceResponse

from beckon.core.clock import VirtualClock
from beckon.providers.twilio_voice import SWITCH
from beckon.providers.twilio_voice.settings import TwilioVoiceSettings
from tests.providers.exchange import Exchange, Heard, Op, Phone, exchanging, switched

ACCOUNT = "AC" + "0" * 32
TOKEN = "12345"
_TEXTS = {"Say": "message", "Play": "url", "Redirect": "url", "Conference": "name"}


def accepted(body: bytes) -> Element:
    """A document, if Twilio's own classes make the same of it: every verb and attribute is one of theirs."""
    response = VoiceResponse()
    root = fromstring(body)
    _rebuild(response, root)
    assert canonicalize(str(response)) == canonicalize(body.decode())
    return root


def _rebuild(parent: Any, element: Element) -> None:
    for child in element:
        make = getattr(parent, child.tag.lower())
        named = {
            re.sub(r"([A-Z])", lambda at: "_" + at[1].lower(), name): value for name, value in child.attrib.items()
        }
        assert set(named) <= set(inspect.signature(make).parameters), (child.tag, named)
        text = _TEXTS.get(child.tag)
        _rebuild(make(**named, **({text: child.text} if text and child.text else {})), child)


class SpeaksTwilio:
    """Forms out, TwiML in."""

    def webhook(self, phone: Phone, url: str, more: dict[str, Any], now_ms: int) -> tuple[bytes, dict[str, str]]:
        fields = {
            "CallSid": phone.sid,
            "AccountSid": ACCOUNT,
            "From": phone.number if phone.inbound else phone.other,
            "To": phone.other if phone.inbound else phone.number,
            "CallStatus": phone.status,
            "ApiVersion": "2010-04-01",
            "Direction": "inbound" if phone.inbound else "outbound-api",
        }
        if "keys" in more:
            fields["Digits"] = more["keys"]
            fields["FinishedOnKey"] = more["until"]
        fields |= {name: value for name, value in more.items() if name[0].isupper()}
        signature = RequestValidator(TOKEN).compute_signature(url, fields)
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
        return urlencode(fields).encode(), headers

    def read(self, body: bytes) -> list[Op]:
        return [op for element in accepted(body) for op in _ops(element)]

    async def rest(self, exchange: Exchange, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        if request.headers.get("authorization") != "Basic " + _basic(ACCOUNT, TOKEN):
            return Response(b'{"code": 20003, "status": 401}', 401)
        path = request.url.path.removeprefix(f"/api/2010-04-01/Accounts/{ACCOUNT}")
        exchange.commands.append((request.method, path, form))
        match path.strip("/").removesuffix(".json").split("/"):
            case ["Recordings", name]:
                return Response(exchange.recordings[name.removesuffix(".wav")], media_type="audio/x-wav")
            case ["Calls"]:
                return self._call(exchange, form)
            case ["Calls", sid]:
                return await self._changed(exchange, exchange.phones.get(sid), request.method, form)
            case ["Calls", sid, "Recordings"]:
                return self._record(exchange, exchange.phones[sid], form["RecordingStatusCallback"])
            case ["Calls", sid, "Recordings", name]:
                await self.recorded(exchange, exchange.phones[sid], name)
                return _json({"sid": name, "status": "stopped"})
        return _json({"sid": ACCOUNT, "status": "active"})

    def _call(self, exchange: Exchange, form: dict[str, str]) -> Response:
        if "dial" in exchange.statuses:
            return Response(exchange.statuses["dial"][1], exchange.statuses["dial"][0])
        phone = exchange.dial(form["To"], form["From"], form["Url"], form["StatusCallback"])
        return _json({"sid": phone.sid, "status": "queued"}, 201)

    async def _changed(self, exchange: Exchange, phone: Phone | None, method: str, form: dict[str, str]) -> Response:
        if phone is None:
            return _json({"code": 20404, "status": 404}, 404)
        if method == "GET":
            return _json({"sid": phone.sid, "status": phone.status})
        if phone.status in ("completed", "busy", "no-answer"):
            return _json({"code": 21220, "message": "Call is not in-progress. Cannot redirect.", "status": 400}, 400)
        if "Twiml" in form and exchange.refusals:
            status, body = exchange.refusals.pop(0)
            return Response(body, status)
        if "Twiml" in form:
            assert phone.status == "in-progress", "Twilio changes only calls that are answered"
            exchange.change(phone, self.read(form["Twiml"].encode()))
        else:
            await exchange.finish(phone, form["Status"], "by command")
        return _json({"sid": phone.sid, "status": phone.status})

    def _record(self, exchange: Exchange, phone: Phone, told_at: str) -> Response:
        phone.heard.append(f"record {told_at}")
        return _json({"sid": "RE" + phone.sid[2:], "status": "in-progress"}, 201)

    async def recorded(self, exchange: Exchange, phone: Phone, name: str, status: str = "completed") -> None:
        """A recording is over."""
        told_at = next(one for one in phone.heard if one.startswith("record "))[7:]
        sid = "RE" + phone.sid[2:]
        exchange.recordings[sid] = b"RIFF" + bytes(5_000)
        fields = {"RecordingSid": sid, "RecordingStatus": status, "RecordingDuration": "12"}
        exchange._soon(exchange.tell(phone, told_at, **fields))


def _ops(element: Element) -> list[Op]:
    tag, how = element.tag, dict(element.attrib)
    text = element.text or ""
    if tag == "Gather":
        inside = [op for child in element for op in _ops(child)]
        assert int(how["timeout"]) >= 1
        return [("gather", {"inside": inside, "url": how["action"], "max": int(how["numDigits"]),
                            "until": how["finishOnKey"]})]  # fmt: skip
    if tag == "Dial":
        [conference] = list(element)
        assert conference.tag == "Conference"
        return [("conference", {"what": conference.text})]
    if tag == "Start":
        [recording] = list(element)
        return [("record", {"what": recording.attrib["recordingStatusCallback"]})]
    if tag == "Play" and "digits" in how:
        return [("digits", {"what": how["digits"]})]
    if tag == "Redirect":
        return [("redirect", {"url": text})]
    return [(tag.lower(), {"what": text or how.get("reason") or how.get("length", "")})]


def _basic(user: str, password: str) -> str:
    import base64

    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status, media_type="application/json")


@asynccontextmanager
async def a_twilio(**more: Any) -> AsyncIterator[tuple[Exchange, Heard]]:
    """Twilio on loopback, and our switch before it."""
    async with exchanging(SpeaksTwilio(), "twilio_voice") as exchange:
        fields: dict[str, Any] = {
            "account_sid": ACCOUNT,
            "auth_token": TOKEN,
            "base_url": f"http://127.0.0.1:{exchange.port}/api",
            "hook_url": exchange.hook_url,
            **more,
        }
        settings = TwilioVoiceSettings(**fields)
        async with switched(exchange, lambda listen: SWITCH.open(settings, VirtualClock(), listen)) as heard:
            yield exchange, heard
