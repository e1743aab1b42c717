"""The TwiML dialect (Twilio and those who speak it): XML answers each webhook, signed in ``X-Twilio-Signature``."""

import base64
import hmac
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, SubElement, tostring

from beckon.core.errors import Refused, Unsupported
from beckon.journeys.call_processing.dialect import FIELDS_MAX, Asked, Door, PbxRequest, Rendered, fields_of, text_of
from beckon.journeys.call_processing.jambonz import file_url, hint_url
from beckon.telephony import instructions as told
from beckon.telephony.instructions import Instruction, Spoken
from beckon.telephony.switch import File

_DIALLED = {
    "completed": "completed",
    "answered": "completed",
    "busy": "busy",
    "no-answer": "no_answer",
    "failed": "failed",
    "canceled": "failed",
}
_DECLARED = b'<?xml version="1.0" encoding="UTF-8"?>'


class TwimlAnswering:
    """Answers Twilio's voice webhooks."""

    name = "twiml"

    def verify(self, request: PbxRequest, secret: str, now_s: int) -> None:
        """HMAC-SHA1 of the URL and the form's fields in order of name, where a token is set up."""
        if not secret:
            return
        try:
            pairs = parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
        except (UnicodeDecodeError, ValueError):
            raise Refused("call.signature", "the signature is wrong") from None
        signed = request.url + "".join(name + value for name, value in sorted(set(pairs)))
        wanted = base64.b64encode(hmac.new(secret.encode(), signed.encode(), "sha1").digest())
        given = request.headers.get("x-twilio-signature", "").encode("ascii", "replace")
        if not hmac.compare_digest(wanted, given):
            raise Refused("call.signature", "the signature is wrong")

    def read(self, request: PbxRequest) -> Asked:
        """The question: a new call, the keys of a gather, or the end of a dial."""
        fields = fields_of(request)
        call = text_of(fields, "CallSid")
        if not call:
            raise Refused("call.request", "CallSid does not say which call this is", field="CallSid")
        return Asked(
            call=call,
            session=call,
            caller=text_of(fields, "From"),
            called=text_of(fields, "To"),
            digits=text_of(fields, "Digits"),
            direction="out" if text_of(fields, "Direction").startswith("outbound") else "in",
            dialled=_DIALLED.get(text_of(fields, "DialCallStatus"), ""),
        )

    def render(self, instructions: tuple[Instruction, ...], asked: Asked, door: Door) -> Rendered:
        """The document."""
        root = Element("Response")
        for instruction in instructions:
            _append(root, instruction, asked, door)
        if not len(root) and any(isinstance(one, told.Code) for one in instructions):
            raise Unsupported("call.unsupported", "this PBX has no codes; answer with words, keys or numbers as well")
        return Rendered(_DECLARED + tostring(root, encoding="utf-8"), "text/xml; charset=utf-8")


def _append(root: Element, instruction: Instruction, asked: Asked, door: Door) -> None:
    if isinstance(instruction, told.Speak):
        _speak(root, instruction.prompt, door)
    elif isinstance(instruction, told.Gather):
        _gather(root, instruction, door)
    elif isinstance(instruction, told.Dial):
        _dial(root, instruction, asked, door)
    elif isinstance(instruction, told.Record):
        if not instruction.on:
            raise Unsupported("call.unsupported", "this PBX stops a recording only with the call")
        SubElement(SubElement(root, "Start"), "Recording", {"channels": "dual"})
    elif isinstance(instruction, told.Redirect):
        SubElement(root, "Redirect", {"method": "POST"}).text = _clean(instruction.to)
    elif isinstance(instruction, told.HangUp):
        SubElement(root, "Hangup")


def _speak(parent: Element, prompt: Spoken, door: Door) -> None:
    if isinstance(prompt, File):
        SubElement(parent, "Play").text = _clean(file_url(prompt, door))
    else:
        SubElement(parent, "Say", {"language": _clean(prompt.locale)} if prompt.locale else {}).text = _clean(
            prompt.text
        )


def _gather(root: Element, wanted: told.Gather, door: Door) -> None:
    gather = SubElement(
        root,
        "Gather",
        {
            "input": "dtmf",
            "action": door.url,
            "method": "POST",
            "finishOnKey": wanted.until,
            "numDigits": str(wanted.keys_max),
            "timeout": f"{wanted.between_s:.0f}",
            # Whoever types nothing is told of as well.
            "actionOnEmptyResult": "true",
        },
    )
    for prompt in wanted.prompts:
        _speak(gather, prompt, door)


def _dial(root: Element, wanted: told.Dial, asked: Asked, door: Door) -> None:
    named = {
        "callerId": wanted.caller_id or asked.called,
        "answerOnBridge": "true",
        "timeout": f"{wanted.ring_s:.0f}",
        "action": door.url,
        "method": "POST",
    }
    if len(wanted.numbers) > 1 and not wanted.at_once:
        named["sequential"] = "true"
    if wanted.record:
        named["record"] = "record-from-answer-dual"
    dial = SubElement(root, "Dial", named)
    for number in wanted.numbers:
        hint = {"url": hint_url(wanted.hint, door), "method": "POST"} if wanted.hint else {}
        SubElement(dial, "Number", hint).text = number


def _clean(text: str) -> str:
    """Text without what XML can't hold."""
    return "".join(
        char
        for char in text
        if char in "\t\n" or (char >= " " and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff")
    )
