"""The jambonz dialect: a JSON array of verbs answers each webhook, signed in ``Jambonz-Signature: t=…,v1=…``."""

from typing import Any
from urllib.parse import urlencode

import msgspec

from beckon.core.errors import Refused, Unsupported
from beckon.journeys.call_processing.dialect import (
    Asked,
    Door,
    PbxRequest,
    Rendered,
    fields_of,
    international,
    text_of,
    verify_timed,
)
from beckon.telephony import instructions as told
from beckon.telephony.instructions import Instruction, Spoken
from beckon.telephony.switch import File, Say

Verb = dict[str, Any]

_DIALLED = {"completed": "completed", "busy": "busy", "no-answer": "no_answer", "failed": "failed"}


class JambonzAnswering:
    """Answers jambonz' webhooks."""

    name = "jambonz"

    def verify(self, request: PbxRequest, secret: str, now_s: int) -> None:
        """HMAC-SHA256 of ``t.body``, where a secret is set up."""
        if secret:
            header = request.headers.get("jambonz-signature", "")
            verify_timed(header, secret, lambda at: at + b"." + request.body, now_s)

    def read(self, request: PbxRequest) -> Asked:
        """The question: a new call, the keys of a gather, or the end of a dial."""
        fields = fields_of(request)
        call = text_of(fields, "call_sid")
        if not call:
            raise Refused("call.request", "call_sid does not say which call this is", field="call_sid")
        return Asked(
            call=call,
            session=call,
            caller=international(text_of(fields, "from")),
            called=international(text_of(fields, "to")),
            digits=text_of(fields, "digits"),
            direction="out" if text_of(fields, "direction") == "outbound" else "in",
            dialled=_DIALLED.get(text_of(fields, "dial_call_status"), ""),
        )

    def render(self, instructions: tuple[Instruction, ...], asked: Asked, door: Door) -> Rendered:
        """The verbs, in order."""
        verbs = [verb for instruction in instructions for verb in _verbs(instruction, asked, door)]
        if not verbs:
            if any(isinstance(one, told.Code) for one in instructions):
                raise Unsupported(
                    "call.unsupported", "this PBX has no codes; answer with words, keys or numbers as well"
                )
            verbs = [{"verb": "hangup"}]  # nothing is to be done: they want one verb at least
        return Rendered(msgspec.json.encode(verbs), "application/json")


def _verbs(instruction: Instruction, asked: Asked, door: Door) -> list[Verb]:
    if isinstance(instruction, told.Speak):
        return [_spoken(instruction.prompt, door)]
    if isinstance(instruction, told.Gather):
        return _gather(instruction, door)
    if isinstance(instruction, told.Dial):
        return _dial(instruction, asked, door)
    if isinstance(instruction, told.Record):
        action = "startCallRecording" if instruction.on else "stopCallRecording"
        return [{"verb": "config", "record": {"action": action}}]
    if isinstance(instruction, told.Redirect):
        return [{"verb": "redirect", "actionHook": instruction.to}]
    if isinstance(instruction, told.HangUp):
        return [{"verb": "hangup"}]
    return []  # a code is the way of another PBX's script


def _spoken(prompt: Spoken, door: Door) -> Verb:
    if isinstance(prompt, File):
        return {"verb": "play", "url": file_url(prompt, door)}
    said: Verb = {"verb": "say", "text": prompt.text}
    if prompt.locale:
        said["synthesizer"] = {"vendor": "default", "language": prompt.locale}
    return said


def _gather(wanted: told.Gather, door: Door) -> list[Verb]:
    gather: Verb = {
        "verb": "gather",
        "input": ["digits"],
        "actionHook": door.url,
        "minDigits": wanted.keys_min,
        "maxDigits": wanted.keys_max,
        "interDigitTimeout": wanted.between_s,
        "timeout": wanted.within_s,
        "dtmfBargein": True,
        "listenDuringPrompt": True,
    }
    if wanted.until:
        gather["finishOnKey"] = wanted.until
    before = [_spoken(prompt, door) for prompt in wanted.prompts]
    if before:
        last = before.pop()
        gather[last.pop("verb")] = last
    return [*before, gather]


def _dial(wanted: told.Dial, asked: Asked, door: Door) -> list[Verb]:
    """They ring several targets at once, whatever was wanted: the verb has no other way."""
    dial: Verb = {
        "verb": "dial",
        "target": [{"type": "phone", "number": number} for number in wanted.numbers],
        "callerId": wanted.caller_id or asked.called,
        "answerOnBridge": True,
        "timeout": wanted.ring_s,
        "actionHook": door.url,
    }
    if wanted.hint:
        dial["confirmHook"] = hint_url(wanted.hint, door)
    verbs = [dial]
    if wanted.record:
        verbs.insert(0, {"verb": "config", "record": {"action": "startCallRecording"}})
    return verbs


def hint_url(hint: tuple[Spoken, ...], door: Door) -> str:
    """Where the PBX asks what the callee is told: the words are in the URL, which the door's secret protects."""
    fields = [
        ("say" if isinstance(one, Say) else "play", one.text if isinstance(one, Say) else one.path) for one in hint
    ]
    locale = next((one.locale for one in hint if isinstance(one, Say) and one.locale), "")
    if locale:
        fields.append(("locale", locale))
    return f"{door.url}/hint?{urlencode(fields)}"


def file_url(prompt: File, door: Door) -> str:
    """Where the PBX fetches a prompt."""
    return prompt.path if "://" in prompt.path else f"{door.url}/prompts/{prompt.path}"
