"""The UIS (CoMagic, CallGear) dialect: one JSON object answers a GET or POST with ``numa``, ``input_result`` …

Both sides of it: ``UisAsking`` is a PBX of ours that asks as theirs does, ``UisAnswering`` answers theirs. As met: the
word ``None`` stands for nothing typed; numbers are digits without ``+``; POST bodies are forms or JSON. Answers either
play and forward (``phones``, ``message_name`` or ``text``, ``operator_message`` or ``operator_text``) or jump
(``returned_code``), and real ones combine both. Unknown keys are ignored, and ``{}`` is seen.
"""

from datetime import datetime
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
from beckon.telephony.instructions import Instruction, Spoken, checked
from beckon.telephony.orders import Ask
from beckon.telephony.questions import SIGNATURE_HEADER, Written
from beckon.telephony.switch import File, Say

#: Our words → theirs.
_NAMES = {
    "call": "cdr_id",
    "started": "start_time",
    "digits": "input_result",
    "caller": "numa",
    "called": "numb",
    "session": "call_session_id",
    "direction": "direction",
}
#: What they say where nothing was typed.
NOTHING = "None"


class UisAsking:
    """Asks as their PBX does."""

    name = "uis"

    def write(self, ask: Ask) -> Written:
        """The request: in the query, as a form, or as JSON."""
        fields = [(_NAMES[name], _told(name, value)) for name, value in ask.told]
        if ask.form == "query":
            glue = "&" if "?" in ask.url else "?"
            url = f"{ask.url}{glue}{urlencode(fields)}" if fields else ask.url
            return Written(ask.method, url)
        if ask.form == "form":
            media = {"Content-Type": "application/x-www-form-urlencoded"}
            return Written(ask.method, ask.url, media, urlencode(fields).encode())
        return Written(ask.method, ask.url, {"Content-Type": "application/json"}, msgspec.json.encode(dict(fields)))

    def read(self, body: bytes) -> tuple[tuple[Instruction, ...], dict[str, object]]:
        """The instructions of an answer, and all that it says."""
        try:
            answer = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refused("ask.bad_json", "the answer is no JSON") from None
        if not isinstance(answer, dict):
            raise Refused("ask.bad_answer", "the answer is no JSON object")
        said = {name: value for name, value in answer.items() if isinstance(value, str | int | float | bool)}
        try:
            return checked(_instructions(answer)), dict(list(said.items())[:100])
        except Refused as problem:
            raise Refused("ask.bad_answer", problem.why) from None


class UisAnswering:
    """Answers their PBX."""

    name = "uis"

    def verify(self, request: PbxRequest, secret: str, now_s: int) -> None:
        """They sign nothing; a PBX of ours does, where it is told to."""
        if secret:
            before = f".{request.method}.{request.url}.".encode()
            header = request.headers.get(SIGNATURE_HEADER.lower(), "")
            verify_timed(header, secret, lambda at: at + before + request.body, now_s)

    def read(self, request: PbxRequest) -> Asked:
        """The question."""
        fields = fields_of(request)
        call = text_of(fields, "cdr_id") or text_of(fields, "call_session_id")
        if not call:
            raise Refused("call.request", "neither cdr_id nor call_session_id says which call this is", field="cdr_id")
        digits = text_of(fields, "input_result")
        return Asked(
            call=call,
            session=text_of(fields, "call_session_id") or call,
            caller=international(text_of(fields, "numa")),
            called=international(text_of(fields, "numb")),
            digits="" if digits == NOTHING else digits,
            direction=text_of(fields, "direction") or "in",
            started=text_of(fields, "start_time"),
        )

    def render(self, instructions: tuple[Instruction, ...], asked: Asked, door: Door) -> Rendered:
        """One object."""
        answer: dict[str, Any] = {}
        prompts: list[Spoken] = []
        code = next((one.code for one in instructions if isinstance(one, told.Code)), None)
        for instruction in instructions:
            if isinstance(instruction, told.Speak):
                prompts.append(instruction.prompt)
            elif isinstance(instruction, told.Dial):
                answer["phones"] = [number.removeprefix("+") for number in instruction.numbers]
                answer |= _prompt(instruction.hint, "operator_message", "operator_text")
            elif isinstance(instruction, told.Gather | told.Redirect | told.HangUp) and code is None:
                # Keys and the end are settings of their script, a code leads there; so is recording.
                word = type(instruction).__name__.lower()
                raise Unsupported("call.unsupported", f"this PBX can't be told to {word}; answer with a code as well")
        answer |= _prompt(tuple(prompts), "message_name", "text")
        if code is not None:
            answer["returned_code"] = code
        return Rendered(msgspec.json.encode(answer), "application/json")


def _told(name: str, value: str) -> str:
    if name == "digits":
        return value or NOTHING
    if name in ("caller", "called"):
        return value.removeprefix("+")
    if name == "started" and value:
        return str(int(datetime.fromisoformat(value).timestamp()))
    return value


def _prompt(prompts: tuple[Spoken, ...], media: str, text: str) -> dict[str, str]:
    """A file wins over words, as it does with them."""
    files = [prompt.path for prompt in prompts if isinstance(prompt, File)]
    if len(files) > 1:
        raise Unsupported("call.unsupported", "this PBX plays one file at a time")
    if files:
        return {media: files[0]}
    words = " ".join(prompt.text for prompt in prompts if isinstance(prompt, Say))
    return {text: words} if words else {}


def _instructions(answer: dict[str, Any]) -> list[Instruction]:
    made: list[Instruction] = [told.Speak(prompt=prompt) for prompt in _spoken(answer, ("message_name",), "text")]
    phones = answer.get("phones")
    if isinstance(phones, str | int) and not isinstance(phones, bool):
        phones = [phones] if phones else []
    if phones is not None and not isinstance(phones, list):
        raise Refused("ask.bad_answer", "phones is no list of numbers")
    if phones:
        numbers = tuple(international(told.dialled(number)) for number in phones)
        hint = _spoken(answer, ("operator_message", "operator_media"), "operator_text")
        made.append(told.Dial(numbers=numbers, hint=hint))
    code = answer.get("returned_code")
    if code is not None and code != "":
        try:
            if isinstance(code, bool) or int(code) != float(code):
                raise ValueError
            made.append(told.Code(code=int(code)))
        except (TypeError, ValueError, OverflowError):
            raise Refused("ask.bad_answer", "returned_code is no whole number") from None
    return made


def _spoken(answer: dict[str, Any], media: tuple[str, ...], text: str) -> tuple[Spoken, ...]:
    """What an answer wants played: media wins over text. The language is the call's."""
    for name in media:
        file = answer.get(name)
        if isinstance(file, str) and file.strip():
            return (File(file.strip()),)
    words = answer.get(text)
    if words is None or words == "":
        return ()
    if not isinstance(words, str):
        raise Refused("ask.bad_answer", f"{text} is no text")
    return (Say(words, ""),) if words.strip() else ()
