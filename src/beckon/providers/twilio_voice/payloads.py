"""What is said to Twilio of a call: TwiML documents, and the forms of its REST API. Pure."""

import re
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, SubElement, tostring

import msgspec

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable
from beckon.core.exchange import Reply
from beckon.providers.twilio_voice.settings import TwilioVoiceSettings
from beckon.telephony.documents import Audible, Document, Hear, Join, Part, Press, Tape, Turn, Wait
from beckon.telephony.switch import File, Keys, Say

NAME = "twilio_voice"

_DECLARED = b'<?xml version="1.0" encoding="UTF-8"?>'
#: How long a leg rests before it asks again: answered, and not.
_REST_S = 55
_UNANSWERED_S = 1
_TAPED = "in-progress completed absent"
_NUMBER = re.compile(r"\+?\d{3,15}", re.ASCII)
_OTHERS = re.compile(r"(sip|client):[A-Za-z0-9_.+@:;=-]{1,200}", re.ASCII)
#: The answer to a webhook that wants none.
EMPTY = _DECLARED + b"<Response />"


def twiml(document: Document, settings: TwilioVoiceSettings) -> bytes:
    """A document as Twilio reads it."""
    root = Element("Response")
    for piece in document.pieces:
        if isinstance(piece, Press):
            SubElement(root, "Play", {"digits": piece.digits})
        elif isinstance(piece, Tape):
            told = {"recordingStatusCallback": piece.told_at, "recordingStatusCallbackEvent": _TAPED}
            SubElement(SubElement(root, "Start"), "Recording", {"channels": "dual", **told})
        elif isinstance(piece, Hear):
            heard = _gather(root, document, _pause_of(document.keys, 1)) if piece.barge_in else root
            _speak(heard, piece.prompts, settings)
        elif isinstance(piece, Wait):
            _speak(root, piece.prompts, settings)
        elif isinstance(piece, Join):
            _join(root, piece, document)
        elif isinstance(piece, Turn):
            SubElement(root, "Reject", {"reason": "busy" if piece.status == 486 else "rejected"})
        elif isinstance(piece, Part):
            SubElement(root, "Hangup")
    _go_on(root, document)
    document_bytes: bytes = tostring(root, encoding="utf-8")
    return _DECLARED + document_bytes


def _go_on(root: Element, document: Document) -> None:
    """What a document ends with: a leg is never left without instructions."""
    last = document.ends_in
    if isinstance(last, Join | Turn | Part):
        return
    if not document.answered:
        # A pause before anything else does not answer: the caller hears it ringing.
        SubElement(root, "Pause", {"length": str(_UNANSWERED_S)})
    elif last is None:
        _gather(root, document, _pause_of(document.keys, _REST_S))
    SubElement(root, "Redirect", {"method": "POST"}).text = document.next_url


def _pause_of(keys: Keys | None, otherwise_s: int) -> int:
    # Half of it: what was typed is told of, and the script's own time goes on from there.
    return max(1, round(keys.between_s / 2)) if keys is not None else otherwise_s


def _gather(root: Element, document: Document, pause_s: int) -> Element:
    keys = document.keys or Keys()
    return SubElement(
        root,
        "Gather",
        {
            "input": "dtmf",
            "action": document.next_url,
            "method": "POST",
            "numDigits": str(keys.keys_max),
            "finishOnKey": keys.until,
            "timeout": str(pause_s),
            "actionOnEmptyResult": "true",
        },
    )


def _speak(parent: Element, prompts: tuple[Audible, ...], settings: TwilioVoiceSettings) -> None:
    for prompt in prompts:
        if isinstance(prompt, Say):
            named = {"language": clean(prompt.locale)} if prompt.locale else {}
            voice = prompt.voice or settings.voice
            if voice:
                named["voice"] = clean(voice)
            SubElement(parent, "Say", named).text = clean(prompt.text)
        elif isinstance(prompt, File):
            SubElement(parent, "Play").text = clean(prompt.path)
        else:
            SubElement(parent, "Pause", {"length": str(max(1, round(prompt.duration_ms / 1_000)))})


def _join(root: Element, piece: Join, document: Document) -> None:
    dial = SubElement(root, "Dial", {"action": document.next_url, "method": "POST"})
    named = {"beep": "false", "startConferenceOnEnter": "true", "endConferenceOnExit": "false", "waitUrl": ""}
    SubElement(dial, "Conference", named).text = piece.room


def clean(text: str) -> str:
    """Text without what XML can't hold."""
    return "".join(
        char
        for char in text
        if char in "\t\n" or (char >= " " and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff")
    )


def call_form(
    to: str, settings: TwilioVoiceSettings, *, caller_id: str, ring_s: float, next_url: str, status_url: str
) -> bytes:
    """The form that calls a phone. Raises ``Refused`` for a number that is none."""
    if not _NUMBER.fullmatch(to) and not _OTHERS.fullmatch(to):
        raise Refused(f"{NAME}.number", "this is neither a number nor a SIP address")
    sender = caller_id or settings.caller_id
    if not sender:
        raise Misconfigured(f"{NAME}.caller_id", "Twilio wants a caller id: set caller_id", field="caller_id")
    fields = [
        ("To", to),
        ("From", sender),
        ("Url", next_url),
        ("Method", "POST"),
        ("Timeout", str(max(5, min(600, round(ring_s))))),
        ("StatusCallback", status_url),
        ("StatusCallbackMethod", "POST"),
    ]
    fields += [("StatusCallbackEvent", one) for one in ("initiated", "ringing", "answered", "completed")]
    return urlencode(fields).encode()


def recording_form(told_at: str, *, stereo: bool) -> bytes:
    """The form that begins a recording of a call."""
    fields = [
        ("RecordingChannels", "dual" if stereo else "mono"),
        ("RecordingStatusCallback", told_at),
        ("RecordingStatusCallbackMethod", "POST"),
    ]
    fields += [("RecordingStatusCallbackEvent", one) for one in _TAPED.split()]
    return urlencode(fields).encode()


class _Failed(msgspec.Struct):
    code: int = 0


class _Made(msgspec.Struct):
    sid: str
    status: str = ""


def made(reply: Reply) -> _Made:
    """What a REST request made or found. Raises the kind of error that its code belongs to."""
    if not 200 <= reply.status < 300:
        raise failure(reply)
    try:
        return msgspec.json.decode(reply.body, type=_Made)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unavailable(f"{NAME}.reply", "Twilio's answer can't be read", doubtful=True) from None


#: Twilio's codes of calls that are over or not there yet, of numbers that can't be dialled, of what the operator does.
_GONE = {20404, 21220, 21218}
_REFUSED = {
    21201: "the number is missing",
    21211: "the number is no valid phone number",
    21214: "the number can't be reached",
    21217: "the number is no valid phone number",
    13224: "the number can't be dialled",
    21215: "the account may not call this country",
    21216: "the account may not call this number",
    13227: "the account may not call this country",
}
_MISCONFIGURED = {
    20003: "Twilio does not accept our account or key",
    20005: "the account is not active",
    21202: "the caller id is missing",
    21205: "hook_url is no URL that Twilio can reach",
    21210: "the caller id is no number of the account",
    21212: "the caller id is no valid number",
    21219: "a trial account calls verified numbers only",
}


def failure(reply: Reply) -> BeckonError:
    """The error that a refusal of Twilio's means."""
    try:
        code = msgspec.json.decode(reply.body, type=_Failed).code
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        code = 0
    name = f"{NAME}.{code or 'refused'}"
    if code in _MISCONFIGURED or reply.status in (401, 403):
        return Misconfigured(name, f"{_MISCONFIGURED.get(code, 'Twilio does not accept our account or key')} ({code})")
    if code in _GONE or reply.status == 404:
        return Refused("call.leg_gone", "the leg has ended")
    if code in _REFUSED:
        return Refused(name, f"{_REFUSED[code]} ({code})")
    if reply.status == 429 or reply.status >= 500:
        return Unavailable(f"{NAME}.failed", f"Twilio answers {reply.status}")
    return Refused(name, f"Twilio answers {reply.status} with code {code}")
