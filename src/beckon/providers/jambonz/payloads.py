"""What is said to jambonz: verbs, and the bodies of its REST API. Pure."""

import re
from typing import Any
from urllib.parse import urlencode

import msgspec

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable
from beckon.core.exchange import Reply
from beckon.providers.jambonz.settings import JambonzSettings
from beckon.telephony.documents import Audible, Document, Hear, Join, Part, Press, Turn, Wait
from beckon.telephony.switch import File, Keys, Say

NAME = "jambonz"

Verb = dict[str, Any]

#: How long a leg rests before it asks again: answered, and not.
_REST_S = 55
_UNANSWERED_S = 1
_KEY_MS = 160
_NUMBER = re.compile(r"\+?\d{3,15}", re.ASCII)
_PHONE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_SIP = re.compile(r"sips?:[A-Za-z0-9_.+@:;=-]{1,200}", re.ASCII)


def verbs(document: Document, settings: JambonzSettings) -> list[Verb]:
    """A document as jambonz reads it: never empty."""
    made: list[Verb] = []
    last = document.ends_in
    if document.answered and not isinstance(last, Turn | Part):
        made.append({"verb": "answer"})
    for piece in document.pieces:
        if isinstance(piece, Press):
            made.append({"verb": "dtmf", "dtmf": piece.digits, "duration": _KEY_MS})
        elif isinstance(piece, Hear) and piece.barge_in:
            made += _interruptible(piece.prompts, document, settings)
        elif isinstance(piece, Hear | Wait):
            made += [_spoken(prompt, settings) for prompt in piece.prompts]
        elif isinstance(piece, Join):
            made.append(
                {
                    "verb": "conference",
                    "name": piece.room,
                    "beep": False,
                    "startConferenceOnEnter": True,
                    "endConferenceOnExit": False,
                    "actionHook": _hook(document.next_url),
                }
            )
        elif isinstance(piece, Turn):
            made.append({"verb": "sip:decline", "status": piece.status})
        elif isinstance(piece, Part):
            made.append({"verb": "hangup"})
    return made + _going_on(document)


def _going_on(document: Document) -> list[Verb]:
    """What a document ends with: a leg is never left without instructions."""
    last = document.ends_in
    if isinstance(last, Turn | Part):
        return []
    before: list[Verb] = []
    if not document.answered:
        before = [{"verb": "pause", "length": _UNANSWERED_S}]  # which does not answer
    elif last is None:
        before = [_gather(document, _REST_S)]
    return [*before, {"verb": "redirect", "actionHook": _hook(document.next_url)}]


def _hook(url: str) -> Verb:
    return {"url": url, "method": "POST"}


def _gather(document: Document, rest_s: float) -> Verb:
    keys = document.keys or Keys()
    # Without a key that ends them, what was typed is told of early, and the script's own time goes on from there.
    between_s = max(1.0, keys.between_s if keys.until else keys.between_s / 2)
    wanted = {"max": str(keys.keys_max), "until": keys.until}
    gather: Verb = {
        "verb": "gather",
        "input": ["digits"],
        "minDigits": 1,
        "maxDigits": keys.keys_max,
        "interDigitTimeout": between_s,
        "timeout": between_s if document.keys is not None else rest_s,
        "dtmfBargein": True,
        "listenDuringPrompt": True,
        "actionHook": _hook(f"{document.next_url}&{urlencode(wanted)}"),
    }
    if keys.until:
        gather["finishOnKey"] = keys.until
    return gather


def _interruptible(prompts: tuple[Audible, ...], document: Document, settings: JambonzSettings) -> list[Verb]:
    """A gather that says the prompts. It has room for one kind: what comes before the last kind stands alone."""
    gather = _gather(document, 1.0)
    at = len(prompts)
    while at and isinstance(prompts[at - 1], Say | File) and type(prompts[at - 1]) is type(prompts[-1]):
        at -= 1
    last = prompts[at:]
    if last and isinstance(last[0], File):
        urls = [one.path for one in last if isinstance(one, File)]
        gather["play"] = {"url": urls[0] if len(urls) == 1 else urls}
    elif last and isinstance(last[0], Say):
        said = _spoken(last[0], settings)
        said.pop("verb")
        said["text"] = " ".join(one.text for one in last if isinstance(one, Say))
        gather["say"] = said
    return [*(_spoken(prompt, settings) for prompt in prompts[:at]), gather]


def _spoken(prompt: Audible, settings: JambonzSettings) -> Verb:
    if isinstance(prompt, File):
        return {"verb": "play", "url": prompt.path}
    if isinstance(prompt, Say):
        synthesizer = {"vendor": settings.voice_vendor, "language": prompt.locale or "en"}
        if prompt.voice:
            synthesizer["voice"] = prompt.voice
        return {"verb": "say", "text": prompt.text, "synthesizer": synthesizer}
    return {"verb": "pause", "length": max(1, round(prompt.duration_ms / 1_000))}


def call_body(
    to: str,
    settings: JambonzSettings,
    *,
    caller_id: str,
    caller_name: str,
    ring_s: float,
    next_url: str,
    status_url: str,
) -> Verb:
    """The body that calls a phone. Raises ``Refused`` for a number that is none."""
    sender = caller_id or settings.caller_id
    if not sender:
        raise Misconfigured(f"{NAME}.caller_id", "jambonz wants a caller id: set caller_id", field="caller_id")
    body: Verb = {
        "from": sender,
        "to": _target(to, settings),
        "call_hook": _hook(next_url),
        "call_status_hook": _hook(status_url),
        "timeout": max(5, min(600, round(ring_s))),
    }
    if caller_name:
        body["callerName"] = caller_name
    if settings.application_sid:
        body["application_sid"] = settings.application_sid
    return body


def _target(to: str, settings: JambonzSettings) -> Verb:
    if _NUMBER.fullmatch(to):
        return {"type": "phone", "number": to} | ({"trunk": settings.trunk} if settings.trunk else {})
    if _SIP.fullmatch(to):
        return {"type": "sip", "sipUri": to}
    if settings.sip_realm and _PHONE.fullmatch(to):
        return {"type": "user", "name": f"{to}@{settings.sip_realm}"}
    raise Refused(f"{NAME}.number", "this is neither a number nor a SIP address; for a phone's name set sip_realm")


class _Made(msgspec.Struct):
    sid: str


def made(reply: Reply) -> str:
    """The id of the call that was made. Raises what ``taken`` raises."""
    taken(reply)
    try:
        return msgspec.json.decode(reply.body, type=_Made).sid
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unavailable(f"{NAME}.reply", "jambonz' answer can't be read", doubtful=True) from None


def taken(reply: Reply) -> None:
    """Raises the kind of error that an answer means."""
    if not 200 <= reply.status < 300:
        raise failure(reply.status)


def failure(status: int) -> BeckonError:
    """The error that a refusal of jambonz' means."""
    if status in (401, 403):
        return Misconfigured(f"{NAME}.api_key", "jambonz does not take the API key for this account")
    if status == 404:
        return Refused("call.leg_gone", "the leg has ended")
    if status in (429, 480) or status >= 500:
        return Unavailable(f"{NAME}.failed", f"jambonz answers {status}")
    return Refused(f"{NAME}.refused", f"jambonz answers {status}")
